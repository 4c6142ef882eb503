/**
 * Reads what the shim has recorded (`shim.c` writes it): everything that a process did to its data file, and what it said
 * meanwhile, in one order.
 */
import type { Line } from '../../fixtures/crash/journal-line.js'

/** What the shim adds to the lines of a program. */
type ShimNote = { readonly is: 'count'; readonly steps: number } | { readonly is: 'fault' } | { readonly is: 'overrun' }

/** `More`: lines of a program of its own. */
export type Note<More = never> = Line | ShimNote | More

export type RecordedEvent =
  /** A write is about to be made; from now on it may be in the file. `synced`: it is durable when it has ended. */
  | {
      readonly kind: 'write'
      readonly call: number
      readonly offset: number
      readonly bytes: Buffer
      readonly synced: boolean
      readonly draft: boolean
    }
  /** `result`: the bytes written, or below 0 the negative errno. */
  | { readonly kind: 'written'; readonly call: number; readonly result: number }
  | { readonly kind: 'sync'; readonly call: number }
  | { readonly kind: 'synced'; readonly call: number; readonly result: number }
  /** The data file has taken the place of its draft `from`. */
  | { readonly kind: 'rename'; readonly from: string }
  /** A directory is about to be synced; what it names now is durable at the matching end. */
  | { readonly kind: 'names' | 'named'; readonly directory: string }
  | { readonly kind: 'note'; readonly note: Note }
  /** Something that the shim cannot follow, so that the rest of the recording means nothing. */
  | { readonly kind: 'unseen'; readonly what: string }

/** Layout: kind, synced, draft, unused (u8 each); result (i32); call, length (u32 each); offset (u64); then the bytes. */
const HEAD_BYTES = 24

/** A record that was cut off, when the process was killed within it, is left out. */
export function readRecording(log: Buffer): RecordedEvent[] {
  const events: RecordedEvent[] = []
  let at = 0
  while (at + HEAD_BYTES <= log.length) {
    const length = log.readUInt32LE(at + 12)
    const end = at + HEAD_BYTES + length
    if (end > log.length) break
    events.push(readEvent(log.subarray(at, at + HEAD_BYTES), log.subarray(at + HEAD_BYTES, end)))
    at = end
  }
  return events
}

function readEvent(head: Buffer, bytes: Buffer): RecordedEvent {
  const call = head.readUInt32LE(8)
  const result = head.readInt32LE(4)
  const kind = String.fromCharCode(head.readUInt8(0))
  switch (kind) {
    case 'w':
      return {
        kind: 'write',
        call,
        offset: Number(head.readBigUInt64LE(16)),
        bytes,
        synced: head.readUInt8(1) === 1,
        draft: head.readUInt8(2) === 1,
      }
    case 'W':
      return { kind: 'written', call, result }
    case 's':
      return { kind: 'sync', call }
    case 'S':
      return { kind: 'synced', call, result }
    case 'R':
      return { kind: 'rename', from: bytes.toString() }
    case 'n':
      return { kind: 'names', directory: bytes.toString() }
    case 'N':
      return { kind: 'named', directory: bytes.toString() }
    case 'A':
      return { kind: 'note', note: JSON.parse(bytes.toString()) as Note }
    case 'X':
      return { kind: 'unseen', what: bytes.toString() }
    default:
      throw new Error(`the recording has a record of the unknown kind ${kind}`)
  }
}
