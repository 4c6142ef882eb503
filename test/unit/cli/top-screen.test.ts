/** What `millrace top` and `status` show of a state, in terminals of any size. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statusLines } from '../../../src/cli/shell/status-text.js'
import { textWidth } from '../../../src/cli/shell/table.js'
import { RateWindow } from '../../../src/cli/shell/top-rates.js'
import { topLines } from '../../../src/cli/shell/top-screen.js'
import type { QueueRow } from '../../../src/control-socket/queue-rows.js'
import type { Status, ThreadRow } from '../../../src/control-socket/status.js'

const plain = (_style: string, text: string): string => text
const OPENED_AT = Date.UTC(2026, 4, 1, 12, 0, 0)

const tally = (completed: number) => ({ enqueued: completed, completed, failed: 2, discarded: 0 })

function queue(name: string, change: Partial<QueueRow> = {}): QueueRow {
  return {
    name,
    isPaused: false,
    concurrency: null,
    available: 10,
    running: 3,
    atWork: 1,
    heldAhead: 2,
    scheduled: 0,
    retryable: 0,
    oldestWaitingMs: 4200,
    drainMs: 60_000,
    totals: tally(100),
    lastHour: tally(50),
    ...change,
  }
}

function thread(threadId: number, runMs?: number, timeoutMs: number | null = 15_000): ThreadRow {
  if (runMs === undefined) return { threadId, state: 'idle', jobsDone: 3 }
  return {
    threadId,
    state: 'running',
    jobsDone: 3,
    job: { id: `id-${threadId}`, name: 'thumbnail', queue: 'images', runMs, timeoutMs },
  }
}

function status(change: Partial<Status> = {}): Status {
  return {
    version: '1.2.3',
    directory: '/data/jobs',
    at: OPENED_AT + 60_000,
    running: { pid: 42, openedAt: OPENED_AT },
    counts: { available: 12_345, running: 6, scheduled: 7, retryable: 1, completed: 100, cancelled: 0, discarded: 3 },
    totals: { completed: 1000, cancelled: 4, discarded: 3 },
    queues: [queue('images', { concurrency: 3, isPaused: true }), queue('mail', { oldestWaitingMs: null, drainMs: null })],
    threads: [thread(1, 3200), thread(2, 14_000), thread(3, 100, null), thread(4)],
    stuckThreads: 0,
    suspects: 0,
    inFlightAtDeath: 0,
    store: { sizeBytes: 12_345_678, commits: 99, lastCommitMs: 0.44 },
    ...change,
  }
}

test('a busy executor', () => {
  const window = new RateWindow()
  window.add(status())
  assert.equal(window.rates(), undefined)
  const now = status({
    at: OPENED_AT + 62_000,
    totals: { completed: 1624, cancelled: 4, discarded: 4 },
    queues: [
      queue('images', { concurrency: 3, isPaused: true, totals: tally(107) }),
      queue('mail', { oldestWaitingMs: null, drainMs: null }),
    ],
  })
  window.add(now)
  const lines = topLines({ status: now, rates: window.rates(), problem: undefined }, { width: 110, height: 30 }, plain)
  assert.deepEqual(lines, [
    '/data/jobs  process 42, open for 1m 02s, millrace 1.2.3, 12:01:02Z',
    'threads  ████████░░ 3 of 4 busy',
    'jobs     12,345 available, 2 running, 4 held ahead, 7 scheduled, 1 retryable; the oldest has waited 4.2s',
    'rates    312/s completed, 0.5/s discarded, 0/s cancelled; store 12.3 MB, commit 0.4 ms',
    '',
    'QUEUE   STATE   RUNNING  AHEAD  AVAILABLE  SCHEDULED  RETRYABLE  DONE/S  OLDEST  EMPTY IN',
    'images  paused   1 of 3      2         10          0          0     3.5    4.2s    1m 00s',
    'mail    open          1      2         10          0          0       0       –         –',
    '',
    'THREAD  STATE    RUNS FOR   OF              JOB        QUEUE   ID',
    '     1  running      3.2s  15s  ██░░░░░░░░  thumbnail  images  id-1',
    '     2  running       14s  15s  █████████░  thumbnail  images  id-2',
    '     3  running     100ms    ∞              thumbnail  images  id-3',
    '     4  idle',
    '',
    'q quits',
  ])
})

test('no line is wider and no picture higher than the terminal, and the busiest are shown', () => {
  const many = status({
    directory: `/very/${'long/'.repeat(60)}path`,
    queues: Array.from({ length: 40 }, (_, index) => queue(`queue-${index}`, { running: index === 33 ? 5 : 0 })),
    threads: Array.from({ length: 64 }, (_, index) => thread(index, index === 50 ? 14_900 : 10)),
  })
  for (let width = 20; width <= 140; width += 7) {
    for (let height = 5; height <= 60; height += 5) {
      const lines = topLines({ status: many, rates: undefined, problem: 'The executor has ended.' }, { width, height }, plain)
      assert.ok(lines.length <= height, `${lines.length} lines in ${height}`)
      for (const line of lines.slice(1)) assert.ok(textWidth(line) <= width, `${width}: ${line}`)
      assert.equal(lines.at(-1)?.startsWith('The executor has'), true)
    }
  }
  const text = topLines({ status: many, rates: undefined, problem: undefined }, { width: 120, height: 24 }, plain).join('\n')
  assert.match(text, /queue-33/)
  assert.match(text, /^ +50 +running/m)
  assert.match(text, /… and \d+ more queues/)
  assert.match(text, /… and \d+ more threads/)
})

test('rates begin anew with another process, and are never negative', () => {
  const window = new RateWindow()
  window.add(status())
  window.add(status({ running: { pid: 43, openedAt: OPENED_AT + 1 }, totals: { completed: 5, cancelled: 0, discarded: 0 } }))
  assert.equal(window.rates(), undefined)
})

test('before the first answer only the foot is there', () => {
  assert.deepEqual(topLines({ status: undefined, rates: undefined, problem: 'x' }, { width: 80, height: 24 }, plain), ['x'])
})

test('the status of a store that nobody has open', () => {
  const lines = statusLines(status({ running: null, threads: [], queues: [], inFlightAtDeath: 1, suspects: 2 }), plain, 200)
  assert.deepEqual(lines, [
    '/data/jobs: nobody has it open',
    '',
    'jobs     12,345 available, 0 running, 7 scheduled, 1 retryable',
    'kept     100 completed, 0 cancelled, 3 discarded',
    'ever     1,000 completed, 4 cancelled, 3 discarded',
    'store    12.3 MB; 99 commits, the latest took 0.4 ms',
    '2 jobs that ran when a process died: each is to be run alone',
    '1 job ran when the process died: rescued by the next start',
  ])
})
