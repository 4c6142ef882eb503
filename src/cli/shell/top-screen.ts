/** What `millrace top` shows. Pure: a state and the size of a terminal become lines that fit into it. */
import type { QueueRow } from '../../control-socket/queue-rows.js'
import type { Status, ThreadRow } from '../../control-socket/status.js'
import { formatBytes, formatCount, printable, shorten } from '../demo/format-quantity.js'
import { formatRate, formatSpan } from './format.js'
import { drainText, STANDING_COLUMNS, standingCells, urgency, waitingText } from './status-text.js'
import { type Cell, type Column, cutText, type Paint, tableLines } from './table.js'
import type { Rates } from './top-rates.js'

export interface TopState {
  /** The latest answer; undefined before the first. */
  readonly status: Status | undefined
  readonly rates: Rates | undefined
  /** Why there is no newer answer. */
  readonly problem: string | undefined
}

export interface TopSize {
  readonly width: number
  readonly height: number
}

const BAR_WIDTH = 10
/** Lines of the head, of both tables' titles, of the gaps and of the foot. */
const FIXED_LINES = 10

export function topLines({ status, rates, problem }: TopState, { width, height }: TopSize, paint: Paint): string[] {
  const foot = [paint(problem === undefined ? 'dim' : 'red', cutText(problem ?? 'q quits', width))]
  if (status === undefined) return foot
  const { queues, threads } = status
  const room = Math.max(2, height - FIXED_LINES)
  // Busy ones come first when there is no room for all; half of it is for the queues, or more when the threads leave some.
  const threadRoom = Math.min(threads.length, Math.max(Math.ceil(room / 2), room - queues.length))
  const queueRoom = Math.max(1, room - threadRoom)
  const lines = [
    ...headLines(status, rates, width, paint),
    '',
    ...queueTable(queues, queueRoom, rates, width, paint),
    '',
    ...threadTable(threads, threadRoom, width, paint),
    '',
  ]
  return [...lines.slice(0, height - foot.length), ...foot]
}

function headLines(status: Status, rates: Rates | undefined, width: number, paint: Paint): string[] {
  const { directory, running, version, at, threads, store, queues, stuckThreads, suspects } = status
  const time = new Date(at).toISOString().slice(11, 19)
  const who = running === null ? 'nobody has it open' : `process ${running.pid}, open for ${formatSpan(at - running.openedAt)}`
  const about = `${who}, millrace ${version}, ${time}Z`
  const where = shorten(printable(directory), Math.max(10, width - about.length - 2))
  const busy = threads.filter(({ job }) => job !== undefined).length
  const oldest = Math.max(...queues.map(({ oldestWaitingMs }) => oldestWaitingMs ?? -1))
  const perSecond = (rate: number | undefined): string => (rate === undefined ? '–' : `${formatRate(rate)}/s`)
  return [
    `${paint('bold', where)}  ${about}`,
    cutText(
      `threads  ${bar(threads.length === 0 ? 0 : busy / threads.length)} ${busy} of ${threads.length} busy` +
        (stuckThreads > 0 ? `, ${stuckThreads} stuck` : '') +
        (suspects > 0 ? `; ${formatCount(suspects)} suspects` : ''),
      width,
    ),
    cutText(`jobs     ${waitingText(status)}; the oldest has waited ${oldest < 0 ? '–' : formatSpan(oldest)}`, width),
    cutText(
      `rates    ${perSecond(rates?.completed)} completed, ${perSecond(rates?.discarded)} discarded, ${perSecond(rates?.cancelled)} cancelled; ` +
        `store ${formatBytes(store.sizeBytes)}, commit ${store.lastCommitMs.toFixed(1)} ms`,
      width,
    ),
  ]
}

const QUEUE_COLUMNS: readonly Column[] = [
  ...STANDING_COLUMNS,
  { title: 'DONE/S', align: 'right' },
  { title: 'OLDEST', align: 'right' },
  { title: 'EMPTY IN', align: 'right' },
]

function queueTable(queues: readonly QueueRow[], room: number, rates: Rates | undefined, width: number, paint: Paint): string[] {
  const load = ({ running, available, retryable, scheduled }: QueueRow): number =>
    running * 1e12 + available + retryable + scheduled
  const shown = queues.length <= room ? queues : [...queues].sort((left, right) => load(right) - load(left)).slice(0, room)
  const rows = shown.map((queue): Cell[] => {
    const rate = rates?.queues.get(queue.name)
    return [
      ...standingCells(queue, 30),
      rate === undefined ? '–' : formatRate(rate),
      formatSpan(queue.oldestWaitingMs),
      drainText(queue),
    ]
  })
  return withRest(tableLines(QUEUE_COLUMNS, rows, paint, width), queues.length - shown.length, 'queues', width)
}

const THREAD_COLUMNS: readonly Column[] = [
  { title: 'THREAD', align: 'right' },
  { title: 'STATE' },
  { title: 'RUNS FOR', align: 'right' },
  { title: 'OF', align: 'right' },
  { title: '' },
  { title: 'JOB' },
  { title: 'QUEUE' },
  { title: 'ID' },
]

function threadTable(threads: readonly ThreadRow[], room: number, width: number, paint: Paint): string[] {
  const share = ({ job }: ThreadRow): number => (job === undefined ? -1 : job.timeoutMs === null ? 0 : job.runMs / job.timeoutMs)
  const shown = threads.length <= room ? threads : [...threads].sort((left, right) => share(right) - share(left)).slice(0, room)
  const rows = shown.map((thread): Cell[] => {
    const { threadId, state, job } = thread
    const style = state === 'idle' ? 'dim' : state === 'terminating' ? 'red' : undefined
    if (job === undefined) return [String(threadId), { text: state, style }]
    const near = urgency(job.runMs, job.timeoutMs)
    return [
      String(threadId),
      { text: state, style },
      { text: formatSpan(job.runMs), style: near },
      formatSpan(job.timeoutMs ?? Infinity),
      { text: job.timeoutMs === null ? '' : bar(share(thread)), style: near },
      shorten(job.name, 30),
      shorten(job.queue, 20),
      job.id,
    ]
  })
  return withRest(tableLines(THREAD_COLUMNS, rows, paint, width), threads.length - shown.length, 'threads', width)
}

/** The last row becomes the word about those that have no room. */
function withRest(lines: readonly string[], hidden: number, what: string, width: number): string[] {
  return hidden <= 0 ? [...lines] : [...lines.slice(0, -1), cutText(`… and ${hidden + 1} more ${what}`, width)]
}

function bar(share: number): string {
  const filled = Math.min(BAR_WIDTH, Math.max(0, Math.round(share * BAR_WIDTH)))
  return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled)
}
