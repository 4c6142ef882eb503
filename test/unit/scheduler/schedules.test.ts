/** The schedules of a store in memory: what is due, what waits, and what is stored. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { MISFIRE_RUNS, SCHEDULE_RUNS } from '../../../src/base/limits.js'
import { readScheduleRecord, scheduleKey, writeScheduleRecord } from '../../../src/codec/schedule-record.js'
import type { ScheduleRecord, ScheduleSettings } from '../../../src/codec/schedule-record.js'
import type { JobAddress } from '../../../src/job/job-id.js'
import { Schedules } from '../../../src/scheduler/schedules.js'
import { WriteBatch } from '../../../src/store/engine.js'
import { readSchedules } from '../../../src/store/schedule-records.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { isMillraceError } from '../../../src/index.js'

const MINUTE = 60_000

function settings(more: Partial<ScheduleSettings> = {}): ScheduleSettings {
  return {
    rule: { everyMs: MINUTE },
    definition: 'job',
    queue: 'default',
    priority: 0,
    overrides: undefined,
    input: Buffer.from('1'),
    overlap: false,
    misfire: 'once',
    ...more,
  }
}

function bench(records: readonly ScheduleRecord[] = []) {
  const schedules = new Schedules(records, ({ definition }) => definition !== 'unknown')
  let seq = 1
  const over = new Set<number>()
  const asked: number[] = []
  /** One turn: gives what it enqueues, as schedule and minute. */
  const turn = (now: number): [string, number][] => {
    const runs = schedules.due(now, (job: JobAddress) => {
      asked.push(job.seq)
      return over.has(job.seq)
    })
    for (const run of runs) schedules.ran(run, { seq: seq++, queueId: 0, rank: 127 })
    return runs.map(({ schedule, plannedAt }) => [schedule.record.name, plannedAt / MINUTE])
  }
  const stored = (): ScheduleRecord[] => {
    const batch = new WriteBatch()
    schedules.write(batch)
    return batch.keys.map((key, index) => readScheduleRecord(Buffer.from(key), Buffer.from(batch.values[index] ?? [])))
  }
  return { schedules, turn, stored, over, asked, last: () => seq - 1 }
}

it('a turn takes few, those that were worked on longest ago first, and the next turns the rest', () => {
  const { schedules, turn, stored } = bench()
  const names = Array.from({ length: 3 * SCHEDULE_RUNS - 1 }, (_, index) => `s${index}`)
  for (const name of names) schedules.set(name, settings({ overlap: true }), 0)
  assert.equal(schedules.nextAt, MINUTE)
  assert.equal(stored().length, names.length)
  const first = [turn(MINUTE), turn(MINUTE), turn(MINUTE), turn(MINUTE)]
  assert.deepEqual(
    first.map(({ length }) => length),
    [SCHEDULE_RUNS, SCHEDULE_RUNS, SCHEDULE_RUNS - 1, 0],
  )
  assert.deepEqual(
    first.flat().map(([name]) => name),
    names,
  )
  assert.equal(stored().length, names.length)
  assert.equal(schedules.nextAt, 2 * MINUTE)
})

it('missed runs go in several turns, and to the store those that have not gone are still to come', () => {
  const { schedules, turn, stored } = bench()
  schedules.set('all', settings({ overlap: true, misfire: 'all' }), 0)
  const now = 250 * MINUTE
  const gone: number[] = []
  while (schedules.nextAt <= now) {
    const runs = turn(now)
    assert.ok(runs.length >= 1 && runs.length <= SCHEDULE_RUNS)
    gone.push(...runs.map(([, minute]) => minute))
    const [record] = stored()
    assert.equal(record?.nextRunAt, ((gone.at(-1) ?? 0) + 1) * MINUTE)
    // A process that dies here and comes back goes on where this one was.
    const next = bench(record === undefined ? [] : [record])
    if (record!.nextRunAt <= now) assert.equal(next.turn(now)[0]?.[1], (gone.at(-1) ?? 0) + 1)
  }
  assert.deepEqual(
    gone,
    Array.from({ length: MISFIRE_RUNS }, (_, index) => 151 + index),
  )
})

