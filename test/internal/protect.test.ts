import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Logger, Random } from "effect"
import { TestClock } from "effect/testing"
import * as Guard from "../../src/Guard.ts"
import { CurrentListener } from "../../src/internal/events.ts"
import type { Event } from "../../src/internal/events.ts"
import { withinRegion } from "../../src/internal/currentCall.ts"
import { interrupted, success } from "../../src/internal/outcome.ts"
import { protect } from "../../src/internal/protect.ts"

type Settled = readonly [kind: Guard.OutcomeKind, elapsed: number]

/** A guard that keeps what it is asked and told. */
const recording = (
  admit: (permit: Guard.Permit, call: Guard.Call) => Guard.Admission<unknown> = Guard.admitted,
  settle: () => void | Effect.Effect<void> = () => undefined
) => {
  const calls: Array<Guard.Call> = []
  const settled: Array<Settled> = []
  const guard: Guard.Guard<unknown> = {
    name: "guard",
    phase: "concurrency",
    admit: (call) => {
      calls.push(call)
      return admit(
        {
          settle: (outcome, elapsed) => {
            settled.push([outcome.kind, elapsed])
            return settle()
          }
        },
        call
      )
    }
  }
  const around = protect({
    name: "guard",
    guard,
    key: "key",
    outcome: (exit) => (Exit.isSuccess(exit) ? success : interrupted)
  })
  return { around, calls, guard, settled }
}

const logged: Array<unknown> = []
const logging = Effect.provideService(
  Logger.CurrentLoggers,
  new Set([Logger.make(({ message }) => void logged.push(message))])
)

