// A rate limit over a store that others share: what it asks there, and what becomes of the calls when the store fails.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Clock, Config, ConfigProvider, Context, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { Logger } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import type * as Guard from "../src/Guard.ts"
import * as RateLimit from "../src/RateLimit.ts"
import { errorOf } from "./kit.ts"
import { holds, integers } from "./property.ts"
import { runInterrupted, VirtualClock } from "./virtual.ts"

class Shared extends RateLimit.Service<Shared>()("app/Shared", { limit: 2, window: "10 seconds" }) {}
class Other extends RateLimit.Service<Other>()("app/Other", { limit: 2, window: "10 seconds" }) {}
class Keyed extends RateLimit.Service<Keyed>()("app/Keyed", { limit: 2, window: "10 seconds", keys: {} }) {}

const ok = Effect.succeed("ok")
const tagOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return String(exit.value)
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupted"
  const error = errorOf(exit) as { readonly _tag: string }
  return error instanceof RateLimit.RateLimited ? error.reason : error._tag
}
const end = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(self), tagOf)
const calling = <E, R>(name: string, told: Array<string>, self: Effect.Effect<unknown, E, R>) =>
  Effect.forkChild(
    Effect.onExit(self, (exit) =>
      Effect.map(Clock.currentTimeMillis, (now) => void told.push(`${name}: ${tagOf(exit)} at ${now}`))
    ),
    { startImmediately: true }
  )

type StoreShape = RateLimiter.RateLimiterStore["Service"]
const memory = Effect.scoped(
  Effect.map(Layer.build(Layer.fresh(RateLimiter.layerStoreMemory)), (context) =>
    Context.get(context, RateLimiter.RateLimiterStore)
  )
)
/** A store in memory of which each answer goes through `f`, and which keeps books. */
const storeWith = (f: <A>(answer: Effect.Effect<A, RateLimiter.RateLimiterError>) => typeof answer) =>
  Effect.map(memory, (store) => {
    const asked: Array<string> = []
    const count = <O extends { readonly key: string }, A>(
      ask: (options: O) => Effect.Effect<A, RateLimiter.RateLimiterError>
    ) =>
      ((options: O) =>
        Effect.suspend(() => {
          asked.push(options.key)
          return f(ask(options))
        })) as typeof ask
    const service: StoreShape = {
      ...store,
      fixedWindow: count(store.fixedWindow),
      tokenBucket: count(store.tokenBucket)
    }
    return { asked, layer: Layer.succeed(RateLimiter.RateLimiterStore)(service) }
  })

const down = new RateLimiter.RateLimiterError({
  reason: new RateLimiter.RateLimitStoreError({ message: "down", cause: new Error("ECONNREFUSED") })
})

