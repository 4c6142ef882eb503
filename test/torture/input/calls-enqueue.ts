/** What `enqueue` and `schedule` are given. */
import type { EnqueueOptions, ScheduleOptions } from '../../../src/index.js'
import type { Accepts } from './accepted.js'
import { duration, instant, never, oneOf, orAbsent, printable, startBefore, uniqueKey, whole } from './accepted.js'
import { rejects, UNCHANGED, type Call } from './call.js'
import { echo, nothing } from './world.js'

/** One entry for each field that the type has: a field that is added is a field that is tried. */
type Each<Options> = Readonly<Record<keyof Options, Accepts>>

/** Places of the bag of options that `enqueue` takes. */
const ENQUEUE_OPTIONS: Each<EnqueueOptions> = {
  queue: oneOf('default'),
  priority: whole(-128, 127),
  maxRetries: whole(0, Number.MAX_SAFE_INTEGER, true),
  backoff: never,
  timeout: duration({ zero: false, infinity: true }),
  // Shorter than the definition's timeout of 15 s.
  softTimeout: (value) => value === Infinity || (typeof value === 'number' && value > 0 && value < 15_000),
  delay: duration({ zero: true, infinity: false }),
  runAt: instant,
  // The key is missing.
  unique: never,
  startBefore,
  weight: whole(1, 1024),
  // Its fields are missing.
  limit: never,
}

export const UNIQUES: Readonly<Record<string, readonly [Accepts, (value: unknown) => object]>> = {
  key: [uniqueKey, (value) => ({ key: value })],
  while: [orAbsent(oneOf('waiting', 'incomplete', 'kept')), (value) => ({ key: 'a', while: value })],
  within: [
    orAbsent(
      (value) => duration({ zero: false, infinity: false })(value) && (value === '15s' || Number(value) <= 31_536_000_000),
    ),
    (value) => ({ key: 'a', within: value }),
  ],
  onConflict: [orAbsent(oneOf('return', 'replace', 'reject', 'debounce')), (value) => ({ key: 'a', onConflict: value })],
  unknown: [never, (value) => ({ key: 'a', keys: value })],
}

/** Places of the bag of options that `schedule` takes. */
const SCHEDULE_OPTIONS: Each<Omit<ScheduleOptions, 'unique'>> = {
  ...without(ENQUEUE_OPTIONS, 'delay', 'runAt', 'unique', 'startBefore'),
  startBefore: oneOf('15s', Infinity),
  overlap: (value) => typeof value === 'boolean',
  misfire: never,
}

const SCHEDULE_RULES: Readonly<Record<string, Accepts>> = {
  cron: never,
  timezone: orAbsent(never),
  every: (value) => duration({ zero: false, infinity: false })(value) && (value === '15s' || within(value, 1000, 8.64e15)),
  unknown: never,
}

const shortName: Accepts = (value) => printable(value) && Buffer.byteLength(value as string) <= 55

function within(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && value >= least && value <= most
}

function without<Bag extends object, Name extends keyof Bag>(bag: Bag, ...names: readonly Name[]): Omit<Bag, Name> {
  const left = { ...bag }
  for (const name of names) delete left[name]
  return left
}

export function scheduleCalls(): Call[] {
  const hour = { every: '1h' }
  return [
    rejects('schedule(name)', shortName, ({ executor }, value) => executor.schedule(value, hour, nothing)),
    rejects('schedule(…, rule)', never, ({ executor }, value) => executor.schedule('a', value, nothing)),
    rejects('schedule(…, definition)', never, ({ executor }, value) => executor.schedule('a', hour, value)),
    rejects('schedule(…, options)', UNCHANGED, ({ executor }, value) => executor.schedule('a', hour, nothing, undefined, value)),
    ...Object.entries(SCHEDULE_RULES).map(([field, takes]) =>
      rejects(`schedule(…, { ${field} })`, takes, ({ executor }, value) => {
        const base = field === 'timezone' ? { cron: '@daily' } : field === 'unknown' ? hour : {}
        return executor.schedule('a', { ...base, [field]: value }, nothing)
      }),
    ),
    ...Object.entries(SCHEDULE_OPTIONS).map(([field, takes]) =>
      rejects(`schedule(…, { ${field} }) as an option`, orAbsent(takes), ({ executor }, value) =>
        executor.schedule('a', hour, nothing, undefined, { [field]: value }),
      ),
    ),
    ...['delay', 'unknown'].map((field) =>
      rejects(`schedule(…, { ${field} }) as an option`, never, ({ executor }, value) =>
        executor.schedule('a', hour, nothing, undefined, { [field]: value }),
      ),
    ),
    rejects('unschedule(name)', shortName, ({ executor }, value) => executor.unschedule(value)),
  ]
}

const BACKOFFS: Readonly<Record<string, (value: unknown) => object>> = {
  'fixed.delay': (value) => ({ type: 'fixed', delay: value }),
  'linear.step': (value) => ({ type: 'linear', step: value }),
  'exponential.base': (value) => ({ type: 'exponential', base: value }),
  max: (value) => ({ type: 'fixed', delay: 1, max: value }),
  jitter: (value) => ({ type: 'fixed', delay: 1, jitter: value }),
  type: (value) => ({ type: value, delay: 1 }),
  unknown: (value) => ({ type: 'fixed', delay: 1, delays: value }),
}

const BACKOFF_TAKES: Readonly<Record<string, Accepts>> = {
  'fixed.delay': duration({ zero: true, infinity: false }),
  'linear.step': duration({ zero: true, infinity: false }),
  'exponential.base': orAbsent((value) => typeof value === 'number' && value > 0 && value < Infinity),
  max: orAbsent(duration({ zero: true, infinity: true })),
  jitter: orAbsent((value) => typeof value === 'number' && value >= 0 && value <= 1),
}

export function enqueueCalls(): Call[] {
  return [
    rejects('enqueue(definition)', never, ({ executor }, value) => executor.enqueue(value, 1)),
    rejects('enqueue(…, options)', UNCHANGED, ({ executor }, value) => executor.enqueue(echo, 1, value)),
    ...Object.entries(ENQUEUE_OPTIONS).map(([field, takes]) =>
      rejects(`enqueue(…, { ${field} })`, orAbsent(takes), ({ executor }, value) =>
        executor.enqueue(echo, 1, { [field]: value }),
      ),
    ),
    ...Object.entries(UNIQUES).map(([field, [takes, make]]) =>
      rejects(`enqueue(…, { unique.${field} })`, takes, ({ executor }, value) =>
        executor.enqueue(echo, 1, { unique: make(value) }),
      ),
    ),
    ...Object.entries(BACKOFFS).map(([field, make]) =>
      rejects(`enqueue(…, { backoff: ${field} })`, BACKOFF_TAKES[field] ?? never, ({ executor }, value) =>
        executor.enqueue(echo, 1, { backoff: make(value) }),
      ),
    ),
  ]
}
