import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BULK_IDS } from '../../src/base/limits.js'
import { CANCEL_MANY, PURGE, RETRY_MANY } from '../../src/executor/bulk.js'
import { compileBulkFilter, compileBulkOptions } from '../../src/executor/bulk-options.js'
import { formatJobId } from '../../src/job/job-id.js'
import { withCode } from '../support/executor.js'

const MARK = 7
const id = (seq: number): string => formatJobId(seq, 0, 127, MARK)

test('a filter of many restricts something, or says that it does not', () => {
  for (const filter of [{}, { limit: 3 }, { all: undefined }])
    assert.throws(() => compileBulkFilter(filter, CANCEL_MANY, MARK), withCode('MILLRACE_INVALID_OPTIONS', /all: true/))
  assert.throws(() => compileBulkFilter({ all: false }, CANCEL_MANY, MARK), withCode('MILLRACE_INVALID_OPTIONS'))
  assert.throws(
    () => compileBulkFilter({ all: true, name: 'x' }, CANCEL_MANY, MARK),
    withCode('MILLRACE_INVALID_OPTIONS', /together/),
  )
  for (const filter of [{ all: true }, { queue: 'q' }, { name: 'n' }, { state: [] }, { ids: [] }, { olderThan: 0 }])
    compileBulkFilter(filter, CANCEL_MANY, MARK)
  compileBulkFilter({}, PURGE, MARK)
})

test('the states that are meant without a word', () => {
  assert.deepEqual([...compileBulkFilter({ all: true }, RETRY_MANY, MARK).states], ['discarded', 'retryable'])
  assert.deepEqual([...compileBulkFilter({ ids: [id(1)] }, RETRY_MANY, MARK).states], RETRY_MANY.states)
  assert.deepEqual([...compileBulkFilter({ state: 'cancelled' }, RETRY_MANY, MARK).states], ['cancelled'])
})

test('every problem is listed in one error', () => {
  const filter = { state: ['running', 'gone'], queue: 1, name: 2, ids: ['x'], olderThan: 'later', limit: -1, than: 3 }
  try {
    compileBulkFilter(filter, RETRY_MANY, MARK)
    assert.fail('it was taken')
  } catch (error) {
    const { message } = error as Error
    for (const field of ['state', 'queue', 'name', 'ids', 'olderThan', 'limit', 'than'])
      assert.match(message, new RegExp(`- ${field}: `), message)
    assert.match(message, /retryMany does nothing with running jobs/)
  }
  assert.throws(
    () => compileBulkOptions({ dryRun: 'yes', onProgress: 1, dry: 1 }, 'purge'),
    withCode('MILLRACE_INVALID_OPTIONS', /onProgress/),
  )
  assert.throws(() => compileBulkOptions({ reason: 1 }, 'cancelMany'), withCode('MILLRACE_INVALID_OPTIONS', /reason/))
  for (const call of ['retryMany', 'purge'] as const)
    assert.throws(() => compileBulkOptions({ reason: 'why' }, call), withCode('MILLRACE_INVALID_OPTIONS', /reason/))
})

test('ids count once, and are bounded', () => {
  const { ids } = compileBulkFilter({ ids: new Set([id(1), id(2), id(1)]) }, CANCEL_MANY, MARK)
  assert.deepEqual(
    ids?.map(({ seq }) => seq),
    [1, 2],
  )
  function* endless(): Generator<string> {
    for (let seq = 1; ; seq++) yield id(seq)
  }
  assert.throws(
    () => compileBulkFilter({ ids: endless() }, CANCEL_MANY, MARK),
    withCode('MILLRACE_INVALID_OPTIONS', new RegExp(String(BULK_IDS))),
  )
})
