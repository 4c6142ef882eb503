import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMillraceError } from '../../src/base/errors.js'
import { cancel, FatalError, isCancel, isFatalError, isRetryError, isSnooze, RetryError, snooze } from '../../src/job/outcome.js'

test('snooze and cancel are frozen, branded records', () => {
  const slept = snooze('5m', 'busy')
  assert.deepEqual([slept.afterMs, slept.reason, Object.isFrozen(slept)], [300_000, 'busy', true])
  assert.ok(isSnooze(slept) && !isCancel(slept))
  assert.ok(!('reason' in snooze(0)))
  const stopped = cancel('gone')
  assert.deepEqual([stopped.reason, Object.isFrozen(stopped)], ['gone', true])
  assert.ok(isCancel(stopped) && !isSnooze(stopped))
  assert.ok(isCancel(cancel()))
})

test('a bad duration or reason throws at the call, with all problems', () => {
  const code = (pattern: RegExp) => (thrown: unknown) => {
    assert.ok(isMillraceError(thrown, 'MILLRACE_INVALID_OPTIONS'))
    assert.match(thrown.message, pattern)
    return true
  }
  assert.throws(() => snooze('5 parsecs' as '5s'), code(/'5 parsecs' \(string\) is not a duration; give ms/))
  assert.throws(() => snooze(-1), code(/-1 \(number\)/))
  assert.throws(() => snooze(NaN), code(/NaN/))
  assert.throws(() => snooze(Infinity), code(/return cancel\('why'\)/))
  assert.throws(() => snooze(NaN, 5 as unknown as string), code(/duration: NaN[^]*reason: 5 \(number\)/))
  assert.throws(() => cancel({} as unknown as string), code(/an object is not a string/))
  assert.throws(() => new RetryError('no', { after: '5' as '5s' }), code(/after: '5' \(string\)/))
  assert.throws(() => new RetryError('no', { after: Infinity }), code(/after: Infinity/))
})

test('the errors are errors, with names, causes and brands', () => {
  const cause = new Error('first')
  const fatal = new FatalError('no use', { cause })
  assert.deepEqual([fatal.name, fatal.message, fatal.cause, fatal instanceof Error], ['FatalError', 'no use', cause, true])
  assert.ok(isFatalError(fatal) && !isRetryError(fatal) && !isMillraceError(fatal))
  const retry = new RetryError('later', { after: '10s', cause })
  assert.deepEqual([retry.name, retry.afterMs, retry.cause], ['RetryError', 10_000, cause])
  assert.ok(isRetryError(retry) && !isFatalError(retry))
  const bare = new RetryError()
  assert.deepEqual([bare.afterMs, 'cause' in bare], [undefined, false])
  assert.equal(new RetryError('now', { after: 0 }).afterMs, 0)
  class Mine extends FatalError {}
  assert.ok(isFatalError(new Mine('mine')))
  assert.match(fatal.stack ?? '', /^FatalError: no use/)
})

test('the brands are those of every copy of the package, and nothing else is taken for one', () => {
  assert.ok(isSnooze({ [Symbol.for('millrace.snooze')]: true, afterMs: 1 }))
  assert.ok(isFatalError({ [Symbol.for('millrace.fatal-error')]: true }))
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  for (const value of [undefined, null, 5, 'x', {}, { afterMs: 1 }, new Error('x'), () => {}, revoked.proxy]) {
    assert.ok(!isSnooze(value) && !isCancel(value) && !isFatalError(value) && !isRetryError(value))
  }
})
