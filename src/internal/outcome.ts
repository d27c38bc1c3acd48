// From an exit to what it means: the outcome table. Pure; the deadline and the timeout are told apart before.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { Classifier, Verdict } from "../Fault.ts"
import type { Outcome, OutcomeKind } from "../Guard.ts"
import { isUnavailable } from "./unavailable.ts"
import { hint, invalid } from "./validate.ts"

const outcome = (kind: OutcomeKind, health: Outcome["health"], retryAfter?: Duration.Duration): Outcome => ({
  kind,
  health,
  retryAfter
})

export const success = /*#__PURE__*/ outcome("success", "ok")
export const timeout = /*#__PURE__*/ outcome("timeout", "failed")
export const interrupted = /*#__PURE__*/ outcome("interrupted", "ignored")
const defect = /*#__PURE__*/ outcome("defect", "failed")
const unrecognised = /*#__PURE__*/ outcome("unrecognised", "failed")
const nestedRejection = /*#__PURE__*/ outcome("unrecognised", "ignored")

const healthOf = { transient: "failed", throttled: "ignored", permanent: "ok" } as const

/** A failed attempt, as the policy sees it. */
export interface Failed {
  readonly outcome: Outcome
  /** The typed error that decided, if one did. */
  readonly error: unknown
  readonly cause: Cause.Cause<unknown>
  readonly verdict: Verdict | undefined
  /** An error of a policy or guard further in: neither retried nor counted by budgets, unless a classifier says otherwise. */
  readonly nested: boolean
}

/**
 * A cause with several failures: any defect makes it a defect; else the interruption; else any final error (permanent or
 * unrecognised) wins; else the first. The whole cause is kept.
 */
export const ofCause = (cause: Cause.Cause<unknown>, classifier: Classifier): Failed => {
  let first: Failed | undefined
  let isInterrupted = false
  for (const reason of cause.reasons) {
    if (reason._tag === "Die") return failed(defect, undefined, cause)
    if (reason._tag === "Interrupt") isInterrupted = true
  }
  if (isInterrupted || cause.reasons.length === 0) return failed(interrupted, undefined, cause)
  for (const reason of cause.reasons) {
    // only errors are left
    const seen = ofError((reason as Cause.Fail<unknown>).error, cause, classifier)
    if (!isRetried(seen.outcome)) return seen
    first ??= seen
  }
  return first!
}

/** Whether an attempt that ended so may be followed by another. */
export const isRetried = (outcome: Outcome): boolean =>
  outcome.kind === "transient" || outcome.kind === "throttled" || outcome.kind === "timeout"

const ofError = (error: unknown, cause: Cause.Cause<unknown>, classifier: Classifier): Failed => {
  let verdict: Verdict | undefined
  let seen: Outcome
  try {
    verdict = classifier.classify(error)
    seen = verdict === undefined ? unseen(error) : outcomeOf(verdict)
  } catch (thrown) {
    // Both are bugs to be seen: the original failure first, what the classifier threw beside it
    return failed(defect, undefined, Cause.fromReasons([...cause.reasons, ...Cause.die(thrown).reasons]))
  }
  return { outcome: seen, error, cause, verdict, nested: isUnavailable(error) && !isRetried(seen) }
}

/** A verdict need not be made by `Fault`: an error may carry any object, and a classifier may be plain JavaScript. */
const outcomeOf = (verdict: Verdict): Outcome => {
  const { health, kind, retryAfter } = Object(verdict) as Verdict
  if (!Object.hasOwn(healthOf, kind)) {
    return invalid("Verdict", verdict, "a verdict, as Fault.transient and its like make it")
  }
  if (retryAfter !== undefined && !Duration.isDuration(retryAfter)) {
    return invalid("Verdict: retryAfter", retryAfter, "a Duration, as Fault.throttled and its like make it")
  }
  return outcome(kind, health ?? healthOf[kind], hint("Verdict: retryAfter", retryAfter))
}

/** No classifier knows it. */
const unseen = (error: unknown): Outcome =>
  isUnavailable(error) && isRejection(error) ? nestedRejection : unrecognised

/** Of this library's errors, three say that the dependency was tried and failed; all others, that it was not asked. */
const isRejection = (error: { readonly _tag: string }): boolean =>
  error._tag !== "RetryExhausted" && error._tag !== "DeadlineExceeded" && error._tag !== "AttemptTimeout"

const failed = (outcome: Outcome, error: unknown, cause: Cause.Cause<unknown>): Failed => ({
  outcome,
  error,
  cause,
  verdict: undefined,
  nested: false
})

/** An attempt that a limit of the policy itself has cut. */
export const ofCut = (outcome: Outcome, cause: Cause.Cause<unknown>): Failed =>
  failed(outcome, Cause.squash(cause), cause)

/** The outcome of a whole exit, for guards used alone. */
export const ofExit = (exit: Exit.Exit<unknown, unknown>, classifier: Classifier): Outcome =>
  Exit.isSuccess(exit) ? success : ofCause(exit.cause, classifier).outcome
