/**
 * Every bound of the library in one place, each with its reason. A limit that users can change has its default here.
 */

const KIB = 1024
const MIB = 1024 * KIB

/** Default of `limits.payloadBytes`: an input or output above this belongs in a file, with its path as the payload. */
export const DEFAULT_PAYLOAD_BYTES = 16 * MIB
/** Highest `limits.payloadBytes`: the payload is copied once on the main thread, and 1 GiB takes about a second. */
export const MAX_PAYLOAD_BYTES = 1024 * MIB
/** Payloads above this lie in a table of their own, so that a retry or a cancel does not write them again. */
export const INLINE_PAYLOAD_BYTES = 32 * KIB

/** A page of jobs is sealed at this size. Four LMDB pages: large enough to spread the cost of one put over ~150 small jobs, small enough for the free list to refill. */
export const PAGE_BYTES = 16 * KIB
/** Jobs in one page; their index travels as 16 bits, and a page's done marks stay below 64 bytes. */
export const PAGE_JOBS = 512

/** Jobs in one batch; indexes travel as 16 bits. */
export const BATCH_JOBS = 2048
/** Encoded input of one batch. Above it the copy to the thread takes longer than a millisecond. */
export const BATCH_BYTES = 1 * MIB
/** A queue's turn in a batch, in estimated run time, while other queues have work for the thread too. */
export const QUEUE_TURN_MS = 4
/** Jobs in the first batches of a definition whose run time is unknown, over all threads. */
export const BATCH_JOBS_UNMEASURED = 8
/** What a job of unknown run time is taken for. */
export const UNMEASURED_MS = 0.5
/** A job is slow when it has run twice as long as expected and this much more: nothing waits behind it any longer. */
export const SLOW_MS = 12
/** What a thread may hold of others' time: whoever comes first in the order waits no longer than this for work that could be taken back. */
export const MAKE_ROOM_MS = 8
/** About what a thread takes to start, in ms of processor time. */
export const THREAD_START_MS = 40
/** A batch sent less than this ago is not moved to another thread. */
export const JUST_SENT_MS = 3
/** The shared area in which a thread leaves the outcomes of a batch. One that does not fit travels by itself. */
export const OUTCOME_AREA_BYTES = 256 * KIB
/** Batches with work that a thread may hold: one running, one in reserve, so that it never waits for a commit. */
export const BATCHES_PER_THREAD = 2
/** All batches a thread may hold: those whose jobs were taken back stay until it comes by. */
export const BATCHES_SENT = 4

/** Waiting jobs whose place in the order is kept in memory, per lane (a queue's jobs of one priority), in pages. */
export const WINDOW_PAGES = 64
/** Bytes of waiting pages kept in memory over all lanes; the rest is read back when its turn comes. */
export const WINDOW_BYTES = 16 * MIB

/** A limit key's turn in a batch, in estimated run time, while other keys of its queue have work for the thread too. */
export const KEY_TURN_MS = 4
/** Keys of a queue that are known in memory at a time, some 600 bytes each. Those beyond it lie in the store, and are found as others have had their turn. */
export const KEYS_KNOWN = 100_000
/** Keys looked for in the store by one pick, until all are known: some 10 µs each. */
export const KEYS_FOUND = 32
/** Fronts of keyed lanes looked at to tell which job waits longest: more have changed only if that many were not asked about. */
export const FRONT_LOOKS = 32
/** Pages of one key's lane read at a time: most keys have few jobs, and there may be many keys. */
export const KEYED_WINDOW_PAGES = 2
/** Pages of keyed lanes kept in memory over all of a queue's keys. */
export const KEYED_PAGES = 8192

/** Moments kept of a rate's starts; starts of moments nearer to each other than this share of its span count as of the later one. */
export const RATE_MOMENTS = 32
/** Longest span of a rate: what was started is known that long. */
export const MAX_RATE_MS = 366 * 24 * 60 * 60 * 1000
/** Records of rates looked at for each one that is written, so that those that have run out do not gather. */
export const RATE_SWEEP = 4
/** Default of a queue's `ageing`. */
export const DEFAULT_AGEING_MS = 10 * 60 * 1000

/** Encoded, not yet committed input the main thread holds before `enqueue` makes its callers wait. */
export const BACKPRESSURE_BYTES = 64 * MIB
/** Calls of `enqueue` that may wait for that; only a loop that does not await gets there, and is refused. */
export const BACKPRESSURE_CALLS = 100_000
/** Bytes one commit takes from the waiting enqueues; the next commit takes more. An `enqueueMany` is never split. */
export const COMMIT_BYTES = 4 * MIB

/** Scheduled jobs moved to their queue in one commit. */
export const PROMOTE_JOBS = 512
/** Blocks of finished jobs removed in one commit. */
export const PRUNE_BLOCKS = 64
/** Waiting jobs discarded in one commit because their `startBefore` has passed. */
export const EXPIRE_JOBS = 512
/** Schedules of a store: all of them are kept in memory, a few KB each at most, and looked through when one is due. */
export const MAX_SCHEDULES = 10_000
/** Longest name of a schedule, in UTF-8 bytes: with `schedule:` in front it is a key of the store. */
export const SCHEDULE_NAME_BYTES = 55
/** Largest encoded input of a schedule: it is kept in memory, and stored again at each run. */
export const SCHEDULE_INPUT_BYTES = 4 * KIB
/** Longest cron pattern, in characters. */
export const CRON_CHARACTERS = 200
/** Shortest period of a schedule: below it, what is meant is a loop in a handler. */
export const EVERY_MIN_MS = 1000
/** Runs that schedules enqueue in one commit: computing the next instant takes about 0.1 ms. */
export const SCHEDULE_RUNS = 16
/** Missed runs that `misfire: 'all'` makes up for. */
export const MISFIRE_RUNS = 100
/** How late a run may be with `misfire: 'skip'`: longer than a restart takes, and than the due timer may sleep. */
export const MISFIRE_GRACE_MS = 60_000
/** Jobs that one step of a call for many jobs changes, and with them one commit. A page or a block is not cut for it. */
export const BULK_JOBS = 512
/** Pages, or blocks of finished jobs, that one step reads when nothing in them fits: about a megabyte. */
export const BULK_RECORDS = 64
/** Finished jobs that one step looks at. */
export const BULK_LOOKS = 16_384
/** Ids that one call takes: they are checked before its first step. */
export const BULK_IDS = 10_000
/** The longest sleep of the due timer: a wall clock that jumps is noticed within this. */
export const MAX_TIMER_MS = 30_000

