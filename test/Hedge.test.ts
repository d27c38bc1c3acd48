// The service; what a policy does with it is in Hedge.engine.test.ts, what it learns in internal/hedge.test.ts.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Duration, Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Hedge from "../src/Hedge.ts"
import { InvalidOption } from "../src/InvalidOption.ts"

class H extends Hedge.Service<H>()("app/H", { minimumSamples: 20, window: "10 seconds" }) {}

/** 19 of 20 ms and one of 300 ms, at a time. */
const feed = (hedge: Hedge.Hedge, now = 0) => {
  for (let i = 0; i < 20; i++) hedge.record(now, i === 0 ? 300 : 20)
}

const fed = Effect.map(H, (hedge) => feed(hedge))

/** In milliseconds: the value, or at most 2 % more. */
const near = (duration: Duration.Duration | undefined, expected: number) => {
  const ms = duration === undefined ? Number.NaN : Duration.toMillis(duration)
  assert.isTrue(ms >= expected * (1 - 1e-6) && ms <= expected * 1.02, `${ms} is not ${expected} or a little more`)
}

describe("the service", () => {
  it.effect("says nothing, learns, and forgets", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* H.snapshot(), { delay: undefined, estimate: undefined, samples: 0 })
      yield* fed
      const { delay, estimate, samples } = yield* H.snapshot()
      assert.strictEqual(samples, 20)
      near(delay, 20)
      near(estimate, 20)
      yield* TestClock.adjust("9999 millis")
      near((yield* H.snapshot()).delay, 20)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* H.snapshot(), { delay: undefined, estimate: undefined, samples: 0 })
    }).pipe(Effect.provide(H.layer))
  )

  it.effect("is what the engine asks and tells", () =>
    Effect.gen(function* () {
      const hedge = yield* H
      assert.deepStrictEqual([hedge.name, hedge.max], ["app/H", 1])
      assert.isUndefined(hedge.delayMs(0))
      feed(hedge)
      near(Duration.millis(hedge.delayMs(0)!), 20)
      // one that lost, and would have taken longer
      hedge.record(0, 100, true)
      near((yield* H.snapshot()).delay, 125)
    }).pipe(Effect.provide(H.layer))
  )

  it.effect("every layer that is built has a state of its own", () =>
    Effect.gen(function* () {
      yield* Effect.provide(fed, H.layer)
      const other = yield* Effect.provide(H.snapshot(), Layer.fresh(H.layer))
      assert.strictEqual(other.samples, 0)
    })
  )

  it.effect("shows the delay between min and cap, the estimate as it is, and initial until it is known", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* H.snapshot(), { delay: Duration.millis(70), estimate: undefined, samples: 0 })
      yield* fed
      const { delay, estimate } = yield* H.snapshot()
      assert.deepStrictEqual(delay, Duration.millis(50))
      near(estimate, 20)
    }).pipe(Effect.provide(H.layerWith({ min: "50 millis", cap: "60 millis", initial: "70 millis" })))
  )

  it.effect("the defaults are those that are said", () =>
    Effect.gen(function* () {
      class Plain extends Hedge.Service<Plain>()("app/Plain") {}
      yield* Effect.gen(function* () {
        const hedge = yield* Plain
        assert.strictEqual(hedge.max, 1)
        for (let i = 0; i < 99; i++) hedge.record(0, 0.2)
        assert.isUndefined(hedge.delayMs(0))
        hedge.record(0, 0.2)
        // the shortest delay
        assert.strictEqual(hedge.delayMs(0), 1)
        for (let i = 0; i < 5; i++) hedge.record(0, 40)
        assert.strictEqual(hedge.delayMs(0), 1)
        hedge.record(0, 40)
        near(Duration.millis(hedge.delayMs(0)!), 40)
        assert.isDefined(hedge.delayMs(59_999))
        assert.isUndefined(hedge.delayMs(60_000))
      }).pipe(Effect.provide(Plain.layer))
    })
  )
})

