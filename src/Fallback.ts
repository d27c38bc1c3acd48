/**
 * What to answer when a dependency cannot serve: a fixed value, another effect, or the last good answer.
 *
 * A fallback is an ordinary pipeable around a finished outcome. Put it outside of `withResilience`, so that it answers when
 * the policy has given up, and order several from the best to the last resort:
 *
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Fallback } from "effect-resilience"
 *
 * class Offline extends Data.TaggedError("Offline") {}
 * class Last extends Fallback.Stale<Last, number>()("app/Last", { maxAge: "5 minutes", max: 1000 }) {}
 *
 * const rate = Effect.fail(new Offline()).pipe(
 *   Last.orStale("EUR", { on: ["Offline"] }),
 *   Fallback.value(1, { on: ["Offline"] }),
 *   Fallback.served,
 *   Effect.provide(Last.layer)
 * )
 *
 * Effect.runSync(rate) // => { value: 1, source: "fallback", age: undefined }
 * ```
 *
 * By default a fallback answers this library's own errors (`Policy.Unavailable`): those say that the dependency could not
 * serve. Any other error is an answer of the dependency, such as "no such user", and hiding it needs saying so, with `on`.
 * A defect and an interruption are never answered.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Fiber, Types } from "effect"
import { withinRegion } from "./internal/currentCall.ts"
import { labelOf } from "./internal/events.ts"
import type { FallbackServed } from "./internal/events.ts"
import { Account, CurrentAccount, live, part, watched } from "./internal/served.ts"
import type { Source } from "./internal/served.ts"
import { emitter } from "./internal/spanEvents.ts"
import { StaleStore } from "./internal/stale.ts"
import type { Recalled } from "./internal/stale.ts"
import { nowMs } from "./internal/time.ts"
import { dataFirstOrLast } from "./internal/dataFirstOrLast.ts"
import { isUnavailable } from "./internal/unavailable.ts"
import type { Unavailable } from "./internal/unavailable.ts"
import * as validate from "./internal/validate.ts"

/**
 * Tags of errors, at least one.
 *
 * @since 0.1.0
 * @category models
 */
export type Tags<Tag extends string = string> = readonly [Tag, ...ReadonlyArray<Tag>]

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<out On extends Tags | undefined> {
  /**
   * What events and metrics call this fallback. Defaults to "fallback". Keep the number of names small: it is an attribute
   * of a metric.
   */
  readonly name?: string | undefined
  /**
   * The `_tag`s of the errors to answer, *instead of* this library's own; at least one. A tag that the effect cannot fail
   * with does not compile.
   */
  readonly on?: On
}

/**
 * The members of `E` that a fallback with this `on` answers.
 *
 * @since 0.1.0
 * @category models
 */
export type Handled<E, On extends Tags | undefined> =
  On extends Tags<infer Tag> ? Extract<E, { readonly _tag: Tag }> : Extract<E, Unavailable>

/**
 * The members of `E` that a fallback with this `on` lets through. Where `on` may be undefined, those of both cases.
 *
 * @since 0.1.0
 * @category models
 */
export type Unhandled<E, On extends Tags | undefined> =
  On extends Tags<infer Tag> ? Exclude<E, { readonly _tag: Tag }> : Exclude<E, Unavailable>

/**
 * Refuses an effect that cannot fail with a tag named in `on`; the message says which tags it cannot fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type Known<E, On extends Tags | undefined> = [Unknown<E, On>] extends [never]
  ? unknown
  : { readonly "the effect never fails with": Unknown<E, On> }

type Unknown<E, On> = On extends Tags<infer Tag> ? Exclude<Tag, Types.Tags<E>> : never

const defaultName = "fallback"

/**
 * Answers with `value` instead of an error.
 *
 * Options are checked when the fallback is made: an empty `name` or an empty `on` throws `InvalidOption`.
 *
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Fallback } from "effect-resilience"
 *
 * class Offline extends Data.TaggedError("Offline") {}
 *
 * const recommendations = Effect.fail(new Offline()).pipe(Fallback.value([], { on: ["Offline"] }))
 *
 * Effect.runSync(recommendations) // => []
 * ```
 *
 * @see {@link orElse} where the answer has to be computed
 * @since 0.1.0
 * @category combinators
 */
