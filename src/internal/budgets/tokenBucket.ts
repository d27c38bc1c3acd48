// A bucket that retries empty and successes refill: the retry quota of the AWS SDKs' standard mode.
import type { Outcome } from "../../Guard.ts"
import type { BudgetCall, RetryRequest, Token } from "../budget.ts"
import { ignore, toUnits } from "../budgets.ts"
import type { BudgetModel } from "../budgets.ts"

/**
 * A success at the first attempt refunds a little; a success after retries returns the cost of the last of them. The calls keep
 * no state for that: every success refunds, and the token that paid for it adds what its cost was above the refund.
 */
export class TokenBucket implements BudgetModel {
  readonly #capacity: number
  readonly #retryCost: number
  readonly #timeoutCost: number
  readonly #refund: number
  #tokens: number
  /** How often the bucket became full: whatever was taken before has no trace left then. */
  #fills = 0
  readonly #depositing: BudgetCall
  readonly #silent: BudgetCall

  constructor(options: {
    readonly capacity: number
    readonly retryCost: number
    readonly timeoutCost: number
    readonly refund: number
  }) {
    this.#capacity = toUnits(options.capacity)
    this.#retryCost = toUnits(options.retryCost)
    this.#timeoutCost = toUnits(options.timeoutCost)
    this.#refund = toUnits(options.refund)
    this.#tokens = this.#capacity
    this.#depositing = {
      attempt: (_now, outcome) => {
        if (outcome.kind === "success") this.#put(this.#refund)
      },
      retry: (_now, request) => this.#take(request, this.#refund),
      end: ignore
    }
    this.#silent = { attempt: ignore, retry: (_now, request) => this.#take(request, 0), end: ignore }
  }

  begin(_now: number, deposits: boolean): BudgetCall {
    return deposits ? this.#depositing : this.#silent
  }

  balance(): number {
    return Math.floor(this.#tokens / this.#retryCost)
  }

  spent(): boolean {
    return this.#tokens < this.#capacity
  }

  #take(request: RetryRequest, refunded: number): Token | undefined {
    const cost = request.timeout ? this.#timeoutCost : this.#retryCost
    if (this.#tokens < cost) return undefined
    this.#tokens -= cost
    const fills = this.#fills
    return {
      settle: (_now: number, outcome: Outcome) => {
        if (outcome.kind === "success") this.#put(Math.max(0, cost - refunded))
      },
      cancel: () => {
        if (this.#fills === fills) this.#put(cost)
      }
    }
  }

  #put(amount: number): void {
    if (this.#tokens === this.#capacity) return
    this.#tokens = Math.min(this.#capacity, this.#tokens + amount)
    if (this.#tokens === this.#capacity) this.#fills++
  }
}
