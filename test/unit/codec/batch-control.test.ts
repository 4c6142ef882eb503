import assert from 'node:assert/strict'
import { once } from 'node:events'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import {
  BatchControl,
  OUTCOME_COMPLETED,
  OUTCOME_FAILED,
  PHASE_SETUP,
  type OutcomeRecord,
} from '../../../src/codec/batch-control.js'

function emptyRecord(): OutcomeRecord {
  return { kind: 0, startMs: 0, runMs: 0, bodyFrom: 0, bodyTo: 0, next: 0 }
}

it('every job belongs to the thread or to the main thread, however they race', async (t) => {
  const control = BatchControl.allocate(64 * 1024)
  const go = new Int32Array(new SharedArrayBuffer(16))
  const file = fileURLToPath(new URL('../../fixtures/executor/take-jobs.js', import.meta.url))
  const worker = new Worker(file, { workerData: { control: control.shared, go } })
  t.after(() => worker.terminate())
  await once(worker, 'message')
  let contested = 0
  const jobs = 300
  // The quicker the thread, the harder the race; how slow it must be for the two to meet depends on the machine.
  let pause = 10
  for (let round = 1; round <= 5000 && contested < 500; round++) {
    Atomics.store(go, 3, pause)
    control.reset(1, jobs, round)
    Atomics.store(go, 0, round)
    Atomics.notify(go, 0)
    // Take back at a different moment each time; sometimes more than once.
    const at = (round * 7) % jobs
    while (control.taken < at && Atomics.load(go, 2) < round);
    const kept = control.steal()
    const again = control.steal()
    assert.equal(again, kept)
    Atomics.wait(go, 2, round - 1)
    const taken = Atomics.load(go, 1)
    assert.equal(taken, kept, 'a job belongs to both sides, or to none')
    assert.equal(control.taken, taken)
    assert.equal(control.finished, taken)
    assert.equal(control.hasUntaken, false)
    const hasMet = kept > 0 && kept < jobs
    if (hasMet) contested++
    pause = hasMet ? Math.max(10, pause >> 1) : Math.min(20_000, pause * 2)
    // What is published is complete, and of this round.
    const record = emptyRecord()
    record.next = control.firstRecord
    for (let index = 0; index < taken; index++) {
      control.readRecord(record.next, record)
      assert.ok(record.kind === OUTCOME_COMPLETED && record.startMs === round && record.runMs === index + 1)
    }
  }
  Atomics.store(go, 0, -1)
  Atomics.notify(go, 0)
  assert.ok(contested >= 5, `they met ${contested} times, which proves little`)
})

it('a record is found behind the one before it, whatever the lengths of their bodies', () => {
  const control = BatchControl.allocate(4096)
  const bodies = ['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'é']
  control.reset(1, bodies.length, 1000)
  let offset = control.firstRecord
  for (const [index, body] of bodies.entries()) {
    assert.ok(control.take(index))
    const bytes = Buffer.from(body)
    bytes.copy(control.area, offset + 16)
    offset = control.writeRecord(offset, index % 2 === 0 ? OUTCOME_COMPLETED : OUTCOME_FAILED, index, index / 2, bytes.length)
    assert.equal(offset % 4, 0)
    control.publish(index + 1)
  }
  assert.equal(control.take(0), false)
  const record = emptyRecord()
  record.next = control.firstRecord
  for (const [index, body] of bodies.entries()) {
    control.readRecord(record.next, record)
    assert.deepEqual(
      [record.kind, record.startMs, record.runMs],
      [index % 2 === 0 ? OUTCOME_COMPLETED : OUTCOME_FAILED, index, index / 2],
    )
    assert.equal(control.area.toString('utf8', record.bodyFrom, record.bodyTo), body)
  }
})

it('what fits leaves room for the bare records of the jobs behind', () => {
  const control = BatchControl.allocate(1024)
  const end = control.area.length
  for (const jobsLeft of [0, 1, 10]) {
    let offset = control.firstRecord
    const largest = end - offset - 16 * (jobsLeft + 1) - 4
    assert.equal(control.fits(offset, largest, jobsLeft), true)
    assert.equal(control.fits(offset, largest + 1, jobsLeft), false)
    offset = control.writeRecord(offset, OUTCOME_COMPLETED, 0, 0, largest)
    for (let left = 0; left < jobsLeft; left++) offset = control.writeRecord(offset, OUTCOME_COMPLETED, 0, 0, 0)
    assert.ok(offset <= end)
  }
})

it('a batch begins with nothing taken, finished or left over from the one before', () => {
  const control = BatchControl.allocate(1024)
  control.reset(1, 3, 500)
  assert.ok(control.take(7))
  control.enter(PHASE_SETUP, 9)
  control.publish(1)
  assert.deepEqual(
    [control.taken, control.finished, control.phase, control.startedMs, control.hasUntaken],
    [1, 1, PHASE_SETUP, 509, true],
  )
  control.reset(1, 65_535, 800)
  assert.deepEqual([control.taken, control.finished, control.phase, control.startedMs, control.hasUntaken], [0, 0, 0, 800, true])
  assert.equal(control.steal(), 0)
  assert.equal(control.take(1), false)
  assert.equal(control.hasUntaken, false)
  assert.ok(control.belongsTo(1))
  control.reset(2 ** 40 + 2, 0, 0)
  assert.equal(control.take(1), false)
  assert.ok(control.belongsTo(2 ** 40 + 2))
  assert.ok(!control.belongsTo(1), 'a thread with an old batch would work on')
})
