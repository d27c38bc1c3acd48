import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Layer, Option, Scheduler } from "effect"
import { CircuitBreaker as EffectBreaker } from "effect/persistence"
import { TestClock } from "effect/testing"
import { CircuitOpen } from "../src/CircuitBreaker.ts"
import * as EffectCircuitBreaker from "../src/EffectCircuitBreaker.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import { ofExit } from "../src/internal/outcome.ts"
import { protect } from "../src/internal/protect.ts"

class Shared extends EffectCircuitBreaker.Service<Shared>()("app/Shared") {}
class Named extends EffectCircuitBreaker.Service<Named>()("app/Named", { key: "quotes" }) {}
class Keyed extends EffectCircuitBreaker.Service<Keyed>()("app/Keyed", { keyed: true }) {}

const theirs = EffectBreaker.layer({ tripPolicy: EffectBreaker.consecutive(2), openDuration: "10 seconds" }).pipe(
  Layer.provide(EffectBreaker.layerStoreMemory())
)
const layer = Layer.mergeAll(Shared.layer, Named.layer, Keyed.layer).pipe(Layer.provideMerge(theirs))

const around = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  guard: Guard.Guard<EffectCircuitBreaker.Rejection>,
  key?: string,
  faults: Fault.Classifier = Fault.all
) => protect({ name: guard.name, guard, key, outcome: (exit) => ofExit(exit, faults) })(self)
const call = <A, E>(self: Effect.Effect<A, E>) => Effect.flatMap(Shared, (guard) => around(self, guard))

const fail = Effect.fail("no" as const)
const trip = Effect.andThen(Effect.exit(call(fail)), Effect.exit(call(fail)))
const state = Effect.flatMap(EffectBreaker.CircuitBreaker, (breaker) => breaker.state("app/Shared"))
const stateTag = Effect.map(state, ({ _tag }) => _tag)
const errorOf = <E>(exit: Exit.Exit<unknown, E>): E | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined

const outcome = (kind: Guard.OutcomeKind, health: Guard.Outcome["health"], retryAfter?: Duration.Duration) => ({
  kind,
  health,
  retryAfter
})

