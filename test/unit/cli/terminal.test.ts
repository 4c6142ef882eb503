/** What is sent to a terminal, whatever its size, and whether it wants colours. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WriteStream } from 'node:tty'
import { terminalPaint, terminalWidth } from '../../../src/cli/shell/command.js'
import { Screen } from '../../../src/cli/shell/screen.js'

interface Terminal {
  readonly stream: WriteStream
  readonly written: string[]
}

function terminal(change: object = {}): Terminal {
  const written: string[] = []
  const stream = {
    isTTY: true,
    columns: 80,
    rows: 24,
    writableNeedDrain: false,
    hasColors: () => true,
    write: (text: string) => written.push(text) > 0,
    ...change,
  }
  return { stream: stream as unknown as WriteStream, written }
}

test('colours: on a terminal that has them, and not with NO_COLOR', (t) => {
  const was = process.env['NO_COLOR']
  t.after(() => (was === undefined ? delete process.env['NO_COLOR'] : (process.env['NO_COLOR'] = was)))
  const isColoured = (of: object): boolean => terminalPaint(terminal(of).stream)('red', 'x') !== 'x'
  delete process.env['NO_COLOR']
  assert.deepEqual([isColoured({}), isColoured({ hasColors: () => false }), isColoured({ isTTY: false })], [true, false, false])
  process.env['NO_COLOR'] = ''
  assert.equal(isColoured({}), true, 'an empty one says nothing: no-color.org')
  process.env['NO_COLOR'] = '1'
  assert.equal(isColoured({}), false)
})

test('lines are as wide as the terminal, and as they are elsewhere', () => {
  assert.equal(terminalWidth(terminal().stream), 80)
  assert.equal(terminalWidth(terminal({ columns: 0 }).stream), 80)
  assert.equal(terminalWidth(terminal({ isTTY: false }).stream), Infinity)
})

test('a picture is never higher than the terminal, and the terminal is left as it was', () => {
  const lines = Array.from({ length: 40 }, (_, index) => `line ${index}`)
  for (const rows of [1, 2, 5, 24]) {
    const { stream, written } = terminal({ rows })
    const screen = new Screen(stream)
    screen.draw(lines)
    screen.end()
    screen.draw(lines)
    const [enter, picture, leave, ...others] = written
    assert.equal(picture?.split('\n').length, rows)
    assert.deepEqual([enter, leave, others], ['\u001B[?1049h\u001B[?25l', '\u001B[?25h\u001B[?1049l', []])
  }
})

test('nothing is drawn while the terminal has not taken the picture before', () => {
  const { stream, written } = terminal({ writableNeedDrain: true })
  const screen = new Screen(stream)
  screen.draw(['one'])
  screen.end()
  assert.equal(
    written.some((text) => text.includes('one')),
    false,
  )
})
