/**
 * The kill rung: the random kill test of `crash/kill-9.test.ts`, made long. One directory takes all the kills; a second one takes a fifth
 * as many processes that end by themselves: `process.exit()` in the middle of a commit, an error that nobody catches, a SIGTERM that
 * nobody handles. `--kills n` for another number.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Fault } from '../../fixtures/crash/faults.js'
import type { PlantedName } from '../../fixtures/crash/process-faults.js'
import { subjectOf } from '../../fixtures/crash/process-faults.js'
import type { End } from '../../support/crash-death.js'
import { judge } from '../../support/crash-judge.js'
import type { CrashRunOptions } from '../../support/crash-run.js'
import { crashRun } from '../../support/crash-run.js'
import type { Check, Figures } from '../../support/crash-verdict.js'
import type { PlantedFault, Rung, RungOptions, RungReport } from '../rung.js'

const KILLS = 1000
/** One process in so many, beside those that are killed, ends by itself. */
const OTHER_ENDS_PER_KILL = 1 / 5
const OTHER_ENDS: readonly End[] = ['exit', 'exit', 'throw', 'SIGTERM']
const FAULT_KILLS = 5
/** Where a kill falls is chance, and it may fall where the fault does no harm: then the next seed. */
const FAULT_SEEDS = 4

interface Found {
  readonly figures: Figures
  readonly violations: readonly string[]
}

async function killed(options: Omit<CrashRunOptions, 'directory'>): Promise<Found> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-kill-'))
  try {
    const { problems, figures } = judge(await crashRun({ directory, ...options }))
    return { figures, violations: problems.map(({ check, text }) => `seed ${options.seed}: ${check}: ${text}`) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** A fixed amount of work. */
async function run({ seed, progress, extra = {} }: RungOptions): Promise<RungReport> {
  const kills = Number(extra['kills'] ?? KILLS)
  const told = (what: string) => (number: number) => number % 50 === 0 && progress(`${number} ${what}`)
  const found = await killed({ seed, kills, checkEvery: 5, onKill: told('kills') })
  progress(`${found.violations.length} violations`)
  const ends = Math.ceil(kills * OTHER_ENDS_PER_KILL)
  const others = await killed({ seed: seed + 1, kills: ends, ends: OTHER_ENDS, checkEvery: 5, onKill: told('other ends') })
  const { kills: otherEnds, endsInCommit, acknowledged, lost } = others.figures
  return {
    figures: {
      ...found.figures,
      otherEnds,
      endsInCommit,
      'acknowledged, other ends': acknowledged,
      'lost, other ends': lost,
    },
    violations: [...found.violations, ...others.violations],
  }
}

interface Proof {
  readonly seenBy: readonly Check[]
  readonly options?: Pick<CrashRunOptions, 'isLastFaulty'>
}

type Proven = Fault | 'stores a refused call' | 'stores a job twice' | 'forgets failed attempts' | 'gives its last job first'

/** What must see each fault; others may as well. */
export const PROOFS: Readonly<Record<Proven, Proof>> = {
  'acknowledges before the commit': { seenBy: ['lost'] },
  'tears commits in two': { seenBy: ['store', 'lost'] },
  'skips recovery': { seenBy: ['recovery', 'unrecorded run'] },
  'loses claims': { seenBy: ['recovery', 'unrecorded run'] },
  'loses marks': { seenBy: ['ran after over', 'store'] },
  'loses the removal of pages': { seenBy: ['ran after over', 'store'] },
  'loses outcomes': { seenBy: ['lost', 'store'] },
  'loses index entries': { seenBy: ['store'] },
  'loses unique keys': { seenBy: ['store'] },
  'keeps unique keys': { seenBy: ['store'] },
  'loses counters': { seenBy: ['store'] },
  'garbles large payloads': { seenBy: ['content'] },
  'stores a refused call': { seenBy: ['unexpected'] },
  'stores a job twice': { seenBy: ['doubled'] },
  'forgets failed attempts': { seenBy: ['attempts', 'unrecorded run'], options: { isLastFaulty: true } },
  'gives its last job first': { seenBy: ['order'], options: { isLastFaulty: true } },
}

export const PROVEN = Object.keys(PROOFS) as readonly Proven[]

/** A run in which the fault is to be seen, if the kills fall so. */
export function faultRun(fault: PlantedName | undefined, seed: number, kills = FAULT_KILLS): Omit<CrashRunOptions, 'directory'> {
  return { seed, kills, onlyAtWork: true, checkEvery: 1, ...(fault !== undefined && { fault }) }
}

/** What shows a fault that one of these checks is to see. */
export function shownBy(checks: readonly string[]): RegExp {
  return new RegExp(`(?:^|: )(?:${checks.join('|')}): `)
}

async function lookFor(
  seed: number,
  seenBy: RegExp,
  options: (seed: number) => Omit<CrashRunOptions, 'directory'>,
): Promise<string[]> {
  const all: string[] = []
  for (let tries = 0; tries < FAULT_SEEDS; tries++) {
    const { violations } = await killed(options(seed + tries))
    all.push(...violations)
    if (violations.some((violation) => seenBy.test(violation))) break
  }
  return all
}

function planted(fault: Proven): PlantedFault {
  const { seenBy: checks, options = {} } = PROOFS[fault]
  const seenBy = shownBy(checks)
  return {
    name: `${subjectOf(fault)} that ${fault}`,
    seenBy,
    run: ({ seed }) => lookFor(seed, seenBy, (each) => ({ ...faultRun(fault, each), ...options })),
  }
}

/** The same at other ends. */
function plantedAtEnds(fault: PlantedName, seenBy: RegExp, kills = FAULT_KILLS): PlantedFault {
  return {
    name: `${subjectOf(fault)} that ${fault}, at process.exit()`,
    seenBy,
    run: ({ seed }) => lookFor(seed, seenBy, (each) => ({ ...faultRun(fault, each, kills), ends: ['exit'] })),
  }
}

export const rung: Rung = {
  name: 'kill',
  summary: 'kill -9 at 1,000 random moments, and other sudden ends, lose nothing that was acknowledged',
  defaultMinutes: 40,
  run,
  least: {
    kills: 100,
    killsInOpeningPercent: 20,
    killsInRecovery: 1,
    stopped: 10,
    acknowledged: 1000,
    runs: 1000,
    rescued: 50,
    ranTwice: 1,
    ordered: 50,
    otherEnds: 20,
    endsInCommit: 5,
    'acknowledged, other ends': 200,
  },
  control: async ({ seed }) => {
    const ends = { ...faultRun(undefined, seed), ends: OTHER_ENDS }
    return [...(await killed(faultRun(undefined, seed))).violations, ...(await killed(ends)).violations]
  },
  faults: [
    ...PROVEN.map(planted),
    plantedAtEnds('acknowledges before the commit', shownBy(['lost'])),
    plantedAtEnds('loops at its end', /hung at its end/, 1),
  ],
}
