// What all guards have in common: test/guards.test.ts.
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Random,
  Schedule,
  Scheduler,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import { CurrentListener } from "../src/internal/events.ts"
import type { Event } from "../src/internal/events.ts"
import { asking as call } from "./kit.ts"

const two = CircuitBreaker.consecutiveFailures(2)
const plain = { trip: two, openFor: "10 seconds", halfOpen: { probes: 1, successRatio: 1 } } as const

class B extends CircuitBreaker.Service<B>()("app/B", plain) {}
class K extends CircuitBreaker.Service<K>()("app/K", { ...plain, keys: { max: 3, idleTimeToLive: "1 minute" } }) {}

const ok = Effect.succeed("ok")
const fail = Effect.fail("no" as const)
const errorOf = <E>(exit: Exit.Exit<unknown, E>): E | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
const tag = (exit: Exit.Exit<unknown, unknown>) => {
  const error = errorOf(exit)
  return error instanceof CircuitBreaker.CircuitOpen ? error.state : Exit.isSuccess(exit) ? "ok" : error
}

const trip = Effect.gen(function* () {
  yield* Effect.exit(B.protect(fail))
  yield* Effect.exit(B.protect(fail))
})
const tripKey = (key: string) =>
  Effect.gen(function* () {
    yield* Effect.exit(K.protect(fail, { key }))
    yield* Effect.exit(K.protect(fail, { key }))
  })

const defectOf = (layer: Layer.Layer<any, any>) =>
  Effect.map(Effect.exit(Effect.scoped(Layer.build(layer))), (exit) =>
    Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  )

const outcome = (
  kind: Guard.OutcomeKind,
  health: Guard.Outcome["health"],
  retryAfter?: Duration.Input
): Guard.Outcome => ({
  kind,
  health,
  retryAfter: retryAfter === undefined ? undefined : Duration.fromInputUnsafe(retryAfter)
})

