/**
 * Limits how many calls of a dependency are in flight, and finds out by itself how many it can serve: the limit grows while calls
 * are as fast as they can be, and falls when they begin to wait inside the dependency, or when it drops them.
 *
 * An adaptive limit is a service: its state lives in a Layer's scope, and every policy that names it shares it.
 *
 * ```ts
 * import { AdaptiveLimit } from "effect-resilience"
 *
 * class Quotes extends AdaptiveLimit.Service<Quotes>()("app/Quotes") {}
 *
 * // as one of the guards of a policy: Policy.make({ …, guards: [Quotes] }), or alone: effect.pipe(Quotes.protect())
 * ```
 *
 * **When to use it**
 *
 * A `Bulkhead` has a limit that somebody must know. This one is for a dependency whose capacity nobody knows, or that changes: it has
 * more instances by day, a neighbour that makes it slow, a cache that is cold. It needs calls to learn from: some tens a second are
 * plenty, one a minute is too few. And it needs their latency to mean something: that of calls of one kind, or of a mix that stays the
 * same.
 *
 * **What it learns from**
 *
 * - answered: an outcome whose health is `ok`, which is a success, or a permanent fault, because the dependency answered. How long it
 *   took counts.
 * - dropped: a timeout; an outcome whose health is `failed`; and one that is throttled, unless the classifier says of it that the
 *   health is `ok`. Only that it was dropped counts. More drops among the calls of a window than `dropTolerance` and chance explain are a
 *   sign of overload.
 * - nothing: an outcome whose health is otherwise `ignored`, a defect that is not an answer, an interruption by the caller, and a call that
 *   is answered in less than 0.1 ms. Most of them have not loaded the dependency. So a classifier keeps out what should not count: `Fault.permanent({ health: "ignored" })`
 *   for an error that comes from a cache, or from a check before anything is sent.
 *
 * `count` says otherwise. While fewer calls are in flight than half the limit, it is the application that is the bottleneck, and the limit
 * stays (but falls when calls are dropped).
 *
 * **How it learns**
 *
 * Calls that ended are seen together, a window at a time: two latencies long, within `window.min` and `window.max`, and with at least
 * `window.samples` of them. After each window the algorithm takes a step: see {@link gradient2}, {@link vegas} and {@link aimd}. What calls
 * took is their average, less one standard error of it, so that calls that differ by chance do not look like calls that wait.
 *
 * **Probes**
 *
 * By their latency alone nobody can tell a dependency that is slow from one in which calls wait. So from time to time, and only while
 * calls are refused or wait, the limit is lowered to 0.7 of itself for some fourteen latencies: what is in the queue drains, and what
 * calls take then is the no-load latency that the algorithms compare with. If lowering it made calls faster still, it is lowered
 * further. A probe comes every 128 to 256 latencies (at a moment that all clients of a dependency have in common, if their clocks
 * are synchronised, so that they drain the queue together); earlier in the beginning, and after the limit has fallen by a fifth.
 * All of it costs two or three hundredths of the throughput of a dependency that is full, and nothing of one that is not.
 *
 * **Who is refused**
 *
 * Without a queue a call that finds no free slot is refused at once with {@link ConcurrencyLimited}, the least important ones first (see
 * `Priority`): each time a call is refused, one slot more is kept free from those that matter less, and half of what is kept is given
 * up every 3 s. While no important call is refused, unimportant ones may use the whole limit. With a queue (`queue`, as in `Bulkhead`)
 * calls wait, and the most important ones are let in first.
 *
 * **Several clients**
 *
 * Each client has its own limit, and they share the dependency about equally. Each keeps a few calls waiting in it, and what the
 * others keep waiting looks to it like latency. So with many clients of a full dependency the queue gets longer than with one: with
 * {@link gradient2} by little up to about four of them, with the others sooner, and sooner if their clocks differ by more than some
 * latencies. In the end it is bounded by what the dependency turns away, and by what is not answered in time.
 *
 * **Time**
 *
 * Nothing runs in the background: it learns when a call ends, and only a call that waits holds a timer.
 *
 * @since 0.1.0
 */
