// Whether another provider may do better.
import { isAiError } from "effect/ai/AiError"
import type { AiError } from "effect/ai/AiError"
import { RetryExhausted } from "../internal/errors.ts"
import { isUnavailable } from "../internal/unavailable.ts"
import { wallNowMs } from "../internal/time.ts"
import { isQuotaSpent, verdictOf } from "./verdict.ts"

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
 * - Yes: this library's errors, so an open circuit, exhausted retries, a deadline that has passed; and an `AiError` that is
 *   transient or throttled, or that this one provider's account or answers are to blame for (`QuotaExhaustedError`,
 *   `AuthenticationError`, `InvalidResponseError`).
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
    case "QuotaExhaustedError":
    case "AuthenticationError":
    case "InvalidResponseError":
      return true
    case "RateLimitError":
      if (isQuotaSpent(reason)) return true
  }
  const kind = verdictOf(error, wallNowMs())?.kind
  return kind === "transient" || kind === "throttled"
}
