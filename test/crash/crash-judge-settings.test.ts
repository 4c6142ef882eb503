/** The checks of the crash test that are about more than single jobs, on journals made by hand: order, settings, schedules, backups. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Line } from '../fixtures/crash/journal-line.js'
import { judge } from '../support/crash-judge.js'
import {
  alone,
  cancelled,
  checksOf,
  closed,
  end,
  enqueued,
  found,
  inLane,
  journalOf,
  open,
  opening,
  outcome,
  run,
  start,
} from '../support/crash-lines.js'
import type { Incarnation, Journal } from '../support/crash-run.js'
import type { Check } from '../support/crash-verdict.js'

const retries: Line = { is: 'retries', ids: ['id1'], keys: [1] }
const retried: Line = { is: 'retried', ids: ['id1'], changed: 1 }
const paused: readonly Line[] = [
  { is: 'sets', what: 'pause of q', value: 'true' },
  { is: 'set', what: 'pause of q', value: 'true' },
]

function planned(plannedAt: number, id: string): Line {
  const change = { id, schedule: { name: 'tick', plannedAt } }
  return found(plannedAt, ['1 completed'], change)
}

const FIRST = 1.8e12
const tick: Line = { is: 'sets', what: 'schedule tick', value: '1000' }
const planRuns: readonly Line[] = [0, 1, 2].flatMap((second) => run(FIRST + 1000 * second, `1.${second}`, `p${second}`))

describe('nothing is wrong with', () => {
  const good: Readonly<Record<string, readonly (readonly Line[])[]>> = {
    'a job that was brought back': [
      [opening, open(), ...enqueued(1), cancelled, retries, retried, ...run(1, '1.1'), found(1), closed],
    ],
    'a job that may have been brought back': [
      [opening, open(), ...enqueued(1), cancelled, retries],
      [opening, open(), found(1, [], { state: 'cancelled' }), closed],
    ],
    'a pause that was not acknowledged': [
      [opening, open(), ...paused.slice(0, 1)],
      [opening, open(), { is: 'setting', what: 'pause of q', value: 'false' }, closed],
    ],
    'each planned instant': [
      [opening, open(), tick, ...planRuns, ...[0, 1, 2].map((second) => planned(FIRST + 1000 * second, `p${second}`)), closed],
    ],
    'a job that an opening may have rescued before it was killed, and that is run apart': [
      [opening, alone, ...enqueued(1, inLane(1), ''), ...enqueued(2, inLane(2), '')],
      [opening, { is: 'recovering', claims: 1, held: [[inLane(1).slice(0, 10), inLane(1).slice(0, 10)]] }, { is: 'recovered' }],
      [
        opening,
        { is: 'recovering', claims: 0 },
        alone,
        ...run(2, '1.1', inLane(2)),
        ...run(1, '1.2', inLane(1)),
        ...[1, 2].map((key) => found(key, ['1 completed'], { id: inLane(key) })),
        closed,
      ],
    ],
    'a job whose first attempt was over before its handler had told of it, and that begins anew behind others': [
      [
        opening,
        alone,
        ...[1, 2, 3].flatMap((key) => enqueued(key, inLane(key), '')),
        { is: 'failed', id: inLane(1), attempt: 1 },
        ...run(2, '1.1', inLane(2)),
        start(1, '1.2', 2, inLane(1)),
        end(1, '1.2'),
        { is: 'outcome', id: inLane(1), state: 'completed' },
        ...run(3, '1.3', inLane(3)),
        found(1, ['1 timedOut', '2 completed'], { id: inLane(1) }),
        ...[2, 3].map((key) => found(key, ['1 completed'], { id: inLane(key) })),
        closed,
      ],
    ],
    'jobs of two lanes, or with a delay, in any order': [
      [
        opening,
        alone,
        ...enqueued(1, inLane(1, '0000b'), ''),
        ...enqueued(2, inLane(2), ''),
        ...enqueued(3, inLane(3), 'tenant'),
        ...enqueued(4, inLane(4)),
        ...[4, 3, 2].flatMap((key) => run(key, `1.${key}`, inLane(key))),
        ...run(1, '1.9', inLane(1, '0000b')),
        ...[2, 3, 4].map((key) => found(key, ['1 completed'], { id: inLane(key) })),
        found(1, ['1 completed'], { id: inLane(1, '0000b') }),
        closed,
      ],
    ],
  }
  for (const [name, lives] of Object.entries(good)) {
    it(name, () => assert.deepEqual(judge(journalOf(lives), () => 'plain').problems, []))
  }
})

describe('is seen', () => {
  const one = [opening, open(), ...enqueued(1)]
  const bad: Readonly<Record<string, { readonly lives: readonly (readonly Line[])[]; readonly sees: Check }>> = {
    'a first run that begins before an earlier one': {
      lives: [
        [
          opening,
          alone,
          ...enqueued(1, inLane(1), ''),
          ...enqueued(2, inLane(2), ''),
          ...run(2, '1.1', inLane(2)),
          ...run(1, '1.2', inLane(1)),
          ...[1, 2].map((key) => found(key, ['1 completed'], { id: inLane(key) })),
          closed,
        ],
      ],
      sees: 'order',
    },
    'a first run that begins before an earlier one, beside a second attempt': {
      lives: [
        [
          opening,
          alone,
          ...[1, 2, 3].flatMap((key) => enqueued(key, inLane(key), '')),
          { is: 'failed', id: inLane(1), attempt: 1 },
          ...run(3, '1.1', inLane(3)),
          start(1, '1.2', 2, inLane(1)),
          end(1, '1.2'),
          { is: 'outcome', id: inLane(1), state: 'completed' },
          ...run(2, '1.3', inLane(2)),
          found(1, ['1 timedOut', '2 completed'], { id: inLane(1) }),
          ...[2, 3].map((key) => found(key, ['1 completed'], { id: inLane(key) })),
          closed,
        ],
      ],
      sees: 'order',
    },
    'a job that was brought back and does not run': {
      lives: [[...one, cancelled, retries, retried, found(1, [], { state: 'cancelled' }), closed]],
      sees: 'lost',
    },
    'a job that was brought back, and is told to be as before': {
      lives: [
        [
          ...[...one, cancelled, retries, retried],
          { is: 'result', id: 'id1', state: 'cancelled', intact: true },
          found(1, [], { state: 'cancelled' }),
          closed,
        ],
      ],
      sees: 'lost',
    },
    'a job that nobody has brought back': {
      lives: [[...one, cancelled, retries, { ...retried, changed: 0 } as Line, ...run(1, '1.1'), found(1), closed]],
      sees: 'ran after over',
    },
    'one call that stops a job that ran on': {
      lives: [[...one, start(1, '1.1'), { is: 'stopped', ids: ['id1'], state: 'discarded', changed: 1 }, end(1, '1.1'), closed]],
      sees: 'ran after over',
    },
    'a pause that is forgotten': {
      lives: [
        [opening, open(), ...paused],
        [opening, open(), { is: 'setting', what: 'pause of q', value: 'false' }, closed],
      ],
      sees: 'setting',
    },
    'a run in a paused queue': {
      lives: [[...one, ...paused, { ...start(1, '1.1'), queue: 'q' } as Line, end(1, '1.1'), outcome(1), found(1), closed]],
      sees: 'paused',
    },
    'an instant without a run': {
      lives: [[opening, open(), tick, ...planRuns, planned(FIRST, 'p0'), planned(FIRST + 2000, 'p2'), closed]],
      sees: 'lost',
    },
    'an instant with two runs': {
      lives: [[opening, open(), tick, ...planRuns, planned(FIRST, 'p0'), planned(FIRST, 'p9'), closed]],
      sees: 'doubled',
    },
    'a run of a schedule that nobody made': {
      lives: [[opening, open(), ...planRuns, planned(FIRST, 'p0'), closed]],
      sees: 'unexpected',
    },
  }
  for (const [name, { lives, sees }] of Object.entries(bad)) {
    it(name, () => assert.ok(checksOf(journalOf(lives)).includes(sees), `saw only ${checksOf(journalOf(lives)).join(', ')}`))
  }
})

describe('a backup', () => {
  const [{ key, id }, other] = [
    { key: 1, id: 'id1' },
    { key: 2, id: 'id2' },
  ]
  const life: readonly Line[] = [
    opening,
    open(),
    ...enqueued(key),
    { is: 'backs up' },
    ...enqueued(other.key),
    { is: 'backed up' },
  ]
  const rest: readonly Line[] = [...run(1, '1.1'), ...run(2, '1.2'), found(1), found(2), closed]
  const withBackup = (backup: Incarnation['backup']): Journal => {
    const journal = journalOf([[...life, ...rest]])
    return backup === undefined ? journal : journalOf([[...life, ...rest]], { backup })
  }

  it('has what was acknowledged before it', () => {
    assert.deepEqual(checksOf(withBackup([{ key, id }])), [])
    assert.deepEqual(checksOf(withBackup([{ key, id }, other])), [])
    assert.deepEqual(checksOf(withBackup([other])), ['backup'])
  })

  it('has nothing that nobody stored', () => {
    assert.deepEqual(
      checksOf(
        withBackup([
          { key, id },
          { key: 3, id: 'id3' },
        ]),
      ),
      ['backup'],
    )
  })

  it('is there when that was told', () => assert.deepEqual(checksOf(withBackup(undefined)), ['backup']))
})

it('counts first runs that had one before them', () => {
  const lives = [
    [opening, alone, ...[1, 2, 3].flatMap((key) => [...enqueued(key, inLane(key), ''), start(key, '1.1', 1, inLane(key))])],
  ]
  assert.equal(judge(journalOf(lives), () => 'plain').figures.ordered, 2)
})
