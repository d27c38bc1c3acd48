// What all guards have in common: test/guards.test.ts.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Duration, Effect, Exit, Fiber, Option, Random } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import { CurrentListener } from "../src/internal/events.ts"
import type { Event } from "../src/internal/events.ts"
import * as Policy from "../src/Policy.ts"
import * as Priority from "../src/Priority.ts"
import * as Throttle from "../src/Throttle.ts"
import { asking, Book, bookedGuard } from "./kit.ts"

const small = { window: "10 seconds", minimumRequests: 4, maxRejectionRate: 0.8 } as const

class T extends Throttle.Service<T>()("app/T", small) {}
class K extends Throttle.Service<K>()("app/K", { ...small, keys: { max: 3, idleTimeToLive: "1 minute" } }) {}

const ok = Effect.succeed("ok")
const fail = Effect.fail("no" as const)
/** A `Random` that always draws the same number. */
const draws = (u: number) =>
  Effect.provideService(Random.Random, { nextDoubleUnsafe: () => u, nextIntUnsafe: () => assert.fail() })
const unlucky = draws(0)
const lucky = draws(0.999)

const errorOf = <E>(exit: Exit.Exit<unknown, E>): E | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
const rejectionOf = (exit: Exit.Exit<unknown, unknown>): Throttle.Throttled => {
  const error = errorOf(exit)
  assert.instanceOf(error, Throttle.Throttled)
  return error as Throttle.Throttled
}

const call = (over: Partial<Guard.Call> = {}) => asking({ random: () => 0.999, ...over })

const outcome = (
  kind: Guard.OutcomeKind,
  health: Guard.Outcome["health"],
  retryAfter?: Duration.Input
): Guard.Outcome => ({
  kind,
  health,
  retryAfter: retryAfter === undefined ? undefined : Duration.fromInputUnsafe(retryAfter)
})
const success = outcome("success", "ok")
const failed = outcome("transient", "failed")

/** Calls that end so, whatever the throttle says. */
const settle = (throttle: Throttle.Throttle, times: number, outcome: Guard.Outcome, over: Partial<Guard.Call> = {}) => {
  const asking = call(over)
  for (let i = 0; i < times; i++) {
    const admission = throttle.admit(asking)
    if (admission._tag !== "Admitted") return assert.fail(`was ${admission._tag}`)
    void admission.permit.settle(outcome, 0, asking.now)
  }
}

const none = { critical: 0, high: 0, normal: 0, low: 0, background: 0 }

describe("a throttle", () => {
  it.effect("refuses a part of the calls when the dependency fails, without running them, and stops in time", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 3; i++) yield* Effect.exit(T.protect(fail))
      // three are not enough to know
      assert.strictEqual((yield* T.snapshot()).rejectionRate, 0)
      assert.strictEqual(yield* T.protect(ok).pipe(unlucky), "ok")
      for (let i = 0; i < 5; i++) yield* Effect.exit(T.protect(fail).pipe(lucky))
      // nine requests, one accepted
      assert.deepStrictEqual(yield* T.snapshot(), {
        key: undefined,
        requests: 9,
        accepts: 1,
        rejectionRate: 0.7,
        byPriority: { ...none, normal: 0.7, low: 0.8, background: 0.8 }
      })
      let ran = 0
      const counted = T.protect(Effect.sync(() => ++ran))
      const rejection = rejectionOf(yield* Effect.exit(counted.pipe(draws(0.699))))
      assert.strictEqual(rejection.reason, "overload")
      assert.strictEqual(ran, 0)
      // it is a request that was not accepted, at once
      assert.deepStrictEqual([(yield* T.snapshot()).requests, (yield* T.snapshot()).accepts], [10, 1])
      assert.strictEqual(yield* counted.pipe(draws(0.75)), 1)
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual((yield* T.snapshot()).requests, 11)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* T.snapshot(), {
        key: undefined,
        requests: 0,
        accepts: 0,
        rejectionRate: 0,
        byPriority: none
      })
      assert.strictEqual(yield* counted.pipe(unlucky), 2)
    }).pipe(Effect.provide(T.layer))
  )

  it.effect("never refuses more than the ceiling says", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 50; i++) yield* Effect.exit(T.protect(fail).pipe(lucky))
      assert.strictEqual((yield* T.snapshot()).rejectionRate, 0.8)
      assert.strictEqual(yield* T.protect(ok).pipe(draws(0.8)), "ok")
    }).pipe(Effect.provide(T.layer))
  )

  it.effect("calls on their way are not counted, nor held against the dependency", () =>
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach(Array.from({ length: 20 }), () =>
        Effect.forkChild(T.protect(Effect.sleep("1 second")), { startImmediately: true })
      )
      assert.strictEqual((yield* T.snapshot()).requests, 0)
      assert.strictEqual(yield* T.protect(ok).pipe(unlucky), "ok")
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) yield* Fiber.join(fiber)
      const { accepts, requests } = yield* T.snapshot()
      assert.deepStrictEqual([requests, accepts], [21, 21])
    }).pipe(Effect.provide(T.layer))
  )

  it.effect("counts a call when it ends", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(T.protect(Effect.sleep("8 seconds")), { startImmediately: true })
      yield* TestClock.adjust("8 seconds")
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* T.snapshot()).requests, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* T.snapshot()).requests, 0)
    }).pipe(Effect.provide(T.layer))
  )
})

