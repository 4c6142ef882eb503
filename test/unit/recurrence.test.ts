/** When runs are planned: periods, patterns, and the days on which clocks change. What is refused is in `integration/executor/recurring`. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { latestUpTo, nextAfter, type Recurrence } from '../../src/job/recurrence.js'
import { planAnew, planDue, planWithout } from '../../src/job/schedule-plan.js'
import { createPrng, seedOfRun } from '../support/prng.js'

const at = Date.parse
const HOUR = 3_600_000
const every: Recurrence = { everyMs: HOUR }
const cron = (pattern: string, timezone = 'UTC'): Recurrence => ({ cron: pattern, timezone })
const iso = (instants: readonly number[]): string[] => instants.map((instant) => new Date(instant).toISOString().slice(5, 16))

/** Planned instants behind one. */
function following(rule: Recurrence, from: string, count: number): string[] {
  const instants = [at(from)]
  while (instants.length <= count) instants.push(nextAfter(rule, instants.at(-1) ?? 0, instants[0] ?? 0))
  return iso(instants.slice(1))
}

describe('planned instants', () => {
  it('of a period lie whole periods away from one of them, before and behind', () => {
    const planned = at('2030-01-01T00:20Z')
    for (const [after, expected] of [
      ['2030-01-01T00:19:59.999Z', '01-01T00:20'],
      ['2030-01-01T00:20Z', '01-01T01:20'],
      ['2030-01-01T05:00Z', '01-01T05:20'],
      ['2029-12-31T22:20Z', '12-31T23:20'],
    ] as const)
      assert.deepEqual(iso([nextAfter(every, at(after), planned)]), [expected])
    assert.deepEqual(iso(latestUpTo(every, planned, at('2030-01-01T04:30Z'), 3)), ['01-01T02:20', '01-01T03:20', '01-01T04:20'])
    assert.deepEqual(iso(latestUpTo(every, planned, planned, 3)), ['01-01T00:20'])
  })

  it('of a pattern are strictly behind, to the second, in its zone', () => {
    assert.deepEqual(following(cron('0 3 * * *', 'Europe/Berlin'), '2030-01-01T02:00Z', 2), ['01-02T02:00', '01-03T02:00'])
    assert.deepEqual(following(cron('0 0 L * *'), '2030-01-01T00:00Z', 2), ['01-31T00:00', '02-28T00:00'])
    assert.deepEqual(following(cron('@weekly'), '2030-01-01T00:00Z', 2), ['01-06T00:00', '01-13T00:00'])
    assert.equal(nextAfter(cron('0 0 0 1 1 * 2030'), at('2030-01-01T00:00Z'), 0), Infinity)
    const second = cron('* * * * * *')
    for (const ms of [0, 1, 999]) assert.equal(nextAfter(second, 5000 + ms, 0), 6000)
    for (const ms of [0, 1, 999]) assert.deepEqual(latestUpTo(second, 1000, 5000 + ms, 2), [4000, 5000])
  })

  it('on the days on which clocks change', () => {
    const days = (pattern: string, zone: string, from: string, count: number) => following(cron(pattern, zone), from, count)
    // In the gap: the first instant behind it. Twice: the first of the two. Lists of hours are times of the day as well.
    assert.deepEqual(days('30 2 * * *', 'Europe/Berlin', '2030-03-30T12:00Z', 2), ['03-31T01:00', '04-01T00:30'])
    assert.deepEqual(days('30 2 * * *', 'America/New_York', '2030-03-09T12:00Z', 2), ['03-10T07:00', '03-11T06:30'])
    assert.deepEqual(days('30 2,14 * * *', 'Europe/Berlin', '2030-10-26T20:00Z', 3), [
      '10-27T00:30',
      '10-27T13:30',
      '10-28T01:30',
    ])
    assert.deepEqual(days('30 1 * * *', 'America/New_York', '2030-11-02T12:00Z', 2), ['11-03T05:30', '11-04T06:30'])
    // Intervals: nothing in the gap, and the repeated hour like any other.
    assert.deepEqual(days('*/20 2 * * *', 'Europe/Berlin', '2030-03-30T12:00Z', 1), ['04-01T00:00'])
    assert.deepEqual(days('*/30 2 * * *', 'Europe/Berlin', '2030-10-26T12:00Z', 5), [
      '10-27T00:00',
      '10-27T00:30',
      '10-27T01:00',
      '10-27T01:30',
      '10-28T01:00',
    ])
  })

  it('looked for from behind are those that were found from before', () => {
    const seed = seedOfRun()
    const prng = createPrng(seed)
    const patterns = [
      '30 2 * * *',
      '0 2 * * *',
      '*/30 * * * *',
      '0 */2 * * *',
      '30 2,14 * * *',
      '15 2 * * 7',
      '0 0 1 * *',
      '*/7 1-3 * * *',
    ]
    const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Cairo', 'UTC']
    const days = ['2030-03-09T00:00Z', '2030-03-30T00:00Z', '2030-10-26T00:00Z', '2030-11-02T00:00Z', '2030-04-06T00:00Z']
    for (let round = 0; round < 60; round++) {
      const pick = <T>(values: readonly T[]): T => values[prng.below(values.length)] as T
      const rule = cron(pick(patterns), pick(zones))
      const forwards = [nextAfter(rule, at(pick(days)), 0)]
      for (let count = 0; count < 12; count++) forwards.push(nextAfter(rule, forwards.at(-1) ?? 0, 0))
      const [first = 0] = forwards
      const now = (forwards.at(-1) ?? 0) + prng.below(1000)
      assert.deepEqual(latestUpTo(rule, first, now, 100), forwards, `seed ${seed}: ${JSON.stringify(rule)}`)
    }
  })
})

