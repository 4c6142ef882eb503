/**
 * Seeded histories of schedules: time that passes, clocks that are set forward, restarts, and processes that die at any commit, against
 * a small model. What must hold whatever happens: a run stands for a planned instant, no instant has two, they come in order, and
 * none that the policy promises is missing.
 */
import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { Executor } from '../../../src/executor/executor.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { MISFIRE_RUNS } from '../../../src/base/limits.js'
import type { Engine } from '../../../src/store/engine.js'
import { told } from '../../fixtures/executor/schedule-jobs.js'
import { assertConsistent, lasting, listed, setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { createPrng, seedOfRun, type Prng } from '../../support/prng.js'
import { checkStore } from '../../support/store-check.js'

const MINUTE = 60_000
const STEPS = 14
const HISTORIES = 6

interface Model {
  readonly name: string
  readonly everyMinutes: number
  readonly misfire: 'once' | 'all'
  readonly overlap: boolean
  readonly cron: boolean
  /** When it was made, in minutes. The call may have been cut off: then it is one of several. */
  madeAt: number[]
}

/** A store whose process dies at a commit. */
function doomed(bytes: Engine): { engine: Engine; dieAt(commit: number, durable: boolean): void; readonly isDead: boolean } {
  let isDead = false
  let left = Infinity
  let isDurable = false
  const engine = {
    ...bytes,
    commit: async (batch: Parameters<Engine['commit']>[0]) => {
      if (left-- > 1) return await bytes.commit(batch)
      isDead = true
      if (left === 0 && isDurable) await bytes.commit(batch)
      throw new Error('the process is dead')
    },
  }
  const dieAt = (commit: number, durable: boolean): void => {
    left = commit
    isDurable = durable
  }
  return {
    engine,
    dieAt,
    get isDead() {
      return isDead
    },
  }
}

class Story {
  readonly clock = new FakeClock(Date.UTC(2030, 0, 1))
  readonly models: Model[] = []
  readonly bytes = lasting(createMemoryEngine())
  readonly #t: TestContext
  readonly #prng: Prng
  #mortal = doomed(this.bytes)
  #executor!: Executor

  constructor(t: TestContext, prng: Prng) {
    this.#t = t
    this.#prng = prng
  }

  get executor(): Executor {
    return this.#executor
  }

  async open(): Promise<void> {
    this.#mortal = doomed(this.bytes)
    const options = { jobs: [told], clock: this.clock, threads: 1, retain: { jobs: Infinity, age: Infinity } } as const
    this.#executor = (await setup(this.#t, { engine: this.#mortal.engine, ...options })).executor
    this.#executor.on('error', () => undefined)
  }

  get minute(): number {
    return (this.clock.now() - Date.UTC(2030, 0, 1)) / MINUTE
  }

  /** Something happens, and the process may die of it. */
  async step(): Promise<void> {
    const isDeadly = this.#prng.below(3) === 0
    if (isDeadly) this.#mortal.dieAt(1 + this.#prng.below(5), this.#prng.below(2) === 0)
    const lived = await this.#act().then(
      () => true,
      (error: unknown) => {
        if (!isDeadly || !/the process is dead/.test(String(error))) throw error
        return false
      },
    )
    this.#mortal.dieAt(Infinity, false)
    if (lived && !this.#mortal.isDead && this.#prng.below(4) > 0) return
    await this.#executor.close({ grace: 0 })
    if (this.#prng.below(2) === 0) this.clock.jump(this.#prng.below(90) * MINUTE)
    await this.open()
  }

  async #act(): Promise<void> {
    const what = this.#prng.below(6)
    if (this.models.length === 0 || what === 0) await this.#make()
    else if (what === 1) this.clock.jump(this.#prng.below(40) * MINUTE)
    else this.clock.advance(this.#prng.below(25) * MINUTE)
    // A schedule that nobody has heard of is made again: the same call changes nothing.
    for (const model of this.models) await this.#schedule(model)
    await this.#executor.drain()
  }

  async #make(): Promise<void> {
    const prng = this.#prng
    const everyMinutes = [1, 5, 20][prng.below(3)] ?? 1
    this.models.push({
      name: `s${this.models.length}`,
      everyMinutes,
      misfire: prng.below(2) === 0 ? 'once' : 'all',
      overlap: prng.below(2) === 0,
      cron: prng.below(2) === 0,
      madeAt: [],
    })
  }

  async #schedule({ name, everyMinutes, misfire, overlap, cron, madeAt }: Model): Promise<void> {
    const known = (await this.#executor.schedules()).some((info) => info.name === name)
    if (!known) madeAt.push(this.minute)
    const rule = cron ? { cron: `*/${everyMinutes} * * * *`, timezone: 'UTC' } : ({ every: everyMinutes * MINUTE } as const)
    await this.#executor.schedule(name, rule, told, name, { misfire, overlap })
  }

  /** What is wrong, once nothing is due any more. */
  async judge(): Promise<string[]> {
    await this.#executor.drain()
    const problems: string[] = []
    const infos = await this.#executor.schedules()
    const jobs = await listed(this.#executor)
    for (const model of this.models) {
      const info = infos.find(({ name }) => name === model.name)
      if (info === undefined) continue
      const runs = jobs.filter(({ schedule }) => schedule?.name === model.name)
      runs.sort((left, right) => (left.id < right.id ? -1 : 1))
      const planned = runs.map(({ schedule }) => ((schedule?.plannedAt ?? 0) - Date.UTC(2030, 0, 1)) / MINUTE)
      problems.push(
        ...this.#judgeOne(model, planned).map((problem) => `${JSON.stringify(model)}: ${problem}, runs ${planned.join(' ')}`),
      )
      const last = (info.lastRunAt ?? Number.NaN) - Date.UTC(2030, 0, 1)
      if (planned.length > 0 && last / MINUTE !== planned.at(-1))
        problems.push(`${model.name} says that ${last / MINUTE} ran last`)
      if ((info.nextRunAt ?? 0) <= this.clock.now()) problems.push(`${model.name} is due at ${info.nextRunAt} and does not run`)
    }
    return problems
  }

  #judgeOne({ everyMinutes, misfire, cron, madeAt }: Model, planned: readonly number[]): string[] {
    const now = this.minute
    for (const made of madeAt.toReversed()) {
      // Which of the calls made it, is known when the last one was acknowledged; an earlier one may have been the one.
      const first = cron ? (Math.floor(made / everyMinutes) + 1) * everyMinutes : made + everyMinutes
      const grid: number[] = []
      for (let at = first; at <= now; at += everyMinutes) grid.push(at)
      const problem = misfitOf(grid, planned, misfire)
      if (problem === undefined) return []
      if (made === madeAt[0]) return [problem]
    }
    return planned.length === 0 ? [] : ['ran and was never made']
  }
}

function misfitOf(grid: readonly number[], planned: readonly number[], misfire: 'once' | 'all'): string | undefined {
  for (const [index, at] of planned.entries()) {
    if (!grid.includes(at)) return `ran at ${at}, which was not planned`
    if (index > 0 && at <= (planned[index - 1] ?? 0)) return `ran at ${at} after ${planned[index - 1]}`
  }
  if (planned.at(-1) !== grid.at(-1)) return `the latest instant is ${grid.at(-1)}, and the latest run ${planned.at(-1)}`
  return misfire === 'all' ? gapOf(grid, new Set(planned)) : undefined
}

/** Of those that are missed at a time the latest `MISFIRE_RUNS` run: whatever did not run comes before so many that did. */
function gapOf(grid: readonly number[], ran: ReadonlySet<number>): string | undefined {
  let runsBehind = 0
  let isGap = false
  for (const at of grid.toReversed()) {
    if (ran.has(at)) {
      runsBehind = isGap ? 1 : runsBehind + 1
      isGap = false
      continue
    }
    isGap = true
    if (runsBehind < MISFIRE_RUNS) return `nothing ran at ${at}, and only ${runsBehind} behind it did: ${grid.length} instants`
  }
  return undefined
}

it('schedules are as a small model says, whatever dies', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  for (let history = 0; history < HISTORIES; history++) {
    const story = new Story(t, createPrng(seed + history))
    await story.open()
    for (let step = 0; step < STEPS; step++) {
      await story.step()
      assert.deepEqual(await story.judge(), [], `seed ${seed}, history ${history}, step ${step}`)
    }
    await assertConsistent(story.executor)
    await story.executor.close()
    assert.deepEqual(checkStore(story.bytes, { keepsAll: true }), [])
  }
})
