/**
 * Injects trouble into the attempts of policies: faults, latency, wrong results, and whatever else an effect can do. That a policy
 * is right shows when things go wrong, and they seldom do so when somebody is looking.
 *
 * Nothing is injected unless {@link layer} or {@link provide} says so, and that only into what runs where it is provided. Without
 * them it costs nothing. {@link enabled} is the switch that turns it off at once.
 *
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Chaos } from "effect-resilience"
 *
 * class NetworkError extends Data.TaggedError("NetworkError")<{}> {}
 *
 * const program = Effect.void
 *
 * const gameDay = program.pipe(
 *   Effect.provide(
 *     Chaos.layer([
 *       Chaos.latency({ policy: "quotes.get", probability: 0.05, delay: { min: "100 millis", max: "2 seconds" } }),
 *       Chaos.fault({ policy: "quotes.get", probability: 0.01, error: () => new NetworkError() })
 *     ])
 *   )
 * )
 * ```
 *
 * **What happens to an attempt**
 *
 * Every attempt is one throw of the dice, retries and hedges included, after the guards have let it through. The injections are tried
 * in their order, each with its own probability. Latency and behaviors come before the attempt, one after the other; a fault or a
 * result takes its place, and what comes later in the list is not tried. So a fault after a latency is one that comes late.
 *
 * The attempt timeout and the deadline count what is injected, and interrupt it, as if the dependency had done it. The classifier
 * judges an injected error, and guards and budgets learn from it, as from a real one.
 *
 * Everything injected is told as the event `ChaosInjected` (see `Telemetry`), so that it is not mistaken for the real thing.
 *
 * **In a test**
 *
 * Chance is Effect's `Random` and time its `Clock`: under `Random.withSeed` and a `TestClock` the same happens every time.
 *
 * The four kinds are those of Polly's Simmy. (There the probability is 0.001 unless something is said, which does next to nothing
 * in a test and too much in a place where it was not meant. Here it has to be said.)
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Context, Duration, MutableRef } from "effect"
import * as Internal from "./internal/chaos.ts"
import { CurrentCall, frameIn, innermostLive, Region, withinRegion } from "./internal/currentCall.ts"
import { inPlaceOf } from "./internal/served.ts"
import { dataFirstOrLast } from "./internal/dataFirstOrLast.ts"
import { nowMs } from "./internal/time.ts"
import * as validate from "./internal/validate.ts"

const InjectionTypeId = "~effect-resilience/Chaos/Injection"
const ScenarioTypeId = "~effect-resilience/Chaos/Scenario"

// ---------------------------------------------------------------------------------------------------------------------
// Injections
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What is injected, where and how often: made by {@link fault}, {@link latency}, {@link result} or {@link behavior}. It is a
 * description without state.
 *
 * @since 0.1.0
 * @category models
 */
