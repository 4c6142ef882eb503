/** Schedules of every second, in a process that is killed at random moments: each second has one run, whatever happened in it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.js'
import { openLmdbEngine } from '../../src/store/lmdb/lmdb-engine.js'
import { told } from '../fixtures/executor/schedule-jobs.js'
import { listed, setup } from '../support/executor.js'
import { createPrng, seedOfRun } from '../support/prng.js'
import { checkStore } from '../support/store-check.js'
import { tempDirectory } from '../support/temp-directory.js'

const KILLS = 6
const PROGRAM = fileURLToPath(new URL('../fixtures/executor/secondly.js', import.meta.url))

it('each second has one run, whatever is killed in it', async (t) => {
  const seed = seedOfRun()
  t.diagnostic(`MILLRACE_SEED=${seed}`)
  const prng = createPrng(seed)
  const path = await tempDirectory(t)
  const heard = new Set<string>()
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, [PROGRAM, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => void child.kill('SIGKILL'))
    const gone = once(child, 'exit')
    const lines = createInterface({ input: child.stdout })
    let wanted = 1 + prng.below(3)
    for await (const line of lines) {
      if (line.startsWith('completed')) heard.add(line.slice('completed '.length))
      if (line === 'made' || wanted-- > 0) continue
      // Somewhere within the next second.
      setTimeout(() => child.kill('SIGKILL'), prng.below(1000))
      wanted = Infinity
    }
    await gone
  }
  const { executor } = await setup(t, { path, jobs: [told], retain: { jobs: Infinity, age: Infinity } })
  await executor.drain()
  const schedules = await executor.schedules()
  assert.equal(schedules.length, 2)
  for (const { name } of schedules) await executor.unschedule(name)
  await executor.drain()
  const infos = await listed(executor)
  for (const name of ['secondly', 'every']) {
    const runs = infos.filter(({ schedule }) => schedule?.name === name)
    const planned = runs.map(({ schedule }) => schedule?.plannedAt ?? 0).sort((left, right) => left - right)
    const [first = 0] = planned
    assert.ok(planned.length >= KILLS, `${planned.length} runs`)
    assert.deepEqual(
      planned,
      planned.map((_, index) => first + index * 1000),
      `${name}, seed ${seed}`,
    )
    for (const { state } of runs) assert.equal(state, 'completed')
  }
  for (const id of heard)
    assert.ok(
      infos.some((info) => info.id === id),
      `${id} was told to be completed, and is gone`,
    )
  await executor.close()
  const engine = await openLmdbEngine(path, { durability: 'process', clock: systemClock })
  t.after(() => engine.close())
  assert.deepEqual(checkStore(engine, { keepsAll: true }), [])
})
