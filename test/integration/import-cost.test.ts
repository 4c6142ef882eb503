/** What a program, and each of its threads, pays for `import 'millrace'`: not for the store, the pool, the command, or other processes. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

const INDEX = new URL('../../src/index.js', import.meta.url).href

/** Tells each file that is loaded. */
const LOADER = `import { writeSync } from 'node:fs'
export async function load(url, context, next) {
  if (url.startsWith('file:')) writeSync(1, url + '\\n')
  return await next(url, context)
}`

const node = (script: string): string[] =>
  execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' }).split('\n')

test('importing the package loads neither the command, its socket, the store nor the pool', () => {
  const loaded = node(`
    import { register } from 'node:module'
    register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(LOADER)}`)})
    await import(${JSON.stringify(INDEX)})`)
  assert.ok(loaded.includes(INDEX))
  const heavy = loaded.filter((url) => /\/src\/(cli|control-socket|store|dispatcher)\/|\/(lmdb|piscina)\//.test(url))
  assert.deepEqual(heavy, [])
})

test('nor what makes processes and connections', () => {
  const modules = node(`
    const before = new Set(process.moduleLoadList)
    await import(${JSON.stringify(INDEX)})
    // To print loads some more.
    const loaded = process.moduleLoadList.filter((name) => !before.has(name))
    console.log(loaded.join('\\n'))`)
  assert.ok(modules.length > 1)
  assert.deepEqual(
    modules.filter((name) => /^NativeModule (child_process|net|dgram|cluster)$/.test(name)),
    [],
  )
})
