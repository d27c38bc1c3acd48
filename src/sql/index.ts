/**
 * Effect's `SqlClient` under a policy: which database errors pass, and transactions that are run again as a whole.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 * import { Backoff, Policy } from "effect-resilience"
 * import * as Sql from "effect-resilience/sql"
 *
 * const transfers = Policy.make({
 *   name: "accounts.transfer",
 *   safety: "not-idempotent",
 *   deadline: "5 seconds",
 *   retry: Backoff.exponential({ base: "10 millis", cap: "500 millis" }).pipe(Backoff.fullJitter, Backoff.times(10))
 * })
 *
 * const transfer = Effect.fnUntraced(
 *   function* (from: string, to: string, amount: number) {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* sql`UPDATE accounts SET balance = balance - ${amount} WHERE id = ${from}`
 *     yield* sql`UPDATE accounts SET balance = balance + ${amount} WHERE id = ${to}`
 *   },
 *   Sql.transaction(transfers, { isolation: "serializable" })
 * )
 * ```
 *
 * - {@link transaction} runs an effect in a transaction, and retries the transaction: never a statement inside one.
 * - {@link faults} gives the verdict on a `SqlError`, also for statements outside of transactions:
 *   ``sql`SELECT …`.pipe(withResilience(Policy.make({ …, faults: Sql.faults })))``.
 * - {@link CommitUnknown} is the one failure after which nobody knows whether the transaction was applied.
 *
 * @since 0.1.0
 */
export { CommitUnknown } from "./commitUnknown.ts"
export { faults } from "./faults.ts"
export type { Isolation } from "./isolation.ts"
export { transaction, type Error, type Options, type Services } from "./transaction.ts"
