/**
 * When and how the processes of a crash run die. The delays are the point: they choose where the process dies.
 *
 * A quarter of the deaths hit a process that is opening the store, and half of those one that has read what the last process held
 * and has not yet stored what it made of it: as some come too late, who opens next depends on how many were hit. Of those that are
 * killed a fifth is stopped first, and half of these go on for a moment before they are killed.
 */
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EndOrder } from '../fixtures/crash/ends.js'
import type { Line } from '../fixtures/crash/journal-line.js'
import type { Prng } from './prng.js'

/** By a signal, `process.exit()`, or an error that nobody catches. */
export type End = 'SIGKILL' | 'SIGTERM' | 'exit' | 'throw'

/** How a process is to end: so long after the first line of a kind, and whether it is stopped first. */
export interface Death {
  readonly end: End
  readonly cue: 'opening' | 'recovering' | 'open' | 'start'
  readonly delayMs: number
  readonly stop: { readonly forMs: number; readonly goOnMs: number | undefined } | undefined
  /** Of the event loop, after a commit was handed over. */
  readonly turns: number
}

/** What a process has shown before it died. */
interface Lived {
  readonly openMs: number
  readonly recoveryMs: number
  readonly lines: readonly Line[]
}

const OPENING_SHARE = 0.25
/** While the share is not reached, and when it is. */
const OPENING_CHANCE = { below: 0.7, above: 0.1 }
/** Until they are measured. */
const FIRST_OPEN_MS = 20
const FIRST_RECOVERY_MS = 5

export class DeathPlan {
  readonly #prng: Prng
  readonly #ends: readonly End[]
  readonly #onlyAtWork: boolean
  #openMs = FIRST_OPEN_MS
  #recoveryMs = FIRST_RECOVERY_MS
  #planned = 0
  #inOpening = 0

  constructor(prng: Prng, { ends = ['SIGKILL'], onlyAtWork = false }: { ends?: readonly End[]; onlyAtWork?: boolean }) {
    this.#prng = prng
    this.#ends = ends
    this.#onlyAtWork = onlyAtWork
  }

  /** Most of those that have opened the store are let do some work: threads take longer to start than the executor. */
  next(): Death {
    const prng = this.#prng
    const end = prng.pick(this.#ends)
    const stops = prng.next() < 0.2 && end === 'SIGKILL'
    const stop = stops ? { forMs: 5 + prng.below(35), goOnMs: prng.next() < 0.5 ? prng.below(20) : undefined } : undefined
    const base = { end, stop, turns: prng.below(3) }
    const chance = this.#inOpening < OPENING_SHARE * ++this.#planned ? OPENING_CHANCE.below : OPENING_CHANCE.above
    if (prng.next() < chance && !this.#onlyAtWork)
      return prng.next() < 0.5
        ? { ...base, cue: 'opening', delayMs: prng.next() * this.#openMs }
        : { ...base, cue: 'recovering', delayMs: prng.pick([0, prng.next() * this.#recoveryMs]), stop: undefined }
    const cue = prng.next() < 0.25 && !this.#onlyAtWork ? 'open' : 'start'
    return { ...base, cue, delayMs: prng.next() ** 2 * 400 }
  }

  lived({ openMs, recoveryMs, lines }: Lived): void {
    if (openMs > 0) this.#openMs += (openMs - this.#openMs) / 4
    if (recoveryMs > 0) this.#recoveryMs += (recoveryMs - this.#recoveryMs) / 4
    if (lines.every(({ is }) => is !== 'open')) this.#inOpening++
  }
}

/** Resolves when the last has been done for its end. */
export async function die(child: ChildProcess, { end, delayMs, stop, turns }: Death): Promise<void> {
  // A timer of no time would still be one.
  if (delayMs >= 1) await sleep(delayMs)
  if (end === 'exit' || end === 'throw') {
    // It may have ended by itself, which its parent is told.
    if (child.connected) child.send({ end, turns } satisfies EndOrder, () => undefined)
    return
  }
  if (stop !== undefined) {
    child.kill('SIGSTOP')
    await sleep(stop.forMs)
    if (stop.goOnMs !== undefined) {
      child.kill('SIGCONT')
      await sleep(stop.goOnMs)
    }
  }
  child.kill(end)
}