/** Attempts kept per job: the first, and the latest ones. */
export const ATTEMPTS_KEPT = 20
/** An error's message, stack and data as stored, in characters. */
export const ERROR_TEXT = { message: 4 * KIB, stack: 4 * KIB, data: 4 * KIB, causes: 4 } as const

/** Definitions are interned as 16 bits. */
export const MAX_NAMES = 65_535
/** Queues as 15: the first bit of a page's key says whether it lies in the lane of a limit key. */
export const MAX_QUEUES = 32_767
/** Pairs of a queue and a definition that have statistics of their own; the others share one. Each holds up to 25 KB, 8 KB when little happens. */
export const MAX_SERIES = 4096
/** Longest name of a queue or a definition, in UTF-8 bytes. */
export const NAME_BYTES = 200
/** Priorities are stored as one byte. */
export const PRIORITY_MIN = -128
export const PRIORITY_MAX = 127

/** Longest key of a unique job, in UTF-8 bytes: it is stored with the job, and only its hash in the index. */
export const UNIQUE_KEY_BYTES = 512
/** Longest `unique.within`, a year: what holds its key for the sake of time alone is nobody else's to clear away. */
export const UNIQUE_WITHIN_MS = 365 * 24 * 60 * 60 * 1000
/** Keys whose time is over that one commit removes. */
export const EXPIRE_KEYS = 512

/** Default of `maxCrashes`: how often a job may take the process down, alone, before it is quarantined. */
export const DEFAULT_MAX_CRASHES = 3
/** Default of `retain.jobs`, per state, and of `retain.age`. */
export const DEFAULT_RETAIN_JOBS = 1000
export const DEFAULT_RETAIN_AGE_MS = 24 * 60 * 60 * 1000

/** Highest `threads`: each takes some 10 MB, and no machine of today has more cores. */
export const MAX_THREADS = 1024

/** Lowest `resourceLimits.maxOldGenerationSizeMb`: with 1 or 2 MB Node 22 and later abort the whole process, and below this no thread gets as far as a job. */
export const THREAD_HEAP_MB_MIN = 16

/** Default of `abortGrace`: what a job has after its signal is aborted before its thread is terminated. */
export const DEFAULT_ABORT_GRACE_MS = 1000
/** Default of `close({ grace })`. */
export const DEFAULT_CLOSE_GRACE_MS = 25_000
/** What the teardowns of a thread that is being replaced have together, before it is terminated. */
export const TEARDOWN_MS = 1000
/** A thread that has not exited this long after `terminate()` counts as stuck. */
export const STUCK_AFTER_MS = 500
/** How often the process's memory is looked at when there is `limits.memoryBytes`: reading it takes some 10 µs. */
export const MEMORY_LOOK_MS = 100
/** Memory is below its limit again when it is below this share of it, so that claims do not flutter … */
export const MEMORY_RESUME_SHARE = 0.9
/** … or when so many looks in a row have found it below the limit itself. */
export const MEMORY_RESUME_LOOKS = 10
/** A thread that holds less is not replaced for the sake of memory: a fresh one has nearly as much. */
export const MEMORY_THREAD_BYTES = 16 * MIB
/** What a thread holds is told when it has changed by this much. */
export const MEMORY_STEP_BYTES = 1 * MIB
/** Default of `doctor`'s `timeout`. It reads some 200 MB/s, so this is enough for a store of hundreds of GB; what takes longer hangs. */
export const DEFAULT_DOCTOR_MS = 60 * 60 * 1000
/** Progress messages of one job are sent at most this often. */
export const PROGRESS_INTERVAL_MS = 50
/** Clients of the control socket at a time, and calls under way for them; a person at a terminal uses one or two. */
export const CONTROL_CLIENTS = 16
/** One request over the control socket, in bytes: a larger input is for the program itself to enqueue. */
export const CONTROL_REQUEST_BYTES = 1 * MIB
/** Requests are begun so far apart, over all clients: at most 500 a second, each about as dear as an `enqueue`. */
export const CONTROL_GAP_MS = 2
/** A client that has not sent a whole request for so long is let go. */
export const CONTROL_IDLE_MS = 60_000
/** A client that has not taken an answer for so long is let go. */
export const CONTROL_SEND_MS = 10_000
/** A call that takes longer tells this often that it is still at work. */
export const CONTROL_PULSE_MS = 1000
/** Jobs that are sent together; the host's loop turns in between. */
export const CONTROL_ITEMS = 32
/** Of an input or output, what is shown as JSON, in characters. */
export const CONTROL_SHOWN_CHARACTERS = 64 * KIB
/** Longest path of a Unix socket, in bytes: 104 on macOS and 108 on Linux, with the zero at its end. */
export const SOCKET_PATH_BYTES = 103

/** Longest wait for an instant in the future: the largest date JavaScript can hold. */
export const MAX_INSTANT = 8_640_000_000_000_000

/** `value`, or the bound it lies beyond. */
export function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}
