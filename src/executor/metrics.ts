/** The executor in figures, as Prometheus reads them. The names are a contract: dashboards and alerts are built on them. */
import { AT, type Count, GAUGES } from '../telemetry/counts.js'
import { Exposition, type Labels, type Sample } from '../telemetry/exposition.js'
import type { Series } from '../telemetry/series.js'
import { InThreads, namesOf, queueStatistics, type QueueStatistics } from './job-statistics.js'
import type { ExecutorParts } from './parts.js'
import { readCounts, readThreads } from './stats.js'

/** What a count of jobs, or of attempts, is called, and what it means. */
const COUNTERS: readonly (readonly [count: Count, name: string, help: string])[] = [
  ['enqueued', 'millrace_jobs_enqueued_total', 'Jobs stored.'],
  ['completed', 'millrace_jobs_completed_total', 'Jobs that completed.'],
  ['cancelled', 'millrace_jobs_cancelled_total', 'Jobs that were cancelled, waiting or running.'],
  ['discarded', 'millrace_jobs_discarded_total', 'Jobs that were discarded: out of retries, fatal, unfit, or quarantined.'],
  ['started', 'millrace_attempts_started_total', 'Attempts that have ended, in whatever way, and those at work now.'],
  ['failed', 'millrace_attempts_failed_total', 'Attempts that failed, but not by their timeout.'],
  ['timedOut', 'millrace_attempts_timed_out_total', 'Attempts that timed out.'],
  ['retried', 'millrace_attempts_retried_total', 'Attempts that failed or timed out and are followed by another one.'],
  ['snoozed', 'millrace_attempts_snoozed_total', 'Attempts whose handler put the job off.'],
  ['interrupted', 'millrace_attempts_interrupted_total', 'Attempts that were stopped for a reason that is not the job’s.'],
  ['crashed', 'millrace_attempts_crashed_total', 'Attempts that took the process down, running alone.'],
]

export function readMetrics(parts: ExecutorParts): string {
  const text = new Exposition()
  const all = Array.from(parts.store.stats.series.values(), (series) => ({ series, labels: namesOf(series, parts) }))
  addCounters(text, all, parts)
  for (const [name, help, of] of [
    ['millrace_wait_seconds', 'From when an attempt could begin to when it did, since the executor opened.', 'wait'],
    ['millrace_run_seconds', 'How long attempts ran, since the executor opened.', 'run'],
  ] as const) {
    text.histogram(
      name,
      help,
      all.map(({ series, labels }) => ({ labels, ...series[of].sinceOpen })),
    )
  }
  addQueues(text, queueStatistics(parts))
  addExecutor(text, parts)
  return text.toString()
}

interface Labelled {
  readonly series: Series
  readonly labels: Labels
}

function addCounters(text: Exposition, all: readonly Labelled[], parts: ExecutorParts): void {
  const inThreads = new InThreads(parts)
  const begun = (series: Series, count: Count): number => (count === 'started' ? inThreads.begun(series) : 0)
  for (const [count, name, help] of COUNTERS) {
    text.counter(
      name,
      help,
      all.map(({ series, labels }) => ({ labels, value: (series.durable[AT[count]] ?? 0) + begun(series, count) })),
    )
  }
  text.gauge(
    'millrace_backlog_jobs',
    'Jobs that are not over. waiting: available or running.',
    all.flatMap(({ series, labels }) =>
      GAUGES.map((state) => ({ labels: { ...labels, state }, value: series.durable[AT[state]] ?? 0 })),
    ),
  )
}

function addQueues(text: Exposition, queues: Readonly<Record<string, QueueStatistics>>): void {
  for (const [name, help, field] of [
    ['millrace_oldest_waiting_seconds', 'How long the job that has waited longest could have run.', 'oldestWaitingMs'],
    ['millrace_drain_seconds', 'When nothing would be waiting any more if no more came.', 'drainMs'],
  ] as const) {
    const samples = Object.entries(queues).map(([queue, told]) => ({ labels: { queue }, value: told[field] }))
    text.gauge(
      name,
      help,
      samples.flatMap(({ labels, value }) => (value === undefined ? [] : [{ labels, value: value / 1000 }])),
    )
  }
}

function addExecutor(text: Exposition, parts: ExecutorParts): void {
  const { dispatcher, ready, store } = parts
  const { sizeBytes, commits, lastCommitMs } = store.engine.stats()
  const only = (value: number): Sample[] => [{ value }]
  const states = Object.entries(readCounts(parts)).map(([state, value]) => ({ labels: { state }, value }))
  text.gauge('millrace_jobs', 'Jobs in the store by state; those that are over as long as they are kept.', states)
  const threads = { idle: 0, starting: 0, running: 0, terminating: 0 }
  for (const { state } of readThreads(parts)) threads[state]++
  text.gauge(
    'millrace_threads',
    'Threads by what they do.',
    Object.entries(threads).map(([state, value]) => ({ labels: { state }, value })),
  )
  text.gauge('millrace_stuck_threads', 'Threads that native code holds beyond their end.', only(dispatcher.stuckThreads))
  text.gauge('millrace_suspects', 'Jobs that were in flight at a crash and wait to be run alone.', only(ready.suspects.size))
  text.gauge('millrace_store_size_bytes', 'Size of the data file.', only(sizeBytes))
  text.counter('millrace_store_commits_total', 'Commits since the executor opened.', only(commits))
  text.gauge(
    'millrace_store_last_commit_seconds',
    'How long the latest commit took, syncing included.',
    only(lastCommitMs / 1000),
  )
  text.histogram(
    'millrace_turn_seconds',
    'From the beginning of a turn until its commit was durable, since the executor opened.',
    [store.stats.turns.sinceOpen],
  )
  text.gauge(
    'millrace_counted_since_seconds',
    'From when the counters of jobs and attempts count, in seconds since 1970.',
    only((store.stats.since?.at ?? 0) / 1000),
  )
}
