// The classifier over real sockets: a provider that does everything wrong, and how often it is asked.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Data, Duration, Effect, Exit } from "effect"
import type { AiError } from "effect/ai"
import { chatModel } from "../../examples/21/model.ts"
import * as Ai from "../../src/ai/index.ts"
import type { DeadlineExceeded } from "../../src/Deadline.ts"
import * as Fault from "../../src/Fault.ts"
import * as Policy from "../../src/Policy.ts"
import { withResilience } from "../../src/Policy.ts"
import { errorOf } from "../kit.ts"
import { ask, policy, reasonOf } from "./kit.ts"
import * as Provider from "./provider.ts"
import type { Reply } from "./provider.ts"

const { startProvider, throughSockets } = Provider

/** Asks once, of a provider that goes through these replies. */
const asked = (...replies: ReadonlyArray<Reply>) =>
  Effect.gen(function* () {
    const provider = yield* startProvider(...replies)
    const exit = yield* throughSockets(ask.pipe(withResilience(policy), Effect.provide(chatModel("a", provider.url))))
    return { exit, requests: provider.prompts.length }
  }).pipe(Effect.scoped, Effect.provide(Provider.client))

describe("one provider", () => {
  const passing: ReadonlyArray<readonly [what: string, reply: Reply]> = [
    ["throttles", Provider.throttles({ "retry-after": "0" })],
    ["is overloaded (529)", Provider.overloaded],
    ["is down (503)", Provider.refuses(503, {})],
    ["hangs up", Provider.hangsUp],
    ["hangs", Provider.hangs],
    ["breaks off in the middle of a response", Provider.breaksOff]
  ]
  for (const [what, reply] of passing) {
    it.effect(`that ${what} is asked again`, () =>
      Effect.gen(function* () {
        const { exit, requests } = yield* asked(reply, reply, Provider.says("hi"))
        assert.deepStrictEqual([exit, requests], [Exit.succeed("hi"), 3])
        const never = yield* asked(reply)
        assert.deepStrictEqual([reasonOf(never.exit), never.requests], ["RetryExhausted", 3])
      })
    )
  }

  const final: ReadonlyArray<readonly [what: string, reply: Reply, reason: string]> = [
    ["refuses the key", Provider.badKey, "AuthenticationError"],
    ["has seen no money", Provider.noMoney, "RateLimitError"],
    ["does not take the request", Provider.badRequest, "InvalidRequestError"],
    ["filters the answer", Provider.says("", "content_filter"), "ContentPolicyError"],
    ["answers garbage", Provider.garbage, "InvalidResponseError"],
    ["says itself that there is no use", Provider.throttles({ "x-should-retry": "false" }), "RateLimitError"]
  ]
  for (const [what, reply, reason] of final) {
    it.effect(`that ${what} is asked once`, () =>
      Effect.gen(function* () {
        const { exit, requests } = yield* asked(reply)
        assert.deepStrictEqual([reasonOf(exit), requests], [reason, 1])
      })
    )
  }

  it.effect("is waited for as long as it asks, which reasonFromHttpStatus does not tell", () =>
    Effect.gen(function* () {
      const hints: ReadonlyArray<readonly [headers: Record<string, string>, ms: number]> = [
        [{ "retry-after": "2" }, 2000],
        [{ "retry-after-ms": "1500", "retry-after": "2" }, 1500],
        [{ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1s" }, 1000]
      ]
      for (const [headers, ms] of hints) {
        const { exit } = yield* asked(Provider.throttles(headers))
        const error = errorOf(exit)
        assert.instanceOf(error, Policy.RetryExhausted)
        assert.strictEqual(Duration.toMillis(error.retryAfter!), ms)
        for (const { delay } of error.history.slice(0, 2)) {
          assert.isAtLeast(Duration.toMillis(delay!), ms)
          assert.isAtMost(Duration.toMillis(delay!), ms * 1.1)
        }
      }
    })
  )

  it.effect("that asks for an hour is not waited for", () =>
    Effect.gen(function* () {
      const { exit, requests } = yield* asked(Provider.throttles({ "retry-after": "3600" }))
      const error = errorOf(exit)
      assert.instanceOf(error, Policy.RetryExhausted)
      assert.deepStrictEqual([error.reason, requests], ["retry-after", 1])
    })
  )

  it.effect("that is not there has done nothing: safe to ask again, whatever the request does", () =>
    Effect.gen(function* () {
      const url = yield* Provider.noProvider
      const once = Policy.extend(policy, { name: "once", safety: "not-idempotent" })
      const exit = yield* throughSockets(ask.pipe(withResilience(once), Effect.provide(chatModel("a", url))))
      const error = errorOf(exit)
      assert.instanceOf(error, Policy.RetryExhausted)
      assert.deepStrictEqual([error.reason, error.attempts], ["schedule", 3])
    }).pipe(Effect.scoped, Effect.provide(Provider.client))
  )
})

describe("types", () => {
  it("an AiError is either retried or final, which only its reason tells; MalformedOutput is retried", () => {
    class NoSuchCity extends Data.TaggedError("NoSuchCity") {}
    type E = AiError.AiError | Ai.MalformedOutput | NoSuchCity
    const patient = Policy.make({ name: "p", ...Ai.patience, faults: Ai.faults, safety: "idempotent" })
    expectTypeOf<Policy.Error<typeof patient, E>>().toEqualTypeOf<
      | AiError.AiError
      | NoSuchCity
      | Policy.RetryExhausted<AiError.AiError | Ai.MalformedOutput | Policy.AttemptTimeout>
      | DeadlineExceeded
    >()
    const faults = Fault.orElse(Ai.faults, Fault.tags({ permanent: ["NoSuchCity"] }))
    assert.strictEqual(faults.classify(new NoSuchCity())?.kind, "permanent")
  })
})