export const value: {
  <A, E, R, A2, const On extends Tags | undefined = undefined>(
    self: Effect.Effect<A, E, R> & Known<E, On>,
    value: A2,
    options?: Options<On>
  ): Effect.Effect<A | A2, Unhandled<E, On>, R>
  <A2, const On extends Tags | undefined = undefined>(
    value: A2,
    options?: Options<On>
  ): <A, E, R>(self: Effect.Effect<A, E, R> & Known<E, On>) => Effect.Effect<A | A2, Unhandled<E, On>, R>
} = /*#__PURE__*/ dataFirstOrLast(
  (value: unknown, options?: Options<Tags | undefined>) => answerWith(() => Effect.succeed(value), options),
  // With one argument, an effect is a value like any other
  (args) => args.length > 1 && Effect.isEffect(args[0])
)

/**
 * Answers with what another effect answers, be it another provider or a computation from what is at hand. `f` gets the error.
 * If that effect fails, its error comes out.
 *
 * Options are checked when the fallback is made: an empty `name` or an empty `on` throws `InvalidOption`.
 *
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Fallback } from "effect-resilience"
 *
 * class Offline extends Data.TaggedError("Offline")<{ readonly host: string }> {}
 *
 * const primary: Effect.Effect<string, Offline> = Effect.fail(new Offline({ host: "a" }))
 * const answer = primary.pipe(
 *   Fallback.orElse((error) => Effect.succeed(`not from ${error.host}`), { name: "mirror", on: ["Offline"] })
 * )
 *
 * Effect.runSync(answer) // => "not from a"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const orElse: {
  <E, A2, E2, R2, const On extends Tags<Types.Tags<E>> | undefined = undefined>(
    f: (error: NoInfer<Handled<E, On>>) => Effect.Effect<A2, E2, R2>,
    options?: Options<On>
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E2 | Unhandled<E, On>, R | R2>
  <A, E, R, A2, E2, R2, const On extends Tags<Types.Tags<E>> | undefined = undefined>(
    self: Effect.Effect<A, E, R>,
    f: (error: NoInfer<Handled<E, On>>) => Effect.Effect<A2, E2, R2>,
    options?: Options<On>
  ): Effect.Effect<A | A2, E2 | Unhandled<E, On>, R | R2>
} = /*#__PURE__*/ dataFirstOrLast(
  (f: (error: unknown) => Effect.Effect<unknown, unknown, unknown>, options?: Options<Tags | undefined>) =>
    answerWith(f, options)
)

const answerWith = (
  f: (error: unknown) => Effect.Effect<unknown, unknown, unknown>,
  options: Options<Tags | undefined> | undefined
) => {
  const name = validate.name("Fallback: name", options?.name ?? defaultName)
  const isHandled = handles(options?.on)
  const own: Source = { source: "fallback", age: undefined }
  return (self: Effect.Effect<unknown, unknown, unknown>): Effect.Effect<unknown, unknown, unknown> => {
    const place = {}
    return Effect.withFiber((fiber) =>
      Effect.catchIf(part(fiber, place, self), isHandled, (error) =>
        // a fallback of the other effect, if it was one that answered, says where the value comes from
        Effect.map(part(fiber, place, f(error), own), (value) => {
          announce(fiber, { name, source: "fallback", error: labelOf(error), age: undefined })
          return value
        })
      )
    )
  }
}

const handles = (on: Tags | undefined): ((error: unknown) => boolean) => {
  if (on === undefined) return isUnavailable
  if (on.length < 1) return validate.invalid("Fallback: on", on, "at least one tag")
  const tags: ReadonlySet<unknown> = new Set(on)
  return (error) => typeof error === "object" && error !== null && "_tag" in error && tags.has(error._tag)
}

