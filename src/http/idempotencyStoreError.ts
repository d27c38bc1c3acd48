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
    const why = reasonOf(this.cause)
    return `the store of idempotency keys failed to ${this.operation} a request${why === undefined ? "" : `: ${why}`}`
  }
}

/** What a store failed with may be anything: what says nothing is left out. */
const reasonOf = (cause: unknown): string | undefined => {
  if (cause === undefined || cause === null || cause === "") return undefined
  if (typeof cause !== "object" || cause instanceof Error) return String(cause)
  const { _tag, code, message } = cause as Readonly<Record<string, unknown>>
  const said = [_tag, message ?? code].filter((part) => typeof part === "string" && part !== "")
  return said.length === 0 ? undefined : said.join(": ")
}
