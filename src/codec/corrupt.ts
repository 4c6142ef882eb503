/** The error for stored bytes that cannot be read. What the system's own readers throw (JSON, V8, buffers) becomes its cause. */
import { isMillraceError, MillraceError } from '../base/errors.js'

/** @param what - completes "… cannot be read" */
export function corrupt(what: string, cause: unknown): MillraceError {
  if (isMillraceError(cause)) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message = `${what} cannot be read: ${reason}. \`millrace doctor\` tells what else is wrong with the store.`
  return new MillraceError('MILLRACE_STORE_CORRUPT', message, { cause })
}
