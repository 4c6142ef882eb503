/** poolifier: a fixed pool of threads. Nothing is stored. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { FixedThreadPool } from 'poolifier'
import { chunks, measure, settings } from './peer.mjs'

const { enableTasksQueue = false, concurrency = 1, enableEvents = false } = settings
const pool = new FixedThreadPool(availableParallelism(), fileURLToPath(new URL('poolifier-job.mjs', import.meta.url)), {
  enableTasksQueue,
  enableEvents,
  ...(enableTasksQueue && { tasksQueueOptions: { concurrency } }),
})

await measure(async (inputs) => {
  for (const some of chunks(inputs, 2000)) await Promise.all(some.map((input) => pool.execute(input)))
})
await pool.destroy()
process.exit(0)
