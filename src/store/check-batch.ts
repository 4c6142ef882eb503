/**
 * What every engine requires of a commit, checked before its first byte is written: LMDB does not roll back a batch that
 * fails half-way through being handed over, so nothing may fail there. Called by the engines only.
 */
import { assert } from '../base/assert.js'
import { TABLES, type Table, type WriteBatch } from './engine.js'

/** Longest key. LMDB would take 1978 bytes; short keys keep the branch pages flat. */
const KEY_BYTES = 64
/** Longest value: lengths travel through LMDB's binding as signed 32 bits. */
const VALUE_BYTES = 2 ** 31 - 1

const tables: ReadonlySet<Table> = new Set(TABLES)

export function checkKey(key: Uint8Array): void {
  assert(key instanceof Uint8Array, 'a key is not bytes')
  assert(key.length >= 1 && key.length <= KEY_BYTES, `a key has ${key.length} bytes, not 1 to ${KEY_BYTES}`)
}

/** Throws when the engine cannot take the batch as it is. */
export function checkBatch(batch: WriteBatch): void {
  let bytes = 0
  for (let index = 0; index < batch.length; index++) {
    const key = batch.keys[index]
    const value = batch.values[index]
    assert(tables.has(batch.tables[index] as Table), `there is no table '${String(batch.tables[index])}'`)
    assert(key !== undefined, 'a batch has fewer keys than tables')
    checkKey(key)
    assert(value === undefined || value instanceof Uint8Array, 'a value is not bytes')
    const length = value?.length ?? 0
    assert(length <= VALUE_BYTES, `a value has ${length} bytes, more than ${VALUE_BYTES}`)
    bytes += key.length + length
  }
  // A buffer that was transferred to a thread after `put` is empty by now, and would be stored as such.
  assert(bytes === batch.bytes, `a batch of ${batch.bytes} bytes has ${bytes} when it is committed`)
}
