import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PLAIN_QUEUE, readQueueState, writeQueueState } from '../../../src/codec/queue-state.js'
import { withCode } from '../../support/executor.js'

test('what was set of a queue comes back, and nothing is written of a queue that nothing was set of', () => {
  for (const paused of [true, false])
    for (const concurrency of [undefined, 1, 1024, Number.MAX_SAFE_INTEGER, Infinity]) {
      const bytes = writeQueueState({ paused, concurrency })
      if (!paused && concurrency === undefined) assert.equal(bytes, undefined)
      else assert.deepEqual(readQueueState(bytes!), { paused, concurrency })
    }
  assert.equal(writeQueueState(PLAIN_QUEUE), undefined)
})

test('what no version has written is refused', () => {
  for (const text of [
    '',
    '{',
    'null',
    '1',
    '{}',
    '{"paused":1}',
    '{"paused":true,"concurrency":0}',
    '{"paused":true,"concurrency":"5"}',
  ])
    assert.throws(() => readQueueState(Buffer.from(text)), withCode('MILLRACE_STORE_CORRUPT'), text)
})
