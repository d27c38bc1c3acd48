// What a store of idempotency keys fails with. Apart from the store, so that its codec does not bring the store along.
import * as Data from "effect/Data"
import { UnavailableTypeId } from "../internal/unavailable.ts"

/**
 * A store did not answer, or has no room: the request was not begun.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdempotencyStoreError
  extends /*#__PURE__*/ Data.TaggedError("IdempotencyStoreError")<{
    readonly operation: "begin" | "complete" | "release"
    readonly cause: unknown
  }>
{
  get [UnavailableTypeId](): UnavailableTypeId {
    return UnavailableTypeId
  }

  override get message(): string {
    return `the store of idempotency keys failed to ${this.operation} a request: ${String(this.cause)}`
  }
}
