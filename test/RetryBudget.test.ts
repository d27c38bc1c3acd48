import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { Outcome, OutcomeKind } from "../src/Guard.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import type { Budget } from "../src/internal/budget.ts"
import * as Backoff from "../src/Backoff.ts"
import * as Deadline from "../src/Deadline.ts"
import * as Policy from "../src/Policy.ts"
import { withResilience } from "../src/Policy.ts"
import { currentFrame, tasksAround } from "../src/internal/currentCall.ts"
import { nowMs } from "../src/internal/time.ts"
import * as RetryBudget from "../src/RetryBudget.ts"

const outcome = (kind: OutcomeKind): Outcome => ({ kind, health: "ok", retryAfter: undefined })
const now = Effect.withFiber((fiber) => Effect.succeed(nowMs(fiber)))

/** What the engine does for a call whose only attempt ends with `kind`. */
const call = (budget: Budget, kind: OutcomeKind, key?: string) =>
  Effect.map(now, (now) => {
    const it = budget.begin(now, key, true)
    it.attempt(now, outcome(kind))
    it.end(now)
  })

/** Takes one retry, and does not give it back. */
const take = (budget: Budget, key?: string, timeout = false) =>
  Effect.map(now, (now) => {
    const token = budget.begin(now, key, false).retry(now, { timeout, kind: "retry" })
    token?.settle(now, outcome("transient"))
    return token !== undefined
  })

const drain = Effect.fnUntraced(function* (budget: Budget, key?: string) {
  let n = 0
  while (yield* take(budget, key)) n++
  return n
})

const thrown = (f: () => unknown): unknown => {
  try {
    f()
  } catch (error) {
    return error
  }
  return assert.fail("nothing was thrown")
}

const refused = (error: unknown, option: string, value: unknown, message: string) => {
  assert.instanceOf(error, InvalidOption)
  assert.strictEqual(error.option, option)
  assert.deepStrictEqual(error.value, value)
  assert.strictEqual(error.message, message)
}

/** The defect an effect dies with. */
const defectOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(self), (exit) => {
    if (!Exit.isFailure(exit)) return assert.fail("it did not die")
    const reason = exit.cause.reasons.find(Cause.isDieReason)
    return reason === undefined ? assert.fail("it did not die") : reason.defect
  })

class Plain extends RetryBudget.Service<Plain>()("test/Plain", RetryBudget.ratio()) {}
class PerUser extends RetryBudget.Service<PerUser>()("test/PerUser", RetryBudget.tokenBucket({ capacity: 10 }), {
  keys: { max: 3, idleTimeToLive: "1 minute" }
}) {}

