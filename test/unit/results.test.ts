/** Who waits for which job: what it costs that nobody does. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { PageHandles, ResultRegistry } from '../../src/executor/results.js'
import { PageRef } from '../../src/store/page-ref.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const PAGES = 100_000

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    // References that were looked at in a turn hold until its end, and what is told of those that are gone comes in one of its own.
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
  }
  await new Promise((resolve) => setImmediate(resolve))
  return process.memoryUsage().heapUsed
}

it('promise 7: jobs that wait cost no memory once nobody holds their handles, moved to a page of their own or not', async () => {
  const registry = new ResultRegistry(1, {
    fromStore: () => Promise.reject(new Error('there is no store')),
    assertOpen: () => undefined,
    onWaiting: () => undefined,
  })
  const enqueue = (firstSeq: number): PageHandles => {
    const handles = new PageHandles(registry, 1, 0, false)
    registry.register(firstSeq, 1, handles)
    const header = { solo: false, count: 1, firstSeq, enqueuedAt: 0, runAt: 0, epoch: 1 }
    if (firstSeq % 2 === 0) registry.moved(new PageRef(1, 0, firstSeq, 0, header, undefined, -1), 0)
    return handles
  }
  const held = enqueue(0)
  const result = enqueue(1).result(0, 'awaited')
  const before = await heapBytes()
  for (let seq = 2; seq < PAGES; seq++) enqueue(seq)
  const grownBytes = (await heapBytes()) - before
  assert.ok(grownBytes < 2_000_000, `${grownBytes} bytes for ${PAGES} pages`)
  // Those that somebody holds, or awaits, are told.
  registry.settle(0, registry.movedHandle(0), { state: 'completed', output: undefined })
  assert.equal(await held.result(0, 'held'), undefined)
  const page = new PageRef(1, 0, 1, 0, { solo: false, count: 1, firstSeq: 1, enqueuedAt: 0, runAt: 0, epoch: 1 }, undefined, -1)
  registry.settle(1, { handles: registry.handlesOf(page)!, index: 0 }, { state: 'cancelled', reason: 'told' })
  await assert.rejects(result, /told/)
})

it('handles made anew for a job, after nobody held its first ones, are told although the first ones are forgotten only then', async () => {
  const registry = new ResultRegistry(1, {
    fromStore: () => Promise.reject(new Error('there is no store')),
    assertOpen: () => undefined,
    onWaiting: () => undefined,
  })
  const address = { seq: 1, queueId: 1, rank: 0 }
  const first = (): void => registry.register(1, 1, new PageHandles(registry, 1, 0, false))
  first()
  await new Promise((resolve) => setImmediate(resolve))
  // Gone, and its end has not been told yet: that takes a turn.
  collectGarbage()
  const anew = registry.handlesOfOne(address, 'page')
  const result = anew.result(0, 'anew')
  await heapBytes()
  const page = new PageRef(1, 0, 1, 0, { solo: false, count: 1, firstSeq: 1, enqueuedAt: 0, runAt: 0, epoch: 1 }, undefined, -1)
  assert.equal(registry.handlesOf(page), anew)
  registry.settle(1, { handles: anew, index: 0 }, { state: 'completed', output: undefined })
  assert.equal(await result, undefined)
})