describe('what becomes of planned instants', () => {
  const nextRunAt = at('2030-01-01T01:00Z')
  const rules = { pattern: cron('0 * * * *'), period: every }
  for (const [name, rule] of Object.entries(rules)) {
    const plan = (misfire: 'once' | 'all' | 'skip', now: string) => {
      const { runs, nextRunAt: next, skippedAt } = planDue({ rule, misfire, nextRunAt }, at(now))
      return [iso(runs), iso([next])[0], skippedAt === undefined ? undefined : iso([skippedAt])[0]]
    }

    it(`that came in time: each is run (${name})`, () => {
      for (const misfire of ['once', 'all'] as const)
        assert.deepEqual(plan(misfire, '2030-01-01T01:59:59Z'), [['01-01T01:00'], '01-01T02:00', undefined])
      assert.deepEqual(plan('skip', '2030-01-01T01:01Z'), [['01-01T01:00'], '01-01T02:00', undefined])
    })

    it(`that were missed: as misfire says (${name})`, () => {
      assert.deepEqual(plan('once', '2030-01-01T03:30Z'), [['01-01T03:00'], '01-01T04:00', '01-01T01:00'])
      assert.deepEqual(plan('all', '2030-01-01T03:30Z'), [
        ['01-01T01:00', '01-01T02:00', '01-01T03:00'],
        '01-01T04:00',
        undefined,
      ])
      assert.deepEqual(plan('skip', '2030-01-01T03:30Z'), [[], '01-01T04:00', '01-01T01:00'])
      assert.deepEqual(plan('skip', '2030-01-01T03:01Z'), [['01-01T03:00'], '01-01T04:00', '01-01T01:00'])
      assert.deepEqual(plan('skip', '2030-01-01T01:01:00.001Z'), [[], '01-01T02:00', '01-01T01:00'])
      assert.deepEqual(plan('once', '2030-01-01T03:00Z'), [['01-01T03:00'], '01-01T04:00', '01-01T01:00'])
    })

    it(`of a long absence: the latest hundred (${name})`, () => {
      const now = nextRunAt + 5000 * HOUR + 1
      const { runs, nextRunAt: next, skippedAt } = planDue({ rule, misfire: 'all', nextRunAt }, now)
      assert.equal(runs.length, 100)
      assert.deepEqual([runs[0], runs.at(-1), next], [now - 1 - 99 * HOUR, now - 1, now - 1 + HOUR])
      assert.equal(skippedAt, nextRunAt)
    })

    it(`that cannot be run at all: left out (${name})`, () => {
      const plan = planWithout({ rule, misfire: 'skip', nextRunAt }, at('2030-01-01T02:00Z'))
      assert.deepEqual(plan, { runs: [], nextRunAt: at('2030-01-01T03:00Z'), skippedAt: nextRunAt })
    })

    it(`when the clock is set back: only who would miss more than one is planned anew (${name})`, () => {
      const anew = (now: string) => planAnew({ rule, misfire: 'once', nextRunAt }, at(now))
      assert.equal(anew('2030-01-01T00:30Z'), undefined)
      assert.equal(anew('2029-12-31T23:30Z'), undefined, 'the one before has run already')
      assert.equal(anew('2029-12-31T22:30Z'), at('2029-12-31T23:00Z'))
      assert.equal(anew('2025-01-01T00:30Z'), at('2025-01-01T01:00Z'))
    })
  }

  it('of a pattern that has come to its end: none is left', () => {
    const rule = cron('0 0 0 1 1 * 2030')
    const plan = planDue({ rule, misfire: 'once', nextRunAt: at('2030-01-01T00:00Z') }, at('2030-02-01T00:00Z'))
    assert.deepEqual(plan, { runs: [at('2030-01-01T00:00Z')], nextRunAt: Infinity, skippedAt: undefined })
  })
})
