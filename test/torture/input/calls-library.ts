/** What the package's other exports are given. They need no executor, and but for the doctor throw at the call. */
import { join } from 'node:path'
import { type DoctorOptions, isMillraceError } from '../../../src/index.js'
import type { Accepts } from './accepted.js'
import { aFunction, anything, duration, either, never, oneOf, orAbsent, printable, startBefore, text, whole } from './accepted.js'
import { rejects, throws, UNCHANGED, type Call } from './call.js'
import { UNIQUES } from './calls-enqueue.js'
import type { Library } from './world.js'

const module = new URL('../../fixtures/executor/jobs.js', import.meta.url).href

const DEFINE_OPTIONS: Readonly<Record<string, Accepts>> = {
  name: printable,
  module: never,
  input: never,
  run: aFunction,
  setup: aFunction,
  teardown: aFunction,
  handler: never,
  queue: either(printable, aFunction),
  priority: either(whole(-128, 127), aFunction),
  maxRetries: either(whole(0, Number.MAX_SAFE_INTEGER, true), aFunction),
  backoff: aFunction,
  timeout: either(duration({ zero: false, infinity: true }), aFunction),
  softTimeout: either((value) => value === Infinity || (typeof value === 'number' && value > 0 && value < 15_000), aFunction),
  unique: never,
  startBefore: either(aFunction, startBefore),
  retryIf: aFunction,
  weight: either(whole(1, 1024), aFunction),
  limit: never,
}

export function libraryCalls(): Call[] {
  const pure = (name: string, takes: Accepts, call: (library: Library, value: unknown) => unknown): Call =>
    throws(name, takes, ({ library }, value) => call(library, value))
  const nonNegative = duration({ zero: true, infinity: false })
  return [
    pure('defineJob(spec)', never, (library, value) => library.defineJob(value)),
    ...Object.entries(DEFINE_OPTIONS).map(([field, takes]) =>
      pure(`defineJob({ ${field} })`, field === 'name' || field === 'module' ? takes : orAbsent(takes), (library, value) =>
        library.defineJob({ name: 'a', module, run: () => 1, [field]: value }),
      ),
    ),
    ...Object.entries(UNIQUES).map(([field, [takes, make]]) =>
      pure(`defineJob({ unique.${field} })`, field === 'key' ? either(takes, aFunction) : takes, (library, value) =>
        library.defineJob({ name: 'a', module, run: () => 1, unique: make(value) }),
      ),
    ),
    pure('defineJob({ unknown })', never, (library, value) =>
      library.defineJob({ name: 'a', module, run: () => 1, retry: value }),
    ),
    pure('snooze(duration)', nonNegative, (library, value) => library.snooze(value)),
    pure('snooze(…, reason)', orAbsent(text), (library, value) => library.snooze(1, value)),
    pure('cancel(reason)', orAbsent(text), (library, value) => library.cancel(value)),
    // Thrown by handlers: whatever is to be said must not keep the error from being the one that was meant.
    pure('new FatalError(message)', anything, (library, value) => new library.FatalError(value)),
    pure('new FatalError(…, options)', anything, (library, value) => new library.FatalError('why', value)),
    pure('new RetryError(message)', anything, (library, value) => new library.RetryError(value)),
    pure('new RetryError(…, options)', UNCHANGED, (library, value) => new library.RetryError('why', value)),
    pure(
      'new RetryError(…, { after })',
      orAbsent(nonNegative),
      (library, value) => new library.RetryError('why', { after: value }),
    ),
    pure('handlerOf(stray)', anything, (library, value) => library.handlerOf(value)),
    ...errorCalls(pure),
    ...doctorCalls(),
    pure('isMillraceError(error)', anything, (_library, value) => isMillraceError(value)),
    pure('isMillraceError(…, code)', anything, (_library, value) => isMillraceError(new Error('x'), value as never)),
  ]
}

/** The library makes them itself; a test of its user may. They become the error that was meant, whatever they are given. */
function errorCalls(pure: (name: string, takes: Accepts, call: (library: Library, value: unknown) => unknown) => Call): Call[] {
  const places = {
    MillraceError: ['code', 'message', 'options'],
    InvalidInputError: ['message', 'issues'],
    LockedError: ['message', 'holderPid'],
    DuplicateJobError: ['message', 'jobId', 'key'],
    JobFailedError: ['message', 'jobId', 'jobName', 'error'],
  } as const
  return Object.entries(places).flatMap(([name, fields]) =>
    fields.map((field, index) =>
      pure(`new ${name}(… ${field})`, anything, (library, value) => {
        const given: unknown[] = fields.map(() => undefined)
        given[index] = value
        const made = new library[name as keyof typeof places](...given)
        if (!isMillraceError(made)) throw new Error(`${name} makes no error of the library`)
      }),
    ),
  )
}

/** It looks at the store that the executor has open: it is not to be repaired. */
function doctorCalls(): Call[] {
  const takes: Readonly<Record<keyof DoctorOptions, Accepts>> = {
    repair: oneOf(false),
    timeout: duration({ zero: false, infinity: true }),
  }
  return [
    rejects('doctor(directory)', isPath, ({ library, directory }, value) =>
      library.doctor(isPath(value) ? join(directory, value as string) : value),
    ),
    rejects('doctor(…, options)', UNCHANGED, ({ library, directory }, value) => library.doctor(directory, value)),
    ...Object.entries(takes).map(([field, accepts]) =>
      rejects(`doctor(…, { ${field} })`, orAbsent(accepts), ({ library, directory }, value) =>
        library.doctor(directory, { [field]: value }),
      ),
    ),
  ]
}

/** What the system takes for a path, and hands on to a process. */
const isPath: Accepts = (value) => typeof value === 'string' && value !== '' && !value.includes('\0') && value.length < 100_000