import type { Duration } from "effect"
import type { Order } from "./Bulkhead.ts"
import type { Snapshot as LimitSnapshot } from "./internal/adaptiveLimits.ts"
import { make } from "./internal/adaptiveService.ts"
import type { Resolved } from "./internal/adaptiveService.ts"
import type { ConcurrencyLimited } from "./internal/concurrencyLimited.ts"
import { guardClass, over } from "./internal/guardClass.ts"
import type { GuardClass, KeysChange, Readable } from "./internal/guardClass.ts"
import { algorithm, boundsOf, checkQueueSize } from "./internal/limits/algorithm.ts"
import type { Algorithm as Described, BoundsOptions } from "./internal/limits/algorithm.ts"
import { keysDefaults } from "./internal/perKey.ts"
import type { KeysOptions as Keys } from "./internal/perKey.ts"
import * as validate from "./internal/validate.ts"

export { ConcurrencyLimited } from "./internal/concurrencyLimited.ts"

/**
 * A limit as it is now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot extends LimitSnapshot {}

// ---------------------------------------------------------------------------------------------------------------------
// Algorithms
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How the limit follows from what is seen: made by {@link gradient2}, {@link vegas} or {@link aimd}. It is a description without
 * state, so one algorithm may serve any number of limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface Algorithm extends Described {}

/**
 * How many calls at a time the limit is meant to keep waiting inside the dependency, so that it always has something to do: a
 * number above 0, or a function of the limit that gives one. More is fairer between clients, and grows faster; less is a shorter
 * wait.
 *
 * @since 0.1.0
 * @category models
 */
export type QueueSize = number | ((limit: number) => number)

/**
 * What the calls of one step are.
 *
 * @since 0.1.0
 * @category models
 */
export interface WindowOptions {
  /** The shortest window: more than 0. */
  readonly min?: Duration.Input | undefined
  /** The longest window, if it has enough samples: at least `min`. */
  readonly max?: Duration.Input | undefined
  /** A window goes on until so many calls have ended that count: a whole number of at least 1. */
  readonly samples?: number | undefined
}

/**
 * What all algorithms have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundOptions {
  /** The limit to begin with: a whole number from `min` to `max`. */
  readonly initial?: number | undefined
  /** The limit never falls below: a whole number of at least 1. */
  readonly min?: number | undefined
  /** The limit never grows above: a whole number of at least `min`. */
  readonly max?: number | undefined
  /**
   * The share of a window's calls that may be dropped without it being a sign of overload, from 0 to 1. A dependency that always
   * fails some calls, whatever its load, needs more than that share.
   */
  readonly dropTolerance?: number | undefined
  readonly window?: WindowOptions | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface AimdOptions extends BoundOptions {
  /** What a decrease leaves of the limit: from 0.5 to below 1. */
  readonly backoffRatio?: number | undefined
  /**
   * Calls that take longer on average than this (more than 0) are too many. Then there are no probes. Without it, the limit
   * is decreased when more calls wait than `queueSize`.
   */
  readonly slowerThan?: Duration.Input | undefined
  readonly queueSize?: QueueSize | undefined
}

/**
 * The first three are multiplied by the logarithm of the limit to the base of 10, cut to a whole number of at least 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface VegasOptions extends BoundOptions {
  /** While fewer calls wait the limit grows, by the logarithm: at least 0. */
  readonly alpha?: number | undefined
  /** When more calls wait it falls, by the logarithm: at least `alpha`, and above 0. */
  readonly beta?: number | undefined
  /** While at most so many wait it grows faster, by `beta`: from 0 to `alpha`. */
  readonly threshold?: number | undefined
  /** How much of each step is made: above 0, at most 1. */
  readonly smoothing?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Gradient2Options extends BoundOptions {
  readonly queueSize?: QueueSize | undefined
  /** How much of each step is made: above 0, at most 1. */
  readonly smoothing?: number | undefined
  /** How many times the usual latency is not slow yet: at least 1. */
  readonly tolerance?: number | undefined
  /** Over how many windows the usual latency is averaged: a whole number of at least 1. */
  readonly longWindow?: number | undefined
}

