/** Who comes first among those that share threads: the rules, by numbers alone. What becomes of them among queues and keys: `ready-queues`, `keyed-lanes`. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Sharer, ThreadShares } from '../../../src/scheduler/thread-shares.js'

function pair(): { shares: ThreadShares; busy: Sharer; idle: Sharer } {
  const shares = new ThreadShares()
  const [busy, idle] = [0, 0].map((virtualMs) => ({ virtualMs, isReady: false, returnedMs: 0 })) as [Sharer, Sharer]
  shares.look(busy, true, true)
  for (let count = 0; count < 10; count++) shares.charge(busy, 100)
  return { shares, busy, idle }
}

it('who was idle starts level with the others', () => {
  const { shares, busy, idle } = pair()
  shares.look(idle, true, true)
  assert.deepEqual([busy.virtualMs, idle.virtualMs], [1000, 900])
})

it('who has had work that came back may be ahead by that, once', () => {
  const { shares, idle } = pair()
  idle.returnedMs = 300
  shares.look(idle, true, true)
  assert.equal(idle.virtualMs, 600)
  for (let count = 0; count < 3; count++) shares.charge(idle, 100)
  assert.deepEqual([idle.virtualMs, idle.returnedMs], [900, 0])
})

it('nobody is ahead by what came back and was taken away since', () => {
  const { shares, idle } = pair()
  idle.returnedMs = 300
  shares.look(idle, false, true)
  assert.equal(idle.returnedMs, 300, 'it may not run now, but waits')
  shares.look(idle, false, false)
  shares.look(idle, true, true)
  assert.equal(idle.virtualMs, 900)
})

it('what is owed is bounded by a few turns', () => {
  const { shares, idle } = pair()
  idle.isReady = true
  shares.charge(idle, 10)
  assert.equal(idle.virtualMs, 900 - 4 * 10 + 10)
})