describe("what counts", () => {
  const table: ReadonlyArray<
    readonly [string, Guard.Outcome, Throttle.CountOptions, "accepted" | "refused" | "neither"]
  > = [
    ["success", success, {}, "accepted"],
    ["permanent: the dependency answered", outcome("permanent", "ok"), {}, "accepted"],
    ["permanent that the classifier calls failed", outcome("permanent", "failed"), {}, "refused"],
    ["throttled", outcome("throttled", "ignored"), {}, "refused"],
    ["throttled, whatever its health", outcome("throttled", "ok"), {}, "refused"],
    ["throttled, where failures are ignored", outcome("throttled", "failed"), { failed: "ignored" }, "refused"],
    ["transient", failed, {}, "refused"],
    ["transient that the classifier ignores", outcome("transient", "ignored"), {}, "neither"],
    ["transient that the classifier calls ok", outcome("transient", "ok"), {}, "accepted"],
    ["transient, ignored", failed, { failed: "ignored" }, "neither"],
    ["timeout", outcome("timeout", "failed"), {}, "refused"],
    ["timeout, ignored", outcome("timeout", "failed"), { failed: "ignored", defect: "refused" }, "neither"],
    ["unrecognised", outcome("unrecognised", "failed"), { defect: "ignored" }, "refused"],
    ["a rejection further in", outcome("unrecognised", "ignored"), {}, "neither"],
    ["defect", outcome("defect", "failed"), {}, "refused"],
    ["defect, as failures", outcome("defect", "failed"), { failed: "ignored" }, "neither"],
    ["defect, ignored", outcome("defect", "failed"), { defect: "ignored" }, "neither"],
    ["defect, counted", outcome("defect", "failed"), { failed: "ignored", defect: "refused" }, "refused"],
    ["success, where failures are ignored", success, { failed: "ignored", defect: "ignored" }, "accepted"],
    ["interrupted, whatever its health", outcome("interrupted", "failed"), {}, "neither"],
    ["interrupted, whatever else is counted", outcome("interrupted", "ok"), { failed: "refused" }, "neither"]
  ]
  for (const [what, one, count, as] of table) {
    it.effect(what, () =>
      Effect.gen(function* () {
        settle(yield* T, 1, one)
        const { accepts, requests } = yield* T.snapshot()
        assert.deepStrictEqual([requests, accepts], as === "neither" ? [0, 0] : [1, as === "accepted" ? 1 : 0])
      }).pipe(Effect.provide(T.layerWith({ count })))
    )
  }

  it.effect("the classifier of protect", () =>
    Effect.gen(function* () {
      const faults = Fault.make((error: "gone" | "busy") => (error === "gone" ? Fault.permanent() : Fault.throttled()))
      for (const error of ["gone", "busy", "gone"] as const)
        yield* Effect.exit(T.protect(Effect.fail(error), { faults }))
      const { accepts, requests } = yield* T.snapshot()
      assert.deepStrictEqual([requests, accepts], [3, 2])
    }).pipe(Effect.provide(T.layer))
  )

  it.effect("a call that another guard refuses was not sent, and does not count", () =>
    Effect.gen(function* () {
      const book = new Book()
      const Closed = Context.Service<"closed", Guard.Guard<"closed">>("test/closed")
      const closed: Guard.Guard<"closed"> = {
        ...bookedGuard(book, "test/closed"),
        admit: () => ({ _tag: "Rejected", rejection: "closed" })
      }
      const policy = Policy.make({ name: "p", guards: [T, Closed] })
      const exit = yield* ok.pipe(Policy.withResilience(policy), Effect.provideService(Closed, closed), Effect.exit)
      assert.strictEqual(errorOf(exit), "closed")
      assert.strictEqual((yield* T.snapshot()).requests, 0)
    }).pipe(Effect.provide(T.layer))
  )
})

