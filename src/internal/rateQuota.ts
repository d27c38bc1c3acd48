// What is known of one rate limit, from what its store and its dependency have said. The tokens themselves are counted in the
// store: here is only when it is worth asking again, and when those who wait have their turn.

/** How many tokens there are, and how fast. */
export interface Rate {
  readonly algorithm: "fixed-window" | "token-bucket"
  readonly limit: number
  /** What one call uses: at most `limit`. */
  readonly tokens: number
  /** In what time one token comes back. */
  readonly refillMs: number
}

/** What the store says to a call that asks for its tokens. */
export type Answer =
  /** How many are left, and when there will be all of them again. */
  | { readonly _tag: "Taken"; readonly remaining: number; readonly resetMs: number }
  /** Nothing was taken; before that time is over there is no use in asking. */
  | { readonly _tag: "Refused"; readonly retryMs: number }
  | { readonly _tag: "Failed" }

export class Quota {
  readonly #rate: Rate
  #remaining: number
  /** When all tokens are there again. */
  #wholeAt = Number.NEGATIVE_INFINITY
  #refusedUntil = Number.NEGATIVE_INFINITY
  #drainedUntil = Number.NEGATIVE_INFINITY

  constructor(rate: Rate) {
    this.#rate = rate
    this.#remaining = rate.limit
  }

  /** When the time is over for which the dependency asked not to be called. */
  get drainedUntil(): number {
    return this.#drainedUntil
  }

  learn(answer: Answer, now: number): void {
    if (answer._tag === "Failed") return
    if (answer._tag === "Taken") {
      this.#remaining = answer.remaining
      this.#wholeAt = now + answer.resetMs
      this.#refusedUntil = Number.NEGATIVE_INFINITY
      return
    }
    const { algorithm, limit, refillMs, tokens } = this.#rate
    // a store that says "now" (Redis does of a key without expiry) would be asked without end
    this.#refusedUntil = now + Math.max(1, answer.retryMs)
    this.#remaining = Math.min(this.remaining(now), tokens - 1)
    this.#wholeAt = this.#refusedUntil + (algorithm === "fixed-window" ? 0 : (limit - tokens) * refillMs)
  }

  /** The dependency asks not to be called. What it has asked for before is not cut short. */
  drain(ms: number, now: number): void {
    this.#drainedUntil = Math.max(this.#drainedUntil, now + ms)
  }

  /** The tokens there are now, as far as the store's last answer tells. */
  remaining(now: number): number {
    const { algorithm, limit, refillMs } = this.#rate
    if (now >= this.#wholeAt) return limit
    if (algorithm === "fixed-window") return this.#remaining
    // a sum of refills comes out a little above the whole number that is meant
    return Math.max(0, limit - Math.ceil((this.#wholeAt - now) / refillMs - 1e-6))
  }

  /** Whether one made anew would know as much. */
  isFresh(now: number): boolean {
    return now >= this.#wholeAt && now >= this.#drainedUntil
  }

  /**
   * When a caller that comes now has its turn, with so many waiting `ahead` of it: exactly, where nobody else uses the store and
   * those ahead stay; at the earliest, where others use it too.
   */
  turnAt(ahead: number, now: number): number {
    const { algorithm, limit, refillMs, tokens } = this.#rate
    const start = Math.max(this.#refusedUntil, this.#drainedUntil, now)
    const wholeAt = Math.max(this.#wholeAt, start)
    if (algorithm === "token-bucket") {
      return Math.max(start, wholeAt + ((ahead + 1) * tokens - limit) * refillMs)
    }
    // What is left of this window goes first, and lengthens it; then come windows that are used up at once
    const left = Math.floor(this.remaining(start) / tokens)
    if (ahead < left) return start
    const perWindow = Math.floor(limit / tokens)
    const windows = Math.floor((ahead - left) / perWindow)
    return wholeAt + (left + windows * perWindow) * tokens * refillMs
  }
}
