/** What a store says of its own format, and which formats this version reads. */
import { MillraceError } from '../base/errors.js'
import { type Engine, TABLES } from './engine.js'
import { readMeta } from './meta.js'

/**
 * 1: the first.
 * 2: overrides tell more of a job than settings, and `meta` holds more than names and counters. Nothing that 1 knows lies otherwise,
 *    so a store of format 1 becomes one of format 2 by its first commit; a version that knows only 1 must not open it any more.
 */
export const FORMAT = 2

/**
 * The store's record of its format; undefined when the store is empty.
 * @throws MillraceError `MILLRACE_STORE_TOO_NEW`, `MILLRACE_STORE_CORRUPT`
 */
export function readFormat(engine: Engine, where: string): { readonly format: number; readonly mark: number } | undefined {
  const format = readMeta<{ format: number; mark: number }>(engine, 'format')
  if (format !== undefined && format.format > FORMAT) {
    throw new MillraceError(
      'MILLRACE_STORE_TOO_NEW',
      `The store in ${where} has format ${format.format}; this version of millrace reads up to ${FORMAT}. Install the newer version that wrote it.`,
    )
  }
  if (format !== undefined && !(format.format >= 1 && format.mark >= 0)) {
    const told = JSON.stringify(format)
    throw new MillraceError('MILLRACE_STORE_CORRUPT', `The store in ${where} tells a format that there never was: ${told}.`)
  }
  if (format === undefined && TABLES.some((table) => engine.range(table, { limit: 1 }).length > 0)) {
    const message = `The store in ${where} has lost the record of its format, by which its job ids are known. Restore a backup.`
    throw new MillraceError('MILLRACE_STORE_CORRUPT', message)
  }
  return format
}
