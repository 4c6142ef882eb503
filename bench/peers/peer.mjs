/**
 * What every peer's program has in common: it is started by `bench/peers.ts` with its task as JSON, warms up on a quarter of the
 * jobs, runs all of them, and tells its rate by a message to its parent.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const task = JSON.parse(process.argv[2] ?? '{}')

/** Jobs to run, the ports of the servers the driver started, and what this peer is to be set to. */
export const { redisPort, postgresPort, settings = {} } = task

/** The same input as Millrace's own no-op job has: ~90 bytes as JSON. */
export function noopInput(id) {
  return { id, file: `images/photo-${String(id).padStart(8, '0')}.jpg`, width: 320, user: 'someone@example.org' }
}

/** Calls `run` with the inputs of the warm-up, then with those that count; what it returns must be durable where the peer is. */
export async function measure(run) {
  const { jobs } = task
  await run(Array.from({ length: Math.ceil(jobs / 4) }, (_, id) => noopInput(id)))
  const inputs = Array.from({ length: jobs }, (_, id) => noopInput(id))
  const began = performance.now()
  await run(inputs)
  const ms = performance.now() - began
  process.send?.({ jobsPerSecond: (jobs / ms) * 1000 })
  if (process.send === undefined) console.log(`${Math.round((jobs / ms) * 1000)} jobs/s in ${Math.round(ms)} ms`)
}

/** Counts down to a promise. */
export class Countdown {
  #left = 0
  #done = () => undefined

  expect(count) {
    this.#left = count
    return new Promise((resolve) => {
      this.#done = resolve
    })
  }

  one() {
    if (--this.#left === 0) this.#done()
  }
}

export function* chunks(all, size) {
  for (let from = 0; from < all.length; from += size) yield all.slice(from, from + size)
}

export function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), 'millrace-bench-peer-'))
  process.on('exit', () => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A CommonJS package by its name. */
export const require = createRequire(import.meta.url)
