// Compiled by tsc; what must not compile is marked. What all guards have in common: test/guards.test.ts.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Duration, Effect, Layer, Schedule, Stream } from "effect"
import type { CircuitBreaker as EffectBreaker } from "effect/persistence"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as EffectCircuitBreaker from "../src/EffectCircuitBreaker.ts"

const trip = CircuitBreaker.consecutiveFailures(5)

class Plain extends CircuitBreaker.Service<Plain>()("app/Plain", { trip }) {}
class Keyed extends CircuitBreaker.Service<Keyed>()("app/Keyed", { trip, keys: { max: 10, idleTimeToLive: 1000 } }) {}

// never called: it is here to be compiled
const types = () => {
  // @ts-expect-error a keyed breaker must be told its key
  Keyed.state()
  expectTypeOf(Keyed.state("a")).toEqualTypeOf<Effect.Effect<CircuitBreaker.State, never, Keyed>>()
  expectTypeOf(Plain.state()).toEqualTypeOf<Effect.Effect<CircuitBreaker.State, never, Plain>>()
  expectTypeOf(Plain.changes).toEqualTypeOf<Stream.Stream<CircuitBreaker.Transition, never, Plain>>()
  expectTypeOf(Plain.open({ for: "1 second" })).toEqualTypeOf<Effect.Effect<void, never, Plain>>()
  Keyed.open("a", { for: Duration.seconds(1) })
  Keyed.isolate()
  // @ts-expect-error
  Plain.open({ during: "1 second" })

  // layers
  Plain.layerWith({ openFor: Schedule.exponential("1 second") })
  Plain.layerConfig({ openFor: Config.Duration("X") })
  Plain.layerConfig({ trip: Config.succeed(trip), halfOpen: { probes: Config.Int("PROBES") } })
  Plain.layerConfig(Config.succeed({ retryAfterCeiling: "1 minute" }))
  // @ts-expect-error
  Plain.layerWith({ openTime: "1 second" })
  // @ts-expect-error
  Plain.layerWith({ halfOpen: { probe: 1 } })

  // every option may be undefined; an unknown one does not compile
  CircuitBreaker.Service()("x", {
    trip,
    openFor: undefined,
    halfOpen: { probes: undefined, successRatio: undefined, maxDuration: undefined },
    retryAfterCeiling: undefined,
    count: { throttled: undefined, defect: undefined },
    keys: undefined,
    initial: undefined
  })
  CircuitBreaker.Service()("x", { trip, count: undefined, halfOpen: undefined, keys: { max: undefined } })
  // @ts-expect-error a breaker needs a trip
  CircuitBreaker.Service()("x", {})
  // @ts-expect-error
  CircuitBreaker.Service()("x", { trip, openfor: "1 second" })
  // @ts-expect-error
  CircuitBreaker.Service()("x", { trip, halfOpen: { permits: 1 } })
  // @ts-expect-error
  CircuitBreaker.Service()("x", { trip, count: { throttled: "ok" } })
  // @ts-expect-error
  CircuitBreaker.Service()("x", { trip, initial: "shut" })
  // @ts-expect-error a schedule that can fail
  CircuitBreaker.Service()("x", { trip, openFor: {} as Schedule.Schedule<unknown, unknown, "error"> })
  // @ts-expect-error a schedule that requires services
  CircuitBreaker.Service()("x", { trip, openFor: {} as Schedule.Schedule<unknown, unknown, never, "Db"> })

  // trips
  CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: 100 })
  CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: "30 seconds" })
  CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: Duration.seconds(30) })
  CircuitBreaker.anyOf(trip, trip)
  // @ts-expect-error
  CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: 100, slowerThan: 5 })
  // @ts-expect-error
  CircuitBreaker.slowCallRate({ threshold: 0.5, minimumCalls: 10, window: 100 })
  // @ts-expect-error
  CircuitBreaker.anyOf()

  // the adapter
  class Adapted extends EffectCircuitBreaker.Service<Adapted>()("app/Adapted") {}
  class AdaptedKeyed extends EffectCircuitBreaker.Service<AdaptedKeyed>()("app/AdaptedKeyed", { keyed: true }) {}
  expectTypeOf(Adapted.keyed).toEqualTypeOf<false>()
  expectTypeOf(AdaptedKeyed.keyed).toEqualTypeOf<true>()
  expectTypeOf(Adapted.layer).toEqualTypeOf<Layer.Layer<Adapted, never, EffectBreaker.CircuitBreaker>>()
  // @ts-expect-error the key is said at the call, or in the class
  EffectCircuitBreaker.Service<AdaptedKeyed>()("app/AdaptedKeyed", { keyed: true, key: "x" })
}

describe("the types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
