/** What the crash test has found, each by itself, with a look at the whole store. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { Engine, WriteBatch } from '../../src/store/engine.js'
import { createMemoryEngine } from '../../src/store/memory-engine.js'
import { echo, gated } from '../fixtures/executor/jobs.js'
import { lasting, setup } from '../support/executor.js'
import { Gate } from '../support/gate.js'
import { checkStore } from '../support/store-check.js'

describe('jobs that were delayed together', () => {
  for (const cancelled of [2, 3]) {
    it(`are gone for good when ${cancelled} of 3 are cancelled in one turn`, async (t) => {
      const { executor, ...bytes } = await setup(t, { store: 'memory', jobs: [echo] })
      const handles = await executor.enqueueMany(echo, ['a', 'b', 'c'], { delay: '1h' })
      const answers = handles.slice(0, cancelled).map(({ id }) => executor.cancel(id))
      assert.deepEqual(
        await Promise.all(answers),
        answers.map(() => true),
      )
      await executor.close()
      assert.deepEqual(checkStore(await bytes.engine(), { keepsAll: true }), [])
    })
  }
})

/** A store as a process has it that will die: from then on nothing is written. */
function mortalOver(store: Engine): { engine: Engine; die: () => void } {
  let isDead = false
  const commit = async (batch: WriteBatch): Promise<void> => {
    if (isDead) throw new Error('the process is dead')
    await store.commit(batch)
  }
  return { engine: { ...store, commit }, die: () => (isDead = true) }
}

describe('a job that is quarantined', () => {
  it('is no suspect any more', async (t) => {
    const store = lasting(createMemoryEngine())
    const gate = new Gate(t)
    for (let death = 1; death <= 2; death++) {
      const { engine, die } = mortalOver(store)
      const { executor } = await setup(t, { engine, jobs: [gated], threads: 1, maxCrashes: 2, abortGrace: 0 })
      executor.on('error', () => undefined)
      if (death === 1) await executor.enqueue(gated, { gate: gate.name, tag: 'a' })
      await gate.reached(death)
      die()
      await executor.close({ grace: 0 })
    }
    const { executor } = await setup(t, { engine: store, jobs: [gated], threads: 1, maxCrashes: 2, abortGrace: 0 })
    assert.equal(executor.recovery.quarantined.length, 1)
    await executor.close()
    assert.deepEqual(checkStore(store, { keepsAll: true }), [])
  })
})
