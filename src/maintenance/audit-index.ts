/** Holds the records that lead to jobs against the jobs that must be led to. Part of the store audit. */
import { INDEX_GROUP, INDEX_SOLO, INDEX_SUSPECT, indexKey } from '../codec/keys.js'
import type { Entry, WriteBatch } from '../store/engine.js'
import { hex } from './found-page.js'

const KINDS = { [INDEX_SOLO]: 'solo', [INDEX_GROUP]: 'group', [INDEX_SUSPECT]: 'suspect' } as const

type Kind = keyof typeof KINDS
type Tell = (text: string, repair?: (batch: WriteBatch) => void) => void

export class IndexAudit {
  /** Entries that there must be: kind and number, and what they say. */
  readonly #expected = new Map<string, Buffer>()

  expect(kind: Kind, seq: number, key: Buffer, table: 0 | 1): void {
    this.#expected.set(`${kind}.${seq}`, Buffer.concat([Buffer.of(table), key]))
  }

  check({ key, value }: Entry, tell: Tell): void {
    const kind = key.readUInt8(0) as Kind
    const seq = key.readUIntBE(1, 6)
    const name = `index ${KINDS[kind] ?? `kind ${kind}`} ${seq}`
    const expected = this.#expected.get(`${kind}.${seq}`)
    this.#expected.delete(`${kind}.${seq}`)
    if (expected === undefined) tell(`${name} is stray: it leads to ${hex(value)}`, (batch) => batch.remove('index', key))
    else if (!expected.equals(value))
      tell(`${name} leads to ${hex(value)} instead of ${hex(expected)}`, (batch) => batch.put('index', key, expected))
  }

  /** What was not there. */
  checkMissing(tell: Tell): void {
    for (const [name, key] of this.#expected) {
      const [kind, seq] = name.split('.').map(Number) as [Kind, number]
      tell(`index ${KINDS[kind]} ${seq} is missing: nothing leads to ${hex(key)}`, (batch) =>
        batch.put('index', indexKey(kind, seq), key),
      )
    }
  }
}
