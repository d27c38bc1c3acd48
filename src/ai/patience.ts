// How much patience a model call deserves.
import * as Backoff from "../Backoff.ts"

/**
 * Options of a policy for model calls, to be spread into `Policy.make`. Models are slow, are limited by the minute, and every attempt is
 * paid for. Each number with its reason:
 *
 * - `attemptTimeout` 90 s: an answer of 4,000 tokens takes 40 to 80 s at 50 to 100 tokens a second. The vendors' own clients wait for
 *   ten minutes, which is too long to notice that one hangs. For a stream it is the time to the first part: say less.
 * - `deadline` 5 minutes: three such attempts, and the waiting between.
 * - `retry.transient` 2 retries, after at most 500 ms and 1 s: what OpenAI's and Anthropic's clients do by default, with full jitter instead
 *   of their quarter.
 * - `retry.throttled` 4 retries, after at most 2, 4, 8 and 16 s: limits are by the minute, and waiting costs nothing. A provider's hint takes
 *   precedence.
 * - `retryAfterCeiling` 60 s: OpenAI's client believes no longer hint. Whoever is told to come back in an hour should ask another provider.
 *
 * @since 0.1.0
 * @category constants
 */
export const patience = {
  deadline: "5 minutes",
  attemptTimeout: "90 seconds",
  retry: {
    transient: /*#__PURE__*/ Backoff.exponential({ base: "500 millis" }).pipe(
      Backoff.fullJitter,
      /*#__PURE__*/ Backoff.times(2)
    ),
    throttled: /*#__PURE__*/ Backoff.exponential({ base: "2 seconds" }).pipe(
      Backoff.fullJitter,
      /*#__PURE__*/ Backoff.times(4)
    )
  },
  retryAfterCeiling: "60 seconds"
} as const
