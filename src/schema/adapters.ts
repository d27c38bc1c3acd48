// The codecs of the adapters' errors. Where such an error holds one of Effect's, its codec is an argument: imported here, it would
// bring `effect/sql` or `effect/ai` to everyone who imports a codec.
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { isMalformation, MalformedOutput as MalformedOutputError } from "../ai/malformedOutput.ts"
import type { Malformation } from "../ai/malformedOutput.ts"
import { IdempotencyStoreError as IdempotencyStoreErrorClass } from "../http/idempotencyStoreError.ts"
import { CommitUnknown as CommitUnknownError } from "../sql/commitUnknown.ts"
import { Unknown } from "./errors.ts"
import type { UnknownEncoded } from "./errors.ts"
import { defined } from "./parts.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface CommitUnknownEncoded<E> {
  readonly _tag: "CommitUnknown"
  readonly cause: E
}

/**
 * The codec of `CommitUnknown` of `effect-resilience/sql`, given the codec of the error that `COMMIT` failed with, which is Effect's
 * `SqlError` itself. Of the driver's own error that one keeps the name and the message, and not the SQLSTATE.
 *
 * ```ts
 * import { Schema } from "effect"
 * import { SqlError } from "effect/sql"
 * import { CommitUnknown } from "effect-resilience/schema"
 *
 * const decode = Schema.decodeUnknownEffect(CommitUnknown(SqlError.SqlError))
 * ```
 *
 * @since 0.1.0
 * @category codecs
 */
export const CommitUnknown = <I, RD, RE>(
  sqlError: Schema.Codec<CommitUnknownError["cause"], I, RD, RE>
): Schema.Codec<CommitUnknownError, CommitUnknownEncoded<I>, RD, RE> =>
  Schema.Struct({ _tag: Schema.Literal("CommitUnknown"), cause: sqlError }).pipe(
    Schema.decodeTo(
      Schema.instanceOf(CommitUnknownError),
      SchemaTransformation.transform({
        decode: ({ cause }) => new CommitUnknownError({ cause }),
        encode: ({ _tag, cause }) => ({ _tag, cause })
      })
    )
  )

/**
 * @since 0.1.0
 * @category models
 */
export interface MalformedOutputEncoded<E> {
  readonly _tag: "MalformedOutput"
  readonly cause: E
}

// What is wrong with the output is sent once, as the reason of the cause. So the two must be the same.
const isWhole = (u: unknown): u is MalformedOutputError =>
  u instanceof MalformedOutputError && u.reason === u.cause.reason && isMalformation(u.reason)

/**
 * The codec of `MalformedOutput` of `effect-resilience/ai`, given the codec of the error behind it, which is Effect's `AiError`
 * itself. It refuses an `AiError` that says nothing of the output, such as one of a rate limit.
 *
 * ```ts
 * import { Schema } from "effect"
 * import { AiError } from "effect/ai"
 * import { MalformedOutput } from "effect-resilience/schema"
 *
 * const decode = Schema.decodeUnknownEffect(MalformedOutput(AiError.AiError))
 * ```
 *
 * @since 0.1.0
 * @category codecs
 */
export const MalformedOutput = <I, RD, RE>(
  aiError: Schema.Codec<MalformedOutputError["cause"], I, RD, RE>
): Schema.Codec<MalformedOutputError, MalformedOutputEncoded<I>, RD, RE> =>
  Schema.Struct({ _tag: Schema.Literal("MalformedOutput"), cause: aiError }).pipe(
    Schema.decodeTo(
      Schema.declare(isWhole, { expected: "MalformedOutput" }),
      SchemaTransformation.transform({
        // any other reason is refused by isWhole
        decode: ({ cause }) => new MalformedOutputError({ reason: cause.reason as Malformation, cause }),
        encode: ({ _tag, cause }) => ({ _tag, cause })
      })
    )
  )

/**
 * @since 0.1.0
 * @category models
 */
export interface IdempotencyStoreErrorEncoded {
  readonly _tag: "IdempotencyStoreError"
  readonly operation: "begin" | "complete" | "release"
  readonly cause?: UnknownEncoded
}

/**
 * The codec of `IdempotencyStoreError` of `effect-resilience/http`.
 *
 * @since 0.1.0
 * @category codecs
 */
export const IdempotencyStoreError: Schema.Codec<IdempotencyStoreErrorClass, IdempotencyStoreErrorEncoded> =
  /*#__PURE__*/ Schema.Struct({
    _tag: /*#__PURE__*/ Schema.Literal("IdempotencyStoreError"),
    operation: /*#__PURE__*/ Schema.Literals(["begin", "complete", "release"]),
    cause: /*#__PURE__*/ Schema.optionalKey(Unknown)
  }).pipe(
    /*#__PURE__*/ Schema.decodeTo(
      /*#__PURE__*/ Schema.instanceOf(IdempotencyStoreErrorClass),
      /*#__PURE__*/ SchemaTransformation.transform({
        decode: ({ operation, cause }) => new IdempotencyStoreErrorClass({ operation, cause }),
        encode: ({ _tag, operation, cause }) => ({ _tag, operation, ...defined({ cause }) })
      })
    )
  )
