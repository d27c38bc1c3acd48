/**
 * This library's errors as responses of a server.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { causeResponse } from "effect/http/HttpServerError"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import { isUnavailable } from "../internal/unavailable.ts"
import type { Unavailable } from "../internal/unavailable.ts"
import { problem } from "./problem.ts"
import type { Problem } from "./problem.ts"

const unavailable: Problem = {
  name: "unavailable",
  status: 503,
  title: "Service unavailable",
  detail: "The service, or one that it needs, cannot serve this request now. Try again later."
}

const rateLimited: Problem = {
  name: "rate-limited",
  status: 429,
  title: "Too many requests",
  detail: "More requests have been sent than are allowed. Try again later."
}

const timedOut: Problem = {
  name: "timed-out",
  status: 504,
  title: "Out of time",
  detail: "The request could not be answered in the time that it had. It may or may not have had an effect."
}

const upstreamFailed: Problem = {
  name: "upstream-failed",
  status: 502,
  title: "A service that is needed failed",
  detail: "A service that is needed for this request failed, and trying again did not help."
}

/**
 * The response to one of this library's errors, as `application/problem+json` (RFC 9457). It tells a stranger what to do, and
 * nothing of what is inside: no message of an error, no key, no name of a service.
 *
 * | error | status | `type`: `urn:effect-resilience:` and |
 * |---|---|---|
 * | a guard refused (`CircuitOpen`, `BulkheadFull`, `ConcurrencyLimited`, `Throttled`, one of your own) | 503 | `unavailable` |
 * | `RateLimited`: the limit is reached (`limit`, `wait`) | 429 | `rate-limited` |
 * | `RateLimited`: the dependency wants peace, or the store is away (`drained`, `store`) | 503 | `unavailable` |
 * | `DeadlineExceeded`, `AttemptTimeout` | 504 | `timed-out` |
 * | `RetryExhausted`: a guard refused, the dependency said when to come back, or this process is shutting down | 503 | `unavailable` |
 * | `RetryExhausted`: the last attempt ran out of time | 504 | `timed-out` |
 * | any other `RetryExhausted` | 502 | `upstream-failed` |
 *
 * `Retry-After` is the error's `retryAfter` at this moment, in whole seconds, rounded up; without one there is no such header. A
 * rate limit that refuses a retry is one on calls to a dependency: the caller has not sent too much, and gets a 503.
 *
 * @since 0.1.0
 * @category responses
 */
export const toResponse = (error: Unavailable): HttpServerResponse => responseTo(error)

/** The same for whatever a guard refused with, also if it does not carry the mark of this library's errors. */
export const responseTo = (error: unknown): HttpServerResponse => {
  const { retryAfter, what } = meaningOf(error)
  return problem(what, retryAfter)
}

interface Meaning {
  readonly what: Problem
  readonly retryAfter?: Duration.Duration | undefined
}

const meaningOf = (error: unknown): Meaning => {
  switch (tagOf(error)) {
    case "RateLimited": {
      const reason = propertyOf(error, "reason")
      const own = reason === "limit" || reason === "wait"
      return { what: own ? rateLimited : unavailable, retryAfter: patienceOf(error) }
    }
    case "DeadlineExceeded":
    case "AttemptTimeout":
    case "TimeoutError":
      return { what: timedOut }
    case "RetryExhausted":
      return ofExhausted(error)
    default:
      return { what: unavailable, retryAfter: patienceOf(error) }
  }
}

const ofExhausted = (error: unknown): Meaning => {
  const reason = propertyOf(error, "reason")
  if (reason === "rejected") {
    return { what: unavailable, retryAfter: patienceOf(propertyOf(error, "rejection")) ?? patienceOf(error) }
  }
  const retryAfter = patienceOf(error)
  if (retryAfter !== undefined || reason === "retry-after" || reason === "draining") {
    return { what: unavailable, retryAfter }
  }
  const last = propertyOf(error, "lastError")
  if (!isUnavailable(last) && tagOf(last) !== "TimeoutError") return { what: upstreamFailed }
  const nested = meaningOf(last)
  return nested.what === rateLimited ? { ...nested, what: unavailable } : nested
}

const propertyOf = (value: unknown, name: string): unknown =>
  Predicate.hasProperty(value, name) ? value[name] : undefined

const tagOf = (error: unknown): unknown => propertyOf(error, "_tag")

const patienceOf = (error: unknown): Duration.Duration | undefined => {
  const retryAfter = propertyOf(error, "retryAfter")
  return Duration.isDuration(retryAfter) ? retryAfter : undefined
}

/**
 * Answers this library's errors of a handler with {@link toResponse}, and leaves its own errors alone.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 * import { Bulkhead } from "effect-resilience"
 * import * as Http from "effect-resilience/http"
 *
 * class Reports extends Bulkhead.Service<Reports>()("app/Reports", { maxConcurrent: 10 }) {}
 *
 * const report = Effect.succeed(HttpServerResponse.text("a report")).pipe(Reports.protect())
 *
 * HttpRouter.add("GET", "/reports", report.pipe(Http.answerUnavailable))
 * ```
 *
 * @since 0.1.0
 * @category middleware
 */
export const answerUnavailable = <E, R>(
  app: Effect.Effect<HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse, Exclude<E, Unavailable>, R> =>
  Effect.catchIf(app, isUnavailable<E>, (error) => Effect.succeed(toResponse(error as Unavailable))) as Effect.Effect<
    HttpServerResponse,
    Exclude<E, Unavailable>,
    R
  >

/** What a server answers to a failed handler, in the end: as Effect does, but for this library's errors, which say more. */
export const responseToCause = (cause: Cause.Cause<unknown>): Effect.Effect<HttpServerResponse> => {
  const said = Cause.map(cause, (error) => (isUnavailable(error) ? toResponse(error) : error))
  return Effect.map(causeResponse(said), ([response]) => response)
}
