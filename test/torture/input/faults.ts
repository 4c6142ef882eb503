/** What is planted for the input rung: libraries, ways to open a store, and command lines with a fault that it must see. */
import { MillraceError, type Executor } from '../../../src/index.js'
import type { PlantedFault } from '../rung.js'
import { attack } from './attack.js'
import { tryCommandLine } from './command-line.js'
import { tryModes } from './modes.js'
import { tryPaths } from './paths.js'
import { tryReadOnly } from './read-only.js'
import { oneProcess, type Runner } from './run-line.js'
import { trySecretCommands } from './secret-commands.js'
import { tryStoreLines } from './store-lines.js'
import { loosen, REAL, type Library, type LooseExecutor } from './world.js'

interface SpoiltLibrary extends Pick<PlantedFault, 'name' | 'seenBy'> {
  readonly library: Library
}

/** Share of the values, bags and lines that are tried with a fault planted, and with none. */
const EXTENT = { stride: 20, generated: 0 }
const LINES_EXTENT = { stride: 24, random: 4 }
const STORE_EXTENT = { stride: 60, random: 4 }

function spoil(
  name: string,
  seenBy: RegExp,
  replace: (real: LooseExecutor, executor: Executor) => Partial<LooseExecutor>,
): SpoiltLibrary {
  const library = { ...REAL, loosen: (executor: Executor) => ({ ...loosen(executor), ...replace(loosen(executor), executor) }) }
  return { name, seenBy, library }
}

const LIBRARIES: readonly SpoiltLibrary[] = [
  spoil('checks no event names', /^on\(name\) .*taken in silence/, (real) => ({ on: () => real })),
  spoil('quotes the payload in an error', /the payload is in the error/, (real) => ({
    enqueue: async (definition, input, options) =>
      await real.enqueue(definition, input, options).catch((error: unknown) => {
        let quoted = 'a value'
        try {
          quoted = JSON.stringify(input).slice(0, 100)
        } catch {
          // What cannot be quoted is not.
        }
        throw new MillraceError('MILLRACE_PAYLOAD_UNENCODABLE', `cannot store ${quoted}`, { cause: error })
      }),
  })),
  spoil('merges payloads into an object', /Object\.prototype\.polluted/, (real) => ({
    enqueue: async (definition, input, options) => {
      const job = await real.enqueue(definition, input, options)
      const own = typeof input === 'object' && input !== null && Object.hasOwn(input, '__proto__')
      if (own) Object.defineProperty(Object.getPrototypeOf({}), 'polluted', { value: 1, enumerable: true, configurable: true })
      return job
    },
  })),
  spoil('stores a job and then refuses it', /the store went from|something was stored/, (real) => ({
    enqueue: async (definition, input, options) =>
      await real.enqueue(definition, input, options).catch(async (error: unknown) => {
        await real.enqueueMany(definition, [1]).catch(() => undefined)
        throw error
      }),
  })),
  spoil('lets words of V8 through', /^get\(id\) .*TypeError/, (real) => ({
    get: async (id) => await real.get((id as string).trim()),
  })),
  {
    name: 'has a call that nobody tries',
    seenBy: /^purgeAll is public, and no call of it is tried/,
    library: { ...REAL, exports: { ...REAL.exports, purgeAll: () => undefined } },
  },
]

/** Of the calls. */
export const CALL_FAULTS: readonly PlantedFault[] = LIBRARIES.map(({ library, ...fault }) => ({
  ...fault,
  run: async ({ seed }) => (await attack(library, { seed, ...EXTENT }).finally(unpollute)).wrong,
}))

function spoilRunner(change: (real: Runner['run'], ...line: Parameters<Runner['run']>) => ReturnType<Runner['run']>): Runner {
  const { run, end } = oneProcess()
  return { run: async (args, place) => await change(run, args, place), end }
}

/** Of the command line. */
export const LINE_FAULTS: readonly PlantedFault[] = [
  {
    name: 'writes before it checks the line',
    seenBy: /millrace .*: is wrong, and changed/,
    run: async ({ seed }) => {
      const runner = spoilRunner(async (real, args, place) => {
        const directory = args.find((word) => word === 'closed' || word === 'open')
        if (directory !== undefined) await real(['enqueue', directory, 'echo', '1', '--delay=1h'], place)
        if (directory !== undefined) await real(['jobs', 'cancel', directory, '--state=scheduled', '--limit=1'], place)
        return await real(args, place)
      })
      return (await tryStoreLines({ seed, ...STORE_EXTENT }, runner)).wrong
    },
  },
  {
    name: 'makes a directory for a line that it refuses',
    seenBy: /^lines that were refused changed /,
    run: async ({ seed }) => {
      const runner = spoilRunner(async (real, args, place) => {
        await real(['backup', 'held', 'made-before'], place)
        return await real(args, place)
      })
      return (await tryCommandLine({ seed, ...LINES_EXTENT }, runner)).wrong
    },
  },
  {
    name: 'says why with the stack of its error',
    seenBy: /shows a stack/,
    run: async ({ seed }) => {
      const runner = spoilRunner(async (real, args, place) => {
        const ended = await real(args, place)
        return ended && { ...ended, stderr: ended.stderr && `${ended.stderr}    at run (main.js:1:1)\n` }
      })
      return (await tryStoreLines({ seed, ...STORE_EXTENT }, runner)).wrong
    },
  },
  {
    name: 'shows payloads to whoever asks for its status',
    seenBy: /^millrace status .* shows the payload/,
    run: async () =>
      await trySecretCommands(
        spoilRunner(async (real, args, place) => {
          const ended = await real(args, place)
          if (args[0] !== 'status' || ended === undefined) return ended
          const more = await real(['jobs', 'list', args[1] ?? '', '--json', '--payloads'], place)
          return { ...ended, stdout: ended.stdout + (more?.stdout ?? '') }
        }),
      ),
  },
]

/** Of paths, modes and read-only file systems. */
export const DOOR_FAULTS: readonly PlantedFault[] = [
  {
    name: 'refuses a path without naming it',
    seenBy: /^the path of a file: the refusal does not say which path/,
    run: async () => (await tryPaths('no path')).wrong,
  },
  {
    name: 'makes something beside a path that it refuses',
    seenBy: /^a refused path left made-before/,
    run: async () => (await tryPaths('makes first')).wrong,
  },
  {
    name: 'uses memory where a directory may not be written to',
    seenBy: /of mode 0500: was taken/,
    run: async () => (await tryPaths('memory instead')).wrong,
  },
  {
    name: 'makes its files with the modes of the umask',
    seenBy: /^in use: others may use .*jobs\.mdb: 666/,
    run: async () => await tryModes('umask modes'),
  },
  {
    name: 'uses memory where the file system is read-only',
    seenBy: /^opening a store on a read-only file system was taken/,
    run: async () => Object.values(await tryReadOnly('memory instead')).flat() as string[],
  },
]

/** All that is planted, with nothing planted. */
export async function control(seed: number): Promise<readonly string[]> {
  return [
    ...(await attack(REAL, { seed, ...EXTENT })).wrong,
    ...(await tryCommandLine({ seed, ...LINES_EXTENT })).wrong,
    ...(await tryStoreLines({ seed, ...STORE_EXTENT })).wrong,
    ...(await trySecretCommands()),
    ...(await tryPaths()).wrong,
    ...(await tryModes()),
    ...(await tryReadOnly()).wrong,
  ]
}

/** What a fault may have left where everybody sees it. */
function unpollute(): void {
  Reflect.deleteProperty(Object.prototype, 'polluted')
}
