/**
 * A guard admits or rejects an attempt, and learns from how the attempt ended. A circuit breaker is a guard; so are a
 * bulkhead, an adaptive limit, a throttle, a rate limit, and whatever you write with {@link Service}. A policy runs any guard
 * that keeps this contract; it knows none of them.
 *
 * Guards work on single attempts. A limit on whole calls, retries and waiting included, stands outside the policy.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect"
import type { Emit } from "./internal/events.ts"
import type { Level } from "./internal/priorities.ts"

/**
 * Where a guard stands among the guards of one policy. Admission goes through the phases in this order, so that a permit
 * that is scarce, or changes state when taken (a circuit's probe), is asked for last.
 *
 * @since 0.1.0
 * @category models
 */
export type Phase = "throttle" | "rate" | "concurrency" | "circuit"

/**
 * What a guard is told about the attempt that asks for admission.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  /** The policy's name; the guard's own name when it is used alone. */
  readonly policy: string
  /** The key said at the call for this guard, unless its class says that it is not keyed (`keyed: false`, as this library's do). */
  readonly key: string | undefined
  /** 1 for the first attempt of the call. */
  readonly attempt: number
  readonly kind: "first" | "retry" | "hedge"
  /**
   * The time of asking: monotonic milliseconds of the `Clock` in force. Only differences mean anything: a guard that needs the
   * date takes the `Clock` when its layer is built.
   */
  readonly now: number
  /** When the call must be over, on the same scale as `now`. */
  readonly deadline: number | undefined
  /** How much the call matters: what to go by when some must be refused. */
  readonly priority: Level
  /** Uniform in [0, 1), from the `Random` in force. */
  readonly random: () => number
  /** Sends an event to whoever listens; `undefined` when nobody does, so that no event need be built. */
  readonly emit: Emit | undefined
}

/**
 * How an attempt ended, as the policy's classifier sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outcome {
  /** `interrupted` stands for "nothing can be said": cancelled by the caller, or cut before it had a fair chance. */
  readonly kind: OutcomeKind
  /** What it says of the dependency's health. */
  readonly health: "ok" | "failed" | "ignored"
  /** When the dependency asked to be called again. */
  readonly retryAfter: Duration.Duration | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type OutcomeKind =
  "success" | "transient" | "throttled" | "permanent" | "unrecognised" | "timeout" | "defect" | "interrupted"

/**
 * What an admitted attempt holds. The engine settles it exactly once, when the attempt has ended, in an uninterruptible
 * region.
 *
 * @since 0.1.0
 * @category models
 */
export interface Permit {
  /** `elapsed` is how long the attempt ran, in milliseconds; `now` is the time of its end, on the scale of `Call.now`. */
  readonly settle: (outcome: Outcome, elapsed: number, now: number) => void | Effect.Effect<void>
}

/**
 * The answer to an attempt that asks for admission. It is tagged, so that a permit that happens to be an Effect cannot be
 * mistaken for a pending answer. A `Pending` effect may wait; it is interrupted when the call is, or when its deadline passes,
 * and must then leave nothing behind.
 *
 * @since 0.1.0
 * @category models
 */
export type Admission<Rejection> = Admitted | Rejected<Rejection> | Pending<Rejection>

/**
 * @since 0.1.0
 * @category models
 */
export interface Admitted {
  readonly _tag: "Admitted"
  readonly permit: Permit
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Rejected<out Rejection> {
  readonly _tag: "Rejected"
  readonly rejection: Rejection
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Pending<out Rejection> {
  readonly _tag: "Pending"
  readonly effect: Effect.Effect<Admitted | Rejected<Rejection>>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Guard<out Rejection> {
  readonly name: string
  readonly phase: Phase
  /**
   * A free look: a rejection that is certain already, found without taking anything. It ends the call, so a guard may count it as one that it
   * refused.
   */
  readonly look?: ((call: Call) => Rejection | undefined) | undefined
  readonly admit: (call: Call) => Admission<Rejection>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const admitted = (permit: Permit): Admitted => ({ _tag: "Admitted", permit })

/**
 * @since 0.1.0
 * @category constructors
 */
export const rejected = <Rejection>(rejection: Rejection): Rejected<Rejection> => ({ _tag: "Rejected", rejection })

/**
 * An answer that takes time. It runs in a fiber of its own, is interrupted when the call is, or when its deadline passes, and must
 * then leave nothing behind: also when it was granted what it waited for, and is interrupted before it could say so. A
 * callback whose clean-up looks at what was granted does that:
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Guard } from "effect-resilience"
 *
 * const waitFor = (queue: Array<(permit: Guard.Permit) => void>) =>
 *   Guard.pending<never>(
 *     Effect.callback((resume) => {
 *       let granted: Guard.Permit | undefined
 *       const grant = (permit: Guard.Permit) => {
 *         granted = permit
 *         resume(Effect.succeed(Guard.admitted(permit)))
 *       }
 *       queue.push(grant)
 *       return Effect.sync(() => {
 *         if (granted === undefined) queue.splice(queue.indexOf(grant), 1)
 *         else granted.settle({ kind: "interrupted", health: "ignored", retryAfter: undefined }, 0, 0)
 *       })
 *     })
 *   )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const pending = <Rejection>(effect: Effect.Effect<Admitted | Rejected<Rejection>>): Pending<Rejection> => ({
  _tag: "Pending",
  effect
})

/**
 * The class that {@link Service} makes.
 *
 * @since 0.1.0
 * @category services
 */
export interface ServiceClass<Self, Id extends string, Rejection, E, R> extends Context.ServiceClass<
  Self,
  Id,
  Guard<Rejection>
> {
  readonly layer: Layer.Layer<Self, E, Exclude<R, Scope.Scope>>
}

/**
 * Makes a guard of your own, as a service whose state lives in a Layer's scope.
 *
 * `make` is the guard, or an effect of it; the effect runs once for each built layer, and what it acquires is released with it.
 *
 * @since 0.1.0
 * @category services
 */
export const Service =
  <Self, Rejection>() =>
  <const Id extends string, E = never, R = never>(
    id: Id,
    make: Guard<Rejection> | Effect.Effect<Guard<Rejection>, E, R>
  ): ServiceClass<Self, Id, Rejection, E, R> => {
    const Tag = Context.Service<Self, Guard<Rejection>>()(id)
    return Object.assign(Tag, {
      layer: Layer.effect(Tag)(Effect.isEffect(make) ? make : Effect.succeed(make))
    })
  }