describe("options", () => {
  it.each<[string, () => unknown, option: string, value: unknown, allowed: string]>([
    ["ratio", () => RetryBudget.ratio({ ratio: -0.1 }), "ratio", -0.1, "a number from 0 to 10"],
    ["ratio", () => RetryBudget.ratio({ ratio: 20 }), "ratio", 20, "a number from 0 to 10"],
    ["ratio", () => RetryBudget.ratio({ ratio: NaN }), "ratio", NaN, "a number from 0 to 10"],
    ["ratio", () => RetryBudget.ratio({ minPerSecond: -1 }), "minPerSecond", -1, "a number from 0 to 1000000"],
    [
      "ratio",
      () => RetryBudget.ratio({ minPerSecond: 1_000_001 }),
      "minPerSecond",
      1_000_001,
      "a number from 0 to 1000000"
    ],
    ["ratio", () => RetryBudget.ratio({ window: 0 }), "window", 0, "a duration from 1 to 60 seconds"],
    ["ratio", () => RetryBudget.ratio({ window: 999 }), "window", 999, "a duration from 1 to 60 seconds"],
    [
      "ratio",
      () => RetryBudget.ratio({ window: "61 seconds" }),
      "window",
      "61 seconds",
      "a duration from 1 to 60 seconds"
    ],
    ["ratio", () => RetryBudget.ratio({ window: NaN }), "window", NaN, "a duration of 0 or more"],
    ["tokenBucket", () => RetryBudget.tokenBucket({ capacity: -1 }), "capacity", -1, "a number from 0 to 1000000000"],
    [
      "tokenBucket",
      () => RetryBudget.tokenBucket({ retryCost: 0 }),
      "retryCost",
      0,
      "a number from 0.000001 to 1000000000"
    ],
    [
      "tokenBucket",
      () => RetryBudget.tokenBucket({ timeoutCost: 0 }),
      "timeoutCost",
      0,
      "a number from 0.000001 to 1000000000"
    ],
    ["tokenBucket", () => RetryBudget.tokenBucket({ refund: -1 }), "refund", -1, "a number from 0 to 1000000000"],
    [
      "tokenBucket",
      () => RetryBudget.tokenBucket({ refund: 1_000_000_001 }),
      "refund",
      1_000_000_001,
      "a number from 0 to 1000000000"
    ],
    [
      "throttle",
      () => RetryBudget.throttle({ maxTokens: 0, tokenRatio: 0.1 }),
      "maxTokens",
      0,
      "a whole number from 1 to 1000"
    ],
    [
      "throttle",
      () => RetryBudget.throttle({ maxTokens: 1001, tokenRatio: 0.1 }),
      "maxTokens",
      1001,
      "a whole number from 1 to 1000"
    ],
    [
      "throttle",
      () => RetryBudget.throttle({ maxTokens: 10, tokenRatio: 0.0009 }),
      "tokenRatio",
      0.0009,
      "a number from 0.001 to 1000"
    ],
    [
      "throttle",
      () => RetryBudget.throttle({ maxTokens: 10, tokenRatio: 1001 }),
      "tokenRatio",
      1001,
      "a number from 0.001 to 1000"
    ],
    ["concurrent", () => RetryBudget.concurrent({ ratio: 1.1 }), "ratio", 1.1, "a number from 0 to 1"],
    [
      "concurrent",
      () => RetryBudget.concurrent({ minConcurrency: 1.5 }),
      "minConcurrency",
      1.5,
      "a whole number of at least 0"
    ],
    [
      "concurrent",
      () => RetryBudget.concurrent({ minConcurrency: -1 }),
      "minConcurrency",
      -1,
      "a whole number of at least 0"
    ],
    [
      "fixedRate",
      () => RetryBudget.fixedRate({ perSecond: -1, burst: 1 }),
      "perSecond",
      -1,
      "a number from 0 to 1000000"
    ],
    [
      "fixedRate",
      () => RetryBudget.fixedRate({ perSecond: 1_000_001, burst: 1 }),
      "perSecond",
      1_000_001,
      "a number from 0 to 1000000"
    ],
    ["fixedRate", () => RetryBudget.fixedRate({ perSecond: 1, burst: 0 }), "burst", 0, "a whole number of at least 1"],
    ["task", () => RetryBudget.task({ maxRetries: -1 }), "maxRetries", -1, "a whole number of at least 0"],
    [
      "task",
      () => RetryBudget.task(Effect.void, { maxRetries: 0.5 }),
      "maxRetries",
      0.5,
      "a whole number of at least 0"
    ],
    ["task", () => RetryBudget.task({ maxRetries: 1, name: " " }), "name", " ", "a non-empty string"]
  ])("%s refuses, when it is written: %#", (of, make, option, value, allowed) => {
    refused(
      thrown(make),
      `RetryBudget.${of}: ${option}`,
      value,
      `RetryBudget.${of}: ${option} must be ${allowed}, but it is ${typeof value === "string" ? JSON.stringify(value) : value}`
    )
  })

  it("the ends of the ranges are allowed", () => {
    const models = [
      RetryBudget.ratio({ ratio: 0, minPerSecond: 0, window: "1 second" }),
      RetryBudget.ratio({ ratio: 10, minPerSecond: 1_000_000, window: "60 seconds" }),
      RetryBudget.tokenBucket({ capacity: 0, retryCost: 0.000001, timeoutCost: 0.000001, refund: 0 }),
      RetryBudget.tokenBucket({ capacity: 1e9, retryCost: 1e9, timeoutCost: 1e9, refund: 1e9 }),
      RetryBudget.throttle({ maxTokens: 1, tokenRatio: 0.001 }),
      RetryBudget.throttle({ maxTokens: 1000, tokenRatio: 1000 }),
      RetryBudget.concurrent({ ratio: 0, minConcurrency: 0 }),
      RetryBudget.concurrent({ ratio: 1 }),
      RetryBudget.fixedRate({ perSecond: 0, burst: 1 }),
      RetryBudget.fixedRate({ perSecond: 1_000_000, burst: 7 })
    ]
    assert.deepStrictEqual(
      models.map((model) => [model.kind, model.make().balance(0)]),
      [
        ["ratio", 0],
        ["ratio", 60_000_000],
        ["tokenBucket", 0],
        ["tokenBucket", 1],
        ["throttle", 1],
        ["throttle", 500],
        ["concurrent", 0],
        ["concurrent", 3],
        ["fixedRate", 1],
        ["fixedRate", 7]
      ]
    )
  })

  const nothing = undefined
  it.effect.each([
    ["absent", RetryBudget.ratio(), RetryBudget.tokenBucket(), RetryBudget.concurrent()],
    [
      "undefined",
      RetryBudget.ratio({ ratio: nothing, minPerSecond: nothing, window: nothing }),
      RetryBudget.tokenBucket({ capacity: nothing, retryCost: nothing, timeoutCost: nothing, refund: nothing }),
      RetryBudget.concurrent({ ratio: nothing, minConcurrency: nothing })
    ]
  ] as const)("the defaults, where options are %s", ([, ratio, tokenBucket, concurrent]) =>
    Effect.gen(function* () {
      const built = (model: RetryBudget.Model) => Effect.provide(Plain, Plain.layerWith(model))

      const finagle = yield* built(ratio)
      assert.strictEqual(yield* drain(finagle), 100)
      for (let i = 0; i < 4; i++) yield* call(finagle, "success")
      assert.strictEqual(finagle.balance(0, undefined), 0)
      yield* call(finagle, "success")
      assert.strictEqual(finagle.balance(0, undefined), 1)
      assert.strictEqual(finagle.balance(9999, undefined), 1)
      assert.strictEqual(finagle.balance(10_000, undefined), 100)

      const aws = yield* built(tokenBucket)
      assert.isTrue(yield* take(aws, undefined, true))
      assert.strictEqual(yield* drain(aws), 98)
      for (let i = 0; i < 4; i++) yield* call(aws, "success")
      assert.strictEqual(aws.balance(0, undefined), 0)
      yield* call(aws, "success")
      assert.strictEqual(aws.balance(0, undefined), 1)

      const envoy = yield* built(concurrent)
      assert.strictEqual(envoy.balance(0, undefined), 3)
      for (let i = 0; i < 20; i++) envoy.begin(0, undefined, true)
      assert.strictEqual(envoy.balance(0, undefined), 4)
    })
  )

  it("the exported defaults are the ones used", () => {
    assert.deepStrictEqual(RetryBudget.ratioDefaults, { ratio: 0.2, minPerSecond: 10, window: "10 seconds" })
    assert.deepStrictEqual(RetryBudget.tokenBucketDefaults, {
      capacity: 500,
      retryCost: 5,
      timeoutCost: 10,
      refund: 1
    })
    assert.deepStrictEqual(RetryBudget.concurrentDefaults, { ratio: 0.2, minConcurrency: 3 })
    assert.deepStrictEqual(RetryBudget.keysDefaults, { max: 10_000, idleTimeToLive: "10 minutes" })
  })
})

