import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Deferred, Duration, Effect, Exit, Fiber, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as Attempt from "../src/Attempt.ts"
import * as Deadline from "../src/Deadline.ts"
import { DeadlineExceeded } from "../src/Deadline.ts"
import { CurrentListener, type Event } from "../src/internal/events.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import * as Policy from "../src/Policy.ts"
import { withResilience } from "../src/Policy.ts"

/** The clock in force, and how many sleep on it. */
const watched = Effect.map(Clock.Clock, (clock) => {
  let sleeping = 0
  const watching: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (d) =>
      Effect.suspend(() => {
        sleeping++
        return Effect.ensuring(
          clock.sleep(d),
          Effect.sync(() => void sleeping--)
        )
      })
  }
  return {
    sleeping: () => sleeping,
    run: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, Clock.Clock, watching)
  }
})

const now = Clock.currentTimeMillis

/** How `self` ends, and when, in milliseconds from now on. */
const ending = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<readonly [Exit.Exit<A, E>, number], never, R> =>
  Effect.gen(function* () {
    const start = yield* now
    const fiber = yield* Effect.forkChild(
      Effect.flatMap(Effect.exit(self), (exit) => Effect.map(now, (end) => [exit, end - start] as const))
    )
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

const exceeded = (after: Duration.Input, name?: string) =>
  new DeadlineExceeded({ name, after: Duration.fromInputUnsafe(after) })

const failsWith = (exit: Exit.Exit<unknown, unknown>, error: DeadlineExceeded): void => {
  assert.isTrue(Exit.isFailure(exit))
  if (!Exit.isFailure(exit)) return
  assert.strictEqual(exit.cause.reasons.length, 1)
  const [reason] = exit.cause.reasons
  assert.instanceOf(reason?._tag === "Fail" && reason.error, DeadlineExceeded)
  const found = (reason as Cause.Fail<DeadlineExceeded>).error
  assert.deepStrictEqual([found.name, Duration.toMillis(found.after)], [error.name, Duration.toMillis(error.after)])
}

const refusal = (f: () => unknown): InvalidOption => {
  try {
    f()
  } catch (error) {
    if (error instanceof InvalidOption) return error
    throw error
  }
  return assert.fail("nothing was refused")
}

const left = Effect.map(Deadline.remaining, Option.map(Duration.toMillis))

describe("within", () => {
  it.effect("leaves alone what ends in time", () =>
    Effect.gen(function* () {
      const value = Effect.as(Effect.sleep("999 millis"), "value")
      assert.deepStrictEqual(yield* ending(value.pipe(Deadline.within("1 second"))), [Exit.succeed("value"), 999])
      assert.deepStrictEqual(yield* ending(Deadline.within(value, "1 second")), [Exit.succeed("value"), 999])
      const error = Effect.andThen(Effect.sleep("999 millis"), Effect.fail("error"))
      assert.deepStrictEqual(yield* ending(error.pipe(Deadline.within("1 second"))), [Exit.fail("error"), 999])
      assert.strictEqual(yield* Effect.succeed(1).pipe(Deadline.within(1)), 1)
      assert.deepStrictEqual(yield* Effect.exit(Deadline.within(Effect.die("bug"), 1)), Exit.die("bug"))
    })
  )

  it.effect("interrupts at the deadline, and raises it", () =>
    Effect.gen(function* () {
      for (const run of [
        Effect.never.pipe(Deadline.within("1 second", { name: "answer" })),
        Deadline.within(Effect.never, "1 second", { name: "answer" }),
        Deadline.within(Effect.sleep("1001 millis"), "1 second", { name: "answer" })
      ]) {
        const [exit, took] = yield* ending(run)
        failsWith(exit, exceeded("1 second", "answer"))
        assert.strictEqual(took, 1000)
      }
      const [unnamed] = yield* ending(Deadline.within(Effect.never, { seconds: 2 }))
      failsWith(unnamed, exceeded("2 seconds"))
      const [unnamedToo] = yield* ending(Deadline.within(Effect.never, 1, { name: undefined }))
      failsWith(unnamedToo, exceeded(1))
    })
  )

  it.effect("counts from the moment it is run, each time anew", () =>
    Effect.gen(function* () {
      const limited = Deadline.within(Effect.never, "1 second")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* ending(limited))[1], 1000)
      assert.strictEqual((yield* ending(limited))[1], 1000)
    })
  )

  it.effect("raises an error without a stack trace", () =>
    Effect.gen(function* () {
      const [exit] = yield* ending(Deadline.within(Effect.never, 1))
      const error = Option.getOrThrow(Exit.findErrorOption(exit)) as DeadlineExceeded
      assert.notMatch(error.stack!, /\n\s+at /)
      assert.isUndefined(error.attempts)
      assert.isUndefined(error.lastError)
    })
  )

  it.effect("waits for finalizers, however slow", () =>
    Effect.gen(function* () {
      let cleaned = 0
      const slow = Effect.onInterrupt(Effect.never, () =>
        Effect.andThen(
          Effect.sleep("5 seconds"),
          Effect.sync(() => void cleaned++)
        )
      )
      const [exit, took] = yield* ending(Deadline.within(slow, "1 second"))
      failsWith(exit, exceeded("1 second"))
      assert.deepStrictEqual([took, cleaned], [6000, 1])
    })
  )

  it.effect("waits for an uninterruptible body, and is late all the same", () =>
    Effect.gen(function* () {
      const body = Effect.uninterruptible(Effect.as(Effect.sleep("5 seconds"), "done"))
      const [exit, took] = yield* ending(Deadline.within(body, "1 second"))
      failsWith(exit, exceeded("1 second"))
      assert.strictEqual(took, 5000)
      const fails = Effect.uninterruptible(Effect.andThen(Effect.sleep("5 seconds"), Effect.fail("late")))
      failsWith((yield* ending(Deadline.within(fails, "1 second")))[0], exceeded("1 second"))
    })
  )

  it.effect("keeps the defects of finalizers beside it", () =>
    Effect.gen(function* () {
      const body = Effect.onInterrupt(Effect.never, () => Effect.die("broken finalizer"))
      const [exit] = yield* ending(Deadline.within(body, "1 second"))
      assert.isTrue(Exit.isFailure(exit))
      if (!Exit.isFailure(exit)) return
      assert.deepStrictEqual(
        exit.cause.reasons.map((reason) => reason._tag),
        ["Fail", "Die"]
      )
      assert.strictEqual((exit.cause.reasons[1] as Cause.Die).defect, "broken finalizer")
    })
  )

  it.effect("an interruption by the caller is passed on, and nothing stays behind", () =>
    Effect.gen(function* () {
      const { run, sleeping } = yield* watched
      let stopped = 0
      const body = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stopped++))
      const fiber = yield* Effect.forkChild(run(Deadline.within(body, "1 second")))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(sleeping(), 1)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.strictEqual(stopped, 1)
      yield* TestClock.adjust(0)
      assert.strictEqual(sleeping(), 0)
    })
  )

  it.effect("no sleeper stays behind when the body ends in time, and none is there when it ends at once", () =>
    Effect.gen(function* () {
      const { run, sleeping } = yield* watched
      const gate = yield* Deferred.make<void>()
      const waiting = yield* Effect.forkChild(run(Deadline.within(Deferred.await(gate), "1 day")))
      yield* TestClock.adjust(0)
      assert.strictEqual(sleeping(), 1)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(waiting)
      yield* TestClock.adjust(0)
      assert.strictEqual(sleeping(), 0)
      yield* run(
        Deadline.within(
          Effect.sync(() => assert.strictEqual(sleeping(), 0)),
          "1 day"
        )
      )
      assert.strictEqual(sleeping(), 0)
    })
  )

  it.effect("keeps the services around it, and the children within it", () =>
    Effect.gen(function* () {
      const Name = Context.Reference("test/Name", { defaultValue: () => "nobody" })
      assert.strictEqual(
        yield* Effect.provideService(Deadline.within(Effect.andThen(Effect.yieldNow, Name), 1), Name, "somebody"),
        "somebody"
      )
      let stopped = 0
      const child = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stopped++))
      const parent = Effect.andThen(Effect.forkChild(child), Effect.never)
      yield* ending(Deadline.within(parent, "1 second"))
      assert.strictEqual(stopped, 1)
    })
  )

  it("refuses what is no finite duration above 0, and an empty name", () => {
    for (const d of [0, -1, NaN, Infinity, "Infinity", "soon", null] as Array<Duration.Input>) {
      assert.strictEqual(refusal(() => Deadline.within(Effect.void, d)).option, "Deadline.within: d")
    }
    for (const name of ["", " "]) {
      const error = refusal(() => Deadline.within(Effect.void, 1, { name }))
      assert.deepStrictEqual(
        [error.option, error.value, error.allowed],
        ["Deadline.within: name", name, "a non-empty string"]
      )
    }
  })
})

