/** What jobs amount to that were handed out and have come back unstarted. */
import { entryEnd } from '../codec/page.js'
import type { JobStore } from '../store/job-store.js'
import type { Slice } from '../store/page-ref.js'
import type { RunTimes } from './run-times.js'

/** Estimated thread time. */
export function returnedMs(slices: readonly Slice[], store: JobStore, runTimes: RunTimes): number {
  let ms = 0
  for (const { page, from, to, offset } of slices) {
    if (page.uniformDefinition >= 0) {
      ms += (to - from) * runTimes.estimateMs(page.uniformDefinition)
      continue
    }
    const bytes = store.bytesOf(page)
    for (let index = from, at = offset; index < to; index++, at = entryEnd(bytes, at))
      ms += runTimes.estimateMs(bytes.readUInt16LE(at + 4))
  }
  return ms
}
