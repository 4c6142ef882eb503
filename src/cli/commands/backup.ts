/** `millrace backup`: copies a store, also while it is in use. */
import { resolve } from 'node:path'
import type { BackupReport } from '../../maintenance/backup.js'
import { formatBytes, printable } from '../demo/format-quantity.js'
import { COMMON_HELP, look, type ShellCommand, tell } from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'

const HELP = `Copies a store, also while an executor has it open.

Usage: millrace backup <dir> <target> [options]

The copy is a store of its own, as of one commit, and durable when this ends. The target must
not exist yet, or be empty. An executor writes it as its own user.

Options:
${COMMON_HELP}
Examples:
  npx millrace backup ./data/jobs ./backups/monday

${EXIT_CODES_HELP}`

export const backup: ShellCommand = {
  name: 'backup',
  help: HELP,
  options: {},
  takes: ['<target>'],
  run: async (line) => {
    const path = resolve(line.words[0] ?? '')
    const report = await look<BackupReport>(line, 'backup', { path })
    tell(line, report, ({ sizeBytes }) => `${printable(path)}: ${formatBytes(sizeBytes)}`)
    return EXIT.done
  },
}
