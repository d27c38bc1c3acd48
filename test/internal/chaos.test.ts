import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Data, Duration, Effect, Exit, Fiber, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Injector } from "../../src/internal/chaos.ts"
import type { Injection, Step } from "../../src/internal/chaos.ts"
import type { Target } from "../../src/internal/interposer.ts"
import type { Event } from "../../src/internal/events.ts"
import { holds } from "../property.ts"

class Down extends Data.TaggedError("Down")<{}> {}

const target: Target = { policy: "quotes.get", key: "user-7", attempt: 2, emit: undefined }
const self = Effect.succeed("real")

const always = { policies: undefined, probability: 1 }
const fault: Injection = { ...always, kind: "fault", error: () => new Down() }
const result: Injection = { ...always, kind: "result", value: () => "wrong" }
const latency = (minMs: number, maxMs = minMs): Injection => ({ ...always, kind: "latency", minMs, maxMs })
const behavior = (effect: Effect.Effect<unknown, unknown>): Injection => ({ ...always, kind: "behavior", effect })

const during = (fromMs: number, untilMs: number, ...injections: ReadonlyArray<Injection>): Step => ({
  fromMs,
  untilMs,
  injections
})
const chaos = (...injections: ReadonlyArray<Injection>) =>
  new Injector([during(0, Number.POSITIVE_INFINITY, ...injections)], 0)

/** What the engine does before an attempt. */
const injected = (injector: Injector, to: Partial<Target> = {}) =>
  Effect.withFiber((fiber) => Effect.succeed(injector.interpose(self, { ...target, ...to }, fiber)))

/** And then it runs it. */
const attempted = (injector: Injector, to: Partial<Target> = {}) =>
  Effect.flatMap(injected(injector, to), (effect) => Effect.exit(effect as Effect.Effect<unknown, unknown>))

/** A `Random` that goes through these numbers. */
const draws = (...numbers: ReadonlyArray<number>) => {
  let i = 0
  const next = () => numbers[i++] ?? assert.fail("more was drawn than was foreseen")
  return {
    drawn: () => i,
    layer: <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.provideService(self, Random.Random, { nextIntUnsafe: next, nextDoubleUnsafe: next })
  }
}

