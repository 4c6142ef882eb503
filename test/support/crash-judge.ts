/**
 * Judges what a crash run has told: reads the lines of all processes in order, and holds them against each other and against what
 * was found in the store at the end. Pure, so that each of its checks is proven on hand-made journals.
 */
import type { Act } from '../fixtures/crash/inputs.js'
import { actOf, isPlanned, TERMINATING } from '../fixtures/crash/inputs.js'
import type { Line } from '../fixtures/crash/journal-line.js'
import { figuresOf } from './crash-figures.js'
import type { JudgedJob, LineOf } from './crash-figures.js'
import { StartOrder } from './crash-order.js'
import type { Incarnation, Journal } from './crash-run.js'
import { Settings } from './crash-settings.js'
import type { Check, Problem, Verdict } from './crash-verdict.js'

/** @param actOfKey - what a job does; only to know which runs may be cut short within a process */
export function judge(journal: Journal, actOfKey: (key: number) => Act = (key) => actOf(journal.seed, key)): Verdict {
  return new Judge(journal, actOfKey).run()
}

/** Told by threads, or together with everything else that a commit has made true. */
const NEWS: ReadonlySet<Line['is']> = new Set(['start', 'tick', 'end', 'outcome', 'failed', 'interrupted', 'dies'])
/** As many attempts as a history keeps; some are missing in a longer one. */
const ATTEMPTS_KEPT = 20

class Judge {
  readonly #journal: Journal
  readonly #actOf: (key: number) => Act
  readonly #problems: Problem[] = []
  readonly #jobs = new Map<string, JudgedJob>()
  readonly #byKey = new Map<number, JudgedJob>()
  readonly #tried = new Set<number>()
  readonly #refused = new Set<number>()
  readonly #order: StartOrder
  readonly #settings: Settings
  /** Jobs that have begun in the process that is judged, and those of them whose last run but one may not have ended. */
  #ofNow = new Set<JudgedJob>()
  #superseded = new Set<JudgedJob>()
  /** Acknowledged ids, in their order; as many as there were when the latest backup was asked for. */
  readonly #acknowledged: string[] = []
  #backupHolds = 0
  readonly #rescued: string[] = []
  readonly #quarantined: string[] = []
  /** In flight when the last process died; undefined when that cannot be said. */
  #inFlight: readonly JudgedJob[] = []
  #isClosing = false
  #now = 0

  constructor(journal: Journal, actOfKey: (key: number) => Act) {
    this.#journal = journal
    this.#actOf = actOfKey
    const problem = (check: Check, text: string): void => this.#problem(check, text)
    this.#order = new StartOrder(problem)
    this.#settings = new Settings(problem)
  }

