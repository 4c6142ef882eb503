/** The options that say which jobs a command is for. */
import { JOB_STATES } from '../../job/job-info.js'
import { nearestName } from '../../base/problems.js'
import type { OptionKinds } from '../read-options.js'
import { UsageError } from '../usage-error.js'
import type { CommandLine } from './command.js'

export const FILTER_OPTIONS = {
  state: { type: 'string', multiple: true },
  queue: { type: 'string' },
  name: { type: 'string' },
} as const satisfies OptionKinds

export const FILTER_HELP = `  --state <s>,<s>  In one of these states
  --queue <q>      In this queue
  --name <n>       Of this definition
`

/** What `FILTER_OPTIONS` restrict; nothing that was not given. @throws UsageError */
export function readFilter(line: CommandLine): Record<string, unknown> {
  const states = line.all('state')
  for (const state of states) {
    if ((JOB_STATES as readonly string[]).includes(state)) continue
    const nearest = nearestName(state, JOB_STATES)
    const wayOut = nearest === undefined ? `There are ${JOB_STATES.join(', ')}.` : `Did you mean '${nearest}'?`
    throw new UsageError(`There is no state '${state}'. ${wayOut}`)
  }
  const queue = line.text('queue')
  const name = line.text('name')
  return {
    ...(states.length > 0 && { state: states }),
    ...(queue !== undefined && { queue }),
    ...(name !== undefined && { name }),
  }
}
