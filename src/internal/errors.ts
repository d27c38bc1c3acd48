// The errors of policies and deadlines. `Policy` and `Deadline` export them; they stand here because the engine raises them.
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { permanent, transient } from "../Fault.ts"
import { tagOf, type AttemptKind } from "./events.ts"
import { verdictSymbol } from "./marker.ts"
import { UnavailableTypeId } from "./unavailable.ts"

/**
 * Why a policy stopped retrying.
 *
 * - `schedule`: the retry schedule has ended
 * - `deadline`: the next delay does not fit in the time left
 * - `budget`: a retry budget has no token left (`deniedBy` names it)
 * - `rejected`: a guard refused a later attempt (`rejection` holds its error, `deniedBy` names it)
 * - `unsafe`: the policy, or the request, is not idempotent, and the dependency may have acted (`deniedBy` says more, if it is known)
 * - `retry-after`: the dependency asked for more patience than `retryAfterCeiling` allows
 * - `draining`: this process is shutting down (`Policy.draining`)
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = "schedule" | "deadline" | "budget" | "rejected" | "unsafe" | "retry-after" | "draining"

/**
 * One failed attempt.
 *
 * @since 0.1.0
 * @category models
 */
export interface HistoryEntry<out E> {
  readonly number: number
  readonly kind: AttemptKind
  readonly error: E
  /** From the start of the call to the start of the attempt. */
  readonly startedAfter: Duration.Duration
  readonly took: Duration.Duration
  /** The delay before the next attempt, if there was one. */
  readonly delay?: Duration.Duration | undefined
}

/**
 * A call failed transiently, and no further retry was made. It says why, and what happened before. It is not retried by a
 * policy further out.
 *
 * @since 0.1.0
 * @category errors
 */
export class RetryExhausted<out E>
  extends /*#__PURE__*/ Data.TaggedError("RetryExhausted")<{
    readonly policy: string
    readonly reason: Reason
    /** How many attempts ran, the first included. */
    readonly attempts: number
    /** From the start of the call until it gave up. */
    readonly elapsed: Duration.Duration
    readonly lastError: unknown
    /** The failed attempts: the first, and the latest 15. */
    readonly history: ReadonlyArray<HistoryEntry<unknown>>
    /** The whole cause of the last failure. */
    readonly cause: Cause.Cause<unknown>
    /** When the dependency asked to be called again, if it did. */
    readonly retryAfter?: Duration.Duration | undefined
    /** The budget or guard that said no. */
    readonly deniedBy?: string | undefined
    /** The error of the guard that refused a later attempt. */
    readonly rejection?: unknown
  }>
{
  declare readonly lastError: E
  declare readonly history: ReadonlyArray<HistoryEntry<E>>
  declare readonly cause: Cause.Cause<E>

  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  override get message(): string {
    const tries = this.attempts === 1 ? "1 attempt" : `${this.attempts} attempts`
    return `${this.policy} failed after ${tries} in ${print(this.elapsed)} with ${describe(this.lastError)}; ${why(this)}`
  }
}

const why = (error: RetryExhausted<unknown>): string => {
  switch (error.reason) {
    case "schedule":
      return "its retry schedule has ended"
    case "deadline":
      return "the next attempt would not fit before the deadline"
    case "budget":
      return `the retry budget ${error.deniedBy} is used up, so that retries do not add to an outage`
    case "rejected":
      return `${error.deniedBy} refused the next attempt: ${describe(error.rejection)}`
    case "unsafe":
      return error.deniedBy === undefined
        ? "it is not idempotent and the dependency may have acted: give the policy an idempotency key to retry safely"
        : error.deniedBy
    case "retry-after":
      return `the dependency asked to wait ${error.retryAfter === undefined ? "longer" : print(error.retryAfter)}, which is above retryAfterCeiling`
    case "draining":
      return "this process is shutting down and makes no new retries"
  }
}

/** In whole milliseconds: a clock's nanoseconds tell a reader nothing. `Duration.format` gives 0 no unit. */
export const print = (duration: Duration.Duration): string => {
  const millis = Math.round(Duration.toMillis(duration))
  return millis === 0 ? "0ms" : Duration.format(Duration.millis(millis))
}

/** An error in a few words: its tag, and its message if it has one of its own. */
export const describe = (error: unknown): string => {
  const tag = tagOf(error)
  if (typeof error === "string") return error
  return error instanceof Error && error.message !== "" && error.message !== tag ? `${tag}: ${error.message}` : tag
}

/**
 * One attempt took longer than the policy's `attemptTimeout`. It is transient: the policy retries it.
 *
 * @since 0.1.0
 * @category errors
 */
export class AttemptTimeout
  extends /*#__PURE__*/ Data.TaggedError("AttemptTimeout")<{
    readonly policy: string
    /** 1 for the first attempt of the call. */
    readonly attempt: number
    readonly after: Duration.Duration
  }>
{
  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  get [verdictSymbol]() {
    return transient()
  }

  override get message(): string {
    return `attempt ${this.attempt} of ${this.policy} was stopped after ${print(this.after)}, its attemptTimeout`
  }
}

/**
 * The time for the whole call, or for the region of a `Deadline`, has passed. Only whoever set a deadline raises it.
 *
 * @since 0.1.0
 * @category errors
 */
export class DeadlineExceeded
  extends /*#__PURE__*/ Data.TaggedError("DeadlineExceeded")<{
    /** The policy, or the name given to the deadline. */
    readonly name: string | undefined
    /** How long it allowed; 0 where the time was up before anything had begun. */
    readonly after: Duration.Duration
    /** How many attempts were begun, where a policy set the deadline. */
    readonly attempts?: number | undefined
    /** The error of the last attempt that failed before, if one did. */
    readonly lastError?: unknown
    /** How much `Deadline.reserve` kept of the time before the deadline of that name, which has not passed yet. */
    readonly reserved?: Duration.Duration | undefined
  }>
{
  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  get [verdictSymbol]() {
    return permanent({ health: "failed" })
  }

  override get message(): string {
    const { after, name, reserved } = this
    const what = (reserved === undefined ? name : undefined) ?? "the effect"
    const ended = Duration.isZero(after)
      ? `${what} had no time left and did not begin`
      : `${what} did not finish within ${print(after)}`
    const kept =
      reserved === undefined
        ? ""
        : `, because ${print(reserved)} before ${name === undefined ? "the deadline" : `the deadline of ${name}`} are reserved`
    const tries = this.attempts === undefined ? "" : ` (attempts: ${this.attempts})`
    const last = this.lastError === undefined ? "" : `; the last error was ${describe(this.lastError)}`
    return `${ended}${kept}${tries}${last}`
  }
}
