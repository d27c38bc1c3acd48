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
    ["a row that cannot be decoded", sqlError("UnknownError"), undefined]
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
