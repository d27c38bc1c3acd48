/**
 * Effect's `HttpClient` under a policy, and the other side of it: servers that heed what their clients say. It translates, and holds no
 * policy.
 *
 * - {@link resilient} puts a client under a policy.
 * - {@link faults} gives the verdict on an `HttpClientError`; {@link errorVerdict} and {@link responseVerdict} are what it is made of.
 * - {@link retryAfter} and {@link shouldRetry} read what servers say of a retry.
 * - {@link isIdempotentMethod}, {@link canReplay} and {@link originOf} tell what is known of a request.
 *
 * For servers there are middlewares: {@link deadline} puts the time in force that a client has left, {@link shed} puts a guard in front of
 * routes, {@link idempotency} carries out a request once for its `Idempotency-Key`, and {@link answerUnavailable} answers this library's
 * errors with {@link toResponse}.
 *
 * The time left goes along in a header that a codec of `Deadline` writes, such as `Deadline.grpcTimeout`.
 *
 * @since 0.1.0
 */
export { resilient, type Options } from "./client.ts"
export { deadline, deadlineDefaults, type DeadlineOptions } from "./deadlineMiddleware.ts"
export { idempotency, idempotencyDefaults, type IdempotencyOptions } from "./idempotency.ts"
export {
  idempotencyMemoryDefaults,
  IdempotencyStore,
  IdempotencyStoreError,
  type Begun,
  type MemoryOptions,
  type Store
} from "./idempotencyStore.ts"
export { forRouter, type Middleware } from "./middleware.ts"
export { shed, shedDefaults, type ShedOptions } from "./shedding.ts"
export type { StoredResponse } from "./storedResponse.ts"
export { answerUnavailable, toResponse } from "./toResponse.ts"
export { errorVerdict, faults } from "./classify.ts"
export { canReplay, isIdempotentMethod, originOf, type Replay } from "./request.ts"
export { retryAfter, shouldRetry } from "./retryAfter.ts"
export { responseVerdict, type Answer } from "./status.ts"
