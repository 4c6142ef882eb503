import { defineJob } from '../../src/index.js'
import type { NoopInput } from './noop.js'

/** Set in an executor's `env`, its threads never finish their first job, so that all the others wait. */
export const HOLD = 'MILLRACE_BENCH_HOLD'

const held = process.env[HOLD] === '1'

/** Does nothing, or holds its thread for ever. Same payload as `noop`. */
export const waiting = defineJob({
  name: 'waiting',
  module: import.meta.url,
  timeout: Infinity,
  run(_input: NoopInput) {
    if (held) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  },
})
