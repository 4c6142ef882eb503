/**
 * What every engine must do, whatever keeps its bytes. `engine.test.ts` runs it for each of them.
 */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'

import { isMillraceError } from '../../src/base/errors.js'
import { TABLES, WriteBatch, type Engine, type Entry, type RangeOptions, type Table } from '../../src/store/engine.js'
import { createPrng, seedOfRun, type Prng } from '../support/prng.js'

export interface OpenedEngine {
  readonly engine: Engine
  /** Closes the engine and opens what it stored; absent where nothing outlives it. */
  readonly reopen?: () => Promise<Engine>
}

export interface EngineUnderTest {
  readonly open: (t: TestContext) => Promise<OpenedEngine>
  /** An engine that takes `good` small commits, and a batch that it fails to commit after them. */
  readonly openFailing: (t: TestContext, good: number) => Promise<OpenedEngine & { readonly failing: WriteBatch }>
}

export function engineConformance(name: string, { open, openFailing }: EngineUnderTest): void {
  describe(`engine: ${name}`, { timeout: 240_000 }, () => {
    describe('single keys', () => {
      it('reads what was put, and nothing that was not', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => batch.put('meta', bytes('a'), bytes('one')))
        assert.deepEqual(engine.get('meta', bytes('a')), bytes('one'))
        assert.equal(engine.get('meta', bytes('b')), undefined)
        assert.equal(engine.get('pages', bytes('a')), undefined)
      })

      it('keeps its tables apart', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => TABLES.forEach((table) => batch.put(table, bytes('key'), bytes(table))))
        for (const table of TABLES) {
          assert.deepEqual(engine.get(table, bytes('key')), bytes(table))
          assert.deepEqual(engine.range(table, { limit: 10 }), [entry('key', table)])
        }
      })

      it('replaces and removes', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => batch.put('meta', bytes('a'), bytes('a longer value')))
        await commit(engine, (batch) => batch.put('meta', bytes('a'), bytes('2')))
        assert.deepEqual(engine.get('meta', bytes('a')), bytes('2'))
        await commit(engine, (batch) => batch.remove('meta', bytes('a')))
        assert.equal(engine.get('meta', bytes('a')), undefined)
        assert.deepEqual(engine.range('meta', { limit: 10 }), [])
      })

      it('takes the removal of a key that is not there', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => {
          batch.remove('meta', bytes('none'))
          batch.put('meta', bytes('a'), bytes('1'))
          batch.remove('claims', bytes('none'))
        })
        await commit(engine, (batch) => batch.remove('meta', bytes('none')))
        assert.deepEqual(engine.range('meta', { limit: 10 }), [entry('a', '1')])
      })

      it('tells an empty value from none', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => batch.put('marks', bytes('a'), new Uint8Array(0)))
        assert.deepEqual(engine.get('marks', bytes('a')), Buffer.alloc(0))
        assert.deepEqual(engine.range('marks', { limit: 1 }), [{ key: bytes('a'), value: Buffer.alloc(0) }])
      })

      it('keeps values of every size', async (t) => {
        const { engine, reopen } = await open(t)
        const prng = createPrng(1)
        const sizes = [1, 2048, 4080, 100 * 1024, 1024 * 1024, 20 * 1024 * 1024]
        const values = sizes.map((size) => Buffer.alloc(size, prng.bytes(Math.min(size, 509))))
        await commit(engine, (batch) => values.forEach((value, index) => batch.put('payloads', Buffer.of(index), value)))
        const check = (reader: Engine): void => {
          for (const [index, value] of values.entries()) {
            assert.ok(reader.get('payloads', Buffer.of(index))?.equals(value), `${sizes[index]} bytes`)
          }
          const entries = reader.range('payloads', { limit: 100 })
          assert.equal(entries.length, values.length)
          for (const [index, found] of entries.entries()) {
            assert.ok(found.value.equals(values[index] as Buffer), `${sizes[index]} bytes, in a range`)
          }
        }
        check(engine)
        if (reopen) check(await reopen())
      })

      it('takes values that are views into larger and shared memory', async (t) => {
        const { engine } = await open(t)
        const whole = Buffer.from('0123456789')
        const shared = new Uint8Array(new SharedArrayBuffer(64), 8, 4).fill(7)
        await commit(engine, (batch) => {
          batch.put('meta', whole.subarray(0, 1), whole.subarray(3, 6))
          batch.put('meta', new Uint8Array(shared.buffer, 8, 1), shared)
        })
        assert.deepEqual(engine.get('meta', bytes('0')), bytes('345'))
        assert.deepEqual(engine.get('meta', Buffer.of(7)), Buffer.of(7, 7, 7, 7))
      })

      it('hands out bytes that belong to the caller', async (t) => {
        const { engine } = await open(t)
        const large = Buffer.alloc(17 * 1024 * 1024, 5)
        await commit(engine, (batch) => {
          batch.put('meta', bytes('a'), bytes('one'))
          batch.put('payloads', bytes('large'), large)
        })
        engine.get('meta', bytes('a'))?.fill(0)
        engine.get('payloads', bytes('large'))?.fill(0)
        for (const { key, value } of [...engine.range('meta', { limit: 9 }), ...engine.range('payloads', { limit: 9 })]) {
          key.fill(0)
          value.fill(0)
        }
        const before = engine.get('meta', bytes('a'))
        const range = engine.range('meta', { limit: 1 })
        await commit(engine, (batch) => batch.put('meta', bytes('a'), bytes('two')))
        assert.deepEqual(engine.get('meta', bytes('a')), bytes('two'))
        assert.deepEqual(before, bytes('one'))
        assert.deepEqual(range, [entry('a', 'one')])
        assert.ok(engine.get('payloads', bytes('large'))?.equals(large))
      })

      it('hands out bytes that can be transferred to a thread', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => batch.put('meta', bytes('a'), bytes('one')))
        for (const value of [engine.get('meta', bytes('a')), engine.range('meta', { limit: 1 })[0]?.value]) {
          assert.ok(value)
          assert.equal(value.buffer.byteLength, value.length)
          const moved = structuredClone(value.buffer, { transfer: [value.buffer as ArrayBuffer] })
          assert.deepEqual(Buffer.from(moved), bytes('one'))
        }
        assert.deepEqual(engine.get('meta', bytes('a')), bytes('one'))
      })

      it('does not hold on to the bytes of a commit', async (t) => {
        const { engine } = await open(t)
        const key = bytes('key')
        const value = bytes('value')
        await commit(engine, (batch) => batch.put('meta', key, value))
        key.fill(0)
        value.fill(0)
        assert.deepEqual(engine.get('meta', bytes('key')), bytes('value'))
      })

      it('takes keys of 1 to 64 bytes, and refuses others before anything is written', async (t) => {
        const { engine } = await open(t)
        const longest = Buffer.alloc(64, 255)
        await commit(engine, (batch) => {
          batch.put('meta', Buffer.of(0), bytes('first'))
          batch.put('meta', longest, bytes('last'))
        })
        const stored = [
          { key: Buffer.of(0), value: bytes('first') },
          { key: longest, value: bytes('last') },
        ]
        for (const key of [Buffer.alloc(0), Buffer.alloc(65)]) {
          const bad = new WriteBatch()
          bad.put('meta', bytes('good'), bytes('1'))
          bad.put('meta', key, bytes('2'))
          await assert.rejects(engine.commit(bad), { name: 'AssertionFailure' })
          assert.throws(() => engine.get('meta', key), { name: 'AssertionFailure' })
        }
        assert.deepEqual(engine.range('meta', { limit: 10 }), stored)
        assert.deepEqual(engine.range('meta', { limit: 10, reverse: true }), stored.toReversed())
        await commit(engine, (batch) => batch.put('meta', bytes('good'), bytes('3')))
        assert.deepEqual(engine.get('meta', bytes('good')), bytes('3'))
      })

      it('refuses a value that was transferred away since', async (t) => {
        const { engine } = await open(t)
        const value = new Uint8Array(8)
        const batch = new WriteBatch()
        batch.put('meta', bytes('a'), value)
        structuredClone(value.buffer, { transfer: [value.buffer] })
        await assert.rejects(engine.commit(batch), { name: 'AssertionFailure' })
        assert.equal(engine.get('meta', bytes('a')), undefined)
      })
    })

    describe('ranges', () => {
      const keys = [[0], [0, 0], [0x61], [0x61, 0x61], [0x62], [0x7f], [0x80], [255, 255]].map((key) => Buffer.from(key))

      const cases: readonly (readonly [string, RangeOptions, readonly number[]])[] = [
        ['everything', { limit: 100 }, [0, 1, 2, 3, 4, 5, 6, 7]],
        ['everything, backwards', { limit: 100, reverse: true }, [7, 6, 5, 4, 3, 2, 1, 0]],
        ['start is inclusive', { start: bytes('aa'), limit: 100 }, [3, 4, 5, 6, 7]],
        ['start is inclusive, backwards', { start: bytes('aa'), limit: 100, reverse: true }, [7, 6, 5, 4, 3]],
        ['end is exclusive', { end: bytes('aa'), limit: 100 }, [0, 1, 2]],
        ['end is exclusive, backwards', { end: bytes('aa'), limit: 100, reverse: true }, [2, 1, 0]],
        ['both', { start: bytes('a'), end: bytes('b'), limit: 100 }, [2, 3]],
        ['both, backwards', { start: bytes('a'), end: bytes('b'), limit: 100, reverse: true }, [3, 2]],
        ['bounds between keys', { start: bytes('a0'), end: bytes('c'), limit: 100 }, [3, 4]],
        ['bounds between keys, backwards', { start: bytes('a0'), end: bytes('c'), limit: 100, reverse: true }, [4, 3]],
        ['start before all', { start: Buffer.of(0), limit: 2 }, [0, 1]],
        ['end after all', { end: Buffer.alloc(64, 255), limit: 2, reverse: true }, [7, 6]],
        ['end at the first key', { end: Buffer.of(0), limit: 100 }, []],
        ['end at the first key, backwards', { end: Buffer.of(0), limit: 100, reverse: true }, []],
        ['start at the first key, backwards', { start: Buffer.of(0), limit: 100, reverse: true }, [7, 6, 5, 4, 3, 2, 1, 0]],
        ['start after all', { start: Buffer.of(255, 255, 0), limit: 100 }, []],
        ['start after all, backwards', { start: Buffer.of(255, 255, 0), limit: 100, reverse: true }, []],
        ['nothing between', { start: bytes('ab'), end: bytes('ac'), limit: 100 }, []],
        ['nothing between, backwards', { start: bytes('ab'), end: bytes('ac'), limit: 100, reverse: true }, []],
        ['start equal to end', { start: bytes('aa'), end: bytes('aa'), limit: 100 }, []],
        ['start equal to end, backwards', { start: bytes('aa'), end: bytes('aa'), limit: 100, reverse: true }, []],
        ['start above end', { start: bytes('b'), end: bytes('a'), limit: 100 }, []],
        ['start above end, backwards', { start: bytes('b'), end: bytes('a'), limit: 100, reverse: true }, []],
        ['limit', { limit: 3 }, [0, 1, 2]],
        ['limit, backwards', { limit: 3, reverse: true }, [7, 6, 5]],
        ['limit of none', { limit: 0 }, []],
        ['empty start', { start: Buffer.alloc(0), limit: 2 }, [0, 1]],
        ['empty end', { end: Buffer.alloc(0), limit: 2 }, []],
      ]

      it('orders keys as unsigned bytes, and keeps to its bounds', async (t) => {
        const { engine } = await open(t)
        // Neither in order of key nor all in one commit.
        for (const parity of [1, 0]) {
          await commit(engine, (batch) => {
            keys.forEach((key, index) => index % 2 === parity && batch.put('index', key, Buffer.of(index)))
          })
        }
        for (const [what, options, expected] of cases) {
          const found = engine.range('index', options)
          assert.deepEqual(
            found,
            expected.map((index) => ({ key: keys[index], value: Buffer.of(index) })),
            what,
          )
        }
      })

      it('finds nothing in an empty table', async (t) => {
        const { engine } = await open(t)
        for (const [what, options] of cases) assert.deepEqual(engine.range('index', options), [], what)
      })

      it('gives its cursors back', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => keys.forEach((key) => batch.put('index', key, key)))
        // Far more ranges in one turn, and over many turns, than LMDB has places for readers (126).
        for (let turn = 0; turn < 300; turn++) {
          for (let count = 0; count < 10; count++) assert.equal(engine.range('index', { limit: 3 }).length, 3)
          await nextTurn()
        }
      })
    })

    describe('commits', () => {
      it('lets the last write of a key hold', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => batch.put('meta', bytes('c'), bytes('old')))
        await commit(engine, (batch) => {
          batch.put('meta', bytes('a'), bytes('1'))
          batch.put('meta', bytes('a'), bytes('2'))
          batch.put('meta', bytes('b'), bytes('1'))
          batch.remove('meta', bytes('b'))
          batch.remove('meta', bytes('c'))
          batch.put('meta', bytes('c'), bytes('new'))
          batch.put('meta', bytes('d'), bytes('1'))
          batch.remove('meta', bytes('d'))
          batch.put('meta', bytes('d'), bytes('3'))
        })
        assert.deepEqual(engine.range('meta', { limit: 10 }), [entry('a', '2'), entry('c', 'new'), entry('d', '3')])
      })

      it('shows nothing before it resolves, and everything after', async (t) => {
        const { engine } = await open(t)
        await commit(engine, (batch) => batch.put('meta', bytes('b'), bytes('old')))
        for (let round = 0; round < 50; round++) {
          const value = bytes(`round ${round}`)
          const before = state(engine)
          let resolved = false
          const batch = new WriteBatch()
          batch.put('meta', bytes('a'), value)
          batch.put('claims', bytes('a'), value)
          batch.remove('meta', bytes('b'))
          batch.put('pages', bytes(`p${round}`), value)
          const committed = engine.commit(batch).then(() => {
            resolved = true
            // The first moment at which the caller can know.
            assert.deepEqual(engine.get('meta', bytes('a')), value)
          })
          let looks = 0
          while (!resolved) {
            assert.deepEqual(state(engine), before, `look ${looks} of round ${round}`)
            looks++
            await nextTurn()
          }
          await committed
          assert.ok(looks > 0)
          assert.deepEqual(engine.get('claims', bytes('a')), value)
          assert.equal(engine.get('meta', bytes('b')), undefined)
          assert.equal(engine.range('pages', { limit: 1000 }).length, round + 1)
        }
      })

      it('writes 5,000 operations as one', async (t) => {
        const { engine, reopen } = await open(t)
        const batch = new WriteBatch()
        for (let index = 0; index < 2500; index++) {
          batch.put('pages', numberKey(index), Buffer.alloc(200, index))
          batch.put('index', numberKey(2500 - index), numberKey(index))
        }
        let resolved = false
        const committed = engine.commit(batch).then(() => (resolved = true))
        while (!resolved) {
          assert.equal(engine.range('pages', { limit: 1 }).length, 0)
          assert.equal(engine.range('index', { limit: 1 }).length, 0)
          await nextTurn()
        }
        await committed
        assert.equal(engine.range('pages', { limit: 10_000 }).length, 2500)
        assert.equal(engine.range('index', { limit: 10_000 }).length, 2500)
        const after = reopen ? await reopen() : engine
        for (let index = 0; index < 2500; index++) {
          assert.deepEqual(after.get('pages', numberKey(index)), Buffer.alloc(200, index))
          assert.deepEqual(after.get('index', numberKey(2500 - index)), numberKey(index))
        }
      })

      it('resolves an empty one at once', async (t) => {
        const { engine } = await open(t)
        await engine.commit(new WriteBatch())
        assert.deepEqual(engine.stats().commits, 0)
      })

      it('refuses a second one while the first is in flight', async (t) => {
        const { engine } = await open(t)
        const first = commit(engine, (batch) => batch.put('meta', bytes('a'), bytes('1')))
        await assert.rejects(
          commit(engine, (batch) => batch.put('meta', bytes('b'), bytes('2'))),
          { name: 'AssertionFailure' },
        )
        await first
        assert.deepEqual(engine.range('meta', { limit: 10 }), [entry('a', '1')])
      })

      it('counts and times itself', async (t) => {
        const { engine } = await open(t)
        assert.equal(engine.stats().commits, 0)
        assert.equal(engine.stats().lastCommitMs, 0)
        for (let index = 0; index < 3; index++) {
          await commit(engine, (batch) => batch.put('pages', numberKey(index), Buffer.alloc(10_000)))
        }
        const { commits, lastCommitMs, sizeBytes } = engine.stats()
        assert.equal(commits, 3)
        assert.ok(lastCommitMs > 0)
        assert.ok(sizeBytes >= 30_000)
      })
    })

    describe('the end', () => {
      it('fails for good after a commit that failed', async (t) => {
        const { engine, failing, reopen } = await openFailing(t, 1)
        await commit(engine, (batch) => batch.put('meta', bytes('a'), bytes('1')))
        const before = state(engine)
        const first = await rejection(engine.commit(failing))
        assert.ok(isMillraceError(first, 'MILLRACE_STORE_FAILED'), String(first))
        assert.ok(first.cause instanceof Error)
        assert.deepEqual(state(engine), before)
        for (let index = 0; index < 3; index++) {
          const later = await rejection(commit(engine, (batch) => batch.put('meta', bytes('b'), bytes('2'))))
          assert.ok(isMillraceError(later, 'MILLRACE_STORE_FAILED'))
          assert.equal(later.cause, first.cause)
          await nextTurn()
        }
        await assert.rejects(engine.commit(new WriteBatch()), { code: 'MILLRACE_STORE_FAILED' })
        assert.deepEqual(state(engine), before)
        assert.equal(engine.stats().commits, 1)
        await engine.close()
        if (!reopen) return
        const after = await reopen()
        assert.deepEqual(state(after), before)
        await commit(after, (batch) => batch.put('meta', bytes('b'), bytes('2')))
        assert.deepEqual(after.get('meta', bytes('b')), bytes('2'))
      })

      it('closes after a commit that is failing', async (t) => {
        const { engine, failing } = await openFailing(t, 0)
        const failed = rejection(engine.commit(failing))
        await engine.close()
        assert.ok(isMillraceError(await failed, 'MILLRACE_STORE_FAILED'))
      })

      it('waits for the commit in flight when it closes, and closes once', async (t) => {
        const { engine, reopen } = await open(t)
        const order: string[] = []
        const batch = new WriteBatch()
        batch.put('meta', bytes('a'), Buffer.alloc(1_000_000))
        const committed = engine.commit(batch).then(() => order.push('commit'))
        const closed = engine.close().then(() => order.push('close'))
        await Promise.all([committed, closed, engine.close()])
        await engine.close()
        assert.deepEqual(order, ['commit', 'close'])
        if (reopen) assert.equal((await reopen()).get('meta', bytes('a'))?.length, 1_000_000)
      })

      it('answers nothing once closed', async (t) => {
        const { engine } = await open(t)
        await engine.close()
        assert.throws(() => engine.get('meta', bytes('a')), { code: 'MILLRACE_CLOSED' })
        assert.throws(() => engine.range('meta', { limit: 1 }), { code: 'MILLRACE_CLOSED' })
        await assert.rejects(
          commit(engine, (batch) => batch.put('meta', bytes('a'), bytes('1'))),
          { code: 'MILLRACE_CLOSED' },
        )
      })
    })

    it('agrees with a plain model over random histories', async (t) => {
      const seed = seedOfRun()
      t.diagnostic(`seed ${seed} (MILLRACE_SEED=${seed} repeats it)`)
      let opened: OpenedEngine | undefined
      for (let history = 0; history < 300; history++) {
        const prng = createPrng(seed + history)
        // One engine for ten histories, so that they also run over what others left.
        if (history % 10 === 0) opened = await open(t)
        assert.ok(opened)
        opened = await runHistory(opened, prng, `seed ${seed}, history ${history}`)
      }
    })
  })
}

