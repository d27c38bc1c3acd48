import { assert, describe, it } from "@effect/vitest"
import { AiError, Response } from "effect/ai"
import * as Ai from "../../src/ai/index.ts"
import { errorOf } from "../../src/ai/errorPart.ts"
import { aiError, everyReason } from "./kit.ts"

const of = (error: unknown, metadata?: Response.ProviderMetadata) =>
  errorOf(Response.makePart("error", { error, ...(metadata === undefined ? undefined : { metadata }) }))

type Tag = AiError.AiErrorReason["_tag"]

describe("errorOf", () => {
  const table: ReadonlyArray<readonly [vendor: string, error: unknown, tag: Tag, kind: string | undefined]> = [
    // https://docs.claude.com/en/api/errors: the `error` of an event
    ["Anthropic", { type: "overloaded_error", message: "Overloaded" }, "InternalProviderError", "transient"],
    ["Anthropic", { type: "api_error", message: "Internal server error" }, "InternalProviderError", "transient"],
    ["Anthropic", { type: "timeout_error", message: "Request timeout" }, "InternalProviderError", "transient"],
    ["Anthropic", { type: "rate_limit_error", message: "Rate limited" }, "RateLimitError", "throttled"],
    ["Anthropic", { type: "billing_error", message: "Billing error" }, "QuotaExhaustedError", "permanent"],
    ["Anthropic", { type: "authentication_error", message: "x" }, "AuthenticationError", "permanent"],
    ["Anthropic", { type: "permission_error", message: "x" }, "AuthenticationError", "permanent"],
    ["Anthropic", { type: "invalid_request_error", message: "x" }, "InvalidRequestError", "permanent"],
    ["Anthropic", { type: "not_found_error", message: "x" }, "InvalidRequestError", "permanent"],
    ["Anthropic", { type: "request_too_large", message: "x" }, "InvalidRequestError", "permanent"],
    // the whole event
    [
      "Anthropic",
      { type: "error", error: { type: "overloaded_error", message: "Overloaded" }, request_id: "r" },
      "InternalProviderError",
      "transient"
    ],
    // OpenAI's Responses: the event `error`, and the `error` of a response that has failed
    [
      "OpenAI",
      { type: "error", code: "server_is_overloaded", message: "x", param: null },
      "InternalProviderError",
      "transient"
    ],
    ["OpenAI", { type: "error", code: null, message: "x", param: null }, "InternalProviderError", "transient"],
    [
      "OpenAI",
      { type: "error", code: "rate_limit_exceeded", message: "x", param: null },
      "RateLimitError",
      "throttled"
    ],
    ["OpenAI", { code: "server_error", message: "x" }, "InternalProviderError", "transient"],
    ["OpenAI", { code: "vector_store_timeout", message: "x" }, "InternalProviderError", "transient"],
    ["OpenAI", { code: "invalid_prompt", message: "x" }, "InvalidRequestError", "permanent"],
    ["OpenAI", { code: "image_too_large", message: "x" }, "InvalidRequestError", "permanent"],
    ["OpenAI", { code: "image_content_policy_violation", message: "x" }, "ContentPolicyError", "permanent"],
    // OpenAI's chat completions, where `code` says more than `type`
    ["OpenAI", { type: "server_error", message: "x" }, "InternalProviderError", "transient"],
    ["OpenAI", { type: "requests", code: "rate_limit_exceeded", message: "x" }, "RateLimitError", "throttled"],
    ["OpenAI", { type: "tokens", code: null, message: "x" }, "RateLimitError", "throttled"],
    ["OpenAI", { type: "insufficient_quota", code: "insufficient_quota" }, "QuotaExhaustedError", "permanent"],
    ["OpenAI", { type: "invalid_request_error", code: "invalid_api_key" }, "AuthenticationError", "permanent"],
    ["OpenAI", { type: "invalid_request_error", code: "content_policy_violation" }, "ContentPolicyError", "permanent"],
    ["OpenAI", { type: "invalid_request_error", code: "context_length_exceeded" }, "InvalidRequestError", "permanent"],
    ["OpenAI", { type: "service_unavailable_error", code: "new_word" }, "InternalProviderError", "transient"],
    // https://openrouter.ai/docs/errors
    ["OpenRouter", { code: 400, message: "x" }, "InvalidRequestError", "permanent"],
    ["OpenRouter", { code: 401, message: "x" }, "AuthenticationError", "permanent"],
    ["OpenRouter", { code: 402, message: "x" }, "QuotaExhaustedError", "permanent"],
    ["OpenRouter", { code: 403, message: "x" }, "AuthenticationError", "permanent"],
    ["OpenRouter", { code: 408, message: "x" }, "InternalProviderError", "transient"],
    ["OpenRouter", { code: 429, message: "x" }, "RateLimitError", "throttled"],
    ["OpenRouter", { code: 502, message: "x" }, "InternalProviderError", "transient"],
    // google.rpc.Code
    ["Google", { code: 429, status: "RESOURCE_EXHAUSTED", message: "x" }, "RateLimitError", "throttled"],
    ["Google", { code: 503, status: "UNAVAILABLE", message: "x" }, "InternalProviderError", "transient"],
    ["Google", { code: 400, status: "INVALID_ARGUMENT", message: "x" }, "InvalidRequestError", "permanent"],
    ["Google", { code: 403, status: "PERMISSION_DENIED", message: "x" }, "AuthenticationError", "permanent"],
    ["Google", { code: "quota_exceeded", message: "x" }, "QuotaExhaustedError", "permanent"],
    ["Bedrock", { originalStatusCode: 400, message: "x" }, "InvalidRequestError", "permanent"],
    ["Bedrock", { message: "x" }, "InternalProviderError", "transient"],
    // a client's own error
    ["a client", Object.assign(new Error("x"), { status: 429 }), "RateLimitError", "throttled"],
    ["a client", new Error("x"), "InternalProviderError", "transient"],
    ["a client", aiError(everyReason.QuotaExhaustedError), "QuotaExhaustedError", "permanent"],
    ["a client", everyReason.InvalidRequestError, "InvalidRequestError", "permanent"],
    ["a client", aiError(everyReason.UnknownError), "UnknownError", undefined],
    ["nobody knows", { code: "new_word", message: "x" }, "InternalProviderError", "transient"],
    ["nobody knows", { code: 200, type: "constructor" }, "InternalProviderError", "transient"],
    ["nobody knows", "overloaded", "InternalProviderError", "transient"],
    ["nobody knows", null, "InternalProviderError", "transient"],
    ["nobody knows", undefined, "InternalProviderError", "transient"]
  ]
  for (const [vendor, error, tag, kind] of table) {
    it(`${vendor}: ${error instanceof Error ? String(error) : JSON.stringify(error)}: ${tag}`, () => {
      const given = of(error)
      assert.strictEqual(given.reason._tag, tag)
      assert.strictEqual(Ai.faults.classify(given)?.kind, kind)
    })
  }

  it("keeps what the provider has said", () => {
    const error = { type: "overloaded_error", message: "Overloaded" }
    const given = of(error, { anthropic: { requestId: "r" } })
    assert.deepInclude(given.reason, {
      description: "Overloaded",
      metadata: { anthropic: { requestId: "r" } },
      http: { body: JSON.stringify(error) }
    })
    assert.match(given.message, /^LanguageModel\.streamText: .*Overloaded$/)
    // of this reason there is no description
    assert.deepInclude(of({ code: "rate_limit_exceeded", message: "wait" }).reason, {
      http: { body: '{"code":"rate_limit_exceeded","message":"wait"}' }
    })
    assert.include(of("something broke").message, "something broke")
    assert.include(of({}).message, "no more than that there was an error")
    assert.include(of({ message: "" }).message, "no more than that there was an error")
  })

  it("tells a key that is wrong from one that may not", () => {
    assert.deepInclude(of({ type: "authentication_error" }).reason, { kind: "InvalidKey" })
    assert.deepInclude(of({ type: "permission_error" }).reason, { kind: "InsufficientPermissions" })
  })

  it("an AiError stays the one that it is", () => {
    const error = aiError(everyReason.RateLimitError)
    assert.strictEqual(of(error), error)
  })
})
