import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import * as Attempt from "../../src/Attempt.ts"
import * as Backoff from "../../src/Backoff.ts"
import * as Deadline from "../../src/Deadline.ts"
import * as Fault from "../../src/Fault.ts"
import * as Guard from "../../src/Guard.ts"
import * as Idempotency from "../../src/Idempotency.ts"
import * as Policy from "../../src/Policy.ts"
import { withResilience } from "../../src/Policy.ts"
import * as RetryBudget from "../../src/RetryBudget.ts"
import * as Sql from "../../src/sql/index.ts"
import * as Telemetry from "../../src/Telemetry.ts"
import { Book, bookedGuard, errorOf } from "../kit.ts"
import { runInterrupted } from "../virtual.ts"
import {
  connectionClosed,
  deadlock,
  fakeClient,
  serializationFailure,
  terminated,
  uniqueViolation,
  type Answer
} from "./fake.ts"

class Insufficient extends Data.TaggedError("Insufficient") {}

const retry = Backoff.constant(0).pipe(Backoff.times(2))
const policy = Policy.make({ name: "transfer", safety: "not-idempotent", retry })
const idempotent = Policy.extend(policy, { name: "transfer.again", safety: "idempotent" })

/** Fails the first `times` runs of a statement. */
const failsFirst =
  (which: string, error: SqlError.SqlError, times = 1): Answer =>
  (statement, nth) =>
    statement === which && nth <= times ? Effect.fail(error) : undefined

const transfer = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`DEBIT`
  return yield* sql`CREDIT`
})

/** Runs what the test makes of a client, and says what was sent. */
const run = Effect.fnUntraced(function* <A, E>(
  answer: Answer,
  effect: Effect.Effect<A, E, SqlClient.SqlClient>,
  options?: Parameters<typeof fakeClient>[1]
) {
  const { log, sql } = yield* fakeClient(answer, options)
  const exit = yield* Effect.exit(Effect.provideService(effect, SqlClient.SqlClient, sql))
  return { exit, log: log.join(", "), statements: log }
})

const once = "BEGIN, DEBIT, CREDIT, COMMIT"

