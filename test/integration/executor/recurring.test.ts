/** Schedules, by a clock turned by hand: which runs there are, over clocks, restarts, and whatever comes between. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { MAX_SCHEDULES, MAX_TIMER_MS, SCHEDULE_RUNS } from '../../../src/base/limits.js'
import type { Executor } from '../../../src/executor/executor.js'
import type { ScheduleOptions } from '../../../src/options/schedule-options.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { failing } from '../../fixtures/executor/jobs.js'
import { dated, held, shaped, told } from '../../fixtures/executor/schedule-jobs.js'
import {
  assertConsistent,
  inState,
  lasting,
  listed,
  nextEvent,
  rejection,
  setup,
  STORES,
  withCode,
} from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { checkStore } from '../../support/store-check.js'

const jobs = [told, held, shaped, dated, failing]
const HOUR = 3_600_000
const START = Date.UTC(2030, 0, 1)

/** What the runs of a schedule stand for, in the order in which they were enqueued. */
async function plannedOf(executor: Executor, name = 'name'): Promise<number[]> {
  const infos = (await listed(executor)).filter(({ schedule }) => schedule?.name === name)
  infos.sort((left, right) => (left.id < right.id ? -1 : 1))
  return infos.map(({ schedule }) => schedule?.plannedAt ?? 0)
}

/** The same, in hours since the start. */
async function hoursOf(executor: Executor, name = 'name'): Promise<number[]> {
  return (await plannedOf(executor, name)).map((at) => (at - START) / HOUR)
}

async function only(executor: Executor) {
  const [info, ...rest] = await executor.schedules()
  assert.ok(info !== undefined && rest.length === 0)
  return info
}

const keepAll = { jobs: Infinity, age: Infinity } as const

