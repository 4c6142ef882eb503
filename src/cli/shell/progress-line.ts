/**
 * One line that tells how far a command has come: on a terminal only, written over in place, and gone before anything else is printed
 * there, for what a command says at its end may go to the same terminal by another stream.
 */
import type { WriteStream } from 'node:tty'
import { terminalWidth } from './command.js'
import { cutText } from './table.js'

const CLEAR_LINE_END = '\u001B[K'

export class ProgressLine {
  readonly #output: WriteStream
  #isShown = false

  constructor(output: WriteStream) {
    this.#output = output
  }

  show(text: string): void {
    if (!this.#output.isTTY) return
    this.#isShown = true
    // One column stays free: a terminal goes on to the next line at its last one.
    this.#output.write(`\r${cutText(text, terminalWidth(this.#output) - 1)}${CLEAR_LINE_END}`)
  }

  end(): void {
    if (this.#isShown) this.#output.write(`\r${CLEAR_LINE_END}`)
    this.#isShown = false
  }
}
