/**
 * Redis and PostgreSQL for the peers that need one: started on a free port of the loopback interface with a directory of their
 * own, set to sync every commit, stopped by the process that was started.
 */
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { chownSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { temporaryDirectory } from './temporary-directory.js'

export interface Server {
  readonly port: number
  readonly version: string
  readonly stop: () => Promise<void>
}

/** Undefined when redis-server is not installed. */
export async function startRedis(): Promise<Server | undefined> {
  const program = find('redis-server', [])
  if (program === undefined) return undefined
  const directory = temporaryDirectory()
  const port = await freePort()
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory.path, '--save', '']
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always']
  const child = spawn(program, [...options, ...durable], { stdio: ['ignore', 'pipe', 'pipe'] })
  await ready(child, /Ready to accept connections/)
  const version = /v=(\S+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
  return { port, version, stop: () => stop(child, 'SIGTERM', directory.remove) }
}

/** Undefined when PostgreSQL is not installed, or this is root and there is no user postgres to run it. */
export async function startPostgres(): Promise<Server | undefined> {
  const program = find('postgres', debianDirectories())
  const initdb = find('initdb', debianDirectories())
  const identity = unprivileged()
  if (program === undefined || initdb === undefined || identity === undefined) return undefined
  const directory = temporaryDirectory()
  if (identity.uid !== undefined) chownSync(directory.path, identity.uid, identity.gid ?? identity.uid)
  const data = join(directory.path, 'data')
  const spawning: SpawnOptions = { ...identity, cwd: directory.path }
  execFileSync(initdb, ['-D', data, '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--no-sync'], { ...spawning, stdio: 'pipe' })
  const port = await freePort()
  const settings = ['fsync=on', 'synchronous_commit=on', 'shared_buffers=512MB', 'max_wal_size=4GB', 'unix_socket_directories=']
  const child = spawn(
    program,
    ['-D', data, '-p', String(port), '-h', '127.0.0.1', ...settings.flatMap((setting) => ['-c', setting])],
    { ...spawning, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  await ready(child, /ready to accept connections/)
  const version = /(\d+\.\d+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
  return { port, version, stop: () => stop(child, 'SIGINT', directory.remove) }
}

/** PostgreSQL refuses root. */
function unprivileged(): { uid?: number; gid?: number } | undefined {
  if (process.getuid?.() !== 0) return {}
  const line = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))
  return line === null ? undefined : { uid: Number(line[1]), gid: Number(line[2]) }
}

function find(program: string, alsoIn: readonly string[]): string | undefined {
  const directories = [...alsoIn, ...(process.env['PATH'] ?? '').split(delimiter)]
  return directories.map((directory) => join(directory, program)).find((path) => existsSync(path))
}

/** Debian keeps the server's programs out of the path. The newest version first. */
function debianDirectories(): string[] {
  const base = '/usr/lib/postgresql'
  if (!existsSync(base)) return []
  const versions = readdirSync(base).sort((left, right) => Number(right) - Number(left))
  return versions.map((version) => join(base, version, 'bin'))
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGQUIT')
})

function ready(child: ChildProcess, pattern: RegExp): Promise<void> {
  running.add(child)
  return new Promise((resolve, reject) => {
    let told = ''
    const hear = (text: Buffer): void => {
      told = (told + text.toString()).slice(-4000)
      if (pattern.test(told)) resolve()
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.on('error', reject)
    child.on('exit', () => {
      running.delete(child)
      reject(new Error(`the server ended while it started: ${told}`))
    })
  })
}

async function stop(child: ChildProcess, signal: NodeJS.Signals, remove: () => void): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise<void>((resolve) => {
      child.on('exit', () => resolve())
      child.kill(signal)
    })
  }
  remove()
}
