/** How `millrace demo` shows that it goes on: on a terminal, and elsewhere. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { createDisplay } from '../../src/cli/demo/display.js'
import type { Snapshot } from '../../src/cli/demo/progress.js'
import { Progress } from '../../src/cli/demo/progress.js'

interface Screen {
  readonly output: NodeJS.WriteStream
  readonly writes: string[]
}

function screen(terminal: Partial<NodeJS.WriteStream> = { isTTY: true }): Screen {
  const writes: string[] = []
  const output = { columns: 60, rows: 10, hasColors: () => true, write: (text: string) => writes.push(text), ...terminal }
  return { output: output as unknown as NodeJS.WriteStream, writes }
}

const HALF: Snapshot = {
  filesDone: 1000,
  filesFound: 2000,
  bytesDone: 5e6,
  bytesFound: 1e7,
  isWalking: false,
  elapsedMs: 4000,
  jobsPerSecond: 250,
  bytesPerSecond: 1.25e6,
  fraction: 0.5,
  leftMs: 4000,
}

const threads = (count: number) => ({
  doneBytes: 0,
  lines: () => Array.from({ length: count }, (_, index) => `  thread ${index + 1}`),
})

describe('on a terminal', () => {
  test('the lines are drawn in place', () => {
    const { output, writes } = screen({ isTTY: true, hasColors: () => false })
    const display = createDisplay(output)
    display.update(HALF, threads(2))
    display.update(HALF, threads(2))
    display.end()
    const bar = '█'.repeat(20) + '░'.repeat(20)
    const lines = [`  ${bar} 50 %`, '  1,000 of 2,000 files, 5.0 MB of 10.0 MB', '  250 jobs/s, 1.3 MB/s, 0:04 elapsed, ETA 0:04']
    const frame = [...lines, '  thread 1', '  thread 2'].map((line) => `${line}\u001B[K\n`).join('')
    assert.deepEqual(writes, [
      `\u001B[?7l\r${frame}\u001B[J\u001B[?7h`,
      `\u001B[?7l\u001B[5A\r${frame}\u001B[J\u001B[?7h`,
      '\u001B[5A\r\u001B[J',
    ])
  })

  test('what is printed stays above them', () => {
    const { output, writes } = screen()
    const display = createDisplay(output)
    display.update(HALF, threads(1))
    display.print('resuming')
    display.update(HALF, threads(1))
    assert.equal(writes[1], '\u001B[4A\r\u001B[Jresuming\n')
    assert.ok(writes[2]?.startsWith('\u001B[?7l\r  '))
  })

  test('there are no more lines than fit', () => {
    const { output, writes } = screen()
    createDisplay(output).update(HALF, threads(64))
    const lines = stripVTControlCharacters(writes[0] ?? '')
      .trimEnd()
      .split('\n')
    assert.equal(lines.length, 9)
    assert.deepEqual(lines.slice(-2), ['  thread 5', '  and 59 more threads'])
  })

  test('a terminal that has become narrower loses nothing but what was drawn', () => {
    const { output, writes } = screen()
    const display = createDisplay(output)
    display.update(HALF, threads(1))
    output.columns = 30
    display.update(HALF, threads(1))
    assert.ok(writes[1]?.startsWith('\u001B[?7l\u001B[4A\r'))
  })

  test('colors are for terminals that have them', () => {
    for (const hasColors of [true, false]) {
      const { output, writes } = screen({ isTTY: true, hasColors: () => hasColors })
      createDisplay(output).update(HALF, threads(1))
      assert.equal(writes.join('').includes('\u001B[36m'), hasColors)
    }
  })
})

describe('elsewhere', () => {
  test('there is a line for each tenth, and one now and then', () => {
    const { output, writes } = screen({ isTTY: false })
    const display = createDisplay(output)
    for (const [fraction, elapsedMs] of [
      [0.05, 100],
      [0.1, 200],
      [0.15, 300],
      [0.2, 400],
      [0.2, 2300],
      [0.2, 2400],
      [0.2, 100_000],
      [0.2, 104_000],
      [0.2, 106_000],
    ] as const) {
      display.update({ ...HALF, fraction, elapsedMs }, threads(1))
    }
    display.end()
    assert.deepEqual(
      writes.map((line) => line.split(':')[0]),
      ['10 %', '20 %', '20 %', '20 %', '20 %'],
    )
    assert.equal(writes[0], '10 %: 1,000 of 2,000 files, 5.0 MB of 10.0 MB, 250 jobs/s, 1.3 MB/s, ETA 0:04\n')
  })

  test('and no escape codes', () => {
    const { output, writes } = screen({ isTTY: false })
    const display = createDisplay(output)
    display.print('Measuring')
    display.update({ ...HALF, isWalking: true, elapsedMs: 3000 }, threads(1))
    assert.deepEqual(writes, [
      'Measuring\n',
      '1,000 of 2,000 files found so far, 5.0 MB of 10.0 MB, 250 jobs/s, 1.3 MB/s, still looking for files\n',
    ])
  })
})

describe('progress', () => {
  test('tells rate and time left from the last ten seconds', () => {
    const progress = new Progress(0)
    for (let index = 0; index < 400; index++) progress.add(`job ${index}`, 1000)
    progress.isWalking = false
    progress.snapshot(0, 0, 0)
    for (let index = 0; index < 100; index++) progress.end(`job ${index}`)
    const { fraction, jobsPerSecond, bytesPerSecond, leftMs } = progress.snapshot(10_000, 100, 0)
    assert.deepEqual(
      { fraction, jobsPerSecond, bytesPerSecond, leftMs },
      { fraction: 0.25, jobsPerSecond: 10, bytesPerSecond: 10_000, leftMs: 30_000 },
    )
    assert.equal(progress.snapshot(30_000, 100, 0).jobsPerSecond, 0)
    assert.equal(progress.snapshot(30_000, 100, 0).leftMs, undefined)
  })

  test('keeps no more sizes than it may, and counts the rest by its mean', () => {
    const progress = new Progress(0)
    for (let index = 0; index < 100_000; index++) progress.add(`job ${index}`, 0)
    progress.add('small', 10)
    progress.add('large', 30)
    progress.end('large')
    assert.equal(progress.snapshot(1, 1, 0).bytesDone, 20)
    progress.end('small')
    progress.end('small')
    assert.equal(progress.snapshot(2, 2, 0).bytesDone, 40)
  })

  test('is complete when the last file is done', () => {
    const progress = new Progress(0)
    progress.addDone(500)
    progress.add('job', 500)
    assert.equal(progress.snapshot(1, 2, 0).leftMs, undefined)
    progress.isWalking = false
    const { fraction, bytesDone } = progress.snapshot(2, 2, 0)
    assert.deepEqual({ fraction, bytesDone }, { fraction: 1, bytesDone: 1000 })
  })
})
