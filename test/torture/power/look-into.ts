/** Has a child process look into stores, one after another. A child that dies is blamed on the store it was at, and another goes on. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Look } from '../../fixtures/power/look.js'
import { Silence } from '../../support/silence.js'

const LOOK = fileURLToPath(new URL('../../fixtures/power/look.js', import.meta.url))

/** What is in each, in order. */
export async function lookInto(directories: readonly string[]): Promise<Look[]> {
  const looks: Look[] = []
  while (looks.length < directories.length) {
    const rest = directories.slice(looks.length)
    const child = spawn(process.execPath, [LOOK, ...rest], { stdio: ['ignore', 'pipe', 'pipe'] })
    let noise = ''
    let hung = false
    const silence = new Silence(child, () => (hung = true))
    child.stderr.on('data', (chunk: Buffer) => (noise += String(chunk)))
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (text) => {
      silence.heard()
      looks.push(JSON.parse(text) as Look)
    })
    const [[code, signal]] = await Promise.all([once(child, 'close'), once(lines, 'close')])
    if (code !== 0) looks.push({ error: `the process ${hung ? 'hung' : `ended: ${signal ?? code}`} ${noise.slice(0, 500)}` })
  }
  return looks.slice(0, directories.length)
}
