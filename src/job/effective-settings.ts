/** What holds for a job when it runs: the stored settings over the definition's constants over the defaults. */
import { MAX_INSTANT } from '../base/limits.js'
import { DEFAULT_BACKOFF, type BackoffSource, type StoredBackoff } from './backoff.js'
import type { CompiledDefinition } from './define-job.js'
import type { JobOverrides } from './job-overrides.js'
import { DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT_MS, DEFAULT_WEIGHT, type Deadline } from './job-settings.js'

/** What holds for a job when it runs. */
export interface EffectiveSettings {
  /** `Infinity` included. */
  readonly maxRetries: number
  /** `Infinity` included. */
  readonly timeoutMs: number
  /** `undefined`: none. */
  readonly softTimeoutMs: number | undefined
  readonly backoff: BackoffSource
  /** By when the first run must begin; `undefined`: whenever it likes. */
  readonly startBefore: Deadline | undefined
  /** Threads it counts as. */
  readonly weight: number
}

/**
 * The stored settings over the definition's constants over the defaults. A definition that has become a function of the input since
 * the job was enqueued counts as unset, and so does one that is no longer registered.
 */
export function effectiveSettings(
  definition: CompiledDefinition | undefined,
  overrides: JobOverrides | undefined,
): EffectiveSettings {
  const softTimeoutMs = overrides?.softTimeoutMs ?? constant(definition?.softTimeoutMs, undefined)
  return {
    maxRetries: overrides?.maxRetries ?? constant(definition?.maxRetries, DEFAULT_MAX_RETRIES),
    timeoutMs: overrides?.timeoutMs ?? constant(definition?.timeoutMs, DEFAULT_TIMEOUT_MS),
    softTimeoutMs: softTimeoutMs === Infinity ? undefined : softTimeoutMs,
    backoff: effectiveBackoff(definition?.backoff, overrides?.backoff),
    startBefore: effectiveDeadline(definition, overrides),
    weight: overrides?.weight ?? constant(definition?.weight, DEFAULT_WEIGHT),
  }
}

function effectiveDeadline(
  definition: CompiledDefinition | undefined,
  overrides: JobOverrides | undefined,
): Deadline | undefined {
  if (overrides?.startBefore !== undefined) return overrides.startBefore === Infinity ? undefined : { at: overrides.startBefore }
  if (overrides?.startBeforeMs !== undefined) return { afterMs: overrides.startBeforeMs }
  return constant(definition?.startBefore, undefined)
}

/** Epoch ms by which the first run must begin; `undefined`: whenever it likes. */
export function startBeforeOf(
  { startBefore }: EffectiveSettings,
  { enqueuedAt, runAt }: { readonly enqueuedAt: number; readonly runAt: number },
): number | undefined {
  if (startBefore === undefined) return undefined
  return 'at' in startBefore ? startBefore.at : Math.min(Math.max(enqueuedAt, runAt) + startBefore.afterMs, MAX_INSTANT)
}

function effectiveBackoff(defined: BackoffSource | undefined, stored: StoredBackoff | undefined): BackoffSource {
  if (stored === undefined) return constant(defined, DEFAULT_BACKOFF)
  return stored.type === 'definition' ? (defined ?? DEFAULT_BACKOFF) : stored
}

/** The definition's constant; a function of the input is none. */
export function constant<Value, Fallback>(
  value: Value | ((input: unknown) => unknown) | undefined,
  fallback: Fallback,
): Value | Fallback {
  return value === undefined || typeof value === 'function' ? fallback : value
}