describe("Service", () => {
  it.effect("a budget, its balance and its snapshots, in the time of the Clock", () =>
    Effect.gen(function* () {
      const budget = yield* Plain
      assert.strictEqual(budget.name, "test/Plain")
      assert.isFalse(budget.keyed)
      assert.isFalse(Plain.keyed)
      assert.strictEqual(yield* drain(budget), 100)
      assert.strictEqual(yield* Plain.balance(), 0)
      assert.deepStrictEqual(yield* Plain.snapshots, [{ key: undefined, balance: 0 }])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Plain.balance(), 100)
      assert.deepStrictEqual(yield* Plain.snapshots, [{ key: undefined, balance: 100 }])
      assert.strictEqual(yield* drain(budget), 100)
    }).pipe(Effect.provide(Plain.layer))
  )

  it.effect("the time is monotonic: a wall clock that steps changes nothing", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("5 seconds")
      yield* drain(yield* Plain)
      yield* TestClock.setTime(0)
      assert.strictEqual(yield* Plain.balance(), 0)
    }).pipe(Effect.provide(Plain.layer))
  )

  it.effect("without keys, a key is ignored", () =>
    Effect.gen(function* () {
      const budget = yield* Plain
      yield* take(budget, "a")
      yield* take(budget, "b")
      assert.strictEqual(yield* Plain.balance(), 98)
      assert.strictEqual(yield* Plain.balance("c"), 98)
    }).pipe(Effect.provide(Plain.layer))
  )

  it.effect("whether a call deposits is passed on, with keys and without", () =>
    Effect.gen(function* () {
      for (const [budget, key] of [
        [yield* Plain, undefined],
        [yield* PerUser, "ann"]
      ] as const) {
        yield* drain(budget, key)
        const nested = budget.begin(0, key, false)
        nested.attempt(0, outcome("success"))
        nested.end(0)
        // a fifth of a retry each
        for (let i = 0; i < 4; i++) yield* call(budget, "success", key)
        assert.strictEqual(budget.balance(0, key), 0)
        yield* call(budget, "success", key)
        assert.strictEqual(budget.balance(0, key), 1)
      }
    }).pipe(Effect.provide([Plain.layer, PerUser.layer]))
  )

  it.effect("every layer that is built has a state of its own", () =>
    Effect.gen(function* () {
      yield* Effect.provide(Effect.flatMap(Plain, drain), Plain.layer)
      assert.strictEqual(yield* Effect.provide(Plain.balance(), Plain.layer), 100)
    })
  )
})

