/** pg-boss on PostgreSQL. Its handlers run on the main thread, a batch of jobs at a time. */
import { Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import { chunks, measure, postgresPort, settings } from './peer.mjs'

const { batchSize = 1000, workers = 4, chunk = 5000 } = settings
const connectionString = `postgres://postgres@127.0.0.1:${postgresPort}/postgres`
const pool = new Pool({ connectionString, max: 1 })
await pool.query('drop schema if exists pgboss cascade')
const boss = new PgBoss({ connectionString, useListenNotify: true, supervise: false, schedule: false })
boss.on('error', (error) => console.error(error))
await boss.start()
await boss.createQueue('noop', { notify: true })
await boss.work(
  'noop',
  {
    batchSize,
    localConcurrency: workers,
    burstWhenBatchFull: true,
    pollingIntervalSeconds: 0.5,
    notifyPollingIntervalSeconds: 0.5,
  },
  async () => undefined,
)

await measure(async (inputs) => {
  for (const some of chunks(inputs, chunk))
    await boss.insert(
      'noop',
      some.map((data) => ({ data })),
    )
  // A job is over when its row says so, which pg-boss writes after the handler has returned.
  for (;;) {
    const { rows } = await pool.query("select 1 from pgboss.job where name = 'noop' and state < 'completed' limit 1")
    if (rows.length === 0) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
})
await boss.stop({ graceful: false })
await pool.end()
process.exit(0)