describe("in a policy", () => {
  class Busy extends Error {
    readonly _tag = "Busy"
  }
  const policy = Policy.make({
    name: "p",
    faults: Fault.byTag<Busy>()({ Busy: () => Fault.throttled() }),
    safety: "idempotent",
    retry: Backoff.constant("1 millis").pipe(Backoff.times(3)),
    guards: [T]
  })

  it.effect("every attempt asks; a refusal on the first comes out as it is, a later one inside RetryExhausted", () =>
    Effect.gen(function* () {
      let sent = 0
      const busy = Effect.suspend(() => (sent++, Effect.fail(new Busy()))).pipe(Policy.withResilience(policy))
      const fiber = yield* Effect.forkChild(Effect.exit(busy).pipe(lucky), { startImmediately: true })
      yield* TestClock.adjust("3 millis")
      const first = errorOf(yield* Fiber.join(fiber))
      assert.strictEqual(first?._tag, "RetryExhausted")
      assert.strictEqual(sent, 4)
      assert.strictEqual((yield* T.snapshot()).requests, 4)

      const refused = errorOf(yield* Effect.exit(busy.pipe(unlucky)))
      assert.instanceOf(refused, Throttle.Throttled)
      assert.strictEqual(sent, 4)

      // the first attempt draws luck, the second does not
      const drawn = [0.9, 0]
      const sequence = { nextDoubleUnsafe: () => drawn.shift() ?? assert.fail(), nextIntUnsafe: () => assert.fail() }
      const retried = yield* Effect.forkChild(Effect.exit(busy.pipe(Effect.provideService(Random.Random, sequence))), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 millis")
      const exhausted = errorOf(yield* Fiber.join(retried))
      if (exhausted?._tag !== "RetryExhausted") return assert.fail(String(exhausted))
      assert.deepStrictEqual([exhausted.reason, exhausted.deniedBy], ["rejected", "app/T"])
      assert.instanceOf(exhausted.rejection, Throttle.Throttled)
      assert.strictEqual(sent, 5)
      // one draw an attempt, and none for looking
      assert.deepStrictEqual(drawn, [])
    }).pipe(Effect.provide(T.layer))
  )

  it.effect("the same seed, the same refusals", () =>
    Effect.gen(function* () {
      const run = (seed: number) =>
        Effect.gen(function* () {
          settle(yield* T, 10, failed)
          const exits = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.exit(T.protect(ok)))
          return exits.map(Exit.isSuccess)
        }).pipe(Effect.provide(T.layer), Random.withSeed(seed))
      const [one, same, other] = [yield* run(1), yield* run(1), yield* run(2)]
      assert.deepStrictEqual(one, same)
      assert.notDeepEqual(one, other)
      assert.include(one, true)
      assert.include(one, false)
    })
  )

  it.effect("the events tell why", () =>
    Effect.gen(function* () {
      const heard: Array<Event> = []
      const listening = Effect.provideService(CurrentListener, (event: Event) => void heard.push(event))
      const throttle = yield* T
      settle(throttle, 20, success, { priority: "critical" })
      settle(throttle, 60, failed)
      yield* T.protect(ok).pipe(unlucky, listening, Effect.exit)
      yield* T.protect(ok).pipe(draws(0.6), listening, Effect.exit)
      assert.deepStrictEqual(
        heard.map((event) => event._tag === "GuardRejected" && [event.guard, event.error, event.reason]),
        [
          ["app/T", "Throttled", "overload"],
          ["app/T", "Throttled", "priority"]
        ]
      )
    }).pipe(Effect.provide(T.layer))
  )
})

