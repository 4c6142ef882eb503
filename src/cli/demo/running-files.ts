/** What each thread is doing, in files instead of jobs. */
import { relative } from 'node:path'
import type { Executor, JobInfo } from '../../index.js'
import { formatBytes, formatSeconds, printable, shorten } from './format-quantity.js'
import type { FoundFile } from './measure-file.js'

export interface RunningFiles {
  /** One line for each thread. */
  readonly lines: (width: number) => string[]
  /** What the threads have done of the files they are at. */
  readonly doneBytes: number
}

/** The names come from the store: it is asked for one job per thread, and nothing has to be kept of the others. */
export async function readRunningFiles(executor: Executor, folder: string): Promise<RunningFiles> {
  const threads = await Promise.all(
    executor.stats().threads.map(async ({ state, job }) => {
      if (job === undefined) return { state, runMs: 0, info: undefined }
      const info = (await executor.get(job.id)) as JobInfo<FoundFile> | undefined
      return { state, runMs: job.runMs, info }
    }),
  )
  let doneBytes = 0
  for (const { info } of threads) doneBytes += (info?.progress?.fraction ?? 0) * (info?.input.sizeBytes ?? 0)
  const lines = (width: number): string[] =>
    threads.map(({ state, runMs, info }, index) => {
      const head = `  ${String(index + 1).padStart(String(threads.length).length)}  `
      if (info === undefined) return head + state
      const { path, sizeBytes } = info.input
      const fraction = info.progress === undefined ? '' : `  ${Math.floor(info.progress.fraction * 100)} %`
      const tail = `  ${formatBytes(sizeBytes)}  ${formatSeconds(runMs)}${fraction}`
      return head + shorten(printable(relative(folder, path)), width - head.length - tail.length) + tail
    })
  return { lines, doneBytes }
}
