/** Runs hosts, each a process: hands a damaged store to one that is idle, and replaces those that die of it. */
import { type ChildProcess, fork, type StdioOptions } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { HostReport, HostTask } from '../../fixtures/bytes/host.js'
import type { Plant } from '../../fixtures/bytes/plant.js'

const FILE = fileURLToPath(new URL('../../fixtures/bytes/host.js', import.meta.url))
const PLANT = new URL('../../fixtures/bytes/plant.js', import.meta.url)
/** A net for a host that hangs; the work takes a tenth of a second. */
const HANG_MS = 60_000

/** What came of a store: a report, or how the host ended. */
export type HostOutcome = HostReport | { readonly stage: 'dead'; readonly how: string }

export class Host {
  readonly #plant: Plant | undefined
  #child: ChildProcess | undefined

  /** @param plant - a fault in the library of each process */
  constructor(plant?: Plant) {
    this.#plant = plant
  }

  async serve(task: HostTask): Promise<HostOutcome> {
    const child = (this.#child ??= this.#start())
    const outcome = await new Promise<HostOutcome>((resolve) => {
      const net = setTimeout(() => {
        child.kill('SIGKILL')
        resolve({ stage: 'dead', how: `hung for ${HANG_MS / 1000} s` })
      }, HANG_MS)
      const onExit = (code: number | null, signal: string | null): void => {
        clearTimeout(net)
        resolve({ stage: 'dead', how: signal ?? `exit ${code}` })
      }
      child.once('exit', onExit)
      child.once('message', (report: HostReport) => {
        clearTimeout(net)
        child.off('exit', onExit)
        resolve(report)
      })
      child.send(task)
    })
    if (outcome.stage === 'dead') this.#child = undefined
    return outcome
  }

  end(): void {
    this.#child?.disconnect()
    this.#child = undefined
  }

  #start(): ChildProcess {
    const stdio: StdioOptions = ['ignore', 'ignore', 'ignore', 'ipc']
    if (this.#plant === undefined) return fork(FILE, [], { stdio, execArgv: [] })
    const env = { ...process.env, MILLRACE_PLANT: JSON.stringify(this.#plant) }
    return fork(FILE, [], { stdio, execArgv: ['--import', PLANT.href], env })
  }
}
