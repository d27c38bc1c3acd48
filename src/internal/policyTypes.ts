// What comes out of a policy, and what it needs: computed from its options.
import type { Context, Duration, Effect, Schedule } from "effect"
import type * as Fault from "../Fault.ts"
import type { Guard } from "../Guard.ts"
import type { Key, Minted, Required } from "../Idempotency.ts"
import type { Budget } from "./budget.ts"
import type { RetriedAs } from "./faultSplit.ts"
import type { Hedging } from "./hedge.ts"
import type { AttemptTimeout, DeadlineExceeded, RetryExhausted } from "./errors.ts"

export type Safety = "idempotent" | "not-idempotent" | Required | Minted

export type AnySchedule = Schedule.Schedule<unknown, never, never, unknown>

export type Retry = AnySchedule | { readonly transient: AnySchedule; readonly throttled: AnySchedule }

export type GuardService = Context.Key<unknown, Guard<unknown>>

export type BudgetService = Context.Key<unknown, Budget>

export interface HedgeOptions {
  readonly after: Duration.Input
  readonly max?: number | undefined
}

export type HedgeService = Context.Key<unknown, Hedging>

export interface Options {
  /** Names the operation in errors, events and metrics: keep it low in cardinality, such as "quotes.get". */
  readonly name: string
  /** Tells transient, throttled and permanent failures apart. Default: `Fault.auto`. */
  readonly faults?: Fault.Classifier | undefined
  /**
   * Whether the same request may be sent again although the dependency may have acted on it. Required as soon as there is a
   * `retry`. "not-idempotent" retries only failures that are provably `unprocessed`.
   */
  readonly safety?: Safety | undefined
  /**
   * For the whole call: attempts, delays and waiting. A finite duration above 0. Default: none of its own. With one, an attempt runs in a
   * fiber of its own: what it starts with `Effect.forkChild` is interrupted when the attempt ends, as within `Effect.timeout`.
   */
  readonly deadline?: Duration.Input | undefined
  /**
   * For each attempt. A finite duration above 0, and not above `deadline`. Default: none. An attempt that ignores its interruption is
   * waited for, and what it answers then is discarded. As with `deadline`, what an attempt starts with `Effect.forkChild` ends with it;
   * without either, and without `hedge`, it lives on in the fiber of the caller.
   */
  readonly attemptTimeout?: Duration.Input | undefined
  /**
   * When to try again: a Schedule, or one for transient and one for throttled failures, each with a count of its own. Default:
   * no retry. Its input is the failures that are retried, an `AttemptTimeout` included: where it does not accept them all, using the
   * policy does not compile. A schedule that is not known to end needs a `deadline`, or `unbounded: true`.
   *
   * Of its own schedules, `Backoff` knows it. Any other is stepped while the policy is made, for at most 1000 retries and as if each
   * attempt took a year and failed with a made-up error; effects inside it (`Schedule.tap`) run then. It is refused if it goes on
   * after that, needs a service, waits, throws, or stops at once on that error. To have nothing stepped, let `Backoff.times` or
   * `Backoff.within` come last.
   */
  readonly retry?: Retry | undefined
  /** A server's hint above this is refused rather than waited for. A finite duration. Default: 60 seconds. */
  readonly retryAfterCeiling?: Duration.Input | undefined
  /** The retry budgets: a retry draws from all of them, or is not made. */
  readonly budget?: BudgetService | ReadonlyArray<BudgetService> | undefined
  /** The guards that every attempt passes. Their order does not matter: their phases say it. */
  readonly guards?: ReadonlyArray<GuardService> | undefined
  /**
   * Starts another attempt beside one that has not ended after a while, and takes the first acceptable outcome: `after` a fixed
   * time (above 0, less than `attemptTimeout` and `deadline`), up to `max` (1 to 10, default 1) of them; or as a `Hedge.Service` learns
   * it. Needs a `safety` that allows the same request twice. Default: none.
   */
  readonly hedge?: HedgeOptions | HedgeService | undefined
  /** Allows a schedule that is endless, or not known to end, without a deadline. */
  readonly unbounded?: boolean | undefined
}

/** Shows a union as its members. */
export type Flat<T> = T extends infer U ? U : never

