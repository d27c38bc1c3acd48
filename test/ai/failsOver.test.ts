import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, ExecutionPlan, Exit } from "effect"
import { AiError, Model } from "effect/ai"
import { HttpClientError, HttpClientRequest } from "effect/http"
import { chatModel } from "../../examples/21/model.ts"
import * as Ai from "../../src/ai/index.ts"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import { DeadlineExceeded } from "../../src/Deadline.ts"
import * as Policy from "../../src/Policy.ts"
import { withResilience } from "../../src/Policy.ts"
import * as RetryBudget from "../../src/RetryBudget.ts"
import { errorOf } from "../kit.ts"
import { aiError, ask, everyReason, policy, reasonOf, reasonTags } from "./kit.ts"
import * as Provider from "./provider.ts"
import type { Reply } from "./provider.ts"

const { startProvider, throughSockets } = Provider

describe("failsOver", () => {
  it("of an AiError: where another provider may do better", () => {
    assert.deepStrictEqual(
      reasonTags.filter((tag) => Ai.failsOver(aiError(everyReason[tag]))),
      [
        "RateLimitError",
        "QuotaExhaustedError",
        "AuthenticationError",
        "InvalidResponseError",
        "InternalProviderError",
        "NetworkError"
      ]
    )
    const spent = { response: { status: 429, headers: {} }, body: '{"error":{"code":"insufficient_quota"}}' }
    assert.isTrue(Ai.failsOver(aiError(new AiError.RateLimitError({ http: spent }))))
  })

  it("that a provider asks not to be asked again says nothing of another one", () => {
    const final = (status: number) => ({
      http: { response: { status, headers: { "x-should-retry": "false", "retry-after": "3600" } } }
    })
    for (const reason of [
      new AiError.RateLimitError(final(429)),
      new AiError.InternalProviderError({ description: "overloaded", ...final(503) }),
      new AiError.InternalProviderError({ description: "not here", ...final(501) }),
      new AiError.UnknownError(final(408)),
      new AiError.UnknownError(final(429))
    ]) {
      assert.strictEqual(Ai.faults.classify(aiError(reason))?.kind, "permanent")
      assert.isTrue(Ai.failsOver(aiError(reason)))
    }
    assert.isFalse(Ai.failsOver(aiError(new AiError.UnknownError(final(404)))))
  })

  it("of a NetworkError: whatever has happened on the way to the provider, but not what the request is to blame for", () => {
    const network = (reason: AiError.NetworkError["reason"], code: string) => {
      const request = HttpClientRequest.post("http://a")
      const cause = new HttpClientError.TransportError({ request, cause: Object.assign(new Error(code), { code }) })
      return aiError(
        new AiError.NetworkError({
          reason,
          method: "POST",
          url: "http://a",
          cause: new HttpClientError.HttpClientError({ reason: cause })
        })
      )
    }
    for (const code of ["ECONNREFUSED", "ECONNRESET", "CERT_HAS_EXPIRED"]) {
      assert.isTrue(Ai.failsOver(network("TransportError", code)), code)
    }
    assert.isFalse(Ai.failsOver(network("TransportError", "ERR_INVALID_CHAR")))
    assert.isFalse(Ai.failsOver(network("EncodeError", "")))
    assert.isFalse(Ai.failsOver(network("InvalidUrlError", "")))
  })

  const exhausted = (reason: Policy.Reason) =>
    new Policy.RetryExhausted({
      policy: "p",
      reason,
      attempts: 1,
      elapsed: Duration.zero,
      lastError: "x",
      history: [],
      cause: Cause.fail("x")
    })

  it("of this library's errors: unless the request may have been acted upon, or the process shuts down", () => {
    const reasons = ["schedule", "deadline", "budget", "rejected", "unsafe", "retry-after", "draining"] as const
    assert.deepStrictEqual(
      reasons.filter((reason) => !Ai.failsOver(exhausted(reason))),
      ["unsafe", "draining"]
    )
    assert.isTrue(Ai.failsOver(new DeadlineExceeded({ name: "p", after: Duration.zero })))
    assert.isTrue(Ai.failsOver(new Policy.AttemptTimeout({ policy: "p", attempt: 1, after: Duration.zero })))
  })

  it("of anything else: no", () => {
    class NotFound extends Data.TaggedError("NotFound") {}
    const malformed = new Ai.MalformedOutput({
      reason: everyReason.InvalidOutputError,
      cause: aiError(everyReason.InvalidOutputError)
    })
    for (const error of [new NotFound(), malformed, "x", undefined, null]) assert.isFalse(Ai.failsOver(error))
  })
})

class Providers extends CircuitBreaker.Service<Providers>()("test/Providers", {
  trip: CircuitBreaker.consecutiveFailures(3),
  openFor: "1 hour",
  keys: { max: 10 }
}) {}

class PerUser extends RetryBudget.Service<PerUser>()(
  "test/PerUser",
  RetryBudget.fixedRate({ perSecond: 0.001, burst: 3 }),
  { keys: { max: 10 } }
) {}

const budgeted = Policy.extend(policy, { name: "budgeted", guards: [Providers], budget: PerUser })

