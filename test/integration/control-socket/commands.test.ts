/** The commands for a store, beside a process that has it open, and without one: what they say, their JSON, their exit codes. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { JobDetail } from '../../../src/control-socket/shapes.js'
import type { QueueRow } from '../../../src/control-socket/queue-rows.js'
import type { Status } from '../../../src/control-socket/status.js'
import { SHELL_COMMANDS } from '../../../src/cli/shell/commands.js'
import { acquireDirectoryLock } from '../../../src/store/lmdb/directory-lock.js'
import type { ScheduleRow } from '../../../src/control-socket/shapes.js'
import { program } from '../../support/demo-program.js'
import { readExposition } from '../../support/exposition.js'
import { type Operated, startOperated } from '../../support/operated.js'
import { tempDirectory } from '../../support/temp-directory.js'

const statusOf = async (operated: Operated): Promise<Status> => (await operated.json('status')) as Status
const queueOf = async (operated: Operated, name: string): Promise<QueueRow | undefined> =>
  ((await operated.json('queues')) as QueueRow[]).find((queue) => queue.name === name)
const idsOf = ({ stdout }: { readonly stdout: string }): string[] =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { id: string }).id)

test('an executor at work: every command looks at it and steers it', { timeout: 600_000 }, async (t) => {
  const operated = await startOperated(t)
  const { run, json, path, child, doneId, failedId } = operated

  await t.test('the socket is for this user alone, in a directory that is', () => {
    assert.equal(statSync(join(path, 'millrace.sock')).mode & 0o777, 0o600)
    assert.equal(statSync(path).mode & 0o777, 0o700)
  })

  await t.test('status', async () => {
    const status = await statusOf(operated)
    assert.equal(status.running?.pid, child.pid)
    const { available, running, ...others } = status.counts
    assert.deepEqual(others, { scheduled: 2, retryable: 0, completed: 2, cancelled: 0, discarded: 1 })
    // A thread may have been handed both of those that wait.
    assert.deepEqual([available + running, running > 0], [2, true])
    const text = await run('status')
    assert.match(text.stdout, new RegExp(`: open in process ${child.pid} for `))
    assert.match(text.stdout, /^slow +open +1 of 1 +[01] +[01] /m)
    assert.ok(!text.stdout.includes('\u001B'), 'no colours into a pipe')
  })

  await t.test('threads, with the job and its timeout', async () => {
    const threads = (await json('threads')) as Status['threads']
    assert.equal(threads.length, 2)
    const [job] = threads.flatMap((thread) => thread.job ?? [])
    assert.deepEqual([job?.name, job?.queue, job?.timeoutMs], ['wait', 'slow', 600_000])
    assert.match((await run('threads')).stdout, /running +wait +slow +\w{20} .* 10m 00s/)
  })

  await t.test('top: one picture', async () => {
    const { code, stdout } = await run('top', '--once', '--interval', '10ms')
    assert.equal(code, 0)
    assert.match(stdout, /1 of 2 busy/)
    assert.match(stdout, /^rates +\d/m)
    const live = await run('top')
    assert.deepEqual([live.code, live.stderr], [1, 'millrace top: top needs a terminal. For one picture as text: --once\n'])
  })

  await t.test('jobs list and show', async () => {
    const all = await run('jobs list', '--json')
    assert.equal(idsOf(all).length, 7)
    assert.deepEqual(idsOf(await run('jobs list', '--state', 'discarded', '--json')), [failedId])
    assert.equal(
      idsOf(await run('jobs list', '--state=scheduled,completed', '--queue', 'images', '--limit', '3', '--json')).length,
      3,
    )
    assert.match(
      (await run('jobs list', '--name', 'fail')).stdout,
      new RegExp(`^${failedId}  fail +default  discarded .*TypeError: no such file$`, 'm'),
    )
    assert.equal((await run('jobs list', '--name', 'none')).stdout, 'There are none.\n')
    const job = (await json('jobs show', doneId)) as JobDetail
    assert.deepEqual([job.state, job.input, job.output], ['completed', { width: 6 }, { area: 36 }])
    const text = (await run('jobs show', failedId)).stdout
    assert.match(text, /^error +TypeError: no such file$/m)
    assert.match(text, /^ +1 +failed /m)
    const missing = await run('jobs show', 'x')
    assert.deepEqual([missing.code, missing.stdout], [1, ''])
  })

  await t.test('enqueue: checked by the executor', async () => {
    const { id } = (await json('enqueue', 'resize', '{"width":7}', '--delay', '1h')) as { id: string }
    assert.equal(((await json('jobs show', id)) as JobDetail).state, 'scheduled')
    assert.match((await run('enqueue', 'resize', '{"width":"7"}')).stderr, /width/)
    const unknown = await run('enqueue', 'resise', '1')
    assert.deepEqual([unknown.code, /Did you mean 'resize'\?/.test(unknown.stderr)], [1, true])
    assert.equal((await run('enqueue', 'resize', '{width')).code, 2)
    assert.equal((await run('jobs cancel', id)).stdout, '1 job cancelled.\n')
    const again = await run('jobs cancel', id)
    assert.deepEqual([again.code, again.stdout], [1, '0 jobs cancelled.\n'])
  })

  await t.test('jobs run, retry, discard: filters, a dry run, --all', async () => {
    assert.equal((await run('jobs run', '--queue', 'images', '--dry-run')).stdout, '2 jobs would be made due.\n')
    assert.deepEqual(await json('jobs run', '--queue', 'images', '--limit', '1'), { matched: 1, changed: 1, dryRun: false })
    assert.equal((await run('jobs run')).code, 2)
    assert.match((await run('jobs run')).stderr, /or --all for all of them/)
    assert.deepEqual(await json('jobs run', '--all'), { matched: 1, changed: 1, dryRun: false })
    assert.deepEqual(await json('jobs retry', failedId), { matched: 1, changed: 1, dryRun: false })
    assert.deepEqual(await json('jobs discard', '--state', 'available', '--queue', 'slow'), {
      matched: 1,
      changed: 1,
      dryRun: false,
    })
    // One that runs: the answer comes when its run has ended.
    assert.deepEqual(await json('jobs cancel', '--state', 'running'), { matched: 1, changed: 1, dryRun: false })
    assert.equal((await statusOf(operated)).counts.running, 0)
  })

  await t.test('pause and resume', async () => {
    assert.equal((await run('pause', 'images')).stdout, 'images is paused.\n')
    assert.equal((await queueOf(operated, 'images'))?.isPaused, true)
    assert.equal((await run('resume', 'images')).stdout, 'images is open.\n')
    assert.equal((await queueOf(operated, 'images'))?.isPaused, false)
    const unknown = await run('pause', 'image')
    assert.deepEqual([unknown.code, /did you mean 'images'\?/.test(unknown.stderr)], [1, true])
  })

  await t.test('queues: one of them, and how many of its jobs run at a time', async () => {
    assert.equal((await queueOf(operated, 'images'))?.concurrency, null)
    assert.deepEqual(await json('queues', 'images', '--concurrency', '3'), { queue: 'images', concurrency: 3 })
    assert.deepEqual(
      ((await json('queues', 'images')) as QueueRow[]).map(({ name, concurrency }) => [name, concurrency]),
      [['images', 3]],
    )
    assert.equal(
      (await run('queues', 'images', '--concurrency', 'none')).stdout,
      'images runs as many jobs as there are threads.\n',
    )
    assert.equal((await run('queues', 'slow', '--concurrency', 'default')).stdout, 'slow runs 1 at a time.\n')
    for (const wrong of ['0', 'all', '1.5']) assert.equal((await run('queues', 'slow', `--concurrency=${wrong}`)).code, 2)
    assert.equal((await run('queues', '--concurrency', '2')).code, 2)
    const unknown = await run('queues', 'image')
    assert.deepEqual([unknown.code, unknown.stderr], [1, "millrace queues: There is no queue 'image'. Did you mean 'images'?\n"])
  })

  await t.test('threads: how many', async () => {
    assert.equal((await run('threads', '--set', '3')).stdout, 'Jobs run on 3 threads from now on.\n')
    assert.equal((await statusOf(operated)).threads.length, 3)
    assert.deepEqual(await json('threads', '--set', '2'), { threads: 2 })
    assert.equal((await run('threads', '--set', '1025')).code, 2)
  })

  await t.test('a reason is kept with what is ended', async () => {
    const { id } = (await json('enqueue', 'resize', '{"width":8}', '--delay', '1h')) as { id: string }
    const { id: other } = (await json('enqueue', 'resize', '{"width":9}', '--delay', '1h')) as { id: string }
    await json('jobs cancel', id, '--reason', 'wrong month')
    await json('jobs discard', other, '--reason', 'no such picture')
    const reasonOf = async (of: string): Promise<string | undefined> =>
      ((await json('jobs show', of)) as JobDetail).error?.message
    assert.deepEqual([await reasonOf(id), await reasonOf(other)], ['wrong month', 'no such picture'])
    assert.equal((await run('jobs retry', id, '--reason', 'why')).code, 2)
  })

  await t.test('jobs list: inputs and outputs only for whoever asks', async () => {
    const rowOf = ({ stdout }: { readonly stdout: string }): object => JSON.parse(stdout) as object
    const bare = rowOf(await run('jobs list', '--state', 'completed', '--limit', '1', '--json'))
    assert.deepEqual(['input' in bare, 'output' in bare], [false, false])
    const full = rowOf(await run('jobs list', '--state', 'completed', '--limit', '1', '--json', '--payloads'))
    assert.deepEqual({ ...full, ...bare }, full)
    assert.deepEqual(['input' in full, 'output' in full], [true, true])
    assert.equal((await run('jobs list', '--payloads')).code, 2)
  })

  await t.test('metrics, as Prometheus reads them', async () => {
    const { code, stdout } = await run('metrics')
    assert.equal(code, 0)
    assert.equal(readExposition(stdout).has('millrace_jobs_completed_total'), true)
    assert.equal((await run('metrics', '--json')).code, 2)
  })

  await t.test('schedules: listed, removed', async () => {
    const [schedule, ...others] = (await json('schedules')) as ScheduleRow[]
    assert.deepEqual([others, schedule?.name, schedule?.definition, schedule?.input], [[], 'leap', 'resize', { width: 1 }])
    assert.match((await run('schedules')).stdout, /^leap +resize +0 3 29 2 \* UTC +– +– +in /m)
    const unknown = await run('schedules remove', 'lep')
    assert.deepEqual([unknown.code, unknown.stderr], [1, "millrace schedules remove: There is no schedule 'lep'.\n"])
    assert.equal((await run('schedules remove', 'leap')).stdout, 'leap is removed.\n')
    assert.deepEqual(await json('schedules'), [])
  })

  await t.test('backup: a store of its own, that can be looked at', async () => {
    const target = `${path}-copy`
    assert.equal((await run('backup', target)).code, 0)
    const copy = JSON.parse((await program(['status', target, '--json']).ended).stdout) as Status
    assert.equal(copy.running, null)
    assert.equal(copy.totals.completed, (await statusOf(operated)).totals.completed)
    assert.equal((await run('backup', target)).code, 1)
  })

  await t.test('a close in order takes the socket away, and the commands go on without an executor', async () => {
    await operated.end('SIGTERM')
    assert.equal(existsSync(join(path, 'millrace.sock')), false)
    assert.equal((await statusOf(operated)).running, null)
  })
})

test(
  'a killed executor: its socket is known as dead, the store is looked at as it is, and changed',
  { timeout: 300_000 },
  async (t) => {
    const operated = await startOperated(t)
    const { run, json, path, failedId } = operated
    await operated.end('SIGKILL')
    assert.equal(existsSync(join(path, 'millrace.sock')), true)
    // To look changes nothing: what was in flight is still in flight.
    for (let look = 0; look < 2; look++) {
      const status = await statusOf(operated)
      assert.deepEqual([status.running, status.inFlightAtDeath > 0, status.threads], [null, true, []])
      assert.deepEqual(status.counts, {
        scheduled: 2,
        available: 2,
        running: 0,
        retryable: 0,
        completed: 2,
        cancelled: 0,
        discarded: 1,
      })
    }
    assert.match((await run('status')).stdout, /nobody has it open[^]*jobs? ran when the process died: rescued by the next start/)
    assert.match((await run('threads')).stdout, /Nobody has the store open/)
    const set = await run('threads', '--set', '2')
    assert.deepEqual([set.code, /how many threads there are is not stored/.test(set.stderr)], [1, true])
    // That it waits for a program goes without saying.
    assert.match((await run('schedules')).stdout, /^leap .* in [^,]+$/m)
    assert.match((await run('metrics')).stdout, /^millrace_jobs_completed_total\{/m)
    assert.match((await run('top')).stderr, /No executor has the store open/)
    assert.equal((await run('top')).code, 1)
    const refused = await run('enqueue', 'resize', '{"width":1}')
    assert.deepEqual([refused.code, /Start the program, and enqueue then/.test(refused.stderr)], [1, true])
    // A change rescues first, and says so.
    const retried = await run('jobs retry', failedId)
    assert.deepEqual([retried.code, retried.stdout], [0, '1 job retried.\n'])
    assert.match(retried.stderr, /jobs? that ran when its process died: available again/)
    assert.equal((await statusOf(operated)).inFlightAtDeath, 0)
    assert.equal((await run('pause', 'slow')).code, 0)
    assert.equal((await queueOf(operated, 'slow'))?.isPaused, true)
    assert.deepEqual(await json('jobs cancel', '--queue', 'slow'), { matched: 2, changed: 2, dryRun: false })
    // Nothing has run meanwhile, and what is due waits.
    const { counts } = await statusOf(operated)
    assert.deepEqual(counts, { scheduled: 2, available: 1, running: 0, retryable: 0, completed: 2, cancelled: 2, discarded: 0 })
  },
)

test('an executor that is stopped: said after the time given, with 4', { timeout: 300_000 }, async (t) => {
  const operated = await startOperated(t)
  operated.child.kill('SIGSTOP')
  t.after(() => operated.child.kill('SIGCONT'))
  for (const words of ['status', 'top', 'jobs list']) {
    const { code, stdout, stderr } = await operated.run(words, '--timeout', '300ms')
    assert.deepEqual([code, stdout], [4, ''])
    assert.match(stderr, /does not answer within 0\.3 s/)
  }
})

test('a watch goes on when the executor has died, until it is told to stop', { timeout: 300_000 }, async (t) => {
  const operated = await startOperated(t)
  const { child, line, ended } = program(['status', operated.path, '--watch', '--json', '--interval', '1ms'])
  await line(new RegExp(`"running":\\{"pid":${operated.child.pid}`))
  await operated.end('SIGKILL')
  await line(/"running":null/)
  child.kill('SIGTERM')
  const { code, stdout, stderr } = await ended
  assert.deepEqual([code, stderr], [0, ''])
  for (const text of stdout.trimEnd().split('\n')) assert.equal(typeof JSON.parse(text), 'object')
})

test('an executor that takes no commands: 3, with its process', { timeout: 300_000 }, async (t) => {
  const { run, child, path } = await startOperated(t, { controlSocket: false })
  assert.equal(existsSync(join(path, 'millrace.sock')), false)
  const { code, stderr } = await run('status')
  assert.equal(code, 3)
  assert.match(
    stderr,
    new RegExp(`is open in process ${child.pid}, which takes no commands: its executor has controlSocket: false`),
  )
})

test('a path that is too long for a socket', { timeout: 300_000 }, async (t) => {
  const operated = await startOperated(t, {}, 'long/'.repeat(40))
  assert.equal(statSync(join(operated.path, 'millrace.sock')).mode & 0o777, 0o600)
  assert.equal((await statusOf(operated)).running?.pid, operated.child.pid)
})

describe('a directory without a store', () => {
  test('none, an empty one, a file, another file by its name', async (t) => {
    const directory = await tempDirectory(t)
    const ask = async (path: string): Promise<[number | null, string]> => {
      const { code, stderr } = await program(['status', path]).ended
      return [code, stderr]
    }
    const [missing, said] = await ask(join(directory, 'none'))
    assert.deepEqual([missing, /There is no directory .*none\./.test(said)], [1, true])
    assert.equal(existsSync(join(directory, 'none')), false, 'nothing is made')
    assert.match((await ask(directory))[1], /There is no store in /)
    writeFileSync(join(directory, 'file'), '')
    assert.equal((await ask(join(directory, 'file')))[0], 1)
    mkdirSync(join(directory, 'foreign'))
    writeFileSync(join(directory, 'foreign', 'jobs.mdb'), 'something else')
    const [foreign, why] = await ask(join(directory, 'foreign'))
    assert.equal(foreign, 1, why)
    assert.match(why, /millrace status: /)
  })

  test('a lock whose holder lives and has no socket', async (t) => {
    const operated = await startOperated(t)
    await operated.end('SIGTERM')
    const lock = await acquireDirectoryLock(operated.path)
    const { code, stderr } = await operated.run('jobs list')
    lock.release()
    assert.deepEqual([code, stderr.includes(`open in process ${process.pid}`)], [3, true])
  })
})

describe('a command line', () => {
  const wrong: Readonly<Record<string, readonly [args: string[], message: RegExp]>> = {
    'without a directory': [['status'], /status needs the directory of a store\. Write: millrace status <dir>/],
    'with too much': [['status', 'a', 'b'], /'b' is more than status takes/],
    'with too little': [['pause', 'a'], /pause needs <queue> as well/],
    'with an unknown option': [['status', 'a', '--wach'], /Unknown option '--wach'\. Did you mean '--watch'\?/],
    'with an unknown verb': [['jobs', 'lst', 'a'], /Unknown command 'jobs lst'\. Did you mean 'jobs list'\?/],
    'with an unknown state': [
      ['jobs', 'list', 'a', '--state', 'runing'],
      /There is no state 'runing'\. Did you mean 'running'\?/,
    ],
    'with no duration': [['status', 'a', '--timeout', 'soon'], /'--timeout' takes a duration .* not 'soon'/],
    'with no count': [['jobs', 'list', 'a', '--limit', 'x'], /'--limit' takes a whole number/],
    'with --all and a filter': [['jobs', 'cancel', 'a', '--all', '--queue', 'q'], /--all stands for every job/],
  }
  for (const [name, [args, message]] of Object.entries(wrong)) {
    test(name, async () => {
      const { code, stdout, stderr } = await program(args).ended
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
      assert.match(stderr, message)
    })
  }

  test('every command has help, with examples and exit codes', async () => {
    for (const command of Object.values(SHELL_COMMANDS)) {
      const commands = 'commands' in command ? [command.usual ?? [], ...Object.values(command.commands)].flat() : [command]
      for (const { name: words, help } of commands) {
        assert.match(help, new RegExp(`^Usage: millrace ${words} <dir>`, 'm'))
        assert.match(help, /^Examples:\n {2}(npx millrace |cat )/m)
        assert.match(help, /^Exit codes:$/m)
        for (const line of help.split('\n')) assert.ok(line.length <= 110, line)
      }
    }
    const { code, stdout, stderr } = await program(['jobs', 'list', '--help']).ended
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /^Usage: millrace jobs list <dir>/m)
  })
})
