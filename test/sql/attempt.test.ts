import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Deferred, Effect, Exit, Fiber } from "effect"
import { SqlError } from "effect/sql"
import * as Fault from "../../src/Fault.ts"
import { attempt, causeOf } from "../../src/sql/attempt.ts"
import * as Sql from "../../src/sql/index.ts"
import {
  connectionClosed,
  fakeClient,
  refused,
  serializationFailure,
  sqlError,
  terminated,
  uniqueViolation,
  type Answer
} from "./fake.ts"

class Mine extends Data.TaggedError("Mine") {}
const mine = new Mine()

const failing = (failures: { readonly [statement: string]: SqlError.SqlError }): Answer => {
  const byStatement = new Map(Object.entries(failures))
  return (statement) => {
    const failure = byStatement.get(statement)
    return failure && Effect.fail(failure)
  }
}

/** What a transaction of one statement ends with, and the statements that were sent. */
const run = Effect.fnUntraced(function* <E = never>(
  answer: Answer,
  then: Effect.Effect<unknown, E> = Effect.void,
  options?: Parameters<typeof fakeClient>[1]
) {
  const { log, sql } = yield* fakeClient(answer, options)
  const exit = yield* Effect.exit(attempt(sql, Effect.andThen(sql`UPDATE`, then), "outermost"))
  return { exit, log: log.join(", ") }
})

const onlyError = (exit: Exit.Exit<unknown, unknown>): unknown => {
  assert.isTrue(Exit.isFailure(exit))
  const { reasons } = (exit as Exit.Failure<unknown, unknown>).cause
  assert.deepStrictEqual(
    reasons.map((reason) => reason._tag),
    ["Fail"]
  )
  return (reasons[0] as Cause.Fail<unknown>).error
}

const unprocessed = (error: unknown) => Sql.faults.classify(error)?.unprocessed === true

describe("BEGIN", () => {
  it.effect("no connection: nothing was begun", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* run(() => undefined, Effect.void, { acquire: Effect.fail(refused) })
      assert.strictEqual(onlyError(exit), refused)
      assert.strictEqual(log, "")
    })
  )

  it.effect("is lost: nothing was begun, whatever had become of the statement", () =>
    Effect.gen(function* () {
      for (const failure of [connectionClosed, terminated]) {
        const { exit, log } = yield* run(failing({ BEGIN: failure }))
        const error = onlyError(exit) as SqlError.SqlError
        assert.isTrue(unprocessed(error))
        assert.isFalse(unprocessed(failure))
        assert.isTrue(SqlError.isSqlError(error))
        assert.strictEqual(error.reason, failure.reason)
        assert.strictEqual(error.message, failure.message)
        assert.strictEqual(log, "BEGIN")
      }
    })
  )

  it.effect("is refused for good", () =>
    Effect.gen(function* () {
      const failure = sqlError("SqlSyntaxError")
      assert.strictEqual(onlyError((yield* run(failing({ BEGIN: failure }))).exit), failure)
      const unknown = sqlError("UnknownError")
      assert.strictEqual(onlyError((yield* run(failing({ BEGIN: unknown }))).exit), unknown)
    })
  )
})

