// Retries as a share of recent calls, above a reserve: the leaky bucket of Finagle's RetryBudget, after which Linkerd's is made.
import type { BudgetCall, Token } from "../budget.ts"
import { ignore, isFinal, toUnits, unit } from "../budgets.ts"
import type { BudgetModel } from "../budgets.ts"

/** Finagle's number. What is paid in lives for the window, less at most one slice of it. */
const slices = 10

/**
 * Deposits and withdrawals leave the window alike: a withdrawal that was covered by the reserve gives it back only then, which
 * is what makes the reserve a rate and not a lump.
 */
export class Ratio implements BudgetModel {
  readonly #share: number
  readonly #reserve: number
  readonly #sliceMs: number
  /** Deposits minus withdrawals of each slice, as a ring. */
  readonly #net = new Float64Array(slices)
  #position = 0
  #slice = Number.NEGATIVE_INFINITY
  /** Always the sum of `#net`. */
  #total = 0
  // calls have no state of their own
  readonly #silent: BudgetCall = { attempt: ignore, retry: (now) => this.withdraw(now), end: ignore }
  readonly #depositing: BudgetCall = {
    attempt: (now, outcome) => {
      if (isFinal(outcome.kind)) this.deposit(now)
    },
    retry: (now) => this.withdraw(now),
    end: ignore
  }

  constructor(options: { readonly ratio: number; readonly minPerSecond: number; readonly windowMs: number }) {
    this.#share = toUnits(options.ratio)
    this.#reserve = toUnits((options.minPerSecond * options.windowMs) / 1000)
    this.#sliceMs = options.windowMs / slices
  }

  begin(_now: number, deposits: boolean): BudgetCall {
    return deposits ? this.#depositing : this.#silent
  }

  balance(now: number): number {
    this.#advance(now)
    return Math.max(0, Math.floor((this.#total + this.#reserve) / unit))
  }

  spent(now: number): boolean {
    this.#advance(now)
    return this.#total < 0
  }

  deposit(now: number): void {
    this.#advance(now)
    this.#add(this.#position, this.#share)
  }

  withdraw(now: number): Token | undefined {
    this.#advance(now)
    if (this.#total + this.#reserve < unit) return undefined
    this.#add(this.#position, -unit)
    const slice = this.#slice
    return { settle: ignore, cancel: (later) => this.#giveBack(later, slice) }
  }

  /** To the slice it came from; what has left the window has come back by itself. */
  #giveBack(now: number, slice: number): void {
    this.#advance(now)
    const age = this.#slice - slice
    if (age < slices) this.#add((this.#position - age + slices) % slices, unit)
  }

  #add(position: number, amount: number): void {
    this.#net[position]! += amount
    this.#total += amount
  }

  #advance(now: number): void {
    const slice = Math.floor(now / this.#sliceMs)
    if (slice <= this.#slice) return
    const passed = Math.min(slice - this.#slice, slices)
    for (let i = 0; i < passed; i++) {
      this.#position = (this.#position + 1) % slices
      this.#total -= this.#net[this.#position]!
      this.#net[this.#position] = 0
    }
    this.#slice = slice
  }
}
