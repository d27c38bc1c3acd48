// What is provided, and what comes of it in a policy; how an attempt is hit is in internal/chaos.test.ts.
import { assert, describe, it } from "@effect/vitest"
import { Clock, Data, Duration, Effect, Exit, Fiber, Layer, MutableRef, Random } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import * as Chaos from "../src/Chaos.ts"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as Fault from "../src/Fault.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import * as Policy from "../src/Policy.ts"
import { currentFrame } from "../src/internal/currentCall.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { errorOf, throughTime } from "./kit.ts"

class Down extends Data.TaggedError("Down")<{}> {}
const down = () => new Down()
const outage = Chaos.fault({ probability: 1, error: down })

/** One attempt of a policy, as the engine begins it. */
const attempt = (policy = "quotes.get") =>
  Effect.flatMap(
    Effect.withFiber((fiber) => {
      const chaos = currentFrame(fiber)?.interposer
      const self = Effect.succeed("real")
      const target = { policy, key: undefined, attempt: 1, emit: undefined }
      return Effect.succeed(chaos === undefined ? self : chaos.interpose(self, target, fiber))
    }),
    (effect) => Effect.exit(effect as Effect.Effect<string, Down>)
  )

const real: Exit.Exit<unknown, unknown> = Exit.succeed("real")
const failed: Exit.Exit<unknown, unknown> = Exit.fail(new Down())

describe("providing it", () => {
  it.effect("nothing is in force by default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* attempt(), real)
      assert.isTrue(yield* Chaos.enabled)
    })
  )

  it.effect("by a layer, or to an effect, data-first and data-last", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provide(attempt(), Chaos.layer([outage])), failed)
      assert.deepStrictEqual(yield* attempt().pipe(Chaos.provide([outage])), failed)
      assert.deepStrictEqual(yield* Chaos.provide(attempt(), [outage]), failed)
      assert.deepStrictEqual(yield* attempt(), real)
    })
  )

  it.effect("forked fibers inherit it; the innermost alone counts", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.flatMap(Effect.forkChild(attempt()), Fiber.join), failed)
      assert.deepStrictEqual(yield* attempt().pipe(Chaos.provide([])), real)
      assert.deepStrictEqual(yield* Effect.provide(attempt(), Chaos.layer([])), real)
    }).pipe(Chaos.provide([outage]))
  )

  it.effect("to the policies that are named", () =>
    Effect.gen(function* () {
      const hit = (policy: Chaos.Chance["policy"], name: string) =>
        attempt(name).pipe(Chaos.provide([Chaos.fault({ policy, probability: 1, error: down })]))
      for (const [policy, name, expected] of [
        ["quotes.get", "quotes.get", failed],
        ["quotes.get", "quotes.list", real],
        [["quotes.get", "users.get"], "users.get", failed],
        [["quotes.get", "users.get"], "orders.get", real],
        ["*", "anything", failed],
        [["quotes.get", "*"], "anything", failed],
        [undefined, "anything", failed]
      ] as const) {
        assert.deepStrictEqual(yield* hit(policy, name), expected, `${policy} ${name}`)
      }
    })
  )

  it.effect("the same seed, the same attempts", () =>
    Effect.gen(function* () {
      const run = (seed: string) =>
        Effect.forEach(Array.from({ length: 40 }), () => Effect.map(attempt(), Exit.isFailure)).pipe(
          Chaos.provide([Chaos.fault({ probability: 0.5, error: down })]),
          Random.withSeed(seed)
        )
      assert.deepStrictEqual(yield* run("a"), yield* run("a"))
      assert.notDeepEqual(yield* run("a"), yield* run("b"))
    })
  )

  it.effect("as often as the probability says", () =>
    Effect.gen(function* () {
      let hits = 0
      for (let i = 0; i < 10_000; i++) if (Exit.isFailure(yield* attempt())) hits++
      // five standard deviations
      assert.isBelow(Math.abs(hits - 500), 110)
    }).pipe(Chaos.provide([Chaos.fault({ probability: 0.05, error: down })]), Random.withSeed(1))
  )
})

