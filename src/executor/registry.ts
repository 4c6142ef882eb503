/** The executor's definitions, by the numbers under which the store knows them. */
import { assert } from '../base/assert.js'
import { describeThrown } from '../base/problems.js'
import { DEFAULT_WEIGHT } from '../job/job-settings.js'
import { ENTRY_HISTORY, readEntry, readHistory } from '../codec/page.js'
import type { CompiledDefinition } from '../job/define-job.js'
import { hasBehindIt } from '../job/job-state.js'
import type { EffectiveSettings } from '../job/effective-settings.js'
import type { JobOverrides } from '../job/job-overrides.js'
import { effectiveSettings, startBeforeOf } from '../job/effective-settings.js'
import { formatIssues, toInputIssues } from '../job/input-issues.js'
import type { JobStore } from '../store/job-store.js'
import type { PageRef } from '../store/page-ref.js'
import { runSchema } from './check-input.js'

export class Registry {
  readonly #store: JobStore
  readonly #byId: (CompiledDefinition | undefined)[] = []
  /** Whether any of them says by when its jobs must begin. */
  readonly definitionsExpire: boolean
  /** Settings of jobs without overrides. */
  readonly #settings: (EffectiveSettings | undefined)[] = []

  constructor(store: JobStore, definitions: Iterable<CompiledDefinition>) {
    this.#store = store
    for (const definition of definitions) {
      const id = store.definitionId(definition.name)
      this.#byId[id] = definition
      this.#settings[id] = effectiveSettings(definition, undefined)
    }
    this.definitionsExpire = this.#settings.some((settings) => settings?.startBefore !== undefined)
  }

  /** Whether a job of this definition can run here. */
  canRun(id: number): boolean {
    return this.#byId[id] !== undefined
  }

  find(id: number): CompiledDefinition | undefined {
    return this.#byId[id]
  }

  byId(id: number): CompiledDefinition {
    const definition = this.#byId[id]
    assert(definition !== undefined, `a job of definition ${id} was claimed, which is not registered here`)
    return definition
  }

  name(id: number): string {
    return this.#store.definitionName(id)
  }

  /** What holds for a job when it runs. */
  settings(id: number, overrides: JobOverrides | undefined): EffectiveSettings {
    if (overrides === undefined) return (this.#settings[id] ??= effectiveSettings(undefined, undefined))
    return effectiveSettings(this.#byId[id], overrides)
  }

  /** Threads that jobs of this definition count as, unless they say otherwise. */
  weightOf(id: number): number {
    return this.#settings[id]?.weight ?? DEFAULT_WEIGHT
  }

  /** Epoch ms by which a job must begin, if it has no run behind it and was not brought back. */
  startBefore(page: PageRef, offset: number, id: number): number | undefined {
    const { data } = page
    if (((data[offset + 6] ?? 0) & ENTRY_HISTORY) !== 0) {
      const ledger = readHistory(data, readEntry(data, offset))
      if (ledger !== undefined && hasBehindIt(ledger)) return undefined
    }
    return startBeforeOf(this.settings(id, page.overrides(data[offset + 7] ?? 0)), page.header)
  }

  /** Whether inputs are checked here because the handler's module does not know the schema. */
  checksForThread(id: number): boolean {
    const definition = this.#byId[id]
    return definition !== undefined && definition.apart && definition.schema !== undefined
  }

  /**
   * What the schema makes of a stored input. One that throws, or whose answer cannot be read, finds it unfit. A promise never rejects, so
   * that whoever cannot wait for it may leave it.
   */
  parse(id: number, value: unknown): Parsed | Promise<unknown> {
    const schema = this.#byId[id]?.schema
    if (schema === undefined) return { value }
    try {
      const result = runSchema(schema, value)
      if (result instanceof Promise) return result
      return result.issues === undefined ? { value: result.value } : { problem: formatIssues(toInputIssues(result.issues)) }
    } catch (error) {
      return { problem: `the answer of the schema threw ${describeThrown(error)}` }
    }
  }
}

/** `problem`: why the input does not fit. */
export type Parsed = { readonly value: unknown; readonly problem?: undefined } | { readonly problem: string }
