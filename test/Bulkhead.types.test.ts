// Compiled by tsc; what must not compile is marked. What all guards have in common: test/guards.test.ts.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Duration, Effect } from "effect"
import * as Bulkhead from "../src/Bulkhead.ts"

class Plain extends Bulkhead.Service<Plain>()("app/Plain", { maxConcurrent: 5 }) {}
class Keyed extends Bulkhead.Service<Keyed>()("app/Keyed", { maxConcurrent: 5, keys: { max: 10 } }) {}

// never called: it is here to be compiled
const types = () => {
  expectTypeOf(Plain.resize(3)).toEqualTypeOf<Effect.Effect<void, never, Plain>>()
  expectTypeOf(Keyed.resize(3)).toEqualTypeOf<Effect.Effect<void, never, Keyed>>()
  Keyed.resize(3, "a")
  // @ts-expect-error
  Plain.resize()
  // @ts-expect-error
  Plain.resize("3")

  // layers
  Plain.layerWith({ maxConcurrent: 3, order: "adaptive" })
  Plain.layerConfig({ maxWait: Config.Duration("X") })
  Plain.layerConfig(Config.succeed({ maxQueue: 5 }))
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

  // why it was refused is a closed set
  expectTypeOf<Bulkhead.BulkheadFull["reason"]>().toEqualTypeOf<"queue" | "displaced" | "wait">()
  expectTypeOf<Bulkhead.Order>().toEqualTypeOf<"fifo" | "lifo" | "adaptive">()
}

describe("the types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
