// What all guards have in common: test/guards.test.ts.
import { assert, describe, it } from "@effect/vitest"
import { Backoff, Deadline, Fault, Guard, Policy, Telemetry, withResilience } from "effect-resilience"
import { Cause, Clock, Context, Data, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { InvalidOption } from "../src/InvalidOption.ts"
import * as RateLimit from "../src/RateLimit.ts"
import { asking, errorOf, Net, throughTime } from "./kit.ts"
import { runInterrupted, VirtualClock } from "./virtual.ts"

const plain = { limit: 2, window: "10 seconds" } as const

class Fixed extends RateLimit.Service<Fixed>()("app/Fixed", plain) {}
class Bucket extends RateLimit.Service<Bucket>()("app/Bucket", { ...plain, algorithm: "token-bucket" }) {}
class Patient extends RateLimit.Service<Patient>()("app/Patient", {
  limit: 1,
  window: "10 seconds",
  maxWait: "30 seconds"
}) {}
class Keyed extends RateLimit.Service<Keyed>()("app/Keyed", {
  ...plain,
  keys: { max: 3, idleTimeToLive: "1 minute" }
}) {}

const ok = Effect.succeed("ok")
/** What became of a call: "ok", the reason of its refusal, or the tag of another error. */
const tagOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return String(exit.value)
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupted"
  const error = errorOf(exit) as { readonly _tag: string }
  return error instanceof RateLimit.RateLimited ? error.reason : error._tag
}
const end = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(self), tagOf)
const refusal = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(self), (exit) => errorOf(exit) as RateLimit.RateLimited)
const seconds = (duration: Duration.Duration | undefined) => duration && Duration.toSeconds(duration)

/** A call that tells, when it ends, at what second. */
const calling = <E, R>(name: string, told: Array<string>, self: Effect.Effect<unknown, E, R>) =>
  Effect.forkChild(
    Effect.onExit(self, (exit) =>
      Effect.map(Clock.currentTimeMillis, (now) => void told.push(`${name}: ${tagOf(exit)} at ${now / 1000}`))
    ),
    { startImmediately: true }
  )

const throttledOutcome = (retryAfter: Duration.Input | undefined): Guard.Outcome => ({
  kind: "throttled",
  health: "ignored",
  retryAfter: retryAfter === undefined ? undefined : Duration.fromInputUnsafe(retryAfter)
})

class TooMany extends Data.TaggedError("TooMany")<{ readonly after: Duration.Input | undefined }> {
  get [Fault.verdict]() {
    return Fault.throttled(this.after === undefined ? undefined : { retryAfter: this.after })
  }
}

