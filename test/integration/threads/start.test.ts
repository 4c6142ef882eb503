/** How a thread starts: it must be possible to end it at any moment of that, and nothing but the thread may end. */
import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { sep } from 'node:path'
import { it } from 'node:test'
import { openExecutorWith } from '../../../src/executor/open-executor.js'
import { openExecutor } from '../../../src/index.js'
import { required } from '../../fixtures/threads/required.js'
import { endless, good } from '../../fixtures/torture/victims.js'
import { nextEvent } from '../../support/executor.js'
import { newDirectory, open } from '../../support/open.js'

it('no ES module is required while a thread starts: Node aborts the process when a thread is ended in the middle of that', async (t) => {
  const { executor } = await open(t, { jobs: [required] })
  const files = await (await executor.enqueue(required)).result()
  assert.ok(
    files.some((file) => file.endsWith(`workers${sep}entry.cjs`)),
    'what Piscina requires has been renamed',
  )
  assert.deepEqual(
    files.filter((file) => !file.includes(`${sep}node_modules${sep}`) && !file.endsWith('.cjs')),
    [],
  )
})

it('an executor can be closed while its threads start', async (t) => {
  for (let turns = 0; turns < 20; turns++) {
    const { executor } = await open(t, { jobs: [required], threads: 2, path: ':memory:' })
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
    await executor.close({ grace: 0 })
  }
})

it('who listens right after openExecutor hears of the start of every job that waited', async (t) => {
  const path = newDirectory(t)
  const first = await openExecutor({ path, jobs: [good, endless], threads: 1 })
  const began = nextEvent(first, 'started')
  await first.enqueue(endless, 1)
  await began
  await first.enqueueMany(good, [{ n: 1 }, { n: 2 }])
  await first.close({ grace: 0 })

  // What would start before its time has every chance to do so.
  const attend = async (): Promise<() => Promise<void>> => {
    for (let turn = 0; turn < 500; turn++) await stat(path)
    return async () => undefined
  }
  const second = await openExecutorWith({ path, jobs: [good], threads: 1 }, { attend })
  t.after(() => second.close({ grace: 0 }))
  const started: string[] = []
  second.on('started', ({ job }) => started.push(job.name))
  await second.drain()
  assert.deepEqual(started, ['good', 'good'])
})
