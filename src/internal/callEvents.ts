// The events of one call. Nothing here runs unless somebody listens or a span is recorded.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import type { Call } from "./engine.ts"
import { tagOf, type Event } from "./events.ts"
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

export const sinceStart = (call: Call): Duration.Duration => Duration.millis(call.readNow() - call.startedMs)

export const noteFailure = (call: Call, cause: Cause.Cause<unknown>, lastError: unknown): void => {
  const has = (tag: string) => cause.reasons.some((reason) => reason._tag === tag)
  note(call, "CallFailed", {
    attempts: call.number,
    error: has("Die") ? "Defect" : !has("Fail") || has("Interrupt") ? "Interrupted" : tagOf(Cause.squash(cause)),
    lastError: lastError === undefined ? undefined : tagOf(lastError),
    elapsed: sinceStart(call)
  })
}
