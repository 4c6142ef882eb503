/** What jobs of `fixtures/threads/jobs` wrote down while they ran. */
import { existsSync, readFileSync } from 'node:fs'
import type { Executor } from '../../src/index.js'
import type { Trace } from '../fixtures/threads/jobs.js'

export function tracesIn(file: string): Trace[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Trace)
}

/** The attempts of a job, such as `1 timedOut`. */
export async function attemptsOf(executor: Executor, { id }: { readonly id: string }): Promise<string[]> {
  const info = await executor.get(id)
  return (info?.attempts ?? []).map(({ attempt, outcome }) => `${attempt} ${outcome}`)
}
