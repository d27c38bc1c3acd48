// One run of a transaction, and what came of it. `withTransaction` alone does not tell: a COMMIT without an answer fails like any
// statement, and where the connection is lost in between, the ROLLBACK fails too, and makes a defect of the failure before it.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSqlError, SqlError } from "effect/sql/SqlError"
import { verdictSymbol } from "../internal/marker.ts"
import { stackless } from "../internal/stackless.ts"
import { CommitUnknown } from "./commitUnknown.ts"
import { isOver } from "./driver.ts"
import { verdictOf } from "./faults.ts"
import { meaningOf, severityOf } from "./sqlState.ts"

/** Where a transaction stands: around all, or as a savepoint in another one, which decides on the whole. */
export type Place = "outermost" | "nested"

/** Runs `self` in a transaction, once. */
export const attempt = <A, E, R>(
  sql: SqlClient,
  self: Effect.Effect<A, E, R>,
  place: Place
): Effect.Effect<A, E | SqlError | CommitUnknown, R> =>
  Effect.uninterruptibleMask((restore) => {
    let body: Exit.Exit<A, E> | undefined
    const noted = Effect.onExitPrimitive(self, (exit) => {
      body = exit
      return undefined
    })
    return Effect.flatMap(Effect.exit(restore(sql.withTransaction(noted))), (exit) =>
      Exit.isSuccess(exit) ? exit : Effect.failCause(causeOf(exit.cause, body, place))
    )
  })

/** What a transaction failed with, by what `withTransaction` says, and by how its body has ended, if it has begun. */
export const causeOf = <E>(
  cause: Cause.Cause<E | SqlError>,
  body: Exit.Exit<unknown, E> | undefined,
  place: Place
): Cause.Cause<E | SqlError | CommitUnknown> => {
  const isOutermost = place === "outermost"
  if (body === undefined) return isOutermost ? Cause.map(cause, unprocessed) : cause
  if (Exit.isSuccess(body)) return isOutermost ? Cause.map(cause, ofCommit) : asFailure(cause)
  if (!cause.reasons.some(isLost)) return cause
  // The ROLLBACK could not be sent, and COMMIT was not: the database undoes it by itself. So the body's failure stands.
  const own = asFailure<E>(body.cause)
  return isOutermost ? Cause.map(own, unprocessed) : own
}

/** Of a SAVEPOINT or a ROLLBACK, which Effect's client makes a defect, that the connection is gone. */
const isLost = (reason: Cause.Reason<unknown>): boolean =>
  Cause.isDieReason(reason) && isSqlError(reason.defect) && endsSession(reason.defect)

const asFailure = <E>(cause: Cause.Cause<E | SqlError>): Cause.Cause<E | SqlError> =>
  Cause.fromReasons(
    cause.reasons.map((reason) =>
      isLost(reason) ? Cause.makeFailReason((reason as Cause.Die).defect as SqlError) : reason
    )
  )

/** The session is over, and with it what was not committed. */
const endsSession = ({ reason }: SqlError): boolean => {
  const severity = severityOf(reason)
  return reason._tag === "ConnectionError" || severity === "FATAL" || severity === "PANIC" || isOver(reason)
}

/**
 * The same error, but it says that the database has nothing of the transaction. A copy: a client may fail all that waits for one
 * connection with one error, and of what is not in this transaction it would not be true.
 */
const unprocessed = <E>(error: E): E => {
  const verdict = isSqlError(error) ? verdictOf(error) : undefined
  if (verdict === undefined || verdict.kind === "permanent" || verdict.unprocessed === true) return error
  const { reason } = error as SqlError
  const copy = stackless(() => new SqlError({ reason }))
  return Object.assign(copy, { [verdictSymbol]: { ...verdict, unprocessed: true } }) as E
}

const ofCommit = <E>(error: E): E | CommitUnknown =>
  !isSqlError(error) || isRefusal(error) ? error : stackless(() => new CommitUnknown({ cause: error }))

/** COMMIT was answered, and nothing is applied. */
const isRefusal = ({ reason }: SqlError): boolean => {
  switch (reason._tag) {
    case "DeadlockError":
    case "SerializationError":
    case "LockTimeoutError":
    case "UniqueViolation":
    case "ConstraintError":
      return true
    default:
      // the second is what @effect/sql-pg makes of an answer that is no error: ROLLBACK
      return (
        (severityOf(reason) === "ERROR" && meaningOf(reason) !== "lost") ||
        (reason.operation === "commit" && reason.message?.includes("COMMIT rolled back") === true)
      )
  }
}