describe("keys", () => {
  it.effect("each has a budget of its own; reading makes none", () =>
    Effect.gen(function* () {
      const budget = yield* PerUser
      assert.isTrue(budget.keyed)
      assert.isTrue(PerUser.keyed)
      assert.strictEqual(yield* PerUser.balance("ann"), 2)
      assert.deepStrictEqual(yield* PerUser.snapshots, [])
      assert.strictEqual(yield* drain(budget, "ann"), 2)
      assert.strictEqual(yield* PerUser.balance("ann"), 0)
      assert.strictEqual(yield* PerUser.balance("bob"), 2)
      yield* take(budget, "bob")
      assert.deepStrictEqual(yield* PerUser.snapshots, [
        { key: "ann", balance: 0 },
        { key: "bob", balance: 1 }
      ])
    }).pipe(Effect.provide(PerUser.layer))
  )

  it.effect("one of which nothing is spent is forgotten when it is idle, one of which something is, is not", () =>
    Effect.gen(function* () {
      const budget = yield* PerUser
      yield* call(budget, "success", "ann")
      yield* take(budget, "bob")
      yield* TestClock.adjust(59_999)
      assert.deepStrictEqual(yield* PerUser.snapshots, [
        { key: "ann", balance: 2 },
        { key: "bob", balance: 1 }
      ])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* PerUser.snapshots, [{ key: "bob", balance: 1 }])
      assert.strictEqual(yield* PerUser.balance("bob"), 1)
    }).pipe(Effect.provide(PerUser.layer))
  )

  it.effect("when max forces one out, it is one of which nothing is spent, even if others were used longer ago", () =>
    Effect.gen(function* () {
      const budget = yield* PerUser
      yield* take(budget, "spent long ago")
      yield* call(budget, "success", "fresh")
      yield* take(budget, "spent")
      yield* call(budget, "success", "new")
      assert.deepStrictEqual((yield* PerUser.snapshots).map((_) => _.key).sort(), ["new", "spent", "spent long ago"])
      // and only where something is spent of all of them, one of those
      yield* take(budget, "new")
      yield* take(budget, "newer")
      const keys = (yield* PerUser.snapshots).map((_) => _.key)
      assert.strictEqual(keys.length, 3)
      assert.include(keys, "newer")
    }).pipe(Effect.provide(PerUser.layer))
  )

  it.effect("a budget that time refills is kept until it has refilled", () =>
    Effect.gen(function* () {
      class Slow extends RetryBudget.Service<Slow>()(
        "test/Slow",
        RetryBudget.fixedRate({ perSecond: 0.01, burst: 1 }),
        {
          keys: { idleTimeToLive: "1 second" }
        }
      ) {}
      yield* Effect.gen(function* () {
        yield* take(yield* Slow, "a")
        yield* TestClock.adjust("99 seconds")
        assert.deepStrictEqual(yield* Slow.snapshots, [{ key: "a", balance: 0 }])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Slow.snapshots, [])
        assert.strictEqual(yield* Slow.balance("a"), 1)
      }).pipe(Effect.provide(Slow.layer))
    })
  )

  it.effect("a missing key is said to be missing", () =>
    Effect.gen(function* () {
      const budget = yield* PerUser
      const message =
        'key must be a string, said at the call, because the budget "test/PerUser" is keyed, but it is undefined'
      refused(
        thrown(() => budget.begin(0, undefined, true)),
        "key",
        undefined,
        message
      )
      refused(
        thrown(() => budget.balance(0, undefined)),
        "key",
        undefined,
        message
      )
      // @ts-expect-error a keyed balance needs its key
      refused(yield* defectOf(PerUser.balance()), "key", undefined, message)
    }).pipe(Effect.provide(PerUser.layer))
  )

  it.effect("the empty string is a key", () =>
    Effect.gen(function* () {
      yield* take(yield* PerUser, "")
      assert.deepStrictEqual(yield* PerUser.snapshots, [{ key: "", balance: 1 }])
    }).pipe(Effect.provide(PerUser.layer))
  )

  it.effect("the defaults: ten minutes", () =>
    Effect.gen(function* () {
      class Many extends RetryBudget.Service<Many>()("test/Many", RetryBudget.ratio(), { keys: {} }) {}
      assert.isTrue(Many.keyed)
      yield* Effect.gen(function* () {
        yield* call(yield* Many, "success", "a")
        yield* TestClock.adjust(Duration.millis(599_999))
        assert.strictEqual((yield* Many.snapshots).length, 1)
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Many.snapshots).length, 0)
      }).pipe(Effect.provide(Many.layer))
    })
  )

  it.effect("bad ones: the class is defined, its layer dies", () =>
    Effect.gen(function* () {
      class NoKeys extends RetryBudget.Service<NoKeys>()("test/NoKeys", RetryBudget.ratio(), { keys: { max: 0 } }) {}
      refused(
        yield* defectOf(Effect.provide(NoKeys.balance("a"), NoKeys.layer)),
        "test/NoKeys: keys.max",
        0,
        "test/NoKeys: keys.max must be a whole number of at least 1, but it is 0"
      )
      class NoTime extends RetryBudget.Service<NoTime>()("test/NoTime", RetryBudget.ratio(), {
        keys: { idleTimeToLive: 0 }
      }) {}
      refused(
        yield* defectOf(Effect.provide(NoTime.balance("a"), NoTime.layer)),
        "test/NoTime: keys.idleTimeToLive",
        0,
        "test/NoTime: keys.idleTimeToLive must be a finite duration above 0, but it is 0"
      )
    })
  )

  it("`keys: undefined` is no keys", () => {
    class Perhaps extends RetryBudget.Service<Perhaps>()("test/Perhaps", RetryBudget.ratio(), { keys: undefined }) {}
    assert.isFalse(Perhaps.keyed)
  })
})