describe("a circuit breaker of effect/persistence as a guard", () => {
  it.effect("opens, rejects without running anything, half-opens, closes", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* call(Effect.succeed(1)), 1)
      yield* trip
      assert.strictEqual(yield* stateTag, "Open")
      yield* TestClock.adjust("4 seconds")
      let ran = false
      const rejection = errorOf(yield* Effect.exit(call(Effect.sync(() => (ran = true)))))
      assert.instanceOf(rejection, CircuitOpen)
      const { breaker, key, retryAfter, state } = rejection as CircuitOpen
      assert.deepStrictEqual([breaker, key, state], ["app/Shared", undefined, "open"])
      assert.deepStrictEqual(retryAfter, Duration.seconds(6))
      assert.notInclude((rejection as CircuitOpen).stack ?? "", "at ")
      assert.isFalse(ran)
      yield* TestClock.adjust("6 seconds")
      const done = yield* Deferred.make<void>()
      const probe = yield* Effect.forkChild(call(Deferred.await(done)))
      yield* Effect.yieldNow
      const other = errorOf(yield* Effect.exit(call(Effect.void))) as CircuitOpen
      assert.deepStrictEqual([other.state, other.retryAfter], ["half-open", undefined])
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(probe)
      assert.strictEqual(yield* stateTag, "Closed")
    }).pipe(Effect.provide(layer))
  )

  it.effect("a late result changes nothing", () =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<void>()
      const late = yield* Effect.forkChild(call(Deferred.await(done)))
      yield* Effect.yieldNow
      yield* trip
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(call(Effect.never))
      yield* Effect.yieldNow
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(late)
      assert.strictEqual(yield* stateTag, "HalfOpen")
      yield* Fiber.interrupt(probe)
    }).pipe(Effect.provide(layer))
  )

  it.effect("interrupted between any two operations of the runtime, it leaves neither a probe nor a fiber behind", () =>
    Effect.gen(function* () {
      const guard = yield* Shared
      const body = Effect.gen(function* () {
        for (let i = 0; i < 20; i++) yield* Effect.yieldNow
        return yield* Effect.never
      })
      const held = new Set<boolean>()
      yield* trip
      yield* TestClock.adjust("10 seconds")
      for (const maxOps of [3, 4, 5, 2048]) {
        for (let yields = 0; yields <= 300; yields += yields < 90 ? 1 : 20) {
          const fiber = yield* around(body, guard).pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, maxOps),
            Effect.forkChild
          )
          for (let i = 0; i < yields; i++) yield* Effect.yieldNow
          const before = yield* state
          held.add(before._tag === "HalfOpen" && before.probing)
          yield* Fiber.interrupt(fiber)
          // the fiber that stands for the attempt ends a few operations later
          for (let i = 0; i < 20; i++) yield* Effect.yieldNow
          const after = yield* state
          assert.isFalse(
            after._tag === "HalfOpen" && after.probing,
            `a probe is left after ${yields} yields of ${maxOps}`
          )
          assert.notStrictEqual(after._tag, "Closed")
        }
      }
      assert.strictEqual(held.size, 2)
    }).pipe(Effect.provide(layer))
  )

  it.effect("health says how it counts; a retryAfter goes with a failure", () =>
    Effect.gen(function* () {
      const guard = yield* Shared
      const settle = (outcome: Guard.Outcome) =>
        Effect.gen(function* () {
          const admission = guard.admit({
            policy: "p",
            key: undefined,
            attempt: 1,
            kind: "first",
            now: 0,
            deadline: undefined,
            priority: "normal",
            random: () => 0,
            emit: undefined
          })
          const admitted = yield* admission._tag === "Pending" ? admission.effect : Effect.succeed(admission)
          if (admitted._tag !== "Admitted") return yield* Effect.die(admitted)
          const settled = admitted.permit.settle(outcome, 1, 1)
          // a store in memory has recorded it by then
          assert.isUndefined(settled)
        })
      const failed = outcome("transient", "failed", Duration.seconds(30))
      yield* settle(failed)
      yield* settle(outcome("success", "ok"))
      yield* settle(failed)
      yield* settle(outcome("throttled", "ignored"))
      yield* settle(outcome("interrupted", "failed"))
      assert.strictEqual(yield* stateTag, "Closed")
      yield* settle(failed)
      const open = yield* state
      assert.deepStrictEqual(open._tag === "Open" && open.retryAfter, Duration.seconds(30))
    }).pipe(Effect.provide(layer))
  )

  it.effect("the key is the name, the one said in the class, or the one said at the call", () =>
    Effect.gen(function* () {
      const breaker = yield* EffectBreaker.CircuitBreaker
      const [named, keyed] = [yield* Named, yield* Keyed]
      for (let i = 0; i < 2; i++) {
        yield* Effect.exit(around(fail, named, "ignored"))
        yield* Effect.exit(around(fail, keyed, "host"))
      }
      assert.strictEqual((yield* breaker.state("quotes"))._tag, "Open")
      assert.strictEqual((yield* breaker.state("host"))._tag, "Open")
      assert.strictEqual((yield* breaker.state("ignored"))._tag, "Closed")
      assert.isUndefined((errorOf(yield* Effect.exit(around(fail, named, "ignored"))) as CircuitOpen).key)
      assert.strictEqual((errorOf(yield* Effect.exit(around(fail, keyed, "host"))) as CircuitOpen).key, "host")
      const exit = yield* Effect.exit(around(fail, keyed))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, InvalidOption)
      assert.deepStrictEqual([Shared.keyed, Named.keyed, Keyed.keyed], [false, false, true])
      assert.deepStrictEqual([named.name, named.phase], ["app/Named", "circuit"])
    }).pipe(Effect.provide(layer))
  )

  const storeError = new EffectBreaker.CircuitBreakerError({
    reason: new EffectBreaker.CircuitBreakerStoreError({ message: "down" })
  })
  const broken = (over: Partial<EffectBreaker.CircuitBreakerStore["Service"]>, onStoreError?: "fail") =>
    Layer.mergeAll(Shared.layer).pipe(
      Layer.provideMerge(
        EffectBreaker.layer({ tripPolicy: EffectBreaker.consecutive(1), openDuration: "1 second", onStoreError })
      ),
      Layer.provide(
        Layer.succeed(EffectBreaker.CircuitBreakerStore)({
          admit: () => Effect.succeed({ generation: 0, probe: false, consecutiveOpenings: 0, transition: undefined }),
          record: () => Effect.undefined,
          state: () => Effect.die("not asked"),
          ...over
        })
      )
    )

  it.effect("where the store fails, its own onStoreError decides", () =>
    Effect.gen(function* () {
      const admit = () => Effect.fail(storeError)
      assert.strictEqual(yield* call(Effect.succeed(1)).pipe(Effect.provide(broken({ admit }))), 1)
      const refused = yield* Effect.exit(call(Effect.succeed(1)).pipe(Effect.provide(broken({ admit }, "fail"))))
      assert.strictEqual(errorOf(refused), storeError)
    })
  )

  it.effect("a store that dies while it admits is a defect", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        call(Effect.succeed(1)).pipe(Effect.provide(broken({ admit: () => Effect.die("oh") })))
      )
      assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "oh")
    })
  )

  it.effect("the attempt ends when its outcome is recorded; a store that waits is waited for", () =>
    Effect.gen(function* () {
      const slowly = broken({
        admit: () =>
          Effect.as(Effect.sleep("1 second"), {
            generation: 0,
            probe: false,
            consecutiveOpenings: 0,
            transition: undefined
          }),
        record: () => Effect.as(Effect.sleep("2 seconds"), undefined)
      })
      const fiber = yield* Effect.forkChild(call(Effect.sleep("3 seconds")).pipe(Effect.provide(slowly)))
      yield* TestClock.adjust("5999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
    })
  )

  it.effect("interrupted while the store is asked, it waits for the answer, and gives the place back", () =>
    Effect.gen(function* () {
      const recorded: Array<string> = []
      const slowly = broken({
        admit: () =>
          Effect.as(Effect.sleep("1 second"), {
            generation: 0,
            probe: false,
            consecutiveOpenings: 0,
            transition: undefined
          }),
        record: ({ outcome }) => Effect.sync(() => void recorded.push(outcome))
      })
      const fiber = yield* Effect.forkChild(call(Effect.never).pipe(Effect.provide(slowly)))
      yield* Effect.yieldNow
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(recorded, ["Ignored"])
    })
  )

  it.effect("any breaker can be made a guard", () =>
    Effect.gen(function* () {
      const breaker = yield* EffectBreaker.CircuitBreaker
      const guard = EffectCircuitBreaker.guard(breaker, { name: "mine", key: "k" })
      yield* Effect.exit(around(fail, guard))
      yield* Effect.exit(around(fail, guard))
      assert.strictEqual((yield* breaker.state("k"))._tag, "Open")
    }).pipe(Effect.provide(layer))
  )
})