/**
 * The constants of the algorithms. The published ones, those of Netflix's concurrency-limits, let more calls wait than it takes to
 * keep a dependency busy. Where the two differ, the reason is a simulated server with a capacity of 50, on which a limit with the
 * constants given here settles within a tenth of the capacity (test/AdaptiveLimit.simulation.test.ts).
 *
 * `bounds`, for all of them:
 *
 * - `initial`: 20, as published.
 * - `min`: 1, as in Vegas as published, and in failsafe-go. AIMD and Gradient2 as published have 20, which is more than many a
 *   dependency can take from one of its clients.
 * - `max`: 200, as in AIMD and Gradient2 as published, and in failsafe-go. It bounds what goes wrong; a dependency that can serve
 *   more needs more.
 * - `dropTolerance`: 0.1. Published, one drop in a window is enough. But then a limit ends at its minimum wherever one call in a
 *   hundred fails for other reasons.
 * - `window`: at least 0.1 s, the shortest that Netflix's WindowedLimit allows, and 10 samples, as there; at most 30 s, as in
 *   failsafe-go. (WindowedLimit has 1 s by default; then a limit that grows by one a window takes a minute from 20 to 80.)
 *
 * `aimd`: `backoffRatio` 0.9, as published. `queueSize` is 0.35 √limit, at least 1: the limit swings between the capacity with so many
 * waiting and 0.9 of that, so on average it is at the capacity. (Published: only calls slower than 5 s count, so the limit grows
 * until the dependency refuses calls.)
 *
 * `vegas`: `alpha` 1, `beta` 1.5, `threshold` 0, near the first of those in the paper (Brakmo and Peterson, 1994: 1 and 3). Published
 * are 3, 6 and 1: one such client settles at 1.09 of the capacity, and two together at up to twice the capacity. `smoothing` is 1, as
 * published.
 *
 * `gradient2`: `queueSize` is √limit / 4, at least 1.5. Envoy's gradient controller has √limit; a quarter of it is a twentieth of a
 * limit of 25. With less than 1.5 chance makes two clients share less equally. (Published: 4.) `tolerance` is 1, as in the first
 * published version. The later 1.5, for latencies that vary by themselves, lets calls wait for half of theirs, and settles at 1.26 of
 * the capacity; here the standard error stands in for it. `smoothing` 0.2 and `longWindow` 600, as published.
 *
 * @since 0.1.0
 * @category constants
 */
export const constants = {
  bounds: {
    initial: 20,
    min: 1,
    max: 200,
    dropTolerance: 0.1,
    window: { min: "100 millis", max: "30 seconds", samples: 10 }
  },
  aimd: { backoffRatio: 0.9, queueSize: (limit: number): number => Math.max(1, 0.35 * Math.sqrt(limit)) },
  vegas: { alpha: 1, beta: 1.5, threshold: 0, smoothing: 1 },
  gradient2: {
    queueSize: (limit: number): number => Math.max(1.5, Math.sqrt(limit) / 4),
    smoothing: 0.2,
    tolerance: 1,
    longWindow: 600
  }
} as const

const boundsWith = (of: string, options: BoundOptions) =>
  boundsOf(
    of,
    {
      ...over<Omit<BoundsOptions, "initial">>(constants.bounds, { ...options, initial: undefined }),
      initial: options.initial,
      window: over(constants.bounds.window, options.window)
    },
    constants.bounds.initial
  )

/** The options that have defaults, with them. */
type Known<Options, Name extends keyof Options> = { readonly [name in Name]-?: Exclude<Options[name], undefined> }

/**
 * Compares the latency of now with the usual one, in proportion (Netflix's Gradient2Limit). It is what a limit has that is not
 * told otherwise, because in simulation it does best: it keeps a dependency busy to 98 %, and its queue stays the shortest
 * where several clients share one.
 *
 * ```text
 * gradient = max(0.5, min(1, tolerance * usual latency / latency))
 * limit    = limit * (1 - smoothing) + smoothing * (limit * gradient + queueSize)
 * ```
 *
 * When calls are dropped, the gradient is 0.5 and there is no `queueSize` (as in Netflix's first Gradient; Gradient2 as published does
 * not see drops).
 *
 * The usual latency is an average over `longWindow` windows. As published, nothing else is known of it; so it follows any overload
 * that lasts, and the limit grows after it without end. Here it begins anew with what each probe has measured. When it is more than
 * twice the latency of now, it decays by a twentieth a window, as published.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category algorithms
 */