describe("the kill switch", () => {
  it.effect("turns it off at once, and on again", () => {
    const enabled = MutableRef.make(true)
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* attempt(), failed)
      MutableRef.set(enabled, false)
      assert.deepStrictEqual(yield* attempt(), real)
      MutableRef.set(enabled, true)
      assert.deepStrictEqual(yield* attempt(), failed)
    }).pipe(Chaos.provide([outage]), Effect.provideService(Chaos.enabled, enabled))
  })

  it.effect("spares a part of a program", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provideService(attempt(), Chaos.enabled, false), real)
      assert.deepStrictEqual(yield* Effect.provideService(attempt(), Chaos.enabled, true), failed)
    }).pipe(Chaos.provide([outage]))
  )

  it.effect("draws nothing while it is off", () =>
    Effect.gen(function* () {
      const pair = Effect.all([Random.next, attempt(), Random.next])
      const on = yield* pair.pipe(Random.withSeed(1))
      const off = yield* pair.pipe(Random.withSeed(1), Effect.provideService(Chaos.enabled, false))
      const [first, , second] = yield* Effect.all([Random.next, Effect.void, Random.next]).pipe(Random.withSeed(1))
      assert.deepStrictEqual([off[0], off[2]], [first, second])
      assert.notStrictEqual(on[2], second)
    }).pipe(Chaos.provide([outage]))
  )
})

describe("a scenario", () => {
  const day = Chaos.scenario([
    { at: "10 seconds", for: "5 seconds", inject: [outage] },
    { at: "20 seconds", inject: [Chaos.result({ probability: 1, value: () => "wrong" })] }
  ])
  const seen = Effect.map(attempt(), (exit) => (Exit.isSuccess(exit) ? exit.value : errorOf(exit)._tag))
  const through = Effect.gen(function* () {
    const result: Array<string> = []
    for (let i = 0; i < 6; i++) {
      result.push(yield* seen)
      yield* TestClock.adjust("5 seconds")
    }
    return result
  })
  const expected = ["real", "real", "Down", "real", "wrong", "wrong"]

  it.effect("counts from when its layer was built", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Effect.provide(through, Chaos.layer(day)), expected)
    })
  )

  it.effect("or from the start of the effect, each time anew", () =>
    Effect.gen(function* () {
      const provided = through.pipe(Chaos.provide(day))
      assert.deepStrictEqual(yield* provided, expected)
      assert.deepStrictEqual(yield* provided, expected)
    })
  )

  it.effect("goes by the monotonic clock: a wall clock that steps changes nothing", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let skew = 0
      const stepping: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + skew,
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(skew) * 1_000_000n
      }
      yield* Effect.gen(function* () {
        skew = 3_600_000
        yield* TestClock.adjust("999 millis")
        assert.strictEqual(yield* seen, "Down")
        skew = -3_600_000
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* seen, "real")
      }).pipe(
        Effect.provide(Chaos.layer(Chaos.scenario([{ at: 0, for: "1 second", inject: [outage] }]))),
        Effect.provideService(Clock.Clock, stepping)
      )
    })
  )
})

