/** fastq: a queue in memory, on the main thread. Nothing is stored, and a handler that computes would block. */
import { measure, require } from './peer.mjs'

const queue = require('fastq').promise(async () => undefined, 64)

await measure((inputs) => Promise.all(inputs.map((input) => queue.push(input))))
process.exit(0)