for (const store of STORES) {
  describe(`a schedule, ${store}`, () => {
    const open = async (t: TestContext, startsAt = START) => {
      const clock = new FakeClock(startsAt)
      return { clock, ...(await setup(t, { store, jobs, clock, retain: keepAll, queues: { bulk: {} } })) }
    }

    it('enqueues a run at each planned instant, and tells which', async (t) => {
      const { executor, clock } = await open(t)
      const made = await executor.schedule('name', { every: '1h' }, told, { some: 'input' })
      const shared = {
        name: 'name',
        every: HOUR,
        definition: 'told',
        queue: 'default',
        input: { some: 'input' },
        overlap: false,
        misfire: 'once',
      }
      assert.deepEqual(made, { ...shared, nextRunAt: START + HOUR })
      assert.deepEqual(await executor.schedules(), [made])
      clock.advance(HOUR - 1)
      await executor.drain()
      assert.deepEqual(await listed(executor), [])
      const enqueued = nextEvent(executor, 'enqueued')
      clock.advance(1)
      const { job, runAt } = await enqueued
      await executor.drain()
      const info = await executor.get(job.id)
      const run = { name: 'name', plannedAt: START + HOUR }
      assert.deepEqual([info?.state, info?.schedule, info?.output, runAt], ['completed', run, run, undefined])
      assert.deepEqual([info?.input, info?.enqueuedAt], [{ some: 'input' }, START + HOUR])
      const after = { ...shared, lastRunAt: START + HOUR, lastJobId: job.id, nextRunAt: START + 2 * HOUR }
      assert.deepEqual(await only(executor), after)
      for (let hour = 2; hour <= 5; hour++) {
        clock.advance(HOUR)
        await executor.drain()
      }
      assert.deepEqual(await hoursOf(executor), [1, 2, 3, 4, 5])
      await assertConsistent(executor)
    })

    it('is the same after a restart, which makes no run and loses none', async (t) => {
      const { executor, clock, reopen, engine } = await open(t)
      await executor.schedule('name', { cron: '*/30 * * * *', timezone: 'UTC' }, told, 1)
      const before = await only(executor)
      let current = executor
      for (let restart = 0; restart < 6; restart++) {
        await current.close()
        clock.jump(10 * 60_000)
        current = await reopen()
        await current.drain()
        const same = await current.schedule('name', { cron: '*/30 * * * *', timezone: 'UTC' }, told, 1)
        await current.drain()
        const { lastJobId: _job, ...info } = same
        const runs = Math.floor((restart + 1) / 3)
        const last = runs === 0 ? {} : { lastRunAt: START + runs * (HOUR / 2) }
        assert.deepEqual(info, { ...before, ...last, nextRunAt: START + (runs + 1) * (HOUR / 2) })
      }
      assert.deepEqual(await hoursOf(current), [0.5, 1])
      await current.close()
      assert.deepEqual(checkStore(await engine()), [])
    })

    it('is changed by calling again: a new rule is planned anew, and the same call writes nothing', async (t) => {
      const { executor, clock } = await open(t)
      await executor.schedule('name', { every: '1h' }, told, 1)
      clock.advance(HOUR / 2)
      const { commits } = executor.stats().store
      const first = await executor.schedule('name', { every: '60m' }, told, 1)
      assert.equal(first.nextRunAt, START + HOUR)
      assert.equal(executor.stats().store.commits, commits, 'the same call was stored')
      const other = await executor.schedule(
        'name',
        { every: '1h' },
        shaped,
        { tenant: 'large' },
        { overlap: true, misfire: 'all' },
      )
      assert.deepEqual(other, {
        ...first,
        definition: 'shaped',
        queue: 'bulk',
        input: { tenant: 'large' },
        overlap: true,
        misfire: 'all',
      })
      clock.advance(HOUR / 2)
      await executor.drain()
      const [run] = await listed(executor)
      assert.deepEqual([run?.name, run?.queue, run?.priority, run?.output], ['shaped', 'bulk', 5, 'large'])
      clock.advance(HOUR / 4)
      const { nextRunAt, lastRunAt, lastJobId } = await executor.schedule('name', { every: '2h' }, told)
      assert.deepEqual([nextRunAt, lastRunAt, lastJobId], [START + 3.25 * HOUR, START + HOUR, run?.id])
      assert.equal((await executor.schedules()).length, 1)
    })

    it('changed in the turn of a run, as at a start that has missed one, waits for the end of that', async (t) => {
      const { executor: before, clock, reopen } = await open(t)
      const gate = new Gate(t)
      await before.schedule('name', { every: '1h' }, held, { gate: gate.name })
      await before.close()
      clock.jump(HOUR)
      const executor = await reopen()
      await executor.schedule('name', { every: '1h' }, held, { gate: gate.name }, { maxRetries: 1 })
      await gate.reached(1)
      const [run] = await listed(executor)
      assert.ok(run !== undefined)
      const { lastJobId, lastRunAt, nextRunAt } = await only(executor)
      assert.deepEqual([lastJobId, lastRunAt, nextRunAt], [run.id, START + HOUR, START + 2 * HOUR])
      clock.advance(HOUR)
      // Asked at the beginning of the turn that decides, and in the one behind it.
      await only(executor)
      assert.equal((await only(executor)).waitsFor, 'lastRun')
      assert.deepEqual(await hoursOf(executor), [1])
      gate.open()
      await executor.drain()
      assert.deepEqual(await hoursOf(executor), [1, 2])
    })

    it('is removed, and its jobs stay', async (t) => {
      const { executor, clock, reopen } = await open(t)
      await executor.schedule('name', { every: '1h' }, told)
      await executor.schedule('other', { every: '2h' }, told)
      clock.advance(HOUR)
      await executor.drain()
      assert.equal(await executor.unschedule('name'), true)
      assert.equal(await executor.unschedule('name'), false)
      clock.advance(HOUR)
      await executor.drain()
      assert.deepEqual([await hoursOf(executor), await hoursOf(executor, 'other')], [[1], [2]])
      await executor.close()
      const again = await reopen()
      assert.deepEqual(
        (await again.schedules()).map(({ name }) => name),
        ['other'],
      )
    })

    it('without overlap waits for the end of its last run, then makes up for what was missed, by its policy', async (t) => {
      for (const [misfire, expected] of [
        ['once', [1, 4, 5]],
        ['all', [1, 2, 3, 4, 5]],
        ['skip', [1, 5]],
      ] as const) {
        const { executor, clock } = await open(t)
        const gate = new Gate(t)
        await executor.schedule('name', { every: '1h' }, held, { gate: gate.name }, { misfire })
        clock.advance(HOUR)
        await gate.reached(1)
        const [first] = await listed(executor)
        for (let hour = 2; hour <= 4; hour++) {
          clock.advance(HOUR)
          // A turn that decides, and one that would enqueue.
          for (let turn = 0; turn < 3; turn++) await executor.get(first!.id)
        }
        clock.advance(HOUR / 2)
        const info = await only(executor)
        const waits = misfire === 'skip' ? [undefined, 5, 4] : ['lastRun', 2, undefined]
        const skipped = info.skippedAt === undefined ? undefined : (info.skippedAt - START) / HOUR
        assert.deepEqual([info.waitsFor, ((info.nextRunAt ?? 0) - START) / HOUR, skipped], waits, misfire)
        assert.deepEqual(await hoursOf(executor), [1], `${misfire}: a second run was enqueued beside the first`)
        gate.open()
        await executor.drain()
        clock.advance(HOUR / 2)
        await executor.drain()
        assert.deepEqual(await hoursOf(executor), expected, misfire)
        assert.deepEqual([(await only(executor)).waitsFor], [undefined])
        await assertConsistent(executor)
        await executor.close()
      }
    })

    it('waits for a last run that failed until it is over, and not for one that was cancelled', async (t) => {
      const { executor, clock } = await open(t)
      await executor.schedule('name', { every: '1h' }, failing, { times: 1 }, { backoff: { type: 'fixed', delay: '90m' } })
      clock.advance(HOUR)
      await executor.drain()
      clock.advance(HOUR)
      await executor.drain()
      assert.equal((await only(executor)).waitsFor, 'lastRun')
      assert.deepEqual(await hoursOf(executor), [1])
      clock.advance(HOUR / 2)
      await executor.drain()
      assert.deepEqual(await hoursOf(executor), [1, 2])
      const { lastJobId } = await only(executor)
      clock.advance(HOUR)
      await executor.drain()
      assert.equal((await only(executor)).waitsFor, 'lastRun')
      assert.equal(await executor.cancel(lastJobId!), true)
      await executor.drain()
      assert.deepEqual(await hoursOf(executor), [1, 2, 3])
    })

    it('waits neither for a last run that was purged nor for one that was discarded, but for one that was brought back', async (t) => {
      const { executor, clock } = await open(t)
      const queue = executor.queue('default')
      await queue.pause()
      await executor.schedule('name', { every: '1h' }, told)
      /** A turn that decides, one that enqueues, and one that has seen it. */
      const hour = async () => {
        clock.advance(HOUR)
        for (let turn = 0; turn < 3; turn++) await executor.counts().then(() => executor.get(made.id))
      }
      const made = await executor.enqueue(told, 'beside', { delay: '1000h' })
      await hour()
      assert.deepEqual(await hoursOf(executor), [1])
      await hour()
      assert.equal((await only(executor)).waitsFor, 'lastRun')
      assert.deepEqual(await queue.purge({ state: 'available' }), { matched: 1, changed: 1 })
      for (let turn = 0; turn < 3; turn++) await executor.get(made.id)
      assert.deepEqual(await hoursOf(executor), [2])
      const { lastJobId } = await only(executor)
      assert.equal(await executor.discard(lastJobId!), true)
      assert.equal(await executor.retry(lastJobId!), true)
      await hour()
      assert.deepEqual([(await only(executor)).waitsFor, await hoursOf(executor)], ['lastRun', [2]])
      assert.equal(await executor.discard(lastJobId!), true)
      for (let turn = 0; turn < 3; turn++) await executor.get(made.id)
      assert.deepEqual(await hoursOf(executor), [2, 3])
      await assertConsistent(executor)
    })

    it('with overlap enqueues whether or not the last run is over', async (t) => {
      const { executor, clock } = await open(t)
      const gate = new Gate(t)
      await executor.schedule('name', { every: '1h' }, held, { gate: gate.name }, { overlap: true })
      for (let hour = 1; hour <= 2; hour++) {
        clock.advance(HOUR)
        await gate.reached(hour)
      }
      assert.deepEqual(await hoursOf(executor), [1, 2])
      gate.open()
    })

    for (const [misfire, overlap, expected] of [
      ['once', false, [7]],
      ['once', true, [7]],
      ['all', false, [1, 2, 3, 4, 5, 6, 7]],
      ['all', true, [1, 2, 3, 4, 5, 6, 7]],
      ['skip', false, []],
      ['skip', true, []],
    ] as const) {
      it(`that nobody ran for seven hours, with misfire '${misfire}' and overlap ${overlap}`, async (t) => {
        const { executor, clock, reopen } = await open(t)
        await executor.schedule('name', { cron: '0 * * * *', timezone: 'UTC' }, told, 1, { misfire, overlap })
        await executor.close()
        clock.jump(7 * HOUR + HOUR / 2)
        const again = await reopen()
        await again.drain()
        assert.deepEqual(await hoursOf(again), expected)
        const info = await only(again)
        assert.equal(info.nextRunAt, START + 8 * HOUR)
        assert.equal(info.skippedAt, misfire === 'all' ? undefined : START + HOUR)
        clock.advance(HOUR / 2)
        await again.drain()
        assert.deepEqual(await hoursOf(again), [...expected, 8])
        await assertConsistent(again)
      })
    }

    it('whose last instant is no older than a minute still runs with misfire skip', async (t) => {
      const { executor, clock, reopen } = await open(t)
      await executor.schedule('name', { cron: '0 * * * *', timezone: 'UTC' }, told, 1, { misfire: 'skip' })
      await executor.close()
      clock.jump(3 * HOUR + 60_000)
      const again = await reopen()
      await again.drain()
      assert.deepEqual(await hoursOf(again), [3])
    })

    it('makes up for the latest hundred missed runs, and no more', async (t) => {
      const { executor, clock, reopen } = await open(t)
      await executor.schedule('cron', { cron: '* * * * *', timezone: 'UTC' }, told, 1, { misfire: 'all', overlap: true })
      await executor.schedule('every', { every: '1m' }, told, 1, { misfire: 'all' })
      await executor.close()
      clock.jump(500 * 60_000)
      const again = await reopen()
      await again.drain()
      const expected = Array.from({ length: 100 }, (_, index) => START + (401 + index) * 60_000)
      for (const name of ['cron', 'every']) assert.deepEqual(await plannedOf(again, name), expected, name)
      assert.deepEqual(
        (await again.schedules()).map(({ skippedAt, nextRunAt }) => [skippedAt, nextRunAt]),
        Array.from({ length: 2 }, () => [START + 60_000, START + 501 * 60_000]),
      )
    })

    it('is right through a clock that is set forward, and through one that is set back', async (t) => {
      const { executor, clock } = await open(t)
      for (const misfire of ['once', 'all', 'skip'] as const)
        await executor.schedule(misfire, { every: '10m' }, told, 1, { misfire, overlap: true })
      await executor.schedule('nightly', { cron: '0 1 * * *', timezone: 'UTC' }, told)
      clock.jump(HOUR + 5 * 60_000)
      // Nothing else tells: the timer wakes by its cap.
      clock.advance(MAX_TIMER_MS)
      await executor.drain()
      const minutes = async (name: string) => (await plannedOf(executor, name)).map((at) => (at - START) / 60_000)
      assert.deepEqual(await minutes('once'), [60])
      assert.deepEqual(await minutes('all'), [10, 20, 30, 40, 50, 60])
      assert.deepEqual(await minutes('skip'), [])
      assert.deepEqual(await minutes('nightly'), [60])
      clock.jump(-HOUR)
      clock.advance(MAX_TIMER_MS)
      await executor.drain()
      const next = Object.fromEntries((await executor.schedules()).map(({ name, nextRunAt }) => [name, nextRunAt]))
      const ten = START + 10 * 60_000
      // What comes often goes on by the clock as it is. What has run today does not run again.
      assert.deepEqual(next, { once: ten, all: ten, skip: ten, nightly: START + 25 * HOUR })
      for (let minute = 6; minute < 75; minute++) {
        clock.advance(60_000)
        await executor.drain()
      }
      assert.deepEqual(await minutes('nightly'), [60])
      assert.deepEqual(await minutes('skip'), [10, 20, 30, 40, 50, 60, 70])
      await assertConsistent(executor)
    })

    it('planned by a clock that was years ahead is planned anew, also at the next opening', async (t) => {
      const { executor, clock, reopen } = await open(t)
      await executor.schedule('nightly', { cron: '0 3 * * *', timezone: 'UTC' }, told)
      const year = 365 * 24 * HOUR
      clock.jump(4 * year)
      clock.advance(MAX_TIMER_MS)
      await executor.drain()
      assert.equal((await plannedOf(executor, 'nightly')).length, 1)
      await executor.close()
      clock.jump(-4 * year)
      const again = await reopen()
      await again.drain()
      assert.equal((await only(again)).nextRunAt, START + 3 * HOUR)
      clock.advance(3 * HOUR)
      await again.drain()
      assert.equal((await plannedOf(again, 'nightly')).length, 2)
    })
  })
}

