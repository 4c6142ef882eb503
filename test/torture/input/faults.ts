/** Libraries with a fault that the input rung must see. */
import { MillraceError, type Executor } from '../../../src/index.js'
import { loosen, REAL, type Library, type LooseExecutor } from './world.js'

interface SpoiltLibrary {
  readonly name: string
  readonly library: Library
}

function spoil(name: string, replace: (real: LooseExecutor, executor: Executor) => Partial<LooseExecutor>): SpoiltLibrary {
  return { name, library: { ...REAL, loosen: (executor) => ({ ...loosen(executor), ...replace(loosen(executor), executor) }) } }
}

export const FAULTS: readonly SpoiltLibrary[] = [
  spoil('checks no event names', (real) => ({ on: () => real })),
  spoil('quotes the payload in an error', (real) => ({
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
  spoil('merges payloads into an object', (real) => ({
    enqueue: async (definition, input, options) => {
      const job = await real.enqueue(definition, input, options)
      const own = typeof input === 'object' && input !== null && Object.hasOwn(input, '__proto__')
      if (own) Object.defineProperty(Object.getPrototypeOf({}), 'polluted', { value: 1, enumerable: true, configurable: true })
      return job
    },
  })),
  spoil('stores a job and then refuses it', (real) => ({
    enqueue: async (definition, input, options) =>
      await real.enqueue(definition, input, options).catch(async (error: unknown) => {
        await real.enqueueMany(definition, [1]).catch(() => undefined)
        throw error
      }),
  })),
  spoil('lets words of V8 through', (real) => ({
    get: async (id) => await real.get((id as string).trim()),
  })),
]

/** What a fault may have left where everybody sees it. */
export function unpollute(): void {
  Reflect.deleteProperty(Object.prototype, 'polluted')
}
