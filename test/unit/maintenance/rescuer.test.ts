/** Who is charged when a process died: the job that ran alone, and nobody beside it. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { findInFlight } from '../../../src/maintenance/rescuer.js'
import { WriteBatch } from '../../../src/store/engine.js'
import type { PageRef } from '../../../src/store/page-ref.js'
import { LimitBench } from '../../support/limit-bench.js'

/** Whether each job in flight ran alone, when these were claimed. */
async function blamed(
  claims: readonly { readonly jobs: number; readonly alone: boolean; readonly again?: boolean }[],
): Promise<boolean[]> {
  const bench = new LimitBench()
  const pages: PageRef[] = []
  const writes = new WriteBatch()
  for (const { jobs, alone, again = false } of claims) {
    const known = pages.at(-1)
    const page = again && known !== undefined ? known : bench.add({ jobs })
    pages.push(page)
    const slices = [{ key: page.key, from: 0, to: jobs }]
    bench.store.putClaim(writes, { batchId: pages.length, claimedAt: bench.now, alone, slices })
  }
  await bench.commit()
  await bench.store.engine.commit(writes)
  return findInFlight(bench.store).jobs.map((job) => job.alone)
}

it('one job in flight ran alone', async () => {
  assert.deepEqual(await blamed([{ jobs: 1, alone: false }]), [true])
})

it('of several in flight none did', async () => {
  assert.deepEqual(await blamed([{ jobs: 2, alone: false }]), [false, false])
  assert.deepEqual(
    await blamed([
      { jobs: 1, alone: false },
      { jobs: 1, alone: false },
    ]),
    [false, false],
  )
})

it('a suspect did, and what native code goes on with beside it did not', async () => {
  const claims = [
    { jobs: 2, alone: false },
    { jobs: 1, alone: true },
  ]
  assert.deepEqual(await blamed(claims), [false, false, true])
  assert.deepEqual(await blamed(claims.toReversed()), [true, false, false])
})

it('a job that was taken back and claimed again is in flight once', async () => {
  assert.deepEqual(
    await blamed([
      { jobs: 2, alone: false },
      { jobs: 2, alone: false, again: true },
    ]),
    [false, false],
  )
})
