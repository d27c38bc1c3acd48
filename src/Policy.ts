/**
 * A policy is data: how an operation may fail, and how much patience it deserves. {@link withResilience} runs an effect by it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { Draining } from "./internal/draining.ts"
import { run } from "./internal/engine.ts"
import type { CallOptions, Plan } from "./internal/plan.ts"
import { planOf, PolicyImpl } from "./internal/policy.ts"
import type * as Types from "./internal/policyTypes.ts"
import * as Branded from "./internal/unavailable.ts"
import { invalid, name } from "./internal/validate.ts"

export { Standard, standard, type StandardClass, type StandardOptions } from "./internal/standard.ts"
export { AttemptTimeout, RetryExhausted, type HistoryEntry, type Reason } from "./internal/errors.ts"

/**
 * The options of a policy.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = Types.Options

/**
 * Whether the same request may be sent again although the dependency may have acted on it.
 *
 * @since 0.1.0
 * @category models
 */
export type Safety = Types.Safety

/**
 * @since 0.1.0
 * @category models
 */
export type Policy<O = Options> = Types.Policy<O>

/**
 * What can come out of `withResilience(policy)(effect)` for an effect that fails with `E`; `P` is the policy's type.
 *
 * @since 0.1.0
 * @category type-level
 */
export type Error<P, E> = Types.ErrorOf<Types.OptionsOf<P>, E>

/**
 * The services that policy `P` needs: its guards, budgets, and whatever its schedule asks for.
 *
 * @since 0.1.0
 * @category type-level
 */
export type Services<P> = Types.Needs<Types.OptionsOf<P>>

/**
 * Makes a policy. Throws `InvalidOption`, naming the option, its value and what is allowed.
 *
 * ```ts
 * const quotes = Policy.make({
 *   name: "quotes.get",
 *   faults: Fault.tags({ transient: ["NetworkError"] }),
 *   safety: "idempotent",
 *   deadline: "3 seconds",
 *   attemptTimeout: "800 millis",
 *   retry: Backoff.exponential({ base: "100 millis", cap: "2 seconds" }).pipe(Backoff.fullJitter, Backoff.times(3))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const O extends Options>(options: O & Types.Checked<O>): Policy<O> =>
  new PolicyImpl<O>(options, "Policy.make")

/**
 * A policy like another, but for the options given: also those that are `undefined`. Give it a name of its own, so that the two can
 * be told apart. Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const extend = <P, const O extends Partial<Options> & { readonly name: string }>(
  policy: Policy<P>,
  options: O & { readonly [K in Exclude<keyof O, keyof Options>]: never } & Types.Sound<Types.Merge<P, O>>
): Policy<Types.Merge<P, O>> =>
  new PolicyImpl({ ...policy.options, ...(options as O) } as unknown as Types.Merge<P, O>, "Policy.extend")

/**
 * Runs an effect as one call of a policy, data-first or data-last. A call says `key` exactly when the policy has a keyed guard or
 * budget, and `idempotencyKey` exactly when its `safety` is `Idempotency.key()`.
 *
 * The types say what can still come out: permanent and unrecognised errors unchanged, transient ones only as
 * {@link RetryExhausted}, and the errors of the policy's own guards and deadline.
 *
 * @since 0.1.0
 * @category running
 */
export const withResilience: Types.WithResilience = ((first: unknown, second: unknown, third: unknown) =>
  // first of all, because most are piped so
  first instanceof PolicyImpl && second === undefined && !first.plan.keyed
    ? first.pipeable
    : Effect.isEffect(first)
      ? runCall(second, third as CallOptions | undefined)(first as Effect.Effect<unknown, unknown, unknown>)
      : runCall(first, second as CallOptions | undefined)) as never

const runCall = (policy: unknown, call: CallOptions | undefined) => {
  const plan = planOf(policy)
  if (plan.keyed) checkKey(plan, call)
  return <A, E, R>(self: Effect.Effect<A, E, R>) => run(plan, call, self)
}

const checkKey = (plan: Plan, call: CallOptions | undefined): void => {
  if (call?.idempotencyKey !== undefined) name("withResilience: idempotencyKey", call.idempotencyKey)
  else if (plan.mint === undefined) {
    invalid(
      "withResilience: idempotencyKey",
      undefined,
      `said at the call, because ${plan.name} asks its caller for it`
    )
  }
}

/**
 * The mark of "the dependency could not serve". The rejection of a guard of your own may carry it, and is then handled by
 * {@link catchUnavailable} and by `Fallback` like this library's own:
 *
 * ```ts
 * import { Data } from "effect"
 * import { Policy } from "effect-resilience"
 *
 * class Maintenance extends Data.TaggedError("Maintenance")<{}> {
 *   readonly [Policy.UnavailableTypeId] = Policy.UnavailableTypeId
 * }
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export const UnavailableTypeId: typeof Branded.UnavailableTypeId = Branded.UnavailableTypeId

/**
 * The errors in `E` that mean "the dependency could not serve": retries exhausted, a deadline or an attempt's timeout passed, a
 * guard refused. All others are the operation's own.
 *
 * @since 0.1.0
 * @category errors
 */
export type Unavailable<E> = Extract<E, Branded.Unavailable>

/**
 * Whether an error is one of this library's: the dependency could not serve.
 *
 * @since 0.1.0
 * @category errors
 */
export const isUnavailable: <E>(error: E) => error is Extract<E, Branded.Unavailable> = Branded.isUnavailable

/**
 * Handles all errors of this library at once, and leaves the operation's own alone.
 *
 * @since 0.1.0
 * @category errors
 */
export const catchUnavailable: {
  <E, A2, E2, R2>(
    f: (error: Unavailable<E>) => Effect.Effect<A2, E2, R2>
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E2 | Exclude<E, Branded.Unavailable>, R | R2>
  <A, E, R, A2, E2, R2>(
    self: Effect.Effect<A, E, R>,
    f: (error: Unavailable<E>) => Effect.Effect<A2, E2, R2>
  ): Effect.Effect<A | A2, E2 | Exclude<E, Branded.Unavailable>, R | R2>
} = /*#__PURE__*/ dual(
  2,
  <A, E, R, A2, E2, R2>(
    self: Effect.Effect<A, E, R>,
    f: (error: Unavailable<E>) => Effect.Effect<A2, E2, R2>
  ): Effect.Effect<A | A2, E2 | Exclude<E, Branded.Unavailable>, R | R2> =>
    Effect.catchIf(self, isUnavailable<E>, f as never) as never
)

/**
 * Whether this process is shutting down. Then no call below makes a new retry or hedge: attempts in progress finish, and a
 * transient failure comes out as {@link RetryExhausted} with reason "draining". Default: `false`.
 *
 * Provide a `MutableRef` to flip it for calls that run already, or `true` for everything below.
 *
 * @since 0.1.0
 * @category references
 */
export const draining: Context.Reference<typeof Draining.Service> = Draining
