// The codecs of what guards refuse with. They differ in two fields: what the guard is called, and why it refused.
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { Duration } from "effect"
import { BulkheadFull as BulkheadFullError } from "../internal/bulkheadFull.ts"
import { CircuitOpen as CircuitOpenError } from "../internal/circuitOpen.ts"
import { ConcurrencyLimited as ConcurrencyLimitedError } from "../internal/concurrencyLimited.ts"
import { RateLimited as RateLimitedError } from "../internal/rateLimited.ts"
import { Throttled as ThrottledError } from "../internal/throttled.ts"
import { defined, Span } from "./parts.ts"
import type { Millis } from "./parts.ts"

interface Encoded {
  readonly key?: string
  readonly retryAfter?: Millis
}

interface Common {
  readonly key: string | undefined
  readonly retryAfter: Duration.Duration | undefined
}

const rejection = <E extends Common & { readonly _tag: string }, const Own extends Schema.Struct.Fields>(
  type: new (fields: never) => E,
  tag: E["_tag"],
  own: Own
): unknown => {
  const names = Object.keys(own)
  const fieldsOf = (error: { readonly [field: string]: unknown }) =>
    Object.fromEntries(["key", ...names, "retryAfter"].map((name) => [name, error[name]]))
  return Schema.Struct({
    _tag: Schema.Literal(tag),
    ...(own as Schema.Struct.Fields),
    key: Schema.optionalKey(Schema.String),
    retryAfter: Schema.optionalKey(Span)
  }).pipe(
    Schema.decodeTo(
      Schema.instanceOf(type as new () => E),
      SchemaTransformation.transform({
        decode: (encoded) => new type(fieldsOf(encoded as never) as never),
        encode: (error) => ({ _tag: tag, ...defined(fieldsOf(error as never)) }) as never
      })
    )
  )
}

/**
 * @since 0.1.0
 * @category models
 */
export interface BulkheadFullEncoded extends Encoded {
  readonly _tag: "BulkheadFull"
  readonly bulkhead: string
  readonly reason: "queue" | "displaced" | "wait"
}

/**
 * The codec of `Bulkhead.BulkheadFull`. Its `retryAfter` is what it was at the moment of encoding; on the other side it stands
 * still.
 *
 * @since 0.1.0
 * @category codecs
 */
export const BulkheadFull = /*#__PURE__*/ rejection(BulkheadFullError, "BulkheadFull", {
  bulkhead: Schema.String,
  reason: /*#__PURE__*/ Schema.Literals(["queue", "displaced", "wait"])
}) as Schema.Codec<BulkheadFullError, BulkheadFullEncoded>

/**
 * @since 0.1.0
 * @category models
 */
export interface CircuitOpenEncoded extends Encoded {
  readonly _tag: "CircuitOpen"
  readonly breaker: string
  readonly state: "open" | "half-open" | "isolated"
}

/**
 * The codec of `CircuitBreaker.CircuitOpen`. Its `retryAfter` is what was left of the open time at the moment of encoding;
 * on the other side it stands still.
 *
 * @since 0.1.0
 * @category codecs
 */
export const CircuitOpen = /*#__PURE__*/ rejection(CircuitOpenError, "CircuitOpen", {
  breaker: Schema.String,
  state: /*#__PURE__*/ Schema.Literals(["open", "half-open", "isolated"])
}) as Schema.Codec<CircuitOpenError, CircuitOpenEncoded>

/**
 * @since 0.1.0
 * @category models
 */
export interface ConcurrencyLimitedEncoded extends Encoded {
  readonly _tag: "ConcurrencyLimited"
  readonly limit: string
  readonly reason: "limit" | "priority" | "queue" | "displaced" | "wait"
}

/**
 * The codec of `AdaptiveLimit.ConcurrencyLimited`. Its `retryAfter` is what it was at the moment of encoding; on the other side it
 * stands still.
 *
 * @since 0.1.0
 * @category codecs
 */
export const ConcurrencyLimited = /*#__PURE__*/ rejection(ConcurrencyLimitedError, "ConcurrencyLimited", {
  limit: Schema.String,
  reason: /*#__PURE__*/ Schema.Literals(["limit", "priority", "queue", "displaced", "wait"])
}) as Schema.Codec<ConcurrencyLimitedError, ConcurrencyLimitedEncoded>

/**
 * @since 0.1.0
 * @category models
 */
export interface RateLimitedEncoded extends Encoded {
  readonly _tag: "RateLimited"
  readonly limiter: string
  readonly reason: "limit" | "wait" | "drained" | "store"
}

/**
 * The codec of `RateLimit.RateLimited`. Its `retryAfter` is what it was at the moment of encoding; on the other side it stands
 * still.
 *
 * @since 0.1.0
 * @category codecs
 */
export const RateLimited = /*#__PURE__*/ rejection(RateLimitedError, "RateLimited", {
  limiter: Schema.String,
  reason: /*#__PURE__*/ Schema.Literals(["limit", "wait", "drained", "store"])
}) as Schema.Codec<RateLimitedError, RateLimitedEncoded>

/**
 * @since 0.1.0
 * @category models
 */
export interface ThrottledEncoded extends Encoded {
  readonly _tag: "Throttled"
  readonly throttle: string
  readonly reason: "overload" | "priority"
}

/**
 * The codec of `Throttle.Throttled`. Its `retryAfter` is what it was at the moment of encoding; on the other side it stands still.
 *
 * @since 0.1.0
 * @category codecs
 */
export const Throttled = /*#__PURE__*/ rejection(ThrottledError, "Throttled", {
  throttle: Schema.String,
  reason: /*#__PURE__*/ Schema.Literals(["overload", "priority"])
}) as Schema.Codec<ThrottledError, ThrottledEncoded>

export type RejectionEncoded =
  BulkheadFullEncoded | CircuitOpenEncoded | ConcurrencyLimitedEncoded | RateLimitedEncoded | ThrottledEncoded
