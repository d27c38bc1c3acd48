// The codecs of the errors of policies, deadlines and options. `index.ts` exports them.
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { InvalidOption as InvalidOptionError } from "../InvalidOption.ts"
import * as Errors from "../internal/errors.ts"
import { causeOf, defined, Span } from "./parts.ts"
import { BulkheadFull, CircuitOpen, ConcurrencyLimited, RateLimited, Throttled } from "./rejections.ts"
import type { RejectionEncoded } from "./rejections.ts"
import type { Millis, ReasonEncoded } from "./parts.ts"
import { fromJson, toJson } from "./value.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface AttemptTimeoutEncoded {
  readonly _tag: "AttemptTimeout"
  readonly policy: string
  readonly attempt: number
  readonly after: Millis
}

/**
 * The codec of `Policy.AttemptTimeout`.
 *
 * @since 0.1.0
 * @category codecs
 */
export const AttemptTimeout: Schema.Codec<Errors.AttemptTimeout, AttemptTimeoutEncoded> = /*#__PURE__*/ Schema.Struct({
  _tag: /*#__PURE__*/ Schema.Literal("AttemptTimeout"),
  policy: Schema.String,
  attempt: Schema.Int,
  after: Span
}).pipe(
  /*#__PURE__*/ Schema.decodeTo(
    /*#__PURE__*/ Schema.instanceOf(Errors.AttemptTimeout),
    /*#__PURE__*/ SchemaTransformation.transform({
      decode: ({ _tag, ...fields }) => new Errors.AttemptTimeout(fields),
      encode: ({ _tag, policy, attempt, after }) => ({ _tag, policy, attempt, after })
    })
  )
)

// An error of which only `unknown` is known. This library's own stay what they are.
export const Unknown = /*#__PURE__*/ Schema.Union([
  AttemptTimeout,
  BulkheadFull,
  CircuitOpen,
  ConcurrencyLimited,
  RateLimited,
  Throttled,
  /*#__PURE__*/ Schema.Defect()
])

export type UnknownEncoded = Schema.Json | AttemptTimeoutEncoded | RejectionEncoded

/**
 * @since 0.1.0
 * @category models
 */
export interface DeadlineExceededEncoded {
  readonly _tag: "DeadlineExceeded"
  readonly name?: string
  readonly after: Millis
  readonly attempts?: number
  readonly lastError?: UnknownEncoded
  readonly reserved?: Millis
}

/**
 * The codec of `Deadline.DeadlineExceeded`.
 *
 * @since 0.1.0
 * @category codecs
 */
export const DeadlineExceeded: Schema.Codec<Errors.DeadlineExceeded, DeadlineExceededEncoded> =
  /*#__PURE__*/ Schema.Struct({
    _tag: /*#__PURE__*/ Schema.Literal("DeadlineExceeded"),
    name: /*#__PURE__*/ Schema.optionalKey(Schema.String),
    after: Span,
    attempts: /*#__PURE__*/ Schema.optionalKey(Schema.Int),
    lastError: /*#__PURE__*/ Schema.optionalKey(Unknown),
    reserved: /*#__PURE__*/ Schema.optionalKey(Span)
  }).pipe(
    /*#__PURE__*/ Schema.decodeTo(
      /*#__PURE__*/ Schema.instanceOf(Errors.DeadlineExceeded),
      /*#__PURE__*/ SchemaTransformation.transform({
        decode: ({ _tag, name, ...fields }) => new Errors.DeadlineExceeded({ name, ...fields }),
        encode: ({ _tag, name, after, attempts, lastError, reserved }) =>
          defined({ _tag, name, after, attempts, lastError, reserved })
      })
    )
  )

/**
 * @since 0.1.0
 * @category models
 */
