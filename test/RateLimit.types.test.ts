// Compiled by tsc; what must not compile is marked. What all guards have in common: test/guards.test.ts.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Duration, Layer } from "effect"
import type { RateLimiter } from "effect/persistence"
import * as RateLimit from "../src/RateLimit.ts"

const rate = { limit: 10, window: "1 second" } as const

class Plain extends RateLimit.Service<Plain>()("app/Plain", rate) {}
class Keyed extends RateLimit.Service<Keyed>()("app/Keyed", { ...rate, keys: { max: 10, idleTimeToLive: 1000 } }) {}

// never called: it is here to be compiled
const types = () => {
  // in memory it needs nothing
  expectTypeOf(Plain.layer).toEqualTypeOf<Layer.Layer<Plain>>()
  Plain.layerWith({ maxWait: "1 second" })
  Plain.layerConfig({ limit: Config.Int("X") })
  // elsewhere, a store
  expectTypeOf(Plain.layerShared).toEqualTypeOf<Layer.Layer<Plain, never, RateLimiter.RateLimiterStore>>()
  expectTypeOf(Plain.layerSharedWith({ onStoreError: "reject" })).toEqualTypeOf<
    Layer.Layer<Plain, never, RateLimiter.RateLimiterStore>
  >()
  expectTypeOf(Plain.layerSharedConfig({ storeTimeout: Config.Duration("X") })).toEqualTypeOf<
    Layer.Layer<Plain, Config.ConfigError, RateLimiter.RateLimiterStore>
  >()
  Plain.layerConfig(Config.succeed({ window: Duration.seconds(5) }))
  Keyed.layerSharedConfig({ keys: { max: Config.Int("MAX") } })
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

  // the error
  expectTypeOf<RateLimit.RateLimited["reason"]>().toEqualTypeOf<"limit" | "wait" | "drained" | "store">()
  expectTypeOf<RateLimit.RateLimited["retryAfter"]>().toEqualTypeOf<Duration.Duration | undefined>()
}

describe("types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