describe('times of the day', () => {
  /** The instants of the runs of some days, hour by hour, as the zone's clock shows them. */
  async function runsOf(t: TestContext, cron: string, timezone: string, from: string, hours: number): Promise<string[]> {
    const clock = new FakeClock(Date.parse(from))
    const { executor } = await setup(t, { store: 'memory', jobs, clock, retain: keepAll })
    await executor.schedule('name', { cron, timezone }, told)
    for (let quarter = 0; quarter < hours * 4; quarter++) {
      clock.advance(HOUR / 4)
      await executor.drain()
    }
    const format = new Intl.DateTimeFormat('sv', { timeZone: timezone, dateStyle: 'short', timeStyle: 'short' })
    const infos = await listed(executor)
    for (const { schedule, enqueuedAt } of infos) assert.equal(enqueuedAt, schedule?.plannedAt, 'a run came late')
    return (await plannedOf(executor)).map((at) => `${format.format(at)} ${new Date(at).toISOString().slice(11, 16)}Z`)
  }

  it('that a clock set forward skips run at the first instant behind, once', async (t) => {
    assert.deepEqual(await runsOf(t, '30 2 * * *', 'Europe/Berlin', '2030-03-29T20:00Z', 72), [
      '2030-03-30 02:30 01:30Z',
      '2030-03-31 03:00 01:00Z',
      '2030-04-01 02:30 00:30Z',
    ])
    assert.deepEqual(await runsOf(t, '30 2 * * *', 'America/New_York', '2030-03-09T00:00Z', 60), [
      '2030-03-09 02:30 07:30Z',
      '2030-03-10 03:00 07:00Z',
      '2030-03-11 02:30 06:30Z',
    ])
  })

  it('that come twice as the clock is set back run at the first, once', async (t) => {
    assert.deepEqual(await runsOf(t, '30 2 * * *', 'Europe/Berlin', '2030-10-26T12:00Z', 48), [
      '2030-10-27 02:30 00:30Z',
      '2030-10-28 02:30 01:30Z',
    ])
    assert.deepEqual(await runsOf(t, '30 1,13 * * *', 'America/New_York', '2030-11-03T00:00Z', 32), [
      '2030-11-03 01:30 05:30Z',
      '2030-11-03 13:30 18:30Z',
      '2030-11-04 01:30 06:30Z',
    ])
  })

  it('and intervals go on evenly', async (t) => {
    const utc = async (from: string, zone: string) => (await runsOf(t, '*/30 * * * *', zone, from, 3)).map((run) => run.slice(-6))
    assert.deepEqual(await utc('2030-03-31T00:00Z', 'Europe/Berlin'), [
      '00:30Z',
      '01:00Z',
      '01:30Z',
      '02:00Z',
      '02:30Z',
      '03:00Z',
    ])
    assert.deepEqual(await utc('2030-10-27T00:00Z', 'Europe/Berlin'), [
      '00:30Z',
      '01:00Z',
      '01:30Z',
      '02:00Z',
      '02:30Z',
      '03:00Z',
    ])
  })
})

