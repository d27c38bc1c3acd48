// What all guards have in common: test/guards.test.ts.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import * as Bulkhead from "../src/Bulkhead.ts"
import * as Deadline from "../src/Deadline.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import * as Policy from "../src/Policy.ts"
import * as Priority from "../src/Priority.ts"
import { asking as call, fork, Net, scripted } from "./kit.ts"

class B extends Bulkhead.Service<B>()("app/B", { maxConcurrent: 1 }) {}
class Q extends Bulkhead.Service<Q>()("app/Q", { maxConcurrent: 1, maxQueue: 10, maxWait: "1 minute" }) {}
class K extends Bulkhead.Service<K>()("app/K", { maxConcurrent: 1, keys: { max: 3, idleTimeToLive: "1 minute" } }) {}

const ok = Effect.succeed("ok")
const errorOf = <E>(exit: Exit.Exit<unknown, E>): E | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
/** "ok", why it was refused, or the tag of another error. */
const tag = (exit: Exit.Exit<unknown, unknown>) => {
  const error = errorOf(exit)
  if (error instanceof Bulkhead.BulkheadFull) return error.reason
  return Exit.isSuccess(exit) ? "ok" : ((error as { readonly _tag?: string } | undefined)?._tag ?? "interrupted")
}
const tagOf = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(self), tag)
/** How it ended so far. */
const polled = (fiber: Fiber.Fiber<unknown, unknown>) => {
  const exit = fiber.pollUnsafe()
  return exit === undefined ? "waiting" : tag(exit)
}

/** Holds a slot for so long. */
const hold = (ms: number) => Effect.sleep(ms)

const defectOf = (layer: Layer.Layer<any, any>) =>
  Effect.map(Effect.exit(Effect.scoped(Layer.build(layer))), (exit) =>
    Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  )

const success: Guard.Outcome = { kind: "success", health: "ok", retryAfter: undefined }
const interrupted: Guard.Outcome = { kind: "interrupted", health: "ignored", retryAfter: undefined }

const admitted = (admission: Guard.Admission<unknown>): Guard.Permit => {
  if (admission._tag !== "Admitted") throw new Error(`expected an admission, not ${admission._tag}`)
  return admission.permit
}

