/** What the run has found, gathered from the results in the store, and the table it is told in. Holds ten files, not all. */
import { relative } from 'node:path'
import type { Executor, JobInfo } from '../../index.js'
import type { EarlierRun } from './earlier-run.js'
import type { FailureList } from './failure-list.js'
import { formatBytes, formatClock, formatCount, formatSeconds, plural, printable, shorten } from './format-quantity.js'
import type { FoundFile, Measured } from './measure-file.js'

const BEST_SHOWN = 10
/** Below this a path tells nothing: the line may then be broken. */
const MIN_PATH_WIDTH = 20

interface Best extends Measured {
  /** From the folder. */
  readonly path: string
  readonly ratio: number
}

export interface Summary {
  readonly files: number
  readonly bytes: number
  readonly brotliBytes: number
  /** Bits per byte, over all bytes. */
  readonly entropy: number
  readonly best: readonly Best[]
  /** Of the files measured by this process: the time of an earlier one cannot be told when it was killed. */
  readonly here: { readonly files: number; readonly bytes: number; readonly runMs: number }
}

export interface SummarySource {
  readonly executor: Executor
  readonly earlier: EarlierRun
  readonly failures: FailureList
  readonly folder: string
  /** Epoch ms. */
  readonly startedAt: number
}

/** Reads all results, step by step. Failed jobs go to the list of failures. */
export async function gatherSummary({ executor, earlier, failures, folder, startedAt }: SummarySource): Promise<Summary> {
  const total = { files: 0, bytes: 0, brotliBytes: 0, bits: 0 }
  const here = { files: 0, bytes: 0, runMs: 0 }
  const best: Best[] = []
  for await (const job of executor.list({ state: ['completed', 'discarded'] })) {
    const { id, input, output, error, finishedAt } = job as JobInfo<FoundFile, Measured>
    if (!earlier.counts(id)) continue
    if (output === undefined) {
      failures.add(input.path, error?.message ?? 'failed')
      continue
    }
    const { sizeBytes, brotliBytes, entropy, runMs } = output
    total.files++
    total.bytes += sizeBytes
    total.brotliBytes += brotliBytes
    total.bits += entropy * sizeBytes
    if ((finishedAt ?? 0) >= startedAt) {
      here.files++
      here.bytes += sizeBytes
      here.runMs += runMs
    }
    if (sizeBytes > 0) keepBest(best, { ...output, path: relative(folder, input.path), ratio: sizeBytes / brotliBytes })
  }
  const { files, bytes, brotliBytes, bits } = total
  return { files, bytes, brotliBytes, entropy: bytes === 0 ? 0 : bits / bytes, best, here }
}

/** Keeps the list short and in order: by ratio, then by path, so that every run gives the same one. */
function keepBest(best: Best[], file: Best): void {
  const isBefore = (other: Best): boolean => file.ratio > other.ratio || (file.ratio === other.ratio && file.path < other.path)
  const place = best.findIndex(isBefore)
  if (place === -1) best.push(file)
  else best.splice(place, 0, file)
  if (best.length > BEST_SHOWN) best.pop()
}

export interface RunFacts {
  readonly threads: number
  readonly wallMs: number
  readonly isResumed: boolean
  /** Symbolic links, and what else is no file. */
  readonly leftOut: number
  /** Columns a line may have. */
  readonly width: number
}

/** The table, line by line. */
export function summaryLines(summary: Summary, { threads, wallMs, isResumed, leftOut, width }: RunFacts): string[] {
  const { files, bytes, brotliBytes, entropy, best, here } = summary
  const share = bytes === 0 ? '' : ` (${((brotliBytes / bytes) * 100).toFixed(1)} %)`
  const seconds = Math.max(wallMs, 1) / 1000
  const since = isResumed ? ', since it was resumed' : ''
  const lines = [
    `Done in ${wallMs < 60_000 ? formatSeconds(wallMs) : formatClock(wallMs)}.`,
    '',
    `  files        ${formatCount(files)}`,
    `  bytes        ${formatBytes(bytes)}, ${entropy.toFixed(2)} bits of entropy per byte`,
    `  compressed   ${formatBytes(brotliBytes)}${share}, brotli at quality 5`,
    `  rate         ${formatCount(here.files / seconds)} jobs/s, ${formatBytes(here.bytes / seconds)}/s${since}`,
    `  speed-up     ${(here.runMs / Math.max(wallMs, 1)).toFixed(2)} on ${plural(threads, 'thread')}: ` +
      `${formatSeconds(here.runMs)} of work in ${formatSeconds(wallMs)}${since}`,
  ]
  if (leftOut > 0)
    lines.push(`  left out     ${plural(leftOut, 'symbolic link or special file', 'symbolic links and special files')}`)
  if (best.length > 0) lines.push('', ...bestTable(best, width))
  return lines
}

function bestTable(best: readonly Best[], width: number): string[] {
  const heading = best.length === BEST_SHOWN ? 'The ten most compressible:' : 'By how well they compress:'
  const rows = [
    { cells: ['ratio', 'size', 'brotli', 'entropy', 'SHA-256      '], path: 'path' },
    ...best.map(({ ratio, sizeBytes, brotliBytes, entropy, sha256, path }) => ({
      cells: [
        `${ratio.toFixed(1)}×`,
        formatBytes(sizeBytes),
        formatBytes(brotliBytes),
        entropy.toFixed(2),
        `${sha256.slice(0, 12)}…`,
      ],
      path: printable(path),
    })),
  ]
  const widthOf = (column: number): number => Math.max(...rows.map(({ cells }) => cells[column]?.length ?? 0))
  const lines = rows.map(({ cells, path }) => {
    const numbers = `  ${cells.map((cell, column) => cell.padStart(widthOf(column))).join('  ')}  `
    return numbers + shorten(path, Math.max(MIN_PATH_WIDTH, width - numbers.length))
  })
  return [heading, ...lines]
}
