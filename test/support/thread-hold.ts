/** Holds a thread in which `fixtures/executor/hold` has run: what is handed to it meanwhile is not begun. */
import type { TestContext } from 'node:test'
import { BroadcastChannel } from 'node:worker_threads'

let holds = 0

export class ThreadHold {
  /** To be given to the job. */
  readonly name: string
  readonly #channel: BroadcastChannel
  #onHeld: () => void = () => undefined

  constructor(t: TestContext) {
    this.name = `millrace-hold-${process.pid}-${holds++}`
    this.#channel = new BroadcastChannel(this.name)
    this.#channel.onmessage = (event: unknown) => {
      if ((event as { data: { say?: string } }).data.say === 'held') this.#onHeld()
    }
    t.after(() => this.#channel.close())
  }

  /** Resolves when the thread does nothing else any more. */
  async hold(): Promise<void> {
    const held = new Promise<void>((resolve) => (this.#onHeld = resolve))
    this.#channel.postMessage({ say: 'hold' })
    await held
  }

  release(): void {
    this.#channel.postMessage({ say: 'release' })
  }
}
