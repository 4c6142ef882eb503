import { cpus } from 'node:os'

/** Tells what share of all cores other processes have used since it was made. */
export class MachineLoad {
  readonly #began = performance.now()
  readonly #busyMs = busyMs()
  readonly #own = process.cpuUsage()

  /** From 0 to 1. The system's own work, such as writing to the disk, counts as others'. */
  get othersShare(): number {
    const { user, system } = process.cpuUsage(this.#own)
    const others = busyMs() - this.#busyMs - (user + system) / 1000
    return Math.max(0, others / ((performance.now() - this.#began) * cpus().length))
  }
}

function busyMs(): number {
  return cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq, 0)
}
