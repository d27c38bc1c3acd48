import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Data, Effect } from "effect"
import { SqlError } from "effect/sql"
import * as Fault from "../../src/Fault.ts"
import * as Policy from "../../src/Policy.ts"
import { withResilience } from "../../src/Policy.ts"
import * as Backoff from "../../src/Backoff.ts"
import * as Sql from "../../src/sql/index.ts"
import { sqlError } from "./fake.ts"

const error = (code: string, severityUnlocalized = "ERROR") => ({ code, severityUnlocalized })
const contention = { kind: "transient", unprocessed: true, health: "ok" }
const undone = { kind: "transient", unprocessed: true }
const lost = { kind: "transient" }
const final = { kind: "permanent" }

const crowded = { kind: "throttled", unprocessed: true }

const connect = { operation: "connect" }

/** As mysql2 makes it: without a SQLSTATE where the server has sent none. */
const mysql = (reason: SqlError.SqlErrorReason["_tag"], code: string, sqlState: string, props?: typeof connect) =>
  sqlError(reason, { code, sqlState }, props)

/** As undici's fetch throws it. */
const fetchFailed = (code: string) => ({ name: "TypeError", cause: Object.assign(new Error(code), { code }) })

/** The verdict, without what it does not say. */
const verdictOn = (error: unknown) => {
  const verdict = Sql.faults.classify(error)
  return verdict && Object.fromEntries(Object.entries(verdict).filter(([, value]) => value !== undefined))
}

