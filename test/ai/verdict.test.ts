import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Redacted } from "effect"
import { AiError } from "effect/ai"
import { HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Ai from "../../src/ai/index.ts"
import { verdictOf } from "../../src/ai/verdict.ts"
import * as Fault from "../../src/Fault.ts"
import { said } from "../http/kit.ts"
import { aiError, everyReason, reasonTags } from "./kit.ts"

const now = Date.UTC(2026, 6, 1, 12)

const verdictOn = (reason: AiError.AiErrorReason) => said(verdictOf(aiError(reason), now))

const http = (status: number, headers: Record<string, string | Redacted.Redacted> = {}, body?: string) => ({
  http: { response: { status, headers }, ...(body === undefined ? undefined : { body }) }
})

const permanent = { kind: "permanent" }
const client = { kind: "permanent", health: "ignored" }
const throttled = { kind: "throttled", unprocessed: true }
const transient = { kind: "transient" }

describe("verdictOf", () => {
  it("knows every reason there is", () => {
    assert.deepStrictEqual(Object.fromEntries(reasonTags.map((tag) => [tag, verdictOn(everyReason[tag])])), {
      RateLimitError: throttled,
      QuotaExhaustedError: permanent,
      AuthenticationError: permanent,
      ContentPolicyError: permanent,
      InvalidRequestError: permanent,
      InvalidResponseError: { kind: "permanent", health: "failed" },
      InternalProviderError: transient,
      NetworkError: transient,
      InvalidOutputError: permanent,
      StructuredOutputError: permanent,
      UnsupportedSchemaError: client,
      UnknownError: undefined,
      ToolNotFoundError: permanent,
      ToolParameterValidationError: permanent,
      InvalidToolResultError: client,
      ToolResultEncodingError: client,
      ToolConfigurationError: client,
      ToolkitRequiredError: client,
      InvalidUserInputError: client
    })
  })

  it("an error's own verdict comes first", () => {
    const error = Object.assign(aiError(everyReason.RateLimitError), { [Fault.verdict]: Fault.permanent() })
    assert.strictEqual(verdictOf(error, now), Fault.permanent())
  })

  describe("rate limits", () => {
    const hinted = (ms: number) => ({ ...throttled, retryAfter: Duration.millis(ms) })
    const rateLimit = (options: ConstructorParameters<typeof AiError.RateLimitError>[0]) =>
      verdictOn(new AiError.RateLimitError(options))

    it("the hint is the error's own, or what the header says", () => {
      const headers = http(429, { "Retry-After": "7" })
      assert.deepStrictEqual(rateLimit({ retryAfter: Duration.seconds(3) }), hinted(3000))
      assert.deepStrictEqual(rateLimit({ retryAfter: Duration.seconds(3), ...headers }), hinted(3000))
      assert.deepStrictEqual(rateLimit(headers), hinted(7000))
      assert.deepStrictEqual(rateLimit(http(429, { "retry-after": "Wed, 01 Jul 2026 12:00:09 GMT" })), hinted(9000))
      assert.deepStrictEqual(
        rateLimit(
          http(429, {
            "anthropic-ratelimit-tokens-remaining": "0",
            "anthropic-ratelimit-tokens-reset": "2026-07-01T12:00:05Z"
          })
        ),
        hinted(5000)
      )
      assert.deepStrictEqual(rateLimit(http(429, { "retry-after": Redacted.make("7") })), throttled)
    })

    it("a quota that is spent does not come back by waiting", () => {
      const body = (error: object) => http(429, { "retry-after": "1" }, JSON.stringify({ error }, undefined, 1))
      assert.deepStrictEqual(rateLimit(body({ type: "insufficient_quota", code: null })), permanent)
      assert.deepStrictEqual(rateLimit(body({ code: "insufficient_quota" })), permanent)
      assert.deepStrictEqual(rateLimit({ metadata: { openai: { errorCode: "insufficient_quota" } } }), permanent)
      assert.deepStrictEqual(rateLimit({ metadata: { a: null, b: { errorType: "insufficient_quota" } } }), permanent)
      // said of something else
      assert.deepStrictEqual(rateLimit(http(429, {}, '{"message":"not insufficient_quota"}')), throttled)
      assert.deepStrictEqual(rateLimit({ metadata: { openai: { errorCode: "rate_limit_exceeded" } } }), throttled)
    })

    it("the provider's own word counts", () => {
      assert.deepStrictEqual(rateLimit(http(429, { "x-should-retry": "false", "retry-after": "3" })), {
        ...permanent,
        unprocessed: true,
        health: "ignored"
      })
      assert.deepStrictEqual(rateLimit(http(429, { "x-should-retry": "true" })), throttled)
    })
  })

  it("an internal error is what its response says, if there is one", () => {
    const internal = (status: number, headers?: Record<string, string>) =>
      verdictOn(new AiError.InternalProviderError({ description: "x", ...http(status, headers) }))
    assert.deepStrictEqual(internal(500), transient)
    assert.deepStrictEqual(internal(529), transient)
    assert.deepStrictEqual(internal(529, { "retry-after": "3" }), { ...transient, retryAfter: Duration.seconds(3) })
    assert.deepStrictEqual(internal(503, { "retry-after": "3" }), {
      kind: "throttled",
      retryAfter: Duration.seconds(3)
    })
    assert.deepStrictEqual(internal(501), permanent)
    assert.deepStrictEqual(internal(500, { "x-should-retry": "false" }), { ...permanent, health: "failed" })
    // an error event in a stream that had begun well
    assert.deepStrictEqual(internal(200), transient)
    assert.deepStrictEqual(verdictOn(new AiError.InternalProviderError({ description: "x", http: {} })), transient)
  })

  it("a hint counts whatever the reason, where there is a response to give it", () => {
    const headers = { "retry-after-ms": "2500", "retry-after": "3" }
    const hint = { retryAfter: Duration.millis(2500) }
    for (const status of [500, 529]) {
      const reason = new AiError.InternalProviderError({ description: "x", ...http(status, headers) })
      assert.deepStrictEqual(verdictOn(reason), { ...transient, ...hint })
    }
    assert.deepStrictEqual(verdictOn(new AiError.UnknownError(http(408, headers))), { ...transient, ...hint })
    const request = HttpClientRequest.post("http://a")
    const response = HttpClientResponse.fromWeb(request, new Response(null, { status: 503, headers }))
    const cause = new HttpClientError.HttpClientError({
      reason: new HttpClientError.StatusCodeError({ request, response })
    })
    const network = new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "http://a", cause })
    assert.deepStrictEqual(verdictOn(network), { kind: "throttled", ...hint })
  })

  it("an unknown error is what its response says, else it is not recognised", () => {
    const unknown = (status: number) => verdictOn(new AiError.UnknownError(http(status)))
    assert.deepStrictEqual(unknown(408), transient)
    assert.deepStrictEqual(unknown(404), permanent)
    assert.strictEqual(unknown(200), undefined)
  })

  it("a network error is what its cause says", () => {
    const network = (reason: AiError.NetworkError["reason"], cause?: unknown) =>
      verdictOn(new AiError.NetworkError({ reason, method: "POST", url: "http://a", cause }))
    const transport = (code: string) => {
      const request = HttpClientRequest.post("http://a")
      const cause = Object.assign(new Error(code), { code })
      return new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
    }
    assert.deepStrictEqual(network("TransportError", transport("ECONNREFUSED")), { ...transient, unprocessed: true })
    assert.deepStrictEqual(network("TransportError", transport("ECONNRESET")), transient)
    assert.deepStrictEqual(network("TransportError", transport("CERT_HAS_EXPIRED")), {
      ...permanent,
      health: "failed"
    })
    assert.deepStrictEqual(network("TransportError", new Error("ECONNREFUSED")), transient)
    assert.deepStrictEqual(network("TransportError"), transient)
    // of a vendor's own client, which wraps what fetch has thrown
    const wrapped = (code: string) =>
      new Error("Connection error.", {
        cause: Object.assign(new TypeError("fetch failed"), { cause: Object.assign(new Error(code), { code }) })
      })
    assert.deepStrictEqual(network("TransportError", wrapped("ECONNREFUSED")), { ...transient, unprocessed: true })
    assert.deepStrictEqual(network("TransportError", wrapped("UND_ERR_SOCKET")), transient)
    assert.deepStrictEqual(network("TransportError", wrapped("CERT_HAS_EXPIRED")), { ...permanent, health: "failed" })
    assert.deepStrictEqual(network("EncodeError"), client)
    assert.deepStrictEqual(network("InvalidUrlError"), client)
  })
})

describe("faults", () => {
  it("knows no other errors", () => {
    for (const error of [new Error("x"), { _tag: "AiError" }, "x", undefined]) {
      assert.strictEqual(Ai.faults.classify(error), undefined)
    }
    assert.strictEqual(Ai.faults.classify(aiError(everyReason.UnknownError)), undefined)
  })

  it.effect("a date is told by the Clock in force", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const error = aiError(new AiError.RateLimitError(http(429, { "retry-after": "Wed, 01 Jul 2026 12:00:09 GMT" })))
      assert.strictEqual(yield* Clock.currentTimeMillis, now)
      assert.deepStrictEqual(said(Ai.faults.classify(error)), { ...throttled, retryAfter: Duration.seconds(9) })
    })
  )
})
