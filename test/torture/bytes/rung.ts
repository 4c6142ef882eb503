/**
 * Damaged stores. Each is opened by a host in a process of its own, which must live: it gets a typed error, or it runs, and then what
 * it shows is right, or the audit says that something is wrong. What nobody can see, because LMDB has no checksums, is counted.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Table } from '../../../src/store/engine.js'
import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import type { Plant } from '../../fixtures/bytes/plant.js'
import { echo } from '../../fixtures/executor/jobs.js'
import { createPrng } from '../../support/prng.js'
import { makeCrashedStore, makeSampleStore, openSample } from '../../support/sample-store.js'
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'
import { cuts, FOREIGN, type PlannedDamage, RANDOM, recordsOf } from './damage.js'
import { Host, type HostOutcome } from './hosts.js'

/** Hosts at work at the same time. */
const HOSTS = 2
const SAMPLE_JOBS = 60

/** What came of a damage, from best to worst. */
const OUTCOMES = ['harmless', 'refused', 'stopped', 'audited', 'silent', 'untyped', 'dead'] as const
type Outcome = (typeof OUTCOMES)[number]

/** Never to be opened at all. */
const REFUSED = new Set(FOREIGN.map(({ kind }) => kind))
/** Tables each of whose records is spoken of elsewhere: that one is gone must be told. */
const TOLD_WHEN_GONE: ReadonlySet<string> = new Set<Table>(['pages', 'marks', 'scheduled', 'index', 'payloads', 'finished'])
/** Tables of which records are damaged one by one, whatever else is. */
const DAMAGED_TABLES: readonly Table[] = ['pages', 'marks', 'scheduled', 'index', 'claims', 'finished', 'payloads']

export interface BytesPlan {
  readonly seed: number
  /** How many of the cuts at borders between pages. */
  readonly cuts: number | 'all'
  /** Of each table, so many records that are gone, and that are longer. */
  readonly records: number
  /** @defaultValue all but the one that is free to say anything */
  readonly tables?: readonly Table[]
  /** Whether another random one is to be made, after so many. */
  readonly goesOn: (made: number) => boolean
  /** A planted fault: hosts open what they are given without a look at it. */
  readonly trusts?: boolean
  /** A planted fault in what the hosts load. */
  readonly plant?: Plant
  readonly progress?: (line: string) => void
}

interface Case extends PlannedDamage {
  /** Below 0 when it was planned. */
  readonly number: number
}

export async function runBytes(plan: BytesPlan): Promise<RungReport> {
  const base = await mkdtemp(join(tmpdir(), 'millrace-bytes-'))
  try {
    return await new BytesRun(plan, base).run()
  } finally {
    await rm(base, { recursive: true, force: true })
  }
}

class BytesRun {
  readonly #plan: BytesPlan
  readonly #base: string
  readonly #violations: string[] = []
  readonly #counts = new Map<string, Map<Outcome, number>>()
  readonly #goods: { readonly bytes: Buffer; readonly jobs: Readonly<Record<string, string>> }[] = []
  #mustBeTold = 0

  constructor(plan: BytesPlan, base: string) {
    this.#plan = plan
    this.#base = base
  }

