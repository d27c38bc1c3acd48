// The events of one call. Nothing here runs unless somebody listens or a span is recorded.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { Outcome } from "../Guard.ts"
import type { Call } from "./engine.ts"
import { tagOf, type Emit, type Event } from "./events.ts"
import type { Failed } from "./outcome.ts"

type OfCall<Tag> = Extract<Event, { readonly _tag: Tag; readonly policy: string }>

/** Sends an event of the call, with what all of them say. Asked for only where `call.emit` is there. */
export const note = <Tag extends Event["_tag"]>(
  call: Call,
  tag: Tag,
  fields: Omit<OfCall<Tag>, "_tag" | "at" | "policy" | "key">
): void => {
  const key = call.options?.key
  call.emit!({
    _tag: tag,
    at: call.clock.currentTimeMillisUnsafe(),
    policy: call.plan.name,
    key: typeof key === "object" ? Object.values(key).join(",") : key,
    ...fields
  } as unknown as Event)
}

export const errorTag = ({ error, outcome: { kind } }: Failed): string =>
  kind === "defect" ? "Defect" : kind === "interrupted" ? "Interrupted" : tagOf(error)

const sinceStart = (call: Call): Duration.Duration => Duration.millis(call.readNow() - call.startedMs)

export const noteFailure = (call: Call, cause: Cause.Cause<unknown>, lastError: unknown): void => {
  const has = (tag: string) => cause.reasons.some((reason) => reason._tag === tag)
  note(call, "CallFailed", {
    attempts: call.begun,
    error: has("Die") ? "Defect" : !has("Fail") || has("Interrupt") ? "Interrupted" : tagOf(Cause.squash(cause)),
    lastError: lastError === undefined ? undefined : tagOf(lastError),
    elapsed: sinceStart(call)
  })
}

export const noteAttempt = (call: Call, outcome: Outcome, error: string, elapsedMs: number): void =>
  note(call, "AttemptFailed", {
    attempt: call.number,
    kind: call.kind,
    outcome: outcome.kind as Exclude<Outcome["kind"], "success">,
    error,
    elapsed: Duration.millis(elapsedMs)
  })

/** An attempt has ended with success, or with the caller's interruption. */
export const noteEnd = (call: Call, exit: Exit.Exit<unknown, unknown>, outcome: Outcome, elapsedMs: number): void => {
  if (Exit.isFailure(exit)) {
    noteAttempt(call, outcome, "Interrupted", elapsedMs)
    return noteFailure(call, exit.cause, call.lastError)
  }
  const { kind, number } = call
  note(call, "AttemptSucceeded", { attempt: number, kind, elapsed: Duration.millis(elapsedMs) })
  const elapsed = sinceStart(call)
  if (number > 1) note(call, "CallRecovered", { attempts: number, error: tagOf(call.lastError), elapsed })
  note(call, "CallSucceeded", { attempts: number, elapsed })
}

export const noteDeadline = (call: Call, emit: Emit): void =>
  emit({
    _tag: "DeadlinePassed",
    at: call.clock.currentTimeMillisUnsafe(),
    name: call.plan.name,
    after: Duration.millis(call.plan.deadlineMs!)
  })