it('without overlap one run goes at a time, and the end of its job lets the next one go', () => {
  const { schedules, turn, last, asked } = bench()
  schedules.set('all', settings({ misfire: 'all' }), 0)
  assert.deepEqual(turn(3 * MINUTE), [['all', 1]])
  assert.deepEqual(turn(3 * MINUTE), [])
  assert.equal(schedules.nextAt, Infinity, 'nobody spins on it')
  schedules.over('all', last() - 1)
  schedules.over('other', last())
  assert.equal(schedules.nextAt, Infinity)
  schedules.over('all', last())
  assert.equal(schedules.nextAt, 2 * MINUTE)
  assert.deepEqual(turn(3 * MINUTE), [['all', 2]])
  schedules.over('all', last())
  assert.deepEqual(turn(3 * MINUTE), [['all', 3]])
  schedules.over('all', last())
  assert.deepEqual(turn(3 * MINUTE), [])
  assert.equal(schedules.nextAt, 4 * MINUTE)
  assert.deepEqual(asked, [], 'the store was asked about jobs of this very process')
})

it('after an opening the store tells, once, whether the last run is over', () => {
  const record: ScheduleRecord = {
    ...settings(),
    name: 'name',
    nextRunAt: MINUTE,
    seenAt: 0,
    lastRunAt: 0,
    last: { seq: 77, queueId: 0, rank: 127 },
    skippedAt: undefined,
  }
  const running = bench([record])
  assert.deepEqual([running.turn(MINUTE), running.turn(MINUTE), running.asked], [[], [], [77]])
  running.schedules.over('name', 77)
  assert.deepEqual(running.turn(MINUTE), [['name', 1]])
  const ended = bench([record])
  ended.over.add(77)
  assert.deepEqual(ended.turn(MINUTE), [['name', 1]])
})

it('one that cannot run here is never due', () => {
  const { schedules, turn } = bench()
  schedules.set('name', settings({ definition: 'unknown' }), 0)
  assert.deepEqual([schedules.nextAt, turn(5 * MINUTE)], [Infinity, []])
  schedules.set('name', settings(), 5 * MINUTE)
  assert.deepEqual(turn(5 * MINUTE), [['name', 5]])
})

it('a clock that is set back is noticed once, by those that were planned later than it shows', () => {
  const { schedules, turn, stored } = bench()
  for (let index = 0; index < 2 * SCHEDULE_RUNS; index++) schedules.set(`s${index}`, settings(), 100 * MINUTE)
  stored()
  assert.equal(schedules.look(100 * MINUTE), false)
  schedules.set('later', settings({ rule: { everyMs: 1000 * MINUTE } }), 100 * MINUTE)
  assert.equal(schedules.look(10 * MINUTE), true)
  assert.equal(schedules.look(10 * MINUTE), false)
  assert.equal(schedules.nextAt, -Infinity)
  assert.deepEqual(turn(10 * MINUTE), [])
  assert.deepEqual(turn(10 * MINUTE), [])
  assert.deepEqual(turn(10 * MINUTE), [])
  assert.equal(schedules.nextAt, 11 * MINUTE)
  assert.equal(schedules.find('later')?.record.nextRunAt, 1100 * MINUTE)
  assert.equal(stored().length, 2 * SCHEDULE_RUNS + 1)
})

it('a change in the turn of a run, or a removal, is what is stored', () => {
  const { schedules, turn, stored } = bench()
  schedules.set('changed', settings(), 0)
  schedules.set('removed', settings(), 0)
  stored()
  assert.equal(turn(MINUTE).length, 2)
  schedules.set('changed', settings({ rule: { everyMs: 7 * MINUTE } }), MINUTE)
  const batch = new WriteBatch()
  assert.equal(schedules.remove('removed', batch), true)
  assert.deepEqual(
    stored().map(({ name, nextRunAt }) => [name, nextRunAt]),
    [['changed', 8 * MINUTE]],
  )
  assert.deepEqual(batch.keys.map(String), ['schedule:removed'])
})