describe("a rate limit", () => {
  it.effect("fixed window: so many, and none until the window is over", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual([yield* end(Fixed.protect(ok)), yield* end(Fixed.protect(ok))], ["ok", "ok"])
      let ran = false
      const refused = yield* refusal(Fixed.protect(Effect.sync(() => (ran = true))))
      assert.strictEqual(refused._tag, "RateLimited")
      assert.deepStrictEqual([refused.limiter, refused.key, refused.reason], ["app/Fixed", undefined, "limit"])
      assert.strictEqual(seconds(refused.retryAfter), 10)
      assert.isFalse(ran)
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* end(Fixed.protect(ok)), "limit")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual([yield* end(Fixed.protect(ok)), yield* end(Fixed.protect(ok))], ["ok", "ok"])
      assert.strictEqual(yield* end(Fixed.protect(ok)), "limit")
    }).pipe(Effect.provide(Fixed.layer))
  )

  it.effect("token bucket: one comes back after the other", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 2; i++) assert.strictEqual(yield* end(Bucket.protect(ok)), "ok")
      assert.strictEqual(seconds((yield* refusal(Bucket.protect(ok))).retryAfter), 5)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* end(Bucket.protect(ok)), "ok")
      assert.strictEqual(yield* end(Bucket.protect(ok)), "limit")
      yield* TestClock.adjust("1 minute")
      for (const expected of ["ok", "ok", "limit"]) assert.strictEqual(yield* end(Bucket.protect(ok)), expected)
    }).pipe(Effect.provide(Bucket.layer))
  )

  it.effect("in a policy each attempt uses a token, retries too", () =>
    Effect.gen(function* () {
      const policy = Policy.make({
        name: "p",
        faults: Fault.all,
        safety: "idempotent",
        retry: Backoff.constant(0).pipe(Backoff.times(5)),
        guards: [Fixed]
      })
      let runs = 0
      const failing = Effect.suspend(() => {
        runs++
        return Effect.fail(new Net({}))
      })
      const [exit, events] = yield* Telemetry.recorded(failing.pipe(withResilience(policy)))
      const error = errorOf(exit) as Policy.RetryExhausted<Net>
      assert.deepStrictEqual([error._tag, error.reason, error.attempts, runs], ["RetryExhausted", "rejected", 2, 2])
      assert.instanceOf(error.rejection, RateLimit.RateLimited)
      const told = events.flatMap((event) =>
        event._tag === "GuardRejected" ? [[event.guard, event.error, event.reason, event.attempt]] : []
      )
      assert.deepStrictEqual(told, [["app/Fixed", "RateLimited", "limit", 3]])
      // on the first attempt it is the guard's own error
      assert.strictEqual(yield* end(ok.pipe(withResilience(policy))), "limit")
    }).pipe(Effect.provide(Fixed.layer))
  )

  it.effect("around a policy it is one token for a whole call", () =>
    Effect.gen(function* () {
      const policy = Policy.make({
        name: "p",
        faults: Fault.all,
        safety: "idempotent",
        retry: Backoff.constant(0).pipe(Backoff.times(2))
      })
      const call = Effect.fail(new Net({})).pipe(withResilience(policy), Fixed.protect())
      for (const expected of ["RetryExhausted", "RetryExhausted", "limit"]) {
        assert.strictEqual(tagOf(yield* throughTime(call)), expected)
      }
    }).pipe(Effect.provide(Fixed.layer))
  )

  it.effect("a call may use several tokens", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* end(Fixed.protect(ok)), "ok")
      assert.strictEqual(yield* end(Fixed.protect(ok)), "limit")
      assert.strictEqual((yield* Fixed.snapshot()).remaining, 1)
    }).pipe(Effect.provide(Fixed.layerWith({ limit: 10, tokens: 3 })))
  )

  it.effect("high limits are counted as the store counts, which keeps the time of a token in whole nanoseconds", () =>
    Effect.gen(function* () {
      yield* Bucket.protect(ok)
      assert.strictEqual((yield* Bucket.snapshot()).remaining, 350_000)
    }).pipe(Effect.provide(Bucket.layerWith({ limit: 700_000, window: "1 second", tokens: 350_000 })))
  )

  it.effect("a free token is had at once, without a fiber, and all share one permit", () =>
    Effect.gen(function* () {
      const guard = yield* Fixed
      const [one, other] = [guard.admit(asking()), guard.admit(asking())]
      assert.strictEqual(one._tag, "Admitted")
      assert.strictEqual(one, other)
    }).pipe(Effect.provide(Fixed.layer))
  )

  it.effect("whatever becomes of a call, its token is gone", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* end(Fixed.protect(Effect.fail(new Net({})))), "Net")
      const fiber = yield* Effect.forkChild(Fixed.protect(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* end(Fixed.protect(ok)), "limit")
    }).pipe(Effect.provide(Fixed.layer))
  )

  it.effect("a wall clock that steps changes nothing", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let skew = 0
      const stepping: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + skew
      }
      yield* Effect.gen(function* () {
        for (const step of [-3_600_000, 3_600_000]) {
          yield* Effect.all([Fixed.protect(ok), Fixed.protect(ok)])
          skew += step
          assert.strictEqual(seconds((yield* refusal(Fixed.protect(ok))).retryAfter), 10)
          yield* TestClock.adjust("10 seconds")
        }
      }).pipe(Effect.provideService(Clock.Clock, stepping))
    }).pipe(Effect.provide(Fixed.layer))
  )
})

