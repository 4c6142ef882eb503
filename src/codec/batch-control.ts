/**
 * The memory that the main thread and a job thread share while a batch runs. Through it the main thread sees which job runs
 * since when, takes back what has not been started, and reads the outcomes of finished jobs, also while the thread is held by
 * an endless loop and after it was terminated.
 *
 * A thread works its batch front to back, so the outcome of job i is record i.
 *
 *   word 0  cursor: jobs taken (low 16 bits) and limit (high 16 bits). The thread takes a job by raising the low half, the
 *           main thread takes back the rest by lowering the high half; both by compare-exchange, so a job belongs to one side.
 *   word 1  outcomes published. Written after the record is complete.
 *   word 2  phase of the current job
 *   word 3  when the current phase began, in ms after `baseMs`. Written before the cursor is raised: whoever sees a job
 *           taken never sees the start of the one before it.
 *   byte 16 f64 baseMs: monotonic ms of the hand-over, set by the main thread
 *   word 6  the batch, low 32 bits: a thread that holds another one touches nothing
 *   byte 64 outcome records, each aligned to 4 bytes:
 *             u32 kind (low 8 bits) · f32 start, ms after baseMs · f32 run time in ms · u32 length · body
 */

const WORDS = { cursor: 0, finished: 1, phase: 2, started: 3, batch: 6 } as const
const BASE_OFFSET = 16
const AREA_OFFSET = 64
export const RECORD_HEADER_BYTES = 16

/** 0: nothing has been taken yet. */
export const PHASE_LOADING = 1
export const PHASE_SETUP = 2
export const PHASE_RUNNING = 3

/** How a run ended, as the thread sees it. */
export const OUTCOME_COMPLETED = 1
/** Completed; the output does not fit into the area and is the task's result. Always the last record of a batch. */
export const OUTCOME_COMPLETED_APART = 2
export const OUTCOME_FAILED = 3
export const OUTCOME_FATAL = 4
export const OUTCOME_SNOOZED = 5
export const OUTCOME_CANCELLED = 6
export const OUTCOME_UNFIT = 7
/** Failed by something beside the handler, which may still be running. Always the last record of a batch, after which the thread is ended. */
export const OUTCOME_FAILED_BESIDE = 8

/** Not begun, because it was too late for that: no run. */
export const OUTCOME_EXPIRED = 9

/** The position of one record, filled by `readRecord`. */
export interface OutcomeRecord {
  kind: number
  startMs: number
  runMs: number
  bodyFrom: number
  bodyTo: number
  next: number
}

export class BatchControl {
  readonly shared: SharedArrayBuffer
  readonly area: Buffer
  readonly #words: Int32Array
  readonly #floats: Float32Array
  readonly #base: Float64Array

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared
    this.area = Buffer.from(shared)
    this.#words = new Int32Array(shared)
    this.#floats = new Float32Array(shared)
    this.#base = new Float64Array(shared, BASE_OFFSET, 1)
  }

  static allocate(areaBytes: number): BatchControl {
    return new BatchControl(new SharedArrayBuffer(AREA_OFFSET + areaBytes))
  }

  // ---- main thread ----

  /** Prepares the memory for a batch, before it is sent. */
  reset(batchId: number, jobs: number, baseMs: number): void {
    this.#words.fill(0, 0, 4)
    this.#base[0] = baseMs
    this.#words[WORDS.batch] = batchId | 0
    Atomics.store(this.#words, WORDS.cursor, jobs << 16)
  }

  /** Takes back every job the thread has not taken. Returns how many jobs remain with the thread. */
  steal(): number {
    for (;;) {
      const cursor = Atomics.load(this.#words, WORDS.cursor)
      const taken = cursor & 0xffff
      if (cursor >>> 16 === taken) return taken
      if (Atomics.compareExchange(this.#words, WORDS.cursor, cursor, (taken << 16) | taken) === cursor) return taken
    }
  }

  get taken(): number {
    return Atomics.load(this.#words, WORDS.cursor) & 0xffff
  }

  /** Whether jobs are left that nobody has taken, or taken back. */
  get hasUntaken(): boolean {
    const cursor = Atomics.load(this.#words, WORDS.cursor)
    return (cursor & 0xffff) < cursor >>> 16
  }

  get finished(): number {
    return Atomics.load(this.#words, WORDS.finished)
  }

  get phase(): number {
    return Atomics.load(this.#words, WORDS.phase)
  }

  /** Monotonic ms at which the current phase of the current job began. Read `taken` first. */
  get startedMs(): number {
    return this.baseMs + Atomics.load(this.#words, WORDS.started)
  }

  get baseMs(): number {
    return this.#base[0]!
  }

  /** Where the first record lies. */
  get firstRecord(): number {
    return AREA_OFFSET
  }

  /** Whether the record at `offset` counts only when the batch has ended: its output comes then, or its run may last until then. */
  waitsForEnd(offset: number): boolean {
    const kind = this.#words[offset >> 2]! & 0xff
    return kind === OUTCOME_COMPLETED_APART || kind === OUTCOME_FAILED_BESIDE
  }

  /** Reads the record at `offset` into `record`. Only records below `finished` are complete. */
  readRecord(offset: number, record: OutcomeRecord): void {
    const word = offset >> 2
    record.kind = this.#words[word]! & 0xff
    record.startMs = this.#floats[word + 1]!
    record.runMs = this.#floats[word + 2]!
    const length = this.#words[word + 3]!
    record.bodyFrom = offset + RECORD_HEADER_BYTES
    record.bodyTo = record.bodyFrom + length
    record.next = (record.bodyTo + 3) & ~3
  }

  // ---- job thread ----

  /** Whether the memory is this batch's still, and not one's that came after it. */
  belongsTo(batchId: number): boolean {
    return this.#words[WORDS.batch] === (batchId | 0)
  }

  /** Takes the next job and starts its clock. False when nothing is left. */
  take(elapsedMs: number): boolean {
    this.#words[WORDS.started] = elapsedMs
    for (;;) {
      const cursor = Atomics.load(this.#words, WORDS.cursor)
      if ((cursor & 0xffff) >= cursor >>> 16) return false
      if (Atomics.compareExchange(this.#words, WORDS.cursor, cursor, cursor + 1) === cursor) return true
    }
  }

  /** Starts the clock anew for a phase of the current job. */
  enter(phase: number, elapsedMs: number): void {
    Atomics.store(this.#words, WORDS.started, elapsedMs)
    Atomics.store(this.#words, WORDS.phase, phase)
  }

  /** Whether a record with such a body fits at `offset`, leaving room for the bare records of `jobsLeft` more jobs. */
  fits(offset: number, bodyBytes: number, jobsLeft: number): boolean {
    return offset + bodyBytes + 4 + RECORD_HEADER_BYTES * (jobsLeft + 1) <= this.area.length
  }

  /** Writes a record whose body, if any, already lies behind its header. Returns the offset of the next one. Not yet visible. */
  writeRecord(offset: number, kind: number, startMs: number, runMs: number, bodyBytes: number): number {
    const word = offset >> 2
    this.#words[word] = kind
    this.#floats[word + 1] = startMs
    this.#floats[word + 2] = runMs
    this.#words[word + 3] = bodyBytes
    return (offset + RECORD_HEADER_BYTES + bodyBytes + 3) & ~3
  }

  /** Makes the first `finished` records visible to the main thread. */
  publish(finished: number): void {
    Atomics.store(this.#words, WORDS.finished, finished)
  }
}
