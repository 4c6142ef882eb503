import { getHeapStatistics } from 'node:v8'

/** Bytes of JavaScript heap that this thread uses. Buffers are outside of it. */
export function heapUsed(): number {
  return getHeapStatistics().used_heap_size
}

/** Bytes that go back to the system with this thread: its JavaScript heap, and the Buffers that hang on it. */
export function heldBytes(): number {
  const { total_physical_size: heapBytes, external_memory: externalBytes } = getHeapStatistics()
  return heapBytes + externalBytes
}
