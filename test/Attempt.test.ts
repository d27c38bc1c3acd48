import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Effect, Fiber, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as Attempt from "../src/Attempt.ts"
import * as Deadline from "../src/Deadline.ts"
import * as Fault from "../src/Fault.ts"
import * as Policy from "../src/Policy.ts"
import { withResilience } from "../src/Policy.ts"

class Down extends Data.TaggedError("Down")<{ readonly n: number }> {}
class Busy extends Data.TaggedError("Busy") {}

const outside: Attempt.Attempt = { policy: undefined, number: 1, kind: "first", lastError: undefined }

const policy = (name: string, retries: number) =>
  Policy.make({ name, safety: "idempotent", faults: Fault.all, retry: Schedule.recurs(retries) })

describe("current", () => {
  it.effect("outside a policy: the first", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Attempt.current, outside)
      assert.deepStrictEqual(yield* Attempt.current.pipe(Deadline.within("1 second")), outside)
    })
  )

  it.effect("in a policy: which attempt of which policy, and what the one before failed with", () =>
    Effect.gen(function* () {
      const seen: Array<Attempt.Attempt> = []
      const body = Effect.gen(function* () {
        const attempt = yield* Attempt.current
        seen.push(attempt)
        if (attempt.number < 3) return yield* new Down({ n: attempt.number })
        return "done"
      })
      assert.strictEqual(yield* body.pipe(withResilience(policy("p", 5))), "done")
      assert.deepStrictEqual(seen, [
        { policy: "p", number: 1, kind: "first", lastError: undefined },
        { policy: "p", number: 2, kind: "retry", lastError: new Down({ n: 1 }) },
        { policy: "p", number: 3, kind: "retry", lastError: new Down({ n: 2 }) }
      ])
      assert.deepStrictEqual(yield* Attempt.current, outside)
    })
  )

  it.effect("an attempt that timed out is the last error of the next", () =>
    Effect.gen(function* () {
      const p = Policy.make({ name: "p", safety: "idempotent", retry: Schedule.recurs(1), attemptTimeout: "1 second" })
      const body = Effect.flatMap(Attempt.current, (attempt) =>
        attempt.number === 1 ? Effect.never : Effect.succeed(attempt.lastError)
      )
      const fiber = yield* Effect.forkChild(body.pipe(withResilience(p)))
      yield* TestClock.adjust("1 second")
      const last = yield* Fiber.join(fiber)
      assert.instanceOf(last, Policy.AttemptTimeout)
    })
  )

  it.effect("of nested policies: the inner one inside, the outer one before and after", () =>
    Effect.gen(function* () {
      const names: Array<string> = []
      const note = Effect.map(Attempt.current, (a) => names.push(`${a.policy} ${a.number}`))
      let failed = false
      const innerBody = Effect.suspend(() => {
        if (failed) return note
        failed = true
        return Effect.andThen(note, Effect.fail("down"))
      })
      yield* note.pipe(
        Effect.andThen(innerBody.pipe(withResilience(policy("inner", 1)))),
        Effect.andThen(note),
        withResilience(policy("outer", 1))
      )
      assert.deepStrictEqual(names, ["outer 1", "inner 1", "inner 2", "outer 1"])
    })
  )

  it.effect("of two calls in parallel: each its own", () =>
    Effect.gen(function* () {
      const body = Effect.andThen(
        Effect.sleep("1 second"),
        Effect.map(Attempt.current, (a) => a.policy)
      )
      const fiber = yield* Effect.forkChild(
        Effect.all([withResilience(body, policy("a", 1)), withResilience(body, policy("b", 1)), body], {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["a", "b", undefined])
    })
  )

  it.effect("a region with a deadline keeps the attempt around it", () =>
    Effect.gen(function* () {
      const attempt = yield* Attempt.current.pipe(Deadline.within("1 second"), withResilience(policy("p", 1)))
      assert.deepStrictEqual(attempt, { ...outside, policy: "p" })
      const free = yield* Attempt.current.pipe(
        Deadline.unbounded,
        Deadline.within("1 second"),
        withResilience(policy("p", 1))
      )
      assert.deepStrictEqual(free, { ...outside, policy: "p" })
    })
  )

  it.effect("a fiber that outlives the call is outside", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const seen = yield* Effect.gen(function* () {
        const during = yield* Attempt.current
        const fiber = yield* Effect.forkDetach(Effect.andThen(Deferred.await(gate), Attempt.current))
        return { during, fiber }
      }).pipe(withResilience(policy("p", 1)))
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(seen.during.policy, "p")
      assert.deepStrictEqual(yield* Fiber.join(seen.fiber), outside)
    })
  )

  it.effect("one that outlives the inner call only is in the outer one", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const after = yield* Effect.forkDetach(Effect.andThen(Deferred.await(gate), Attempt.current)).pipe(
        withResilience(policy("inner", 1)),
        Effect.flatMap((fiber) => Effect.andThen(Deferred.succeed(gate, undefined), Fiber.join(fiber))),
        withResilience(policy("outer", 1))
      )
      assert.strictEqual(after.policy, "outer")
    })
  )
})

describe("lastError", () => {
  it.effect("by its class: the latest of this call, also where another error came after it", () =>
    Effect.gen(function* () {
      const seen: Array<readonly [Option.Option<Down>, Option.Option<Busy>]> = []
      const body = Effect.gen(function* () {
        seen.push([yield* Attempt.lastError(Down), yield* Attempt.lastError(Busy)])
        if (seen.length === 1) return yield* new Down({ n: 7 })
        if (seen.length === 2) return yield* new Busy()
        if (seen.length === 3) return yield* new Down({ n: 8 })
      })
      yield* body.pipe(withResilience(policy("p", 5)))
      assert.deepStrictEqual(seen, [
        [Option.none(), Option.none()],
        [Option.some(new Down({ n: 7 })), Option.none()],
        [Option.some(new Down({ n: 7 })), Option.some(new Busy())],
        [Option.some(new Down({ n: 8 })), Option.some(new Busy())]
      ])
    })
  )

  it.effect("of the innermost policy only", () =>
    Effect.gen(function* () {
      const seen: Array<Option.Option<Down>> = []
      const look = Effect.map(Attempt.lastError(Down), (found) => void seen.push(found))
      const body = Effect.gen(function* () {
        yield* look
        if (seen.length === 1) return yield* new Down({ n: 1 })
        yield* look.pipe(withResilience(policy("inner", 1)))
        yield* look.pipe(Deadline.within("1 second"))
      })
      yield* body.pipe(withResilience(policy("outer", 1)))
      const down = Option.some(new Down({ n: 1 }))
      assert.deepStrictEqual(seen, [Option.none(), down, Option.none(), down])
    })
  )

  it.effect("of many failures the first and the latest are remembered", () =>
    Effect.gen(function* () {
      let runs = 0
      let found: ReadonlyArray<unknown> = []
      const body = Effect.gen(function* () {
        runs++
        found = [yield* Attempt.lastError(Down), yield* Attempt.lastError(Busy)]
        return yield* runs === 1 ? new Busy() : new Down({ n: runs })
      })
      yield* Effect.flip(body.pipe(withResilience(policy("p", 30))))
      assert.strictEqual(runs, 31)
      assert.deepStrictEqual(found, [Option.some(new Down({ n: 30 })), Option.some(new Busy())])
    })
  )

  it.effect("outside a policy there is none", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Attempt.lastError(Down), Option.none())
    })
  )
})
