/** The jobs that were in flight when the process died beside others, and wait to be run alone: by number, with where they lie. */
import { INDEX_SUSPECT, indexKey } from '../codec/keys.js'
import { readLocation, writeLocation } from '../codec/location.js'
import type { Engine, WriteBatch } from './engine.js'

export interface Suspect {
  readonly seq: number
  /** Of its page. */
  readonly key: Buffer
}

export function putSuspect(batch: WriteBatch, seq: number, key: Buffer): void {
  batch.put('index', indexKey(INDEX_SUSPECT, seq), writeLocation('pages', key))
}

export function removeSuspect(batch: WriteBatch, seq: number): void {
  batch.remove('index', indexKey(INDEX_SUSPECT, seq))
}

/** Suspects behind the number `after`, oldest first. */
export function readSuspects(engine: Engine, after: number, limit: number): Suspect[] {
  return engine
    .range('index', { start: indexKey(INDEX_SUSPECT, after + 1), end: Buffer.of(INDEX_SUSPECT + 1), limit })
    .map(({ key, value }) => ({ seq: key.readUIntBE(1, 6), key: readLocation(value).key }))
}
