/**
 * The doctor's look at a store, and its repair. Runs in a process of its own (`doctor-child`), because a data file that is damaged in a
 * way nobody thought of ends the process that opens it.
 *
 * A store that nobody has open is locked, and its file is looked through without LMDB first. One that is in use is read as it was at
 * one commit, beside whoever has it, and its file is not looked through: its pages change meanwhile.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../base/clock.js'
import { isMillraceError, LockedError, MillraceError } from '../base/errors.js'
import { TABLES } from '../store/engine.js'
import { acquireDirectoryLock, LOCK_FILE } from '../store/lmdb/directory-lock.js'
import { type LmdbEngine, openLmdbEngine } from '../store/lmdb/lmdb-engine.js'
import { DATA_FILE, openDataFile, pathProblem } from '../store/lmdb/store-directory.js'
import { checkStructure, type StructureReport } from '../store/lmdb/structure.js'
import { putCopy } from './copy-in-place.js'
import type { DoctorOptions, DoctorProblem, DoctorReport, StoreFacts } from './doctor-report.js'
import { planRepair } from './repair.js'
import { type Audit, auditStore } from './store-audit.js'

type Step = (step: string) => void

/** The share of its map from which a file that is open is worth a word. */
const NEARLY_FULL = 0.9

export async function examine(path: string, { repair = false }: DoctorOptions, step: Step): Promise<DoctorReport> {
  return await new Examination(path, repair, step).run()
}

class Examination {
  readonly #path: string
  readonly #repair: boolean
  readonly #step: Step
  readonly #problems: DoctorProblem[] = []
  readonly #notes: string[] = []
  #holderPid: number | undefined
  #structure: StructureReport | undefined
  #facts: StoreFacts | undefined
  #backup: string | undefined

  constructor(path: string, repair: boolean, step: Step) {
    this.#path = path
    this.#repair = repair
    this.#step = step
  }

  async run(): Promise<DoctorReport> {
    this.#step('looking at the directory')
    if (this.#hasStore()) {
      const unlock = await this.#lock()
      try {
        if (this.#holderPid !== undefined || this.#fileIsSound()) await this.#lookThrough()
      } finally {
        unlock()
      }
    }
    const isOpen = this.#problems.some(({ isRepaired }) => !isRepaired)
    return {
      path: this.#path,
      verdict: isOpen ? 'problems' : this.#problems.length > 0 ? 'repaired' : 'healthy',
      problems: this.#problems,
      notes: this.#notes,
      holderPid: this.#holderPid,
      facts: this.#facts,
      backup: this.#backup,
    }
  }

  #problem(area: DoctorProblem['area'], text: string): void {
    this.#problems.push({ area, text, isRepairable: false, isRepaired: false })
  }

