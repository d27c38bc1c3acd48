// Sliding windows over "was this call a bad one?". A window is a strategy that many circuits share; what it counts for one of
// them is a few whole numbers in an array of that circuit (`cells`), from `offset` on. So a circuit costs little memory, and
// several windows fit in one array. New cells are all 0. Every operation is O(1), amortised.

export type Cells = Array<number>

export interface Window {
  /** How many cells it needs. */
  readonly length: number
  readonly record: (cells: Cells, now: number, bad: boolean) => void
  /** Forgets what is too old. Reading does it first, so that what has expired is never read. */
  readonly expire: (cells: Cells, now: number) => void
  readonly calls: (cells: Cells) => number
  readonly bad: (cells: Cells) => number
}

/** 32 outcomes a cell: the most that V8 stores in an array without boxing. */
const bitsPerCell = 32

/** The last `size` calls: a ring of bits. */
export class CountWindow implements Window {
  readonly length: number
  readonly size: number
  readonly #bad: number
  /** Where the next outcome goes: from 0 to size - 1 the first time round, and from size to 2 size - 1 ever after. */
  readonly #next: number
  readonly #bits: number

  constructor(size: number, offset: number) {
    this.size = size
    this.#bad = offset
    this.#next = offset + 1
    this.#bits = offset + 2
    this.length = 2 + Math.ceil(size / bitsPerCell)
  }

  record(cells: Cells, _now: number, bad: boolean): void {
    const next = cells[this.#next]!
    const place = next % this.size
    const cell = this.#bits + Math.floor(place / bitsPerCell)
    const bit = 1 << (place % bitsPerCell)
    // the first time round there are only zeros ahead
    const wasBad = (cells[cell]! & bit) !== 0
    if (wasBad !== bad) {
      cells[cell]! ^= bit
      cells[this.#bad]! += bad ? 1 : -1
    }
    cells[this.#next] = next + 1 === 2 * this.size ? this.size : next + 1
  }

  expire(): void {}

  calls(cells: Cells): number {
    return Math.min(cells[this.#next]!, this.size)
  }

  bad(cells: Cells): number {
    return cells[this.#bad]!
  }
}

/**
 * A window of time moves in steps of a tenth of itself (as Polly's and opossum's do): it covers at least nine tenths of its
 * duration, and never more than all of it.
 */
export const bucketsPerWindow = 10

/** The calls of the last `durationMs` milliseconds: a ring of buckets. A clock that steps back stands still here. */
export class TimeWindow implements Window {
  readonly length = 3 + 2 * bucketsPerWindow
  readonly durationMs: number
  /** The number of the newest bucket, counted from time 0. */
  readonly #newest: number
  readonly #calls: number
  readonly #bad: number
  readonly #buckets: number

  constructor(durationMs: number, offset: number) {
    this.durationMs = durationMs
    this.#newest = offset
    this.#calls = offset + 1
    this.#bad = offset + 2
    this.#buckets = offset + 3
  }

  record(cells: Cells, now: number, bad: boolean): void {
    this.expire(cells, now)
    const bucket = this.#bucket(cells[this.#newest]!)
    cells[bucket]!++
    cells[this.#calls]!++
    if (bad) {
      cells[bucket + 1]!++
      cells[this.#bad]!++
    }
  }

  expire(cells: Cells, now: number): void {
    const newest = cells[this.#newest]!
    // one division: with two, a time on the border of two buckets falls on the wrong side
    const current = Math.floor((now * bucketsPerWindow) / this.durationMs)
    if (cells[this.#calls] === 0) {
      cells[this.#newest] = current
      return
    }
    if (current <= newest) return
    const last = Math.min(current, newest + bucketsPerWindow)
    for (let number = newest + 1; number <= last; number++) {
      const bucket = this.#bucket(number)
      cells[this.#calls]! -= cells[bucket]!
      cells[this.#bad]! -= cells[bucket + 1]!
      cells[bucket] = 0
      cells[bucket + 1] = 0
    }
    cells[this.#newest] = current
  }

  calls(cells: Cells): number {
    return cells[this.#calls]!
  }

  bad(cells: Cells): number {
    return cells[this.#bad]!
  }

  #bucket(number: number): number {
    const slot = number % bucketsPerWindow
    return this.#buckets + 2 * (slot < 0 ? slot + bucketsPerWindow : slot)
  }
}
