/**
 * `compact` and the repair of the doctor, killed at each of their steps: the store is as it was, or as it was to become, and under the
 * name of a backup there is a whole one or nothing. And in which order they make durable what they have made.
 */
import assert from 'node:assert/strict'
import { copyFile, mkdir, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../../src/base/clock.js'
import { doctor } from '../../../src/index.js'
import { compact } from '../../../src/maintenance/compact.js'
import { type Engine, WriteBatch } from '../../../src/store/engine.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { perform } from '../../support/deed.js'
import { makeSampleStore } from '../../support/sample-store.js'
import { dumpStore } from '../../support/store-contents.js'
import { tempDirectory } from '../../support/temp-directory.js'

const FILE = 'jobs.mdb'
/** What an opening does in case that something is missing, or was left. */
const IDLE = /^(mkdirSync|rmSync) /
/** Steps that strike within what takes its time. */
const MIDDLES = ['half a copy', 'half a commit']

/** A store whose file is not as it should be, in a directory of its own. */
async function sample(t: TestContext, change: (engine: Engine) => Promise<void>): Promise<string> {
  const directory = join(await tempDirectory(t), 'store')
  await makeSampleStore(directory, 60)
  const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
  await change(engine)
  await engine.close()
  return directory
}

/** Puts the file of a store into another directory, over what may be left there. */
async function place(file: string, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  await copyFile(file, join(directory, FILE))
}

/** Payloads of 9 KB: some that stay, and more that leave their pages behind. */
async function swell(engine: Engine): Promise<void> {
  for (const isRemoved of [false, true]) {
    for (let block = 0; block < 20; block++) {
      const batch = new WriteBatch()
      for (let number = 0; number < 50; number++) {
        const key = Buffer.of(9, block, number)
        if (!isRemoved) batch.put('payloads', key, Buffer.alloc(9000, number))
        else if (block % 4 !== 0) batch.remove('payloads', key)
      }
      await engine.commit(batch)
    }
  }
}

/** The index and the marks lose a record, the finished jobs a block. */
async function damage(engine: Engine): Promise<void> {
  const batch = new WriteBatch()
  for (const table of ['index', 'marks', 'finished'] as const) batch.remove(table, engine.range(table, { limit: 1 })[0]!.key)
  await engine.commit(batch)
}

describe('compact', () => {
  it('leaves a good store when it is killed, at whichever step', async (t) => {
    const source = await sample(t, swell)
    const whole = await dumpStore(source)
    const directory = join(source, '..', 'killed')
    await place(join(source, FILE), directory)
    const steps = perform({ do: 'compact', directory })
    const renamed = steps.indexOf(`rename ${FILE} ${FILE}`)
    const compacted = (await stat(join(directory, FILE))).size
    const struck = { before: 0, after: 0 }
    // Of the commits, which are many and alike, some, each at another of its three steps.
    let commits = 0
    for (const [dieAt, name] of steps.entries()) {
      if (IDLE.test(name) || (name.includes('commit') && commits++ % 5 > 0)) continue
      await place(join(source, FILE), directory)
      assert.deepEqual(perform({ do: 'compact', directory, dieAt }), steps.slice(0, dieAt + 1))
      const isReplaced = (await stat(join(directory, FILE))).size === compacted
      struck[isReplaced ? 'after' : 'before']++
      assert.equal(isReplaced, dieAt > renamed, `killed at ${name}`)
      assert.ok((await dumpStore(directory)) === whole, `the store is another one after a kill at ${name}`)
    }
    t.diagnostic(`${struck.before} kills before the file was replaced, ${struck.after} after it, of ${steps.length} steps`)
    assert.ok(struck.before >= 10 && struck.after >= 3, JSON.stringify(struck))
    assert.ok(steps.filter((name) => name === 'half a commit').length >= 8, 'the store is too small to be struck within it')
    await compact(directory)
    assert.deepEqual((await readdir(directory)).sort(), [FILE, `${FILE}-lock`])
  })
})

describe('repair', () => {
  it('leaves the store as it was or repaired when it is killed, at whichever step, and a whole backup or none', async (t) => {
    const source = await sample(t, damage)
    const damaged = await dumpStore(source)
    const root = await tempDirectory(t)
    await place(join(source, FILE), join(root, 'whole', 'store'))
    const steps = perform({ do: 'repair', directory: join(root, 'whole', 'store') })
    const repaired = await dumpStore(join(root, 'whole', 'store'))
    assert.ok(repaired !== damaged)
    for (const name of MIDDLES) assert.ok(steps.includes(name), `there is no step ${name}`)
    const isNamed = (name: string): boolean => /\.before-repair-\w+$/.test(name)
    const named = steps.findIndex((name) => name.startsWith('rename ') && isNamed(name))
    const struck = { before: 0, after: 0 }
    for (const [dieAt, name] of steps.entries()) {
      if (IDLE.test(name)) continue
      const parent = join(root, `killed-${dieAt}`)
      const directory = join(parent, 'store')
      await place(join(source, FILE), directory)
      perform({ do: 'repair', directory, dieAt })
      const found = await dumpStore(directory)
      assert.ok([damaged, repaired].includes(found), `the store is neither as it was nor repaired after a kill at ${name}`)
      if (dieAt < steps.indexOf('half a commit')) assert.ok(found === damaged, `repaired at ${name}`)
      if (dieAt >= steps.indexOf('committed')) assert.ok(found === repaired, `not repaired at ${name}`)
      struck[found === damaged ? 'before' : 'after']++
      const backups = (await readdir(parent)).filter(isNamed)
      assert.equal(backups.length, dieAt > named ? 1 : 0, `${backups.join()} after a kill at ${name}`)
      for (const backup of backups) assert.ok((await dumpStore(join(parent, backup))) === damaged, `half a backup after ${name}`)
      if (name !== 'half a copy') continue
      // What it has left is removed by the next one, which makes a backup of its own.
      assert.match((await readdir(parent)).join(), /\.partial-/)
      assert.equal((await doctor(directory, { repair: true })).verdict, 'repaired')
      assert.ok((await readdir(parent)).every((each) => each === 'store' || isNamed(each)))
    }
    t.diagnostic(`${struck.before} kills before the repair, ${struck.after} after it, of ${steps.length} steps`)
    assert.ok(struck.before >= 12 && struck.after >= 2, JSON.stringify(struck))
  })
})

/** The steps from the last that fits on, without the moment and the process in names. */
function stepsFrom(steps: readonly string[], begins: RegExp): string[] {
  const plain = steps.map((step) => step.replaceAll(/(before-repair)-\w+/g, '$1').replaceAll(/(partial)-\d+-\d+/g, '$1'))
  return plain.slice(plain.findLastIndex((step) => begins.test(step)))
}

describe('what is made durable, and when', { skip: process.platform !== 'linux' && 'needs /proc' }, () => {
  it('is a backup with its name, and those of the directories that were made for it', async (t) => {
    const directory = await sample(t, async () => undefined)
    const base = join(directory, '..')
    const steps = perform({ do: 'backup', directory, target: join(base, 'new', 'deep', 'backup') })
    assert.deepEqual(stepsFrom(steps, /^chmod/), [
      'chmod jobs.mdb',
      'sync jobs.mdb',
      'sync backup.partial',
      'rmdir backup',
      'rename backup.partial backup',
      'renamed',
      'sync deep',
      'sync new',
      `sync ${basename(base)}`,
    ])
    const again = perform({ do: 'backup', directory, target: join(base, 'new', 'deep', 'another') })
    assert.deepEqual(stepsFrom(again, /^rename /), ['rename another.partial another', 'renamed', 'sync deep'])
  })

  it('is the copy of a repair with its name, before anything is repaired', async (t) => {
    const directory = await sample(t, damage)
    const steps = perform({ do: 'repair', directory })
    const base = `sync ${basename(join(directory, '..'))}`
    const copied = stepsFrom(steps, /^chmod/)
    assert.deepEqual(copied.slice(0, 7), [
      'chmod jobs.mdb',
      'sync jobs.mdb',
      'sync store.before-repair.partial',
      'rmdir store.before-repair',
      'rename store.before-repair.partial store.before-repair',
      'renamed',
      base,
    ])
    assert.ok(copied.indexOf('commit') > 6)
  })

  it('is the file that `compact` has made, and then its name', async (t) => {
    const directory = await sample(t, swell)
    const steps = perform({ do: 'compact', directory })
    assert.deepEqual(stepsFrom(steps, /^sync jobs\.mdb/).slice(0, 4), [
      `sync ${FILE}`,
      `rename ${FILE} ${FILE}`,
      'renamed',
      `sync ${basename(directory)}`,
    ])
  })
})
