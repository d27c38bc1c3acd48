// Compiled by tsc; what must not compile is marked.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Duration, Effect, Layer } from "effect"
import type { Context } from "effect"
import * as Bulkhead from "../src/Bulkhead.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import * as Policy from "../src/Policy.ts"

declare const maybe: Bulkhead.KeysOptions | undefined
declare const self: Effect.Effect<number, "down", "Db">

class Plain extends Bulkhead.Service<Plain>()("app/Plain", { maxConcurrent: 5 }) {}
class Keyed extends Bulkhead.Service<Keyed>()("app/Keyed", { maxConcurrent: 5, keys: { max: 10 } }) {}

// never called: it is here to be compiled
const types = () => {
  class Maybe extends Bulkhead.Service<Maybe>()("app/Maybe", { maxConcurrent: 5, keys: maybe }) {}
  class Undefined extends Bulkhead.Service<Undefined>()("app/Undefined", { maxConcurrent: 5, keys: undefined }) {}

  // a service declared with keys is keyed in its type
  expectTypeOf(Plain.keyed).toEqualTypeOf<false>()
  expectTypeOf(Undefined.keyed).toEqualTypeOf<false>()
  expectTypeOf(Keyed.keyed).toEqualTypeOf<true>()
  expectTypeOf(Maybe.keyed).toEqualTypeOf<boolean>()
  expectTypeOf(Plain.key).toEqualTypeOf<"app/Plain">()

  // it is a guard
  expectTypeOf(Keyed).toExtend<Context.Key<Keyed, Guard.Guard<Bulkhead.BulkheadFull>>>()

  // what comes out
  type Out = Effect.Effect<number, "down" | Bulkhead.BulkheadFull, "Db" | Plain>
  expectTypeOf(Plain.protect(self)).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(Plain.protect())).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(Plain.protect({ faults: Fault.all }))).toEqualTypeOf<Out>()
  expectTypeOf(Plain.protect(self, { key: "ignored" })).toEqualTypeOf<Out>()
  expectTypeOf(Keyed.protect(self, { key: "a" })).toEqualTypeOf<
    Effect.Effect<number, "down" | Bulkhead.BulkheadFull, "Db" | Keyed>
  >()
  Maybe.protect(self)
  Maybe.protect(self, { key: "a" })
  // @ts-expect-error a keyed bulkhead must be told its key
  Keyed.protect(self)
  // @ts-expect-error a keyed bulkhead must be told its key
  Keyed.snapshot()
  // @ts-expect-error
  Plain.protect(self, { fault: Fault.all })

  // in a policy
  const plain = Policy.make({ name: "plain", guards: [Plain] })
  const keyed = Policy.make({ name: "keyed", guards: [Keyed] })
  expectTypeOf(Policy.withResilience(self, plain)).toEqualTypeOf<Out>()
  Policy.withResilience(self, keyed, { key: "a" })
  // @ts-expect-error a keyed bulkhead must be told its key
  Policy.withResilience(self, keyed)

  expectTypeOf(Keyed.snapshot("a")).toEqualTypeOf<Effect.Effect<Bulkhead.Snapshot, never, Keyed>>()
  expectTypeOf(Plain.snapshots).toEqualTypeOf<Effect.Effect<ReadonlyArray<Bulkhead.Snapshot>, never, Plain>>()
  expectTypeOf(Plain.resize(3)).toEqualTypeOf<Effect.Effect<void, never, Plain>>()
  expectTypeOf(Keyed.resize(3)).toEqualTypeOf<Effect.Effect<void, never, Keyed>>()
  Keyed.resize(3, "a")
  // @ts-expect-error
  Plain.resize()
  // @ts-expect-error
  Plain.resize("3")

  // layers
  expectTypeOf(Plain.layer).toEqualTypeOf<Layer.Layer<Plain>>()
  expectTypeOf(Plain.layerWith({ maxConcurrent: 3, order: "adaptive" })).toEqualTypeOf<Layer.Layer<Plain>>()
  expectTypeOf(Plain.layerConfig({ maxWait: Config.Duration("X") })).toEqualTypeOf<
    Layer.Layer<Plain, Config.ConfigError>
  >()
  Plain.layerConfig(Config.succeed({ maxQueue: 5 }))
  Keyed.layerWith({ keys: { max: 5 } })
  Keyed.layerConfig({ keys: { max: Config.Int("MAX") } })
  Plain.layerWith({ keys: undefined })
  // @ts-expect-error its callers would not say a key
  Plain.layerWith({ keys: { max: 5 } })
  // @ts-expect-error
  Plain.layerWith({ maxconcurrent: 5 })

  // every option may be undefined; an unknown one does not compile
  Bulkhead.Service()("x", {
    maxConcurrent: 1,
    maxQueue: undefined,
    maxWait: undefined,
    order: undefined,
    standing: undefined,
    keys: undefined
  })
  Bulkhead.Service()("x", { maxConcurrent: 1, maxWait: Duration.seconds(1), keys: { max: undefined } })
  // @ts-expect-error a bulkhead needs a limit
  Bulkhead.Service()("x", {})
  // @ts-expect-error
  Bulkhead.Service()("x", { maxConcurrent: undefined })
  // @ts-expect-error
  Bulkhead.Service()("x", { maxConcurrent: 1, queue: 5 })
  // @ts-expect-error
  Bulkhead.Service()("x", { maxConcurrent: 1, order: "random" })
  // @ts-expect-error
  Bulkhead.Service()("x", { maxConcurrent: 1, keys: { max: 1, ttl: 5 } })

  // why it was refused is a closed set
  expectTypeOf<Bulkhead.BulkheadFull["reason"]>().toEqualTypeOf<"queue" | "displaced" | "wait">()
  expectTypeOf<Bulkhead.Order>().toEqualTypeOf<"fifo" | "lifo" | "adaptive">()
}

describe("the types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