describe("at", () => {
  it.effect("is a point in time", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("10 seconds")
      const from = yield* now
      const [exit, took] = yield* ending(Effect.never.pipe(Deadline.at(from + 1500, { name: "answer" })))
      failsWith(exit, exceeded(1500, "answer"))
      assert.strictEqual(took, 1500)
      const at = (yield* now) + 1500
      yield* TestClock.adjust("1 second")
      const [late, rest] = yield* ending(Deadline.at(Effect.never, at))
      failsWith(late, exceeded(500))
      assert.strictEqual(rest, 500)
    })
  )

  it.effect("one that has passed lets nothing begin", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("10 seconds")
      let ran = false
      const body = Effect.sync(() => void (ran = true))
      for (const epochMillis of [yield* now, (yield* now) - 1, 0, -1]) {
        const exit = yield* Effect.exit(body.pipe(Deadline.at(epochMillis, { name: "past" })))
        failsWith(exit, exceeded(0, "past"))
        assert.strictEqual(
          Exit.isFailure(exit) && (Cause.squash(exit.cause) as Error).message,
          "past had no time left and did not begin"
        )
      }
      assert.isFalse(ran)
    })
  )

  it("refuses what is no point in time, and an empty name", () => {
    for (const epochMillis of [NaN, Infinity, -Infinity, "2026-01-01" as never, undefined as never]) {
      const error = refusal(() => Deadline.at(Effect.void, epochMillis))
      assert.deepStrictEqual(
        [error.option, error.value, error.allowed],
        ["Deadline.at: epochMillis", epochMillis, "a finite number of milliseconds since the epoch"]
      )
    }
    assert.strictEqual(refusal(() => Deadline.at(Effect.void, 1, { name: "" })).option, "Deadline.at: name")
  })
})

