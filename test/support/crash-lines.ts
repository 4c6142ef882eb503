/** Journals of the crash test, made by hand: its lines, and whole lives of processes. */
import type { Line } from '../fixtures/crash/journal-line.js'
import { judge } from './crash-judge.js'
import type { Incarnation, Journal } from './crash-run.js'
import type { Act } from '../fixtures/crash/inputs.js'
import type { Check } from './crash-verdict.js'

export const opening: Line = { is: 'opening' }
export const closed: Line = { is: 'closed', interrupted: 0 }

export function open(rescued: readonly string[] = [], quarantined: readonly string[] = []): Line {
  return { is: 'open', rescued, suspects: rescued, quarantined }
}

export function enqueued(key: number, id = `id${key}`, lane?: string): Line[] {
  return [
    { is: 'try', key, count: 1, ...(lane !== undefined && { lane }) },
    { is: 'ack', key, ids: [id] },
  ]
}

export function start(key: number, run: string, attempt = 1, id = `id${key}`): Line {
  return { is: 'start', key, id, run, attempt }
}

export function end(key: number, run: string, intact = true): Line {
  return { is: 'end', key, run, intact }
}

export function outcome(key: number, state = 'completed'): Line {
  return { is: 'outcome', id: `id${key}`, state }
}

export function found(key: number, attempts = ['1 completed'], change: Partial<Line & { is: 'found' }> = {}): Line {
  return { is: 'found', key, id: `id${key}`, state: 'completed', attempts, intact: true, agrees: true, ...change }
}

/** One thread works for it. */
export const alone: Line = { is: 'open', rescued: [], suspects: [], quarantined: [], threads: 1 }

/** The n-th of a lane. */
export function inLane(place: number, lane = '0000k'): string {
  return `000000000${place}${lane}7kjnf`
}

/** From its start to its end. */
export function run(key: number, name: string, id = `id${key}`): Line[] {
  return [start(key, name, 1, id), end(key, name), { is: 'outcome', id, state: 'completed' }]
}

export const cancelled: Line = { is: 'outcome', id: 'id1', state: 'cancelled' }
/** Processes by their lines; all but the last were killed. */
export function journalOf(lives: readonly (readonly Line[])[], more: Partial<Incarnation> = {}): Journal {
  const incarnations = lives.map((lines, index): Incarnation => {
    const killed = index < lives.length - 1 ? 'running' : 'never'
    return { number: index + 1, killed, stopped: false, lines, problems: [], storeProblems: [], ...more }
  })
  return { seed: 1, incarnations }
}

export function checksOf(journal: Journal, act: Act = 'plain'): Check[] {
  return [...new Set(judge(journal, () => act).problems.map(({ check }) => check))]
}
