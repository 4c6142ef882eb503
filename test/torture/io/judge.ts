/**
 * Judges a scenario by what was recorded: nothing told before its time, nothing told and missing, nothing refused and there, nothing
 * told after a failure, every call answered, by a typed error where it is one, and the process alive.
 */
import type { IoLine, Scenario } from '../../fixtures/io/scenario.js'
import { KEPT_COMPLETED } from '../../fixtures/io/starts.js'
import { judge } from '../../support/crash-judge.js'
import type { Incarnation } from '../../support/crash-run.js'
import { judgeChore } from './judge-chore.js'
import { judgeKept } from './judge-kept.js'
import type { Starts } from './starts.js'
import type { Course, IoEvent, Told } from './told.js'
import { find, isGhost, linesOf } from './told.js'

const PROBLEMS_MAX = 6
/** Half of a slow sync: an event loop that waits for syncs is later, and one that does not is late by a small part of it. */
const LATE_MS = 250
/** What an executor that has failed must not tell any more. */
const TELLING: ReadonlySet<string> = new Set(['ack', 'outcome', 'result', 'failed', 'interrupted'])

/** What became of a scenario. */
export interface Played {
  readonly scenario: Scenario
  /** Writes and syncs while the order was in force. */
  readonly steps: number
  /** The fault was reached. */
  readonly faulted: boolean
  readonly failure: { readonly code: string; readonly message: string } | undefined
  readonly unopened: { readonly code: string; readonly message: string } | undefined
  readonly chore: Extract<IoLine, { is: 'chore' }> | undefined
  readonly loop: { readonly lateMs: number } | undefined
  readonly kept: Extract<IoLine, { is: 'kept' }>['jobs'] | undefined
  readonly syncs: number
  readonly acknowledged: number
  readonly refused: number
  /** lmdb-js had a message that was too long for its memory. */
  readonly overrun: boolean
  /** The process died in a way that is known of lmdb-js. */
  readonly died: boolean
  readonly violations: readonly string[]
}

export function judged(scenario: Scenario, course: Course, starts: Starts | undefined): Played {
  const { events, problems, signal } = course
  const notes = events.flatMap(({ note }) => (note === undefined ? [] : [note]))
  const lives = livesOf(notes)
  const before = lives[0] ?? []
  const failure = find(before, 'failure')
  const unopened = find(before, 'unopened')
  const faulted = find(before, 'fault') !== undefined
  const kept = find(notes, 'kept')?.jobs
  const died = signal !== null
  const { found, acknowledged } =
    scenario.chore === undefined
      ? judgeUse(scenario, course, lives, starts)
      : { found: judgeChore(scenario, { notes, problems, died, faulted }), acknowledged: 0 }
  if (scenario.start === 'old' && kept !== undefined)
    found.push(...judgeKept(starts?.old, kept, notes).map((text) => `[earlier format] ${text}`))
  return {
    scenario,
    steps: find(before, 'count')?.steps ?? 0,
    faulted,
    failure,
    unopened,
    chore: find(before, 'chore'),
    loop: find(before, 'loop'),
    kept,
    syncs: events.filter(({ kind }) => kind === 'synced').length,
    acknowledged,
    refused: before.filter(({ is }) => is === 'refused').length,
    overrun: find(notes, 'overrun') !== undefined,
    died: died && problems.length === 0,
    violations: varied(found)
      .slice(0, PROBLEMS_MAX)
      .map((text) => `${describe(scenario)}: ${text}`),
  }
}

/** One of each kind comes first. */
function varied(found: readonly string[]): string[] {
  const kindOf = (text: string): string => text.slice(0, text.indexOf(']'))
  const kinds = found.map(kindOf)
  const first = found.filter((text, index) => kinds.indexOf(kindOf(text)) === index)
  return [...first, ...found.filter((text) => !first.includes(text))]
}

