/**
 * A store with something of everything in it, made by a real executor: jobs that wait in pages, alone after an interruption, and as
 * suspects; delayed ones, retries and snoozed ones; finished ones of every state; payloads that lie apart; a page with marks.
 */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Executor } from '../../src/executor/executor.js'
import type { Surroundings } from '../../src/executor/open-executor.js'
import { openExecutorWith } from '../../src/executor/open-executor.js'
import type { JobInfo } from '../../src/job/job-info.js'
import { DATA_FILE } from '../../src/store/lmdb/store-directory.js'
import { echo, failing, large, obedient, patient } from '../fixtures/executor/jobs.js'

const SAMPLE_JOBS = [echo, failing, large, obedient, patient]

/** Fills `directory`. The more jobs, the more pages of each kind. */
export async function makeSampleStore(directory: string, jobs = 200): Promise<void> {
  const executor = await openSample(directory)
  const inputs = (from: number, to: number): { at: number; text: string }[] =>
    Array.from({ length: to - from }, (_, index) => ({ at: from + index, text: 'x'.repeat((index * 37) % 200) }))
  const done = await executor.enqueueMany(echo, inputs(0, jobs))
  // Each in a commit of its own: small records that lie in the tree itself.
  for (const input of inputs(jobs, jobs + 40)) done.push(await executor.enqueue(echo, input))
  done.push(await executor.enqueue(large, { bytes: 50_000 }))
  await Promise.all(done.map((job) => job.result()))
  for (const what of ['cancel', 'fatal', 'fail', 'snooze', 'retry'] as const) {
    for (let times = 0; times < 5; times++) await executor.enqueue(obedient, { do: what })
  }
  await executor.enqueue(echo, { bulk: Buffer.alloc(60_000, 5) }, { delay: '2h' })
  for (let group = 1; group <= 6; group++) await executor.enqueueMany(echo, inputs(0, 20), { delay: group * 3_600_000 })
  await executor.drain()
  // The one thread is taken from here on, and what comes waits.
  await startPatient(executor)
  const waiting = await executor.enqueueMany(echo, inputs(0, jobs), { priority: 1 })
  for (const input of inputs(0, 40)) await executor.enqueue(echo, input)
  for (const input of inputs(0, 10)) await executor.enqueue(echo, input, { queue: 'other', maxRetries: 3, priority: -2 })
  await executor.enqueue(echo, { bulk: Buffer.alloc(40_000, 6) })
  for (const job of waiting.slice(3, 9)) await executor.cancel(job.id)
  await executor.close({ grace: 0 })
}

/** The same store as it is when its process dies: `directory` gets a copy made while jobs are claimed. */
export async function makeCrashedStore(source: string, directory: string): Promise<void> {
  const executor = await openSample(source)
  await startPatient(executor)
  await executor.counts()
  await mkdir(directory, { recursive: true })
  await copyFile(join(source, DATA_FILE), join(directory, DATA_FILE))
  await executor.close({ grace: 0 })
}

export function openSample(directory: string, surroundings: Surroundings = {}): Promise<Executor> {
  return openExecutorWith(
    {
      path: directory,
      jobs: SAMPLE_JOBS,
      threads: 1,
      queues: { default: {}, other: {} },
      retain: { jobs: Infinity, age: Infinity },
      abortGrace: 0,
    },
    surroundings,
  )
}

/** Takes the one thread. */
async function startPatient(executor: Executor): Promise<void> {
  const started = new Promise<void>((resolve) => executor.on('started', ({ job }) => job.name === 'patient' && resolve()))
  await executor.enqueue(patient, null, { priority: 127 })
  await started
}

/** All jobs of a store by id, to compare it with another. */
export async function jobsOf(executor: Executor): Promise<Map<string, JobInfo>> {
  const jobs = new Map<string, JobInfo>()
  for await (const info of executor.list()) jobs.set(info.id, info)
  return jobs
}
