import { PAYLOAD_INPUT } from '../codec/keys.js'
import { ENTRY_EXTERNAL } from '../codec/page.js'
import { readPayload } from '../codec/payload.js'
import type { JobStore } from '../store/job-store.js'
import type { OpenedJob } from './job-moves.js'
import type { Registry } from './registry.js'

/** A job's input as the functions of its definition expect it. */
export function inputOf({ page, index, entry }: OpenedJob, store: JobStore, registry: Registry): unknown {
  const apart = (entry.flags & ENTRY_EXTERNAL) !== 0 ? store.readPayload(page.seqOf(index), PAYLOAD_INPUT) : undefined
  const raw = readPayload(apart ?? page.data.subarray(entry.payloadFrom, entry.end))
  const parsed = registry.parse(entry.definitionId, raw)
  return parsed instanceof Promise || parsed.problem !== undefined ? raw : parsed.value
}
