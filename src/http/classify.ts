/**
 * The verdict on an `HttpClientError`.
 *
 * @since 0.1.0
 */
import { isHttpClientError } from "effect/http/HttpClientError"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as Fault from "../Fault.ts"
import { verdictOf } from "../internal/marker.ts"
import { wallNowMs } from "../internal/time.ts"
import { responseVerdict } from "./status.ts"
import { isMisuse, meaningOf } from "./transport.ts"
import type { Meaning } from "./transport.ts"

const verdicts: { readonly [M in Meaning]: Fault.Verdict } = {
  "not sent": /*#__PURE__*/ Fault.transient({ unprocessed: true }),
  lost: /*#__PURE__*/ Fault.transient(),
  // nobody can be served who cannot be reached securely
  tls: /*#__PURE__*/ Fault.permanent({ health: "failed" }),
  client: /*#__PURE__*/ Fault.permanent({ health: "ignored" }),
  oversized: /*#__PURE__*/ Fault.permanent()
}

/**
 * The verdict on an error of Effect's `HttpClient`, at `nowMillis` (milliseconds since the epoch). Pure.
 *
 * | what happened | verdict |
 * |---|---|
 * | a status, as a `StatusCodeError` | as {@link responseVerdict} says; of one from 100 to 399, permanent |
 * | connection refused, no such host, timeout while connecting or in the TLS handshake, HTTP/2 stream refused | transient and unprocessed |
 * | connection reset or closed, timeout, anything not known | transient: the request may have been received |
 * | the response's body cut short | transient |
 * | certificate refused, no TLS on the other side | permanent, and the server is not well |
 * | malformed URL, header or request body, aborted by the caller | permanent; says nothing of the server |
 * | a body that is no JSON, an empty one, one that is larger than the client takes | permanent |
 *
 * An error that carries its own verdict (`Fault.verdict`) keeps it.
 *
 * @since 0.1.0
 * @category verdicts
 */
export const errorVerdict = (error: HttpClientError, nowMillis: number): Fault.Verdict => {
  const own = verdictOf(error)
  if (own !== undefined) return own
  switch (error.reason._tag) {
    case "StatusCodeError":
      return responseVerdict(error.reason.response, nowMillis) ?? Fault.permanent()
    case "TransportError":
      return verdicts[meaningOf(error.reason.cause) ?? (isMisuse(error.reason.cause) ? "client" : "lost")]
    case "DecodeError":
      return decodeVerdict(meaningOf(error.reason.cause))
    case "EmptyBodyError":
      return Fault.permanent()
    case "EncodeError":
    case "InvalidUrlError":
      return verdicts.client
  }
}

/** The request had been received by then, whatever went wrong. What is no failed transport, is a body that does not fit. */
const decodeVerdict = (meaning: Meaning | undefined): Fault.Verdict => {
  if (meaning === undefined) return Fault.permanent()
  return meaning === "client" || meaning === "oversized" ? verdicts[meaning] : verdicts.lost
}

/**
 * The classifier of HTTP calls: {@link errorVerdict} for an `HttpClientError`, and `Fault.auto` for all else.
 *
 * A response is an error only where something makes it one, such as `HttpClient.filterStatusOk`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpClient } from "effect/http"
 * import { Backoff, Policy, withResilience } from "effect-resilience"
 * import * as Http from "effect-resilience/http"
 *
 * const quotes = Policy.make({
 *   name: "quotes.get",
 *   faults: Http.faults,
 *   safety: "idempotent",
 *   deadline: "3 seconds",
 *   retry: Backoff.exponential({ base: "100 millis", cap: "2 seconds" }).pipe(Backoff.fullJitter, Backoff.times(3))
 * })
 *
 * const quote = Effect.gen(function* () {
 *   const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
 *   const response = yield* client.get("https://quotes.example/eur")
 *   return yield* response.json
 * }).pipe(withResilience(quotes))
 * ```
 *
 * @since 0.1.0
 * @category classifiers
 */
export const faults = /*#__PURE__*/ Fault.orElse(
  /*#__PURE__*/ Fault.refine(isHttpClientError, (error): Fault.Verdict => errorVerdict(error, wallNowMs())),
  Fault.auto
)
