import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { bounded, defectsOf } from "../../src/internal/bounded.ts"

/** `bounded` in the fiber that runs it, and all that `settle` was told. */
const running = <A, E>(
  self: Effect.Effect<A, E>,
  ms: number | undefined,
  then: (exit: Exit.Exit<A, E>) => Effect.Effect<unknown, unknown> = () => Effect.succeed("settled")
) => {
  const told: Array<readonly [exit: Exit.Exit<A, E>, timedOut: boolean]> = []
  let fiberId: number | undefined
  const run = Effect.withFiber((fiber) => {
    fiberId = fiber.id
    return bounded(fiber, fiber.context, self, ms, (exit, timedOut) => {
      told.push([exit, timedOut])
      return then(exit)
    })
  })
  return { run, told, fiberId: () => fiberId }
}

/** The sleepers on the clock in force. */
const watched = Effect.map(Clock.Clock, (clock) => {
  let sleeping = 0
  const watching = Object.assign(Object.create(clock) as Clock.Clock, {
    sleep: (d: Parameters<Clock.Clock["sleep"]>[0]) =>
      Effect.suspend(() => {
        sleeping++
        return Effect.ensuring(
          clock.sleep(d),
          Effect.sync(() => void sleeping--)
        )
      })
  })
  return {
    sleeping: () => sleeping,
    watch: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, Clock.Clock, watching)
  }
})

const interruptedBy = (exit: Exit.Exit<unknown, unknown> | undefined) =>
  exit !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    ? exit.cause.reasons.map((reason) => (reason as Cause.Interrupt).fiberId)
    : assert.fail("not interrupted")

describe("an effect that ends at once", () => {
  it.effect("is settled at once, and arms no timer", () =>
    Effect.gen(function* () {
      const { sleeping, watch } = yield* watched
      for (const exit of [Exit.succeed(1), Exit.fail("no"), Exit.die("bug")]) {
        const { run, told } = running(
          Effect.suspend(() => exit),
          1000
        )
        const fiber = yield* Effect.forkChild(watch(run), { startImmediately: true })
        assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed("settled"))
        assert.deepStrictEqual(told, [[exit, false]])
        assert.strictEqual(sleeping(), 0)
      }
    })
  )
})

describe("an effect that takes time", () => {
  it.effect("and ends before its time: the sleeper goes", () =>
    Effect.gen(function* () {
      const { sleeping, watch } = yield* watched
      for (const exit of [Exit.succeed(1), Exit.fail("no"), Exit.die("bug")]) {
        const gate = yield* Deferred.make<void>()
        const { run, told } = running(
          Effect.andThen(
            Deferred.await(gate),
            Effect.suspend(() => exit)
          ),
          1000
        )
        const fiber = yield* Effect.forkChild(watch(run))
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual(told, [])
        assert.strictEqual(sleeping(), 1)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* Fiber.join(fiber), "settled")
        assert.deepStrictEqual(told, [[exit, false]])
        yield* TestClock.adjust(0)
        assert.strictEqual(sleeping(), 0)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(told.length, 1)
      }
    })
  )

  it.effect("and does not end: it is interrupted by the fiber that waits", () =>
    Effect.gen(function* () {
      const { sleeping, watch } = yield* watched
      const { fiberId, run, told } = running(Effect.never, 1000)
      const fiber = yield* Effect.forkChild(watch(run))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), "settled")
      assert.strictEqual(told.length, 1)
      assert.deepStrictEqual(interruptedBy(told[0]![0]), [fiberId()])
      assert.isTrue(told[0]![1])
      assert.strictEqual(sleeping(), 0)
    })
  )

  it.effect("without a limit it takes as long as it takes", () =>
    Effect.gen(function* () {
      const { sleeping, watch } = yield* watched
      const gate = yield* Deferred.make<number>()
      const { run, told } = running(Deferred.await(gate), undefined)
      const fiber = yield* Effect.forkChild(watch(run))
      yield* TestClock.adjust("1000 days")
      assert.deepStrictEqual(told, [])
      assert.strictEqual(sleeping(), 0)
      yield* Deferred.succeed(gate, 7)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(told, [[Exit.succeed(7), false]])
    })
  )

  it.effect("its finalizers are waited for, and what they did wrong is told", () =>
    Effect.gen(function* () {
      const body = Effect.onInterrupt(Effect.never, () =>
        Effect.andThen(Effect.sleep("2 seconds"), Effect.die("broken"))
      )
      const { run, told } = running(body, 1000)
      const fiber = yield* Effect.forkChild(run)
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(told, [])
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(fiber.pollUnsafe())
      assert.strictEqual(told.length, 1)
      assert.isTrue(told[0]![1])
      assert.deepStrictEqual(
        defectsOf(told[0]![0]).map((reason) => (reason as Cause.Die).defect),
        ["broken"]
      )
    })
  )

  it.effect("one that cannot be interrupted is waited for; its exit is an interruption, as the runtime has it", () =>
    Effect.gen(function* () {
      const { run, told } = running(Effect.uninterruptible(Effect.as(Effect.sleep("5 seconds"), 7)), 1000)
      const fiber = yield* Effect.forkChild(run)
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      assert.strictEqual(told.length, 1)
      assert.isTrue(told[0]![1])
      interruptedBy(told[0]![0])
    })
  )
})

