// When the logical call began, for `Backoff.within`: the engine says it while it steps a schedule.
import * as Context from "effect/Context"

/**
 * The call's start in milliseconds, on the same scale as the `now` its schedule is stepped with. Absent outside a
 * policy. It is in force only while a schedule is acquired or stepped, never while an attempt runs: a retry inside an
 * attempt has a start of its own.
 */
export const CallStart = /*#__PURE__*/ Context.Reference<number | undefined>("effect-resilience/CallStart", {
  defaultValue: () => undefined
})
