/** plainjob on SQLite (better-sqlite3). Its handlers run on the main thread, one job after the other. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { better, defineQueue, defineWorker } from 'plainjob'
import { chunks, Countdown, measure, settings, temporaryDirectory } from './peer.mjs'

const { synchronous = 'NORMAL', chunk = 5000 } = settings
const logger = { error: console.error, warn: console.warn, info: () => undefined, debug: () => undefined }
const connection = better(new Database(join(temporaryDirectory(), 'plainjob.db')))
const queue = defineQueue({ connection, logger })
// It opens its file with synchronous = NORMAL, which in WAL mode syncs at checkpoints only. FULL syncs every commit.
connection.pragma(`synchronous = ${synchronous}`)
const countdown = new Countdown()
const worker = defineWorker('noop', () => undefined, { queue, logger, pollIntervall: 1, onCompleted: () => countdown.one() })

await measure(async (inputs) => {
  const done = countdown.expect(inputs.length)
  for (const some of chunks(inputs, chunk)) queue.addMany('noop', some)
  // Adding blocks the event loop, so nothing could have run meanwhile.
  const working = worker.start()
  await done
  await worker.stop()
  await working
})
queue.close()
process.exit(0)