describe("the refusal", () => {
  it.effect("is cheap: one instance for the same moment, without a stack, whose retryAfter is alive", () =>
    Effect.gen(function* () {
      yield* Effect.all([Fixed.protect(ok), Fixed.protect(ok)])
      const one = yield* refusal(Fixed.protect(ok))
      yield* TestClock.adjust("2500 micros")
      const other = yield* refusal(Fixed.protect(ok))
      assert.strictEqual(one, other)
      assert.notInclude(one.stack ?? "", "at ")
      // rounded up: who waits so long is not too early
      assert.deepStrictEqual(one.retryAfter, Duration.millis(9998))
      assert.deepStrictEqual((yield* Fixed.snapshot()).retryAfter, Duration.millis(9998))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(one.retryAfter, Duration.zero)
      yield* Effect.all([Fixed.protect(ok), Fixed.protect(ok)])
      assert.notStrictEqual(yield* refusal(Fixed.protect(ok)), one)
    }).pipe(Effect.provide(Fixed.layer))
  )

  it.effect("its time is that of the clock of whoever reads it, not of whoever built the layer", () =>
    Effect.gen(function* () {
      const elsewhere = new VirtualClock()
      elsewhere.now = 1e6
      const built = yield* Effect.provideService(Layer.build(Fixed.layer), Clock.Clock, elsewhere)
      const refused = yield* Effect.gen(function* () {
        yield* Effect.all([Fixed.protect(ok), Fixed.protect(ok)])
        return yield* refusal(Fixed.protect(ok))
      }).pipe(Effect.provide(built))
      assert.strictEqual(seconds(refused.retryAfter), 10)
    })
  )

  it.effect("says what was refused, why, and when to come back", () =>
    Effect.gen(function* () {
      yield* Effect.all([Keyed.protect(ok, { key: "acme" }), Keyed.protect(ok, { key: "acme" })])
      const refused = yield* refusal(Keyed.protect(ok, { key: "acme" }))
      assert.strictEqual(
        refused.message,
        "the rate limit app/Keyed of acme refused the call: the limit is reached, and no call may wait (maxWait is 0). Try again in 10s"
      )
      yield* TestClock.adjust("10 seconds")
      assert.match(refused.message, /Try again now$/)
      assert.isTrue(Policy.isUnavailable(refused))
      const of = (reason: RateLimit.Reason) =>
        new RateLimit.RateLimited({ limiter: "app/X", key: undefined, reason, retryAfter: undefined }).message
      assert.match(of("wait"), /^the rate limit app\/X refused .* does not come within the time it may wait .*now$/)
      assert.match(of("drained"), /the dependency throttled an earlier call/)
      assert.match(of("store"), /the store of the limit did not answer, .*\. Try again when the store answers$/)
    }).pipe(Effect.provide(Keyed.layer))
  )
})

