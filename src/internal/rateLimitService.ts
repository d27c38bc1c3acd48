// What is behind a rate limit's service: its options checked, its stores, its clock and its effects.
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { RateLimit } from "../RateLimit.ts"
import { Limit } from "./rateLimit.ts"
import type { Shared } from "./rateLimit.ts"
import { PerKey } from "./perKey.ts"
import type { Keys } from "./perKey.ts"
import type { Answer, Rate } from "./rateQuota.ts"
import { rateLimited } from "./rateLimited.ts"
import type { Take } from "./rateLine.ts"
import { answering } from "./rateStore.ts"
import type { OnStoreError } from "./rateStore.ts"
import { monotonicMs, nowMs } from "./time.ts"
import * as validate from "./validate.ts"

/** The options with their defaults, not yet checked. */
export interface Resolved {
  readonly limit: number
  readonly window: Duration.Input
  readonly algorithm: "fixed-window" | "token-bucket"
  readonly tokens: number
  readonly maxWait: Duration.Input
  readonly retryAfterCeiling: Duration.Input
  readonly storeTimeout: Duration.Input
  readonly onStoreError: OnStoreError
  /** Undefined: the limit is not keyed. */
  readonly keys: Keys | undefined
}

/** What is asked for at the store. */
export interface Terms extends Omit<Rate, "refillMs"> {
  readonly window: Duration.Duration
}

/** Where the tokens are. */
export type Store =
  /** In this process, apart for each key, so that they go with the key. */
  | { readonly _tag: "Own"; readonly take: (terms: Terms) => (now: number) => Answer }
  /** Elsewhere. */
  | { readonly _tag: "Shared"; readonly take: (terms: Terms, key: string) => Effect.Effect<Answer, unknown> }

/** The value of a rate limit's service. Dies with InvalidOption. */
export const make = (name: string, options: Resolved, store: Store): Effect.Effect<RateLimit> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.sync(() => {
      // Whoever asks may have another Clock in force than whoever built the layer
      const now = () => monotonicMs(Fiber.getCurrent()?.getRef(Clock.Clock) ?? Context.get(context, Clock.Clock))
      const terms = termsOf(options)
      const shared: Shared = {
        rate: { ...terms, refillMs: Duration.toMillis(Duration.divideUnsafe(terms.window, terms.limit)) },
        window: terms.window,
        maxWaitMs: validate.duration("maxWait", options.maxWait),
        retryAfterCeilingMs: validate.duration("retryAfterCeiling", options.retryAfterCeiling),
        onStoreError: oneOf("onStoreError", options.onStoreError, ["admit", "reject"]),
        reject: (key, reason, at) => rateLimited(name, key, reason, at, now)
      }
      const answers = answering(
        name,
        validate.duration("storeTimeout", options.storeTimeout, "positive"),
        shared.onStoreError
      )
      const takeOf = (key: string | undefined): Take =>
        store._tag === "Own"
          ? { _tag: "Now", take: store.take(terms) }
          : { _tag: "Later", take: answers(store.take(terms, storeKey(name, key))) }
      const limits = new PerKey<Limit>(
        {
          label: `rate limit "${name}"`,
          keys: options.keys,
          make: (key) => new Limit(shared, key, takeOf(key)),
          // forgotten and made anew, it would have all its tokens
          keep: (limit, now) => !limit.isFresh(now)
        },
        now()
      )
      const reading = <A>(f: (now: number) => A): Effect.Effect<A> =>
        Effect.withFiber((fiber) => Effect.succeed(f(nowMs(fiber))))
      return {
        name,
        phase: "rate",
        keyed: options.keys !== undefined,
        look: (call) => limits.find(call.key, call.now)?.look(call),
        admit: (call) => limits.use(call.key, call.now).admit(call),
        snapshot: (key) =>
          reading((now) => (limits.find(key, now) ?? new Limit(shared, key, takeOf(key))).snapshot(now)),
        snapshots: reading((now) => limits.present(now).map(([, limit]) => limit.snapshot(now)))
      }
    })
  )

/**
 * One string for each key of each limit. In braces, because Effect's Redis store keeps two entries of a token bucket, `key` and
 * `key:refill`: so they are in the same slot of a cluster, and no key can be said that ends like the entry of another.
 */
const storeKey = (name: string, key: string | undefined): string =>
  key === undefined ? `{${name}}` : `{${name}:${key}}`

const termsOf = (options: Resolved): Terms => {
  const windowMs = validate.duration("window", options.window, "positive")
  if (windowMs < 1) validate.invalid("window", options.window, "a finite duration of at least 1 millisecond")
  // A limit of 0 would be no limit where Effect's limiter counts what it delays. Beyond one token a microsecond, the time of a
  // token, which it keeps in whole nanoseconds, is not what is meant.
  const limit = validate.integer("limit", options.limit, 1, Math.floor(windowMs * 1000))
  return {
    algorithm: oneOf("algorithm", options.algorithm, ["fixed-window", "token-bucket"]),
    limit,
    // more than the limit would never be there
    tokens: validate.integer("tokens", options.tokens, 1, limit),
    window: Duration.millis(windowMs)
  }
}

const oneOf = <A extends string>(option: string, value: A, allowed: ReadonlyArray<A>): A =>
  allowed.includes(value) ? value : validate.invalid(option, value, allowed.map((it) => `"${it}"`).join(" or "))
