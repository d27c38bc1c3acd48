// Slots that are kept free for calls that matter more, where nobody can wait: calls that run cannot be refused any more, so
// those that matter less must be refused in time.
import { levels } from "./priorities.ts"

/** Less than this is nothing, and costs nothing. */
const least = 0.01

export class Headroom {
  readonly #halfLifeMs: number
  /** For each rank, how many slots it must leave free. Never fewer for one that matters less. */
  readonly #kept: Array<number> = levels.map(() => 0)
  #at = Number.NEGATIVE_INFINITY

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs
  }

  /** Whether any slot is kept. */
  get isNone(): boolean {
    return this.#kept[levels.length - 1] === 0
  }

  /** How many slots a call of this rank must leave free. */
  keptFrom(rank: number, now: number): number {
    this.#decay(now)
    return this.#kept[rank]!
  }

  /** A call of this rank was refused: one slot more is kept from those that matter less, as long as there are more. */
  refused(rank: number, limit: number, now: number): void {
    this.#decay(now)
    for (let lower = rank + 1; lower < levels.length; lower++) {
      const kept = this.#kept[lower]!
      // nothing is given up where the limit has fallen: else more could be kept from one that matters more
      this.#kept[lower] = Math.max(kept, Math.min(limit, kept + 1))
    }
  }

  #decay(now: number): void {
    if (now <= this.#at) return
    if (!this.isNone) {
      const factor = 2 ** ((this.#at - now) / this.#halfLifeMs)
      const isOver = this.#kept[levels.length - 1]! * factor < least
      for (let rank = 1; rank < levels.length; rank++) this.#kept[rank] = isOver ? 0 : this.#kept[rank]! * factor
    }
    this.#at = now
  }
}