describe("current and remaining", () => {
  it.effect("none by default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Deadline.current, Option.none())
      assert.deepStrictEqual(yield* Deadline.remaining, Option.none())
      const inPolicy = Effect.all([Deadline.current, Deadline.remaining]).pipe(
        withResilience(Policy.make({ name: "p" }))
      )
      assert.deepStrictEqual(yield* inPolicy, [Option.none(), Option.none()])
    })
  )

  it.effect("of a region", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("10 seconds")
      const start = yield* now
      const both = Effect.all([Deadline.current, left])
      const body = Effect.gen(function* () {
        const first = yield* both
        yield* Effect.sleep("400 millis")
        return [first, yield* both] as const
      })
      const [exit] = yield* ending(body.pipe(Deadline.within("1 second", { name: "answer" })))
      const at = Option.some({ at: start + 1000, owner: "answer" })
      assert.deepStrictEqual(
        exit,
        Exit.succeed([
          [at, Option.some(1000)],
          [at, Option.some(600)]
        ] as const)
      )
      assert.deepStrictEqual(yield* Deadline.current, Option.none())
      const then = yield* now
      const pointed = yield* Deadline.current.pipe(Deadline.at(then + 7))
      assert.deepStrictEqual(pointed, Option.some({ at: then + 7, owner: undefined }))
    })
  )

  it.effect("of a policy: it is the owner", () =>
    Effect.gen(function* () {
      const start = yield* now
      const policy = Policy.make({ name: "quotes.get", deadline: "3 seconds" })
      const seen = yield* Effect.all([Deadline.current, left]).pipe(withResilience(policy))
      assert.deepStrictEqual(seen, [Option.some({ at: start + 3000, owner: "quotes.get" }), Option.some(3000)])
    })
  )

  it.effect("remaining is never negative", () =>
    Effect.gen(function* () {
      let seen: Option.Option<number> = Option.none()
      const look = Effect.map(left, (x) => (seen = x))
      const body = Effect.uninterruptible(Effect.andThen(Effect.sleep("5 seconds"), look))
      yield* ending(Deadline.within(body, "1 second"))
      assert.deepStrictEqual(seen, Option.some(0))
    })
  )

  it.effect("after the region it is gone, also for a fiber that outlives it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const seen = Effect.all([Deadline.current, Deadline.remaining])
      const daemon = yield* Effect.forkDetach(Effect.andThen(Deferred.await(gate), seen)).pipe(
        Deadline.within("1 second")
      )
      yield* TestClock.adjust("10 seconds")
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(daemon), [Option.none(), Option.none()])
    })
  )

  it.effect("while it lives, the fiber it forked sees it; of two regions that ended, neither", () =>
    Effect.gen(function* () {
      const seen: Array<Option.Option<number>> = []
      const look = Effect.map(left, (x) => seen.push(x))
      const daemon = Effect.gen(function* () {
        yield* look
        yield* Effect.sleep("1500 millis")
        yield* look
        yield* Effect.sleep("1500 millis")
        yield* look
      })
      const inner = Deadline.within(Effect.andThen(Effect.forkDetach(daemon), Effect.sleep("1 second")), "2 seconds")
      const [exit] = yield* ending(Deadline.within(Effect.andThen(inner, Effect.sleep("1 second")), "5 seconds"))
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(seen, [Option.some(2000), Option.some(3500), Option.none()])
    })
  )
})

