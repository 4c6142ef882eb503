/** What is wrong with an input, in words: what its schema says, and which one of many it is. */
import type { InputIssue } from '../base/errors.js'
import { InvalidInputError, MillraceError } from '../base/errors.js'
import { describeThrown, describeValue, nearestName } from '../base/problems.js'
import type { StandardResult, StandardSchema } from '../base/standard-schema.js'
import type { CompiledDefinition } from '../job/define-job.js'
import { formatIssues, toInputIssues } from '../job/input-issues.js'

/** Issues reported of one `enqueueMany`. */
export const MAX_ISSUES = 20
/** Queues named when an unknown one is asked for. */
const QUEUES_SHOWN = 5

type Result = StandardResult<unknown>

/** What the schema says of an input. One that throws, or answers with something else, finds it unfit. */
export function runSchema(schema: StandardSchema, input: unknown): Result | Promise<Result> {
  try {
    const answer: unknown = schema['~standard'].validate(input)
    return answer instanceof Promise ? answer.then(asResult, asUnfit) : asResult(answer)
  } catch (thrown) {
    return asUnfit(thrown)
  }
}

function asResult(answer: unknown): Result {
  if (typeof answer === 'object' && answer !== null) return answer as Result
  return { issues: [{ message: `the schema returned ${describeValue(answer)}, which is no result of a Standard Schema` }] }
}

function asUnfit(thrown: unknown): Result {
  return { issues: [{ message: `the schema threw ${describeThrown(thrown)}` }] }
}

/** The parsed input. @throws InvalidInputError */
export function accept(result: Result, name: string): unknown {
  if (result.issues === undefined) return result.value
  throw refusal(name, toInputIssues(result.issues))
}

export function refusal(name: string, issues: readonly InputIssue[]): InvalidInputError {
  return new InvalidInputError(
    `The input of job "${name}" does not fit its schema: ${formatIssues(issues)}. Nothing was enqueued.`,
    issues,
  )
}

/** The refusal of one input of many, by its index. What the caller's own code threw stays what it was. */
export function atIndex(error: unknown, index: number): unknown {
  if (!(error instanceof MillraceError)) return error
  const { code, message, cause } = error
  return new MillraceError(
    code,
    `Nothing was enqueued, because of input ${index}: ${message}`,
    cause === undefined ? undefined : { cause },
  )
}

export function unknownQueue(job: string, queue: string, known: readonly string[]): MillraceError {
  const nearest = nearestName(queue, known)
  const shown = known.slice(0, QUEUES_SHOWN).map((name) => `"${name}"`)
  if (known.length > QUEUES_SHOWN) shown.push(`${known.length - QUEUES_SHOWN} more`)
  return new MillraceError(
    'MILLRACE_UNKNOWN_QUEUE',
    `Job "${job}" was to go to queue "${queue}", which this executor does not have.${nearest === undefined ? '' : ` Did you mean "${nearest}"?`} It has ${shown.join(', ')}; name the queue in the option queues of openExecutor.`,
  )
}

/**
 * The thread of a handler that lies apart does not know the schema, so the main thread applies it again when it hands the job
 * over; it cannot wait for it there.
 */
export function refuseAsyncChange({ apart, name }: CompiledDefinition): void {
  if (!apart) return
  throw new MillraceError(
    'MILLRACE_INVALID_DEFINITION',
    `The schema of job "${name}" is asynchronous and changes its input, and the handler lies in a module of its own, which does not know the schema. Make the schema synchronous, or define run beside it.`,
  )
}
