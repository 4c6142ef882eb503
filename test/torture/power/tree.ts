/**
 * A disk under several data files in several directories, as a power cut finds it: `disk` tells what becomes of the content of a file, this
 * of the names. Fed with the recording of a process that tells which names it makes (`fixtures/power/maintenance`).
 *
 * The model. A directory holds what it held when its last sync began, or what it holds now, each for itself. A name leads to a file or a
 * directory, whatever has become of the content of that.
 */
import { basename, dirname } from 'node:path'
import type { NameLine } from '../../fixtures/power/maintenance.js'
import type { Prng } from '../../support/prng.js'
import type { RecordedEvent } from '../shim/recording.js'
import type { Loss } from './disk.js'
import { Disk } from './disk.js'

/** What becomes of names that were not synced. */
export type NameLoss = 'all are kept' | 'none is kept' | 'some are kept'

type Node = Directory | Disk

class Directory {
  now = new Map<string, Node>()
  durable = new Map<string, Node>()
}

/** As a file is made. */
const DRAFT = '.new'

export class Tree {
  readonly #root: string
  readonly #top = new Directory()
  /** By call, the file that it is of. */
  readonly #calls = new Map<number, Disk>()
  readonly #naming = new Map<string, ReadonlyMap<string, Node>>()
  #target: string | undefined
  #copies = 0

  /** @param root - a directory that is there before, and holds `files`, by their path in it; all of that is durable */
  constructor(root: string, files: ReadonlyMap<string, Buffer>) {
    this.#root = root
    for (const [path, content] of files) {
      this.#put(path, new Disk(path, root, content), 'now')
      this.#put(path, this.#at(path)!, 'durable')
    }
  }

  /** What the process sees at a path. */
  content(path: string): Buffer | undefined {
    const node = this.#at(path)
    return node instanceof Disk ? node.content : undefined
  }

  /** Something could still be lost: content of a file, or a name. */
  get isPending(): boolean {
    const isUnsynced = (node: Node): boolean => {
      if (node instanceof Disk) return node.isPending
      const isSame = node.now.size === node.durable.size && [...node.now].every(([name, each]) => node.durable.get(name) === each)
      return !isSame || [...node.now.values()].some(isUnsynced)
    }
    return isUnsynced(this.#top)
  }

  apply(event: RecordedEvent): void {
    switch (event.kind) {
      case 'write':
      case 'sync': {
        const file = this.#target === undefined ? undefined : this.#file(this.#target, event.kind === 'write')
        if (file === undefined) return
        this.#calls.set(event.call, file)
        file.apply(event)
        return
      }
      case 'written':
      case 'synced':
        this.#calls.get(event.call)?.apply(event)
        return
      case 'names': {
        const directory = this.#at(event.directory)
        if (directory instanceof Directory) this.#naming.set(event.directory, new Map(directory.now))
        return
      }
      case 'named': {
        const directory = this.#at(event.directory)
        const names = this.#naming.get(event.directory)
        if (directory instanceof Directory && names !== undefined) directory.durable = new Map(names)
        return
      }
      case 'note':
        this.#note(event.note as unknown as NameLine)
        return
      case 'rename':
      case 'unseen':
    }
  }

  /** What a cut leaves now: the content of each file by its path; undefined of a directory. */
  image(loss: Loss, names: NameLoss, prng: Prng): ReadonlyMap<string, Buffer | undefined> {
    const image = new Map<string, Buffer | undefined>()
    const walk = (directory: Directory, path: string): void => {
      const isKept = names === 'all are kept' || (names === 'some are kept' && prng.next() < 0.5)
      for (const [name, node] of isKept ? directory.now : directory.durable) {
        const at = `${path}/${name}`
        image.set(at, node instanceof Disk ? (node.image(loss, prng).file ?? Buffer.alloc(0)) : undefined)
        if (node instanceof Directory) walk(node, at)
      }
    }
    walk(this.#top, this.#root)
    return image
  }

  #note(line: NameLine): void {
    switch (line.is) {
      case 'mkdir':
        this.#put(line.path, new Directory(), 'now')
        return
      case 'rmdir':
        this.#remove(line.path)
        return
      case 'renamed': {
        // A draft counts as the file that it becomes: no name that matters before its directory has another one.
        if (line.from === `${line.to}${DRAFT}`) return
        const node = this.#at(line.from)
        if (node === undefined) return
        this.#remove(line.from)
        this.#put(line.to, node, 'now')
        return
      }
      case 'copied': {
        const bytes = Buffer.from(this.content(line.from) ?? [])
        // Numbers that no call of the shim has.
        const call = -++this.#copies
        const copy = new Disk(line.to, this.#root, Buffer.alloc(0))
        copy.apply({ kind: 'write', call, offset: 0, bytes, synced: false, draft: false })
        copy.apply({ kind: 'written', call, result: bytes.length })
        this.#put(line.to, copy, 'now')
        return
      }
      case 'writes':
        this.#target = line.path ?? undefined
        return
      case 'done':
    }
  }

  #file(path: string, makes: boolean): Disk | undefined {
    const node = this.#at(path)
    if (node instanceof Disk || !makes) return node instanceof Disk ? node : undefined
    const file = new Disk(path, this.#root, Buffer.alloc(0))
    this.#put(path, file, 'now')
    return file
  }

  #at(path: string): Node | undefined {
    if (path === this.#root) return this.#top
    if (!path.startsWith(`${this.#root}/`)) return undefined
    const parent = this.#at(dirname(path))
    return parent instanceof Directory ? parent.now.get(basename(path)) : undefined
  }

  #put(path: string, node: Node, when: 'now' | 'durable'): void {
    if (this.#at(dirname(path)) === undefined) this.#put(dirname(path), new Directory(), when)
    const parent = this.#at(dirname(path))
    if (parent instanceof Directory) parent[when].set(basename(path), node)
    if (when === 'durable' && dirname(path) !== this.#root) this.#put(dirname(path), parent!, when)
  }

  #remove(path: string): void {
    const parent = this.#at(dirname(path))
    if (parent instanceof Directory) parent.now.delete(basename(path))
  }
}
