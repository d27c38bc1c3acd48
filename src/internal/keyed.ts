// A map bounded by number and by idleness that holds no timer: what is due is dropped when the map is next used.
import { Link, Queue } from "./linked.ts"

export interface KeyedMapOptions<V> {
  /** The most entries it holds. */
  readonly max: number
  /** An entry that nobody has got for this long is gone. */
  readonly idleTimeToLiveMs: number
  readonly make: (key: string, now: number) => V
  /** Reluctant to go: such an entry outlives its idle time, and is evicted only where every entry is reluctant. */
  readonly keep?: ((value: V, now: number) => boolean) | undefined
}

/** How many reluctant entries one eviction looks at, in search of one that is reluctant no more. */
const looks = 16

export class KeyedMap<V> {
  readonly #options: KeyedMapOptions<V>
  readonly #entries = new Map<string, Entry<V>>()
  /** In order of use, the oldest first. */
  readonly #used = new Queue<Entry<V>>()
  /** Reluctant ones that came up for eviction, set aside so that nobody meets them twice; in no particular order. */
  readonly #reluctant = new Queue<Entry<V>>()
  #epoch: number | undefined = undefined
  #time = 0

  constructor(options: KeyedMapOptions<V>) {
    this.#options = options
  }

  /** How many entries are in memory. */
  get size(): number {
    return this.#entries.size
  }

  /** The value of `key`, made if it is absent; used now. */
  get(key: string, now: number): V {
    this.#epoch ??= now
    const time = (this.#time = this.#timeOf(now))
    const entry = this.#entries.get(key)
    if (entry !== undefined && !this.#isGone(entry, time, now)) {
      entry.usedAt = time
      this.#used.add(entry)
      return entry.value
    }
    if (entry !== undefined) this.#drop(entry)
    this.#dropIdle(time, now)
    if (this.#entries.size >= this.#options.max) this.#drop(this.#leastReluctant(now))
    const value = this.#options.make(key, now)
    const made = new Entry(key, value, time)
    this.#entries.set(key, made)
    this.#used.add(made)
    return value
  }

  /** The value of `key`, if there is one. It changes nothing, and does not count as use. */
  peek(key: string, now: number): V | undefined {
    const entry = this.#entries.get(key)
    return entry === undefined || this.#isGone(entry, this.#timeOf(now), now) ? undefined : entry.value
  }

  /** All that is there, in the order in which it was made. It changes nothing, and does not count as use. */
  entries(now: number): Array<readonly [key: string, value: V]> {
    const time = this.#timeOf(now)
    const there: Array<readonly [string, V]> = []
    for (const [key, entry] of this.#entries) {
      if (!this.#isGone(entry, time, now)) there.push([key, entry.value])
    }
    return there
  }

  /** Whole milliseconds since the first use: a small number, which V8 stores in the entry itself. A clock that steps back stands still. */
  #timeOf(now: number): number {
    return Math.max(this.#time, Math.floor(now - (this.#epoch ?? now)))
  }

  #isIdle(entry: Entry<V>, time: number): boolean {
    return time - entry.usedAt >= this.#options.idleTimeToLiveMs
  }

  #isReluctant(entry: Entry<V>, now: number): boolean {
    return this.#options.keep !== undefined && this.#options.keep(entry.value, now)
  }

  #isGone(entry: Entry<V>, time: number, now: number): boolean {
    return this.#isIdle(entry, time) && !this.#isReluctant(entry, now)
  }

  #drop(entry: Entry<V>): void {
    entry.unlink()
    this.#entries.delete(entry.key)
  }

  // What is dropped or set aside here has been used since the last time, and its use pays for it: O(1), amortised
  #dropIdle(time: number, now: number): void {
    for (let entry = this.#used.first; entry !== undefined && this.#isIdle(entry, time); entry = this.#used.first) {
      if (this.#isReluctant(entry, now)) this.#reluctant.add(entry)
      else this.#drop(entry)
    }
    // of those set aside, one at a time keeps up with the one that is about to come in
    const entry = this.#reluctant.first
    if (entry === undefined) return
    if (this.#isGone(entry, time, now)) this.#drop(entry)
    else this.#reluctant.add(entry)
  }

  #leastReluctant(now: number): Entry<V> {
    for (let entry = this.#used.first; entry !== undefined; entry = this.#used.first) {
      if (!this.#isReluctant(entry, now)) return entry
      this.#reluctant.add(entry)
    }
    const oldest = this.#reluctant.first!
    for (let i = 0; i < looks; i++) {
      const entry = this.#reluctant.first!
      if (!this.#isReluctant(entry, now)) return entry
      this.#reluctant.add(entry)
    }
    return oldest
  }
}

class Entry<V> extends Link {
  readonly key: string
  readonly value: V
  usedAt: number

  constructor(key: string, value: V, usedAt: number) {
    super()
    this.key = key
    this.value = value
    this.usedAt = usedAt
  }
}
