/**
 * Sends no more than so many calls in so much time: a limit that the dependency has published, or that was agreed on. It is
 * Effect's own `RateLimiter` (`effect/persistence`) as a guard; the algorithms and the stores are its. What is added is
 * waiting, bounded and in order, and a memory of what the dependency asks for when it throttles.
 *
 * It has a path of its own, outside the index, because it brings Effect's persistence modules along.
 *
 * ```ts
 * import { Policy } from "effect-resilience"
 * import * as RateLimit from "effect-resilience/RateLimit"
 *
 * class Quotes extends RateLimit.Service<Quotes>()("app/Quotes", { limit: 100, window: "1 minute", maxWait: "2 seconds" }) {}
 *
 * // every attempt uses a token, retries too
 * const quotes = Policy.make({ name: "quotes.get", guards: [Quotes] })
 * // alone: effect.pipe(Quotes.protect()); around a withResilience it is one token for a whole call
 * ```
 *
 * **Where the tokens are**
 *
 * With `Quotes.layer` they are in memory: each layer that is built has its own, a keyed limit for each key, and they go
 * with it. With `Quotes.layerShared` they are in a `RateLimiterStore`, which other processes may share. Whoever uses the
 * same service id (and key) in the same store shares the limit:
 *
 * ```ts
 * import { Layer } from "effect"
 * import { RateLimiter } from "effect/persistence"
 * import * as RateLimit from "effect-resilience/RateLimit"
 *
 * class Quotes extends RateLimit.Service<Quotes>()("app/Quotes", { limit: 100, window: "1 minute" }) {}
 *
 * // needs a Redis, such as NodeRedis.layer({ url: "redis://localhost:6379" }) of @effect/platform-node
 * const layer = Quotes.layerShared.pipe(Layer.provide(RateLimiter.layerStoreRedis()))
 * ```
 *
 * **Algorithms**
 *
 * - `fixed-window`: there are `limit` tokens in a window, and all are back when it is over. It begins with the first that
 *   is taken, and lasts `window / limit` for each that is: when all are taken, `window`.
 * - `token-bucket`: a token comes back every `window / limit`, up to `limit` of them.
 *
 * Neither is a sliding window: nearly twice the limit may go out within the length of one window, around the end of a fixed
 * one, and after a pause that has filled the bucket.
 *
 * **Waiting**
 *
 * Waiting takes no token: whoever waits knows when to ask, and asks then. So whoever gives up, or is interrupted, delays
 * nobody. (Two things cannot be undone: the tokens of a call that is interrupted in the moment of its turn, when nobody
 * else waits, or while a shared store answers it, are gone.) Those who wait in one process, for the same key, are served
 * first come, first served; nobody passes them, and only the first of them asks the store. Between processes there is no
 * order.
 *
 * A call does not begin to wait if its turn would come later than `maxWait`, or than its deadline: it is refused at once.
 * So no more calls wait than come in within `maxWait`, about `limit * maxWait / window + limit`, however many there are. In
 * memory its turn is known exactly. With a shared store it may come later, because others use it too; who waits in vain is
 * refused when `maxWait` is over, or, as the first in the line, as soon as it is certain.
 *
 * Tokens are not given back, whatever became of the call, because the dependency may have counted it: not even when a later
 * guard of the policy has refused it.
 *
 * **Throttled all the same**
 *
 * When an outcome is `throttled` with a `retryAfter` (an HTTP 429, say), nothing goes out until then, whatever the tokens:
 * calls wait for it, or are refused, as for a token. `retryAfterCeiling` bounds what is believed. One that names no time
 * changes nothing. Each process learns for itself. A policy that retries what is throttled wants a `maxWait` above 0 here:
 * of several calls that are throttled at once, the first retry may come a little before the last hint is over, and would be
 * refused.
 *
 * **When a shared store fails**
 *
 * If it fails, or does not answer within `storeTimeout`, `onStoreError` decides, for those who wait as well, and a line of
 * log tells of it, one in ten seconds at most. Nothing hangs. A client that has lost its connection may keep commands until
 * it has the next one: then each call waits for `storeTimeout`, unless the client is told not to (`disableOfflineQueue` of
 * node-redis).
 *
 * **Clocks**
 *
 * In memory the time is the monotonic one of Effect's `Clock`, so that a wall clock that steps changes nothing. In Redis, a
 * fixed window goes by the time of the server; a token bucket goes by the wall clock of whoever asks, so that a client that
 * is an hour ahead fills everybody's bucket: use it where clocks are kept in step. Nothing runs in the background; there
 * are timers only while calls wait.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as RateLimiter from "effect/persistence/RateLimiter"
import type { Config, Layer } from "effect"
import { guardClass, over } from "./internal/guardClass.ts"
import type { GuardClass, KeysChange, Readable } from "./internal/guardClass.ts"
import { keysDefaults } from "./internal/perKey.ts"
import type { KeysOptions as Keys } from "./internal/perKey.ts"
import type { Answer } from "./internal/rateQuota.ts"
import type { RateLimited } from "./internal/rateLimited.ts"
import { make } from "./internal/rateLimitService.ts"
import type { Resolved, Store, Terms } from "./internal/rateLimitService.ts"

export { RateLimited, type Reason } from "./internal/rateLimited.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How many keys a rate limit remembers, and for how long. One that has tokens out, or callers waiting, is kept beyond
 * `idleTimeToLive`, and when `max` forces one out, those go last; of the others, the one that was used least recently goes
 * first. In memory, a key that was forced out has all its tokens when it comes back. What a shared store remembers is its
 * own affair: Redis forgets what is whole again, Effect's `layerStoreMemory` never forgets a key.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeysOptions extends Keys {}

interface Tuning {
  /** See the module's documentation. */
  readonly algorithm?: "fixed-window" | "token-bucket" | undefined
  /** What one call uses: a whole number from 1 to `limit`. */
  readonly tokens?: number | undefined
  /** How long a call may wait for its turn, and never beyond its deadline: 0 or more. With 0 it is refused at once. */
  readonly maxWait?: Duration.Input | undefined
  /**
   * The longest time that a `retryAfter` of a throttled outcome is believed: 0 or more. With 0 the dependency's throttling
   * changes nothing here.
   */
  readonly retryAfterCeiling?: Duration.Input | undefined
  /** What becomes of a call when a shared store fails: it goes through without a limit, or is refused. */
  readonly onStoreError?: "admit" | "reject" | undefined
  /** How long a shared store has to answer: more than 0. What it does later is lost, the tokens it may have taken too. */
  readonly storeTimeout?: Duration.Input | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Tuning {
  /** The tokens there are in a window: a whole number of at least 1, and at most one for each microsecond of the window. */
  readonly limit: number
  /** In what time `limit` tokens come back: at least 1 millisecond. A number is milliseconds. */
  readonly window: Duration.Input
  /** Makes a limit for each key (a host, a tenant). The key is then said at the call. */
  readonly keys?: KeysOptions | undefined
}