describe("nesting", () => {
  it.effect("the nearest wins, and its owner raises it", () =>
    Effect.gen(function* () {
      const [inner, innerTook] = yield* ending(
        Effect.never.pipe(
          Deadline.within("1 second", { name: "inner" }),
          Deadline.within("2 seconds", { name: "outer" })
        )
      )
      failsWith(inner, exceeded("1 second", "inner"))
      assert.strictEqual(innerTook, 1000)
      const [outer, outerTook] = yield* ending(
        Effect.never.pipe(
          Deadline.within("2 seconds", { name: "inner" }),
          Deadline.within("1 second", { name: "outer" })
        )
      )
      failsWith(outer, exceeded("1 second", "outer"))
      assert.strictEqual(outerTook, 1000)
    })
  )

  it.effect("the inner region of a nearer one goes on after its error", () =>
    Effect.gen(function* () {
      const body = Effect.never.pipe(
        Deadline.within("1 second"),
        Effect.catch(() => Effect.as(Effect.sleep("500 millis"), "fallback")),
        Deadline.within("2 seconds")
      )
      assert.deepStrictEqual(yield* ending(body), [Exit.succeed("fallback"), 1500])
    })
  )

  it.effect("an inner one cannot catch the outer one's", () =>
    Effect.gen(function* () {
      let caught = false
      const body = Effect.never.pipe(
        Deadline.within("2 seconds"),
        Effect.catch(() => Effect.sync(() => void (caught = true))),
        Deadline.within("1 second", { name: "outer" })
      )
      failsWith((yield* ending(body))[0], exceeded("1 second", "outer"))
      assert.isFalse(caught)
    })
  )

  it.effect("of two that are equal, the outer one raises", () =>
    Effect.gen(function* () {
      const { run, sleeping } = yield* watched
      let most = 0
      const body = Effect.andThen(
        Effect.sync(() => void (most = sleeping())),
        Effect.never
      )
      const [exit] = yield* ending(
        run(
          Effect.andThen(Effect.yieldNow, body).pipe(
            Deadline.within("1 second", { name: "inner" }),
            Deadline.within("1 second", { name: "outer" })
          )
        )
      )
      failsWith(exit, exceeded("1 second", "outer"))
      // both are armed: the inner one may outlive the outer
      assert.strictEqual(most, 2)
    })
  )

  it.effect("what is in force inside is the nearest", () =>
    Effect.gen(function* () {
      const start = yield* now
      const seen = yield* Deadline.current.pipe(
        Deadline.within("3 seconds", { name: "c" }),
        Deadline.within("1 second", { name: "b" }),
        Deadline.within("2 seconds", { name: "a" })
      )
      assert.deepStrictEqual(seen, Option.some({ at: start + 1000, owner: "b" }))
    })
  )

  it.effect("a policy inside a nearer region does not raise; one with a nearer deadline does", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ name: "p", deadline: "2 seconds" })
      const [outer] = yield* ending(
        Effect.never.pipe(withResilience(policy), Deadline.within("1 second", { name: "outer" }))
      )
      failsWith(outer, exceeded("1 second", "outer"))
      const [inner] = yield* ending(Effect.never.pipe(withResilience(policy), Deadline.within("3 seconds")))
      failsWith(inner, exceeded("2 seconds", "p"))
    })
  )

  it.effect("a finalizer that runs after the deadline may limit itself", () =>
    Effect.gen(function* () {
      let cleaned: unknown
      const cleanup = Effect.never.pipe(
        Deadline.within("3 seconds", { name: "cleanup" }),
        Effect.exit,
        Effect.map((exit) => (cleaned = exit))
      )
      const body = Effect.onInterrupt(Effect.never, () => cleanup)
      const [exit, took] = yield* ending(Deadline.within(body, "1 second", { name: "outer" }))
      failsWith(exit, exceeded("1 second", "outer"))
      failsWith(cleaned as Exit.Exit<unknown, unknown>, exceeded("3 seconds", "cleanup"))
      assert.strictEqual(took, 4000)
    })
  )
})