describe("Sql.transaction", () => {
  it.effect("one round, if nothing fails", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* run(() => undefined, transfer.pipe(Sql.transaction(policy)))
      assert.deepStrictEqual(exit, Exit.succeed([{ nth: 3 }]))
      assert.strictEqual(log, once)
    })
  )

  it.effect("retries the whole transaction, never the statement that failed", () =>
    Effect.gen(function* () {
      for (const error of [serializationFailure, deadlock]) {
        const { exit, log } = yield* run(failsFirst("CREDIT", error), transfer.pipe(Sql.transaction(policy)))
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(log, `BEGIN, DEBIT, CREDIT, ROLLBACK, ${once}`)
      }
    })
  )

  it.effect("retries a COMMIT that the database has refused", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* run(
        failsFirst("COMMIT", serializationFailure),
        transfer.pipe(Sql.transaction(policy))
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(log, `${once}, ${once}`)
    })
  )

  it.effect("retries where the connection is lost before COMMIT, although it is not idempotent", () =>
    Effect.gen(function* () {
      for (const error of [connectionClosed, terminated]) {
        const lost: Answer = (statement, nth) =>
          nth === 1 && (statement === "CREDIT" || statement === "ROLLBACK") ? Effect.fail(error) : undefined
        const { exit, log } = yield* run(lost, transfer.pipe(Sql.transaction(policy)))
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(log, `BEGIN, DEBIT, CREDIT, ROLLBACK, ${once}`)
        const begin = yield* run(failsFirst("BEGIN", error), transfer.pipe(Sql.transaction(policy)))
        assert.isTrue(Exit.isSuccess(begin.exit))
        assert.strictEqual(begin.log, `BEGIN, ${once}`)
      }
    })
  )

  it.effect("a COMMIT without an answer is repeated only by a policy that is idempotent", () =>
    Effect.gen(function* () {
      const answer = failsFirst("COMMIT", connectionClosed)
      const { exit, log } = yield* run(answer, transfer.pipe(Sql.transaction(policy)))
      const error = errorOf(exit) as Policy.RetryExhausted<unknown>
      assert.deepInclude(error, { _tag: "RetryExhausted", reason: "unsafe", attempts: 1 })
      assert.instanceOf(error.lastError, Sql.CommitUnknown)
      assert.strictEqual(log, once)

      const again = yield* run(answer, transfer.pipe(Sql.transaction(idempotent)))
      assert.isTrue(Exit.isSuccess(again.exit))
      assert.strictEqual(again.log, `${once}, ${once}`)
    })
  )

  it.effect("gives up as the policy says, with the database's own error", () =>
    Effect.gen(function* () {
      const { exit, statements } = yield* run(
        failsFirst("CREDIT", deadlock, Infinity),
        transfer.pipe(Sql.transaction(policy))
      )
      const error = errorOf(exit) as Policy.RetryExhausted<unknown>
      assert.deepInclude(error, { _tag: "RetryExhausted", policy: "transfer", reason: "schedule", attempts: 3 })
      assert.strictEqual(error.lastError, deadlock)
      assert.strictEqual(statements.filter((s) => s === "BEGIN").length, 3)
      assert.strictEqual(statements.filter((s) => s === "ROLLBACK").length, 3)
    })
  )

  it.effect("a constraint and an error of the effect's own are not retried, and come out as they are", () =>
    Effect.gen(function* () {
      const violated = yield* run(
        failsFirst("CREDIT", uniqueViolation, Infinity),
        transfer.pipe(Sql.transaction(policy))
      )
      assert.strictEqual<unknown>(errorOf(violated.exit), uniqueViolation)
      assert.strictEqual(violated.log, "BEGIN, DEBIT, CREDIT, ROLLBACK")
      const insufficient = new Insufficient()
      const own = yield* run(
        () => undefined,
        Effect.andThen(transfer, Effect.fail(insufficient)).pipe(Sql.transaction(policy))
      )
      assert.strictEqual<unknown>(errorOf(own.exit), insufficient)
      assert.strictEqual(own.log, "BEGIN, DEBIT, CREDIT, ROLLBACK")
    })
  )

  it.effect("a policy with a classifier of its own keeps it", () =>
    Effect.gen(function* () {
      const isUnique = (error: unknown): error is SqlError.SqlError =>
        SqlError.isSqlError(error) && error.reason._tag === "UniqueViolation"
      const racing = Policy.extend(policy, {
        name: "racing",
        faults: Fault.orElse(Fault.refine(isUnique, Fault.transient({ unprocessed: true })), Sql.faults)
      })
      const raced = yield* run(failsFirst("CREDIT", uniqueViolation), transfer.pipe(Sql.transaction(racing)))
      assert.isTrue(Exit.isSuccess(raced.exit))
      const blind = Policy.extend(policy, {
        name: "blind",
        faults: Fault.tags({ transient: ["CommitUnknown"], permanent: ["SqlError"] })
      })
      const { exit } = yield* run(failsFirst("CREDIT", deadlock), transfer.pipe(Sql.transaction(blind)))
      assert.strictEqual<unknown>(errorOf(exit), deadlock)
    })
  )

  it.effect("without a retry every error comes out as it is", () =>
    Effect.gen(function* () {
      const plain = Policy.make({ name: "plain" })
      const { exit } = yield* run(failsFirst("CREDIT", deadlock), transfer.pipe(Sql.transaction(plain)))
      assert.strictEqual<unknown>(errorOf(exit), deadlock)
      const unknown = yield* run(failsFirst("COMMIT", connectionClosed), transfer.pipe(Sql.transaction(plain)))
      assert.instanceOf(errorOf(unknown.exit), Sql.CommitUnknown)
    })
  )

  it.effect("data-first; each run is a call of its own; a policy may be carried by a class", () =>
    Effect.gen(function* () {
      class Transfers extends Policy.Standard<Transfers>()("transfers", { safety: "not-idempotent" }) {}
      const transferOnce = Sql.transaction(transfer, policy)
      const twice = Effect.andThen(transferOnce, transferOnce)
      assert.strictEqual((yield* run(() => undefined, twice)).log, `${once}, ${once}`)
      const standard = Sql.transaction(transfer, Transfers).pipe(Effect.provide(Transfers.layer))
      assert.strictEqual((yield* run(() => undefined, standard)).log, once)
    })
  )

  it.effect("guards and budgets see each round; the effect sees the attempt, the deadline and the key", () =>
    Effect.gen(function* () {
      const book = new Book()
      class Gate extends Guard.Service<Gate, never>()("test/Gate", bookedGuard(book, "gate")) {}
      class Budget extends RetryBudget.Service<Budget>()(
        "test/Budget",
        RetryBudget.fixedRate({ perSecond: 1, burst: 5 })
      ) {}
      const full = Policy.make({
        name: "full",
        safety: Idempotency.key(),
        retry,
        deadline: "1 second",
        guards: [Gate],
        budget: Budget
      })
      const seen: Array<unknown> = []
      const effect = Effect.gen(function* () {
        const { number } = yield* Attempt.current
        const left = yield* Deadline.remaining
        seen.push([number, yield* Idempotency.Key, left._tag])
        return yield* transfer
      })
      const { exit } = yield* run(
        failsFirst("CREDIT", serializationFailure),
        effect.pipe(
          Sql.transaction(full, { idempotencyKey: "k" }),
          Effect.tap(Effect.map(Budget.balance(), (balance) => seen.push(balance))),
          Effect.provide(Layer.mergeAll(Gate.layer, Budget.layer))
        )
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(seen.slice(0, 2), [
        [1, "k", "Some"],
        [2, "k", "Some"]
      ])
      assert.strictEqual(seen[2], 4)
      // that two transactions met says nothing of the database's health
      assert.deepStrictEqual(
        book.settled.map(({ outcome }) => [outcome.kind, outcome.health]),
        [
          ["transient", "ok"],
          ["success", "ok"]
        ]
      )
    })
  )

  it.effect("a timeout rolls back; the next round is for a policy that is idempotent", () =>
    Effect.gen(function* () {
      const hangsOnce: Answer = (statement, nth) => (statement === "CREDIT" && nth === 1 ? Effect.never : undefined)
      const limit = { attemptTimeout: "1 second" } as const
      const timed = Effect.fnUntraced(function* <E>(self: Effect.Effect<unknown, E, SqlClient.SqlClient>) {
        const fiber = yield* Effect.forkChild(run(hangsOnce, self), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        return yield* Fiber.join(fiber)
      })
      const careful = Policy.extend(policy, { name: "careful", ...limit })
      const carefully = yield* timed(transfer.pipe(Sql.transaction(careful)))
      assert.deepInclude(errorOf(carefully.exit), { _tag: "RetryExhausted", reason: "unsafe" })
      assert.strictEqual(carefully.log, "BEGIN, DEBIT, CREDIT, ROLLBACK")
      const again = yield* timed(transfer.pipe(Sql.transaction(Policy.extend(idempotent, { name: "bold", ...limit }))))
      assert.isTrue(Exit.isSuccess(again.exit))
      assert.strictEqual(again.log, `BEGIN, DEBIT, CREDIT, ROLLBACK, ${once}`)
    })
  )

  it.effect("a connection that is lost while a timeout rolls back makes no defect of the timeout", () =>
    Effect.gen(function* () {
      const limited = Policy.extend(idempotent, { name: "limited", attemptTimeout: "1 second" })
      const answer: Answer = (statement, nth) =>
        nth > 1
          ? undefined
          : statement === "CREDIT"
            ? Effect.never
            : statement === "ROLLBACK"
              ? Effect.fail(terminated)
              : undefined
      const fiber = yield* Effect.forkChild(run(answer, transfer.pipe(Sql.transaction(limited))), {
        startImmediately: true
      })
      yield* TestClock.adjust("2 seconds")
      const { exit } = yield* Fiber.join(fiber)
      assert.isTrue(Exit.isSuccess(exit))
    })
  )

  it("a policy is compiled once, however often it is used", () => {
    let looked = 0
    // a classifier is looked at while the policy is compiled
    const faults: Fault.Classifier = {
      ...Sql.faults,
      get classify() {
        looked++
        return Sql.faults.classify
      }
    }
    const once = Policy.make({ name: "once", safety: "idempotent", faults })
    const before = looked
    Sql.transaction(once)
    const after = looked
    assert.isAbove(after, before)
    transfer.pipe(Sql.transaction(once))
    assert.strictEqual(looked, after)
  })

  it("refuses what is no policy, and a level that there is not", () => {
    assert.throws(() => Sql.transaction({} as never), /policy must be made by Policy\.make/)
    assert.throws(
      () => Sql.transaction(policy, { isolation: "snapshot" as never }),
      'Sql.transaction: isolation must be one of read committed, repeatable read, serializable, but it is "snapshot"'
    )
  })
})

