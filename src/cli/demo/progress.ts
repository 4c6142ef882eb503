/**
 * How far the run is, how fast, and how long it will take. Knows nothing of terminals.
 *
 * How many files are done is told by the executor; what their bytes were has to be remembered from when they were found. That is
 * done file by file up to a limit, and by the mean beyond it, so that memory does not grow with the folder.
 */

/** Sizes that are kept one by one. 100,000 take about 10 MB. */
const SIZES_KEPT = 100_000
/** Rates are of the last ten seconds, so that they follow what is being measured now. */
const WINDOW_MS = 10_000
/** What a file costs beside its bytes, as bytes that would take as long: opening it, and its share of a commit. */
const FILE_COST_BYTES = 8192

export interface Snapshot {
  readonly filesDone: number
  readonly filesFound: number
  readonly bytesDone: number
  readonly bytesFound: number
  /** Whether there may be more files to come. */
  readonly isWalking: boolean
  readonly elapsedMs: number
  readonly jobsPerSecond: number
  readonly bytesPerSecond: number
  /** Done of all that was found, from 0 to 1, by the time it takes rather than by the number of files. */
  readonly fraction: number
  /** Undefined while it cannot be told. */
  readonly leftMs: number | undefined
}

interface Sample {
  readonly atMs: number
  readonly filesDone: number
  readonly bytesDone: number
}

export class Progress {
  isWalking = true
  readonly #startedMs: number
  #filesFound = 0
  #bytesFound = 0
  #bytesDone = 0
  /** Sizes of unfinished files, by job id. */
  readonly #sizes = new Map<string, number>()
  /** Those beyond the limit. */
  #restFiles = 0
  #restBytes = 0
  #samples: Sample[] = []

  /** @param nowMs - Of the clock that `snapshot` is given too. */
  constructor(nowMs: number) {
    this.#startedMs = nowMs
  }

  get filesFound(): number {
    return this.#filesFound
  }

  /** A file has a job that is not over. */
  add(id: string, sizeBytes: number): void {
    this.#filesFound++
    this.#bytesFound += sizeBytes
    if (this.#sizes.size < SIZES_KEPT) {
      this.#sizes.set(id, sizeBytes)
    } else {
      this.#restFiles++
      this.#restBytes += sizeBytes
    }
  }

  /** A file was done by an earlier run. */
  addDone(sizeBytes: number): void {
    this.#filesFound++
    this.#bytesFound += sizeBytes
    this.#bytesDone += sizeBytes
  }

  /** A job is over. Saying it twice is harmless. */
  end(id: string): void {
    const sizeBytes = this.#sizes.get(id)
    if (sizeBytes !== undefined) {
      this.#sizes.delete(id)
      this.#bytesDone += sizeBytes
    } else if (this.#restFiles > 0) {
      const mean = this.#restBytes / this.#restFiles
      this.#restFiles--
      this.#restBytes -= mean
      this.#bytesDone += mean
    }
  }

  /** @param runningBytes - What the threads have done of the files they are at. */
  snapshot(nowMs: number, filesDone: number, runningBytes: number): Snapshot {
    const isOver = !this.isWalking && filesDone >= this.#filesFound
    const bytesDone = isOver ? this.#bytesFound : Math.min(this.#bytesFound, this.#bytesDone + runningBytes)
    const first = this.#sample({ atMs: nowMs, filesDone, bytesDone })
    const seconds = Math.max(nowMs - first.atMs, 1) / 1000
    const jobsPerSecond = (filesDone - first.filesDone) / seconds
    const bytesPerSecond = Math.max(0, bytesDone - first.bytesDone) / seconds
    const all = this.#bytesFound + this.#filesFound * FILE_COST_BYTES
    const done = bytesDone + filesDone * FILE_COST_BYTES
    const rate = bytesPerSecond + jobsPerSecond * FILE_COST_BYTES
    return {
      filesDone,
      filesFound: this.#filesFound,
      bytesDone,
      bytesFound: this.#bytesFound,
      isWalking: this.isWalking,
      elapsedMs: nowMs - this.#startedMs,
      jobsPerSecond,
      bytesPerSecond,
      fraction: isOver ? 1 : all === 0 ? 0 : Math.min(done / all, 1),
      leftMs: this.isWalking || rate <= 0 ? undefined : (Math.max(0, all - done) / rate) * 1000,
    }
  }

  /** Keeps the sample, and gives the one to compare it with: the oldest in the window. */
  #sample(sample: Sample): Sample {
    this.#samples.push(sample)
    const oldest = this.#samples.findIndex(({ atMs }) => sample.atMs - atMs <= WINDOW_MS)
    if (oldest > 0) this.#samples = this.#samples.slice(oldest)
    return this.#samples[0] ?? sample
  }
}
