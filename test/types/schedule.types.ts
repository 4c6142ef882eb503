/** Compile-time only: what schedules and outcomes take, and what they refuse. Checked by `tsc`. */
import { z } from 'zod'
import { defineJob, type Executor, type ScheduleInfo, type ScheduleRule, type ScheduledRun } from '../../src/index.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function expectType<_Check extends true>(): void {}

const module = import.meta.url

export const report = defineJob({
  name: 'report',
  module,
  input: z.object({ region: z.string(), days: z.string().transform(Number).default(1) }),
  startBefore: ({ days }) => (days > 1 ? '1h' : new Date(days)),
  retryIf: (error) => {
    expectType<Equal<typeof error, unknown>>()
    return error instanceof TypeError
  },
  run: (input, { job }) => {
    expectType<Equal<typeof job.schedule, ScheduledRun | undefined>>()
    return input.region
  },
})
export const nothing = defineJob({ name: 'nothing', module, startBefore: '10m', run() {} })

export async function uses(executor: Executor): Promise<void> {
  const made = await executor.schedule(
    'a',
    { cron: '0 3 * * *', timezone: 'UTC' },
    report,
    { region: 'north' },
    { misfire: 'all' },
  )
  expectType<Equal<typeof made, ScheduleInfo>>()
  await executor.schedule(
    'a',
    { every: '1h' },
    report,
    { region: 'north', days: '2' },
    { overlap: true, startBefore: '5m', priority: 1 },
  )
  await executor.schedule('a', { every: 60_000 }, nothing)
  await executor.schedule('a', { every: '1h' }, nothing, undefined, { startBefore: Infinity })
  const removed = await executor.unschedule('a')
  expectType<Equal<typeof removed, boolean>>()
  const [listed] = await executor.schedules()
  expectType<Equal<typeof listed, ScheduleInfo | undefined>>()
  await executor.enqueue(nothing, undefined, { startBefore: new Date() })
  await executor.enqueue(nothing, undefined, { startBefore: 1_900_000_000_000 })

  // @ts-expect-error The input is missing.
  await executor.schedule('a', { every: '1h' }, report)
  // @ts-expect-error The region is a string.
  await executor.schedule('a', { every: '1h' }, report, { region: 5 })
  // @ts-expect-error No unit of that name.
  await executor.schedule('a', { every: '1 fortnight' }, nothing)
  // @ts-expect-error A schedule says itself when its jobs run.
  await executor.schedule('a', { every: '1h' }, nothing, undefined, { delay: '1m' })
  // @ts-expect-error There is no such policy.
  await executor.schedule('a', { every: '1h' }, nothing, undefined, { misfire: 'never' })
  // @ts-expect-error An instant would be the same for every run.
  await executor.schedule('a', { every: '1h' }, nothing, undefined, { startBefore: new Date() })
  // @ts-expect-error No span of time.
  await executor.enqueue(nothing, undefined, { startBefore: 'soon' })
}

// @ts-expect-error One of the two.
export const both: ScheduleRule = { cron: '* * * * *', every: '1h' }
// @ts-expect-error A period knows no time zone.
export const zoned: ScheduleRule = { every: '1h', timezone: 'UTC' }
// @ts-expect-error A rule needs one of the two.
export const empty: ScheduleRule = {}
// @ts-expect-error The answer is a boolean.
defineJob({ name: 'x', module, retryIf: async () => true, run() {} })
// @ts-expect-error It lies in the handler's module.
defineJob({ name: 'x', module, retryIf: () => true })
