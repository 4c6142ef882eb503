/** Numbers and names as the demo prints them. */

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** 12,345 */
export function formatCount(count: number): string {
  return WHOLE.format(count)
}

/** 1 file, 2 files */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : nouns}`
}

/** 812 B, 1.2 kB, 34.5 MB: powers of 1000. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.95 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit]}`
}

/** 0:07, 12:34, 1:02:03 */
export function formatClock(ms: number): string {
  const seconds = Math.round(ms / 1000)
  const two = (value: number): string => String(value).padStart(2, '0')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`
}

/** 0.4 s, 93.1 s */
export function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 100 ? 3 : 1)} s`
}

/** Control characters, and those that turn the direction of writing: a file's name must not steer the terminal. */
// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001F\u007F-\u009F\u2028-\u202E\u2066-\u2069]/g

/** A file's name that is safe to print. */
export function printable(name: string): string {
  return name.replaceAll(UNPRINTABLE, '\uFFFD')
}

/** At most `width` characters, the middle left out: the beginning and the end of a path tell the most. */
export function shorten(text: string, width: number): string {
  const characters = [...text]
  if (characters.length <= width) return text
  if (width < 2) return characters.slice(0, Math.max(0, width)).join('')
  const head = Math.floor((width - 1) / 3)
  return `${characters.slice(0, head).join('')}…${characters.slice(characters.length - (width - 1 - head)).join('')}`
}
