/**
 * When an attempt takes longer than almost all others, starts another one beside it and takes the first answer: the tail of the
 * latencies is cut, at the price of a little more load. To wait for the 95th percentile is to hedge one call in twenty, so it
 * adds at most 5 % (Dean and Barroso, "The Tail at Scale", CACM 2013; in their benchmark of a table read from 100 servers, hedging
 * after 10 ms brought the 99.9th percentile from 1800 ms down to 74 ms, for 2 % more requests).
 *
 * A hedge here is a service that learns that percentile from the attempts of the policies that name it. Its state lives in its
 * layer. Where the delay is known and stays as it is, `hedge: { after: "50 millis" }` in the policy needs no service.
 *
 * ```ts
 * import { Hedge } from "effect-resilience"
 *
 * class QuotesHedge extends Hedge.Service<QuotesHedge>()("app/QuotesHedge", { quantile: 0.95, initial: "200 millis" }) {}
 *
 * // in a policy: Policy.make({ …, safety: "idempotent", hedge: QuotesHedge })
 * ```
 *
 * **When it helps**
 *
 * When an answer is late by chance: a busy server, a lost packet, a pause. When the request itself is what takes long, or the
 * whole dependency has become slow, the hedge takes as long. And a hedge runs the effect twice, so it has to be safe to do so.
 *
 * **What it learns from**
 *
 * How long the first attempt of a round took until it had its outcome. One that was interrupted, because its hedge was faster or
 * its time was up, would have taken longer: it counts as a little longer than the time it had, if a hedge was due by then. A
 * failure that comes before that is no answer, and counts for nothing; neither do the hedges themselves.
 *
 * All of this holds for calls that are alike. Operations that differ much in how long they take want a hedge each.
 *
 * **When the dependency becomes slower**
 *
 * If every call does, its delay follows after some 5 % of a window. If only some do, the delay rises step by step, and until it
 * is right more than one call in twenty is hedged. The retry budget of the policy pays for every hedge, and bounds that.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { over } from "./internal/guardClass.ts"
import { Learner, mostHedges } from "./internal/hedge.ts"
import type { Hedging, Settings } from "./internal/hedge.ts"
import { nowMs } from "./internal/time.ts"
import * as validate from "./internal/validate.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The share of attempts that are left to finish by themselves: above 0 and below 1. The others, 1 in 20 at 0.95, are hedged. What
   * is waited for is never less than the quantile of the samples, and at most 2 % more.
   */
  readonly quantile?: number | undefined
  /** How many more attempts may run beside the first: a whole number from 1 to 10. Each is started a delay after the one before. */
  readonly max?: number | undefined
  /**
   * With fewer samples in the window the quantile is not known, and what holds is `initial`: a whole number of at least 1. Less
   * than `1 / (1 - quantile)` would make the slowest of the samples the quantile.
   */
  readonly minimumSamples?: number | undefined
  /**
   * How long an attempt is remembered: more than 0. The window is forgotten half by half: it covers at least half of that time, and
   * never more than all of it. Where fewer than `minimumSamples` come in half of it, make it longer.
   */
  readonly window?: Duration.Input | undefined
  /** The shortest delay: 0 or more. */
  readonly min?: Duration.Input | undefined
  /** The longest delay, for a dependency of which it is known that what takes longer never comes: more than 0, at least `min`. */
  readonly cap?: Duration.Input | undefined
  /** The delay as long as the quantile is not known: 0 or more. Without it nothing is hedged until then. */
  readonly initial?: Duration.Input | undefined
}

/**
 * - `quantile`: 0.95, as in "The Tail at Scale": it adds at most 5 % of load.
 * - `max`: 1, as in Polly, resilience4j and failsafe-go: two attempts that are both late are trouble that more load makes worse.
 * - `minimumSamples`: 100, of which five are above the 95th percentile: with fewer, a single slow one decides.
 * - `window`: 1 minute, so that 3 seconds of a dependency that has become slower are enough to wait longer.
 * - `min`: 1 millisecond, the resolution of the host's timers.
 * - No `cap` (what is learnt ends at ten minutes) and no `initial`.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  quantile: 0.95,
  max: 1,
  minimumSamples: 100,
  window: "1 minute",
  min: "1 milli"
} as const satisfies Options

/**
 * What a layer may change of its class. What it leaves out, or `undefined`, is as in the class.
 *
 * @since 0.1.0
 * @category models
 */
export interface LayerOptions extends Options {}

