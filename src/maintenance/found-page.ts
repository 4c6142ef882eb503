/** A page of jobs as the store audit finds it, and how a job is taken out of it. */
import { externalBytes, type PageHeader } from '../codec/page.js'
import type { WriteBatch } from '../store/engine.js'

/** Where a job is. */
export interface Place {
  readonly where: string
  /** Of two places the higher one is true: a page of many, one of its own, a block of finished jobs. */
  readonly stage: 0 | 1 | 2
  /** Unless the job is over. */
  readonly page?: FoundPage
}

export interface FoundPage {
  readonly table: 'pages' | 'scheduled'
  readonly key: Buffer
  readonly header: PageHeader
  /** As they are to be: those of `repair` may be more than those in the store. */
  readonly marks: Buffer
}

export function isMarked(marks: Buffer, index: number): boolean {
  return ((marks[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
}

export function setMark(marks: Buffer, index: number, isOver: boolean): void {
  const bit = 1 << (index & 7)
  const byte = marks[index >> 3] ?? 0
  marks[index >> 3] = isOver ? byte | bit : byte & ~bit
}

/** Takes a job out of a page that it has left. */
export function leavePage(batch: WriteBatch, page: FoundPage, seq: number): void {
  const { key, header, marks } = page
  if (header.count === 1) return removePage(batch, page)
  setMark(marks, seq - header.firstSeq, true)
  batch.put('marks', key, marks)
}

/** What leads to it is stray from then on, and found to be when the store is looked through again. */
export function removePage(batch: WriteBatch, { table, key }: FoundPage): void {
  batch.remove(table, key)
  batch.remove('marks', key)
}

export function hex(key: Buffer): string {
  return key.toString('hex')
}

export function nameOf(key: Buffer): string {
  return key.toString('latin1')
}

/** The size of a payload that lies apart, which stands in its place; a store of an earlier day does not tell. */
export function sizeApart(stead: Buffer): number | undefined {
  return stead.length >= 4 ? externalBytes(stead, stead.length) : undefined
}
