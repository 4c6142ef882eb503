/** The table `finished`: jobs that are over, in blocks by state. Which block a job goes to and how long it stays, retention decides. */
import { finishedEnd, finishedKey } from '../codec/keys.js'
import type { FinalState } from '../job/job-info.js'
import type { Engine, WriteBatch } from './engine.js'

export class FinishedBlocks {
  readonly #engine: Engine
  /** Blocks that the commit under way writes anew, by key. */
  readonly #changing = new Map<string, Buffer>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  put(batch: WriteBatch, state: FinalState, block: number, bytes: Buffer): void {
    batch.put('finished', finishedKey(state, block), bytes)
  }

  /** Writes a block anew that is there; what is read of it from now on is what it will be. */
  replace(batch: WriteBatch, state: FinalState, block: number, bytes: Buffer): void {
    const key = finishedKey(state, block)
    batch.put('finished', key, bytes)
    this.#changing.set(key.toString('latin1'), bytes)
  }

  remove(batch: WriteBatch, state: FinalState, block: number): void {
    batch.remove('finished', finishedKey(state, block))
  }

  readFrom(state: FinalState, fromBlock: number, limit: number): { block: number; bytes: Buffer }[] {
    return this.#engine
      .range('finished', { start: finishedKey(state, fromBlock), end: finishedEnd(state), limit })
      .map(({ key, value }) => ({ block: key.readUIntBE(1, 6), bytes: value }))
  }

  read(state: FinalState, block: number): Buffer | undefined {
    const key = finishedKey(state, block)
    const changing = this.#changing.size === 0 ? undefined : this.#changing.get(key.toString('latin1'))
    return changing ?? this.#engine.get('finished', key)
  }

  /** The commit under way has become durable. */
  committed(): void {
    this.#changing.clear()
  }
}
