/** The store audit as tests use it: every line is a failure. */
import type { AuditOptions } from '../../src/maintenance/store-audit.js'
import { auditStore } from '../../src/maintenance/store-audit.js'
import type { Engine } from '../../src/store/engine.js'

/** What is wrong with the store, one line each; empty when nothing is. */
export function checkStore(engine: Engine, options: AuditOptions = {}): string[] {
  return auditStore(engine, options).problems.map(({ text }) => text)
}
