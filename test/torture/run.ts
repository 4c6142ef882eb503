/**
 * The torture ladder: `npm run torture -- <rung> [--seed n] [--minutes n] [--name value …]`, `npm run torture -- prove [rung]`, or without a name the
 * list of rungs. Exit code 0: nothing was found; 1: something was, and is printed with what repeats it, or too little happened to prove
 * anything; 2: wrong arguments; 3: what ran held, and something could not run here.
 */
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Rung, RungOptions } from './rung.js'
import { showing, tooFew } from './rung.js'

const args = process.argv.slice(2)
// What is not known here belongs to the rung.
const given = args.filter((arg) => arg.startsWith('--')).map((arg) => arg.slice(2).replace(/=.*/s, ''))
const { values, positionals } = parseArgs({
  args,
  allowPositionals: true,
  options: Object.fromEntries(['seed', 'minutes', ...given].map((name) => [name, { type: 'string' as const }])),
})
const root = fileURLToPath(new URL('.', import.meta.url))
const names = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(`${root}${entry.name}/rung.js`))
  .map(({ name }) => name)
  .sort()
const seed = number('seed', Date.now() % 1_000_000)
const [what, only] = positionals

if (what === undefined) await list()
else if (what === 'prove') await prove(only === undefined ? names : [only])
else await climb(what)

function number(option: 'seed' | 'minutes', otherwise: number): number {
  const text = values[option]
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!(value >= 0)) refuse(`--${option} ${String(text)} is not a number of 0 or more.`)
  return value
}

function refuse(why: string): never {
  console.error(`${why}\nRungs: ${names.join(', ')}; and 'prove', which plants faults that a rung must see.`)
  process.exit(2)
}

async function load(name: string): Promise<Rung> {
  if (!names.includes(name)) refuse(`There is no rung '${name}'.`)
  const { rung } = (await import(`./${name}/rung.js`)) as { rung: Rung }
  return rung
}

async function list(): Promise<void> {
  for (const name of names) {
    const { summary, defaultMinutes } = await load(name)
    console.log(`${name.padEnd(14)} ${summary} (${defaultMinutes} min)`)
  }
}

function options(minutes: number): RungOptions {
  const { seed: _seed, minutes: _minutes, ...extra } = values
  return { seed, minutes, progress: (line) => process.stderr.write(`${line}\n`), extra: extra as Record<string, string> }
}

async function climb(name: string): Promise<void> {
  const rung = await load(name)
  const began = performance.now()
  console.log(`${name}, seed ${seed}`)
  const { figures, violations: found, skipped = [] } = await rung.run(options(number('minutes', rung.defaultMinutes)))
  for (const [figure, value] of Object.entries(figures)) console.log(`${figure.padEnd(32)} ${value}`)
  console.log(`${'seconds'.padEnd(32)} ${Math.round((performance.now() - began) / 1000)}`)
  const violations = [...found, ...(skipped.length > 0 ? [] : tooFew(rung, figures))]
  for (const violation of violations) console.log(`VIOLATION ${violation}`)
  for (const what of skipped) console.log(`NOT RUN ${what}`)
  if (violations.length > 0) console.log(`broken ${violations.length} times; repeat with --seed ${seed}`)
  else console.log(skipped.length > 0 ? 'held, as far as it ran' : 'held')
  // What hangs must not keep the process.
  process.exit(violations.length > 0 ? 1 : skipped.length > 0 ? 3 : 0)
}

async function prove(which: readonly string[]): Promise<void> {
  let wrong = 0
  const tell = (name: string, line: string): void => console.log(`${name.padEnd(14)} ${line}`)
  for (const name of which) {
    const rung = await load(name)
    const found = await rung.control?.(options(1))
    if (found !== undefined && found.length > 0) wrong++
    if (found !== undefined) tell(name, found.length > 0 ? `nothing planted, and FOUND ${found[0]}` : 'nothing planted: held')
    for (const fault of rung.faults) {
      const violations = await fault.run(options(1))
      const shown = showing(fault, violations)
      if (shown === undefined) wrong++
      const instead = violations.length > 0 ? `, but ${violations[0]}` : ''
      tell(name, `${fault.name}: ${shown === undefined ? `NOT SEEN${instead}` : `seen, ${shown}`}`)
    }
  }
  process.exit(wrong === 0 ? 0 : 1)
}
