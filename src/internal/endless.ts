// Whether a schedule never ends, for `Policy.make`: without a deadline, such a retry would go on for ever.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import type { Schedule } from "effect"
import { simulation } from "./simulation.ts"

/** A schedule that still goes on after so many retries counts as endless. */
export const endlessAfter = 1000

/** Longer than any patience: whoever still goes on after it is not bounded by time. A hundred years. */
const foreverMs = 100 * 365 * 24 * 60 * 60 * 1000

/**
 * Decides by trying: the schedule is stepped synchronously against a simulated clock that advances by each delay, with
 * a seeded Random (the same schedule always gets the same answer), no logger, and a made-up error as input. It is
 * endless if it goes on for `endlessAfter` retries, and then once more a hundred years later, so that a long bound in
 * time is seen as one.
 *
 * Limits: `false` also means "cannot tell": the schedule requires services, fails, throws on the made-up error, or
 * waits for something asynchronous. A schedule that ends by count after more than `endlessAfter` retries counts as
 * endless. Effects inside the schedule (`Schedule.tap`) run, up to `endlessAfter + 1` times; only their logging is
 * silenced.
 */
export const isEndless = (schedule: Schedule.Schedule<unknown, never, unknown, unknown>): boolean => {
  const exit = Effect.runSyncExit(
    // a service it requires is found missing, which is a defect
    goesOn(schedule as unknown as Schedule.Schedule<unknown, unknown, unknown>).pipe(
      Random.withSeed(0),
      Effect.provideService(Logger.CurrentLoggers, new Set())
    )
  )
  if (Exit.isSuccess(exit)) return exit.value
  // what is asynchronous goes on in the background unless it is interrupted
  const defect = Cause.squash(exit.cause)
  if (Cause.isAsyncFiberError(defect)) defect.fiber.interruptUnsafe()
  return false
}

const goesOn = Effect.fnUntraced(function* (schedule: Schedule.Schedule<unknown, unknown, unknown>) {
  const { next, skip } = yield* simulation(
    schedule,
    new Error("effect-resilience: a made-up error, to step a schedule")
  )
  for (let retry = 1; retry <= endlessAfter; retry++) {
    if ((yield* next) === undefined) return false
  }
  skip(foreverMs)
  return (yield* next) !== undefined
})
