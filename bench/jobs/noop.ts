import { defineJob } from '../../src/index.js'

/** ~90 bytes of payload as JSON. */
export interface NoopInput {
  readonly id: number
  readonly file: string
  readonly width: number
  readonly user: string
}

/** Nothing to do: what is measured is everything around it. */
export const noop = defineJob({
  name: 'noop',
  module: import.meta.url,
  run(_input: NoopInput) {
    return undefined
  },
})

export function noopInput(id: number): NoopInput {
  return { id, file: `images/photo-${String(id).padStart(8, '0')}.jpg`, width: 320, user: 'someone@example.org' }
}
