import { defineJob } from '../../src/index.js'
import { monotonicMs } from '../support/monotonic.js'

/** Tells when it began, then never ends: only the end of its thread stops it. */
export const spin = defineJob({
  name: 'spin',
  module: import.meta.url,
  maxRetries: 0,
  run(_input: number, ctx) {
    ctx.log.info('began', monotonicMs())
    for (;;);
  },
})