  run(): Verdict {
    for (const incarnation of this.#journal.incarnations) this.#incarnation(incarnation)
    // Without a whole list of what is in the store nothing can be said of what is not.
    const audited = this.#journal.incarnations.at(-1)?.lines.some(({ is }) => is === 'closed') ?? false
    if (audited) {
      for (const job of this.#jobs.values()) this.#finally(job)
      this.#settings.finally(this.#journal.prunes === true)
    } else this.#problem('process', 'the store was not drained and listed to the end')
    const counted = { tried: this.#tried.size, rescued: this.#rescued.length, quarantined: this.#quarantined.length }
    const figures = figuresOf(this.#journal, [...this.#jobs.values()], this.#problems, {
      ...counted,
      ordered: this.#order.compared,
    })
    return { problems: this.#problems, figures }
  }

  #problem(check: Check, text: string): void {
    this.#problems.push({ check, text: `process ${this.#now}: ${text}` })
  }

  #incarnation({ number, killed, lines, problems, storeProblems, backup }: Incarnation): void {
    this.#now = number
    for (const line of lines) this.#line(line)
    for (const problem of problems) this.#problem('process', problem)
    for (const problem of storeProblems) this.#problem('store', problem)
    if (backup !== undefined) this.#backup(backup)
    else if (lines.some(({ is }) => is === 'backed up')) this.#problem('backup', 'a backup that was made is not there')
    // A process that dies may have no time for the news.
    if (killed === 'never') this.#overlaps()
    this.#superseded.clear()
    const ofNow = [...this.#ofNow]
    this.#ofNow.clear()
    this.#inFlight = ofNow.filter(({ open }) => open !== undefined && !this.#mayHaveEnded(open.run, ofNow))
    for (const job of ofNow) job.open = job.superseded = undefined
  }

  /** Jobs that were run again although nothing told that their run had ended: whatever a commit makes true is told at once. */
  #overlaps(): void {
    for (const { key, open, superseded } of this.#superseded)
      if (superseded !== undefined)
        this.#problem('overlap', `run ${superseded.run} of job ${key} had not ended when ${open?.run ?? 'another'} began`)
    this.#superseded.clear()
  }

  /** Whether the run's thread may have been ended for another job's sake, without time for the news of it. */
  #mayHaveEnded(run: string, jobs: readonly JudgedJob[]): boolean {
    return jobs.some(
      ({ told, key, run: other }) => !told && TERMINATING.has(this.#actOf(key)) && threadOf(other) === threadOf(run),
    )
  }

  #line(line: Line): void {
    // Threads tell the first ones, and the news of one commit come together: then the executor goes on.
    if (!NEWS.has(line.is) && this.#superseded.size > 0) this.#overlaps()
    this.#order.line(line)
    this.#settings.line(line)
    switch (line.is) {
      case 'closing':
        this.#isClosing = true
        return
      case 'backs up':
        this.#backupHolds = this.#acknowledged.length
        return
      case 'retries':
        for (const id of line.ids) this.#retries(id)
        return
      case 'retried':
        for (const id of line.ids) this.#retried(id, line)
        return
      case 'stopped':
        if (line.changed === line.ids.length) for (const id of line.ids) this.#over(id, line.state)
        return
      case 'opening':
      case 'recovering':
      case 'recovered':
      case 'sets':
      case 'set':
      case 'setting':
      case 'backed up':
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
        this.#acknowledged.push(...line.ids)
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

  #job(id: string, key: number): JudgedJob {
    const known = this.#jobs.get(id)
    if (known !== undefined) {
      if (known.key !== key) this.#problem('doubled', `the id ${id} stands for ${known.key} and for ${key}`)
      return known
    }
    const twin = this.#byKey.get(key)
    if (twin !== undefined) this.#problem('doubled', `job ${key} is both ${twin.id} and ${id}`)
    const job: JudgedJob = {
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
      superseded: undefined,
      revived: undefined,
      wasRevived: false,
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
    if (job.open !== undefined) {
      if (job.superseded !== undefined)
        this.#problem('overlap', `job ${key} began as ${run} while ${job.superseded.run} and ${job.open.run} had not ended`)
      job.superseded = job.open
      this.#superseded.add(job)
    }
    job.attempt = attempt
    job.run = run
    job.open = { run, attempt }
    job.told = false
    this.#ofNow.add(job)
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
    job.open = job.superseded = undefined
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
    if (job.superseded !== undefined && (line.is === 'interrupted' || line.attempt === job.superseded.attempt)) {
      job.superseded = undefined
      return
    }
    if (line.is === 'interrupted' || line.attempt === job.attempt) {
      job.told = true
      job.open = undefined
    }
  }

  /** From here on it may run again, if it was over. */
  #retries(id: string): void {
    const job = this.#jobs.get(id)
    if (job?.over === undefined) return
    job.wasRevived = true
    job.revived = { from: job.over, starts: job.starts.length, isAcknowledged: false }
    job.over = undefined
    job.toldByEvent = false
    // It begins anew.
    job.attempt = job.failedAttempt = 0
  }

  #retried(id: string, { ids, changed }: LineOf<'retried'>): void {
    const job = this.#jobs.get(id)
    if (job?.revived === undefined) return
    if (changed === ids.length) job.revived.isAcknowledged = true
    if (changed > 0) return
    job.over ??= job.revived.from
    job.revived = undefined
  }

  #backup(held: NonNullable<Incarnation['backup']>): void {
    const ids = new Set(held.map(({ id }) => id))
    for (const id of this.#acknowledged.slice(0, this.#backupHolds))
      if (!ids.has(id) && !this.#mayBePruned(this.#jobs.get(id))) this.#problem('backup', `job ${id} is not in the backup`)
    for (const { id, key } of held)
      if (!isPlanned(key) && (!this.#tried.has(key) || this.#refused.has(key)))
        this.#problem('backup', `job ${key} (${id}) is in the backup, and nobody has stored it`)
  }

  #mayBePruned(job: JudgedJob | undefined): boolean {
    return this.#journal.prunes === true && job !== undefined && (job.over === 'completed' || job.intactEnds > 0)
  }

  #found(line: LineOf<'found'>): void {
    const { key, id, schedule } = line
    const isWanted =
      schedule === undefined ? this.#tried.has(key) && !this.#refused.has(key) : this.#settings.isMade(schedule.name)
    if (!isWanted) this.#problem('unexpected', `job ${key} (${id}) is in the store`)
    const job = this.#job(id, key)
    if (job.found !== undefined) this.#problem('doubled', `job ${key} (${id}) is listed twice`)
    job.found = line
    if (!line.intact) this.#problem('content', `job ${key} (${id}) is stored with another input or output`)
    if (!line.agrees) this.#problem('content', `get and list do not agree on job ${key} (${id})`)
  }

  #finally(job: JudgedJob): void {
    const { id, key, acknowledged, over, starts, intactEnds, unlisted, found, revived, wasRevived, toldByEvent } = job
    if (revived?.isAcknowledged === true && starts.length <= revived.starts && !toldByEvent)
      this.#problem('lost', `job ${key} (${id}) was brought back, and never ran again`)
    if (found === undefined) {
      if (!this.#mayBePruned(job) && (acknowledged || starts.length > 0))
        this.#problem('lost', `job ${key} (${id}) is not in the store`)
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
    if (!wasRevived && numbers.some((number, index) => number < (numbers[index - 1] ?? 0)))
      this.#problem('attempts', `the history of job ${key} goes backwards: ${attempts.join(', ')}`)
  }
}

/** A run is named after its thread. */
function threadOf(run: string): string {
  return run.slice(0, run.indexOf('.'))
}
