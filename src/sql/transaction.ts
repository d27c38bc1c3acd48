// A policy around a transaction.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { BeginTransaction, SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { CallOptions } from "../internal/plan.ts"
import { planOf, PolicyImpl } from "../internal/policy.ts"
import type {
  Accepted,
  CallOf,
  ErrorOf,
  Flat,
  Merge,
  OptionsOf,
  Options as PolicyOptions,
  PolicyLike,
  ServicesOf
} from "../internal/policyTypes.ts"
import { withResilience } from "../Policy.ts"
import { attempt } from "./attempt.ts"
import type { CommitUnknown } from "./commitUnknown.ts"
import { faults } from "./faults.ts"
import { atLeast, begunAs, checked, onlyPostgres } from "./isolation.ts"
import type { Isolation } from "./isolation.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Begins with `BEGIN ISOLATION LEVEL …`. PostgreSQL only: with any other client the effect dies with `InvalidOption`, and so
   * it does inside of a transaction that is less isolated. Default: what Effect's `SqlClient.BeginTransaction` says, by itself
   * the client's `BEGIN`, and with it the level that the database is set to.
   */
  readonly isolation?: Isolation | undefined
}

type OptionOf<O, K extends string> = K extends keyof O ? O[K] : undefined

/** A policy without a classifier gets {@link faults}. */
type WithFaults<O> = O extends unknown
  ? Merge<
      O,
      {
        readonly faults:
          Exclude<OptionOf<O, "faults">, undefined> | (undefined extends OptionOf<O, "faults"> ? typeof faults : never)
      }
    >
  : never

/** How an attempt can fail. */
type Given<E> = E | SqlError | CommitUnknown

/**
 * What can come out of a {@link transaction} by policy `P` around an effect that fails with `E`: what comes out of any call of
 * the policy, and the effect's own errors and `SqlError` as they are, because they do where the transaction is nested in
 * another one.
 *
 * @since 0.1.0
 * @category type-level
 */
export type Error<P, E> = Flat<P extends unknown ? ErrorOf<WithFaults<OptionsOf<P>>, Given<E>> | E | SqlError : never>

/**
 * What a {@link transaction} by policy `P` around an effect that needs `R` needs: the client, and what the policy needs.
 *
 * @since 0.1.0
 * @category type-level
 */
export type Services<P, R> = Flat<P extends unknown ? SqlClient | ServicesOf<OptionsOf<P>, R> : never>

type Args<O> = {} extends CallOf<O> ? [options?: CallOf<O> & Options] : [options: CallOf<O> & Options]

/**
 * Runs an effect in a transaction of the `SqlClient` in force (`sql.withTransaction`), as one call of a policy, data-first or
 * data-last. A retry runs the whole effect again, in a new transaction: what it read before may not be true any more.
 *
 * A policy without `faults` uses {@link faults}.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 * import { Backoff, Policy } from "effect-resilience"
 * import * as Sql from "effect-resilience/sql"
 *
 * const bookings = Policy.make({
 *   name: "seats.book",
 *   safety: "not-idempotent",
 *   retry: Backoff.exponential({ base: "10 millis", cap: "500 millis" }).pipe(Backoff.fullJitter, Backoff.times(10))
 * })
 *
 * const book = (seat: number, guest: string) =>
 *   Effect.gen(function* () {
 *     const sql = yield* SqlClient.SqlClient
 *     const free = yield* sql`SELECT id FROM seats WHERE id = ${seat} AND guest IS NULL`
 *     if (free.length > 0) yield* sql`UPDATE seats SET guest = ${guest} WHERE id = ${seat}`
 *     return free.length > 0
 *   }).pipe(
 *     Sql.transaction(bookings, { isolation: "serializable" }),
 *     Effect.catchIf(
 *       (error) => error._tag === "RetryExhausted" && error.lastError._tag === "CommitUnknown",
 *       () => isBookedBy(seat, guest)
 *     )
 *   )
 *
 * const isBookedBy = (seat: number, guest: string) =>
 *   Effect.gen(function* () {
 *     const sql = yield* SqlClient.SqlClient
 *     const rows = yield* sql`SELECT id FROM seats WHERE id = ${seat} AND guest = ${guest}`
 *     return rows.length > 0
 *   })
 * ```
 *
 * **Safety**
 *
 * "not-idempotent" is the `safety` of almost every transaction, and does not keep it from being retried: a transaction that was
 * rolled back has done nothing, so its failure is `unprocessed`. That holds for deadlocks and serialization failures, for a
 * connection that was refused, and for one that was lost before `COMMIT` was sent. After {@link CommitUnknown} and after an
 * `AttemptTimeout` there is no retry (reason "unsafe").
 *
 * It holds for the database alone. A request to another service, made inside, is made again: send it an idempotency key, or
 * send it afterwards (`sql.afterCommit`).
 *
 * **In another transaction**
 *
 * Inside of a transaction of the same client this one is a savepoint. It runs once: no retry, no hedge, no guard, no attempt
 * timeout; of the policy only the deadline and the idempotency key hold. A failure comes out as it is, because rolling back to
 * a savepoint does not undo a serialization failure: only a new transaction does. So the policy of the outermost transaction
 * retries, and it retries everything. If that one is a plain `sql.withTransaction`, nobody does.
 *
 * **Time**
 *
 * Effect's client does not interrupt `BEGIN`, `COMMIT` and `ROLLBACK`. A deadline or timeout that passes during `COMMIT` waits
 * for it, and comes out although the transaction may have been applied. A limit that can be retried safely is the database's
 * own: ``sql`SET LOCAL statement_timeout = '500ms'` `` inside.
 *
 * Do not put a policy around a statement inside: PostgreSQL refuses every statement after one that has failed (25P02), and the
 * second failure hides the first.
 *
 * @since 0.1.0
 * @category running
 */
