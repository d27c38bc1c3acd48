// Compiled by tsc; what must not compile is marked. What all guards have in common: test/guards.test.ts.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Duration } from "effect"
import * as AdaptiveLimit from "../src/AdaptiveLimit.ts"

class Plain extends AdaptiveLimit.Service<Plain>()("app/Plain") {}

// never called: it is here to be compiled
const types = () => {
  expectTypeOf<AdaptiveLimit.ConcurrencyLimited["reason"]>().toEqualTypeOf<
    "limit" | "priority" | "queue" | "displaced" | "wait"
  >()
  expectTypeOf<AdaptiveLimit.Snapshot["noLoad"]>().toEqualTypeOf<Duration.Duration | undefined>()

  // layers
  Plain.layerWith({ algorithm: AdaptiveLimit.vegas() })
  Plain.layerConfig({ queue: { maxWait: Config.Duration("X") } })
  Plain.layerConfig({ algorithm: Config.map(Config.Int("MAX"), (max) => AdaptiveLimit.aimd({ max })) })
  Plain.layerConfig({ count: { failed: Config.succeed("ignored") } })
  Plain.layerConfig(Config.succeed({ queue: { order: "lifo" } }))
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