describe("priorities", () => {
  it.effect("the least important calls are refused first", () =>
    Effect.gen(function* () {
      const throttle = yield* T
      settle(throttle, 10, success, { priority: "critical" })
      settle(throttle, 10, success, { priority: "normal" })
      settle(throttle, 20, failed, { priority: "background" })
      settle(throttle, 39, failed, { priority: "normal" })
      // 79 requests, 20 accepted: 39/80, of which the background can bear 20/79
      const { byPriority, rejectionRate } = yield* T.snapshot()
      assert.strictEqual(rejectionRate, 39 / 80)
      assert.deepStrictEqual(
        [byPriority.critical, byPriority.high, byPriority.low, byPriority.background],
        [0, 0, 0.8, 0.8]
      )
      assert.approximately(byPriority.normal, (39 / 80 - 20 / 79) / (49 / 79), 1e-12)

      const protect = (level: Priority.Priority) => Effect.exit(T.protect(ok).pipe(unlucky, Priority.at(level)))
      assert.isTrue(Exit.isSuccess(yield* protect("critical")))
      assert.isTrue(Exit.isSuccess(yield* protect("high")))
      for (const level of ["normal", "low", "background"] as const) rejectionOf(yield* protect(level))
    }).pipe(Effect.provide(T.layer))
  )

  it.effect("a call is counted at its own priority", () =>
    Effect.gen(function* () {
      for (const level of Priority.levels) yield* Effect.exit(T.protect(fail).pipe(lucky, Priority.at(level)))
      // five requests of five levels, none accepted: 5/6 above the ceiling of 4/5
      const { byPriority } = yield* T.snapshot()
      assert.deepStrictEqual(
        Priority.levels.map((level) => Number(byPriority[level].toFixed(6))),
        [0, 0.8, 0.8, 0.8, 0.8]
      )
    }).pipe(Effect.provide(T.layer))
  )
})

describe("the guard", () => {
  it.effect("hands out one object for each priority and each reason, and draws only if it may refuse", () =>
    Effect.gen(function* () {
      const throttle = yield* T
      const never = call({ random: () => assert.fail("drawn") })
      const first = throttle.admit(never)
      assert.strictEqual(first._tag, "Admitted")
      assert.strictEqual(throttle.admit({ ...never, now: 5, emit: () => {} }), first)
      assert.notStrictEqual(throttle.admit({ ...never, priority: "low" }), first)
      settle(throttle, 20, success, { priority: "critical" })
      settle(throttle, 60, failed)
      const refuse = (u: number) => {
        const admission = throttle.admit(call({ random: () => u }))
        if (admission._tag !== "Rejected") return assert.fail(admission._tag)
        return admission
      }
      const [one, same, other] = [refuse(0), refuse(0.01), refuse(0.6)]
      assert.strictEqual(one, same)
      assert.deepStrictEqual([one.rejection.reason, other.rejection.reason], ["overload", "priority"])
      assert.strictEqual(refuse(0.6), other)
      assert.notInclude(one.rejection.stack ?? "", "at ")
    }).pipe(Effect.provide(T.layer))
  )
})

describe("Throttled", () => {
  const busy = (retryAfter?: Duration.Input) => outcome("throttled", "ignored", retryAfter)
  const refused = Effect.gen(function* () {
    return rejectionOf(yield* Effect.exit(T.protect(ok).pipe(unlucky)))
  })

  it.effect("says what was refused, and that nothing was sent", () =>
    Effect.gen(function* () {
      settle(yield* T, 4, busy())
      const error = yield* refused
      assert.isUndefined(error.retryAfter)
      assert.strictEqual(
        error.message,
        "the throttle app/T refused the call, which was not sent: the dependency has not accepted enough of the latest calls, so a " +
          "part of them is refused here. Try again later"
      )
    }).pipe(Effect.provide(T.layer))
  )

  it("has a message for each reason, with its key", () => {
    const { message } = new Throttle.Throttled({
      throttle: "app/T",
      key: "acme",
      reason: "priority",
      retryAfter: Duration.seconds(3)
    })
    assert.include(message, "the throttle app/T of acme refused the call, which was not sent")
    assert.include(message, "a part of them is refused here, and this one in place of a more important one.")
    assert.include(message, "Try again in 3s, as the dependency has asked for")
  })

  it.effect("knows what is left of the time that the dependency has asked for, when it is read", () =>
    Effect.gen(function* () {
      const throttle = yield* T
      settle(throttle, 3, busy("2 seconds"))
      settle(throttle, 1, busy())
      const error = yield* refused
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(2))
      assert.include(error.message, "Try again in 2s, as the dependency has asked for")
      yield* TestClock.adjust(Duration.nanos(500_000n))
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(2))
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual({ ...error }.retryAfter, Duration.millis(500))
      yield* TestClock.adjust("500 millis")
      assert.isUndefined(error.retryAfter)
      // another outcome may ask for patience, too, but for no more than a window
      settle(throttle, 1, outcome("transient", "failed", "1 hours"), { now: 2000 })
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(10))
      // what was interrupted has nothing to say
      yield* TestClock.adjust("10 seconds")
      settle(throttle, 1, outcome("interrupted", "ignored", "5 seconds"), { now: 12_000 })
      assert.isUndefined(error.retryAfter)
    }).pipe(Effect.provide(T.layer))
  )

  it.effect("read outside of any fiber, it goes by the clock that the layer was built with", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("5 seconds")
      settle(yield* T, 4, busy("3 seconds"), { now: 5000 })
      const error = yield* refused
      yield* Effect.promise(async () => {
        await Promise.resolve()
        assert.isUndefined(Fiber.getCurrent())
        assert.deepStrictEqual(error.retryAfter, Duration.seconds(3))
      })
      const clock = yield* Clock.clockWith(Effect.succeed)
      const later = new Proxy(clock, {
        get: (target, property) =>
          property === "monotonicTimeNanosUnsafe" ? () => 7_000_000_000n : Reflect.get(target, property)
      })
      yield* Effect.sync(() => assert.deepStrictEqual(error.retryAfter, Duration.seconds(1))).pipe(
        Effect.provideService(Clock.Clock, later)
      )
    }).pipe(Effect.provide(T.layer))
  )
})

