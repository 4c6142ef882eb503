/**
 * The demo's job: one file, measured in a thread. A small file is read whole; a large one passes through in parts, so that memory
 * stays the same whatever its size. Brotli then decides on less of it at a time: its size comes out up to a per cent off.
 */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { brotliCompressSync, constants, createBrotliCompress } from 'node:zlib'
import { defineJob, FatalError } from '../../index.js'
import type { JobContext } from '../../index.js'

/** A file as it was found. The three together tell whether it is still the same one. */
export interface FoundFile {
  /** Absolute. */
  readonly path: string
  readonly sizeBytes: number
  /** Epoch ms, with the fraction the file system keeps. */
  readonly modifiedMs: number
}

/** What a job leaves behind. */
export interface Measured {
  /** As read: the file may have grown since it was found. */
  readonly sizeBytes: number
  readonly sha256: string
  /** Bits per byte, from 0 (one value only) to 8 (noise). */
  readonly entropy: number
  readonly brotliBytes: number
  readonly runMs: number
}

/** Above this a file is not read whole: a thread holds the file and its compressed form at the same time. */
const WHOLE_FILE_BYTES = 32 * 1024 * 1024
const PART_BYTES = 256 * 1024
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }

/** A limit nobody meets but a file that hangs, as on a network drive that is gone: a minute, and a second for each MB. */
const timeoutMs = (file: FoundFile): number => 60_000 + Math.ceil(file.sizeBytes / 1e6) * 1000

export const measureFile = defineJob({
  name: 'measure-file',
  module: import.meta.url,
  timeout: timeoutMs,
  // Large files first, as far as they are known: one that starts last keeps a single thread busy at the end.
  priority: (file: FoundFile) => (file.sizeBytes > WHOLE_FILE_BYTES ? 1 : 0),
  // A file that cannot be read is reported. It is there for the next run.
  maxRetries: 0,
  run: async (file: FoundFile, ctx: JobContext): Promise<Measured> => {
    const startedMs = performance.now()
    try {
      const measured = await measure(file.path, ctx)
      return { ...measured, runMs: performance.now() - startedMs }
    } catch (error) {
      throw refusal(error) ?? error
    }
  },
})

type Measures = Omit<Measured, 'runMs'>

async function measure(path: string, ctx: JobContext): Promise<Measures> {
  const file = openSync(path, 'r')
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new FatalError('is not a regular file any more')
    if (stat.size <= WHOLE_FILE_BYTES) return measureWhole(readFileSync(file))
    return await measureInParts(file, stat.size, ctx)
  } finally {
    closeSync(file)
  }
}

function measureWhole(bytes: Buffer): Measures {
  const histogram = new Histogram()
  histogram.add(bytes)
  return {
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    entropy: histogram.entropy(),
    brotliBytes: brotliCompressSync(bytes, BROTLI).length,
  }
}

async function measureInParts(file: number, expectedBytes: number, ctx: JobContext): Promise<Measures> {
  const histogram = new Histogram()
  const hash = createHash('sha256')
  let sizeBytes = 0
  let brotliBytes = 0
  await pipeline(
    async function* () {
      for (const part of readParts(file)) {
        histogram.add(part)
        hash.update(part)
        sizeBytes += part.length
        ctx.progress(sizeBytes / expectedBytes)
        yield part
      }
    },
    createBrotliCompress({ ...BROTLI, chunkSize: PART_BYTES }),
    async (parts: AsyncIterable<Buffer>) => {
      for await (const part of parts) brotliBytes += part.length
    },
    { signal: ctx.signal },
  )
  return { sizeBytes, sha256: hash.digest('hex'), entropy: histogram.entropy(), brotliBytes }
}

/** The thread has nothing else to do: it may as well wait for the disk. */
function* readParts(file: number): Generator<Buffer, void> {
  for (;;) {
    const part = Buffer.allocUnsafe(PART_BYTES)
    const length = readSync(file, part)
    if (length === 0) return
    yield part.subarray(0, length)
  }
}

/** How often each byte value occurs. */
class Histogram {
  /** Not whole numbers of 32 bits: a file of zeros may be larger than 4 GB. */
  readonly #counts = new Float64Array(256)
  #total = 0

  add(bytes: Buffer): void {
    const counts = new Uint32Array(256)
    for (let index = 0; index < bytes.length; index++) {
      const value = bytes[index] as number
      counts[value] = (counts[value] as number) + 1
    }
    for (const [value, count] of counts.entries()) this.#counts[value] = (this.#counts[value] as number) + count
    this.#total += bytes.length
  }

  /** Shannon's: the sum of -p · log2 p over the byte values. 0 for an empty file. */
  entropy(): number {
    let bits = 0
    for (const count of this.#counts) {
      if (count > 0) bits -= (count / this.#total) * Math.log2(count / this.#total)
    }
    return bits
  }
}

/** What the system says about a file, in words. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'vanished before it was read',
  ENOTDIR: 'vanished before it was read',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'is not a regular file any more',
  ELOOP: 'is not a regular file any more',
  ENAMETOOLONG: 'its path is too long',
  EIO: 'could not be read from the disk',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
}

/** Why a path cannot be read, from what the system said; undefined if it was not the system. */
export function reasonOf(error: unknown): string | undefined {
  const { code, syscall } = error as NodeJS.ErrnoException
  if (typeof code !== 'string' || syscall === undefined) return undefined
  return `${REASONS[code] ?? 'could not be read'} (${code})`
}

/** Another attempt would say the same. */
function refusal(error: unknown): FatalError | undefined {
  const reason = reasonOf(error)
  return reason === undefined ? undefined : new FatalError(reason, { cause: error })
}
