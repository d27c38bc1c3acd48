// Money is moved between accounts, by many at once. Each transfer reads two balances and writes two: at PostgreSQL's default
// isolation level some writes get lost, at its strictest the database refuses some of the transactions, and a policy runs those
// again.
//
//   node --conditions=effect-resilience-source examples/20-serializable-transfer.ts
//
// It needs PostgreSQL: the one that RESILIENCE_PG_URL names, or its programs, to start one. Without either it says so and ends.
import { Console, Data, Effect, Layer, Random } from "effect"
import { PgClient } from "@effect/sql-pg"
import { SqlClient } from "effect/sql"
import { Backoff, Policy, Telemetry } from "effect-resilience"
import * as Sql from "effect-resilience/sql"
import { postgres } from "./support/postgres.ts"

const accounts = 5
const clerks = 8
const transfersEach = 25

class Insufficient extends Data.TaggedError("Insufficient")<{ readonly account: number }> {}

// "not-idempotent": applied twice, a transfer moves the money twice. It is retried all the same, because what the database has
// rolled back was not applied. Only after a COMMIT without an answer there is no retry.
const transfers = Policy.make({
  name: "accounts.transfer",
  safety: "not-idempotent",
  deadline: "30 seconds",
  retry: Backoff.exponential({ base: "2 millis", cap: "50 millis" }).pipe(Backoff.fullJitter, Backoff.times(50))
})

// The whole of it is a transaction, and all of it runs again: balances that were read before are not true any more.
const move = (from: number, to: number, amount: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const balance = (id: number) =>
      Effect.map(
        sql<{ readonly balance: number }>`SELECT balance FROM accounts WHERE id = ${id}`,
        (rows) => rows[0]!.balance
      )
    const [ofFrom, ofTo] = [yield* balance(from), yield* balance(to)]
    if (ofFrom < amount) return yield* new Insufficient({ account: from })
    yield* sql`UPDATE accounts SET balance = ${ofFrom - amount} WHERE id = ${from}`
    yield* sql`UPDATE accounts SET balance = ${ofTo + amount} WHERE id = ${to}`
  })

type Move = ReturnType<typeof move>

/** All clerks at work; then the books are checked. */
const day = Effect.fnUntraced(function* <E extends { readonly _tag: string }>(
  name: string,
  inTransaction: (self: Move) => Effect.Effect<void, E, SqlClient.SqlClient>
) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DELETE FROM accounts`
  yield* sql`INSERT INTO accounts SELECT id, 100 FROM generate_series(1, ${accounts}) AS id`
  const ended = new Map<string, number>()
  const transfer = Effect.gen(function* () {
    const from = yield* Random.nextIntBetween(1, accounts)
    const to = 1 + ((from - 1 + (yield* Random.nextIntBetween(1, accounts - 1))) % accounts)
    const result = yield* inTransaction(move(from, to, yield* Random.nextIntBetween(1, 50))).pipe(
      Effect.match({ onSuccess: () => "made", onFailure: ({ _tag }) => _tag })
    )
    ended.set(result, (ended.get(result) ?? 0) + 1)
  })
  const clerk = Effect.repeat(transfer, { times: transfersEach - 1 })
  const [exit, events] = yield* Telemetry.recorded(
    Effect.all(
      Array.from({ length: clerks }, () => clerk),
      { concurrency: clerks }
    )
  )
  yield* exit
  const retries = events.filter(({ _tag }) => _tag === "RetryScheduled").length
  const [row] = yield* sql<{ readonly total: number }>`SELECT sum(balance)::int AS total FROM accounts`
  const count = (tag: string) => `${ended.get(tag) ?? 0}`
  yield* Console.log(
    `${name}\n  ${clerks * transfersEach} transfers: ${count("made")} made, ${count("Insufficient")} without the money for it`
  )
  yield* Console.log(`  ${count("SqlError")} refused by the database, ${retries} retries`)
  yield* Console.log(
    `  the books: ${row!.total === accounts * 100 ? "balanced" : `${row!.total - accounts * 100} off`}`
  )
})

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.acquireRelease(sql`CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)`, () =>
    Effect.ignore(sql`DROP TABLE accounts`)
  )
  yield* day("read committed", (self) => sql.withTransaction(self))
  yield* day("serializable, nobody retries", (self) =>
    sql
      .withTransaction(self)
      .pipe(Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL SERIALIZABLE"))
  )
  yield* day("serializable, under a policy", Sql.transaction(transfers, { isolation: "serializable" }))
})

const client = Layer.unwrap(Effect.map(postgres, ({ config }) => PgClient.layer({ ...config, maxConnections: clerks })))

await program.pipe(
  Effect.scoped,
  Effect.provide(client),
  Effect.catchTag("NoPostgres", ({ reason }) => Console.log(`skipped: ${reason}`)),
  Random.withSeed("transfers"),
  Effect.runPromise
)
