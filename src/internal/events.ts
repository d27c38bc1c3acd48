// The events of `Telemetry`, and how the engine and the guards find whoever listens: a Reference, absent by default.
import * as Context from "effect/Context"
import type { Duration } from "effect"
import type { Budget } from "./budget.ts"
import type { Hub } from "./listeners.ts"

interface Base {
  /** Wall-clock time of the event, in milliseconds since the epoch. */
  readonly at: number
}

interface OfCall extends Base {
  readonly policy: string
  /** The key said at the call, if any. It may be high in cardinality, or name a person: never make it a metric attribute. */
  readonly key: string | undefined
}

export type AttemptKind = "first" | "retry" | "hedge"

/**
 * A call of a policy has begun.
 *
 * @since 0.1.0
 * @category events
 */
export interface CallStarted extends OfCall {
  readonly _tag: "CallStarted"
}

/**
 * An attempt has succeeded.
 *
 * @since 0.1.0
 * @category events
 */
export interface AttemptSucceeded extends OfCall {
  readonly _tag: "AttemptSucceeded"
  readonly attempt: number
  readonly kind: AttemptKind
  readonly elapsed: Duration.Duration
}

/**
 * An attempt has failed, or was interrupted.
 *
 * @since 0.1.0
 * @category events
 */
export interface AttemptFailed extends OfCall {
  readonly _tag: "AttemptFailed"
  readonly attempt: number
  readonly kind: AttemptKind
  /** How the classifier saw it. */
  readonly outcome: "transient" | "throttled" | "permanent" | "unrecognised" | "timeout" | "defect" | "interrupted"
  /** The error's `_tag`, with its reason where it says one: `SqlError(DeadlockError)`, `HttpClientError(503)`; never its message. */
  readonly error: string
  readonly elapsed: Duration.Duration
}

/**
 * The failure of an attempt will be answered with another one, after `delay`.
 *
 * @since 0.1.0
 * @category events
 */
export interface RetryScheduled extends OfCall {
  readonly _tag: "RetryScheduled"
  /** The number of the attempt to come. */
  readonly attempt: number
  readonly error: string
  readonly delay: Duration.Duration
  readonly retryAfter: Duration.Duration | undefined
}

/**
 * An attempt has not ended for a while, so another one has started beside it.
 *
 * @since 0.1.0
 * @category events
 */
export interface HedgeStarted extends OfCall {
  readonly _tag: "HedgeStarted"
  /** The number of the attempt that starts. */
  readonly attempt: number
  /** How long after the attempt that it hedges. */
  readonly after: Duration.Duration
}

/**
 * A hedge was due, but does not start: the attempt that runs is left alone.
 *
 * @since 0.1.0
 * @category events
 */
export interface HedgeDenied extends OfCall {
  readonly _tag: "HedgeDenied"
  /** The number that it would have had. */
  readonly attempt: number
  readonly reason: "budget" | "rejected"
  /** The budget or guard that said no. */
  readonly deniedBy: string
}

/**
 * An attempt failed transiently, and no further one is made.
 *
 * @since 0.1.0
 * @category events
 */
export interface RetryDenied extends OfCall {
  readonly _tag: "RetryDenied"
  /** The number of the attempt that failed last. */
  readonly attempt: number
  readonly reason: "schedule" | "deadline" | "budget" | "rejected" | "unsafe" | "retry-after" | "draining"
  readonly error: string
  /** The budget or guard that said no. */
  readonly deniedBy: string | undefined
}

/**
 * A call has succeeded in a retry or a hedge, after an attempt had failed. A `CallSucceeded` follows.
 *
 * @since 0.1.0
 * @category events
 */
export interface CallRecovered extends OfCall {
  readonly _tag: "CallRecovered"
  readonly attempts: number
  /** What the last failed attempt failed with. */
  readonly error: string
  readonly elapsed: Duration.Duration
}

/**
 * A call has succeeded.
 *
 * @since 0.1.0
 * @category events
 */
export interface CallSucceeded extends OfCall {
  readonly _tag: "CallSucceeded"
  readonly attempts: number
  readonly elapsed: Duration.Duration
}

/**
 * A call has ended with an error or a defect, or was interrupted.
 *
 * @since 0.1.0
 * @category events
 */
export interface CallFailed extends OfCall {
  readonly _tag: "CallFailed"
  readonly attempts: number
  /** The `_tag` of what came out; "Defect" and "Interrupted" where no typed error did. */
  readonly error: string
  /** The `_tag` of the last real error, where `error` is RetryExhausted or DeadlineExceeded. */
  readonly lastError: string | undefined
  readonly elapsed: Duration.Duration
}

/**
 * A guard has refused an attempt.
 *
 * @since 0.1.0
 * @category events
 */
export interface GuardRejected extends OfCall {
  readonly _tag: "GuardRejected"
  readonly guard: string
  readonly attempt: number
  /** The `_tag` of the rejection. */
  readonly error: string
  /** Why, in one low-cardinality word or two: the rejection's `reason` or `state`, else its `_tag`. */
  readonly reason: string
}

