// Compiled by tsc; what must not compile is marked. What all guards have in common: test/guards.test.ts.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Duration } from "effect"
import * as Throttle from "../src/Throttle.ts"

class Plain extends Throttle.Service<Plain>()("app/Plain") {}

// never called: it is here to be compiled
const types = () => {
  expectTypeOf<Throttle.Throttled["reason"]>().toEqualTypeOf<"overload" | "priority">()

  // layers
  Plain.layerWith({ k: 1.1 })
  Plain.layerConfig({ window: Config.Duration("X") })
  Plain.layerConfig({ count: { failed: Config.succeed("ignored") } })
  Plain.layerConfig(Config.succeed({ minimumRequests: 20 }))
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
  Throttle.Service()("x", { count: { failed: "failed" } })
}

describe("the types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
