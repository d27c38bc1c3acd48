// The verdict on a `SqlError`.
import { isSqlError } from "effect/sql/SqlError"
import type { SqlError, SqlErrorReason } from "effect/sql/SqlError"
import * as Fault from "../Fault.ts"
import { verdictOf as ownVerdictOf } from "../internal/marker.ts"
import { meaningOfConnection, meaningOfServer } from "./driver.ts"
import { meaningOf } from "./sqlState.ts"
import type { Meaning } from "./sqlState.ts"

const verdicts: { readonly [M in Meaning]: Fault.Verdict } = {
  // the database has answered: that two transactions met says nothing of its health
  contention: /*#__PURE__*/ Fault.transient({ unprocessed: true, health: "ok" }),
  undone: /*#__PURE__*/ Fault.transient({ unprocessed: true }),
  "not begun": /*#__PURE__*/ Fault.transient({ unprocessed: true }),
  crowded: /*#__PURE__*/ Fault.throttled({ unprocessed: true }),
  lost: /*#__PURE__*/ Fault.transient(),
  final: /*#__PURE__*/ Fault.permanent()
}

/** `undefined`: not recognised. */
export const verdictOf = (error: SqlError): Fault.Verdict | undefined => {
  const own = ownVerdictOf(error)
  if (own !== undefined) return own
  const meaning = meaningOfReason(error.reason)
  return meaning && verdicts[meaning]
}

const meaningOfReason = (reason: SqlErrorReason): Meaning | undefined => {
  switch (reason._tag) {
    case "DeadlockError":
    case "SerializationError":
    case "LockTimeoutError":
      return "contention"
    case "ConnectionError":
      return meaningOfCause(reason) ?? "lost"
    case "StatementTimeoutError":
      // a timeout of the client proves nothing; one of the server has undone the statement
      return meaningOfServer(reason) ?? meaningOf(reason) ?? "lost"
    case "AuthenticationError":
    case "AuthorizationError":
    case "SqlSyntaxError":
    case "UniqueViolation":
    case "ConstraintError":
      return "final"
    case "UnknownError":
      return meaningOfCause(reason)
  }
}

const meaningOfCause = (reason: SqlErrorReason): Meaning | undefined => {
  const said = meaningOfServer(reason) ?? meaningOf(reason)
  // where there was no session yet, nothing is lost with it
  if (isConnecting(reason)) return said === undefined || said === "lost" ? "not begun" : said
  return said ?? meaningOfConnection(reason)
}

/** Failed while the client was getting a connection: what Effect's clients call it. */
const isConnecting = ({ operation }: SqlErrorReason): boolean =>
  operation === "connect" || operation === "acquireConnection"

const isKnown = (error: unknown): error is SqlError => isSqlError(error) && verdictOf(error) !== undefined

/**
 * The verdict on a `SqlError`, by its reason and, where that says too little, by what came with it: the SQLSTATE, the names of MySQL's and
 * SQLite's errors, the numbers of SQL Server's, the codes of drivers (mysql2, tedious, libSQL) and of the operating system:
 *
 * | what happened | verdict |
 * |---|---|
 * | deadlock, serialization failure, lock not available in time | transient, unprocessed, and the database is healthy |
 * | statement timeout of the server, out of resources (class 53, `SQLITE_FULL`) | transient, unprocessed |
 * | no connection: refused, no such host, server starting up, timeout while connecting | transient, unprocessed |
 * | too many connections (53300, `ER_CON_COUNT_ERROR`), a busy service (40501 of Azure) | throttled, unprocessed |
 * | connection lost (`ECONNRESET`, `EPIPE`, `ETIMEDOUT`, `PROTOCOL_CONNECTION_LOST`, `ESOCKET`), session ended, server shut down or crashed, timeout of the client | transient: the statement may have been executed |
 * | constraint, syntax, permission, password, bad data | permanent |
 * | {@link CommitUnknown} | transient: the transaction may have been applied |
 * | anything else | not recognised |
 *
 * "Unprocessed" is true of the statement that failed, and of the transaction around it. An effect that makes several changes
 * without a transaction has made the first ones by then: put it into a {@link transaction}.
 *
 * A unique violation is permanent, although the loser of a race gets it too (PostgreSQL's manual, section 13.5). Where you
 * know that it was a race, say so first:
 *
 * ```ts
 * import { SqlError } from "effect/sql"
 * import { Fault } from "effect-resilience"
 * import * as Sql from "effect-resilience/sql"
 *
 * const isRace = (error: unknown): error is SqlError.SqlError =>
 *   SqlError.isSqlError(error) && error.reason._tag === "UniqueViolation" && error.reason.constraint === "seats_pkey"
 *
 * const faults = Fault.orElse(Fault.refine(isRace, Fault.transient({ unprocessed: true })), Sql.faults)
 * ```
 *
 * @since 0.1.0
 * @category classifiers
 */
export const faults = /*#__PURE__*/ Fault.orElse(
  /*#__PURE__*/ Fault.refine(isKnown, (error) => verdictOf(error)!),
  /*#__PURE__*/ Fault.tags({ transient: ["CommitUnknown"] })
)