function judgeUse(
  scenario: Scenario,
  { events, problems, signal }: Course,
  lives: readonly Told[][],
  starts: Starts | undefined,
): { found: string[]; acknowledged: number } {
  const before = lives[0] ?? []
  const { start = 'new', seed, order, fill } = scenario
  const incarnations = [...incarnationsBefore(scenario, starts), ...incarnationsOf(lives, problems)]
  const verdict = judge({
    seed,
    incarnations: incarnations.map((one, index) => ({ ...one, number: index + 1 })),
    prunes: start === 'finished',
  })
  const failure = find(before, 'failure')
  const unopened = find(before, 'unopened')
  // The disk has stored what it refused, and refused to take it back: then the error has to say that this may be.
  const mayComeBack = isGhost(scenario) && failure !== undefined && failure.message.includes('it is found, whole, when')
  const found = [
    ...verdict.problems
      .filter(({ check }) => !(check === 'unexpected' && mayComeBack))
      .map(({ check, text }) => `[${check}] ${text}`),
    ...toldEarly(events).map((text) => `[too early] ${text}`),
    ...lives.flatMap(toldAfterFailure).map((text) => `[after failure] ${text}`),
    ...wrongCodes(failure?.code, unopened?.code).map((text) => `[error] ${text}`),
  ]
  if (find(before, 'fault') !== undefined && failure === undefined && unopened === undefined && signal === null)
    found.push('[unheard] a write or sync was refused, and the executor did not say so')
  if (fill !== undefined && failure === undefined) found.push('[unheard] the store was never full')
  if (order?.startsWith('slow') === true && !((find(before, 'loop')?.lateMs ?? Infinity) < LATE_MS))
    found.push(`[loop] with slow syncs the event loop was late by ${find(before, 'loop')?.lateMs} ms`)
  const completed = lives.at(-1)?.filter((note) => note.is === 'found' && note.state === 'completed').length ?? 0
  if (start === 'finished' && completed > KEPT_COMPLETED)
    found.push(`[retention] ${completed} completed jobs are kept, and ${KEPT_COMPLETED} are to be`)
  // Nobody was there at more than two deaths, and three are needed.
  if (lives.flat().some((note) => note.is === 'open' && note.quarantined.length > 0))
    found.push('[quarantine] a job was given up')
  return { found, acknowledged: verdict.figures.acknowledged }
}

/** What was told by the process that made the store. */
function incarnationsBefore({ start }: Scenario, starts: Starts | undefined): Incarnation[] {
  const lines = start === 'killed' || start === 'finished' ? starts?.[start].lines : undefined
  if (lines === undefined) return []
  return [{ number: 0, killed: start === 'killed' ? 'running' : 'never', stopped: false, lines, problems: [], storeProblems: [] }]
}

function incarnationsOf(lives: readonly Told[][], problems: readonly string[]): Incarnation[] {
  const storeProblems = lives.flat().flatMap((note) => (note.is === 'store' ? [note.text] : []))
  return lives.map((life, index): Incarnation => {
    const isLast = index === lives.length - 1
    // Of a list that was cut off by the end of its process nothing is to be counted: there is another one.
    const lines = linesOf(life).filter(({ is }) => isLast || is !== 'found')
    return {
      number: 0,
      killed: isLast ? 'never' : 'running',
      stopped: false,
      lines,
      problems: isLast ? problems : [],
      storeProblems: isLast ? storeProblems : [],
    }
  })
}

/** What was told by the store in use, by the one opened again, and if the process died then, by the one opened once more. */
function livesOf(notes: readonly Told[]): Told[][] {
  const lives: Told[][] = [[]]
  for (const note of notes) {
    if (note.is === 'mended') lives.push([])
    else lives.at(-1)?.push(note)
  }
  return lives
}

function describe({ order, from = 'open', fill, seed, start = 'new', chore, directory }: Scenario): string {
  const disk = order ?? (fill === undefined ? 'a sound disk' : 'a full one')
  const what = chore === undefined ? `a store that is ${start}, from ${from} on` : chore
  return `${disk}, ${what}, seed ${seed} (${directory.split('/').at(-2)})`
}

/** After the first error of its disk an executor acknowledges nothing, and tells of nothing that ended, until it is opened again. */
function toldAfterFailure(life: readonly Told[]): string[] {
  const at = life.findIndex(({ is }) => is === 'failure')
  if (at < 0) return []
  return life
    .slice(at)
    .filter(({ is }) => TELLING.has(is))
    .map((note) => `the executor had failed, and told ${JSON.stringify(note)}`)
}

function wrongCodes(failure: string | undefined, unopened: string | undefined): string[] {
  const wrong: string[] = []
  if (failure !== undefined && failure !== 'MILLRACE_STORE_FAILED') wrong.push(`the executor failed with ${failure}`)
  if (unopened !== undefined && unopened !== 'MILLRACE_STORE_UNUSABLE' && unopened !== 'MILLRACE_STORE_FAILED')
    wrong.push(`the store did not open, with ${unopened}`)
  return wrong
}

/** Acknowledgements that were told before a sync, begun after the call, and the synced write that makes its commit valid. */
function toldEarly(events: readonly IoEvent[]): string[] {
  const early: string[] = []
  const tried = new Map<number, number>()
  const begun = new Map<number, number>()
  const valid = new Set<number>()
  /** The latest begin of a sync that a valid commit has behind it. */
  let durableFrom = -1
  let latestSync = -1
  for (const [at, event] of events.entries()) {
    if (event.kind === 'sync') begun.set(event.call, at)
    if (event.kind === 'synced' && event.result === 0) latestSync = Math.max(latestSync, begun.get(event.call) ?? -1)
    if (event.kind === 'write' && event.synced) valid.add(event.call)
    if (event.kind === 'written' && valid.has(event.call) && event.result > 0) durableFrom = latestSync
    const { note } = event
    if (note?.is === 'try') tried.set(note.key, at)
    if (note?.is === 'ack' && !(durableFrom > (tried.get(note.key) ?? Infinity)))
      early.push(`job ${note.key} was acknowledged before it was on the disk`)
  }
  return early
}