describe("the options", () => {
  it.effect("the bounds themselves are allowed", () =>
    Effect.gen(function* () {
      settle(yield* T, 1, failed)
      assert.strictEqual((yield* T.snapshot()).rejectionRate, 1 / 1.001)
      assert.strictEqual((yield* T.snapshot()).byPriority.low, 1)
    }).pipe(
      Effect.provide(
        T.layerWith({ k: 1, padding: 0.001, maxRejectionRate: 1, minimumRequests: 1, window: Duration.nanos(1n) })
      )
    )
  )

  it.effect("by default: k 2, a padding of 1, 30 seconds, at most 9/10, from ten requests on", () =>
    Effect.gen(function* () {
      const throttle = yield* D
      settle(throttle, 9, failed)
      assert.strictEqual((yield* D.snapshot()).rejectionRate, 0)
      settle(throttle, 1, failed)
      assert.strictEqual((yield* D.snapshot()).rejectionRate, 0.9)
      settle(throttle, 3, success)
      // 13 requests, 3 accepted
      assert.strictEqual((yield* D.snapshot()).rejectionRate, 7 / 14)
      yield* TestClock.adjust("29999 millis")
      assert.strictEqual((yield* D.snapshot()).requests, 13)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* D.snapshot()).requests, 0)
    }).pipe(Effect.provide(D.layer))
  )
  class D extends Throttle.Service<D>()("app/D") {}

  it.effect("a layer changes single members; undefined is as in the class", () =>
    Effect.gen(function* () {
      class C extends Throttle.Service<C>()("app/C", {
        ...small,
        k: 1,
        count: { failed: "ignored", defect: "ignored" },
        keys: { max: 2, idleTimeToLive: "1 minute" }
      }) {}
      yield* Effect.gen(function* () {
        const throttle = yield* C
        settle(throttle, 1, failed, { key: "a" })
        settle(throttle, 1, outcome("defect", "failed"), { key: "a" })
        settle(throttle, 3, success, { key: "a" })
        // 4 requests, 3 accepted, k = 1, padding = 2
        const { accepts, rejectionRate, requests } = yield* C.snapshot("a")
        assert.deepStrictEqual([requests, accepts, rejectionRate], [4, 3, 1 / 6])
        settle(throttle, 1, success, { key: "b", now: 30_000 })
        assert.strictEqual((yield* C.snapshots).length, 1)
        yield* TestClock.adjust("89 seconds")
        assert.strictEqual((yield* C.snapshots).length, 1)
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual((yield* C.snapshots).length, 0)
      }).pipe(
        Effect.provide(
          C.layerWith({ k: undefined, padding: 2, count: { defect: "refused", failed: undefined }, keys: { max: 1 } })
        )
      )
    })
  )
})

describe("keys", () => {
  it.effect("one that refuses is not forgotten for being idle", () =>
    Effect.gen(function* () {
      const throttle = yield* K
      settle(throttle, 6, failed, { key: "down" })
      settle(throttle, 6, success, { key: "up" })
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(
        (yield* K.snapshots).map(({ key }) => key),
        ["down"]
      )
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* K.snapshots, [])
    }).pipe(Effect.provide(K.layerWith({ keys: { idleTimeToLive: "1 second" } })))
  )
})
