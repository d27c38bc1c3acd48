// Checked by tsc; vitest runs it too, for what can be seen at run time.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Effect, Layer } from "effect"
import type { Budget } from "../src/internal/budget.ts"
import * as RetryBudget from "../src/RetryBudget.ts"

class Plain extends RetryBudget.Service<Plain>()("test/Plain", RetryBudget.ratio()) {}
class NoOptions extends RetryBudget.Service<NoOptions>()("test/NoOptions", RetryBudget.ratio(), {}) {}
class Keyed extends RetryBudget.Service<Keyed>()("test/Keyed", RetryBudget.ratio(), { keys: { max: 5 } }) {}

declare const keys: RetryBudget.KeysOptions | undefined
const perhaps = () => RetryBudget.Service<Plain>()("test/Perhaps", RetryBudget.ratio(), { keys })

describe("types", () => {
  it("a class is keyed in its type", () => {
    expectTypeOf(Plain.keyed).toEqualTypeOf<false>()
    expectTypeOf(NoOptions.keyed).toEqualTypeOf<false>()
    expectTypeOf(Keyed.keyed).toEqualTypeOf<true>()
    expectTypeOf<ReturnType<typeof perhaps>["keyed"]>().toEqualTypeOf<boolean>()
    assert.deepStrictEqual([Plain.keyed, NoOptions.keyed, Keyed.keyed], [false, false, true])
  })

  it("its id is a literal, as a policy needs it", () => {
    expectTypeOf(Keyed.key).toEqualTypeOf<"test/Keyed">()
    type KeyedId<G> = G extends { readonly keyed: true; readonly key: infer Id extends string } ? Id : never
    expectTypeOf<KeyedId<typeof Keyed>>().toEqualTypeOf<"test/Keyed">()
    expectTypeOf<KeyedId<typeof Plain>>().toEqualTypeOf<never>()
    assert.strictEqual(Keyed.key, "test/Keyed")
  })

  it("reading requires the service, and the key where there is one", () => {
    expectTypeOf(Plain.balance()).toEqualTypeOf<Effect.Effect<number, never, Plain>>()
    expectTypeOf(Plain.balance).parameters.toEqualTypeOf<[key?: string | undefined]>()
    expectTypeOf(Keyed.balance).parameters.toEqualTypeOf<[key: string]>()
    expectTypeOf(Keyed.snapshots).toEqualTypeOf<Effect.Effect<ReadonlyArray<RetryBudget.Snapshot>, never, Keyed>>()
    expectTypeOf<Effect.Success<typeof Plain>>().toEqualTypeOf<RetryBudget.RetryBudget>()
    expectTypeOf<RetryBudget.RetryBudget>().toExtend<Budget>()
    // @ts-expect-error the key is missing
    assert.isTrue(Effect.isEffect(Keyed.balance()))
  })

  it("layers", () => {
    expectTypeOf(Plain.layer).toEqualTypeOf<Layer.Layer<Plain>>()
    expectTypeOf(Keyed.layerWith({ keys: { max: 1 } })).toEqualTypeOf<Layer.Layer<Keyed>>()
    expectTypeOf(Keyed.layerWith(RetryBudget.concurrent())).toEqualTypeOf<Layer.Layer<Keyed>>()
    expectTypeOf(Keyed.layerConfig({ keys: { max: Config.Int("MAX") } })).toEqualTypeOf<
      Layer.Layer<Keyed, Config.ConfigError>
    >()
    expectTypeOf(Plain.layerConfig(Config.succeed({}))).toEqualTypeOf<Layer.Layer<Plain, Config.ConfigError>>()
    // @ts-expect-error Plain has no keys
    assert.isTrue(Layer.isLayer(Plain.layerWith({ keys: { max: 1 } })))
    // @ts-expect-error Plain has no keys
    assert.isTrue(Layer.isLayer(Plain.layerConfig({ keys: { max: Config.Int("MAX") } })))
    // @ts-expect-error misspelt
    assert.isTrue(Layer.isLayer(Keyed.layerWith({ kesy: {} })))
  })

  it("a misspelt option does not compile", () => {
    // @ts-expect-error
    RetryBudget.ratio({ ration: 0.2 })
    // @ts-expect-error
    RetryBudget.tokenBucket({ cost: 1 })
    // @ts-expect-error
    RetryBudget.throttle({ maxTokens: 10, tokenRatio: 0.1, max: 1 })
    // @ts-expect-error
    RetryBudget.concurrent({ minConcurency: 3 })
    // @ts-expect-error
    RetryBudget.fixedRate({ perSecond: 1, burst: 1, perMinute: 60 })
    // @ts-expect-error
    RetryBudget.task({ maxRetries: 1, max: 2 })
    // @ts-expect-error
    class A extends RetryBudget.Service<A>()("test/A", RetryBudget.ratio(), { key: { max: 1 } }) {}
    // @ts-expect-error
    class B extends RetryBudget.Service<B>()("test/B", RetryBudget.ratio(), { keys: { max: 1, idle: "1 second" } }) {}
    assert.deepStrictEqual([A.key, B.key], ["test/A", "test/B"])
  })

  it("what has no default must be given", () => {
    // @ts-expect-error
    assert.throws(() => RetryBudget.throttle({ maxTokens: 10 }), "tokenRatio must be a number from 0.001 to 1000")
    // @ts-expect-error
    assert.throws(() => RetryBudget.fixedRate({ burst: 10 }), "perSecond must be a number from 0 to 1000000")
    // @ts-expect-error
    assert.throws(() => RetryBudget.task({}), "maxRetries must be a whole number of at least 0")
  })

  it("a model is made by a constructor, not by hand", () => {
    // @ts-expect-error
    const model: RetryBudget.Model = { kind: "ratio", make: RetryBudget.ratio().make }
    assert.strictEqual(model.kind, "ratio")
  })

  it("a task keeps the types, in both forms", () => {
    const effect = Effect.succeed(1) as Effect.Effect<number, "e", Plain>
    expectTypeOf(RetryBudget.task(effect, { maxRetries: 1 })).toEqualTypeOf<Effect.Effect<number, "e", Plain>>()
    expectTypeOf(effect.pipe(RetryBudget.task({ maxRetries: 1, name: undefined }))).toEqualTypeOf<
      Effect.Effect<number, "e", Plain>
    >()
    assert.isTrue(Effect.isEffect(RetryBudget.task(effect, { maxRetries: 1 })))
  })
})
