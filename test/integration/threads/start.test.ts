/** How a thread starts: it must be possible to end it at any moment of that, and nothing but the thread may end. */
import assert from 'node:assert/strict'
import { sep } from 'node:path'
import { it } from 'node:test'
import { required } from '../../fixtures/threads/required.js'
import { open } from '../../support/open.js'

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
