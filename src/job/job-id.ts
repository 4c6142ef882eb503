/**
 * A job's id: what a program stores to find the job again.
 *
 * 20 characters of Crockford's base 32, lower case: number of the job (10), queue and priority (5), mark of the store (5).
 * Ids of one store sort in the order of enqueueing. Queue and priority are in it because they are where the record lies;
 * the mark is drawn when a store is made, so that an id kept from a deleted store is refused instead of finding another job.
 */
import { MillraceError } from '../base/errors.js'

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]))
const SEQ_DIGITS = 10
const LANE_DIGITS = 5
const MARK_DIGITS = 5

/** Keys hold 48 bits; a search looks one further. */
const MAX_SEQ = 2 ** 48 - 2
/** 16 bits of the queue, 8 of the priority. */
const MAX_LANE = 2 ** 24 - 1

/** Marks are below this. */
export const STORE_MARKS = 32 ** MARK_DIGITS

export interface JobAddress {
  readonly seq: number
  readonly queueId: number
  readonly rank: number
}

function digits(value: number, count: number): string {
  let text = ''
  for (let position = 0; position < count; position++) {
    text = DIGITS.charAt(value % 32) + text
    value = Math.floor(value / 32)
  }
  return text
}

function parse(text: string): number {
  let value = 0
  for (const character of text) {
    const digit = VALUES.get(character)
    if (digit === undefined) return Number.NaN
    value = value * 32 + digit
  }
  return value
}

export function formatJobId(seq: number, queueId: number, rank: number, mark: number): string {
  return digits(seq, SEQ_DIGITS) + digits(queueId * 256 + rank, LANE_DIGITS) + digits(mark, MARK_DIGITS)
}

/**
 * @throws MillraceError `MILLRACE_INVALID_ID` when the text is no id, or one of another store
 */
export function parseJobId(id: unknown, mark: number): JobAddress {
  const length = SEQ_DIGITS + LANE_DIGITS + MARK_DIGITS
  const seq = typeof id === 'string' ? parse(id.slice(0, SEQ_DIGITS)) : Number.NaN
  const lane = typeof id === 'string' ? parse(id.slice(SEQ_DIGITS, SEQ_DIGITS + LANE_DIGITS)) : Number.NaN
  // Numbers and queues beyond what a key holds were never given.
  if (typeof id !== 'string' || id.length !== length || Number.isNaN(parse(id)) || seq > MAX_SEQ || lane > MAX_LANE) {
    const shown = typeof id === 'string' ? JSON.stringify(id.slice(0, 64)) : `a value of type ${typeof id}`
    throw new MillraceError('MILLRACE_INVALID_ID', `${shown} is not a job id: an id is the ${length}-character string in job.id.`)
  }
  if (parse(id.slice(SEQ_DIGITS + LANE_DIGITS)) !== mark) {
    throw new MillraceError(
      'MILLRACE_INVALID_ID',
      `The job id ${JSON.stringify(id)} belongs to another store: this directory was made anew since, or the id comes from elsewhere.`,
    )
  }
  return { seq, queueId: Math.floor(lane / 256), rank: lane % 256 }
}
