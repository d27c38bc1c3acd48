import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { Deadline, Guard, InvalidOption, Policy, Priority, withResilience } from "effect-resilience"

const plain = Policy.make({ name: "plain" })

describe("Priority", () => {
  it.effect("is normal unless something is said", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Priority.current, "normal")
      assert.strictEqual(yield* Priority.current.pipe(withResilience(plain)), "normal")
    })
  )

  it.effect("is what was said, data-first and data-last", () =>
    Effect.gen(function* () {
      for (const level of Priority.levels) {
        assert.strictEqual(yield* Priority.at(Priority.current, level), level)
        assert.strictEqual(yield* Priority.current.pipe(withResilience(plain), Priority.at(level)), level)
      }
    })
  )

  it.effect("is inherited by forked fibers, and through a deadline", () =>
    Effect.gen(function* () {
      const forked = Effect.flatMap(Effect.forkChild(Priority.current), Fiber.join)
      assert.strictEqual(yield* forked.pipe(Deadline.within("1 second"), Priority.at("low")), "low")
    })
  )

  it.effect("is never raised from within: of two, the lower one holds", () =>
    Effect.gen(function* () {
      for (const [i, outer] of Priority.levels.entries()) {
        for (const [j, inner] of Priority.levels.entries()) {
          const lower = Priority.levels[Math.max(i, j)]
          assert.strictEqual(yield* Priority.current.pipe(Priority.at(inner), Priority.at(outer)), lower)
        }
      }
    })
  )

  it.effect("is never raised above that of the call around, however it is said", () =>
    Effect.gen(function* () {
      const raised = Effect.provideService(Priority.current, Priority.CurrentPriority, "critical")
      const asked = Priority.current.pipe(Priority.at("critical"))
      for (const inner of [
        raised,
        asked,
        raised.pipe(withResilience(plain)),
        asked.pipe(Deadline.within("1 second"))
      ]) {
        assert.strictEqual(yield* inner.pipe(withResilience(plain)), "normal")
        assert.strictEqual(yield* inner.pipe(withResilience(plain), Priority.at("background")), "background")
      }
    })
  )

  it.effect("is critical below a deadline that no call is around", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Priority.current.pipe(Priority.at("critical"), Deadline.within("1 second")), "critical")
    })
  )

  it.effect("a fiber that outlives its call is no longer bound by it", () =>
    Effect.gen(function* () {
      const late = Effect.forkDetach(Effect.andThen(Effect.yieldNow, Priority.current.pipe(Priority.at("critical"))))
      const fiber = yield* late.pipe(withResilience(plain))
      assert.strictEqual(yield* Fiber.join(fiber), "critical")
    })
  )

  it.effect("is told to guards, in a policy and alone", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      class Watch extends Guard.Service<Watch, never>()("test/Watch", {
        name: "test/Watch",
        phase: "throttle",
        admit: (call) => {
          seen.push(call.priority)
          return Guard.admitted({ settle: () => undefined })
        }
      }) {}
      const watched = Policy.make({ name: "watched", guards: [Watch] })
      yield* Effect.void.pipe(withResilience(watched), Priority.at("low"), Effect.provide(Watch.layer))
      yield* Effect.void.pipe(
        withResilience(watched),
        Priority.at("critical"),
        withResilience(plain),
        Effect.provide(Watch.layer)
      )
      assert.deepStrictEqual(seen, ["low", "normal"])
    })
  )

  it("refuses what is no priority", () => {
    assert.throws(() => Priority.at("urgent" as never), InvalidOption)
    const exit = Effect.runSyncExit(Effect.suspend(() => Priority.at(Effect.void, "urgent" as never)))
    assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof InvalidOption)
  })
})
