// The events of one call. Nothing here runs unless somebody listens or a span is recorded.
import { Cause, Duration, Exit } from "effect"
import type { Outcome } from "../Guard.ts"
import type { Call } from "./engine.ts"
import type { RetryExhausted } from "./errors.ts"
import { tagOf, type Emit } from "./events.ts"
import type { Failed } from "./outcome.ts"

const head = (call: Call) => {
  const key = call.options?.key
  return {
    at: call.clock.currentTimeMillisUnsafe(),
    policy: call.plan.name,
    key: typeof key === "object" ? Object.values(key).join(",") : key
  }
}

const errorTag = (failed: Failed): string =>
  failed.outcome.kind === "defect"
    ? "Defect"
    : failed.outcome.kind === "interrupted"
      ? "Interrupted"
      : tagOf(failed.error)

/** Why a guard refused, in a word of low cardinality, if its rejection says so. */
const reasonOf = (rejection: unknown): string | undefined => {
  if (typeof rejection !== "object" || rejection === null) return undefined
  if ("reason" in rejection && typeof rejection.reason === "string") return rejection.reason
  return "state" in rejection && typeof rejection.state === "string" ? rejection.state : undefined
}

const sinceStart = (call: Call) => Duration.millis(call.readNow() - call.startedMs)

export const callStarted = (call: Call, emit: Emit): void => emit({ _tag: "CallStarted", ...head(call) })

export const guardRejected = (call: Call, emit: Emit, guard: string, rejection: unknown): void => {
  const error = tagOf(rejection)
  const reason = reasonOf(rejection) ?? error
  emit({ _tag: "GuardRejected", ...head(call), guard, attempt: call.number, error, reason })
}

export const attemptFailed = (call: Call, emit: Emit, failed: Failed, elapsedMs: number): void =>
  emit({
    _tag: "AttemptFailed",
    ...head(call),
    attempt: call.number,
    kind: call.kind,
    outcome: failed.outcome.kind as Exclude<Outcome["kind"], "success">,
    error: errorTag(failed),
    elapsed: Duration.millis(elapsedMs)
  })

export const retryScheduled = (call: Call, emit: Emit, failed: Failed, delayMs: number): void =>
  emit({
    _tag: "RetryScheduled",
    ...head(call),
    attempt: call.number,
    error: errorTag(failed),
    delay: Duration.millis(delayMs),
    retryAfter: failed.outcome.retryAfter
  })

export const retryDenied = (call: Call, emit: Emit, exhausted: RetryExhausted<unknown>): void =>
  emit({
    _tag: "RetryDenied",
    ...head(call),
    attempt: exhausted.attempts,
    reason: exhausted.reason,
    error: tagOf(exhausted.lastError),
    deniedBy: exhausted.deniedBy
  })

export const deadlinePassed = (call: Call, emit: Emit): void =>
  emit({
    _tag: "DeadlinePassed",
    at: call.clock.currentTimeMillisUnsafe(),
    name: call.plan.name,
    after: Duration.millis(call.plan.deadlineMs!)
  })

export const callFailed = (call: Call, emit: Emit, cause: Cause.Cause<unknown>, lastError: unknown): void => {
  const error = cause.reasons.find(Cause.isFailReason)
  emit({
    _tag: "CallFailed",
    ...head(call),
    attempts: call.number,
    error: cause.reasons.some(Cause.isDieReason)
      ? "Defect"
      : error === undefined || cause.reasons.some(Cause.isInterruptReason)
        ? "Interrupted"
        : tagOf(error.error),
    lastError: lastError === undefined ? undefined : tagOf(lastError),
    elapsed: sinceStart(call)
  })
}

/** An attempt that ended with success, or with the caller's interruption. */
export const attemptEnded = (
  call: Call,
  emit: Emit,
  exit: Exit.Exit<unknown, unknown>,
  outcome: Outcome,
  elapsedMs: number
): void => {
  const { kind, number: attempt } = call
  const elapsed = Duration.millis(elapsedMs)
  if (Exit.isFailure(exit)) {
    const outcomeKind = outcome.kind as Exclude<Outcome["kind"], "success">
    emit({ _tag: "AttemptFailed", ...head(call), attempt, kind, outcome: outcomeKind, error: "Interrupted", elapsed })
    return callFailed(call, emit, exit.cause, call.lastError)
  }
  emit({ _tag: "AttemptSucceeded", ...head(call), attempt, kind, elapsed })
  const total = sinceStart(call)
  if (attempt > 1) {
    const error = tagOf(call.lastError)
    emit({ _tag: "CallRecovered", ...head(call), attempts: attempt, error, elapsed: total })
  }
  emit({ _tag: "CallSucceeded", ...head(call), attempts: attempt, elapsed: total })
}
