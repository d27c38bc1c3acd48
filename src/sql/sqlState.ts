// What a database says of an error beside Effect's reason: its SQLSTATE and its severity. The codes are those of PostgreSQL's
// manual, appendix A; the classes 08, 22, 23, 25, 28, 40, 42 and 44 are the SQL standard's, and other databases share them.
import type { SqlErrorReason } from "effect/sql/SqlError"

/**
 * - `contention`: another transaction was in the way. The database has undone this one, and is healthy.
 * - `undone`: the database could not finish, and has undone what it had begun.
 * - `not begun`: there was no session to begin anything in.
 * - `crowded`: there are too many sessions. Nothing was begun.
 * - `lost`: what was asked for last may have been done.
 * - `final`: the same request fails again.
 */
export type Meaning = "contention" | "undone" | "not begun" | "crowded" | "lost" | "final"

/** What the SQLSTATE means, if there is one that is known here. */
export const meaningOf = (reason: SqlErrorReason): Meaning | undefined => {
  const state = sqlStateOf(reason)
  if (state === undefined) return undefined
  return states.has(state) ? states.get(state) : classes.get(state.slice(0, 2))
}

/** `sqlState` in clients of MySQL, `code` in those of PostgreSQL, where it may be one of the operating system as well. */
const sqlStateOf = ({ cause }: SqlErrorReason): string | undefined =>
  stringIn(cause, "sqlState") ?? stringIn(cause, "code")

/** "ERROR", or "FATAL" and "PANIC", which end the session. PostgreSQL says it, as a word of its locale first. */
export const severityOf = ({ cause }: SqlErrorReason): string | undefined =>
  stringIn(cause, "severityUnlocalized") ?? stringIn(cause, "severity")

const stringIn = (cause: unknown, field: string): string | undefined => {
  const value: unknown = typeof cause === "object" && cause !== null ? Reflect.get(cause, field) : undefined
  return typeof value === "string" ? value : undefined
}

// Which of them pass: PostgreSQL's manual, section 13.5, for 40001 and 40P01, and Npgsql's `PostgresException.IsTransient` for
// 08, 53, 55P03, 57P01 to 57P03, 57P05, 58000 and 58030. That what an ERROR ends is undone is PostgreSQL's protocol.
const states: ReadonlyMap<string, Meaning | undefined> = new Map<string, Meaning | undefined>([
  ["08001", "not begun"], // unable to establish the connection
  ["08004", "not begun"], // the server rejected the connection
  ["25006", undefined], // read-only transaction: after a fail-over, because this server is a standby now
  ["25P03", "undone"], // idle in a transaction for too long
  ["25P04", "undone"], // the transaction took too long
  ["40002", "final"], // an integrity constraint, found out at the end
  ["40003", "lost"], // whether the statement was completed is unknown
  ["53300", "crowded"], // too many connections
  ["55P03", "contention"], // a lock was not available in time
  ["57014", "undone"], // canceled, by a statement timeout or by somebody
  ["57P01", "lost"], // the session was ended by an administrator, or by a shutdown
  ["57P02", "lost"], // the server has crashed
  ["57P03", "not begun"], // the server starts up, shuts down or recovers
  ["57P05", "not begun"], // the session was idle for too long
  ["58000", "lost"], // an error of the operating system
  ["58030", "lost"], // an error of the disk
  ["70100", "undone"] // MySQL: interrupted, by a timeout or by KILL
])

const classes: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ["08", "lost"], // connection exception
  ["0A", "final"], // feature not supported
  ["22", "final"], // data exception
  ["23", "final"], // integrity constraint violation
  ["25", "final"], // invalid transaction state, such as a statement after one that failed
  ["28", "final"], // invalid authorization
  ["3D", "final"], // no such database
  ["3F", "final"], // no such schema
  ["40", "contention"], // transaction rollback
  ["42", "final"], // syntax error or access rule violation
  ["44", "final"], // WITH CHECK OPTION violation
  ["53", "undone"], // insufficient resources
  ["54", "final"], // program limit exceeded
  ["P0", "final"] // raised by a function
])
