// How isolated a transaction is: said by the BEGIN of the outermost one, and asked of the database by one inside.
import * as Effect from "effect/Effect"
import { BeginTransaction } from "effect/sql/SqlClient"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { invalid } from "../internal/validate.ts"

/**
 * How isolated a transaction is from others, as PostgreSQL has it: its "read uncommitted" is "read committed".
 *
 * @since 0.1.0
 * @category models
 */
export type Isolation = (typeof levels)[number]

/** From the weakest to the strongest. */
const levels = ["read committed", "repeatable read", "serializable"] as const

const option = "Sql.transaction: isolation"

export const checked = (isolation: Isolation): Isolation =>
  levels.includes(isolation) ? isolation : invalid(option, isolation, `one of ${levels.join(", ")}`)

/** Makes the transactions that `run` begins as isolated as that. What `self` begins with other clients is left alone. */
export const begunAs = <A, E, R, B, E2, R2>(
  isolation: Isolation,
  before: string | undefined,
  self: Effect.Effect<A, E, R>,
  run: (self: Effect.Effect<A, E, R>) => Effect.Effect<B, E2, R2>
): Effect.Effect<B, E2, R2> =>
  run(Effect.provideService(self, BeginTransaction, before)).pipe(
    Effect.provideService(BeginTransaction, `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()}`)
  )

/** Only PostgreSQL's BEGIN can say a level. */
export const onlyPostgres = (sql: SqlClient, isolation: Isolation): void =>
  sql.onDialectOrElse({
    pg: () => {},
    orElse: () => invalid(option, isolation, "unset with a client that is not one of PostgreSQL")
  })

/** Dies where the transaction around is less isolated: a savepoint cannot change that. */
export const atLeast = (sql: SqlClient, isolation: Isolation): Effect.Effect<void, SqlError> =>
  Effect.map(sql<{ readonly level: Isolation }>`SELECT current_setting('transaction_isolation') AS level`, (rows) => {
    const around = rows[0]!.level
    // not found: "read uncommitted"
    if (Math.max(0, levels.indexOf(around)) < levels.indexOf(isolation)) {
      invalid(option, isolation, `at most that of the transaction around it, which is ${around}`)
    }
  })