describe("reserve", () => {
  it.effect("ends earlier by so much, in the name of the deadline's owner", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const start = yield* now
      const body = Effect.andThen(
        Effect.map(Deadline.current, (x) => seen.push(x)),
        Effect.never
      )
      for (const reserved of [Deadline.reserve("200 millis")(body), Deadline.reserve(body, "200 millis")]) {
        seen.length = 0
        const from = yield* now
        const [exit, took] = yield* ending(
          reserved.pipe(
            Effect.catch((e) => Effect.succeed([e.name, Duration.toMillis(e.after), e.message])),
            Deadline.within("1 second", { name: "answer" })
          )
        )
        const message =
          "the effect did not finish within 800ms, because 200ms before the deadline of answer are reserved"
        assert.deepStrictEqual(exit, Exit.succeed(["answer", 800, message]) as never)
        assert.strictEqual(took, 800)
        assert.deepStrictEqual(seen, [Option.some({ at: from + 800, owner: "answer" })])
      }
      assert.isAbove(yield* now, start)
    })
  )

  it.effect("with no deadline in force nothing is reserved", () =>
    Effect.gen(function* () {
      const body = Effect.andThen(Effect.sleep("10 seconds"), Deadline.current)
      assert.deepStrictEqual(yield* ending(Deadline.reserve(body, "1 second")), [Exit.succeed(Option.none()), 10_000])
    })
  )

  it.effect("a reserve of 0 changes nothing", () =>
    Effect.gen(function* () {
      const start = yield* now
      const seen = yield* Deadline.current.pipe(Deadline.reserve(0), Deadline.within("1 second", { name: "a" }))
      assert.deepStrictEqual(seen, Option.some({ at: start + 1000, owner: "a" }))
    })
  )

  it.effect("with no more than that left, nothing begins", () =>
    Effect.gen(function* () {
      let ran = false
      const body = Effect.sync(() => void (ran = true))
      for (const d of ["1 second", "2 seconds"] as const) {
        const exit = yield* Effect.exit(body.pipe(Deadline.reserve(d), Deadline.within("1 second", { name: "answer" })))
        failsWith(exit, exceeded(0, "answer"))
      }
      assert.isFalse(ran)
      yield* body.pipe(Deadline.reserve("999 millis"), Deadline.within("1 second"))
      assert.isTrue(ran)
    })
  )

  it("refuses what is no finite duration of 0 or more", () => {
    for (const d of [-1, NaN, Infinity, "soon"] as Array<Duration.Input>) {
      assert.strictEqual(refusal(() => Deadline.reserve(Effect.void, d)).option, "Deadline.reserve: d")
      assert.strictEqual(refusal(() => Deadline.reserve(d)(Effect.void)).option, "Deadline.reserve: d")
    }
  })
})

