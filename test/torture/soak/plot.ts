/** Draws the samples as SVG: one panel for each measure, one above the other, over the same seconds. */
import { measured, seriesOf, type Measure, type Sample } from './samples.js'

const WIDTH = 900
const PANEL = 130
const LEFT = 90
const RIGHT = 20
const TOP = 24

function text(x: number, y: number, words: string, anchor = 'start'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${words}</text>`
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${colour}"/>`
}

/** The next of 1, 2, 5, 10, 20 … that is no less. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power
}

function panel(samples: readonly Sample[], name: Measure, top: number, settledAt: number): string {
  const endSeconds = Math.max(1, samples.at(-1)?.seconds ?? 1)
  const series = seriesOf(samples, name)
  const most = roundUp(Math.max(...series))
  const x = (seconds: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * seconds) / endSeconds
  const y = (value: number): number => top + PANEL - 24 - ((PANEL - 24 - TOP) * value) / most
  const parts = [text(LEFT, top + 14, name)]
  for (const share of [0, 0.5, 1]) {
    parts.push(line(LEFT, y(most * share), WIDTH - RIGHT, y(most * share), '#ddd'))
    parts.push(text(LEFT - 6, y(most * share) + 4, String(Number((most * share).toPrecision(3))), 'end'))
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(text(x(endSeconds * share), top + PANEL - 8, `${Math.round(endSeconds * share)} s`, 'middle'))
  }
  parts.push(line(x(settledAt), y(most), x(settledAt), y(0), '#c60'))
  const points = samples.map(({ seconds }, index) => `${x(seconds).toFixed(1)},${y(series[index] ?? 0).toFixed(1)}`).join(' ')
  parts.push(`<polyline fill="none" stroke="#06c" stroke-width="1.5" points="${points}"/>`)
  return parts.join('\n')
}

/** @param settledAt - Where the judged samples begin, in seconds; drawn as an upright line. */
export function toSvg(samples: readonly Sample[], settledAt: number): string {
  const names = measured(samples)
  const height = names.length * PANEL
  const panels = names.map((name, index) => panel(samples, name, index * PANEL, settledAt))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    ...panels,
    '</svg>\n',
  ].join('\n')
}
