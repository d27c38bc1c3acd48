/**
 * How many retries a process, a task or a user may afford. A limit on the attempts of one call cannot stop a retry storm: when
 * everything fails, three attempts a call are three times the load, and nested policies multiply. A budget is shared by all
 * calls that use it, so the load that retries add is bounded whatever happens.
 *
 * A budget is a service whose state lives in its layer. A policy names it with `budget`; it is asked last, so that nothing is
 * spent on a retry that another check refuses. When it says no, the call fails with what it failed with, as a
 * `RetryExhausted` with reason `"budget"`; attempts in progress are left alone. A hedge is paid for like a retry.
 *
 * What an attempt's outcome means to a budget:
 *
 * | outcome | `ratio` | `tokenBucket` | `throttle` |
 * |---|---|---|---|
 * | success | pays in | refunds | pays in |
 * | permanent, unrecognised, defect | pays in | – | – |
 * | transient, throttled, timeout | – | – | costs one token |
 * | interrupted | – | – | – |
 *
 * `concurrent` and `fixedRate` learn from no outcome. Where nested policies use the same budget, a call pays in once, at the
 * outermost of them.
 *
 * **Which model**
 *
 * {@link ratio} is the one to start with. {@link tokenBucket} if you want what the AWS SDKs do, {@link throttle} what gRPC does.
 * {@link concurrent} where calls are long and few, so that there is little traffic to count. {@link fixedRate} where the
 * dependency names a number. {@link task} bounds one piece of work instead of a dependency.
 *
 * **Example** (One budget for everything that calls an upstream)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { RetryBudget } from "effect-resilience"
 *
 * class UpstreamBudget extends RetryBudget.Service<UpstreamBudget>()(
 *   "app/UpstreamBudget",
 *   RetryBudget.ratio({ ratio: 0.2, minPerSecond: 10, window: "10 seconds" })
 * ) {}
 *
 * const program = UpstreamBudget.balance().pipe(Effect.provide(UpstreamBudget.layer))
 *
 * Effect.runSync(program) // => 100
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Budget } from "./internal/budget.ts"
import type { BudgetModel } from "./internal/budgets.ts"
import { Concurrent } from "./internal/budgets/concurrent.ts"
import { FixedRate } from "./internal/budgets/fixedRate.ts"
import { Ratio } from "./internal/budgets/ratio.ts"
import { makeTask } from "./internal/budgets/task.ts"
import { Throttle } from "./internal/budgets/throttle.ts"
import { TokenBucket } from "./internal/budgets/tokenBucket.ts"
import { withinRegion } from "./internal/currentCall.ts"
import { KeyedMap } from "./internal/keyed.ts"
import { keysOf } from "./internal/perKey.ts"
import type { Keys } from "./internal/perKey.ts"
import { nowMs } from "./internal/time.ts"
import * as validate from "./internal/validate.ts"

const ModelTypeId = "~effect-resilience/RetryBudget/Model"

/**
 * How a budget counts: made by {@link ratio}, {@link tokenBucket}, {@link throttle}, {@link concurrent} or {@link fixedRate}.
 * It is a description without state, so one model may serve any number of budgets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Model {
  readonly [ModelTypeId]: typeof ModelTypeId
  readonly kind: "ratio" | "tokenBucket" | "throttle" | "concurrent" | "fixedRate"
  /** The state of one budget, or of one key of a keyed one. Internal. */
  readonly make: () => BudgetModel
}

const model = (kind: Model["kind"], make: () => BudgetModel): Model => ({ [ModelTypeId]: ModelTypeId, kind, make })

/**
 * @since 0.1.0
 * @category models
 */
export interface RatioOptions {
  /**
   * Retries allowed for each call, from 0 to 10; 0.2 is one retry for five calls. Above 10 it would limit nothing, and is
   * likely a percentage. Six decimals are kept.
   */
  readonly ratio?: number | undefined
  /**
   * Retries a second allowed on top, from 0 to 1 000 000, so that little traffic can retry at all. A whole window's worth of them
   * may be taken at once, and comes back as the window passes.
   */
  readonly minPerSecond?: number | undefined
  /**
   * How long calls are remembered: 1 to 60 seconds, as in Finagle. Less would forget the traffic between two calls; more would
   * let retries live on traffic that is long over, and make the burst that `minPerSecond` allows too large.
   */
  readonly window?: Duration.Input | undefined
}

