// The error of every adaptive limit. `AdaptiveLimit` exports it.
import * as Data from "effect/Data"
import type { Duration } from "effect"
import { liveRetryAfter } from "./liveRetryAfter.ts"
import { stackless } from "./stackless.ts"
import { again } from "./turnover.ts"
import { named, UnavailableTypeId } from "./unavailable.ts"
import type { Impatience } from "./waitFor.ts"

/** Why a call was refused. */
export type Reason = "limit" | "priority" | Impatience

/**
 * An adaptive limit refused a call: nothing was sent. The `reason` says why:
 *
 * - `limit`: as many calls are in flight as the dependency can serve at once, as far as the limit knows.
 * - `priority`: some fewer are, but the slots that are left are kept for calls of a higher priority.
 * - `queue`: the limit is reached, and no more calls may wait.
 * - `displaced`: it waited, and had to make room in the full queue for a call of a higher priority.
 * - `wait`: it has waited for as long as `queue.maxWait` allows.
 *
 * Refusing must be cheap under load, so all the calls that are refused for one reason get the same instance (for `priority`: those
 * of one priority), without a stack trace. That is why `retryAfter` is alive: it says when a call that asked now could expect a slot
 * (0 while one is free for it). It is an estimate: the average time for which calls have held a slot lately, times those that
 * would come before, divided by those that run. It is `undefined` until the first call has ended.
 *
 * Many callers learn the same moment from it. Whoever waits for it should add jitter, as the policies of this library do.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConcurrencyLimited
  extends /*#__PURE__*/ Data.TaggedError("ConcurrencyLimited")<{
    /** The id of the limit's service. */
    readonly limit: string
    /** `undefined` for a limit that is not keyed. */
    readonly key: string | undefined
    readonly reason: "limit" | "priority" | "queue" | "displaced" | "wait"
    readonly retryAfter: Duration.Duration | undefined
  }>
{
  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  override get message(): string {
    return `${named("concurrency limit", this.limit, this.key)} refused the call: ${because[this.reason]}. ${again(this.retryAfter)}`
  }
}

const because = {
  limit: "as many calls are in flight as the dependency seems to be able to serve at once",
  priority: "the slots that are left are kept for calls of a higher priority, of which some were refused lately",
  queue: "as many calls are in flight as the dependency seems to be able to serve at once, and no more may wait",
  displaced:
    "it waited for a slot, and had to make room for a call of a higher priority, because no more calls may wait",
  wait: "it has waited for a slot as long as queue.maxWait allows"
} as const

/** `waitMs` is asked whenever somebody reads `retryAfter`. */
export const concurrencyLimited = (
  limit: string,
  key: string | undefined,
  reason: Reason,
  waitMs: () => number | undefined
): ConcurrencyLimited =>
  liveRetryAfter(
    stackless(() => new ConcurrencyLimited({ limit, key, reason, retryAfter: undefined })),
    waitMs
  )
