/** Ways to damage a store, each from a seed: the bytes of its file, or single records in a file that is whole. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.js'
import { metaKey } from '../../../src/codec/keys.js'
import { type Engine, type Table, TABLES, WriteBatch } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import type { Prng } from '../../support/prng.js'

const PAGE = 4096

/** Damages a copy of the good file and puts it into `directory`. The text repeats it, with the seed. */
type Damage = (good: Buffer, directory: string, prng: Prng) => Promise<string>

async function put(directory: string, bytes: Uint8Array): Promise<void> {
  await writeFile(join(directory, DATA_FILE), bytes)
}

/** Changes bytes of the file; `change` tells what it did. */
function bytes(change: (bytes: Buffer, prng: Prng) => string): Damage {
  return async (good, directory, prng) => {
    const copy = Buffer.from(good)
    const what = change(copy, prng)
    await put(directory, copy)
    return what
  }
}

function flip(file: Buffer, offset: number, prng: Prng): string {
  const bit = prng.below(8)
  file.writeUInt8(file.readUInt8(offset) ^ (1 << bit), offset)
  return `bit ${bit} of byte ${offset} (page ${Math.floor(offset / PAGE)}, byte ${offset % PAGE})`
}

const pageOf = (file: Buffer, prng: Prng, from = 2): number => from + prng.below(file.length / PAGE - from)

type Change = (value: Buffer, prng: Prng) => Buffer | undefined

/** Changes one record through the engine, so that the file around it is whole: of any table that has one, unless told of which. */
function record(change: Change, of?: Table): Damage {
  return async (good, directory, prng) => {
    await put(directory, good)
    const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
    const { table, key, changed } = changedRecord(engine, change, of, prng)
    const batch = new WriteBatch()
    if (changed === undefined) batch.remove(table, key)
    else batch.put(table, key, changed)
    await engine.commit(batch)
    await engine.close()
    return `${table} ${key.toString('hex')}`
  }
}

/** One that stays as it is would be no damage: an empty record (the time of a unique key) has no bit to change. */
function changedRecord(
  engine: Engine,
  change: Change,
  of: Table | undefined,
  prng: Prng,
): { readonly table: Table; readonly key: Buffer; readonly changed: Buffer | undefined } {
  for (;;) {
    const table = of ?? prng.pick(TABLES.filter((each) => engine.range(each, { limit: 1 }).length > 0))
    const { key, value } = prng.pick(engine.range(table, { limit: 1000 }))
    const changed = change(Buffer.from(value), prng)
    if (changed?.equals(value) !== true) return { table, key, changed }
  }
}

/** A format of the store itself other than ours. */
function format(change: (format: number) => number): Damage {
  return async (good, directory) => {
    await put(directory, good)
    const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
    const stored = JSON.parse(engine.get('meta', metaKey('format'))!.toString('utf8')) as { format: number }
    const batch = new WriteBatch()
    batch.put('meta', metaKey('format'), Buffer.from(JSON.stringify({ ...stored, format: change(stored.format) })))
    await engine.commit(batch)
    await engine.close()
    return `format ${change(stored.format)}`
  }
}

const gone = (): undefined => undefined
const longer = (value: Buffer, prng: Prng): Buffer => Buffer.concat([value, prng.bytes(1 + prng.below(9))])

