import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, Exit, Option, Schema } from "effect"
import { AiError, LanguageModel } from "effect/ai"
import { chatModel } from "../../examples/21/model.ts"
import * as Ai from "../../src/ai/index.ts"
import * as Fault from "../../src/Fault.ts"
import * as Policy from "../../src/Policy.ts"
import { withResilience } from "../../src/Policy.ts"
import { errorOf, throughTime } from "../kit.ts"
import { aiError, everyReason, policy, reasonOf, reasonTags } from "./kit.ts"
import * as Provider from "./provider.ts"

const { startProvider, throughSockets } = Provider

const malformations = new Set<string>([
  "InvalidOutputError",
  "StructuredOutputError",
  "ToolNotFoundError",
  "ToolParameterValidationError"
])

describe("revise", () => {
  it.effect("turns what is wrong with an answer into MalformedOutput, and nothing else", () =>
    Effect.gen(function* () {
      for (const tag of reasonTags) {
        const cause = aiError(everyReason[tag])
        const error = yield* Effect.flip(Ai.revise(() => Effect.fail(cause)))
        if (malformations.has(tag)) {
          assert.instanceOf(error, Ai.MalformedOutput)
          assert.strictEqual(error.cause, cause)
          assert.strictEqual(error.reason, cause.reason)
          assert.strictEqual(error.problem, cause.reason.message)
          assert.strictEqual(error.answer, tag === "StructuredOutputError" ? "forty" : undefined)
          assert.strictEqual(error.message, `the model's answer cannot be used: ${cause.reason.message}`)
        } else assert.strictEqual(error, cause)
      }
      assert.strictEqual(yield* Effect.flip(Ai.revise(() => Effect.fail("other"))), "other")
    })
  )

  it.effect("tells what was wrong last, and nothing on the first attempt or outside of a policy", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* Ai.revise((malformed) => Effect.succeed(Option.isNone(malformed))))
      const told: Array<string | undefined> = []
      const fail = (reason: AiError.AiErrorReason) => Effect.fail(aiError(reason))
      const exit = yield* throughTime(
        Ai.revise((malformed) => {
          told.push(Option.getOrUndefined(malformed)?.problem)
          return fail(new AiError.InvalidOutputError({ description: `mistake ${told.length}` }))
        }).pipe(withResilience(policy))
      )
      assert.deepStrictEqual(
        told.map((problem) => problem?.match(/mistake \d/)?.[0]),
        [undefined, "mistake 1", "mistake 2"]
      )
      assert.strictEqual(reasonOf(exit), "RetryExhausted")
    })
  )

  it("is retried, and says that the provider is well", () => {
    const error = new Ai.MalformedOutput({
      reason: everyReason.InvalidOutputError,
      cause: aiError(everyReason.InvalidOutputError)
    })
    for (const faults of [Ai.faults, Fault.auto]) {
      assert.deepInclude(faults.classify(error), { kind: "transient", health: "ok", unprocessed: undefined })
    }
    assert.isFalse(Policy.isUnavailable(error))
  })

  it("types", () => {
    const asked = Ai.revise((malformed) => {
      expectTypeOf(malformed).toEqualTypeOf<Option.Option<Ai.MalformedOutput>>()
      return LanguageModel.generateText({ prompt: "x" })
    })
    expectTypeOf<Effect.Error<typeof asked>>().toEqualTypeOf<AiError.AiError | Ai.MalformedOutput>()
    expectTypeOf<Effect.Services<typeof asked>>().toEqualTypeOf<LanguageModel.LanguageModel>()
  })
})

describe("over sockets", () => {
  const schema = Schema.Struct({ total: Schema.Number })
  const total = (prompt: string) =>
    Effect.map(LanguageModel.generateObject({ prompt, schema }), ({ value }) => value.total)
  const wrong = Provider.says('{"total":"about forty"}')
  const right = Provider.says('{"total":42}')

  it.effect("the same prompt is not sent twice", () =>
    Effect.gen(function* () {
      const provider = yield* startProvider(wrong, right)
      const exit = yield* throughSockets(
        total("the total?").pipe(withResilience(policy), Effect.provide(chatModel("a", provider.url)))
      )
      assert.strictEqual(reasonOf(exit), "StructuredOutputError")
      assert.lengthOf(provider.prompts, 1)
    }).pipe(Effect.scoped, Effect.provide(Provider.client))
  )

  const revised = Ai.revise((malformed) =>
    total(
      Option.match(malformed, {
        onNone: () => "the total?",
        onSome: ({ answer }) => `the total? Not ${answer}`
      })
    )
  ).pipe(withResilience(policy))

  it.effect("a prompt that is revised is, and knows what was wrong although the connection broke in between", () =>
    Effect.gen(function* () {
      const provider = yield* startProvider(wrong, Provider.hangsUp, right)
      const exit = yield* throughSockets(Effect.provide(revised, chatModel("a", provider.url)))
      assert.deepStrictEqual(exit, Exit.succeed(42))
      const second = 'the total? Not {"total":"about forty"}'
      assert.deepStrictEqual(provider.prompts, ["the total?", second, second])
    }).pipe(Effect.scoped, Effect.provide(Provider.client))
  )

  it.effect("that does not get better ends with all of it", () =>
    Effect.gen(function* () {
      const provider = yield* startProvider(wrong)
      const error = errorOf(yield* throughSockets(Effect.provide(revised, chatModel("a", provider.url))))
      assert.instanceOf(error, Policy.RetryExhausted)
      assert.instanceOf(error.lastError, Ai.MalformedOutput)
      assert.lengthOf(provider.prompts, 3)
    }).pipe(Effect.scoped, Effect.provide(Provider.client))
  )
})
