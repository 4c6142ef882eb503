/**
 * How the rung runs `millrace`: as a process of its own, or, for lines of which there are many, one after another in a process that is
 * kept; and what is wrong with how a line ended.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { program, type Ended, type Place } from '../../support/demo-program.js'
import { rawWordsIn, shown } from './judge.js'
import type { LineOrder } from './line-host.js'

/** How a line may end, with its exit code. `wrong`: as a wrong command line, said in two lines. */
export const ENDS = {
  answered: [0],
  wrong: [2],
  refused: [1],
  'in use': [3],
  'put right': [4],
  'cannot run': [126, 127],
} as const

export type End = keyof typeof ENDS

/** The program as the rung runs it; a planted fault stands in between. */
export interface Runner {
  /** Undefined: it hangs. */
  readonly run: (args: readonly string[], place: Place) => Promise<Ended | undefined>
  readonly end: () => Promise<void>
}

const HOST = fileURLToPath(new URL('./line-host.js', import.meta.url))
/** No measure of speed: a program that says nothing for so long hangs. */
const LIMIT_MS = 120_000
/** Characters of a line on the terminal. */
const LINE_CHARACTERS = 2000

/** Each line has a process. */
export const OWN_PROCESS: Runner = {
  run: async (args, place) => {
    const { child, ended } = program(args, {}, place)
    const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
    const end = await ended
    clearTimeout(limit)
    return child.signalCode === null ? end : undefined
  },
  end: async () => undefined,
}

/** All lines have one process, as whoever runs the rung; one at a time. It is replaced when a line hangs or takes it down. */
export function oneProcess(): Runner {
  let host: ChildProcess | undefined
  return {
    run: async (args, { cwd = '.' }) => {
      const child = (host ??= fork(HOST, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }))
      child.send({ args, cwd } satisfies LineOrder)
      const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
      const ended = await new Promise<Ended | number | null>((resolve) => {
        child.once('message', resolve).once('exit', resolve)
      })
      child.removeAllListeners('message').removeAllListeners('exit')
      clearTimeout(limit)
      if (typeof ended === 'object' && ended !== null) return ended
      host = undefined
      return child.killed ? undefined : { code: ended, stdout: '', stderr: 'millrace ended its process\n' }
    },
    end: async () => {
      if (host === undefined) return
      host.disconnect()
      await once(host, 'exit')
    },
  }
}

/** As what a line ended, by its exit code; undefined: as nothing that it may. */
export function endOf(ended: Ended): End | undefined {
  return (Object.keys(ENDS) as End[]).find((end) => ENDS[end].some((code) => code === ended.code))
}

export function faultOfEnd({ code, stdout, stderr }: Ended, ends: End): string | undefined {
  const said = `exit code ${code}: ${shown(stderr === '' ? stdout : stderr)}`
  if (!ENDS[ends].some((fits) => fits === code)) return `is to be ${ends}, and ended with ${said}`
  // The doctor's report, whatever it says, is what was asked for.
  if (ends === 'answered' ? stderr !== '' : (stderr === '') === (stdout === ''))
    return `does not say why, or on both streams: ${said}`
  const text = stderr + stdout
  if (/^\s+at .+:\d+|node:internal/m.test(text)) return `shows a stack: ${shown(text)}`
  const raw = rawWordsIn(text)
  if (raw !== undefined) return `the raw words ${raw}: ${shown(text)}`
  if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text)) return `steers the terminal: ${JSON.stringify(said)}`
  const longest = Math.max(...stderr.split('\n').map((line) => line.length))
  if (longest > LINE_CHARACTERS) return `a line of ${longest} characters: ${said}`
  const count = stderr.split('\n').length - 1
  if (ends !== 'answered' && stderr !== '' && count !== (ends === 'wrong' ? 2 : 1)) return `says it in ${count} lines: ${said}`
  if (stderr !== '' && !stderr.startsWith('millrace')) return `does not say who says so: ${said}`
  return undefined
}
