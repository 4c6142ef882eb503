/** The command line with what nobody should type: every command, every option, paths that lead nowhere; and lines made at random. */
import { chmod, lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openExecutor } from '../../../src/index.js'
import type { Place } from '../../support/demo-program.js'
import { createPrng } from '../../support/prng.js'
import { shown } from './judge.js'
import { LINES, WORDS, type Line } from './lines.js'
import { endOf, faultOfEnd, oneProcess, OWN_PROCESS, type Runner } from './run-line.js'
import { whomPermissionsBind } from './other-user.js'

export interface CommandLineExtent {
  readonly seed: number
  /** One line in so many; 1: all of them. */
  readonly stride: number
  /** Lines made at random. */
  readonly random: number
}

/** What was wrong, how many lines there were, and what could not be tried. */
export async function tryCommandLine(
  { seed, stride, random }: CommandLineExtent,
  runner: Runner = oneProcess(),
): Promise<{ wrong: string[]; lines: number; skipped: string[] }> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-lines-'))
  const [fixed, loose] = [join(root, 'fixed'), join(root, 'loose')]
  const all = LINES.filter((_, index) => (index + seed) % stride === 0)
  const stranger = whomPermissionsBind()
  const share = all.filter(({ asStranger }) => asStranger !== true || typeof stranger !== 'string')
  const skipped = typeof stranger === 'string' && share.length < all.length ? [`lines of another user: ${stranger}`] : []
  try {
    // It is `taken` that is closed to others, not the way to it.
    await chmod(root, 0o711)
    for (const place of [fixed, loose]) await makePlace(place)
    const holder = await openExecutor({ path: join(fixed, 'held'), jobs: [], threads: 1 })
    const wrong = await tryLines(fixed, share, { seed, runner, stranger: typeof stranger === 'string' ? {} : stranger })
    await holder.close({ grace: 0 })
    wrong.push(...(await tryRandomLines(loose, seed, random, runner)))
    return { wrong, lines: share.length + random, skipped }
  } finally {
    await runner.end()
    await chmod(join(fixed, 'taken'), 0o700).catch(() => undefined)
    await rm(root, { recursive: true, force: true })
  }
}

/** What the lines are about, but for the store `held`. */
async function makePlace(root: string): Promise<void> {
  const at = (name: string): string => join(root, name)
  for (const name of ['', 'folder', 'empty', 'foreign', 'odd', 'odd/jobs.mdb']) await mkdir(at(name))
  await writeFile(at('file'), 'a file')
  // Closed to others; root has them try it, and nobody else may be somebody else.
  await mkdir(at('taken'), { mode: process.getuid?.() === 0 ? 0o700 : 0o000 })
  await writeFile(at('folder/a'), 'to be measured')
  await writeFile(at('foreign/jobs.mdb'), 'not a store '.repeat(1000))
  await symlink('nowhere', at('dangling'))
  await symlink('loop', at('loop'))
}

interface Manner {
  readonly seed: number
  readonly runner: Runner
  readonly stranger: Place
}

/** These start other programs, draw on the terminal, or end by themselves only with their process. */
const NEEDS_PROCESS = new Set(['supervise', 'demo'])
/** Of the others, one in so many has a process all the same: how it starts and ends is tried as well. */
const OWN_PROCESS_ONE_IN = 12

/** They must not change anything. */
async function tryLines(root: string, all: readonly Line[], { seed, runner, stranger }: Manner): Promise<string[]> {
  const wrong: string[] = []
  const before = await tree(root)
  const tryLine = async ({ args, ends, asStranger }: Line, by: Runner): Promise<void> => {
    const ended = await by.run(args, { cwd: root, ...(asStranger && stranger) })
    const fault = ended === undefined ? 'it hangs' : faultOfEnd(ended, ends)
    if (fault !== undefined) wrong.push(`millrace ${shown(args)}: ${fault}`)
  }
  const hasProcess = ({ args, asStranger }: Line, index: number): boolean =>
    asStranger === true || NEEDS_PROCESS.has(args[0] ?? '') || (index + seed) % OWN_PROCESS_ONE_IN === 0
  const own = all.filter(hasProcess)
  const others = all.filter((line) => !own.includes(line))
  const inTurn = async (lines: readonly Line[], by: Runner): Promise<void> => {
    for (const line of lines) await tryLine(line, by)
  }
  await Promise.all([inTurn(own, OWN_PROCESS), inTurn(others, runner)])
  const changed = differences(before, await tree(root))
  if (changed.length > 0) wrong.push(`lines that were refused changed ${changed.join(', ')}`)
  return wrong
}

/** Lines made from a seed, one after another: whatever they say, it is said in words, and a wrong line changes nothing. */
async function tryRandomLines(root: string, seed: number, count: number, runner: Runner): Promise<string[]> {
  const wrong: string[] = []
  for (let number = 0; number < count; number++) {
    const prng = createPrng(seed + number)
    const args = Array.from({ length: prng.below(5) + 1 }, () => prng.pick(WORDS))
    const before = await tree(root)
    const by = NEEDS_PROCESS.has(args[0] ?? '') ? OWN_PROCESS : runner
    const ended = await by.run(args, { cwd: root })
    const ends = ended === undefined ? undefined : endOf(ended)
    const fault = ended === undefined ? 'it hangs' : faultOfEnd(ended, ends ?? 'answered')
    if (fault !== undefined) wrong.push(`seed ${seed + number}, millrace ${shown(args)}: ${fault}`)
    const changed = ends === 'wrong' ? differences(before, await tree(root)) : []
    if (changed.length > 0)
      wrong.push(`seed ${seed + number}, millrace ${shown(args)}: is wrong, and changed ${changed.join(', ')}`)
  }
  return wrong
}

/** Names, kinds, sizes and modes below a directory; of the store that is held its name alone. */
async function tree(root: string, below = ''): Promise<Map<string, string>> {
  const all = new Map<string, string>()
  // A directory that is closed to us holds nothing for us.
  for (const name of await readdir(join(root, below)).catch(() => [])) {
    const path = join(below, name)
    const stat = await lstat(join(root, path))
    all.set(path, stat.isDirectory() ? `directory ${stat.mode}` : `${stat.mode} ${stat.size}`)
    if (!stat.isDirectory() || path === 'held') continue
    for (const [inner, what] of await tree(root, path)) all.set(inner, what)
  }
  return all
}

export function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((path) => before.get(path) !== after.get(path))
}