export interface HistoryEntryEncoded<E> {
  readonly number: number
  readonly kind: "first" | "retry" | "hedge"
  readonly error: E
  readonly startedAfter: Millis
  readonly took: Millis
  readonly delay?: Millis
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RetryExhaustedEncoded<E> {
  readonly _tag: "RetryExhausted"
  readonly policy: string
  readonly reason: Errors.Reason
  readonly attempts: number
  readonly elapsed: Millis
  readonly lastError: E
  readonly history: ReadonlyArray<HistoryEntryEncoded<E>>
  readonly cause: ReadonlyArray<ReasonEncoded<E>>
  readonly retryAfter?: Millis
  readonly deniedBy?: string
  readonly rejection?: UnknownEncoded
}

/**
 * The codec of `Policy.RetryExhausted`, given the codec of the errors it can hold: the transient ones, and {@link AttemptTimeout}
 * if the policy has an `attemptTimeout`. What it encodes to is JSON as far as that codec's is.
 *
 * @since 0.1.0
 * @category codecs
 */
export const RetryExhausted = <E, I, RD, RE>(
  lastError: Schema.Codec<E, I, RD, RE>
): Schema.Codec<Errors.RetryExhausted<E>, RetryExhaustedEncoded<I>, RD, RE> => {
  const isLastError = Schema.is(lastError)
  const isInstance = (u: unknown): u is Errors.RetryExhausted<E> =>
    u instanceof Errors.RetryExhausted && isLastError(u.lastError)
  return Schema.Struct({
    _tag: Schema.Literal("RetryExhausted"),
    policy: Schema.String,
    reason: Schema.Literals(["schedule", "deadline", "budget", "rejected", "unsafe", "retry-after", "draining"]),
    attempts: Schema.Int,
    elapsed: Span,
    lastError,
    history: Schema.Array(historyEntry(lastError)),
    cause: causeOf(lastError),
    retryAfter: Schema.optionalKey(Span),
    deniedBy: Schema.optionalKey(Schema.String),
    rejection: Schema.optionalKey(Unknown)
  }).pipe(
    Schema.decodeTo(
      Schema.declare(isInstance, { expected: "RetryExhausted" }),
      SchemaTransformation.transform({
        decode: ({ _tag, ...fields }) => new Errors.RetryExhausted(fields),
        encode: ({ _tag, policy, reason, attempts, elapsed, lastError, history, cause, ...may }) => ({
          _tag,
          policy,
          reason,
          attempts,
          elapsed,
          lastError,
          history: history.map(({ delay, ...entry }) => ({ ...entry, ...defined({ delay }) })),
          cause,
          ...defined({ retryAfter: may.retryAfter, deniedBy: may.deniedBy, rejection: may.rejection })
        })
      })
    )
  )
}

const historyEntry = <E, I, RD, RE>(error: Schema.Codec<E, I, RD, RE>) =>
  Schema.Struct({
    number: Schema.Int,
    kind: Schema.Literals(["first", "retry", "hedge"]),
    error,
    startedAfter: Span,
    took: Span,
    delay: Schema.optionalKey(Span)
  })

/**
 * @since 0.1.0
 * @category models
 */
export interface InvalidOptionEncoded {
  readonly _tag: "InvalidOption"
  readonly option: string
  readonly value?: Schema.Json
  readonly allowed: string
}

/**
 * The codec of `InvalidOption`. Of the value, and of what is in it, numbers come back as they were, NaN and infinities included: in JSON
 * these are `{ "number": "NaN" }`, and an object that looks so itself is within `{ "object": … }`. What has no JSON form, such as a
 * function, a bigint or an instance of a class, comes back as its text.
 *
 * @since 0.1.0
 * @category codecs
 */
export const InvalidOption: Schema.Codec<InvalidOptionError, InvalidOptionEncoded> = /*#__PURE__*/ Schema.Struct({
  _tag: /*#__PURE__*/ Schema.Literal("InvalidOption"),
  option: Schema.String,
  value: /*#__PURE__*/ Schema.optionalKey(Schema.Json),
  allowed: Schema.String
}).pipe(
  /*#__PURE__*/ Schema.decodeTo(
    /*#__PURE__*/ Schema.instanceOf(InvalidOptionError),
    /*#__PURE__*/ SchemaTransformation.transform({
      decode: ({ option, value, allowed }) =>
        new InvalidOptionError({ option, value: value === undefined ? undefined : fromJson(value), allowed }),
      encode: ({ _tag, option, value, allowed }) => ({
        _tag,
        option,
        allowed,
        ...(value === undefined ? undefined : { value: toJson(value) })
      })
    })
  )
)