describe("the body", () => {
  it.effect("succeeds", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* run(() => undefined, Effect.succeed(42))
      assert.deepStrictEqual(exit, Exit.succeed(42))
      assert.strictEqual(log, "BEGIN, UPDATE, COMMIT")
    })
  )

  it.effect("fails and is rolled back: its error comes out untouched", () =>
    Effect.gen(function* () {
      for (const failure of [serializationFailure, uniqueViolation, connectionClosed]) {
        const { exit, log } = yield* run(failing({ UPDATE: failure }))
        assert.strictEqual(onlyError(exit), failure)
        assert.strictEqual(log, "BEGIN, UPDATE, ROLLBACK")
      }
      assert.strictEqual(onlyError((yield* run(() => undefined, Effect.fail(mine))).exit), mine)
    })
  )

  it.effect("loses its connection: a failure, not a defect, and the database undoes it", () =>
    Effect.gen(function* () {
      for (const failure of [
        connectionClosed,
        terminated,
        sqlError("UnknownError", { code: "57P02", severity: "PANIC" }),
        // mysql2 and Effect's client for it have no other words for that
        sqlError("UnknownError", { code: "PROTOCOL_CONNECTION_LOST", fatal: true }),
        sqlError("UnknownError", { code: "ECONNRESET" }),
        sqlError("UnknownError", { fatal: true })
      ]) {
        const { exit, log } = yield* run(failing({ UPDATE: failure, ROLLBACK: failure }))
        const error = onlyError(exit) as SqlError.SqlError
        assert.strictEqual(error.reason, failure.reason)
        assert.strictEqual(log, "BEGIN, UPDATE, ROLLBACK")
        assert.isTrue(unprocessed(error))
        // what else waits for that connection gets the same instance
        assert.isFalse(unprocessed(failure))
      }
    })
  )

  it.effect("fails by itself while the connection is lost: its own failure stands", () =>
    Effect.gen(function* () {
      const lost = failing({ ROLLBACK: terminated })
      assert.strictEqual(onlyError((yield* run(lost, Effect.fail(mine))).exit), mine)
      assert.strictEqual(onlyError((yield* run(lost, Effect.fail(uniqueViolation))).exit), uniqueViolation)
      const { exit } = yield* run(lost, Effect.die("a bug"))
      assert.deepStrictEqual(exit, Exit.die("a bug"))
    })
  )

  it.effect(
    "a ROLLBACK that fails on a live connection stays a defect: the connection may go back to the pool as it is",
    () =>
      Effect.gen(function* () {
        const timeout = sqlError("StatementTimeoutError", { code: "57014", severityUnlocalized: "ERROR" })
        const { exit } = yield* run(failing({ ROLLBACK: timeout }), Effect.fail(mine))
        assert.isTrue(Exit.isFailure(exit) && exit.cause.reasons.some((r) => r._tag === "Die" && r.defect === timeout))
      })
  )

  it.effect("the whole cause is kept", () =>
    Effect.gen(function* () {
      const both = Effect.failCause(Cause.combine(Cause.fail(terminated), Cause.fail(mine)))
      const { exit } = yield* run(failing({ ROLLBACK: terminated }), both)
      const errors = (exit as Exit.Failure<unknown, unknown>).cause.reasons.map((r) => (r as Cause.Fail<unknown>).error)
      assert.strictEqual(errors.length, 2)
      assert.isTrue(unprocessed(errors[0]))
      assert.strictEqual(errors[1], mine)
    })
  )

  it.effect("a plain withTransaction inside loses the connection: the defect that it makes is undone too", () =>
    Effect.gen(function* () {
      const { sql } = yield* fakeClient((statement) =>
        statement === "UPDATE" || statement.startsWith("ROLLBACK") ? Effect.fail(terminated) : undefined
      )
      const exit = yield* Effect.exit(attempt(sql, sql.withTransaction(sql`UPDATE`), "outermost"))
      const { reasons } = (exit as Exit.Failure<unknown, unknown>).cause
      assert.isTrue(
        reasons.length > 0 && reasons.every((reason) => reason._tag === "Fail" && unprocessed(reason.error))
      )
    })
  )
})

describe("COMMIT", () => {
  const cases: ReadonlyArray<readonly [what: string, failure: SqlError.SqlError, unknown: boolean]> = [
    ["a serialization failure", serializationFailure, false],
    ["a deadlock", sqlError("DeadlockError"), false],
    ["a busy SQLite", sqlError("LockTimeoutError"), false],
    ["a deferred unique constraint", uniqueViolation, false],
    ["a deferred constraint", sqlError("ConstraintError"), false],
    ["canceled", sqlError("StatementTimeoutError", { code: "57014", severityUnlocalized: "ERROR" }), false],
    ["an ERROR of a trigger", sqlError("UnknownError", { code: "P0001", severity: "ERROR" }), false],
    ["an ERROR without an SQLSTATE", sqlError("UnknownError", { severity: "ERROR" }), false],
    [
      "answered with ROLLBACK",
      sqlError(
        "UnknownError",
        {},
        { message: "PgClient: COMMIT rolled back an aborted transaction", operation: "commit" }
      ),
      false
    ],
    ["the connection is closed", connectionClosed, true],
    ["the session is terminated", terminated, true],
    ["a timeout of the client", sqlError("StatementTimeoutError"), true],
    ["the server says that it does not know", sqlError("UnknownError", { code: "40003", severity: "ERROR" }), true],
    ["so it does in class 08", sqlError("ConnectionError", { code: "08007", severity: "ERROR" }), true],
    ["an error that nobody knows", sqlError("UnknownError"), true],
    ["an error that nobody knows, of the operation", sqlError("UnknownError", {}, { operation: "commit" }), true],
    ["a word of the locale", sqlError("UnknownError", { code: "P0001", severity: "FEHLER" }), true],
    ["a message alone", sqlError("UnknownError", {}, { message: "COMMIT rolled back" }), true]
  ]
  for (const [what, failure, unknown] of cases) {
    it.effect(`${what}: ${unknown ? "may have been applied" : "nothing is applied"}`, () =>
      Effect.gen(function* () {
        const { exit, log } = yield* run(failing({ COMMIT: failure }))
        const error = onlyError(exit)
        assert.strictEqual(log, "BEGIN, UPDATE, COMMIT")
        if (!unknown) return assert.strictEqual(error, failure)
        assert.instanceOf(error, Sql.CommitUnknown)
        assert.strictEqual((error as Sql.CommitUnknown).cause, failure)
        assert.isFalse(unprocessed(error))
      })
    )
  }

  it.effect("what the clean-up of a failed COMMIT fails with stays a defect", () =>
    Effect.gen(function* () {
      const bad = sqlError("UnknownError")
      const { exit } = yield* run(failing({ COMMIT: connectionClosed }), Effect.void, {
        onCommitFailure: Effect.fail(bad)
      })
      assert.deepStrictEqual(
        (exit as Exit.Failure<unknown, unknown>).cause.reasons.map((reason) => (reason as Cause.Die).defect),
        [connectionClosed, bad]
      )
    })
  )

  it("only what the client failed with is of COMMIT", () => {
    const both = Cause.combine(Cause.fail(mine), Cause.interrupt(1))
    assert.deepStrictEqual(causeOf(both, Exit.void, "outermost"), both)
  })

  it("says what to do", () => {
    const error = new Sql.CommitUnknown({ cause: sqlError("ConnectionError", {}, { message: "connection closed" }) })
    assert.strictEqual(
      error.message,
      "the transaction may have been applied, because COMMIT got no answer (connection closed): find out before you repeat it"
    )
    assert.strictEqual(error._tag, "CommitUnknown")
    assert.strictEqual(error[Fault.verdict].unprocessed, undefined)
  })
})

