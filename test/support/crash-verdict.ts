/** What the judge of a crash run says. Types only. */

/** What can be wrong. */
export type Check =
  /** An acknowledged job is not in the store. */
  | 'lost'
  /** A job is in the store that nobody tried to enqueue, or whose enqueue was refused. */
  | 'unexpected'
  /** One enqueue is in the store under two ids. */
  | 'doubled'
  /** A job is not over although the store was drained. */
  | 'unfinished'
  /** A run began or went on after the job's end was told. */
  | 'ran after over'
  /** A job's end was told twice, or differently from what is stored. */
  | 'two ends'
  /** A run went on after the next one had begun. */
  | 'overlap'
  /** Of jobs that one thread was to run in their order, a later one began first. */
  | 'order'
  /** What was set and acknowledged is not so. */
  | 'setting'
  /** A job of a paused queue began. */
  | 'paused'
  /** A job that was acknowledged before a backup is not in it, or one that nobody enqueued is. */
  | 'backup'
  /** A later run has a lower number, or a charged failure was forgotten. */
  | 'attempts'
  /** A run has left no trace in the job's history. */
  | 'unrecorded run'
  /** A job was in flight at a kill, and the next opening did not list it. */
  | 'recovery'
  /** A job is completed, and no run of it came to its end. */
  | 'never ran'
  /** An input or output is not what it was, or `get` and `list` differ. */
  | 'content'
  /** The store breaks its own rules. */
  | 'store'
  /** A process complained, hung or ended by itself. */
  | 'process'

export interface Problem {
  readonly check: Check
  readonly text: string
}

export interface Figures {
  readonly kills: number
  readonly killsInOpening: number
  /** … between the read of what the last process held and the commit of what was made of it. */
  readonly killsInRecovery: number
  readonly killsInOpeningPercent: number
  /** Processes that were stopped before they were killed. */
  readonly stopped: number
  /** Processes that ended by themselves as they were told to, while a commit was under way. */
  readonly endsInCommit: number
  readonly tried: number
  readonly acknowledged: number
  readonly lost: number
  /** Stored although the process died before it could tell. */
  readonly unacknowledged: number
  readonly runs: number
  /** Jobs of which a kill made one attempt run again. */
  readonly ranTwice: number
  /** First runs whose place in the order could be told. */
  readonly ordered: number
  readonly backups: number
  readonly rescued: number
  readonly quarantined: number
  readonly completed: number
  readonly cancelled: number
  readonly discarded: number
}

export interface Verdict {
  readonly problems: readonly Problem[]
  readonly figures: Figures
}
