// The events of one call. Nothing here runs unless somebody listens or a span is recorded.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { Outcome } from "../Guard.ts"
import type { CallFrame } from "./callFrame.ts"
import { labelOf, type AttemptKind, type Emit, type Event } from "./events.ts"
import type { Failed } from "./outcome.ts"

type OfCall<Tag> = Extract<Event, { readonly _tag: Tag; readonly policy: string }>

/** The key said at the call, or all of them. */
export const keySaid = (call: CallFrame): string | undefined => {
  const key = call.options?.key
  return typeof key === "object" ? Object.values(key).join(",") : key
}

/** Sends an event of the call, with what all of them say. Asked for only where `call.emit` is there. */
export const note = <Tag extends Event["_tag"]>(
  call: CallFrame,
  tag: Tag,
  fields: Omit<OfCall<Tag>, "_tag" | "at" | "policy" | "key">
): void => {
  call.emit!({
    _tag: tag,
    at: call.clock.currentTimeMillisUnsafe(),
    policy: call.plan.name,
    key: keySaid(call),
    ...fields
  } as unknown as Event)
}

export const errorTag = ({ error, outcome: { kind } }: Failed): string =>
  kind === "defect" ? "Defect" : kind === "interrupted" ? "Interrupted" : labelOf(error)

const sinceStart = (call: CallFrame): Duration.Duration => Duration.millis(call.readNow() - call.startedMs)

export const noteFailure = (call: CallFrame, cause: Cause.Cause<unknown>, lastError: unknown): void => {
  const has = (tag: string) => cause.reasons.some((reason) => reason._tag === tag)
  note(call, "CallFailed", {
    attempts: call.begun,
    error: has("Die") ? "Defect" : !has("Fail") || has("Interrupt") ? "Interrupted" : labelOf(Cause.squash(cause)),
    lastError: lastError === undefined ? undefined : labelOf(lastError),
    elapsed: sinceStart(call)
  })
}

interface Attempt {
  readonly number: number
  readonly kind: AttemptKind
}

export const noteAttempt = (
  call: CallFrame,
  { kind, number: attempt }: Attempt,
  outcome: Outcome,
  error: string,
  elapsedMs: number
): void =>
  note(call, "AttemptFailed", {
    attempt,
    kind,
    outcome: outcome.kind as Exclude<Outcome["kind"], "success">,
    error,
    elapsed: Duration.millis(elapsedMs)
  })

/** An attempt has ended with success, or with an interruption. */
export const noteAttemptEnd = (call: CallFrame, attempt: Attempt, outcome: Outcome, elapsedMs: number): void =>
  outcome.kind === "success"
    ? note(call, "AttemptSucceeded", {
        attempt: attempt.number,
        kind: attempt.kind,
        elapsed: Duration.millis(elapsedMs)
      })
    : noteAttempt(call, attempt, outcome, "Interrupted", elapsedMs)

/** A call has ended with success, or with the caller's interruption. */
export const noteEnd = (call: CallFrame, exit: Exit.Exit<unknown, unknown>): void => {
  if (Exit.isFailure(exit)) return noteFailure(call, exit.cause, call.lastError)
  const attempts = call.begun
  const elapsed = sinceStart(call)
  if (call.retries !== undefined && (call.winner ?? call.kind) !== "first") {
    note(call, "CallRecovered", { attempts, error: labelOf(call.lastError), elapsed })
  }
  note(call, "CallSucceeded", { attempts, elapsed })
}

export const noteDeadline = (call: CallFrame, emit: Emit): void =>
  emit({
    _tag: "DeadlinePassed",
    at: call.clock.currentTimeMillisUnsafe(),
    name: call.plan.name,
    after: Duration.millis(call.plan.deadlineMs!)
  })
