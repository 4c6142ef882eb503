import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionFailure } from '../../src/base/assert.js'
import { ATTEMPTS_KEPT, MAX_INSTANT } from '../../src/base/limits.js'
import { JOB_STATES } from '../../src/job/job-info.js'
import {
  decide,
  EMPTY_LEDGER,
  initialState,
  isFinal,
  nextAttempt,
  shownAttempt,
  transition,
  type AttemptEnd,
  type JobLedger,
  type TransitionEvent,
} from '../../src/job/job-state.js'

const error = { name: 'Error', message: 'no' }
const span = { startedAt: 10, endedAt: 20 }
const failed: AttemptEnd = { kind: 'failed', ...span, error }
const policy = { maxRetries: 2, maxCrashes: 3 }
const decided = (end: AttemptEnd, ledger: JobLedger = EMPTY_LEDGER, overrides = {}) =>
  decide(ledger, end, { ...policy, ...overrides }, 5000, 100)

test('the table, whole: what is not in it throws', () => {
  const allowed: Record<string, string> = {
    'scheduled due': 'available',
    'scheduled cancel': 'cancelled',
    'scheduled discard': 'discarded',
    'available claim': 'running',
    'available cancel': 'cancelled',
    'available discard': 'discarded',
    'running unclaim': 'available',
    'running complete': 'completed',
    'running retry': 'retryable',
    'running discard': 'discarded',
    'running snooze': 'retryable',
    'running interrupt': 'available',
    'running crash': 'available',
    'running quarantine': 'discarded',
    'running cancel': 'cancelled',
    'retryable due': 'available',
    'retryable cancel': 'cancelled',
    'retryable discard': 'discarded',
    'cancelled revive': 'available',
    'discarded revive': 'available',
  }
  const events = [...new Set(Object.keys(allowed).map((key) => key.split(' ')[1]))] as TransitionEvent[]
  assert.equal(events.length, 12)
  for (const state of JOB_STATES) {
    for (const event of events) {
      const next = allowed[`${state} ${event}`]
      if (next === undefined) assert.throws(() => transition(state, event), AssertionFailure, `${state} ${event}`)
      else assert.equal(transition(state, event), next)
    }
  }
})

test('initial and final states', () => {
  assert.equal(initialState(undefined, 5), 'available')
  assert.equal(initialState(5, 5), 'available')
  assert.equal(initialState(6, 5), 'scheduled')
  assert.deepEqual(JOB_STATES.filter(isFinal), ['completed', 'cancelled', 'discarded'])
})

test('maxRetries n allows n + 1 runs', () => {
  for (const maxRetries of [0, 1, 5]) {
    let ledger = EMPTY_LEDGER
    const states: string[] = []
    do {
      const decision = decided(states.length % 2 === 0 ? failed : { ...failed, kind: 'timedOut' }, ledger, { maxRetries })
      ledger = decision.ledger
      states.push(decision.state)
      assert.equal(decision.runAt, decision.state === 'retryable' ? 5100 : undefined)
      assert.equal(decision.error, decision.state === 'discarded' ? error : undefined)
    } while (states.at(-1) === 'retryable')
    assert.deepEqual(states, [...Array.from({ length: maxRetries }, () => 'retryable'), 'discarded'])
    assert.deepEqual(
      ledger.attempts.map(({ attempt }) => attempt),
      Array.from({ length: maxRetries + 1 }, (_, index) => index + 1),
    )
    assert.equal(shownAttempt('discarded', ledger), maxRetries + 1)
  }
  const endless = decided(failed, { ...EMPTY_LEDGER, charged: 1e6 }, { maxRetries: Infinity })
  assert.equal(endless.state, 'retryable')
})

test('the ends of an attempt', () => {
  const completed = decided({ kind: 'completed', ...span })
  assert.deepEqual(completed, {
    state: 'completed',
    ledger: { charged: 0, crashes: 0, suspect: false, attempts: [{ attempt: 1, ...span, outcome: 'completed' }] },
  })
  for (const kind of ['fatal', 'unfit'] as const) {
    const decision = decided({ kind, ...span, error })
    assert.deepEqual([decision.state, decision.error, decision.ledger.attempts[0]?.outcome], ['discarded', error, 'failed'])
  }
  const cancelled = decided({ kind: 'cancelled', ...span, error })
  assert.deepEqual([cancelled.state, cancelled.error, cancelled.ledger.attempts[0]?.outcome], ['cancelled', error, 'cancelled'])
  assert.ok(!('error' in decided({ kind: 'cancelled', ...span })))
})