describe("unbounded", () => {
  const writing = (done: Array<string>) =>
    Effect.gen(function* () {
      yield* Effect.onInterrupt(Effect.sleep("5 seconds"), () => Effect.sync(() => done.push("interrupted")))
      done.push("done")
      return "written"
    })

  it.effect("outlives the caller's deadline, on its own", () =>
    Effect.gen(function* () {
      const done: Array<string> = []
      const start = yield* now
      const fiber = yield* Effect.forkChild(
        Effect.flatMap(Effect.exit(writing(done).pipe(Deadline.unbounded, Deadline.within("1 second"))), (exit) =>
          Effect.map(now, (end) => [exit, end - start] as const)
        )
      )
      yield* TestClock.adjust("4 seconds")
      const [exit, took] = yield* Fiber.join(fiber)
      failsWith(exit, exceeded("1 second"))
      assert.strictEqual(took, 1000)
      assert.deepStrictEqual(done, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(done, ["done"])
    })
  )

  it.effect("also a policy's deadline, but not an attempt's timeout", () =>
    Effect.gen(function* () {
      const done: Array<string> = []
      const policy = Policy.make({ name: "p", deadline: "1 second" })
      failsWith(
        (yield* ending(writing(done).pipe(Deadline.unbounded, withResilience(policy))))[0],
        exceeded("1 second", "p")
      )
      assert.deepStrictEqual(done, ["done"])
      const timed = Policy.make({ name: "p", deadline: "2 seconds", attemptTimeout: "1 second" })
      const [exit] = yield* ending(writing(done).pipe(Deadline.unbounded, withResilience(timed)))
      assert.strictEqual(
        (Option.getOrThrow(Exit.findErrorOption(exit)) as Policy.AttemptTimeout)._tag,
        "AttemptTimeout"
      )
      assert.deepStrictEqual(done, ["done", "interrupted"])
    })
  )

  it.effect("but not an interruption by the caller, whose finalizers are waited for", () =>
    Effect.gen(function* () {
      const done: Array<string> = []
      const body = Effect.onInterrupt(Effect.never, () =>
        Effect.andThen(
          Effect.sleep("100 millis"),
          Effect.sync(() => done.push("cleaned"))
        )
      )
      const fiber = yield* Effect.forkChild(body.pipe(Deadline.unbounded, Deadline.within("1 second")))
      yield* TestClock.adjust("500 millis")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("99 millis")
      assert.isUndefined(interrupting.pollUnsafe())
      assert.deepStrictEqual(done, [])
      yield* TestClock.adjust("1 millis")
      assert.isDefined(interrupting.pollUnsafe())
      assert.deepStrictEqual(done, ["cleaned"])
    })
  )

  it.effect("ends with the effect, whatever its end, as long as there is time", () =>
    Effect.gen(function* () {
      const run = <A, E>(self: Effect.Effect<A, E>) =>
        ending(self.pipe(Deadline.unbounded, Deadline.within("1 second")))
      const after = Effect.sleep("500 millis")
      assert.deepStrictEqual(yield* run(Effect.as(after, 7)), [Exit.succeed(7), 500])
      assert.deepStrictEqual(yield* run(Effect.andThen(after, Effect.fail("no"))), [Exit.fail("no"), 500])
      assert.deepStrictEqual(yield* run(Effect.andThen(after, Effect.die("bug"))), [Exit.die("bug"), 500])
      assert.deepStrictEqual(yield* run(Effect.succeed(8)), [Exit.succeed(8), 0])
    })
  )

  it.effect("no deadline is in force inside; the attempt and the services are", () =>
    Effect.gen(function* () {
      const Name = Context.Reference("test/Name", { defaultValue: () => "nobody" })
      const policy = Policy.make({ name: "p", deadline: "1 second" })
      const seen = yield* Effect.all([
        Deadline.current,
        Deadline.remaining,
        Effect.map(Attempt.current, (a) => a.policy),
        Name
      ]).pipe(Deadline.unbounded, withResilience(policy), Effect.provideService(Name, "somebody"))
      assert.deepStrictEqual(seen, [Option.none(), Option.none(), "p", "somebody"])
    })
  )

  it.effect("a new deadline inside counts on its own", () =>
    Effect.gen(function* () {
      const body = Effect.never.pipe(
        Deadline.within("10 seconds", { name: "audit" }),
        Effect.flip,
        Effect.flatMap((e) => Effect.map(now, (at) => [e.name, at]))
      )
      let seen: unknown
      const start = yield* now
      yield* ending(Effect.map(body, (x) => (seen = x)).pipe(Deadline.unbounded, Deadline.within("1 second")))
      assert.deepStrictEqual(seen, ["audit", start + 10_000])
    })
  )

  it.effect("with no deadline in force it is the effect itself", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Deadline.unbounded(Effect.succeed(1)), 1)
      const id = yield* Effect.withFiber((outer) =>
        Deadline.unbounded(Effect.withFiber((inner) => Effect.succeed(inner === outer)))
      )
      assert.isTrue(id)
    })
  )

  // the host's timers know whole milliseconds only: woken too early, it took its deadline for another interruption
  it.live("outlives a deadline that falls between two milliseconds", () =>
    Effect.gen(function* () {
      let finished = 0
      const body = Effect.andThen(
        Effect.sleep(8),
        Effect.sync(() => void finished++)
      )
      for (let i = 0; i < 20; i++) {
        yield* Effect.exit(body.pipe(Deadline.unbounded, Deadline.within(1.1 + (i % 10) / 11)))
      }
      yield* Effect.sleep(20)
      assert.strictEqual(finished, 20)
    })
  )
})

