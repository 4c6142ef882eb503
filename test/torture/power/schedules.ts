/** Holds the schedules of a store that a power cut has left against what was told of them. */
import type { ScheduleLine } from '../../fixtures/power/deeds.js'

/** @param lines - what was told until the cut, in order; calls of one name come one after another */
export function scheduleProblems(lines: readonly ScheduleLine[], names: readonly string[]): string[] {
  /** Whether the schedule of the name may be there, and may not be. */
  const may = new Map<string, Set<boolean>>()
  for (const line of lines) {
    if (line.is === 'scheduled') may.set(line.name, new Set([line.stands]))
    if (line.is === 'scheduling') may.set(line.name, new Set([...(may.get(line.name) ?? [false]), line.stands]))
  }
  const lost = [...may].filter(([name, states]) => !states.has(false) && !names.includes(name))
  const left = names.filter((name) => may.get(name)?.has(true) !== true)
  return [
    ...lost.map(([name]) => `[lost] the schedule '${name}' was made, and is not there`),
    ...left.map((name) => `[unexpected] the schedule '${name}' is there, and was removed or never made`),
  ]
}

export function isScheduleLine(line: { readonly is: string }): line is ScheduleLine {
  return line.is === 'scheduling' || line.is === 'scheduled' || line.is === 'schedules'
}