describe("waiting", () => {
  it.effect("as long as maxWait, first come, first served; nobody passes", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      for (const name of ["a", "b", "c"]) yield* calling(name, told, Patient.protect(ok))
      assert.strictEqual((yield* Patient.snapshot()).waiting, 2)
      assert.strictEqual(seconds((yield* Patient.snapshot()).retryAfter), 30)
      yield* TestClock.adjust("10 seconds")
      // b has had the token of this window, and d comes after c
      yield* calling("d", told, Patient.protect(ok))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(told, ["a: ok at 0", "b: ok at 10", "c: ok at 20", "d: ok at 30"])
      const { drainedFor, remaining, retryAfter, waiting } = yield* Patient.snapshot()
      assert.deepStrictEqual([remaining, waiting, retryAfter, drainedFor], [1, 0, undefined, undefined])
    }).pipe(Effect.provide(Patient.layer))
  )

  it.effect("a call whose turn would come later than maxWait is refused at once, and told when it would", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 4; i++) yield* Effect.forkChild(Patient.protect(ok), { startImmediately: true })
      const refused = yield* refusal(Patient.protect(ok))
      assert.deepStrictEqual([refused.reason, seconds(refused.retryAfter)], ["wait", 40])
      assert.strictEqual(yield* refusal(Patient.protect(ok)), refused)
      // one that leaves makes room
      assert.strictEqual((yield* Patient.snapshot()).waiting, 3)
      yield* TestClock.adjust("10 seconds")
      yield* Effect.forkChild(Patient.protect(ok), { startImmediately: true })
      assert.strictEqual((yield* Patient.snapshot()).waiting, 3)
    }).pipe(Effect.provide(Patient.layer))
  )

  it.effect("trap: unbounded waits. However many come, no more wait than come in within maxWait", () =>
    Effect.gen(function* () {
      for (const algorithm of ["fixed-window", "token-bucket"] as const) {
        yield* Effect.gen(function* () {
          const fibers: Array<Fiber.Fiber<string>> = []
          for (let i = 0; i < 2_000; i++) {
            fibers.push(yield* Effect.forkChild(end(Patient.protect(ok)), { startImmediately: true }))
          }
          const { waiting } = yield* Patient.snapshot()
          assert.isAtMost(waiting, (10 * 30) / 10 + 10)
          assert.isAtLeast(waiting, (10 * 30) / 10)
          yield* TestClock.adjust("30 seconds")
          const ends = fibers.map((fiber) => fiber.pollUnsafe()).map((exit) => exit && tagOf(exit))
          assert.deepStrictEqual(new Set(ends), new Set(["ok", "wait"]))
          assert.strictEqual(ends.filter((it) => it === "ok").length, 10 + waiting)
        }).pipe(Effect.provide(Patient.layerWith({ limit: 10, algorithm })))
      }
    })
  )

  it.effect("trap: a wait that reserves. Whoever is refused for it has taken nothing", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      yield* calling("a", told, Patient.protect(ok))
      for (let i = 0; i < 100; i++) assert.strictEqual(yield* end(Patient.protect(ok)), "wait")
      yield* TestClock.adjust("6 seconds")
      yield* calling("b", told, Patient.protect(ok))
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(told, ["a: ok at 0", "b: ok at 10"])
    }).pipe(Effect.provide(Patient.layerWith({ maxWait: "5 seconds" })))
  )

  it.effect("trap: no refund on interruption. Whoever leaves, first or not, delays nobody", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      yield* calling("a", told, Patient.protect(ok))
      const b = yield* calling("b", told, Patient.protect(ok))
      yield* calling("c", told, Patient.protect(ok))
      const d = yield* calling("d", told, Patient.protect(ok))
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.interrupt(b)
      yield* Fiber.interrupt(d)
      assert.strictEqual((yield* Patient.snapshot()).waiting, 1)
      yield* calling("e", told, Patient.protect(ok))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(told, [
        "a: ok at 0",
        "b: interrupted at 4",
        "d: interrupted at 4",
        "c: ok at 10",
        "e: ok at 20"
      ])
    }).pipe(Effect.provide(Patient.layer))
  )

  it.effect("interrupted at every operation of the runtime, a call that waits leaves nothing, and delays nobody", () =>
    Effect.sync(() => {
      const times = new Set<number>()
      for (const yielding of [false, true]) {
        for (let at = 0; ; at++) {
          let freeAt: number | undefined
          const { exit, openFibers, operations, sleepers } = runInterrupted(
            Effect.gen(function* () {
              const context = yield* Layer.build(Patient.layer)
              yield* Effect.addFinalizer(() =>
                Effect.gen(function* () {
                  const { retryAfter, waiting } = yield* Patient.snapshot()
                  assert.strictEqual(waiting, 0)
                  freeAt =
                    (yield* Clock.currentTimeMillis) + (retryAfter === undefined ? 0 : Duration.toMillis(retryAfter))
                }).pipe(Effect.provide(context))
              )
              yield* Patient.protect(ok).pipe(Effect.provide(context))
              yield* Patient.protect(ok).pipe(Effect.provide(context))
            }).pipe(Effect.scoped),
            at,
            yielding
          )
          assert.isDefined(exit, `interrupted at ${at}, it does not end`)
          assert.deepStrictEqual([openFibers, sleepers], [0, 0], `at ${at}`)
          if (freeAt !== undefined) times.add(freeAt)
          if (operations <= at) break
        }
      }
      // before the first, between the two, after the second: never later than without the one that left
      assert.deepStrictEqual([...times].toSorted(), [0, 10_000, 20_000])
    })
  )

  it.effect("tokens that came in the moment of the interruption are the next one's", () =>
    Effect.gen(function* () {
      const guard = yield* Patient
      guard.admit(asking())
      const pending = () => {
        const admission = guard.admit(asking())
        if (admission._tag !== "Pending") throw new Error(admission._tag)
        return admission.effect
      }
      // granted, and interrupted before its fiber could end: what a yield of the runtime may bring about
      const first = yield* Effect.forkChild(Effect.andThen(pending(), Effect.never), { startImmediately: true })
      const second = yield* Effect.forkChild(pending(), { startImmediately: true })
      const third = yield* Effect.forkChild(pending(), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(second.pollUnsafe())
      yield* Fiber.interrupt(first)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(second)))
      yield* TestClock.adjust("10 seconds")
      assert.isDefined(third.pollUnsafe())
      assert.strictEqual((yield* Patient.snapshot()).waiting, 0)
    }).pipe(Effect.provide(Patient.layer))
  )

  it("a timer that fires late costs nobody a turn, and lets nobody pass", () => {
    const clock = new VirtualClock()
    const context = Context.make(Clock.Clock, clock)
    class Late extends RateLimit.Service<Late>()("app/Late", {
      limit: 1,
      window: 10,
      maxWait: 15,
      keys: { idleTimeToLive: 5 }
    }) {}
    const guard = Effect.runSyncWith(context)(Effect.provide(Late, Late.layer))
    const told: Array<string> = []
    const arrive = (name: string) => {
      const admission = guard.admit(asking({ key: "k", now: clock.now }))
      if (admission._tag !== "Pending") return void told.push(`${name}: ${admission._tag}`)
      const fiber = Effect.runForkWith(context)(admission.effect)
      fiber.addObserver((exit) => void told.push(`${name}: ${Exit.isSuccess(exit) ? exit.value._tag : "?"}`))
    }
    arrive("a")
    arrive("b")
    // whatever kept the process busy: b should have been woken at 10, and stops waiting at 15
    clock.now = 18
    arrive("c")
    assert.deepStrictEqual(told, ["a: Admitted"])
    const [timer] = clock.sleepers.splice(0, 1)
    timer!.wake()
    assert.deepStrictEqual(told, ["a: Admitted", "b: Admitted"])
    while (clock.advance()) continue
    assert.deepStrictEqual([told.at(-1), clock.now], ["c: Admitted", 28])
  })

  it.effect("never beyond the deadline in force: refused at once, if the turn comes later", () =>
    Effect.gen(function* () {
      yield* Patient.protect(ok)
      const policy = (deadline: Duration.Input) => Policy.make({ name: "p", deadline, guards: [Patient] })
      const inner = yield* refusal(ok.pipe(withResilience(policy("9 seconds"))))
      assert.deepStrictEqual([inner.reason, seconds(inner.retryAfter)], ["wait", 10])
      const outer = yield* refusal(
        ok.pipe(withResilience(Policy.make({ name: "q", guards: [Patient] })), Deadline.within("9 seconds"))
      )
      assert.strictEqual(outer, inner)
      assert.strictEqual(yield* refusal(Patient.protect(ok).pipe(Deadline.within("9 seconds"))), inner)
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      assert.strictEqual((yield* Patient.snapshot()).waiting, 0)
      const told: Array<string> = []
      yield* calling("a", told, ok.pipe(withResilience(policy("10500 millis"))))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(told, ["a: ok at 10"])
    }).pipe(Effect.provide(Patient.layer))
  )

  it.effect(
    "one whose turn has become too late for its deadline is told at once; those behind it are not held up",
    () =>
      Effect.gen(function* () {
        const told: Array<string> = []
        const { permit } = (yield* Patient).admit(asking()) as Guard.Admitted
        yield* calling("a", told, Patient.protect(ok).pipe(Deadline.within("12 seconds", { name: "mine" })))
        yield* calling("b", told, Patient.protect(ok))
        // the dependency throttles somebody: now a has no turn in time; b has
        yield* TestClock.adjust("1 second")
        void permit.settle(throttledOutcome("15 seconds"), 0, 1_000)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(told, ["a: drained at 1", "b: ok at 16"])
      }).pipe(Effect.provide(Patient.layer))
  )

  it.effect("limits far above a thousand a second wait in whole milliseconds, and lose nothing", () =>
    Effect.gen(function* () {
      let served = 0
      for (let i = 0; i < 30; i++) {
        yield* Effect.forkChild(Patient.protect(Effect.sync(() => served++)), { startImmediately: true })
      }
      assert.strictEqual(served, 10)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(served, 20)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(served, 30)
    }).pipe(Effect.provide(Patient.layerWith({ limit: 10, window: "1 millis", algorithm: "token-bucket" })))
  )
})

