/** A job as the judge of a crash run knows it, and what is counted of all of them. */
import type { Line } from '../fixtures/crash/journal-line.js'
import type { Incarnation, Journal } from './crash-run.js'
import type { Figures, Problem } from './crash-verdict.js'

export type LineOf<Is extends Line['is']> = Line & { readonly is: Is }

/** A run, and the attempt that it is. */
interface Run {
  readonly run: string
  readonly attempt: number
}

export interface JudgedJob {
  readonly id: string
  readonly key: number
  acknowledged: boolean
  /** How it ended, once somebody was told. */
  over: string | undefined
  toldByEvent: boolean
  attempt: number
  /** The latest run. */
  run: string
  /** The highest attempt that was told to have failed. */
  failedAttempt: number
  /** The latest run, as long as nothing tells that it ended. */
  open: Run | undefined
  /** The run before it, of the same process, of which nothing has told that it ended when the latest one began. */
  superseded: Run | undefined
  /** It was over, and is brought back as far as anybody knows: what it was, and how often it had begun. */
  revived: { readonly from: string | undefined; readonly starts: number; isAcknowledged: boolean } | undefined
  /** Its attempts may have begun at 1 again. */
  wasRevived: boolean
  /** It was told what became of the latest run. */
  told: boolean
  readonly starts: { readonly incarnation: number; readonly attempt: number }[]
  intactEnds: number
  /** The process that opened the store after this job was in flight and did not list it; and what was in flight. */
  unlisted: { readonly by: number; readonly attempt: number; readonly wasClosing: boolean } | undefined
  found: LineOf<'found'> | undefined
}

/** @param counted - what the judge has counted by the way */
export function figuresOf(
  { incarnations }: Journal,
  jobs: readonly JudgedJob[],
  problems: readonly Problem[],
  counted: Pick<Figures, 'tried' | 'ordered' | 'rescued' | 'quarantined'>,
): Figures {
  const inOpening = incarnations.filter(({ killed }) => killed === 'opening').length
  const stateCount = (state: string): number => jobs.filter(({ found }) => found?.state === state).length
  return {
    kills: incarnations.filter(({ killed }) => killed !== 'never').length,
    killsInOpening: inOpening,
    killsInRecovery: incarnations.filter(isInRecovery).length,
    killsInOpeningPercent: Math.round((100 * inOpening) / Math.max(1, incarnations.length - 1)),
    stopped: incarnations.filter(({ stopped }) => stopped).length,
    endsInCommit: incarnations.filter(({ lines }) => lines.some((line) => line.is === 'dies' && line.at === 'in a commit'))
      .length,
    ...counted,
    acknowledged: jobs.filter(({ acknowledged }) => acknowledged).length,
    lost: problems.filter(({ check }) => check === 'lost').length,
    unacknowledged: jobs.filter(({ acknowledged, found }) => !acknowledged && found !== undefined).length,
    runs: jobs.reduce((sum, { starts }) => sum + starts.length, 0),
    ranTwice: jobs.filter(ranTwice).length,
    backups: incarnations.filter(({ backup }) => backup !== undefined).length,
    completed: stateCount('completed'),
    cancelled: stateCount('cancelled'),
    discarded: stateCount('discarded'),
  }
}

/** It had read claims, and did not come to tell that what it made of them was durable. */
function isInRecovery({ lines, killed }: Incarnation): boolean {
  const read = lines.findLastIndex(({ is }) => is === 'recovering')
  const line = lines[read]
  return (
    killed !== 'never' && line?.is === 'recovering' && line.claims > 0 && lines.slice(read).every(({ is }) => is !== 'recovered')
  )
}

function ranTwice({ starts }: JudgedJob): boolean {
  return starts.some(({ attempt, incarnation }, index) => {
    const before = starts[index - 1]
    return before !== undefined && before.attempt === attempt && before.incarnation < incarnation
  })
}
