/**
 * Judges what a crash run has told: reads the lines of all processes in order, and holds them against each other and against what
 * was found in the store at the end. Pure, so that each of its checks is proven on hand-made journals.
 */
import type { Act } from '../fixtures/crash/inputs.js'
import { actOf, TERMINATING } from '../fixtures/crash/inputs.js'
import type { Line } from '../fixtures/crash/journal-line.js'
import type { Incarnation, Journal } from './crash-run.js'

/** What can be wrong. */
export type Check =
  /** An acknowledged job is not in the store. */
  | 'lost'
  /** A job is in the store that nobody tried to enqueue, or whose enqueue was refused. */
  | 'unexpected'
  /** One enqueue is in the store under two ids. */
  | 'doubled'
  /** A job is not over although the store was drained. */
  | 'unfinished'
  /** A run began or went on after the job's end was told. */
  | 'ran after over'
  /** A job's end was told twice, or differently from what is stored. */
  | 'two ends'
  /** A run went on after the next one had begun. */
  | 'overlap'
  /** A later run has a lower number, or a charged failure was forgotten. */
  | 'attempts'
  /** A run has left no trace in the job's history. */
  | 'unrecorded run'
  /** A job was in flight at a kill, and the next opening did not list it. */
  | 'recovery'
  /** A job is completed, and no run of it came to its end. */
  | 'never ran'
  /** An input or output is not what it was, or `get` and `list` differ. */
  | 'content'
  /** The store breaks its own rules. */
  | 'store'
  /** A process complained, hung or ended by itself. */
  | 'process'

export interface Problem {
  readonly check: Check
  readonly text: string
}

export interface Figures {
  readonly kills: number
  readonly killsInOpening: number
  readonly stopped: number
  readonly tried: number
  readonly acknowledged: number
  readonly lost: number
  /** Stored although the process died before it could tell. */
  readonly unacknowledged: number
  readonly runs: number
  /** Jobs of which a kill made one attempt run again. */
  readonly ranTwice: number
  readonly rescued: number
  readonly quarantined: number
  readonly completed: number
  readonly cancelled: number
  readonly discarded: number
}

export interface Verdict {
  readonly problems: readonly Problem[]
  readonly figures: Figures
}

/** @param actOfKey - what a job does; only to know which runs may be cut short within a process */
export function judge(journal: Journal, actOfKey: (key: number) => Act = (key) => actOf(journal.seed, key)): Verdict {
  return new Judge(journal, actOfKey).run()
}

type LineOf<Is extends Line['is']> = Line & { readonly is: Is }

interface Job {
  readonly id: string
  readonly key: number
  acknowledged: boolean
  /** How it ended, once somebody was told. */
  over: string | undefined
  toldByEvent: boolean
  attempt: number
  /** The latest run. */
  run: string
  /** The highest attempt that was told to have failed. */
  failedAttempt: number
  /** The latest run, as long as nothing tells that it ended. */
  open: { readonly run: string; readonly incarnation: number } | undefined
  /** It was told what became of the latest run. */
  told: boolean
  readonly starts: { readonly incarnation: number; readonly attempt: number }[]
  intactEnds: number
  /** The process that opened the store after this job was in flight and did not list it; and what was in flight. */
  unlisted: { readonly by: number; readonly attempt: number; readonly wasClosing: boolean } | undefined
  found: LineOf<'found'> | undefined
}

/** As many attempts as a history keeps; some are missing in a longer one. */
const ATTEMPTS_KEPT = 20

class Judge {
  readonly #journal: Journal
  readonly #actOf: (key: number) => Act
  readonly #problems: Problem[] = []
  readonly #jobs = new Map<string, Job>()
  readonly #byKey = new Map<number, Job>()
  readonly #tried = new Set<number>()
  readonly #refused = new Set<number>()
  readonly #rescued: string[] = []
  readonly #quarantined: string[] = []
  /** In flight when the last process died; undefined when that cannot be said. */
  #inFlight: readonly Job[] = []
  #isClosing = false
  #now = 0

  constructor(journal: Journal, actOfKey: (key: number) => Act) {
    this.#journal = journal
    this.#actOf = actOfKey
  }

