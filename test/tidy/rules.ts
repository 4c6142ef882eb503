/**
 * The house rules that no linter knows, as functions over files. Each returns what it found; nothing found is a tidy tree.
 * The layers and the homes of time, randomness and output are written down here and nowhere else in code.
 */
import { posix } from 'node:path'
import { importsOf, lineAt, only, piecesOf } from './source-text.js'

export interface SourceFile {
  /** From the repository's root, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** `path:line: what is wrong`. */
export type Finding = string

export type Rule = (files: readonly SourceFile[]) => readonly Finding[]

const MAX_LINES = 400
const LINES_WITHOUT_HEADER = 80

/** Imports go down: a file may import its own layer and those below. */
const LAYERS: Readonly<Record<string, number>> = {
  'src/index.ts': 6,
  'src/testing': 6,
  'src/cli': 6,
  'src/dashboard': 6,
  'src/executor': 5,
  'src/dispatcher': 4,
  'src/scheduler': 4,
  'src/maintenance': 4,
  'src/store': 3,
  'src/codec': 2,
  'src/protocol': 2,
  'src/telemetry': 2,
  'src/job': 1,
  'src/options': 1,
  'src/base': 0,
}
/** The services of this layer never import one another: they meet in the executor. */
const SERVICE_LAYER = 4
/** What runs inside a thread knows bytes and messages, but neither the store nor the dispatcher. */
const HIGHEST_LAYER_FOR_THREADS = 2
/** The one file that knows, by URL, where the thread's code is. */
const THREAD_URL_FILE = 'src/dispatcher/worker-url.ts'
const PUBLIC_INDEX = 'src/index.ts'

/** Packages with one importer. */
const PACKAGE_HOMES: Readonly<Record<string, readonly string[]>> = {
  // The thread's end of the pool hands large outputs over by Piscina's own wrapper.
  piscina: ['src/dispatcher/', 'workers/main.ts'],
  lmdb: ['src/store/'],
  croner: ['src/job/recurrence.ts'],
}

/** Calls that make a program depend on the moment, on chance, or on a terminal. */
const AMBIENT = {
  time: /\b(Date\.now|process\.hrtime|performance\.now)\b|\bnew Date(\(\s*\)|\b(?!\s*\())/g,
  timer: /(?<![#\w]|(?<!globalThis)\.)(setTimeout|setInterval)\b|\bnode:timers\b/g,
  immediate: /(?<![#\w]|(?<!globalThis)\.)setImmediate\b/g,
  random: /\bMath\.random\b/g,
  console: /(?<![#\w]|(?<!globalThis)\.)console\./g,
} as const

interface Home {
  readonly path: string
  readonly allows: readonly (keyof typeof AMBIENT)[]
  readonly reason: string
}

const HOMES: readonly Home[] = [
  { path: 'src/base/clock.ts', allows: ['time', 'timer'], reason: 'is the clock that everything else is handed' },
  { path: 'src/base/random.ts', allows: ['random'], reason: 'is the generator that everything else is handed' },
  { path: 'src/executor/', allows: ['immediate'], reason: 'gathers the calls of one turn; a turn is not a time' },
  { path: 'src/store/', allows: ['immediate'], reason: 'gathers the writes of one turn; a turn is not a time' },
  {
    path: 'src/cli/',
    allows: ['time', 'timer', 'immediate', 'console'],
    reason: 'a program for a terminal: it prints and redraws',
  },
  {
    path: 'workers/',
    allows: ['time', 'timer', 'immediate', 'console'],
    reason: 'times the handler where it runs; no clock crosses threads',
  },
]

function within(path: string, home: string): boolean {
  return home.endsWith('/') ? path.startsWith(home) : path === home
}

const isSource = (file: SourceFile): boolean => /^src\/.*\.ts$/.test(file.path)
const isThread = (file: SourceFile): boolean => /^workers\/.*\.ts$/.test(file.path)
const isShipped = (file: SourceFile): boolean => isSource(file) || isThread(file)
const isTypeScript = (file: SourceFile): boolean => file.path.endsWith('.ts')

function at(file: SourceFile, index: number, message: string): Finding {
  return `${file.path}:${lineAt(file.text, index)}: ${message}`
}

function* matches(text: string, pattern: RegExp): Generator<{ found: string; index: number }> {
  for (const match of text.matchAll(pattern)) yield { found: match[0], index: match.index }
}

/** The `.ts` file in this repository that an import means, or undefined for a package. */
function resolve(from: string, specifier: string): string | undefined {
  if (specifier === 'millrace') return PUBLIC_INDEX
  if (!specifier.startsWith('.')) return undefined
  return posix.join(posix.dirname(from), specifier).replace(/\.js$/, '.ts')
}

/** `src/store/lmdb/keys.ts` belongs to `src/store`, a file directly in `src` to itself. */
function unitOf(path: string): string {
  return path.split('/').slice(0, 2).join('/')
}

/** A thread's script is reached by URL only: no import, and its path in one file. */
export const layers: Rule = (files) =>
  files.filter(isShipped).flatMap((file) => {
    const findings: Finding[] = []
    const layer = isThread(file) ? HIGHEST_LAYER_FOR_THREADS : LAYERS[unitOf(file.path)]
    if (layer === undefined) return [at(file, 0, `${unitOf(file.path)} stands in no layer`)]
    for (const { specifier, start } of importsOf(file.text)) {
      const target = resolve(file.path, specifier)
      if (target === undefined) continue
      const problem = importProblem(file, layer, target)
      if (problem !== undefined) findings.push(at(file, start, problem))
    }
    if (isThread(file) || file.path === THREAD_URL_FILE) return findings
    for (const piece of piecesOf(file.text)) {
      if (piece.kind === 'string' && /(^|[./'"`])workers\/[\w-]+\.[jt]s/.test(piece.text)) {
        findings.push(at(file, piece.start, `only ${THREAD_URL_FILE} knows where the thread's code is`))
      }
    }
    return findings
  })

function importProblem(file: SourceFile, layer: number, target: string): string | undefined {
  if (target.startsWith('workers/')) return isThread(file) ? undefined : `imports ${target}; threads are started by URL`
  const unit = unitOf(target)
  const targetLayer = LAYERS[unit]
  if (targetLayer === undefined) return `imports ${target}, which stands in no layer`
  if (targetLayer > layer) return `imports up: ${target} is layer ${targetLayer}, this file may reach layer ${layer}`
  if (targetLayer === SERVICE_LAYER && layer === SERVICE_LAYER && unit !== unitOf(file.path)) {
    return `imports ${target}; services never import one another, they meet in src/executor`
  }
  return undefined
}

export const packageHomes: Rule = (files) =>
  files.filter(isShipped).flatMap((file) =>
    importsOf(file.text).flatMap(({ specifier, start }) => {
      const name = specifier.split('/')[0] ?? ''
      const home = Object.hasOwn(PACKAGE_HOMES, name) ? PACKAGE_HOMES[name] : undefined
      return home === undefined || home.some((place) => file.path.startsWith(place))
        ? []
        : [at(file, start, `only ${home[0]} imports ${name}`)]
    }),
  )

/** Type-only imports count: two files that need each other's types are one concept, or lack a third. */
export const importCycles: Rule = (files) => {
  const known = new Map(files.filter(isTypeScript).map((file) => [file.path, file]))
  const finished = new Set<string>()
  const findings: Finding[] = []

  const visit = (file: SourceFile, trail: readonly string[]): void => {
    const seenAt = trail.indexOf(file.path)
    if (seenAt !== -1) findings.push(`${file.path}:1: import cycle ${[...trail.slice(seenAt), file.path].join(' → ')}`)
    if (seenAt !== -1 || finished.has(file.path)) return
    for (const { specifier } of importsOf(file.text)) {
      const target = known.get(resolve(file.path, specifier) ?? '')
      if (target !== undefined) visit(target, [...trail, file.path])
    }
    finished.add(file.path)
  }

  for (const file of known.values()) visit(file, [])
  return findings
}

/** A barrel hides where a thing lives and drags everything in with it. */
export const barrels: Rule = (files) =>
  files
    .filter((file) => isTypeScript(file) && file.path !== PUBLIC_INDEX)
    .filter((file) => {
      const code = only(file.text, 'code', 'string')
      const rest = code
        .replaceAll(/\bexport\s+(type\s+)?(\*(\s+as\s+\w+)?|\{[^}]*\})\s*(from\s*(?<quote>['"])[^'"]*\k<quote>)?\s*;?/g, '')
        .replaceAll(/\bimport\s+[^'"]*\bfrom\s*(?<quote>['"])[^'"]*\k<quote>\s*;?/g, '')
      return /\bexport\b/.test(code) && rest.trim() === ''
    })
    .map((file) => `${file.path}:1: only re-exports; ${PUBLIC_INDEX} is the one place for that`)

export const fileLength: Rule = (files) =>
  files.filter(isShipped).flatMap((file) => {
    const lines = file.text.trimEnd().split('\n').length
    return lines > MAX_LINES ? [`${file.path}:${MAX_LINES}: ${lines} lines; ${MAX_LINES} is the limit`] : []
  })

export const ambientCalls: Rule = (files) =>
  files.filter(isShipped).flatMap((file) => {
    const code = only(file.text, 'code')
    const imports = importsOf(file.text).map((imported) => imported.specifier)
    const allowed = HOMES.filter((home) => within(file.path, home.path)).flatMap((home) => home.allows)
    return Object.entries(AMBIENT)
      .filter(([kind]) => !allowed.includes(kind as keyof typeof AMBIENT))
      .flatMap(([kind, pattern]) => [
        ...[...matches(code, pattern)].map(({ found, index }) => at(file, index, `${found} outside the homes of ${kind}`)),
        ...imports.flatMap((specifier) =>
          [...matches(specifier, pattern)].map(() => at(file, 0, `imports ${specifier} outside the homes of ${kind}`)),
        ),
      ])
  })

export const leftovers: Rule = (files) =>
  files.flatMap((file) => {
    if (!isTypeScript(file)) return found(file, file.text, /\b(TODO|FIXME|XXX|HACK)\b/g)
    return [
      ...found(file, only(file.text, 'comment'), /\b(TODO|FIXME|XXX|HACK)\b|@ts-(ignore|nocheck)\b/g),
      ...found(file, only(file.text, 'code'), /\bas any\b|(?<=\b(test|it|describe|suite))\.(only|skip)\(|\b(only|skip): true\b/g),
    ]
  })

function found(file: SourceFile, text: string, pattern: RegExp): readonly Finding[] {
  return [...matches(text, pattern)].map((match) => at(file, match.index, `left over: ${match.found}`))
}

/** Folders that exist on one machine only. Written so that this file does not name them itself. */
const MACHINE_FOLDERS = ['work', 'root', 'home', 'tmp']
const MACHINE_PATH = new RegExp(`(?<![\\w.~})*-])/(${MACHINE_FOLDERS.join('|')})/[\\w.]?`, 'g')
const REGISTRY = /registry[.](npmjs|yarnpkg)|[/]{2}registry[.]|"resolved": "[h]ttp|[_]authToken/g

/** A path or a host of the machine that wrote a file means nothing on the next one. */
export const machineTraces: Rule = (files) =>
  files.flatMap((file) => [
    ...[...matches(file.text, MACHINE_PATH)].map(({ found: path, index }) => at(file, index, `machine path ${path}`)),
    ...[...matches(file.text, REGISTRY)].map(({ found: host, index }) => at(file, index, `registry host ${host}`)),
  ])

export const headers: Rule = (files) =>
  files.filter(isShipped).flatMap((file) => {
    const lines = file.text.trimEnd().split('\n').length
    const text = file.text.replace(/^#!.*\n/, '').trimStart()
    if (lines <= LINES_WITHOUT_HEADER || text.startsWith('/*') || text.startsWith('//')) return []
    return [`${file.path}:1: ${lines} lines and no word on what the file owns`]
  })
