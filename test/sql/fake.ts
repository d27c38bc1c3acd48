// A SqlClient over a database that answers as the test says, and notes every statement that reaches it.
import { PgClient } from "@effect/sql-pg"
import { Effect, Semaphore, Stream } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient, SqlError, Statement } from "effect/sql"

const reasons = {
  AuthenticationError: SqlError.AuthenticationError,
  AuthorizationError: SqlError.AuthorizationError,
  ConnectionError: SqlError.ConnectionError,
  ConstraintError: SqlError.ConstraintError,
  DeadlockError: SqlError.DeadlockError,
  LockTimeoutError: SqlError.LockTimeoutError,
  SerializationError: SqlError.SerializationError,
  SqlSyntaxError: SqlError.SqlSyntaxError,
  StatementTimeoutError: SqlError.StatementTimeoutError,
  UniqueViolation: SqlError.UniqueViolation,
  UnknownError: SqlError.UnknownError
}

/** An error as PostgreSQL's clients make it: the reason, and the answer of the server as its cause. */
export const sqlError = (
  reason: SqlError.SqlErrorReason["_tag"],
  fields: { readonly [field: string]: unknown } = {},
  props: { readonly message?: string; readonly operation?: string } = { operation: "query" }
): SqlError.SqlError => {
  const cause = Object.assign(new Error(`cause of ${reason}`), fields)
  const Reason = reasons[reason] as new (props: object) => SqlError.SqlErrorReason
  return new SqlError.SqlError({ reason: new Reason({ cause, constraint: "accounts_pkey", ...props }) })
}

export const serializationFailure = sqlError("SerializationError", { code: "40001", severityUnlocalized: "ERROR" })
export const deadlock = sqlError("DeadlockError", { code: "40P01", severityUnlocalized: "ERROR" })
export const uniqueViolation = sqlError("UniqueViolation", { code: "23505", severityUnlocalized: "ERROR" })
/** What every statement on a session fails with once it is over. */
export const terminated = sqlError("UnknownError", { code: "57P01", severityUnlocalized: "FATAL" })
export const connectionClosed = sqlError("ConnectionError")
export const refused = sqlError("ConnectionError", { code: "ECONNREFUSED" }, { operation: "connect" })

/** What a statement answers; by default no rows. It may be a failure, or take its time. */
export type Answer = (
  statement: string,
  nth: number
) => Effect.Effect<ReadonlyArray<object>, SqlError.SqlError> | undefined

export const fakeClient = Effect.fnUntraced(function* (
  answer: Answer = () => undefined,
  options: {
    readonly dialect?: "pg" | "sqlite"
    readonly connections?: number
    readonly acquire?: Effect.Effect<void, SqlError.SqlError>
    readonly onCommitFailure?: Effect.Effect<void, SqlError.SqlError>
  } = {}
) {
  const log: Array<string> = []
  const execute = (statement: string) =>
    Effect.suspend(() => {
      const nth = log.push(statement)
      return answer(statement, log.filter((other) => other === statement).length) ?? Effect.succeed([{ nth }])
    })
  const connection = {
    execute,
    executeUnprepared: execute,
    executeRaw: execute,
    executeStream: () => Stream.empty,
    executeValues: () => Effect.succeed([]),
    executeValuesUnprepared: () => Effect.succeed([])
  }
  const pool = Semaphore.makeUnsafe(options.connections ?? 10)
  const inUse = { connections: 0 }
  const acquirer = Effect.andThen(
    Effect.acquireRelease(
      Effect.tap(pool.take(1), () => Effect.sync(() => inUse.connections++)),
      () =>
        Effect.andThen(
          Effect.sync(() => inUse.connections--),
          pool.release(1)
        ),
      { interruptible: true }
    ),
    Effect.as(options.acquire ?? Effect.void, connection)
  )
  const sql = yield* SqlClient.make({
    acquirer,
    compiler: options.dialect === "sqlite" ? Statement.makeCompilerSqlite() : PgClient.makeCompiler(),
    driver: "fake",
    spanAttributes: [],
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    onCommitFailure: options.onCommitFailure === undefined ? undefined : () => options.onCommitFailure!
  }).pipe(Effect.provide(Reactivity.layer))
  return { sql, log, inUse }
})
