/** What a schema found wrong with an input, as users read it. */
import type { InputIssue } from '../base/errors.js'
import type { StandardIssue } from '../base/standard-schema.js'

export function toInputIssues(issues: readonly StandardIssue[]): InputIssue[] {
  return issues.map((issue) => ({
    message: issue.message,
    path: (issue.path ?? []).map((step) => {
      const key = typeof step === 'object' ? step.key : step
      return typeof key === 'symbol' ? String(key) : key
    }),
  }))
}

/** One line: `width: expected number (and 2 more)`, or all of them, parted by semicolons. */
export function formatIssues(issues: readonly InputIssue[]): string {
  return issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`)).join('; ')
}