/** May the option be there? `true` also where it may be `undefined`. */
export type May<O, K extends string> = K extends keyof O
  ? [Exclude<O[K], undefined>] extends [never]
    ? false
    : true
  : false

/** Is the option certainly there? */
export type Must<O, K extends string> = O extends { readonly [k in K]: {} } ? true : false

type OptionOf<O, K extends string> = K extends keyof O ? O[K] : undefined

type TimeoutOf<O> = May<O, "attemptTimeout"> extends true ? AttemptTimeout : never

type ExhaustedOf<T> = [T] extends [never] ? never : RetryExhausted<Flat<T>>

type GuardsOf<O> = O extends { readonly guards?: ReadonlyArray<infer G> | undefined } ? G : never

type BudgetsOf<O> =
  OptionOf<O, "budget"> extends infer B
    ? B extends ReadonlyArray<infer X>
      ? X
      : B extends undefined
        ? never
        : B
    : never

type RejectionOf<G> = G extends Context.Key<infer _I, Guard<infer Rejection>> ? Rejection : never

/** A policy chosen at run time is a union; each of its members says what it lets out. */
export type ErrorOf<O, E> = O extends unknown
  ? // not through an alias of its own: its name would be what hovering shows
    Flat<
      | (May<O, "retry"> extends true
          ? | Fault.Permanent<OptionOf<O, "faults">, E>
            | ExhaustedOf<Fault.Transient<OptionOf<O, "faults">, E> | TimeoutOf<O>>
            | (Must<O, "retry"> extends true ? never : Fault.Transient<OptionOf<O, "faults">, E> | TimeoutOf<O>)
          : E | TimeoutOf<O>)
      | RejectionOf<GuardsOf<O>>
      | (May<O, "deadline"> extends true ? DeadlineExceeded : never)
    >
  : never

type IdentifierOf<S> = S extends Context.Key<infer I, infer _S> ? I : never

type EnvOf<S> =
  S extends Schedule.Schedule<infer _O, infer _I, infer _E, infer R>
    ? R
    : S extends { readonly transient: infer T; readonly throttled: infer H }
      ? EnvOf<T> | EnvOf<H>
      : never

/** What the policy itself needs. */
export type Needs<O> = Flat<
  | IdentifierOf<GuardsOf<O>>
  | IdentifierOf<BudgetsOf<O>>
  | IdentifierOf<OptionOf<O, "hedge">>
  | EnvOf<OptionOf<O, "retry">>
>

type Provides<O> = O extends { readonly safety: Required | Minted } ? Key : never

export type ServicesOf<O, R> = Flat<O extends unknown ? Exclude<R, Provides<O>> | Needs<O> : never>

/** A service that may turn out keyed asks for its key: one that is not ignores it. */
type KeyedId<S> = S extends { readonly keyed: infer K; readonly key: infer Id extends string }
  ? true extends K
    ? Id
    : never
  : never

type KeyedIds<O> = KeyedId<GuardsOf<O>> | KeyedId<BudgetsOf<O>>

type KeyOption<O> = [KeyedIds<O>] extends [never]
  ? { readonly key?: undefined }
  : {
      /** The key for every keyed guard and budget, or one for each by its service's id. */
      readonly key: string | { readonly [K in KeyedIds<O>]: string }
    }

type SafetyOf<O> = O extends { readonly safety?: infer S } ? S : never

/** A policy that may turn out to ask for the key is given one: any other ignores it. */
type IdempotencyOption<O> = [Extract<SafetyOf<O>, Required>] extends [never]
  ? [Extract<SafetyOf<O>, Minted>] extends [never]
    ? { readonly idempotencyKey?: undefined }
    : { readonly idempotencyKey?: string | undefined }
  : { readonly idempotencyKey: string }

/** What a call must say: a key for keyed services, an idempotency key where the caller gives it. */
export type CallOf<O> = KeyOption<O> & IdempotencyOption<O>

export type Args<O> = {} extends CallOf<O> ? [call?: CallOf<O>] : [call: CallOf<O>]

/** What `Policy.make` asks of its options beyond their types. */
export type Checked<O> = { readonly [K in Exclude<keyof O, keyof Options>]: never } & Sound<O>