const announce = (fiber: Fiber.Fiber<unknown, unknown>, served: Omit<FallbackServed, "_tag" | "at">): void => {
  const emit = emitter(fiber)
  if (emit === undefined) return
  emit({ _tag: "FallbackServed", at: fiber.getRef(Clock.Clock).currentTimeMillisUnsafe(), ...served })
}

/**
 * How long and how many answers a {@link Stale} remembers.
 *
 * There are no defaults: how old an answer may be, and how many keys there are, only the application knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface StaleOptions {
  /** No answer older than this is served. A finite duration above 0. */
  readonly maxAge: Duration.Input
  /**
   * For how many keys an answer is remembered; a whole number of at least 1. Past that, the key that was not used for
   * longest, in remembering or in serving, is forgotten.
   */
  readonly max: number
}

/**
 * What a layer may change of its class. What it leaves out, or `undefined`, is as in the class.
 *
 * @since 0.1.0
 * @category models
 */
export interface StaleChange {
  readonly maxAge?: Duration.Input | undefined
  readonly max?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface StaleCall<out On extends Tags | undefined> {
  /** As in {@link Options}. */
  readonly on?: On
}

/**
 * What a {@link Stale} remembers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Remembered<in out Value> {
  /** `now` is monotonic milliseconds. */
  readonly remember: (key: string, value: Value, now: number) => void
  readonly recall: (key: string, now: number) => Recalled<Value> | undefined
}

/**
 * The class that {@link Stale} makes.
 *
 * @since 0.1.0
 * @category services
 */
export interface StaleClass<Self, Id extends string, Value> extends Context.ServiceClass<Self, Id, Remembered<Value>> {
  /** Remembers as the class says. Dies with `InvalidOption` if that makes no sense. */
  readonly layer: Layer.Layer<Self>
  /** Like `layer`, but for some options. */
  readonly layerWith: (options: StaleChange) => Layer.Layer<Self>
  /** Like `layerWith`, with options from the configuration. */
  readonly layerConfig: (options: Config.Wrap<StaleChange>) => Layer.Layer<Self, Config.ConfigError>
  /**
   * Remembers what the effect succeeds with under `key`, and on an error answers with the last of it. An error with nothing
   * recent to answer with comes out unchanged, so the type of errors stays.
   *
   * Keep it innermost: what another fallback inside of it answers would be remembered as well.
   */
  readonly orStale: {
    <A extends Value, E, R, const On extends Tags | undefined = undefined>(
      self: Effect.Effect<A, E, R> & Known<E, On>,
      key: string,
      options?: StaleCall<On>
    ): Effect.Effect<A | Value, E, R | Self>
    <const On extends Tags | undefined = undefined>(
      key: string,
      options?: StaleCall<On>
    ): <A extends Value, E, R>(self: Effect.Effect<A, E, R> & Known<E, On>) => Effect.Effect<A | Value, E, R | Self>
  }
}