/** The lines that are logged, by level. */
const logged = <A, E, R>(self: (lines: Array<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>(({ cause, logLevel, message }) => {
    lines.push(`${logLevel}: ${String(message)} ${Cause.pretty(cause)}`)
  })
  return Effect.provide(self(lines), Logger.layer([logger]))
}

describe("a shared limit", () => {
  it.effect("two layers over one store share the tokens of the same id", () =>
    Effect.gen(function* () {
      const { asked, layer } = yield* storeWith((answer) => answer)
      const process = () =>
        Layer.fresh(Layer.mergeAll(Shared.layerShared, Other.layerShared)).pipe(Layer.provide(layer))
      const [one, two] = [yield* Layer.build(process()), yield* Layer.build(process())]
      const call = Shared.protect(ok)
      const ends = [
        yield* end(Effect.provide(call, one)),
        yield* end(Effect.provide(call, two)),
        yield* end(Effect.provide(call, one)),
        yield* end(Effect.provide(call, two)),
        yield* end(Effect.provide(Other.protect(ok), one))
      ]
      assert.deepStrictEqual(ends, ["ok", "ok", "limit", "limit", "ok"])
      // the second process knew from its own answer that there was none left
      assert.deepStrictEqual(asked, ["{app/Shared}", "{app/Shared}", "{app/Shared}", "{app/Other}"])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* end(Effect.provide(call, two)), "ok")
    })
  )

  it.effect("keys are in the store's key, so that none can be mistaken for the other entry of a bucket", () =>
    Effect.gen(function* () {
      const { asked, layer } = yield* storeWith((answer) => answer)
      yield* Effect.forEach(["a", "a:refill"], (key) => Keyed.protect(ok, { key })).pipe(
        Effect.provide(Keyed.layerShared.pipe(Layer.provide(layer)))
      )
      assert.deepStrictEqual(asked, ["{app/Keyed:a}", "{app/Keyed:a:refill}"])
    })
  )

  it.effect("options from the configuration", () =>
    Effect.gen(function* () {
      const { asked, layer } = yield* storeWith((answer) => answer)
      yield* Effect.gen(function* () {
        yield* Shared.protect(ok)
        const { limit, remaining } = yield* Shared.snapshot()
        assert.deepStrictEqual([limit, remaining, asked.length], [5, 4, 1])
      }).pipe(
        Effect.provide(
          Shared.layerSharedConfig({ limit: Config.Int("LIMIT") }).pipe(
            Layer.provide(layer),
            Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ LIMIT: "5" })))
          )
        )
      )
    })
  )

  it.effect("calls do not wait for each other while there are tokens", () =>
    Effect.gen(function* () {
      const { asked, layer } = yield* storeWith((answer) => Effect.delay(answer, "50 millis"))
      yield* Effect.gen(function* () {
        const told: Array<string> = []
        for (const name of ["a", "b", "c", "d"]) yield* calling(name, told, Shared.protect(ok))
        assert.strictEqual(asked.length, 4)
        yield* TestClock.adjust("50 millis")
        assert.deepStrictEqual(told, ["a: ok at 50", "b: ok at 50", "c: limit at 50", "d: limit at 50"])
      }).pipe(Effect.provide(Shared.layerShared.pipe(Layer.provide(layer))))
    })
  )

  it.effect("of those who wait only the first asks, one after the other", () =>
    Effect.gen(function* () {
      const { asked, layer } = yield* storeWith((answer) => Effect.delay(answer, "10 millis"))
      yield* Effect.gen(function* () {
        const told: Array<string> = []
        for (let i = 0; i < 6; i++) yield* calling(String(i), told, Shared.protect(ok))
        assert.strictEqual(asked.length, 6)
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(told, [
          "0: ok at 10",
          "1: ok at 10",
          // two come in within the next window; the one after that is too late for the others
          "4: wait at 10",
          "5: wait at 10",
          "2: ok at 10020",
          "3: ok at 10030"
        ])
        // the first two had all, and said so: not even the others were asked for again before the time
        assert.strictEqual(asked.length, 8)
      }).pipe(
        Effect.provide(Shared.layerSharedWith({ maxWait: "20 seconds", storeTimeout: 11 }).pipe(Layer.provide(layer)))
      )
    })
  )

  it.effect("whoever waits in vain, because others use it too, is refused when maxWait is over", () =>
    Effect.gen(function* () {
      const { layer } = yield* storeWith((answer) => answer)
      const mine = Shared.layerSharedWith({ maxWait: "25 seconds" }).pipe(Layer.provide(layer))
      const theirs = Shared.layerShared.pipe(Layer.provide(layer), Layer.fresh)
      const greedy = yield* Layer.build(theirs)
      yield* Effect.gen(function* () {
        const told: Array<string> = []
        yield* Shared.protect(ok)
        yield* Shared.protect(ok)
        // they are there first, each time
        yield* Effect.forkChild(
          Effect.forever(
            Effect.andThen(
              Effect.sleep("9999 millis"),
              Effect.forEach([1, 2], () => Effect.exit(Shared.protect(ok)))
            )
          ).pipe(Effect.provide(greedy))
        )
        yield* calling("a", told, Shared.protect(ok))
        yield* TestClock.adjust("1 second")
        yield* calling("b", told, Shared.protect(ok))
        yield* calling("c", told, Shared.protect(ok))
        yield* TestClock.adjust("1 minute")
        assert.isAtMost(
          Math.max(...told.map((line) => Number(line.split(" at ")[1]))),
          26_000,
          `none waits longer: ${told.join(", ")}`
        )
        assert.strictEqual((yield* Shared.snapshot()).waiting, 0)
      }).pipe(Effect.provide(mine))
    })
  )

  it.effect("interrupted while the store is asked, a call is gone at once, and its question as well", () =>
    Effect.gen(function* () {
      let open = 0
      const { layer } = yield* storeWith((answer) =>
        Effect.andThen(
          Effect.sync(() => open++),
          Effect.ensuring(
            Effect.delay(answer, "50 millis"),
            Effect.sync(() => open--)
          )
        )
      )
      yield* Effect.gen(function* () {
        // one that asks for itself
        const direct = yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true })
        assert.strictEqual(open, 1)
        yield* Fiber.interrupt(direct)
        assert.strictEqual(open, 0)
        // two that wait, of whom the first asks
        const used = yield* Effect.forkChild(Effect.all([Shared.protect(ok), Shared.protect(ok)]))
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(used)
        const first = yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true })
        const second = yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true })
        yield* TestClock.adjust("9970 millis")
        assert.strictEqual(open, 1)
        yield* Fiber.interrupt(first)
        // its question is the next one's
        assert.strictEqual(open, 1)
        yield* TestClock.adjust("30 millis")
        assert.deepStrictEqual(second.pollUnsafe(), Exit.succeed("ok"))
        const third = yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true })
        yield* TestClock.adjust("50 millis")
        yield* Fiber.join(third)
        const fourth = yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true })
        yield* TestClock.adjust("9960 millis")
        assert.strictEqual(open, 1)
        yield* Fiber.interrupt(fourth)
        assert.strictEqual(open, 0)
      }).pipe(Effect.provide(Shared.layerSharedWith({ maxWait: "10 seconds" }).pipe(Layer.provide(layer))))
    })
  )

  it.effect("a question that nobody waits for any more is nobody else's, however long its end takes", () =>
    Effect.gen(function* () {
      let isSlow = false
      const { asked, layer } = yield* storeWith((answer) =>
        isSlow ? Effect.onInterrupt(Effect.never, () => Effect.sleep("30 millis")) : answer
      )
      yield* Effect.gen(function* () {
        yield* Shared.protect(ok)
        yield* Shared.protect(ok)
        const first = yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true })
        isSlow = true
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(asked.length, 3)
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(first), { startImmediately: true })
        isSlow = false
        // the window is over, but the guard has not heard so; it asks anew
        const second = yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true })
        assert.deepStrictEqual(second.pollUnsafe(), Exit.succeed("ok"))
        // one that waits while the old question still ends
        yield* Shared.protect(ok)
        const third = yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true })
        yield* TestClock.adjust("30 millis")
        yield* Fiber.join(interrupting)
        assert.isUndefined(third.pollUnsafe())
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(third.pollUnsafe(), Exit.succeed("ok"))
      }).pipe(Effect.provide(Shared.layerSharedWith({ maxWait: "20 seconds" }).pipe(Layer.provide(layer))))
    })
  )
})

