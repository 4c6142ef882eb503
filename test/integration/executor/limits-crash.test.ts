/** Limits after a crash: what the rates of suspects, and that they run alone, have to do with everybody else. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { auditStore } from '../../../src/maintenance/store-audit.js'
import { holdable } from '../../fixtures/executor/hold.js'
import { gated, nothing } from '../../fixtures/executor/jobs.js'
import { inState, mortal, setup } from '../../support/executor.js'
import { FakeClock } from '../../support/fake-clock.js'
import { Gate } from '../../support/gate.js'
import { ThreadHold } from '../../support/thread-hold.js'

const JOBS = [gated, nothing, holdable]
const HOUR_MS = 3_600_000

describe('limits after a crash', () => {
  it('let a suspect rest until its rate lets it begin, and others run meanwhile', async (t) => {
    const clock = new FakeClock()
    const { engine, remains, crash } = mortal()
    const limit = { key: 'api', max: 9, rate: { max: 2, per: '1h' as const } }
    const { executor, reopen } = await setup(t, { jobs: JOBS, threads: 2, clock, engine })
    const gate = new Gate(t)
    const handles = await Promise.all(
      ['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag }, { limit, timeout: Infinity })),
    )
    await gate.reached(2)
    crash()
    // Its close waits for threads; the time of day goes on for the next one alone.
    clock.runFreely()
    await executor.close({ grace: 0 })
    const later = new FakeClock(clock.now())
    const again = await reopen({ engine: remains, clock: later })
    // Should one of them begin instead, it would hold up the other job for ever.
    await Promise.race([(await again.enqueue(nothing, undefined)).result(), gate.reached(3)])
    assert.equal(gate.arrived.length, 2, 'neither has begun again')
    assert.equal((await again.counts()).available, 2)
    gate.open()
    later.advance(HOUR_MS)
    await Promise.all(handles.map(({ id }) => again.job(id).result()))
    assert.equal(gate.arrived.length, 4)
    await again.close()
    assert.deepEqual(auditStore(remains, { keepsAll: true }).problems, [])
  })

  it('hold for what is put back into its lane', async (t) => {
    const { engine, remains, crash } = mortal()
    const { executor, reopen } = await setup(t, { jobs: JOBS, threads: 1, engine })
    const gate = new Gate(t)
    const limit = { key: 'k', max: 1 }
    const handles = await Promise.all(
      ['a', 'b', 'c'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag }, { limit, maxRetries: 2 })),
    )
    await gate.reached(1)
    crash()
    await executor.close({ grace: 0 })
    const again = await reopen({ engine: remains, threads: 3 })
    await gate.reached(2)
    assert.equal((await again.counts()).running, 1)
    gate.open()
    await Promise.all(handles.map(({ id }) => again.job(id).result()))
    for (const { id } of handles) await inState(again, id, 'completed')
    await again.close()
    assert.deepEqual(auditStore(remains, { keepsAll: true }).problems, [])
  })

  it('hold nobody up when a suspect that rests is cancelled', async (t) => {
    const clock = new FakeClock()
    const { engine, remains, crash } = mortal()
    const limit = { key: 'api', max: 9, rate: { max: 2, per: '1h' as const } }
    const { executor, reopen } = await setup(t, { jobs: JOBS, threads: 2, clock, engine })
    const gate = new Gate(t)
    const handles = await Promise.all(['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag }, { limit })))
    await gate.reached(2)
    crash()
    clock.runFreely()
    await executor.close({ grace: 0 })
    const again = await reopen({ engine: remains, clock: new FakeClock(clock.now()) })
    await Promise.race([(await again.enqueue(nothing, undefined)).result(), gate.reached(3)])
    assert.equal(again.stats().suspects, 2, 'both rest')
    for (const { id } of handles) assert.equal(await again.cancel(id), true)
    assert.equal(again.stats().suspects, 0, 'what is over waits for no rate')
    await again.drain()
    await again.close()
    assert.deepEqual(auditStore(remains, { keepsAll: true }).problems, [])
  })

  it('let a suspect run alone also when a thread was handed it before, and has not begun it', async (t) => {
    const { engine, remains, crash } = mortal()
    const { executor, reopen } = await setup(t, { jobs: JOBS, threads: 2, engine, queues: { default: {}, other: {} } })
    const gate = new Gate(t)
    const suspects = await Promise.all(['a', 'b'].map((tag) => executor.enqueue(gated, { gate: gate.name, tag })))
    await gate.reached(2)
    await executor.queue('default').pause()
    crash()
    await executor.close({ grace: 0 })

    const again = await reopen({ engine: remains, threads: 1 })
    const queue = again.queue('default')
    const thread = new ThreadHold(t)
    await (await again.enqueue(holdable, { channel: thread.name }, { queue: 'other' })).result()
    await thread.hold()
    await queue.resume()
    assert.equal((await again.counts()).running, 1, 'the thread has one of them, and cannot begin it')
    await queue.pause()
    assert.equal((await again.counts()).running, 0)
    assert.equal(again.stats().suspects, 2)
    const others = await Promise.all(['c', 'd'].map((tag) => again.enqueue(gated, { gate: gate.name, tag })))
    thread.release()
    await again.setThreads(2)
    await queue.resume()
    for (const [index, tag] of ['a', 'b'].entries()) {
      await gate.reached(3 + index)
      assert.equal(gate.arrived.at(-1), tag)
      assert.equal((await again.counts()).running, 1, `nothing runs beside ${tag}`)
      gate.let(tag)
    }
    gate.open()
    await Promise.all([...suspects, ...others].map(({ id }) => again.job(id).result()))
    await again.close()
    assert.deepEqual(auditStore(remains, { keepsAll: true }).problems, [])
  })
})
