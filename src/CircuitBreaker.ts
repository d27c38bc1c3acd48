/**
 * Stops calling a dependency that fails, so that neither it nor its callers waste effort, and tries it again bit by bit.
 *
 * A breaker is a service: its state lives in a Layer's scope, and every policy that names it shares it.
 *
 * ```ts
 * import { CircuitBreaker } from "effect-resilience"
 *
 * class Quotes extends CircuitBreaker.Service<Quotes>()("app/Quotes", {
 *   trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: "30 seconds" })
 * }) {}
 *
 * // as one of the guards of a policy: Policy.make({ …, guards: [Quotes] }), or alone: effect.pipe(Quotes.protect())
 * ```
 *
 * **States**
 *
 * - `closed`: calls go through and are counted; the trip decides when that is enough.
 * - `open`: every call is rejected with {@link CircuitOpen}, until the open time is over.
 * - `half-open`: a few calls (probes) go through, and they alone decide: enough successes close the circuit, and as soon as
 *   those cannot be reached any more it opens again, for the next open time. All other calls are rejected.
 * - `isolated`: every call is rejected until `close`. Only `isolate` leads here.
 *
 * **What counts**
 *
 * An outcome whose health is `ok` or `failed` counts. One that is `ignored` (throttled, unless the classifier or `count` says
 * otherwise) does not, and neither does an interruption by the caller: both give their place back. A call that was let through
 * before the state last changed changes nothing when it ends, and frees nothing.
 *
 * Any counted outcome may open the circuit, a success too: it may be the one that makes the calls enough to know the rate.
 *
 * **Retry-After**
 *
 * A `retryAfter` that comes with an outcome never opens a circuit. It is remembered, and the circuit, when it next opens, stays
 * open at least until then (`retryAfterCeiling` bounds what is believed). It is forgotten when the circuit closes. A probe that
 * is throttled says nothing of health, so its place is free again.
 *
 * **Time**
 *
 * Nothing runs in the background. Time is the monotonic time of Effect's `Clock`; what time changes shows when it is next asked.
 *
 * @since 0.1.0
 */
import * as Stream from "effect/Stream"
import type { Duration, Effect, Schedule } from "effect"
import * as Backoff from "./Backoff.ts"
import type { Snapshot as BreakerSnapshot } from "./internal/breaker.ts"
import { make } from "./internal/breakerService.ts"
import type { Resolved } from "./internal/breakerService.ts"
import type { State as CircuitState } from "./internal/circuit.ts"
import type { CircuitOpen } from "./internal/circuitOpen.ts"
import type { CircuitChanged } from "./internal/events.ts"
import { guardClass, over } from "./internal/guardClass.ts"
import type { GuardClass, KeyArgs, KeysChange, Readable } from "./internal/guardClass.ts"
import { keysDefaults } from "./internal/perKey.ts"
import type { KeysOptions as Keys } from "./internal/perKey.ts"
import { isTrip, TripTypeId } from "./internal/trip.ts"
import type { Condition, Span, Trip as Conditions } from "./internal/trip.ts"
import * as validate from "./internal/validate.ts"

export { CircuitOpen } from "./internal/circuitOpen.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type State = CircuitState

/**
 * A circuit as it is now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot extends BreakerSnapshot {}

/**
 * A change of state: of which breaker and key, from what, to what, and when (`at`, in milliseconds since the epoch). It is also
 * the event that listeners of `Telemetry` get.
 *
 * @since 0.1.0
 * @category models
 */
export type Transition = CircuitChanged

// ---------------------------------------------------------------------------------------------------------------------
// Trips
// ---------------------------------------------------------------------------------------------------------------------

/**
 * When a circuit opens: made by {@link consecutiveFailures}, {@link failureRate}, {@link slowCallRate} or {@link anyOf}. It is a
 * description without state, so one trip may serve any number of breakers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Trip extends Conditions {}

const trip = (conditions: ReadonlyArray<Condition>): Trip => ({ [TripTypeId]: conditions })

/**
 * What a rate is taken over: a number is that many calls, the latest ones; any other duration is that much time, up to now.
 *
 * A window of time moves in tenths of itself: it covers at least nine tenths of its duration, and never more than all of it.
 *
 * @since 0.1.0
 * @category models
 */
export type Window = number | Exclude<Duration.Input, number>

/** A circuit remembers one bit a call: this many are 128 kB. */
const longestWindow = 1_000_000