export const transaction: {
  <P extends PolicyLike<unknown>>(
    policy: P,
    ...options: Args<OptionsOf<P>>
  ): <A, E, R>(
    self: Effect.Effect<A, E, R> & Accepted<WithFaults<OptionsOf<P>>, Given<E>>
  ) => Effect.Effect<A, Error<P, E>, Services<P, R>>
  <A, E, R, P extends PolicyLike<unknown>>(
    self: Effect.Effect<A, E, R>,
    policy: P & Accepted<WithFaults<OptionsOf<P>>, Given<E>>,
    ...options: Args<OptionsOf<P>>
  ): Effect.Effect<A, Error<P, E>, Services<P, R>>
} = ((first: unknown, second: unknown, third: unknown) =>
  Effect.isEffect(first)
    ? bind(second, third as BoundOptions)(first as AnyEffect)
    : bind(first, second as BoundOptions)) as never

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

type BoundOptions = (CallOptions & Options) | undefined

const bind = (policy: unknown, options: BoundOptions): ((self: AnyEffect) => AnyEffect) => {
  const { isolation, ...call } = options ?? {}
  if (isolation !== undefined) checked(isolation)
  const { nested, outermost } = policiesOf(policy)
  const retried: (self: AnyEffect) => AnyEffect = withResilience(outermost, call as never)
  const once: (self: AnyEffect) => AnyEffect = withResilience(nested, call as never)
  return (self) =>
    Effect.contextWith((context: Context.Context<SqlClient>) => {
      const sql = Context.get(context, SqlClient)
      if (isolation !== undefined) onlyPostgres(sql, isolation)
      if (Context.getOrUndefined(context, sql.transactionService) !== undefined) {
        const inside = attempt(sql, self, "nested")
        return once(isolation === undefined ? inside : Effect.andThen(atLeast(sql, isolation), inside))
      }
      const outside = (self: AnyEffect): AnyEffect => attempt(sql, self, "outermost")
      return retried(
        isolation === undefined
          ? outside(self)
          : begunAs(isolation, Context.get(context, BeginTransaction), self, outside)
      )
    })
}

interface Derived {
  readonly outermost: PolicyLike<PolicyOptions>
  readonly nested: PolicyLike<PolicyOptions>
}

/** A policy is checked and compiled once, however often it is used. */
const derived = new WeakMap<object, Derived>()

const policiesOf = (policy: unknown): Derived => {
  // refuses what is no policy
  planOf(policy)
  const known = derived.get(policy as object)
  if (known !== undefined) return known
  const { options } = (policy instanceof PolicyImpl ? policy : (policy as { readonly policy: unknown }).policy) as {
    readonly options: PolicyOptions
  }
  const { deadline, name, safety } = options
  const own = { ...options, faults: options.faults ?? faults }
  const made: Derived = {
    outermost: new PolicyImpl<PolicyOptions>(own, name),
    nested: new PolicyImpl<PolicyOptions>({ name, faults: own.faults, safety, deadline }, name)
  }
  derived.set(policy as object, made)
  return made
}
