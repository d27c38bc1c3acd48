// The error of every rate limit. `RateLimit` exports it; it stands here because its codec must not bring the adapter along.
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { liveRetryAfter } from "./liveRetryAfter.ts"
import { stackless } from "./stackless.ts"
import { named, UnavailableTypeId } from "./unavailable.ts"

/**
 * Why a rate limit refused a call:
 *
 * - `limit`: the limit is reached, and the guard lets no call wait.
 * - `wait`: the limit is reached, and the call's turn would not come, or did not come, within `maxWait` or before its
 *   deadline.
 * - `drained`: the dependency throttled a call, and asked not to be called for some time yet.
 * - `store`: the store of the limit did not answer, and `onStoreError` is `reject`.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = "limit" | "wait" | "drained" | "store"

/**
 * A rate limit refused a call: nothing was sent.
 *
 * All calls that are refused for the same reason until the same moment get the same instance, without a stack trace. That
 * is why `retryAfter` is alive: read it when you need it, it says how long it is then until a call that comes now would
 * have its turn (0 when that is over). It is `undefined` where nobody knows: while the store does not answer.
 *
 * Many callers learn the same moment from it. Whoever waits for it should add jitter, as the policies of this library do.
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimited
  extends /*#__PURE__*/ Data.TaggedError("RateLimited")<{
    /** The id of the limit's service. */
    readonly limiter: string
    /** `undefined` for a limit that is not keyed. */
    readonly key: string | undefined
    readonly reason: Reason
    readonly retryAfter: Duration.Duration | undefined
  }>
{
  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  override get message(): string {
    return `${named("rate limit", this.limiter, this.key)} refused the call: ${because[this.reason]}. ${again(this.reason, this.retryAfter)}`
  }
}

const because: Readonly<Record<Reason, string>> = {
  limit: "the limit is reached, and no call may wait (maxWait is 0)",
  wait: "the limit is reached, and the call's turn does not come within the time it may wait (maxWait, or its deadline)",
  drained: "the dependency throttled an earlier call, and asked not to be called for now",
  store: "the store of the limit did not answer, and without it no call goes through (onStoreError)"
}

const again = (reason: Reason, retryAfter: Duration.Duration | undefined): string => {
  if (reason === "store") return "Try again when the store answers"
  return retryAfter === undefined || Duration.isZero(retryAfter)
    ? "Try again now"
    : `Try again in ${Duration.format(retryAfter)}`
}

/** `at`, on the scale of `now`, is when a call has its turn again. */
export const rateLimited = (
  limiter: string,
  key: string | undefined,
  reason: Reason,
  at: number | undefined,
  now: () => number
): RateLimited => {
  const error = stackless(() => new RateLimited({ limiter, key, reason, retryAfter: undefined }))
  return at === undefined ? error : liveRetryAfter(error, () => at - now())
}
