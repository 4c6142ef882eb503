/** Bree: a new worker thread for every run. Nothing is stored. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import Bree from 'bree'
import { Countdown, measure, settings } from './peer.mjs'

const { concurrency = availableParallelism() } = settings
const path = fileURLToPath(new URL('bree-job.mjs', import.meta.url))
const bree = new Bree({ root: false, logger: false, hasShutdown: false })
const countdown = new Countdown()
let added = 0
let onDeleted = () => undefined
bree.on('worker deleted', (name) => onDeleted(name))

await measure(async (inputs) => {
  const names = []
  for (let index = 0; index < inputs.length; index++) names.push(`noop-${added++}`)
  await bree.add(names.map((name, index) => ({ name, path, worker: { workerData: inputs[index] } })))
  const done = countdown.expect(inputs.length)
  let next = 0
  // It has no limit of its own: as many threads at once as there are cores.
  onDeleted = (name) => {
    countdown.one()
    void bree.remove(name).catch(() => undefined)
    if (next < names.length) void bree.run(names[next++])
  }
  while (next < Math.min(concurrency, names.length)) void bree.run(names[next++])
  await done
})
process.exit(0)
