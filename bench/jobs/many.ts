import { defineJob, handlerOf } from '../../src/index.js'
import type { NoopInput } from './noop.js'

/** A hundred definitions that do nothing. Their handler lies apart: each by itself would need an export of its own. */
export const many = Array.from({ length: 100 }, (_, index) =>
  defineJob({
    name: `noop-${index}`,
    module: new URL('./apart-noop.js', import.meta.url),
    handler: handlerOf<typeof import('./apart-noop.js')>(),
  }),
)

/** Does nothing, in the queue whose number its input's `width` is. */
export const spread = defineJob({
  name: 'spread',
  module: import.meta.url,
  queue: (input: NoopInput) => queueName(input.width),
  run(_input: NoopInput) {
    return undefined
  },
})

export function queueName(index: number): string {
  return `queue-${index}`
}

/** Fails at its first attempt when its input's `width` is 1, and is retried at once. */
export const flaky = defineJob({
  name: 'flaky',
  module: import.meta.url,
  backoff: { type: 'fixed', delay: 0 },
  run(input: NoopInput, { attempt }) {
    if (input.width === 1 && attempt === 1) throw new Error('the first attempt fails')
  },
})