  #hasStore(): boolean {
    try {
      const stat = statSync(join(this.#path, DATA_FILE), { throwIfNoEntry: false })
      if (stat === undefined) this.#problem('directory', `there is no store: no ${DATA_FILE} in ${this.#path}`)
      else if (!stat.isFile()) this.#problem('directory', `${join(this.#path, DATA_FILE)} is not a regular file`)
      else if (stat.size === 0) this.#problem('file', 'the data file is empty; openExecutor will make a new store of it')
      else return true
    } catch (error) {
      this.#problem('directory', `there is no store: ${pathProblem(error)}`)
    }
    return false
  }

  /** Takes the directory, unless somebody has it. */
  async #lock(): Promise<() => void> {
    const left = this.#lastHolder()
    try {
      const lock = await acquireDirectoryLock(this.#path)
      if (left !== undefined) this.#notes.push(`process ${left} had the store open and died, or was killed, without closing it`)
      return () => lock.release()
    } catch (error) {
      if (this.#repair) throw error
      if (error instanceof LockedError) {
        this.#holderPid = error.holderPid
        this.#notes.push(
          `process ${error.holderPid} has the store open: its records are looked at as of one commit, its pages are not looked at`,
        )
      } else if (isMillraceError(error))
        this.#notes.push(`it cannot be locked, and must not be opened meanwhile: ${error.message}`)
      else throw error
      return () => undefined
    }
  }

  #lastHolder(): number | undefined {
    try {
      return (JSON.parse(readFileSync(join(this.#path, LOCK_FILE), 'utf8')) as { pid?: number }).pid
    } catch {
      return undefined
    }
  }

  /** Looks at the file without LMDB. */
  #fileIsSound(): boolean {
    this.#step('looking through the pages of the file')
    try {
      const file = openDataFile(join(this.#path, DATA_FILE))
      try {
        this.#structure = checkStructure(file)
      } finally {
        file.close()
      }
    } catch (error) {
      if (!isMillraceError(error)) throw error
      const { cause } = error
      this.#problem('file', cause instanceof Error ? cause.message : error.message)
      return false
    }
    const { problems, problemCount } = this.#structure
    for (const text of problems) this.#problem('file', text)
    if (problemCount > problems.length) this.#problem('file', `${problemCount - problems.length} more of the kind`)
    if (problemCount > 0) {
      this.#notes.push(
        'LMDB has one copy of each page and no checksums: what a damaged page led to cannot be found again. No record was read, because ' +
          'LMDB may end the process that follows such a page. Restore a backup.',
      )
    }
    return problemCount === 0
  }

  async #lookThrough(): Promise<void> {
    this.#step('opening the file with LMDB')
    let engine: LmdbEngine
    try {
      engine = await openLmdbEngine(this.#path, { durability: 'disk', clock: systemClock, readOnly: true })
    } catch (error) {
      return this.#problem('file', `LMDB does not open it: ${error instanceof Error ? error.message : String(error)}`)
    }
    const onProgress = (table: string): void => this.#step(`reading the table ${table}`)
    const options = { crashed: true, payloads: true, onProgress }
    try {
      const audit = auditStore(engine, options)
      const plan =
        this.#repair && audit.problems.some(({ repair }) => repair !== undefined) ? planRepair(engine, options) : undefined
      this.#readFacts(engine, plan?.after ?? audit)
      const left = new Set(plan?.after.problems.map(({ text }) => text))
      const found = new Set([...audit.problems.map(({ text }) => text), ...(plan?.repaired ?? []), ...left])
      const repairable = new Set(audit.problems.filter(({ repair }) => repair !== undefined).map(({ text }) => text))
      if (plan !== undefined && plan.writes.length > 0) {
        await engine.close()
        await this.#write(plan.writes)
      }
      for (const text of found) {
        const isRepaired = plan !== undefined && !left.has(text)
        this.#problems.push({ area: 'records', text, isRepairable: isRepaired || repairable.has(text), isRepaired })
      }
    } finally {
      await engine.close()
    }
  }

  /** The file as it was goes beside the directory first. */
  async #write(writes: Parameters<LmdbEngine['commit']>[0]): Promise<void> {
    this.#step('copying the data file before the repair')
    const at = new Date(systemClock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, '')
    let backup = `${this.#path}.before-repair-${at}`
    for (let number = 2; existsSync(backup); number++) backup = `${this.#path}.before-repair-${at}-${number}`
    await putCopy(backup, systemClock, (directory) => copyFile(join(this.#path, DATA_FILE), join(directory, DATA_FILE)))
    this.#backup = backup
    this.#step('repairing')
    const engine = await openLmdbEngine(this.#path, { durability: 'disk', clock: systemClock })
    try {
      await engine.commit(writes)
    } finally {
      await engine.close()
    }
    this.#step('looking through the repaired store')
    const again = await openLmdbEngine(this.#path, { durability: 'disk', clock: systemClock, readOnly: true })
    try {
      const unrepaired = auditStore(again, { crashed: true }).problems.find(({ repair }) => repair !== undefined)
      if (unrepaired !== undefined) {
        const message = `The repair of ${this.#path} did not hold: ${unrepaired.text}. The data file as it was is in ${backup}.`
        throw new MillraceError('MILLRACE_STORE_FAILED', message)
      }
    } finally {
      await again.close()
    }
  }

  #readFacts(engine: LmdbEngine, audit: Audit): void {
    this.#step('counting')
    const file = openDataFile(join(this.#path, DATA_FILE))
    file.close()
    const tables = this.#structure?.tables ?? {}
    const readerPids = engine.readerPids.filter((pid) => pid !== process.pid)
    // A process at work reads its own store in every commit, for a moment.
    const besides = readerPids.filter((pid) => pid !== this.#holderPid)
    const { jobs, claimed, suspects, oldestAt, queues, definitions } = audit
    this.#facts = {
      sizeBytes: file.sizeBytes,
      mapBytes: file.meta.mapBytes,
      pageBytes: file.pageBytes,
      pages: this.#structure?.pages,
      readers: readerPids.length,
      records: Object.fromEntries(TABLES.map((table) => [table, tables[table]?.entries ?? audit.records[table]])),
      jobs,
      claimed,
      suspects,
      oldestAt,
      queues,
      definitions,
    }
    if (claimed > 0 && this.#holderPid === undefined)
      this.#notes.push(`${claimed} jobs were in flight when the store was left; the next openExecutor rescues them`)
    const { pages, sizeBytes, mapBytes } = this.#facts
    if (besides.length > 0)
      this.#notes.push(
        `process ${besides.join(', ')} reads the file: no page that is freed meanwhile is used again, so that a store at work grows`,
      )
    if (this.#holderPid !== undefined && sizeBytes > NEARLY_FULL * mapBytes)
      this.#notes.push(
        `the file has ${sizeBytes} of the ${mapBytes} bytes that it may grow to while it is open: commits that may need more are refused; ` +
          'closed and opened again, it has room to double',
      )
    if (pages !== undefined && pages.free > pages.used && pages.all > 1000)
      this.#notes.push('most of the file is free pages: `millrace compact` makes it smaller')
    if (pages !== undefined && pages.lost > 0)
      this.#notes.push(`${pages.lost} pages are lost: \`millrace compact\` brings them back`)
  }
}
