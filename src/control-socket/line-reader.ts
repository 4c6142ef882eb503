/** Cuts a stream of bytes into lines, and holds no more than one of them and what came with its end. */

const NEWLINE = 10
/** Pieces that are kept apart; of single bytes a line would otherwise cost hundreds of times its length. */
const MAX_PARTS = 1024

export class LineReader {
  readonly #maxBytes: number
  #parts: Buffer[] = []
  #bytes = 0
  /** There is the end of a line among the parts. */
  #isComplete = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** A line is longer than is allowed: nothing more can be made of what comes. */
  get isOverlong(): boolean {
    return !this.#isComplete && this.#bytes > this.#maxBytes
  }

  push(chunk: Buffer): void {
    this.#parts.push(chunk)
    if (this.#parts.length > MAX_PARTS) this.#parts = [Buffer.concat(this.#parts)]
    this.#bytes += chunk.length
    this.#isComplete ||= chunk.includes(NEWLINE)
  }

  /** The next line without its end; undefined until it is whole. */
  next(): string | undefined {
    if (!this.#isComplete) return undefined
    const all = this.#parts.length === 1 ? (this.#parts[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#parts)
    const end = all.indexOf(NEWLINE)
    const rest = all.subarray(end + 1)
    this.#parts = rest.length === 0 ? [] : [rest]
    this.#bytes = rest.length
    this.#isComplete = rest.includes(NEWLINE)
    return all.toString('utf8', 0, end)
  }
}
