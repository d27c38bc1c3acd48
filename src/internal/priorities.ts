// How much a call matters: what a guard goes by that must refuse some.
import * as Context from "effect/Context"
import { orUndefined } from "./context.ts"
import type { Frame } from "./currentCall.ts"

/** From the first that is served to the first that is refused. */
export const levels = ["critical", "high", "normal", "low", "background"] as const

export type Level = (typeof levels)[number]

/** 0 for the first that is served, 4 for the first that is refused. */
export const rankOf = (level: Level): number => levels.indexOf(level)

export const CurrentPriority = /*#__PURE__*/ Context.Reference<Level | undefined>("effect-resilience/CurrentPriority", {
  defaultValue: () => undefined
})

/** The one of the two that is refused first. */
export const lower = (a: Level, b: Level): Level => (rankOf(a) < rankOf(b) ? b : a)

/** What is said here; but nothing within a call matters more than the call does. */
export const priorityIn = (context: Context.Context<never>, around: Frame | undefined): Level => {
  const said = orUndefined(context, CurrentPriority)
  const most = around?.priority
  return said === undefined || most === undefined ? (said ?? most ?? "normal") : lower(said, most)
}
