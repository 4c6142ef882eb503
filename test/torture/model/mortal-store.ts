/**
 * A store whose process can die, in memory and over LMDB: at a commit, before or behind it, or between two. From then on nothing more is
 * written, and what is opened next is what was there at that instant.
 *
 * In memory those are the bytes themselves. Over LMDB they are a copy of the data file, made when the death falls and no commit is
 * under way, in a directory of its own: LMDB never changes a page that the last commit leads to, and writes its root last, by plain
 * writes to the file, so the copy is what the system keeps for the file when a process is killed there. The same file must not be
 * open twice in a process; hence the copy, and the old one is closed and removed when its executor is gone. What a real kill leaves
 * besides is not here: the slots of LMDB's readers and the store's lock (see the rung `kill`), and a commit torn by the kill itself.
 */
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.js'
import type { Engine } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import { createMemoryEngine } from '../../../src/store/memory-engine.js'
import { lasting, type StoreKind } from '../../support/executor.js'

export interface MortalStoreOptions {
  readonly store: StoreKind
  /** Of an LMDB store, each of whose lives has a directory in it. */
  readonly directory: string
  /** A fault: over LMDB a death takes the latest commit with it, acknowledged as it is. */
  readonly losesLatest?: boolean
}

/** The store in the hands of one process. */
export interface Life {
  readonly engine: Engine
  commits: number
  /** Commits that are still let through; the next one is the last, durable or not. */
  left: number
  lastIsDurable: boolean
  /** Resolves when it has died. */
  readonly died: Promise<void>
  /** It died at a commit. */
  readonly fellAtCommit: boolean
  /** It dies here, if it has not yet. */
  die(): Promise<void>
}

export class MortalStore {
  readonly #options: MortalStoreOptions
  /** The bytes that the present life has open. */
  #bytes: Engine | undefined
  #lives = 0
  #hasDied = false

  constructor(options: MortalStoreOptions) {
    this.#options = options
    if (options.store === 'lmdb') mkdirSync(this.#directoryOf(0), { mode: 0o700 })
  }

  /** As the present life, or the latest one, has them. */
  get bytes(): Engine {
    if (this.#bytes === undefined) throw new Error('the store was never opened')
    return this.#bytes
  }

  /** @param onDeath - called at once when it dies */
  async open(onDeath: () => void): Promise<Life> {
    if (this.#hasDied) await this.#bury()
    if (this.#options.store === 'memory') this.#bytes ??= lasting(createMemoryEngine())
    else this.#bytes = await openLmdbEngine(this.#directoryOf(this.#lives), { durability: 'process', clock: systemClock })
    return this.#live(this.#bytes, onDeath)
  }

  /** After its executor has closed. Of a store in memory the bytes stay. */
  async close(): Promise<void> {
    if (this.#options.store === 'lmdb') await this.#bytes?.close()
  }

  #live(bytes: Engine, onDeath: () => void): Life {
    let tellDeath: () => void = () => undefined
    const died = new Promise<void>((resolve) => {
      tellDeath = resolve
    })
    let dying: Promise<void> | undefined
    let underWay: Promise<unknown> = Promise.resolve()
    let fellAtCommit = false
    const fall = async (): Promise<void> => {
      onDeath()
      this.#hasDied = true
      await underWay
      this.#keep()
      tellDeath()
    }
    const dead = (): Error => new Error('the process is dead')
    const life: Life = {
      commits: 0,
      left: Infinity,
      lastIsDurable: false,
      died,
      get fellAtCommit() {
        return fellAtCommit
      },
      die: () => (dying ??= fall()),
      engine: {
        ...lasting(bytes),
        commit: async (batch) => {
          if (dying !== undefined) throw dead()
          life.commits++
          const isLast = life.left-- <= 1
          if (!isLast || life.lastIsDurable) {
            if (this.#options.losesLatest === true) this.#copyTo(this.#before)
            const committed = bytes.commit(batch)
            underWay = committed.catch(() => undefined)
            await committed
          }
          if (!isLast) return
          fellAtCommit = dying === undefined
          await life.die()
          throw dead()
        },
      },
    }
    return life
  }

  /** Keeps what is there for the next life. */
  #keep(): void {
    if (this.#options.store === 'memory') return
    const next = this.#directoryOf(this.#lives + 1)
    if (this.#options.losesLatest === true && existsSync(this.#before)) renameSync(this.#before, next)
    else this.#copyTo(next)
  }

  /** Of the fault: the store as it was before the latest commit. */
  get #before(): string {
    return join(this.#options.directory, 'before')
  }

  #copyTo(directory: string): void {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    copyFileSync(join(this.#directoryOf(this.#lives), DATA_FILE), join(directory, DATA_FILE))
  }

  /** What the dead process had open is let go of, and the next life begins with what was kept. */
  async #bury(): Promise<void> {
    this.#hasDied = false
    if (this.#options.store === 'memory') return
    await this.#bytes?.close()
    await rm(this.#directoryOf(this.#lives), { recursive: true, force: true })
    this.#lives++
  }

  #directoryOf(life: number): string {
    return join(this.#options.directory, `life-${life}`)
  }
}
