/** That nothing public is left out: what can be called of the package and of all that it hands out, against the calls that are tried. */
import { callables } from './context-job.js'
import { TRIED } from './calls.js'
import { nothing, type World } from './world.js'

/** One line for each call that nobody tries, and for each that is tried and is not there. */
export async function untried({ library, opened }: World, ofContext: readonly string[]): Promise<string[]> {
  const handle = await opened.enqueue(nothing)
  const stored = opened.job(handle.id)
  await handle.result()
  const list = opened.list()
  const there = new Set([
    ...Object.entries(library.exports).map(([name, value]) => (isClass(value) ? `new ${name}` : name)),
    ...callables('', opened),
    ...callables('queue()', opened.queue('default')),
    ...callables('enqueue()', handle),
    ...callables('job()', stored),
    ...ofContext,
  ])
  await list.return()
  return [
    ...[...there].filter((name) => !TRIED.has(name)).map((name) => `${name} is public, and no call of it is tried`),
    ...[...TRIED].filter((name) => !there.has(name)).map((name) => `${name} is tried, and is not public`),
  ]
}

function isClass(value: unknown): boolean {
  return typeof value === 'function' && Function.prototype.toString.call(value).startsWith('class')
}