describe("a circuit", () => {
  it.effect("opens, rejects without running anything, half-opens, closes", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* B.state(), "closed")
      assert.strictEqual(tag(yield* Effect.exit(B.protect(ok))), "ok")
      yield* trip
      assert.strictEqual(yield* B.state(), "open")
      let ran = 0
      const counted = B.protect(Effect.sync(() => ++ran))
      assert.strictEqual(tag(yield* Effect.exit(counted)), "open")
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(tag(yield* Effect.exit(counted)), "open")
      assert.strictEqual(ran, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* B.state(), "half-open")
      assert.strictEqual(tag(yield* Effect.exit(counted)), "ok")
      assert.strictEqual(yield* B.state(), "closed")
      assert.strictEqual(ran, 1)
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("half-open: one probe, the others are rejected at once", () =>
    Effect.gen(function* () {
      yield* trip
      yield* TestClock.adjust("10 seconds")
      const done = yield* Deferred.make<void>()
      const probe = yield* Effect.forkChild(B.protect(Deferred.await(done)))
      yield* Effect.yieldNow
      const rejected = yield* Effect.exit(B.protect(ok))
      assert.strictEqual(tag(rejected), "half-open")
      assert.isUndefined((errorOf(rejected) as CircuitBreaker.CircuitOpen).retryAfter)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(probe)
      assert.strictEqual(yield* B.state(), "closed")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("r4j #544, Polly #1979: an interrupted probe gives its place back, and says nothing", () =>
    Effect.gen(function* () {
      yield* trip
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(B.protect(Effect.never))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* B.state(), "half-open")
      assert.strictEqual(tag(yield* Effect.exit(B.protect(ok))), "ok")
      assert.strictEqual(yield* B.state(), "closed")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("a probe that hangs does not hold it half-open for ever", () =>
    Effect.gen(function* () {
      yield* trip
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(B.protect(Effect.never))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* B.state(), "open")
      assert.deepStrictEqual((yield* B.snapshot()).retryAfter, Duration.seconds(10))
      assert.strictEqual(tag(yield* Effect.exit(B.protect(ok))), "open")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(tag(yield* Effect.exit(B.protect(ok))), "ok")
      assert.strictEqual(yield* B.state(), "closed")
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* B.state(), "closed")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("opossum, Polly #217: a late success does not close it", () =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<void>()
      const late = yield* Effect.forkChild(B.protect(Deferred.await(done)))
      yield* Effect.yieldNow
      yield* trip
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(B.protect(Effect.never))
      yield* Effect.yieldNow
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(late)
      assert.strictEqual(yield* B.state(), "half-open")
      assert.strictEqual(tag(yield* Effect.exit(B.protect(ok))), "half-open")
      yield* Fiber.interrupt(probe)
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("a window of time is taken at the end of the call; slow calls open it", () =>
    Effect.gen(function* () {
      const slow = B.protect(Effect.sleep("3 seconds"))
      const one = yield* Effect.forkChild(slow)
      const other = yield* Effect.forkChild(slow)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(one)
      yield* Fiber.join(other)
      assert.strictEqual(yield* B.state(), "open")
      const { calls, rate } = yield* B.snapshot()
      assert.deepStrictEqual([calls, rate], [2, 1])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* B.snapshot()).calls, 0)
    }).pipe(
      Effect.provide(
        B.layerWith({
          trip: CircuitBreaker.anyOf(
            CircuitBreaker.slowCallRate({
              threshold: 0.5,
              slowerThan: "2 seconds",
              minimumCalls: 2,
              window: "10 seconds"
            }),
            CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 9, window: 10 })
          )
        })
      )
    )
  )

  const initials: ReadonlyArray<
    readonly [CircuitBreaker.State | undefined, plain: ReadonlyArray<string>, keyed: ReadonlyArray<string>]
  > = [
    // at once, and ten seconds later
    ["closed", ["closed", "closed"], ["closed", "closed"]],
    ["open", ["open", "half-open"], ["open", "closed"]],
    ["half-open", ["half-open", "half-open"], ["half-open", "half-open"]],
    ["isolated", ["isolated", "isolated"], ["isolated", "isolated"]],
    [undefined, ["closed", "closed"], ["closed", "closed"]]
  ]
  for (const [initial, ofPlain, ofKeyed] of initials) {
    it.effect(`begins ${initial}`, () =>
      Effect.gen(function* () {
        const later = TestClock.adjust("10 seconds")
        const first = [yield* B.state(), yield* K.state("k")]
        yield* later
        const second = [yield* B.state(), yield* K.state("k")]
        assert.deepStrictEqual<unknown>([first[0], second[0]], ofPlain)
        assert.deepStrictEqual<unknown>([first[1], second[1]], ofKeyed)
      }).pipe(Effect.provide(Layer.merge(B.layerWith({ initial }), K.layerWith({ initial }))))
    )
  }

  it.effect("a keyed breaker that begins half-open probes every new key", () =>
    Effect.gen(function* () {
      const breaker = yield* K
      assert.strictEqual(breaker.admit(call({ key: "a" }))._tag, "Admitted")
      assert.strictEqual(breaker.admit(call({ key: "a" }))._tag, "Rejected")
      yield* K.protect(ok, { key: "b" })
      assert.strictEqual(yield* K.state("b"), "closed")
      yield* K.close()
      assert.strictEqual(yield* K.state("c"), "closed")
    }).pipe(Effect.provide(K.layerWith({ initial: "half-open" })))
  )
})

describe("what counts", () => {
  const settle = (outcomes: ReadonlyArray<Guard.Outcome>, layer: Layer.Layer<B>) =>
    Effect.gen(function* () {
      const breaker = yield* B
      for (const outcome of outcomes) {
        const admission = breaker.admit(call())
        if (admission._tag === "Admitted") void admission.permit.settle(outcome, 0, 0)
      }
      return yield* B.state()
    }).pipe(Effect.provide(layer))

  const table: ReadonlyArray<readonly [string, Guard.Outcome, CircuitBreaker.CountOptions, CircuitBreaker.State]> = [
    ["failed", outcome("transient", "failed"), {}, "open"],
    ["timeout", outcome("timeout", "failed"), {}, "open"],
    ["unrecognised", outcome("unrecognised", "failed"), {}, "open"],
    ["permanent", outcome("permanent", "ok"), {}, "closed"],
    ["permanent that the classifier calls failed", outcome("permanent", "failed"), {}, "open"],
    ["throttled", outcome("throttled", "ignored"), {}, "closed"],
    ["throttled that the classifier calls failed", outcome("throttled", "failed"), {}, "open"],
    ["throttled, counted", outcome("throttled", "ignored"), { throttled: "failed" }, "open"],
    ["throttled, not counted", outcome("throttled", "failed"), { throttled: "ignored" }, "closed"],
    ["defect", outcome("defect", "failed"), {}, "open"],
    ["defect, not counted", outcome("defect", "failed"), { defect: "ignored" }, "closed"],
    ["defect, counted", outcome("defect", "ignored"), { defect: "failed" }, "open"],
    [
      "transient, with other kinds not counted",
      outcome("transient", "failed"),
      { defect: "ignored", throttled: "ignored" },
      "open"
    ],
    ["interrupted, whatever its health", outcome("interrupted", "failed"), { defect: "failed" }, "closed"]
  ]
  for (const [what, one, count, state] of table) {
    it.effect(what, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* settle([one, one], B.layerWith({ count })), state)
      })
    )
  }

  it.effect("a throttled answer neither counts nor ends a row of failures", () =>
    Effect.gen(function* () {
      const failed = outcome("transient", "failed")
      assert.strictEqual(yield* settle([failed, outcome("throttled", "ignored"), failed], B.layer), "open")
      assert.strictEqual(yield* settle([failed, outcome("success", "ok"), failed], B.layer), "closed")
    })
  )

  it.effect("a retryAfter lengthens the next open time, up to the ceiling", () =>
    Effect.gen(function* () {
      const failed = outcome("transient", "failed")
      const retryAfter = (hint: Duration.Input, change: CircuitBreaker.LayerOptions<false>) =>
        Effect.gen(function* () {
          const breaker = yield* B
          for (const it of [outcome("throttled", "ignored", hint), failed, failed]) {
            const admission = breaker.admit(call())
            if (admission._tag === "Admitted") void admission.permit.settle(it, 0, 0)
          }
          return (yield* B.snapshot()).retryAfter
        }).pipe(Effect.provide(B.layerWith(change)))
      assert.deepStrictEqual(yield* retryAfter("30 seconds", {}), Duration.seconds(30))
      assert.deepStrictEqual(yield* retryAfter("5 minutes", {}), Duration.minutes(1))
      assert.deepStrictEqual(yield* retryAfter("5 minutes", { retryAfterCeiling: "2 minutes" }), Duration.minutes(2))
      assert.deepStrictEqual(yield* retryAfter("30 seconds", { retryAfterCeiling: 0 }), Duration.seconds(10))
    })
  )
})

