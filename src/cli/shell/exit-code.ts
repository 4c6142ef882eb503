/** How the commands for a store end. The numbers are a contract: scripts branch on them. */
export const EXIT = {
  done: 0,
  /** There is no such store, job or queue, or the executor refused; nothing, or only a part, was done. */
  notDone: 1,
  /** A wrong command line. */
  usage: 2,
  /** Somebody has the directory, and this command cannot speak to him. */
  held: 3,
  /** The executor does not answer, or went away before it did. */
  silent: 4,
  /** The executor is of another version. */
  version: 5,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** What every command's help says of them. */
export const EXIT_CODES_HELP = `Exit codes:
  0  done
  1  not done, or not all of it: no such store, job or queue, or it was refused
  2  wrong command line
  3  a process has the store open and takes no commands, or it is another user's
  4  the executor does not answer in time, or ended before it did
  5  the executor is of another version
`

/** Why a command ends early. */
export class CommandError extends Error {
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}