describe("when the store fails", () => {
  const failing = storeWith(() => Effect.fail(down))
  const silent = storeWith(() => Effect.never)

  it.effect("by default calls go through, and the log says so, but not for each of them", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const { layer } = yield* failing
        yield* Effect.gen(function* () {
          for (let i = 0; i < 5; i++) assert.strictEqual(yield* end(Shared.protect(ok)), "ok")
          assert.strictEqual(lines.length, 1)
          assert.match(
            lines[0]!,
            /^Warn: the rate limit app\/Shared cannot reach its store, so calls go through without it .*down/s
          )
          yield* TestClock.adjust("9999 millis")
          yield* Shared.protect(ok)
          assert.strictEqual(lines.length, 1)
          yield* TestClock.adjust("1 millis")
          yield* Shared.protect(ok)
          assert.match(lines[1]!, /so calls go through without it \(as 5 times since the last such line\)/)
          yield* TestClock.adjust("10 seconds")
          yield* Shared.protect(ok)
          assert.match(lines[2]!, /without it /)
          assert.notMatch(lines[2]!, /times since/)
        }).pipe(Effect.provide(Shared.layerShared.pipe(Layer.provide(layer))))
      })
    )
  )

  it.effect("or are refused: then nobody knows when to come back", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const { layer } = yield* failing
        yield* Effect.gen(function* () {
          const error = errorOf(yield* Effect.exit(Shared.protect(ok))) as RateLimit.RateLimited
          assert.deepStrictEqual([error.reason, error.retryAfter], ["store", undefined])
          assert.strictEqual(errorOf(yield* Effect.exit(Shared.protect(ok))), error)
          assert.match(lines[0]!, /so calls are refused/)
        }).pipe(Effect.provide(Shared.layerSharedWith({ onStoreError: "reject" }).pipe(Layer.provide(layer))))
      })
    )
  )

  it.effect("trap: a store that does not answer. Nothing hangs for longer than storeTimeout", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const { layer } = yield* silent
        for (const [onStoreError, expected] of [
          ["admit", "ok"],
          ["reject", "store"]
        ] as const) {
          yield* Effect.gen(function* () {
            const told: Array<string> = []
            const before = yield* Clock.currentTimeMillis
            yield* calling("a", told, Shared.protect(ok))
            yield* TestClock.adjust("99 millis")
            assert.deepStrictEqual(told, [])
            yield* TestClock.adjust("1 millis")
            assert.deepStrictEqual(told, [`a: ${expected} at ${before + 100}`])
          }).pipe(Effect.provide(Shared.layerSharedWith({ onStoreError }).pipe(Layer.provide(layer))))
        }
        assert.match(lines[0]!, /TimeoutError/)
      })
    )
  )

  it.effect("those who wait are told as well, all of them at once; and when it is back, it counts again", () =>
    logged(() =>
      Effect.gen(function* () {
        let isDown = false
        const { asked, layer } = yield* storeWith((answer) => (isDown ? Effect.fail(down) : answer))
        for (const onStoreError of ["admit", "reject"] as const) {
          const told: Array<string> = []
          yield* Effect.gen(function* () {
            const start = yield* Clock.currentTimeMillis
            const call = Shared.protect(ok)
            for (const name of ["a", "b", "c", "d", "e"]) yield* calling(name, told, call)
            isDown = true
            asked.length = 0
            yield* TestClock.adjust("10 seconds")
            const fate = onStoreError === "admit" ? "ok" : "store"
            assert.deepStrictEqual(told.slice(2), [
              `c: ${fate} at ${start + 10_000}`,
              `d: ${fate} at ${start + 10_000}`,
              `e: ${fate} at ${start + 10_000}`
            ])
            assert.strictEqual(asked.length, 1)
            isDown = false
            for (let i = 0; i < 2; i++) assert.strictEqual(yield* end(call), "ok")
            assert.strictEqual((yield* Shared.snapshot()).remaining, 0)
            yield* TestClock.adjust("1 minute")
          }).pipe(
            Effect.provide(
              Shared.layerSharedWith({ maxWait: "20 seconds", onStoreError }).pipe(Layer.provide(layer), Layer.fresh)
            )
          )
        }
      })
    )
  )

  it.effect("a bug of the store is a defect, of those who wait too", () =>
    Effect.gen(function* () {
      let isBroken = true
      const { layer } = yield* storeWith((answer) => (isBroken ? Effect.die("oh") : answer))
      yield* Effect.gen(function* () {
        const exit = yield* Effect.exit(Shared.protect(ok))
        assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "oh")
        isBroken = false
        const fibers: Array<Fiber.Fiber<string, unknown>> = []
        for (let i = 0; i < 4; i++) fibers.push(yield* Effect.forkChild(Shared.protect(ok), { startImmediately: true }))
        isBroken = true
        yield* TestClock.adjust("10 seconds")
        const defects = fibers.slice(2).map((fiber) => {
          const exit = fiber.pollUnsafe()
          return exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit
        })
        assert.deepStrictEqual(defects, ["oh", "oh"])
        assert.strictEqual((yield* Shared.snapshot()).waiting, 0)
      }).pipe(Effect.provide(Shared.layerSharedWith({ maxWait: "20 seconds" }).pipe(Layer.provide(layer))))
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Anything in any order
// ---------------------------------------------------------------------------------------------------------------------

const maxWaitMs = 60
const storeTimeoutMs = 9

interface Script {
  readonly limit: number
  readonly commands: ReadonlyArray<readonly [kind: number, value: number]>
}
const scripts: Arbitrary.Arbitrary<Script> = Arbitrary.map(
  Arbitrary.all([
    integers(1, 4),
    Arbitrary.array(Arbitrary.all([integers(0, 9), integers(0, 30)]), { minLength: 30, maxLength: 80 })
  ]),
  ([limit, commands]) => ({ limit, commands })
)

/** Runs a script against a store that answers late, fails, hangs, and has other users; says what was wrong in the end. */
const play = ({ commands, limit }: Script, tally: Map<string, number>): void => {
  const clock = new VirtualClock()
  const context = Context.make(Clock.Clock, clock).pipe(Context.add(Logger.CurrentLoggers, new Set()))
  const run = <A>(self: Effect.Effect<A>) => Effect.runSyncWith(context)(self)
  let latencyMs = 0
  let isDown = false
  let taken = 0
  let interruptions = 0
  const inner = run(memory)
  const fixedWindow: StoreShape["fixedWindow"] = (options) =>
    Effect.suspend(() => {
      if (isDown) return Effect.fail(down)
      const answer = Effect.tap(inner.fixedWindow(options), ([count]) =>
        Effect.sync(() => {
          if (count <= limit) taken++
        })
      )
      return latencyMs === 0 ? answer : Effect.andThen(Effect.sleep(latencyMs), answer)
    })
  const layer = Shared.layerSharedWith({
    limit,
    window: limit * 10,
    maxWait: maxWaitMs,
    storeTimeout: storeTimeoutMs,
    onStoreError: "reject"
  }).pipe(Layer.provide(Layer.succeed(RateLimiter.RateLimiterStore)({ ...inner, fixedWindow })))
  const guard = run(Effect.provide(Shared, layer))
  const fates = new Map<number, string>()
  const waiting = new Map<number, Fiber.Fiber<unknown>>()
  const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1)

  const tell = (id: number, since: number, answer: Guard.Admitted | Guard.Rejected<RateLimit.RateLimited>) => {
    assert.isFalse(fates.has(id), "one answer each")
    fates.set(id, answer._tag === "Admitted" ? "granted" : answer.rejection.reason)
    // its own question, and, as the first in the line, that of the last moment
    assert.isAtMost(clock.now - since, maxWaitMs + storeTimeoutMs, "nobody waits longer")
    count(`${fates.get(id)!}${clock.now > since ? " later" : ""}`)
  }
  const arrive = (id: number) => {
    const since = clock.now
    const call: Guard.Call = {
      policy: "test",
      key: undefined,
      attempt: 1,
      kind: "first",
      now: since,
      deadline: undefined,
      priority: "normal",
      random: () => 0.5,
      emit: undefined
    }
    const admission = run(Effect.sync(() => guard.admit(call)))
    if (admission._tag !== "Pending") return tell(id, since, admission)
    const fiber = Effect.runForkWith(context)(admission.effect)
    waiting.set(id, fiber)
    fiber.addObserver((exit) => {
      waiting.delete(id)
      if (Exit.isSuccess(exit)) tell(id, since, exit.value)
    })
  }
  const tick = () => {
    const next = clock.now + 1
    while (clock.sleepers.some(({ at }) => at <= next)) clock.advance()
    clock.now = next
  }

  let id = 0
  for (const [kind, value] of commands) {
    if (kind <= 3) arrive(id++)
    else if (kind === 4) {
      const [fiber] = [...waiting.values()].slice(value % Math.max(1, waiting.size))
      if (fiber !== undefined) {
        interruptions++
        fiber.interruptUnsafe()
      }
    } else if (kind === 5) latencyMs = value <= 8 ? value : value > 25 ? 1_000 : 0
    else if (kind === 6) isDown = value > 25
    else if (kind === 7)
      run(Effect.ignore(inner.fixedWindow({ key: "{app/Shared}", tokens: 1, refillRate: Duration.millis(10), limit })))
    else for (let i = 0; i < value; i++) tick()
  }
  for (let i = 0; i < 200 && waiting.size > 0; i++) tick()
  assert.deepStrictEqual([waiting.size, clock.sleepers.length, run(guard.snapshot()).waiting], [0, 0, 0])
  const granted = [...fates.values()].filter((fate) => fate === "granted").length
  assert.isAtMost(granted, taken, "never without a token")
  assert.isAtLeast(granted, taken - interruptions, "no token is lost but by an interruption")
}

describe("over any store", () => {
  it.effect("everybody gets one answer in time, none without a token, and nothing is left", () =>
    Effect.gen(function* () {
      const tally = new Map<string, number>()
      yield* holds(
        scripts,
        (script) => {
          play(script, tally)
          return true
        },
        { runs: 600 }
      )
      const all = ["granted", "granted later", "store", "store later", "wait", "wait later"]
      assert.deepStrictEqual([...tally.keys()].toSorted(), all)
      for (const [what, times] of tally) assert.isAtLeast(times, 10, what)
    })
  )

  it.effect("interrupted at every operation of the runtime, a call that asks leaves neither a fiber nor a timer", () =>
    Effect.gen(function* () {
      for (const yielding of [false, true]) {
        for (let at = 0; ; at++) {
          const { layer } = yield* storeWith((answer) => Effect.delay(answer, "5 millis"))
          const mine = Shared.layerSharedWith({ maxWait: "20 seconds" }).pipe(Layer.provide(layer))
          const { exit, openFibers, operations, sleepers } = runInterrupted(
            Effect.gen(function* () {
              for (let i = 0; i < 3; i++) yield* Shared.protect(ok)
            }).pipe(Effect.provide(mine)),
            at,
            yielding
          )
          assert.isDefined(exit, `interrupted at ${at}, it does not end`)
          assert.deepStrictEqual([openFibers, sleepers], [0, 0], `at ${at}`)
          if (operations <= at) break
        }
      }
    })
  )
})
