/**
 * The memory of finished jobs: which blocks there are, how many of their jobs still count, and what goes.
 *
 * Exactly the last `jobs` of a state count, and none older than `ageMs`. Whole blocks are removed when none of their jobs counts;
 * of the oldest block that remains, the first ones may not count any more (`skip`). That follows from the numbers alone, so it
 * needs no record of its own and is the same after a restart.
 */
import { assert } from '../base/assert.js'
import { PRUNE_BLOCKS } from '../base/limits.js'
import { PAYLOAD_INPUT, PAYLOAD_OUTPUT } from '../codec/keys.js'
import type { FinishedDetails, FinishedEntry } from '../codec/finished-block.js'
import {
  FinishedBlockBuilder,
  findInBlock,
  readBlock,
  readBlockHeader,
  readHeads,
  withoutEntries,
  type EntryHead,
} from '../codec/finished-block.js'
import { uniqueHash } from '../codec/unique-entry.js'
import type { FinalState } from '../job/job-info.js'
import type { StoredUnique } from '../job/unique.js'
import { openGone } from '../store/counters.js'
import type { WriteBatch } from '../store/engine.js'
import type { JobStore } from '../store/job-store.js'

export const FINAL_STATES: readonly FinalState[] = ['completed', 'cancelled', 'discarded']

export interface RetentionRule {
  readonly jobs: number
  readonly ageMs: number
}

interface Block {
  readonly number: number
  readonly count: number
  readonly finishedAt: number
  readonly lowestSeq: number
  readonly highestSeq: number
  /** Payloads that lie apart and go with the block. */
  readonly payloads: readonly Apart[]
  /** Unique keys that its jobs may hold until it goes. */
  readonly keys: readonly KeptKey[]
}

interface KeptKey {
  readonly seq: number
  readonly definitionId: number
  readonly key: string
}

interface Apart {
  readonly seq: number
  readonly kind: number
}

/** The blocks of one state, oldest first. */
class Shelf {
  readonly state: FinalState
  readonly rule: RetentionRule
  blocks: Block[] = []
  /** Jobs in all blocks. */
  total = 0
  builder: FinishedBlockBuilder | undefined
  payloads: Apart[] = []
  keys: KeptKey[] = []

  constructor(state: FinalState, rule: RetentionRule) {
    this.state = state
    this.rule = rule
  }

  /** Jobs at the beginning of the oldest block that do not count any more. */
  get skip(): number {
    return Math.max(0, this.total - this.rule.jobs)
  }
}

/** The fixed part of a finished job. */
export type FinishedJob = Parameters<FinishedBlockBuilder['add']>[0]

export interface FoundJob {
  readonly state: FinalState
  /** The number of its block. */
  readonly block: number
  readonly finishedAt: number
  readonly entry: FinishedEntry
}

/** A block as it can be looked through. */
export interface FoundBlock {
  readonly state: FinalState
  readonly number: number
  /** Of its jobs that count. */
  readonly heads: Iterable<EntryHead>
}

/** The place of the first block whose number is above `after`. */
function indexBehind(blocks: readonly Block[], after: number): number {
  let from = 0
  let to = blocks.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((blocks[middle]?.number ?? 0) <= after) from = middle + 1
    else to = middle
  }
  return from
}

const LOAD_BLOCKS = 64
/** Blocks that one call passes over by what it knows of them. */
const LOOKS = 4096

export class Retention {
  readonly #store: JobStore
  readonly #shelves: Record<FinalState, Shelf>
  readonly #now: () => number

