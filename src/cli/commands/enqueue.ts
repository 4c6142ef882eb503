/** `millrace enqueue`: hands a job to the running executor, which checks the input as if the program had. */
import { UsageError } from '../usage-error.js'
import { COMMON_HELP, type CommandLine, look, type ShellCommand, tell } from '../shell/command.js'
import { EXIT, EXIT_CODES_HELP } from '../shell/exit-code.js'

const HELP = `Enqueues a job in a running executor.

Usage: millrace enqueue <dir> <name> [<json>] [options]

The input is JSON, or - to read it from stdin; without it the input is undefined. The executor
checks it against the definition's schema. When this ends with 0, the job is on disk; its id is
printed. Without a running executor nothing is enqueued: only the program has the definitions.

Options:
  --queue <name>        Instead of the definition's
  --priority <n>        From -128 to 127
  --max-retries <n>     Retries after failures
  --run-timeout <d>     Hard limit of one run
  --delay <d>           How long it waits before it becomes available
${COMMON_HELP}
Examples:
  npx millrace enqueue ./data/jobs thumbnail '{"file":"a.jpg","width":320}'
  npx millrace enqueue ./data/jobs report '"2026-05"' --delay 1h
  cat input.json | npx millrace enqueue ./data/jobs report -

${EXIT_CODES_HELP}`

export const enqueue: ShellCommand = {
  name: 'enqueue',
  help: HELP,
  options: {
    queue: { type: 'string' },
    priority: { type: 'string' },
    'max-retries': { type: 'string' },
    'run-timeout': { type: 'string' },
    delay: { type: 'string' },
  },
  takes: ['<name>', '[<json>]'],
  run: async (line) => {
    const [name = '', json] = line.words
    const input = json === undefined ? undefined : parseInput(json === '-' ? await readInput() : json)
    const given = { name, ...(json !== undefined && { input }), options: enqueueOptions(line) }
    // Without a running executor there is nothing that could be changed.
    const { id } = await look<{ id: string }>(line, 'enqueue', given)
    tell(line, { id }, () => id)
    return EXIT.done
  },
}

function enqueueOptions(line: CommandLine): Record<string, unknown> {
  const priority = line.text('priority')
  if (priority !== undefined && !/^-?\d+$/.test(priority))
    throw new UsageError(`Option '--priority' takes a whole number from -128 to 127, not '${priority}'.`)
  const options = {
    queue: line.text('queue'),
    priority: priority === undefined ? undefined : Number(priority),
    maxRetries: line.count('max-retries', 0),
    timeout: line.duration('run-timeout'),
    delay: line.duration('delay'),
  }
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

function parseInput(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new UsageError(`The input is no JSON: ${withoutQuote(error as Error)}. A string is written with quotes: '"text"'`)
  }
}

/** What V8 says of it, without the piece of the input that it quotes: what is enqueued may be a secret, and errors are kept in logs. */
function withoutQuote({ message }: Error): string {
  return message.replace(/, (?:\.\.\.)?".*is not valid JSON$/s, '')
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
