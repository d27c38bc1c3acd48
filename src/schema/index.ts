/**
 * Codecs of this library's errors, for whatever crosses a process: RPC and HTTP errors, queues, logs, stored results.
 *
 * Each one encodes to plain JSON and decodes to an instance of the very class, so `instanceof`, `catchTag` and
 * `Policy.isUnavailable` go on working on the other side. The message is not sent; it is made again from the fields.
 *
 * ```ts
 * import { Schema } from "effect"
 * import { AttemptTimeout, CircuitOpen, RetryExhausted } from "effect-resilience/schema"
 *
 * class NetworkError extends Schema.TaggedError<NetworkError>()("NetworkError", { host: Schema.String }) {}
 *
 * const Failure = Schema.Union([RetryExhausted(Schema.Union([NetworkError, AttemptTimeout])), CircuitOpen])
 *
 * const decode = Schema.decodeUnknownEffect(Failure)
 * ```
 *
 * An error that holds one of yours or of Effect's has a codec that takes the codec of that one: {@link RetryExhausted},
 * {@link CommitUnknown} and {@link MalformedOutput}.
 *
 * What is lost on the way: stack traces, the annotations of causes, and the class of errors for which no codec is at hand
 * (`RetryExhausted.rejection`, `DeadlineExceeded.lastError`, `IdempotencyStoreError.cause`, defects). Of these, save for defects,
 * {@link AttemptTimeout} and what guards refuse with stay what they are; any other error comes back as a plain `Error` with its
 * name and message.
 *
 * Importing this module pulls in Effect's `Schema`, but nothing of `effect/http`, `effect/sql` or `effect/ai` for the sake of the
 * adapters' errors. The rest of the library does not need it.
 *
 * @since 0.1.0
 */
export {
  CommitUnknown,
  IdempotencyStoreError,
  MalformedOutput,
  type CommitUnknownEncoded,
  type IdempotencyStoreErrorEncoded,
  type MalformedOutputEncoded
} from "./adapters.ts"
export {
  AttemptTimeout,
  DeadlineExceeded,
  InvalidOption,
  RetryExhausted,
  type AttemptTimeoutEncoded,
  type DeadlineExceededEncoded,
  type HistoryEntryEncoded,
  type InvalidOptionEncoded,
  type RetryExhaustedEncoded
} from "./errors.ts"
export {
  BulkheadFull,
  CircuitOpen,
  ConcurrencyLimited,
  RateLimited,
  Throttled,
  type BulkheadFullEncoded,
  type CircuitOpenEncoded,
  type ConcurrencyLimitedEncoded,
  type RateLimitedEncoded,
  type ThrottledEncoded
} from "./rejections.ts"
export type { Millis, ReasonEncoded } from "./parts.ts"
