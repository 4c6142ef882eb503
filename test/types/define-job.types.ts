/** Compile-time only: what `defineJob` infers without annotations, and what it must refuse. Checked by `tsc`. */
import { z } from 'zod'
import { defineJob, handlerOf, type JobDefinition } from '../../src/job/define-job.js'
import type { JobContext } from '../../src/job/job-context-types.js'
import { cancel, snooze } from '../../src/job/outcome.js'
import type { EnqueueOptions } from '../../src/options/enqueue-options.js'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function expectType<_Check extends true>(): void {}

type InputOf<D> = D extends JobDefinition<infer Input, unknown> ? Input : never
type OutputOf<D> = D extends JobDefinition<never, infer Output> ? Output : never

const module = import.meta.url

/** Everything at once, in the order of the README. */
export const full = defineJob({
  name: 'full',
  module,
  input: z.object({ file: z.string(), width: z.string().transform(Number) }),
  queue: (input) => (input.width > 10 ? input.file : 'small'),
  priority: ({ width }) => width,
  maxRetries: () => Infinity,
  backoff: (input) => ({ type: 'fixed', delay: input.width }),
  timeout: (input) => (input.width > 10 ? '15s' : 15),
  softTimeout: '1.5 s',
  async setup(thread) {
    expectType<Equal<typeof thread.threadId, number>>()
    return { model: 'm' }
  },
  async teardown(state) {
    expectType<Equal<typeof state, { model: string }>>()
  },
  async run(input, ctx) {
    expectType<Equal<typeof input, { file: string; width: number }>>()
    expectType<Equal<typeof ctx, JobContext<{ model: string }>>>()
    if (ctx.attempt > 2) return cancel()
    if (ctx.attempt > 1) return snooze('5m')
    return { bytes: 1 }
  },
})
expectType<Equal<InputOf<typeof full>, { file: string; width: string }>>()
expectType<Equal<OutputOf<typeof full>, { bytes: number }>>()

/** A key is a text, or a function of the input as the schema gives it. */
export const unique = defineJob({
  name: 'unique',
  module,
  input: z.object({ file: z.string(), width: z.string().transform(Number) }),
  unique: {
    key: (input) => {
      expectType<Equal<typeof input, { file: string; width: number }>>()
      return input.file
    },
    while: 'waiting',
    within: '5m',
    onConflict: 'debounce',
  },
  run: ({ width }) => width,
})
expectType<Equal<typeof unique, JobDefinition<{ file: string; width: string }, number>>>()
export const uniqueAnnotated = defineJob({
  name: 'uniqueAnnotated',
  module,
  unique: { key: (input) => input.q },
  run(input: { q: string }) {
    return input.q
  },
})
expectType<Equal<InputOf<typeof uniqueAnnotated>, { q: string }>>()

/** No setup: the state is undefined. */
export const stateless = defineJob({
  name: 'stateless',
  module,
  input: z.string(),
  run: (input, ctx) => {
    expectType<Equal<typeof ctx.state, undefined>>()
    return input.length
  },
})
expectType<Equal<typeof stateless, JobDefinition<string, number>>>()

/** A synchronous setup that takes nothing. */
export const syncSetup = defineJob({
  name: 'syncSetup',
  module,
  setup: () => new Map<string, number>(),
  run(_input, ctx) {
    return ctx.state.get('a')
  },
})
expectType<Equal<typeof syncSetup, JobDefinition<unknown, number | undefined>>>()

/** No schema: the annotation counts. */
export const annotated = defineJob({
  name: 'annotated',
  module,
  run(input: { a: string }) {
    return input.a
  },
})
expectType<Equal<typeof annotated, JobDefinition<{ a: string }, string>>>()
export const annotatedContext = defineJob({
  name: 'annotatedContext',
  module,
  setup: async () => 5,
  run: async (input: { a: string }, ctx) => [input.a, ctx.state] as const,
})
expectType<Equal<typeof annotatedContext, JobDefinition<{ a: string }, readonly [string, number]>>>()
export const annotatedOptional = defineJob({
  name: 'annotatedOptional',
  module,
  run(input?: { a: string }) {
    return input?.a
  },
})
expectType<Equal<InputOf<typeof annotatedOptional>, { a: string } | undefined>>()
export const annotatedSetting = defineJob({
  name: 'annotatedSetting',
  module,
  queue: (input) => input.q,
  run(input: { q: string }) {
    return input.q
  },
})
expectType<Equal<InputOf<typeof annotatedSetting>, { q: string }>>()

