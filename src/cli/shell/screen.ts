/**
 * A whole terminal, drawn anew in place: on the other screen, so that what was there before is there again afterwards. Lines are cut
 * off by the terminal itself. Each picture is one write, and is not drawn while the terminal has not taken the one before.
 */
import type { WriteStream } from 'node:tty'

const ENTER = '\u001B[?1049h\u001B[?25l'
const LEAVE = '\u001B[?25h\u001B[?1049l'
const HOME = '\u001B[H'
const WRAP_OFF = '\u001B[?7l'
const WRAP_ON = '\u001B[?7h'
const CLEAR_LINE_END = '\u001B[K'
const CLEAR_BELOW = '\u001B[J'

const CTRL_C = '\u0003'

export class Screen {
  readonly #output: WriteStream
  #onKey: ((key: string) => void) | undefined
  #isEnded = false
  readonly #onData = (data: Buffer): void => this.#onKey?.(data.toString('utf8'))

  constructor(output: WriteStream) {
    this.#output = output
    output.write(ENTER)
    // However this process ends in an orderly way, the terminal is left as it was.
    process.once('exit', this.#leave)
  }

  get width(): number {
    return Math.max(20, this.#output.columns || 80)
  }

  get height(): number {
    return Math.max(1, this.#output.rows || 24)
  }

  /** Calls `onQuit` at q, Escape and Ctrl-C. */
  onKey(onQuit: () => void): void {
    if (!process.stdin.isTTY) return
    this.#onKey = (key) => {
      if (key === 'q' || key === 'Q' || key === '\u001B' || key === CTRL_C) onQuit()
    }
    process.stdin.setRawMode(true)
    process.stdin.on('data', this.#onData)
  }

  draw(lines: readonly string[]): void {
    if (this.#isEnded || this.#output.writableNeedDrain) return
    const picture = lines.slice(0, this.height).join(`${CLEAR_LINE_END}\n`)
    this.#output.write(`${HOME}${WRAP_OFF}${picture}${CLEAR_LINE_END}${CLEAR_BELOW}${WRAP_ON}`)
  }

  end(): void {
    this.#leave()
    process.off('exit', this.#leave)
  }

  readonly #leave = (): void => {
    if (this.#isEnded) return
    this.#isEnded = true
    if (process.stdin.isTTY) {
      process.stdin.off('data', this.#onData)
      process.stdin.setRawMode(false)
      process.stdin.pause()
    }
    this.#output.write(LEAVE)
  }
}
