// The verdict on an `AiError`.
import { isAiError } from "effect/ai/AiError"
import type { AiError } from "effect/ai/AiError"
import * as Fault from "../Fault.ts"
import { wallNowMs } from "../internal/time.ts"
import { MalformedOutput } from "./malformedOutput.ts"
import { verdictOf } from "./verdict.ts"

const isKnown = (error: unknown): error is AiError => isAiError(error) && verdictOf(error, wallNowMs()) !== undefined

/**
 * The verdict on an `AiError`, by its reason:
 *
 * | reason | verdict |
 * |---|---|
 * | `RateLimitError` | throttled and unprocessed, with the provider's hint; permanent if the quota is spent (`insufficient_quota`) or the provider says so (`x-should-retry: false`) |
 * | `InternalProviderError` | as the status of its response says, such as 503 and 529 (overloaded); without one, transient |
 * | `NetworkError` | by its cause: connection refused is transient and unprocessed, a connection lost transient, a certificate refused permanent; a bad URL or body permanent |
 * | `QuotaExhaustedError`, `AuthenticationError` | permanent |
 * | `ContentPolicyError`, `InvalidRequestError` | permanent |
 * | `InvalidOutputError`, `StructuredOutputError`, `ToolNotFoundError`, `ToolParameterValidationError` | permanent: see below |
 * | `InvalidResponseError` | permanent, and the provider is not well |
 * | `InvalidUserInputError`, `UnsupportedSchemaError`, `ToolkitRequiredError`, all other reasons about tools | permanent; says nothing of the provider |
 * | `UnknownError` | as the status of its response says; without one, not recognised |
 * | {@link MalformedOutput} | transient; the provider is well |
 *
 * The hint is the error's own `retryAfter` or, where a client has left it out, what `Http.retryAfter` reads from the response's
 * header: `Retry-After`, `retry-after-ms`, the `x-ratelimit-*` and `anthropic-ratelimit-*` fields of a quota that is spent.
 *
 * **Malformed output**
 *
 * Effect's `isRetryable` is true for output that cannot be decoded. Here it is permanent, because the very same prompt mostly
 * buys the very same mistake, and is paid for again. An effect that asks differently each time says so with {@link revise}.
 *
 * **Tools**
 *
 * A call without tools is idempotent: whoever asks twice pays twice, and that is all. But handlers of tools run inside `generateText`, so
 * that a retry may run them again: with tools that change something, a policy is "not-idempotent". Errors of handlers are not recognised, and count as failures of the guards: name them with `Fault.orElse`.
 *
 * ```ts
 * import { Fault } from "effect-resilience"
 * import * as Ai from "effect-resilience/ai"
 *
 * const faults = Fault.orElse(Ai.faults, Fault.tags({ permanent: ["NoSuchCity"] }))
 * ```
 *
 * @since 0.1.0
 * @category classifiers
 */
export const faults = /*#__PURE__*/ Fault.orElse(
  /*#__PURE__*/ Fault.refine(isKnown, (error) => verdictOf(error, wallNowMs())!),
  /*#__PURE__*/ Fault.refine(
    (error): error is MalformedOutput => error instanceof MalformedOutput,
    (error) => error[Fault.verdict]
  )
)