/**
 * Makes a fallback to the last good answer, as a service that remembers it.
 *
 * Answers are kept by key, in memory, by reference: treat them as immutable. Age is measured by the monotonic clock. Events
 * and metrics call it by its id. It costs no timer and no fiber.
 *
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Fallback } from "effect-resilience"
 *
 * class Offline extends Data.TaggedError("Offline") {}
 * class Last extends Fallback.Stale<Last, number>()("app/Last", { maxAge: "5 minutes", max: 1000 }) {}
 *
 * const live = Effect.succeed(7)
 * const down: Effect.Effect<number, Offline> = Effect.fail(new Offline())
 *
 * const program = Effect.gen(function* () {
 *   yield* Last.orStale(live, "EUR")
 *   return yield* Last.orStale(down, "EUR", { on: ["Offline"] })
 * })
 *
 * Effect.runSync(Effect.provide(program, Last.layer)) // => 7
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Stale =
  <Self, Value>() =>
  <const Id extends string>(id: Id, options: StaleOptions): StaleClass<Self, Id, Value> => {
    const Tag = Context.Service<Self, Remembered<Value>>()(id)
    const make = (overrides: StaleChange): Remembered<Value> => {
      validate.name("Fallback.Stale: id", id)
      const store = validate.named(
        id,
        () =>
          new StaleStore<Value>({
            maxAgeMs: validate.duration("maxAge", overrides.maxAge ?? options.maxAge, "positive"),
            max: validate.integer("max", overrides.max ?? options.max, 1)
          })
      )
      return {
        remember: (key, value, now) => store.remember(key, value, now),
        recall: (key, now) => store.recall(key, now)
      }
    }
    const layerWith = (overrides: StaleChange) => Layer.sync(Tag)(() => make(overrides))
    return Object.assign(Tag, {
      layer: layerWith({}),
      layerWith,
      layerConfig: (config: Config.Wrap<StaleChange>) => Layer.effect(Tag)(Effect.map(Config.unwrap(config), make)),
      orStale: dataFirstOrLast((key: string, options?: StaleCall<Tags | undefined>) => {
        const isHandled = handles(options?.on)
        return (self) => lastGood(self as Effect.Effect<Value, unknown, unknown>, Tag, key, isHandled)
      })
    })
  }

const lastGood = <A extends Value, E, R, Self, Value>(
  self: Effect.Effect<A, E, R>,
  tag: Context.Key<Self, Remembered<Value>>,
  key: string,
  handles: (error: unknown) => boolean
): Effect.Effect<A | Value, E, R | Self> => {
  const place = {}
  return Effect.flatMap(tag, (remembered) =>
    Effect.withFiber((fiber) => {
      const now = () => nowMs(fiber)
      let last: Recalled<Value> | undefined
      return Effect.catchIf(
        Effect.map(part(fiber, place, self), (value) => {
          remembered.remember(key, value, now())
          return value
        }),
        (error: E): boolean => handles(error) && (last = remembered.recall(key, now())) !== undefined,
        (error) => {
          const { ageMs, value } = last as Recalled<Value>
          const age = Duration.millis(ageMs)
          announce(fiber, { name: tag.key, source: "stale", error: labelOf(error), age })
          return part(fiber, place, Effect.succeed(value), { source: "stale", age })
        }
      )
    })
  )
}

/**
 * Where a value comes from.
 *
 * - `live`: from the effect itself
 * - `stale`: from a {@link Stale}, `age` ago
 * - `fallback`: from {@link value} or {@link orElse}
 *
 * @since 0.1.0
 * @category models
 */
export interface Served<out A> {
  readonly value: A
  readonly source: "live" | "stale" | "fallback"
  /** The age of a stale value. */
  readonly age?: Duration.Duration | undefined
}

/**
 * Says where the value comes from, so that a user can be told that it may be out of date.
 *
 * Every fallback that runs inside the effect counts, in child fibers too, and of several the last that served. So if an effect is
 * put together from several, "stale" or "fallback" means that some part of it is. Of nested `served` the innermost is told.
 *
 * What does not come out does not count: what a fallback served in an attempt of a policy that failed further on, or that another
 * attempt was quicker than, and inside of an effect that failed and was answered by another fallback. Of an effect with a fallback that
 * `Effect.retry` or `Effect.repeat` runs again, the last run counts; but one made anew in each run (in an `Effect.gen`, say) is another
 * effect. That any other operator threw a value away, as `Effect.catch` and `Effect.race` may, is not known. Where it is not known, it
 * is "stale" or "fallback".
 *
 * @since 0.1.0
 * @category combinators
 */
export const served = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Served<A>, E, R> =>
  Effect.suspend(() => {
    const account = new Account()
    const told = withinRegion(Effect.provideService(self, CurrentAccount, account), (around) => ({
      interposer: watched(around?.interposer)
    }))
    return Effect.map(told, (value): Served<A> => ({ value, ...(account.last ?? live) }))
  })
