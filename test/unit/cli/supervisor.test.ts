/** When a program that died is started again, and what the supervisor ends with: by a clock turned by hand. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Clock } from '../../../src/base/clock.js'
import { RestartPolicy } from '../../../src/cli/supervise/restart-policy.js'
import { type ProgramEnd, Supervisor } from '../../../src/cli/supervise/supervisor.js'
import { FakeClock } from '../../support/fake-clock.js'

function start(maxRestarts = Infinity) {
  const hands = new FakeClock()
  const clock: Clock = {
    now: () => hands.now(),
    monotonicMs: () => hands.now(),
    after: (delayMs, callback) => hands.after(delayMs, callback),
  }
  const said: string[] = []
  const signals: NodeJS.Signals[] = []
  const runs: ((end: ProgramEnd) => void)[] = []
  const supervisor = new Supervisor({
    clock,
    policy: new RestartPolicy({ minDelayMs: 1000, maxDelayMs: 30_000, maxRestarts }),
    start: () => ({
      ended: new Promise((resolve) => runs.push(resolve)),
      kill: (signal) => void signals.push(signal),
    }),
    say: (line) => said.push(line),
  })
  const ended = supervisor.run()
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return {
    supervisor,
    hands,
    said,
    signals,
    runs,
    ended,
    async end(end: ProgramEnd, ranMs = 0): Promise<void> {
      hands.advance(ranMs)
      runs.at(-1)?.(end)
      await turn()
    },
    async wait(ms: number): Promise<void> {
      hands.advance(ms)
      await turn()
    },
  }
}

it('the delay doubles up to the longest, and is the shortest again after a long run', () => {
  const policy = new RestartPolicy({ minDelayMs: 1000, maxDelayMs: 30_000, maxRestarts: Infinity })
  const delays = [0, 0, 0, 29_999, 0, 0, 0, 30_000, 0].map((ranMs) => policy.next(ranMs))
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 1000, 2000])
})

it('the delay stays the longest, however often', () => {
  const policy = new RestartPolicy({ minDelayMs: 1, maxDelayMs: 5, maxRestarts: Infinity })
  assert.ok(Array.from({ length: 5000 }, () => policy.next(0)).every((delayMs) => delayMs !== undefined && delayMs <= 5))
})

it('gives up after so many restarts in a row; a long run begins a new row', () => {
  const policy = new RestartPolicy({ minDelayMs: 1, maxDelayMs: 10, maxRestarts: 2 })
  assert.deepEqual(
    [0, 0, 10, 0, 0].map((ranMs) => policy.next(ranMs)),
    [1, 2, 1, 2, undefined],
  )
})

it('starts again after a signal and after an exit code, not before the delay, and ends with 0', async () => {
  const { said, runs, ended, end, wait } = start()
  await end({ signal: 'SIGKILL' })
  await wait(999)
  assert.equal(runs.length, 1)
  await wait(1)
  assert.equal(runs.length, 2)
  await end({ code: 3 })
  await wait(2000)
  assert.equal(runs.length, 3)
  await end({ code: 0 })
  assert.equal(await ended, 0)
  assert.deepEqual(said, ['ended by SIGKILL; restarts in 1 s', 'ended with exit code 3; restarts in 2 s'])
})

it('ends with the code of the last run when it gives up', async () => {
  const { said, runs, ended, end } = start(0)
  await end({ signal: 'SIGABRT' })
  assert.equal(await ended, 134)
  assert.deepEqual([runs.length, said], [1, ['ended by SIGABRT; given up after too many restarts in a row']])
})

it('passes a signal on, and ends as the program does', async () => {
  const { supervisor, signals, runs, ended, end } = start()
  supervisor.stop('SIGTERM')
  supervisor.stop('SIGINT')
  await end({ code: 7 })
  assert.equal(await ended, 7)
  assert.deepEqual([signals, runs.length], [['SIGTERM', 'SIGINT'], 1])
})

it('ends at once when it is told to stop between two runs', async () => {
  const { supervisor, hands, runs, ended, end } = start()
  await end({ code: 1 })
  supervisor.stop('SIGTERM')
  assert.equal(await ended, 143)
  assert.deepEqual([runs.length, hands.waits], [1, []])
})

it('a program that cannot be started is not tried again; one that was there is', async () => {
  const missing = start()
  await missing.end({ error: Object.assign(new Error('spawn x ENOENT'), { code: 'ENOENT' }) })
  assert.equal(await missing.ended, 127)
  const replaced = start()
  await replaced.end({ code: 1 })
  await replaced.wait(1000)
  await replaced.end({ error: Object.assign(new Error('spawn x EACCES'), { code: 'EACCES' }) })
  assert.match(replaced.said.at(-1) ?? '', /cannot be started: spawn x EACCES; restarts in 2 s/)
  replaced.supervisor.stop('SIGHUP')
  assert.equal(await replaced.ended, 129)
})
