import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Config, ConfigProvider, Duration, Effect, Exit, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import * as Bulkhead from "../src/Bulkhead.ts"
import * as Deadline from "../src/Deadline.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import * as Policy from "../src/Policy.ts"
import * as Priority from "../src/Priority.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { isUnavailable, UnavailableTypeId } from "../src/internal/unavailable.ts"
import { Net, scripted } from "./kit.ts"
import { runInterrupted } from "./virtual.ts"

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

const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })
/** Holds a slot for so long. */
const hold = (ms: number) => Effect.sleep(ms)

const defectOf = (layer: Layer.Layer<any, any>) =>
  Effect.map(Effect.exit(Effect.scoped(Layer.build(layer))), (exit) =>
    Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  )

const call = (over: Partial<Guard.Call> = {}): Guard.Call => ({
  policy: "test",
  key: undefined,
  attempt: 1,
  kind: "first",
  now: 0,
  deadline: undefined,
  priority: "normal",
  random: () => 0.5,
  emit: undefined,
  ...over
})

const success: Guard.Outcome = { kind: "success", health: "ok", retryAfter: undefined }
const interrupted: Guard.Outcome = { kind: "interrupted", health: "ignored", retryAfter: undefined }

const admitted = (admission: Guard.Admission<unknown>): Guard.Permit => {
  if (admission._tag !== "Admitted") throw new Error(`expected an admission, not ${admission._tag}`)
  return admission.permit
}

