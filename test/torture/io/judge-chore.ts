/** Judges a backup, a compaction or a repair on a disk that fails. */
import type { Chore, IoLine, Scenario } from '../../fixtures/io/scenario.js'
import type { Note } from '../shim/recording.js'
import { find, isGhost } from './told.js'

/** What the call may throw. A repair may also answer that it could not read the store. */
const CODES: Readonly<Record<Chore, ReadonlySet<string>>> = {
  backup: new Set(['MILLRACE_COPY_FAILED']),
  compact: new Set(['MILLRACE_COPY_FAILED', 'MILLRACE_STORE_UNUSABLE']),
  repair: new Set(['MILLRACE_STORE_FAILED', 'MILLRACE_STORE_UNUSABLE']),
}

export interface ToldOfChore {
  readonly notes: readonly Note<IoLine>[]
  readonly problems: readonly string[]
  readonly died: boolean
  readonly faulted: boolean
}

export function judgeChore(scenario: Scenario, { notes, problems, died, faulted }: ToldOfChore): string[] {
  const { chore = 'backup' } = scenario
  const found = problems.map((text) => `[process] ${text}`)
  for (const note of notes) if (note.is === 'complaint') found.push(`[process] ${note.text}`)
  const told = find(notes, 'chore')
  if (told === undefined && !died) found.push('[process] it did not say what became of it')
  // LMDB writes what is left of a copy when the system took a part of it; whether the copy is whole was looked at.
  const mayGoOn = chore === 'backup' && scenario.order?.includes(' short ') === true
  if (told?.done === true && faulted && !mayGoOn)
    found.push(`[unheard] a write or sync was refused, and the ${chore} says that it is done: ${told.message}`)
  if (told?.code !== undefined && !CODES[chore].has(told.code)) found.push(`[error] it failed with ${told.code}: ${told.message}`)
  const [before, after, again] = (['before', 'after', 'again'] as const).map((at) => recordsAt(notes, at))
  if (before === undefined || after === undefined || again === undefined) found.push('[process] it did not come to its end')
  // A repair that was not told of may be there as a whole, if the disk has stored what it refused, or its process died with the answer.
  const mayBeDone = chore === 'repair' && (told?.done === true || isGhost(scenario) || died)
  if (after !== before && !(mayBeDone && after === again)) found.push('[store] the store is not what it was')
  // A backup is made of a store that is opened, and what opening stores does not matter here.
  if (chore === 'compact' && again !== before) found.push('[store] the store is not what it was, after it was done again')
  return found
}

function recordsAt(notes: readonly Note<IoLine>[], at: 'before' | 'after' | 'again'): string | undefined {
  for (const note of notes) if (note.is === 'records' && note.at === at) return note.hash
  return undefined
}
