/**
 * What outlives a process besides jobs: pauses and concurrencies of queues, and schedules with the runs that they plan. Part of the
 * judge.
 */
import type { Line } from '../fixtures/crash/journal-line.js'
import type { Check } from './crash-verdict.js'

/** Of the schedules whose runs are looked at one by one. */
const PERIOD_MS = 1000

export function pauseOf(queue: string): string {
  return `pause of ${queue}`
}

export function scheduleNamed(name: string): string {
  return `schedule ${name}`
}

export class Settings {
  readonly #problem: (check: Check, text: string) => void
  /** What each may be: one value once that was acknowledged or seen, more while a change is under way. */
  readonly #possible = new Map<string, Set<string>>()
  readonly #touched = new Set<string>()
  /** Planned instants that are in the store, by schedule. */
  readonly #planned = new Map<string, number[]>()

  constructor(problem: (check: Check, text: string) => void) {
    this.#problem = problem
  }

  line(line: Line): void {
    if (line.is === 'sets') {
      this.#touched.add(line.what)
      // While nobody knows how it was, anything may be.
      this.#possible.get(line.what)?.add(line.value)
    } else if (line.is === 'set') this.#possible.set(line.what, new Set([line.value]))
    else if (line.is === 'setting') this.#found(line)
    else if (line.is === 'start') {
      const possible = this.#possible.get(pauseOf(line.queue ?? ''))
      if (possible?.size === 1 && possible.has('true'))
        this.#problem('paused', `job ${line.key} began, and its queue ${line.queue} is paused`)
    } else if (line.is === 'found' && line.schedule !== undefined) {
      const { name, plannedAt } = line.schedule
      const instants = this.#planned.get(name)
      if (instants === undefined) this.#planned.set(name, [plannedAt])
      else instants.push(plannedAt)
    }
  }

  #found({ what, value }: Line & { readonly is: 'setting' }): void {
    const possible = this.#possible.get(what)
    // Nobody has touched it before.
    if (possible !== undefined && !possible.has(value))
      this.#problem('setting', `${what} was ${[...possible].join(' or ')}, and is ${value}`)
    this.#possible.set(what, new Set([value]))
  }

  /** Whether somebody may have made the schedule. */
  isMade(name: string): boolean {
    return this.#touched.has(scheduleNamed(name))
  }

  /** Each planned instant has one run. @param prunes - those that are over may be gone */
  finally(prunes: boolean): void {
    for (const [name, instants] of this.#planned) {
      instants.sort((left, right) => left - right)
      for (const [index, at] of instants.entries()) {
        const before = instants[index - 1]
        if (before === at) this.#problem('doubled', `two runs of ${name} are planned for ${at}`)
        else if (before !== undefined && at - before !== PERIOD_MS && !prunes)
          this.#problem('lost', `runs of ${name} are planned for ${before} and then ${at}, and for nothing in between`)
      }
    }
  }
}
