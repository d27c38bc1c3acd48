// A circuit breaker and a retry budget are services: their state lives in a Layer, and everything that shares the Layer shares
// the state. So provide them once, at the edge of the program.
//
//   node --conditions=effect-resilience-source examples/04-breaker-and-budget-layers.ts
import { Console, Data, Effect, Layer, MutableRef, Stream } from "effect"
import { Backoff, CircuitBreaker, Fault, Policy, RetryBudget, withResilience } from "effect-resilience"

class NetworkError extends Data.TaggedError("NetworkError")<{ readonly host: string }> {}

// One circuit for each host: `keys` makes the class keyed, in its type as well, so that a call must say which host it means.
class Hosts extends CircuitBreaker.Service<Hosts>()("app/Hosts", {
  trip: CircuitBreaker.consecutiveFailures(4),
  openFor: "200 millis",
  halfOpen: { probes: 1 },
  keys: { max: 1000, idleTimeToLive: "10 minutes" }
}) {}

// One budget for all of them: ten retries at most until successes bring some back.
class Upstream extends RetryBudget.Service<Upstream>()(
  "app/Upstream",
  RetryBudget.tokenBucket({ capacity: 10, retryCost: 1, timeoutCost: 1 })
) {}

const pages = Policy.make({
  name: "pages.get",
  faults: Fault.byTag<NetworkError>()({ NetworkError: "transient" }),
  safety: "idempotent",
  retry: Backoff.constant("5 millis").pipe(Backoff.times(1)),
  budget: Upstream,
  guards: [Hosts]
})

// The world outside: which host is down, and how many requests have reached it.
const down = MutableRef.make("a.example")
const requests = MutableRef.make(0)

const request = (host: string) =>
  Effect.suspend(() => {
    MutableRef.increment(requests)
    return down.current === host ? Effect.fail(new NetworkError({ host })) : Effect.succeed(`a page of ${host}`)
  })

// The type says what a page needs. Leave it open here …
const getPage = (
  host: string
): Effect.Effect<string, Policy.RetryExhausted<NetworkError> | CircuitBreaker.CircuitOpen, Hosts | Upstream> =>
  request(host).pipe(withResilience(pages, { key: host }))

const show = (host: string) =>
  getPage(host).pipe(
    Effect.matchEffect({
      onSuccess: (page) => Console.log(`  ${host}: ${page}`),
      onFailure: (error) => Console.log(`  ${host}: ${error._tag}`)
    }),
    // who follows the changes is a fiber of its own, and has its turn while this one waits
    Effect.andThen(Effect.sleep("5 millis"))
  )

const program = Effect.gen(function* () {
  yield* Hosts.changes.pipe(
    Stream.runForEach((change) => Console.log(`  [${change.key} ${change.from} -> ${change.to}]`)),
    Effect.forkScoped({ startImmediately: true })
  )

  yield* Console.log("a.example is down: two calls, two attempts each, open its circuit; the third call costs nothing")
  for (let i = 0; i < 3; i++) yield* show("a.example")
  yield* Console.log(`  requests sent: ${requests.current}; retries left in the budget: ${yield* Upstream.balance()}`)
  yield* Console.log(`  state of a.example: ${yield* Hosts.state("a.example")}`)

  yield* Console.log("b.example has a circuit of its own")
  yield* show("b.example")

  yield* Console.log("a.example recovers; when the open time is over, one probe closes its circuit")
  MutableRef.set(down, "none")
  yield* Effect.sleep("250 millis")
  yield* Console.log(`  state of a.example: ${yield* Hosts.state("a.example")}`)
  yield* show("a.example")

  yield* Console.log("whoever is on call takes b.example out of service, and puts it back")
  yield* Hosts.isolate("b.example")
  yield* show("b.example")
  yield* Hosts.close("b.example")
  yield* show("b.example")

  const all = yield* Hosts.snapshots
  yield* Console.log(`  snapshots: ${all.map(({ key, state }) => `${key} ${state}`).join(", ")}`)
}).pipe(Effect.scoped)

// … and provide it here, once: the right place.
await Effect.runPromise(program.pipe(Effect.provide(Layer.mergeAll(Hosts.layer, Upstream.layer))))

// The wrong place: at the call. Every call builds a breaker and a budget of its own, which have never seen a failure.
const wrong = Effect.gen(function* () {
  yield* Console.log("a layer provided at the call: the breaker never opens")
  MutableRef.set(down, "a.example")
  MutableRef.set(requests, 0)
  for (let i = 0; i < 3; i++) {
    yield* show("a.example").pipe(Effect.provide(Layer.mergeAll(Hosts.layer, Upstream.layer)))
  }
  yield* Console.log(`  requests sent: ${requests.current}`)
})

await Effect.runPromise(wrong)
