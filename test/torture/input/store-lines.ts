/**
 * The command line over real stores: one that nobody has open, and one that an executor has. Wrong lines, and those that are refused,
 * change nothing of what is in them, which is compared before and after each; lines made at random may also be right.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { systemClock } from '../../../src/base/clock.js'
import { openExecutor, type Executor } from '../../../src/index.js'
import { TABLES } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { createPrng } from '../../support/prng.js'
import { differences } from './command-line.js'
import { shown } from './judge.js'
import { endOf, ENDS, faultOfEnd, oneProcess, type End, type Runner } from './run-line.js'
import { STORE_LINES, STORE_WORDS, SUBJECTS, type StoreIds, type StoreLine } from './store-line-table.js'
import { checked, echo } from './world.js'

export interface StoreLinesExtent {
  readonly seed: number
  /** One line in so many; 1: all of them. Each is tried on both stores. */
  readonly stride: number
  /** Lines made at random. */
  readonly random: number
}

/** A store that lines are tried on. */
interface Subject {
  /** How it is called in its lines. */
  readonly directory: 'closed' | 'open'
  readonly ids: StoreIds
  /** All that is in it, by name. */
  readonly look: () => Promise<Map<string, string>>
}

const PATIENCE = '60s'

interface Tally {
  readonly wrong: string[]
  readonly lines: number
  /** Lines after which the store was what it was before. */
  readonly compared: number
  /** Random lines that did something. */
  readonly done: number
}

export async function tryStoreLines(extent: StoreLinesExtent, runner: Runner = oneProcess()): Promise<Tally> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-stores-'))
  try {
    await writeFile(join(root, 'file'), 'a file')
    const [first, closedIds] = await openFilled(join(root, 'closed'))
    await first.close({ grace: 0 })
    const [executor, openIds] = await openFilled(join(root, 'open'))
    const subjects: readonly Subject[] = [
      { directory: 'closed', ids: closedIds, look: async () => await recordsOf(join(root, 'closed')) },
      { directory: 'open', ids: openIds, look: async () => await factsOf(executor) },
    ]
    try {
      return await tryOn(root, subjects, extent, runner)
    } finally {
      await runner.end()
      await executor.close({ grace: 0 })
    }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** An executor whose store has jobs in every state that lasts, a queue that is paused, and a schedule. */
async function openFilled(path: string): Promise<[Executor, StoreIds]> {
  const executor = await openExecutor({ path, jobs: [echo, checked], threads: 1, queues: { images: {}, default: {} } })
  await executor.queue('images').pause()
  const done = await executor.enqueue(echo, 'done')
  await done.result()
  const [waiting] = await executor.enqueueMany(echo, ['one', 'two'], { queue: 'images' })
  const [later, cancelled, discarded] = await executor.enqueueMany(echo, [1, 2, 3, 4], { delay: '1h' })
  await executor.cancel(cancelled?.id ?? '', 'not wanted')
  await executor.discard(discarded?.id ?? '')
  await executor.schedule('leap', { cron: '0 3 29 2 *', timezone: 'UTC' }, echo, 'a run')
  const ids = { done: done.id, waiting: waiting?.id ?? '', later: later?.id ?? '', cancelled: cancelled?.id ?? '' }
  return [executor, ids]
}

/** Of a store that nobody has open: every record, by table and key. How often it was opened is in the counters, and no matter. */
async function recordsOf(path: string): Promise<Map<string, string>> {
  const engine = await openLmdbEngine(path, { durability: 'disk', clock: systemClock, readOnly: true })
  try {
    const records = TABLES.flatMap((table) =>
      engine.range(table, { limit: 10_000 }).map(({ key, value }): [string, string] => [
        `${table} ${Buffer.from(key).toString('hex')}`,
        createHash('sha256')
          .update(String(value.toString('latin1')).replace(/("epoch":)\d+/g, '$1'))
          .digest('hex'),
      ]),
    )
    return new Map(records)
  } finally {
    await engine.close()
  }
}

/** Of a store that is open: all that its executor tells of it, when nothing moves. */
async function factsOf(executor: Executor): Promise<Map<string, string>> {
  await executor.drain()
  const facts = new Map<string, string>()
  const add = (name: string, value: unknown): void => void facts.set(name, inspect(value, { depth: 10 }))
  for await (const job of executor.list()) add(`job ${job.id}`, job)
  add('counts', await executor.counts())
  add('schedules', await executor.schedules())
  for (const name of ['default', 'images']) {
    const { oldestWaitingMs: _age, ...info } = { oldestWaitingMs: 0, ...(await executor.queue(name).info()) }
    add(`queue ${name}`, info)
  }
  add('threads', executor.stats().threads.length)
  return facts
}

/** A machine with much to do is no reason for an executor not to answer. */
function patient(words: readonly string[]): readonly string[] {
  const has = (start: string): boolean => words.some((word) => word.startsWith(start))
  return has('--timeout') || has('doctor') || has('compact')
    ? words
    : words.flatMap((word) => (word === 'DIR' ? [word, `--timeout=${PATIENCE}`] : [word]))
}

async function tryOn(
  root: string,
  subjects: readonly Subject[],
  { seed, stride, random }: StoreLinesExtent,
  runner: Runner,
): Promise<Tally> {
  const wrong: string[] = []
  const tally = { lines: 0, compared: 0, done: 0 }
  const tryLine = async (words: StoreLine['args'], subject: Subject, expected: End | undefined, told: string): Promise<void> => {
    tally.lines++
    const args = patient(words).map((word) => SUBJECTS.get(word)?.(subject.directory, subject.ids) ?? word)
    const before = await subject.look()
    const ended = await runner.run(args, { cwd: root })
    const after = await subject.look()
    const end = ended === undefined ? undefined : endOf(ended)
    const ends = expected ?? end ?? 'answered'
    const fault = ended === undefined ? 'it hangs' : faultOfEnd(ended, ends)
    if (fault !== undefined) wrong.push(`${told}millrace ${shown(args)}: ${fault}`)
    // What says on stdout how many it has changed was not refused as a whole.
    const isPart = end === 'refused' && ended?.stderr === ''
    if (expected === undefined && (end === undefined || ENDS[end] === ENDS.answered || isPart)) {
      tally.done++
      return
    }
    tally.compared++
    const changed = differences(before, after)
    if (changed.length > 0 && ends !== 'answered')
      wrong.push(`${told}millrace ${shown(args)}: is ${ends}, and changed ${shown(changed.join(', '))}`)
  }
  for (const { args, ...ends } of STORE_LINES.filter((_, index) => (index + seed) % stride === 0))
    for (const subject of subjects) await tryLine(args, subject, ends[subject.directory], '')
  for (let number = 0; number < random; number++) {
    const prng = createPrng(seed + number)
    const words = [...prng.pick(STORE_WORDS.commands), 'DIR']
    for (let left = prng.below(4); left > 0; left--) words.push(...prng.pick(STORE_WORDS.more))
    await tryLine(words, prng.pick(subjects), undefined, `seed ${seed + number}, `)
  }
  return { wrong, ...tally }
}
