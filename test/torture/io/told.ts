/** What is known of a scenario: what was recorded, and what its process told, in one order. */
import type { Line } from '../../fixtures/crash/journal-line.js'
import type { IoLine, Scenario } from '../../fixtures/io/scenario.js'
import type { Note, RecordedEvent } from '../shim/recording.js'

export type Told = Note<IoLine>
type ToldAs<Is extends Told['is']> = Extract<Told, { is: Is }>

export type IoEvent = RecordedEvent & { note?: Note<IoLine> }

/** What was recorded of a scenario. */
export interface Course {
  readonly events: IoEvent[]
  /** What is wrong with how the process went. */
  readonly problems: string[]
  /** What it said on standard error. */
  noise: string
  /** The signal by which the process died. */
  signal: string | null
}

export function find<Is extends Told['is']>(notes: readonly Told[], is: Is): ToldAs<Is> | undefined {
  return notes.find((note): note is ToldAs<Is> => note.is === is)
}

export function linesOf(notes: readonly Told[]): Line[] {
  const others = new Set<Told['is']>([
    'scenario',
    'failure',
    'unopened',
    'store',
    'loop',
    'mended',
    'kept',
    'records',
    'chore',
    'count',
    'fault',
    'overrun',
  ])
  return notes.filter((note): note is Line => !others.has(note.is))
}

export function isGhost({ order = '' }: Scenario): boolean {
  return order.includes(' ghost ')
}
