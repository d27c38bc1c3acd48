// So many retries a second, whatever the traffic: a token bucket that only time refills.
import type { BudgetCall, Token } from "../budget.ts"
import { ignore, toUnits, unit } from "../budgets.ts"
import type { BudgetModel } from "../budgets.ts"

/**
 * What was earned is computed from the time at which the bucket was last full, and never added up, so that nothing is lost to
 * rounding between two retries.
 */
export class FixedRate implements BudgetModel {
  readonly #perSecond: number
  readonly #burst: number
  #now = Number.NEGATIVE_INFINITY
  #fullAt = Number.NEGATIVE_INFINITY
  /** Since the bucket was last full. */
  #taken = 0
  /** How often the bucket became full: whatever was taken before has no trace left then. */
  #fills = 0
  readonly #call: BudgetCall = { attempt: ignore, retry: (now) => this.#take(now), end: ignore }

  constructor(options: { readonly perSecond: number; readonly burst: number }) {
    this.#perSecond = toUnits(options.perSecond)
    this.#burst = options.burst
  }

  begin(): BudgetCall {
    return this.#call
  }

  balance(now: number): number {
    return Math.floor(this.#burst - this.#owed(now))
  }

  spent(now: number): boolean {
    return this.#owed(now) > 0
  }

  #take(now: number): Token | undefined {
    if (this.#owed(now) > this.#burst - 1) return undefined
    this.#taken++
    const fills = this.#fills
    return {
      settle: ignore,
      cancel: (later) => {
        this.#owed(later)
        if (this.#fills === fills) this.#taken--
      }
    }
  }

  /** How far the bucket is from full, in retries. */
  #owed(now: number): number {
    this.#now = Math.max(this.#now, now)
    if (this.#taken > 0) {
      const owed = this.#taken - ((this.#now - this.#fullAt) * this.#perSecond) / (1000 * unit)
      if (owed > 0) return owed
      this.#taken = 0
      this.#fills++
    }
    this.#fullAt = this.#now
    return 0
  }
}
