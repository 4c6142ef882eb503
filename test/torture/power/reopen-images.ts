/** Has a child process open images, one after another, and collects what it tells of each. A child that dies is blamed on its image. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

import type { Line } from '../../fixtures/crash/journal-line.js'
import { JOURNAL_FD } from '../../fixtures/crash/journal-line.js'
import type { ReopenConfig, ReopenLine } from '../../fixtures/power/reopen.js'

const REOPEN = fileURLToPath(new URL('../../fixtures/power/reopen.js', import.meta.url))
/** No measure of speed: a process that tells nothing for so long hangs. */
const SILENCE_MS = 30_000

/** What became of an image. */
export interface Reopened {
  readonly lines: Line[]
  /** What is wrong with the records in the store, before and after. */
  readonly storeProblems: string[]
  /** What is wrong with how the process went. */
  readonly problems: string[]
}

export async function reopenImages(config: ReopenConfig): Promise<Reopened[]> {
  const images: Reopened[] = []
  while (images.length < config.directories.length) {
    const rest = config.directories.slice(images.length)
    const before = images.length
    await reopenSome({ ...config, directories: rest }, images)
    // A child that did not even come to its first image.
    if (images.length === before)
      images.push({ lines: [], storeProblems: [], problems: ['the process did not come to this image'] })
  }
  return images
}

/** Appends to `images` what one process told, as far as it came. */
async function reopenSome(config: ReopenConfig, images: Reopened[]): Promise<void> {
  const child = spawn(process.execPath, [REOPEN, JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  let noise = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (noise += String(chunk)))
  let silence = setTimeout(() => undefined, 0)
  const heard = (): void => {
    clearTimeout(silence)
    silence = setTimeout(() => {
      images.at(-1)?.problems.push('it hung')
      child.kill('SIGKILL')
    }, SILENCE_MS)
  }
  heard()
  const lines = createInterface({ input: child.stdio[JOURNAL_FD] as Readable })
  lines.on('line', (text) => {
    heard()
    const line = JSON.parse(text) as Line | ReopenLine
    if (line.is === 'image') images.push({ lines: [], storeProblems: [], problems: [] })
    else if (line.is === 'store') images.at(-1)?.storeProblems.push(line.text)
    else images.at(-1)?.lines.push(line)
  })
  const [[code, signal]] = await Promise.all([once(child, 'close'), once(lines, 'close')])
  clearTimeout(silence)
  const last = images.at(-1)
  if (code !== 0) last?.problems.push(`the process ended with exit code ${code}, signal ${signal}`)
  if (noise !== '') last?.problems.push(`the process printed: ${noise.slice(0, 1000)}`)
}
