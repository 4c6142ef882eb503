/**
 * The jobs of the model's histories: each does what its input says, and tells on a channel of its own that a run has begun, so that
 * there is a witness of runs beside the executor.
 */
import { BroadcastChannel } from 'node:worker_threads'
import { defineJob } from '../../../src/job/define-job.js'
import type { JobContext } from '../../../src/job/job-context-types.js'
import { cancel, FatalError, RetryError, snooze } from '../../../src/job/outcome.js'

const module = import.meta.url

/** `fail`, `retry`, `loop` and `exit` do so in their first `times` attempts, and return in the next. */
export const ACTS = ['return', 'fail', 'fatal', 'retry', 'snooze', 'cancel', 'loop', 'exit', 'gate', 'heed'] as const

export type Act = (typeof ACTS)[number]

export interface Input {
  readonly key: number
  readonly act: Act
  readonly times: number
  readonly afterMs: number
  readonly channel: string
  /** Lies apart from the job when it is large. */
  readonly bytes: Uint8Array | undefined
}

/** From a run to the test. */
export interface Witness {
  readonly key: number
  readonly attempt: number
  /** It waits at its gate. */
  readonly waits: boolean
}

/** From the test to the runs that wait. */
export interface Release {
  readonly release: number
}

/** One a thread: made by its first job. */
let channel: BroadcastChannel | undefined

function witness(input: Input, { attempt }: JobContext, waits: boolean): BroadcastChannel {
  channel ??= new BroadcastChannel(input.channel)
  channel.postMessage({ key: input.key, attempt, waits } satisfies Witness)
  return channel
}

async function run(input: Input, ctx: JobContext): Promise<unknown> {
  const { key, act, times, afterMs, bytes } = input
  const waits = act === 'gate' || act === 'heed'
  const listening = witness(input, ctx, false)
  const again = ctx.attempt <= times
  if (waits) await pass(input, ctx, listening)
  if (act === 'fail' && again) throw Object.assign(new TypeError(`attempt ${ctx.attempt}`), { code: 'E_MODEL' })
  if (act === 'retry' && again) throw new RetryError('not yet', { after: afterMs })
  if (act === 'fatal') throw new FatalError('no use')
  if (act === 'snooze') return snooze(afterMs, 'later')
  if (act === 'cancel') return cancel('of its own accord')
  if (act === 'exit' && again) process.exit(3)
  if (act === 'loop' && again) for (;;);
  return outputOf(key, bytes)
}

export function outputOf(key: number, bytes: Uint8Array | undefined): unknown {
  return bytes === undefined ? { key } : { key, bytes }
}

/** Waits until the test lets this job go; `heed` also ends when its signal is aborted. */
async function pass(input: Input, ctx: JobContext, listening: BroadcastChannel): Promise<void> {
  const alive = setInterval(() => undefined, 1000)
  try {
    await new Promise<void>((resolve, reject) => {
      listening.onmessage = (event: unknown) => {
        if ((event as { data: Partial<Release> }).data.release === input.key) resolve()
      }
      if (input.act === 'heed') ctx.signal.addEventListener('abort', () => reject(new Error('heeded')))
      // Only now: what lets it go may come at once.
      witness(input, ctx, true)
    })
  } finally {
    listening.onmessage = () => undefined
    clearInterval(alive)
  }
}

/** Constants of the definition. */
export const work = defineJob({
  name: 'work',
  module,
  maxRetries: 2,
  backoff: { type: 'fixed', delay: '5s' },
  timeout: '2m',
  run,
})

/** Runs are cut short; the default backoff; a queue of its own. */
export const brief = defineJob({ name: 'brief', module, queue: 'other', priority: 1, maxRetries: 1, timeout: 60, run })

/** Everything is a function of the input. */
export const shaped = defineJob({
  name: 'shaped',
  module,
  queue: ({ key }: Input) => (key % 2 === 0 ? 'narrow' : 'default'),
  priority: ({ key }: Input) => (key % 3) - 1,
  maxRetries: ({ times }: Input) => times,
  backoff: ({ afterMs }: Input) => ({ type: 'linear', step: afterMs }),
  timeout: () => '3m',
  run,
})

export const DEFINITIONS = { work, brief, shaped } as const

export type DefinitionName = keyof typeof DEFINITIONS
