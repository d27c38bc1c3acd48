// Compiled by tsc; what must not compile is marked.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Duration, Effect, Layer } from "effect"
import type { Context } from "effect"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import * as Policy from "../src/Policy.ts"
import * as Throttle from "../src/Throttle.ts"

declare const maybe: Throttle.KeysOptions | undefined
declare const options: Throttle.Options | undefined
declare const self: Effect.Effect<number, "down", "Db">

class Plain extends Throttle.Service<Plain>()("app/Plain") {}
class Keyed extends Throttle.Service<Keyed>()("app/Keyed", { keys: { max: 10, idleTimeToLive: 1000 } }) {}

// never called: it is here to be compiled
const types = () => {
  class Maybe extends Throttle.Service<Maybe>()("app/Maybe", { keys: maybe }) {}
  class Any extends Throttle.Service<Any>()("app/Any", options) {}
  class Undefined extends Throttle.Service<Undefined>()("app/Undefined", { k: 2, keys: undefined }) {}
  class Empty extends Throttle.Service<Empty>()("app/Empty", undefined) {}

  // a service declared with keys is keyed in its type
  expectTypeOf(Plain.keyed).toEqualTypeOf<false>()
  expectTypeOf(Undefined.keyed).toEqualTypeOf<false>()
  expectTypeOf(Empty.keyed).toEqualTypeOf<false>()
  expectTypeOf(Keyed.keyed).toEqualTypeOf<true>()
  expectTypeOf(Maybe.keyed).toEqualTypeOf<boolean>()
  expectTypeOf(Any.keyed).toEqualTypeOf<boolean>()
  expectTypeOf(Plain.key).toEqualTypeOf<"app/Plain">()

  // it is a guard
  expectTypeOf(Keyed).toExtend<Context.Key<Keyed, Guard.Guard<Throttle.Throttled>>>()

  // what comes out
  type Out = Effect.Effect<number, "down" | Throttle.Throttled, "Db" | Plain>
  expectTypeOf(Plain.protect(self)).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(Plain.protect())).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(Plain.protect({ faults: Fault.all }))).toEqualTypeOf<Out>()
  expectTypeOf(Plain.protect(self, { faults: Fault.all, key: "ignored" })).toEqualTypeOf<Out>()
  expectTypeOf(Keyed.protect(self, { key: "a" })).toEqualTypeOf<
    Effect.Effect<number, "down" | Throttle.Throttled, "Db" | Keyed>
  >()
  Maybe.protect(self)
  Maybe.protect(self, { key: "a" })
  // @ts-expect-error a keyed throttle must be told its key
  Keyed.protect(self)
  // @ts-expect-error a keyed throttle must be told its key
  Keyed.protect({ faults: Fault.all })
  // @ts-expect-error a keyed throttle must be told its key
  Keyed.snapshot()
  // @ts-expect-error
  Plain.protect(self, { fault: Fault.all })

  const policy = Policy.make({ name: "p", guards: [Plain] })
  expectTypeOf(self.pipe(Policy.withResilience(policy))).toEqualTypeOf<Out>()
  const keyed = Policy.make({ name: "p", guards: [Keyed] })
  self.pipe(Policy.withResilience(keyed, { key: "a" }))
  // @ts-expect-error a policy with a keyed throttle must be told its key
  self.pipe(Policy.withResilience(keyed))

  expectTypeOf(Keyed.snapshot("a")).toEqualTypeOf<Effect.Effect<Throttle.Snapshot, never, Keyed>>()
  expectTypeOf(Plain.snapshot()).toEqualTypeOf<Effect.Effect<Throttle.Snapshot, never, Plain>>()
  expectTypeOf(Plain.snapshots).toEqualTypeOf<Effect.Effect<ReadonlyArray<Throttle.Snapshot>, never, Plain>>()
  expectTypeOf<Throttle.Throttled["reason"]>().toEqualTypeOf<"overload" | "priority">()

  // layers
  expectTypeOf(Plain.layer).toEqualTypeOf<Layer.Layer<Plain>>()
  expectTypeOf(Plain.layerWith({ k: 1.1 })).toEqualTypeOf<Layer.Layer<Plain>>()
  expectTypeOf(Plain.layerConfig({ window: Config.Duration("X") })).toEqualTypeOf<
    Layer.Layer<Plain, Config.ConfigError>
  >()
  Plain.layerConfig({ count: { failed: Config.succeed("ignored") } })
  Plain.layerConfig(Config.succeed({ minimumRequests: 20 }))
  Keyed.layerWith({ keys: { max: 5 } })
  Keyed.layerConfig({ keys: { max: Config.Int("MAX") } })
  Plain.layerWith({ keys: undefined })
  // @ts-expect-error its callers would not say a key
  Plain.layerWith({ keys: { max: 5 } })
  // @ts-expect-error
  Plain.layerWith({ K: 2 })
  // @ts-expect-error
  Plain.layerWith({ count: { throttled: "ignored" } })

  // every option may be undefined; an unknown one does not compile
  Throttle.Service()("x", {
    k: undefined,
    padding: undefined,
    window: undefined,
    maxRejectionRate: undefined,
    minimumRequests: undefined,
    count: { failed: undefined, defect: undefined },
    keys: undefined
  })
  Throttle.Service()("x", { count: undefined, keys: { max: undefined }, window: Duration.seconds(10) })
  // @ts-expect-error
  Throttle.Service()("x", { ratio: 2 })
  // @ts-expect-error
  Throttle.Service()("x", { keys: { max: 1, ttl: 5 } })
  // @ts-expect-error
  Throttle.Service()("x", { count: { failed: "failed" } })
}

describe("the types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