async function runHistory({ engine, reopen }: OpenedEngine, prng: Prng, label: string): Promise<OpenedEngine> {
  const tables: readonly Table[] = ['meta', 'pages', 'claims']
  const model = new Map(tables.map((table) => [table, new Map<string, Buffer>()]))
  const modelOf = (table: Table): Map<string, Buffer> => model.get(table) as Map<string, Buffer>
  const all = { limit: 100_000 }
  for (const table of tables) {
    for (const { key, value } of engine.range(table, all)) modelOf(table).set(textOf(key), value)
  }
  const length = 1 + prng.below(3)
  const randomKey = (): Buffer => prng.bytes(1 + prng.below(length))

  let reader = engine
  for (let step = 0, steps = 5 + prng.below(10); step < steps; step++) {
    const batch = new WriteBatch()
    const writes: (() => void)[] = []
    for (let count = prng.below(prng.pick([3, 30, 300])); count >= 0; count--) {
      const table = prng.pick(tables)
      const key = randomKey()
      if (prng.next() < 0.4) {
        batch.remove(table, key)
        writes.push(() => modelOf(table).delete(textOf(key)))
      } else {
        const value = Buffer.alloc(prng.below(prng.pick([2, 50, 500, 5000])), prng.below(256))
        batch.put(table, key, value)
        writes.push(() => modelOf(table).set(textOf(key), value))
      }
    }
    const committed = reader.commit(batch)
    compare(reader, prng.pick(tables))
    await committed
    for (const write of writes) write()
    for (let look = 0; look < 4; look++) compare(reader, prng.pick(tables))
  }
  if (reopen !== undefined && prng.next() < 0.2) reader = await reopen()
  for (const table of tables) assert.deepEqual(reader.range(table, all), expected(table, all), label)
  return reopen ? { engine: reader, reopen } : { engine: reader }

  function compare(from: Engine, table: Table): void {
    const key = randomKey()
    assert.deepEqual(from.get(table, key), modelOf(table).get(textOf(key)), label)
    const options: RangeOptions = {
      ...(prng.next() < 0.6 && { start: randomKey() }),
      ...(prng.next() < 0.6 && { end: randomKey() }),
      ...(prng.next() < 0.5 && { reverse: true }),
      limit: prng.pick([1, 2, 10, 1000]),
    }
    assert.deepEqual(from.range(table, options), expected(table, options), label)
  }

  function expected(table: Table, options: RangeOptions): Entry[] {
    const start = options.start && textOf(options.start)
    const end = options.end && textOf(options.end)
    const found = [...modelOf(table)]
      .filter(([key]) => (start === undefined || key >= start) && (end === undefined || key < end))
      .sort(([a], [b]) => (a < b ? -1 : 1))
    if (options.reverse === true) found.reverse()
    return found.slice(0, options.limit).map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value }))
  }
}

async function commit(engine: Engine, fill: (batch: WriteBatch) => void): Promise<void> {
  const batch = new WriteBatch()
  fill(batch)
  await engine.commit(batch)
}

function state(engine: Engine): Entry[][] {
  return TABLES.map((table) => engine.range(table, { limit: 1000 }))
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail('it resolved'),
    (error: unknown) => error,
  )
}

function bytes(text: string): Buffer {
  return Buffer.from(text)
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1')
}

function entry(key: string, value: string): Entry {
  return { key: bytes(key), value: bytes(value) }
}

function numberKey(value: number): Buffer {
  const key = Buffer.alloc(6)
  key.writeUIntBE(value, 0, 6)
  return key
}