describe("layerWith", () => {
  it.effect("replaces the model", () =>
    Effect.gen(function* () {
      const model = RetryBudget.fixedRate({ perSecond: 1, burst: 7 })
      assert.strictEqual(yield* Effect.provide(Plain.balance(), Plain.layerWith(model)), 7)
      assert.strictEqual(yield* Effect.provide(Plain.balance(), Plain.layerWith({ model })), 7)
      assert.strictEqual(yield* Effect.provide(PerUser.balance("a"), PerUser.layerWith({ model })), 7)
    })
  )

  it.effect("leaves alone what it does not name", () =>
    Effect.gen(function* () {
      for (const layer of [PerUser.layerWith({}), PerUser.layerWith({ model: undefined, keys: undefined })]) {
        yield* Effect.gen(function* () {
          const budget = yield* PerUser
          for (const key of ["a", "b", "c", "d"]) yield* call(budget, "success", key)
          assert.deepStrictEqual(
            yield* PerUser.snapshots,
            ["b", "c", "d"].map((key) => ({ key, balance: 2 }))
          )
        }).pipe(Effect.provide(layer))
      }
    })
  )

  it.effect("replaces single options of the keys", () =>
    Effect.gen(function* () {
      const lives = (layer: Layer.Layer<PerUser>) =>
        Effect.gen(function* () {
          const budget = yield* PerUser
          for (const key of ["a", "b", "c", "d"]) yield* call(budget, "success", key)
          const atOnce = (yield* PerUser.snapshots).length
          yield* TestClock.adjust("30 seconds")
          return [atOnce, (yield* PerUser.snapshots).length]
        }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(yield* lives(PerUser.layerWith({ keys: { max: 2 } })), [2, 2])
      assert.deepStrictEqual(yield* lives(PerUser.layerWith({ keys: { idleTimeToLive: "30 seconds" } })), [3, 0])
    })
  )

  it.effect("cannot make a class keyed that is not", () =>
    Effect.gen(function* () {
      // @ts-expect-error no keys for a class without keys
      const layer = Plain.layerWith({ keys: { max: 5 } })
      refused(
        yield* defectOf(Effect.provide(Plain.balance(), layer)),
        "test/Plain: keys",
        { max: 5 },
        'test/Plain: keys must be undefined, because the class is not keyed, but it is {"max":5}'
      )
    })
  )
})

describe("layerConfig", () => {
  const given = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))
  const config = PerUser.layerConfig({
    model: Config.map(
      Config.all({ capacity: Config.Finite("CAPACITY"), retryCost: Config.Finite("COST") }),
      (options) => RetryBudget.tokenBucket(options)
    ),
    keys: { max: Config.Int("KEYS"), idleTimeToLive: Config.Duration("IDLE") }
  })

  it.effect("takes the model and the keys from the configuration", () =>
    Effect.gen(function* () {
      const budget = yield* PerUser
      for (const key of ["a", "b", "c"]) yield* call(budget, "success", key)
      assert.deepStrictEqual(yield* PerUser.snapshots, [
        { key: "b", balance: 15 },
        { key: "c", balance: 15 }
      ])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* PerUser.snapshots, [])
    }).pipe(
      Effect.provide(config.pipe(Layer.provide(given({ CAPACITY: "30", COST: "2", KEYS: "2", IDLE: "2 seconds" }))))
    )
  )

  it.effect("what is not there is as in the class", () =>
    Effect.gen(function* () {
      const layer = Plain.layerConfig({
        model: Config.map(Config.Finite("RATIO"), (ratio) => RetryBudget.ratio({ ratio }))
      })
      const balance = yield* Effect.provide(Plain.balance(), layer.pipe(Layer.provide(given({ RATIO: "0.5" }))))
      assert.strictEqual(balance, 100)
    })
  )

  it.effect("a configuration that is missing is a ConfigError; one that is out of range dies", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(Effect.provide(PerUser.balance("a"), config.pipe(Layer.provide(given({})))))
      assert.strictEqual(missing._tag, "ConfigError")
      const bad = config.pipe(Layer.provide(given({ CAPACITY: "-1", COST: "2", KEYS: "2", IDLE: "2 seconds" })))
      refused(
        yield* defectOf(Effect.provide(PerUser.balance("a"), bad)),
        "RetryBudget.tokenBucket: capacity",
        -1,
        "RetryBudget.tokenBucket: capacity must be a number from 0 to 1000000000, but it is -1"
      )
      const noKeys = config.pipe(Layer.provide(given({ CAPACITY: "1", COST: "2", KEYS: "0", IDLE: "2 seconds" })))
      refused(
        yield* defectOf(Effect.provide(PerUser.balance("a"), noKeys)),
        "test/PerUser: keys.max",
        0,
        "test/PerUser: keys.max must be a whole number of at least 1, but it is 0"
      )
    })
  )
})

