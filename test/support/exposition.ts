/** Reads Prometheus' text format as strictly as its specification has it, and throws at the first line that is none. */
import assert from 'node:assert/strict'

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: Sample[]
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: [''],
  gauge: [''],
  histogram: ['_bucket', '_sum', '_count'],
}

/** The families by name. */
export function readExposition(text: string): Map<string, Family> {
  assert.ok(text.endsWith('\n'), 'the last line ends')
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  let help: { name: string; text: string } | undefined
  let family: Family | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const [, name = '', rest = ''] = /^# HELP (\S+) (.+)$/s.exec(line) ?? []
    if (name !== '') {
      assert.match(name, NAME)
      help = { name, text: unescaped(rest, '\\n') }
      family = undefined
      continue
    }
    const [, typed = '', type = ''] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? []
    if (typed !== '') {
      assert.ok(help?.name === typed, `the type of ${typed} follows its help`)
      assert.ok(!families.has(typed), `${typed} is there twice`)
      assert.equal(typed.endsWith('_total'), type === 'counter', `${typed} is a ${type}`)
      family = { name: typed, type, help: help.text, samples: [] }
      families.set(typed, family)
      continue
    }
    const sample = readSample(line)
    assert.ok(family !== undefined, `a sample without a family: ${line}`)
    const { name: own, type: kind } = family
    assert.ok(
      (SUFFIXES[kind] ?? []).some((suffix) => own + suffix === sample.name),
      `a sample of another family: ${line}`,
    )
    const series = `${sample.name}${keyOf(sample.labels)}`
    assert.ok(!seen.has(series), `the same series twice: ${line}`)
    seen.add(series)
    family.samples.push(sample)
  }
  for (const each of families.values()) {
    assert.ok(each.samples.length > 0, `${each.name} has no samples`)
    if (each.type !== 'gauge') for (const { value } of each.samples) assert.ok(value >= 0, `${each.name} is ${value}`)
    if (each.type === 'histogram') checkHistogram(each)
  }
  return families
}

/** The value of a sample by its labels. */
export function valueOf(families: Map<string, Family>, name: string, labels: Sample['labels'] = {}): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''))
  const entries = Object.entries(labels)
  return family?.samples.find(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === entries.length &&
      entries.every(([label, value]) => sample.labels[label] === value),
  )?.value
}

/** The same for the same labels, in whatever order. */
function keyOf(labels: Sample['labels']): string {
  return JSON.stringify(Object.entries(labels).sort(([left], [right]) => (left < right ? -1 : 1)))
}

function readSample(line: string): Sample {
  const [, name = '', braces, value = ''] = /^([^\s{]+)(\{.*\})? (\S+)$/s.exec(line) ?? []
  assert.match(name, NAME, line)
  assert.match(value, /^([+-]Inf|NaN|-?\d+(\.\d+)?(e[+-]?\d+)?)$/, line)
  const labels: Record<string, string> = Object.create(null) as Record<string, string>
  let rest = braces?.slice(1, -1) ?? ''
  while (rest !== '') {
    const [whole = '', label = '', text = ''] = /^([^=]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,(?=.)|$)/s.exec(rest) ?? []
    assert.match(label, LABEL, line)
    assert.ok(!(label in labels), `${label} twice: ${line}`)
    labels[label] = unescaped(text, '\\n"')
    rest = rest.slice(whole.length)
  }
  return { name, labels, value: value.endsWith('Inf') ? Number(value.replace('Inf', 'Infinity')) : Number(value) }
}

function unescaped(text: string, known: string): string {
  return text.replaceAll(/\\(.)/gs, (_, letter: string) => {
    assert.ok(known.includes(letter), `an escape that there is not: \\${letter}`)
    return letter === 'n' ? '\n' : letter
  })
}

function checkHistogram({ name, samples }: Family): void {
  const groups = new Map<string, Sample[]>()
  for (const sample of samples) {
    const { le: _le, ...labels } = sample.labels
    const key = keyOf(labels)
    groups.set(key, [...(groups.get(key) ?? []), sample])
  }
  for (const group of groups.values()) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`)
    const bounds = buckets.map(({ labels }) => (labels['le'] === '+Inf' ? Infinity : Number(labels['le'])))
    assert.equal(bounds.at(-1), Infinity, `${name} has a bucket for everything`)
    assert.deepEqual(
      bounds,
      [...new Set(bounds)].sort((left, right) => left - right),
      `bounds of ${name} ascend`,
    )
    for (const [index, { value }] of buckets.entries())
      assert.ok(value >= (buckets[index - 1]?.value ?? 0), `${name} is cumulative`)
    const count = group.filter((sample) => sample.name === `${name}_count`)
    assert.deepEqual([count.length, count[0]?.value], [1, buckets.at(-1)?.value])
    assert.equal(group.filter((sample) => sample.name === `${name}_sum`).length, 1)
  }
}
