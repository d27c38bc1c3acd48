// The `retryAfter` of a refusal that many calls share: it says what is left when it is read, not when the error was made.
import * as Duration from "effect/Duration"

/** `leftMs` is asked whenever somebody reads; rounded up, so that who waits so long is not too early. */
export const liveRetryAfter = <E extends object>(error: E, leftMs: () => number | undefined): E =>
  Object.defineProperty(error, "retryAfter", {
    get: () => {
      const left = leftMs()
      return left === undefined ? undefined : Duration.millis(Math.max(0, Math.ceil(left)))
    },
    enumerable: true,
    configurable: true
  })