describe("throttled all the same", () => {
  const throttled = (after: Duration.Input | undefined) =>
    Effect.exit(Bucket.protect(Effect.fail(new TooMany({ after }))))

  it.effect("an outcome with a retryAfter drains it until then, whatever the tokens", () =>
    Effect.gen(function* () {
      yield* throttled("30 seconds")
      const refused = yield* refusal(Bucket.protect(ok))
      assert.deepStrictEqual([refused.reason, seconds(refused.retryAfter)], ["drained", 30])
      const { drainedFor, remaining, retryAfter } = yield* Bucket.snapshot()
      assert.deepStrictEqual([seconds(drainedFor), remaining, seconds(retryAfter)], [30, 1, 30])
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* end(Bucket.protect(ok)), "drained")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* end(Bucket.protect(ok)), "ok")
      assert.isUndefined((yield* Bucket.snapshot()).drainedFor)
    }).pipe(Effect.provide(Bucket.layer))
  )

  it.effect("up to the ceiling; a shorter one does not cut a longer one short", () =>
    Effect.gen(function* () {
      const guard = yield* Bucket
      const { permit } = guard.admit(asking()) as Guard.Admitted
      void permit.settle(throttledOutcome("1 day"), 0, 0)
      void permit.settle(throttledOutcome("1 second"), 0, 0)
      assert.strictEqual(seconds((yield* refusal(Bucket.protect(ok))).retryAfter), 60)
    }).pipe(Effect.provide(Bucket.layer))
  )

  it.effect("with a ceiling of 0, without a retryAfter, or of another kind it changes nothing", () =>
    Effect.gen(function* () {
      const none = Bucket.layerWith({ limit: 100, retryAfterCeiling: 0 })
      yield* Effect.provide(Effect.andThen(throttled("30 seconds"), Bucket.protect(ok)), none)
      yield* throttled(undefined)
      yield* Bucket.protect(ok)
      const guard = yield* Bucket
      const { permit } = guard.admit(asking()) as Guard.Admitted
      void permit.settle({ kind: "transient", health: "failed", retryAfter: Duration.seconds(9) }, 0, 0)
      yield* Bucket.protect(ok)
    }).pipe(Effect.provide(Bucket.layerWith({ limit: 100 })))
  )

  it.effect("those who may wait for it do, in their order; for whom it is too long, at once no more", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const calls = Bucket.protect(ok)
      const { permit } = (yield* Bucket).admit(asking()) as Guard.Admitted
      yield* TestClock.adjust("1 minute")
      yield* throttled("8 seconds")
      for (const name of ["a", "b", "c"]) yield* calling(name, told, calls)
      // all of the bucket is there by then: two at once, the third when the next comes back
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(told, ["a: ok at 68", "b: ok at 68", "c: ok at 73"])
      yield* TestClock.adjust("30 seconds")
      yield* throttled("8 seconds")
      told.length = 0
      yield* calling("d", told, calls)
      void permit.settle(throttledOutcome("50 seconds"), 0, 120_000)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(told, ["d: drained at 120"])
    }).pipe(Effect.provide(Bucket.layerWith({ maxWait: "15 seconds" })))
  )
})

