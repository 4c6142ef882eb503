/** What is told of the jobs that threads hold, from the memory that a thread shares: at work, held ahead, ended and not settled. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BatchControl } from '../../../src/codec/batch-control.js'
import { ENTRY_HEADER_BYTES } from '../../../src/codec/page.js'
import { Batch } from '../../../src/dispatcher/batch.js'
import { InThreads } from '../../../src/executor/job-statistics.js'
import type { ExecutorParts } from '../../../src/executor/parts.js'
import type { PageRef } from '../../../src/store/page-ref.js'

const QUEUE = 7
const JOBS = 5

/** A batch of five, whose thread has taken three and finished two; one outcome has been read. */
function heldBatch(): Batch {
  const data = Buffer.alloc(JOBS * ENTRY_HEADER_BYTES)
  for (let job = 0; job < JOBS; job++) data.writeUInt32LE(ENTRY_HEADER_BYTES - 4, job * ENTRY_HEADER_BYTES)
  const page = { queueId: QUEUE, header: { enqueuedAt: 1, runAt: 0 }, data, isDone: () => false } as unknown as PageRef
  const control = BatchControl.allocate(1024)
  control.reset(1, JOBS, 0)
  const batch = new Batch(1, [{ page, from: 0, to: JOBS, offset: 0 }], JOBS, control)
  batch.sentAt = 1
  for (let taken = 0; taken < 3; taken++) control.take(0)
  control.publish(2)
  batch.collected = 1
  return batch
}

function told(...batches: Batch[]): (number | undefined)[] {
  const parts = {
    dispatcher: { batches: batches.map((batch) => ({ batch })), slots: [{ batches }] },
    store: { bytesOf: ({ data }: PageRef) => data, stats: { known: () => undefined } },
  }
  const { held, atWork, ahead } = new InThreads(parts as unknown as ExecutorParts)
  return [held, atWork, ahead].map((counts) => counts.get(QUEUE))
}

test('a thread is at one, has not begun two, and one has ended', () => {
  assert.deepEqual(told(heldBatch()), [4, 1, 2])
})

test('what was taken back is not held any more', () => {
  const batch = heldBatch()
  batch.steal()
  assert.deepEqual(told(batch), [2, 1, undefined])
})

test('between two jobs a thread is at none; a batch behind the first is held ahead', () => {
  const batch = heldBatch()
  batch.control.publish(3)
  assert.deepEqual(told(batch), [4, undefined, 2])
  const next = heldBatch()
  // Not sent yet: its memory tells of the batch that had it before.
  next.sentAt = 0
  next.collected = 0
  assert.deepEqual(told(heldBatch(), next), [9, 1, 7])
})
