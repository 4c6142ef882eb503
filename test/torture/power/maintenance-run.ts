/**
 * Power cuts while somebody looks after a store. A compaction leaves the old file or the new one, whole, and the new one once it was
 * told. A backup is under its name whole or not at all, and is there once it was told. A repair leaves the store as it was or as it is to
 * be, and once it shows, the copy of the store as it was is there, whole.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.js'
import { metaKey, payloadKey } from '../../../src/codec/keys.js'
import { WriteBatch } from '../../../src/store/engine.js'
import { DATA_FILE } from '../../../src/store/lmdb/store-directory.js'
import { openLmdbEngine } from '../../../src/store/lmdb/lmdb-engine.js'
import type { Look } from '../../fixtures/power/look.js'
import type { Maintenance, NameLine } from '../../fixtures/power/maintenance.js'
import { createPrng, type Prng } from '../../support/prng.js'
import { makeSampleStore } from '../../support/sample-store.js'
import type { RecordedEvent } from '../shim/recording.js'
import type { ShimOptions } from '../shim/shim.js'
import { LOSSES, type Loss } from './disk.js'
import { lookInto } from './look-into.js'
import { MAINTENANCE, missedBy, recordProgram } from './recorded-life.js'
import { type NameLoss, Tree } from './tree.js'

export const MAINTENANCES: readonly Maintenance[] = ['compact', 'backup', 'repair']

export interface MaintenanceRunOptions {
  readonly what: Maintenance
  readonly seed: number
  /** Images that are opened, beside one at each name that is made or synced. */
  readonly images: number
  readonly lie?: ShimOptions['lie']
}

export interface MaintenanceFigures {
  cuts: number
  /** Of them those at which something was not synced. */
  cutsPending: number
  /** Those after it was told to be done. */
  cutsDone: number
}

interface Cut {
  readonly at: number
  readonly loss: Loss
  readonly names: NameLoss
}

/** What a cut has left where something is to be. */
interface Left {
  readonly isDone: boolean
  /** Undefined: no data file. */
  readonly store: Look | undefined
  readonly file: Buffer | undefined
  /** What was made beside the store under the name that it is to have: the backup, or the copy of before the repair. */
  readonly copy: Look | undefined
}

/** What there was before, and is in the end, when nothing is cut. */
interface Truth {
  readonly before: Left
  readonly after: Left
}

const VIOLATIONS_MAX = 6

