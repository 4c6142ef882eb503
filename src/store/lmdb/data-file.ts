/**
 * LMDB's data file as bytes, read without LMDB: its two meta pages and single pages by number. A damaged page ends a process that has
 * the file mapped (SIGSEGV, SIGBUS), while a read of it is only bytes; so whatever must not crash looks here first.
 *
 * The format is that of the LMDB inside lmdb-js 3 (data version 2), in the machine's byte order:
 *
 *   a page      0 u64 its number · 8 u64 transaction · 16 u16 · 18 u16 flags · 20 u16 lower, 22 u16 upper (overflow: 20 u32 pages) · 24 body
 *   pages 0, 1  24 u32 magic · 28 u32 version · 32 u64 · 40 u64 map size · 48 tree of free pages · 96 main tree · 144 u64 last page · 152 u64 transaction
 *   a tree      0 u32 (in the first: bytes a page) · 4 u16 flags · 6 u16 depth · 8 u64 branch, 16 u64 leaf, 24 u64 overflow pages · 32 u64 entries · 40 u64 root
 *
 * The meta page with the higher transaction number holds. Used by the checks before LMDB opens the file, and by the doctor.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { endianness } from 'node:os'

const LMDB_MAGIC = 0xbeefc0de
/** The data format of the LMDB inside lmdb-js 3. The LMDB of the distributions writes version 1. */
const LMDB_FORMAT = 2

/** A page's header, which everything else follows. */
export const HEADER_BYTES = 24
export const TREE_BYTES = 48
const META_BYTES = 160

export const PAGE_BRANCH = 0x01
export const PAGE_LEAF = 0x02
export const PAGE_OVERFLOW = 0x04
const PAGE_META = 0x08

const MIN_PAGE_BYTES = 256
const MAX_PAGE_BYTES = 65_536

const isLittle = endianness() === 'LE'

export function u16(bytes: Buffer, offset: number): number {
  return isLittle ? bytes.readUInt16LE(offset) : bytes.readUInt16BE(offset)
}

export function u32(bytes: Buffer, offset: number): number {
  return isLittle ? bytes.readUInt32LE(offset) : bytes.readUInt32BE(offset)
}

/** Exact below 2 ** 53; what is above is no page of any file, and stays above. */
export function u64(bytes: Buffer, offset: number): number {
  const [low, high] = isLittle ? [offset, offset + 4] : [offset + 4, offset]
  return u32(bytes, high) * 2 ** 32 + u32(bytes, low)
}

/** The same with a sign. */
export function s64(bytes: Buffer, offset: number): number {
  return Number(isLittle ? bytes.readBigInt64LE(offset) : bytes.readBigInt64BE(offset))
}

/** What the file says of one tree. */
export interface Tree {
  readonly flags: number
  readonly depth: number
  readonly branchPages: number
  readonly leafPages: number
  readonly overflowPages: number
  readonly entries: number
  /** The number of its first page; {@link NO_PAGE} when it is empty. */
  readonly root: number
}

export const NO_PAGE = 2 ** 64

export function readTree(bytes: Buffer, offset: number): Tree {
  return {
    flags: u16(bytes, offset + 4),
    depth: u16(bytes, offset + 6),
    branchPages: u64(bytes, offset + 8),
    leafPages: u64(bytes, offset + 16),
    overflowPages: u64(bytes, offset + 24),
    entries: u64(bytes, offset + 32),
    root: u64(bytes, offset + 40),
  }
}

/** One of the two meta pages. */
export interface Meta {
  readonly page: 0 | 1
  readonly isMeta: boolean
  readonly magic: number
  readonly format: number
  readonly mapBytes: number
  readonly pageBytes: number
  readonly freeTree: Tree
  readonly mainTree: Tree
  readonly lastPage: number
  readonly transaction: number
}

function readMeta(bytes: Buffer, page: 0 | 1): Meta {
  return {
    page,
    isMeta: (u16(bytes, 18) & PAGE_META) !== 0,
    magic: u32(bytes, 24),
    format: u32(bytes, 28) & 0xffff,
    mapBytes: u64(bytes, 40),
    pageBytes: u32(bytes, 48),
    freeTree: readTree(bytes, 48),
    mainTree: readTree(bytes, 96),
    lastPage: u64(bytes, 144),
    transaction: u64(bytes, 152),
  }
}

/** Why a file is no data file that this version can read. `foreign`: it never was one; `damaged`: it was. */
export class UnreadableFile extends Error {
  readonly kind: 'foreign' | 'damaged'

