// What a driver says of an error where there is no SQLSTATE, or one that says too little: MySQL's and SQLite's errors have names, those of
// SQL Server numbers, and a connection that fails has a code of the driver or of the operating system.
import type { SqlErrorReason } from "effect/sql/SqlError"
import { meaningOf as meaningOfTransport } from "../http/transport.ts"
import type { Meaning } from "./sqlState.ts"

/** By `code`: MySQL's names as mysql2 has them, SQLite's result codes with or without their extension, tedious' ELOGIN. */
const names: ReadonlyArray<readonly [meaning: Meaning, code: RegExp]> = [
  ["contention", /^ER_(LOCK_DEADLOCK|LOCK_WAIT_TIMEOUT|LOCK_NOWAIT|CHECKREAD)$/],
  ["undone", /^ER_(QUERY_TIMEOUT|OUT_OF_RESOURCES|LOCK_TABLE_FULL)$/],
  // their SQLSTATEs are those of a rejected connection and of a syntax error
  ["crowded", /^ER_(CON_COUNT_ERROR|TOO_MANY_USER_CONNECTIONS|USER_LIMIT_REACHED|TOO_MANY_CONCURRENT_TRXS)$/],
  ["not begun", /^ER_CLIENT_INTERACTION_TIMEOUT$/],
  ["final", /^ER_(HOST_NOT_PRIVILEGED|HOST_IS_BLOCKED)$/],

  ["contention", /^SQLITE_(BUSY|LOCKED|PROTOCOL)(_|$)/],
  ["undone", /^SQLITE_(FULL|NOMEM|INTERRUPT)(_|$)/],
  ["not begun", /^SQLITE_CANTOPEN(_|$)/],
  ["final", /^SQLITE_(AUTH|CONSTRAINT|MISMATCH|PERM|RANGE|TOOBIG)(_|$)/],

  // which passes, tedious has tried again by itself
  ["final", /^(ELOGIN|EFEDAUTH|EENCRYPT)$/]
]

/** By `number`, of SQL Server. */
const numbers: ReadonlyMap<unknown, Meaning> = new Map<unknown, Meaning>([
  [1205, "contention"], // deadlock victim
  [1222, "contention"], // lock request timeout
  [3960, "contention"], // snapshot isolation: update conflict
  [41301, "contention"], // memory-optimized tables: a transaction that this one depends on has aborted
  [41302, "contention"], // … update conflict
  [41305, "contention"], // … repeatable read validation
  [41325, "contention"], // … serializable validation
  [701, "undone"], // out of memory
  [1204, "undone"], // out of locks
  [8645, "undone"], // waited too long for memory
  [8651, "undone"], // no memory to run with
  [10928, "crowded"], // the limit of sessions or workers (Azure, and so are those that follow)
  [10929, "crowded"],
  [40501, "crowded"], // the service is busy
  [49918, "crowded"],
  [49919, "crowded"],
  [49920, "crowded"],
  [40197, "lost"], // the service was reconfigured or has failed over
  [40613, "not begun"] // the database is not available now
])

/** By the `errcode` of node:sqlite, without its extension: the same as by name above. */
const results: ReadonlyMap<number, Meaning> = new Map<number, Meaning>([
  [5, "contention"], // busy
  [6, "contention"], // locked
  [7, "undone"], // out of memory
  [9, "undone"], // interrupted
  [13, "undone"], // full
  [14, "not begun"], // cannot open
  [15, "contention"] // the locking protocol
])

/** What a server has said, by the names and numbers of its own. */
export const meaningOfServer = ({ cause }: SqlErrorReason): Meaning | undefined => {
  const code = property(cause, "code")
  const named = typeof code === "string" ? names.find(([, pattern]) => pattern.test(code)) : undefined
  if (named !== undefined) return named[0]
  const result = property(cause, "errcode")
  return numbers.get(property(cause, "number")) ?? (typeof result === "number" ? results.get(result & 0xff) : undefined)
}

/** By `code`: mysql2, tedious, libSQL over a WebSocket, postgres.js. */
const connections: ReadonlyMap<unknown, "not begun" | "lost"> = new Map<unknown, "not begun" | "lost">([
  ["PROTOCOL_CONNECTION_LOST", "lost"],
  ["ECLOSE", "lost"],
  ["EINSTLOOKUP", "not begun"],
  ["HRANA_WEBSOCKET_ERROR", "lost"],
  ["HRANA_CLOSED_ERROR", "lost"],
  ["CONNECTION_CLOSED", "lost"],
  ["CONNECTION_DESTROYED", "lost"],
  ["CONNECT_TIMEOUT", "not begun"]
])

/** What has become of the connection. */
export const meaningOfConnection = ({ cause }: SqlErrorReason): "not begun" | "lost" | undefined => {
  const own = connections.get(property(cause, "code"))
  if (own !== undefined) return own
  // of the operating system, wherever in the chain of causes
  const transport = meaningOfTransport(cause)
  if (transport === "not sent") return "not begun"
  return transport === "lost" || isGone(cause) || isTimeout(cause) ? "lost" : undefined
}

/** The session is over, and not only silent. */
export const isOver = (reason: SqlErrorReason): boolean =>
  meaningOfConnection(reason) !== undefined && !isTimeout(reason.cause)

/** The client does not wait for the answer any longer: of mysql2, and of tedious. */
const isTimeout = (cause: unknown): boolean =>
  property(cause, "code") === "PROTOCOL_SEQUENCE_TIMEOUT" || property(cause, "code") === "ETIMEOUT"

/** A connection that cannot be used any more. */
const isGone = (cause: unknown): boolean =>
  // mysql2, which says no more of a statement on a connection that is closed
  property(cause, "fatal") === true ||
  property(cause, "code") === "ESOCKET" ||
  // tedious, of the same; in any other state it is busy
  (property(cause, "code") === "EINVALIDSTATE" && /not the Final state/.test(String(property(cause, "message"))))

const property = (cause: unknown, name: string): unknown =>
  typeof cause === "object" && cause !== null ? Reflect.get(cause, name) : undefined
