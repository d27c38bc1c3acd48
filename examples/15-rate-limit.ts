// A rate limit keeps a client within what its dependency allows, so that the dependency need not refuse anything. The algorithms and
// the stores are Effect's own; the guard adds waiting that is bounded, and a memory of what a 429 asked for.
//
//   node --conditions=effect-resilience-source examples/15-rate-limit.ts
import { Console, Data, Duration, Effect, Fiber, Layer, MutableRef } from "effect"
import { RateLimiter } from "effect/persistence"
import { Backoff, Fault, Policy, withResilience } from "effect-resilience"
// by its own path: it brings Effect's persistence modules along
import * as RateLimit from "effect-resilience/RateLimit"

class TooManyRequests extends Data.TaggedError("TooManyRequests")<{ readonly retryAfter: Duration.Duration }> {}

// The dependency allows 5 requests in 300 ms. A call may wait as long for its turn, and is refused at once if that would not do.
class Quotes extends RateLimit.Service<Quotes>()("app/Quotes", {
  limit: 5,
  window: "300 millis",
  maxWait: "300 millis"
}) {}

const policy = Policy.make({
  name: "quotes.get",
  faults: Fault.byTag<TooManyRequests>()({ TooManyRequests: ({ retryAfter }) => Fault.throttled({ retryAfter }) }),
  safety: "idempotent",
  retry: Backoff.constant("5 millis").pipe(Backoff.times(2)),
  guards: [Quotes]
})

// The world outside: how many requests have reached it, and whether somebody else has used up the quota.
const requests = MutableRef.make(0)
const isThrottling = MutableRef.make(false)

const request = Effect.suspend(() => {
  MutableRef.increment(requests)
  return isThrottling.current
    ? Effect.fail(new TooManyRequests({ retryAfter: Duration.millis(100) }))
    : Effect.succeed("1.08")
})

/** What became of a call, in a word or two. */
const outcome = <E extends { readonly _tag: string }, R>(self: Effect.Effect<string, E, R>) =>
  Effect.match(self, {
    onSuccess: () => "served",
    onFailure: (error) => (error instanceof RateLimit.RateLimited ? `refused (${error.reason})` : error._tag)
  })
const quote = outcome(request.pipe(withResilience(policy)))

const tally = (outcomes: ReadonlyArray<string>) =>
  [...new Set(outcomes)].map((it) => `${outcomes.filter((other) => other === it).length} ${it}`).join(", ")

const program = Effect.gen(function* () {
  yield* Console.log("twelve calls at once: five go out, five wait for the next window; for two that is too late")
  const twelve = yield* Effect.all(
    Array.from({ length: 12 }, () => quote),
    { concurrency: "unbounded" }
  )
  yield* Console.log(`  ${tally(twelve)}; requests sent: ${requests.current}`)

  yield* Console.log("the second window is used up as well: a call whose deadline comes first need not wait")
  const hurried = yield* request.pipe(
    withResilience(Policy.extend(policy, { name: "hurried", deadline: "20 millis" })),
    outcome
  )
  yield* Console.log(`  ${hurried}; tokens left: ${(yield* Quotes.snapshot()).remaining}`)

  yield* Console.log("somebody else has used up the quota: after one 429 nothing goes out until the time it named")
  yield* Effect.sleep("600 millis")
  MutableRef.set(requests, 0)
  MutableRef.set(isThrottling, true)
  const first = yield* Effect.forkChild(quote, { startImmediately: true })
  const others = yield* Effect.forkChild(Effect.all([quote, quote], { concurrency: 2 }), { startImmediately: true })
  MutableRef.set(isThrottling, false)
  const drained = [yield* Fiber.join(first), ...(yield* Fiber.join(others))]
  yield* Console.log(`  ${tally(drained)}; requests sent: ${requests.current}, one of them for nothing`)
})
await Effect.runPromise(program.pipe(Effect.provide(Quotes.layer)))

// Several processes share a limit through a store. Here both are in one process, and the store is in memory; in production it is
// `RateLimiter.layerStoreRedis()` over `NodeRedis.layer({ url })` of @effect/platform-node.
const shared = Effect.gen(function* () {
  yield* Console.log("two processes with four calls each, over one store")
  const store = yield* Layer.build(RateLimiter.layerStoreMemory)
  const process = Quotes.layerSharedWith({ maxWait: 0 }).pipe(Layer.fresh, Layer.build, Effect.provide(store))
  const [one, two] = [yield* process, yield* process]
  const calls = Effect.all([quote, quote, quote, quote])
  const outcomes = yield* Effect.all([Effect.provide(calls, one), Effect.provide(calls, two)])
  yield* Console.log(`  ${tally(outcomes.flat())}`)
})
await Effect.runPromise(Effect.scoped(shared))
