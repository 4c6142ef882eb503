/** graphile-worker on PostgreSQL, with its performance page's settings. Its tasks run on the main thread. */
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { Pool } from 'pg'
import { chunks, Countdown, measure, postgresPort, settings } from './peer.mjs'

const { concurrency = 24, localQueue = 500, chunk = 5000 } = settings
const connectionString = `postgres://postgres@127.0.0.1:${postgresPort}/postgres`
const logger = new Logger(() => () => undefined)
const pool = new Pool({ connectionString, max: 2 })
await pool.query('drop schema if exists graphile_worker cascade')
const utils = await makeWorkerUtils({ connectionString, logger })
await utils.migrate()
const countdown = new Countdown()
const runner = await run({
  preset: {
    worker: {
      connectionString,
      concurrentJobs: concurrency,
      maxPoolSize: concurrency + 1,
      localQueue: { size: localQueue, refetchDelay: { durationMs: 10 } },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
  logger,
  noHandleSignals: true,
  taskList: { noop: async () => countdown.one() },
})

await measure(async (inputs) => {
  const done = countdown.expect(inputs.length)
  for (const some of chunks(inputs, chunk)) {
    await utils.addJobs(some.map((payload) => ({ identifier: 'noop', payload })))
  }
  await done
  // Run is not yet over: a completion is the row's removal, which comes in batches of its own.
  for (;;) {
    const { rows } = await pool.query('select 1 from graphile_worker._private_jobs limit 1')
    if (rows.length === 0) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
})
await runner.stop()
await utils.release()
await pool.end()
process.exit(0)