describe("bad options are refused where they are written", () => {
  const bad: ReadonlyArray<readonly [option: string, make: () => unknown]> = [
    ["Chaos.fault: probability", () => Chaos.fault({ probability: 1.1, error: down })],
    ["Chaos.fault: probability", () => Chaos.fault({ probability: -0.1, error: down })],
    ["Chaos.fault: probability", () => Chaos.fault({ probability: Number.NaN, error: down })],
    ["Chaos.fault: probability", () => Chaos.fault({ error: down } as never)],
    ["Chaos.fault: policy", () => Chaos.fault({ policy: " ", probability: 1, error: down })],
    ["Chaos.fault: policy", () => Chaos.fault({ policy: [], probability: 1, error: down })],
    ["Chaos.fault: policy", () => Chaos.fault({ policy: ["a", ""], probability: 1, error: down })],
    ["Chaos.fault: policy", () => Chaos.fault({ policy: 7 as never, probability: 1, error: down })],
    ["Chaos.fault: error", () => Chaos.fault({ probability: 1, error: new Down() as never })],
    ["Chaos.result: probability", () => Chaos.result({ probability: 2, value: () => 1 })],
    ["Chaos.result: value", () => Chaos.result({ probability: 1, value: 1 as never })],
    ["Chaos.behavior: probability", () => Chaos.behavior({ probability: 2, effect: Effect.void })],
    ["Chaos.behavior: effect", () => Chaos.behavior({ probability: 1, effect: (() => 1) as never })],
    ["Chaos.latency: probability", () => Chaos.latency({ probability: 2, delay: 1 })],
    ["Chaos.latency: delay", () => Chaos.latency({ probability: 1, delay: -1 })],
    ["Chaos.latency: delay", () => Chaos.latency({ probability: 1, delay: Duration.infinity })],
    ["Chaos.latency: delay", () => Chaos.latency({ probability: 1, delay: null as never })],
    ["Chaos.latency: delay.max", () => Chaos.latency({ probability: 1, delay: { min: 1 } as never })],
    ["Chaos.latency: delay", () => Chaos.latency({ probability: 1, delay: { min: -1, max: 1 } })],
    ["Chaos.latency: delay.max", () => Chaos.latency({ probability: 1, delay: { min: 1, max: "soon" as never } })],
    ["Chaos.latency: delay.max", () => Chaos.latency({ probability: 1, delay: { min: 2, max: 1 } })],
    ["Chaos.scenario: [0].at", () => Chaos.scenario([{ at: -1, inject: [] }])],
    [
      "Chaos.scenario: [1].for",
      () =>
        Chaos.scenario([
          { at: 0, inject: [] },
          { at: 0, for: 0, inject: [] }
        ])
    ],
    ["Chaos.scenario: [0].inject", () => Chaos.scenario([{ at: 0, inject: [{} as never] }])],
    ["Chaos.scenario: [0].inject", () => Chaos.scenario([{ at: 0, inject: outage as never }])],
    ["Chaos: config", () => Chaos.layer(outage as never)],
    ["Chaos: config", () => Chaos.layer(undefined as never)],
    ["Chaos: config", () => Chaos.provide([null as never])],
    ["Chaos: config", () => Chaos.provide(Effect.void, ["fault" as never])]
  ]
  it.each(bad)("%s: %s", (option, make) => {
    try {
      make()
    } catch (error) {
      assert.instanceOf(error, InvalidOption)
      return assert.strictEqual((error as InvalidOption).option, option)
    }
    assert.fail("it was taken")
  })

  it("good ones are taken, durations in every form", () => {
    for (const delay of [0, "1 second", Duration.seconds(1), { seconds: 1 }, { min: 0, max: 0 }] as const) {
      Chaos.latency({ policy: undefined, probability: 0, delay })
    }
    Chaos.scenario([])
    Chaos.scenario([{ at: 0, for: undefined, inject: [] }])
  })
})