  constructor(store: JobStore, rules: Readonly<Record<FinalState, RetentionRule>>, now: () => number) {
    this.#store = store
    this.#now = now
    this.#shelves = {
      completed: new Shelf('completed', rules.completed),
      cancelled: new Shelf('cancelled', rules.cancelled),
      discarded: new Shelf('discarded', rules.discarded),
    }
    for (const state of FINAL_STATES) this.#load(this.#shelves[state])
    const { completed, cancelled, discarded } = this.#shelves
    openGone(store.counters, { completed: completed.total, cancelled: cancelled.total, discarded: discarded.total })
  }

  /** Jobs that count, by state. */
  count(state: FinalState): number {
    const shelf = this.#shelves[state]
    const now = this.#now()
    let kept = Math.min(shelf.total, shelf.rule.jobs)
    // Too old, and not removed yet because nothing has been written since.
    for (const [index, block] of shelf.blocks.entries()) {
      if (block.finishedAt + shelf.rule.ageMs > now) break
      kept -= block.count - (index === 0 ? shelf.skip : 0)
    }
    return kept
  }

  /**
   * How many of `expected` jobs that end in this commit need not be kept at all, because as many newer ones follow them.
   */
  passOver(state: FinalState, expected: number): number {
    const { jobs, ageMs } = this.#shelves[state].rule
    return ageMs === 0 ? expected : Math.max(0, expected - jobs)
  }

  /** Keeps a job that ends in the commit under way. */
  add(
    state: FinalState,
    job: FinishedJob,
    details: FinishedDetails | undefined,
    input: Buffer,
    inputFrom: number,
    inputTo: number,
    output: Buffer,
    outputFrom: number,
    outputTo: number,
  ): void {
    const shelf = this.#shelves[state]
    shelf.builder ??= new FinishedBlockBuilder()
    shelf.builder.add(job, details, input, inputFrom, inputTo, output, outputFrom, outputTo)
    if (job.inputApart) shelf.payloads.push({ seq: job.seq, kind: PAYLOAD_INPUT })
    if (job.outputApart) shelf.payloads.push({ seq: job.seq, kind: PAYLOAD_OUTPUT })
    if (details?.overrides?.unique?.while === 'kept') shelf.keys.push(keptKey(job, details.overrides.unique))
  }

  /** Writes the commit's blocks and removes, in bounded number, those that do not count any more. */
  write(batch: WriteBatch): void {
    const now = this.#now()
    for (const state of FINAL_STATES) {
      const shelf = this.#shelves[state]
      if (shelf.builder !== undefined) this.#seal(shelf, shelf.builder, batch, now)
      this.#prune(shelf, batch, now)
    }
  }

  /** Whether there is something to remove although nothing is being written. */
  get hasExpired(): boolean {
    const now = this.#now()
    return FINAL_STATES.some((state) => this.#removable(this.#shelves[state], now))
  }

  /** A finished job that counts, from the committed store. */
  find(seq: number): FoundJob | undefined {
    const oldest = this.#now()
    for (const state of FINAL_STATES) {
      const shelf = this.#shelves[state]
      for (let index = shelf.blocks.length - 1; index >= 0; index--) {
        const block = shelf.blocks[index]
        if (block === undefined) continue
        if (seq < block.lowestSeq || seq > block.highestSeq || block.finishedAt + shelf.rule.ageMs <= oldest) continue
        const bytes = this.#store.finished.read(state, block.number)
        const entry = bytes === undefined ? undefined : findInBlock(bytes, seq, index === 0 ? shelf.skip : 0)
        if (entry !== undefined) return { state, block: block.number, finishedAt: block.finishedAt, entry }
      }
    }
    return undefined
  }

  /** Finished jobs of a state, oldest first, block by block. */
  *blocks(state: FinalState): Generator<FoundJob[]> {
    let after = -1
    for (;;) {
      const found = this.#next(state, after)
      if (found === undefined) return
      const { block, skip } = found
      after = block.number
      const bytes = this.#store.finished.read(state, block.number)
      if (bytes === undefined) continue
      yield Array.from(readBlock(bytes, skip), (entry) => ({
        state,
        block: block.number,
        finishedAt: block.finishedAt,
        entry,
      }))
    }
  }

  /** The first block behind the number `after` in which a job that counts may be. After many that are not it, an empty one. */
  nextBlock(state: FinalState, after: number, mayBe: (lowest: number, highest: number) => boolean): FoundBlock | undefined {
    let found = this.#next(state, after)
    for (let looks = 0; found !== undefined; looks++) {
      const { number, lowestSeq, highestSeq } = found.block
      const bytes = mayBe(lowestSeq, highestSeq) ? this.#store.finished.read(state, number) : undefined
      if (bytes !== undefined) return { state, number, heads: readHeads(bytes, found.skip) }
      if (looks === LOOKS) return { state, number, heads: [] }
      found = this.#next(state, number)
    }
    return undefined
  }

  /** Finished jobs that count, of one block. */
  read(state: FinalState, number: number, seqs: ReadonlySet<number>): FinishedEntry[] {
    const bytes = this.#store.finished.read(state, number)
    return bytes === undefined ? [] : Array.from(readBlock(bytes)).filter(({ seq }) => seqs.has(seq))
  }

  /** Whether more blocks than the oldest hold jobs that do not count: until they are removed, none may be taken out. */
  isBehind(state: FinalState): boolean {
    const { skip, blocks } = this.#shelves[state]
    return skip > 0 && skip >= (blocks[0]?.count ?? 0)
  }

  /**
   * Takes jobs out of a block, as if they had never ended. Their payloads and their unique keys are left to the caller. What does not count any more of the
   * oldest block leaves for good, or it would count again now that there are fewer.
   */
  take(batch: WriteBatch, state: FinalState, number: number, seqs: ReadonlySet<number>): void {
    const shelf = this.#shelves[state]
    assert(!this.isBehind(state), 'jobs are taken out of what counts')
    const { skip } = shelf
    const [oldest] = shelf.blocks
    if (skip > 0 && oldest !== undefined && oldest.number !== number) this.#rewrite(batch, shelf, 0, skip, new Set())
    const index = indexBehind(shelf.blocks, number - 1)
    if (shelf.blocks[index]?.number === number) this.#rewrite(batch, shelf, index, index === 0 ? shelf.skip : 0, seqs)
  }

  #rewrite(batch: WriteBatch, shelf: Shelf, index: number, skip: number, seqs: ReadonlySet<number>): void {
    const before = shelf.blocks[index]
    const bytes = before && this.#store.finished.read(shelf.state, before.number)
    if (before === undefined || bytes === undefined) return
    const { number } = before
    const gone = new Set(Array.from(readHeads(bytes), ({ seq }) => seq).slice(0, skip))
    for (const { seq, kind } of before.payloads) if (gone.has(seq)) this.#store.removePayload(batch, seq, kind)
    this.#letGo(
      batch,
      before.keys.filter(({ seq }) => gone.has(seq)),
    )
    const kept = withoutEntries(bytes, skip, seqs)
    if (kept === undefined) {
      this.#leave(shelf, before.count)
      shelf.blocks.splice(index, 1)
      this.#store.finished.remove(batch, shelf.state, number)
      return
    }
    const { count, finishedAt, lowestSeq, highestSeq } = readBlockHeader(kept)
    const stays = ({ seq }: { readonly seq: number }): boolean => !gone.has(seq) && !seqs.has(seq)
    const payloads = before.payloads.filter(stays)
    const keys = before.keys.filter(stays)
    this.#leave(shelf, before.count - count)
    shelf.blocks[index] = { number, count, finishedAt, lowestSeq, highestSeq, payloads, keys }
    this.#store.finished.replace(batch, shelf.state, number, kept)
  }

  /** The first block behind a number that has a job that counts. */
  #next(state: FinalState, after: number): { block: Block; skip: number } | undefined {
    const { blocks, rule, skip } = this.#shelves[state]
    const now = this.#now()
    for (let index = indexBehind(blocks, after); ; index++) {
      const block = blocks[index]
      if (block === undefined) return undefined
      if (block.finishedAt + rule.ageMs > now) return { block, skip: index === 0 ? skip : 0 }
    }
  }

  /** Jobs leave the store, and with them goes their hold on their keys. */
  #letGo(batch: WriteBatch, keys: readonly KeptKey[]): void {
    const now = this.#now()
    for (const { seq, definitionId, key } of keys)
      this.#store.uniques.pruned(batch, uniqueHash(this.#store.definitionName(definitionId), key), seq, now)
  }

  /** Jobs of a block go, for good or because they are brought back. */
  #leave(shelf: Shelf, jobs: number): void {
    shelf.total -= jobs
    this.#store.stats.left(shelf.state, jobs)
  }

  #load(shelf: Shelf): void {
    let from = 0
    for (;;) {
      const found = this.#store.finished.readFrom(shelf.state, from, LOAD_BLOCKS)
      for (const { block, bytes } of found) {
        const { count, finishedAt, lowestSeq, highestSeq } = readBlockHeader(bytes)
        const payloads: Apart[] = []
        const keys: KeptKey[] = []
        for (const entry of readBlock(bytes)) {
          const { seq, inputApart, outputApart, overrides } = entry
          if (overrides?.unique?.while === 'kept') keys.push(keptKey(entry, overrides.unique))
          if (inputApart) payloads.push({ seq, kind: PAYLOAD_INPUT })
          if (outputApart) payloads.push({ seq, kind: PAYLOAD_OUTPUT })
        }
        shelf.blocks.push({ number: block, count, finishedAt, lowestSeq, highestSeq, payloads, keys })
        shelf.total += count
        from = block + 1
      }
      if (found.length < LOAD_BLOCKS) return
    }
  }

  #seal(shelf: Shelf, builder: FinishedBlockBuilder, batch: WriteBatch, now: number): void {
    const number = this.#store.counters.nextBlock++
    const { count, lowestSeq, highestSeq } = builder
    this.#store.finished.put(batch, shelf.state, number, builder.seal(now))
    const { payloads, keys } = shelf
    shelf.blocks.push({ number, count, finishedAt: now, lowestSeq, highestSeq, payloads, keys })
    shelf.total += count
    shelf.builder = undefined
    shelf.payloads = []
    shelf.keys = []
  }

  #removable(shelf: Shelf, now: number): boolean {
    const [oldest] = shelf.blocks
    if (oldest === undefined) return false
    return shelf.total - oldest.count >= shelf.rule.jobs || oldest.finishedAt + shelf.rule.ageMs <= now
  }

  #prune(shelf: Shelf, batch: WriteBatch, now: number): void {
    let removed = 0
    while (removed < PRUNE_BLOCKS && this.#removable(shelf, now)) {
      const [block] = shelf.blocks
      if (block === undefined) break
      this.#store.finished.remove(batch, shelf.state, block.number)
      for (const { seq, kind } of block.payloads) this.#store.removePayload(batch, seq, kind)
      this.#letGo(batch, block.keys)
      this.#leave(shelf, block.count)
      shelf.blocks.shift()
      removed++
    }
  }
}

function keptKey({ seq, definitionId }: Omit<KeptKey, 'key'>, { key }: StoredUnique): KeptKey {
  return { seq, definitionId, key }
}
