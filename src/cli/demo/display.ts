/**
 * Shows how the run goes: on a terminal as a block of lines that is redrawn in place, elsewhere as plain lines now and then.
 *
 * The block is drawn in one write: up to its first line, each line anew, the rest of the screen cleared. Lines that are too long for
 * the terminal are cut off by the terminal itself (wrapping is off within the write), which alone knows how wide its characters
 * are. The cursor stays visible, so that a run that is killed leaves nothing to repair.
 */
import type { WriteStream } from 'node:tty'
import { styleText } from 'node:util'
import { formatBytes, formatClock, formatCount } from './format-quantity.js'
import type { Snapshot } from './progress.js'
import type { RunningFiles } from './running-files.js'

export interface Display {
  /** Columns a line may have. `Infinity` when nobody breaks it. */
  readonly width: number
  /** A line that stays. */
  print(line: string): void
  update(snapshot: Snapshot, running: RunningFiles): void
  /** What was drawn goes; only what was printed remains. */
  end(): void
}

export function createDisplay(output: NodeJS.WriteStream): Display {
  return output.isTTY && process.env['TERM'] !== 'dumb' ? new TerminalDisplay(output) : new PlainDisplay(output)
}

const WRAP_OFF = '\u001B[?7l'
const WRAP_ON = '\u001B[?7h'
const CLEAR_LINE_END = '\u001B[K'
const CLEAR_BELOW = '\u001B[J'

const BAR_WIDTH = 40
/** A terminal that is narrower cuts lines off. */
const MIN_WIDTH = 20
/** Above the threads. */
const SUMMARY_LINES = 3

class TerminalDisplay implements Display {
  readonly #output: WriteStream
  readonly #hasColors: boolean
  /** Lines of the block on the screen. */
  #drawn = 0

  constructor(output: WriteStream) {
    this.#output = output
    this.#hasColors = output.hasColors()
  }

  get width(): number {
    return Math.max(MIN_WIDTH, this.#output.columns || 80)
  }

  print(line: string): void {
    this.#output.write(`${this.#toTop()}${CLEAR_BELOW}${line}\n`)
    this.#drawn = 0
  }

  update(snapshot: Snapshot, running: RunningFiles): void {
    const { width } = this
    const room = (this.#output.rows || 24) - SUMMARY_LINES - 1
    const lines = [...this.#summary(snapshot, width), ...fit(running.lines(width), Math.max(1, room))]
    const frame = lines.map((line) => `${line}${CLEAR_LINE_END}\n`).join('')
    this.#output.write(`${WRAP_OFF}${this.#toTop()}${frame}${CLEAR_BELOW}${WRAP_ON}`)
    this.#drawn = lines.length
  }

  end(): void {
    this.#output.write(`${this.#toTop()}${CLEAR_BELOW}`)
    this.#drawn = 0
  }

  /** A terminal that has become narrower may have broken the lines: then some of the old ones stay, and nothing else is lost. */
  #toTop(): string {
    return this.#drawn === 0 ? '\r' : `\u001B[${this.#drawn}A\r`
  }

  #summary(snapshot: Snapshot, width: number): string[] {
    const { fraction, jobsPerSecond, bytesPerSecond, elapsedMs } = snapshot
    const barWidth = Math.min(BAR_WIDTH, width - 10)
    const filled = Math.round(fraction * barWidth)
    const bar = this.#paint('cyan', '█'.repeat(filled)) + this.#paint('gray', '░'.repeat(barWidth - filled))
    const percent = this.#paint('bold', `${Math.floor(fraction * 100)} %`)
    const rate = `${formatCount(jobsPerSecond)} jobs/s, ${formatBytes(bytesPerSecond)}/s`
    return [
      `  ${bar} ${percent}`,
      `  ${counted(snapshot)}`,
      `  ${rate}, ${formatClock(elapsedMs)} elapsed, ${this.#paint('bold', timeLeft(snapshot))}`,
    ]
  }

  #paint(style: 'cyan' | 'gray' | 'bold', text: string): string {
    return this.#hasColors ? styleText(style, text, { validateStream: false }) : text
  }
}

/** As many lines as there is room for. */
function fit(lines: readonly string[], room: number): readonly string[] {
  if (lines.length <= room) return lines
  return [...lines.slice(0, room - 1), `  and ${lines.length - room + 1} more threads`]
}

function counted({ filesDone, filesFound, bytesDone, bytesFound, isWalking }: Snapshot): string {
  const found = isWalking ? ' found so far' : ''
  return `${formatCount(filesDone)} of ${formatCount(filesFound)} files${found}, ${formatBytes(bytesDone)} of ${formatBytes(bytesFound)}`
}

function timeLeft({ leftMs, isWalking }: Snapshot): string {
  if (isWalking) return 'still looking for files'
  return leftMs === undefined ? 'ETA unknown' : `ETA ${formatClock(leftMs)}`
}

/** A line for every tenth, */
const PLAIN_STEP = 0.1
/** and one at least this often; in a long run every twentieth of the time gone, so that its log stays short. */
const PLAIN_INTERVAL_MS = 2000
const PLAIN_INTERVAL_OF_ELAPSED = 1 / 20

class PlainDisplay implements Display {
  readonly width = Infinity
  readonly #output: NodeJS.WritableStream
  #fraction = 0
  #atMs = 0

  constructor(output: NodeJS.WritableStream) {
    this.#output = output
  }

  print(line: string): void {
    this.#output.write(`${line}\n`)
  }

  update(snapshot: Snapshot): void {
    const { fraction, elapsedMs, jobsPerSecond, bytesPerSecond, isWalking } = snapshot
    const intervalMs = Math.max(PLAIN_INTERVAL_MS, elapsedMs * PLAIN_INTERVAL_OF_ELAPSED)
    const isStep = !isWalking && Math.floor(fraction / PLAIN_STEP) > Math.floor(this.#fraction / PLAIN_STEP)
    if (!isStep && elapsedMs - this.#atMs < intervalMs) return
    this.#fraction = fraction
    this.#atMs = elapsedMs
    const percent = isWalking ? '' : `${Math.floor(fraction * 100)} %: `
    const rate = `${formatCount(jobsPerSecond)} jobs/s, ${formatBytes(bytesPerSecond)}/s`
    this.print(`${percent}${counted(snapshot)}, ${rate}, ${timeLeft(snapshot)}`)
  }

  end(): void {
    // Everything printed stays.
  }
}