describe("Sql.faults", () => {
  const table: ReadonlyArray<readonly [what: string, error: SqlError.SqlError, verdict: object | undefined]> = [
    ["a serialization failure", sqlError("SerializationError", error("40001")), contention],
    ["a deadlock", sqlError("DeadlockError", error("40P01")), contention],
    ["a deadlock in MySQL", sqlError("DeadlockError", { code: "ER_LOCK_DEADLOCK", sqlState: "40001" }), contention],
    ["a lock timeout", sqlError("LockTimeoutError", error("55P03")), contention],
    ["a busy SQLite", sqlError("LockTimeoutError", { code: "SQLITE_BUSY", errno: 5 }), contention],
    ["a serialization failure that the client does not know", sqlError("UnknownError", error("40001")), contention],
    ["a statement timeout of the server", sqlError("StatementTimeoutError", error("57014")), undone],
    ["a statement timeout of the client", sqlError("StatementTimeoutError", { code: "ETIMEOUT" }), lost],
    ["out of memory", sqlError("UnknownError", error("53200")), undone],
    [
      "too many connections",
      sqlError("UnknownError", error("53300", "FATAL"), { operation: "connect" }),
      { kind: "throttled", unprocessed: true }
    ],
    ["a refused connection", sqlError("ConnectionError", { code: "ECONNREFUSED" }, { operation: "connect" }), undone],
    ["a refused connection, without an operation", sqlError("ConnectionError", { code: "ECONNREFUSED" }, {}), undone],
    ["no such host", sqlError("ConnectionError", { code: "ENOTFOUND" }, {}), undone],
    ["a name server that is away", sqlError("ConnectionError", { code: "EAI_AGAIN" }, {}), undone],
    ["a connect timeout", sqlError("ConnectionError", {}, { operation: "connect" }), undone],
    ["a pool that has none to give", sqlError("UnknownError", {}, { operation: "acquireConnection" }), undone],
    ["a reset while connecting", sqlError("ConnectionError", { code: "ECONNRESET" }, { operation: "connect" }), undone],
    ["a server that starts up", sqlError("UnknownError", error("57P03", "FATAL"), { operation: "connect" }), undone],
    ["a rejected connection", sqlError("ConnectionError", error("08004", "FATAL")), undone],
    ["a connection closed under a statement", sqlError("ConnectionError"), lost],
    ["a connection reset under a statement", sqlError("ConnectionError", { code: "ECONNRESET" }), lost],
    ["a connection failure that the server reports", sqlError("ConnectionError", error("08006")), lost],
    ["a terminated session", sqlError("UnknownError", error("57P01", "FATAL")), lost],
    ["a crashed server", sqlError("UnknownError", error("57P02", "FATAL")), lost],
    ["a statement of which nobody knows whether it was completed", sqlError("UnknownError", error("40003")), lost],
    ["a session idle for too long", sqlError("UnknownError", error("57P05", "FATAL")), undone],
    ["a transaction idle for too long", sqlError("UnknownError", error("25P03", "FATAL")), undone],
    ["a unique violation", sqlError("UniqueViolation", error("23505")), final],
    ["a foreign key", sqlError("ConstraintError", error("23503")), final],
    ["a syntax error", sqlError("SqlSyntaxError", error("42601")), final],
    ["a missing permission", sqlError("AuthorizationError", error("42501")), final],
    ["a wrong password", sqlError("AuthenticationError", error("28P01", "FATAL"), { operation: "connect" }), final],
    ["no such database", sqlError("UnknownError", error("3D000", "FATAL"), { operation: "connect" }), final],
    ["a division by zero", sqlError("UnknownError", error("22012")), final],
    ["a statement after one that failed", sqlError("UnknownError", error("25P02")), final],
    ["an exception of a function", sqlError("UnknownError", error("P0001")), final],
    ["an internal error", sqlError("UnknownError", error("XX000")), undefined],
    ["a standby that cannot write", sqlError("UnknownError", error("25006")), undefined],
    ["a row that cannot be decoded", sqlError("UnknownError"), undefined],
    ["a server that shuts down while connecting", sqlError("UnknownError", error("57P01", "FATAL"), connect), undone],
    // of Effect's clients, some have no ConnectionError for what the operating system or the driver says
    ["a reset that the client does not know", sqlError("UnknownError", { code: "ECONNRESET" }), lost],
    ["a broken pipe that the client does not know", sqlError("UnknownError", { code: "EPIPE" }), lost],
    ["a timeout that the client does not know", sqlError("UnknownError", { code: "ETIMEDOUT" }), lost],
    ["a lost connection of mysql2", sqlError("UnknownError", { code: "PROTOCOL_CONNECTION_LOST", fatal: true }), lost],
    ["a statement on a connection of mysql2 that is closed", sqlError("UnknownError", { fatal: true }), lost],
    ["a connect timeout of mysql2", sqlError("UnknownError", { code: "ETIMEDOUT", syscall: "connect" }), undone],
    [
      "too many connections, of MySQL, at the handshake",
      mysql("ConnectionError", "ER_CON_COUNT_ERROR", "", connect),
      crowded
    ],
    ["too many connections of a user", mysql("ConnectionError", "ER_TOO_MANY_USER_CONNECTIONS", "42000"), crowded],
    ["a host that is not allowed", mysql("ConnectionError", "ER_HOST_NOT_PRIVILEGED", "HY000", connect), final],
    ["a lock that MySQL does not wait for", mysql("UnknownError", "ER_LOCK_NOWAIT", "HY000"), contention],
    ["a statement timeout of MySQL", mysql("StatementTimeoutError", "ER_QUERY_TIMEOUT", "HY000"), undone],
    ["a statement that was killed", mysql("UnknownError", "ER_QUERY_INTERRUPTED", "70100"), undone],
    ["a server of MySQL that shuts down", mysql("UnknownError", "ER_SERVER_SHUTDOWN", "08S01"), lost],
    ["a server of MySQL that cannot write", mysql("UnknownError", "ER_OPTION_PREVENTS_STATEMENT", "HY000"), undefined],
    [
      "a busy SQLite that the client does not know",
      sqlError("UnknownError", { code: "SQLITE_BUSY_SNAPSHOT" }),
      contention
    ],
    ["a full disk of SQLite", sqlError("UnknownError", { code: "SQLITE_FULL" }), undone],
    ["a full disk of node:sqlite", sqlError("UnknownError", { code: "ERR_SQLITE_ERROR", errcode: 13 }), undone],
    ["a file that cannot be opened", sqlError("ConnectionError", { code: "SQLITE_CANTOPEN" }), undone],
    ["an error of SQLite", sqlError("UnknownError", { code: "SQLITE_ERROR" }), undefined],
    ["a fetch of libSQL that is refused", sqlError("UnknownError", fetchFailed("ECONNREFUSED")), undone],
    ["a fetch of libSQL that is cut", sqlError("UnknownError", fetchFailed("UND_ERR_SOCKET")), lost],
    ["a deadlock of SQL Server", sqlError("DeadlockError", { code: "EREQUEST", number: 1205 }), contention],
    [
      "a deadlock that the client does not know",
      sqlError("UnknownError", { code: "EREQUEST", number: 1205 }),
      contention
    ],
    ["a busy Azure", sqlError("UnknownError", { code: "EREQUEST", number: 40501 }), crowded],
    ["a lost connection of tedious", sqlError("UnknownError", { code: "ESOCKET" }), lost],
    ["a refused connection of tedious", sqlError("ConnectionError", { code: "ESOCKET" }, connect), undone],
    ["a connect timeout of tedious", sqlError("ConnectionError", { code: "ETIMEOUT" }, connect), undone],
    ["a request timeout of tedious", sqlError("UnknownError", { code: "ETIMEOUT" }), lost],
    ["a failed login of tedious", sqlError("ConnectionError", { code: "ELOGIN" }, connect), final],
    ["another error of SQL Server", sqlError("UnknownError", { code: "EREQUEST", number: 50_000 }), undefined]
  ]
  for (const [what, error, verdict] of table) {
    it(`${what}: ${verdict === undefined ? "not recognised" : Object.values(verdict).join(", ")}`, () => {
      assert.deepStrictEqual(verdictOn(error), verdict)
    })
  }

  it("a commit without an answer is transient, and may have been applied", () => {
    assert.deepStrictEqual(verdictOn(new Sql.CommitUnknown({ cause: sqlError("ConnectionError") })), lost)
    assert.deepStrictEqual(
      Fault.auto.classify(new Sql.CommitUnknown({ cause: sqlError("ConnectionError") }))?.kind,
      "transient"
    )
  })

  it("what an error says of itself counts first", () => {
    const own = Object.assign(sqlError("ConnectionError"), { [Fault.verdict]: Fault.throttled() })
    assert.deepStrictEqual(verdictOn(own), { kind: "throttled" })
  })

  it("knows nothing of other errors, whatever they are called", () => {
    for (const error of [
      undefined,
      null,
      "40001",
      new Error("deadlock"),
      { _tag: "SqlError" },
      { _tag: "SqlError", reason: {} }
    ]) {
      assert.isUndefined(Sql.faults.classify(error))
    }
  })

  it("in the types: a SqlError may be retried and may come out; of other errors nothing is known", () => {
    class Mine extends Data.TaggedError("Mine") {}
    type E = SqlError.SqlError | Mine | Sql.CommitUnknown
    expectTypeOf<Fault.Transient<typeof Sql.faults, E>>().toEqualTypeOf<SqlError.SqlError | Sql.CommitUnknown>()
    expectTypeOf<Fault.Permanent<typeof Sql.faults, E>>().toEqualTypeOf<SqlError.SqlError | Mine>()
  })

  it.effect("a statement of its own under a policy", () =>
    Effect.gen(function* () {
      const policy = Policy.make({
        name: "p",
        safety: "not-idempotent",
        faults: Sql.faults,
        retry: Backoff.constant(0).pipe(Backoff.times(2))
      })
      let runs = 0
      const failing = (error: SqlError.SqlError) =>
        Effect.suspend(() => (++runs, Effect.fail(error))).pipe(withResilience(policy), Effect.flip)
      // the server has undone it
      const deadlock = yield* failing(sqlError("DeadlockError"))
      assert.deepInclude(deadlock, { _tag: "RetryExhausted", reason: "schedule", attempts: 3 })
      assert.strictEqual(runs, 3)
      // it may have been executed
      const closed = yield* failing(sqlError("ConnectionError"))
      assert.deepInclude(closed, { _tag: "RetryExhausted", reason: "unsafe", attempts: 1 })
      assert.strictEqual(runs, 4)
      const twice = sqlError("UniqueViolation")
      assert.strictEqual<unknown>(yield* failing(twice), twice)
      assert.strictEqual(runs, 5)
    })
  )
})