/**
 * A hedge as it is now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** After how long an attempt is hedged: `estimate` between `min` and `cap`, else `initial`. `undefined`: nothing is hedged. */
  readonly delay: Duration.Duration | undefined
  /** The quantile; `undefined` with fewer than `minimumSamples`. */
  readonly estimate: Duration.Duration | undefined
  /** How many attempts in the window it is taken from. */
  readonly samples: number
}

/**
 * The value of a hedge service. Internal but for `snapshot`: the engine asks `delayMs` and tells `record`, with the monotonic
 * milliseconds of the `Clock` in force.
 *
 * @since 0.1.0
 * @category services
 */
export interface Hedge extends Hedging {
  readonly snapshot: () => Effect.Effect<Snapshot>
}

/**
 * The class that {@link Service} makes.
 *
 * @since 0.1.0
 * @category services
 */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, Hedge> {
  /** The hedge as the class describes it. Building it dies with `InvalidOption` if an option is wrong. */
  readonly layer: Layer.Layer<Self>
  /** The hedge with other options: for a test, or a deployment. */
  readonly layerWith: (change: LayerOptions) => Layer.Layer<Self>
  /** The same, from the configuration: every option may be a `Config` of it. */
  readonly layerConfig: (change: Config.Wrap<LayerOptions>) => Layer.Layer<Self, Config.ConfigError>
  /** Reading changes nothing. */
  readonly snapshot: () => Effect.Effect<Snapshot, never, Self>
}

/**
 * Makes a hedge as a service; its state lives as long as its layer. Defining a class never throws.
 *
 * **Example** (A service that is called seldom, with options from the configuration)
 *
 * ```ts
 * import { Config } from "effect"
 * import { Hedge } from "effect-resilience"
 *
 * class ReportsHedge extends Hedge.Service<ReportsHedge>()("app/ReportsHedge", {
 *   quantile: 0.9,
 *   minimumSamples: 20,
 *   window: "10 minutes"
 * }) {}
 *
 * ReportsHedge.layerConfig({ cap: Config.Duration("REPORTS_HEDGE_CAP") })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service =
  <Self>() =>
  <const Id extends string>(id: Id, options?: Options | undefined): ServiceClass<Self, Id> => {
    const Tag = Context.Service<Self, Hedge>()(id)
    const layerWith = (change: LayerOptions): Layer.Layer<Self> =>
      Layer.effect(Tag)(
        Effect.catchDefect(
          Effect.sync(() => make(id, over(defaults, options, change))),
          (defect) => Effect.die(validate.naming(id, defect))
        )
      )
    return Object.assign(Tag, {
      layer: layerWith({}),
      layerWith,
      layerConfig: (change: Config.Wrap<LayerOptions>) =>
        Layer.unwrap(Effect.map(Config.unwrap<LayerOptions>(change), layerWith)),
      snapshot: () => Tag.use((hedge) => hedge.snapshot())
    })
  }

interface Resolved extends Options {
  readonly quantile: number
  readonly max: number
  readonly minimumSamples: number
  readonly window: Duration.Input
  readonly min: Duration.Input
}

const make = (name: string, options: Resolved): Hedge => {
  const learner = new Learner(name, settingsOf(options))
  const duration = (ms: number | undefined) => (ms === undefined ? undefined : Duration.millis(ms))
  return {
    name,
    max: learner.max,
    delayMs: (now) => learner.delayMs(now),
    record: (now, elapsedMs, cut) => learner.record(now, elapsedMs, cut),
    snapshot: () =>
      Effect.withFiber((fiber) => {
        const now = nowMs(fiber)
        const delay = duration(learner.delayMs(now))
        return Effect.succeed({ delay, estimate: duration(learner.estimateMs(now)), samples: learner.samples(now) })
      })
  }
}

const settingsOf = (options: Resolved): Settings => {
  const { cap, initial, quantile } = options
  const minMs = validate.duration("min", options.min)
  const capMs = cap === undefined ? undefined : validate.duration("cap", cap, "positive")
  if (capMs !== undefined && capMs < minMs) validate.invalid("cap", cap, "at least min")
  return {
    quantile:
      quantile > 0 && quantile < 1
        ? quantile
        : validate.invalid("quantile", quantile, "a number above 0 and below 1, such as 0.95"),
    max: validate.integer("max", options.max, 1, mostHedges),
    minimumSamples: validate.integer("minimumSamples", options.minimumSamples, 1),
    windowMs: validate.duration("window", options.window, "positive"),
    minMs,
    capMs,
    initialMs: initial === undefined ? undefined : validate.duration("initial", initial)
  }
}
