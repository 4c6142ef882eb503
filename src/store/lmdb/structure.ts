/**
 * Walks the trees of LMDB's data file, without LMDB, and checks all that LMDB takes for granted when it follows them: it has no
 * checksums, and what a damaged page leads to is read or written wherever that may be.
 *
 * - A page carries its own number, is a branch or a leaf where it should be one, and is used once.
 * - What a page holds lies in it, in ascending order, between the keys that lead to it, and leaves no gaps.
 * - A large record's pages are there, in one piece, and no fewer than its length needs.
 * - A free page is in use by nobody; each is named once.
 * - The file reaches as far as the pages that are in use.
 * - Each tree has the depth, the pages and the entries that it claims.
 *
 * It does not look into records: these have no redundancy here. That is for those who know what they mean.
 */
import type { DataFile, Tree } from './data-file.js'
import {
  HEADER_BYTES,
  NO_PAGE,
  PAGE_BRANCH,
  PAGE_LEAF,
  PAGE_OVERFLOW,
  readTree,
  s64,
  TREE_BYTES,
  u16,
  u32,
  u64,
} from './data-file.js'

const NODE_BYTES = 8
/** Flags that LMDB keeps for itself while it writes, and need not take away. */
const PAGE_PASSING = 0xe000
const NODE_BIG = 0x01
const NODE_TREE = 0x02
/** Page number, transaction, pages: what stands for a record that has pages of its own. */
const BIG_BYTES = 24
/** As deep as LMDB's cursors go. */
const MAX_DEPTH = 32
const PROBLEMS_KEPT = 200

const FREE_LIST = 'the free list'
const FREE = 1
const USED = 2

export interface StructureReport {
  /** What is wrong, at most 200 lines; `problemCount` counts all of it. */
  readonly problems: readonly string[]
  readonly problemCount: number
  /** Whether the leaves were looked into, or only the way to them. */
  readonly isComplete: boolean
  /** Pages of the file, by what they are for. `lost`: neither in use nor free, which wastes them and harms nothing. */
  readonly pages: { readonly all: number; readonly used: number; readonly free: number; readonly lost: number }
  readonly tables: Readonly<Record<string, Tree>>
}

export interface StructureOptions {
  /** When the trees claim more pages than this, only branches are looked into: about one page of a hundred. @defaultValue Infinity */
  readonly maxPages?: number
}

const byBytes = (a: Buffer, b: Buffer): number => a.compare(b)

export function checkStructure(file: DataFile, options: StructureOptions = {}): StructureReport {
  return new StructureCheck(file, options.maxPages ?? Infinity).run()
}

interface Walk {
  readonly name: string
  readonly tree: Tree
  /** What the tree's records hold, when that is known here: `length` bytes at `at`. */
  readonly onEntry: ((bytes: Buffer, key: Buffer, at: number, length: number, where: string) => void) | undefined
  readonly compare: (a: Buffer, b: Buffer) => number
  branches: number
  leaves: number
  overflow: number
  entries: number
}

class StructureCheck {
  readonly #file: DataFile
  readonly #problems: string[] = []
  #problemCount = 0
  readonly #use: Uint8Array
  readonly #maxPages: number
  #claimed = 0
  #isComplete = true
  readonly #tables: Record<string, Tree> = {}
  readonly #leaf: Buffer
  readonly #header = Buffer.alloc(HEADER_BYTES)

  constructor(file: DataFile, maxPages: number) {
    this.#file = file
    this.#maxPages = maxPages
    // Not more than there can be: a damaged number must not exhaust the memory.
    this.#use = new Uint8Array(Math.min(file.pages, Math.ceil(file.sizeBytes / file.pageBytes)))
    this.#use.fill(USED, 0, 2)
    this.#leaf = Buffer.allocUnsafeSlow(file.pageBytes)
  }

