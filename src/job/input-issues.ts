/** What a schema found wrong with an input, as users read it. */
import type { InputIssue } from '../base/errors.js'
import type { StandardIssue } from '../base/standard-schema.js'

export function toInputIssues(issues: readonly StandardIssue[]): InputIssue[] {
  return issues.map((issue) => ({
    message: String(issue.message),
    path: (issue.path ?? []).map((step) => {
      const key = typeof step === 'object' ? step.key : step
      return typeof key === 'symbol' ? String(key) : key
    }),
  }))
}

/** Characters of all issues together, and of one. An input of a million entries may have as many things wrong with it. */
const ALL_CHARACTERS = 1000
const ONE_CHARACTERS = 300

/** One line, the issues parted by semicolons: `width: expected number; height: expected number; and 2 more`. */
export function formatIssues(issues: readonly InputIssue[]): string {
  let text = ''
  for (const [index, { path, message }] of issues.entries()) {
    const line = path.length === 0 ? message : `${path.join('.')}: ${message}`
    if (index > 0 && text.length + Math.min(line.length, ONE_CHARACTERS) > ALL_CHARACTERS) {
      return `${text}; and ${issues.length - index} more`
    }
    text += `${index === 0 ? '' : '; '}${line.length <= ONE_CHARACTERS ? line : `${line.slice(0, ONE_CHARACTERS)}…`}`
  }
  return text
}
