/**
 * Responses that say what went wrong as `application/problem+json` (RFC 9457). What they say is for whoever called: neither the
 * messages of errors, nor keys, nor names of services are told, because callers may be strangers.
 */
import * as Duration from "effect/Duration"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"

export interface Problem {
  /** What follows `urn:effect-resilience:` in the problem's type. */
  readonly name: string
  readonly status: number
  readonly title: string
  readonly detail: string
}

export const problem = (
  { detail, name, status, title }: Problem,
  retryAfter?: Duration.Duration | undefined
): HttpServerResponse.HttpServerResponse => {
  const response = ProblemDetails.toResponse({ type: `urn:effect-resilience:${name}`, status, title, detail })
  const seconds = retryAfter === undefined ? undefined : wholeSeconds(retryAfter)
  return seconds === undefined ? response : HttpServerResponse.setHeader(response, "retry-after", seconds)
}

/** Rounded up, so that who waits so long is not too early. What has no end cannot be said. */
const wholeSeconds = (duration: Duration.Duration): string | undefined => {
  const seconds = Math.ceil(Math.max(0, Duration.toSeconds(duration)))
  return Number.isSafeInteger(seconds) ? String(seconds) : undefined
}