  async run(): Promise<RungReport> {
    const hosts = Array.from({ length: HOSTS }, () => new Host(this.#plan.plant))
    try {
      await this.#makeGoods(hosts[0]!)
      const cases = this.#cases()
      await Promise.all(
        hosts.map(async (host, index) => {
          for (const one of cases) await this.#try(host, one, join(this.#base, `host-${index}`))
        }),
      )
    } finally {
      for (const host of hosts) host.end()
    }
    return { figures: this.#figures(), violations: this.#violations }
  }

  /** One closed in order, one left by a process that died. */
  async #makeGoods(host: Host): Promise<void> {
    const [closed, crashed] = [join(this.#base, 'closed'), join(this.#base, 'crashed')]
    await makeSampleStore(closed, SAMPLE_JOBS)
    await addNamed(closed)
    const bytes = [await readFile(join(closed, DATA_FILE))]
    await makeCrashedStore(closed, crashed)
    bytes.push(await readFile(join(crashed, DATA_FILE)))
    for (const good of bytes) {
      const directory = await mkdtemp(join(this.#base, 'good-'))
      await writeFile(join(directory, DATA_FILE), good)
      const outcome = await host.serve({ directory, trusts: false })
      if (outcome.stage !== 'done' || outcome.problems.length > 0) throw new Error(`a good store: ${JSON.stringify(outcome)}`)
      this.#goods.push({ bytes: good, jobs: outcome.jobs })
    }
  }

  /** Shared by the hosts. */
  *#cases(): Generator<Case> {
    const { seed, cuts: count, records, tables = DAMAGED_TABLES, goesOn, progress } = this.#plan
    const planned = [...FOREIGN, ...cuts(this.#goods[0]!.bytes, count, createPrng(seed)), ...recordsOf(tables, records)]
    for (const [index, one] of planned.entries()) yield { ...one, number: -1 - index }
    const random = Object.entries(RANDOM)
    for (let number = 0; goesOn(number); number++) {
      if (number > 0 && number % 500 === 0) progress?.(`${number} damaged stores, ${this.#violations.length} violations`)
      const [kind, damage] = random[number % random.length]!
      yield { kind, damage, number }
    }
  }

  async #try(host: Host, { kind, damage, number, ofCrashed = false }: Case, directory: string): Promise<void> {
    await rm(directory, { recursive: true, force: true })
    await mkdir(directory, { mode: 0o700 })
    const prng = createPrng(this.#plan.seed * 1_000_003 + number)
    const { bytes, jobs } = this.#goods[number >= 0 ? prng.below(2) : ofCrashed ? 1 : 0]!
    const what = await damage(bytes, directory, prng)
    const outcome = await host.serve({ directory, trusts: this.#plan.trusts === true })
    const result = this.#judge(outcome, jobs)
    const counts = this.#counts.get(kind) ?? new Map<Outcome, number>()
    this.#counts.set(kind, counts.set(result, (counts.get(result) ?? 0) + 1))
    const repeats = `${kind}, ${what} (seed ${this.#plan.seed}, number ${number})`
    if (result === 'dead') this.#violations.push(`the host died: ${repeats}: ${JSON.stringify(outcome)}`)
    if (result === 'untyped')
      this.#violations.push(`an error without a code: ${repeats}: ${JSON.stringify(outcome).slice(0, 500)}`)
    if (REFUSED.has(kind) && result !== 'refused') this.#violations.push(`${result}, not refused: ${repeats}`)
    // Nothing else speaks of a claim: its jobs wait as if nobody had been handed them, and nothing may have become of them.
    if (kind.includes('gone') && what.startsWith('claims ') && !['harmless', 'audited', 'refused'].includes(result))
      this.#violations.push(`a claim that is gone has changed a job: ${repeats}: ${result}`)
    if (!mustBeTold(kind, what)) return
    this.#mustBeTold++
    if (result !== 'audited' && result !== 'refused') this.#violations.push(`the audit saw nothing: ${repeats}: ${result}`)
  }

  #judge(outcome: HostOutcome, jobs: Readonly<Record<string, string>>): Outcome {
    if (outcome.stage === 'dead') return 'dead'
    if (outcome.error !== undefined && outcome.error.code === undefined) return 'untyped'
    const isRefused = outcome.stage === 'list' && outcome.error !== undefined && Object.keys(outcome.jobs).length === 0
    if (outcome.stage === 'open' || isRefused) return 'refused'
    if (outcome.problems.length > 0) return 'audited'
    if (outcome.stage !== 'done') return 'stopped'
    const isSame = Object.keys(jobs).length === Object.keys(outcome.jobs).length
    return isSame && Object.entries(jobs).every(([id, digest]) => outcome.jobs[id] === digest) ? 'harmless' : 'silent'
  }

  #figures(): Record<string, string | number> {
    const figures: Record<string, string | number> = {}
    const total = new Map<Outcome, number>()
    for (const [kind, counts] of this.#counts) {
      figures[kind] = OUTCOMES.filter((outcome) => counts.has(outcome))
        .map((outcome) => `${counts.get(outcome)} ${outcome}`)
        .join(', ')
      for (const [outcome, count] of counts) total.set(outcome, (total.get(outcome) ?? 0) + count)
    }
    const all = [...total.values()].reduce((sum, count) => sum + count, 0)
    figures['damaged stores'] = all
    figures['that must be told'] = this.#mustBeTold
    for (const outcome of OUTCOMES) {
      const count = total.get(outcome) ?? 0
      figures[outcome] = `${count} (${((100 * count) / all).toFixed(2)} %)`
    }
    return figures
  }
}

/** Whether the audit must say that something is wrong, by the kind of damage and the record that it hit. */
function mustBeTold(kind: string, what: string): boolean {
  if (!kind.includes('record')) return false
  const [table = ''] = what.split(' ')
  if (kind.includes('gone')) return TOLD_WHEN_GONE.has(table)
  // The index says nothing that is not said elsewhere: in these stores each holder of a unique key has its job, too.
  return table === 'index' || (kind.includes('longer') && !isFree(what))
}

/** The name of a queue or a definition, or a payload: whatever the bytes are, they may be one. */
function isFree(what: string): boolean {
  return /^(meta (6465|7175)|payloads )/.test(what)
}

/** What has a name: unique keys, two of them with a time, and a schedule. */
async function addNamed(directory: string): Promise<void> {
  const executor = await openSample(directory)
  for (const key of ['one', 'two', 'three', 'four'])
    await executor.enqueue(echo, key, { delay: '3h', unique: { key, ...(key.startsWith('t') && { within: '6h' }) } })
  await executor.schedule('hourly', { every: '1h' }, echo, 'hourly')
  await executor.close({ grace: 0 })
}

/** So much of everything that each fault has something to be seen by. */
const FAULT_PLAN: Pick<BytesPlan, 'cuts' | 'records' | 'goesOn'> = { cuts: 12, records: 5, goesOn: () => false }

async function violationsOf(plan: Partial<BytesPlan>, { seed }: RungOptions): Promise<readonly string[]> {
  return (await runBytes({ seed, ...FAULT_PLAN, ...plan })).violations
}

/** An audit with one line of its own out of action. */
function deafAudit(name: string, line: string, instead: string, of: Table, damage: 'gone' | 'longer'): PlantedFault {
  const plant = { file: '/src/maintenance/store-audit.js', line, instead }
  return {
    name: `an audit that ${name}`,
    seenBy: new RegExp(`^the audit saw nothing: a record of ${of} that is ${damage}`),
    run: (options) => violationsOf({ cuts: 0, tables: [of], plant }, options),
  }
}

export const rung: Rung = {
  name: 'bytes',
  summary: 'a damaged store gives a typed error or is right, and never ends the host: cuts, flipped bits, lost and foreign pages',
  defaultMinutes: 10,
  run: ({ seed, minutes, progress }) => {
    const until = performance.now() + minutes * 60_000
    return runBytes({ seed, cuts: 'all', records: 20, goesOn: () => performance.now() < until, progress })
  },
  least: { 'damaged stores': 500, 'that must be told': 200 },
  control: (options) => violationsOf({}, options),
  faults: [
    {
      name: 'a host that opens the file without a look at its pages',
      seenBy: /^the host died/,
      run: (options) => violationsOf({ trusts: true, records: 0 }, options),
    },
    deafAudit('skips the index', 'this.#checkIndex();', '', 'index', 'gone'),
    deafAudit('asks for no payload', 'this.#checkPayloads();', '', 'payloads', 'gone'),
    deafAudit('does not count again', 'this.#checkCounters();', '', 'pages', 'gone'),
    deafAudit(
      'takes trailing bytes for nothing',
      'if (offset !== (overridesAt === 0 ? bytes.length : overridesAt))',
      'if (false)',
      'pages',
      'longer',
    ),
  ],
}