/**
 * Finagle's defaults, and Linkerd's: a fifth more load at worst, which a service that is not on its last legs can bear.
 *
 * @since 0.1.0
 * @category constants
 */
export const ratioDefaults = { ratio: 0.2, minPerSecond: 10, window: "10 seconds" } as const

/**
 * Retries up to a share of recent calls, above a floor. The model to start with.
 *
 * Each call pays in `ratio`, once, when an attempt of it ends in success or in an error that is not worth a retry. Each retry
 * costs 1. Payments and costs are forgotten after `window`, in slices of a tenth of it. A floor of `minPerSecond × window` is
 * there from the start. In a total outage nothing is paid in, so that only the floor is left.
 *
 * Throws `InvalidOption`.
 *
 * Source: Finagle's `RetryBudget`. Its arithmetic is scaled integers of six decimals here, where Finagle's and tower's round
 * the price of a retry down, so that in tower 0.6 allows 100 %.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ratio = (options: RatioOptions = {}): Model => {
  const windowMs = validate.duration("RetryBudget.ratio: window", options.window ?? ratioDefaults.window)
  if (windowMs < 1000 || windowMs > 60_000) {
    validate.invalid("RetryBudget.ratio: window", options.window, "a duration from 1 to 60 seconds")
  }
  const resolved = {
    ratio: validate.finite("RetryBudget.ratio: ratio", options.ratio ?? ratioDefaults.ratio, 0, 10),
    minPerSecond: validate.finite(
      "RetryBudget.ratio: minPerSecond",
      options.minPerSecond ?? ratioDefaults.minPerSecond,
      0,
      1_000_000
    ),
    windowMs
  }
  return model("ratio", () => new Ratio(resolved))
}

/**
 * All amounts are tokens; six decimals are kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenBucketOptions {
  /** The most tokens, and how many there are at the start: from 0 to 1 000 000 000. */
  readonly capacity?: number | undefined
  /** The cost of a retry, from 0.000001 to 1 000 000 000. */
  readonly retryCost?: number | undefined
  /** The cost of a retry of an attempt that timed out, in the same range: what timed out took up a server for longest. */
  readonly timeoutCost?: number | undefined
  /** What a call that succeeds at its first attempt brings, from 0 to 1 000 000 000. */
  readonly refund?: number | undefined
}

/**
 * The AWS SDKs' numbers for standard mode: 100 retries in a row, then one for each five successes.
 *
 * @since 0.1.0
 * @category constants
 */
export const tokenBucketDefaults = { capacity: 500, retryCost: 5, timeoutCost: 10, refund: 1 } as const

/**
 * A bucket that retries empty and successes refill, up to its capacity.
 *
 * A retry costs `retryCost`, after a timeout `timeoutCost`. A call that succeeds at its first attempt brings `refund`; one that
 * succeeds after retries brings back the cost of the last of them (and at least `refund`). Time alone brings nothing: once the
 * bucket is empty, it takes successes to retry again. The balance is counted in retries at `retryCost`.
 *
 * Throws `InvalidOption`.
 *
 * Source: the retry quota of the AWS SDKs' standard mode. They agree on a higher cost for timeouts; some charge it for every
 * transient error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tokenBucket = (options: TokenBucketOptions = {}): Model => {
  const amount = (option: keyof TokenBucketOptions, min: number) =>
    validate.finite(
      `RetryBudget.tokenBucket: ${option}`,
      options[option] ?? tokenBucketDefaults[option],
      min,
      1_000_000_000
    )
  const resolved = {
    capacity: amount("capacity", 0),
    retryCost: amount("retryCost", 0.000001),
    timeoutCost: amount("timeoutCost", 0.000001),
    refund: amount("refund", 0)
  }
  return model("tokenBucket", () => new TokenBucket(resolved))
}

/**
 * There are no defaults: A6 gives none.
 *
 * @since 0.1.0
 * @category models
 */
