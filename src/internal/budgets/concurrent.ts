// Retries in progress as a share of the calls in progress: Envoy's retry budget.
import type { BudgetCall, Token } from "../budget.ts"
import { ignore, toUnits, unit } from "../budgets.ts"
import type { BudgetModel } from "../budgets.ts"

export class Concurrent implements BudgetModel {
  readonly #share: number
  readonly #min: number
  #calls = 0
  #retries = 0
  readonly #counted: BudgetCall
  readonly #silent: BudgetCall
  readonly #token: Token

  constructor(options: { readonly ratio: number; readonly minConcurrency: number }) {
    this.#share = toUnits(options.ratio)
    this.#min = options.minConcurrency
    const release = () => {
      this.#retries--
    }
    const retry = () => {
      if (this.#retries >= this.#allowed()) return undefined
      this.#retries++
      return this.#token
    }
    this.#token = { settle: release, cancel: release }
    this.#counted = {
      attempt: ignore,
      retry,
      end: () => {
        this.#calls--
      }
    }
    this.#silent = { attempt: ignore, retry, end: ignore }
  }

  begin(_now: number, deposits: boolean): BudgetCall {
    if (!deposits) return this.#silent
    this.#calls++
    return this.#counted
  }

  /** Retries in progress stay when the calls that allowed them end: then there is nothing left, not less than nothing. */
  balance(): number {
    return Math.max(0, this.#allowed() - this.#retries)
  }

  /** As long as it is in use: a new state would allow its minimum beside what is in progress here. */
  spent(): boolean {
    return this.#retries > 0 || this.#calls > 0
  }

  #allowed(): number {
    return Math.max(Math.floor((this.#share * this.#calls) / unit), this.#min)
  }
}
