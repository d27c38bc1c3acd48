// The verdict on an `AiError`, by its reason and by the response that came with it. Pure.
import type { AiError, AiErrorReason, HttpContext, NetworkError, RateLimitError } from "effect/ai/AiError"
import * as Headers from "effect/http/Headers"
import { HttpClientError, isHttpClientError, TransportError } from "effect/http/HttpClientError"
import { empty } from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Fault from "../Fault.ts"
import { errorVerdict } from "../http/classify.ts"
import { retryAfter, shouldRetry } from "../http/retryAfter.ts"
import { responseVerdict } from "../http/status.ts"
import type { Answer } from "../http/status.ts"
import { verdictOf as ownVerdictOf } from "../internal/marker.ts"

/** The request itself is wrong, and the provider was not needed to find that out. */
const client = /*#__PURE__*/ Fault.permanent({ health: "ignored" })

/** `undefined`: not recognised. `nowMillis` is milliseconds since the epoch. */
export const verdictOf = (error: AiError, nowMillis: number): Fault.Verdict | undefined =>
  ownVerdictOf(error) ?? verdictOfReason(error.reason, nowMillis)

const verdictOfReason = (reason: AiErrorReason, nowMillis: number): Fault.Verdict | undefined => {
  switch (reason._tag) {
    case "RateLimitError":
      return rateLimited(reason, nowMillis)
    case "InternalProviderError":
      // without a response, or with a 200: an error event in a stream that had begun
      return responseVerdictOf(reason.http, nowMillis) ?? Fault.transient()
    case "UnknownError":
      return responseVerdictOf(reason.http, nowMillis)
    case "NetworkError":
      return network(reason, nowMillis)
    case "InvalidResponseError":
      // what answers there is not the provider as it should be
      return Fault.permanent({ health: "failed" })
    case "QuotaExhaustedError":
    case "AuthenticationError":
    case "ContentPolicyError":
    case "InvalidRequestError":
    case "InvalidOutputError":
    case "StructuredOutputError":
    case "ToolNotFoundError":
    case "ToolParameterValidationError":
      return Fault.permanent()
    case "InvalidUserInputError":
    case "UnsupportedSchemaError":
    case "InvalidToolResultError":
    case "ToolResultEncodingError":
    case "ToolConfigurationError":
    case "ToolkitRequiredError":
      return client
  }
}

const rateLimited = (reason: RateLimitError, nowMillis: number): Fault.Verdict => {
  const answer = answerOf(reason.http)
  if (isQuotaSpent(reason)) return Fault.permanent()
  // whether it is retried changes nothing about what a limit says of the provider
  const isFinal = answer !== undefined && Option.contains(shouldRetry(answer.headers), false)
  if (isFinal) return Fault.permanent({ unprocessed: true, health: "ignored" })
  const hint = answer && Option.getOrUndefined(retryAfter(answer.headers, nowMillis))
  // limits are checked before anything is done
  return Fault.throttled({ unprocessed: true, retryAfter: reason.retryAfter ?? hint })
}

/**
 * OpenAI answers 429 also where no money is left. Effect's own provider package tells the two apart; `reasonFromHttpStatus` does not,
 * nor do the clients that are built on it.
 */
const isQuotaSpent = (reason: RateLimitError): boolean =>
  /"(?:code|type)"\s*:\s*"insufficient_quota"/.test(reason.http?.body ?? "") ||
  Object.values(reason.metadata).some(
    (metadata) =>
      hasProperty(metadata, "errorCode", "insufficient_quota") ||
      hasProperty(metadata, "errorType", "insufficient_quota")
  )

const hasProperty = (value: unknown, property: string, expected: string): boolean =>
  typeof value === "object" && value !== null && Reflect.get(value, property) === expected

const network = ({ cause, reason }: NetworkError, nowMillis: number): Fault.Verdict => {
  if (reason !== "TransportError") return client
  // a provider's package may be built on the vendor's client, which knows nothing of Effect's: the cause is a transport's all the same
  const error = isHttpClientError(cause)
    ? cause
    : new HttpClientError({ reason: new TransportError({ request: empty, cause }) })
  return errorVerdict(error, nowMillis)
}

const responseVerdictOf = (http: typeof HttpContext.Type | undefined, nowMillis: number) => {
  const answer = answerOf(http)
  return answer && responseVerdict(answer, nowMillis)
}

/** A header that is kept secret says nothing of a retry. */
const answerOf = (http: typeof HttpContext.Type | undefined): Answer | undefined =>
  http?.response && {
    status: http.response.status,
    headers: Headers.fromInput(
      Object.entries(http.response.headers).filter((entry): entry is [string, string] => typeof entry[1] === "string")
    )
  }