export interface ThrottleOptions {
  /** The most tokens, and how many there are at the start: a whole number from 1 to 1000. */
  readonly maxTokens: number
  /** What a success brings, from 0.001 to 1000. Decimals after the third are ignored. */
  readonly tokenRatio: number
}

/**
 * Retries as long as things go well on the whole.
 *
 * Every attempt that fails with a transient error, a timeout or throttling costs one token, every success brings `tokenRatio`, and
 * retries are allowed while more than half of `maxTokens` is there. The balance is the number of retries that would be allowed
 * in a row if each of them failed.
 *
 * Throws `InvalidOption`.
 *
 * Source: gRPC's `retryThrottling`, proposal A6; its example is `{ maxTokens: 10, tokenRatio: 0.1 }`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const throttle = (options: ThrottleOptions): Model => {
  const resolved = {
    maxTokens: validate.integer("RetryBudget.throttle: maxTokens", options.maxTokens, 1, 1000),
    tokenRatio: validate.finite("RetryBudget.throttle: tokenRatio", options.tokenRatio, 0.001, 1000)
  }
  return model("throttle", () => new Throttle(resolved))
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ConcurrentOptions {
  /** Retries in progress allowed for each call in progress, from 0 to 1. Six decimals are kept. */
  readonly ratio?: number | undefined
  /** Retries in progress that are always allowed: a whole number of at least 0. */
  readonly minConcurrency?: number | undefined
}

/**
 * Envoy's defaults.
 *
 * @since 0.1.0
 * @category constants
 */
export const concurrentDefaults = { ratio: 0.2, minConcurrency: 3 } as const

/**
 * Retries in progress up to a share of the calls in progress, and at least `minConcurrency`.
 *
 * A retry is in progress from the moment it is allowed, its delay included, until its attempt has ended. The share is rounded
 * down. There is no memory: what has ended counts no more.
 *
 * Throws `InvalidOption`.
 *
 * Source: Envoy's `retry_budget`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const concurrent = (options: ConcurrentOptions = {}): Model => {
  const resolved = {
    ratio: validate.ratio("RetryBudget.concurrent: ratio", options.ratio ?? concurrentDefaults.ratio),
    minConcurrency: validate.integer(
      "RetryBudget.concurrent: minConcurrency",
      options.minConcurrency ?? concurrentDefaults.minConcurrency,
      0
    )
  }
  return model("concurrent", () => new Concurrent(resolved))
}

/**
 * There are no defaults: the numbers are the dependency's.
 *
 * @since 0.1.0
 * @category models
 */
export interface FixedRateOptions {
  /** Retries that come back each second, from 0 to 1 000 000; 0.1 is six a minute. Six decimals are kept. */
  readonly perSecond: number
  /** The most that may be taken at once, and what there is at the start: a whole number of at least 1. */
  readonly burst: number
}

/**
 * So many retries a second, whatever the traffic: a bucket that only time refills, up to `burst`.
 *
 * Throws `InvalidOption`.
 *
 * Source: the SRE book's server-wide budget ("at most 60 retries a minute").
 *
 * @since 0.1.0
 * @category constructors
 */
export const fixedRate = (options: FixedRateOptions): Model => {
  const resolved = {
    perSecond: validate.finite("RetryBudget.fixedRate: perSecond", options.perSecond, 0, 1_000_000),
    burst: validate.integer("RetryBudget.fixedRate: burst", options.burst, 1)
  }
  return model("fixedRate", () => new FixedRate(resolved))
}

/**
 * The value of a budget service: what the engine asks, and what can be read. Every `now` is monotonic milliseconds of the
 * `Clock` in force. A keyed budget throws `InvalidOption` where it is not given its key; any other ignores the key.
 *
 * @since 0.1.0
 * @category services
 */
export interface RetryBudget extends Budget {
  readonly keyed: boolean
  /** How many retries could be taken now. Reading makes no key. */
  readonly balance: (now: number, key: string | undefined) => number
  /** One for each key in memory; a budget that is not keyed has exactly one. */
  readonly snapshots: (now: number) => ReadonlyArray<Snapshot>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** `undefined` for a budget that is not keyed. */
  readonly key: string | undefined
  /** How many retries could be taken now. */
  readonly balance: number
}

