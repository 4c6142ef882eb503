/**
 * The text format in which Prometheus and its kin read metrics, version 0.0.4: families of samples, each with what it means and its
 * type, one sample a line. https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { bucketEndingAt } from './histogram.js'

export type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly labels?: Labels
  readonly value: number
}

/** Times measured, of which a histogram is made. */
export interface Timed {
  readonly labels?: Labels
  readonly counts: Float64Array
  readonly sumMs: number
}

/** From 62 µs to 19 hours, each four times the one before. They are bounds of the finer buckets, so that nothing is estimated. */
const BOUNDS: readonly number[] = Array.from({ length: 16 }, (_, index) => 2 * index - 4)

export class Exposition {
  #text = ''

  counter(name: string, help: string, samples: Iterable<Sample>): void {
    this.#family(name, 'counter', help, samples)
  }

  gauge(name: string, help: string, samples: Iterable<Sample>): void {
    this.#family(name, 'gauge', help, samples)
  }

  /** In seconds. */
  histogram(name: string, help: string, all: Iterable<Timed>): void {
    let text = ''
    for (const { labels = {}, counts, sumMs } of all) {
      let below = 0
      let bucket = 0
      for (const exponent of BOUNDS) {
        for (const end = bucketEndingAt(exponent); bucket <= end; bucket++) below += counts[bucket] ?? 0
        text += line(`${name}_bucket`, { ...labels, le: String(2 ** exponent / 1000) }, below)
      }
      for (; bucket < counts.length; bucket++) below += counts[bucket] ?? 0
      text += line(`${name}_bucket`, { ...labels, le: '+Inf' }, below)
      text += line(`${name}_sum`, labels, sumMs / 1000)
      text += line(`${name}_count`, labels, below)
    }
    this.#add(name, 'histogram', help, text)
  }

  toString(): string {
    return this.#text
  }

  #family(name: string, type: string, help: string, samples: Iterable<Sample>): void {
    let text = ''
    for (const { labels = {}, value } of samples) text += line(name, labels, value)
    this.#add(name, type, help, text)
  }

  /** A family without samples is left out. */
  #add(name: string, type: string, help: string, text: string): void {
    if (text !== '') this.#text += `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n${text}`
  }
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text).replaceAll('"', '\\"')}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numeral(value)}\n`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function numeral(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value)
}