describe("in a policy", () => {
  const retrying = Policy.make({
    name: "quotes.get",
    faults: Fault.byTag<Down>()({ Down: "transient" }),
    safety: "idempotent",
    attemptTimeout: "1 second",
    retry: Backoff.constant("100 millis").pipe(Backoff.times(2))
  })
  const call = (effect: Effect.Effect<string, Down> = Effect.succeed("real")) =>
    effect.pipe(Policy.withResilience(retrying))

  it.effect("a fault is judged and retried like a real one, and told as injected", () =>
    Effect.gen(function* () {
      const [exit, events] = yield* Telemetry.recorded(throughTime(call()))
      assert.isTrue(Exit.isSuccess(exit))
      const inner = Exit.isSuccess(exit) ? exit.value : assert.fail()
      assert.strictEqual(errorOf(inner)._tag, "RetryExhausted")
      const injected = events.filter((event) => event._tag === "ChaosInjected")
      assert.deepStrictEqual(
        injected.map(({ at, attempt, error, injection, policy }) => [at, policy, attempt, injection, error]),
        [
          [0, "quotes.get", 1, "fault", "Down"],
          [100, "quotes.get", 2, "fault", "Down"],
          [200, "quotes.get", 3, "fault", "Down"]
        ]
      )
    }).pipe(Chaos.provide([outage]))
  )

  it.effect("each attempt is a throw of its own", () =>
    Effect.gen(function* () {
      const exit = yield* throughTime(call())
      assert.deepStrictEqual(exit, Exit.succeed("real"))
    }).pipe(Chaos.provide(Chaos.scenario([{ at: 0, for: "150 millis", inject: [outage] }])))
  )

  it.effect("latency is within the attempt timeout", () =>
    Effect.gen(function* () {
      const [exit, events] = yield* Telemetry.recorded(throughTime(call()))
      const error = errorOf(Exit.isSuccess(exit) ? exit.value : assert.fail())
      assert.strictEqual(error._tag === "RetryExhausted" ? error.lastError._tag : "", "AttemptTimeout")
      assert.strictEqual(events.filter((event) => event._tag === "ChaosInjected").length, 3)
    }).pipe(Chaos.provide([Chaos.latency({ probability: 1, delay: "5 seconds" })]))
  )

  it.effect("a wrong result is a success", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* call(), "wrong")
    }).pipe(Chaos.provide([Chaos.result({ probability: 1, value: () => "wrong" })]))
  )

  it.effect("guards learn from it", () =>
    Effect.gen(function* () {
      class B extends CircuitBreaker.Service<B>()("app/B", { trip: CircuitBreaker.consecutiveFailures(2) }) {}
      const guarded = Policy.make({ name: "guarded", faults: Fault.all, guards: [B] })
      const once: Effect.Effect<Exit.Exit<unknown, unknown>, never, B> = Effect.exit(
        Effect.succeed("real").pipe(Policy.withResilience(guarded))
      )
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(yield* once, failed)
        assert.deepStrictEqual(yield* once, failed)
        assert.strictEqual(yield* B.state(), "open")
        // an attempt that a guard refuses is not hit
        const [, events] = yield* Telemetry.recorded(once)
        assert.isFalse(events.some((event) => event._tag === "ChaosInjected"))
      }).pipe(Effect.provide(B.layer), Chaos.provide([outage]))
    })
  )

  it.effect("what is injected into a behavior that hangs is interrupted with the call, and cleaned up", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const hang = Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.push("cleaned up")))
      const fiber = yield* Effect.forkChild(
        call().pipe(Chaos.provide([Chaos.behavior({ probability: 1, effect: hang })])),
        {
          startImmediately: true
        }
      )
      yield* TestClock.adjust("10 millis")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(seen, ["cleaned up"])
    })
  )

  it.effect("nested policies are hit by their own names", () =>
    Effect.gen(function* () {
      const inner = Policy.make({ name: "inner" })
      const outer = Policy.make({ name: "outer" })
      const both = Effect.succeed("real").pipe(Policy.withResilience(inner), Policy.withResilience(outer))
      const [exit, events] = yield* Telemetry.recorded(both)
      assert.deepStrictEqual(exit as Exit.Exit<unknown, unknown>, failed)
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "ChaosInjected" ? [event.policy] : [])),
        ["inner"]
      )
    }).pipe(Chaos.provide([Chaos.fault({ policy: "inner", probability: 1, error: down })]))
  )

  it.effect("a hedge is a throw of its own", () =>
    Effect.gen(function* () {
      const hedged = Policy.make({ name: "hedged", safety: "idempotent", hedge: { after: "100 millis" } })
      const slow = Chaos.latency({ probability: 1, delay: "5 seconds" })
      const call = Effect.sync(() => "real").pipe(Policy.withResilience(hedged))
      const first = Chaos.scenario([{ at: 0, for: "50 millis", inject: [slow] }])
      assert.deepStrictEqual(yield* throughTime(call.pipe(Chaos.provide(first))), Exit.succeed("real"))
      assert.strictEqual(yield* Clock.currentTimeMillis, 100)
      const [, events] = yield* Telemetry.recorded(throughTime(call.pipe(Chaos.provide([slow]))))
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "ChaosInjected" ? [[event.at - 100, event.attempt]] : [])),
        [
          [0, 1],
          [100, 2]
        ]
      )
    })
  )

  it.effect("the layer reaches what runs where it is provided", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* throughTime(call()), Exit.succeed("wrong"))
    }).pipe(
      Effect.provide(
        Layer.mergeAll(Chaos.layer([Chaos.result({ probability: 1, value: () => "wrong" })]), Telemetry.layer)
      )
    )
  )
})
