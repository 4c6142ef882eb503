/** The names of queues and definitions, interned: a job carries 16 bits instead of a name. */
import { MillraceError } from '../base/errors.js'
import { MAX_NAMES, MAX_QUEUES } from '../base/limits.js'
import { metaKey } from '../codec/keys.js'
import type { Engine } from './engine.js'

/** Names and the numbers they are stored under. */
export class Names {
  readonly kind: 'queue' | 'definition'
  readonly all: (string | undefined)[] = []
  readonly #ids = new Map<string, number>()

  constructor(kind: 'queue' | 'definition') {
    this.kind = kind
  }

  load(engine: Engine): void {
    const prefix = `${this.kind}:`
    let start = metaKey(prefix)
    const end = metaKey(`${this.kind};`)
    for (;;) {
      const entries = engine.range('meta', { start, end, limit: 1000 })
      for (const { key, value } of entries) this.#set(Number(key.toString('utf8').slice(prefix.length)), value.toString('utf8'))
      const last = entries.at(-1)
      if (last === undefined || entries.length < 1000) return
      start = Buffer.concat([last.key, Buffer.of(0)])
    }
  }

  id(name: string): number | undefined {
    return this.#ids.get(name)
  }

  name(id: number): string {
    return this.all[id] ?? `(unknown ${this.kind} ${id})`
  }

  add(name: string): number {
    const id = this.all.length
    const most = this.kind === 'queue' ? MAX_QUEUES : MAX_NAMES
    if (id >= most) {
      throw new MillraceError(
        'MILLRACE_INVALID_OPTIONS',
        `The store has met ${most} different ${this.kind} names; "${name}" is one too many.`,
      )
    }
    this.#set(id, name)
    return id
  }

  #set(id: number, name: string): void {
    this.all[id] = name
    this.#ids.set(name, id)
  }
}