  constructor(kind: 'foreign' | 'damaged', message: string) {
    super(message)
    this.kind = kind
  }
}

export class DataFile {
  readonly path: string
  readonly sizeBytes: number
  readonly pageBytes: number
  /** The one that holds. */
  readonly meta: Meta
  readonly olderMeta: Meta
  readonly #file: number

  private constructor(path: string, file: number, sizeBytes: number, metas: readonly [Meta, Meta]) {
    this.path = path
    this.#file = file
    this.sizeBytes = sizeBytes
    this.pageBytes = metas[0].pageBytes
    // As LMDB picks them.
    const [newer, older] = metas[0].transaction >= metas[1].transaction ? metas : [metas[1], metas[0]]
    this.meta = newer
    this.olderMeta = older
  }

  /**
   * Reads the meta pages, and checks them by themselves.
   *
   * @throws UnreadableFile, or what the system says
   */
  static open(path: string): DataFile {
    const file = openSync(path, 'r')
    try {
      const sizeBytes = fstatSync(file).size
      const first = readMeta(readAt(file, 0, META_BYTES), 0)
      if (!first.isMeta || first.magic !== LMDB_MAGIC) {
        throw new UnreadableFile('foreign', 'it is not a Millrace store: its first page is not one of LMDB')
      }
      if (first.format !== LMDB_FORMAT) {
        throw new UnreadableFile('foreign', `it has LMDB format ${first.format}, and this version reads ${LMDB_FORMAT}`)
      }
      const { pageBytes } = first
      if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES || (pageBytes & (pageBytes - 1)) !== 0) {
        throw new UnreadableFile('damaged', `its first page is damaged: ${pageBytes} bytes a page`)
      }
      if (sizeBytes < 2 * pageBytes) {
        throw new UnreadableFile('damaged', `it is cut off: ${sizeBytes} bytes are less than its two meta pages`)
      }
      const second = readMeta(readAt(file, pageBytes, META_BYTES), 1)
      checkPair(first, second)
      return new DataFile(path, file, sizeBytes, [first, second])
    } catch (error) {
      closeSync(file)
      throw error
    }
  }

  /** Pages of the file as it is used. */
  get pages(): number {
    return this.meta.lastPage + 1
  }

  /** The first bytes of a page, or fewer when the file ends before. */
  readPage(page: number, bytes: Buffer): number {
    return readSync(this.#file, bytes, 0, bytes.length, page * this.pageBytes)
  }

  /** A part of the file; shorter when the file ends before. */
  read(position: number, length: number): Buffer {
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readSync(this.#file, bytes, 0, length, position))
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Both meta pages are written by LMDB whenever it commits, in turns: one that is none was damaged later. */
function checkPair(first: Meta, second: Meta): void {
  const damaged = (page: number, why: string): never => {
    throw new UnreadableFile('damaged', `its meta page ${page} is damaged: ${why}`)
  }
  if (!second.isMeta || second.magic !== LMDB_MAGIC) damaged(1, 'it is not one of LMDB')
  if (second.format !== first.format) damaged(1, `it has LMDB format ${second.format}, and page 0 has ${first.format}`)
  if (second.pageBytes !== first.pageBytes) damaged(1, `${second.pageBytes} bytes a page, and page 0 says ${first.pageBytes}`)
  const mapBytes = Math.max(first.mapBytes, second.mapBytes)
  for (const { page, transaction, lastPage } of [first, second]) {
    if (!Number.isSafeInteger(transaction)) damaged(page, `its transaction has the number ${transaction}`)
    // Page 0 holds transactions of even numbers, page 1 those of odd ones; a new file has 0 in both.
    if (transaction !== 0 && transaction % 2 !== page)
      damaged(page, `it holds transaction ${transaction}, which belongs on the other`)
    // LMDB gives no page away that lies beyond its map, and writes down how large that is.
    if (!(lastPage >= 1 && (lastPage + 1) * first.pageBytes <= mapBytes))
      damaged(page, `it says that the last page is ${lastPage}, and the map has ${mapBytes} bytes`)
  }
  // Each commit writes the one that the last but one has written. Another distance would make an older state the present one.
  if (Math.abs(first.transaction - second.transaction) > 1)
    damaged(0, `it holds transaction ${first.transaction}, and page 1 holds ${second.transaction}`)
}

function readAt(file: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  readSync(file, bytes, 0, length, position)
  return bytes
}
