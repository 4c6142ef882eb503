/** The quick form of the model rung: some random histories, those that once found something, and faults that must be seen. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { STORES } from '../../support/executor.js'
import { seedOfRun } from '../../support/prng.js'
import { showing, tooFew } from '../rung.js'
import type { Enqueue, History } from './history.js'
import { REGRESSIONS } from './regressions.js'
import { newTally, play, rung, search, tell } from './rung.js'

const HISTORIES = { memory: 8, lmdb: 4 } as const

const plain: Enqueue = { do: 'enqueue', jobs: 1, definition: 'work', act: 'return', times: 1, afterMs: 0 }

/** Jobs of two priorities behind a gate in a single thread. */
const QUEUED: History = {
  threads: 1,
  retain: 'all',
  commands: [
    { ...plain, act: 'gate' },
    { ...plain, jobs: 3, priority: -128 },
    { ...plain, jobs: 2, priority: 127 },
    plain,
    { do: 'release', job: 0 },
  ],
}

/** One heeds it, one does not, one comes to nothing for the timeout of its definition. */
const SOFT: History = {
  threads: 1,
  retain: 'all',
  commands: [
    { ...plain, act: 'heed', softTimeout: 20, maxRetries: 1 },
    { ...plain, act: 'gate', softTimeout: 20 },
    { ...plain, jobs: 2, softTimeout: 150_000 },
    { do: 'advance', ms: 5000 },
    { do: 'release', job: 1 },
  ],
}

describe('histories agree with the model', () => {
  for (const store of STORES) {
    const tally = newTally()

    it(`random ones, ${store}`, async (t) => {
      const seed = seedOfRun() % 2 ** 31
      t.diagnostic(`MILLRACE_SEED=${seed}`)
      const found = await search({ seed, store, histories: HISTORIES[store], tally })
      t.diagnostic(JSON.stringify(tally))
      assert.equal(found && tell(found), undefined)
      assert.deepEqual(tooFew({ least: { histories: HISTORIES[store] } }, { ...tally }), [])
    })

    it(`jobs that queue up, ${store}`, () => play(QUEUED, store, tally))

    it(`soft timeouts, ${store}`, () => play(SOFT, store, tally))

    for (const { found, history } of REGRESSIONS) it(`${found}, ${store}`, () => play(history, store, tally))

    it(`all of them were played, ${store}`, () => {
      const least = {
        histories: HISTORIES[store] + REGRESSIONS.length + 2,
        jobs: 1,
        runs: 1,
        kills: 1,
        killsAtCommit: 1,
        ordered: 1,
      }
      assert.deepEqual(tooFew({ least }, { ...tally }), [])
    })
  }
})

describe('planted faults are seen', () => {
  const names = [
    'executor that acknowledges cancellations it does not store',
    'store that loses marks',
    'scheduler whose lanes give what came last first',
    'scheduler that forgets a queue after its first jobs',
    'executor that charges a snooze',
  ]
  for (const name of names) {
    it(name, async () => {
      const fault = rung.faults.find((each) => each.name === name)
      assert.ok(fault)
      const seen = await fault.run({ seed: 1, minutes: 1, progress: () => undefined })
      assert.notEqual(showing(fault, seen), undefined, seen.join('\n'))
    })
  }
})