describe("task", () => {
  const tasks = Effect.withFiber((fiber) => Effect.succeed(tasksAround(currentFrame(fiber))))
  /** As the engine does: from every task around, all or none. */
  const retry = Effect.map(tasks, (tasks) => {
    const tokens = tasks.map((task) => task.retry())
    if (tokens.every((token) => token !== undefined)) return true
    for (const token of tokens) token?.cancel(0)
    return false
  })
  const retries = (n: number) =>
    Effect.map(
      Effect.forEach(Array.from({ length: n }), () => retry),
      (all) => all.filter((_) => _).length
    )

  it.effect("is one budget for everything under it", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* retries(9).pipe(RetryBudget.task({ maxRetries: 5 })), 5)
      assert.strictEqual(yield* RetryBudget.task(retries(9), { maxRetries: 2 }), 2)
      assert.strictEqual(yield* RetryBudget.task(retries(9), { maxRetries: 0 }), 0)
      const concurrently = Effect.all([retries(4), retries(4)], { concurrency: 2 })
      const [a, b] = yield* RetryBudget.task(concurrently, { maxRetries: 5 })
      assert.strictEqual(a + b, 5)
    })
  )

  it.effect("starts anew each time it runs", () =>
    Effect.gen(function* () {
      const bounded = retries(9).pipe(RetryBudget.task({ maxRetries: 3 }))
      assert.deepStrictEqual([yield* bounded, yield* bounded], [3, 3])
    })
  )

  it.effect("tasks within tasks each have their say", () =>
    Effect.gen(function* () {
      const inner = RetryBudget.task(retries(4), { maxRetries: 3 })
      const seen = yield* RetryBudget.task(Effect.all([inner, inner, inner, retries(1)]), { maxRetries: 5 })
      assert.deepStrictEqual(seen, [3, 2, 0, 0])
      const small = RetryBudget.task(retries(4), { maxRetries: 1 })
      assert.deepStrictEqual(yield* RetryBudget.task(Effect.all([small, retries(9)]), { maxRetries: 5 }), [1, 4])
    })
  )

  it.effect("stands around with its name, the outer before the inner", () =>
    Effect.gen(function* () {
      const seen = yield* tasks.pipe(
        RetryBudget.task({ maxRetries: 1 }),
        RetryBudget.task({ maxRetries: 2, name: "import" })
      )
      assert.deepStrictEqual(
        seen.map((_) => _.name),
        ["import", "RetryBudget.task"]
      )
    })
  )

  it.effect("does not outlive its effect, not even in a fiber that does", () =>
    Effect.gen(function* () {
      const daemon = yield* Effect.sleep("1 second").pipe(
        Effect.andThen(tasks),
        Effect.forkDetach,
        RetryBudget.task({ maxRetries: 1 })
      )
      assert.strictEqual((yield* tasks).length, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(daemon)).length, 0)
    })
  )

  it.effect("does not outlive its effect in a region, or a call, that does", () =>
    Effect.gen(function* () {
      const down = Effect.fail({ isRetryable: true })
      const policy = Policy.make({
        name: "p",
        safety: "idempotent",
        retry: Backoff.constant(1_000).pipe(Backoff.times(2))
      })
      const attempts = Effect.map(Effect.flip(withResilience(down, policy)), (error) =>
        "attempts" in error ? error.attempts : 1
      )
      const daemons = yield* Effect.all([
        Effect.forkDetach(Effect.sleep("1 second").pipe(Effect.andThen(attempts), Deadline.within("10 seconds"))),
        // begins within the task, and asks for its retries after it
        Effect.forkDetach(attempts, { startImmediately: true })
      ]).pipe(RetryBudget.task({ maxRetries: 1 }))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Effect.all(daemons.map(Fiber.join)), [3, 3])
    })
  )

  it.effect("changes neither the result nor the error", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* RetryBudget.task(Effect.succeed(1), { maxRetries: 1 }), 1)
      assert.strictEqual(yield* Effect.flip(RetryBudget.task(Effect.fail("no"), { maxRetries: 1 })), "no")
    })
  )
})
