/**
 * The input rung: every argument of every public call with values nobody should give; payloads that are hard to store;
 * bad paths; the command line, also over real stores; and that no payload is shown to whom it is not for.
 */
import type { Rung, RungOptions, RungReport } from '../rung.js'
import { attack, stillWorks } from './attack.js'
import { tryCommandLine } from './command-line.js'
import { CALL_FAULTS, control, DOOR_FAULTS, LINE_FAULTS } from './faults.js'
import { tryGenerated } from './generated.js'
import { tryModes } from './modes.js'
import { tryPaths } from './paths.js'
import { tryReadOnly } from './read-only.js'
import { trySecretCommands } from './secret-commands.js'
import { trySecrets } from './secrets.js'
import { tryStoreLines } from './store-lines.js'
import { inWorld, REAL } from './world.js'

const GENERATED_AT_ONCE = 500
const RANDOM_LINES = 100
const RANDOM_STORE_LINES = 600

async function run({ seed, minutes, progress }: RungOptions): Promise<RungReport> {
  const end = performance.now() + minutes * 60_000
  const violations: string[] = []
  const tell = (what: string): void => progress(`${what}, ${violations.length} violations`)
  const first = await attack(REAL, { seed, stride: 1, generated: GENERATED_AT_ONCE })
  violations.push(...first.wrong)
  tell(`${first.calls} calls`)
  const commands = await tryCommandLine({ seed, stride: 1, random: RANDOM_LINES })
  violations.push(...commands.wrong)
  tell(`${commands.lines} command lines`)
  const stores = await tryStoreLines({ seed, stride: 1, random: RANDOM_STORE_LINES })
  violations.push(...stores.wrong)
  tell(`${stores.lines} lines for stores`)
  const doors = [await tryPaths(), await tryReadOnly()]
  violations.push(...doors.flatMap(({ wrong }) => wrong), ...(await tryModes()))
  tell('paths and modes')
  violations.push(...(await trySecrets()), ...(await trySecretCommands()))
  tell('secrets')
  let generated = GENERATED_AT_ONCE
  await inWorld(REAL, async (world) => {
    while (performance.now() < end) {
      violations.push(...(await tryGenerated(world, seed + generated, GENERATED_AT_ONCE)))
      generated += GENERATED_AT_ONCE
      if (generated % 5000 === 0) tell(`${generated} bags of options`)
    }
    violations.push(...(await stillWorks(world)))
  })
  const figures = {
    'calls with hostile values': first.calls,
    'bags of options': generated,
    'command lines': commands.lines,
    'lines for stores': stores.lines,
    'of them refused, store compared': stores.compared,
    'of them random and done': stores.done,
  }
  return { figures, violations, skipped: [...commands.skipped, ...doors.flatMap(({ skipped }) => skipped)] }
}

export const rung: Rung = {
  name: 'input',
  summary:
    'bad arguments, payloads, paths and lines get a clear error of ours and leave nothing half done; every call with every value',
  defaultMinutes: 2,
  least: {
    'calls with hostile values': 10_000,
    'bags of options': GENERATED_AT_ONCE,
    'command lines': 300,
    'lines for stores': 1000,
    'of them refused, store compared': 800,
    'of them random and done': 50,
  },
  run,
  control: async ({ seed }) => await control(seed),
  faults: [...CALL_FAULTS, ...LINE_FAULTS, ...DOOR_FAULTS],
}