/** What the options must be together; `Policy.extend` asks it of the options it ends up with. */
export type Sound<O> = Hedged<O> &
  (May<O, "retry"> extends true
    ? (O extends { readonly safety: Safety } ? unknown : { readonly safety: Safety }) &
        (NothingToRetry<O> extends true
          ? {
              readonly retry: "`faults` calls nothing transient or throttled and there is no `attemptTimeout`: nothing can be retried"
            }
          : unknown) &
        // whatever the effect fails with, it is given the timeouts
        ([Refused<O, never>] extends [never]
          ? unknown
          : { readonly retry: "a schedule that accepts `AttemptTimeout`, because there is an `attemptTimeout`" })
    : unknown)

/** A hedge sends the request twice, whatever happens. */
type Hedged<O> =
  May<O, "hedge"> extends true
    ? O extends { readonly safety: infer S extends Safety }
      ? [S] extends ["not-idempotent"]
        ? { readonly safety: "a policy that hedges must be idempotent, or have an idempotency key" }
        : unknown
      : { readonly safety: Safety }
    : unknown

type NothingToRetry<O> =
  May<O, "attemptTimeout"> extends true
    ? false
    : O extends { readonly faults: infer C }
      ? Fault.CanRetry<C> extends false
        ? true
        : false
      : false

/**
 * What an effect that fails with `E` must be, beside an effect: nothing, if the schedules of a policy with options `O` accept the
 * failures they are given. A schedule that takes any input is not asked about `E`, which may then be generic.
 */
export type Accepted<O, E> = [Refused<O, E>] extends [never]
  ? unknown
  : { readonly "the schedule of `retry` does not accept": Refused<O, E> }

type Refused<O, E> = O extends unknown
  ? OptionOf<O, "retry"> extends infer S
    ? S extends { readonly transient: infer T; readonly throttled: infer H }
      ? | RefusedBy<T, RetriedAs<"transient", OptionOf<O, "faults">, E> | TimeoutOf<O>>
        | RefusedBy<H, RetriedAs<"throttled", OptionOf<O, "faults">, E>>
      : RefusedBy<S, Fault.Transient<OptionOf<O, "faults">, E> | TimeoutOf<O>>
    : never
  : never

type RefusedBy<S, Given> =
  S extends Schedule.Schedule<infer _O, infer I, infer _E, infer _R>
    ? unknown extends I
      ? never
      : // a schedule known only as such
        AnySchedule extends S
        ? never
        : [Given] extends [I]
          ? never
          : Given extends I
            ? never
            : Given
    : never

/** Later options over earlier ones; `undefined` is later too. One that may be missing leaves either. */
export type Merge<A, B> = {
  readonly [K in keyof A | keyof B]: K extends keyof B
    ? B[K] | (K extends keyof A ? ({} extends Pick<B, K> ? A[K] : never) : never)
    : K extends keyof A
      ? A[K]
      : never
}

/** Options over defaults: what is `undefined` is as the default. */
export type Defaulted<A, B> = {
  readonly [K in keyof A | keyof B]: K extends keyof B
    ? K extends keyof A
      ? Exclude<B[K], undefined> | (undefined extends B[K] ? A[K] : never)
      : B[K]
    : K extends keyof A
      ? A[K]
      : never
}

export interface Policy<out O> {
  readonly "~effect-resilience/Policy": "~effect-resilience/Policy"
  readonly options: O
}

/** A policy, or a class that carries one. */
export type PolicyLike<O> = Policy<O> | { readonly policy: Policy<O> }

export type OptionsOf<P> = P extends Policy<infer O> ? O : P extends { readonly policy: Policy<infer O> } ? O : never

export interface WithResilience {
  <P extends PolicyLike<unknown>>(
    policy: P,
    ...call: Args<OptionsOf<P>>
  ): <A, E, R>(
    self: Effect.Effect<A, E, R> & Accepted<OptionsOf<P>, E>
  ) => Effect.Effect<A, ErrorOf<OptionsOf<P>, E>, ServicesOf<OptionsOf<P>, R>>
  <A, E, R, P extends PolicyLike<unknown>>(
    self: Effect.Effect<A, E, R>,
    policy: P & Accepted<OptionsOf<P>, E>,
    ...call: Args<OptionsOf<P>>
  ): Effect.Effect<A, ErrorOf<OptionsOf<P>, E>, ServicesOf<OptionsOf<P>, R>>
}