describe("how the waiting fiber goes on", () => {
  it.effect("is what settle returns", () =>
    Effect.gen(function* () {
      const then = (exit: Exit.Exit<unknown, unknown>) =>
        Effect.andThen(
          Effect.sleep("1 second"),
          Exit.isSuccess(exit) ? Effect.fail("not so good") : Effect.succeed("good")
        )
      const good = yield* Effect.forkChild(running(Effect.fail("no"), 10, then).run)
      const bad = yield* Effect.forkChild(Effect.exit(running(Effect.as(Effect.sleep(5), 1), 10, then).run))
      const late = yield* Effect.forkChild(running(Effect.never, 10, then).run)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(good), "good")
      assert.deepStrictEqual(yield* Fiber.join(bad), Exit.fail("not so good"))
      assert.strictEqual(yield* Fiber.join(late), "good")
    })
  )

  it.effect("the effect runs in the context given, not in that of the waiting fiber", () =>
    Effect.gen(function* () {
      const Name = Context.Reference("test/Name", { defaultValue: () => "nobody" })
      const seen = yield* Effect.withFiber((fiber) =>
        bounded(fiber, Context.add(fiber.context, Name, "inside"), Effect.andThen(Effect.yieldNow, Name), 10, (exit) =>
          Effect.map(Name, (name) => [exit, name])
        )
      ).pipe(Effect.provideService(Name, "outside"))
      assert.deepStrictEqual(seen, [Exit.succeed("inside"), "outside"])
    })
  )
})

describe("an interruption of the waiting fiber", () => {
  it.effect("interrupts the effect and waits for its finalizers; settle is told once, and not gone on with", () =>
    Effect.gen(function* () {
      const { sleeping, watch } = yield* watched
      let wentOn = false
      const body = Effect.onInterrupt(Effect.never, () =>
        Effect.andThen(Effect.yieldNow, TestClock.withLive(Effect.void))
      )
      const { run, told } = running(body, 1000, () => Effect.sync(() => void (wentOn = true)))
      const fiber = yield* Effect.forkChild(watch(run))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(sleeping(), 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(told.length, 1)
      assert.isFalse(told[0]![1])
      interruptedBy(told[0]![0])
      assert.isFalse(wentOn)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(sleeping(), 0)
      assert.strictEqual(told.length, 1)
      interruptedBy(yield* Fiber.await(fiber))
    })
  )

  it.effect("one that cannot be interrupted is waited for", () =>
    Effect.gen(function* () {
      const body = Effect.uninterruptible(Effect.as(Effect.sleep("2 seconds"), "permit"))
      const { run, told } = running(body, undefined)
      const fiber = yield* Effect.forkChild(run)
      yield* TestClock.adjust("1 second")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(interrupting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(interrupting.pollUnsafe())
      assert.strictEqual(told.length, 1)
      assert.isFalse(told[0]![1])
      interruptedBy(told[0]![0])
    })
  )

  it.effect("after time ran out, while finalizers run: still out of time, told once", () =>
    Effect.gen(function* () {
      const body = Effect.onInterrupt(Effect.never, () => Effect.sleep("5 seconds"))
      const { run, told } = running(body, 1000)
      const fiber = yield* Effect.forkChild(run)
      yield* TestClock.adjust("2 seconds")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("3 seconds")
      assert.isUndefined(interrupting.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isDefined(interrupting.pollUnsafe())
      assert.strictEqual(told.length, 1)
      assert.isTrue(told[0]![1])
    })
  )

  it.effect("of an uninterruptible waiting fiber does nothing before its time", () =>
    Effect.gen(function* () {
      const { run, told } = running(Effect.never, 1000)
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(run))
      yield* TestClock.adjust("500 millis")
      fiber.interruptUnsafe()
      yield* TestClock.adjust("499 millis")
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(
        told.map(([, timedOut]) => timedOut),
        [true]
      )
    })
  )
})

describe("defectsOf", () => {
  it("is what is more than an interruption or an error", () => {
    assert.deepStrictEqual(defectsOf(Exit.succeed(1)), [])
    assert.deepStrictEqual(defectsOf(Exit.fail(1)), [])
    assert.deepStrictEqual(defectsOf(Exit.interrupt(1)), [])
    const both = Cause.fromReasons<unknown>([
      ...Cause.interrupt(1).reasons,
      ...Cause.die("a").reasons,
      ...Cause.fail("b").reasons,
      ...Cause.die("c").reasons
    ])
    assert.deepStrictEqual(
      defectsOf(Exit.failCause(both)).map((reason) => (reason as Cause.Die).defect),
      ["a", "c"]
    )
  })
})
