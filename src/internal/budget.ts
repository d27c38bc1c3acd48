// The contract between the engine and every retry budget.
import type { Outcome } from "../Guard.ts"

/** A budget service. The models behind it are pure; the engine says the time. */
export interface Budget {
  readonly name: string
  /** What is left, in retries that could be taken now: for telemetry. */
  readonly balance?: ((now: number, key: string | undefined) => number) | undefined
  /**
   * A call begins. `deposits` is false where an outer live policy uses the same budget already, so that one call is counted
   * once. `key` is undefined for a budget that is not keyed.
   */
  readonly begin: (now: number, key: string | undefined, deposits: boolean) => BudgetCall
}

/** What one call in progress holds of one budget. */
export interface BudgetCall {
  /**
   * An attempt of the call has ended with `outcome`; called before `retry` is asked. At most one of a call's outcomes is final (a
   * success, or a failure that is not retried): of attempts that hedge each other, the one that wins.
   */
  readonly attempt: (now: number, outcome: Outcome) => void
  /** Check and take in one step: a token for one more attempt, or nothing. */
  readonly retry: (now: number, request: RetryRequest) => Token | undefined
  /** The call is over, however it ended. Called exactly once. */
  readonly end: (now: number) => void
}

export interface RetryRequest {
  /** The attempt before it timed out (some models charge more for that). */
  readonly timeout: boolean
  readonly kind: "retry" | "hedge"
}

/** The right to one more attempt. Exactly one of the two is called, once. */
export interface Token {
  /** The attempt it paid for has ended. */
  readonly settle: (now: number, outcome: Outcome) => void
  /** It was not used after all (another budget said no, or the call ended before the attempt began): nothing was spent. */
  readonly cancel: (now: number) => void
}
