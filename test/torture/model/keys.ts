/**
 * What the documents say of unique keys: who holds which, and what an enqueue does that finds its key held. Exact for calls of one
 * turn, made while nothing moves; of calls that a death or a close cut off only what is seen afterwards is known.
 */
import type { ModelUnique } from './history.js'
import type { ModelJob } from './model.js'

/** What becomes of one enqueue. */
export type Fate =
  | { readonly is: 'new' | 'refused' | 'unknown' }
  /** The handle is of that job. `changed`: which takes over the input and the settings. */
  | { readonly is: 'returned' | 'changed'; readonly job: ModelJob }

interface Holder {
  readonly job: ModelJob
  readonly while: ModelUnique['while']
  expiresAt: number
}

/** As a job stands in the middle of a turn. */
type Stand = 'waits' | 'runs' | 'over' | 'unknown'

export interface Turn {
  readonly now: number
  /** Jobs that the turn cancels before it enqueues. */
  readonly cancelled: ReadonlySet<ModelJob>
  /** Jobs that the turn has stored. */
  readonly stored: ReadonlySet<ModelJob>
  /** Queues whose jobs the turn begins to remove, over or not, before it enqueues. */
  readonly purged: ReadonlySet<string>
  /** Jobs that are over are kept. */
  readonly keeps: boolean
}

export class ModelKeys {
  readonly #holders = new Map<string, Holder | 'unknown'>()

  /** What the calls of a turn do, in their order; `jobs` are those of one call. */
  decide(jobs: readonly ModelJob[], turn: Turn & { readonly stored: Set<ModelJob> }): Fate[] {
    const [first] = jobs
    if (first?.unique === undefined) return jobs.map(() => ({ is: 'new' }))
    if (first.unique.onConflict === 'reject') {
      const names = jobs.map((job) => nameOf(job))
      const held = jobs.map((job) => this.#held(job, turn))
      if (held.includes('unknown')) return this.#lose(jobs)
      if (new Set(names).size < names.length || held.some((holder) => holder !== undefined))
        return jobs.map(() => ({ is: 'refused' }))
    }
    return jobs.map((job) => {
      const fate = this.#decideOne(job, turn)
      if (fate.is === 'new') turn.stored.add(job)
      return fate
    })
  }

  /** What was seen of an enqueue whose fate was not known. */
  learn(job: ModelJob, holder: ModelJob, now: number): void {
    const { unique } = job
    if (unique === undefined) return
    if (holder === job) this.#take(job, now)
    // Until when its time holds the key was not seen either.
    else this.#holders.set(nameOf(job), 'unknown')
  }

  /** Whatever was known of the job's key is not known any more. */
  forget(job: ModelJob): void {
    if (job.unique !== undefined) this.#holders.set(nameOf(job), 'unknown')
  }

  /** Times that are over are over for good, wherever the clock is set. */
  expire(now: number): void {
    for (const holder of this.#holders.values()) if (holder !== 'unknown' && holder.expiresAt <= now) holder.expiresAt = 0
  }

  #decideOne(job: ModelJob, turn: Turn): Fate {
    const holder = this.#held(job, turn)
    if (holder === 'unknown') return { is: 'unknown' }
    if (holder === undefined) return this.#new(job, turn)
    const held = { is: 'returned', job: holder.job.current } as const
    if (job.unique?.onConflict === 'return') return held
    switch (stand(holder.job.current, turn)) {
      case 'waits':
        return { is: 'changed', job: holder.job.current }
      case 'runs':
        return holder.expiresAt > turn.now ? held : this.#new(job, turn)
      default:
        return held
    }
  }

  #new(job: ModelJob, { now }: Turn): Fate {
    this.#take(job, now)
    return { is: 'new' }
  }

  #take(job: ModelJob, now: number): void {
    const { unique } = job
    if (unique === undefined) return
    const expiresAt = unique.within === undefined ? 0 : now + unique.within
    this.#holders.set(nameOf(job), { job, while: unique.while, expiresAt })
  }

  #lose(jobs: readonly ModelJob[]): Fate[] {
    return jobs.map(() => ({ is: 'unknown' }))
  }

  #held(job: ModelJob, turn: Turn): Holder | 'unknown' | undefined {
    const holder = this.#holders.get(nameOf(job))
    if (holder === undefined || holder === 'unknown') return holder
    const { current } = holder.job
    const stands = stand(current, turn)
    if (stands === 'unknown') return 'unknown'
    return holder.expiresAt > turn.now || holdsByState(holder.while, current, stands, turn) ? holder : undefined
  }
}

function holdsByState(until: ModelUnique['while'], job: ModelJob, stands: Stand, { cancelled, keeps }: Turn): boolean {
  switch (until) {
    case 'waiting':
      return stands === 'waits' && (job.seen?.attempts.length ?? 0) === 0
    case 'incomplete':
      return stands !== 'over'
    case 'kept':
      return stands !== 'over' || (cancelled.has(job) && !job.isOver ? keeps : !job.pruned)
  }
}

function stand(job: ModelJob, { cancelled, stored, purged }: Turn): Stand {
  if (stored.has(job)) return 'waits'
  if (purged.has(job.settings.queue)) return 'unknown'
  if (job.isOver) return 'over'
  if (job.seen === undefined) return 'unknown'
  if (job.seen.state !== 'running') return cancelled.has(job) ? 'over' : 'waits'
  // It was let go, and may end at any moment.
  return job.released ? 'unknown' : 'runs'
}

/** Of the job's key. Another definition's is another one. */
export function nameOf({ name, unique }: ModelJob): string {
  return `${name} ${unique?.key}`
}