describe("keys", () => {
  const use = (key: string) => end(Keyed.protect(ok, { key }))

  it.effect("trap: a store that never forgets. Keys are bounded; the tokens go with them", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 100; i++) yield* use(`k${i}`)
      assert.strictEqual((yield* Keyed.snapshots).length, 3)
      // all were in use, so the oldest had to go
      assert.strictEqual((yield* Keyed.snapshot("k0")).remaining, 2)
      assert.strictEqual((yield* Keyed.snapshot("k99")).remaining, 1)
    }).pipe(Effect.provide(Keyed.layer))
  )

  it.effect("one that has tokens out is kept beyond its idle time, and goes last", () =>
    Effect.gen(function* () {
      yield* use("busy")
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(
        (yield* Keyed.snapshots).map(({ key, remaining }) => [key, remaining]),
        [["busy", 1]]
      )
      yield* Effect.forEach(["a", "b", "c", "d"], use)
      // all of them have tokens out: only then some have to go
      assert.strictEqual((yield* Keyed.snapshots).length, 3)
      assert.strictEqual((yield* Keyed.snapshot("d")).remaining, 1)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Keyed.snapshots, [])
    }).pipe(Effect.provide(Keyed.layerWith({ window: "1 hour", limit: 2 })))
  )

  it.effect("one that others wait for, or that is drained, is kept", () =>
    Effect.gen(function* () {
      const { permit } = (yield* Keyed).admit(asking({ key: "drained" })) as Guard.Admitted
      void permit.settle(throttledOutcome("3 minutes"), 0, 0)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(
        (yield* Keyed.snapshots).map(({ key }) => key),
        ["drained"]
      )
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Keyed.snapshots, [])
    }).pipe(Effect.provide(Keyed.layerWith({ retryAfterCeiling: "1 hour" })))
  )
})

