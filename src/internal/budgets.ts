// What the models of a retry budget share. Each is a synchronous state machine, told the time; the files beside it hold one each.
import type { OutcomeKind } from "../Guard.ts"
import type { BudgetCall } from "./budget.ts"

/** The state of one budget, or of one key of it. A `now` earlier than one seen before counts as that one. */
export interface BudgetModel {
  /** A call begins; see `Budget.begin`. */
  readonly begin: (now: number, deposits: boolean) => BudgetCall
  /** How many retries could be taken now. */
  readonly balance: (now: number) => number
  /** Whether more retries would be allowed if a new state took the place of this one. */
  readonly spent: (now: number) => boolean
}

/** Shares and costs are kept as whole millionths, so that ten times 0.1 is 1, and 0.6 is neither 0.5 nor 1. */
export const unit = 1_000_000

export const toUnits = (amount: number): number => Math.round(amount * unit)

/** The call ends here with an answer, or with an error that is no reason to try again. */
export const isFinal = (kind: OutcomeKind): boolean =>
  kind === "success" || kind === "permanent" || kind === "unrecognised" || kind === "defect"

/** The dependency failed in a way that is worth another try. */
export const isRetryable = (kind: OutcomeKind): boolean =>
  kind === "transient" || kind === "throttled" || kind === "timeout"

export const ignore = (): void => {}
