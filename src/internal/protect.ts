// One guard around one effect, for guards that are used without a policy.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type { Fiber } from "effect"
import type { Admission, Call, Guard, Outcome, Permit } from "../Guard.ts"
import { bounded } from "./bounded.ts"
import { currentFrame } from "./currentCall.ts"
import { reasonOf, tagOf } from "./events.ts"
import type { Emit } from "./events.ts"
import { priorityIn, type Level } from "./priorities.ts"
import { reportDefect } from "./reportDefect.ts"
import { emitter } from "./spanEvents.ts"
import { monotonicMs } from "./time.ts"

export interface Options<Rejection> {
  readonly name: string
  readonly guard: Guard<Rejection>
  readonly key: string | undefined
  readonly outcome: (exit: Exit.Exit<unknown, unknown>) => Outcome
  /** What of the effect goes on when nobody waits for it any more: until its end, what was admitted is still there. */
  readonly lingering?: Lingering | undefined
}

export interface Lingering {
  readonly isRunning: boolean
  readonly whenEnded: (f: () => void) => void
}

/**
 * Asks the guard before each run of the effect, and tells it once how the run ended.
 *
 * The frame that settles is on the stack before admission is asked for, and what is held stands in a field of the run: so an
 * interruption between any two operations of the runtime finds the frame, and the frame finds the permit.
 */
export const protect =
  <Rejection>(options: Options<Rejection>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Rejection, R> =>
    Effect.withFiber((fiber) => {
      const run = new Run(options, self, fiber)
      return Effect.onExitPrimitive(
        Effect.withFiber(() => run.begin()),
        (exit) => run.end(exit)
      )
    })

class Run<A, E, R, Rejection> implements Call {
  readonly key: string | undefined
  readonly attempt = 1
  readonly kind = "first"
  readonly deadline: number | undefined
  readonly emit: Emit | undefined
  readonly #options: Options<Rejection>
  readonly #self: Effect.Effect<A, E, R>
  readonly #fiber: Fiber.Fiber<unknown, unknown>
  readonly #clock: Clock.Clock
  now: number
  #permit: Permit | undefined = undefined

  constructor(options: Options<Rejection>, self: Effect.Effect<A, E, R>, fiber: Fiber.Fiber<unknown, unknown>) {
    this.#options = options
    this.#self = self
    this.#fiber = fiber
    this.#clock = fiber.getRef(Clock.Clock)
    this.key = options.key
    this.deadline = currentFrame(fiber)?.deadline?.at
    this.emit = emitter(fiber)
    this.now = monotonicMs(this.#clock)
  }

  get policy(): string {
    return this.#options.name
  }

  get priority(): Level {
    return priorityIn(this.#fiber.context, currentFrame(this.#fiber))
  }

  get random(): () => number {
    return () => this.#fiber.getRef(Random.Random).nextDoubleUnsafe()
  }

  begin(): Effect.Effect<A, E | Rejection, R> {
    const { guard } = this.#options
    const rejection = guard.look?.(this)
    return rejection === undefined ? this.#enter(guard.admit(this)) : this.#rejected(rejection)
  }

  #enter(admission: Admission<Rejection>): Effect.Effect<A, E | Rejection, R> {
    switch (admission._tag) {
      case "Admitted":
        this.#permit = admission.permit
        return this.#self
      case "Rejected":
        return this.#rejected(admission.rejection)
      case "Pending":
        return Effect.flatMap(
          // The permit is taken hold of in the step in which the guard hands it over, so that no interruption can come between
          bounded(this.#fiber, this.#fiber.context, admission.effect, undefined, (exit) => {
            if (Exit.isSuccess(exit) && exit.value._tag === "Admitted") this.#permit = exit.value.permit
            return exit
          }),
          (admission) => {
            this.now = monotonicMs(this.#clock)
            return this.#enter(admission)
          }
        )
    }
  }

  #rejected(rejection: Rejection): Effect.Effect<never, Rejection> {
    const { guard, name } = this.#options
    if (this.emit !== undefined) {
      const error = tagOf(rejection)
      const reason = reasonOf(rejection)
      const at = this.#clock.currentTimeMillisUnsafe()
      this.emit({
        _tag: "GuardRejected",
        at,
        policy: name,
        key: this.key,
        guard: guard.name,
        attempt: 1,
        error,
        reason
      })
    }
    return Effect.fail(rejection)
  }

  end(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    const permit = this.#permit
    if (permit === undefined) return undefined
    this.#permit = undefined
    return this.#telling(this.#fiber, () => {
      const outcome = this.#options.outcome(exit)
      const settle = () => {
        const now = monotonicMs(this.#clock)
        return permit.settle(outcome, now - this.now, now)
      }
      const { lingering } = this.#options
      if (lingering?.isRunning !== true) return settle()
      // in a fiber of its own, because this one has ended by then, and has no context any more
      const later = Effect.withFiber((fiber) => this.#telling(fiber, settle) ?? Effect.void)
      const { context } = this.#fiber
      lingering.whenEnded(() => Effect.runForkWith(context)(later))
    })
  }

  /** What the effect did counts for more than what the guard does wrong. */
  #telling(
    fiber: Fiber.Fiber<unknown, unknown>,
    tell: () => void | Effect.Effect<void>
  ): Effect.Effect<void> | undefined {
    const report = (cause: Cause.Cause<unknown>) =>
      reportDefect(fiber, `${this.#options.name} failed while it was told how an effect ended`, cause)
    try {
      const told = tell()
      if (told !== undefined) return Effect.catchCause(told, (cause) => Effect.sync(() => report(cause)))
    } catch (defect) {
      report(Cause.die(defect))
    }
    return undefined
  }
}