export async function maintenanceRun(
  options: MaintenanceRunOptions,
): Promise<{ readonly figures: MaintenanceFigures; readonly violations: readonly string[] }> {
  // As the system calls it, which is how the shim has it.
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'millrace-power-')))
  try {
    return await new MaintenanceRun(options, root).run()
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

class MaintenanceRun {
  readonly #options: MaintenanceRunOptions
  readonly #root: string
  readonly #prng: Prng
  readonly #violations: string[] = []

  constructor(options: MaintenanceRunOptions, root: string) {
    this.#options = options
    this.#root = root
    this.#prng = createPrng(options.seed)
  }

  async run(): Promise<{ readonly figures: MaintenanceFigures; readonly violations: readonly string[] }> {
    const { what, seed, lie } = this.#options
    const directory = this.#at('life', 'store')
    await makeSampleStore(directory, 20 + this.#prng.below(40))
    if (what === 'repair') await damage(directory)
    const before = readFileSync(join(directory, DATA_FILE))
    const events = await this.#record(directory, lie)
    const truth = await this.#truth(before)
    const fresh = (): Tree => new Tree(this.#at('life'), new Map([[join(directory, DATA_FILE), before]]))
    const cuts = this.#choose(events, fresh(), before)
    const tree = fresh()
    const lefts: { readonly cut: Cut; readonly image: string; readonly isDone: boolean }[] = []
    let applied = 0
    const figures = { cuts: cuts.length, cutsPending: 0, cutsDone: 0 }
    let isDone = false
    for (const [index, cut] of cuts.entries()) {
      for (; applied <= cut.at; applied++) {
        tree.apply(events[applied]!)
        isDone ||= lineOf(events[applied])?.is === 'done'
      }
      if (tree.isPending) figures.cutsPending++
      if (isDone) figures.cutsDone++
      const image = this.#at(`image-${index}`)
      this.#lay(image, tree.image(cut.loss, cut.names, this.#prng))
      lefts.push({ cut, image, isDone })
    }
    const found = await this.#lookAt(lefts)
    for (const [index, { cut }] of lefts.entries()) {
      const problem = judge(what, found[index]!, truth)
      if (problem === undefined) continue
      const where = `${what}, seed ${seed}, cut after event ${cut.at}, ${cut.loss}, of names ${cut.names}`
      if (this.#violations.length < VIOLATIONS_MAX) this.#violations.push(`${where}: ${problem}`)
    }
    return { figures, violations: this.#violations }
  }

  #at(...names: readonly string[]): string {
    return join(this.#root, ...names)
  }

  async #record(directory: string, lie: ShimOptions['lie']): Promise<RecordedEvent[]> {
    const { what } = this.#options
    const config = { what, directory, target: this.#at('life', 'copies', 'backup') }
    const { events, problems } = await recordProgram(MAINTENANCE, config, this.#at('recording'), lie)
    // The system's copy of a file is told when it is made, and begins with a cut of the new one.
    const copied = events.findLastIndex((event) => lineOf(event)?.is === 'copied')
    for (const problem of [...problems, ...missedBy(events.slice(copied + 1))]) this.#violations.push(`${what}: ${problem}`)
    return events
  }

  /** What there is when nothing is cut. Also, that the recording tells it. */
  async #truth(before: Buffer): Promise<Truth> {
    const old = this.#at('old')
    mkdirSync(old)
    writeFileSync(join(old, DATA_FILE), before)
    const [was] = await lookInto([old])
    const file = readFileSync(this.#at('life', 'store', DATA_FILE))
    const [after] = await this.#lookAt([{ image: this.#at('life'), isDone: true }])
    const wrong = judge(
      this.#options.what,
      { ...after!, file },
      { before: { isDone: false, store: was, file: before, copy: undefined }, after: { ...after!, file } },
    )
    if (wrong !== undefined || (this.#options.what === 'backup' && digestOf(after?.copy) === 'none'))
      this.#violations.push(`without a cut: ${wrong ?? 'there is no backup'}`)
    return { before: { isDone: false, store: was, file: before, copy: undefined }, after: { ...after!, file } }
  }

  /** One at every name that is made or synced, and what `images` allows where something was not synced. */
  #choose(events: readonly RecordedEvent[], tree: Tree, before: Buffer): Cut[] {
    const { what, images } = this.#options
    const prng = this.#prng
    const pending: number[] = []
    const cuts: Cut[] = []
    for (const [at, event] of events.entries()) {
      tree.apply(event)
      if (tree.isPending) pending.push(at)
      const isName = (event.kind === 'note' && lineOf(event)?.is !== 'writes') || event.kind === 'named'
      if (isName) cuts.push({ at, loss: 'nothing is kept', names: 'none is kept' })
      if (isName) cuts.push({ at, loss: 'nothing is kept', names: 'all are kept' })
    }
    const file = this.#at('life', 'store', DATA_FILE)
    const isSame = (what === 'backup' ? before : readFileSync(file)).equals(tree.content(file) ?? Buffer.alloc(0))
    if (!isSame) this.#violations.push(`${what}: the recorded writes do not give the file that is there`)
    for (let left = images; left > 0 && pending.length > 0; left--)
      cuts.push({
        at: prng.pick(pending),
        loss: prng.pick(LOSSES),
        names: prng.pick(['all are kept', 'none is kept', 'some are kept'] as const),
      })
    return cuts.sort((left, right) => left.at - right.at)
  }

  #lay(image: string, files: ReadonlyMap<string, Buffer | undefined>): void {
    const life = this.#at('life')
    mkdirSync(image)
    for (const [path, content] of files) {
      const to = `${image}${path.slice(life.length)}`
      if (content === undefined) mkdirSync(to, { recursive: true })
      else writeFileSync(to, content)
    }
  }

  async #lookAt(lefts: readonly { readonly image: string; readonly isDone: boolean }[]): Promise<Left[]> {
    const places = lefts.map(({ image }) => ({ store: join(image, 'store'), copy: copyIn(image) }))
    const files = places.map(({ store }) => read(store))
    const there = places
      .flatMap(({ store, copy }) => [store, copy])
      .filter((path) => path !== undefined && hasFile(path)) as string[]
    const looks = new Map((await lookInto(there)).map((look, index) => [there[index]!, look]))
    return places.map(({ store, copy }, index) => ({
      isDone: lefts[index]!.isDone,
      store: looks.get(store),
      file: files[index],
      copy: copy === undefined ? undefined : (looks.get(copy) ?? { error: 'there is a directory without a data file' }),
    }))
  }
}

function lineOf(event: RecordedEvent | undefined): NameLine | undefined {
  return event?.kind === 'note' ? (event.note as unknown as NameLine) : undefined
}

/** What is wrong with what a cut has left; undefined when nothing is. */
function judge(what: Maintenance, left: Left, { before, after }: Truth): string | undefined {
  const { store, file, copy, isDone } = left
  const shown = JSON.stringify({ store, copy })
  if (what === 'backup') {
    if (copy === undefined) return isDone ? `[lost] the backup was told to be done, and is not there` : undefined
    return digestOf(copy) === digestOf(after.copy) ? undefined : `[not whole] there is a backup that is not whole: ${shown}`
  }
  if (store === undefined) return '[lost] the store is not there'
  if (what === 'compact') {
    if (digestOf(store) !== digestOf(before.store)) return `[not whole] neither the old store is there nor the new one: ${shown}`
    const isNew = file !== undefined && after.file !== undefined && file.equals(after.file)
    return isDone && !isNew ? '[lost] the compaction was told to be done, and the old file is there' : undefined
  }
  const isRepaired = digestOf(store) === digestOf(after.store)
  if (!isRepaired && digestOf(store) !== digestOf(before.store))
    return `[not whole] the store is neither as it was nor repaired: ${shown}`
  if (isDone && !isRepaired) return '[lost] the repair was told to be done, and does not show'
  return isRepaired && digestOf(copy) !== digestOf(before.store)
    ? `[no copy] the repair shows, and the copy of the store as it was is not there, whole: ${shown}`
    : undefined
}

/** Of what could be read. */
function digestOf(look: Look | undefined): string {
  return look !== undefined && 'digest' in look ? look.digest : 'none'
}

/** What can be put right: a counter, what leads to jobs, a payload of nobody. */
async function damage(directory: string): Promise<void> {
  const engine = await openLmdbEngine(directory, { durability: 'process', clock: systemClock })
  const counters = JSON.parse(engine.get('meta', metaKey('counters'))!.toString('utf8')) as Record<string, number>
  const batch = new WriteBatch()
  batch.put('meta', metaKey('counters'), Buffer.from(JSON.stringify({ ...counters, waiting: 7 })))
  for (const { key } of engine.range('index', { limit: 3 })) batch.remove('index', key)
  batch.put('payloads', payloadKey(9, 1), Buffer.of(1, 0x31))
  await engine.commit(batch)
  await engine.close()
}

/** The directory of the backup, or of the copy that a repair has made. */
function copyIn(image: string): string | undefined {
  const backup = join(image, 'copies', 'backup')
  if (existsSync(backup)) return backup
  const name = readdirSync(image).find((each) => /^store\.before-repair-(?!.*\.partial-)/.test(each))
  return name === undefined ? undefined : join(image, name)
}

function hasFile(directory: string): boolean {
  return existsSync(join(directory, DATA_FILE))
}

function read(directory: string): Buffer | undefined {
  return hasFile(directory) ? readFileSync(join(directory, DATA_FILE)) : undefined
}
