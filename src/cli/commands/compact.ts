/** `millrace compact`: makes a store's file as small as what it holds. Its exit codes are in its help. */
import { isMillraceError } from '../../index.js'
import { compact as rewrite } from '../../maintenance/compact.js'
import { formatBytes, plural, printable } from '../demo/format-quantity.js'

export interface CompactCommand {
  readonly directory: string
  readonly json: boolean
}

const EXIT_FAILED = 1
const EXIT_IN_USE = 3

/** Resolves with the exit code. */
export async function compact({ directory, json }: CompactCommand): Promise<number> {
  try {
    const report = await rewrite(directory)
    const { path, beforeBytes, afterBytes, records, isReplaced } = report
    const outcome = isReplaced
      ? `${formatBytes(beforeBytes)} before, ${formatBytes(afterBytes)} now, with ${plural(records, 'record')}`
      : `${formatBytes(beforeBytes)} with ${plural(records, 'record')}; a fresh file would not be smaller, so it was left alone`
    process.stdout.write(json ? `${JSON.stringify(report, undefined, 2)}\n` : `${printable(path)}: ${outcome}\n`)
    return 0
  } catch (error) {
    if (!isMillraceError(error)) throw error
    process.stderr.write(`millrace compact: ${printable(error.message)}\n`)
    return error.code === 'MILLRACE_LOCKED' ? EXIT_IN_USE : EXIT_FAILED
  }
}
