/**
 * One poisoned store, from the enqueue to the first process that ends by itself: the process is started again whenever it dies, by this
 * one or by `millrace supervise`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { COMPANY, type Poison, type PoisonLine } from '../../fixtures/torture/poison.js'
import { createPrng } from '../../support/prng.js'
import { Silence } from '../../support/silence.js'
import { judgeStore, MAX_CRASHES } from './judge.js'

const PROGRAM = fileURLToPath(new URL('../../fixtures/torture/poisoned-program.js', import.meta.url))
const MILLRACE = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url))
const INNOCENTS = 24
/** What `process.abort` makes of the exit code where it is no signal. */
const ABORTED = 134
/** So much of what a process prints is kept. */
const NOISE_CHARACTERS = 20_000

/** Faults planted into the program that is started again: see `fixtures/torture/poisoned-program`. */
export type Fault = 'none' | 'charges-innocents' | 'not-alone' | 'not-counted'

export interface Ordeal {
  readonly poisons: readonly Poison[]
  readonly seed: number
  readonly fault?: Fault
  /** Who starts the process again is the real `millrace supervise`. @defaultValue false */
  readonly isSupervised?: boolean
}

export interface OrdealReport {
  readonly figures: {
    readonly deaths: number
    /** Deaths at which several were in flight. */
    readonly deathsInCompany: number
    /** Innocents that were in flight at them, each as often as it was. */
    readonly innocentsInterrupted: number
    readonly guilty: number
    readonly innocents: number
  }
  readonly violations: readonly string[]
}

export async function ordeal(options: Ordeal): Promise<OrdealReport> {
  const path = await mkdtemp(join(tmpdir(), 'millrace-torture-'))
  try {
    const trial = new Trial(options, path)
    const { violations, lines } = await trial.run()
    const opened = lines.filter((line) => line.is === 'open')
    const inCompany = opened.filter((line) => line.inCompany > 0)
    const lonely = inCompany.filter(({ innocents }) => innocents < COMPANY)
    for (const { inCompany: jobs, innocents } of lonely)
      violations.push(`${jobs} jobs were in flight at a death, and ${innocents} of them innocent: that proves nothing`)
    const acknowledged = lines.flatMap((line) => (line.is === 'ack' ? line.ids : []))
    const { found, innocents } = await judgeStore(path, options.poisons.length, acknowledged)
    const figures = {
      deaths: Math.max(0, opened.length - 1),
      deathsInCompany: inCompany.length,
      innocentsInterrupted: inCompany.reduce((sum, line) => sum + line.innocents, 0),
      guilty: options.poisons.length,
      innocents,
    }
    return { figures, violations: [...violations, ...found] }
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

/** The processes of one ordeal. */
class Trial {
  readonly #options: Ordeal
  readonly #path: string
  readonly #lines: PoisonLine[] = []
  readonly #violations: string[] = []

  constructor(options: Ordeal, path: string) {
    this.#options = options
    this.#path = path
  }

  async run(): Promise<{ readonly violations: string[]; readonly lines: readonly PoisonLine[] }> {
    const { poisons, seed, fault = 'none', isSupervised = false } = this.#options
    const random = createPrng(seed)
    const inputs: (Poison | number)[] = Array.from({ length: INNOCENTS }, (_, n) => n)
    for (const guilty of poisons) inputs.splice(random.below(inputs.length), 0, guilty)
    const program = [process.execPath, '--max-old-space-size=128', PROGRAM, this.#path, JSON.stringify(inputs), fault]
    // Once in company, then alone each; and one more, that a death between two claims cannot make it too many.
    const most = poisons.length * (MAX_CRASHES + 1) + 1
    if (isSupervised) await this.#supervised(program, most)
    else await this.#startedAgain(program, most)
    return { violations: this.#violations, lines: this.#lines }
  }

  async #startedAgain(program: readonly string[], most: number): Promise<void> {
    for (let deaths = 0; deaths <= most; deaths++) {
      const { code, signal, noise, hung } = await this.#process(program)
      if (code === 0) return
      const isDeath = code === ABORTED || signal !== null
      if (hung || !isDeath) {
        this.#violations.push(hung ? `the process hung: ${noise}` : `the process ended with exit code ${code}: ${noise}`)
        return
      }
    }
    this.#tooManyDeaths(most)
  }

  async #supervised(program: readonly string[], most: number): Promise<void> {
    const options = ['--min-delay', '1ms', '--max-restarts', String(most)]
    const { code, noise, hung } = await this.#process([process.execPath, MILLRACE, 'supervise', ...options, '--', ...program])
    const said = noise.split('\n').filter((line) => line.startsWith('millrace supervise: '))
    for (const line of said)
      if (!/ended (by SIG(ABRT|KILL)|with exit code 134); (restarts in|given up)/.test(line)) this.#violations.push(line)
    if (hung) this.#violations.push(`the supervised process hung: ${noise}`)
    else if (said.some((line) => line.includes('given up'))) this.#tooManyDeaths(most)
    else if (code !== 0) this.#violations.push(`millrace supervise ended with exit code ${code}: ${noise}`)
  }

  #tooManyDeaths(most: number): void {
    this.#violations.push(`the process died more than ${most} times, which is enough for any blame`)
  }

  async #process([file = '', ...args]: readonly string[]): Promise<{
    readonly code: number | null
    readonly signal: NodeJS.Signals | null
    readonly noise: string
    readonly hung: boolean
  }> {
    // A group of its own: whoever starts others is ended with them.
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let noise = ''
    let hung = false
    const silence = new Silence(child, () => {
      hung = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      silence.heard()
      noise = (noise + text).slice(-NOISE_CHARACTERS)
    })
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (text) => {
      silence.heard()
      this.#lines.push(JSON.parse(text) as PoisonLine)
    })
    const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    const [[code, signal]] = await Promise.all([ended, once(lines, 'close')])
    return { code, signal, noise, hung }
  }
}
