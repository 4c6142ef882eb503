/**
 * Checks what the store keeps in `meta`, but for the counters and the statistics: its format, its names, its schedules, what operators
 * have set, what was started under rates. Part of the store audit.
 */
import { QUEUE_STATE, readQueueState, writeQueueState } from '../codec/queue-state.js'
import type { Entry, WriteBatch } from '../store/engine.js'
import { auditRates } from './audit-limits.js'
import { checkSchedule } from './audit-schedules.js'

export interface MetaProblem {
  readonly text: string
  readonly repair?: (batch: WriteBatch) => void
}

/** The numbers that the store has names for. */
export interface KnownNames {
  readonly queue: Set<number>
  readonly definition: Set<number>
}

/** Fills `names`. @param highest - raised to the numbers of jobs that were given out */
export function auditMeta(entries: readonly Entry[], names: KnownNames, highest: { seq: number }): MetaProblem[] {
  const records = entries.map(({ key, value }) => ({ name: key.toString('utf8'), key, value }))
  for (const { name } of records) {
    const [kind, id] = name.split(':')
    if (kind === 'queue' || kind === 'definition') names[kind].add(Number(id))
  }
  const problems: MetaProblem[] = []
  const format = records.find(({ name }) => name === 'format')?.value.toString('latin1')
  if (format === undefined) problems.push({ text: 'meta has no format' })
  else if (!/^\{"format":[1-9]\d*,"mark":\d+\}$/.test(format)) problems.push({ text: `meta format cannot be read: ${format}` })
  for (const { name, key, value } of records) {
    if (name.startsWith('schedule:'))
      problems.push(...checkSchedule({ key, value }, names.queue, highest).map((text) => ({ text })))
    if (!name.startsWith(`${QUEUE_STATE}:`)) continue
    const wrong = wrongState(name.slice(QUEUE_STATE.length + 1), value, names)
    // Without it the options of openExecutor hold, as for every queue of which nothing was set.
    if (wrong !== undefined) problems.push({ text: `meta ${name} ${wrong}`, repair: (batch) => batch.remove('meta', key) })
  }
  problems.push(
    ...auditRates(
      records.filter(({ name }) => name.startsWith('rate:')),
      names.queue,
    ),
  )
  return problems
}

function wrongState(id: string, value: Buffer, names: KnownNames): string | undefined {
  if (!/^\d+$/.test(id) || !names.queue.has(Number(id))) return 'is of an unknown queue'
  try {
    const bytes = writeQueueState(readQueueState(value))
    if (bytes === undefined) return 'says nothing'
    return bytes.equals(value) ? undefined : 'says more than can be set of a queue'
  } catch (error) {
    return `cannot be read: ${error instanceof Error ? error.message : String(error)}`
  }
}