/**
 * What a layer may change of its class. What it leaves out, or `undefined`, is as in the class; of `keys` single members
 * can be changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface LayerOptions<Keyed extends boolean = boolean> extends Tuning {
  readonly limit?: number | undefined
  readonly window?: Duration.Input | undefined
  /** A class without keys cannot be given any: callers would not say one. */
  readonly keys?: KeysChange<Keyed> | undefined
}

/**
 * The options that have defaults:
 *
 * - `algorithm`: `fixed-window`, as in Effect. It is how most services count a quota, and in Redis it trusts no client's
 *   clock.
 * - `tokens`: 1.
 * - `maxWait`: 0, as in Polly, whose limiter queues nothing by default. Waiting hides an overload and uses up the caller's
 *   deadline, so it is for the caller to want. (resilience4j waits 5 s.)
 * - `retryAfterCeiling`: 1 min, as of a circuit breaker: a server that says "tomorrow" must not take a client out of
 *   service.
 * - `onStoreError`: `admit`, as in Envoy (`failure_mode_deny` is false) and in Effect's own circuit breaker: the limit
 *   protects the dependency from too much, and an outage of Redis must not become one of everything that is limited by it.
 *   Choose `reject` where a call too many costs more than a call not made.
 * - `storeTimeout`: 100 ms. A store nearby answers in a few; Envoy gives it 20, which a pause of the garbage collector
 *   exceeds.
 * - `keys`: ten thousand limits are some megabytes; ten minutes are longer than most windows.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  algorithm: "fixed-window",
  tokens: 1,
  maxWait: 0,
  retryAfterCeiling: "1 minute",
  onStoreError: "admit",
  storeTimeout: "100 millis",
  keys: keysDefaults
} as const satisfies Omit<Options, "limit" | "window">

// ---------------------------------------------------------------------------------------------------------------------
// The service
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A limit as it is now, from what its store last said: with a shared store others may have used it since.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** `undefined` for a limit that is not keyed. */
  readonly key: string | undefined
  readonly limit: number
  readonly window: Duration.Duration
  /** The tokens that are left, from 0 to `limit`. */
  readonly remaining: number
  /** How many calls wait for their turn in this process. */
  readonly waiting: number
  /** How long it takes until a call that comes now would have its turn; `undefined` if it has it at once. */
  readonly retryAfter: Duration.Duration | undefined
  /** How long the dependency still asks not to be called; `undefined` if it does not. */
  readonly drainedFor: Duration.Duration | undefined
}

/**
 * The value of a rate limit's service: a guard that can be read. Of a keyed one, `admit` and `snapshot` need the key, and
 * die with `InvalidOption` without one; one that is not keyed ignores keys. Reading uses no token.
 *
 * @since 0.1.0
 * @category services
 */