it('a store whose process dies at any commit loses no run and repeats none', async (t) => {
  let isOver = false
  for (let commit = 1; !isOver; commit++) {
    for (const durable of [false, true]) {
      const clock = new FakeClock(START)
      const bytes = lasting(createMemoryEngine())
      let left = Infinity
      const engine = {
        ...bytes,
        commit: async (batch: Parameters<typeof bytes.commit>[0]) => {
          if (left-- > 1) return await bytes.commit(batch)
          if (left === 0 && durable) await bytes.commit(batch)
          throw new Error('the process is dead')
        },
      }
      const { executor } = await setup(t, { engine, jobs, clock, threads: 1, retain: keepAll })
      executor.on('error', () => undefined)
      left = commit
      const story = async (): Promise<void> => {
        await executor.schedule('every', { every: '1h' }, told, 1, { misfire: 'all' })
        await executor.schedule('cron', { cron: '0 * * * *', timezone: 'UTC' }, told, 1, { misfire: 'all', overlap: true })
        for (let hour = 0; hour < 2; hour++) {
          clock.advance(HOUR)
          await executor.drain()
        }
      }
      isOver = await story().then(
        () => true,
        () => false,
      )
      const dead = await executor.close({ grace: 0 })
      assert.deepEqual(dead.interrupted, [])
      const { executor: next } = await setup(t, { engine: bytes, jobs, clock, threads: 1, retain: keepAll })
      const there = (await next.schedules()).map(({ name }) => name)
      await next.drain()
      const hours = Math.floor((clock.now() - START) / HOUR)
      const expected = Array.from({ length: hours }, (_, hour) => hour + 1)
      for (const name of there)
        assert.deepEqual(await hoursOf(next, name), expected, `${name}, commit ${commit}, durable ${durable}`)
      await assertConsistent(next)
      await next.close()
      assert.deepEqual(checkStore(bytes, { keepsAll: true }), [], `commit ${commit}, durable ${durable}`)
    }
    assert.ok(commit < 200, 'the story never ends')
  }
})

