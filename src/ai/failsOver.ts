// Whether another provider may do better.
import { isAiError } from "effect/ai/AiError"
import type { AiError } from "effect/ai/AiError"
import { empty } from "effect/http/Headers"
import { responseVerdict } from "../http/status.ts"
import type { Verdict } from "../Fault.ts"
import { RetryExhausted } from "../internal/errors.ts"
import { isUnavailable } from "../internal/unavailable.ts"
import { wallNowMs } from "../internal/time.ts"
import { verdictOf } from "./verdict.ts"

/**
 * Whether another provider may do better, as the `while` of every step of an `ExecutionPlan` but the first:
 *
 * ```ts
 * import { ExecutionPlan, Layer } from "effect"
 * import type { LanguageModel } from "effect/ai"
 * import * as Ai from "effect-resilience/ai"
 *
 * declare const openai: Layer.Layer<LanguageModel.LanguageModel>
 * declare const anthropic: Layer.Layer<LanguageModel.LanguageModel>
 *
 * const plan = ExecutionPlan.make({ provide: openai }, { provide: anthropic, while: Ai.failsOver })
 * ```
 *
 * - Yes: this library's errors, so an open circuit, exhausted retries, a deadline that has passed; and an `AiError` that this one provider is
 *   to blame for: its limits, its account, its answers, its failure (`RateLimitError`, `QuotaExhaustedError`, `AuthenticationError`,
 *   `InvalidResponseError`, `InternalProviderError`), a `NetworkError` on the way to it, also where its certificate is refused, and an
 *   `UnknownError` with a status that passes, such as 408. That it asks not to be asked again (`x-should-retry: false`) says nothing of another.
 * - No: `RetryExhausted` with reason "unsafe" (the request may have been acted upon) or "draining" (this process shuts down); any other
 *   `AiError`, because a bad request is bad everywhere, and a refusal for content is an answer; and everything else.
 *
 * Without a `while`, a plan goes on after any failure. With a `schedule`, a step waits before its first attempt.
 *
 * @since 0.1.0
 * @category fail-over
 */
export const failsOver = (error: unknown): boolean => {
  if (error instanceof RetryExhausted) return error.reason !== "unsafe" && error.reason !== "draining"
  return isUnavailable(error) || (isAiError(error) && isOfThisProvider(error))
}

const isOfThisProvider = (error: AiError): boolean => {
  const { reason } = error
  switch (reason._tag) {
    case "RateLimitError":
    case "QuotaExhaustedError":
    case "AuthenticationError":
    case "InvalidResponseError":
    case "InternalProviderError":
      return true
    case "UnknownError": {
      const status = reason.http?.response?.status
      // by the status alone: what its header says of a retry, it says of itself
      return status !== undefined && passes(responseVerdict({ status, headers: empty }, 0))
    }
  }
  const verdict = verdictOf(error, wallNowMs())
  // a certificate that is refused does not pass, but it is the provider's
  return passes(verdict) || verdict?.health === "failed"
}

const passes = (verdict: Verdict | undefined): boolean => verdict !== undefined && verdict.kind !== "permanent"
