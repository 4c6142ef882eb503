import { readFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'

const LOCK_FILE = new URL('../../../package-lock.json', import.meta.url)

/** The machine, the versions, the load: what a number means nothing without. */
export function surroundings(): string {
  const [cpu] = cpus()
  const { packages } = JSON.parse(readFileSync(LOCK_FILE, 'utf8')) as { packages: Record<string, { version: string }> }
  const versions = ['piscina', 'lmdb'].map((name) => `${name} ${packages[`node_modules/${name}`]?.version ?? 'unknown'}`)
  const load = loadavg()[0] ?? 0
  return `Node ${process.version}, ${cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}, ${versions.join(', ')}, load ${load.toFixed(2)}`
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** 123456 → `123 k`. */
export function thousands(value: number): string {
  return value >= 10_000 ? `${Math.round(value / 1000)} k` : value >= 1000 ? `${(value / 1000).toFixed(1)} k` : value.toFixed(0)
}
