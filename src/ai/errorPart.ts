// What a provider says in the middle of a stream that has gone wrong, in Effect's words. A response that has begun with a 200 has no other
// status to say it with: so there is an event for it, and Effect's providers make a part of that and leave it as it is.
import * as AiError from "effect/ai/AiError"
import type { ErrorPart } from "effect/ai/Response"
import { formatJson } from "effect/Formatter"

/**
 * - `rate limit`: too many requests or tokens in a time
 * - `quota`: no money left
 * - `key`, `permission`: who asks is not known, or may not
 * - `content`: refused for what it is about
 * - `request`: the same request fails again
 * - `provider`: overloaded or broken
 */
type Meaning = "rate limit" | "quota" | "key" | "permission" | "content" | "request" | "provider"

// The words are those of Anthropic (`error.type`), OpenAI (`code`, `type`), Google (`status`) and Gemini's Interactions API (`code`).
// The first row that fits counts.
const rows: ReadonlyArray<readonly [meaning: Meaning, word: RegExp]> = [
  [
    "rate limit",
    /^(rate_limit_error|rate_limit_exceeded|too_many_requests|slow_down|requests|tokens|resource_exhausted)$/i
  ],
  ["quota", /^(insufficient_quota|quota_exceeded|billing_error|billing_not_active|billing_hard_limit_reached)$/],
  ["key", /^(authentication_error|authentication|invalid_api_key|unauthenticated)$/i],
  ["permission", /^(permission_error|permission_denied)$/i],
  ["content", /^((image_)?content_policy_violation|content_filter|moderation_blocked)$/],
  ["provider", /^(overloaded_error|server_is_overloaded|service_unavailable(_error)?|unavailable)$/i],
  ["provider", /^(api_error|server_error|internal_server_error|internal|timeout_error|vector_store_timeout)$/i],
  ["provider", /^(deadline_exceeded|aborted|cancelled)$/i],
  ["request", /^(not_found_error|not_found|model_not_found|request_too_large|context_length_exceeded)$/i],
  ["request", /^(failed_precondition|out_of_range|unimplemented|parameter_unknown|unknown_parameter)$/i],
  // of OpenAI many, mostly about images
  ["request", /^(invalid_\w+|unsupported_\w+|image_\w+|empty_image_file|failed_to_download_image)$/i]
]

/** The most telling first: OpenAI's `type` is "invalid_request_error" even where its `code` is "invalid_api_key". */
const wordFields = ["code", "type", "status"]

/** OpenRouter's and Google's `code`, the vendors' own clients' `status`, and what Bedrock hands on of the model behind it. */
const statusFields = ["code", "status", "originalStatusCode"]

const meaningOf = (details: object): Meaning | undefined => {
  for (const field of wordFields) {
    const word: unknown = Reflect.get(details, field)
    const row = typeof word === "string" ? rows.find(([, pattern]) => pattern.test(word)) : undefined
    if (row !== undefined) return row[0]
  }
  for (const field of statusFields) {
    const status: unknown = Reflect.get(details, field)
    if (typeof status === "number" && status >= 400 && status < 600) return ofStatus[status] ?? ofClass(status)
  }
  return undefined
}

/** As Effect's own providers have it of a response. */
const ofStatus: Readonly<Record<number, Meaning>> = {
  401: "key",
  402: "quota",
  403: "permission",
  408: "provider",
  429: "rate limit"
}

const ofClass = (status: number): Meaning => (status >= 500 ? "provider" : "request")

/**
 * What went wrong, by the vendor's own words. What is not known is the provider's failure: what is wrong with a request is said before a
 * stream begins.
 */
export const errorOf = (part: ErrorPart): AiError.AiError => {
  const { error, metadata } = part
  if (AiError.isAiError(error)) return error
  const reason = AiError.isAiErrorReason(error) ? error : reasonOf(error, metadata)
  return AiError.make({ module: "LanguageModel", method: "streamText", reason })
}

const reasonOf = (error: unknown, metadata: ErrorPart["metadata"]): AiError.AiErrorReason => {
  const details = detailsOf(error)
  const description = messageOf(details) ?? "the provider says no more than that there was an error"
  // some reasons have no description: so the whole is kept
  const common = { metadata, http: { body: formatJson(error) } }
  switch (isObject(details) ? meaningOf(details) : undefined) {
    case "rate limit":
      return new AiError.RateLimitError(common)
    case "quota":
      return new AiError.QuotaExhaustedError(common)
    case "key":
      return new AiError.AuthenticationError({ ...common, kind: "InvalidKey", description })
    case "permission":
      return new AiError.AuthenticationError({ ...common, kind: "InsufficientPermissions", description })
    case "content":
      return new AiError.ContentPolicyError({ ...common, description })
    case "request":
      return new AiError.InvalidRequestError({ ...common, description })
    case "provider":
    case undefined:
      return new AiError.InternalProviderError({ ...common, description })
  }
}

/** Some hand on the whole event, which holds the error. */
const detailsOf = (error: unknown): unknown => {
  const inner: unknown = isObject(error) ? Reflect.get(error, "error") : undefined
  return isObject(inner) ? inner : error
}

const messageOf = (details: unknown): string | undefined => {
  const message: unknown = isObject(details) ? Reflect.get(details, "message") : details
  return typeof message === "string" && message !== "" ? message : undefined
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null