describe('schedules', () => {
  it('whose job or queue is not here wait, with one warning, and keep nothing busy', async (t) => {
    const clock = new FakeClock(START)
    const { executor, reopen } = await setup(t, { store: 'memory', jobs, clock, queues: { bulk: {} }, retain: keepAll })
    await executor.schedule('definition', { every: '1h' }, told)
    await executor.schedule('queue', { every: '1h' }, shaped, { tenant: 'large' })
    await executor.schedule('fine', { every: '1h' }, shaped, { tenant: 'small' })
    await executor.close()
    clock.jump(HOUR)
    const warnings: Error[] = []
    const listener = (warning: Error): void => void warnings.push(warning)
    process.on('warning', listener)
    t.after(() => process.off('warning', listener))
    const poor = await reopen({ jobs: [shaped], queues: {} })
    await poor.drain()
    assert.deepEqual(
      (await poor.schedules()).map(({ name, waitsFor }) => [name, waitsFor]),
      [
        ['definition', 'definition'],
        ['fine', undefined],
        ['queue', 'queue'],
      ],
    )
    assert.deepEqual(
      (await listed(poor)).map(({ schedule }) => schedule?.name),
      ['fine'],
    )
    assert.equal(warnings.length, 1)
    assert.match(
      warnings[0]?.message ?? '',
      /"definition" \(job "told", queue "default"\), "queue" \(job "shaped", queue "bulk"\)/,
    )
    await poor.close()
    const rich = await reopen()
    await rich.drain()
    assert.equal((await listed(rich)).length, 3)
  })

  it('that are due together are enqueued a few in a commit, each once', async (t) => {
    const clock = new FakeClock(START)
    const bytes = lasting(createMemoryEngine())
    const runs: number[] = []
    const engine = {
      ...bytes,
      commit: async (batch: Parameters<typeof bytes.commit>[0]) => {
        const isRun = (index: number): boolean => batch.tables[index] === 'pages' && batch.values[index] !== undefined
        runs.push(batch.tables.filter((_, index) => isRun(index)).length)
        await bytes.commit(batch)
      },
    }
    const { executor } = await setup(t, { engine, jobs, clock, retain: keepAll })
    const names = Array.from({ length: 100 }, (_, index) => `s${index}`)
    await Promise.all(names.map((name) => executor.schedule(name, { every: '1h' }, told)))
    runs.length = 0
    clock.advance(HOUR)
    await executor.drain()
    assert.equal((await listed(executor)).length, 100)
    assert.ok(Math.max(...runs) <= SCHEDULE_RUNS, `${Math.max(...runs)} runs in one commit`)
    clock.advance(HOUR)
    await executor.drain()
    assert.equal((await listed(executor)).length, 200)
  })

  it('alone do not keep the process alive', async (t) => {
    const clock = new FakeClock(START)
    const { executor } = await setup(t, { store: 'memory', jobs, clock })
    await executor.schedule('name', { every: '1h' }, told)
    assert.deepEqual([clock.waits, clock.keepingAlive], [[MAX_TIMER_MS], 0])
  })

  it('are so many at most', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs })
    const make = (index: number) => executor.schedule(`s${index}`, { every: '1d' }, told)
    await Promise.all(Array.from({ length: MAX_SCHEDULES }, (_, index) => make(index)))
    await assert.rejects(make(MAX_SCHEDULES), withCode('MILLRACE_INVALID_OPTIONS', /10000 schedules.*"s10000".*unschedule/))
    await make(5)
    assert.equal(await executor.unschedule('s7'), true)
    await make(MAX_SCHEDULES)
    assert.equal((await executor.schedules()).length, MAX_SCHEDULES)
  })

  it('that cannot be made are refused with everything that is wrong', async (t) => {
    const { executor } = await setup(t, { store: 'memory', jobs })
    const loose = executor.schedule.bind(executor) as (...args: unknown[]) => Promise<unknown>
    const { message } = await rejection(
      loose('x'.repeat(56), { cron: '61 * * * *', timezone: 'Mars/Olympus' }, told, 1, {
        overlap: 'no',
        misfire: 'never',
        priority: 300,
        delay: 5,
        startBefore: new Date('2031-01-01'),
      }),
    )
    for (const part of [
      /name: .*56 bytes.*limit is 55/,
      /rule.timezone: 'Mars\/Olympus'.*'Europe\/Berlin'/,
      /options.delay: is not a known field/,
      /options.overlap: 'no' \(string\) is not true or false/,
      /options.misfire: 'never' \(string\) is not 'once', 'all' or 'skip'/,
      /priority: 300/,
      /options.startBefore: an instant/,
    ])
      assert.match(message, part)
    const refused: [unknown, RegExp][] = [
      [{ cron: '61 * * * *' }, /rule.cron: '61 \* \* \* \*' is no cron pattern: Invalid value for minute: 61/],
      [{ cron: 'tomorrow' }, /rule.cron: 'tomorrow' \(string\) is not a cron pattern.*runAt/],
      [{ cron: '2031-01-01T00:00:00' }, /not a cron pattern.*runAt/],
      [{ cron: '0 0 30 2 *' }, /'0 0 30 2 \*' never comes/],
      [{ cron: '* * * * *', every: '1h' }, /give either cron/],
      [{}, /give either cron/],
      [{ every: '1h', timezone: 'UTC' }, /rule.timezone: is given together with every/],
      [{ every: 999 }, /rule.every: 999 \(number\).*shorter than a second/],
      [{ every: Infinity }, /rule.every/],
      [{ crom: '* * * * *' }, /rule.crom: is not a known field; did you mean 'cron'/],
      ['* * * * *', /rule: '\* \* \* \* \*' \(string\) is not an object/],
      [undefined, /rule: undefined is not an object/],
    ]
    for (const [rule, expected] of refused)
      await assert.rejects(loose('name', rule, told), withCode('MILLRACE_INVALID_OPTIONS', expected))
    await assert.rejects(
      loose('name', { every: '1h' }, told, () => 1),
      withCode('MILLRACE_PAYLOAD_UNENCODABLE'),
    )
    await assert.rejects(loose('name', { every: '1h' }, told, 'x'.repeat(5000)), withCode('MILLRACE_PAYLOAD_TOO_LARGE', /4096/))
    await assert.rejects(loose('name', { every: '1h' }, told, 1, { queue: 'nowhere' }), withCode('MILLRACE_UNKNOWN_QUEUE'))
    await assert.rejects(loose('name', { every: '1h' }, dated), withCode('MILLRACE_INVALID_OPTIONS', /an instant.*span of time/))
    await assert.rejects(loose('name', { every: '1h' }, {}), withCode('MILLRACE_UNKNOWN_DEFINITION'))
    await assert.rejects(executor.unschedule(5 as never), withCode('MILLRACE_INVALID_OPTIONS', /name: 5 \(number\)/))
    assert.deepEqual(await executor.schedules(), [])
    await executor.close()
    await assert.rejects(loose('name', { every: '1h' }, told), withCode('MILLRACE_CLOSED'))
    await assert.rejects(executor.unschedule('name'), withCode('MILLRACE_CLOSED'))
    await assert.rejects(executor.schedules(), withCode('MILLRACE_CLOSED'))
  })

  it('give each run the settings of an enqueue, and a time to begin of its own', async (t) => {
    const clock = new FakeClock(START)
    const { executor } = await setup(t, { store: 'memory', jobs, clock, threads: 1, retain: keepAll })
    const gate = new Gate(t)
    const options: ScheduleOptions = { priority: -1, maxRetries: 1, timeout: '1m', startBefore: '10m', overlap: true }
    await executor.schedule('name', { every: '1h' }, told, 1, options)
    // One runs, and one waits in its thread.
    for (let count = 0; count < 2; count++)
      await inState(executor, (await executor.enqueue(held, { gate: gate.name })).id, 'running')
    clock.advance(HOUR)
    const { job } = await nextEvent(executor, 'enqueued')
    const info = await executor.get(job.id)
    assert.deepEqual(
      [info?.priority, info?.maxRetries, info?.timeoutMs, info?.startBefore],
      [-1, 1, 60_000, START + HOUR + 600_000],
    )
    clock.advance(HOUR)
    await nextEvent(executor, 'enqueued')
    gate.open()
    await executor.drain()
    const states = (await listed(executor)).filter(({ name }) => name === 'told').map(({ state, error }) => [state, error?.code])
    assert.deepEqual(states, [
      ['completed', undefined],
      ['discarded', 'MILLRACE_EXPIRED'],
    ])
  })
})
