import { relative } from 'node:path'
import { formatCount, plural, printable } from './format-quantity.js'

const SHOWN = 5

interface Failure {
  readonly path: string
  readonly reason: string
}

/** What could not be measured: how many, and the first few by path. Holds no more than it shows. */
export class FailureList {
  readonly #folder: string
  readonly #first: Failure[] = []
  #count = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  get count(): number {
    return this.#count
  }

  add(path: string, reason: string): void {
    this.#count++
    const place = this.#first.findIndex((other) => path < other.path)
    if (place === -1) this.#first.push({ path, reason })
    else this.#first.splice(place, 0, { path, reason })
    if (this.#first.length > SHOWN) this.#first.pop()
  }

  lines(): string[] {
    if (this.#count === 0) return []
    const shown = this.#first.map(
      ({ path, reason }) => `  ${printable(relative(this.#folder, path) || '.')}: ${printable(reason)}`,
    )
    const rest = this.#count - shown.length
    return [
      '',
      `${plural(this.#count, 'file or folder', 'files or folders')} could not be read; all others are in the table:`,
      ...shown,
      ...(rest > 0 ? [`  and ${formatCount(rest)} more`] : []),
    ]
  }
}