describe("the guard", () => {
  it.effect("closed, it hands out one object for each generation; a listener has its own", () =>
    Effect.gen(function* () {
      const breaker = yield* B
      const first = breaker.admit(call())
      assert.strictEqual(first._tag, "Admitted")
      assert.strictEqual(breaker.admit(call({ now: 5 })), first)
      const emit = () => {}
      const heard = breaker.admit(call({ emit }))
      assert.notStrictEqual(heard, first)
      // nor is one kept that speaks to a listener: it would keep the caller alive
      assert.notStrictEqual(breaker.admit(call({ emit })), heard)
      assert.strictEqual(breaker.admit(call()), first)
      yield* B.close()
      assert.notStrictEqual(breaker.admit(call()), first)
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("looking rejects what is certain, and changes nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* B
      assert.isUndefined(breaker.look(call()))
      yield* trip
      const rejection = breaker.look(call())
      assert.strictEqual(rejection?.state, "open")
      assert.isUndefined(breaker.look(call({ now: 10_000 })))
      assert.strictEqual(yield* B.state(), "open")
      yield* TestClock.adjust("10 seconds")
      // a look takes no probe
      assert.isUndefined(breaker.look(call({ now: 10_000 })))
      assert.isUndefined(breaker.look(call({ now: 10_000 })))
      assert.strictEqual(breaker.admit(call({ now: 10_000 }))._tag, "Admitted")
      assert.strictEqual(breaker.look(call({ now: 10_000 }))?.state, "half-open")
      // a probe that is overdue: only admission moves the circuit
      assert.isUndefined(breaker.look(call({ now: 70_000 })))
      assert.strictEqual(breaker.admit(call({ now: 70_000 }))._tag, "Rejected")
      yield* B.isolate()
      assert.strictEqual(breaker.look(call({ now: 1e9 }))?.state, "isolated")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("each opening has an error of its own", () =>
    Effect.gen(function* () {
      yield* trip
      const one = errorOf(yield* Effect.exit(B.protect(ok)))
      yield* TestClock.adjust("10 seconds")
      yield* Effect.exit(B.protect(fail))
      const next = errorOf(yield* Effect.exit(B.protect(ok)))
      assert.instanceOf(next, CircuitBreaker.CircuitOpen)
      assert.notStrictEqual(next, one)
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("settled outside of any fiber, it goes by the clock that the layer was built with", () =>
    Effect.gen(function* () {
      const breaker = yield* B
      const admissions = [breaker.admit(call()), breaker.admit(call())]
      yield* TestClock.adjust("5 seconds")
      yield* Effect.promise(async () => {
        await Promise.resolve()
        assert.isUndefined(Fiber.getCurrent())
        for (const it of admissions) {
          if (it._tag === "Admitted") void it.permit.settle(outcome("transient", "failed"), 1, 5_000)
        }
      })
      assert.deepStrictEqual((yield* B.snapshot()).retryAfter, Duration.seconds(10))
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("goes by the clock of whoever settles", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.clockWith(Effect.succeed)
      const later = new Proxy(clock, {
        get: (target, property) =>
          property === "monotonicTimeNanosUnsafe" ? () => 42_000_000_000n : Reflect.get(target, property)
      })
      yield* trip.pipe(Effect.provideService(Clock.Clock, later))
      assert.deepStrictEqual((yield* B.snapshot()).retryAfter, Duration.seconds(52))
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("asks for no time that it is not told, while it is closed", () =>
    Effect.gen(function* () {
      const breaker = yield* B
      const admission = breaker.admit(call({ now: 123 }))
      assert.strictEqual(admission._tag, "Admitted")
      if (admission._tag === "Admitted") void admission.permit.settle(outcome("success", "ok"), 1, 124)
    }).pipe(Effect.provide(B.layer))
  )
})

describe("CircuitOpen", () => {
  it.effect("says what is left of the open time when it is read", () =>
    Effect.gen(function* () {
      yield* trip
      const error = errorOf(yield* Effect.exit(B.protect(ok))) as CircuitBreaker.CircuitOpen
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(10))
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(6))
      assert.strictEqual(
        error.message,
        "the circuit app/B refused the call: it is open, because too many calls failed or it was opened by hand. Try again in 6s"
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(error.retryAfter, Duration.zero)
      assert.include(error.message, "Try again now")
    }).pipe(Effect.provide(B.layer))
  )

  it("has a message for each state", () => {
    const message = (state: "open" | "half-open" | "isolated", key?: string) =>
      new CircuitBreaker.CircuitOpen({ breaker: "app/B", key, state, retryAfter: undefined }).message
    assert.include(message("half-open"), "the circuit app/B refused the call: it is half-open")
    assert.include(message("isolated", "host"), "the circuit app/B of host refused the call: it is isolated by hand")
    assert.include(message("open"), "it is open")
    assert.include(message("open"), "Try again now")
  })
})

describe("the open time", () => {
  const openTimes = (openFor: CircuitBreaker.Options["openFor"], openings: number) =>
    Effect.gen(function* () {
      yield* trip
      const times = []
      for (let i = 0; i < openings; i++) {
        const { retryAfter } = yield* B.snapshot()
        times.push(Duration.toMillis(retryAfter!))
        yield* TestClock.adjust(retryAfter!)
        yield* Effect.exit(B.protect(fail))
      }
      return times
    }).pipe(Effect.provide(B.layerWith({ openFor })))

  it.effect("may be a schedule, stepped once for each opening in a row", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* openTimes(Schedule.exponential("1 second"), 4), [1000, 2000, 4000, 8000])
    })
  )

  it.effect("a schedule that ends keeps its last delay", () =>
    Effect.gen(function* () {
      const schedule = Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 2 }))
      assert.deepStrictEqual(yield* openTimes(schedule, 4), [1000, 2000, 2000, 2000])
    })
  )

  it.effect("a schedule's own limit on time measures the time spent open", () =>
    Effect.gen(function* () {
      const schedule = Schedule.exponential("1 second").pipe(Schedule.upTo({ duration: "3 seconds" }))
      const times = yield* openTimes(schedule, 5)
      assert.deepStrictEqual(times.slice(-2), [times[2]!, times[2]!])
    })
  )

  it.effect("a schedule that fails, throws, waits or gives for ever later keeps its last delay", () =>
    Effect.gen(function* () {
      for (const wrong of [
        Effect.fail("no"),
        Effect.die("no"),
        Effect.sleep("1 second").pipe(Effect.as(Duration.millis(1))),
        Effect.succeed(Duration.infinity)
      ]) {
        let steps = 0
        const schedule = Schedule.spaced("1 second").pipe(
          Schedule.modifyDelay(() =>
            Effect.suspend((): Effect.Effect<Duration.Duration, string> =>
              ++steps > 3 ? wrong : Effect.succeed(Duration.millis(steps))
            )
          )
        ) as Schedule.Schedule<unknown>
        // the first step is tried when the layer is built
        assert.deepStrictEqual(yield* openTimes(schedule, 4), [2, 3, 3, 3])
      }
    })
  )

  it.effect("is told the number of the opening", () =>
    Effect.gen(function* () {
      const inputs: Array<unknown> = []
      const schedule = Schedule.spaced("1 second").pipe(
        Schedule.modifyDelay(({ input }) => Effect.sync(() => (inputs.push(input), "1 second" as const)))
      )
      yield* openTimes(schedule, 2)
      assert.deepStrictEqual(inputs, [1, 1, 2, 3, 4])
    })
  )

  it.effect("draws from the Random that the layer was built with", () =>
    Effect.gen(function* () {
      const jittered = Schedule.jittered(Schedule.spaced("10 seconds"))
      const times = (seed: number) =>
        Effect.gen(function* () {
          const left = Effect.map(B.snapshot(), ({ retryAfter }) => Duration.toMillis(retryAfter!))
          return yield* Effect.forEach([1, 2, 3], () => Effect.andThen(B.open(), left))
        }).pipe(Effect.provide(B.layerWith({ openFor: jittered })), Random.withSeed(seed))
      const [one, same, other] = [yield* times(1), yield* times(1), yield* times(2)]
      assert.deepStrictEqual(one, same)
      assert.notDeepEqual(one, other)
      assert.strictEqual(new Set(one).size, 3)
    })
  )

  it.effect("by default doubles from 5 s to 1 min, with up to half taken off", () =>
    Effect.gen(function* () {
      const times = yield* openTimes(CircuitBreaker.defaults.openFor, 6)
      const full = [5, 10, 20, 40, 60, 60]
      for (const [i, time] of times.entries()) {
        assert.isAtMost(time, full[i]! * 1000)
        assert.isAtLeast(time, full[i]! * 500)
      }
      assert.strictEqual(new Set(times).size, 6)
    })
  )

  it.effect("a schedule that cannot be stepped synchronously is refused, and leaves nothing running", () =>
    Effect.gen(function* () {
      let finalized = 0
      const asynchronous = Schedule.spaced("1 second").pipe(
        Schedule.modifyDelay(() =>
          Effect.never.pipe(Effect.ensuring(Effect.sync(() => finalized++)), Effect.as(Duration.millis(1)))
        )
      )
      const defect = yield* defectOf(B.layerWith({ openFor: asynchronous }))
      assert.instanceOf(defect, InvalidOption)
      assert.strictEqual((defect as InvalidOption).option, "app/B: openFor")
      assert.strictEqual(finalized, 1)
      const ended = yield* defectOf(B.layerWith({ openFor: Schedule.recurs(0) }))
      assert.instanceOf(ended, InvalidOption)
    })
  )
})

describe("the options", () => {
  const trips: ReadonlyArray<readonly [string, () => unknown]> = [
    ["CircuitBreaker.consecutiveFailures: failures", () => CircuitBreaker.consecutiveFailures(0)],
    ["CircuitBreaker.consecutiveFailures: failures", () => CircuitBreaker.consecutiveFailures(1.5)],
    [
      "CircuitBreaker.failureRate: threshold",
      () => CircuitBreaker.failureRate({ threshold: 0, minimumCalls: 1, window: 1 })
    ],
    [
      "CircuitBreaker.failureRate: threshold",
      () => CircuitBreaker.failureRate({ threshold: 1.01, minimumCalls: 1, window: 1 })
    ],
    [
      "CircuitBreaker.failureRate: minimumCalls",
      () => CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 0, window: 1 })
    ],
    [
      "CircuitBreaker.failureRate: minimumCalls",
      () => CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 11, window: 10 })
    ],
    [
      "CircuitBreaker.failureRate: minimumCalls",
      () => CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 0, window: "1 second" })
    ],
    [
      "CircuitBreaker.failureRate: window",
      () => CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 1, window: 0 })
    ],
    [
      "CircuitBreaker.failureRate: window",
      () => CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 1, window: 1_000_001 })
    ],
    [
      "CircuitBreaker.failureRate: window",
      () => CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 1, window: "0 seconds" })
    ],
    [
      "CircuitBreaker.slowCallRate: slowerThan",
      () => CircuitBreaker.slowCallRate({ threshold: 1, minimumCalls: 1, window: 1, slowerThan: 0 })
    ],
    [
      "CircuitBreaker.slowCallRate: minimumCalls",
      () => CircuitBreaker.slowCallRate({ threshold: 1, minimumCalls: 2, window: 1, slowerThan: 1 })
    ],
    ["CircuitBreaker.anyOf: trips", () => (CircuitBreaker.anyOf as any)()],
    ["CircuitBreaker.anyOf: trips", () => (CircuitBreaker.anyOf as any)(two, 5)],
    ["CircuitBreaker.anyOf: trips", () => (CircuitBreaker.anyOf as any)(two, null)]
  ]
  for (const [option, make] of trips) {
    it(`${option}: ${make.toString().slice(6)} throws`, () => {
      try {
        make()
      } catch (error) {
        assert.instanceOf(error, InvalidOption)
        assert.strictEqual((error as InvalidOption).option, option)
        return
      }
      assert.fail("did not throw")
    })
  }

  it("the bounds themselves are allowed; a number is calls, a duration is time", () => {
    CircuitBreaker.consecutiveFailures(1)
    CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 10, window: 10 })
    CircuitBreaker.failureRate({ threshold: 0.001, minimumCalls: 1, window: 1_000_000 })
    CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 1000, window: "1 second" })
    CircuitBreaker.anyOf(two)
  })

  it.effect("the success ratio is of the probes, and one that is meant exactly is", () =>
    Effect.gen(function* () {
      for (const [probes, successRatio, needed] of [
        [3, 0.5, 2],
        [2, 0.5, 1],
        [100, 0.07, 7],
        [10, 0.001, 1],
        [5, 1, 5]
      ] as const) {
        const answered = yield* Effect.gen(function* () {
          yield* trip
          yield* TestClock.adjust("10 seconds")
          let successes = 0
          while ((yield* B.state()) === "half-open") {
            yield* B.protect(ok)
            successes++
          }
          return successes
        }).pipe(Effect.provide(B.layerWith({ halfOpen: { probes, successRatio } })))
        assert.strictEqual(answered, needed)
      }
    })
  )

  it.effect("by default the majority of three probes decides", () =>
    Effect.gen(function* () {
      yield* trip
      yield* TestClock.adjust("10 seconds")
      yield* B.protect(ok)
      assert.strictEqual(yield* B.state(), "half-open")
      yield* B.protect(ok)
      assert.strictEqual(yield* B.state(), "closed")
    }).pipe(Effect.provide(D.layer))
  )
  class D extends CircuitBreaker.Service<B>()("app/B", { trip: two, openFor: "10 seconds" }) {}

  it.effect("a layer changes single members; undefined is as in the class", () =>
    Effect.gen(function* () {
      const layer = K.layerWith({
        trip: undefined,
        openFor: "20 seconds",
        halfOpen: { probes: 2, successRatio: undefined },
        keys: { max: 1, idleTimeToLive: undefined }
      })
      yield* Effect.gen(function* () {
        yield* tripKey("a")
        assert.deepStrictEqual((yield* K.snapshot("a")).retryAfter, Duration.seconds(20))
        yield* TestClock.adjust("20 seconds")
        yield* K.protect(ok, { key: "a" })
        assert.strictEqual(yield* K.state("a"), "half-open")
        yield* K.protect(ok, { key: "a" })
        assert.strictEqual(yield* K.state("a"), "closed")
        yield* K.protect(ok, { key: "b" })
        assert.deepStrictEqual(
          (yield* K.snapshots).map(({ key }) => key),
          ["b"]
        )
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual((yield* K.snapshots).length, 1)
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual((yield* K.snapshots).length, 0)
      }).pipe(Effect.provide(layer))
    })
  )
})