describe("the guard", () => {
  it.effect("a free slot is had synchronously, and allocates nothing", () =>
    Effect.gen(function* () {
      const guard = yield* B
      const first = guard.admit(call())
      const second = guard.admit(call({ now: 5, emit: () => {} }))
      assert.strictEqual(first._tag, "Admitted")
      assert.strictEqual(second, first)
    }).pipe(Effect.provide(B.layerWith({ maxConcurrent: 2 })))
  )

  it.effect("without a queue even the most important call is refused", () =>
    Effect.gen(function* () {
      const guard = yield* B
      admitted(guard.admit(call()))
      assert.strictEqual(guard.look(call({ priority: "critical" }))?.reason, "queue")
      assert.strictEqual(guard.admit(call({ priority: "critical" }))._tag, "Rejected")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("one run when the slot has come free meanwhile has it, and if interrupted then, gives it back", () =>
    Effect.gen(function* () {
      const guard = yield* Q
      const permit = admitted(guard.admit(call()))
      const [one, other] = [guard.admit(call()), guard.admit(call())]
      if (one._tag !== "Pending" || other._tag !== "Pending") return assert.fail("expected to wait")
      void permit.settle(success, 1, 1)
      const first = yield* fork(one.effect)
      assert.strictEqual((yield* Q.snapshot()).inFlight, 1)
      yield* Fiber.interrupt(first)
      assert.strictEqual((yield* Q.snapshot()).inFlight, 0)
      const second = yield* other.effect
      void admitted(second as Guard.Admission<unknown>).settle(success, 1, 1)
      assert.deepStrictEqual(yield* Q.snapshot(), { key: undefined, maxConcurrent: 1, inFlight: 0, waiting: 0 })
    }).pipe(Effect.provide(Q.layer))
  )

  it.effect("one run when the queue has filled meanwhile is refused", () =>
    Effect.gen(function* () {
      const guard = yield* Q
      admitted(guard.admit(call()))
      const late = guard.admit(call())
      if (late._tag !== "Pending") return assert.fail("expected to wait")
      const waiting = yield* fork(Q.protect(ok))
      const answer = yield* late.effect
      assert.strictEqual(answer._tag === "Rejected" ? answer.rejection.reason : answer._tag, "queue")
      yield* Fiber.interrupt(waiting)
    }).pipe(Effect.provide(Q.layerWith({ maxQueue: 1 })))
  )
})

describe("the queue", () => {
  it.effect("one that is let in and is interrupted at once hands its slot to the next", () =>
    Effect.gen(function* () {
      const running = yield* fork(Q.protect(Effect.never))
      const first = yield* fork(Q.protect(Effect.interrupt))
      const next = yield* fork(Q.protect(ok))
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual([first, next].map(polled), ["interrupted", "ok"])
      assert.deepStrictEqual(yield* Q.snapshot(), { key: undefined, maxConcurrent: 1, inFlight: 0, waiting: 0 })
    }).pipe(Effect.provide(Q.layer))
  )

  it.effect("cockatiel: a newcomer overtakes those that wait", () =>
    Effect.gen(function* () {
      const begun: Array<string> = []
      const named = (name: string) =>
        Q.protect(
          Effect.andThen(
            Effect.sync(() => begun.push(name)),
            hold(1)
          )
        )
      // the very fiber that gives its slot back asks again at once
      const again = yield* fork(Effect.andThen(named("first"), named("again")))
      const waiting = yield* fork(named("waiting"))
      yield* TestClock.adjust(5)
      yield* Fiber.joinAll([again, waiting])
      assert.deepStrictEqual(begun, ["first", "waiting", "again"])
    }).pipe(Effect.provide(Q.layer))
  )

  it.effect("thousands may wait, and each runs once", () =>
    Effect.gen(function* () {
      let ran = 0
      const fibers = yield* Effect.forEach(Array.from({ length: 5_000 }), () =>
        fork(
          Q.protect(
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => ran++)
            )
          )
        )
      )
      yield* TestClock.adjust(1)
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(ran, 5_000)
    }).pipe(Effect.provide(Q.layerWith({ maxQueue: 10_000 })))
  )
})

describe("those that are refused act at once, and let others in", () => {
  /** One that holds the slot until one that waits is displaced. */
  const untilDisplaced = (now: number) =>
    Effect.gen(function* () {
      const guard = yield* Q
      const permit = admitted(guard.admit(call()))
      const giveBack = Effect.sync(() => void permit.settle(success, now, now))
      const low = Q.protect(ok).pipe(Effect.catchTag("BulkheadFull", () => giveBack))
      yield* fork(low.pipe(Priority.at("low")))
    })

  it.effect("one that is let in before it has begun to wait runs", () =>
    Effect.gen(function* () {
      yield* untilDisplaced(0)
      assert.strictEqual(yield* Q.protect(ok), "ok")
      assert.deepStrictEqual(yield* Q.snapshot(), { key: undefined, maxConcurrent: 1, inFlight: 0, waiting: 0 })
    }).pipe(Effect.provide(Q.layerWith({ maxQueue: 1 })))
  )

  it.effect(
    "one whose deadline passes before it has begun to wait, and whose owner has ended, does not wait for ever",
    () =>
      Effect.gen(function* () {
        yield* untilDisplaced(100)
        const daemon = yield* Effect.forkDetach(Q.protect(ok), { startImmediately: true }).pipe(Deadline.within(50))
        assert.deepStrictEqual(yield* Q.snapshot(), { key: undefined, maxConcurrent: 1, inFlight: 0, waiting: 0 })
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(polled(daemon), "wait")
      }).pipe(Effect.provide(Q.layerWith({ maxQueue: 1 })))
  )
})

describe("the deadline", () => {
  it.effect("one that is nearer than maxWait is raised by its owner, also at the very same moment", () =>
    Effect.gen(function* () {
      const running = yield* fork(Q.protect(Effect.never))
      for (const [ms, answer] of [
        [500, "DeadlineExceeded"],
        [1_000, "DeadlineExceeded"],
        [1_001, "wait"]
      ] as const) {
        const inside = yield* fork(Q.protect(ok).pipe(Deadline.within(ms)))
        yield* TestClock.adjust(ms - 1)
        assert.strictEqual(polled(inside), ms === 1_001 ? "wait" : "waiting")
        yield* TestClock.adjust(3)
        assert.strictEqual(polled(inside), answer)
        assert.strictEqual((yield* Q.snapshot()).waiting, 0)
      }
      yield* Fiber.interrupt(running)
    }).pipe(Effect.provide(Q.layerWith({ maxWait: "1 second" })))
  )

  it.effect("also of a policy that has one, at the very same moment", () =>
    Effect.gen(function* () {
      const running = yield* fork(Q.protect(Effect.never))
      const policy = Policy.make({ name: "p", deadline: "1 second", guards: [Q] })
      const inside = yield* fork(ok.pipe(Policy.withResilience(policy)))
      yield* TestClock.adjust(1_003)
      assert.strictEqual(polled(inside), "DeadlineExceeded")
      yield* Fiber.interrupt(running)
    }).pipe(Effect.provide(Q.layerWith({ maxWait: "1 second" })))
  )

  it.effect(
    "one that has passed when its turn comes: it is not let in, its owner speaks, and the next one has the slot",
    () =>
      Effect.gen(function* () {
        const guard = yield* Q
        const permit = admitted(guard.admit(call()))
        let ran = false
        const late = yield* fork(Q.protect(Effect.sync(() => (ran = true))).pipe(Deadline.within(100)))
        const next = yield* fork(Q.protect(ok))
        // as if the slot came back after the deadline, and before the timer of its owner
        void permit.settle(success, 100, 100)
        assert.strictEqual(polled(late), "waiting")
        assert.strictEqual(polled(next), "ok")
        yield* TestClock.adjust(102)
        assert.strictEqual(polled(late), "DeadlineExceeded")
        assert.isFalse(ran)
        assert.deepStrictEqual(yield* Q.snapshot(), { key: undefined, maxConcurrent: 1, inFlight: 0, waiting: 0 })
      }).pipe(Effect.provide(Q.layer))
  )

  it.effect("whose owner has ended meanwhile: one that outlives it waits no longer than maxWait", () =>
    Effect.gen(function* () {
      const guard = yield* Q
      const permit = admitted(guard.admit(call()))
      const daemon = yield* Effect.forkDetach(Q.protect(ok), { startImmediately: true }).pipe(Deadline.within(100))
      void permit.settle(success, 100, 100)
      yield* TestClock.adjust(61_000)
      assert.strictEqual(polled(daemon), "wait")
    }).pipe(Effect.provide(Q.layer))
  )

  it.effect("one that had passed before is none: a finalizer that runs after it waits its turn", () =>
    Effect.gen(function* () {
      const running = yield* fork(Q.protect(hold(1_000)))
      let cleaned = false
      const late = yield* fork(
        Effect.never.pipe(
          Effect.ensuring(Effect.ignore(Q.protect(Effect.sync(() => (cleaned = true))))),
          Deadline.within(100)
        )
      )
      yield* TestClock.adjust(999)
      assert.strictEqual((yield* Q.snapshot()).waiting, 1)
      yield* TestClock.adjust(1)
      assert.isTrue(cleaned)
      assert.deepStrictEqual([running, late].map(polled), ["ok", "DeadlineExceeded"])
    }).pipe(Effect.provide(Q.layer))
  )
})

describe("BulkheadFull", () => {
  it.effect("says when a slot may come free: an estimate from how long calls have held one", () =>
    Effect.gen(function* () {
      const guard = yield* B
      const permits = [admitted(guard.admit(call())), admitted(guard.admit(call()))]
      const error = guard.look(call())!
      assert.isUndefined(error.retryAfter)
      assert.strictEqual(
        error.message,
        "the bulkhead app/B refused the call: all its slots are taken, and no more calls may wait. Try again when a call has ended"
      )
      void permits[0]!.settle(success, 400, 400)
      assert.deepStrictEqual(error.retryAfter, Duration.zero)
      assert.include(error.message, "Try again now: a slot is free")
      admitted(guard.admit(call()))
      // one of the two every 200 ms
      assert.deepStrictEqual(error.retryAfter, Duration.millis(200))
      assert.include(error.message, "Try again in about 200ms")
      // 400 + (1200 - 400) / 8 = 500
      void permits[1]!.settle(success, 1_200, 1_200)
      const third = admitted(guard.admit(call()))
      assert.deepStrictEqual(error.retryAfter, Duration.millis(250))
      // what was not used says nothing; what was interrupted has held its slot all the same
      void third.settle(interrupted, 0, 1_200)
      admitted(guard.admit(call()))
      assert.deepStrictEqual(error.retryAfter, Duration.millis(250))
      void third.settle(interrupted, 1_300, 2_500)
      const fourth = admitted(guard.admit(call()))
      assert.deepStrictEqual(error.retryAfter, Duration.millis(300))
      // a call that took no time was one
      void fourth.settle(success, 0, 2_500)
      admitted(guard.admit(call()))
      assert.deepStrictEqual(error.retryAfter, Duration.millis(263))
    }).pipe(Effect.provide(B.layerWith({ maxConcurrent: 2 })))
  )

  it.effect("those that wait come before, and so do those that run above a lowered limit", () =>
    Effect.gen(function* () {
      const guard = yield* Q
      yield* Q.protect(hold(100)).pipe(fork)
      yield* TestClock.adjust(100)
      const running = [admitted(guard.admit(call())), admitted(guard.admit(call()))]
      const waiting = yield* Effect.all([fork(Q.protect(Effect.never)), fork(Q.protect(Effect.never))])
      const error = guard.look(call())!
      assert.deepStrictEqual(error.retryAfter, Duration.millis(150))
      yield* Q.resize(1)
      assert.deepStrictEqual(error.retryAfter, Duration.millis(200))
      for (const permit of running) void permit.settle(success, 100, 200)
      assert.deepStrictEqual(error.retryAfter, Duration.millis(200))
      yield* Effect.forEach(waiting, Fiber.interrupt)
      assert.deepStrictEqual(error.retryAfter, Duration.zero)
    }).pipe(Effect.provide(Q.layerWith({ maxConcurrent: 2, maxQueue: 2 })))
  )

  it("has a message for each reason", () => {
    const message = (reason: "queue" | "displaced" | "wait", key?: string) =>
      new Bulkhead.BulkheadFull({ bulkhead: "app/B", key, reason, retryAfter: Duration.seconds(3) }).message
    assert.strictEqual(
      message("queue", "tenant"),
      "the bulkhead app/B of tenant refused the call: all its slots are taken, and no more calls may wait. Try again in about 3s"
    )
    assert.include(message("displaced"), "had to make room for a call of a higher priority")
    assert.include(message("wait"), "it has waited for a slot as long as maxWait allows")
  })
})

describe("in a policy", () => {
  const retried = {
    faults: Fault.all,
    safety: "idempotent",
    retry: Backoff.constant("100 millis").pipe(Backoff.times(1))
  } as const
  const policy = Policy.make({ name: "p", ...retried, guards: [Q] })

  it.effect("an attempt waits for its slot, and runs", () =>
    Effect.gen(function* () {
      const running = yield* fork(Q.protect(hold(10)))
      const first = yield* fork(hold(50).pipe(Policy.withResilience(policy)))
      assert.strictEqual((yield* Q.snapshot()).waiting, 1)
      assert.strictEqual(yield* tagOf(ok.pipe(Policy.withResilience(policy))), "queue")
      yield* TestClock.adjust(10)
      const second = yield* fork(hold(50).pipe(Policy.withResilience(policy)))
      assert.deepStrictEqual(yield* Q.snapshot(), { key: undefined, maxConcurrent: 1, inFlight: 1, waiting: 1 })
      yield* TestClock.adjust(100)
      assert.deepStrictEqual([running, first, second].map(polled), ["ok", "ok", "ok"])
    }).pipe(Effect.provide(Q.layerWith({ maxQueue: 1 })))
  )

  it.effect(
    "two bulkheads: one that has a slot of the first is not refused by it after it has waited for the second",
    () =>
      Effect.gen(function* () {
        const both = Policy.make({ name: "both", guards: [B, Q] })
        const running = yield* fork(Q.protect(hold(10)))
        const waiting = yield* fork(ok.pipe(Policy.withResilience(both)))
        assert.deepStrictEqual([(yield* B.snapshot()).inFlight, (yield* Q.snapshot()).waiting], [1, 1])
        yield* TestClock.adjust(10)
        assert.deepStrictEqual([running, waiting].map(polled), ["ok", "ok"])
        assert.deepStrictEqual([(yield* B.snapshot()).inFlight, (yield* Q.snapshot()).inFlight], [0, 0])
      }).pipe(Effect.provide([B.layer, Q.layer]))
  )

  it.effect("a call holds no slot between its attempts; protect around the policy holds one for the whole call", () =>
    Effect.gen(function* () {
      const failing = () => scripted(Effect.fail(new Net({})), Effect.succeed("ok")).effect
      const inside = yield* fork(failing().pipe(Policy.withResilience(policy)))
      assert.strictEqual((yield* Q.snapshot()).inFlight, 0)
      yield* TestClock.adjust(100)
      assert.strictEqual(polled(inside), "ok")
      const plain = Policy.make({ name: "plain", ...retried })
      const outside = yield* fork(failing().pipe(Policy.withResilience(plain), Q.protect()))
      assert.strictEqual((yield* Q.snapshot()).inFlight, 1)
      yield* TestClock.adjust(100)
      assert.strictEqual(polled(outside), "ok")
      assert.strictEqual((yield* Q.snapshot()).inFlight, 0)
    }).pipe(Effect.provide(Q.layer))
  )
})

describe("resize", () => {
  it.effect("up lets in those that wait; down lets those that run go on", () =>
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach([1, 2, 3, 4], () => fork(Q.protect(hold(10))))
      const numbers = Effect.map(Q.snapshot(), ({ inFlight, maxConcurrent, waiting }) => [
        maxConcurrent,
        inFlight,
        waiting
      ])
      assert.deepStrictEqual(yield* numbers, [1, 1, 3])
      yield* Q.resize(3)
      assert.deepStrictEqual(yield* numbers, [3, 3, 1])
      yield* Q.resize(1)
      assert.deepStrictEqual(yield* numbers, [1, 3, 1])
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* numbers, [1, 1, 0])
      yield* TestClock.adjust(10)
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(yield* numbers, [1, 0, 0])
    }).pipe(Effect.provide(Q.layer))
  )

  it.effect("of one key, or of all, present and future", () =>
    Effect.gen(function* () {
      const limits = Effect.map(Effect.all([K.snapshot("a"), K.snapshot("b"), K.snapshot("new")]), (all) =>
        all.map(({ maxConcurrent }) => maxConcurrent)
      )
      yield* K.protect(ok, { key: "b" })
      yield* K.resize(5, "a")
      assert.deepStrictEqual(yield* limits, [5, 1, 1])
      yield* K.resize(7)
      assert.deepStrictEqual(yield* limits, [7, 7, 7])
      const guard = yield* K
      for (let i = 0; i < 7; i++) admitted(guard.admit(call({ key: "new" })))
      assert.strictEqual(guard.admit(call({ key: "new" }))._tag, "Rejected")
    }).pipe(Effect.provide(K.layer))
  )

  it.effect("a bulkhead without keys ignores one", () =>
    Effect.gen(function* () {
      yield* B.resize(3, "x")
      assert.strictEqual((yield* B.snapshot()).maxConcurrent, 3)
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("a key with a limit of its own goes last, and is not forgotten, until there is a limit for all", () =>
    Effect.gen(function* () {
      yield* K.resize(2, "resized")
      for (const key of ["c", "d", "e"]) yield* K.protect(ok, { key })
      const keys = Effect.map(K.snapshots, (all) => all.map(({ key }) => key))
      assert.deepStrictEqual(yield* keys, ["resized", "d", "e"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* keys, ["resized"])
      yield* K.resize(2)
      assert.deepStrictEqual(yield* keys, [])
    }).pipe(Effect.provide(K.layer))
  )

  it.effect("dies where the limit is none", () =>
    Effect.gen(function* () {
      for (const limit of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        const exit = yield* Effect.exit(B.resize(limit))
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidOption)
        assert.strictEqual((defect as InvalidOption).option, "app/B.resize: maxConcurrent")
      }
      assert.strictEqual((yield* B.snapshot()).maxConcurrent, 1)
    }).pipe(Effect.provide(B.layer))
  )
})

describe("the options", () => {
  it("the defaults are as said", () => {
    assert.deepStrictEqual(Bulkhead.defaults, {
      maxQueue: 0,
      maxWait: "1 second",
      order: "fifo",
      standing: "100 millis",
      keys: { max: 10_000, idleTimeToLive: "10 minutes" }
    })
  })

  it.effect("the bounds themselves are allowed", () =>
    Effect.gen(function* () {
      assert.isUndefined(
        yield* defectOf(B.layerWith({ maxConcurrent: 1, maxQueue: 0, maxWait: 1, standing: 0, order: "lifo" }))
      )
    })
  )
})
