// How long a circuit stays open: a duration, or a schedule stepped synchronously, once for each opening in a row.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type { Context } from "effect"
import { duration, invalid } from "./validate.ts"

/** Begins a sequence of open times, in milliseconds. */
export type OpenTimes = () => () => number

type AnySchedule = Schedule.Schedule<unknown, unknown>

/**
 * `context` is the one that the layer was built in: a schedule that draws random numbers takes them from its `Random`.
 *
 * A schedule is stepped with the number of the opening as its input, against a clock that only open times advance: so its own
 * limits on elapsed time measure the time spent open.
 */
export const openTimes = (openFor: Duration.Input | AnySchedule, context: Context.Context<never>): OpenTimes => {
  if (!Schedule.isSchedule(openFor)) {
    const ms = duration("openFor", openFor, "positive")
    return () => () => ms
  }
  const schedule = openFor as AnySchedule
  const first =
    sequence(schedule, context, undefined)() ??
    invalid("openFor", schedule, "a schedule that gives a finite delay at its first step, synchronously")
  return () => sequence(schedule, context, first) as () => number
}

/** Where the schedule has no more to say, because it ended, failed or did not answer at once, its last delay stays. */
const sequence = (
  schedule: AnySchedule,
  context: Context.Context<never>,
  first: number | undefined
): (() => number | undefined) => {
  const now = { ms: 0 }
  let opening = 0
  let last = first
  const step = runSync(Schedule.toStep(schedule), context)
  return () => {
    const next =
      step &&
      runSync(
        Effect.suspend(() => step(now.ms, ++opening)),
        context
      )
    const ms = next && Duration.toMillis(next[1])
    if (ms !== undefined && Number.isFinite(ms)) last = ms
    now.ms += last ?? 0
    return last
  }
}

const runSync = <A>(self: Effect.Effect<A, unknown>, context: Context.Context<never>): A | undefined => {
  const exit = Effect.runSyncExitWith(context)(self)
  if (Exit.isSuccess(exit)) return exit.value
  // what is asynchronous goes on in the background unless it is interrupted
  const defect = Cause.squash(exit.cause)
  if (Cause.isAsyncFiberError(defect)) defect.fiber.interruptUnsafe()
  return undefined
}