describe("the options", () => {
  const bad: ReadonlyArray<readonly [option: string, change: Hedge.LayerOptions]> = [
    ["quantile", { quantile: 0 }],
    ["quantile", { quantile: 1 }],
    ["quantile", { quantile: 95 }],
    ["quantile", { quantile: Number.NaN }],
    ["max", { max: 0 }],
    ["max", { max: 11 }],
    ["max", { max: 1.5 }],
    ["minimumSamples", { minimumSamples: 0 }],
    ["window", { window: 0 }],
    ["window", { window: Duration.infinity }],
    ["min", { min: -1 }],
    ["cap", { min: 0, cap: 0 }],
    ["cap", { min: "2 seconds", cap: "1 second" }],
    ["initial", { initial: "soon" as never }]
  ]
  it.effect.each(bad)("%s: %j is refused when the layer is built", ([option, change]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(H.layerWith(change))))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, InvalidOption)
      assert.strictEqual((defect as InvalidOption).option, `app/H: ${option}`)
    })
  )

  const good: ReadonlyArray<Hedge.LayerOptions> = [
    { quantile: 0.5, max: 10, minimumSamples: 1, window: 1, min: 0, cap: 1, initial: 0 },
    { min: "1 second", cap: "1 second" },
    {
      quantile: undefined,
      max: undefined,
      minimumSamples: undefined,
      window: undefined,
      min: undefined,
      cap: undefined,
      initial: undefined
    }
  ]
  it.effect.each(good)("%j is good", (change) => Effect.asVoid(Effect.scoped(Layer.build(H.layerWith(change)))))

  it("defining a class never throws", () => {
    class Wrong extends Hedge.Service<Wrong>()("app/Wrong", { quantile: 7, window: "?" as never }) {}
    assert.strictEqual(Wrong.key, "app/Wrong")
  })

  it.effect("a layer changes single ones; what it leaves out, or undefined, is as in the class", () =>
    Effect.gen(function* () {
      class Own extends Hedge.Service<Own>()("app/Own", { max: 3, minimumSamples: 5, initial: "10 millis" }) {}
      const seen = (layer: Layer.Layer<Own>) =>
        Effect.gen(function* () {
          const hedge = yield* Own
          for (let i = 0; i < 5; i++) hedge.record(0, 40)
          return [hedge.max, Math.round(hedge.delayMs(0)! / 10)]
        }).pipe(Effect.provide(layer))
      assert.deepStrictEqual(yield* seen(Own.layer), [3, 4])
      assert.deepStrictEqual(yield* seen(Own.layerWith({ max: 2, minimumSamples: undefined })), [2, 4])
      assert.deepStrictEqual(yield* seen(Own.layerWith({ minimumSamples: 6 })), [3, 1])
    })
  )

  it.effect("options from the configuration", () =>
    Effect.gen(function* () {
      const layer = H.layerConfig({ max: Config.Int("HEDGES"), initial: Config.Duration("HEDGE_AFTER") })
      const config = (values: Record<string, string>) =>
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(values))
      yield* Effect.gen(function* () {
        assert.strictEqual((yield* H).max, 4)
        assert.deepStrictEqual((yield* H.snapshot()).delay, Duration.millis(80))
      }).pipe(Effect.provide(layer), config({ HEDGES: "4", HEDGE_AFTER: "80 millis" }))
      const exit = yield* Effect.exit(
        Effect.scoped(Layer.build(layer)).pipe(config({ HEDGES: "x", HEDGE_AFTER: "80 millis" }))
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Config.ConfigError)
      const wrong = yield* Effect.exit(
        Effect.scoped(Layer.build(layer)).pipe(config({ HEDGES: "11", HEDGE_AFTER: "80 millis" }))
      )
      assert.isTrue(Exit.isFailure(wrong) && Cause.squash(wrong.cause) instanceof InvalidOption)
    })
  )
})
