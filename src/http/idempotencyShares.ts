/**
 * How many keys each caller has in the store in memory, and whose goes when it is full: one of whoever has most, so that a flood of
 * requests pushes out its own answers. Pure; every operation takes constant time, but for callers whose share shrinks at once.
 */

interface Holder {
  /** All its keys: those of requests that run, which are never given up, and those that have been answered. */
  held: number
  /** The answered ones, in the order in which they were. */
  readonly answered: Set<string>
}

export class Shares {
  readonly #holders = new Map<string, Holder>()
  /** Those with something to give up, by how much they hold; within that, whose share has not changed for longest is first. */
  readonly #givers = new Map<number, Set<Holder>>()
  #most = 0

  begin(caller: string): void {
    const holder = this.#holders.get(caller) ?? { held: 0, answered: new Set() }
    this.#holders.set(caller, holder)
    this.#change(holder, () => holder.held++)
  }

  answer(caller: string, key: string): void {
    const holder = this.#holders.get(caller)!
    this.#change(holder, () => holder.answered.add(key))
  }

  /** A key that is no longer there, whatever had become of it. */
  end(caller: string, key: string): void {
    const holder = this.#holders.get(caller)!
    this.#change(holder, () => {
      holder.held--
      holder.answered.delete(key)
    })
    if (holder.held === 0) this.#holders.delete(caller)
  }

  /**
   * The key to give up, so that a caller may have another: one of its own, if nobody who has something to give up holds more than it will;
   * else one of whoever holds most. `undefined`: there is none, or the caller, who holds more than they all, has only requests that run.
   */
  toGiveUp(caller: string): string | undefined {
    const own = this.#holders.get(caller)
    const share = (own?.held ?? 0) + 1
    const ofOwn = first(own?.answered)
    if (share > this.#most || (share === this.#most && ofOwn !== undefined)) return ofOwn
    return first(first(this.#givers.get(this.#most))?.answered)
  }

  #change(holder: Holder, change: () => void): void {
    this.#givers.get(holder.held)?.delete(holder)
    if (this.#givers.get(holder.held)?.size === 0) this.#givers.delete(holder.held)
    change()
    if (holder.answered.size > 0) {
      const equals = this.#givers.get(holder.held) ?? new Set()
      this.#givers.set(holder.held, equals.add(holder))
      this.#most = Math.max(this.#most, holder.held)
    }
    while (this.#most > 0 && !this.#givers.has(this.#most)) this.#most--
  }
}

const first = <A>(all: ReadonlySet<A> | undefined): A | undefined => {
  for (const one of all ?? []) return one
  return undefined
}
