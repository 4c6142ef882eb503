/** How an executor stands, for people. Pure: what is said follows from what is given. */
import type { QueueRow } from '../../control-socket/queue-rows.js'
import type { Status, ThreadRow } from '../../control-socket/status.js'
import { formatBytes, formatCount, plural, printable, shorten } from '../demo/format-quantity.js'
import { formatSpan } from './format.js'
import { type Cell, type Column, cutText, type Paint, type Style, tableLines } from './table.js'

export function statusLines(status: Status, paint: Paint, width: number): string[] {
  const { counts, store, totals } = status
  return [
    headline(status, paint),
    '',
    ...[
      `jobs     ${waitingText(status)}`,
      `kept     ${formatCount(counts.completed)} completed, ${formatCount(counts.cancelled)} cancelled, ${formatCount(counts.discarded)} discarded`,
      `ever     ${formatCount(totals.completed)} completed, ${formatCount(totals.cancelled)} cancelled, ${formatCount(totals.discarded)} discarded`,
      `store    ${storeText(store)}`,
    ].map((line) => cutText(line, width)),
    ...warnings(status).map((line) => paint('yellow', cutText(line, width))),
    ...(status.queues.length > 0 ? ['', ...queueLines(status.queues, paint, width)] : []),
    ...(status.threads.length > 0 ? ['', ...threadLines(status.threads, paint, width)] : []),
  ]
}

/** Jobs that are not over. Of those handed to threads it tells apart what the threads are at, never more than there are threads. */
export function waitingText({ counts, queues }: Pick<Status, 'counts' | 'queues'>): string {
  const sum = (of: 'atWork' | 'heldAhead'): number => queues.reduce((jobs, queue) => jobs + queue[of], 0)
  const ahead = sum('heldAhead')
  return [
    `${formatCount(counts.available)} available`,
    `${formatCount(sum('atWork'))} running`,
    ...(ahead > 0 ? [`${formatCount(ahead)} held ahead`] : []),
    `${formatCount(counts.scheduled)} scheduled`,
    `${formatCount(counts.retryable)} retryable`,
  ].join(', ')
}

function headline({ directory, running, version, at }: Status, paint: Paint): string {
  const where = paint('bold', printable(directory))
  if (running === null) return `${where}: ${paint('yellow', 'nobody has it open')}`
  return `${where}: ${paint('green', 'open')} in process ${running.pid} for ${formatSpan(at - running.openedAt)}, millrace ${version}`
}

function storeText({ sizeBytes, commits, lastCommitMs }: Status['store']): string {
  if (commits === 0) return formatBytes(sizeBytes)
  return `${formatBytes(sizeBytes)}; ${formatCount(commits)} commits, the latest took ${lastCommitMs.toFixed(1)} ms`
}

/** What somebody should know of, if it is so. */
function warnings({ stuckThreads, suspects, inFlightAtDeath }: Status): string[] {
  return [
    ...(stuckThreads > 0 ? [`${plural(stuckThreads, 'thread')} held by native code beyond the end of its job`] : []),
    ...(suspects > 0 ? [`${plural(suspects, 'job')} that ran when a process died: each is to be run alone`] : []),
    ...(inFlightAtDeath > 0 ? [`${plural(inFlightAtDeath, 'job')} ran when the process died: rescued by the next start`] : []),
  ]
}

/** How a queue stands, as each table of queues begins. */
export const STANDING_COLUMNS: readonly Column[] = [
  { title: 'QUEUE' },
  { title: 'STATE' },
  { title: 'RUNNING', align: 'right' },
  { title: 'AHEAD', align: 'right' },
  { title: 'AVAILABLE', align: 'right' },
  { title: 'SCHEDULED', align: 'right' },
  { title: 'RETRYABLE', align: 'right' },
]

export function standingCells(queue: QueueRow, nameWidth = Infinity): Cell[] {
  const { name, isPaused, atWork, concurrency, heldAhead, available, scheduled, retryable } = queue
  return [
    shorten(name, nameWidth),
    { text: isPaused ? 'paused' : 'open', style: isPaused ? 'yellow' : undefined },
    concurrency === null ? formatCount(atWork) : `${formatCount(atWork)} of ${formatCount(concurrency)}`,
    formatCount(heldAhead),
    formatCount(available),
    formatCount(scheduled),
    { text: formatCount(retryable), style: retryable > 0 ? 'yellow' : undefined },
  ]
}

const QUEUE_COLUMNS: readonly Column[] = [
  ...STANDING_COLUMNS,
  { title: 'OLDEST', align: 'right' },
  { title: 'EMPTY IN', align: 'right' },
  { title: 'DONE/1H', align: 'right' },
  { title: 'FAILED/1H', align: 'right' },
]

export function queueLines(queues: readonly QueueRow[], paint: Paint, width: number): string[] {
  return tableLines(QUEUE_COLUMNS, queues.map(queueCells), paint, width)
}

function queueCells(queue: QueueRow): Cell[] {
  const { oldestWaitingMs, lastHour } = queue
  return [
    ...standingCells(queue),
    formatSpan(oldestWaitingMs),
    drainText(queue),
    formatCount(lastHour.completed),
    { text: formatCount(lastHour.failed), style: lastHour.failed > 0 ? 'red' : undefined },
  ]
}

const THREAD_COLUMNS: readonly Column[] = [
  { title: 'THREAD', align: 'right' },
  { title: 'STATE' },
  { title: 'JOB' },
  { title: 'QUEUE' },
  { title: 'ID' },
  { title: 'RUNS FOR', align: 'right' },
  { title: 'OF', align: 'right' },
  { title: 'DONE', align: 'right' },
]

export function threadLines(threads: readonly ThreadRow[], paint: Paint, width: number): string[] {
  return tableLines(THREAD_COLUMNS, threads.map(threadCells), paint, width)
}

function threadCells({ threadId, state, job, jobsDone }: ThreadRow): Cell[] {
  return [
    String(threadId),
    { text: state, style: state === 'idle' ? 'dim' : state === 'terminating' ? 'red' : undefined },
    job?.name ?? '',
    job?.queue ?? '',
    job?.id ?? '',
    job === undefined ? '' : { text: formatSpan(job.runMs), style: urgency(job.runMs, job.timeoutMs) },
    job === undefined ? '' : formatSpan(job.timeoutMs ?? Infinity),
    formatCount(jobsDone),
  ]
}

/** In how long the queue would be empty; nothing of one that is. */
export function drainText({ available, running, drainMs }: QueueRow): string {
  return available + running === 0 ? '–' : formatSpan(drainMs)
}

/** How near a run is to its timeout. */
export function urgency(runMs: number, timeoutMs: number | null): Style | undefined {
  if (timeoutMs === null) return undefined
  const share = runMs / timeoutMs
  return share >= 0.9 ? 'red' : share >= 0.5 ? 'yellow' : undefined
}
