/** Has a job call everything that a handler is handed, and listens to what the executor tells of it. */
import { CONTEXT_PLACES, contextual, type ContextInput, type ContextOutput } from './context-job.js'
import { shown } from './judge.js'
import type { World } from './world.js'

const LOG_PLACES = Object.keys(CONTEXT_PLACES).filter((name) => name.startsWith('ctx.log.')).length

/** JSON of what a log line carries: it is cut, and then a string with its quotes escaped. */
const DATA_CHARACTERS = 40_000

/** What was wrong within the handler, and with what the executor told of it. */
export async function tryContext({ executor }: World, input: ContextInput): Promise<ContextOutput & { readonly calls: number }> {
  const wrong: string[] = []
  let lines = 0
  const onLog = ({ message, data }: { message: unknown; data: unknown }): void => {
    lines++
    if (typeof message !== 'string') wrong.push(`a log line is told with ${shown(message)}`)
    const { length } = JSON.stringify(data) ?? ''
    if (length > DATA_CHARACTERS) wrong.push(`a log line carries ${length} characters`)
  }
  const onProgress = ({ fraction, message }: { fraction: unknown; message: unknown }): void => {
    const fits = typeof fraction === 'number' && fraction >= 0 && fraction <= 1
    if (!fits || (message !== undefined && typeof message !== 'string'))
      wrong.push(`progress is told as ${shown(fraction)}, ${shown(message)}`)
  }
  executor.on('log', onLog)
  executor.on('progress', onProgress)
  try {
    const job = await executor.enqueue(contextual, input)
    const output = (await job.result()) as ContextOutput
    const due = output.values * LOG_PLACES
    if (lines !== due) wrong.push(`${due} log lines were written, and ${lines} told`)
    const calls = output.values * Object.keys(CONTEXT_PLACES).length
    return { ...output, wrong: [...output.wrong, ...wrong], calls }
  } finally {
    executor.off('log', onLog)
    executor.off('progress', onProgress)
  }
}
