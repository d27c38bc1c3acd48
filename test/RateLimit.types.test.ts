// Compiled by tsc; what must not compile is marked.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Fault, Policy, withResilience } from "effect-resilience"
import { Config, Duration, Effect, Layer } from "effect"
import type { Context } from "effect"
import type { RateLimiter } from "effect/persistence"
import type * as Guard from "../src/Guard.ts"
import * as RateLimit from "../src/RateLimit.ts"

const rate = { limit: 10, window: "1 second" } as const
declare const maybe: RateLimit.KeysOptions | undefined
declare const self: Effect.Effect<number, "down", "Db">

class Plain extends RateLimit.Service<Plain>()("app/Plain", rate) {}
class Keyed extends RateLimit.Service<Keyed>()("app/Keyed", { ...rate, keys: { max: 10, idleTimeToLive: 1000 } }) {}

// never called: it is here to be compiled
const types = () => {
  class Maybe extends RateLimit.Service<Maybe>()("app/Maybe", { ...rate, keys: maybe }) {}
  class Undefined extends RateLimit.Service<Undefined>()("app/Undefined", { ...rate, keys: undefined }) {}

  // a service declared with keys is keyed in its type
  expectTypeOf(Plain.keyed).toEqualTypeOf<false>()
  expectTypeOf(Undefined.keyed).toEqualTypeOf<false>()
  expectTypeOf(Keyed.keyed).toEqualTypeOf<true>()
  expectTypeOf(Maybe.keyed).toEqualTypeOf<boolean>()
  expectTypeOf(Plain.key).toEqualTypeOf<"app/Plain">()

  // it is a guard
  expectTypeOf(Keyed).toExtend<Context.Key<Keyed, Guard.Guard<RateLimit.RateLimited>>>()

  // what comes out
  type Out = Effect.Effect<number, "down" | RateLimit.RateLimited, "Db" | Plain>
  expectTypeOf(Plain.protect(self)).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(Plain.protect())).toEqualTypeOf<Out>()
  expectTypeOf(Plain.protect(self, { faults: Fault.all, key: "ignored" })).toEqualTypeOf<Out>()
  expectTypeOf(Keyed.protect(self, { key: "a" })).toEqualTypeOf<
    Effect.Effect<number, "down" | RateLimit.RateLimited, "Db" | Keyed>
  >()
  expectTypeOf(self.pipe(withResilience(Policy.make({ name: "p", guards: [Plain] })))).toEqualTypeOf<Out>()
  Maybe.protect(self)
  Maybe.protect(self, { key: "a" })
  // @ts-expect-error a keyed limit must be told its key
  Keyed.protect(self)
  // @ts-expect-error a keyed limit must be told its key
  Keyed.snapshot()
  // @ts-expect-error
  Plain.protect(self, { fault: Fault.all })

  expectTypeOf(Keyed.snapshot("a")).toEqualTypeOf<Effect.Effect<RateLimit.Snapshot, never, Keyed>>()
  expectTypeOf(Plain.snapshots).toEqualTypeOf<Effect.Effect<ReadonlyArray<RateLimit.Snapshot>, never, Plain>>()

  // in memory it needs nothing
  expectTypeOf(Plain.layer).toEqualTypeOf<Layer.Layer<Plain>>()
  expectTypeOf(Plain.layerWith({ maxWait: "1 second" })).toEqualTypeOf<Layer.Layer<Plain>>()
  expectTypeOf(Plain.layerConfig({ limit: Config.Int("X") })).toEqualTypeOf<Layer.Layer<Plain, Config.ConfigError>>()
  // elsewhere, a store
  expectTypeOf(Plain.layerShared).toEqualTypeOf<Layer.Layer<Plain, never, RateLimiter.RateLimiterStore>>()
  expectTypeOf(Plain.layerSharedWith({ onStoreError: "reject" })).toEqualTypeOf<
    Layer.Layer<Plain, never, RateLimiter.RateLimiterStore>
  >()
  expectTypeOf(Plain.layerSharedConfig({ storeTimeout: Config.Duration("X") })).toEqualTypeOf<
    Layer.Layer<Plain, Config.ConfigError, RateLimiter.RateLimiterStore>
  >()
  Plain.layerConfig(Config.succeed({ window: Duration.seconds(5) }))
  Keyed.layerWith({ keys: { max: 5 } })
  Keyed.layerSharedConfig({ keys: { max: Config.Int("MAX") } })
  Plain.layerWith({ keys: undefined })
  // @ts-expect-error its callers would not say a key
  Plain.layerWith({ keys: { max: 5 } })
  // @ts-expect-error its callers would not say a key
  Plain.layerSharedWith({ keys: { max: 5 } })
  // @ts-expect-error
  Plain.layerWith({ maxwait: "1 second" })

  // every option but the limit and its window may be undefined; an unknown one does not compile
  RateLimit.Service()("x", {
    limit: 1,
    window: 1,
    algorithm: undefined,
    tokens: undefined,
    maxWait: undefined,
    retryAfterCeiling: undefined,
    onStoreError: undefined,
    storeTimeout: undefined,
    keys: undefined
  })
  RateLimit.Service()("x", { ...rate, keys: { max: undefined, idleTimeToLive: undefined } })
  // @ts-expect-error
  RateLimit.Service()("x", { limit: 1 })
  // @ts-expect-error
  RateLimit.Service()("x", { window: "1 second" })
  // @ts-expect-error
  RateLimit.Service()("x", { ...rate, algorithm: "sliding-window" })
  // @ts-expect-error
  RateLimit.Service()("x", { ...rate, onExceeded: "delay" })
  // @ts-expect-error
  RateLimit.Service()("x", { ...rate, onStoreError: "allow" })
  // @ts-expect-error
  RateLimit.Service()("x", { ...rate, keys: { max: 1, ttl: 5 } })

  // the error
  expectTypeOf<RateLimit.RateLimited["reason"]>().toEqualTypeOf<"limit" | "wait" | "drained" | "store">()
  expectTypeOf<RateLimit.RateLimited["retryAfter"]>().toEqualTypeOf<Duration.Duration | undefined>()
}

describe("types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
