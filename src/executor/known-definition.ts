/** Finds out which of an executor's definitions a call is for. */
import { MillraceError } from '../base/errors.js'
import { compiledDefinition, type CompiledDefinition, type JobDefinition } from '../job/define-job.js'

/** @throws MillraceError `MILLRACE_UNKNOWN_DEFINITION` */
export function knownDefinition(
  definition: JobDefinition<never>,
  definitions: ReadonlyMap<string, CompiledDefinition>,
): CompiledDefinition {
  const compiled = compiledDefinition(definition)
  if (compiled === undefined) {
    throw new MillraceError(
      'MILLRACE_UNKNOWN_DEFINITION',
      'The first argument must be a job definition, as defineJob returns it.',
    )
  }
  const known = definitions.get(compiled.name)
  if (known === undefined) {
    throw new MillraceError(
      'MILLRACE_UNKNOWN_DEFINITION',
      `Job "${compiled.name}" is not among the jobs of this executor. Add it to the option jobs of openExecutor.`,
    )
  }
  return known
}