export interface Injection {
  readonly [InjectionTypeId]: Internal.Injection
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Chance {
  /**
   * The names of the policies whose attempts are meant; `"*"`, the default, means all. A name that no policy has is no error, and
   * injects nothing: `quotes.options.name` cannot be misspelt.
   */
  readonly policy?: string | ReadonlyArray<string> | undefined
  /** The share of attempts that are hit: from 0, none, to 1, all. There is no default: how much harm is done is for you to say. */
  readonly probability: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface FaultOptions extends Chance {
  /** Makes the error, a new one each time. */
  readonly error: () => unknown
}

/**
 * The attempt does not run, and fails with the error.
 *
 * An injection finds its policy by name while the program runs, so the types cannot say that the policy's effect may fail with this
 * error. Inject what it may fail with anyway: any other error passes the classifier as `unrecognised`, and comes out although the types
 * do not say so. For a defect or a hang, use {@link behavior}.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category injections
 */
export const fault = (options: FaultOptions): Injection =>
  injection({ ...chanceOf("fault", options), kind: "fault", error: thunk("fault: error", options.error) })

/**
 * @since 0.1.0
 * @category models
 */
export interface LatencyOptions extends Chance {
  /** How much later the attempt begins: 0 or more; or anything between two durations, all equally likely. */
  readonly delay: Duration.Input | { readonly min: Duration.Input; readonly max: Duration.Input }
}

/**
 * The attempt begins later. The attempt timeout and the deadline run meanwhile.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category injections
 */
export const latency = (options: LatencyOptions): Injection =>
  injection({ ...chanceOf("latency", options), kind: "latency", ...delayOf(options.delay) })

/**
 * @since 0.1.0
 * @category models
 */
export interface ResultOptions extends Chance {
  /** Makes the value, anew each time. */
  readonly value: () => unknown
}

/**
 * The attempt does not run, and succeeds with the value: an empty page, an outdated quote, another user's order. It must have the type
 * of what the policy's effect answers; the types cannot say so, as with {@link fault}.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category injections
 */
export const result = (options: ResultOptions): Injection =>
  injection({ ...chanceOf("result", options), kind: "result", value: thunk("result: value", options.value) })

/**
 * @since 0.1.0
 * @category models
 */
export interface BehaviorOptions extends Chance {
  /** Runs before the attempt. If it fails or dies, the attempt does. */
  readonly effect: Effect.Effect<unknown, unknown>
}

/**
 * Something else happens before the attempt: a connection is closed, a cache is emptied, a defect (`Effect.die`), a hang
 * (`Effect.never`).
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category injections
 */
export const behavior = (options: BehaviorOptions): Injection =>
  Effect.isEffect(options.effect)
    ? injection({ ...chanceOf("behavior", options), kind: "behavior", effect: options.effect })
    : validate.invalid("Chaos.behavior: effect", options.effect, "an effect")

const injection = (internal: Internal.Injection): Injection => ({ [InjectionTypeId]: internal })

const chanceOf = (of: string, { policy = "*", probability }: Chance) => {
  const names = typeof policy === "string" ? [policy] : policy
  if (!Array.isArray(names) || names.length === 0) {
    validate.invalid(`Chaos.${of}: policy`, policy, 'the name of a policy, several names, or "*" for all')
  }
  for (const name of names) validate.name(`Chaos.${of}: policy`, name)
  return {
    policies: names.includes("*") ? undefined : new Set(names),
    probability: validate.ratio(`Chaos.${of}: probability`, probability)
  }
}

const thunk = (option: string, value: () => unknown): (() => unknown) =>
  typeof value === "function" ? value : validate.invalid(`Chaos.${option}`, value, "a function that makes it")

interface Range {
  readonly min: Duration.Input
  readonly max: Duration.Input
}

const isRange = (delay: LatencyOptions["delay"]): delay is Range =>
  typeof delay === "object" && delay !== null && ("min" in delay || "max" in delay)

const delayOf = (delay: LatencyOptions["delay"]): { readonly minMs: number; readonly maxMs: number } => {
  const { max, min } = isRange(delay) ? delay : { min: delay, max: delay }
  const minMs = validate.duration("Chaos.latency: delay", min)
  const maxMs = validate.duration("Chaos.latency: delay.max", max)
  return minMs <= maxMs ? { minMs, maxMs } : validate.invalid("Chaos.latency: delay.max", max, "at least min")
}

// ---------------------------------------------------------------------------------------------------------------------
// Scenarios
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Injections over time: made by {@link scenario}. It is a description without state.
 *
 * @since 0.1.0
 * @category models
 */
export interface Scenario {
  readonly [ScenarioTypeId]: ReadonlyArray<Internal.Step>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Step {
  /** When it begins: 0 or more, counted from when {@link layer} was built, or from the start of the effect of {@link provide}. */
  readonly at: Duration.Input
  /** How long it lasts: more than 0. By default it does not end. */
  readonly for?: Duration.Input | undefined
  readonly inject: ReadonlyArray<Injection>
}

/**
 * A schedule of trouble, for a game day or a test: an outage of ten seconds, say, and a minute later a dependency that has become
 * slow. Steps may overlap; then the injections of all of them are tried, in the order of the list.
 *
 * Throws `InvalidOption`.
 *
 * **Example** (An outage, then slowness without end)
 *
 * ```ts
 * import { Chaos } from "effect-resilience"
 *
 * const day = Chaos.scenario([
 *   { at: "10 seconds", for: "10 seconds", inject: [Chaos.fault({ probability: 1, error: () => new Error("down") })] },
 *   { at: "1 minute", inject: [Chaos.latency({ probability: 0.5, delay: "800 millis" })] }
 * ])
 *
 * const layer = Chaos.layer(day)
 * ```
 *
 * @since 0.1.0
 * @category scenarios
 */
export const scenario = (steps: ReadonlyArray<Step>): Scenario => ({
  [ScenarioTypeId]: steps.map((step, i) => {
    const option = `Chaos.scenario: [${i}]`
    const fromMs = validate.duration(`${option}.at`, step.at)
    const forMs =
      step.for === undefined ? Number.POSITIVE_INFINITY : validate.duration(`${option}.for`, step.for, "positive")
    return { fromMs, untilMs: fromMs + forMs, injections: injectionsOf(`${option}.inject`, step.inject) }
  })
})

const isInjection = (it: unknown): it is Injection => typeof it === "object" && it !== null && InjectionTypeId in it

const injectionsOf = (option: string, list: ReadonlyArray<Injection>): ReadonlyArray<Internal.Injection> =>
  Array.isArray(list) && list.every(isInjection)
    ? list.map((it) => it[InjectionTypeId])
    : validate.invalid(option, list, "a list of injections, such as Chaos.fault makes")

// ---------------------------------------------------------------------------------------------------------------------
// Providing it
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What is injected where a program runs: a list, which holds all the time, or a {@link scenario}.
 *
 * @since 0.1.0
 * @category models
 */
export type Config = ReadonlyArray<Injection> | Scenario

const stepsOf = (config: Config): ReadonlyArray<Internal.Step> => {
  if (typeof config === "object" && config !== null && ScenarioTypeId in config) return config[ScenarioTypeId]
  const injections = injectionsOf("Chaos: config", config)
  return [{ fromMs: 0, untilMs: Number.POSITIVE_INFINITY, injections }]
}

/**
 * Injects into the attempts that run where the layer is provided: provide it to the program, not to the services that it uses. A
 * scenario begins when the layer is built.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (config: Config): Layer.Layer<never> => {
  const steps = stepsOf(config)
  return Layer.effect(CurrentCall)(
    Effect.withFiber((fiber) => {
      const now = nowMs(fiber)
      const around = frameIn(fiber.context)
      const interposer = inPlaceOf(innermostLive(around)?.interposer, new Internal.Injector(steps, now))
      const region = new Region(around, { interposer }, now)
      return Effect.as(
        Effect.addFinalizer(() => Effect.sync(() => (region.live = false))),
        region
      )
    })
  )
}

/**
 * Injects into the attempts within an effect. A scenario begins each time the effect does. Only the innermost counts, so
 * `Chaos.provide([])` keeps a part of the program out of it.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide: {
  (config: Config): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R>
} = /*#__PURE__*/ dataFirstOrLast((config: Config) => {
  const steps = stepsOf(config)
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const chaos = new Internal.Injector(steps, nowMs(fiber))
      return withinRegion(self, (around) => ({ interposer: inPlaceOf(around?.interposer, chaos) }))
    })
})

/**
 * The kill switch: whether anything is injected into the attempts that begin from now on. Default: `true`.
 *
 * Provide a `MutableRef` to flip it for a program that runs, or `false` for a part of it that is to be spared.
 *
 * ```ts
 * import { Effect, MutableRef } from "effect"
 * import { Chaos } from "effect-resilience"
 *
 * const program = Effect.void
 *
 * const chaos = MutableRef.make(true)
 * const watched = program.pipe(Chaos.provide([]), Effect.provideService(Chaos.enabled, chaos))
 *
 * // when it hurts too much: MutableRef.set(chaos, false)
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export const enabled: Context.Reference<boolean | MutableRef.MutableRef<boolean>> = Internal.Enabled
