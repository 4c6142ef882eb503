/**
 * The process that dies at a given place of a given history: everything that an executor does, once, in an order that follows from
 * the seed. If it does not die it ends by itself.
 *
 * Argument: a `PointChildConfig` as JSON. Tells its parent by `journal-line`.
 */
import type { Executor } from '../../../src/index.js'
import { Calls, complain, drain, listen, settled } from '../../fixtures/crash/caller.js'
import type { Act } from '../../fixtures/crash/inputs.js'
import { actOf, keyOf } from '../../fixtures/crash/inputs.js'
import { tiny, work } from '../../fixtures/crash/jobs.js'
import { tell } from '../../fixtures/crash/journal-line.js'
import type { Known } from '../../fixtures/crash/operator.js'
import { Operator, tellSettings } from '../../fixtures/crash/operator.js'
import type { PlantedName } from '../../fixtures/crash/process-faults.js'
import { beginWith, engineWith, openWith } from '../../fixtures/crash/process-faults.js'
import type { Prng } from '../../support/prng.js'
import { createPrng } from '../../support/prng.js'
import { dieAt, pass, placesPassed, watchEngine, watchEvents, watchThreads } from './points.js'
import { passing, planned } from './jobs.js'

export interface PointChildConfig {
  readonly directory: string
  readonly seed: number
  readonly incarnation: number
  readonly mode: 'run' | 'drain'
  /** 0: nowhere. */
  readonly place: number
  /** How many completed jobs are kept. */
  readonly keeps: number
  /** Where a copy of the store is made. */
  readonly backup: string
  readonly fault?: PlantedName
  /** Jobs of earlier processes whose results are awaited. */
  readonly follow: readonly { readonly id: string; readonly key: number }[]
}

/** Longer than it takes to cancel; what was not cancelled comes to its end nevertheless. */
const LATER_MS = 600

/** What its steps pause, and what they plan. */
const HALTED = 'halted'
const TICKING = 'ticking'
const FAR = 'far'
const TICK_MS = 1000
const FAR_MS = 3_600_000

async function open({ directory, keeps, fault }: PointChildConfig): Promise<Executor> {
  tell({ is: 'opening' })
  pass('open: before')
  const engine = await engineWith(directory, fault)
  pass('open: files open')
  const settings = {
    path: directory,
    jobs: [work, tiny, passing, planned],
    threads: 2,
    queues: { narrow: { concurrency: 1 }, other: {}, [HALTED]: {} },
    retain: { jobs: Infinity, age: Infinity, completed: { jobs: keeps === 0 ? Infinity : keeps } },
    abortGrace: 20,
  }
  const executor = await openWith(settings, watchEngine(engine), fault)
  pass('open: done, nothing told')
  listen(executor)
  await tellSettings(executor, [HALTED], [TICKING, FAR])
  watchEvents(executor)
  pass('open: done')
  return executor
}

/** One after the other, in an order of the seed's. What each does is called in one turn, as far as it can be. */
class Script {
  readonly #config: PointChildConfig
  readonly #prng: Prng
  #calls: Calls

  constructor(executor: Executor, config: PointChildConfig) {
    this.#config = config
    this.#prng = createPrng(config.seed)
    this.#calls = new Calls(executor, config)
    for (const { id, key } of config.follow) this.#calls.follow(id, key)
  }

