// Compiled by tsc; what must not compile is marked.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Data, Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Backoff from "../../src/Backoff.ts"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import type { DeadlineExceeded } from "../../src/Deadline.ts"
import * as Fault from "../../src/Fault.ts"
import * as Idempotency from "../../src/Idempotency.ts"
import * as Policy from "../../src/Policy.ts"
import type { AttemptTimeout, RetryExhausted } from "../../src/Policy.ts"
import * as Sql from "../../src/sql/index.ts"

class Insufficient extends Data.TaggedError("Insufficient") {}
class Busy extends Data.TaggedError("Busy") {}
class Breaker extends CircuitBreaker.Service<Breaker>()("types/Breaker", {
  trip: CircuitBreaker.consecutiveFailures(5)
}) {}
class Tenants extends CircuitBreaker.Service<Tenants>()("types/Tenants", {
  trip: CircuitBreaker.consecutiveFailures(5),
  keys: { max: 10 }
}) {}

const retry = Backoff.constant(1).pipe(Backoff.times(2))
const own = { name: "p", safety: "not-idempotent", retry } as const
const plain = Policy.make(own)
const once = Policy.make({ name: "once" })
const timed = Policy.make({ ...own, deadline: "5 seconds", attemptTimeout: "1 second", guards: [Breaker] })
const keyed = Policy.make({ ...own, guards: [Tenants] })
const withKey = Policy.make({ ...own, safety: Idempotency.key() })
const busy = Policy.make({ ...own, faults: Fault.orElse(Sql.faults, Fault.tags({ transient: ["Busy"] })) })

declare const self: Effect.Effect<number, SqlError | Insufficient, "Db">
declare const mine: Effect.Effect<number, Busy | Insufficient, "Db">
declare const needsKey: Effect.Effect<number, never, Idempotency.Key | "Db">
declare const maybe: Sql.Isolation | undefined
declare const some: Policy.Policy
declare const either: typeof plain | typeof timed

type Exhausted = RetryExhausted<SqlError | Sql.CommitUnknown>

// never called: it is here to be compiled
const types = () => {
  type Out = Effect.Effect<number, SqlError | Insufficient | Exhausted, "Db" | SqlClient>
  expectTypeOf(self.pipe(Sql.transaction(plain))).toEqualTypeOf<Out>()
  expectTypeOf(Sql.transaction(self, plain)).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(Sql.transaction(plain, { isolation: "serializable" }))).toEqualTypeOf<Out>()
  expectTypeOf(Sql.transaction(self, plain, { isolation: maybe })).toEqualTypeOf<Out>()
  expectTypeOf<Sql.Error<typeof plain, SqlError | Insufficient>>().toEqualTypeOf<SqlError | Insufficient | Exhausted>()
  expectTypeOf<Sql.Services<typeof plain, "Db">>().toEqualTypeOf<"Db" | SqlClient>()

  // without a retry every error comes out as it is
  expectTypeOf(self.pipe(Sql.transaction(once))).toEqualTypeOf<
    Effect.Effect<number, SqlError | Insufficient | Sql.CommitUnknown, "Db" | SqlClient>
  >()

  // what the policy adds
  expectTypeOf(self.pipe(Sql.transaction(timed))).toEqualTypeOf<
    Effect.Effect<
      number,
      | SqlError
      | Insufficient
      | RetryExhausted<SqlError | Sql.CommitUnknown | AttemptTimeout>
      | CircuitBreaker.CircuitOpen
      | DeadlineExceeded,
      "Db" | SqlClient | Breaker
    >
  >()
  expectTypeOf(self.pipe(Sql.transaction(either))).toEqualTypeOf<
    Effect.Effect<
      number,
      | SqlError
      | Insufficient
      | Exhausted
      | RetryExhausted<SqlError | Sql.CommitUnknown | AttemptTimeout>
      | CircuitBreaker.CircuitOpen
      | DeadlineExceeded,
      "Db" | SqlClient | Breaker
    >
  >()

  // an error that a classifier of one's own calls transient comes out as it is too: inside of another transaction
  expectTypeOf(mine.pipe(Sql.transaction(busy))).toEqualTypeOf<
    Effect.Effect<
      number,
      SqlError | Busy | Insufficient | RetryExhausted<SqlError | Sql.CommitUnknown | Busy>,
      "Db" | SqlClient
    >
  >()

  // a key where the policy asks for one
  expectTypeOf(self.pipe(Sql.transaction(keyed, { key: "a" }))).toExtend<Effect.Effect<number, unknown, unknown>>()
  // @ts-expect-error the breaker is keyed
  Sql.transaction(keyed)
  // @ts-expect-error the breaker is keyed
  Sql.transaction(self, keyed, { isolation: "serializable" })
  expectTypeOf(needsKey.pipe(Sql.transaction(withKey, { idempotencyKey: "k" }))).toEqualTypeOf<
    Effect.Effect<number, SqlError | Exhausted, "Db" | SqlClient>
  >()
  // @ts-expect-error the caller says the key
  Sql.transaction(withKey)

  // @ts-expect-error there is no such level
  Sql.transaction(plain, { isolation: "snapshot" })
  // @ts-expect-error a misspelt option
  Sql.transaction(plain, { isolated: "serializable" })
  // @ts-expect-error no policy
  Sql.transaction({})

  // a schedule that does not accept what it is given
  const accepting = <E>() => Policy.extend(plain, { name: "accepting", retry: retry.pipe(hint<E>()) })
  const hint = <E>() => Backoff.honorRetryAfter<E>({ ceiling: "1 minute", of: () => undefined })
  expectTypeOf(self.pipe(Sql.transaction(accepting<SqlError | Sql.CommitUnknown>()))).toEqualTypeOf<Out>()
  // @ts-expect-error CommitUnknown is transient
  self.pipe(Sql.transaction(accepting<SqlError>()))
  // @ts-expect-error CommitUnknown is transient
  Sql.transaction(self, accepting<SqlError>())

  // a policy known only as such
  expectTypeOf(self.pipe(Sql.transaction(some, { idempotencyKey: "k" }))).toExtend<
    Effect.Effect<number, unknown, unknown>
  >()
}

describe("Sql.transaction", () => {
  it("has the types that are written here", () => {
    assert.isFunction(types)
  })
})
