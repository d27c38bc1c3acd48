// The error of every bulkhead. `Bulkhead` exports it.
import * as Data from "effect/Data"
import type { Duration } from "effect"
import { liveRetryAfter } from "./liveRetryAfter.ts"
import { stackless } from "./stackless.ts"
import { again } from "./turnover.ts"
import { named, UnavailableTypeId } from "./unavailable.ts"
import type { Impatience } from "./waitFor.ts"

/**
 * A bulkhead refused a call: nothing was sent. The `reason` says why:
 *
 * - `queue`: all slots were taken, and no more calls may wait.
 * - `displaced`: it waited, and had to make room in the full queue for a call of a higher priority.
 * - `wait`: it has waited for as long as `maxWait` allows.
 *
 * Refusing must be cheap under load, so all the calls that are refused for one reason get the same instance, without a stack
 * trace. That is why `retryAfter` is alive: it says when a call that asked now could expect a slot (0 while one is free). It is an
 * estimate: the average time for which calls have held a slot lately, times those that would come before, divided by those that
 * run. It is `undefined` until the first call has ended.
 *
 * Many callers learn the same moment from it. Whoever waits for it should add jitter, as the policies of this library do.
 *
 * @since 0.1.0
 * @category errors
 */
export class BulkheadFull
  extends /*#__PURE__*/ Data.TaggedError("BulkheadFull")<{
    /** The id of the bulkhead's service. */
    readonly bulkhead: string
    /** `undefined` for a bulkhead that is not keyed. */
    readonly key: string | undefined
    readonly reason: "queue" | "displaced" | "wait"
    readonly retryAfter: Duration.Duration | undefined
  }>
{
  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  override get message(): string {
    return `${named("bulkhead", this.bulkhead, this.key)} refused the call: ${because[this.reason]}. ${again(this.retryAfter)}`
  }
}

const because = {
  queue: "all its slots are taken, and no more calls may wait",
  displaced:
    "it waited for a slot, and had to make room for a call of a higher priority, because no more calls may wait",
  wait: "it has waited for a slot as long as maxWait allows"
} as const

/** `waitMs` is asked whenever somebody reads `retryAfter`. */
export const bulkheadFull = (
  bulkhead: string,
  key: string | undefined,
  reason: Impatience,
  waitMs: () => number | undefined
): BulkheadFull =>
  liveRetryAfter(
    stackless(() => new BulkheadFull({ bulkhead, key, reason, retryAfter: undefined })),
    waitMs
  )
