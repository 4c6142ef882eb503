/** Durations as users write them, and as messages show them. Inside the library a duration is a number of ms. */

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

/** Milliseconds, seconds, minutes, hours, days (24 hours), weeks (7 days). */
export type DurationUnit = keyof typeof UNIT_MS

/**
 * A span of time: a number of milliseconds, or a number with a unit such as `'250ms'`, `'15s'`, `'1.5 h'`.
 * Never negative. `Infinity`, where it is allowed, means no limit.
 */
export type Duration = number | `${number}${DurationUnit}` | `${number} ${DurationUnit}`

const WRITTEN = /^(\d+(?:\.\d+)?|\.\d+) ?(ms|s|m|h|d|w)$/

/** The milliseconds of a {@link Duration}, or `undefined` if `value` is none. Only the number `Infinity` gives `Infinity`. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return value >= 0 ? value + 0 : undefined
  if (typeof value !== 'string') return undefined
  const match = WRITTEN.exec(value)
  if (match === null) return undefined
  // Six decimals of a ms take back what binary fractions add: 1.1 m is 66000 ms, not 66000.00000000001.
  const ms = Number((Number(match[1]) * UNIT_MS[match[2] as DurationUnit]).toFixed(6))
  return Number.isFinite(ms) ? ms : undefined
}

/** For messages: `'15 s'`, `'1.5 h'`, `'250 ms'`, and `'no limit'` for `Infinity`. Exact wherever a tenth of a ms is. */
export function formatDuration(ms: number): string {
  if (ms === Infinity) return 'no limit'
  for (const [unit, unitMs] of Object.entries(UNIT_MS).reverse()) {
    // The largest unit that needs no more than one decimal.
    if (ms >= unitMs && Number.isInteger((ms * 10) / unitMs)) return `${ms / unitMs} ${unit}`
  }
  return `${Math.round(ms * 10) / 10} ms`
}
