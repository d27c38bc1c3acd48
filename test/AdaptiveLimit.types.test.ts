// Compiled by tsc; what must not compile is marked.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Duration, Effect, Layer } from "effect"
import type { Context } from "effect"
import * as AdaptiveLimit from "../src/AdaptiveLimit.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import * as Policy from "../src/Policy.ts"

declare const maybe: AdaptiveLimit.KeysOptions | undefined
declare const options: AdaptiveLimit.Options | undefined
declare const self: Effect.Effect<number, "down", "Db">

class Plain extends AdaptiveLimit.Service<Plain>()("app/Plain") {}
class Keyed extends AdaptiveLimit.Service<Keyed>()("app/Keyed", { keys: { max: 10, idleTimeToLive: 1000 } }) {}

// never called: it is here to be compiled
const types = () => {
  class Maybe extends AdaptiveLimit.Service<Maybe>()("app/Maybe", { keys: maybe }) {}
  class Any extends AdaptiveLimit.Service<Any>()("app/Any", options) {}
  class Undefined extends AdaptiveLimit.Service<Undefined>()("app/Undefined", {
    queue: { maxQueue: 1 },
    keys: undefined
  }) {}
  class Empty extends AdaptiveLimit.Service<Empty>()("app/Empty", undefined) {}

  // a service declared with keys is keyed in its type
  expectTypeOf(Plain.keyed).toEqualTypeOf<false>()
  expectTypeOf(Undefined.keyed).toEqualTypeOf<false>()
  expectTypeOf(Empty.keyed).toEqualTypeOf<false>()
  expectTypeOf(Keyed.keyed).toEqualTypeOf<true>()
  expectTypeOf(Maybe.keyed).toEqualTypeOf<boolean>()
  expectTypeOf(Any.keyed).toEqualTypeOf<boolean>()
  expectTypeOf(Plain.key).toEqualTypeOf<"app/Plain">()

  // it is a guard
  expectTypeOf(Keyed).toExtend<Context.Key<Keyed, Guard.Guard<AdaptiveLimit.ConcurrencyLimited>>>()

  // what comes out
  type Out = Effect.Effect<number, "down" | AdaptiveLimit.ConcurrencyLimited, "Db" | Plain>
  expectTypeOf(Plain.protect(self)).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(Plain.protect())).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(Plain.protect({ faults: Fault.all }))).toEqualTypeOf<Out>()
  expectTypeOf(Plain.protect(self, { faults: Fault.all, key: "ignored" })).toEqualTypeOf<Out>()
  expectTypeOf(Keyed.protect(self, { key: "a" })).toEqualTypeOf<
    Effect.Effect<number, "down" | AdaptiveLimit.ConcurrencyLimited, "Db" | Keyed>
  >()
  Maybe.protect(self)
  Maybe.protect(self, { key: "a" })
  // @ts-expect-error a keyed limit must be told its key
  Keyed.protect(self)
  // @ts-expect-error a keyed limit must be told its key
  Keyed.protect({ faults: Fault.all })
  // @ts-expect-error a keyed limit must be told its key
  Keyed.snapshot()
  // @ts-expect-error
  Plain.protect(self, { fault: Fault.all })

  const policy = Policy.make({ name: "p", guards: [Plain] })
  expectTypeOf(self.pipe(Policy.withResilience(policy))).toEqualTypeOf<Out>()
  const keyed = Policy.make({ name: "p", guards: [Keyed] })
  self.pipe(Policy.withResilience(keyed, { key: "a" }))
  // @ts-expect-error a policy with a keyed limit must be told its key
  self.pipe(Policy.withResilience(keyed))

  expectTypeOf(Keyed.snapshot("a")).toEqualTypeOf<Effect.Effect<AdaptiveLimit.Snapshot, never, Keyed>>()
  expectTypeOf(Plain.snapshot()).toEqualTypeOf<Effect.Effect<AdaptiveLimit.Snapshot, never, Plain>>()
  expectTypeOf(Plain.snapshots).toEqualTypeOf<Effect.Effect<ReadonlyArray<AdaptiveLimit.Snapshot>, never, Plain>>()
  expectTypeOf<AdaptiveLimit.ConcurrencyLimited["reason"]>().toEqualTypeOf<
    "limit" | "priority" | "queue" | "displaced" | "wait"
  >()
  expectTypeOf<AdaptiveLimit.Snapshot["noLoad"]>().toEqualTypeOf<Duration.Duration | undefined>()

  // layers
  expectTypeOf(Plain.layer).toEqualTypeOf<Layer.Layer<Plain>>()
  expectTypeOf(Plain.layerWith({ algorithm: AdaptiveLimit.vegas() })).toEqualTypeOf<Layer.Layer<Plain>>()
  expectTypeOf(Plain.layerConfig({ queue: { maxWait: Config.Duration("X") } })).toEqualTypeOf<
    Layer.Layer<Plain, Config.ConfigError>
  >()
  Plain.layerConfig({ algorithm: Config.map(Config.Int("MAX"), (max) => AdaptiveLimit.aimd({ max })) })
  Plain.layerConfig({ count: { failed: Config.succeed("ignored") } })
  Plain.layerConfig(Config.succeed({ queue: { order: "lifo" } }))
  Keyed.layerWith({ keys: { max: 5 } })
  Keyed.layerConfig({ keys: { max: Config.Int("MAX") } })
  Plain.layerWith({ keys: undefined })
  // @ts-expect-error its callers would not say a key
  Plain.layerWith({ keys: { max: 5 } })
  // @ts-expect-error
  Plain.layerWith({ limit: 2 })
  // @ts-expect-error
  Plain.layerWith({ queue: { max: 2 } })

  // every option may be undefined; an unknown one does not compile
  AdaptiveLimit.Service()("x", {
    algorithm: undefined,
    queue: { maxQueue: undefined, maxWait: undefined, order: undefined, standing: undefined },
    count: { failed: undefined, throttled: undefined, defect: undefined },
    keys: undefined
  })
  AdaptiveLimit.Service()("x", { queue: undefined, count: undefined, keys: { max: undefined } })
  // @ts-expect-error
  AdaptiveLimit.Service()("x", { maxConcurrent: 5 })
  // @ts-expect-error
  AdaptiveLimit.Service()("x", { algorithm: "vegas" })
  // @ts-expect-error
  AdaptiveLimit.Service()("x", { queue: { order: "random" } })
  // @ts-expect-error
  AdaptiveLimit.Service()("x", { keys: { max: 1, ttl: 5 } })
  // @ts-expect-error
  AdaptiveLimit.Service()("x", { count: { failed: "failed" } })

  // algorithms
  const bounds = {
    initial: undefined,
    min: undefined,
    max: undefined,
    dropTolerance: undefined,
    window: { min: undefined, max: undefined, samples: undefined }
  }
  expectTypeOf(
    AdaptiveLimit.aimd({ ...bounds, backoffRatio: undefined, slowerThan: undefined, queueSize: undefined })
  ).toEqualTypeOf<AdaptiveLimit.Algorithm>()
  AdaptiveLimit.vegas({ ...bounds, alpha: undefined, beta: undefined, threshold: undefined, smoothing: undefined })
  AdaptiveLimit.gradient2({
    ...bounds,
    window: undefined,
    queueSize: undefined,
    smoothing: undefined,
    tolerance: undefined,
    longWindow: undefined
  })
  AdaptiveLimit.gradient2({ queueSize: 4, window: { min: Duration.millis(200), max: "1 second" } })
  AdaptiveLimit.gradient2({ queueSize: (limit) => limit / 10 })
  // @ts-expect-error
  AdaptiveLimit.gradient2({ alpha: 3 })
  // @ts-expect-error
  AdaptiveLimit.vegas({ queueSize: 4 })
  // @ts-expect-error
  AdaptiveLimit.aimd({ timeout: "5 seconds" })
  // @ts-expect-error
  AdaptiveLimit.aimd({ window: { size: 10 } })
}

describe("the types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
