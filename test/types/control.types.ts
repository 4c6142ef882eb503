/** Compile-time only: what an operator's calls take and give. Checked by `tsc`. */
import type { BulkFilter, BulkReport, Executor, JobPurge, Queue, QueueInfo } from '../../src/index.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function expectType<_Check extends true>(): void {}

export async function control(executor: Executor): Promise<void> {
  const queue = executor.queue('images')
  expectType<Equal<typeof queue, Queue>>()
  await queue.pause()
  await queue.pause({ interrupt: true })
  await queue.setConcurrency(Infinity)
  await queue.setConcurrency(undefined)
  const info = await queue.info()
  expectType<Equal<typeof info, QueueInfo>>()
  expectType<Equal<(typeof info)['concurrency'], number>>()
  const filter: BulkFilter = { state: ['discarded', 'cancelled'], queue: 'images', olderThan: '7d', limit: 10 }
  const report = await executor.retryMany(filter, { dryRun: true, onProgress: ({ matched }) => matched.toFixed() })
  expectType<Equal<typeof report, BulkReport>>()
  await executor.cancelMany({ ids: new Set(['a']) })
  await executor.discardMany({ all: true }, { reason: 'the tenant has left', dryRun: true })
  const purge: JobPurge = { state: 'completed' }
  await queue.purge(purge, { dryRun: false })
  const changed = await Promise.all([executor.retry('a'), executor.discard('a', 'why')])
  expectType<Equal<typeof changed, [boolean, boolean]>>()
  await executor.setThreads(2)

  // @ts-expect-error What is brought back needs no reason.
  await executor.retryMany({ all: true }, { reason: 'why' })
  // @ts-expect-error How many must be said, if only as undefined.
  await queue.setConcurrency()
  // @ts-expect-error A filter of many is never left out.
  await executor.cancelMany()
  // @ts-expect-error No state of a job.
  await executor.cancelMany({ state: 'failed' })
  // @ts-expect-error What is purged is of this queue.
  await queue.purge({ queue: 'other' })
  // @ts-expect-error Only true means every job.
  await executor.discardMany({ all: false })
}