/**
 * How many keys a keyed budget remembers, and for how long.
 *
 * A key that is forgotten starts anew when it comes back, with all that the model gives at the start. So a key of which
 * something is spent is kept beyond `idleTimeToLive`, until that has come back; when `max` forces one out, those of which
 * nothing is spent go first, in the order of their last use.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeysOptions {
  /** The most keys in memory: a whole number of at least 1. */
  readonly max?: number | undefined
  /** How long a key is remembered that nobody uses: more than 0. */
  readonly idleTimeToLive?: Duration.Input | undefined
}

/**
 * Ten thousand keys are some megabytes at most; ten minutes are longer than any window.
 *
 * @since 0.1.0
 * @category constants
 */
export { keysDefaults } from "./internal/perKey.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ServiceOptions {
  /** Makes a budget for each key (a host, a tenant, a user). The key is then said at the call. */
  readonly keys?: KeysOptions | undefined
}

/**
 * What a layer may change of its class. What it leaves out, or `undefined`, is as in the class.
 *
 * @since 0.1.0
 * @category models
 */
export interface LayerOptions<Keyed extends boolean = boolean> {
  /** Replaces the model. */
  readonly model?: Model | undefined
  /** Replaces single options of a keyed class. A class without keys cannot be given any: callers would not say one. */
  readonly keys?: (Keyed extends false ? never : KeysOptions) | undefined
}

/**
 * The class that {@link Service} makes.
 *
 * @since 0.1.0
 * @category services
 */
export interface ServiceClass<Self, Id extends string, Keyed extends boolean> extends Context.ServiceClass<
  Self,
  Id,
  RetryBudget
> {
  /** Whether a call must say a key; `boolean` if `keys` was possibly `undefined`. */
  readonly keyed: Keyed
  /** The budget as the class describes it. Building it dies with `InvalidOption` if `keys` are wrong. */
  readonly layer: Layer.Layer<Self>
  /** The budget with another model, or with other options: for a test, or a deployment. */
  readonly layerWith: (change: Model | LayerOptions<Keyed>) => Layer.Layer<Self>
  /**
   * The same, from the configuration. A model comes as a `Config` of one:
   *
   * ```ts
   * import { Config } from "effect"
   * import { RetryBudget } from "effect-resilience"
   *
   * class Upstream extends RetryBudget.Service<Upstream>()("app/Upstream", RetryBudget.ratio()) {}
   *
   * Upstream.layerConfig({
   *   model: Config.all({ ratio: Config.Finite("RETRY_RATIO") }).pipe(Config.map(RetryBudget.ratio))
   * })
   * ```
   */
  readonly layerConfig: (change: Config.Wrap<LayerOptions<Keyed>>) => Layer.Layer<Self, Config.ConfigError>
  /**
   * How many retries could be taken now. Of a key that is not in memory it is what a new one has; reading makes no key. Dies
   * with `InvalidOption` if the budget is keyed and the key is missing.
   */
  readonly balance: (
    ...key: Keyed extends true ? [key: string] : [key?: string | undefined]
  ) => Effect.Effect<number, never, Self>
  /** The balance of each key in memory; of a budget that is not keyed, exactly one, with `key` undefined. */
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>, never, Self>
}

