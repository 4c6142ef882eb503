/** Each check of the crash test on a journal made by hand: one that is in order, and one with the fault it is for. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Line } from '../fixtures/crash/journal-line.js'
import { judge } from '../support/crash-judge.js'
import { checksOf, closed, end, enqueued, found, journalOf, open, opening, outcome, run, start } from '../support/crash-lines.js'
import type { Check } from '../support/crash-verdict.js'

/** A job that was running when the process was killed, and was run again. */
const rescued: readonly (readonly Line[])[] = [
  [opening, open(), ...enqueued(1), start(1, '1.1')],
  [opening, open(['id1']), start(1, '1.1'), end(1, '1.1'), outcome(1), found(1, ['1 interrupted', '1 completed']), closed],
]

describe('nothing is wrong with', () => {
  const good: Readonly<Record<string, readonly (readonly Line[])[]>> = {
    'a job that ran': [[opening, open(), ...enqueued(1), start(1, '1.1'), end(1, '1.1'), outcome(1), found(1), closed]],
    'a job that was rescued': rescued,
    'a job that nobody acknowledged, stored or not': [
      [opening, open(), { is: 'try', key: 1, count: 2 }],
      [opening, open(), start(1, '1.1'), end(1, '1.1'), outcome(1), found(1), closed],
    ],
    'a retry in another thread': [
      [
        opening,
        open(),
        ...enqueued(1),
        start(1, '1.1'),
        { is: 'tick', key: 1, run: '1.1' },
        { is: 'failed', id: 'id1', attempt: 1 },
        start(1, '2.1', 2),
        end(1, '2.1'),
        found(1, ['1 timedOut', '2 completed']),
        closed,
      ],
    ],
    'a job that a closing executor gave back untold': [
      [...rescued[0]!, { is: 'closing' }],
      [opening, open(), start(1, '1.1'), end(1, '1.1'), outcome(1), found(1, ['1 interrupted', '1 completed']), closed],
    ],
    'a job that ended untold': [
      [opening, open(), ...enqueued(1), start(1, '1.1'), end(1, '1.1')],
      [opening, open(), found(1), closed],
    ],
    'an interrupted run whose next one begins before the news of it': [
      [
        opening,
        open(),
        ...enqueued(1),
        start(1, '1.1'),
        start(1, '2.1'),
        { is: 'interrupted', id: 'id1' },
        end(1, '2.1'),
        outcome(1),
        found(1, ['1 interrupted', '1 completed']),
        closed,
      ],
    ],
    'the same, killed before the news': [
      [opening, open(), ...enqueued(1), start(1, '1.1'), start(1, '2.1')],
      [opening, open(['id1']), ...run(1, '1.1'), found(1, ['1 interrupted', '1 interrupted', '1 completed']), closed],
    ],
    'a job that was rescued by an opening that was killed': [rescued[0]!, [opening], [opening, open(), ...rescued[1]!.slice(2)]],
  }
  for (const [name, lives] of Object.entries(good)) {
    it(name, () => assert.deepEqual(judge(journalOf(lives), () => 'plain').problems, []))
  }
})

