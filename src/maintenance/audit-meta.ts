/** Looks through the table `meta` for the store audit: the format, the names that records are of, and records of their own kind. */
import type { Entry, WriteBatch } from '../store/engine.js'
import { auditRates } from './audit-limits.js'

/** The numbers of queues and definitions that have names. */
export interface AuditNames {
  readonly queue: Set<number>
  readonly definition: Set<number>
}

interface MetaProblem {
  readonly text: string
  readonly repair?: (batch: WriteBatch) => void
}

/** @param names - is filled with those found */
export function* auditMeta(entries: Iterable<Entry>, names: AuditNames): Generator<MetaProblem> {
  const rates: Entry[] = []
  let format: string | undefined
  for (const entry of entries) {
    const name = entry.key.toString('utf8')
    const [kind, id] = name.split(':')
    if (name === 'format') format = entry.value.toString('latin1')
    else if (kind === 'queue' || kind === 'definition') names[kind].add(Number(id))
    else if (kind === 'rate') rates.push(entry)
  }
  if (format === undefined) yield { text: 'meta has no format' }
  else if (!/^\{"format":[1-9]\d*,"mark":\d+\}$/.test(format)) yield { text: `meta format cannot be read: ${format}` }
  yield* auditRates(rates, names.queue)
}
