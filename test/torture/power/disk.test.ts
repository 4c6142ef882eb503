/** The disk model: what a sync makes durable, and what a cut may leave of the rest. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { createPrng } from '../../support/prng.js'
import type { RecordedEvent } from '../shim/recording.js'
import type { Loss } from './disk.js'
import { Disk, SECTOR_BYTES } from './disk.js'

const ROOT = '/disk'
const STORE = '/disk/store'
const PATH = '/disk/store/jobs.mdb'
/** Each cut is tried so often, with other luck. */
const TRIES = 50

type Sectors = string

let calls = 0

/** A write of sectors, one letter each, from the given sector on; ended unless told otherwise. */
function write(at: number, sectors: Sectors, { synced = false, draft = false, ended = true } = {}): RecordedEvent[] {
  const call = ++calls
  const bytes = Buffer.concat([...sectors].map((letter) => Buffer.alloc(SECTOR_BYTES, letter)))
  const begun: RecordedEvent = { kind: 'write', call, offset: at * SECTOR_BYTES, bytes, synced, draft }
  return ended ? [begun, { kind: 'written', call, result: bytes.length }] : [begun]
}

function sync(result = 0, during: RecordedEvent[] = []): RecordedEvent[] {
  const call = ++calls
  return [{ kind: 'sync', call }, ...during, { kind: 'synced', call, result }]
}

function names(directory: string): RecordedEvent[] {
  return [
    { kind: 'names', directory },
    { kind: 'named', directory },
  ]
}

function diskAfter(...events: RecordedEvent[][]): Disk {
  const disk = new Disk(PATH, ROOT, undefined)
  for (const event of events.flat()) disk.apply(event)
  return disk
}

/** Everything that a cut can leave, as letters; `.` is a sector of zeros. */
function leftBy(disk: Disk, loss: Loss): string[] {
  const found = new Set<string>()
  for (let seed = 0; seed < TRIES; seed++) {
    const { file } = disk.image(loss, createPrng(seed))
    assert.ok(file !== undefined && file.length % SECTOR_BYTES === 0)
    let letters = ''
    for (let at = 0; at < file.length; at += SECTOR_BYTES) letters += file[at] === 0 ? '.' : String.fromCharCode(file[at] ?? 0)
    found.add(letters)
  }
  return [...found].sort()
}

describe('the disk', () => {
  it('keeps what was synced, whatever is lost', () => {
    const disk = diskAfter(write(0, 'ab'), sync())
    for (const loss of ['nothing is kept', 'torn writes', 'one is lost'] as const) assert.deepEqual(leftBy(disk, loss), ['ab'])
  })

  it('tears what was not, sector by sector, and a file that grew may be as long as it was or as it is', () => {
    const disk = diskAfter(write(0, 'ab'), sync(), write(1, 'BC'))
    assert.deepEqual(leftBy(disk, 'nothing is kept'), ['ab', 'ab.'])
    assert.deepEqual(leftBy(disk, 'torn writes'), ['aB', 'aB.', 'aBC', 'ab', 'ab.', 'abC'])
    assert.deepEqual(leftBy(disk, 'whole writes'), ['aBC', 'ab', 'ab.'])
    assert.deepEqual(leftBy(disk, 'all is kept'), ['aBC'])
  })

  it('applies writes out of order', () => {
    const disk = diskAfter(write(0, 'ab'), sync(), write(0, 'x'), write(1, 'y'), write(0, 'z'))
    assert.deepEqual(leftBy(disk, 'one is kept'), ['ay', 'xb', 'zb'])
    assert.deepEqual(leftBy(disk, 'one is lost'), ['xy', 'zb', 'zy'])
  })

  it('does not let a sync answer for a write that began or ended after it had begun', () => {
    const late = write(1, 'Y')
    const [begun, ended] = write(0, 'X') as [RecordedEvent, RecordedEvent]
    const disk = diskAfter(write(0, 'ab'), sync(), [begun], sync(0, [...late, ended]))
    assert.deepEqual(leftBy(disk, 'nothing is kept'), ['ab'])
    assert.deepEqual(leftBy(disk, 'torn writes'), ['XY', 'Xb', 'aY', 'ab'])
  })

  it('takes nothing for durable after a sync that failed', () => {
    const disk = diskAfter(write(0, 'a'), sync(), write(0, 'b'), sync(-5))
    assert.deepEqual(leftBy(disk, 'nothing is kept'), ['a'])
  })

  it('takes a write through a synced descriptor for durable when it has ended, and no other', () => {
    const ended = diskAfter(write(0, 'abc'), sync(), write(0, 'X'), write(2, 'Z', { synced: true }))
    assert.deepEqual(leftBy(ended, 'nothing is kept'), ['abZ'])
    const inFlight = diskAfter(write(0, 'a'), sync(), write(0, 'Z', { synced: true, ended: false }))
    assert.deepEqual(leftBy(inFlight, 'torn writes'), ['Z', 'a'])
  })

  it('takes part of a sector for a new content of all of it', () => {
    const disk = diskAfter(write(0, 'a'), sync(), [
      { kind: 'write', call: ++calls, offset: 100, bytes: Buffer.from('new'), synced: false, draft: false },
    ])
    const images = new Set(
      Array.from({ length: TRIES }, (_value, seed) => String(disk.image('torn writes', createPrng(seed)).file)),
    )
    const before = 'a'.repeat(SECTOR_BYTES)
    assert.deepEqual([...images].sort(), [before, `${before.slice(0, 100)}new${before.slice(103)}`].sort())
  })

  it('finds a file when every directory on the way to it was synced with the next name in it', () => {
    assert.equal(diskAfter(write(0, 'a'), sync()).isNamed, false)
    assert.equal(diskAfter(write(0, 'a'), sync(), names(STORE)).isNamed, false)
    assert.equal(diskAfter(names(STORE), write(0, 'a'), sync(), names(ROOT)).isNamed, false)
    assert.equal(diskAfter(write(0, 'a'), sync(), names(STORE), names(ROOT)).isNamed, true)
    const disk = diskAfter(write(0, 'a'), sync())
    assert.equal(disk.image('all is kept', createPrng(1), true).file, undefined)
  })

  it('finds a draft under its own name until it was renamed, and the name synced', () => {
    const draft = write(0, 'a', { draft: true })
    const renamed: RecordedEvent[] = [{ kind: 'rename', from: `${PATH}.new` }]
    assert.equal(diskAfter(draft).image('all is kept', createPrng(1)).file, undefined)
    assert.equal(diskAfter(draft, sync(), names(STORE), names(ROOT), renamed).isNamed, false)
    assert.equal(diskAfter(draft, sync(), names(ROOT), renamed, names(STORE)).isNamed, true)
    assert.deepEqual(leftBy(diskAfter(draft, sync(), renamed), 'nothing is kept'), ['a'])
  })
})
