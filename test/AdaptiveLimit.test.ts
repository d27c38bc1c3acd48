// The guard around the algorithms: who is let in, who is refused and why, and what the limit learns from. What the algorithms make of
// it: test/internal/limits.test.ts and test/AdaptiveLimit.simulation.test.ts. What all guards have in common: test/guards.test.ts.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import * as AdaptiveLimit from "../src/AdaptiveLimit.ts"
import * as Backoff from "../src/Backoff.ts"
import * as Bulkhead from "../src/Bulkhead.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import * as Policy from "../src/Policy.ts"
import * as Priority from "../src/Priority.ts"
import { asking as call, fork, Net, scripted } from "./kit.ts"
import { runInterrupted } from "./virtual.ts"

/** A limit that stays as it is. */
const fixed = (limit: number) => AdaptiveLimit.aimd({ initial: limit, min: limit, max: limit, slowerThan: "1 minute" })
/** A limit that takes a step after every second call: one up, or a tenth down for any drop. */
const eager = (initial: number) =>
  AdaptiveLimit.aimd({ initial, slowerThan: "1 second", dropTolerance: 0, window: { min: "1 millis", samples: 2 } })

class L extends AdaptiveLimit.Service<L>()("app/L", { algorithm: fixed(1) }) {}
class Q extends AdaptiveLimit.Service<Q>()("app/Q", {
  algorithm: fixed(1),
  queue: { maxQueue: 10, maxWait: "1 minute" }
}) {}

const ok = Effect.succeed("ok")
const hold = (ms: number) => Effect.sleep(ms)

const errorOf = <E>(exit: Exit.Exit<unknown, E>): E | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
/** "ok", why it was refused, or the tag of another error. */
const tag = (exit: Exit.Exit<unknown, unknown>) => {
  const error = errorOf(exit)
  if (error instanceof AdaptiveLimit.ConcurrencyLimited) return error.reason
  return Exit.isSuccess(exit) ? "ok" : ((error as { readonly _tag?: string } | undefined)?._tag ?? "interrupted")
}
/** How it ended so far. */
const polled = (fiber: Fiber.Fiber<unknown, unknown>) => {
  const exit = fiber.pollUnsafe()
  return exit === undefined ? "waiting" : tag(exit)
}

const outcome = (kind: Guard.OutcomeKind, health: Guard.Outcome["health"]): Guard.Outcome => ({
  kind,
  health,
  retryAfter: undefined
})
const success = outcome("success", "ok")
const timeout = outcome("timeout", "failed")
const interrupted = outcome("interrupted", "ignored")

const admitted = (admission: Guard.Admission<unknown>): Guard.Permit => {
  if (admission._tag !== "Admitted") throw new Error(`expected an admission, not ${admission._tag}`)
  return admission.permit
}
const reasonOf = (admission: Guard.Admission<AdaptiveLimit.ConcurrencyLimited>) =>
  admission._tag === "Rejected" ? admission.rejection.reason : admission._tag

const nothingKept = { critical: 0, high: 0, normal: 0, low: 0, background: 0 }
const snapshot = (over: Partial<AdaptiveLimit.Snapshot> = {}): AdaptiveLimit.Snapshot => ({
  key: undefined,
  limit: 1,
  probing: false,
  noLoad: undefined,
  inFlight: 0,
  waiting: 0,
  keptFree: nothingKept,
  ...over
})

describe("the guard", () => {
  it.effect("a free slot is had synchronously, and the next time allocates nothing", () =>
    Effect.gen(function* () {
      const guard = yield* L
      const [first, second] = [guard.admit(call()), guard.admit(call())]
      assert.notStrictEqual(first, second)
      void admitted(second).settle(success, 1, 1)
      void admitted(first).settle(success, 1, 1)
      assert.strictEqual(guard.admit(call({ now: 5, emit: () => {} })), first)
      assert.strictEqual(guard.admit(call()), second)
    }).pipe(Effect.provide(L.layerWith({ algorithm: fixed(2) })))
  )
})

