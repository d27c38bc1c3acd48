// The error of every circuit breaker. `CircuitBreaker` exports it; it stands here because two modules raise it.
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { liveRetryAfter } from "./liveRetryAfter.ts"
import { stackless } from "./stackless.ts"
import { named, UnavailableTypeId } from "./unavailable.ts"

/**
 * A circuit refused a call: nothing was sent.
 *
 * Rejecting must be cheap when everything fails, so all the calls that one opening rejects get the same instance, without a
 * stack trace. That is why `retryAfter` is alive: read it when you need it, it says how much of the open time is left then (0
 * when it is over). It is `undefined` where nobody knows: while probes are on their way, and while the circuit is isolated.
 *
 * Many callers learn the same moment from it. Whoever waits for it should add jitter, as the policies of this library do; a
 * circuit that is half-open lets only its probes through in any case.
 *
 * @since 0.1.0
 * @category errors
 */
export class CircuitOpen
  extends /*#__PURE__*/ Data.TaggedError("CircuitOpen")<{
    /** The id of the breaker's service. */
    readonly breaker: string
    /** `undefined` for a breaker that is not keyed. */
    readonly key: string | undefined
    readonly state: "open" | "half-open" | "isolated"
    readonly retryAfter: Duration.Duration | undefined
  }>
{
  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  override get message(): string {
    const circuit = named("circuit", this.breaker, this.key)
    switch (this.state) {
      case "half-open":
        return `${circuit} refused the call: it is half-open, and the probes that show whether the dependency has recovered are on their way. Try again when they have answered`
      case "isolated":
        return `${circuit} refused the call: it is isolated by hand. It refuses every call until it is closed by hand`
      default:
        return `${circuit} refused the call: it is open, because too many calls failed or it was opened by hand. ${again(this.retryAfter)}`
    }
  }
}

const again = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined || Duration.isZero(retryAfter)
    ? "Try again now: the next calls find out whether the dependency has recovered"
    : `Try again in ${Duration.format(retryAfter)}`

/** `until`, on the scale of `now`, is when an open circuit will be tried again. */
export const circuitOpen = (
  breaker: string,
  key: string | undefined,
  state: CircuitOpen["state"],
  until: number | undefined,
  now: () => number
): CircuitOpen => {
  const error = stackless(() => new CircuitOpen({ breaker, key, state, retryAfter: undefined }))
  return until === undefined ? error : liveRetryAfter(error, () => until - now())
}