  run(): StructureReport {
    const { meta } = this.#file
    this.#walk('the main tree', meta.mainTree, byBytes, (page, key, at, bytes, where) => {
      if (bytes === TREE_BYTES) this.#tables[key.toString('latin1').replace(/\0$/, '')] = readTree(page, at)
      else this.#problem(`${where} is no table: it has ${bytes} bytes`)
    })
    for (const [name, tree] of Object.entries(this.#tables)) this.#walk(`table ${name}`, tree, byBytes, undefined)
    const byNumber = (a: Buffer, b: Buffer): number => u64(a, 0) - u64(b, 0)
    this.#walk(FREE_LIST, meta.freeTree, byNumber, (page, key, at, bytes, where) => this.#freed(page, key, at, bytes, where))
    let used = 0
    let free = 0
    for (const use of this.#use) {
      if (use === USED) used++
      else if (use === FREE) free++
    }
    const all = this.#file.pages
    return {
      problems: this.#problems,
      problemCount: this.#problemCount,
      isComplete: this.#isComplete,
      pages: { all, used, free, lost: this.#isComplete ? Math.max(0, this.#use.length - used - free) : 0 },
      tables: this.#tables,
    }
  }

  #problem(text: string): void {
    this.#problemCount++
    if (this.#problems.length < PROBLEMS_KEPT) this.#problems.push(text)
  }

  #walk(name: string, tree: Tree, compare: Walk['compare'], onEntry: Walk['onEntry']): void {
    const walk: Walk = { name, tree, compare, onEntry, branches: 0, leaves: 0, overflow: 0, entries: 0 }
    if (tree.root >= NO_PAGE) {
      if (tree.depth !== 0 || tree.entries !== 0)
        this.#problem(`${name} is empty, and says it is ${tree.depth} deep with ${tree.entries} entries`)
      return
    }
    if (tree.depth < 1 || tree.depth > MAX_DEPTH) {
      this.#problem(`${name} says it is ${tree.depth} deep`)
      return
    }
    this.#claimed += tree.branchPages + tree.leafPages
    const intoLeaves = this.#claimed <= this.#maxPages || name === 'the main tree'
    if (!intoLeaves) this.#isComplete = false
    this.#page(walk, tree.root, 1, undefined, undefined, intoLeaves)
    if (!intoLeaves) return
    for (const [what, found, claimed] of [
      ['branch pages', walk.branches, tree.branchPages],
      ['leaf pages', walk.leaves, tree.leafPages],
      ['overflow pages', walk.overflow, tree.overflowPages],
      ['entries', walk.entries, tree.entries],
    ] as const)
      if (found !== claimed) this.#problem(`${name} says it has ${claimed} ${what}, and ${found} are found`)
  }

  /** One page of a tree, and all below it. Its keys lie from `low` on and before `high`. */
  #page(walk: Walk, page: number, depth: number, low: Buffer | undefined, high: Buffer | undefined, intoLeaves: boolean): void {
    const isLeaf = depth === walk.tree.depth
    const where = `page ${page} of ${walk.name}`
    if (!this.#take(page, 1, where)) return
    if (isLeaf) walk.leaves++
    else walk.branches++
    if (isLeaf && !intoLeaves) return
    const bytes = isLeaf ? this.#leaf : Buffer.allocUnsafeSlow(this.#file.pageBytes)
    if (this.#file.readPage(page, bytes) < bytes.length) return this.#problem(`${where} lies behind the end of the file`)
    const count = this.#head(bytes, page, isLeaf, isLeaf || walk.name === FREE_LIST ? 1 : 2, where)
    const body = this.#file.pageBytes - HEADER_BYTES
    const upper = u16(bytes, 22)
    let filled = 0
    let before: Buffer | undefined = low
    const children: { page: number; key: Buffer | undefined }[] = []
    for (let index = 0; index < count; index++) {
      const node = u16(bytes, HEADER_BYTES + 2 * index)
      const at = HEADER_BYTES + node
      if (node < upper || node % 2 !== 0 || node + NODE_BYTES > body)
        return this.#problem(`${where} has an entry at ${node} of ${body} bytes`)
      const keyBytes = u16(bytes, at + 6)
      const isBig = isLeaf && (u16(bytes, at + 4) & NODE_BIG) !== 0
      const dataBytes = isLeaf ? u32Halves(bytes, at) : 0
      const inlineBytes = isBig ? BIG_BYTES : dataBytes
      const size = NODE_BYTES + keyBytes + inlineBytes
      if (node + size > body) return this.#problem(`${where} has an entry of ${size} bytes at ${node}, behind its end`)
      filled += size + (size & 1)
      // The first key of a branch is not used: everything below the second lies there.
      const key = !isLeaf && index === 0 ? undefined : bytes.subarray(at + NODE_BYTES, at + NODE_BYTES + keyBytes)
      if (key !== undefined && !this.#inOrder(walk, key, before, high, index === 0 || (!isLeaf && index === 1)))
        return this.#problem(`${where} has a key out of order: ${key.toString('hex').slice(0, 64)}`)
      if (key !== undefined) before = key
      if (isLeaf) this.#entry(walk, bytes, at, key ?? Buffer.alloc(0), dataBytes, isBig, where)
      else children.push({ page: u32Halves(bytes, at) + u16(bytes, at + 4) * 2 ** 32, key })
    }
    if (filled !== body - upper) this.#problem(`${where} has ${body - upper} bytes of entries, and these take ${filled}`)
    for (const [index, child] of children.entries())
      this.#page(walk, child.page, depth + 1, child.key ?? low, children[index + 1]?.key ?? high, intoLeaves)
  }

  /** Checks a page's header. The number of its entries; 0 when they cannot be read. */
  #head(bytes: Buffer, page: number, isLeaf: boolean, least: number, where: string): number {
    const flags = u16(bytes, 18) & ~PAGE_PASSING
    const lower = u16(bytes, 20)
    const upper = u16(bytes, 22)
    if (u64(bytes, 0) !== page) this.#problem(`${where} bears the number ${u64(bytes, 0)}`)
    else if (flags !== (isLeaf ? PAGE_LEAF : PAGE_BRANCH))
      this.#problem(`${where} is not a ${isLeaf ? 'leaf' : 'branch'}: flags ${flags}`)
    else if (lower % 2 !== 0 || lower > upper || upper > this.#file.pageBytes - HEADER_BYTES || lower < 2 * least)
      this.#problem(`${where} says that its entries lie from ${upper} on, and that ${lower} bytes point to them`)
    else if (u64(bytes, 8) > this.#file.meta.transaction)
      this.#problem(`${where} is of transaction ${u64(bytes, 8)}, and ${this.#file.meta.transaction} is the last`)
    else return lower / 2
    return 0
  }

  #inOrder(walk: Walk, key: Buffer, before: Buffer | undefined, high: Buffer | undefined, isFirst: boolean): boolean {
    const isNumber = walk.compare !== byBytes
    if (key.length === 0 || (isNumber && key.length !== 8)) return false
    // The first one may be the very key that leads here.
    if (before !== undefined && walk.compare(key, before) < (isFirst ? 0 : 1)) return false
    return high === undefined || walk.compare(key, high) < 0
  }

  #entry(walk: Walk, bytes: Buffer, at: number, key: Buffer, dataBytes: number, isBig: boolean, where: string): void {
    const flags = u16(bytes, at + 4)
    const data = at + NODE_BYTES + key.length
    const isTree = walk.name === 'the main tree'
    walk.entries++
    if (flags !== (isTree ? NODE_TREE : isBig ? NODE_BIG : 0)) return this.#problem(`${where} has an entry with flags ${flags}`)
    if (!isBig) return walk.onEntry?.(bytes, key, data, dataBytes, where)
    const first = u64(bytes, data)
    const pages = u64(bytes, data + 16)
    const needed = Math.floor((HEADER_BYTES - 1 + dataBytes) / this.#file.pageBytes) + 1
    // More than it needs, when a commit has written a longer record first and a shorter one over it.
    if (pages < needed) return this.#problem(`${where} has a record of ${dataBytes} bytes on ${pages} pages`)
    walk.overflow += pages
    const what = `page ${first}, a record of ${walk.name},`
    if (!this.#take(first, pages, what)) return
    this.#file.readPage(first, this.#header)
    if (
      u64(this.#header, 0) !== first ||
      (u16(this.#header, 18) & ~PAGE_PASSING) !== PAGE_OVERFLOW ||
      u32(this.#header, 20) !== pages
    )
      return this.#problem(
        `${what} is not the first of ${pages} pages: number ${u64(this.#header, 0)}, flags ${u16(this.#header, 18)}, ${u32(this.#header, 20)} pages`,
      )
    walk.onEntry?.(this.#file.read(first * this.#file.pageBytes + HEADER_BYTES, dataBytes), key, 0, dataBytes, where)
  }

  /** Marks pages as in use. */
  #take(first: number, pages: number, where: string): boolean {
    if (first < 2 || first + pages > this.#file.pages) {
      this.#problem(`${where} is none of the file's ${this.#file.pages} pages`)
      return false
    }
    if (first + pages > this.#use.length || (first + pages) * this.#file.pageBytes > this.#file.sizeBytes) {
      this.#problem(`${where} lies behind the end of the file, which has ${this.#file.sizeBytes} bytes: it is cut off`)
      return false
    }
    for (let page = first; page < first + pages; page++) {
      if (this.#use[page] === USED) {
        this.#problem(`${where} is in use twice`)
        return false
      }
      this.#use[page] = USED
    }
    return true
  }

  /** A record of the free list: how many numbers follow, then pages; a negative number is a length, and its first page follows. */
  #freed(bytes: Buffer, key: Buffer, at: number, length: number, where: string): void {
    const count = length < 8 ? -1 : u64(bytes, at)
    if (count < 0 || count * 8 + 8 > length) return this.#problem(`${where} names ${count} free pages in ${length} bytes`)
    if (u64(key, 0) > this.#file.meta.transaction)
      this.#problem(`${where} was freed by transaction ${u64(key, 0)}, later than the last`)
    for (let index = 1; index <= count; index++) {
      const entry = s64(bytes, at + 8 * index)
      if (entry === 0) continue
      if (entry > 0) this.#free(entry, 1, where)
      else if (index < count) this.#free(s64(bytes, at + 8 * ++index), -entry, where)
      else this.#problem(`${where} ends in the middle of an entry`)
    }
  }

  #free(first: number, pages: number, where: string): void {
    if (first < 2 || first + pages > this.#file.pages)
      return this.#problem(`${where} frees page ${first}, ${pages} long, of ${this.#file.pages}`)
    // Free pages may lie behind the end: the file grows when they are used.
    for (let page = first; page < Math.min(first + pages, this.#use.length); page++) {
      if (this.#use[page] !== 0)
        return this.#problem(`${where} frees page ${page}, which is ${this.#use[page] === USED ? 'in use' : 'free already'}`)
      this.#use[page] = FREE
    }
  }
}

/** Two halves, the lower first, in either byte order: how an entry keeps a length or a page. */
function u32Halves(bytes: Buffer, at: number): number {
  return u16(bytes, at) + u16(bytes, at + 2) * 65_536
}
