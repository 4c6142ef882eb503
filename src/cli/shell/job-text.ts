/** Jobs, for people. Pure: what is said follows from what is given. */
import type { JobDetail, JobRow } from '../../control-socket/shapes.js'
import type { JobState } from '../../job/job-info.js'
import { printable } from '../demo/format-quantity.js'
import { formatDistance, formatInstant, formatSpan } from './format.js'
import { type Cell, type Column, type Paint, type Style, tableLines } from './table.js'

const STYLES: Readonly<Record<JobState, Style | undefined>> = {
  scheduled: 'dim',
  available: undefined,
  running: 'cyan',
  retryable: 'yellow',
  completed: 'green',
  cancelled: 'dim',
  discarded: 'red',
}

const JOB_COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'NAME' },
  { title: 'QUEUE' },
  { title: 'STATE' },
  { title: 'ATTEMPT', align: 'right' },
  { title: 'SINCE OR IN' },
  { title: 'ERROR' },
]

export function jobLines(jobs: readonly JobRow[], now: number, paint: Paint, width: number): string[] {
  const rows = jobs.map((job): Cell[] => [
    job.id,
    job.name,
    job.queue,
    { text: job.state, style: STYLES[job.state] },
    attemptText(job),
    formatDistance(job.finishedAt ?? job.runAt ?? job.enqueuedAt, now),
    job.error === undefined ? '' : firstLine(`${job.error.name}: ${job.error.message}`),
  ])
  return tableLines(JOB_COLUMNS, rows, paint, width)
}

function attemptText({ attempt, maxRetries }: Pick<JobRow, 'attempt' | 'maxRetries'>): string {
  return maxRetries === null ? String(attempt) : `${attempt} of ${maxRetries + 1}`
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

export function jobDetailLines(job: JobDetail, now: number, paint: Paint): string[] {
  const { id, name, queue, priority, state, timeoutMs, enqueuedAt, runAt, finishedAt, error, crashes, progress } = job
  const at = (instant: number): string => `${formatInstant(instant)} (${formatDistance(instant, now)})`
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['name', name],
    ['queue', `${queue}, priority ${priority}`],
    ['state', paint(STYLES[state] ?? 'bold', state)],
    ['attempt', attemptText(job)],
    ['timeout', timeoutMs === null ? 'none' : formatSpan(timeoutMs)],
    ['enqueued', at(enqueuedAt)],
    ['due', runAt === undefined ? undefined : at(runAt)],
    ['ended', finishedAt === undefined ? undefined : at(finishedAt)],
    ['crashes', crashes === 0 ? undefined : String(crashes)],
    ['progress', progress === undefined ? undefined : progressText(progress)],
    ['error', error === undefined ? undefined : errorText(error)],
  ]
  return [
    paint('bold', id),
    ...facts.flatMap(([label, text]) => (text === undefined ? [] : [`${label.padEnd(9)} ${text}`])),
    ...attemptLines(job, paint),
    '',
    ...valueLines('input', job.input, job.inputCut, paint),
    ...('output' in job ? valueLines('output', job.output, job.outputCut, paint) : []),
  ]
}

function progressText({ fraction, message }: NonNullable<JobDetail['progress']>): string {
  return `${Math.floor(fraction * 100)} %${message === undefined ? '' : `, ${printable(message)}`}`
}

function errorText({ name, message, code }: NonNullable<JobDetail['error']>): string {
  return printable(`${name}: ${firstLine(message)}${code === undefined ? '' : ` (${code})`}`)
}

const ATTEMPT_COLUMNS: readonly Column[] = [
  { title: 'ATTEMPT', align: 'right' },
  { title: 'OUTCOME' },
  { title: 'STARTED' },
  { title: 'RAN FOR', align: 'right' },
  { title: 'ERROR' },
]

function attemptLines({ attempts }: JobDetail, paint: Paint): string[] {
  if (attempts.length === 0) return []
  const rows = attempts.map(({ attempt, outcome, startedAt, endedAt, error }): Cell[] => [
    String(attempt),
    { text: outcome, style: outcome === 'completed' ? 'green' : error === undefined ? undefined : 'red' },
    formatInstant(startedAt),
    formatSpan(Math.max(0, endedAt - startedAt)),
    error === undefined ? '' : firstLine(`${error.name}: ${error.message}`),
  ])
  return ['', ...tableLines(ATTEMPT_COLUMNS, rows, paint)]
}

function valueLines(label: string, value: unknown, isCut: boolean | undefined, paint: Paint): string[] {
  const text = JSON.stringify(value ?? null, undefined, 2)
  return [
    paint('dim', isCut === true ? `${label} (not all of it)` : label),
    ...text.split('\n').map((line) => `  ${printable(line)}`),
  ]
}