describe("events", () => {
  it.effect("whoever raises a deadline says so, once", () =>
    Effect.gen(function* () {
      const events: Array<Event> = []
      const heard = Effect.provideService(CurrentListener, (event: Event) => void events.push(event))
      const start = yield* now
      yield* ending(
        Effect.never.pipe(
          Deadline.within("2 seconds", { name: "inner" }),
          Deadline.within("1 second", { name: "outer" }),
          heard
        )
      )
      assert.deepStrictEqual(events, [
        { _tag: "DeadlinePassed", at: start + 1000, name: "outer", after: Duration.seconds(1) }
      ])
      events.length = 0
      const answer = Deadline.within("1 second", { name: "answer" })
      yield* ending(Effect.never.pipe(Deadline.reserve("200 millis"), Effect.ignore, answer, heard))
      assert.deepStrictEqual(
        events.map((event) => event._tag === "DeadlinePassed" && [event.name, event.after, event.reserved]),
        [["answer", Duration.millis(800), Duration.millis(200)]]
      )
      events.length = 1
      yield* heard(Effect.exit(Effect.void.pipe(Deadline.at(0))))
      assert.strictEqual(events.length, 2)
      assert.deepStrictEqual(events[1], {
        _tag: "DeadlinePassed",
        at: yield* now,
        name: undefined,
        after: Duration.zero
      })
      yield* heard(Effect.void.pipe(Deadline.within(1)))
      assert.strictEqual(events.length, 2)
    })
  )

  it.effect("and on the span, where there is one", () =>
    Effect.gen(function* () {
      const names = yield* Effect.gen(function* () {
        const span = yield* Effect.currentSpan
        yield* Effect.exit(Effect.void.pipe(Deadline.at(-1, { name: "past" })))
        return (span as unknown as { readonly events: ReadonlyArray<readonly [string, ...Array<unknown>]> }).events.map(
          (e) => e[0]
        )
      }).pipe(Effect.withSpan("test"))
      assert.strictEqual(names.length, 1)
    })
  )
})

describe("a retry that would not fit", () => {
  it.effect("is not begun, whoever set the deadline", () =>
    Effect.gen(function* () {
      const policy = Policy.make({
        name: "p",
        safety: "idempotent",
        faults: undefined,
        retry: Schedule.spaced("1 second"),
        unbounded: true
      })
      const marked = Effect.fail({ isRetryable: true as const })
      const [exit, took] = yield* ending(marked.pipe(withResilience(policy), Deadline.within("2500 millis")))
      const error = Option.getOrThrow(Exit.findErrorOption(exit)) as Policy.RetryExhausted<unknown>
      assert.deepStrictEqual([error._tag, error.reason, error.attempts, took], ["RetryExhausted", "deadline", 3, 2000])
    })
  )
})
