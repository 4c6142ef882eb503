/**
 * Holds jobs until the test lets them go on. A job calls `pass` of `fixtures/executor/gate`; the two meet on a channel named by the
 * gate, so that neither a timer nor a file is needed.
 */
import type { TestContext } from 'node:test'
import { BroadcastChannel } from 'node:worker_threads'

let gates = 0

export class Gate {
  /** To be given to the job. */
  readonly name: string
  /** Tags of jobs that have come, in the order in which they came. */
  readonly arrived: string[] = []
  readonly #channel: BroadcastChannel
  #isOpen = false
  readonly #let = new Set<string>()
  #watchers: (() => void)[] = []

  constructor(t: TestContext) {
    this.name = `millrace-gate-${process.pid}-${gates++}`
    this.#channel = new BroadcastChannel(this.name)
    this.#channel.unref()
    this.#channel.onmessage = (event: unknown) => {
      const { arrived } = (event as { data: { arrived?: string } }).data
      if (arrived === undefined) return
      this.arrived.push(arrived)
      if (this.#isOpen || this.#let.has(arrived)) this.#channel.postMessage({ pass: arrived })
      for (const watcher of this.#watchers.splice(0)) watcher()
    }
    t.after(() => this.#channel.close())
  }

  /** Resolves when so many jobs have come. */
  async reached(jobs: number): Promise<void> {
    // The channel alone does not keep the process alive.
    this.#channel.ref()
    while (this.arrived.length < jobs) await new Promise<void>((resolve) => this.#watchers.push(resolve))
    this.#channel.unref()
  }

  /** Lets one job go on. */
  let(tag: string): void {
    this.#let.add(tag)
    this.#channel.postMessage({ pass: tag })
  }

  /** Lets every job go on, also those that come later. */
  open(): void {
    this.#isOpen = true
    for (const tag of this.arrived) this.#channel.postMessage({ pass: tag })
  }
}
