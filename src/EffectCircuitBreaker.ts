/**
 * Effect's own circuit breaker (`effect/persistence`, experimental) as a guard of a policy: for circuits that several processes
 * share through Redis, or through another store of that module. Within one process, `CircuitBreaker` does more
 * and costs less. It is not in the index, but has its own path, because it brings Effect's persistence modules along.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { CircuitBreaker as EffectBreaker } from "effect/persistence"
 * import * as EffectCircuitBreaker from "effect-resilience/EffectCircuitBreaker"
 *
 * class Shared extends EffectCircuitBreaker.Service<Shared>()("app/Shared", { key: "quotes" }) {}
 *
 * // Policy.make({ …, guards: [Shared] })
 * const layer = Shared.layer.pipe(
 *   Layer.provide(EffectBreaker.layer({ tripPolicy: EffectBreaker.consecutive(5), openDuration: "30 seconds" })),
 *   Layer.provide(EffectBreaker.layerStoreMemory())   // or layerStoreRedis
 * )
 * ```
 *
 * That breaker only runs whole effects. So each admitted attempt has a fiber that stands for it there, from admission until its
 * outcome is recorded; the attempt ends when it is. Where its store fails, the breaker's own `onStoreError` decides: with
 * `"allow"` (its default) the attempt is admitted, with `"fail"` it is refused with the `CircuitBreakerError`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { CircuitBreaker as EffectBreaker } from "effect/persistence"
import { CircuitOpen } from "./internal/circuitOpen.ts"
import * as Guard from "./Guard.ts"
import { stackless } from "./internal/stackless.ts"
import * as validate from "./internal/validate.ts"

/**
 * What an attempt is refused with. `CircuitBreakerError` only where the store failed and the breaker was made with
 * `onStoreError: "fail"`.
 *
 * @since 0.1.0
 * @category errors
 */
export type Rejection = CircuitOpen | EffectBreaker.CircuitBreakerError

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The key of the circuit in the breaker's store; by default the name. Whoever uses the same key shares the circuit. */
  readonly key?: string | undefined
  /** The key is said at the call instead. */
  readonly keyed?: boolean | undefined
}

/**
 * Makes a guard of any circuit breaker of `effect/persistence`.
 *
 * Health `ok` is a `Success` there, `failed` a `Failure` with the outcome's `retryAfter`, `ignored` and interrupted `Ignored`.
 * Every admission is pending, because the store may have to be asked.
 *
 * @since 0.1.0
 * @category constructors
 */
export const guard = (
  breaker: EffectBreaker.CircuitBreaker,
  options: Options & { readonly name: string }
): Guard.Guard<Rejection> => {
  const { keyed, name } = options
  const keyOf = (call: Guard.Call): string =>
    keyed === true
      ? (call.key ??
        validate.invalid("key", call.key, `a string, said at the call, because the circuit breaker "${name}" is keyed`))
      : (options.key ?? name)
  return {
    name,
    phase: "circuit",
    admit: (call) => {
      const key = keyOf(call)
      return Guard.pending(
        Effect.withFiber((waiting) =>
          Effect.callback<Guard.Admitted | Guard.Rejected<Rejection>>((resume) => {
            const standIn = new StandIn()
            const admitted = Guard.admitted(standIn)
            const fiber = Effect.runForkWith(waiting.context)(
              breaker.execute(
                standIn.attempt(() => resume(Effect.succeed(admitted))),
                { key, classify: () => standIn.outcome }
              )
            )
            standIn.fiber = fiber
            fiber.addObserver((exit) => {
              // later than its admission, this comes to nothing
              if (Exit.isFailure(exit)) resume(refusal(exit.cause, name, keyed === true ? key : undefined))
            })
            // What waits for admission may be interrupted after it was given and before it could be taken: nobody would settle
            waiting.addObserver((exit) => {
              const isTaken = standIn.isSettled || (Exit.isSuccess(exit) && exit.value === admitted)
              if (!isTaken) fiber.interruptUnsafe()
            })
            return Fiber.interrupt(fiber)
          })
        )
      )
    }
  }
}

/** The effect that the breaker runs in an attempt's stead, and the attempt's permit. */
class StandIn implements Guard.Permit {
  outcome: EffectBreaker.Outcome = EffectBreaker.ignored
  isSettled = false
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  #end: ((exit: Effect.Effect<void>) => void) | undefined = undefined

  /** Begins when the breaker has admitted it, and ends when the attempt is settled. */
  attempt(begun: () => void): Effect.Effect<void> {
    return Effect.callback<void>((end) => {
      this.#end = end
      begun()
    })
  }

  settle(outcome: Guard.Outcome): Effect.Effect<void> | undefined {
    this.isSettled = true
    this.outcome = toEffect(outcome)
    this.#end?.(Effect.void)
    // a store in memory has recorded it by now
    return this.fiber === undefined || this.fiber.pollUnsafe() !== undefined
      ? undefined
      : Effect.asVoid(Fiber.await(this.fiber))
  }
}

const toEffect = (outcome: Guard.Outcome): EffectBreaker.Outcome => {
  if (outcome.kind === "interrupted" || outcome.health === "ignored") return EffectBreaker.ignored
  return outcome.health === "ok" ? EffectBreaker.success : EffectBreaker.failure({ retryAfter: outcome.retryAfter })
}

const refusal = (
  cause: Cause.Cause<EffectBreaker.CircuitBreakerError>,
  breaker: string,
  key: string | undefined
): Effect.Effect<Guard.Rejected<Rejection>> => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error === undefined) return Effect.failCause(cause as Cause.Cause<never>)
  const open = (state: CircuitOpen["state"], retryAfter: Duration.Duration | undefined) =>
    Guard.rejected(stackless(() => new CircuitOpen({ breaker, key, state, retryAfter })))
  switch (error.reason._tag) {
    case "CircuitOpen":
      return Effect.succeed(open("open", error.reason.retryAfter))
    case "CircuitHalfOpen":
      return Effect.succeed(open("half-open", undefined))
    case "CircuitBreakerStoreError":
      return Effect.succeed(Guard.rejected(error))
  }
}

/**
 * The class that {@link Service} makes.
 *
 * @since 0.1.0
 * @category services
 */
export interface ServiceClass<Self, Id extends string, Keyed extends boolean> extends Guard.ServiceClass<
  Self,
  Id,
  Rejection,
  never,
  EffectBreaker.CircuitBreaker
> {
  /** Whether a call must say a key. */
  readonly keyed: Keyed
}

/**
 * How {@link Service} is called, by what is known of `keyed`.
 *
 * @since 0.1.0
 * @category services
 */
export interface Constructor<Self> {
  <const Id extends string>(
    id: Id,
    options?: (Options & { readonly keyed?: false | undefined }) | undefined
  ): ServiceClass<Self, Id, false>
  <const Id extends string>(
    id: Id,
    options: { readonly keyed: true; readonly key?: undefined }
  ): ServiceClass<Self, Id, true>
}

/**
 * A guard as a service, whose layer requires the circuit breaker of `effect/persistence`.
 *
 * @since 0.1.0
 * @category services
 */
export const Service = <Self>(): Constructor<Self> => {
  const construct = (id: string, options?: Options | undefined) =>
    Object.assign(
      Guard.Service<Self, Rejection>()(
        id,
        Effect.map(EffectBreaker.CircuitBreaker, (breaker) => guard(breaker, { ...options, name: id }))
      ),
      { keyed: options?.keyed === true }
    )
  return construct as unknown as Constructor<Self>
}
