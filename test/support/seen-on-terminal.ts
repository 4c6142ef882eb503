/** What somebody sees on a terminal to which a program writes lines, and lines over lines. */
import assert from 'node:assert/strict'

export interface Seen {
  /** The lines at the end. */
  readonly lines: readonly string[]
  /** Every line as it stood when it was left or written over, once for each time. */
  readonly frames: readonly string[]
}

/** Knows the beginning of a line, its end, and what clears the rest of it; everything else that steers a terminal is a failure. */
export function seenOnTerminal(written: string): Seen {
  const lines = ['']
  const frames: string[] = []
  let column = 0
  for (const [token] of written.matchAll(/\r|\n|\u001B\[K|[^\r\n\u001B]+|\u001B/g)) {
    const line = lines.at(-1) ?? ''
    if (token === '\r' || token === '\n') frames.push(line.trimEnd())
    if (token === '\n') lines.push('')
    if (token === '\r' || token === '\n') column = 0
    else if (token === '\u001B[K') lines[lines.length - 1] = line.slice(0, column)
    else {
      assert.notEqual(token, '\u001B', 'it steers the terminal in another way')
      lines[lines.length - 1] = line.slice(0, column).padEnd(column) + token + line.slice(column + token.length)
      column += token.length
    }
  }
  return { lines, frames: frames.filter((frame) => frame !== '') }
}
