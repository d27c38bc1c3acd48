// A bulkhead limits how many calls of a dependency run at once: one that has become slow then takes a few slots, and not all the
// connections and memory of its callers.
//
//   node --conditions=effect-resilience-source examples/12-bulkhead.ts
import { Console, Data, Effect, Fiber, Layer } from "effect"
import { Backoff, Bulkhead, Fault, Policy, Priority, withResilience } from "effect-resilience"

class NetworkError extends Data.TaggedError("NetworkError")<{}> {}

// 1. At most three requests at once. Whoever finds no free slot is refused at once: nobody waits unless `maxQueue` says so.
class Quotes extends Bulkhead.Service<Quotes>()("app/Quotes", { maxConcurrent: 3 }) {}

const quotes = Policy.make({
  name: "quotes.get",
  faults: Fault.byTag<NetworkError>()({ NetworkError: "transient" }),
  safety: "idempotent",
  retry: Backoff.constant("40 millis").pipe(Backoff.times(1)),
  guards: [Quotes]
})

// The world outside: it counts the requests that run at the same time.
let running = 0
let most = 0
const request = Effect.gen(function* () {
  most = Math.max(most, ++running)
  yield* Effect.sleep("20 millis").pipe(Effect.ensuring(Effect.sync(() => running--)))
  return "1.08"
})

// What a bulkhead refuses with is in the type by itself.
const getQuote: Effect.Effect<string, Policy.RetryExhausted<NetworkError> | Bulkhead.BulkheadFull, Quotes> =
  request.pipe(withResilience(quotes))

/** How many came out how. */
const count = (ends: ReadonlyArray<string>) =>
  [...new Set(ends)].map((end) => `${ends.filter((other) => other === end).length} × ${end}`).join(", ")

const end = <A extends string, R>(self: Effect.Effect<A, { readonly _tag: string }, R>) =>
  Effect.match(self, { onSuccess: (value): string => value, onFailure: (error) => error._tag })

const slots = Effect.gen(function* () {
  yield* Console.log("ten callers at once, and three slots")
  const ends = yield* Effect.all(
    Array.from({ length: 10 }, () => end(getQuote)),
    { concurrency: 10 }
  )
  yield* Console.log(`  ${count(ends)}; at most ${most} requests at a time`)

  // By now a call has ended, so the bulkhead knows about how long one takes.
  const busy = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(getQuote, { startImmediately: true }))
  const error = yield* Effect.flip(getQuote)
  yield* Console.log(`  ${error.message}`)
  yield* Fiber.joinAll(busy)
})

// 2. Attempts, or whole calls. A guard of a policy limits attempts: a call that waits for its next attempt holds no slot. To limit
// whole calls, as Polly does where its limiter is outermost, put a bulkhead around the policy.
class Callers extends Bulkhead.Service<Callers>()("app/Callers", { maxConcurrent: 3 }) {}

const failing = Effect.fail(new NetworkError()).pipe(withResilience(quotes))

const attemptsAndCalls = Effect.gen(function* () {
  yield* Console.log("three calls wait for their second attempt")
  const inside = yield* Effect.forEach([1, 2, 3], () =>
    Effect.forkChild(Effect.exit(failing), { startImmediately: true })
  )
  yield* Console.log(`  a guard of the policy: ${(yield* Quotes.snapshot()).inFlight} slots taken`)
  yield* Fiber.joinAll(inside)
  const outside = yield* Effect.forEach([1, 2, 3], () =>
    Effect.forkChild(Effect.exit(failing.pipe(Callers.protect())), { startImmediately: true })
  )
  yield* Console.log(`  around the policy: ${(yield* Callers.snapshot()).inFlight} slots taken`)
  yield* Fiber.joinAll(outside)
})

// 3. A queue smooths a burst. When it is full, those that matter less make room for those that matter more.
class Checkout extends Bulkhead.Service<Checkout>()("app/Checkout", {
  maxConcurrent: 1,
  maxQueue: 2,
  maxWait: "2 seconds"
}) {}

const order = (name: string, priority: Priority.Priority) =>
  Effect.as(Effect.sleep("10 millis"), name).pipe(
    Checkout.protect(),
    Effect.tap((name) => Console.log(`  ${name}: done`)),
    Effect.catchTag("BulkheadFull", ({ reason }) => Console.log(`  ${name}: refused, ${reason}`)),
    Priority.at(priority)
  )

const queue = Effect.gen(function* () {
  yield* Console.log("one slot and two that may wait; they come in this order: report, backup, refresh, login, payment")
  yield* Effect.all(
    [
      order("report", "low"),
      order("backup", "background"),
      order("refresh", "background"),
      order("login", "high"),
      order("payment", "critical")
    ],
    { concurrency: 5 }
  )
})

// 4. Slots for each tenant, and more of them for one, while the program runs.
class Tenants extends Bulkhead.Service<Tenants>()("app/Tenants", { maxConcurrent: 2, keys: { max: 1000 } }) {}

const tenants = Effect.gen(function* () {
  const burst = (key: string) =>
    Effect.map(
      Effect.all(
        Array.from({ length: 6 }, () => end(request.pipe(Tenants.protect({ key })))),
        { concurrency: 6 }
      ),
      (ends) => `  ${key}: ${count(ends)}`
    )
  yield* Console.log("six requests at once of each tenant")
  yield* Effect.forEach(["ada", "bob"], (key) => Effect.tap(burst(key), Console.log))
  yield* Tenants.resize(4, "bob")
  yield* Console.log("bob has paid for more")
  yield* Effect.forEach(["ada", "bob"], (key) => Effect.tap(burst(key), Console.log))
})

const program = Effect.all([slots, attemptsAndCalls, queue, tenants], { discard: true })
const layer = Layer.mergeAll(Quotes.layer, Callers.layer, Checkout.layer, Tenants.layer)
await Effect.runPromise(program.pipe(Effect.provide(layer)))
