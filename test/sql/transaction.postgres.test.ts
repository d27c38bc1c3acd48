// What a transaction under a policy does against a real PostgreSQL.
import { assert, layer as withLayer } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Fiber, Ref } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import * as Attempt from "../../src/Attempt.ts"
import * as Backoff from "../../src/Backoff.ts"
import * as Policy from "../../src/Policy.ts"
import { withResilience } from "../../src/Policy.ts"
import * as Sql from "../../src/sql/index.ts"
import { errorOf } from "../kit.ts"
import { client, Database, layer, needsOwnServer, proxy, withPostgres } from "./postgres.ts"

class Insufficient extends Data.TaggedError("Insufficient")<{ readonly total: number }> {}

const policy = Policy.make({
  name: "transfer",
  safety: "not-idempotent",
  deadline: "30 seconds",
  retry: Backoff.constant("5 millis").pipe(Backoff.additiveJitter({ window: "20 millis" }), Backoff.times(9))
})
const idempotent = Policy.extend(policy, { name: "transfer.again", safety: "idempotent" })

const attemptNumber = Effect.map(Attempt.current, ({ number }) => number)

/** A table of accounts with 100 in each of a and b. */
const accounts = Effect.fnUntraced(function* (table: string) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DROP TABLE IF EXISTS ${sql(table)}`
  yield* sql`CREATE TABLE ${sql(table)} (id text PRIMARY KEY, balance int NOT NULL)`
  yield* sql`INSERT INTO ${sql(table)} VALUES ('a', 100), ('b', 100)`
  const total = Effect.map(
    sql<{ readonly total: number }>`SELECT sum(balance)::int AS total FROM ${sql(table)}`,
    (rows) => rows[0]!.total
  )
  const add = (id: string, amount: number) =>
    sql`UPDATE ${sql(table)} SET balance = balance + ${amount} WHERE id = ${id}`
  return { sql, total, add }
})

/** Lets the first attempts of two transactions go on only when both have come so far. */
const meeting = Effect.map(Deferred.make<void>(), (met) => {
  let arrived = 0
  return Effect.flatMap(attemptNumber, (number) => {
    if (number > 1) return Effect.void
    return ++arrived === 2 ? Deferred.succeed(met, undefined) : Deferred.await(met)
  })
})

const backend = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ readonly pid: number }>`SELECT pg_backend_pid() AS pid`, (rows) => rows[0]!.pid)

/** Returns when that session is over. */
const terminate = (pid: number) =>
  Effect.flatMap(Database, ({ admin }) => admin`SELECT pg_terminate_backend(${pid}, 10000)`)

const reasonOf = (error: unknown) => (error as SqlError.SqlError).reason._tag

withPostgres("Sql.transaction on PostgreSQL", () => {
  withLayer(layer, { excludeTestServices: true, timeout: 60_000 })((it) => {
    it.effect("two serializable transactions that conflict: the second reads again, and decides by what it reads", () =>
      Effect.gen(function* () {
        const { add, total } = yield* accounts("skew")
        const attempts = yield* Ref.make(0)
        // each may take 100 from its account, as long as 100 are left in both together
        const withdraw = Effect.fnUntraced(function* (id: string, met: Effect.Effect<unknown>) {
          yield* Ref.update(attempts, (n) => n + 1)
          const before = yield* total
          yield* met
          if (before < 200) return yield* new Insufficient({ total: before })
          yield* add(id, -100)
        })
        const both = (isolation: Sql.Isolation) =>
          Effect.flatMap(meeting, (met) =>
            Effect.forEach(
              ["a", "b"],
              (id) => withdraw(id, met).pipe(Sql.transaction(policy, { isolation }), Effect.exit),
              { concurrency: 2 }
            )
          )
        const exits = yield* both("serializable")
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        assert.deepStrictEqual(errorOf(exits.find(Exit.isFailure)!), new Insufficient({ total: 100 }))
        assert.strictEqual(yield* total, 100)
        assert.strictEqual(yield* Ref.get(attempts), 3)

        // what the level is for: less isolated, both go through
        yield* add("a", 100)
        yield* Ref.set(attempts, 0)
        const careless = yield* both("read committed")
        assert.isTrue(careless.every(Exit.isSuccess))
        assert.strictEqual(yield* total, 0)
        assert.strictEqual(yield* Ref.get(attempts), 2)
      })
    )

    it.effect("a deadlock: one is rolled back and run again, although it is not idempotent", () =>
      Effect.gen(function* () {
        const { add, sql } = yield* accounts("deadlock")
        const statements = yield* Ref.make<ReadonlyArray<string>>([])
        const met = yield* meeting
        const noted = (id: string, amount: number) =>
          Effect.andThen(
            Ref.update(statements, (all) => [...all, id]),
            add(id, amount)
          )
        const transfer = (from: string, to: string) =>
          noted(from, -10).pipe(Effect.andThen(met), Effect.andThen(noted(to, 10)), Sql.transaction(policy))
        yield* Effect.all([transfer("a", "b"), transfer("b", "a")], { concurrency: 2 })
        assert.deepStrictEqual(yield* sql`SELECT * FROM deadlock ORDER BY id`, [
          { id: "a", balance: 100 },
          { id: "b", balance: 100 }
        ])
        // two statements each, and two again for one that was rolled back; on a busy machine both may be
        const sent = (yield* Ref.get(statements)).length
        assert.isTrue(sent === 6 || sent === 8, `${sent} statements`)
      })
    )

    it.effect("a lock that is not to be had in time", () =>
      Effect.gen(function* () {
        const { add, sql, total } = yield* accounts("locked")
        const held = yield* Deferred.make<void>()
        const free = yield* Deferred.make<void>()
        const holder = yield* add("a", 1).pipe(
          Effect.andThen(Deferred.succeed(held, undefined)),
          Effect.andThen(Deferred.await(free)),
          sql.withTransaction,
          Effect.forkChild
        )
        yield* Deferred.await(held)
        const numbers: Array<number> = []
        yield* Effect.gen(function* () {
          numbers.push(yield* attemptNumber)
          if (numbers.length === 2) {
            yield* Deferred.succeed(free, undefined)
            yield* Fiber.join(holder)
          }
          yield* sql`SET LOCAL lock_timeout = '20ms'`
          yield* add("a", 1)
        }).pipe(Sql.transaction(policy))
        assert.deepStrictEqual(numbers, [1, 2])
        assert.strictEqual(yield* total, 202)
      })
    )

    it.effect("a statement timeout of the server", () =>
      Effect.gen(function* () {
        const { add, sql, total } = yield* accounts("slow")
        yield* Effect.gen(function* () {
          const number = yield* attemptNumber
          yield* add("a", 1)
          yield* sql`SET LOCAL statement_timeout = '20ms'`
          if (number === 1) yield* sql`SELECT pg_sleep(10)`
        }).pipe(Sql.transaction(policy))
        assert.strictEqual(yield* total, 201)
      })
    )

    it.effect("a session that is terminated between two statements, during one, and just before COMMIT", () =>
      Effect.gen(function* () {
        const { add, sql, total } = yield* accounts("terminated")
        const numbers: Array<number> = []
        const killedOnce = (kill: Effect.Effect<unknown, SqlError.SqlError, Database>) =>
          Effect.gen(function* () {
            const number = yield* attemptNumber
            numbers.push(number)
            yield* add("a", 1)
            if (number === 1) yield* kill
            yield* add("b", 1)
          }).pipe(Sql.transaction(policy))
        const fromOutside = Effect.flatMap(backend(sql), terminate)
        const fromInside = sql`SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)`
        yield* killedOnce(fromOutside)
        yield* killedOnce(fromInside)
        assert.deepStrictEqual(numbers, [1, 2, 1, 2])
        assert.strictEqual(yield* total, 204)

        // without a policy it is a defect, and nobody retries it
        const bare = yield* Effect.exit(sql.withTransaction(Effect.andThen(fromOutside, add("a", 1))))
        assert.isTrue(Exit.hasDies(bare))

        // COMMIT could not be sent, but that is not to be seen from here
        const last = yield* Effect.andThen(add("a", 1), fromOutside).pipe(Sql.transaction(policy), Effect.flip)
        assert.deepInclude(last, { _tag: "RetryExhausted", reason: "unsafe", attempts: 1 })
        assert.strictEqual(yield* total, 204)
      })
    )

    it.effect("an error of the effect's own, while the session is terminated, stays what it is", () =>
      Effect.gen(function* () {
        const { sql } = yield* accounts("own")
        const error = new Insufficient({ total: 0 })
        const own = backend(sql).pipe(Effect.flatMap(terminate), Effect.andThen(Effect.fail(error)))
        assert.strictEqual<unknown>(yield* own.pipe(Sql.transaction(policy), Effect.flip), error)
      })
    )

    it.effect("a session that ends during COMMIT: nobody knows, so only an idempotent transaction is run again", () =>
      Effect.gen(function* () {
        const { sql } = yield* accounts("committing")
        yield* sql`CREATE TABLE last_words (attempt int)`
        yield* sql`
          CREATE FUNCTION die_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.attempt = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10); END IF;
            RETURN NULL;
          END $$`
        yield* sql`
          CREATE CONSTRAINT TRIGGER die AFTER INSERT ON last_words DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION die_once()`
        const insert = Effect.flatMap(attemptNumber, (number) => sql`INSERT INTO last_words VALUES (${number})`)

        const error = yield* insert.pipe(Sql.transaction(policy), Effect.flip)
        assert.deepInclude(error, { _tag: "RetryExhausted", reason: "unsafe", attempts: 1 })
        const { lastError } = error as Policy.RetryExhausted<unknown>
        assert.instanceOf(lastError, Sql.CommitUnknown)
        assert.strictEqual(reasonOf((lastError as Sql.CommitUnknown).cause), "ConnectionError")

        yield* insert.pipe(Sql.transaction(idempotent))
        assert.deepStrictEqual(yield* sql`SELECT attempt FROM last_words`, [{ attempt: 2 }])
      })
    )

    it.effect.skipIf(needsOwnServer)(
      "an answer to COMMIT that is lost on the way: it was applied, and is not applied again",
      () =>
        Effect.gen(function* () {
          const { sql, total } = yield* accounts("applied")
          const { config } = yield* Database
          let cuts = 0
          const port = yield* proxy(config.port!, (sent) => sent.includes("COMMIT") && cuts++ === 0)
          const remote = yield* client({ ...config, port })
          const add = remote`UPDATE applied SET balance = balance + 1 WHERE id = 'a'`
          const over = Effect.provideService(SqlClient.SqlClient, remote)
          const error = yield* add.pipe(Sql.transaction(policy), over, Effect.flip)
          assert.deepInclude(error, { _tag: "RetryExhausted", reason: "unsafe", attempts: 1 })
          assert.instanceOf((error as Policy.RetryExhausted<unknown>).lastError, Sql.CommitUnknown)
          assert.strictEqual(yield* total, 201)

          // a policy that claims to be idempotent gets what it asks for
          cuts = 0
          yield* add.pipe(Sql.transaction(idempotent), over)
          assert.strictEqual(yield* total, 203)
          assert.strictEqual(yield* sql`SELECT 1 AS one`.pipe(Effect.map((rows) => rows.length)), 1)
        })
    )

    it.effect("a constraint is not retried, neither in a statement nor at COMMIT", () =>
      Effect.gen(function* () {
        const { add, sql, total } = yield* accounts("constrained")
        yield* sql`CREATE TABLE owners (id text PRIMARY KEY, account text REFERENCES constrained DEFERRABLE INITIALLY DEFERRED)`
        let runs = 0
        const counted = <A, E, R>(self: Effect.Effect<A, E, R>) =>
          Effect.suspend(() => (runs++, self)).pipe(Sql.transaction(policy), Effect.flip)
        const unique = yield* counted(Effect.andThen(add("a", 1), sql`INSERT INTO constrained VALUES ('a', 1)`))
        assert.deepInclude((unique as SqlError.SqlError).reason, {
          _tag: "UniqueViolation",
          constraint: "constrained_pkey"
        })
        const deferred = yield* counted(Effect.andThen(add("a", 1), sql`INSERT INTO owners VALUES ('x', 'nobody')`))
        assert.strictEqual(reasonOf(deferred), "ConstraintError")
        const syntax = yield* counted(sql`SELEC 1`)
        assert.strictEqual(reasonOf(syntax), "SqlSyntaxError")
        assert.strictEqual(runs, 3)
        assert.strictEqual(yield* total, 200)
      })
    )

    it.effect.skipIf(needsOwnServer)("a missing permission, bad data and a missing table are not retried", () =>
      Effect.gen(function* () {
        const { add, sql, total } = yield* accounts("forbidden")
        const { admin } = yield* Database
        yield* admin`CREATE ROLE resilience_nobody`
        let runs = 0
        const reason = (statement: Effect.Effect<unknown, SqlError.SqlError>) =>
          Effect.suspend(() => (runs++, Effect.andThen(add("a", 1), statement))).pipe(
            Sql.transaction(policy),
            Effect.flip,
            Effect.map(reasonOf)
          )
        const secret = sql`SELECT 1 FROM pg_authid`
        assert.deepStrictEqual(
          [
            yield* reason(Effect.andThen(sql`SET LOCAL ROLE resilience_nobody`, secret)),
            yield* reason(sql`SELECT 'ten'::int`),
            yield* reason(sql`SELECT 1 FROM no_such_table`)
          ],
          ["AuthorizationError", "UnknownError", "SqlSyntaxError"]
        )
        assert.strictEqual(runs, 3)
        assert.strictEqual(yield* total, 200)
      })
    )

    it.effect("a statement of its own whose session is terminated: sent again only where it may be", () =>
      Effect.gen(function* () {
        const { sql } = yield* accounts("alone")
        yield* sql`CREATE SEQUENCE alone_runs`
        // counts its runs, for what a sequence has given is not given back, and ends its session in the first of them
        const statement = sql`
          SELECT CASE WHEN n = 1 THEN pg_terminate_backend(pg_backend_pid()) END, pg_sleep(CASE WHEN n = 1 THEN 10 ELSE 0 END)
          FROM (SELECT nextval('alone_runs') AS n) AS run`
        const runs = Effect.map(sql<{ readonly n: string }>`SELECT last_value AS n FROM alone_runs`, (rows) =>
          Number(rows[0]!.n)
        )
        const once = Policy.extend(policy, { name: "once", faults: Sql.faults })
        const error = yield* statement.pipe(withResilience(once), Effect.flip)
        assert.deepInclude(error, { _tag: "RetryExhausted", reason: "unsafe", attempts: 1 })
        assert.strictEqual(yield* runs, 1)

        yield* sql`ALTER SEQUENCE alone_runs RESTART`
        yield* statement.pipe(withResilience(Policy.extend(idempotent, { name: "again", faults: Sql.faults })))
        assert.strictEqual(yield* runs, 2)
      })
    )

    it.effect("a failure that the effect swallows: COMMIT rolls back, and says so", () =>
      Effect.gen(function* () {
        const { add, sql, total } = yield* accounts("swallowed")
        const swallowed = Effect.andThen(add("a", 1), Effect.ignore(sql`SELECT 1 / 0`))
        const error = yield* swallowed.pipe(Sql.transaction(policy), Effect.flip)
        assert.deepInclude((error as SqlError.SqlError).reason, { _tag: "UnknownError", operation: "commit" })
        assert.strictEqual(yield* total, 200)
      })
    )

    it.effect("the statement that failed is sent once a round: retried inside, it would hide the failure", () =>
      Effect.gen(function* () {
        const { sql } = yield* accounts("inside")
        const sent: Array<string> = []
        const failing = Effect.suspend(() => (sent.push("statement"), sql`SELECT 1 FROM inside FOR UPDATE NOWAIT`))
        const free = yield* Deferred.make<void>()
        const held = yield* Deferred.make<void>()
        const holder = yield* sql`SELECT 1 FROM inside FOR UPDATE`.pipe(
          Effect.andThen(Deferred.succeed(held, undefined)),
          Effect.andThen(Deferred.await(free)),
          sql.withTransaction,
          Effect.forkChild
        )
        yield* Deferred.await(held)
        const twice = Policy.extend(policy, { name: "twice", retry: Backoff.constant(0).pipe(Backoff.times(1)) })
        const error = yield* failing.pipe(Sql.transaction(twice), Effect.flip)
        assert.deepInclude(error, { _tag: "RetryExhausted", reason: "schedule", attempts: 2 })
        assert.strictEqual(sent.length, 2)
        // as it would be with a policy around the statement
        const inner = Policy.extend(twice, { name: "inner", faults: Sql.faults })
        const hidden = yield* failing.pipe(withResilience(inner), Sql.transaction(twice), Effect.flip)
        assert.deepInclude((hidden as SqlError.SqlError).reason.cause as { readonly code: string }, { code: "25P02" })
        yield* Deferred.succeed(free, undefined)
        yield* Fiber.join(holder)
      })
    )

    it.effect(
      "one nested in another: a serialization failure inside makes the outermost one begin again, as a whole",
      () =>
        Effect.gen(function* () {
          const { add, sql, total } = yield* accounts("nested")
          const log: Array<string> = []
          const other = Effect.flatMap(
            Database,
            ({ admin }) => admin`UPDATE nested SET balance = balance + 1 WHERE id = 'a'`
          )
          const inner = Effect.gen(function* () {
            log.push(`inner ${yield* attemptNumber}`)
            yield* add("a", 10)
          }).pipe(Sql.transaction(Policy.extend(policy, { name: "inner" }), { isolation: "repeatable read" }))
          const outer = Effect.gen(function* () {
            const number = yield* attemptNumber
            log.push(`outer ${number}`)
            yield* total
            if (number === 1) yield* other
            yield* inner
          }).pipe(Sql.transaction(policy, { isolation: "serializable" }))
          yield* outer
          assert.deepStrictEqual(log, ["outer 1", "inner 1", "outer 2", "inner 1"])
          assert.strictEqual(yield* total, 211)

          // as long as nothing is wrong with the whole, a savepoint is enough
          yield* Effect.gen(function* () {
            yield* add("b", 1)
            yield* Effect.ignore(
              Effect.andThen(add("b", 1000), sql`INSERT INTO nested VALUES ('a', 1)`).pipe(Sql.transaction(policy))
            )
          }).pipe(Sql.transaction(policy))
          assert.strictEqual(yield* total, 212)
        })
    )

    it.effect("the level that is asked for is the level in force, and one inside cannot ask for more", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const level = Effect.map(
          sql<{ readonly transaction_isolation: string }>`SHOW transaction_isolation`,
          (rows) => rows[0]!.transaction_isolation
        )
        for (const isolation of ["read committed", "repeatable read", "serializable"] as const) {
          assert.strictEqual(yield* level.pipe(Sql.transaction(policy, { isolation })), isolation)
        }
        assert.strictEqual(yield* level.pipe(Sql.transaction(policy)), "read committed")
        const within = level.pipe(Sql.transaction(policy, { isolation: "serializable" }))
        assert.strictEqual(yield* within.pipe(Sql.transaction(policy, { isolation: "serializable" })), "serializable")
        assert.isTrue(Exit.hasDies(yield* Effect.exit(within.pipe(Sql.transaction(policy)))))
      })
    )

    it.effect("nobody listens: the connection is tried again, and the effect never runs", () =>
      Effect.gen(function* () {
        const { config } = yield* Database
        const nobody = yield* client({ ...config, host: "127.0.0.1", port: 1 })
        let runs = 0
        const error = yield* Effect.sync(() => runs++).pipe(
          Sql.transaction(
            Policy.extend(policy, { name: "refused", retry: Backoff.constant(0).pipe(Backoff.times(2)) })
          ),
          Effect.provideService(SqlClient.SqlClient, nobody),
          Effect.flip
        )
        assert.deepInclude(error, { _tag: "RetryExhausted", reason: "schedule", attempts: 3 })
        assert.strictEqual(reasonOf((error as Policy.RetryExhausted<unknown>).lastError), "ConnectionError")
        assert.strictEqual(runs, 0)
      })
    )

    it.effect.skipIf(needsOwnServer)("too many connections: throttled, until there is room for one more", () =>
      Effect.gen(function* () {
        const { admin, config } = yield* Database
        yield* admin`CREATE ROLE resilience_one LOGIN CONNECTION LIMIT 1`
        // a superuser is not counted, so it cannot be the role of the tests
        const mine = { ...config, username: "resilience_one" }
        const holder = yield* client(mine)
        const held = yield* Deferred.make<void>()
        const free = yield* Deferred.make<void>()
        const holding = yield* Effect.andThen(Deferred.succeed(held, undefined), Deferred.await(free)).pipe(
          holder.withTransaction,
          Effect.forkChild
        )
        yield* Deferred.await(held)
        const second = yield* client(mine)
        const over = Effect.provideService(SqlClient.SqlClient, second)
        const impatient = Policy.make({ name: "impatient" })
        const error = yield* second`SELECT 1`.pipe(Sql.transaction(impatient), over, Effect.flip)
        assert.strictEqual(Sql.faults.classify(error)?.kind, "throttled")
        const patient = second`SELECT 1`.pipe(Sql.transaction(policy), over)
        yield* Effect.all([patient, admin`ALTER ROLE resilience_one CONNECTION LIMIT 2`], { concurrency: 2 })
        yield* Deferred.succeed(free, undefined)
        yield* Fiber.join(holding)
      })
    )
  })
})

withPostgres("Sql.transaction while the server is away", () => {
  for (const mode of ["fast", "immediate"] as const) {
    withLayer(layer, { excludeTestServices: true, timeout: 60_000 })((it) => {
      it.effect.skipIf(needsOwnServer)(
        `a restart in mid-run (${mode}): nothing is lost, and nothing is done twice`,
        () =>
          Effect.gen(function* () {
            const server = (yield* Database).server!
            const sql = yield* SqlClient.SqlClient
            yield* sql`CREATE TABLE done (operation int)`
            const patient = Policy.extend(policy, {
              name: "patient",
              retry: Backoff.exponential({ base: "5 millis", cap: "100 millis" }).pipe(
                Backoff.fullJitter,
                Backoff.times(1000)
              )
            })
            const operations = 200
            const restartAt = 60
            let ended = 0
            let retried = 0
            const restarted = yield* Deferred.make<void>()
            const restart = server
              .stop(mode)
              .pipe(Effect.andThen(server.start), Deferred.into(restarted), Effect.forkDetach)
            const operation = (id: number) =>
              Effect.gen(function* () {
                if ((yield* attemptNumber) > 1) retried++
                yield* sql`INSERT INTO done VALUES (${id})`
                yield* sql`SELECT count(*) FROM done`
              }).pipe(
                Sql.transaction(patient),
                Effect.exit,
                Effect.tap(() => (++ended === restartAt ? restart : Effect.void))
              )
            const exits = yield* Effect.forEach(
              Array.from({ length: operations }, (_, id) => id),
              operation,
              { concurrency: 8 }
            )
            yield* Deferred.await(restarted)
            const rows = yield* sql<{ readonly operation: number }>`SELECT operation FROM done`
            const applied = new Set(rows.map((row) => row.operation))
            assert.strictEqual(applied.size, rows.length, "an operation was applied twice")
            assert.isAbove(retried, 0)
            for (const [id, exit] of exits.entries()) {
              if (Exit.isSuccess(exit)) assert.isTrue(applied.has(id), `operation ${id} was lost`)
              else {
                // at most the few that were in their COMMIT
                const error = errorOf(exit) as Policy.RetryExhausted<unknown>
                assert.deepInclude(error, { _tag: "RetryExhausted", reason: "unsafe" })
                assert.instanceOf(error.lastError, Sql.CommitUnknown)
              }
            }
            assert.isAtMost(exits.filter(Exit.isFailure).length, 8)
          })
      )
    })
  }
})