  async run(): Promise<void> {
    const steps = [
      () => this.#calls.one({}, this.#keyOf('plain')),
      () => this.#inOneTurn(),
      () => this.#acts('fails', 'fatal', 'hopeless'),
      () => this.#acts('snoozes', 'withdraws', 'bulky'),
      () => this.#acts('exits', 'freezes'),
      () => this.#cancels(),
      () => this.#uniques(),
      () => this.#limits(),
      () => this.#halts(),
      () => this.#plans(),
      () => this.#operates(),
      () => this.#changesMany(),
      () => this.#copies(),
      () => this.#reopens(),
      () => this.#prunes(),
    ]
    while (steps.length > 0) {
      const [step] = steps.splice(this.#prng.below(steps.length), 1)
      await step?.()
      if (this.#prng.below(2) === 0) await settled(this.#calls.executor)
    }
    await settled(this.#calls.executor)
    await this.#close()
  }

  /** The next key whose job does so. */
  #keyOf(act: Act): number {
    for (;;) {
      const key = this.#calls.keys(1, false)
      if (actOf(this.#config.seed, key) === act) return key
    }
  }

  async #inOneTurn(): Promise<void> {
    const calls = this.#calls
    await Promise.all([
      calls.one({ queue: 'narrow', priority: 1 }, this.#keyOf('brief')),
      calls.many(true, 4, {}),
      calls.refused({}),
      calls.one({ delay: 20 }, this.#keyOf('plain')),
      calls.many(true, 3, { delay: 10, queue: 'other' }),
    ])
    await calls.many(true, 2, {}, passing)
  }

  async #acts(...acts: readonly Act[]): Promise<void> {
    await Promise.all(acts.map((act) => this.#calls.one({}, this.#keyOf(act))))
  }

  /** Of a scheduled job, of some in a page, of a running one. */
  async #cancels(): Promise<void> {
    const calls = this.#calls
    const ids = await calls.many(true, 5, { delay: LATER_MS })
    await Promise.all(ids.map((id) => calls.cancel(id)))
    const begun = new Promise<void>((resolve) => calls.executor.on('started', () => resolve()))
    await calls.one({}, this.#keyOf('waits'))
    const [id] = calls.ids.slice(-1)
    await begun
    if (id !== undefined) await calls.cancel(id)
  }

  /** Keys of which one runs, a rate that makes some rest, a heavy job; together with delays, failures, cancels and a crash of theirs. */
  async #limits(): Promise<void> {
    const calls = this.#calls
    const one = { key: 'one', max: 1 }
    const paced = { key: 'paced', max: 9, rate: { max: 2, per: 40 } }
    const [, ids] = await Promise.all([
      calls.many(true, 5, { limit: one }),
      calls.many(true, 3, { limit: one, delay: LATER_MS }),
      calls.many(true, 4, { limit: paced }),
      calls.one({ limit: one }, this.#keyOf('fails')),
      calls.one({ limit: paced, delay: 20 }, this.#keyOf('exits')),
      calls.one({ weight: 2, limit: one }, this.#keyOf('plain')),
    ])
    await calls.cancel(ids[0] ?? '')
  }

  /** Keys that are held until a run begins, until the end, beyond it, and for a time; enqueues that meet them, and that replace and put off. */
  async #uniques(): Promise<void> {
    const calls = this.#calls
    const { incarnation } = this.#config
    const once = { key: `once ${incarnation}`, within: '10m' } as const
    const brief = { key: `brief ${incarnation}`, within: 40 } as const
    const key = this.#keyOf('plain')
    await Promise.all([
      calls.one({ unique: once, delay: 30 }, key),
      calls.again({ unique: { ...once, onConflict: 'replace' }, delay: 50 }, key),
      calls.one({ unique: { key: 'first', while: 'waiting' } }, this.#keyOf('fails')),
      calls.one({ unique: { key: 'first', while: 'waiting' } }, this.#keyOf('plain')),
      calls.one({ unique: { key: 'kept', while: 'kept' } }, this.#keyOf('fails')),
      calls.one({ unique: { key: 'ended' } }, this.#keyOf('fatal')),
      calls.one({ unique: brief }, this.#keyOf('plain')),
    ])
    await calls.again({ unique: { ...once, onConflict: 'debounce' }, delay: 20 }, key)
    await calls.one({ unique: { key: 'ended' } }, this.#keyOf('plain'))
    await calls.one({ unique: { key: 'first', while: 'waiting' } }, this.#keyOf('plain'))
  }

  get #operator(): Operator {
    return new Operator(this.#calls, this.#config.seed)
  }

  /** A queue that is paused, is given jobs, and goes on; and how many of them run at a time. */
  async #halts(): Promise<void> {
    const [calls, operator] = [this.#calls, this.#operator]
    // Of what an earlier process has left there, nothing is to begin while it is being paused.
    await settled(calls.executor)
    await operator.pause(HALTED)
    await Promise.all([
      calls.many(true, 3, { queue: HALTED }),
      calls.one({ queue: HALTED, priority: 1 }, this.#keyOf('plain')),
      operator.setConcurrency(HALTED, 1),
    ])
    await operator.resume(HALTED)
    await operator.setConcurrency(HALTED, undefined)
  }

  /** One schedule that goes on until the last process, one that is changed and removed before its first run. */
  async #plans(): Promise<void> {
    const operator = this.#operator
    await Promise.all([operator.schedule(TICKING, TICK_MS, planned), operator.schedule(FAR, FAR_MS, planned)])
    await operator.schedule(FAR, 2 * FAR_MS, planned)
    await operator.unschedule(FAR)
  }

  /** Brings back a job that was discarded and one that was cancelled, discards one that waits and one that runs. */
  async #operates(): Promise<void> {
    const [calls, operator] = [this.#calls, this.#operator]
    const fatal = await this.#one('fatal')
    await settled(calls.executor)
    if (fatal !== undefined) await operator.retry([fatal])
    const cancelled = await this.#one('plain', LATER_MS)
    if (cancelled !== undefined) {
      await calls.cancel(cancelled.id)
      await operator.retry([cancelled])
    }
    const waiting = await this.#one('plain', LATER_MS)
    if (waiting !== undefined) await operator.discard(waiting)
    const begun = new Promise<void>((resolve) => calls.executor.on('started', () => resolve()))
    const running = await this.#one('waits')
    await begun
    if (running !== undefined) await operator.discard(running)
  }

  async #changesMany(): Promise<void> {
    const [calls, operator] = [this.#calls, this.#operator]
    const from = calls.numbers
    const ids = await calls.many(true, 4, { delay: LATER_MS, queue: 'other' })
    await operator.stopMany('cancelled', ids)
    const keyOfFirst = keyOf(this.#config.incarnation, from, true)
    await operator.retry(ids.map((id, index) => ({ id, key: keyOfFirst + index })))
    await operator.stopMany('discarded', await calls.many(true, 3, { delay: LATER_MS }))
  }

  /** While jobs come and go. */
  async #copies(): Promise<void> {
    await this.#calls.many(true, 3, {})
    await Promise.all([
      this.#operator.backUp(this.#config.backup),
      this.#calls.many(true, 5, {}),
      this.#calls.one({ delay: 10 }, this.#keyOf('bulky')),
    ])
  }

  /** A job that does so, if it was stored. */
  async #one(act: Act, delay?: number): Promise<Known | undefined> {
    const key = this.#keyOf(act)
    const before = this.#calls.ids.length
    await this.#calls.one(delay === undefined ? {} : { delay }, key)
    const id = this.#calls.ids[before]
    return id === undefined ? undefined : { id, key }
  }

  /** With something running, something waiting, and a call that is cut off. */
  async #reopens(): Promise<void> {
    await Promise.all([this.#calls.one({}, this.#keyOf('spin')), this.#calls.many(true, 3, { delay: 40 })])
    await this.#close()
    const { numbers } = this.#calls
    this.#calls = new Calls(await open(this.#config), this.#config, numbers)
  }

  async #close(): Promise<void> {
    this.#calls.isClosing = true
    tell({ is: 'closing' })
    pass('close: before')
    await this.#calls.executor.close({ grace: 0 })
    pass('close: done')
  }

  /** More than are kept. */
  async #prunes(): Promise<void> {
    await this.#calls.many(true, 2 * this.#config.keeps + 3, {})
  }
}

const config = JSON.parse(process.argv[2] ?? '') as PointChildConfig
process.on('warning', (warning) => complain('a warning', warning))
beginWith(config.fault)
dieAt(config.place)
watchThreads()
const executor = await open(config)
if (config.mode === 'drain') {
  const operator = new Operator(new Calls(executor, config), config.seed)
  await operator.resume(HALTED)
  // What was due until now runs first, and nothing is planned while it is listed.
  await executor.drain()
  await operator.unschedule(TICKING)
  await drain(executor, config)
} else {
  await new Script(executor, config).run()
  tell({ is: 'passed', places: placesPassed() })
}