describe("keys", () => {
  it.effect("isolated ones go last, as open ones do, but where all are", () =>
    Effect.gen(function* () {
      yield* tripKey("open")
      yield* K.isolate("isolated")
      yield* K.protect(ok, { key: "c" })
      yield* K.protect(ok, { key: "d" })
      const keys = Effect.map(K.snapshots, (all) => all.map(({ key }) => key))
      assert.deepStrictEqual(yield* keys, ["open", "isolated", "d"])
      yield* K.isolate("d")
      yield* K.protect(ok, { key: "e" })
      const left = yield* keys
      assert.strictEqual(left.length, 3)
      assert.include(left, "e")
    }).pipe(Effect.provide(K.layer))
  )

  it.effect("an open circuit is not forgotten while it is open, nor for its idle time after", () =>
    Effect.gen(function* () {
      yield* tripKey("a")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* K.state("a"), "half-open")
      yield* K.protect(ok, { key: "b" })
      assert.strictEqual(yield* K.state("a"), "half-open")
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* K.state("a"), "half-open")
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* K.state("a"), "closed")
    }).pipe(Effect.provide(K.layerWith({ openFor: "10 minutes" })))
  )

  it.effect("an isolated one is never forgotten for being idle", () =>
    Effect.gen(function* () {
      yield* K.isolate("a")
      yield* TestClock.adjust("365 days")
      assert.strictEqual(yield* K.state("a"), "isolated")
    }).pipe(Effect.provide(K.layer))
  )
})

