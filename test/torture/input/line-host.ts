/**
 * Runs the `millrace` program one line after another in one process, where each line takes milliseconds and not the start of a process.
 * It is the program itself: its module is loaded anew for each line. Orders come as messages, and how each line ended goes back.
 */
import { inspect } from 'node:util'
import { fileURLToPath } from 'node:url'

export interface LineOrder {
  readonly args: readonly string[]
  readonly cwd: string
}

const MAIN = new URL('../../../src/cli/main.js', import.meta.url)
/** How often the program was loaded. */
let loads = 0

async function run({ args, cwd }: LineOrder): Promise<{ code: number; stdout: string; stderr: string }> {
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    // Each line's program listens for errors of its own.
    process[name].removeAllListeners('error')
    process[name].write = (text: string | Uint8Array): boolean => {
      printed[name] += typeof text === 'string' ? text : Buffer.from(text).toString()
      return true
    }
  }
  process.chdir(cwd)
  process.argv = [process.execPath, fileURLToPath(MAIN), ...args]
  process.exitCode = undefined
  loads += 1
  try {
    await import(`${MAIN.href}?line=${loads}`)
  } catch (error) {
    return { code: 1, ...printed, stderr: `${printed.stderr}${inspect(error)}\n` }
  }
  const code = Number(process.exitCode ?? 0)
  process.exitCode = undefined
  return { code, ...printed }
}

process.on('message', (order: LineOrder) => void run(order).then((ended) => process.send?.(ended)))
