/**
 * The process that opens a store of an earlier format and dies at a given place, or lets everything in it come to its end.
 *
 * Argument: a `MigrationChildConfig` as JSON. Tells its parent by `journal-line`.
 */
import { systemClock } from '../../../src/base/clock.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import { complain, listen } from '../../fixtures/crash/caller.js'
import type { Fault } from '../../fixtures/crash/faults.js'
import { openFaultyEngine } from '../../fixtures/crash/faults.js'
import { tell } from '../../fixtures/crash/journal-line.js'
import { openSample } from '../../support/sample-store.js'
import { dieAt, pass, placesPassed, watchEngine, watchThreads } from './points.js'

export interface MigrationChildConfig {
  readonly directory: string
  /** 0: nowhere. */
  readonly place: number
  readonly fault?: Fault
}

const { directory, place, fault } = JSON.parse(process.argv[2] ?? '') as MigrationChildConfig
process.on('warning', (warning) => complain('a warning', warning))
dieAt(place)
watchThreads()
tell({ is: 'opening' })
pass('open: before')
const options = { durability: 'disk', clock: systemClock } as const
const engine = fault === undefined ? await openLmdbEngine(directory, options) : await openFaultyEngine(directory, fault)
pass('open: files open')
const executor = await openSample(directory, { engine: watchEngine(engine) })
pass('open: done, nothing told')
listen(executor)
pass('open: done')
for await (const { id, state } of executor.list({ name: 'patient' })) if (state !== 'cancelled') await executor.cancel(id)
await executor.drain()
await executor.close({ grace: 0 })
tell({ is: 'passed', places: placesPassed() })
