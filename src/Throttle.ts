/**
 * Refuses a part of the calls before they are sent, when the dependency does not accept what it gets: client-side adaptive
 * throttling, after chapter 21 of Google's SRE book. Turning calls away costs an overloaded dependency as well, so its clients
 * send no more than some multiple of what it accepts, each from what it has seen itself.
 *
 * A throttle is a service: its state lives in a Layer's scope, and every policy that names it shares it.
 *
 * ```ts
 * import { Throttle } from "effect-resilience"
 *
 * class Quotes extends Throttle.Service<Quotes>()("app/Quotes", { k: 2, window: "30 seconds" }) {}
 *
 * // as one of the guards of a policy: Policy.make({ …, guards: [Quotes] }), or alone: effect.pipe(Quotes.protect())
 * ```
 *
 * **How many**
 *
 * Of the calls of a sliding window, `requests` is the number of all, those refused here included, and `accepts` the number of
 * those that the dependency has accepted. A new call is refused with {@link Throttled} with the probability
 *
 * ```text
 * min(maxRejectionRate, max(0, requests - k * accepts) / (requests + padding))
 * ```
 *
 * While all is well the two numbers are equal, and nothing is refused. Under a load that the dependency cannot take, however
 * high, about `k` calls are sent for each one that it accepts. It is told of recovery by the calls that get through: after an
 * overload the last refusal comes within about a window, after a total outage within about two.
 *
 * A client that calls but now and then sees too little of its dependency for this to work: below `minimumRequests` nothing is
 * refused.
 *
 * **What counts**
 *
 * - accepted: an outcome whose health is `ok`, which is a success, or a permanent fault, because the dependency answered.
 * - not accepted: a throttled outcome, whatever its health: here, unlike in a circuit breaker, it is the very signal. So is an
 *   outcome whose health is `failed` (a transient fault, a timeout), because a dependency that is overloaded mostly fails to say
 *   so; Envoy and failsafe-go count so, too. `count` changes that.
 * - neither: an outcome whose health is otherwise `ignored`, and an interruption by the caller.
 *
 * A call is counted when it has ended, and one that is refused at once. (So do Envoy and gRPC; in the book it counts when it is
 * made.) Counted when made, calls that are still on their way would look like calls that were not accepted, and the first burst
 * of slow ones would be refused for nothing. A throttle does not bound the calls on their way: that is what a bulkhead is for.
 *
 * **Who**
 *
 * The least important calls are refused first (see `Priority`). For this the window is kept by priority, as in the book. If
 * `rate` of all calls is to be refused, `below` of the latest were less important than this one, and `own` as important, then it is
 * refused with the probability `min(maxRejectionRate, max(0, rate - below) / own)`. With one priority in use that is `rate`; with
 * several, it adds up to `rate`, but for what the ceiling lets through of each. Calls that are more important than all of the
 * window are sent: what becomes of them is counted, like all else.
 *
 * **Time**
 *
 * Nothing runs in the background. What has grown too old is dropped when the throttle is next asked.
 *
 * @since 0.1.0
 */
import type { Duration } from "effect"
import { guardClass, over } from "./internal/guardClass.ts"
import type { GuardClass, KeysChange, Readable } from "./internal/guardClass.ts"
import { keysDefaults } from "./internal/perKey.ts"
import type { KeysOptions as Keys } from "./internal/perKey.ts"
import { make } from "./internal/throttleService.ts"
import type { Resolved } from "./internal/throttleService.ts"
import type { Throttled } from "./internal/throttled.ts"
import type { Priority } from "./Priority.ts"

export { Throttled } from "./internal/throttled.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How outcomes count, where that is not as described above. What is `ignored` is neither a request nor accepted.
 *
 * @since 0.1.0
 * @category models
 */
export interface CountOptions {
  /**
   * Outcomes whose health is `failed`: `refused` unless said otherwise. With `ignored` only throttled outcomes count against the
   * dependency: for one that says when it is overloaded, with a circuit breaker beside the throttle to see to failures.
   */
  readonly failed?: "refused" | "ignored" | undefined
  /** Defects, which may be bugs of the caller: as `failed` unless said otherwise. */
  readonly defect?: "refused" | "ignored" | undefined
}

/**
 * How many keys a throttle remembers, and for how long. One that refuses calls is kept beyond `idleTimeToLive`, and when `max`
 * forces one out, those go last; of the others, the one that was used least recently goes first.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeysOptions extends Keys {}

interface Tuning {
  /**
   * How many calls the dependency gets for each one that it accepts, before calls are refused here: at least 1. Less protects it
   * better (at 1.1 it turns one call away for every ten that it accepts), more finds out sooner that it has recovered.
   */
  readonly k?: number | undefined
  /**
   * Added to the requests that the refusals are a share of: above 0. Where there are few calls it makes refusals rarer, and it
   * keeps the share below 1 even if nothing is accepted.
   */
  readonly padding?: number | undefined
  /** How far back it looks: more than 0. A number is milliseconds, never calls. It moves in tenths of itself. */
  readonly window?: Duration.Input | undefined
  /** The largest share of calls that is refused, of all and of each priority, so that probes always get through: above 0, at most 1. */
  readonly maxRejectionRate?: number | undefined
  /** With fewer requests in the window nothing is refused: a whole number of at least 1. */
  readonly minimumRequests?: number | undefined
  readonly count?: CountOptions | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Tuning {
  /** Makes a throttle for each key (a host, a tenant). The key is then said at the call. */
  readonly keys?: KeysOptions | undefined
}

