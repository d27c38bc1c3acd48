// Remembers the last good value of each key: bounded in number by forgetting what was not used for longest, and in age by
// looking at it on the way out. It holds no timer.

interface Entry<V> {
  readonly value: V
  readonly at: number
}

export interface Recalled<V> {
  readonly value: V
  readonly ageMs: number
}

export class StaleStore<V> {
  /** In order of use, the oldest first: a `Map` keeps the order of insertion. */
  readonly #entries = new Map<string, Entry<V>>()
  readonly #maxAgeMs: number
  readonly #max: number

  constructor(options: { readonly maxAgeMs: number; readonly max: number }) {
    this.#maxAgeMs = options.maxAgeMs
    this.#max = options.max
  }

  remember(key: string, value: V, now: number): void {
    this.#use(key, { value, at: now })
    if (this.#entries.size <= this.#max) return
    const [oldest] = this.#entries.keys()
    this.#entries.delete(oldest as string)
  }

  /** The value of `key`, unless there is none or it is too old; asking for it is a use of it. */
  recall(key: string, now: number): Recalled<V> | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const ageMs = now - entry.at
    if (ageMs > this.#maxAgeMs) {
      this.#entries.delete(key)
      return undefined
    }
    this.#use(key, entry)
    return { value: entry.value, ageMs }
  }

  #use(key: string, entry: Entry<V>): void {
    this.#entries.delete(key)
    this.#entries.set(key, entry)
  }
}