/** No schema, no annotation: unknown. No parameter: undefined. */
export const anything = defineJob({
  name: 'anything',
  module,
  run(input) {
    return input
  },
})
expectType<Equal<typeof anything, JobDefinition<unknown, unknown>>>()
export const nothing = defineJob({
  name: 'nothing',
  module,
  run() {
    return 1
  },
})
expectType<Equal<typeof nothing, JobDefinition<undefined, number>>>()
export const nothingAsync = defineJob({ name: 'nothingAsync', module, run: async () => {} })
expectType<Equal<typeof nothingAsync, JobDefinition<undefined, void>>>()
/** With a schema the schema counts, also when `run` ignores its input. */
export const ignoring = defineJob({ name: 'ignoring', module, input: z.object({ a: z.number() }), run: () => 1 })
expectType<Equal<typeof ignoring, JobDefinition<{ a: number }, number>>>()
export const anySchema = defineJob({ name: 'anySchema', module, input: z.unknown(), run: (input) => input })
expectType<Equal<typeof anySchema, JobDefinition<unknown, unknown>>>()
export const defaulted = defineJob({
  name: 'defaulted',
  module,
  input: z.object({ a: z.number().default(1) }),
  run: (input) => input.a,
})
expectType<Equal<typeof defaulted, JobDefinition<{ a?: number | undefined }, number>>>()

/** Apart. */
interface Module {
  run(input: { file: string }, ctx: JobContext<string>): Promise<{ hash: string } | ReturnType<typeof snooze>>
  setup(): Promise<string>
}
export const apart = defineJob({
  name: 'apart',
  module: new URL('./x.js', module),
  handler: handlerOf<Module>(),
  queue: (input) => input.file,
})
expectType<Equal<typeof apart, JobDefinition<{ file: string }, { hash: string }>>>()
export const apartSchema = defineJob({
  name: 'apartSchema',
  module,
  input: z.object({ file: z.string().default('x') }),
  handler: handlerOf<Module>(),
})
expectType<Equal<typeof apartSchema, JobDefinition<{ file?: string | undefined }, { hash: string }>>>()
export const apartNothing = defineJob({ name: 'apartNothing', module, handler: handlerOf<{ run(): number }>() })
expectType<Equal<typeof apartNothing, JobDefinition<undefined, number>>>()
export const apartUntyped = defineJob({ name: 'apartUntyped', module, input: z.string() })
expectType<Equal<typeof apartUntyped, JobDefinition<string, unknown>>>()

/** Any definition fits where definitions of all kinds are collected; none can be enqueued from there. */
export const collected: readonly JobDefinition[] = [full, stateless, annotated, nothing, apart, anything]
// @ts-expect-error A definition of strings is none of numbers.
export const wrongInput: JobDefinition<number, number> = stateless
// @ts-expect-error The output is a number.
export const wrongOutput: JobDefinition<string, string> = stateless

// @ts-expect-error No name.
defineJob({ module, run() {} })
// @ts-expect-error No module.
defineJob({ name: 'x', run() {} })
// @ts-expect-error An unknown field.
defineJob({ name: 'x', module, maxRetry: 5, run() {} })
// @ts-expect-error No unit of that name.
defineJob({ name: 'x', module, timeout: '5 parsecs', run() {} })
// @ts-expect-error A backoff without its delay.
defineJob({ name: 'x', module, backoff: { type: 'fixed' }, run() {} })
// @ts-expect-error The schema gives a string, run takes a number.
defineJob({ name: 'x', module, input: z.string(), run: (input: number) => input })
// @ts-expect-error The schema gives a number, the handler takes an object.
defineJob({ name: 'x', module, input: z.number(), handler: handlerOf<Module>() })
// @ts-expect-error The state is a number.
defineJob({ name: 'x', module, setup: () => 1, run: (_input, ctx) => ctx.state.length })
// @ts-expect-error A handler is either here or apart.
defineJob({ name: 'x', module, handler: handlerOf<Module>(), run() {} })
// @ts-expect-error The setup of a handler apart lies there too.
defineJob({ name: 'x', module, setup: () => 1, handler: handlerOf<Module>() })
export const limited = defineJob({
  name: 'limited',
  module,
  input: z.object({ tenant: z.string() }),
  limit: { key: ({ tenant }) => tenant, max: 2, rate: { max: 10, per: '1m' } },
  weight: ({ tenant }) => tenant.length,
  run() {},
})
defineJob({ name: 'x', module, limit: { key: 'api', max: Infinity }, weight: 2, run() {} })
// @ts-expect-error A limit says how many.
defineJob({ name: 'x', module, limit: { key: 'api' }, run() {} })
// @ts-expect-error A key is a string.
defineJob({ name: 'x', module, input: z.number(), limit: { key: (input) => input, max: 1 }, run() {} })
// @ts-expect-error The key of an enqueue is no function.
export const limitedEnqueue: EnqueueOptions = { limit: { key: () => 'a', max: 1 } }

// @ts-expect-error A unique job has a key.
defineJob({ name: 'x', module, unique: { while: 'kept' }, run() {} })
// @ts-expect-error No such span.
defineJob({ name: 'x', module, unique: { key: 'a', while: 'running' }, run() {} })
// @ts-expect-error A key is a text.
defineJob({ name: 'x', module, unique: { key: () => 5 }, run() {} })
// @ts-expect-error The key of an enqueue is no function.
export const enqueued: EnqueueOptions = { unique: { key: () => 'a' } }
// @ts-expect-error A module without run is no handler.
handlerOf<{ setup(): void }>()
