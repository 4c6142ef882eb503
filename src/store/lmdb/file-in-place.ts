/**
 * Tells whether a file that is open is still the one its path leads to. A file that was deleted, moved or replaced takes every write
 * of those who have it open, and nobody who opens the path sees any of them.
 *
 * A look is one system call, some 2 µs. Its answer holds for that moment: what happens to the file afterwards happens to what was
 * acknowledged, too.
 */
import { statSync, type Stats } from 'node:fs'

/** `unknown`: it may not be looked at any more, as after the process has changed its user. */
export type Place = 'in place' | 'gone' | 'another' | 'unknown'

const GONE = new Set(['ENOENT', 'ENOTDIR', 'ELOOP'])

export class FileInPlace {
  readonly #path: string
  readonly #first: Stats

  /** @param path - of a file that has just been opened */
  constructor(path: string) {
    this.#path = path
    this.#first = statSync(path)
  }

  look(): Place {
    try {
      const now = statSync(this.#path, { throwIfNoEntry: false })
      if (now === undefined) return 'gone'
      return now.ino === this.#first.ino && now.dev === this.#first.dev ? 'in place' : 'another'
    } catch (error) {
      return GONE.has((error as NodeJS.ErrnoException).code ?? '') ? 'gone' : 'unknown'
    }
  }
}