/**
 * Opens after `failures` failures in a row (a whole number of at least 1). For dependencies that are called so seldom that a rate
 * would need hours to be known. Ignored and interrupted calls neither count nor break the row.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category trips
 */
export const consecutiveFailures = (failures: number): Trip =>
  trip([
    {
      _tag: "ConsecutiveFailures",
      failures: validate.integer("CircuitBreaker.consecutiveFailures: failures", failures, 1)
    }
  ])

/**
 * @since 0.1.0
 * @category models
 */
export interface RateOptions {
  /** The share of bad calls at which, and above which, the circuit opens: above 0, at most 1. */
  readonly threshold: number
  /**
   * With fewer calls in the window the rate is not known, and the circuit does not open: a whole number of at least 1, and at
   * most the window, if that is a number of calls.
   */
  readonly minimumCalls: number
  readonly window: Window
}

/**
 * Opens when the share of failed calls in the window reaches `threshold`.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category trips
 */
export const failureRate = (options: RateOptions): Trip =>
  trip([{ _tag: "FailureRate", ...rateOf("CircuitBreaker.failureRate", options) }])

/**
 * @since 0.1.0
 * @category models
 */
export interface SlowCallRateOptions extends RateOptions {
  /** A call that took longer than this is a slow one, whether it succeeded or failed. */
  readonly slowerThan: Duration.Input
}

/**
 * Opens when the share of slow calls in the window reaches `threshold`: a dependency that answers too late is as good as down,
 * and holds its callers' resources besides. A probe that is slow counts as a failed one.
 *
 * Failures that are not slow are counted as calls, but do not open the circuit: add {@link failureRate} with {@link anyOf}.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category trips
 */
export const slowCallRate = (options: SlowCallRateOptions): Trip =>
  trip([
    {
      _tag: "SlowCallRate",
      ...rateOf("CircuitBreaker.slowCallRate", options),
      slowerThanMs: validate.duration("CircuitBreaker.slowCallRate: slowerThan", options.slowerThan, "positive")
    }
  ])

/**
 * Opens when any of the trips would. A snapshot shows the rate of the first that has one.
 *
 * @since 0.1.0
 * @category trips
 */
export const anyOf = (...trips: readonly [Trip, ...ReadonlyArray<Trip>]): Trip =>
  trips.length > 0 && trips.every(isTrip)
    ? trip(trips.flatMap((it) => it[TripTypeId]))
    : validate.invalid("CircuitBreaker.anyOf: trips", trips, "one or more trips, such as consecutiveFailures(5)")

const rateOf = (of: string, options: RateOptions) => {
  const span = spanOf(`${of}: window`, options.window)
  const minimumCalls = `${of}: minimumCalls`
  return {
    threshold: validate.ratio(`${of}: threshold`, options.threshold, "positive"),
    minimumCalls:
      span._tag === "Calls"
        ? // a minimum that the window can never hold is a circuit that never opens
          validate.integer(minimumCalls, options.minimumCalls, 1, span.calls)
        : validate.integer(minimumCalls, options.minimumCalls, 1),
    span
  }
}

const spanOf = (option: string, window: Window): Span =>
  typeof window === "number"
    ? { _tag: "Calls", calls: validate.integer(option, window, 1, longestWindow) }
    : { _tag: "Time", durationMs: validate.duration(option, window, "positive") }

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How a circuit finds out whether its dependency has recovered.
 *
 * @since 0.1.0
 * @category models
 */
export interface HalfOpenOptions {
  /** How many calls are let through to judge by: a whole number of at least 1. */
  readonly probes?: number | undefined
  /** The share of them that must succeed: above 0, at most 1. The verdict falls as soon as it is certain. */
  readonly successRatio?: number | undefined
  /**
   * How long a half-open circuit waits for its probes, counted from the latest one: more than 0. Those that have not answered by
   * then have failed, whatever they answer later, so that a probe that hangs cannot hold the circuit half-open for ever.
   */
  readonly maxDuration?: Duration.Input | undefined
}

/**
 * How outcomes count, where that is not as the classifier says.
 *
 * @since 0.1.0
 * @category models
 */
export interface CountOptions {
  /** A dependency that throttles is alive, so it is ignored unless the classifier says otherwise. */
  readonly throttled?: "failed" | "ignored" | undefined
  /** A defect may be a bug of the caller; still it counts as failed, because it may be the client's way to fail. */
  readonly defect?: "failed" | "ignored" | undefined
}

