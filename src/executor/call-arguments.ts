/** What calls that name a definition take behind it. Types only. */
import type { EnqueueOptions } from '../options/enqueue-options.js'
import type { ScheduleOptions } from '../options/schedule-options.js'

/** The arguments behind the definition: an input that may be undefined may be left out. */
export type EnqueueArguments<Input> = undefined extends Input
  ? [input?: Input, options?: EnqueueOptions]
  : [input: Input, options?: EnqueueOptions]

/** The arguments of `schedule` behind the definition. */
export type ScheduleArguments<Input> = undefined extends Input
  ? [input?: Input, options?: ScheduleOptions]
  : [input: Input, options?: ScheduleOptions]