describe("the options", () => {
  const defectOf = <A, E>(layer: Layer.Layer<A, E>) =>
    Effect.map(Effect.exit(Effect.scoped(Layer.build(layer))), (exit) =>
      Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    )

  it.effect("the message says what is allowed", () =>
    Effect.gen(function* () {
      const messageOf = (change: RateLimit.LayerOptions<false>) =>
        Effect.map(defectOf(Fixed.layerWith(change)), (defect) => (defect as InvalidOption).message)
      assert.match(yield* messageOf({ limit: 0 }), /a whole number from 1 to 10000000/)
      assert.match(yield* messageOf({ tokens: 3 }), /a whole number from 1 to 2/)
      assert.match(yield* messageOf({ window: "999 micros" }), /at least 1 millisecond/)
      assert.match(yield* messageOf({ algorithm: "x" as any }), /"fixed-window" or "token-bucket"/)
    })
  )

  it.effect("the bounds themselves are good, and what is undefined is as in the class", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Fixed.snapshot()).limit, 1000)
      assert.deepStrictEqual((yield* Fixed.snapshot()).window, Duration.millis(1))
    }).pipe(
      Effect.provide(
        Fixed.layerWith({ limit: 1000, window: 1, tokens: 1000, maxWait: 0, storeTimeout: 1, algorithm: undefined })
      )
    )
  )

  it("the defaults are as said", () => {
    assert.deepStrictEqual(RateLimit.defaults, {
      algorithm: "fixed-window",
      tokens: 1,
      maxWait: 0,
      retryAfterCeiling: "1 minute",
      onStoreError: "admit",
      storeTimeout: "100 millis",
      keys: { max: 10_000, idleTimeToLive: "10 minutes" }
    })
  })
})