test('the wait: chosen by the handler, else the backoff, never beyond the last instant', () => {
  assert.equal(decided({ ...failed, kind: 'failed', error, afterMs: 0 }).runAt, 100)
  assert.equal(decided({ ...failed, kind: 'failed', error, afterMs: 7.5 }).runAt, 108)
  assert.equal(decided({ kind: 'snoozed', ...span, afterMs: 50 }).runAt, 150)
  assert.equal(decided({ kind: 'snoozed', ...span, afterMs: Number.MAX_VALUE }).runAt, MAX_INSTANT)
  assert.throws(() => decided({ kind: 'snoozed', ...span, afterMs: NaN }), AssertionFailure)
  assert.throws(() => decide(EMPTY_LEDGER, failed, policy, -1, 100), AssertionFailure)
})

test('snoozes and interruptions are not charged: the same attempt again', () => {
  let ledger = decided(failed).ledger
  for (const end of [
    { kind: 'snoozed', ...span, afterMs: 1 },
    { kind: 'interrupted', ...span },
    { kind: 'suspect', ...span },
    { kind: 'crashed', ...span },
  ] satisfies AttemptEnd[]) {
    const decision = decided(end, ledger)
    assert.ok(decision.state === (end.kind === 'snoozed' ? 'retryable' : 'available'))
    assert.ok(!('error' in decision))
    ledger = decision.ledger
    assert.equal(nextAttempt(ledger), 2)
    assert.equal(shownAttempt(decision.state, ledger), 2)
  }
  assert.deepEqual(
    ledger.attempts.map(({ attempt, outcome }) => `${attempt} ${outcome}`),
    ['1 failed', '2 snoozed', '2 interrupted', '2 interrupted', '2 crashed'],
  )
  assert.deepEqual([ledger.charged, ledger.crashes], [1, 1])
})

test('a suspect runs alone until an attempt ends in an orderly way', () => {
  const { ledger } = decided({ kind: 'suspect', ...span })
  assert.deepEqual([ledger.suspect, ledger.crashes], [true, 0])
  const crashed = decided({ kind: 'crashed', ...span }, ledger)
  assert.deepEqual([crashed.state, crashed.ledger.suspect, crashed.ledger.crashes], ['available', true, 1])
  for (const end of [
    failed,
    { kind: 'completed', ...span },
    { kind: 'timedOut', ...span, error },
    { kind: 'snoozed', ...span, afterMs: 1 },
    { kind: 'interrupted', ...span },
  ] satisfies AttemptEnd[]) {
    const { ledger } = decided(end, crashed.ledger)
    assert.deepEqual([ledger.suspect, ledger.crashes], [false, 1], end.kind)
  }
})

test('quarantine at maxCrashes, with a reason that says so', () => {
  let ledger = EMPTY_LEDGER
  const states: string[] = []
  let last = decided({ kind: 'crashed', ...span }, ledger)
  for (;;) {
    states.push(last.state)
    ledger = last.ledger
    if (last.state !== 'available') break
    last = decided({ kind: 'crashed', ...span }, ledger)
  }
  assert.deepEqual(states, ['available', 'available', 'discarded'])
  assert.equal(last.error?.code, 'MILLRACE_QUARANTINED')
  assert.match(last.error.message, /took the process down 3 times .* maxCrashes is 3/)
  assert.match(decided({ kind: 'crashed', ...span }, EMPTY_LEDGER, { maxCrashes: 1 }).error?.message ?? '', /down once/)
  assert.equal(
    decided({ kind: 'crashed', ...span }, { ...EMPTY_LEDGER, crashes: 99 }, { maxCrashes: Infinity }).state,
    'available',
  )
})

test('the first attempt and the latest ones are kept', () => {
  let ledger = EMPTY_LEDGER
  for (let index = 0; index < 100; index++) {
    ledger = decided({ ...failed, startedAt: index, endedAt: index }, ledger, { maxRetries: Infinity }).ledger
  }
  assert.equal(ledger.attempts.length, ATTEMPTS_KEPT)
  const numbers = ledger.attempts.map(({ attempt }) => attempt)
  assert.deepEqual(numbers, [1, ...Array.from({ length: ATTEMPTS_KEPT - 1 }, (_, index) => 100 - ATTEMPTS_KEPT + 2 + index)])
  assert.equal(nextAttempt(ledger), 101)
})

test('nothing given is changed, and a ledger survives JSON', () => {
  const ledger: JobLedger = Object.freeze({ ...EMPTY_LEDGER, attempts: Object.freeze([]) })
  const after = decided(failed, ledger).ledger
  assert.deepEqual(ledger, EMPTY_LEDGER)
  assert.deepEqual(JSON.parse(JSON.stringify(after)), after)
})
