/** Spans, instants and values as the commands print them for people. */

const SPANS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** 12ms, 3.4s, 5m 03s, 2h 14m, 3d 04h: two units at most. Null and undefined: –, `Infinity`: ∞. */
export function formatSpan(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–'
  if (ms === Infinity) return '∞'
  if (ms < 999.5) return `${Math.round(ms)}ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)}s`
  const whole = Math.round(ms / 1000) * 1000
  for (const [index, [unit, unitMs]] of SPANS.entries()) {
    if (whole < unitMs) continue
    const [lower, lowerMs] = SPANS[index + 1] ?? ['', 1]
    const rest = Math.floor((whole % unitMs) / lowerMs)
    return `${Math.floor(whole / unitMs)}${unit} ${String(rest).padStart(2, '0')}${lower}`
  }
  return `${Math.round(whole / 1000)}s`
}

/** How long ago, or in how long: 3.4s ago, in 5m 03s. */
export function formatDistance(at: number | null | undefined, now: number): string {
  if (at === null || at === undefined) return '–'
  return at > now ? `in ${formatSpan(at - now)}` : `${formatSpan(now - at)} ago`
}

/** 2026-05-01 12:34:56Z */
export function formatInstant(at: number | null | undefined): string {
  if (at === null || at === undefined) return '–'
  return new Date(at).toISOString().replace('T', ' ').replace(/\.\d+/, '')
}

/** 0, 0.4, 3.2, 12, 1,234: per second. */
export function formatRate(perSecond: number): string {
  if (perSecond === 0) return '0'
  return perSecond < 9.95 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString('en-US')
}
