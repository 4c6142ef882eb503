/** `millrace doctor`: what is wrong with a store, for people or as JSON. Its exit codes are in its help. */
import { type DoctorProblem, type DoctorReport, doctor as examine, isMillraceError, type StoreFacts } from '../../index.js'
import { formatBytes, formatCount, plural, printable } from '../demo/format-quantity.js'

export interface DoctorCommand {
  readonly directory: string
  readonly repair: boolean
  /** Undefined: as long as `doctor` allows. */
  readonly timeoutMs: number | undefined
  readonly json: boolean
}

const EXIT_CODES = { healthy: 0, problems: 1, repaired: 4 } as const
const EXIT_IN_USE = 3
/** Lines of one kind; the JSON has all of them. */
const PROBLEMS_SHOWN = 40

/** Resolves with the exit code. */
export async function doctor({ directory, repair, timeoutMs, json }: DoctorCommand): Promise<number> {
  let report: DoctorReport
  try {
    report = await examine(directory, { repair, ...(timeoutMs !== undefined && { timeout: timeoutMs }) })
  } catch (error) {
    process.stderr.write(`millrace doctor: ${printable(error instanceof Error ? error.message : String(error))}\n`)
    return isMillraceError(error, 'MILLRACE_LOCKED') ? EXIT_IN_USE : EXIT_CODES.problems
  }
  process.stdout.write(json ? `${JSON.stringify(report, undefined, 2)}\n` : `${lines(report, repair).join('\n')}\n`)
  return EXIT_CODES[report.verdict]
}

function lines(report: DoctorReport, isRepair: boolean): string[] {
  const { path, verdict, problems, notes, facts, backup } = report
  const repaired = problems.filter(({ isRepaired }) => isRepaired)
  const left = problems.filter(({ isRepaired }) => !isRepaired)
  const repairable = left.filter(({ isRepairable }) => isRepairable)
  const verdicts = {
    healthy: 'healthy',
    repaired: `${plural(repaired.length, 'problem')} found, all put right`,
    problems: plural(left.length, 'problem'),
  }
  return [
    `${printable(path)}: ${verdicts[verdict]}`,
    ...section(isRepair ? 'Left:' : 'Wrong:', left),
    ...section('Put right:', repaired),
    ...notes.map((note) => `Note: ${printable(note)}.`),
    ...(facts === undefined ? [] : ['', ...factLines(facts)]),
    ...(backup === undefined ? [] : ['', `The data file as it was before the repair: ${printable(backup)}`]),
    ...(!isRepair && repairable.length > 0
      ? ['', `${formatCount(repairable.length)} of them can be put right: millrace doctor ${printable(path)} --repair`]
      : []),
  ]
}

function section(title: string, problems: readonly DoctorProblem[]): string[] {
  if (problems.length === 0) return []
  const shown = problems.slice(0, PROBLEMS_SHOWN).map(({ area, text }) => `  ${area}: ${printable(text)}`)
  const more = problems.length - shown.length
  return [title, ...shown, ...(more > 0 ? [`  … and ${formatCount(more)} more (--json lists all)`] : [])]
}

function factLines(facts: StoreFacts): string[] {
  const { sizeBytes, mapBytes, pages, pageBytes, readers, records, jobs, claimed, suspects, oldestAt, queues, definitions } =
    facts
  const counted = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${formatCount(count)} ${name}`)
      .join(', ')
  const free = pages === undefined ? '' : `, ${formatBytes(pages.free * pageBytes)} of it free`
  return [
    `file      ${formatBytes(sizeBytes)}${free}; may grow to ${formatBytes(mapBytes)}; ${plural(readers, 'reader')} besides`,
    `jobs      ${counted(jobs)}`,
    `in flight ${formatCount(claimed)}; ${formatCount(suspects)} to be run alone after a crash`,
    `records   ${counted(records)}`,
    `names     ${plural(queues, 'queue')}, ${plural(definitions, 'definition')}`,
    ...(oldestAt === undefined ? [] : [`oldest    enqueued ${new Date(oldestAt).toISOString()}`]),
  ]
}
