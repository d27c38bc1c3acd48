// Retries only while things go well: gRPC's retry throttling (proposal A6).
import type { BudgetCall, Token } from "../budget.ts"
import { ignore, isRetryable } from "../budgets.ts"
import type { BudgetModel } from "../budgets.ts"

/** Tokens are counted in thousandths: A6 ignores every decimal after the third. */
const thousand = 1000

/** What a failure costs; a retry itself costs nothing. */
const failure = thousand

export class Throttle implements BudgetModel {
  readonly #max: number
  readonly #refund: number
  #tokens: number
  readonly #depositing: BudgetCall
  readonly #silent: BudgetCall
  readonly #allowed: Token = { settle: ignore, cancel: ignore }

  constructor(options: { readonly maxTokens: number; readonly tokenRatio: number }) {
    this.#max = options.maxTokens * thousand
    // 1.001 * 1000 is 1000.9999999999999
    this.#refund = Math.floor(options.tokenRatio * thousand + 1e-9)
    this.#tokens = this.#max
    const retry = () => (this.#tokens * 2 > this.#max ? this.#allowed : undefined)
    this.#depositing = {
      attempt: (_now, outcome) => {
        if (outcome.kind === "success") this.#tokens = Math.min(this.#max, this.#tokens + this.#refund)
        else if (isRetryable(outcome.kind)) this.#fail()
      },
      retry,
      end: ignore
    }
    this.#silent = {
      attempt: (_now, outcome) => {
        if (isRetryable(outcome.kind)) this.#fail()
      },
      retry,
      end: ignore
    }
  }

  begin(_now: number, deposits: boolean): BudgetCall {
    return deposits ? this.#depositing : this.#silent
  }

  /** As many as would be allowed one after the other if each of them failed. */
  balance(): number {
    return Math.max(0, Math.ceil((this.#tokens * 2 - this.#max) / (2 * failure)))
  }

  spent(): boolean {
    return this.#tokens < this.#max
  }

  #fail(): void {
    this.#tokens = Math.max(0, this.#tokens - failure)
  }
}