describe("what it learns from", () => {
  /** The limit after two calls that ended so; it was 10. */
  const after = (it: Guard.Outcome, count: AdaptiveLimit.CountOptions = {}, elapsed = 10) =>
    Effect.gen(function* () {
      const guard = yield* L
      // enough of them in flight for the limit to grow
      const others = [1, 2, 3, 4, 5].map(() => admitted(guard.admit(call())))
      for (const now of [0, 100]) void admitted(guard.admit(call())).settle(it, elapsed, now)
      const { inFlight, limit } = yield* L.snapshot()
      assert.strictEqual(inFlight, 5)
      for (const other of others) void other.settle(interrupted, 0, 100)
      return limit === 11 ? "answered" : limit === 9 ? "dropped" : limit === 10 ? "nothing" : limit
    }).pipe(Effect.provide(L.layerWith({ algorithm: eager(10), count })))

  const table: ReadonlyArray<readonly [string, Guard.Outcome, AdaptiveLimit.CountOptions, string]> = [
    ["a success", success, {}, "answered"],
    ["a permanent fault: the dependency answered", outcome("permanent", "ok"), {}, "answered"],
    ["one that is answered by a cache, says the classifier", outcome("permanent", "ignored"), {}, "nothing"],
    ["a permanent fault that the classifier calls failed", outcome("permanent", "failed"), {}, "dropped"],
    ["a transient fault", outcome("transient", "failed"), {}, "dropped"],
    ["a transient fault, not counted", outcome("transient", "failed"), { failed: "ignored" }, "nothing"],
    ["a transient fault that says nothing of the dependency", outcome("transient", "ignored"), {}, "nothing"],
    ["an unrecognised error", outcome("unrecognised", "failed"), {}, "dropped"],
    ["an unrecognised error, not counted", outcome("unrecognised", "failed"), { failed: "ignored" }, "nothing"],
    ["a timeout", timeout, {}, "dropped"],
    [
      "a timeout, whatever is counted",
      timeout,
      { failed: "ignored", throttled: "ignored", defect: "ignored" },
      "dropped"
    ],
    ["throttled", outcome("throttled", "ignored"), {}, "dropped"],
    ["throttled, counted as failed", outcome("throttled", "failed"), {}, "dropped"],
    ["throttled, but only the caller's share is used up", outcome("throttled", "ok"), {}, "nothing"],
    ["throttled, not counted", outcome("throttled", "ignored"), { throttled: "ignored" }, "nothing"],
    ["a defect", outcome("defect", "failed"), {}, "nothing"],
    ["a defect, counted", outcome("defect", "failed"), { defect: "dropped" }, "dropped"],
    ["a defect that says nothing", outcome("defect", "ignored"), { defect: "dropped" }, "nothing"],
    ["a defect after an answer", outcome("defect", "ok"), {}, "answered"],
    ["an interruption, whatever its health", outcome("interrupted", "failed"), { defect: "dropped" }, "nothing"]
  ]
  for (const [what, it_, count, meaning] of table) {
    it.effect(`${what}: ${meaning}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* after(it_, count), meaning)
      })
    )
  }

  it.effect("an answer in less than 0.1 ms has not come from the dependency; a drop may", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* after(success, {}, 0.09), "nothing")
      assert.strictEqual(yield* after(success, {}, 0.1), "answered")
      assert.strictEqual(yield* after(timeout, {}, 0), "dropped")
    })
  )

  it.effect("a call that takes too long has been answered, and is too slow", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* after(success, {}, 1000), "answered")
      assert.strictEqual(yield* after(success, {}, 1001), "dropped")
    })
  )

  it.effect("what was refused teaches nothing", () =>
    Effect.gen(function* () {
      const guard = yield* L
      admitted(guard.admit(call()))
      for (let i = 0; i < 100; i++) {
        guard.look(call({ now: i }))
        guard.admit(call({ now: i }))
      }
      assert.strictEqual((yield* L.snapshot()).limit, 1)
    }).pipe(Effect.provide(L.layerWith({ algorithm: eager(1) })))
  )

  it.effect("how many were in flight when the call began counts, it included, and not when it ended", () =>
    Effect.gen(function* () {
      const grows = (began: number) =>
        Effect.gen(function* () {
          const guard = yield* L
          const permits = Array.from({ length: 9 }, () => admitted(guard.admit(call())))
          const [first, last] = [permits[began - 1]!, permits[0]!]
          // of two that began as the first and as the n-th, when all others have gone
          for (const permit of permits) if (permit !== first && permit !== last) void permit.settle(interrupted, 0, 0)
          void first.settle(success, 1, 0)
          void (first === last ? admitted(guard.admit(call())) : last).settle(success, 1, 100)
          return (yield* L.snapshot()).limit > 10
        }).pipe(Effect.provide(L.layerWith({ algorithm: eager(10) })))
      assert.deepStrictEqual(
        [yield* grows(1), yield* grows(4), yield* grows(5), yield* grows(9)],
        [false, false, true, true]
      )
    })
  )

  it.effect("through protect: the classifier tells what counts", () =>
    Effect.gen(function* () {
      const twice = (self: Effect.Effect<unknown, string>) =>
        Effect.gen(function* () {
          const run = L.protect(Effect.andThen(hold(10), self), {
            faults: Fault.make<unknown>((error) =>
              error === "from the cache" ? Fault.permanent({ health: "ignored" }) : Fault.transient()
            )
          })
          for (let i = 0; i < 2; i++) {
            yield* fork(Effect.exit(run))
            yield* TestClock.adjust(10)
          }
          return (yield* L.snapshot()).limit
        }).pipe(Effect.provide(L.layerWith({ algorithm: eager(2) })))
      assert.strictEqual(yield* twice(ok), 3)
      assert.strictEqual(yield* twice(Effect.fail("down")), 1)
      assert.strictEqual(yield* twice(Effect.fail("from the cache")), 2)
      assert.strictEqual(yield* twice(Effect.interrupt), 2)
    })
  )
})

describe("the priority, without a queue", () => {
  it.effect("what an important call is refused is kept free from the others, and given up again", () =>
    Effect.gen(function* () {
      const guard = yield* L
      const permits = [1, 2, 3, 4].map(() => admitted(guard.admit(call({ priority: "background" }))))
      // nobody was refused, so background calls had all of it
      assert.strictEqual(reasonOf(guard.admit(call({ priority: "critical" }))), "limit")
      assert.strictEqual(guard.look(call({ priority: "high" }))?.reason, "limit")
      assert.deepStrictEqual((yield* L.snapshot()).keptFree, { critical: 0, high: 1, normal: 2, low: 2, background: 2 })
      for (const permit of permits.slice(0, 2)) void permit.settle(interrupted, 0, 0)
      // two are free
      for (const priority of ["normal", "low", "background"] as const) {
        assert.strictEqual(guard.look(call({ priority }))?.reason, "priority")
        assert.strictEqual(reasonOf(guard.admit(call({ priority }))), "priority")
      }
      void admitted(guard.admit(call({ priority: "high" })))
      assert.strictEqual(reasonOf(guard.admit(call({ priority: "high" }))), "priority")
      void admitted(guard.admit(call({ priority: "critical" })))
      assert.strictEqual(reasonOf(guard.admit(call({ priority: "critical" }))), "limit")
      for (const permit of permits.slice(2)) void permit.settle(interrupted, 0, 0)
      const { background: kept } = (yield* L.snapshot()).keptFree
      yield* TestClock.adjust("1 second")
      // a third of the time in which it halves; in whole slots
      assert.strictEqual((yield* L.snapshot()).keptFree.background, Math.floor(kept * 2 ** (-1 / 3)))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* L.snapshot()).keptFree, nothingKept)
      const background = call({ priority: "background", now: 61_000 })
      admitted(guard.admit(background))
      admitted(guard.admit(background))
      assert.strictEqual(reasonOf(guard.admit(background)), "limit")
    }).pipe(Effect.provide(L.layerWith({ algorithm: fixed(4) })))
  )

  it.effect("a critical call is never refused while a slot is free", () =>
    Effect.gen(function* () {
      const guard = yield* L
      const held: Array<Guard.Permit> = []
      for (let i = 0; i < 2000; i++) {
        const priority = Priority.levels[(i * 7) % 5]!
        const { inFlight, limit } = yield* L.snapshot()
        const admission = guard.admit(call({ priority, now: i * 10 }))
        if (priority === "critical") assert.strictEqual(admission._tag === "Admitted", inFlight < limit)
        if (admission._tag === "Admitted") held.push(admission.permit)
        if (i % 3 === 0) void held.shift()?.settle(success, 50, i * 10)
      }
    }).pipe(Effect.provide(L.layerWith({ algorithm: AdaptiveLimit.gradient2({ initial: 10 }) })))
  )

  it.effect("in a probe nothing is learned of it", () =>
    Effect.gen(function* () {
      const guard = yield* L
      const full = () =>
        Array.from({ length: 10 }, () => guard.admit(call({ now }))).filter((it) => it._tag === "Admitted")
      let now = 0
      while (!(yield* L.snapshot()).probing) {
        const permits = full()
        assert.strictEqual(permits.length, 10)
        assert.strictEqual(reasonOf(guard.admit(call({ now, priority: "background" }))), "limit")
        now += 1000
        for (const permit of permits) void admitted(permit).settle(success, 100, now)
        assert.isBelow(now, 100_000)
      }
      assert.strictEqual(full().length, 7)
      assert.strictEqual(reasonOf(guard.admit(call({ now, priority: "critical" }))), "limit")
      assert.deepStrictEqual((yield* L.snapshot()).keptFree, nothingKept)
      assert.deepStrictEqual((yield* L.snapshot()).noLoad, Duration.millis(100))
    }).pipe(Effect.provide(L.layerWith({ algorithm: AdaptiveLimit.vegas({ initial: 10, max: 10 }) })))
  )
})

describe("with a queue", () => {
  it.effect("nothing is kept free for those that matter more: they are let in first", () =>
    Effect.gen(function* () {
      yield* fork(Q.protect(Effect.never))
      const waiting = yield* Effect.forEach(Priority.levels, (level) =>
        fork(Q.protect(Effect.never).pipe(Priority.at(level)))
      )
      assert.deepStrictEqual(yield* Q.snapshot(), snapshot({ inFlight: 1, waiting: 5 }))
      yield* Effect.forEach(waiting, Fiber.interrupt)
    }).pipe(Effect.provide(Q.layer))
  )

  it.effect("a limit that grows lets in those that wait; under one that falls nobody is let in until fewer run", () =>
    Effect.gen(function* () {
      const guard = yield* Q
      const running = [admitted(guard.admit(call())), admitted(guard.admit(call()))]
      const waiting = yield* Effect.forEach([1, 2, 3], () => fork(Q.protect(hold(10_000))))
      void running[0]!.settle(success, 1, 0)
      assert.deepStrictEqual(yield* Q.snapshot(), snapshot({ limit: 2, inFlight: 2, waiting: 2 }))
      void running[1]!.settle(success, 1, 100)
      // one in its place, and one more
      assert.deepStrictEqual(yield* Q.snapshot(), snapshot({ limit: 3, inFlight: 3, waiting: 0 }))
      const more = yield* Effect.forEach([1, 2], () => fork(Q.protect(hold(10_000))))
      for (const fiber of waiting.slice(0, 2)) yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* Q.snapshot(), snapshot({ limit: 3, inFlight: 3, waiting: 0 }))
      yield* Effect.forEach([...waiting, ...more], Fiber.interrupt)
      const three = [1, 2, 3].map(() => admitted(guard.admit(call())))
      const last = yield* fork(Q.protect(ok))
      void three[0]!.settle(timeout, 1, 200)
      // the slot went to the one that waited, who has ended
      assert.strictEqual(polled(last), "ok")
      const again = yield* fork(Effect.andThen(Q.protect(hold(1)), ok))
      const blocked = yield* fork(Q.protect(ok))
      void three[1]!.settle(timeout, 1, 300)
      assert.strictEqual((yield* Q.snapshot()).limit, 2)
      assert.strictEqual(polled(blocked), "waiting")
      void three[2]!.settle(interrupted, 0, 300)
      assert.strictEqual(polled(blocked), "ok")
      yield* TestClock.adjust(1)
      assert.strictEqual(polled(again), "ok")
    }).pipe(Effect.provide(Q.layerWith({ algorithm: eager(2) })))
  )
})

describe("probes", () => {
  const ten = AdaptiveLimit.vegas({ initial: 10, max: 10 })

  /** Windows of ten calls of 100 ms, each with what `press` does; when the limit was lowered, and the window before. */
  const lowered = (guard: AdaptiveLimit.AdaptiveLimit, from: number, press: (now: number) => Effect.Effect<void>) =>
    Effect.gen(function* () {
      const at: Array<readonly [before: number, now: number]> = []
      let probing = false
      for (let now = from; now < from + 200_000; now += 250) {
        const permits: Array<Guard.Permit> = []
        for (let i = 0; i < 10; i++) {
          const admission = guard.admit(call({ now, deadline: now }))
          if (admission._tag === "Admitted") permits.push(admission.permit)
        }
        yield* press(now)
        // the first of them again and again, so that there are enough
        for (let i = permits.length; i < 10; i++) {
          void permits[0]!.settle(success, 100, now)
          permits[0] = admitted(guard.admit(call({ now })))
        }
        for (const permit of permits) void permit.settle(success, 100, now + 249)
        const is = (yield* guard.snapshot()).probing
        if (is && !probing) at.push([now - 1, now + 249])
        probing = is
      }
      return at
    })

  it.effect("come only where calls are refused, or wait", () =>
    Effect.gen(function* () {
      const refused = (guard: AdaptiveLimit.AdaptiveLimit) => (now: number) =>
        Effect.sync(() => void guard.admit(call({ now })))
      const nothing = () => () => Effect.void
      const waits = () => () => Effect.flatMap(fork(Q.protect(ok)), Fiber.interrupt)
      const count = (
        queue: AdaptiveLimit.QueueOptions,
        press: (guard: AdaptiveLimit.AdaptiveLimit) => (now: number) => Effect.Effect<unknown, never, Q>
      ) =>
        Effect.gen(function* () {
          const guard = yield* Q
          const context = yield* Effect.context<Q>()
          const pressing = (now: number) => Effect.asVoid(Effect.provide(press(guard)(now), context))
          return (yield* lowered(guard, 0, pressing)).length
        }).pipe(Effect.provide(Q.layerWith({ algorithm: ten, queue })))
      assert.strictEqual(yield* count({ maxQueue: 0 }, nothing), 0)
      assert.isAbove(yield* count({ maxQueue: 0 }, refused), 5)
      assert.strictEqual(yield* count({}, nothing), 0)
      assert.isAbove(yield* count({}, waits), 5)
    })
  )

  it.effect("of the clients of a dependency come together, by the date, whatever their monotonic clocks say", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.clockWith(Effect.succeed)
      /** A host that was started at another time. */
      const host = (monotonicMs: number) =>
        new Proxy(clock, {
          get: (target, property) =>
            property === "monotonicTimeNanosUnsafe"
              ? () => BigInt(monotonicMs) * 1_000_000n
              : Reflect.get(target, property)
        })
      yield* TestClock.adjust("1 hour")
      for (const monotonicMs of [0, 12_345]) {
        const at = yield* Effect.gen(function* () {
          const guard = yield* L
          return yield* lowered(guard, monotonicMs, (now) => Effect.sync(() => void guard.admit(call({ now }))))
        }).pipe(Effect.provide(L.layerWith({ algorithm: ten })), Effect.provideService(Clock.Clock, host(monotonicMs)))
        // the first three are early, and the fourth may have been due while it rested
        const later = at.slice(4)
        assert.isAtLeast(later.length, 8)
        for (const [before, now] of later) {
          const slot = (time: number) => Math.floor((time - monotonicMs + 3_600_000) / 16_384)
          assert.strictEqual(slot(now) - slot(before), 1, `lowered at ${now}`)
        }
      }
    })
  )
})

describe("ConcurrencyLimited", () => {
  it.effect("says when a slot may come free: an estimate from how long calls have held one", () =>
    Effect.gen(function* () {
      const guard = yield* L
      const permits = [admitted(guard.admit(call())), admitted(guard.admit(call()))]
      const error = guard.look(call())!
      assert.isUndefined(error.retryAfter)
      assert.strictEqual(
        error.message,
        "the concurrency limit app/L refused the call: as many calls are in flight as the dependency seems to be able to serve at once. Try again when a call has ended"
      )
      void permits[0]!.settle(success, 100, 0)
      assert.deepStrictEqual(error.retryAfter, Duration.zero)
      assert.include(error.message, "Try again now: a slot is free")
      admitted(guard.admit(call()))
      // two that take 100 ms: one ends every 50
      assert.deepStrictEqual(error.retryAfter, Duration.millis(50))
      assert.include(error.message, "Try again in about 50ms")
      // one that was given back unused says nothing
      void permits[1]!.settle(interrupted, 0, 0)
      admitted(guard.admit(call()))
      assert.deepStrictEqual(error.retryAfter, Duration.millis(50))
    }).pipe(Effect.provide(L.layerWith({ algorithm: fixed(2) })))
  )

  it.effect("where slots are kept free: how long until one more is, for a call of that priority", () =>
    Effect.gen(function* () {
      const guard = yield* L
      const permits = [1, 2, 3, 4].map(() => admitted(guard.admit(call())))
      for (let i = 0; i < 2; i++) guard.look(call({ priority: "high" }))
      guard.look(call({ priority: "normal" }))
      void permits[0]!.settle(success, 90, 0)
      const [normal, low] = [guard.look(call())!, guard.look(call({ priority: "low" }))!]
      assert.deepStrictEqual([normal.reason, low.reason], ["priority", "priority"])
      assert.strictEqual(guard.look(call()), normal)
      assert.notStrictEqual(normal, low)
      // 2 and 3 are kept (and one more for each look since); 3 are in flight, one ends every 30 ms
      assert.deepStrictEqual(normal.retryAfter, Duration.millis(60))
      assert.deepStrictEqual(low.retryAfter, Duration.millis(120))
      assert.include(normal.message, "the slots that are left are kept for calls of a higher priority")
      // 1 of them by now
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(normal.retryAfter, Duration.millis(30))
      // also where no fiber says what time it is
      yield* Effect.promise(async () => {
        await Promise.resolve()
        assert.isUndefined(Fiber.getCurrent())
        assert.deepStrictEqual(normal.retryAfter, Duration.millis(30))
      })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([normal.retryAfter, low.retryAfter], [Duration.zero, Duration.zero])
    }).pipe(Effect.provide(L.layerWith({ algorithm: fixed(4) })))
  )

  it("has a message for each reason", () => {
    const message = (reason: AdaptiveLimit.ConcurrencyLimited["reason"], key?: string) =>
      new AdaptiveLimit.ConcurrencyLimited({ limit: "app/L", key, reason, retryAfter: undefined }).message
    assert.include(message("limit", "host"), "the concurrency limit app/L of host refused the call: as many calls")
    assert.include(message("priority"), "kept for calls of a higher priority")
    assert.include(message("queue"), "and no more may wait")
    assert.include(message("displaced"), "had to make room for a call of a higher priority")
    assert.include(message("wait"), "as long as queue.maxWait allows")
  })
})

describe("in a policy", () => {
  it.effect("an attempt that times out has been dropped", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ name: "p", faults: Fault.all, attemptTimeout: "50 millis", guards: [L] })
      for (let i = 0; i < 2; i++) {
        yield* fork(Effect.exit(Effect.never.pipe(Policy.withResilience(policy))))
        yield* TestClock.adjust(50)
      }
      assert.strictEqual((yield* L.snapshot()).limit, 9)
    }).pipe(Effect.provide(L.layerWith({ algorithm: eager(10) })))
  )

  it.effect("beside a bulkhead: what waits in one holds no more than its place in the other", () =>
    Effect.gen(function* () {
      class B extends Bulkhead.Service<B>()("app/B", { maxConcurrent: 3 }) {}
      const policy = Policy.make({ name: "p", guards: [Q, B] })
      yield* Effect.gen(function* () {
        const fibers = yield* Effect.forEach([1, 2, 3], () => fork(hold(10).pipe(Policy.withResilience(policy))))
        yield* TestClock.adjust(30)
        assert.deepStrictEqual(fibers.map(polled), ["ok", "ok", "ok"])
        assert.deepStrictEqual([(yield* Q.snapshot()).inFlight, (yield* B.snapshot()).inFlight], [0, 0])
      }).pipe(Effect.provide([Q.layer, B.layer]))
    })
  )
})

describe("a closed loop: a server that serves eight at a time, in 100 ms each", () => {
  class Adaptive extends AdaptiveLimit.Service<Adaptive>()("app/Adaptive", {
    algorithm: AdaptiveLimit.gradient2({ initial: 2, max: 50 })
  }) {}
  const policy = Policy.make({ name: "server.get", faults: Fault.all, attemptTimeout: "1 second", guards: [Adaptive] })

  it.effect("the limit follows its capacity up and down, and nearly all that it can serve is served", () =>
    Effect.gen(function* () {
      let capacity = 8
      let working = 0
      const queue: Array<() => void> = []
      const done = () => {
        working--
        if (working < capacity) queue.shift()?.()
      }
      const serve = Effect.callback<void>((resume) => {
        const begin = () => {
          working++
          resume(Effect.void)
        }
        if (working < capacity) begin()
        else queue.push(begin)
        return Effect.sync(() => void (queue.includes(begin) ? queue.splice(queue.indexOf(begin), 1) : done()))
      }).pipe(Effect.andThen(Effect.sleep("100 millis")), Effect.ensuring(Effect.sync(done)))
      let served = 0
      const request = serve.pipe(
        Policy.withResilience(policy),
        Effect.andThen(Effect.sync(() => served++)),
        Effect.ignore
      )
      /** Three times what it can serve, for so long; in the second half of it, what was served of that, and the mean limit. */
      const load = (seconds: number) =>
        Effect.gen(function* () {
          let before = 0
          const limits: Array<number> = []
          for (let tick = 0; tick < seconds * 20; tick++) {
            if (tick === seconds * 10) before = served
            for (let i = 0; i < Math.ceil(capacity * 1.5); i++) yield* fork(request)
            yield* TestClock.adjust(50)
            if (tick >= seconds * 10) limits.push((yield* Adaptive.snapshot()).limit)
          }
          return {
            goodput: (served - before) / (seconds / 2) / (capacity * 10),
            limit: limits.reduce((sum, limit) => sum + limit, 0) / limits.length
          }
        })
      const first = yield* load(40)
      assert.approximately(first.limit, 8, 2)
      assert.isAbove(first.goodput, 0.85)
      assert.deepStrictEqual((yield* Adaptive.snapshot()).noLoad, Duration.millis(100))
      capacity = 4
      const halved = yield* load(40)
      assert.approximately(halved.limit, 4, 1.6)
      assert.isAbove(halved.goodput, 0.85)
      capacity = 16
      const grown = yield* load(60)
      assert.approximately(grown.limit, 16, 2.4)
      assert.isAbove(grown.goodput, 0.85)
    }).pipe(Effect.provide(Adaptive.layer))
  )
})

describe("the options", () => {
  const { aimd, gradient2, vegas } = AdaptiveLimit
  const algorithms: ReadonlyArray<readonly [string, () => unknown]> = [
    ...[aimd, vegas, gradient2].flatMap((make) => [
      [`AdaptiveLimit.${make.name}: min`, () => make({ min: 0 })] as const,
      [`AdaptiveLimit.${make.name}: min`, () => make({ min: 1.5 })] as const,
      [`AdaptiveLimit.${make.name}: max`, () => make({ max: 0 })] as const,
      [`AdaptiveLimit.${make.name}: max`, () => make({ min: 30, max: 29 })] as const,
      [`AdaptiveLimit.${make.name}: initial`, () => make({ initial: 0 })] as const,
      [`AdaptiveLimit.${make.name}: initial`, () => make({ initial: 201 })] as const,
      [`AdaptiveLimit.${make.name}: initial`, () => make({ initial: 2.5 })] as const,
      [`AdaptiveLimit.${make.name}: dropTolerance`, () => make({ dropTolerance: -0.1 })] as const,
      [`AdaptiveLimit.${make.name}: dropTolerance`, () => make({ dropTolerance: 1.1 })] as const,
      [`AdaptiveLimit.${make.name}: window.min`, () => make({ window: { min: 0 } })] as const,
      [`AdaptiveLimit.${make.name}: window.max`, () => make({ window: { max: Duration.infinity } })] as const,
      [
        `AdaptiveLimit.${make.name}: window.max`,
        () => make({ window: { min: "2 seconds", max: "1 second" } })
      ] as const,
      [`AdaptiveLimit.${make.name}: window.samples`, () => make({ window: { samples: 0 } })] as const
    ]),
    ["AdaptiveLimit.aimd: backoffRatio", () => aimd({ backoffRatio: 0.49 })],
    ["AdaptiveLimit.aimd: backoffRatio", () => aimd({ backoffRatio: 1 })],
    ["AdaptiveLimit.aimd: backoffRatio", () => aimd({ backoffRatio: Number.NaN })],
    ["AdaptiveLimit.aimd: slowerThan", () => aimd({ slowerThan: 0 })],
    ["AdaptiveLimit.aimd: queueSize", () => aimd({ queueSize: 0 })],
    ["AdaptiveLimit.gradient2: queueSize", () => gradient2({ queueSize: Number.NaN })],
    ["AdaptiveLimit.gradient2: queueSize", () => gradient2({ queueSize: "4" as any })],
    ["AdaptiveLimit.gradient2: queueSize", () => gradient2({ queueSize: () => 0 })],
    ["AdaptiveLimit.gradient2: queueSize", () => gradient2({ queueSize: (limit) => (limit === 1 ? Number.NaN : 1) })],
    [
      "AdaptiveLimit.gradient2: queueSize",
      () => gradient2({ queueSize: (limit) => (limit === 200 ? Number.POSITIVE_INFINITY : 1) })
    ],
    ["AdaptiveLimit.gradient2: smoothing", () => gradient2({ smoothing: 0 })],
    ["AdaptiveLimit.vegas: smoothing", () => vegas({ smoothing: 1.1 })],
    ["AdaptiveLimit.gradient2: tolerance", () => gradient2({ tolerance: 0.9 })],
    ["AdaptiveLimit.gradient2: longWindow", () => gradient2({ longWindow: 0 })],
    ["AdaptiveLimit.vegas: beta", () => vegas({ alpha: 0, beta: 0 })],
    ["AdaptiveLimit.vegas: alpha", () => vegas({ alpha: 2, beta: 1.9 })],
    ["AdaptiveLimit.vegas: alpha", () => vegas({ alpha: -1 })],
    ["AdaptiveLimit.vegas: threshold", () => vegas({ threshold: 1.1 })],
    ["AdaptiveLimit.vegas: threshold", () => vegas({ threshold: -1 })]
  ]
  for (const [option, make] of algorithms) {
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

  it("the bounds themselves are allowed; a limit that is not said begins as near to 20 as it may", () => {
    for (const make of [aimd, vegas, gradient2]) {
      make({ min: 1, max: 1, initial: 1, dropTolerance: 0, window: { min: 1, max: 1, samples: 1 } })
      make({ dropTolerance: 1 })
    }
    aimd({ backoffRatio: 0.5 })
    vegas({ alpha: 3, beta: 3, threshold: 3, smoothing: 1 })
    gradient2({ tolerance: 1, smoothing: 1, longWindow: 1, queueSize: 0.1 })
  })

  it.effect("by default Gradient2, from 20 calls on, and nobody waits", () =>
    Effect.gen(function* () {
      class Default extends AdaptiveLimit.Service<Default>()("app/Default") {}
      const initial = (algorithm?: AdaptiveLimit.Algorithm) =>
        Default.snapshot().pipe(Effect.provide(Default.layerWith({ algorithm })))
      assert.deepStrictEqual(yield* initial(), snapshot({ limit: 20 }))
      assert.strictEqual((yield* initial(vegas({ max: 15 }))).limit, 15)
      assert.strictEqual((yield* initial(vegas({ min: 25 }))).limit, 25)
      yield* Effect.gen(function* () {
        const guard = yield* Default
        for (let i = 0; i < 20; i++) admitted(guard.admit(call()))
        assert.strictEqual(reasonOf(guard.admit(call())), "limit")
      }).pipe(Effect.provide(Default.layer))
    })
  )

  it.effect("a layer changes single members; undefined is as in the class", () =>
    Effect.gen(function* () {
      const running = yield* fork(Q.protect(hold(1000)))
      const waiting = [yield* fork(Q.protect(ok)), yield* fork(Q.protect(ok))]
      assert.deepStrictEqual(waiting.map(polled), ["waiting", "queue"])
      // as in the class: a minute
      yield* TestClock.adjust("900 millis")
      assert.strictEqual(polled(waiting[0]!), "waiting")
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual([running, waiting[0]!].map(polled), ["ok", "ok"])
    }).pipe(
      Effect.provide(
        Q.layerWith({ algorithm: undefined, queue: { maxQueue: 1, maxWait: undefined }, count: undefined })
      )
    )
  )
})

describe("interrupted at every operation, nothing is left", () => {
  const policy = Policy.make({
    name: "p",
    faults: Fault.all,
    safety: "idempotent",
    retry: Backoff.constant(2).pipe(Backoff.times(1)),
    guards: [Q]
  })
  const work = Effect.as(Effect.sleep(5), "done")
  const scenarios: Record<string, () => Effect.Effect<unknown, unknown, Q>> = {
    "with protect": () => Q.protect(work),
    "in a policy": () =>
      scripted<string, Net>(Effect.fail(new Net({})), work).effect.pipe(Policy.withResilience(policy))
  }
  for (const [name, scenario] of Object.entries(scenarios)) {
    for (const waits of [false, true]) {
      it(`${name}, ${waits ? "waiting" : "running"}`, () => {
        const run = (at: number | undefined, yielding: boolean) => {
          let left: unknown
          const program = Effect.gen(function* () {
            const holder = waits ? yield* Effect.forkScoped(Q.protect(work), { startImmediately: true }) : undefined
            yield* Effect.onExit(scenario(), () =>
              Effect.gen(function* () {
                if (holder !== undefined) yield* Fiber.join(holder)
                const { inFlight, waiting } = yield* Q.snapshot()
                left = [inFlight, waiting, yield* Q.protect(work)]
              })
            )
          }).pipe(Effect.scoped, Effect.provide(Q.layer))
          return { ...runInterrupted(program, at, yielding), left }
        }
        const whole = run(undefined, false)
        assert.deepStrictEqual(whole.exit, Exit.void)
        let interrupted = 0
        for (let at = 0; at <= whole.operations; at++) {
          for (const yielding of [true, false]) {
            const { exit, left, openFibers, sleepers } = run(at, yielding)
            const where = `interrupted at operation ${at}, yielding: ${yielding}`
            assert.isDefined(exit, where)
            assert.deepStrictEqual([openFibers, sleepers], [0, 0], where)
            // before the call began there is nothing to leave
            if (left !== undefined) assert.deepStrictEqual(left, [0, 0, "done"], where)
            if (Exit.hasInterrupts(exit!) && left !== undefined) interrupted++
          }
        }
        assert.isAbove(interrupted, 30)
      })
    }
  }
})

describe("leaks", () => {
  it.effect("under thousands of calls of all kinds, slots are conserved", () =>
    Effect.gen(function* () {
      const guard = yield* L
      const held: Array<Guard.Permit> = []
      const kinds = [success, timeout, interrupted, outcome("throttled", "ignored"), outcome("permanent", "ok")]
      for (let i = 0; i < 20_000; i++) {
        const admission = guard.admit(call({ now: i, priority: Priority.levels[i % 5]! }))
        if (admission._tag === "Admitted") held.push(admission.permit)
        const [permit] = held.splice((i * 31) % 40, 1)
        void permit?.settle(kinds[(i * 17) % kinds.length]!, 20 + (i % 30), i)
        if (i % 500 === 0) assert.strictEqual((yield* L.snapshot()).inFlight, held.length)
      }
      for (const permit of held) void permit.settle(interrupted, 0, 20_000)
      assert.strictEqual((yield* L.snapshot()).inFlight, 0)
    }).pipe(Effect.provide(L.layerWith({ algorithm: AdaptiveLimit.gradient2({ initial: 20 }) })))
  )
})
