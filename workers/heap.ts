import { getHeapStatistics } from 'node:v8'

/** Bytes of JavaScript heap that this thread uses. Buffers are outside of it. */
export function heapUsed(): number {
  return getHeapStatistics().used_heap_size
}
