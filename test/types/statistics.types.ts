/** What statistics give, checked by the compiler. */
import type { Distribution, Executor, JobStatistics, QueueStatistics, Tally } from '../../src/index.js'

export function looked(executor: Executor): readonly unknown[] {
  const { queues, definitions, since } = executor.stats()
  const queue: QueueStatistics | undefined = queues['images']
  const definition: JobStatistics | undefined = definitions['thumbnail']
  const tally: Tally | undefined = queue?.windows.hour
  const times: Distribution | undefined = definition?.run
  const text: string = executor.metrics()
  // @ts-expect-error There is no such window.
  const week: unknown = queue?.windows.week
  // @ts-expect-error Only queues have threads that may work for them.
  const drain: unknown = definition?.drainMs
  return [since.toFixed(), tally?.timedOut, times?.p99Ms, text, week, drain, queue?.drainMs?.toFixed()]
}
