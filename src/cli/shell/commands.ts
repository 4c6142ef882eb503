/** The commands for a store, by name. */
import { nearestName } from '../../base/problems.js'
import { backup } from '../commands/backup.js'
import { enqueue } from '../commands/enqueue.js'
import { JOBS_HELP, jobsCommands } from '../commands/jobs.js'
import { metrics } from '../commands/metrics.js'
import { pause } from '../commands/pause.js'
import { queues } from '../commands/queues.js'
import { resume } from '../commands/resume.js'
import { removeSchedule, schedules } from '../commands/schedules.js'
import { status } from '../commands/status.js'
import { threads } from '../commands/threads.js'
import { top } from '../commands/top.js'
import { UsageError } from '../usage-error.js'
import { runCommand, type ShellCommand } from './command.js'

interface CommandGroup {
  readonly help: string
  /** What stands without a verb. */
  readonly usual?: ShellCommand
  readonly commands: Readonly<Record<string, ShellCommand>>
}

export const SHELL_COMMANDS: Readonly<Record<string, ShellCommand | CommandGroup>> = {
  status,
  top,
  jobs: { help: JOBS_HELP, commands: jobsCommands },
  queues,
  pause,
  resume,
  schedules: { help: schedules.help, usual: schedules, commands: { remove: removeSchedule } },
  threads,
  enqueue,
  metrics,
  backup,
}

export function isShellCommand(name: string): boolean {
  return Object.hasOwn(SHELL_COMMANDS, name)
}

/** Resolves with the exit code. @throws UsageError */
export async function runShellCommand(name: string, args: readonly string[]): Promise<number> {
  const command = SHELL_COMMANDS[name]
  if (command === undefined) throw new UsageError(`Unknown command '${name}'.`)
  if (!('commands' in command)) return await runCommand(command, args)
  const [verb = '', ...others] = args
  if ((args.length === 0 && command.usual === undefined) || verb === '--help' || verb === '-h' || verb === 'help') {
    process.stdout.write(command.help)
    return 0
  }
  const chosen = Object.hasOwn(command.commands, verb) ? command.commands[verb] : undefined
  if (chosen === undefined && command.usual !== undefined) return await runCommand(command.usual, args)
  if (chosen === undefined) {
    const known = Object.keys(command.commands)
    const nearest = nearestName(verb, known)
    throw new UsageError(
      `Unknown command '${name} ${verb}'. ${nearest === undefined ? `There are ${known.join(', ')}.` : `Did you mean '${name} ${nearest}'?`}`,
    )
  }
  return await runCommand(chosen, others)
}