describe("by hand", () => {
  it.effect("open: for the next open time, or for as long as said; again begins again", () =>
    Effect.gen(function* () {
      const left = Effect.map(B.snapshot(), ({ retryAfter }) => retryAfter)
      yield* B.open()
      assert.deepStrictEqual(yield* left, Duration.seconds(10))
      yield* B.open({ for: "3 seconds" })
      assert.deepStrictEqual(yield* left, Duration.seconds(3))
      yield* TestClock.adjust("1 second")
      yield* B.open(undefined, { for: "3 seconds" })
      assert.deepStrictEqual(yield* left, Duration.seconds(3))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* B.state(), "half-open")
      yield* B.close()
      assert.strictEqual(yield* B.state(), "closed")
      const exit = yield* Effect.exit(B.open({ for: -1 as any }))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, InvalidOption)
      assert.strictEqual((defect as InvalidOption).option, "app/B.open: for")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("isolate: rejects until closed; opening does not end it", () =>
    Effect.gen(function* () {
      yield* B.isolate()
      yield* TestClock.adjust("1 days")
      const rejection = errorOf(yield* Effect.exit(B.protect(ok))) as CircuitBreaker.CircuitOpen
      assert.deepStrictEqual([rejection.state, rejection.retryAfter], ["isolated", undefined])
      yield* B.open()
      assert.strictEqual(yield* B.state(), "isolated")
      yield* B.close()
      assert.strictEqual(tag(yield* Effect.exit(B.protect(ok))), "ok")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("without keys a key is ignored", () =>
    Effect.gen(function* () {
      yield* B.isolate("x")
      assert.strictEqual(yield* B.state("y"), "isolated")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("of one key", () =>
    Effect.gen(function* () {
      yield* K.open("a")
      yield* K.isolate("b")
      const states = Effect.all([K.state("a"), K.state("b"), K.state("c")])
      assert.deepStrictEqual(yield* states, ["open", "isolated", "closed"])
      yield* K.open("a", { for: "1 second" })
      assert.deepStrictEqual((yield* K.snapshot("a")).retryAfter, Duration.seconds(1))
      yield* K.close("a")
      yield* K.close("b")
      assert.deepStrictEqual(yield* states, ["closed", "closed", "closed"])
    }).pipe(Effect.provide(K.layer))
  )

  it.effect("isolate every circuit of a keyed one, present and future", () =>
    Effect.gen(function* () {
      yield* K.protect(ok, { key: "present" })
      yield* K.isolate()
      assert.strictEqual(yield* K.state("present"), "isolated")
      assert.strictEqual(yield* K.state("future"), "isolated")
      const breaker = yield* K
      const rejection = breaker.look(call({ key: "future" }))
      assert.deepStrictEqual(
        [rejection?.state, rejection?.key, rejection?.retryAfter],
        ["isolated", "future", undefined]
      )
      assert.strictEqual((yield* K.snapshots).length, 1)
      assert.strictEqual(breaker.admit(call({ key: "future" }))._tag, "Rejected")
      yield* TestClock.adjust("1 days")
      yield* K.open()
      assert.strictEqual(yield* K.state("future"), "isolated")
      // one that is closed by hand stays closed, however idle, and others make room for it
      yield* K.close("exception")
      for (const key of ["1", "2", "3", "4"]) yield* Effect.exit(K.protect(ok, { key }))
      breaker.admit(call({ key: "5", now: 86_400_000 }))
      breaker.admit(call({ key: "6", now: 86_400_000 }))
      breaker.admit(call({ key: "7", now: 86_400_000 }))
      yield* TestClock.adjust("1 days")
      assert.strictEqual(yield* K.state("exception"), "closed")
      assert.strictEqual(yield* K.state("present"), "isolated")
      yield* K.close()
      assert.deepStrictEqual(yield* Effect.all([K.state("exception"), K.state("future"), K.state("other")]), [
        "closed",
        "closed",
        "closed"
      ])
    }).pipe(Effect.provide(K.layer))
  )

  it.effect("open every circuit of a keyed one: those to come are open as long", () =>
    Effect.gen(function* () {
      yield* K.protect(ok, { key: "present" })
      yield* K.open({ for: "30 seconds" })
      yield* TestClock.adjust("20 seconds")
      const breaker = yield* K
      const rejection = breaker.look(call({ key: "future", now: 20_000 }))
      assert.deepStrictEqual([rejection?.state, rejection?.retryAfter], ["open", Duration.seconds(10)])
      assert.deepStrictEqual(yield* K.snapshot("future"), {
        key: "future",
        state: "open",
        rate: undefined,
        calls: 0,
        retryAfter: Duration.seconds(10)
      })
      assert.strictEqual(tag(yield* Effect.exit(K.protect(ok, { key: "future" }))), "open")
      assert.strictEqual(breaker.admit(call({ key: "future", now: 20_000 }))._tag, "Rejected")
      yield* K.close("exception")
      assert.strictEqual(yield* K.state("exception"), "closed")
      yield* TestClock.adjust("10 seconds")
      const states = Effect.all([K.state("present"), K.state("future"), K.state("exception"), K.state("late")])
      assert.deepStrictEqual(yield* states, ["half-open", "half-open", "closed", "closed"])
      yield* K.open()
      assert.deepStrictEqual(yield* states, ["open", "open", "open", "open"])
      assert.deepStrictEqual((yield* K.snapshot("late")).retryAfter, Duration.seconds(10))
      yield* K.close()
      assert.deepStrictEqual(yield* states, ["closed", "closed", "closed", "closed"])
    }).pipe(Effect.provide(K.layer))
  )

  it.effect("a circuit closed by hand while all are open is worth keeping as long as they are", () =>
    Effect.gen(function* () {
      yield* K.open({ for: "10 minutes" })
      yield* K.close("exception")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* K.state("exception"), "closed")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual((yield* K.snapshots).length, 0)
    }).pipe(Effect.provide(K.layer))
  )
})

describe("changes", () => {
  const collect = <A, E, R>(changes: Stream.Stream<A, E, R>) =>
    Effect.gen(function* () {
      const seen: Array<A> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(changes, (change) => Effect.sync(() => seen.push(change)))
      )
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      return { seen, fiber }
    })

  it.effect("are told from subscription on, by call or by hand, and when", () =>
    Effect.gen(function* () {
      yield* B.isolate()
      yield* B.close()
      const { fiber, seen } = yield* collect(B.changes)
      yield* TestClock.adjust("1 second")
      yield* trip
      yield* TestClock.adjust("10 seconds")
      yield* B.protect(ok)
      yield* B.isolate()
      yield* B.isolate()
      yield* B.close()
      yield* B.close()
      yield* TestClock.adjust("0 seconds")
      assert.deepStrictEqual(
        seen.map(({ at, breaker, from, key, to }) => [at, breaker, key, from, to]),
        [
          [1000, "app/B", undefined, "closed", "open"],
          [11_000, "app/B", undefined, "open", "half-open"],
          [11_000, "app/B", undefined, "half-open", "closed"],
          [11_000, "app/B", undefined, "closed", "isolated"],
          [11_000, "app/B", undefined, "isolated", "closed"]
        ]
      )
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("what moves all circuits at once is told of each, however many", () =>
    Effect.gen(function* () {
      const { fiber, seen } = yield* collect(K.changes)
      const keys = Array.from({ length: 300 }, (_, i) => `k${i}`)
      for (const key of keys) yield* K.protect(ok, { key })
      yield* K.isolate()
      yield* TestClock.adjust("0 seconds")
      assert.deepStrictEqual(
        seen.map(({ key, to }) => [key, to]),
        keys.map((key) => [key, "isolated"])
      )
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(K.layerWith({ keys: { max: 300 } })))
  )

  it.effect("a probe that hung is told when it is noticed: open again, then half-open", () =>
    Effect.gen(function* () {
      const { fiber, seen } = yield* collect(B.changes)
      yield* trip
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(B.protect(Effect.never))
      yield* TestClock.adjust("2 minutes")
      yield* B.protect(ok)
      yield* TestClock.adjust("0 seconds")
      assert.deepStrictEqual(
        seen.map(({ from, to }) => `${from} > ${to}`),
        ["closed > open", "open > half-open", "half-open > open", "open > half-open", "half-open > closed"]
      )
      yield* Fiber.interrupt(probe)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("the stream ends with the layer", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(K.layer, scope)
      const { changes } = Context.get(context, K)
      const fiber = yield* Effect.forkChild(Stream.runCollect(changes))
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      yield* Context.get(context, K).isolate("a")
      yield* Scope.close(scope, Exit.void)
      const seen = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        seen.map(({ key, to }) => [key, to]),
        [["a", "isolated"]]
      )
    })
  )

  it.effect("nobody listens: no event is built", () =>
    Effect.gen(function* () {
      // the only thing that asks for the wall-clock time is an event
      let asked = 0
      const clock = yield* TestClock.testClockWith((clock) => Effect.succeed(clock))
      const watched = new Proxy(clock, {
        get: (target, property) => {
          if (property === "currentTimeMillisUnsafe") asked++
          return Reflect.get(target, property)
        }
      })
      yield* Effect.gen(function* () {
        const { fiber } = yield* collect(B.changes)
        yield* Fiber.interrupt(fiber)
        yield* trip
        yield* B.isolate()
      }).pipe(Effect.provide(B.layer), Effect.provideService(Clock.Clock, watched))
      assert.strictEqual(asked, 0)
    })
  )

  it.effect("listeners hear what their own calls and hands caused", () =>
    Effect.gen(function* () {
      const heard: Array<Event> = []
      const listening = Effect.provideService(CurrentListener, (event: Event) => void heard.push(event))
      yield* Effect.exit(B.protect(fail))
      yield* B.isolate()
      yield* B.close()
      yield* TestClock.adjust("1 second")
      yield* listening(trip)
      yield* listening(Effect.exit(B.protect(ok)))
      yield* TestClock.adjust("10 seconds")
      yield* listening(B.protect(ok))
      yield* listening(B.isolate())
      assert.deepStrictEqual(
        heard.map((event) =>
          event._tag === "CircuitChanged"
            ? [event.at, event.from, event.to]
            : event._tag === "GuardRejected"
              ? [event.at, event.policy, event.guard, event.error, event.reason, event.attempt, event.key]
              : event
        ),
        [
          [1000, "closed", "open"],
          [1000, "app/B", "app/B", "CircuitOpen", "open", 1, undefined],
          [11_000, "open", "half-open"],
          [11_000, "half-open", "closed"],
          [11_000, "closed", "isolated"]
        ]
      )
    }).pipe(Effect.provide(B.layer))
  )
})

describe("protect", () => {
  it.effect("the classifier says which failures concern the dependency's health", () =>
    Effect.gen(function* () {
      const faults = Fault.make((error: "gone" | "down") => (error === "gone" ? Fault.permanent() : Fault.transient()))
      for (const error of ["gone", "gone", "gone"] as const)
        yield* Effect.exit(B.protect(Effect.fail(error), { faults }))
      assert.strictEqual(yield* B.state(), "closed")
      for (const error of ["down", "down"] as const) yield* Effect.exit(B.protect({ faults })(Effect.fail(error)))
      assert.strictEqual(yield* B.state(), "open")
    }).pipe(Effect.provide(B.layer))
  )

  // Every operation yields to the scheduler, so that after n yields n operations, give or take, have run
  const interruptedAfter = (yields: number, maxOps: number, self: Effect.Effect<unknown, unknown, B>) =>
    Effect.gen(function* () {
      const fiber = yield* self.pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, maxOps), Effect.forkChild)
      for (let i = 0; i < yields; i++) yield* Effect.yieldNow
      const holds = (yield* B).look(call()) !== undefined
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* B.state(), "half-open")
      assert.isUndefined((yield* B).look(call()), `a probe is left after ${yields} yields`)
      return holds
    })

  it.effect("interrupted between any two operations of the runtime, it leaves no probe behind", () =>
    Effect.gen(function* () {
      const body = Effect.gen(function* () {
        for (let i = 0; i < 20; i++) yield* Effect.yieldNow
        return yield* Effect.never
      })
      const held = new Set<boolean>()
      for (const maxOps of [3, 4, 5, 2048]) {
        for (let yields = 0; yields <= 300; yields += yields < 60 ? 1 : 20) {
          held.add(yield* interruptedAfter(yields, maxOps, B.protect(body)))
        }
      }
      // both before and after it was admitted
      assert.strictEqual(held.size, 2)
    }).pipe(Effect.provide(B.layerWith({ initial: "half-open" })))
  )
})