export interface RateLimit extends Readable<RateLimited, Snapshot> {
  readonly phase: "rate"
}

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
  RateLimit,
  RateLimited,
  Snapshot,
  LayerOptions<Keyed>
> {
  /** The guard over a store that others may share, such as `RateLimiter.layerStoreRedis()` of `effect/persistence`. */
  readonly layerShared: Layer.Layer<Self, never, RateLimiter.RateLimiterStore>
  /** As `layerWith`, over a store that others may share. They should say the same limit and window: each counts by its own. */
  readonly layerSharedWith: (change: LayerOptions<Keyed>) => Layer.Layer<Self, never, RateLimiter.RateLimiterStore>
  /** As `layerConfig`, over a store that others may share. */
  readonly layerSharedConfig: (
    change: Config.Wrap<LayerOptions<Keyed>>
  ) => Layer.Layer<Self, Config.ConfigError, RateLimiter.RateLimiterStore>
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
 * Makes a rate limit as a service. Defining a class never throws.
 *
 * **Example** (A limit for each tenant)
 *
 * ```ts
 * import { Effect } from "effect"
 * import * as RateLimit from "effect-resilience/RateLimit"
 *
 * class Tenants extends RateLimit.Service<Tenants>()("app/Tenants", {
 *   limit: 10,
 *   window: "1 second",
 *   algorithm: "token-bucket",
 *   keys: { max: 1000, idleTimeToLive: "10 minutes" }
 * }) {}
 *
 * const forTenant = (tenant: string) => Effect.succeed("an answer").pipe(Tenants.protect({ key: tenant }))
 * ```
 *
 * **Example** (Options from the configuration)
 *
 * ```ts
 * import { Config } from "effect"
 * import * as RateLimit from "effect-resilience/RateLimit"
 *
 * class Quotes extends RateLimit.Service<Quotes>()("app/Quotes", { limit: 100, window: "1 minute" }) {}
 *
 * Quotes.layerConfig({ limit: Config.Int("QUOTES_PER_MINUTE") })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service = <Self>(): Constructor<Self> => {
  const construct = (id: string, options: Options) => {
    const Class = guardClass<Self, RateLimit>()(id, options, (id, own, change: LayerOptions, keys) =>
      make(id, resolve(own, change, keys), ownStore)
    )
    const Shared = guardClass<Self, RateLimit>()(id, options, (id, own, change: LayerOptions, keys) =>
      Effect.flatMap(RateLimiter.make, (limiter) => make(id, resolve(own, change, keys), sharedStore(limiter)))
    )
    return Object.assign(Class, {
      layerShared: Shared.layer,
      layerSharedWith: Shared.layerWith,
      layerSharedConfig: Shared.layerConfig
    })
  }
  return construct as unknown as Constructor<Self>
}

const resolve = (own: Options, change: LayerOptions, keys: Resolved["keys"]): Resolved => ({
  ...over<Resolved>(defaults, own, change),
  keys
})

// ---------------------------------------------------------------------------------------------------------------------
// Effect's limiter
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Asks for tokens that are there. Never with `onExceeded: "delay"`: that takes tokens which are not there yet, from whoever
 * comes next, without bound, and for good, also if the one who took them gives up.
 */
const consume = (
  limiter: RateLimiter.RateLimiter,
  terms: Terms,
  key: string
): Effect.Effect<Answer, RateLimiter.RateLimiterError> =>
  limiter.consume({ ...terms, key, onExceeded: "fail" }).pipe(
    Effect.map(({ remaining, resetAfter }): Answer => ({
      _tag: "Taken",
      remaining,
      resetMs: Duration.toMillis(resetAfter)
    })),
    Effect.catchReason("RateLimiterError", "RateLimitExceeded", ({ retryAfter }) =>
      Effect.succeed<Answer>({ _tag: "Refused", retryMs: Duration.toMillis(retryAfter) })
    )
  )

const sharedStore = (limiter: RateLimiter.RateLimiter): Store => ({
  _tag: "Shared",
  take: (terms, key) => consume(limiter, terms, key)
})

/** A store in memory for each key, because one for all of them would never forget a key. */
const ownStore: Store = {
  _tag: "Own",
  take: (terms) => {
    let take: Effect.Effect<Answer, RateLimiter.RateLimiterError> | undefined
    let time = 0
    const clock = clockOf(() => time)
    return (now) => {
      time = now
      take ??= Effect.provideService(consume(inMemory(), terms, ""), Clock.Clock, clock)
      // it answers at once
      return Effect.runSync(take)
    }
  }
}

const inMemory = (): RateLimiter.RateLimiter =>
  Effect.runSync(Effect.provide(RateLimiter.make, RateLimiter.layerStoreMemory))

/** The store reads a wall clock, which may step; so it is told the monotonic time instead. */
const clockOf = (now: () => number): Clock.Clock =>
  Object.assign(Object.create(Context.get(Context.empty(), Clock.Clock)) as Clock.Clock, {
    currentTimeMillisUnsafe: now
  })