describe("a savepoint", () => {
  const nested = (answer: Answer, then: Effect.Effect<unknown, unknown> = Effect.void) =>
    Effect.gen(function* () {
      const { log, sql } = yield* fakeClient(answer)
      let inner: Exit.Exit<unknown, unknown> | undefined
      yield* sql
        .withTransaction(
          attempt(sql, Effect.andThen(sql`UPDATE`, then), "nested").pipe(
            Effect.onExit((exit) => Effect.sync(() => void (inner = exit)))
          )
        )
        .pipe(Effect.exit)
      return { exit: inner!, log: log.slice(1, -1).join(", ") }
    })
  const [open, back, release] = ["SAVEPOINT", "ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT"].map(
    (what) => `${what} effect_sql_1`
  ) as [string, string, string]

  it.effect("succeeds, and nothing is committed", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* nested(() => undefined, Effect.succeed(1))
      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.strictEqual(log, `${open}, UPDATE, ${release}`)
    })
  )

  it.effect(
    "its failure comes out as it is, also where the connection is lost: what that means the transaction around says",
    () =>
      Effect.gen(function* () {
        assert.strictEqual(
          onlyError((yield* nested(failing({ UPDATE: serializationFailure }))).exit),
          serializationFailure
        )
        assert.strictEqual(
          onlyError((yield* nested(failing({ UPDATE: terminated, [back]: terminated }))).exit),
          terminated
        )
        assert.strictEqual(onlyError((yield* nested(failing({ [back]: terminated }), Effect.fail(mine))).exit), mine)
        assert.strictEqual(onlyError((yield* nested(failing({ [open]: terminated }))).exit), terminated)
        assert.strictEqual(onlyError((yield* nested(failing({ [release]: terminated }))).exit), terminated)
      })
  )
})

describe("interruption", () => {
  const interrupted = Effect.fnUntraced(function* (answer: Answer, body: Effect.Effect<unknown, never>) {
    const { log, sql } = yield* fakeClient(answer)
    const fiber = yield* Effect.forkChild(attempt(sql, body, "outermost"), { startImmediately: true })
    yield* Effect.yieldNow
    yield* Fiber.interrupt(fiber)
    return { exit: yield* Fiber.await(fiber), log: log.join(", ") }
  })

  it.effect("rolls back", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* interrupted(() => undefined, Effect.never)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.strictEqual(log, "BEGIN, ROLLBACK")
    })
  )

  it.effect("and a lost connection makes no defect of it", () =>
    Effect.gen(function* () {
      const { exit } = yield* interrupted(failing({ ROLLBACK: terminated }), Effect.never)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    })
  )

  it.effect("waits for COMMIT", () =>
    Effect.gen(function* () {
      const committing = yield* Deferred.make<void>()
      const answered = yield* Deferred.make<ReadonlyArray<object>>()
      const { log, sql } = yield* fakeClient((statement) =>
        statement === "COMMIT"
          ? Effect.andThen(Deferred.succeed(committing, undefined), Deferred.await(answered))
          : undefined
      )
      const fiber = yield* Effect.forkChild(attempt(sql, sql`UPDATE`, "outermost"))
      yield* Deferred.await(committing)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* Effect.yieldNow
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(answered, [])
      yield* Fiber.join(interrupting)
      assert.isTrue(Exit.hasInterrupts(fiber.pollUnsafe()!))
      assert.strictEqual(log.join(", "), "BEGIN, UPDATE, COMMIT")
    })
  )

  it.effect("while it waits for a connection sends nothing, and takes none", () =>
    Effect.gen(function* () {
      const { log, sql } = yield* fakeClient(() => undefined, { connections: 1 })
      const holding = yield* Effect.forkChild(sql.withTransaction(Effect.never), { startImmediately: true })
      const waiting = yield* Effect.forkChild(attempt(sql, sql`UPDATE`, "outermost"), { startImmediately: true })
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(holding)
      assert.strictEqual(log.join(", "), "BEGIN, ROLLBACK")
      yield* attempt(sql, sql`UPDATE`, "outermost")
    })
  )
})
