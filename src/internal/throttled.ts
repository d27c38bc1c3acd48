// The error of every throttle. `Throttle` exports it; it stands here because the module behind the service raises it.
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { liveRetryAfter } from "./liveRetryAfter.ts"
import { stackless } from "./stackless.ts"
import type { Reason } from "./throttle.ts"
import { named, UnavailableTypeId } from "./unavailable.ts"

/**
 * A throttle refused a call on the client's side, because the dependency does not accept enough of what it gets: nothing was sent.
 *
 * Refusing must be cheap when much is refused, so all the calls that a throttle refuses for the same reason get the same
 * instance (of a keyed one: of the same key), without a stack trace. That is why `retryAfter` is alive: it says what is left,
 * when it is read, of the time after which the dependency itself last asked to be called again, up to the throttle's window. It
 * is `undefined` where nobody knows: no such time was asked for, or it is over. A throttle alone has none to tell, because each
 * call is decided by a draw of its own: the next one may get through.
 *
 * @since 0.1.0
 * @category errors
 */
export class Throttled
  extends /*#__PURE__*/ Data.TaggedError("Throttled")<{
    /** The id of the throttle's service. */
    readonly throttle: string
    /** `undefined` for a throttle that is not keyed. */
    readonly key: string | undefined
    /**
     * - `overload`: it would have been refused if all calls were of one priority, too.
     * - `priority`: it was refused in place of a more important one.
     */
    readonly reason: "overload" | "priority"
    readonly retryAfter: Duration.Duration | undefined
  }>
{
  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  override get message(): string {
    const { key, reason, retryAfter, throttle } = this
    const instead = reason === "priority" ? ", and this one in place of a more important one" : ""
    const when =
      retryAfter === undefined ? "later" : `in ${Duration.format(retryAfter)}, as the dependency has asked for`
    return (
      `${named("throttle", throttle, key)} refused the call, which was not sent: the dependency has not accepted enough of the latest calls, so a part of ` +
      `them is refused here${instead}. Try again ${when}`
    )
  }
}

/** `patienceLeft` is the time that the dependency still asks for, in milliseconds. */
export const throttled = (
  throttle: string,
  key: string | undefined,
  reason: Reason,
  patienceLeft: () => number | undefined
): Throttled =>
  liveRetryAfter(
    stackless(() => new Throttled({ throttle, key, reason, retryAfter: undefined })),
    patienceLeft
  )