/** What comes at random, by kind. */
export const RANDOM: Readonly<Record<string, Damage>> = {
  'a bit anywhere': bytes((file, prng) => flip(file, prng.below(file.length), prng)),
  "a bit of a page's head": bytes((file, prng) => flip(file, pageOf(file, prng) * PAGE + prng.below(64), prng)),
  'a bit of a meta page': bytes((file, prng) => flip(file, prng.below(2) * PAGE + prng.below(160), prng)),
  'bytes anywhere': bytes((file, prng) => {
    const offset = prng.below(file.length - 64)
    const length = 1 + prng.below(64)
    prng.bytes(length).copy(file, offset)
    return `${length} bytes at ${offset}`
  }),
  'bytes of a meta page': bytes((file, prng) => {
    const offset = prng.below(2) * PAGE + prng.below(152)
    prng.bytes(8).copy(file, offset)
    return `8 bytes at ${offset}`
  }),
  'a page of zeros': bytes((file, prng) => {
    const page = pageOf(file, prng, 0)
    file.fill(0, page * PAGE, (page + 1) * PAGE)
    return `page ${page}`
  }),
  'a sector of zeros': bytes((file, prng) => {
    const sector = prng.below(file.length / 512)
    file.fill(0, sector * 512, (sector + 1) * 512)
    return `sector ${sector}`
  }),
  'a page of noise': bytes((file, prng) => {
    const page = pageOf(file, prng)
    prng.bytes(PAGE).copy(file, page * PAGE)
    return `page ${page}`
  }),
  'a page in the place of another': bytes((file, prng) => {
    const [from, to] = [pageOf(file, prng), pageOf(file, prng)]
    file.copy(file, to * PAGE, from * PAGE, (from + 1) * PAGE)
    return `page ${from} in the place of ${to}`
  }),
  'a file cut off': async (good, directory, prng) => {
    const size = prng.below(good.length)
    await put(directory, good.subarray(0, size))
    return `at ${size}`
  },
  'a bit of a record': record((value, prng) => {
    if (value.length > 0) flip(value, prng.below(value.length), prng)
    return value
  }),
  'a record cut off': record((value, prng) => value.subarray(0, prng.below(Math.max(1, value.length)))),
  'a record that is gone': record(gone),
  'a record that is longer': record(longer),
  'a record of noise': record((value, prng) => prng.bytes(value.length)),
}

/** One that is planned, of a kind whose number is known. */
export interface PlannedDamage {
  readonly kind: string
  readonly damage: Damage
  /** It needs the store that a process left which died: only there is something claimed. */
  readonly ofCrashed?: boolean
}

/** Each comes once: what is not to be opened at all. */
export const FOREIGN: readonly PlannedDamage[] = [
  {
    kind: 'a foreign file',
    damage: async (_, directory) => {
      await put(directory, Buffer.alloc(40_000, 'SQLite format 3'))
      return 'SQLite format 3'
    },
  },
  {
    kind: 'a directory in its place',
    damage: async (_, directory) => {
      await mkdir(join(directory, DATA_FILE))
      return 'a directory'
    },
  },
  { kind: 'a format that never was', damage: format(() => 0) },
  { kind: 'a newer format', damage: format((format) => format + 1) },
  {
    kind: 'an older LMDB',
    damage: bytes((file) => {
      file.writeUInt32LE(1, 28)
      file.writeUInt32LE(1, PAGE + 28)
      return 'data version 1'
    }),
  },
  {
    kind: 'a newer LMDB',
    damage: bytes((file) => {
      file.writeUInt32LE(3, 28)
      file.writeUInt32LE(3, PAGE + 28)
      return 'data version 3'
    }),
  },
]

/** Where a file is cut, seen from the border between two pages. */
const CUTS = {
  'a file cut off before a border': -1,
  'a file cut off at a border': 0,
  'a file cut off behind a border': 1,
} as const

/**
 * Cuts at `count` of the file's borders between pages, in equal steps through the file with a place by chance in each, before, at and
 * behind them in turn; or at all of them, in each of the three ways.
 */
export function cuts(good: Buffer, count: number | 'all', prng: Prng): PlannedDamage[] {
  const kinds = Object.entries(CUTS)
  const pages = good.length / PAGE
  if (count === 'all') {
    const sizes = Array.from({ length: pages + 1 }, (_, border) =>
      kinds.map(([kind, by]) => ({ kind, size: border * PAGE + by })),
    )
    // Nothing is an empty store, and all of it is no cut.
    return sizes.flat().flatMap(({ kind, size }) => (size > 0 && size < good.length ? [cut(kind, size)] : []))
  }
  const turn = prng.below(kinds.length)
  return Array.from({ length: count }, (_, index) => {
    const [kind, by] = kinds[(index + turn) % kinds.length]!
    return cut(kind, (1 + Math.floor(((index + prng.next()) / count) * (pages - 1))) * PAGE + by)
  })
}

function cut(kind: string, size: number): PlannedDamage {
  return {
    kind,
    damage: async (file, directory) => {
      await put(directory, file.subarray(0, size))
      return `at ${size}`
    },
  }
}

/** Of each table that holds something, `count` times: a record that is gone, and one that is longer. */
export function recordsOf(tables: readonly Table[], count: number): PlannedDamage[] {
  return tables.flatMap((table) =>
    Array.from({ length: count }, () => [
      { kind: `a record of ${table} that is gone`, damage: record(gone, table), ofCrashed: true },
      { kind: `a record of ${table} that is longer`, damage: record(longer, table), ofCrashed: true },
    ]).flat(),
  )
}
