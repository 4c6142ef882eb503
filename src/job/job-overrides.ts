/** What is stored of a job's settings: those that came from its enqueue, or from a function of the input, and not the definition's constants. */
import type { Backoff, StoredBackoff } from './backoff.js'
import type { ScheduledRun } from './job-info.js'
import type { SettingName, SettingValues } from './job-settings.js'
import { storedLimit, type CompiledLimit, type StoredLimit } from './limit.js'
import type { CompiledUnique, StoredUnique } from './unique.js'

/** The settings stored with a job: those that came from the enqueue or from a function of the input. */
export interface JobOverrides extends StoredLimit {
  /** `Infinity` included. */
  readonly maxRetries?: number
  readonly backoff?: StoredBackoff
  /** `Infinity` included. */
  readonly timeoutMs?: number
  /** `Infinity`: none, although the definition has one. */
  readonly softTimeoutMs?: number
  readonly weight?: number
  /** The key that the job was enqueued with. Whether it still holds it, the unique index says. */
  readonly unique?: StoredUnique
  /** Epoch ms by which the first run must begin; `Infinity`: whenever it likes, whatever the definition says. */
  readonly startBefore?: number
  /** The same, in ms from when the job was enqueued, or became available if that was later. */
  readonly startBeforeMs?: number
  /** The job is a run of a schedule. */
  readonly schedule?: ScheduledRun
}

/** Checked settings, some of which were given. */
export type CheckedSettings = { readonly [Name in SettingName]?: SettingValues[Name] }

/** What is stored of settings that an enqueue or a function of the input gave; undefined: nothing was. */
export function overridesOf(
  { maxRetries, backoff, timeout, softTimeout, startBefore, weight }: CheckedSettings,
  unique?: CompiledUnique,
): JobOverrides | undefined {
  const given = [maxRetries, backoff, timeout, softTimeout, startBefore, weight, unique]
  if (given.every((value) => value === undefined)) return undefined
  return Object.freeze({
    ...(maxRetries !== undefined && { maxRetries }),
    ...(backoff !== undefined && { backoff: storedBackoff(backoff) }),
    ...(timeout !== undefined && { timeoutMs: timeout }),
    ...(softTimeout !== undefined && { softTimeoutMs: softTimeout }),
    ...(weight !== undefined && { weight }),
    ...(unique !== undefined && { unique: Object.freeze({ key: unique.key, while: unique.while }) }),
    ...(startBefore !== undefined &&
      ('at' in startBefore ? { startBefore: startBefore.at } : { startBeforeMs: startBefore.afterMs })),
  })
}

/** With the limit under the key that holds for this job; without one as they were. */
export function withLimit(
  overrides: JobOverrides | undefined,
  limit: CompiledLimit | undefined,
  key = limit?.key,
): JobOverrides | undefined {
  if (limit === undefined || typeof key !== 'string') return overrides
  return Object.freeze({ ...overrides, ...storedLimit(limit, key) })
}

/** What the options give over what the definition asks for. A limit is taken as a whole. */
export function merged(asked: JobOverrides | undefined, given: JobOverrides | undefined): JobOverrides | undefined {
  if (asked === undefined || given === undefined) return given ?? asked
  const { limitKey: _key, limitMax: _max, limitRate: _rate, ...rest } = asked
  return Object.freeze({ ...(given.limitKey === undefined ? asked : rest), ...given })
}

function storedBackoff(backoff: Backoff): StoredBackoff {
  return backoff.type === 'custom' ? { type: 'definition' } : backoff
}
