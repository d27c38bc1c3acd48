/**
 * What a server says of a retry in the header of its response: when to come back, and whether to come back at all.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import { decimal, fieldOf, retryAfterField } from "./grammar.ts"
import { spentFor } from "./quota.ts"

/** Reads one hint, in milliseconds from now on. */
type Hint = (headers: Headers.Headers, nowMillis: number) => number | undefined

const millis =
  (name: string): Hint =>
  (headers) =>
    decimal(fieldOf(headers, name)?.trim() ?? "")

/** The first that is there and well-formed counts. */
const hints: ReadonlyArray<Hint> = [
  /*#__PURE__*/ millis("grpc-retry-pushback-ms"),
  /*#__PURE__*/ millis("retry-after-ms"),
  /*#__PURE__*/ millis("x-ms-retry-after-ms"),
  /*#__PURE__*/ millis("x-amz-retry-after"),
  (headers, nowMillis) => retryAfterField(fieldOf(headers, "retry-after") ?? "", nowMillis),
  spentFor
]

/**
 * When the server asks to be called again, as a span from `nowMillis` (milliseconds since the epoch) on; none if it says nothing that
 * can be understood. Pure: it never throws, whatever the bytes, and what it gives is finite and 0 or more. A date that has
 * passed is 0, and a number too large to be counted in milliseconds is `Number.MAX_SAFE_INTEGER` of them.
 *
 * The first of these that is there and well-formed counts:
 *
 * 1. `grpc-retry-pushback-ms`, unless negative (gRFC A6; see {@link shouldRetry} for that)
 * 2. `retry-after-ms` (OpenAI, Anthropic, Azure), then `x-ms-retry-after-ms` (Azure), then `x-amz-retry-after` (AWS): all in
 *    milliseconds, and all the exact form of what `Retry-After` says in seconds beside them
 * 3. `Retry-After` (RFC 9110 §10.2.3): whole seconds, or an HTTP-date as IMF-fixdate, RFC 850 date or asctime date, always in GMT; a
 *    two-digit year is at most 50 years ahead (§5.6.7). It takes precedence over quotas, as their draft asks.
 * 4. The longest of the quota windows that are spent: `RateLimit` with `r=0` and `t`, or with `remaining=0` and `reset`;
 *    `RateLimit-Reset`, unless `RateLimit-Remaining` is above 0 (draft-ietf-httpapi-ratelimit-headers, whose older versions
 *    many servers send); `X-RateLimit-Reset` and `x-ratelimit-reset-*` where the `-remaining` of the same name is 0 (OpenAI, Azure,
 *    Groq: Go durations such as "6m0s", or seconds; GitHub: seconds since the epoch); `anthropic-ratelimit-*-reset` where the
 *    `-remaining` of the same name is 0 (RFC 3339).
 *
 * There is no ceiling here: `retryAfterCeiling` of a policy has that.
 *
 * ```ts
 * import { Duration, Option } from "effect"
 * import * as Http from "effect-resilience/http"
 *
 * Http.retryAfter({ "retry-after": "120" }, 0) // => Option.some(Duration.minutes(2))
 * Http.retryAfter({ "retry-after": "Sun Nov  6 08:49:37 1994" }, 784_111_770_000) // => Option.some(Duration.seconds(7))
 * Http.retryAfter({ ratelimit: '"default";r=0;t=30' }, 0) // => Option.some(Duration.seconds(30))
 * Http.retryAfter({ ratelimit: '"default";r=50;t=30' }, 0) // => Option.none()
 * ```
 *
 * @since 0.1.0
 * @category hints
 */
export const retryAfter = (headers: Headers.Input, nowMillis: number): Option.Option<Duration.Duration> => {
  const normalized = normalize(headers)
  for (const hint of hints) {
    const ms = hint(normalized, nowMillis)
    if (ms !== undefined) return Option.some(Duration.millis(Math.min(Math.max(ms, 0), Number.MAX_SAFE_INTEGER)))
  }
  return Option.none()
}

/**
 * Whether the server says itself that a retry makes sense, whatever the status; none if it does not say. A "no" wins over a "yes":
 *
 * - no: `grpc-retry-pushback-ms` that is negative or no number at all (gRFC A6), `x-should-retry: false` (OpenAI, Anthropic),
 *   `stripe-should-retry: false`, `finagle-http-nonretryable-nack`
 * - yes: `x-should-retry: true`, `stripe-should-retry: true`
 *
 * @since 0.1.0
 * @category hints
 */
export const shouldRetry = (headers: Headers.Input): Option.Option<boolean> => {
  const normalized = normalize(headers)
  const pushback = fieldOf(normalized, "grpc-retry-pushback-ms")
  const no =
    says(normalized, "false") ||
    (pushback !== undefined && !/^\d+$/.test(pushback.trim())) ||
    "finagle-http-nonretryable-nack" in normalized
  return no ? Option.some(false) : says(normalized, "true") ? Option.some(true) : Option.none()
}

const says = (headers: Headers.Headers, word: string): boolean =>
  fieldOf(headers, "x-should-retry")?.trim() === word || fieldOf(headers, "stripe-should-retry")?.trim() === word

const normalize = (headers: Headers.Input): Headers.Headers =>
  Headers.isHeaders(headers) ? headers : Headers.fromInput(headers)
