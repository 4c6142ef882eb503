/** A binary heap whose items know where they are in it, so that any of them can leave or move in logarithmic time. */

export interface HeapItem {
  /** -1 when it is in no heap. An item is in one heap at a time. */
  heapAt: number
}

export class Heap<Item extends HeapItem> {
  readonly #items: Item[] = []
  readonly #order: (item: Item) => number

  /** @param order - what items are ordered by, the least first; to be told of by `moved` when it changes */
  constructor(order: (item: Item) => number) {
    this.#order = order
  }

  get size(): number {
    return this.#items.length
  }

  get first(): Item | undefined {
    return this.#items[0]
  }

  add(item: Item): void {
    item.heapAt = this.#items.push(item) - 1
    this.#rise(item)
  }

  remove(item: Item): void {
    const at = item.heapAt
    const last = this.#items.pop()
    item.heapAt = -1
    if (last === undefined || last === item) return
    this.#put(last, at)
    this.moved(last)
  }

  /** What the item is ordered by has changed. */
  moved(item: Item): void {
    this.#rise(item)
    this.#sink(item)
  }

  #rise(item: Item): void {
    const order = this.#order(item)
    for (let at = item.heapAt; at > 0;) {
      const parentAt = (at - 1) >> 1
      const parent = this.#items[parentAt] as Item
      if (this.#order(parent) <= order) return
      this.#put(parent, at)
      this.#put(item, parentAt)
      at = parentAt
    }
  }

  #sink(item: Item): void {
    const order = this.#order(item)
    for (let at = item.heapAt; ;) {
      let leastAt = at
      let least = order
      for (const childAt of [2 * at + 1, 2 * at + 2]) {
        const child = this.#items[childAt]
        if (child === undefined || this.#order(child) >= least) continue
        leastAt = childAt
        least = this.#order(child)
      }
      if (leastAt === at) return
      this.#put(this.#items[leastAt] as Item, at)
      this.#put(item, leastAt)
      at = leastAt
    }
  }

  #put(item: Item, at: number): void {
    this.#items[at] = item
    item.heapAt = at
  }
}