/**
 * How many circuits a keyed breaker remembers, and for how long.
 *
 * A circuit that is forgotten is closed when its key comes back. So one that is isolated or open is kept beyond `idleTimeToLive`,
 * and when `max` forces one out, those go last; of the others, the one that was used least recently goes first.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeysOptions extends Keys {}

interface Tuning {
  /**
   * How long a circuit stays open: a duration above 0, or a schedule, stepped once for each opening in a row with the number of
   * the opening as its input, and begun anew after the circuit has closed.
   *
   * The schedule must answer synchronously. It is stepped with the services of the place where the layer is built, against a
   * time that only open times advance. When it ends or fails, its last delay stays.
   */
  readonly openFor?: Duration.Input | Schedule.Schedule<unknown, unknown> | undefined
  readonly halfOpen?: HalfOpenOptions | undefined
  /** The longest time that a `retryAfter` is believed: 0 or more. */
  readonly retryAfterCeiling?: Duration.Input | undefined
  readonly count?: CountOptions | undefined
  /**
   * The state to begin with. Of a keyed breaker, `isolated` holds for every key until `close`, `open` for all that come during
   * the first open time, and `half-open` for every key that is new until `close`.
   */
  readonly initial?: State | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Tuning {
  /** When the circuit opens. */
  readonly trip: Trip
  /** Makes a circuit for each key (a host, a tenant). The key is then said at the call. */
  readonly keys?: KeysOptions | undefined
}

/**
 * What a layer may change of its class. What it leaves out, or `undefined`, is as in the class; of `halfOpen`, `count` and `keys`
 * single members can be changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface LayerOptions<Keyed extends boolean = boolean> extends Tuning {
  readonly trip?: Trip | undefined
  /** A class without keys cannot be given any: callers would not say one. */
  readonly keys?: KeysChange<Keyed> | undefined
}

/**
 * The options that have defaults:
 *
 * - `openFor`: 5 s, then 10 s, 20 s, 40 s, and 1 min from there on, each with up to half taken off at random (equal jitter). Polly
 *   waits 5 s; resilience4j and failsafe-go 60 s: growing from the one to the other fits both a hiccup and an outage. Jitter
 *   keeps the instances of a service from probing together.
 * - `halfOpen`: the majority of 3 probes, because one answer, good or bad, may be luck; a probe has 1 min, which is longer than
 *   any attempt should take (in resilience4j and Polly it has for ever, which is how circuits get stuck).
 * - `retryAfterCeiling`: 1 min, as long as the longest open time.
 * - `keys`: ten thousand circuits are some megabytes; ten minutes are longer than most windows.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  openFor: /*#__PURE__*/ Backoff.exponential({ base: "5 seconds", factor: 2, cap: "1 minute" }).pipe(
    Backoff.equalJitter
  ) as Schedule.Schedule<unknown, unknown>,
  halfOpen: { probes: 3, successRatio: 0.5, maxDuration: "1 minute" },
  retryAfterCeiling: "1 minute",
  keys: keysDefaults,
  initial: "closed"
} as const satisfies Omit<Options, "trip">

// ---------------------------------------------------------------------------------------------------------------------
// The service
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category models
 */
export interface OpenOptions {
  /** For how long, instead of the next open time: more than 0. */
  readonly for?: Duration.Input | undefined
}

/**
 * The value of a breaker service: a guard that can be read and moved by hand.
 *
 * Of a keyed breaker, `admit`, `look`, `state` and `snapshot` need the key, and die with `InvalidOption` without one; `open`,
 * `isolate` and `close` without one concern every circuit, present and future. A breaker that is not keyed ignores keys.
 *
 * @since 0.1.0
 * @category services
 */
export interface CircuitBreaker extends Readable<CircuitOpen, Snapshot> {
  readonly phase: "circuit"
  readonly look: NonNullable<Readable<CircuitOpen, Snapshot>["look"]>
  /** A circuit that is open past its time reads `half-open`. Reading makes no circuit: one that is not there reads `closed`. */
  readonly state: (key?: string | undefined) => Effect.Effect<State>
  /**
   * The changes from now on; it ends with the layer. A subscriber never runs within the call that caused a change, but when that next
   * waits. If it falls behind by more than 128, and twice as many as a keyed breaker has room for keys, it loses the oldest.
   */
  readonly changes: Stream.Stream<Transition>
  /**
   * Opens a circuit for the next open time, or for as long as said; one that is open already begins again. All the circuits of a
   * keyed breaker: a circuit that is made while it lasts is open as long; one that is made later is closed. What is isolated
   * stays so. Dies with `InvalidOption` if the duration is wrong.
   */
  readonly open: {
    (key?: string | undefined, options?: OpenOptions | undefined): Effect.Effect<void>
    (options: OpenOptions): Effect.Effect<void>
  }
  /** Rejects every call until it is closed by hand. */
  readonly isolate: (key?: string | undefined) => Effect.Effect<void>
  /** Closes a circuit, whatever its state, and forgets all it has counted. */
  readonly close: (key?: string | undefined) => Effect.Effect<void>
}