  run(): Verdict {
    for (const incarnation of this.#journal.incarnations) this.#incarnation(incarnation)
    // Without a whole list of what is in the store nothing can be said of what is not.
    const audited = this.#journal.incarnations.at(-1)?.lines.some(({ is }) => is === 'closed') ?? false
    if (audited) for (const job of this.#jobs.values()) this.#finally(job)
    else this.#problem('process', 'the store was not drained and listed to the end')
    return { problems: this.#problems, figures: this.#figures() }
  }

  #problem(check: Check, text: string): void {
    this.#problems.push({ check, text: `process ${this.#now}: ${text}` })
  }

  #incarnation({ number, lines, problems, storeProblems }: Incarnation): void {
    this.#now = number
    for (const line of lines) this.#line(line)
    for (const problem of problems) this.#problem('process', problem)
    for (const problem of storeProblems) this.#problem('store', problem)
    const ofNow = [...this.#jobs.values()].filter(({ starts }) => starts.at(-1)?.incarnation === number)
    this.#inFlight = ofNow.filter(({ open }) => open !== undefined && !this.#mayHaveEnded(open.run, ofNow))
    for (const job of ofNow) job.open = undefined
  }

  /** Whether the run's thread may have been ended for another job's sake, without time for the news of it. */
  #mayHaveEnded(run: string, jobs: readonly Job[]): boolean {
    return jobs.some(
      ({ told, key, run: other }) => !told && TERMINATING.has(this.#actOf(key)) && threadOf(other) === threadOf(run),
    )
  }

  #line(line: Line): void {
    switch (line.is) {
      case 'closing':
        this.#isClosing = true
        return
      case 'opening':
      case 'dies':
      case 'passed':
        return
      case 'open':
        this.#opened(line)
        return
      case 'try':
        for (let key = line.key; key < line.key + line.count; key++) this.#tried.add(key)
        return
      case 'refused':
        for (let key = line.key; key < line.key + line.count; key++) this.#refused.add(key)
        return
      case 'ack':
        for (const [index, id] of line.ids.entries()) this.#job(id, line.key + index).acknowledged = true
        return
      case 'start':
        this.#started(line)
        return
      case 'tick':
      case 'end':
        this.#goesOn(line)
        return
      case 'result':
        if (!line.intact) this.#problem('content', `the result of ${line.id} is not what its handler returned`)
        this.#over(line.id, line.state)
        return
      case 'outcome':
        this.#outcome(line)
        return
      case 'failed':
      case 'interrupted':
        this.#attemptTold(line)
        return
      case 'found':
        this.#found(line)
        return
      case 'complaint':
        this.#problem('process', line.text)
        return
      case 'closed':
        if (line.interrupted > 0) this.#problem('unfinished', `${line.interrupted} jobs ran when the drained executor closed`)
    }
  }

  #job(id: string, key: number): Job {
    const known = this.#jobs.get(id)
    if (known !== undefined) {
      if (known.key !== key) this.#problem('doubled', `the id ${id} stands for ${known.key} and for ${key}`)
      return known
    }
    const twin = this.#byKey.get(key)
    if (twin !== undefined) this.#problem('doubled', `job ${key} is both ${twin.id} and ${id}`)
    const job: Job = {
      id,
      key,
      acknowledged: false,
      over: undefined,
      toldByEvent: false,
      attempt: 0,
      run: '',
      unlisted: undefined,
      failedAttempt: 0,
      open: undefined,
      told: true,
      starts: [],
      intactEnds: 0,
      found: undefined,
    }
    this.#jobs.set(id, job)
    this.#byKey.set(key, job)
    return job
  }

  #opened({ rescued, quarantined }: LineOf<'open'>): void {
    const listed = new Set([...rescued, ...quarantined])
    const wasClosing = this.#isClosing
    this.#isClosing = false
    for (const job of this.#inFlight)
      if (!listed.has(job.id)) job.unlisted ??= { by: this.#now, attempt: job.attempt, wasClosing }
    for (const id of listed)
      if (this.#jobs.get(id)?.over !== undefined) this.#problem('ran after over', `job ${id} was over, and is rescued`)
    this.#rescued.push(...rescued)
    this.#quarantined.push(...quarantined)
    for (const id of quarantined) this.#over(id, 'discarded')
    // The same process may open the store again.
    this.#inFlight = []
  }

  #started({ key, id, run, attempt }: LineOf<'start'>): void {
    const job = this.#job(id, key)
    if (job.over !== undefined) this.#problem('ran after over', `job ${key} was ${job.over}, and is run again`)
    if (attempt < job.attempt) this.#problem('attempts', `job ${key} ran attempt ${job.attempt}, and then ${attempt}`)
    if (attempt <= job.failedAttempt)
      this.#problem('attempts', `attempt ${job.failedAttempt} of job ${key} had failed, and then it ran attempt ${attempt}`)
    job.attempt = attempt
    job.run = run
    job.open = { run, incarnation: this.#now }
    job.told = false
    job.starts.push({ incarnation: this.#now, attempt })
  }

  /** A run shows that it is alive. */
  #goesOn(line: LineOf<'tick'> | LineOf<'end'>): void {
    const { key, run } = line
    const job = this.#byKey.get(key)
    if (job === undefined) return
    if (job.over !== undefined) this.#problem('ran after over', `job ${key} was ${job.over}, and its run ${run} went on`)
    else if (job.open?.run !== run) this.#problem('overlap', `run ${run} of job ${key} went on after it had ended`)
    if (line.is === 'tick') return
    job.open = undefined
    if (line.intact) job.intactEnds++
    else this.#problem('content', `the input of job ${key} did not arrive as it was`)
  }

  #over(id: string, state: string): void {
    const job = this.#jobs.get(id)
    if (job === undefined) return
    if (job.over !== undefined && job.over !== state) this.#problem('two ends', `job ${job.key} was ${job.over}, and is ${state}`)
    job.over = state
    job.told = true
    job.open = undefined
  }

  #outcome({ id, state }: LineOf<'outcome'>): void {
    const job = this.#jobs.get(id)
    if (job?.toldByEvent === true) this.#problem('two ends', `job ${job.key} was told to be ${state} a second time`)
    if (job !== undefined) job.toldByEvent = true
    this.#over(id, state)
  }

  #attemptTold(line: LineOf<'failed'> | LineOf<'interrupted'>): void {
    const job = this.#jobs.get(line.id)
    if (job === undefined) return
    // The next run may have begun before this was told; then it is about an earlier one.
    if (line.is === 'failed') job.failedAttempt = Math.max(job.failedAttempt, line.attempt)
    if (line.is === 'interrupted' || line.attempt === job.attempt) {
      job.told = true
      job.open = undefined
    }
  }