/**
 * What a layer may change of its class. What it leaves out, or `undefined`, is as in the class; of `count` and `keys` single
 * members can be changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface LayerOptions<Keyed extends boolean = boolean> extends Tuning {
  /** A class without keys cannot be given any: callers would not say one. */
  readonly keys?: KeysChange<Keyed> | undefined
}

/**
 * The options that have defaults:
 *
 * - `k`: 2, as Google's SRE book prefers: it costs the dependency one refusal for each call it accepts, and its clients soon see
 *   that it has recovered. gRPC's throttler (RLS) has 2 as well.
 * - `padding`: 1, as in the book. gRPC has 8, to spare clients with little traffic and to let probes through; here
 *   `minimumRequests` and `maxRejectionRate` see to that, and leave the formula of the book as it is.
 * - `window`: 30 s, as gRPC and Envoy have it. The book's two minutes would mean minutes of needless refusals after an outage,
 *   because recovery takes one or two windows.
 * - `maxRejectionRate`: 0.9, as failsafe-go has it. So `k` = 2 is kept up to a load of twenty times what the dependency accepts
 *   (Envoy's 0.8 is enough for ten times), and a tenth of the calls find out whether it has recovered.
 * - `minimumRequests`: 10. Of a dependency that fails one call in ten, more than half of ten calls fail about once in 7 000 times:
 *   chance refuses next to nothing.
 * - `keys`: ten thousand throttles, of about a kilobyte each; ten minutes are longer than most windows.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  k: 2,
  padding: 1,
  window: "30 seconds",
  maxRejectionRate: 0.9,
  minimumRequests: 10,
  keys: keysDefaults
} as const satisfies Options

// ---------------------------------------------------------------------------------------------------------------------
// The service
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A throttle as it is now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** `undefined` for a throttle that is not keyed. */
  readonly key: string | undefined
  /** The calls of the window that were refused here, or have ended and count. */
  readonly requests: number
  /** How many of them the dependency has accepted. */
  readonly accepts: number
  /** The share of all calls that it means to refuse, from 0 to 1: 0 with fewer than `minimumRequests`. */
  readonly rejectionRate: number
  /** The probability with which the next call of each priority is refused, from 0 to 1. */
  readonly byPriority: { readonly [level in Priority]: number }
}

/**
 * The value of a throttle service: a guard that can be read. Of a keyed one, `admit` and `snapshot` need the key, and die with
 * `InvalidOption` without one; one that is not keyed ignores keys.
 *
 * @since 0.1.0
 * @category services
 */
export interface Throttle extends Readable<Throttled, Snapshot> {
  readonly phase: "throttle"
}

const resolve = (own: Options, change: LayerOptions, keys: Resolved["keys"]): Resolved => ({
  ...over<Resolved>(defaults, own, change),
  count: over(own.count, change.count),
  keys
})

/**
 * The class that {@link Service} makes.
 *
 * @since 0.1.0
 * @category services
 */
export interface ServiceClass<Self, Id extends string, Keyed extends boolean> extends GuardClass<
  Self,
  Id,
  Keyed,
  Throttle,
  Throttled,
  Snapshot,
  LayerOptions<Keyed>
> {}

/**
 * How {@link Service} is called, by what is known of `keys`.
 *
 * @since 0.1.0
 * @category services
 */
export interface Constructor<Self> {
  <const Id extends string>(
    id: Id,
    options?: (Options & { readonly keys?: undefined }) | undefined
  ): ServiceClass<Self, Id, false>
  <const Id extends string>(id: Id, options: Options & { readonly keys: KeysOptions }): ServiceClass<Self, Id, true>
  <const Id extends string>(id: Id, options: Options | undefined): ServiceClass<Self, Id, boolean>
}

/**
 * Makes a throttle as a service; its state lives as long as its layer. Defining a class never throws.
 *
 * **Example** (Options from the configuration)
 *
 * ```ts
 * import { Config } from "effect"
 * import { Throttle } from "effect-resilience"
 *
 * class Quotes extends Throttle.Service<Quotes>()("app/Quotes") {}
 *
 * Quotes.layerConfig({ k: Config.Number("QUOTES_K"), window: Config.Duration("QUOTES_WINDOW") })
 * ```
 *
 * **Example** (A throttle for each tenant, beside a circuit breaker that sees to failures)
 *
 * ```ts
 * import { CircuitBreaker, Policy, Throttle } from "effect-resilience"
 *
 * class TenantThrottle extends Throttle.Service<TenantThrottle>()("app/TenantThrottle", {
 *   count: { failed: "ignored" },
 *   keys: { max: 1000, idleTimeToLive: "10 minutes" }
 * }) {}
 * class Breaker extends CircuitBreaker.Service<Breaker>()("app/Breaker", { trip: CircuitBreaker.consecutiveFailures(5) }) {}
 *
 * const quotes = Policy.make({ name: "quotes.get", guards: [TenantThrottle, Breaker] })
 * // at the call: withResilience(quotes, { key: { "app/TenantThrottle": tenant } })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service = <Self>(): Constructor<Self> => {
  const construct = (id: string, options: Options = {}) =>
    guardClass<Self, Throttle>()(id, options, (id, own, change: LayerOptions, keys) =>
      make(id, resolve(own, change, keys))
    )
  return construct as unknown as Constructor<Self>
}
