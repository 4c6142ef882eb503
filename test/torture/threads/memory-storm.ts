/**
 * Every job leaves Buffers behind in its thread, which no heap limit sees. With `limits.memoryBytes` the process stays below what it was
 * given, whatever they hold together: claims pause, the fattest thread goes, and every job is done at its first attempt.
 */
import { hoards } from '../../fixtures/torture/victims.js'
import { Arena, completes } from './arena.js'
import { mib } from './remains.js'

const JOBS = 40
const MIB = 1024 * 1024
/** Beside what the process has before the storm. */
const ROOM_BYTES = 240 * MIB
/** What two threads may take between two looks at the memory, and until the fattest one is gone. */
const MARGIN_BYTES = 480 * MIB

export interface MemoryFigures {
  readonly jobs: number
  readonly recycled: number
  readonly mostMib: number
}

/**
 * @param scale - how many times the jobs of the quick form
 * @param isWatched - false plants the fault: nobody looks at the memory
 */
export async function memoryStorm(
  scale: number,
  isWatched = true,
): Promise<{ readonly figures: MemoryFigures; readonly violations: readonly string[] }> {
  const before = process.memoryUsage.rss()
  const limitBytes = before + ROOM_BYTES
  const arena = await Arena.open({ jobs: [hoards], limits: { memoryBytes: isWatched ? limitBytes : Infinity } })
  const { executor } = arena
  let recycled = 0
  let most = 0
  executor.on('memory', ({ action }) => {
    if (action === 'recycling') recycled++
    if (action === 'slowed') arena.blame('memory: nothing ran, and there was no room for anything')
  })
  executor.on('completed', () => {
    most = Math.max(most, process.memoryUsage.rss())
    if (most > limitBytes + MARGIN_BYTES)
      arena.blame(`memory: ${mib(most)} MiB, of ${mib(limitBytes)} there may be and ${mib(MARGIN_BYTES)} beyond`)
  })
  const inputs = Array.from({ length: JOBS * scale }, (_, n) => n)
  const jobs = await executor.enqueueMany(hoards, inputs)
  for (const [n, { id }] of jobs.entries()) arena.expect(id, completes(n))
  await arena.drained()
  await arena.judge()
  // The last one may be on its way out.
  const ended = arena.threadsEnded
  if (arena.violations.length === 0 && (ended > recycled || ended < recycled - 1))
    arena.blame(`${ended} threads ended, and ${recycled} were to be replaced`)
  await arena.close()
  return {
    figures: { jobs: inputs.length, recycled, mostMib: mib(most - before) },
    violations: arena.violations.map((violation) => `every job keeps memory: ${violation}`),
  }
}