  #found(line: LineOf<'found'>): void {
    const { key, id } = line
    if (!this.#tried.has(key) || this.#refused.has(key)) this.#problem('unexpected', `job ${key} (${id}) is in the store`)
    const job = this.#job(id, key)
    if (job.found !== undefined) this.#problem('doubled', `job ${key} (${id}) is listed twice`)
    job.found = line
    if (!line.intact) this.#problem('content', `job ${key} (${id}) is stored with another input or output`)
    if (!line.agrees) this.#problem('content', `get and list do not agree on job ${key} (${id})`)
  }

  #finally(job: Job): void {
    const { id, key, acknowledged, over, starts, intactEnds, unlisted, found } = job
    if (found === undefined) {
      const isPruned = this.#journal.prunes === true && (over === 'completed' || intactEnds > 0)
      if (!isPruned && (acknowledged || starts.length > 0)) this.#problem('lost', `job ${key} (${id}) is not in the store`)
      return
    }
    const { state, attempts } = found
    if (over !== undefined && over !== state) this.#problem('two ends', `job ${key} was told to be ${over}, and is ${state}`)
    if (!['completed', 'cancelled', 'discarded'].includes(state)) this.#problem('unfinished', `job ${key} (${id}) is ${state}`)
    if (state === 'completed' && intactEnds === 0) this.#problem('never ran', `job ${key} (${id}) is completed`)
    if (attempts.length < Math.min(starts.length, ATTEMPTS_KEPT))
      this.#problem(
        'unrecorded run',
        `job ${key} ran ${starts.length} times, and its history has ${attempts.join(', ') || 'nothing'}`,
      )
    // A cancellation may have ended its thread just before the kill; and a closing executor may have given it back without
    // time for the news of it, as the history then says.
    const isExcused =
      state === 'cancelled' || (unlisted?.wasClosing === true && attempts.includes(`${unlisted.attempt} interrupted`))
    if (unlisted !== undefined && !isExcused)
      this.#problem(
        'recovery',
        `job ${key} (${id}) was running when process ${unlisted.by - 1} was killed, and was not listed after it`,
      )
    const numbers = attempts.map((attempt) => Number.parseInt(attempt, 10))
    if (numbers.some((number, index) => number < (numbers[index - 1] ?? 0)))
      this.#problem('attempts', `the history of job ${key} goes backwards: ${attempts.join(', ')}`)
  }

  #figures(): Figures {
    const { incarnations } = this.#journal
    const jobs = [...this.#jobs.values()]
    const stateCount = (state: string): number => jobs.filter(({ found }) => found?.state === state).length
    return {
      kills: incarnations.filter(({ killed }) => killed !== 'never').length,
      killsInOpening: incarnations.filter(({ killed }) => killed === 'opening').length,
      stopped: incarnations.filter(({ stopped }) => stopped).length,
      tried: this.#tried.size,
      acknowledged: jobs.filter(({ acknowledged }) => acknowledged).length,
      lost: this.#problems.filter(({ check }) => check === 'lost').length,
      unacknowledged: jobs.filter(({ acknowledged, found }) => !acknowledged && found !== undefined).length,
      runs: jobs.reduce((sum, { starts }) => sum + starts.length, 0),
      ranTwice: jobs.filter(ranTwice).length,
      rescued: this.#rescued.length,
      quarantined: this.#quarantined.length,
      completed: stateCount('completed'),
      cancelled: stateCount('cancelled'),
      discarded: stateCount('discarded'),
    }
  }
}

/** A run is named after its thread. */
function threadOf(run: string): string {
  return run.slice(0, run.indexOf('.'))
}

function ranTwice({ starts }: Job): boolean {
  return starts.some(({ attempt, incarnation }, index) => {
    const before = starts[index - 1]
    return before !== undefined && before.attempt === attempt && before.incarnation < incarnation
  })
}
