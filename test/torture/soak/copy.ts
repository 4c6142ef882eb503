/** A backup made in the middle of the work: it holds all that was promised when it was asked for, and is a store that works. */
import { rm } from 'node:fs/promises'
import { systemClock } from '../../../src/base/clock.js'
import { openExecutor, type Executor } from '../../../src/index.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { checkStore } from '../../support/store-check.js'
import { endOf, hashOf, soakJob, type SoakInput } from '../../fixtures/torture/soak-job.js'

/** Makes a copy, looks through it, runs what waits in it, and removes it. Returns what is wrong. */
export async function checkCopy(
  executor: Executor,
  path: string,
  promised: ReadonlySet<string>,
  onStep: (stage?: string) => void,
): Promise<string[]> {
  const wanted = [...promised]
  const before = totalOf(executor)
  onStep('backup')
  await executor.backup(path)
  const after = totalOf(executor)
  const found: string[] = []
  onStep('the check of the copy')
  const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock })
  found.push(...checkStore(engine, {}))
  await engine.close()
  onStep('the work that waits in the copy')
  const copy = await openExecutor({ path, jobs: [soakJob], threads: 1, queues: { bulk: {}, urgent: {} }, abortGrace: 0 })
  const over = totalOf(copy)
  if (over < before || over > after) found.push(`${over} jobs are over in it, ${before} were before and ${after} after`)
  // One by one: a listing may miss a job that ends meanwhile.
  for (const id of wanted) if ((await copy.get(id)) === undefined) found.push(`job ${id} was acknowledged, and is not in it`)
  for await (const { id, input } of copy.list()) {
    const { ends, bytes, hash } = input as SoakInput
    if (hashOf(bytes) !== hash) found.push(`job ${id}: its input is not what was enqueued`)
    if (ends === 'waits') await copy.cancel(id)
  }
  await allOver(copy, onStep)
  for await (const { id, state, input } of copy.list())
    if (state !== endOf(input as SoakInput)) found.push(`job ${id} is ${state}`)
  onStep('close of the copy')
  await copy.close()
  await rm(path, { recursive: true })
  return found.map((problem) => `the copy: ${problem}`)
}

function totalOf(executor: Executor): number {
  const { completed, cancelled, discarded } = executor.stats().totals
  return completed + cancelled + discarded
}

/** Retries and delayed jobs are not drained: each that comes due is another time of work, with an end that is told. */
async function allOver(executor: Executor, onStep: () => void): Promise<void> {
  // Jobs that are not due yet do not keep the process alive.
  const alive = setInterval(() => undefined, 1000)
  for (;;) {
    const idle = new Promise((resolve) => executor.on('idle', resolve))
    await executor.drain()
    const { available, running, retryable, scheduled } = await executor.counts()
    if (available + running + retryable + scheduled === 0) break
    await idle
    onStep()
  }
  clearInterval(alive)
}