describe("without a queue", () => {
  it.effect("lets in as many as it has slots, refuses the others at once, and lets in again", () =>
    Effect.gen(function* () {
      const two = yield* Effect.all([fork(B.protect(hold(10))), fork(B.protect(hold(10)))])
      assert.deepStrictEqual(yield* B.snapshot(), { key: undefined, maxConcurrent: 2, inFlight: 2, waiting: 0 })
      let ran = false
      assert.strictEqual(yield* tagOf(B.protect(Effect.sync(() => (ran = true)))), "queue")
      assert.isFalse(ran)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(two.map(polled), ["ok", "ok"])
      assert.strictEqual(yield* tagOf(B.protect(ok)), "ok")
      assert.deepStrictEqual(yield* B.snapshots, [{ key: undefined, maxConcurrent: 2, inFlight: 0, waiting: 0 }])
    }).pipe(Effect.provide(B.layerWith({ maxConcurrent: 2 })))
  )

  it.effect("a slot comes back however the call ends", () =>
    Effect.gen(function* () {
      for (const self of [ok, Effect.fail("no"), Effect.die("no"), Effect.interrupt]) {
        yield* Effect.exit(B.protect(self as Effect.Effect<string, string>))
        assert.strictEqual((yield* B.snapshot()).inFlight, 0)
      }
      const running = yield* fork(B.protect(Effect.never))
      assert.strictEqual((yield* B.snapshot()).inFlight, 1)
      yield* Fiber.interrupt(running)
      assert.strictEqual((yield* B.snapshot()).inFlight, 0)
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("even the most important call is refused", () =>
    Effect.gen(function* () {
      const guard = yield* B
      admitted(guard.admit(call()))
      assert.strictEqual(guard.look(call({ priority: "critical" }))?.reason, "queue")
      assert.strictEqual(guard.admit(call({ priority: "critical" }))._tag, "Rejected")
    }).pipe(Effect.provide(B.layer))
  )
})

describe("the guard", () => {
  it.effect("has its id for a name, and its phase", () =>
    Effect.gen(function* () {
      const { keyed, name, phase } = yield* B
      assert.deepStrictEqual([name, phase, keyed], ["app/B", "concurrency", false])
      assert.deepStrictEqual([B.keyed, K.keyed, B.key], [false, true, "app/B"])
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("a free slot is had synchronously, and allocates nothing", () =>
    Effect.gen(function* () {
      const guard = yield* B
      const first = guard.admit(call())
      const second = guard.admit(call({ now: 5, emit: () => {} }))
      assert.strictEqual(first._tag, "Admitted")
      assert.strictEqual(second, first)
    }).pipe(Effect.provide(B.layerWith({ maxConcurrent: 2 })))
  )

  it.effect("looking refuses what is certain, and takes nothing", () =>
    Effect.gen(function* () {
      const guard = yield* B
      for (let i = 0; i < 3; i++) assert.isUndefined(guard.look(call()))
      const permit = admitted(guard.admit(call()))
      assert.strictEqual(guard.look(call())?.reason, "queue")
      void permit.settle(success, 1, 1)
      assert.isUndefined(guard.look(call()))
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("looking refuses nobody who would find a place in the queue", () =>
    Effect.gen(function* () {
      const guard = yield* Q
      admitted(guard.admit(call()))
      assert.isUndefined(guard.look(call()))
      const low = yield* fork(Q.protect(ok).pipe(Priority.at("low")))
      assert.isUndefined(guard.look(call()))
      assert.strictEqual(guard.look(call({ priority: "low" }))?.reason, "queue")
      assert.strictEqual(guard.admit(call({ priority: "low" }))._tag, "Rejected")
      assert.strictEqual(guard.admit(call())._tag, "Pending")
      yield* Fiber.interrupt(low)
    }).pipe(Effect.provide(Q.layerWith({ maxQueue: 1 })))
  )

  it.effect("all that are refused for one reason get the same instance, without a stack", () =>
    Effect.gen(function* () {
      const guard = yield* B
      admitted(guard.admit(call()))
      const [one, other] = [errorOf(yield* Effect.exit(B.protect(ok))), errorOf(yield* Effect.exit(B.protect(ok)))]
      assert.instanceOf(one, Bulkhead.BulkheadFull)
      assert.strictEqual(one, other)
      assert.strictEqual(guard.look(call()), one as any)
      assert.strictEqual(guard.admit(call()), guard.admit(call()))
      assert.notInclude((one as Error).stack ?? "", "at ")
    }).pipe(Effect.provide(B.layer))
  )

  it.effect("a pending answer that is never run leaves nothing in the queue", () =>
    Effect.gen(function* () {
      const guard = yield* Q
      admitted(guard.admit(call()))
      assert.strictEqual(guard.admit(call())._tag, "Pending")
      assert.strictEqual((yield* Q.snapshot()).waiting, 0)
    }).pipe(Effect.provide(Q.layer))
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
  /** Three come at 0, 1 and 2 while the only slot is taken, and hold it for 10 each; in the order in which they begin. */
  const order = (layer: Layer.Layer<Q>, firstFor: number) =>
    Effect.gen(function* () {
      const begun: Array<string> = []
      const first = yield* fork(Q.protect(hold(firstFor)))
      const others = []
      for (const name of ["a", "b", "c"]) {
        others.push(
          yield* fork(
            Q.protect(
              Effect.andThen(
                Effect.sync(() => begun.push(name)),
                hold(10)
              )
            )
          )
        )
        yield* TestClock.adjust(1)
      }
      yield* TestClock.adjust(firstFor + 100)
      yield* Fiber.joinAll([first, ...others])
      return begun.join("")
    }).pipe(Effect.provide(layer))

  it.effect("serves the first come, the last come, or the first come until it stands", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* order(Q.layer, 500), "abc")
      assert.strictEqual(yield* order(Q.layerWith({ order: "lifo" }), 50), "cba")
      assert.strictEqual(yield* order(Q.layerWith({ order: "adaptive" }), 50), "abc")
      assert.strictEqual(yield* order(Q.layerWith({ order: "adaptive" }), 99), "acb")
      assert.strictEqual(yield* order(Q.layerWith({ order: "adaptive" }), 100), "cba")
      assert.strictEqual(yield* order(Q.layerWith({ order: "adaptive", standing: "30 millis" }), 30), "cba")
    })
  )

  it.effect("gives up on one that has waited for maxWait, and not before", () =>
    Effect.gen(function* () {
      const running = yield* fork(Q.protect(hold(5_000)))
      yield* TestClock.adjust(100)
      const waiting = yield* fork(Q.protect(ok))
      yield* TestClock.adjust(1_999)
      assert.strictEqual(polled(waiting), "waiting")
      assert.strictEqual((yield* Q.snapshot()).waiting, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(polled(waiting), "wait")
      assert.deepStrictEqual(yield* Q.snapshot(), { key: undefined, maxConcurrent: 1, inFlight: 1, waiting: 0 })
      yield* Fiber.interrupt(running)
    }).pipe(Effect.provide(Q.layerWith({ maxWait: "2 seconds" })))
  )

  it.effect("by default one waits for at most a second, and the first come goes first", () =>
    Effect.gen(function* () {
      const running = yield* fork(D.protect(Effect.never))
      const waiting = yield* fork(D.protect(ok))
      yield* TestClock.adjust(999)
      assert.strictEqual(polled(waiting), "waiting")
      yield* TestClock.adjust(1)
      assert.strictEqual(polled(waiting), "wait")
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(Bulkhead.defaults, {
        maxQueue: 0,
        maxWait: "1 second",
        order: "fifo",
        standing: "100 millis",
        keys: { max: 10_000, idleTimeToLive: "10 minutes" }
      })
    }).pipe(Effect.provide(D.layer))
  )
  class D extends Bulkhead.Service<D>()("app/D", { maxConcurrent: 1, maxQueue: 5 }) {}

  it.effect("one that is interrupted is out of it at once, and is never served", () =>
    Effect.gen(function* () {
      const running = yield* fork(Q.protect(hold(10)))
      const [a, b] = yield* Effect.all([fork(Q.protect(hold(10))), fork(Q.protect(hold(10)))])
      assert.strictEqual((yield* Q.snapshot()).waiting, 2)
      yield* Fiber.interrupt(a)
      assert.strictEqual((yield* Q.snapshot()).waiting, 1)
      yield* TestClock.adjust(10)
      assert.strictEqual(polled(running), "ok")
      assert.deepStrictEqual(yield* Q.snapshot(), { key: undefined, maxConcurrent: 1, inFlight: 1, waiting: 0 })
      yield* TestClock.adjust(10)
      assert.strictEqual(polled(b), "ok")
    }).pipe(Effect.provide(Q.layer))
  )

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

describe("the priority", () => {
  const run = (levels: ReadonlyArray<Priority.Priority>, layer: Layer.Layer<Q>) =>
    Effect.gen(function* () {
      const begun: Array<string> = []
      const running = yield* fork(Q.protect(hold(10)))
      const fibers = yield* Effect.forEach(levels, (level) =>
        fork(Q.protect(Effect.sync(() => begun.push(level))).pipe(Priority.at(level)))
      )
      yield* TestClock.adjust(10)
      yield* Fiber.join(running)
      return { begun, ended: fibers.map(polled) }
    }).pipe(Effect.provide(layer))

  it.effect("the most important are let in first", () =>
    Effect.gen(function* () {
      const { begun } = yield* run(["low", "critical", "background", "normal", "high", "critical"], Q.layer)
      assert.deepStrictEqual(begun, ["critical", "critical", "high", "normal", "low", "background"])
    })
  )

  it.effect("the least important make room, and are told why", () =>
    Effect.gen(function* () {
      const { begun, ended } = yield* run(
        ["low", "background", "normal", "critical", "low"],
        Q.layerWith({ maxQueue: 2 })
      )
      assert.deepStrictEqual(ended, ["displaced", "displaced", "ok", "ok", "queue"])
      assert.deepStrictEqual(begun, ["critical", "normal"])
    })
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
      assert.isTrue(isUnavailable(error))
      assert.strictEqual(error[UnavailableTypeId], UnavailableTypeId)
      assert.deepStrictEqual(
        [error._tag, error.bulkhead, error.key, error.reason, error.retryAfter],
        ["BulkheadFull", "app/B", undefined, "queue", undefined]
      )
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
      assert.deepStrictEqual({ ...error }.retryAfter, Duration.millis(200))
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

  it("a decoded one has the retryAfter it was given", () => {
    const fields = { bulkhead: "b", key: "k", reason: "wait", retryAfter: Duration.seconds(1) } as const
    assert.deepStrictEqual(new Bulkhead.BulkheadFull(fields).retryAfter, Duration.seconds(1))
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

  it.effect(
    "refused at the first attempt its own error comes out, at a later one RetryExhausted, and listeners hear why",
    () =>
      Effect.gen(function* () {
        const strict = Policy.make({ name: "strict", ...retried, guards: [B] })
        const events = <A, E, R>(self: Effect.Effect<A, E, R>) =>
          Effect.map(Telemetry.recorded(self), ([exit, events]) => ({
            error: errorOf(exit),
            refused: events.flatMap((event) =>
              event._tag === "GuardRejected" ? [[event.guard, event.error, event.reason, event.attempt]] : []
            )
          }))
        const attempt = scripted(Effect.fail(new Net({})), Effect.succeed("ok"))
        const later = yield* fork(events(attempt.effect.pipe(Policy.withResilience(strict))))
        const blocker = yield* fork(B.protect(hold(500)))
        const first = yield* events(ok.pipe(Policy.withResilience(strict)))
        assert.strictEqual(tag(Exit.fail(first.error)), "queue")
        assert.deepStrictEqual(first.refused, [["app/B", "BulkheadFull", "queue", 1]])
        yield* TestClock.adjust(100)
        const { error, refused } = yield* Fiber.join(later)
        assert.instanceOf(error, Policy.RetryExhausted)
        const exhausted = error as Policy.RetryExhausted<Net>
        assert.deepStrictEqual([exhausted.reason, exhausted.deniedBy, exhausted.attempts], ["rejected", "app/B", 1])
        assert.instanceOf(exhausted.rejection, Bulkhead.BulkheadFull)
        assert.deepStrictEqual(refused, [["app/B", "BulkheadFull", "queue", 2]])
        yield* Fiber.interrupt(blocker)
      }).pipe(Effect.provide(B.layer))
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

  it.effect("dies where the limit is none", () =>
    Effect.gen(function* () {
      for (const limit of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        const exit = yield* Effect.exit(B.resize(limit))
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidOption)
        assert.strictEqual((defect as InvalidOption).option, "maxConcurrent")
      }
      assert.strictEqual((yield* B.snapshot()).maxConcurrent, 1)
    }).pipe(Effect.provide(B.layer))
  )
})

describe("keys", () => {
  it.effect("each has its own slots and its own error; reading makes none", () =>
    Effect.gen(function* () {
      const guard = yield* K
      admitted(guard.admit(call({ key: "a" })))
      assert.strictEqual(guard.look(call({ key: "a" }))?.key, "a")
      assert.isUndefined(guard.look(call({ key: "b" })))
      assert.strictEqual(errorOf(yield* Effect.exit(K.protect(ok, { key: "a" })))?.key, "a")
      assert.deepStrictEqual(yield* K.snapshot("b"), { key: "b", maxConcurrent: 1, inFlight: 0, waiting: 0 })
      assert.deepStrictEqual(yield* K.snapshots, [{ key: "a", maxConcurrent: 1, inFlight: 1, waiting: 0 }])
    }).pipe(Effect.provide(K.layer))
  )

  it.effect("calling a keyed one without a key dies, and says so", () =>
    Effect.gen(function* () {
      const guard = yield* K
      for (const effect of [
        (K.protect as any)(ok),
        (K.snapshot as any)(),
        Effect.sync(() => guard.look(call())),
        Effect.sync(() => guard.admit(call()))
      ] as ReadonlyArray<Effect.Effect<unknown, unknown, K>>) {
        const exit = yield* Effect.exit(effect)
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, InvalidOption)
        assert.strictEqual(
          (defect as Error).message,
          'key must be a string, said at the call, because the bulkhead "app/K" is keyed, but it is undefined'
        )
      }
    }).pipe(Effect.provide(K.layer))
  )

  it.effect("they are bounded: those in use, and those with a limit of their own, go last and are not forgotten", () =>
    Effect.gen(function* () {
      const running = yield* fork(K.protect(hold(600_000), { key: "used" }))
      yield* K.resize(2, "resized")
      for (const key of ["c", "d", "e"]) yield* K.protect(ok, { key })
      const keys = Effect.map(K.snapshots, (all) => all.map(({ key }) => key))
      assert.deepStrictEqual(yield* keys, ["used", "resized", "e"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* keys, ["used", "resized"])
      assert.strictEqual(yield* tagOf(K.protect(ok, { key: "used" })), "queue")
      // a limit for all leaves none that is its own
      yield* K.resize(2)
      assert.deepStrictEqual(yield* keys, ["used"])
      yield* TestClock.adjust("9 minutes")
      yield* Fiber.join(running)
      assert.deepStrictEqual(yield* keys, [])
    }).pipe(Effect.provide(K.layer))
  )
})

describe("the options", () => {
  const keys = { max: 3, idleTimeToLive: "1 minute" } as const
  const bad: ReadonlyArray<readonly [string, Bulkhead.LayerOptions]> = [
    ["maxConcurrent", { maxConcurrent: 0 }],
    ["maxConcurrent", { maxConcurrent: 1.5 }],
    ["maxConcurrent", { maxConcurrent: "5" as any }],
    ["maxQueue", { maxQueue: -1 }],
    ["maxQueue", { maxQueue: 0.5 }],
    ["maxQueue", { maxQueue: Number.POSITIVE_INFINITY }],
    ["maxWait", { maxWait: 0 }],
    ["maxWait", { maxWait: Duration.infinity }],
    ["maxWait", { maxWait: "soon" as any }],
    ["order", { order: "random" as any }],
    ["standing", { standing: -1 as any }],
    ["standing", { standing: Duration.infinity }],
    ["keys.max", { keys: { ...keys, max: 0 } }],
    ["keys.idleTimeToLive", { keys: { ...keys, idleTimeToLive: 0 } }]
  ]
  for (const [option, change] of bad) {
    it.effect(`${option}: ${JSON.stringify(change)} is refused when the layer is built`, () =>
      Effect.gen(function* () {
        const defect = yield* defectOf(K.layerWith(change as Bulkhead.LayerOptions<true>))
        assert.instanceOf(defect, InvalidOption)
        assert.strictEqual((defect as InvalidOption).option, `app/K: ${option}`)
      })
    )
  }

  it.effect("the bounds themselves are allowed", () =>
    Effect.gen(function* () {
      assert.isUndefined(
        yield* defectOf(B.layerWith({ maxConcurrent: 1, maxQueue: 0, maxWait: 1, standing: 0, order: "lifo" }))
      )
    })
  )

  it("defining a class never throws", () => {
    class Wrong extends Bulkhead.Service<Wrong>()("app/Wrong", { maxConcurrent: -1, maxWait: -1 as any }) {}
    assert.isFalse(Wrong.keyed)
  })

  it.effect("a layer changes single members; undefined is as in the class", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* K.snapshot("a")).maxConcurrent, 4)
      for (const key of ["a", "b"]) yield* K.protect(ok, { key })
      assert.strictEqual((yield* K.snapshots).length, 1)
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* K.snapshots).length, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* K.snapshots).length, 0)
    }).pipe(
      Effect.provide(
        K.layerWith({ maxConcurrent: 4, maxQueue: undefined, keys: { max: 1, idleTimeToLive: undefined } })
      )
    )
  )

  it.effect("options from the configuration", () =>
    Effect.gen(function* () {
      const layer = B.layerConfig({ maxConcurrent: Config.Int("MAX"), maxWait: Config.Duration("WAIT") })
      const config = (values: Record<string, string>) =>
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(values))
      const snapshot = yield* B.snapshot().pipe(Effect.provide(layer), config({ MAX: "7", WAIT: "2 seconds" }))
      assert.strictEqual(snapshot.maxConcurrent, 7)
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)).pipe(config({ MAX: "x", WAIT: "1 second" })))
      assert.instanceOf(errorOf(exit), Config.ConfigError)
    })
  )
})

describe("protect", () => {
  it.effect("data-last and data-first, with and without options", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* ok.pipe(B.protect()), "ok")
      assert.strictEqual(yield* ok.pipe(B.protect({ faults: Fault.all })), "ok")
      assert.strictEqual(yield* B.protect(ok), "ok")
      assert.strictEqual(yield* ok.pipe(K.protect({ key: "a" })), "ok")
      assert.strictEqual(yield* K.protect(ok, { key: "a" }), "ok")
    }).pipe(Effect.provide(Layer.merge(B.layer, K.layer)))
  )
})

describe("leaks", () => {
  it("idle it holds no timer and no fiber, and one that waits holds one of each only as long as it waits", () => {
    const seen: Array<number> = []
    const program = Effect.gen(function* () {
      const running = yield* fork(Q.protect(hold(10)))
      const waiting = yield* fork(Q.protect(hold(10)))
      const clock = yield* Clock.clockWith(Effect.succeed)
      const sleepers = () => (clock as unknown as { readonly sleepers: ReadonlyArray<unknown> }).sleepers.length
      // the one that runs, and the limit of the one that waits
      seen.push(sleepers())
      yield* Fiber.join(running)
      seen.push(sleepers())
      yield* Fiber.join(waiting)
      seen.push(sleepers())
    }).pipe(Effect.provide(Q.layer))
    const run = runInterrupted(program, undefined, false)
    assert.deepStrictEqual(run.exit, Exit.void)
    assert.deepStrictEqual(seen, [2, 1, 0])
    assert.deepStrictEqual([run.sleepers, run.openFibers], [0, 0])
  })
})