describe("over sockets, in an ExecutionPlan", () => {
  const planned = (urls: ReadonlyArray<string>) =>
    ExecutionPlan.make(
      { provide: chatModel("a", urls[0]!) },
      { provide: chatModel("b", urls[1]!), while: Ai.failsOver },
      { provide: chatModel("c", urls[2]!), while: Ai.failsOver }
    )

  const complete = (user: string, urls: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const provider = yield* Model.ProviderName
      const text = yield* ask.pipe(
        withResilience(budgeted, { key: { "test/Providers": provider, "test/PerUser": user } })
      )
      return `${provider}: ${text}`
    }).pipe(Effect.withExecutionPlan(planned(urls)))

  /** What becomes of one call after the other, and how many requests each provider got. */
  const calls = Effect.fnUntraced(
    function* (users: ReadonlyArray<string>, replies: ReadonlyArray<ReadonlyArray<Reply>>) {
      const providers = yield* Effect.forEach(replies, (each) => startProvider(...each))
      const urls = providers.map(({ url }) => url)
      const results: Array<string> = []
      const requests: Array<ReadonlyArray<number>> = []
      for (const user of users) {
        const before = providers.map(({ prompts }) => prompts.length)
        const exit = yield* throughSockets(complete(user, urls))
        results.push(Exit.isSuccess(exit) ? exit.value : reasonOf(exit))
        requests.push(providers.map(({ prompts }, i) => prompts.length - before[i]!))
      }
      return { results, requests, circuits: yield* Effect.forEach(["a", "b", "c"], (key) => Providers.state(key)) }
    },
    Effect.scoped,
    Effect.provide([Provider.client, Providers.layer, PerUser.layer])
  )

  it.effect("exhausted retries move on; then the open circuit does, without a request", () =>
    Effect.gen(function* () {
      const { circuits, requests, results } = yield* calls(
        ["ada", "ada"],
        [[Provider.overloaded], [Provider.says("hi")], [Provider.says("ho")]]
      )
      assert.deepStrictEqual(results, ["b: hi", "b: hi"])
      assert.deepStrictEqual(requests, [
        [3, 1, 0],
        [0, 1, 0]
      ])
      assert.deepStrictEqual(circuits, ["open", "closed", "closed"])
    })
  )

  it.effect("to the last provider, whose failure is what comes out", () =>
    Effect.gen(function* () {
      const { requests, results } = yield* calls(
        ["ada", "bob", "ada"],
        [[Provider.overloaded], [Provider.overloaded], [Provider.badRequest, Provider.says("ho")]]
      )
      assert.deepStrictEqual(results, ["InvalidRequestError", "c: ho", "c: ho"])
      // of ada's three retries the first provider took two
      assert.deepStrictEqual(requests, [
        [3, 2, 1],
        [0, 1, 1],
        [0, 0, 1]
      ])
    })
  )

  it.effect("a provider without money, or that does not know the key, is passed by; its circuit stays closed", () =>
    Effect.gen(function* () {
      const { circuits, requests, results } = yield* calls(
        ["ada"],
        [[Provider.noMoney], [Provider.badKey], [Provider.says("ho")]]
      )
      assert.deepStrictEqual([results, requests], [["c: ho"], [[1, 1, 1]]])
      assert.deepStrictEqual(circuits, ["closed", "closed", "closed"])
    })
  )

  it.effect("what answers garbage is passed by, and its circuit opens", () =>
    Effect.gen(function* () {
      const { circuits, requests } = yield* calls(
        ["ada", "ada", "ada", "ada"],
        [[Provider.garbage], [Provider.says("hi")], [Provider.says("ho")]]
      )
      assert.deepStrictEqual(
        requests.map(([a]) => a),
        [1, 1, 1, 0]
      )
      assert.deepStrictEqual(circuits, ["open", "closed", "closed"])
    })
  )

  it.effect("a provider that asks not to be asked again is asked once, and the next one is", () =>
    Effect.gen(function* () {
      const done = { "x-should-retry": "false", "retry-after": "3600" }
      const { requests, results } = yield* calls(
        ["ada"],
        [[Provider.throttles(done)], [Provider.refuses(503, {}, done)], [Provider.says("ho")]]
      )
      assert.deepStrictEqual([results, requests], [["c: ho"], [[1, 1, 1]]])
    })
  )

  const final: ReadonlyArray<readonly [what: string, reply: Reply, reason: string]> = [
    ["a bad request", Provider.badRequest, "InvalidRequestError"],
    ["a refusal for content", Provider.says("", "content_filter"), "ContentPolicyError"]
  ]
  for (const [what, reply, reason] of final) {
    it.effect(`${what} is not taken to another provider, nor to the one after that`, () =>
      Effect.gen(function* () {
        const { requests, results } = yield* calls(["ada"], [[reply], [Provider.says("hi")], [Provider.says("ho")]])
        assert.deepStrictEqual([results, requests], [[reason], [[1, 0, 0]]])
      })
    )
  }

  it.effect("a user has a budget of her own, a task has one for all", () =>
    Effect.gen(function* () {
      const flaky = [Provider.hangsUp, Provider.hangsUp, Provider.says("hi")]
      const provider = yield* startProvider(...flaky, ...flaky, ...flaky)
      const call = (user: string) =>
        ask.pipe(
          withResilience(budgeted, { key: { "test/Providers": "a", "test/PerUser": user } }),
          Effect.provide(chatModel("a", provider.url))
        )
      assert.deepStrictEqual(yield* throughSockets(call("ada")), Exit.succeed("hi"))
      const denied = errorOf(yield* throughSockets(call("ada")))
      assert.instanceOf(denied, Policy.RetryExhausted)
      assert.deepStrictEqual([denied.attempts, denied.deniedBy], [2, "test/PerUser"])
      assert.deepStrictEqual(yield* throughSockets(call("bob")), Exit.succeed("hi"))
      const task = errorOf(
        yield* throughSockets(call("carl").pipe(RetryBudget.task({ maxRetries: 1, name: "nightly" })))
      )
      assert.instanceOf(task, Policy.RetryExhausted)
      assert.deepStrictEqual([task.attempts, task.deniedBy], [2, "nightly"])
    }).pipe(Effect.scoped, Effect.provide([Provider.client, Providers.layer, PerUser.layer]))
  )
})
