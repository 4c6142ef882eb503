/** workerpool: a pool of threads. Nothing is stored. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { chunks, measure, require } from './peer.mjs'

const workerpool = require('workerpool')
const threads = availableParallelism()
const pool = workerpool.pool(fileURLToPath(new URL('workerpool-job.mjs', import.meta.url)), {
  workerType: 'thread',
  minWorkers: threads,
  maxWorkers: threads,
})

await measure(async (inputs) => {
  for (const some of chunks(inputs, 2000)) await Promise.all(some.map((input) => pool.exec('noop', [input])))
})
await pool.terminate(true)
process.exit(0)
