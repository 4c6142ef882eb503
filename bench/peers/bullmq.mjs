/** BullMQ on Redis. Its handlers run on the main thread: the faster of its two ways, a sandbox being a process or thread per job. */
import { Queue, Worker } from 'bullmq'
import { chunks, Countdown, measure, redisPort, settings } from './peer.mjs'

const { concurrency = 200, chunk = 1000 } = settings
const connection = { host: '127.0.0.1', port: redisPort, maxRetriesPerRequest: null }
const queue = new Queue('noop', { connection })
await queue.obliterate({ force: true })
const countdown = new Countdown()
const worker = new Worker('noop', async () => undefined, {
  connection,
  concurrency,
  // As retention by count goes in Millrace: the last thousand.
  removeOnComplete: { count: 1000 },
})
// Told when Redis has answered that the job is completed, which with appendfsync always is when it is on disk.
worker.on('completed', () => countdown.one())
await worker.waitUntilReady()

await measure(async (inputs) => {
  const done = countdown.expect(inputs.length)
  for (const some of chunks(inputs, chunk)) await queue.addBulk(some.map((data) => ({ name: 'noop', data })))
  await done
})
await worker.close()
await queue.close()
process.exit(0)
