/** The doctor on real stores: what it sees, what it repairs, what it leaves, and that nothing it looks at takes its caller down. */
import assert from 'node:assert/strict'
import { readFile, readdir, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../../src/base/clock.js'
import { indexKey, metaKey, numberKey, pageKey, payloadKey } from '../../../src/codec/keys.js'
import { writeClaim } from '../../../src/codec/claim-record.js'
import { doctor } from '../../../src/index.js'
import { type Table, WriteBatch } from '../../../src/store/engine.js'
import { acquireDirectoryLock } from '../../../src/store/lmdb/directory-lock.js'
import { type LmdbEngine, openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { program } from '../../support/demo-program.js'
import { withCode } from '../../support/executor.js'
import { jobsOf, makeCrashedStore, makeSampleStore, openSample } from '../../support/sample-store.js'
import { dumpStore } from '../../support/store-contents.js'
import { tempDirectory } from '../../support/temp-directory.js'

/** A store in a directory whose parent is the test's own, too: the doctor puts its copies beside it. */
async function sample(t: TestContext): Promise<string> {
  const directory = join(await tempDirectory(t), 'store')
  await makeSampleStore(directory, 30)
  return directory
}

async function change(directory: string, work: (engine: LmdbEngine, batch: WriteBatch) => void): Promise<void> {
  const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
  const batch = new WriteBatch()
  work(engine, batch)
  await engine.commit(batch)
  await engine.close()
}

function first(engine: LmdbEngine, table: Table): { key: Buffer; value: Buffer } {
  const [entry] = engine.range(table, { limit: 1 })
  assert.ok(entry !== undefined, `there is nothing in ${table}`)
  return entry
}

function counters(engine: LmdbEngine): Record<string, number> {
  return JSON.parse(engine.get('meta', metaKey('counters'))!.toString('utf8')) as Record<string, number>
}

describe('a healthy store', () => {
  it('is told as such, with what is in it, and is left as it was', async (t) => {
    const directory = await sample(t)
    const before = await readFile(join(directory, 'jobs.mdb'))
    const { facts, ...report } = await doctor(directory)
    assert.deepEqual(report, {
      path: directory,
      verdict: 'healthy',
      problems: [],
      notes: [],
      holderPid: undefined,
      backup: undefined,
    })
    assert.ok(facts !== undefined)
    assert.equal(facts.sizeBytes, before.length)
    assert.equal(facts.readers, 0)
    assert.equal(facts.jobs.completed, 71)
    assert.equal(facts.jobs.discarded, 5)
    assert.ok(facts.pages !== undefined && facts.pages.used + facts.pages.free === facts.pages.all && facts.pages.lost === 0)
    assert.ok(facts.oldestAt !== undefined && facts.oldestAt <= Date.now())
    assert.deepEqual(await readFile(join(directory, 'jobs.mdb')), before)
    assert.equal((await doctor(directory, { repair: true })).verdict, 'healthy')
    assert.deepEqual(await readdir(dirname(directory)), ['store'])
  })

  it('is one that a killed process left, and what it held is told', async (t) => {
    const directory = await sample(t)
    const crashed = join(dirname(directory), 'crashed')
    await makeCrashedStore(directory, crashed)
    const { verdict, notes, facts } = await doctor(crashed)
    assert.equal(verdict, 'healthy')
    assert.ok(facts !== undefined && facts.claimed > 0)
    assert.match(notes.join(), new RegExp(`${facts.claimed} jobs were in flight`))
  })

  it('is looked at while an executor has it open', async (t) => {
    const directory = await sample(t)
    const executor = await openSample(directory)
    t.after(() => executor.close({ grace: 0 }))
    const { verdict, holderPid, notes, facts } = await doctor(directory)
    assert.equal(verdict, 'healthy')
    assert.equal(holderPid, process.pid)
    assert.match(notes.join(), new RegExp(`process ${process.pid} has the store open`))
    assert.equal(facts?.pages, undefined)
    await assert.rejects(doctor(directory, { repair: true }), withCode('MILLRACE_LOCKED'))
  })
})

/** What can be put right: each fault, and what the doctor says of it. */
const REPAIRABLE: Readonly<Record<string, readonly [RegExp, (engine: LmdbEngine, batch: WriteBatch) => void]>> = {
  'counters that are wrong': [
    /counter waiting is 7/,
    (engine, batch) =>
      batch.put('meta', metaKey('counters'), Buffer.from(JSON.stringify({ ...counters(engine), waiting: 7, nextSeq: 3 }))),
  ],
  'an index entry that is gone': [
    /index \w+ \d+ is missing/,
    (engine, batch) => batch.remove('index', first(engine, 'index').key),
  ],
  'an index entry that leads astray': [
    /index \w+ \d+ leads to ff/,
    (engine, batch) => batch.put('index', first(engine, 'index').key, Buffer.of(255)),
  ],
  'a stray index entry': [/index suspect 9 is stray/, (_, batch) => batch.put('index', indexKey(2, 9), Buffer.of(0, 1))],
  'an orphaned payload': [
    /payload 9\.1 belongs to no job/,
    (_, batch) => batch.put('payloads', payloadKey(9, 1), Buffer.of(1, 0x31)),
  ],
  'marks without a page': [/belong to no page/, (_, batch) => batch.put('marks', pageKey(9, 9, 9, 0), Buffer.of(1))],
  'a claim of what is not there': [
    /batch 1 claims jobs/,
    (engine, batch) => {
      const slices = [{ key: first(engine, 'pages').key, from: 3, to: 999 }]
      batch.put('claims', numberKey(1), writeClaim({ batchId: 1, claimedAt: 1, alone: false, slices }))
    },
  ],
}

describe('repair', () => {
  for (const [name, [sees, plant]] of Object.entries(REPAIRABLE)) {
    it(`puts ${name} right, after a copy`, async (t) => {
      const directory = await sample(t)
      const good = await dumpStore(directory)
      await change(directory, plant)
      const damaged = await dumpStore(directory)
      const found = await doctor(directory)
      assert.equal(found.verdict, 'problems')
      assert.match(found.problems.map(({ text }) => text).join('\n'), sees)
      assert.ok(found.problems.every(({ isRepairable, isRepaired }) => isRepairable && !isRepaired))
      assert.equal(await dumpStore(directory), damaged)
      const { verdict, problems, backup } = await doctor(directory, { repair: true })
      assert.equal(verdict, 'repaired')
      assert.ok(problems.length > 0 && problems.every(({ isRepaired }) => isRepaired))
      assert.ok(backup !== undefined && basename(backup).startsWith('store.before-repair-'))
      assert.equal(await dumpStore(backup), damaged)
      assert.equal(await dumpStore(directory), good)
      assert.equal((await doctor(directory)).verdict, 'healthy')
    })
  }

  it('takes a job that is over out of the page it was in, and counts anew', async (t) => {
    const directory = await sample(t)
    const good = await dumpStore(directory)
    await change(directory, (engine, batch) => batch.remove('marks', first(engine, 'marks').key))
    const { verdict, problems } = await doctor(directory, { repair: true })
    assert.equal(verdict, 'repaired')
    assert.match(problems.map(({ text }) => text).join('\n'), /is in two places: finished cancelled|is in two places: pages/)
    assert.equal(await dumpStore(directory), good)
  })

  it('touches nothing when a record cannot be read: what it led to is not known', async (t) => {
    const directory = await sample(t)
    await change(directory, (engine, batch) => {
      const { key, value } = first(engine, 'pages')
      batch.put('pages', key, value.subarray(0, 45))
    })
    const damaged = await dumpStore(directory)
    const { verdict, problems, backup } = await doctor(directory, { repair: true })
    assert.equal(verdict, 'problems')
    assert.match(problems[0]!.text, /cannot be read: /)
    assert.ok(problems.every(({ isRepairable, isRepaired }) => !isRepairable && !isRepaired))
    assert.equal(backup, undefined)
    assert.equal(await dumpStore(directory), damaged)
  })

  it('leaves the rest when only a part can be put right', async (t) => {
    const directory = await sample(t)
    await change(directory, (engine, batch) => {
      batch.remove('payloads', first(engine, 'payloads').key)
      batch.remove('index', first(engine, 'index').key)
    })
    const { verdict, problems, backup } = await doctor(directory, { repair: true })
    assert.equal(verdict, 'problems')
    assert.ok(backup !== undefined)
    const left = problems.filter(({ isRepaired }) => !isRepaired)
    assert.match(left.map(({ text }) => text).join('\n'), /^payload \d+\.\d is missing$/)
    assert.equal(problems.length, 2)
    const executor = await openSample(directory)
    assert.ok((await jobsOf(executor)).size > 100)
    await executor.close({ grace: 0 })
  })
})

describe('a file that is damaged', () => {
  it('is told page by page, and not opened', async (t) => {
    const directory = await sample(t)
    const file = join(directory, 'jobs.mdb')
    const bytes = await readFile(file)
    await truncate(file, bytes.length >> 1)
    const { verdict, problems, notes } = await doctor(directory, { repair: true })
    assert.equal(verdict, 'problems')
    assert.ok(problems.length > 1 && problems.every(({ area }) => area === 'file'))
    assert.match(problems[0]!.text, /behind the end of the file/)
    assert.match(notes.join(), /Restore a backup/)
    assert.deepEqual(await readFile(file), bytes.subarray(0, bytes.length >> 1))
  })

  it('ends the process that looks, and not the one that asks', { skip: process.platform === 'win32' }, async (t) => {
    const directory = await sample(t)
    // In use, as it seems, so that it is opened without a look at its pages.
    const lock = await acquireDirectoryLock(directory)
    t.after(() => lock.release())
    await truncate(join(directory, 'jobs.mdb'), 3 * 4096)
    const { verdict, problems } = await doctor(directory)
    assert.equal(verdict, 'problems')
    assert.match(problems[0]!.text, /the process that looked crashed with SIG(BUS|SEGV) while opening the file with LMDB/)
  })

  for (const [name, bytes] of [
    ['of something else', Buffer.alloc(9000, 'SQLite format 3')],
    ['that is empty', Buffer.alloc(0)],
  ] as const) {
    it(`${name} is a problem`, async (t) => {
      const directory = await tempDirectory(t)
      await writeFile(join(directory, 'jobs.mdb'), bytes)
      const { verdict, problems } = await doctor(directory)
      assert.equal(verdict, 'problems')
      assert.match(problems[0]!.text, /not a Millrace store|is empty/)
    })
  }
})

describe('the command line', () => {
  it('tells by its exit code', async (t) => {
    const directory = await sample(t)
    assert.equal((await program(['doctor', directory]).ended).code, 0)
    const lock = await acquireDirectoryLock(directory)
    const inUse = await program(['doctor', directory, '--repair']).ended
    assert.equal(inUse.code, 3)
    assert.match(inUse.stderr, new RegExp(`already open|held by an executor in process ${process.pid}`))
    const refused = await program(['compact', directory]).ended
    assert.equal(refused.code, 3)
    lock.release()
    await change(directory, (engine, batch) => batch.remove('index', first(engine, 'index').key))
    const found = await program(['doctor', directory]).ended
    assert.equal(found.code, 1)
    assert.match(
      found.stdout,
      /1 problem\nWrong:\n {2}records: index .* is missing[^]*can be put right: millrace doctor .* --repair\n$/,
    )
    const repaired = await program(['doctor', directory, '--repair', '--json']).ended
    assert.equal(repaired.code, 4)
    assert.equal((JSON.parse(repaired.stdout) as { verdict: string }).verdict, 'repaired')
    assert.equal((await program(['doctor', join(directory, 'absent')]).ended).code, 1)
    const compacted = await program(['compact', directory, '--json']).ended
    assert.equal(compacted.code, 0)
    assert.ok((JSON.parse(compacted.stdout) as { records: number }).records > 50)
  })

  for (const [args, message] of [
    [['doctor'], 'doctor needs the directory of a store.'],
    [['compact', 'a', 'b'], "compact takes one directory, and was given 2: 'a', 'b'."],
    [['doctor', 'a', '--fresh'], "doctor has no option '--fresh'."],
    [
      ['doctor', 'a', '--timeout=soon'],
      "Option '--timeout' takes a duration of 1 ms or more, such as '500ms' or '30s', not 'soon'.",
    ],
    [['demo', '--repair'], "demo has no option '--repair'."],
  ] as const) {
    it(`refuses millrace ${args.join(' ')}`, async () => {
      const { code, stderr } = await program(args).ended
      assert.deepEqual([code, stderr], [2, `millrace: ${message}\nRun 'millrace --help' to see what there is.\n`])
    })
  }

  it('explains each command, with examples and exit codes', async () => {
    for (const command of ['doctor', 'compact']) {
      const { code, stdout } = await program([command, '--help']).ended
      assert.equal(code, 0)
      assert.match(
        stdout,
        new RegExp(`Usage: millrace ${command} <dir>[^]*Examples:\\n {2}npx millrace ${command}[^]*Exit codes:\\n {2}0 `),
      )
    }
  })
})

describe('the call', () => {
  it('gives up when its time is over, says where it was, and holds nobody up', async (t) => {
    const directory = await sample(t)
    const before = await readFile(join(directory, 'jobs.mdb'))
    // No process starts so fast.
    const { verdict, problems, facts } = await doctor(directory, { repair: true, timeout: '1ms' })
    assert.deepEqual([verdict, facts], ['problems', undefined])
    assert.match(problems[0]!.text, /^the look was given up after 1 ms, while starting; the option timeout/)
    assert.deepEqual(await readFile(join(directory, 'jobs.mdb')), before)
    assert.equal((await doctor(directory, { timeout: Infinity })).verdict, 'healthy')
    const late = await program(['doctor', directory, '--timeout', '1ms']).ended
    assert.deepEqual([late.code, late.stderr], [1, ''])
    assert.match(late.stdout, /given up after 1 ms/)
  })

  it('refuses arguments that it cannot use', async () => {
    await assert.rejects(doctor(''), withCode('MILLRACE_INVALID_OPTIONS'))
    await assert.rejects(doctor('x', { repair: 'yes' } as never), withCode('MILLRACE_INVALID_OPTIONS', /'yes' \(string\)/))
    await assert.rejects(doctor('x', { timeout: 0 }), withCode('MILLRACE_INVALID_OPTIONS', /timeout: 0 \(number\)/))
    await assert.rejects(doctor('x', { fix: true } as never), withCode('MILLRACE_INVALID_OPTIONS', /fix/))
  })
})
