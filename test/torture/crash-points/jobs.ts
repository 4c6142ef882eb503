/** Jobs of the history: one that passes places inside its thread, before, in and after its run and around its thread's state, and that of the schedules. */
import { defineJob } from '../../../src/job/define-job.js'
import { outputOf } from '../../fixtures/crash/inputs.js'
import { begin } from '../../fixtures/crash/jobs.js'
import { tell } from '../../fixtures/crash/journal-line.js'
import { pass } from './points.js'

export const passing = defineJob({
  name: 'passing',
  module: import.meta.url,
  setup() {
    pass('thread: setup')
    return {}
  },
  teardown() {
    pass('thread: teardown')
  },
  async run({ seed, key }: { seed: number; key: number }, ctx) {
    const run = begin(key, ctx)
    pass('job: begun')
    // When the outcome is published, and when the batch has returned.
    setImmediate(() => pass('job: outcome published'))
    await Promise.resolve()
    pass('job: before its end')
    setTimeout(() => pass('job: batch returned'), 0)
    tell({ is: 'end', key, run, intact: true })
    return outputOf(seed, key)
  },
})

/** Told apart by the instants that they are planned for. */
export const planned = defineJob({
  name: 'planned',
  module: import.meta.url,
  run({ seed, key }: { seed: number; key: number }, ctx) {
    const instant = ctx.job.schedule?.plannedAt ?? key
    const run = begin(instant, ctx)
    tell({ is: 'end', key: instant, run, intact: true })
    return outputOf(seed, key)
  },
})
