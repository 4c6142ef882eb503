/**
 * Adds to package-lock.json the optional binaries for other platforms that npm left out, because the registry it asked did not
 * have them. Without them `npm ci` calls the lock file out of step, on every platform. They get no integrity, as nobody has seen
 * them; an `npm install` where they can be had adds it. Run by `npm run lockfile` after a dependency with binaries has changed, for
 * this package and for the one of the benchmarks' peers.
 *
 *   node .ci/complete-lockfile.mjs [directory of the package]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = join(process.argv[2] ?? '.', 'package-lock.json')
const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const PROCESSORS = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32']

const lock = JSON.parse(readFileSync(FILE, 'utf8'))
const { packages } = lock
let added = 0

for (const parent of Object.values(packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`))) continue
    packages[`node_modules/${name}`] = entryFor(name, version, parent)
    added += 1
  }
}

const root = packages['']
delete packages['']
const sorted = Object.keys(packages).sort((a, b) => a.localeCompare(b, 'en'))
lock.packages = { '': root, ...Object.fromEntries(sorted.map((path) => [path, packages[path]])) }
writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${FILE}: ${added} optional binaries added`)

/** The platform is told from the name, as in `@scope/binding-linux-arm64-musl`. */
function entryFor(name, version, parent) {
  const words = name.split(/[/-]/)
  const os = SYSTEMS.filter((system) => words.includes(system))
  const cpu = PROCESSORS.filter((processor) => words.includes(processor))
  if (os.length !== 1 || cpu.length !== 1 || !/^\d/.test(version))
    throw new Error(`${name}@${version} tells no platform and version`)
  const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') ? ['glibc'] : undefined
  return {
    version,
    cpu,
    ...(parent.dev ? { dev: true } : {}),
    ...(os[0] === 'linux' && libc ? { libc } : {}),
    license: parent.license,
    optional: true,
    os,
    ...(parent.engines ? { engines: parent.engines } : {}),
  }
}
