/** A command line that cannot be used. */
export class UsageError extends Error {
  /** Whose help tells more, as it is typed; empty for that of all. */
  command = ''
}
