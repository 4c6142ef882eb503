/** The process in which the doctor looks at a store: started with the directory and the options, tells what it does, then its report. */
import { isMillraceError, LockedError } from '../base/errors.js'
import type { DoctorMessage, DoctorOptions } from './doctor-report.js'
import { examine } from './examine.js'

const [path = '', options = '{}'] = process.argv.slice(2)

function tell(message: DoctorMessage): void {
  process.send?.(message)
}

let lastStep = ''
const step = (name: string): void => {
  if (name !== lastStep) tell({ kind: 'step', step: name })
  lastStep = name
}

try {
  tell({ kind: 'report', report: await examine(path, JSON.parse(options) as DoctorOptions, step) })
} catch (error) {
  tell({
    kind: 'error',
    code: isMillraceError(error) ? error.code : undefined,
    message: error instanceof Error ? error.message : String(error),
    holderPid: error instanceof LockedError ? error.holderPid : undefined,
  })
}
process.disconnect?.()
