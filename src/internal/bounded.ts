// Runs an effect for a limited time, in a fiber of its own: interrupting that fiber is the only way to stop it and go on.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Context } from "effect"
import { after } from "./time.ts"

/**
 * Runs `self` for at most `ms` milliseconds (`undefined`: as long as it takes) and hands its exit to `settle`, exactly once,
 * in the same step in which the fiber ends: also when the waiting fiber is interrupted, so that what the exit carries cannot be
 * lost in between. `settle` returns what the waiting fiber gets; when time ran out it is told so. What comes after belongs in a
 * `flatMap`: within `settle` it would run on top of this wait, and be interrupted with it. An effect that ends at once arms no
 * timer.
 *
 * On running out of time, and on interruption, the effect is interrupted, and its finalizers are waited for.
 */
export const bounded = <A, E, R, B, E2, R2>(
  parent: Fiber.Fiber<unknown, unknown>,
  context: Context.Context<R>,
  self: Effect.Effect<A, E, R>,
  ms: number | undefined,
  settle: (exit: Exit.Exit<A, E>, timedOut: boolean) => Effect.Effect<B, E2, R2>
): Effect.Effect<B, E2, R2> =>
  Effect.callback<B, E2, R2>((resume) => {
    const child = Effect.runForkWith(context)(self)
    const ended = child.pollUnsafe()
    const settled = (exit: Exit.Exit<A, E>, timedOut: boolean): Effect.Effect<B, E2, R2> => {
      try {
        return settle(exit, timedOut)
      } catch (defect) {
        // thrown in an observer, it would reach nobody, and the waiting fiber would wait for ever
        return Effect.die(defect)
      }
    }
    if (ended !== undefined) {
      resume(settled(ended, false))
      return
    }
    let timedOut = false
    const disarm =
      ms === undefined
        ? undefined
        : after(parent, ms, () => {
            timedOut = true
            child.interruptUnsafe(parent.id)
          })
    child.addObserver((exit) => {
      // settled before anything else runs: disarming a sleeping fiber may let the waiting one be interrupted
      const result = settled(exit, timedOut)
      disarm?.()
      resume(result)
    })
    return Effect.suspend(() => {
      disarm?.()
      return Fiber.interrupt(child)
    })
  })

/** The failures of a cause that are more than an interruption: what a finalizer did wrong while it was cleaning up. */
export const defectsOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<Cause.Reason<never>> =>
  Exit.isFailure(exit) ? exit.cause.reasons.filter(Cause.isDieReason) : []
