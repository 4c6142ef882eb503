/** The text that metrics are told in: read back as a scraper reads it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { Exposition } from '../../../src/telemetry/exposition.js'
import { Histogram } from '../../../src/telemetry/histogram.js'
import { readExposition, valueOf } from '../../support/exposition.js'
import { seedOfRun } from '../../support/prng.js'

describe('metrics as text', () => {
  it('is what the format says, letter by letter', () => {
    const text = new Exposition()
    text.counter('millrace_things_total', 'Things.', [{ value: 0 }])
    text.gauge('millrace_size', 'A \\ and a\nline.', [
      { labels: { queue: 'a"b\\c\nd' }, value: 1.5 },
      { labels: { queue: 'é', state: '' }, value: Infinity },
    ])
    text.gauge('millrace_nothing', 'Nothing.', [])
    assert.equal(
      String(text),
      [
        '# HELP millrace_things_total Things.',
        '# TYPE millrace_things_total counter',
        'millrace_things_total 0',
        '# HELP millrace_size A \\\\ and a\\nline.',
        '# TYPE millrace_size gauge',
        'millrace_size{queue="a\\"b\\\\c\\nd"} 1.5',
        'millrace_size{queue="é",state=""} +Inf',
        '',
      ].join('\n'),
    )
  })

  it('gives back every label and every number', () => {
    const label = fc.oneof(
      fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) }),
      fc.constantFrom('\\', '"', '\n', '\\n', 'a,b="c"}', '__proto__'),
    )
    const value = fc.oneof(fc.double({ noNaN: true }), fc.integer(), fc.constantFrom(0, 1e21, 1e-7, 2 ** 53))
    fc.assert(
      fc.property(fc.uniqueArray(label, { minLength: 1 }), value, (names, number) => {
        const text = new Exposition()
        text.gauge(
          'millrace_x',
          names[0] === '' ? 'X.' : `${names[0]}.`,
          names.map((queue) => ({ labels: { queue }, value: number })),
        )
        const read = readExposition(String(text))
        for (const queue of names) assert.equal(valueOf(read, 'millrace_x', { queue }), number === 0 ? 0 : number)
      }),
      { seed: seedOfRun() | 0, numRuns: 200 },
    )
  })

  it('counts times at or below each bound, exactly', () => {
    const histogram = new Histogram()
    histogram.roll(0)
    const values = [0, 0.01, 1, 4, 4.0001, 1024, 1e7, 1e12]
    for (const ms of values) histogram.add(ms)
    const text = new Exposition()
    text.histogram('millrace_run_seconds', 'Runs.', [{ labels: { queue: 'q' }, ...histogram.sinceOpen }])
    const read = readExposition(String(text))
    for (const { name, labels, value } of read.get('millrace_run_seconds')?.samples ?? []) {
      if (name !== 'millrace_run_seconds_bucket') continue
      const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le']) * 1000
      assert.equal(value, values.filter((ms) => ms <= bound).length, `le ${labels['le']}`)
    }
    assert.equal(valueOf(read, 'millrace_run_seconds_sum', { queue: 'q' }), values.reduce((sum, ms) => sum + ms, 0) / 1000)
  })
})
