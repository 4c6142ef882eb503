/** What is kept of a job as JSON: each byte of it spoilt in turn, and the record is refused by its code, or says what can be computed with. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isMillraceError } from '../../../src/index.js'
import { checkedError, checkedLedger, revivedOverrides, storableOverrides } from '../../../src/codec/job-facts.js'
import type { JobLedger } from '../../../src/job/job-state.js'
import type { JobOverrides } from '../../../src/job/job-overrides.js'
import { shownAttempt } from '../../../src/job/job-state.js'
import { backoffDelayMs } from '../../../src/job/backoff.js'
import { withCode } from '../../support/executor.js'

const error = { name: 'E', message: 'm', stack: 's', code: 'c', cause: { name: 'F', message: 'n' }, data: { depth: 1 } }

const ledger: JobLedger = {
  charged: 1,
  crashes: 1,
  forgiven: 2,
  ended: { cancelled: 1 },
  suspect: false,
  attempts: [{ attempt: 1, startedAt: 1, endedAt: 2, outcome: 'failed', error }],
}

const overrides: JobOverrides[] = [
  { maxRetries: Infinity, timeoutMs: 5, softTimeoutMs: Infinity, weight: 2, startBefore: Infinity, startBeforeMs: 7 },
  { backoff: { type: 'fixed', delay: 5, jitter: 0.5 }, limitKey: 'k', limitMax: Infinity, limitRate: { max: 1, perMs: 2 } },
  { backoff: { type: 'linear', step: 5 }, unique: { key: 'u', while: 'waiting' }, schedule: { name: 's', plannedAt: 3 } },
  { backoff: { type: 'exponential', base: 3 } },
  { backoff: { type: 'definition' } },
]

/** The text with each of its bits turned in turn, as far as JSON takes it. */
function* spoilt(text: string): Generator<unknown> {
  const bytes = Buffer.from(text, 'utf8')
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Buffer.from(bytes)
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    let value: unknown
    try {
      value = JSON.parse(damaged.toString('utf8'))
    } catch {
      continue
    }
    yield value
  }
}

/** How many of the spoilt texts are refused. */
function refusals<Value>(text: string, read: (stored: unknown) => Value, use: (value: Value) => void): number {
  let refused = 0
  for (const stored of spoilt(text)) {
    let value: Value
    try {
      value = read(stored)
    } catch (thrown) {
      assert.ok(isMillraceError(thrown, 'MILLRACE_STORE_CORRUPT'), String(thrown))
      refused++
      continue
    }
    use(value)
  }
  return refused
}

describe('what is kept of a job', () => {
  it('comes back as it was', () => {
    assert.deepEqual(checkedLedger(JSON.parse(JSON.stringify(ledger))), ledger)
    assert.deepEqual(checkedError(JSON.parse(JSON.stringify(error))), error)
    for (const each of overrides)
      assert.deepEqual(revivedOverrides(JSON.parse(JSON.stringify(storableOverrides(each)))), { ...each })
  })

  it('is refused where it is something else, whatever that is', () => {
    for (const stored of [null, 1, 'text', [], {}, { ...ledger, attempts: undefined }, { ...ledger, attempts: [null] }]) {
      assert.throws(() => checkedLedger(stored), withCode('MILLRACE_STORE_CORRUPT'))
      assert.throws(() => checkedError(stored), withCode('MILLRACE_STORE_CORRUPT'))
    }
    for (const stored of [
      { maxRetries: 'x' },
      { unique: { kex: 'u', while: 'waiting' } },
      { schedule: null },
      { backoff: { type: 'fixfd' } },
    ])
      assert.throws(() => revivedOverrides(stored), withCode('MILLRACE_STORE_CORRUPT'))
  })

  it('can be computed with when it is not refused, whatever bit of it is another', () => {
    const ledgers = refusals(JSON.stringify(ledger), checkedLedger, (read) => {
      assert.ok(shownAttempt('discarded', read) >= 0)
      for (const { outcome, error: of } of read.attempts)
        assert.equal(typeof outcome + typeof (of?.message ?? ''), 'stringstring')
    })
    assert.ok(ledgers > 100, `${ledgers} refused`)
    let settings = 0
    for (const each of overrides) {
      settings += refusals(
        JSON.stringify(storableOverrides(each)),
        revivedOverrides,
        ({ backoff, limitKey = '', unique, schedule }) => {
          if (backoff !== undefined && backoff.type !== 'definition')
            assert.ok(backoffDelayMs(backoff, { retry: 1, error, input: 1 }, { next: () => 0.5 }).delayMs >= 0)
          assert.equal(typeof limitKey + typeof (unique?.key ?? '') + typeof (schedule?.name ?? ''), 'stringstringstring')
        },
      )
    }
    assert.ok(settings > 100, `${settings} refused`)
  })
})