it('a run that was decided about before its schedule was changed, in one turn, is its last one', () => {
  const { schedules, stored } = bench()
  const kinds = ['input', 'rule', 'removed', 'anew']
  for (const name of kinds) schedules.set(name, settings(), 0)
  stored()
  const runs = schedules.due(MINUTE, () => false)
  assert.equal(runs.length, kinds.length)
  const others = settings({ input: Buffer.from('2') })
  schedules.set('input', others, MINUTE)
  schedules.set('rule', settings({ rule: { everyMs: 7 * MINUTE } }), MINUTE)
  for (const name of ['removed', 'anew']) assert.equal(schedules.remove(name, new WriteBatch()), true)
  schedules.set('anew', others, MINUTE)
  for (const [seq, run] of runs.entries()) schedules.ran(run, { seq, queueId: 0, rank: 127 })
  const told = stored().map(({ name, input, lastRunAt, last }) => [name, input.toString(), lastRunAt, last?.seq])
  assert.deepEqual(told, [
    ['input', '2', MINUTE, 0],
    ['rule', '1', MINUTE, 1],
    // One that was made after another of its name was removed has had no run.
    ['anew', '2', undefined, undefined],
  ])
  assert.deepEqual(
    schedules.due(2 * MINUTE, () => false).map(({ schedule }) => schedule.record.name),
    ['anew'],
  )
  schedules.over('input', 0)
  assert.deepEqual(
    schedules.due(2 * MINUTE, () => false).map(({ schedule }) => schedule.record.name),
    ['input'],
  )
})

it('a change does not keep one from being planned anew that was planned by a clock that was ahead', () => {
  const { schedules, turn } = bench()
  const names = Array.from({ length: SCHEDULE_RUNS + 1 }, (_, index) => `s${index}`)
  for (const name of names) schedules.set(name, settings(), 100 * MINUTE)
  schedules.look(100 * MINUTE)
  assert.deepEqual(turn(10 * MINUTE), [])
  for (const name of names) schedules.set(name, settings({ input: Buffer.from('2') }), 10 * MINUTE)
  assert.deepEqual(turn(10 * MINUTE), [])
  for (const name of names) assert.equal(schedules.find(name)?.record.nextRunAt, 11 * MINUTE, name)
})

it('records come back as they were, and what is none is refused', async () => {
  const full: ScheduleRecord = {
    ...settings({
      rule: { cron: '0 3 * * *', timezone: 'Europe/Berlin' },
      overrides: { maxRetries: Infinity, timeoutMs: 5, startBeforeMs: 7 },
      input: Buffer.from([0, 255, 7]),
      overlap: true,
      misfire: 'skip',
    }),
    name: 'nächtlich: 1',
    nextRunAt: 5,
    seenAt: 4,
    lastRunAt: 3,
    last: { seq: 2, queueId: 1, rank: 0 },
    skippedAt: 1,
  }
  const bare: ScheduleRecord = {
    ...settings(),
    name: 'bare',
    nextRunAt: Infinity,
    seenAt: 0,
    lastRunAt: undefined,
    last: undefined,
    skippedAt: undefined,
  }
  for (const record of [full, bare])
    assert.deepEqual(readScheduleRecord(scheduleKey(record.name), writeScheduleRecord(record)), record)
  const good = JSON.parse(writeScheduleRecord(full).toString()) as Record<string, unknown>
  for (const bad of [
    '',
    'null',
    '{}',
    JSON.stringify({ ...good, version: 2 }),
    JSON.stringify({ ...good, rule: { everyMs: -1 } }),
    JSON.stringify({ ...good, rule: { cron: '* * * * *' } }),
    JSON.stringify({ ...good, input: undefined }),
    JSON.stringify({ ...good, misfire: 'perhaps' }),
    JSON.stringify({ ...good, nextRunAt: 'soon' }),
    JSON.stringify({ ...good, last: [1, 2] }),
  ])
    assert.throws(
      () => readScheduleRecord(scheduleKey('x'), Buffer.from(bad)),
      (error) => isMillraceError(error, 'MILLRACE_STORE_CORRUPT'),
      bad,
    )
  const engine = createMemoryEngine()
  const batch = new WriteBatch()
  for (let index = 0; index < 2500; index++) {
    const name = `s${String(index).padStart(4, '0')}`
    batch.put('meta', scheduleKey(name), writeScheduleRecord({ ...bare, name }))
  }
  batch.put('meta', Buffer.from('queue:0'), Buffer.from('default'))
  batch.put('meta', Buffer.from('stats:0'), Buffer.from('-'))
  await engine.commit(batch)
  assert.equal(readSchedules(engine).length, 2500)
})
