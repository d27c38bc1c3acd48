import { assert, describe, it } from "@effect/vitest"
import {
  Arbitrary,
  Cause,
  Config,
  ConfigProvider,
  Data,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Schema
} from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Chaos, Fault, Policy, withResilience } from "../src/index.ts"
import * as Fallback from "../src/Fallback.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import { StaleStore } from "../src/internal/stale.ts"
import { UnavailableTypeId } from "../src/internal/unavailable.ts"
import * as Telemetry from "../src/Telemetry.ts"
import { fork } from "./kit.ts"

class CircuitOpen extends Data.TaggedError("CircuitOpen") {
  readonly [UnavailableTypeId] = UnavailableTypeId
}
class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly sku: string }> {}

const open: Effect.Effect<number, CircuitOpen> = Effect.fail(new CircuitOpen())
const empty: Effect.Effect<number, OutOfStock> = Effect.fail(new OutOfStock({ sku: "a" }))

class Last extends Fallback.Stale<Last, number>()("app/Last", { maxAge: "1 minute", max: 2 }) {}

const refused = (f: () => unknown): InvalidOption => {
  try {
    f()
  } catch (error) {
    if (error instanceof InvalidOption) return error
    throw error
  }
  throw new Error("it was not refused")
}

describe("Fallback", () => {
  describe("value", () => {
    it.effect("answers this library's errors, and no others", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* open.pipe(Fallback.value(7)), 7)
        assert.strictEqual(yield* Fallback.value(open, 8), 8)
        assert.strictEqual(yield* Effect.succeed(1).pipe(Fallback.value(7)), 1)
        assert.deepStrictEqual(
          yield* Effect.exit(empty.pipe(Fallback.value(7))),
          Exit.fail(new OutOfStock({ sku: "a" }))
        )
        assert.deepStrictEqual(yield* Effect.exit(Effect.fail("text").pipe(Fallback.value(7))), Exit.fail("text"))
      })
    )

    it.effect("answers the named errors instead", () =>
      Effect.gen(function* () {
        const either: Effect.Effect<number, OutOfStock | CircuitOpen | string | null> = empty
        assert.strictEqual(yield* Effect.orDie(either.pipe(Fallback.value(7, { on: ["OutOfStock"] }))), 7)
        assert.strictEqual(yield* Effect.orDie(Fallback.value(either, 8, { on: ["CircuitOpen", "OutOfStock"] })), 8)
        for (const error of [new CircuitOpen(), "OutOfStock", null]) {
          const other: typeof either = Effect.fail(error)
          assert.deepStrictEqual(
            yield* Effect.exit(other.pipe(Fallback.value(7, { on: ["OutOfStock"] }))),
            Exit.fail(error)
          )
        }
      })
    )

    it.effect("takes an effect for a value where it is the only argument", () =>
      Effect.gen(function* () {
        const answer = yield* open.pipe(Fallback.value(Effect.succeed(1)))
        assert.isTrue(Effect.isEffect(answer))
      })
    )

    it.effect("answers neither a defect nor an interruption", () =>
      Effect.gen(function* () {
        const died = yield* Effect.exit(Fallback.value(Effect.die("bug"), 7))
        assert.deepStrictEqual(died, Exit.die("bug"))
        const both = yield* Effect.exit(
          Fallback.value(Effect.failCause(Cause.combine(Cause.fail(new CircuitOpen()), Cause.die("bug"))), 7)
        )
        assert.isTrue(Exit.isFailure(both) && Cause.hasDies(both.cause))
        const fiber = yield* Effect.forkChild(Fallback.value(Effect.never, 7))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      })
    )

    it("refuses bad options", () => {
      assert.strictEqual(
        refused(() => Fallback.value(open, 7, { name: " " })).message,
        'Fallback: name must be a non-empty string, but it is " "'
      )
      assert.strictEqual(
        refused(() => Fallback.orElse(open, () => open, { on: [] as unknown as ["CircuitOpen"] })).message,
        "Fallback: on must be at least one tag, but it is []"
      )
    })
  })

  describe("orElse", () => {
    it.effect("answers with another effect, which gets the error", () =>
      Effect.gen(function* () {
        const answer = empty.pipe(Fallback.orElse((error) => Effect.succeed(error.sku), { on: ["OutOfStock"] }))
        assert.strictEqual(yield* answer, "a")
        assert.strictEqual(yield* Fallback.orElse(open, (error) => Effect.succeed(error._tag)), "CircuitOpen")
      })
    )

    it.effect("fails with the error of the other effect", () =>
      Effect.gen(function* () {
        const [exit, events] = yield* Telemetry.recorded(Fallback.orElse(open, () => Effect.fail("also")))
        assert.deepStrictEqual(exit, Exit.fail("also"))
        assert.deepStrictEqual(events, [])
      })
    )

    it.effect("dies if the function throws", () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(
          Fallback.orElse(open, (): Effect.Effect<number> => {
            throw new Error("bug")
          })
        )
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      })
    )
  })

  describe("Stale", () => {
    it.effect("serves the last good answer of the key", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* Effect.succeed(1).pipe(Last.orStale("a")), 1)
        assert.strictEqual(yield* Last.orStale(Effect.succeed(2), "a"), 2)
        yield* Last.orStale(Effect.succeed(3), "b")
        assert.strictEqual(yield* open.pipe(Last.orStale("a")), 2)
        assert.strictEqual(yield* open.pipe(Last.orStale("b")), 3)
      }).pipe(Effect.provide(Last.layer))
    )

    it.effect("lets an error through, with its whole cause, where there is nothing to serve", () =>
      Effect.gen(function* () {
        const cause = Cause.combine(Cause.fail(new CircuitOpen()), Cause.fail(new CircuitOpen()))
        const exit = yield* Effect.exit(Last.orStale(Effect.failCause(cause), "a"))
        assert.deepStrictEqual(exit, Exit.failCause(cause))
      }).pipe(Effect.provide(Last.layer))
    )

    it.effect("serves on the handled errors only, and never on a defect", () =>
      Effect.gen(function* () {
        yield* Last.orStale(Effect.succeed(1), "a")
        assert.deepStrictEqual(yield* Effect.exit(Last.orStale(empty, "a")), Exit.fail(new OutOfStock({ sku: "a" })))
        assert.strictEqual(yield* Last.orStale(empty, "a", { on: ["OutOfStock"] }), 1)
        assert.deepStrictEqual(yield* Effect.exit(Last.orStale(Effect.die("bug"), "a")), Exit.die("bug"))
      }).pipe(Effect.provide(Last.layer))
    )

    it.effect("never serves what is older than maxAge", () =>
      Effect.gen(function* () {
        yield* Last.orStale(Effect.succeed(1), "a")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* Last.orStale(open, "a"), 1)
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* Effect.exit(Last.orStale(open, "a")), Exit.fail(new CircuitOpen()))
        // Serving it did not make it younger, and it is gone for good
        yield* Last.orStale(Effect.succeed(2), "a")
        assert.strictEqual(yield* Last.orStale(open, "a"), 2)
      }).pipe(Effect.provide(Last.layer))
    )

    it.effect("forgets the key that was not used for longest", () =>
      Effect.gen(function* () {
        yield* Last.orStale(Effect.succeed(1), "a")
        yield* Last.orStale(Effect.succeed(2), "b")
        // A use of "a"
        yield* Last.orStale(open, "a")
        yield* Last.orStale(Effect.succeed(3), "c")
        assert.strictEqual(yield* Last.orStale(open, "a"), 1)
        assert.strictEqual(yield* Last.orStale(open, "c"), 3)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Last.orStale(open, "b"))))
      }).pipe(Effect.provide(Last.layer))
    )

    it.effect("remembers as long as its layer, and each layer apart", () =>
      Effect.gen(function* () {
        yield* Effect.provide(Last.orStale(Effect.succeed(1), "a"), Last.layer)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.provide(Last.orStale(open, "a"), Last.layer))))
      })
    )

    it.effect("is built with other options, from the program or from the configuration", () =>
      Effect.gen(function* () {
        const test = Effect.gen(function* () {
          yield* Last.orStale(Effect.succeed(1), "a")
          yield* Last.orStale(Effect.succeed(2), "b")
          yield* TestClock.adjust("40 seconds")
          return [
            Exit.isSuccess(yield* Effect.exit(Last.orStale(open, "a"))),
            Exit.isSuccess(yield* Effect.exit(Last.orStale(open, "b")))
          ]
        })
        const config = Last.layerConfig({ max: Config.Int("STALE_MAX") })
        const provider = ConfigProvider.layer(ConfigProvider.fromUnknown({ STALE_MAX: 1 }))
        assert.deepStrictEqual(yield* Effect.provide(test, Last.layerWith({})), [true, true])
        assert.deepStrictEqual(yield* Effect.provide(test, Last.layerWith({ maxAge: "39 seconds" })), [false, false])
        assert.deepStrictEqual(yield* Effect.provide(test, Last.layerWith({ max: 1, maxAge: undefined })), [
          false,
          true
        ])
        assert.deepStrictEqual(yield* Effect.provide(test, Layer.provide(config, provider)), [false, true])
      })
    )

    it.effect("is refused by its layer, not by its class", () =>
      Effect.gen(function* () {
        class NoId extends Fallback.Stale<NoId, number>()("", { maxAge: 1, max: 1 }) {}
        class NoAge extends Fallback.Stale<NoAge, number>()("app/NoAge", { maxAge: 0, max: 1 }) {}
        class NoRoom extends Fallback.Stale<NoRoom, number>()("app/NoRoom", { maxAge: 1, max: 0.5 }) {}
        const message = <A>(layer: Layer.Layer<A>) =>
          Effect.map(Effect.exit(Effect.scoped(Layer.build(layer))), (exit) => {
            const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
            return defect instanceof InvalidOption ? defect.message : "not refused"
          })
        assert.strictEqual(yield* message(NoId.layer), 'Fallback.Stale: id must be a non-empty string, but it is ""')
        assert.strictEqual(
          yield* message(NoAge.layer),
          "app/NoAge: maxAge must be a finite duration above 0, but it is 0"
        )
        assert.strictEqual(
          yield* message(NoRoom.layer),
          "app/NoRoom: max must be a whole number of at least 1, but it is 0.5"
        )
        assert.strictEqual(
          yield* message(Last.layerWith({ max: -1 })),
          "app/Last: max must be a whole number of at least 1, but it is -1"
        )
        assert.strictEqual(yield* message(NoRoom.layerWith({ max: 1 })), "not refused")
      })
    )

    it.effect("the store does what a list in order of use does", () =>
      Effect.gen(function* () {
        const step = Schema.Struct({
          remember: Schema.Boolean,
          key: Schema.Literals(["a", "b", "c", "d", "e"]),
          wait: Schema.Literals([0, 1, 5, 10])
        })
        const max = 3
        const maxAgeMs = 10
        let evictions = 0
        let expiries = 0
        const result = yield* Arbitrary.checkEffect(
          Arbitrary.array(Arbitrary.schema(step), { maxLength: 40 }),
          (steps) => {
            const store = new StaleStore<number>({ max, maxAgeMs })
            let model: ReadonlyArray<{ readonly key: string; readonly value: number; readonly at: number }> = []
            let now = 0
            return steps.every(({ key, remember, wait }, i) => {
              now += wait
              const known = model.find((entry) => entry.key === key)
              const others = model.filter((entry) => entry.key !== key)
              if (remember) {
                store.remember(key, i, now)
                if (others.length >= max) evictions++
                model = [...others, { key, value: i, at: now }].slice(-max)
                return true
              }
              const expired = known !== undefined && now - known.at > maxAgeMs
              if (expired) expiries++
              const expected =
                known === undefined || expired ? undefined : { value: known.value, ageMs: now - known.at }
              model = expected === undefined || known === undefined ? others : [...others, known]
              const actual = store.recall(key, now)
              return actual?.value === expected?.value && actual?.ageMs === expected?.ageMs
            })
          },
          { runs: 300, size: 40, seed: 1 }
        )
        assert.isUndefined(Arbitrary.formatCheckFailure(result))
        // The steps reach what they are there for
        assert.isAbove(evictions, 20)
        assert.isAbove(expiries, 20)
      })
    )
  })

  describe("served", () => {
    const sourceOf = <E, R>(self: Effect.Effect<number, E, R>) =>
      Effect.map(Fallback.served(self), ({ age, source, value }) => [
        value,
        source,
        age === undefined ? undefined : Duration.toMillis(age)
      ])

    it.effect("says where the value comes from", () =>
      Effect.gen(function* () {
        const quote = (self: Effect.Effect<number, CircuitOpen>) =>
          sourceOf(self.pipe(Last.orStale("a"), Fallback.value(0)))
        assert.deepStrictEqual(yield* quote(open), [0, "fallback", undefined])
        assert.deepStrictEqual(yield* quote(Effect.succeed(1)), [1, "live", undefined])
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* quote(open), [1, "stale", 5000])
        assert.deepStrictEqual(yield* sourceOf(Fallback.orElse(open, () => Effect.succeed(3))), [
          3,
          "fallback",
          undefined
        ])
      }).pipe(Effect.provide(Last.layer))
    )

    it.effect("is told of the fallback that produced the value", () =>
      Effect.gen(function* () {
        yield* Last.orStale(Effect.succeed(1), "a")
        // Served, then failed over again
        const again = Effect.andThen(Last.orStale(open, "a"), open)
        assert.deepStrictEqual(yield* sourceOf(Fallback.value(again, 0)), [0, "fallback", undefined])
        // The other effect's own fallback
        const other = Fallback.orElse(open, () => Last.orStale(open, "a"))
        assert.deepStrictEqual(yield* sourceOf(other), [1, "stale", 0])
        const twice = Fallback.orElse(Effect.andThen(Last.orStale(open, "a"), open), () => Effect.succeed(2))
        assert.deepStrictEqual(yield* sourceOf(twice), [2, "fallback", undefined])
        // An effect of several parts: the last that served
        const parts = Effect.andThen(Fallback.value(open, 0), Last.orStale(open, "a"))
        assert.deepStrictEqual(yield* sourceOf(parts), [1, "stale", 0])
        const live = Effect.andThen(Last.orStale(open, "a"), Effect.succeed(5))
        assert.deepStrictEqual(yield* sourceOf(live), [5, "stale", 0])
        const last = Effect.andThen(Last.orStale(open, "a"), Fallback.value(open, 0))
        assert.deepStrictEqual(yield* sourceOf(last), [0, "fallback", undefined])
      }).pipe(Effect.provide(Last.layer))
    )

    it.effect("hears child fibers, and not its neighbours", () =>
      Effect.gen(function* () {
        const done = yield* Deferred.make<void>()
        const child = Effect.flatMap(Effect.forkChild(Fallback.value(open, 0)), Fiber.join)
        const neighbour = Effect.as(Deferred.await(done), 1)
        const [a, b] = yield* Effect.all(
          [sourceOf(Effect.tap(child, () => Deferred.succeed(done, undefined))), sourceOf(neighbour)],
          { concurrency: 2 }
        )
        assert.deepStrictEqual(a, [0, "fallback", undefined])
        assert.deepStrictEqual(b, [1, "live", undefined])
      })
    )

    describe("what does not come out does not count", () => {
      class Net extends Data.TaggedError("Net") {}

      const policy = Policy.make({
        name: "quotes",
        faults: Fault.tags({ transient: ["Net"] }),
        safety: "idempotent",
        deadline: "1 minute",
        retry: Backoff.sequence([0])
      })
      const bounded = Policy.extend(policy, { name: "bounded", attemptTimeout: "10 seconds" })

      /** Served by a fallback the first time, and then refused; live from the second time on. */
      const refusedOnce = (step: Effect.Effect<number, OutOfStock> = empty) => {
        let runs = 0
        const source: Effect.Effect<number, OutOfStock> = Effect.suspend(() =>
          runs++ === 0 ? step : Effect.succeed(2)
        )
        return source.pipe(Fallback.value(-1, { on: ["OutOfStock"] }), refuseNegative)
      }
      const refuseNegative = <E, R>(self: Effect.Effect<number, E, R>) =>
        Effect.flatMap(self, (n) => (n < 0 ? Effect.fail(new Net()) : Effect.succeed(n)))

      it.effect("an attempt of a policy that failed further on", () =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* sourceOf(withResilience(refusedOnce(), policy)), [2, "live", undefined])
          assert.deepStrictEqual(yield* sourceOf(withResilience(refusedOnce(), bounded)), [2, "live", undefined])
          const either = refusedOnce().pipe(withResilience(policy), Effect.andThen(Fallback.value(open, 0)))
          assert.deepStrictEqual(yield* sourceOf(either), [0, "fallback", undefined])
          const inner = Fallback.value(open, 0).pipe(withResilience(policy))
          assert.deepStrictEqual(yield* sourceOf(inner), [0, "fallback", undefined])
        })
      )

      it.effect("a policy within a policy", () =>
        Effect.gen(function* () {
          const outer = Policy.extend(bounded, { name: "outer" })
          const within = withResilience(Fallback.value(open, -1), policy)
          let runs = 0
          const twice = Effect.suspend(() => (runs++ === 0 ? within : Effect.succeed(2))).pipe(refuseNegative)
          assert.deepStrictEqual(yield* sourceOf(withResilience(twice, outer)), [2, "live", undefined])
          const served = withResilience(within, outer)
          assert.deepStrictEqual(yield* sourceOf(served), [-1, "fallback", undefined])
        })
      )

      it.effect("what chaos around or within injects into is no exception", () =>
        Effect.gen(function* () {
          const within = refusedOnce().pipe(withResilience(policy), Chaos.provide([]))
          assert.deepStrictEqual(yield* sourceOf(within), [2, "live", undefined])
          const layered = refusedOnce().pipe(withResilience(policy), Effect.provide(Chaos.layer([])))
          assert.deepStrictEqual(yield* sourceOf(layered), [2, "live", undefined])
          const injected = [Chaos.result({ probability: 1, value: () => 7 })]
          const around = refusedOnce().pipe(withResilience(policy), sourceOf, Chaos.provide(injected))
          assert.deepStrictEqual(yield* around, [7, "live", undefined])
          const innermost = sourceOf(sourceOf(refusedOnce().pipe(withResilience(policy))).pipe(Effect.as(1)))
          assert.deepStrictEqual(yield* innermost, [1, "live", undefined])
        })
      )

      it.effect("an attempt of Effect.retry that failed further on", () =>
        Effect.gen(function* () {
          const retry = Effect.retry({ times: 1 })
          assert.deepStrictEqual(yield* sourceOf(retry(refusedOnce())), [2, "live", undefined])
          const parts = Effect.all([refusedOnce(), Effect.succeed(1)], { concurrency: 2 })
          const sum = Effect.map(retry(parts), ([a, b]) => a + b)
          assert.deepStrictEqual(yield* sourceOf(sum), [3, "live", undefined])
        })
      )

      it.effect("but the last run of Effect.retry and Effect.repeat does", () =>
        Effect.gen(function* () {
          let runs = 0
          const refused = Effect.suspend((): Effect.Effect<number, Net | CircuitOpen> =>
            runs++ === 0 ? Effect.fail(new Net()) : open
          )
          const served = refused.pipe(Fallback.value(3), Effect.retry({ times: 1 }))
          assert.deepStrictEqual(yield* sourceOf(served), [3, "fallback", undefined])
          let repeats = 0
          const flaky = Effect.suspend(() => (repeats++ === 0 ? open : Effect.succeed(4)))
          const again = flaky.pipe(Fallback.value(0), Effect.repeat({ times: 1 }))
          assert.deepStrictEqual(yield* sourceOf(again), [4, "live", undefined])
        })
      )

      it.effect("nor does one use of an effect take back another", () =>
        Effect.gen(function* () {
          const steps: Array<Effect.Effect<number, CircuitOpen | Net>> = [
            open,
            Effect.fail(new Net()),
            Effect.succeed(2),
            Effect.fail(new Net()),
            Effect.succeed(3)
          ]
          const quote = Effect.suspend(() => steps.shift()!).pipe(Fallback.value(0), Effect.retry({ times: 1 }))
          const sum = Effect.map(Effect.all([quote, quote, quote]), ([a, b, c]) => a + b + c)
          assert.deepStrictEqual(yield* sourceOf(sum), [5, "fallback", undefined])
        })
      )

      it.effect("a hedge that was beaten", () =>
        Effect.gen(function* () {
          const hedged = Policy.extend(policy, { name: "hedged", hedge: { after: "1 second" }, retry: undefined })
          const race = (first: Effect.Effect<number, OutOfStock>, second: Effect.Effect<number, OutOfStock>) => {
            let runs = 0
            return Effect.suspend(() => (runs++ === 0 ? first : second)).pipe(withResilience(hedged), sourceOf, fork)
          }
          const quote = Fallback.value(empty, 0, { on: ["OutOfStock"] })
          const late = <A, E>(self: Effect.Effect<A, E>) => Effect.tap(self, () => Effect.sleep("1 minute"))
          const beaten = yield* race(late(quote), Effect.succeed(2))
          const winner = yield* race(Effect.never, quote)
          const beatenHedge = yield* race(Effect.delay(Effect.succeed(3), "2 seconds"), late(quote))
          yield* TestClock.adjust("2 seconds")
          assert.deepStrictEqual(yield* Fiber.join(beaten), [2, "live", undefined])
          assert.deepStrictEqual(yield* Fiber.join(winner), [0, "fallback", undefined])
          assert.deepStrictEqual(yield* Fiber.join(beatenHedge), [3, "live", undefined])
        })
      )

      it.effect("of branches side by side, each by itself", () =>
        Effect.gen(function* () {
          const stale = Fallback.value(open, 5)
          const sum = Effect.map(
            Effect.all([stale, withResilience(refusedOnce(), policy), Effect.retry(refusedOnce(), { times: 1 })], {
              concurrency: 3
            }),
            ([a, b, c]) => a + b + c
          )
          assert.deepStrictEqual(yield* sourceOf(sum), [9, "fallback", undefined])
          // one that runs anew takes back what it said itself, and not what its neighbour has said meanwhile
          let runs = 0
          const slow = Effect.delay(
            Effect.suspend((): Effect.Effect<number, Net> =>
              runs++ === 0 ? Effect.fail(new Net()) : Effect.succeed(2)
            ),
            "1 second"
          )
          const retried = slow.pipe(Fallback.value(0), Effect.retry({ times: 1 }))
          const both = Effect.all([retried, Effect.delay(stale, "500 millis")], { concurrency: 2 })
          const fiber = yield* fork(sourceOf(Effect.map(both, ([a, b]) => a + b)))
          yield* TestClock.adjust("2 seconds")
          assert.deepStrictEqual(yield* Fiber.join(fiber), [7, "fallback", undefined])
        })
      )

      it.effect("of an effect that another fallback answered", () =>
        Effect.gen(function* () {
          yield* Last.orStale(Effect.succeed(1), "a")
          const failing = Effect.andThen(Fallback.value(open, 0), open)
          assert.deepStrictEqual(yield* sourceOf(Last.orStale(failing, "a")), [1, "stale", 0])
          const other = Effect.andThen(Fallback.value(open, 0), Effect.fail(new Net()))
          const both = Fallback.orElse(failing, () => other).pipe(
            Fallback.orElse(() => Effect.succeed(4), { on: ["Net"] })
          )
          assert.deepStrictEqual(yield* sourceOf(both), [4, "fallback", undefined])
        }).pipe(Effect.provide(Last.layer))
      )
    })

    it.effect("starts afresh on every run, and the innermost is told", () =>
      Effect.gen(function* () {
        let up = false
        const flaky = Effect.suspend(() => (up ? Effect.succeed(1) : open))
        const quote = sourceOf(Fallback.value(flaky, 0))
        assert.deepStrictEqual(yield* quote, [0, "fallback", undefined])
        up = true
        assert.deepStrictEqual(yield* quote, [1, "live", undefined])
        const nested = yield* Fallback.served(Fallback.served(Fallback.value(open, 0)))
        assert.deepStrictEqual([nested.source, nested.value.source], ["live", "fallback"])
      })
    )

    it.effect("keeps the error", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* Effect.exit(Fallback.served(empty)), Exit.fail(new OutOfStock({ sku: "a" })))
      })
    )
  })

  describe("what it tells", () => {
    it.effect("sends an event for each answer", () =>
      Effect.gen(function* () {
        yield* TestClock.adjust("3 seconds")
        const [, events] = yield* Telemetry.recorded(
          Effect.gen(function* () {
            yield* Last.orStale(open, "a").pipe(Fallback.value(0))
            yield* Last.orStale(Effect.succeed(1), "a").pipe(Fallback.value(0))
            yield* TestClock.adjust("2 seconds")
            yield* Last.orStale(open, "a").pipe(Fallback.value(0))
            yield* Fallback.orElse(empty, () => Effect.succeed(0), { name: "other shop", on: ["OutOfStock"] })
          })
        )
        assert.deepStrictEqual(events, [
          {
            _tag: "FallbackServed",
            at: 3000,
            name: "fallback",
            source: "fallback",
            error: "CircuitOpen",
            age: undefined
          },
          {
            _tag: "FallbackServed",
            at: 5000,
            name: "app/Last",
            source: "stale",
            error: "CircuitOpen",
            age: Duration.seconds(2)
          },
          {
            _tag: "FallbackServed",
            at: 5000,
            name: "other shop",
            source: "fallback",
            error: "OutOfStock",
            age: undefined
          }
        ])
      }).pipe(Effect.provide(Last.layer))
    )

    it.effect("marks the span, also where nobody listens", () =>
      Effect.gen(function* () {
        const span = yield* Effect.currentSpan
        yield* Fallback.value(open, 0, { name: "zero" })
        assert.deepStrictEqual((span as unknown as { readonly events: unknown }).events, [
          [
            "resilience.fallback.served",
            0n,
            { "resilience.name": "zero", "resilience.source": "fallback", "resilience.error": "CircuitOpen" }
          ]
        ])
      }).pipe(Effect.withSpan("call"))
    )
  })
})
