/**
 * A disk under a data file, as a power cut finds it. Fed with a recording, it knows at every moment what is durable, and of each
 * sector what else may be there: any of the contents that it had in memory since.
 *
 * The model. Memory holds the file in whole sectors; the disk takes a sector whenever it likes, in any order, or not until it is
 * told to by a sync. A sector of 512 bytes is written whole or not at all; a write of more is torn at any of its borders. A sync
 * makes durable what had been written when it began; a write through a descriptor with O_DSYNC, itself. The file's size goes with
 * its contents, or ahead of them: then what is missing reads as zeros.
 *
 * Names. A file is found again when each directory on the way to it was synced after the next name was in it. Until then the
 * file, or its draft's place, may be empty.
 */
import { dirname } from 'node:path'

import type { Prng } from '../../support/prng.js'
import type { RecordedEvent } from '../shim/recording.js'

export const SECTOR_BYTES = 512

/** What becomes of that which was not synced. */
export const LOSSES = ['nothing is kept', 'all is kept', 'whole writes', 'torn writes', 'one is lost', 'one is kept'] as const

export type Loss = (typeof LOSSES)[number]

/** What a power cut leaves. */
export interface Image {
  /** Undefined: the file's name is not there. */
  readonly file: Buffer | undefined
  /** The same of a draft that was not renamed. */
  readonly draft: Buffer | undefined
  /** Sectors that differ from what the process had written last. */
  readonly lostSectors: number
}

/** A content that a sector had in memory. */
interface Version {
  readonly call: number
  readonly bytes: Buffer
}

type RecordedWrite = RecordedEvent & { readonly kind: 'write' }

interface PendingWrite {
  readonly call: number
  readonly offset: number
  readonly end: number
  /** Durable as soon as it has ended. */
  readonly synced: boolean
  ended: boolean
}

export class Disk {
  readonly #path: string
  /** Those between `root`, which was there before, and the file; outermost first. */
  readonly #directories: readonly string[]
  #durable: Buffer
  #durableSize: number
  /** The file as the process sees it. */
  #memory: Buffer
  #size: number
  /** By sector, oldest first: what may be on the disk beside the durable content. */
  readonly #versions = new Map<number, Version[]>()
  #writes: PendingWrite[] = []
  /** By call, the writes that a sync under way will have made durable. */
  readonly #syncs = new Map<number, readonly PendingWrite[]>()
  /** Directories whose name for the next one, or for the file, is durable. */
  readonly #named = new Set<string>()
  readonly #naming = new Map<string, boolean>()
  #place: 'none' | 'draft' | 'file'
  #hadDraft = false

  /** @param before - the file's content when the recording begins; undefined when there is none, and no directory below `root` */
  constructor(path: string, root: string, before: Buffer | undefined) {
    this.#path = path
    const directories: string[] = []
    for (let directory = dirname(path); directory.length >= root.length; directory = dirname(directory))
      directories.unshift(directory)
    this.#directories = directories
    this.#durable = Buffer.from(before ?? [])
    this.#memory = Buffer.from(before ?? [])
    this.#size = this.#memory.length
    this.#durableSize = this.#size
    this.#place = before === undefined ? 'none' : 'file'
    if (before !== undefined) for (const directory of directories) this.#named.add(directory)
  }

  /** The file as the process sees it. */
  get content(): Buffer {
    return this.#memory.subarray(0, this.#size)
  }

  /** Something that was written could still be lost. */
  get isPending(): boolean {
    return this.#writes.length > 0 || !this.isNamed
  }

  /** The file would be found after a cut. */
  get isNamed(): boolean {
    return this.#directories.every((directory) => this.#named.has(directory))
  }

