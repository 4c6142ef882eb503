/** Judges what has become of the jobs of a store of an earlier format: as when nothing fails, and what was over untouched. */
import type { IoLine, Kept } from '../../fixtures/io/scenario.js'
import type { Note } from '../shim/recording.js'
import type { OldStart } from './starts.js'

const OVER: ReadonlySet<string> = new Set(['completed', 'cancelled', 'discarded'])

export function judgeKept(start: OldStart | undefined, kept: readonly Kept[], notes: readonly Note<IoLine>[]): string[] {
  const wrong: string[] = []
  const after = new Map(kept.map((job) => [job.id, job]))
  const before = new Map(start?.kept.map((job) => [job.id, job]))
  const expected = new Map(start?.expected?.map((job) => [job.id, job]))
  for (const job of before.values()) {
    const now = after.get(job.id)
    if (now === undefined) wrong.push(`lost: job ${job.id} ("${job.name}", ${job.state})`)
    else if (OVER.has(job.state) && now.whole !== job.whole) wrong.push(`job ${job.id} was ${job.state} and is another now`)
    else if (now.given !== job.given) wrong.push(`job ${job.id} has another input, queue or priority`)
    else if (now.attempts < job.attempts) wrong.push(`job ${job.id} has lost attempts`)
  }
  for (const { id, name, state } of after.values()) {
    const wanted = expected.get(id)?.state ?? state
    if (!before.has(id)) wrong.push(`job ${id} came from nowhere`)
    else if (state !== wanted) wrong.push(`job ${id} ("${name}") is ${state}, and ${wanted} when nothing fails`)
  }
  const ended = new Set<string>()
  for (const note of notes) {
    if (note.is !== 'outcome' || !before.has(note.id)) continue
    if (ended.has(note.id)) wrong.push(`job ${note.id} ended, and ended again`)
    ended.add(note.id)
    const state = after.get(note.id)?.state
    if (state !== note.state) wrong.push(`job ${note.id} was told to be ${note.state}, and is ${state}`)
    if (OVER.has(before.get(note.id)?.state ?? '')) wrong.push(`job ${note.id} was over before, and ended again`)
  }
  return wrong
}
