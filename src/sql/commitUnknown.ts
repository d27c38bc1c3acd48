// The one failure after which nobody knows whether the transaction was applied.
import * as Data from "effect/Data"
import type { SqlError } from "effect/sql/SqlError"
import { transient } from "../Fault.ts"
import { verdictSymbol } from "../internal/marker.ts"

/**
 * The connection was lost after `COMMIT` had been sent and before its answer came. The transaction was applied as a whole, or
 * not at all, or the database is still at it: nobody here knows.
 *
 * A policy whose `safety` is "not-idempotent" does not repeat it: it comes out as `RetryExhausted` with reason "unsafe", and this
 * is its `lastError`. A policy that is idempotent does. Before you repeat it yourself, find out: look for a row that the
 * transaction would have written, best one with a key of your own. PostgreSQL also answers `SELECT pg_xact_status(…)`, if the
 * transaction has asked for its `pg_current_xact_id()` before.
 *
 * Any `SqlError` of {@link transaction} means that the database has undone it, or will as soon as it notices that the
 * connection is gone.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommitUnknown
  extends /*#__PURE__*/ Data.TaggedError("CommitUnknown")<{
    /** What `COMMIT` failed with. */
    readonly cause: SqlError
  }>
{
  get [verdictSymbol]() {
    return transient()
  }

  override get message(): string {
    return `the transaction may have been applied, because COMMIT got no answer (${this.cause.message}): find out before you repeat it`
  }
}
