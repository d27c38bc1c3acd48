// Whether a schedule ends, for `Policy.make`: without a deadline, a retry by one that does not would go on for ever.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { CallStart } from "./callStart.ts"

/** "unknown": only running the program can tell. */
export type Ending = "ends" | "endless" | "unknown"

/** What is known of a schedule without stepping it: its ending, or another schedule that ends as it does. */
const known = new WeakMap<object, Ending | object>()

/** Says how a schedule ends, or as which other one. */
export const ending = <S extends object>(schedule: S, ends: Ending | object): S => {
  known.set(schedule, ends)
  return schedule
}

/** A schedule of which nothing is known counts as endless if it still goes on after so many retries. */
export const endlessAfter = 1000

const yearMs = 365 * 24 * 60 * 60 * 1000

/**
 * `Backoff` says of its own schedules how they end. Any other is stepped once, and what came of it is kept: synchronously, with
 * a made-up error, a seeded Random (the same schedule always gets the same answer) and no logger, as if each attempt took a
 * year, so that a bound in time shows at the second step. Only a bound by number takes as many steps as it allows retries.
 *
 * "unknown" is what requires services, fails, waits for something asynchronous, or stops at once on the made-up error, which
 * says nothing of a real one. Effects inside the schedule (`Schedule.tap`) run with its steps; only their logging is silenced.
 */
export const endingOf = (schedule: object): Ending => {
  const found = known.get(schedule)
  if (typeof found === "object") return endingOf(found)
  if (found !== undefined) return found
  const exit = Effect.runSyncExit(
    // a service it requires is found missing, which is a defect
    stepped(schedule as Schedule.Schedule<unknown, unknown, unknown>).pipe(
      Random.withSeed(0),
      Effect.provideService(CallStart, 0),
      Effect.provideService(Logger.CurrentLoggers, new Set())
    )
  )
  if (Exit.isFailure(exit)) {
    // what is asynchronous goes on in the background unless it is interrupted
    const defect = Cause.squash(exit.cause)
    if (Cause.isAsyncFiberError(defect)) defect.fiber.interruptUnsafe()
  }
  const ends = Exit.isSuccess(exit) ? exit.value : "unknown"
  known.set(schedule, ends)
  return ends
}

const stepped = /*#__PURE__*/ Effect.fnUntraced(function* (schedule: Schedule.Schedule<unknown, unknown, unknown>) {
  const step = yield* Schedule.toStep(schedule)
  let looked = false
  const error = madeUpError(() => {
    looked = true
  })
  for (let retry = 0; retry <= endlessAfter; retry++) {
    const delay = yield* Pull.catchDone(step(retry * yearMs, error), () => Effect.undefined)
    if (delay === undefined) return retry === 0 && looked ? "unknown" : "ends"
  }
  return "endless"
})

/**
 * Stands for any error: every path into it leads to another such, so that nothing throws that looks into it, and comes to an
 * end, so that a walk along its causes does. It is of no class, its tag is no text, and it is no Effect (the keys with "~").
 */
const madeUpError = (onLook: () => void, depth = 10): unknown =>
  depth === 0
    ? undefined
    : new Proxy(() => madeUpError(onLook, depth - 1), {
        get: (_, key) => {
          onLook()
          return key === Symbol.toPrimitive
            ? () => NaN
            : typeof key === "string" && !key.startsWith("~")
              ? madeUpError(onLook, depth - 1)
              : undefined
        },
        has: () => {
          onLook()
          return false
        },
        getPrototypeOf: () => {
          onLook()
          return null
        }
      })
