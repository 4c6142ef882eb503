/** When the jobs were handed out that a rate counts as started: what comes back unstarted is given back where it was counted, and nowhere else. */
import type { PageRef, Slice } from '../store/page-ref.js'

/** Jobs of a page. */
export type Span = Pick<Slice, 'page' | 'from' | 'to'>

interface Counted {
  readonly from: number
  to: number
  /** Epoch ms. */
  readonly at: number
}

export class CountedStarts {
  /** Of no job two. */
  readonly #byPage = new WeakMap<PageRef, Counted[]>()

  /** Returns how many they are. */
  note(spans: readonly Span[], at: number): number {
    let jobs = 0
    for (const { page, from, to } of spans) {
      jobs += to - from
      // One that has begun before and begins again is counted again.
      const others = this.#byPage.get(page)?.filter((counted) => counted.to <= from || counted.from >= to) ?? []
      this.#byPage.set(page, [...others, { from, to, at }])
    }
    return jobs
  }

  /** Jobs come back, the last ones of those that were handed out together. Returns how many of them were counted at which moment. */
  takeBack(spans: readonly Span[]): ReadonlyMap<number, number> {
    const starts = new Map<number, number>()
    for (const { page, from, to } of spans) {
      const all = this.#byPage.get(page)
      for (const counted of all ?? []) {
        const jobs = Math.min(to, counted.to) - Math.max(from, counted.from)
        if (jobs <= 0) continue
        starts.set(counted.at, (starts.get(counted.at) ?? 0) + jobs)
        counted.to = Math.max(from, counted.from)
      }
      if (all !== undefined)
        this.#byPage.set(
          page,
          all.filter((counted) => counted.to > counted.from),
        )
    }
    return starts
  }
}
