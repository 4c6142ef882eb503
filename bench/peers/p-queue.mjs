/** p-queue: a queue in memory, on the main thread. Nothing is stored, and a handler that computes would block. */
import PQueue from 'p-queue'
import { chunks, measure } from './peer.mjs'

const queue = new PQueue({ concurrency: 64 })

await measure(async (inputs) => {
  for (const some of chunks(inputs, 5000)) await Promise.all(some.map((input) => queue.add(async () => void input)))
})
process.exit(0)