const resolve = (own: Options, change: LayerOptions, keys: Resolved["keys"]): Resolved => ({
  ...over<Resolved>(defaults, own, change),
  halfOpen: over(defaults.halfOpen, own.halfOpen, change.halfOpen),
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
  CircuitBreaker,
  CircuitOpen,
  Snapshot,
  LayerOptions<Keyed>
> {
  /** A circuit that is open past its time reads `half-open`. Reading makes no circuit: one that is not there reads `closed`. */
  readonly state: (...key: KeyArgs<Keyed>) => Effect.Effect<State, never, Self>
  /** See {@link CircuitBreaker}. */
  readonly changes: Stream.Stream<Transition, never, Self>
  /** See {@link CircuitBreaker}. */
  readonly open: {
    (key?: string | undefined, options?: OpenOptions | undefined): Effect.Effect<void, never, Self>
    (options: OpenOptions): Effect.Effect<void, never, Self>
  }
  /** See {@link CircuitBreaker}. */
  readonly isolate: (key?: string | undefined) => Effect.Effect<void, never, Self>
  /** See {@link CircuitBreaker}. */
  readonly close: (key?: string | undefined) => Effect.Effect<void, never, Self>
}

/**
 * How {@link Service} is called, by what is known of `keys`.
 *
 * @since 0.1.0
 * @category services
 */
export interface Constructor<Self> {
  <const Id extends string>(id: Id, options: Options & { readonly keys?: undefined }): ServiceClass<Self, Id, false>
  <const Id extends string>(id: Id, options: Options & { readonly keys: KeysOptions }): ServiceClass<Self, Id, true>
  <const Id extends string>(id: Id, options: Options): ServiceClass<Self, Id, boolean>
}

/**
 * Makes a circuit breaker as a service; its state lives as long as its layer. Defining a class never throws, except that the
 * trips do.
 *
 * **Example** (Options from the configuration)
 *
 * ```ts
 * import { Config } from "effect"
 * import { CircuitBreaker } from "effect-resilience"
 *
 * class Quotes extends CircuitBreaker.Service<Quotes>()("app/Quotes", { trip: CircuitBreaker.consecutiveFailures(5) }) {}
 *
 * Quotes.layerConfig({
 *   trip: Config.map(Config.Int("QUOTES_FAILURES"), CircuitBreaker.consecutiveFailures),
 *   halfOpen: { probes: Config.Int("QUOTES_PROBES") }
 * })
 * ```
 *
 * **Example** (A circuit for each host)
 *
 * ```ts
 * import { CircuitBreaker } from "effect-resilience"
 *
 * class Hosts extends CircuitBreaker.Service<Hosts>()("app/Hosts", {
 *   trip: CircuitBreaker.anyOf(
 *     CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: "30 seconds" }),
 *     CircuitBreaker.slowCallRate({ threshold: 0.8, slowerThan: "2 seconds", minimumCalls: 10, window: "30 seconds" })
 *   ),
 *   keys: { max: 1000, idleTimeToLive: "10 minutes" }
 * }) {}
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service = <Self>(): Constructor<Self> => {
  const construct = (id: string, options: Options) => {
    const Class = guardClass<Self, CircuitBreaker>()(id, options, (id, own, change: LayerOptions, keys) =>
      make(id, resolve(own, change, keys))
    )
    return Object.assign(Class, {
      state: (key?: string | undefined) => Class.use((breaker) => breaker.state(key)),
      changes: Stream.unwrap(Class.useSync((breaker) => breaker.changes)),
      open: (first?: string | OpenOptions | undefined, second?: OpenOptions | undefined) =>
        Class.use((breaker) => (typeof first === "object" ? breaker.open(first) : breaker.open(first, second))),
      isolate: (key?: string | undefined) => Class.use((breaker) => breaker.isolate(key)),
      close: (key?: string | undefined) => Class.use((breaker) => breaker.close(key))
    })
  }
  return construct as unknown as Constructor<Self>
}