/**
 * A circuit has changed its state.
 *
 * @since 0.1.0
 * @category events
 */
export interface CircuitChanged extends Base {
  readonly _tag: "CircuitChanged"
  readonly breaker: string
  readonly key: string | undefined
  readonly from: "closed" | "open" | "half-open" | "isolated"
  readonly to: "closed" | "open" | "half-open" | "isolated"
}

/**
 * A fallback has answered an error.
 *
 * @since 0.1.0
 * @category events
 */
export interface FallbackServed extends Base {
  readonly _tag: "FallbackServed"
  readonly name: string
  readonly source: "stale" | "fallback"
  /** The error that was answered: see {@link AttemptFailed}. */
  readonly error: string
  /** The age of a stale value. */
  readonly age: Duration.Duration | undefined
}

/**
 * Time is up.
 *
 * @since 0.1.0
 * @category events
 */
export interface DeadlinePassed extends Base {
  readonly _tag: "DeadlinePassed"
  /** The policy, or the name given to the deadline. */
  readonly name: string | undefined
  readonly after: Duration.Duration
  /** How much `Deadline.reserve` kept of the time before that deadline, which has not passed yet. */
  readonly reserved?: Duration.Duration | undefined
}

/**
 * The balance of a retry budget has changed: a retry was asked for, or, of a budget that is not keyed, a call that uses it has ended and
 * finds another balance than was told last.
 *
 * @since 0.1.0
 * @category events
 */
export interface BudgetChanged extends Base {
  readonly _tag: "BudgetChanged"
  readonly budget: string
  readonly key: string | undefined
  /** What is left, in retries that could be taken now. */
  readonly balance: number
}

/**
 * `Chaos` has injected something into an attempt.
 *
 * @since 0.1.0
 * @category events
 */
export interface ChaosInjected extends OfCall {
  readonly _tag: "ChaosInjected"
  readonly attempt: number
  readonly injection: "fault" | "latency" | "result" | "behavior"
  /** The error, if it is a fault: see {@link AttemptFailed}. */
  readonly error: string | undefined
  /** How much later the attempt begins, if it is latency. */
  readonly delay: Duration.Duration | undefined
}

/**
 * Everything that is told. Error tags, reasons and names are low in cardinality; keys are not.
 *
 * @since 0.1.0
 * @category events
 */
export type Event =
  | CallStarted
  | AttemptSucceeded
  | AttemptFailed
  | RetryScheduled
  | RetryDenied
  | HedgeStarted
  | HedgeDenied
  | CallRecovered
  | CallSucceeded
  | CallFailed
  | GuardRejected
  | CircuitChanged
  | FallbackServed
  | DeadlinePassed
  | BudgetChanged
  | ChaosInjected

/** Sends one event. It never throws: whoever puts a listener in force wraps it (see `makeHub`). */
export interface Emit {
  (event: Event): void
  /** Of a listener put in force by this library: the others that hear the same, and who listens around it. */
  hub?: Hub | undefined
  /** The balances that it has heard last. */
  balances?: WeakMap<Budget, number> | undefined
}

/** Who listens in this fiber. Absent, as by default, no event object is built. */
export const CurrentListener = /*#__PURE__*/ Context.Reference<Emit | undefined>("effect-resilience/CurrentListener", {
  defaultValue: () => undefined
})

/** The error's `_tag`, else its constructor's name, else its type: never its message, so that it stays low in cardinality. */
export const tagOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return error === null ? "null" : typeof error
  if ("_tag" in error && typeof error._tag === "string") return error._tag
  return error.constructor?.name ?? "Object"
}

/**
 * What an error is called where it is told of. Effect's own errors of the outside world have one `_tag` for all, and a tagged `reason`; of a
 * status that is an error, its number says more.
 */
export const labelOf = (error: unknown): string => {
  const why = whyOf(error)
  return why === undefined ? tagOf(error) : `${tagOf(error)}(${why})`
}

/** The tag of an error's reason, or the status that is the reason. */
export const whyOf = (error: unknown): string | undefined => {
  // of any error, whatever it does when it is read: what is told must not change what happens
  try {
    const { reason } = Object(error) as { readonly reason?: Reason }
    if (typeof reason?._tag !== "string") return undefined
    const status = reason._tag === "StatusCodeError" ? reason.response?.status : undefined
    return status === undefined ? reason._tag : String(status)
  } catch {
    return undefined
  }
}

interface Reason {
  readonly _tag?: unknown
  readonly response?: { readonly status?: number } | undefined
}

/** Why a guard refused, in a word of low cardinality: the rejection's `reason` or `state`, else its `_tag`. */
export const reasonOf = (rejection: unknown): string => {
  const { reason, state } = Object(rejection) as { readonly reason?: unknown; readonly state?: unknown }
  return typeof reason === "string" ? reason : typeof state === "string" ? state : tagOf(rejection)
}