describe("Injector", () => {
  it.effect("where nothing is injected, the attempt is the very same object", () =>
    Effect.gen(function* () {
      for (const injector of [
        new Injector([], 0),
        chaos(),
        chaos({ ...fault, probability: 0 }),
        chaos({ ...fault, policies: new Set(["other"]) }),
        new Injector([during(1, 2, fault)], 0)
      ]) {
        assert.strictEqual(yield* injected(injector), self)
      }
      assert.notStrictEqual(yield* injected(chaos(fault)), self)
    })
  )

  it.effect("a fault fails the attempt, which does not run; a result answers for it", () =>
    Effect.gen(function* () {
      let ran = 0
      const counted = Effect.sync(() => ++ran)
      const run = (injector: Injector) =>
        Effect.withFiber((fiber) =>
          Effect.exit(injector.interpose(counted, target, fiber) as Effect.Effect<unknown, unknown>)
        )
      assert.deepStrictEqual(yield* run(chaos(fault)), Exit.fail(new Down()))
      assert.deepStrictEqual(yield* run(chaos(result)), Exit.succeed("wrong"))
      assert.strictEqual(ran, 0)
      assert.deepStrictEqual(yield* run(chaos()), Exit.succeed(1))
    })
  )

  it.effect("each error and value is made anew", () =>
    Effect.gen(function* () {
      let made = 0
      const errors = chaos({ ...always, kind: "fault", error: () => ++made })
      const values = chaos({ ...always, kind: "result", value: () => ++made })
      const effect = yield* injected(errors)
      assert.strictEqual(made, 0)
      assert.deepStrictEqual(yield* Effect.exit(effect as Effect.Effect<unknown, unknown>), Exit.fail(1))
      assert.deepStrictEqual(yield* attempted(errors), Exit.fail(2))
      assert.deepStrictEqual(yield* attempted(values), Exit.succeed(3))
    })
  )

  it.effect("what throws while it makes them is a defect of the attempt", () =>
    Effect.gen(function* () {
      const thrower = () => {
        throw new Error("bug")
      }
      for (const injection of [
        { ...always, kind: "fault", error: thrower },
        { ...always, kind: "result", value: thrower }
      ] as const) {
        const exit = yield* attempted(chaos(injection))
        assert.isTrue(Exit.isFailure(exit) && Exit.hasDies(exit))
      }
    })
  )

  it.effect("latency comes before the attempt, by the clock, and can be interrupted", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(attempted(chaos(latency(500))), { startImmediately: true })
      yield* TestClock.adjust("499 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(Exit.succeed("real")))
      const cut = yield* Effect.forkChild(attempted(chaos(latency(500))), { startImmediately: true })
      yield* Fiber.interrupt(cut)
      assert.isTrue(Exit.isFailure(cut.pollUnsafe()!))
    })
  )

  it.effect("latency between two durations is uniform", () =>
    Effect.gen(function* () {
      const delays: Array<number> = []
      for (const u of [0, 0.25, 0.5, 0.999]) {
        const emit = (event: Event) => {
          if (event._tag === "ChaosInjected") delays.push(Duration.toMillis(event.delay!))
        }
        const attempt = attempted(chaos(latency(100, 300)), { emit }).pipe(draws(0, u).layer)
        const fiber = yield* Effect.forkChild(attempt, { startImmediately: true })
        yield* TestClock.adjust("300 millis")
        yield* Fiber.join(fiber)
      }
      assert.deepStrictEqual(delays, [100, 150, 200, 299.8])
    })
  )

  it.effect("a behavior runs before the attempt; its failure is the attempt's", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const say = behavior(Effect.sync(() => seen.push("behavior")))
      assert.deepStrictEqual(yield* attempted(chaos(say)), Exit.succeed("real"))
      assert.deepStrictEqual(seen, ["behavior"])
      assert.deepStrictEqual(yield* attempted(chaos(behavior(Effect.fail("closed")))), Exit.fail("closed"))
      assert.deepStrictEqual(yield* attempted(chaos(behavior(Effect.die("bug")))), Exit.die("bug"))
    })
  )

  it.effect("they come in their order, and nothing after a fault or a result", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const say = (what: string) => behavior(Effect.sync(() => seen.push(what)))
      for (const last of [fault, result]) {
        seen.length = 0
        const random = draws(0, 0, 0)
        const exit = yield* attempted(chaos(say("a"), say("b"), last, say("c"), fault)).pipe(random.layer)
        assert.strictEqual(Exit.isSuccess(exit), last === result)
        assert.deepStrictEqual(seen, ["a", "b"])
        assert.strictEqual(random.drawn(), 3)
      }
    })
  )

  it.effect("a fault after a latency comes late", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(attempted(chaos(latency(500), fault)), { startImmediately: true })
      yield* TestClock.adjust("499 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail(new Down()))
    })
  )

  it.effect("each is drawn for by itself: one number a time, below the probability is a hit", () =>
    Effect.gen(function* () {
      const rare: Injection = { ...fault, probability: 0.25 }
      for (const [u, hit] of [
        [0, true],
        [0.249, true],
        [0.25, false],
        [0.999, false]
      ] as const) {
        const random = draws(u)
        assert.strictEqual(Exit.isFailure(yield* attempted(chaos(rare)).pipe(random.layer)), hit)
        assert.strictEqual(random.drawn(), 1)
      }
      // the second has its own chance
      const exit = yield* attempted(chaos(rare, { ...result, probability: 0.5 })).pipe(draws(0.3, 0.4).layer)
      assert.deepStrictEqual(exit, Exit.succeed("wrong"))
    })
  )

  it.effect("a policy that is not meant draws nothing", () =>
    Effect.gen(function* () {
      const random = draws()
      const injector = chaos({ ...fault, policies: new Set(["users.get", "orders.get"]) })
      assert.strictEqual(yield* injected(injector).pipe(random.layer), self)
      for (const policy of ["users.get", "orders.get"]) {
        assert.deepStrictEqual(yield* attempted(injector, { policy }), Exit.fail(new Down()))
      }
    })
  )

  it.effect("says what it injects, when it happens, and to nobody if nobody listens", () =>
    Effect.gen(function* () {
      const events: Array<Event> = []
      const emit = (event: Event) => void events.push(event)
      yield* TestClock.setTime(7000)
      const injector = new Injector([during(0, Number.POSITIVE_INFINITY, behavior(Effect.void), latency(50), fault)], 0)
      const fiber = yield* Effect.forkChild(attempted(injector, { emit }), { startImmediately: true })
      const of = { _tag: "ChaosInjected", policy: "quotes.get", key: "user-7", attempt: 2 } as const
      const first: ReadonlyArray<Event> = [
        { ...of, at: 7000, injection: "behavior", error: undefined, delay: undefined },
        { ...of, at: 7000, injection: "latency", error: undefined, delay: Duration.millis(50) }
      ]
      assert.deepStrictEqual(events, first)
      yield* TestClock.adjust("50 millis")
      yield* Fiber.join(fiber)
      const last: Event = { ...of, at: 7050, injection: "fault", error: "Down", delay: undefined }
      assert.deepStrictEqual(events, [...first, last])
      yield* attempted(chaos(result), { emit })
      assert.deepStrictEqual(events.at(-1), {
        ...of,
        at: 7050,
        injection: "result",
        error: undefined,
        delay: undefined
      })
      // an error may be anything
      yield* attempted(chaos({ ...always, kind: "fault", error: () => undefined }), { emit })
      assert.deepStrictEqual(events.at(-1), { ...last, error: "undefined" })
      assert.strictEqual(events.length, 5)
    })
  )

  describe("steps", () => {
    it.effect("hold from their beginning until before their end, counted from when the injector began", () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1000)
        const injector = new Injector([during(100, 200, fault), during(150, Number.POSITIVE_INFINITY, result)], 1000)
        const seen: Array<string> = []
        for (const at of [0, 99, 100, 149, 150, 199, 200, 1_000_000]) {
          yield* TestClock.setTime(1000 + at)
          const exit = yield* attempted(injector)
          seen.push(Exit.isFailure(exit) ? "fault" : String(exit.value))
        }
        assert.deepStrictEqual(seen, ["real", "real", "fault", "fault", "fault", "fault", "wrong", "wrong"])
      })
    )

    it.effect("that overlap are all tried, in their order", () =>
      Effect.gen(function* () {
        const injector = new Injector([during(0, 100, { ...fault, probability: 0.1 }), during(0, 100, result)], 0)
        assert.deepStrictEqual(yield* attempted(injector).pipe(draws(0.5, 0).layer), Exit.succeed("wrong"))
        assert.deepStrictEqual(yield* attempted(injector).pipe(draws(0.05).layer), Exit.fail(new Down()))
      })
    )
  })

  const Case = Schema.Struct({
    steps: Schema.Array(
      Schema.Struct({
        from: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 })),
        length: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })),
        kinds: Schema.Array(
          Schema.Struct({
            kind: Schema.Literals(["fault", "result", "behavior"]),
            policy: Schema.Literals(["p", "q", "*"]),
            tenths: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 }))
          })
        ).check(Schema.isMaxLength(4))
      })
    ).check(Schema.isMaxLength(4)),
    policy: Schema.Literals(["p", "q"]),
    at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 })),
    draws: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))).check(
      Schema.isMinLength(16),
      Schema.isMaxLength(16)
    )
  })

  it.effect("does what a list of all that could happen, filtered step by step, says", () =>
    holds(
      Arbitrary.schema(Case),
      ({ at, draws: numbers, policy, steps }) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(at)
          // the reference: everything that is meant, with its number, up to the first that ends the attempt
          const meant = steps
            .filter(({ from, length }) => from <= at && at < from + length)
            .flatMap(({ kinds }) => kinds)
            .filter((it) => it.policy === "*" || it.policy === policy)
          const hits = meant.filter(({ tenths }, i) => numbers[i]! < tenths)
          const end = hits.findIndex(({ kind }) => kind !== "behavior")
          const expected = (end < 0 ? hits : hits.slice(0, end + 1)).map(({ kind }) => kind)

          const seen: Array<string> = []
          const injector = new Injector(
            steps.map(({ from, kinds, length }) =>
              during(
                from,
                from + length,
                ...kinds.map(({ kind, policy, tenths }): Injection => {
                  const chance = {
                    policies: policy === "*" ? undefined : new Set([policy]),
                    probability: tenths / 10
                  }
                  switch (kind) {
                    case "fault":
                      return { ...fault, ...chance }
                    case "result":
                      return { ...result, ...chance }
                    case "behavior":
                      return { ...behavior(Effect.void), ...chance }
                  }
                })
              )
            ),
            0
          )
          const emit = (event: Event) => {
            if (event._tag === "ChaosInjected") seen.push(event.injection)
          }
          const exit = yield* attempted(injector, { policy, emit }).pipe(draws(...numbers.map((n) => n / 10)).layer)
          const last = expected.at(-1)
          const ended =
            last === "fault"
              ? Exit.isFailure(exit)
              : Exit.isSuccess(exit) && exit.value === (last === "result" ? "wrong" : "real")
          return ended && seen.join() === expected.join()
        }).pipe(Effect.provide(TestClock.layer())),
      { runs: 300 }
    )
  )
})