describe("protect", () => {
  it.effect("tells the guard of the call", () =>
    Effect.gen(function* () {
      const { around, calls } = recording()
      yield* TestClock.adjust("5 seconds")
      yield* around(Effect.void).pipe((self) => withinRegion(self, () => ({ deadline: { at: 7000, owner: "x" } })))
      yield* Effect.scoped(around(Effect.void))
      const [call, other] = calls
      const { attempt, deadline, emit, key, kind, now, policy } = call!
      assert.deepStrictEqual(
        { attempt, deadline, emit, key, kind, now, policy },
        { attempt: 1, deadline: 7000, emit: undefined, key: "key", kind: "first", now: 5000, policy: "guard" }
      )
      assert.isUndefined(other?.deadline)
      const drawn = call!.random()
      assert.isTrue(drawn >= 0 && drawn < 1)
    })
  )

  it.effect("draws from the Random in force", () =>
    Effect.gen(function* () {
      const draw = (seed: number) =>
        Effect.gen(function* () {
          const drawn: Array<number> = []
          const { around } = recording((permit, call) => {
            drawn.push(call.random())
            return Guard.admitted(permit)
          })
          yield* around(Effect.void)
          return drawn[0]
        }).pipe(Random.withSeed(seed))
      assert.strictEqual(yield* draw(1), yield* draw(1))
      assert.notStrictEqual(yield* draw(1), yield* draw(2))
    })
  )

  it.effect("settles once, with how long it ran", () =>
    Effect.gen(function* () {
      const { around, settled } = recording()
      const fiber = yield* Effect.forkChild(around(Effect.sleep("3 seconds")))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(settled, [["success", 3000]])
      const other = yield* Effect.forkChild(around(Effect.never))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.interrupt(other)
      assert.deepStrictEqual(settled.slice(1), [["interrupted", 2000]])
    })
  )

  it.effect("a guard that looks is not asked for what it rejects already", () =>
    Effect.gen(function* () {
      const { calls, guard } = recording()
      const outcome = () => success
      let ran = false
      const self = Effect.sync(() => (ran = true))
      const rejecting = protect({ name: "g", guard: { ...guard, look: () => "no" }, key: undefined, outcome })
      assert.strictEqual(yield* Effect.flip(rejecting(self)), "no")
      assert.deepStrictEqual([calls.length, ran], [0, false])
      const letting = protect({ name: "g", guard: { ...guard, look: () => undefined }, key: undefined, outcome })
      yield* letting(self)
      assert.deepStrictEqual([calls.length, ran], [1, true])
    })
  )

  it.effect("a rejection is told to listeners, and settles nothing", () =>
    Effect.gen(function* () {
      const rejections: ReadonlyArray<readonly [unknown, error: string, reason: string]> = [
        [{ _tag: "Full", reason: "queue" }, "Full", "queue"],
        [{ _tag: "CircuitOpen", state: "open" }, "CircuitOpen", "open"],
        [{ _tag: "Odd", reason: 1, state: 2 }, "Odd", "Odd"],
        [{ _tag: "Plain" }, "Plain", "Plain"],
        [null, "null", "null"],
        ["text", "string", "string"]
      ]
      for (const [rejection, error, reason] of rejections) {
        const heard: Array<Event> = []
        const { around, settled } = recording(() => Guard.rejected(rejection))
        const exit = yield* Effect.exit(around(Effect.void)).pipe(
          Effect.provideService(CurrentListener, (event) => void heard.push(event))
        )
        assert.deepStrictEqual(exit, Exit.fail(rejection))
        assert.deepStrictEqual(settled, [])
        assert.deepStrictEqual(heard, [
          { _tag: "GuardRejected", at: 0, policy: "guard", key: "key", guard: "guard", attempt: 1, error, reason }
        ])
        assert.deepStrictEqual(yield* Effect.exit(around(Effect.void)), Exit.fail(rejection))
      }
    })
  )

  it.effect("waits where the guard does, and times the run from then on", () =>
    Effect.gen(function* () {
      const { around, settled } = recording((permit) =>
        Guard.pending(Effect.as(Effect.sleep("5 seconds"), Guard.admitted(permit)))
      )
      const fiber = yield* Effect.forkChild(around(Effect.as(Effect.sleep("1 second"), "done")))
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      assert.deepStrictEqual(settled, [["success", 1000]])
    })
  )

  it.effect("what was pending may be rejected, or die", () =>
    Effect.gen(function* () {
      const rejected = recording(() => Guard.pending(Effect.succeed(Guard.rejected("full"))))
      assert.strictEqual(yield* Effect.flip(rejected.around(Effect.void)), "full")
      assert.deepStrictEqual(rejected.settled, [])
      const died = recording(() => Guard.pending(Effect.die("oh")))
      const exit = yield* Effect.exit(died.around(Effect.void))
      assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "oh")
    })
  )

  it.effect("interrupted while it waits, it leaves nothing behind", () =>
    Effect.gen(function* () {
      let cleaned = 0
      const { around, settled } = recording(() =>
        Guard.pending(
          Effect.ensuring(
            Effect.never,
            Effect.sync(() => cleaned++)
          )
        )
      )
      const fiber = yield* Effect.forkChild(around(Effect.void))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([cleaned, settled.length], [1, 0])
    })
  )

  it.effect("settles in an effect, which is waited for and cannot be interrupted", () =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<void>()
      let finished = 0
      const { around } = recording(Guard.admitted, () =>
        Effect.andThen(
          Deferred.await(done),
          Effect.sync(() => finished++)
        )
      )
      const fiber = yield* Effect.forkChild(around(Effect.succeed(1)))
      yield* Effect.yieldNow
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Effect.yieldNow
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(interrupting)
      assert.strictEqual(finished, 1)
    })
  )

  it.effect("a guard that fails while it is told hides nothing, and is reported", () =>
    Effect.gen(function* () {
      for (const settle of [
        () => {
          throw new Error("thrown")
        },
        () => Effect.die(new Error("died"))
      ]) {
        logged.length = 0
        const { around, settled } = recording(Guard.admitted, settle)
        assert.strictEqual(yield* around(Effect.succeed("fine")).pipe(logging), "fine")
        assert.strictEqual(yield* Effect.flip(around(Effect.fail("failed"))).pipe(logging), "failed")
        yield* Effect.yieldNow
        assert.strictEqual(settled.length, 2)
        assert.strictEqual(logged.length, 2)
        assert.include(String(logged[0]), "guard failed while it was told how an effect ended")
      }
    })
  )

  it.effect("a guard that throws when it is asked is a defect", () =>
    Effect.gen(function* () {
      const { around } = recording(() => {
        throw new Error("asked")
      })
      const exit = yield* Effect.exit(around(Effect.void))
      assert.strictEqual(Exit.isFailure(exit) && (Cause.squash(exit.cause) as Error).message, "asked")
    })
  )

  it.effect("takes the time of the Clock in force", () =>
    Effect.gen(function* () {
      const { around, calls } = recording()
      const clock = yield* Clock.clockWith(Effect.succeed)
      const later = new Proxy(clock, {
        get: (target, property) =>
          property === "monotonicTimeNanosUnsafe" ? () => 42_500_000n : Reflect.get(target, property)
      })
      yield* around(Effect.void).pipe(Effect.provideService(Clock.Clock, later))
      assert.strictEqual(calls[0]?.now, 42.5)
    })
  )
})