describe('is seen', () => {
  const one = [opening, open(), ...enqueued(1)]
  const ran = [...one, start(1, '1.1'), end(1, '1.1'), outcome(1)]
  const bad: Readonly<Record<string, { readonly lives: readonly (readonly Line[])[]; readonly sees: Check }>> = {
    'an acknowledged job that is gone': { lives: [[...one, closed]], sees: 'lost' },
    'an acknowledged job that ran and is gone': { lives: [[...ran, closed]], sees: 'lost' },
    'a job that nobody enqueued': { lives: [[...ran, found(1), found(2), closed]], sees: 'unexpected' },
    'a job whose enqueue was refused': {
      lives: [[opening, open(), { is: 'try', key: 1, count: 1 }, { is: 'refused', key: 1, count: 1 }, found(1, []), closed]],
      sees: 'unexpected',
    },
    'an enqueue stored twice': { lives: [[...ran, found(1), found(1, [], { id: 'id2' }), closed]], sees: 'doubled' },
    'a job that is listed twice': { lives: [[...ran, found(1), found(1), closed]], sees: 'doubled' },
    'a job that was left over': { lives: [[...one, found(1, [], { state: 'available' }), closed]], sees: 'unfinished' },
    'a job that was interrupted after the drain': {
      lives: [[...ran, found(1), { is: 'closed', interrupted: 1 }]],
      sees: 'unfinished',
    },
    'a run after the end': { lives: [[...ran, start(1, '1.2'), end(1, '1.2'), found(1), closed]], sees: 'ran after over' },
    'a run after the end that an earlier process told': {
      lives: [ran, [opening, open(), start(1, '1.1'), end(1, '1.1'), found(1), closed]],
      sees: 'ran after over',
    },
    'a run that goes on after its end was told': {
      lives: [[...one, start(1, '1.1'), outcome(1, 'cancelled'), { is: 'tick', key: 1, run: '1.1' }, closed]],
      sees: 'ran after over',
    },
    'a job that was over and is rescued': { lives: [ran, [opening, open(['id1']), found(1), closed]], sees: 'ran after over' },
    'an end that is told twice': { lives: [[...ran, outcome(1), found(1), closed]], sees: 'two ends' },
    'two different ends': {
      lives: [[...ran, { is: 'result', id: 'id1', state: 'cancelled', intact: true }, found(1), closed]],
      sees: 'two ends',
    },
    'an end that is not the stored one': { lives: [[...ran, found(1, [], { state: 'cancelled' }), closed]], sees: 'two ends' },
    'two runs at once': {
      lives: [[...one, start(1, '1.1'), start(1, '2.1'), end(1, '1.1'), end(1, '2.1'), outcome(1), found(1), closed]],
      sees: 'overlap',
    },
    'a run that outlives its timeout': {
      lives: [[...one, start(1, '1.1'), { is: 'failed', id: 'id1', attempt: 1 }, { is: 'tick', key: 1, run: '1.1' }, closed]],
      sees: 'overlap',
    },
    'two runs at once, of which the first shows no more life': {
      lives: [[...one, start(1, '1.1'), start(1, '2.1'), ...enqueued(2), ...run(2, '3.1'), end(1, '2.1'), outcome(1), closed]],
      sees: 'overlap',
    },
    'three runs at once': {
      lives: [
        [...one, start(1, '1.1'), start(1, '2.1'), start(1, '3.1')],
        [opening, open(['id1']), closed],
      ],
      sees: 'overlap',
    },
    'an attempt that is counted back': {
      lives: [[...one, start(1, '1.1', 2), end(1, '1.1'), start(1, '1.2', 1), end(1, '1.2'), outcome(1), found(1), closed]],
      sees: 'attempts',
    },
    'a failure that is forgotten': {
      lives: [
        [...one, start(1, '1.1'), end(1, '1.1'), { is: 'failed', id: 'id1', attempt: 1 }],
        [opening, open(), start(1, '1.1', 1), end(1, '1.1'), outcome(1), found(1, ['1 failed', '1 completed']), closed],
      ],
      sees: 'attempts',
    },
    'a history that goes backwards': { lives: [[...ran, found(1, ['2 failed', '1 completed']), closed]], sees: 'attempts' },
    'a run without a trace': {
      lives: [rescued[0]!, [opening, open(['id1']), start(1, '1.1'), end(1, '1.1'), outcome(1), found(1), closed]],
      sees: 'unrecorded run',
    },
    'a job in flight that is not listed': {
      lives: [rescued[0]!, [opening, open(), ...rescued[1]!.slice(2)]],
      sees: 'recovery',
    },
    'a job in flight that is not listed, and that the closing executor did not give back': {
      lives: [
        [...rescued[0]!, { is: 'closing' }],
        [opening, open(), start(1, '1.1'), end(1, '1.1'), outcome(1), found(1, ['1 completed', '1 completed']), closed],
      ],
      sees: 'recovery',
    },
    'a completion without a run': { lives: [[...one, outcome(1), found(1), closed]], sees: 'never ran' },
    'an input that arrives changed': {
      lives: [[...one, start(1, '1.1'), end(1, '1.1', false), outcome(1), found(1), closed]],
      sees: 'content',
    },
    'a result that is not what was returned': {
      lives: [[...ran, { is: 'result', id: 'id1', state: 'completed', intact: false }, found(1), closed]],
      sees: 'content',
    },
    'a job that is stored changed': { lives: [[...ran, found(1, ['1 completed'], { intact: false }), closed]], sees: 'content' },
    'a get that differs from the list': {
      lives: [[...ran, found(1, ['1 completed'], { agrees: false }), closed]],
      sees: 'content',
    },
    'a complaint': { lives: [[...ran, { is: 'complaint', text: 'no' }, found(1), closed]], sees: 'process' },
    'a list that was not finished': { lives: [[...ran, found(1)]], sees: 'process' },
  }
  for (const [name, { lives, sees }] of Object.entries(bad)) {
    it(name, () => assert.ok(checksOf(journalOf(lives)).includes(sees), `saw only ${checksOf(journalOf(lives)).join(', ')}`))
  }

  it('what a process or the store is told to have', () => {
    const lives = [[...ran, found(1), closed]]
    assert.deepEqual(checksOf(journalOf(lives, { problems: ['it hung'] })), ['process'])
    assert.deepEqual(checksOf(journalOf(lives, { storeProblems: ['job 1 is in two places'] })), ['store'])
  })
})

describe('cannot be said', () => {
  it('that a run had to be listed when its thread may have ended before the kill', () => {
    const lives = [
      rescued[0]!,
      [opening, open(), start(1, '1.1'), end(1, '1.1'), outcome(1), found(1, ['1 timedOut', '1 completed']), closed],
    ]
    assert.deepEqual(checksOf(journalOf(lives), 'plain'), ['recovery'])
    assert.deepEqual(checksOf(journalOf(lives), 'freezes'), [])
  })
})

describe('figures', () => {
  it('count what ran twice', () => {
    const { figures } = judge(journalOf(rescued), () => 'plain')
    assert.equal(figures.ranTwice, 1)
    assert.equal(figures.runs, 2)
    assert.equal(figures.rescued, 1)
    assert.equal(figures.kills, 1)
    assert.equal(figures.acknowledged, 1)
    assert.equal(figures.completed, 1)
  })

  it('count where processes died', () => {
    const lives: Line[][] = [
      [opening],
      [opening, { is: 'recovering', claims: 0 }],
      [opening, { is: 'recovering', claims: 2 }],
      [opening, { is: 'recovering', claims: 2 }, { is: 'recovered' }],
      [opening, open(), { is: 'dies', at: 'in a commit' }],
      [opening, open(), closed],
    ]
    const { figures } = judge(journalOf(lives), () => 'plain')
    assert.deepEqual([figures.kills, figures.killsInRecovery, figures.endsInCommit], [5, 1, 1])
  })
})