export const gradient2 = (options: Gradient2Options = {}): Algorithm => {
  const of = "AdaptiveLimit.gradient2"
  const within = boundsWith(of, options)
  const { longWindow, queueSize, smoothing, tolerance } = over<
    Known<Gradient2Options, keyof typeof constants.gradient2>
  >(constants.gradient2, options)
  return algorithm({
    _tag: "Gradient2",
    ...within,
    queueSize: checkQueueSize(of, queueSize, within),
    smoothing: validate.ratio(`${of}: smoothing`, smoothing, "positive"),
    tolerance: validate.finite(`${of}: tolerance`, tolerance, 1),
    longWindow: validate.integer(`${of}: longWindow`, longWindow, 1)
  })
}

/**
 * Holds the number of calls that wait inside the dependency between two bounds (TCP Vegas: Brakmo and Peterson, 1994; for
 * concurrency: Netflix's VegasLimit). It grows and recovers the fastest.
 *
 * ```text
 * queue = limit * (1 - no-load latency / latency), rounded up
 *
 * queue <= threshold     limit + beta
 * queue < alpha          limit + 1
 * queue > beta           limit - 1
 * calls were dropped     limit - 1
 * ```
 *
 * All of these numbers are multiplied by the logarithm of the limit, see {@link VegasOptions}.
 *
 * As published, the no-load latency is the lowest there was, and from time to time whatever it is at the moment, calls that wait
 * included; so it drifts. Here it is what probes have measured.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category algorithms
 */
export const vegas = (options: VegasOptions = {}): Algorithm => {
  const of = "AdaptiveLimit.vegas"
  const within = boundsWith(of, options)
  const { smoothing, ...queue } = over<Known<VegasOptions, keyof typeof constants.vegas>>(constants.vegas, options)
  const beta = validate.above(`${of}: beta`, queue.beta, 0)
  const alpha = validate.finite(`${of}: alpha`, queue.alpha, 0, beta)
  return algorithm({
    _tag: "Vegas",
    ...within,
    alpha,
    beta,
    threshold: validate.finite(`${of}: threshold`, queue.threshold, 0, alpha),
    smoothing: validate.ratio(`${of}: smoothing`, smoothing, "positive")
  })
}

/**
 * Additive increase, multiplicative decrease (Chiu and Jain, 1989), as TCP does it: the limit grows by one a window, and falls to
 * `backoffRatio` of itself when calls are dropped, or wait. It swings, so the dependency is idle now and then and has a queue now and
 * then; for that it is the fairest between two clients.
 *
 * With `slowerThan` it is AIMD as published (Netflix's AIMDLimit), which needs no probes: for a dependency of which you know what
 * is slow.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category algorithms
 */