/**
 * Makes a budget as a service; its state lives as long as its layer. Defining a class never throws, except that the
 * constructors of the models do.
 *
 * **Example** (One budget for each tenant)
 *
 * ```ts
 * import { RetryBudget } from "effect-resilience"
 *
 * class TenantBudget extends RetryBudget.Service<TenantBudget>()("app/TenantBudget", RetryBudget.tokenBucket(), {
 *   keys: { max: 5000, idleTimeToLive: "1 hour" }
 * }) {}
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service = <Self>(): {
  <const Id extends string>(
    id: Id,
    model: Model,
    options?: { readonly keys?: undefined } | undefined
  ): ServiceClass<Self, Id, false>
  <const Id extends string>(id: Id, model: Model, options: { readonly keys: KeysOptions }): ServiceClass<Self, Id, true>
  <const Id extends string>(id: Id, model: Model, options: ServiceOptions | undefined): ServiceClass<Self, Id, boolean>
} => {
  const make = <const Id extends string>(
    id: Id,
    model: Model,
    options?: ServiceOptions | undefined
    // oxlint-disable-next-line typescript/no-explicit-any -- the overloads say which of the three kinds it is
  ): ServiceClass<Self, Id, any> => {
    const Tag = Context.Service<Self, RetryBudget>()(id)
    const build = (change: LayerOptions): RetryBudget => {
      const keys = validate.named(id, () => keysOf(options?.keys, change.keys))
      const used = change.model ?? model
      return keys === undefined ? unkeyed(id, used) : keyed(id, used, keys)
    }
    const layerWith = (change: Model | LayerOptions): Layer.Layer<Self> =>
      Layer.effect(Tag)(Effect.sync(() => build(ModelTypeId in change ? { model: change } : change)))
    return Object.assign(Tag, {
      keyed: options?.keys !== undefined,
      layer: layerWith({}),
      layerWith,
      layerConfig: (change: Config.Wrap<LayerOptions>) =>
        Layer.effect(Tag)(Effect.map(Config.unwrap<LayerOptions>(change), build)),
      balance: (key?: string | undefined) =>
        Effect.withFiber((fiber) => Tag.useSync((budget) => budget.balance(nowMs(fiber), key))),
      snapshots: Effect.withFiber((fiber) => Tag.useSync((budget) => budget.snapshots(nowMs(fiber))))
    })
  }
  return make
}

const unkeyed = (name: string, model: Model): RetryBudget => {
  const state = model.make()
  return {
    name,
    keyed: false,
    begin: (now, _key, deposits) => state.begin(now, deposits),
    balance: (now) => state.balance(now),
    snapshots: (now) => [{ key: undefined, balance: state.balance(now) }]
  }
}

const keyed = (name: string, model: Model, keys: Keys): RetryBudget => {
  const states = new KeyedMap<BudgetModel>({
    ...keys,
    make: () => model.make(),
    keep: (state, now) => state.spent(now)
  })
  const given = (key: string | undefined): string =>
    key ?? validate.invalid("key", key, `a string, said at the call, because the budget "${name}" is keyed`)
  return {
    name,
    keyed: true,
    begin: (now, key, deposits) => states.get(given(key), now).begin(now, deposits),
    balance: (now, key) => (states.peek(given(key), now) ?? model.make()).balance(now),
    snapshots: (now) => states.entries(now).map(([key, state]) => ({ key, balance: state.balance(now) }))
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TaskOptions {
  /** How many retries, hedges included, everything under the effect may take together: a whole number of at least 0. */
  readonly maxRetries: number
  /** What the `deniedBy` of a refused retry says; `"RetryBudget.task"` by default. */
  readonly name?: string | undefined
}

/**
 * Bounds the retries of everything under an effect, nested policies included, whatever budgets of their own they have: a batch
 * job, a request that fans out. A retry is taken only if every budget agrees, all of them or none; tasks within tasks each have
 * their say.
 *
 * The count starts anew each time the effect runs, and nothing comes back. A fiber forked within shares it while the task runs;
 * one that outlives the task is no longer bound.
 *
 * Throws `InvalidOption`.
 *
 * **Example** (A fan-out that may retry five times in all)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { RetryBudget } from "effect-resilience"
 *
 * const fetchPart = (id: number) => Effect.succeed(`part ${id}`)
 *
 * const report = Effect.forEach([1, 2, 3], fetchPart, { concurrency: 3 }).pipe(RetryBudget.task({ maxRetries: 5 }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const task: {
  (options: TaskOptions): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options: TaskOptions): Effect.Effect<A, E, R>
} = (<A, E, R>(...args: [options: TaskOptions] | [self: Effect.Effect<A, E, R>, options: TaskOptions]) =>
  args.length === 2 ? bindTask(args[1])(args[0]) : bindTask(args[0])) as never

/** Not with `dual`, so that bad options are refused when they are written, and not when they are applied. */
const bindTask = (options: TaskOptions) => {
  const maxRetries = validate.integer("RetryBudget.task: maxRetries", options.maxRetries, 0)
  const name = validate.name("RetryBudget.task: name", options.name ?? "RetryBudget.task")
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    withinRegion(self, () => ({ task: makeTask(name, maxRetries) }))
}
