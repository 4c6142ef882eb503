/** Has a child process open images, one after another, and collects what it tells of each. A child that dies is blamed on its image. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

import type { Line } from '../../fixtures/crash/journal-line.js'
import { JOURNAL_FD } from '../../fixtures/crash/journal-line.js'
import type { ScheduleLine } from '../../fixtures/power/deeds.js'
import type { ReopenConfig, ReopenLine } from '../../fixtures/power/reopen.js'
import { Silence } from '../../support/silence.js'
import { isScheduleLine } from './schedules.js'

const REOPEN = fileURLToPath(new URL('../../fixtures/power/reopen.js', import.meta.url))

/** What became of an image. */
export interface Reopened {
  readonly lines: Line[]
  /** Names of the schedules in it; undefined when it did not come to tell. */
  schedules: readonly string[] | undefined
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
    if (images.length === before) images.push({ ...emptyReopened(), problems: ['the process did not come to this image'] })
  }
  return images
}

/** Appends to `images` what one process told, as far as it came. */
async function reopenSome(config: ReopenConfig, images: Reopened[]): Promise<void> {
  const child = spawn(process.execPath, [REOPEN, JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  let noise = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (noise += String(chunk)))
  const silence = new Silence(child, () => images.at(-1)?.problems.push('it hung'))
  const lines = createInterface({ input: child.stdio[JOURNAL_FD] as Readable })
  lines.on('line', (text) => {
    silence.heard()
    const line = JSON.parse(text) as Line | ReopenLine | ScheduleLine
    const image = images.at(-1)
    if (line.is === 'image') images.push(emptyReopened())
    else if (line.is === 'store') image?.storeProblems.push(line.text)
    else if (!isScheduleLine(line)) image?.lines.push(line)
    else if (image !== undefined && line.is === 'schedules') image.schedules = line.names
  })
  const [[code, signal]] = await Promise.all([once(child, 'close'), once(lines, 'close')])
  const last = images.at(-1)
  if (code !== 0) last?.problems.push(`the process ended with exit code ${code}, signal ${signal}`)
  if (noise !== '') last?.problems.push(`the process printed: ${noise.slice(0, 1000)}`)
}

export function emptyReopened(): Reopened {
  return { lines: [], schedules: undefined, storeProblems: [], problems: [] }
}