describe("in another transaction", () => {
  const inner = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREDIT`).pipe(Sql.transaction(policy))
  const outer = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`DEBIT`
    return yield* inner
  })
  const [open, back, release] = ["SAVEPOINT", "ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT"].map(
    (what) => `${what} effect_sql_1`
  )
  const nestedOnce = `BEGIN, DEBIT, ${open}, CREDIT, ${release}, COMMIT`
  const nestedFailed = `BEGIN, DEBIT, ${open}, CREDIT, ${back}, ${release}, ROLLBACK`

  it.effect("it runs once, and the outermost retries everything", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* run(failsFirst("CREDIT", serializationFailure), outer.pipe(Sql.transaction(policy)))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(log, `${nestedFailed}, ${nestedOnce}`)
    })
  )

  it.effect("two policies of three attempts make three rounds, never nine", () =>
    Effect.gen(function* () {
      const { exit, statements } = yield* run(
        failsFirst("CREDIT", serializationFailure, Infinity),
        outer.pipe(Sql.transaction(Policy.extend(policy, { name: "outer" })))
      )
      const error = errorOf(exit) as Policy.RetryExhausted<unknown>
      assert.deepInclude(error, { _tag: "RetryExhausted", policy: "outer", attempts: 3 })
      assert.strictEqual(error.lastError, serializationFailure)
      assert.strictEqual(statements.filter((statement) => statement === "CREDIT").length, 3)
    })
  )

  it.effect("a lost connection is for the outermost as well", () =>
    Effect.gen(function* () {
      const answer: Answer = (statement, nth) =>
        nth === 1 && (statement === "CREDIT" || statement.startsWith("ROLLBACK")) ? Effect.fail(terminated) : undefined
      const { exit, log } = yield* run(answer, outer.pipe(Sql.transaction(policy)))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(log, `BEGIN, DEBIT, ${open}, CREDIT, ${back}, ROLLBACK, ${nestedOnce}`)
    })
  )

  it.effect("a plain withTransaction around it retries nothing; a policy around that one does", () =>
    Effect.gen(function* () {
      const plain = Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(outer))
      const { exit, log } = yield* run(failsFirst("CREDIT", serializationFailure), plain)
      assert.strictEqual<unknown>(errorOf(exit), serializationFailure)
      assert.strictEqual(log, nestedFailed)
      const around = Policy.extend(policy, { name: "around", faults: Sql.faults })
      const again = yield* run(failsFirst("CREDIT", serializationFailure), plain.pipe(withResilience(around)))
      assert.isTrue(Exit.isSuccess(again.exit))
      assert.strictEqual(again.log, `${nestedFailed}, ${nestedOnce}`)
    })
  )

  it.effect("a failure of its own is the body's to handle: the savepoint is rolled back, the rest is kept", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* run(
        failsFirst("CREDIT", uniqueViolation),
        outer.pipe(Effect.ignore, Sql.transaction(policy))
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(log, `BEGIN, DEBIT, ${open}, CREDIT, ${back}, ${release}, COMMIT`)
    })
  )

  it.effect("it passes no guard, draws no budget and has no attempt timeout; deadline and key hold", () =>
    Effect.gen(function* () {
      const book = new Book()
      class Gate extends Guard.Service<Gate, never>()("test/Gate", bookedGuard(book, "gate")) {}
      const full = Policy.make({
        name: "full",
        safety: Idempotency.key(),
        retry,
        deadline: "1 second",
        attemptTimeout: "100 millis",
        guards: [Gate]
      })
      const seen: Array<string> = []
      const within = Effect.gen(function* () {
        seen.push(yield* Idempotency.Key)
        yield* Effect.sleep("500 millis")
        seen.push("late")
        yield* Effect.never
      }).pipe(Sql.transaction(full, { idempotencyKey: "inner" }))
      const fiber = yield* Effect.forkChild(
        run(() => undefined, within.pipe(Sql.transaction(policy), Effect.provide(Gate.layer))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("2 seconds")
      const { exit, log } = yield* Fiber.join(fiber)
      assert.deepInclude(errorOf(exit), { _tag: "DeadlineExceeded", name: "full", after: Duration.seconds(1) })
      assert.deepStrictEqual(seen, ["inner", "late"])
      assert.strictEqual(book.admitted, 0)
      assert.strictEqual(log, `BEGIN, ${open}, ${back}, ${release}, ROLLBACK`)
    })
  )

  it.effect("of another client it is a transaction of its own, and retried", () =>
    Effect.gen(function* () {
      const other = yield* fakeClient(failsFirst("CREDIT", serializationFailure))
      const { exit, log } = yield* run(
        () => undefined,
        inner.pipe(Effect.provideService(SqlClient.SqlClient, other.sql), Sql.transaction(policy))
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(log, "BEGIN, COMMIT")
      assert.strictEqual(other.log.join(", "), "BEGIN, CREDIT, ROLLBACK, BEGIN, CREDIT, COMMIT")
    })
  )

  it.effect("both are seen: an event for each call, and none for a retry inside", () =>
    Effect.gen(function* () {
      const named = outer.pipe(Sql.transaction(Policy.extend(policy, { name: "outer" })))
      const [, events] = yield* Telemetry.recorded(run(failsFirst("CREDIT", serializationFailure), named))
      assert.deepStrictEqual(
        events
          .filter(({ _tag }) => /^(Call|Retry)/.test(_tag))
          .map((event) => `${event._tag} ${"policy" in event ? event.policy : ""}`),
        [
          "CallStarted outer",
          "CallStarted transfer",
          "CallFailed transfer",
          "RetryScheduled outer",
          "CallStarted transfer",
          "CallSucceeded transfer",
          "CallRecovered outer",
          "CallSucceeded outer"
        ]
      )
    })
  )
})

describe("interrupted at every operation", () => {
  const interruptedAt = (at: number | undefined, yielding: boolean) => {
    const seen: { log: ReadonlyArray<string>; inUse: { readonly connections: number } } = {
      log: [],
      inUse: { connections: 0 }
    }
    const answer: Answer = (statement, nth) => {
      const failure =
        nth === 1 && statement === "CREDIT"
          ? serializationFailure
          : nth === 2 && (statement === "CREDIT" || statement === "ROLLBACK")
            ? terminated
            : undefined
      return Effect.andThen(Effect.sleep(1), failure === undefined ? Effect.succeed([]) : Effect.fail(failure))
    }
    const timed = Policy.extend(policy, {
      name: "timed",
      retry: Backoff.constant(5).pipe(Backoff.times(5)),
      deadline: "1 second"
    })
    const program = Effect.gen(function* () {
      const { sql, ...more } = yield* fakeClient(answer, { acquire: Effect.sleep(1) })
      Object.assign(seen, more)
      const nested = Sql.transaction(transfer, policy)
      return yield* nested.pipe(
        Sql.transaction(timed, { isolation: "serializable" }),
        Effect.provideService(SqlClient.SqlClient, sql)
      )
    })
    return { ...runInterrupted(program, at, yielding), ...seen }
  }

  it("every transaction that was begun is ended, and no connection is kept", () => {
    const whole = interruptedAt(undefined, false)
    assert.isTrue(whole.exit !== undefined && Exit.isSuccess(whole.exit), String(whole.exit))
    let interrupted = 0
    for (const yielding of [false, true]) {
      // before the second the fiber is not known
      for (let at = 2; at <= whole.operations; at++) {
        const { exit, inUse, log, openFibers, sleepers } = interruptedAt(at, yielding)
        assert.deepStrictEqual(
          { ended: exit !== undefined, connections: inUse.connections, openFibers, sleepers },
          { ended: true, connections: 0, openFibers: 0, sleepers: 0 },
          `at ${at}`
        )
        if (exit !== undefined && Exit.isFailure(exit)) {
          interrupted++
          assert.isTrue(Cause.hasInterruptsOnly(exit.cause), `at ${at}: ${String(exit)}`)
        }
        const outermost = log.filter((statement) => /^(BEGIN|COMMIT|ROLLBACK$)/.test(statement))
        assert.strictEqual(outermost.length % 2, 0, `at ${at}: ${log.join(", ")}`)
        for (const [i, statement] of outermost.entries()) assert.strictEqual(statement.startsWith("BEGIN"), i % 2 === 0)
      }
    }
    assert.isAbove(interrupted, 500)
  })
})

describe("isolation", () => {
  const serializable = Sql.transaction(policy, { isolation: "serializable" })

  it.effect("is said by BEGIN, of every round", () =>
    Effect.gen(function* () {
      const { log } = yield* run(failsFirst("CREDIT", serializationFailure), transfer.pipe(serializable))
      const begin = "BEGIN ISOLATION LEVEL SERIALIZABLE"
      assert.strictEqual(log, `${begin}, DEBIT, CREDIT, ROLLBACK, ${begin}, DEBIT, CREDIT, COMMIT`)
      for (const isolation of ["read committed", "repeatable read"] as const) {
        const { statements } = yield* run(() => undefined, transfer.pipe(Sql.transaction(policy, { isolation })))
        assert.strictEqual(statements[0], `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()}`)
      }
    })
  )

  it.effect("where it is not said, what the context says holds", () =>
    Effect.gen(function* () {
      const { log } = yield* run(
        () => undefined,
        Effect.void.pipe(
          Sql.transaction(policy, { isolation: undefined }),
          Effect.provideService(SqlClient.BeginTransaction, "START")
        )
      )
      assert.strictEqual(log, "START, COMMIT")
    })
  )

  it.effect("is of this transaction alone: another client's inside begins as it would", () =>
    Effect.gen(function* () {
      const other = yield* fakeClient()
      const within = Effect.andThen(SqlClient.BeginTransaction, other.sql.withTransaction(other.sql`CREDIT`))
      yield* run(() => undefined, within.pipe(serializable))
      yield* run(() => undefined, within.pipe(serializable, Effect.provideService(SqlClient.BeginTransaction, "START")))
      assert.strictEqual(other.log.join(", "), "BEGIN, CREDIT, COMMIT, START, CREDIT, COMMIT")
    })
  )

  it.effect("a client that cannot say it", () =>
    Effect.gen(function* () {
      const { exit, log } = yield* run(() => undefined, transfer.pipe(serializable), { dialect: "sqlite" })
      const defect = (exit as Exit.Failure<unknown, unknown>).cause.reasons.map(
        (reason) => (reason as Cause.Die).defect
      )
      assert.deepInclude(defect[0], {
        _tag: "InvalidOption",
        option: "Sql.transaction: isolation",
        value: "serializable"
      })
      assert.strictEqual(log, "")
    })
  )

  const levels = ["read uncommitted", "read committed", "repeatable read", "serializable"] as const
  it.effect("inside of another transaction, that one must be isolated as much", () =>
    Effect.gen(function* () {
      const asked = "SELECT current_setting('transaction_isolation') AS level"
      for (const around of levels) {
        for (const isolation of levels.slice(1) as ReadonlyArray<Sql.Isolation>) {
          const answer: Answer = (statement) => (statement === asked ? Effect.succeed([{ level: around }]) : undefined)
          const within = transfer.pipe(Sql.transaction(policy, { isolation }), Sql.transaction(policy))
          const { exit, statements } = yield* run(answer, within)
          // PostgreSQL's read uncommitted is its read committed
          const enough = Math.max(levels.indexOf(around), 1) >= levels.indexOf(isolation)
          assert.strictEqual(Exit.isSuccess(exit), enough, `${isolation} in ${around}`)
          assert.strictEqual(statements[1], asked)
          if (enough) continue
          const [reason] = (exit as Exit.Failure<unknown, unknown>).cause.reasons
          const { message } = (reason as Cause.Die).defect as Error
          assert.include(
            message,
            `at most that of the transaction around it, which is ${around}, but it is "${isolation}"`
          )
          assert.strictEqual(statements.at(-1), "ROLLBACK")
        }
      }
    })
  )
})