export const aimd = (options: AimdOptions = {}): Algorithm => {
  const of = "AdaptiveLimit.aimd"
  const within = boundsWith(of, options)
  const { backoffRatio, queueSize } = over<Known<AimdOptions, keyof typeof constants.aimd>>(constants.aimd, options)
  return algorithm({
    _tag: "Aimd",
    ...within,
    backoffRatio:
      backoffRatio >= 0.5 && backoffRatio < 1
        ? backoffRatio
        : validate.invalid(`${of}: backoffRatio`, backoffRatio, "a number from 0.5 to below 1"),
    slowerThanMs:
      options.slowerThan === undefined
        ? undefined
        : validate.duration(`${of}: slowerThan`, options.slowerThan, "positive"),
    queueSize: checkQueueSize(of, queueSize, within)
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The queue in front of the limit, with the options of a `Bulkhead`.
 *
 * @since 0.1.0
 * @category models
 */
export interface QueueOptions {
  /** How many calls may wait for a slot: a whole number of at least 0, which refuses them at once. */
  readonly maxQueue?: number | undefined
  /** How long one may wait, but never beyond the deadline in force: a finite duration above 0. */
  readonly maxWait?: Duration.Input | undefined
  /** Who of those that wait, and matter equally, is let in first. */
  readonly order?: Order | undefined
  /** For the `adaptive` order: how long the queue must not have been empty before the last come go first: 0 or more. */
  readonly standing?: Duration.Input | undefined
}

/**
 * What outcomes mean that need not mean that the dependency is overloaded: they are `dropped`, or `ignored`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CountOptions {
  /** Outcomes whose health is `failed`, but timeouts (those are always dropped) and defects. */
  readonly failed?: "dropped" | "ignored" | undefined
  /** Throttled outcomes, but those of which the classifier says that the health is `ok`. */
  readonly throttled?: "dropped" | "ignored" | undefined
  /** Defects, which may be bugs of the caller. */
  readonly defect?: "dropped" | "ignored" | undefined
}

/**
 * How many keys a keyed limit remembers, and for how long. What a key has learned is forgotten with it; one that has calls in
 * flight is kept beyond `idleTimeToLive`, and goes last when `max` forces one out.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeysOptions extends Keys {}

interface Tuning {
  /** How the limit is found: {@link gradient2}, {@link vegas} or {@link aimd}, with options. */
  readonly algorithm?: Algorithm | undefined
  readonly queue?: QueueOptions | undefined
  readonly count?: CountOptions | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Tuning {
  /** Makes a limit for each key (a host, a tenant). The key is then said at the call. */
  readonly keys?: KeysOptions | undefined
}

/**
 * What a layer may change of its class. What it leaves out, or `undefined`, is as in the class; of `queue`, `count` and `keys` single
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
 * - `algorithm`: {@link gradient2}, whose doc says why, with the {@link constants}.
 * - `queue`: nobody waits, as in Netflix's SimpleLimiter and in failsafe-go; and what `Bulkhead` has for those that do. A queue
 *   here hides from callers what the limit knows.
 * - `count`: all of them count, because a dependency that is overloaded mostly fails to say so. A defect is mostly a bug that has
 *   nothing to do with load, so it is ignored.
 * - `keys`: ten thousand limits are some megabytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  algorithm: /*#__PURE__*/ gradient2(),
  queue: { maxQueue: 0, maxWait: "1 second", order: "fifo", standing: "100 millis" },
  count: { failed: "dropped", throttled: "dropped", defect: "ignored" },
  keys: keysDefaults
} as const satisfies Options

// ---------------------------------------------------------------------------------------------------------------------
// The service
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The value of an adaptive limit's service: a guard that can be read.
 *
 * Of a keyed one, `admit`, `look` and `snapshot` need the key, and die with `InvalidOption` without one; one that is not keyed
 * ignores keys.
 *
 * @since 0.1.0
 * @category services
 */
export interface AdaptiveLimit extends Readable<ConcurrencyLimited, Snapshot> {
  readonly phase: "concurrency"
  readonly look: NonNullable<Readable<ConcurrencyLimited, Snapshot>["look"]>
}

const resolve = (own: Options, change: LayerOptions, keys: Resolved["keys"]): Resolved => ({
  ...over<Resolved>(defaults, own, change),
  queue: over(defaults.queue, own.queue, change.queue),
  count: over(defaults.count, own.count, change.count),
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
  AdaptiveLimit,
  ConcurrencyLimited,
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
 * Makes an adaptive limit as a service; its state lives as long as its layer. Defining a class never throws, except that the
 * algorithms do.
 *
 * **Example** (Options from the configuration)
 *
 * ```ts
 * import { Config } from "effect"
 * import { AdaptiveLimit } from "effect-resilience"
 *
 * class Quotes extends AdaptiveLimit.Service<Quotes>()("app/Quotes") {}
 *
 * Quotes.layerConfig({
 *   algorithm: Config.map(Config.Int("QUOTES_MAX_CONCURRENT"), (max) => AdaptiveLimit.gradient2({ max })),
 *   queue: { maxQueue: Config.Int("QUOTES_MAX_QUEUE") }
 * })
 * ```
 *
 * **Example** (A limit for each host; a dependency that says when it is overloaded, and fails for other reasons)
 *
 * ```ts
 * import { AdaptiveLimit } from "effect-resilience"
 *
 * class Hosts extends AdaptiveLimit.Service<Hosts>()("app/Hosts", {
 *   algorithm: AdaptiveLimit.vegas({ initial: 10, max: 100 }),
 *   count: { failed: "ignored" },
 *   keys: { max: 1000, idleTimeToLive: "10 minutes" }
 * }) {}
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service = <Self>(): Constructor<Self> => {
  const construct = (id: string, options: Options = {}) =>
    guardClass<Self, AdaptiveLimit>()(id, options, (id, own, change: LayerOptions, keys) =>
      make(id, resolve(own, change, keys))
    )
  return construct as unknown as Constructor<Self>
}
