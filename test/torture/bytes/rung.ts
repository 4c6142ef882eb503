/**
 * Damaged stores. Each is opened by a host in a process of its own, which must live: it gets a typed error, or it runs, and then what
 * it shows is right, or the audit says that something is wrong. What nobody can see, because LMDB has no checksums, is counted.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import { createPrng } from '../../support/prng.js'
import { makeCrashedStore, makeSampleStore } from '../../support/sample-store.js'
import type { Rung, RungOptions, RungReport } from '../rung.js'
import { fixed, RANDOM } from './damage.js'
import { Host, type HostOutcome } from './hosts.js'

/** Hosts at work at the same time. */
const HOSTS = 2
const SAMPLE_JOBS = 60

/** What came of a damage, from best to worst. */
const OUTCOMES = ['harmless', 'refused', 'stopped', 'audited', 'silent', 'untyped', 'dead'] as const
type Outcome = (typeof OUTCOMES)[number]

/** Never to be opened at all. */
const REFUSED = new Set([
  'a foreign file',
  'a directory in its place',
  'a format that never was',
  'a newer format',
  'an older LMDB',
  'a newer LMDB',
])
/** A change of a record that the audit knows is wrong whatever it was, unless it says so another way. */
const SEEN_BY_AUDIT = new Set(['a record that is longer'])

export interface BytesPlan {
  readonly seed: number
  /** Every fixed damage whose number this divides. */
  readonly everyFixed: number
  /** Whether another random one is to be made, after so many. */
  readonly goesOn: (made: number) => boolean
  /** Kinds of random damage; all unless given. */
  readonly kinds?: RegExp
  /** A planted fault: hosts open what they are given without a look at it. */
  readonly trusts?: boolean
  /** A planted fault: what the audit says and must not be heard. */
  readonly deafTo?: RegExp
  readonly progress?: (line: string) => void
}

interface Case {
  readonly kind: string
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

  constructor(plan: BytesPlan, base: string) {
    this.#plan = plan
    this.#base = base
  }

  async run(): Promise<RungReport> {
    const hosts = Array.from({ length: HOSTS }, () => new Host())
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
    const kinds = fixed(this.#goods[0]!.bytes)
    for (let number = 0; number < kinds.length; number++) {
      const { kind } = kinds[number]!
      if (kind !== 'a file cut off' || number % this.#plan.everyFixed === 0) yield { kind, number: number - kinds.length }
    }
    const random = Object.keys(RANDOM).filter((kind) => this.#plan.kinds?.test(kind) !== false)
    for (let number = 0; this.#plan.goesOn(number); number++) {
      if (number > 0 && number % 500 === 0)
        this.#plan.progress?.(`${number} damaged stores, ${this.#violations.length} violations`)
      yield { kind: random[number % random.length]!, number }
    }
  }

  async #try(host: Host, { kind, number }: Case, directory: string): Promise<void> {
    await rm(directory, { recursive: true, force: true })
    await mkdir(directory, { mode: 0o700 })
    const prng = createPrng(this.#plan.seed * 1_000_003 + number)
    const isFixed = number < 0
    const { bytes, jobs } = this.#goods[isFixed ? 0 : prng.below(2)]!
    const all = isFixed ? fixed(bytes) : []
    const damage = isFixed ? all[all.length + number]!.damage : RANDOM[kind]!
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
    const isMissed = result === 'silent' || result === 'harmless'
    if (isMissed && ((SEEN_BY_AUDIT.has(kind) && !isFree(what)) || (isBookkeeping(what) && kind.includes('record'))))
      this.#violations.push(`the audit saw nothing: ${repeats}`)
  }

  #judge(outcome: HostOutcome, jobs: Readonly<Record<string, string>>): Outcome {
    if (outcome.stage === 'dead') return 'dead'
    if (outcome.error !== undefined && outcome.error.code === undefined) return 'untyped'
    const problems = outcome.problems.filter((text) => this.#plan.deafTo?.test(text) !== true)
    const isRefused = outcome.stage === 'list' && outcome.error !== undefined && Object.keys(outcome.jobs).length === 0
    if (outcome.stage === 'open' || isRefused) return 'refused'
    if (problems.length > 0) return 'audited'
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
    for (const outcome of OUTCOMES) {
      const count = total.get(outcome) ?? 0
      figures[outcome] = `${count} (${((100 * count) / all).toFixed(2)} %)`
    }
    return figures
  }
}

/** Records that say nothing that is not said elsewhere, so that whatever is wrong with one can be seen. */
function isBookkeeping(what: string): boolean {
  return what.startsWith('index ')
}

/** The name of a queue or a definition, or a payload: whatever the bytes are, they may be one. */
function isFree(what: string): boolean {
  return /^(meta (6465|7175)|payloads )/.test(what)
}

async function fault(plan: Partial<BytesPlan>, { seed }: RungOptions): Promise<readonly string[]> {
  const { violations } = await runBytes({ seed, everyFixed: 1000, goesOn: (made) => made < 100, kinds: /record/, ...plan })
  return violations
}

export const rung: Rung = {
  name: 'bytes',
  summary: 'a damaged store gives a typed error or is right, and never ends the host: cuts, flipped bits, lost and foreign pages',
  defaultMinutes: 10,
  run: ({ seed, minutes, progress }) => {
    const until = performance.now() + minutes * 60_000
    return runBytes({ seed, everyFixed: 1, goesOn: () => performance.now() < until, progress })
  },
  faults: [
    {
      name: 'a host that opens the file without a look at its pages',
      run: (options) => fault({ trusts: true, everyFixed: 20, goesOn: () => false }, options),
    },
    { name: 'an audit that skips the index', run: (options) => fault({ deafTo: /^index/ }, options) },
    {
      name: 'an audit that takes trailing bytes for nothing',
      run: (options) => fault({ deafTo: /nobody's|bytes for|cannot be read/ }, options),
    },
  ],
}