  apply(event: RecordedEvent): void {
    switch (event.kind) {
      case 'write':
        if (this.#place === 'none') this.#place = event.draft ? 'draft' : 'file'
        this.#hadDraft ||= event.draft
        this.#write(event)
        return
      case 'written': {
        const write = this.#writes.find(({ call }) => call === event.call)
        if (write === undefined) return
        write.ended = true
        if (write.synced && event.result >= 0) this.#settle(write)
        return
      }
      case 'sync':
        this.#syncs.set(
          event.call,
          this.#writes.filter(({ ended }) => ended),
        )
        return
      case 'synced':
        if (event.result === 0) for (const write of this.#syncs.get(event.call) ?? []) this.#settle(write)
        this.#syncs.delete(event.call)
        return
      case 'rename':
        this.#place = 'file'
        return
      case 'names':
        this.#naming.set(event.directory, event.directory !== dirname(this.#path) || this.#place === 'file')
        return
      case 'named':
        if (this.#naming.get(event.directory) === true) this.#named.add(event.directory)
        return
      case 'note':
      case 'unseen':
    }
  }

  /** What a cut leaves now. `unnamed`: names that were not synced are gone. */
  image(loss: Loss, prng: Prng, unnamed = false): Image {
    const kept = this.#choose(loss, prng)
    const bytes = Buffer.alloc(Math.max(this.#size, this.#durableSize))
    this.#durable.copy(bytes, 0, 0, this.#durableSize)
    let end = this.#durableSize
    let lostSectors = 0
    for (const [sector, versions] of this.#versions) {
      const version = kept(versions)
      const at = sector * SECTOR_BYTES
      if (version !== undefined) {
        version.bytes.copy(bytes, at)
        end = Math.max(end, Math.min(at + SECTOR_BYTES, this.#size))
      }
      if (version !== versions.at(-1) && !sectorOf(this.#memory, sector).equals(sectorOf(bytes, sector))) lostSectors++
    }
    const file = bytes.subarray(0, prng.next() < 0.5 ? end : bytes.length)
    const isNamed = this.#place === 'file' && !unnamed
    const isDraft = !isNamed && this.#hadDraft && prng.next() < 0.75
    return { file: isNamed ? file : undefined, draft: isDraft ? file : undefined, lostSectors }
  }

  #choose(loss: Loss, prng: Prng): (versions: readonly Version[]) => Version | undefined {
    const { call: odd } = this.#writes.length > 0 ? prng.pick(this.#writes) : { call: -1 }
    const fates = new Map(this.#writes.map(({ call }) => [call, prng.next() < 0.5]))
    switch (loss) {
      case 'nothing is kept':
        return () => undefined
      case 'all is kept':
        return (versions) => versions.at(-1)
      case 'whole writes':
        return (versions) => versions.findLast(({ call }) => fates.get(call))
      case 'torn writes':
        return (versions) => versions[prng.below(versions.length + 1)]
      case 'one is lost':
        return (versions) => versions.findLast(({ call }) => call !== odd)
      case 'one is kept':
        return (versions) => versions.findLast(({ call }) => call === odd)
    }
  }

  #write({ call, offset, bytes, synced }: RecordedWrite): void {
    const end = offset + bytes.length
    this.#grow(end)
    bytes.copy(this.#memory, offset)
    this.#size = Math.max(this.#size, end)
    for (let sector = Math.floor(offset / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      const versions = this.#versions.get(sector) ?? []
      versions.push({ call, bytes: Buffer.from(sectorOf(this.#memory, sector)) })
      this.#versions.set(sector, versions)
    }
    this.#writes.push({ call, offset, end, synced, ended: false })
  }

  #settle(write: PendingWrite): void {
    if (!this.#writes.includes(write)) return
    this.#writes = this.#writes.filter((other) => other !== write)
    for (let sector = Math.floor(write.offset / SECTOR_BYTES); sector * SECTOR_BYTES < write.end; sector++) {
      const versions = this.#versions.get(sector) ?? []
      const index = versions.findLastIndex(({ call }) => call <= write.call)
      versions[index]?.bytes.copy(this.#durable, sector * SECTOR_BYTES)
      if (index + 1 < versions.length) this.#versions.set(sector, versions.slice(index + 1))
      else this.#versions.delete(sector)
    }
    this.#durableSize = Math.max(this.#durableSize, write.end)
  }

  #grow(size: number): void {
    if (size <= this.#memory.length) return
    const length = Math.ceil(size / 2 ** 20) * 2 ** 20
    this.#memory = Buffer.concat([this.#memory, Buffer.alloc(length - this.#memory.length)])
    this.#durable = Buffer.concat([this.#durable, Buffer.alloc(length - this.#durable.length)])
  }
}

function sectorOf(file: Buffer, sector: number): Buffer {
  return file.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)
}
