// A user's first program, written from the README alone. It is type checked against the package's declarations and run with the
// built package, in a project that holds nothing else.
import { Data, Duration, Effect, Exit, Layer, Schema } from "effect"
import { Backoff, CircuitBreaker, Fault, Policy, RetryBudget, withResilience } from "effect-resilience"
import * as BackoffAlone from "effect-resilience/Backoff"
import { AttemptTimeout, RetryExhausted } from "effect-resilience/schema"

class NetworkError extends Data.TaggedError("NetworkError")<{ readonly host: string }> {}
class TooManyRequests extends Data.TaggedError("TooManyRequests")<{ readonly retryAfter: Duration.Duration }> {}
class UnknownSymbol extends Data.TaggedError("UnknownSymbol")<{ readonly symbol: string }> {}

class QuotesBreaker extends CircuitBreaker.Service<QuotesBreaker>()("app/QuotesBreaker", {
  trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: "30 seconds" }),
  openFor: Backoff.exponential({ base: "5 seconds", cap: "1 minute" })
}) {}

class UpstreamBudget extends RetryBudget.Service<UpstreamBudget>()(
  "app/UpstreamBudget",
  RetryBudget.ratio({ ratio: 0.2, minPerSecond: 10, window: "10 seconds" })
) {}

const quotes = Policy.make({
  name: "quotes.get",
  faults: Fault.byTag<NetworkError | TooManyRequests | UnknownSymbol>()({
    NetworkError: "transient",
    TooManyRequests: (e) => Fault.throttled({ retryAfter: e.retryAfter }),
    UnknownSymbol: "permanent"
  }),
  safety: "idempotent",
  deadline: "3 seconds",
  attemptTimeout: "800 millis",
  retry: Backoff.exponential({ base: "10 millis", cap: "50 millis" }).pipe(Backoff.fullJitter, Backoff.times(3)),
  budget: UpstreamBudget,
  guards: [QuotesBreaker]
})

let requests = 0

/** Fails twice, in two ways, and then answers. An unknown symbol stays unknown. */
const getQuote = Effect.fn(function* (symbol: string) {
  requests++
  if (symbol === "XXX") return yield* new UnknownSymbol({ symbol })
  if (symbol === "DOWN" || requests === 1) return yield* new NetworkError({ host: "quotes.example" })
  if (requests === 2) return yield* new TooManyRequests({ retryAfter: Duration.millis(20) })
  return 1.17
})

const expect = (what: string, condition: boolean): void => {
  console.log(`${condition ? "ok    " : "FAILED"} ${what}`)
  if (!condition) throw new Error(what)
}

const program = Effect.gen(function* () {
  const quote = yield* getQuote("EUR").pipe(withResilience(quotes))
  expect("two failures are retried, the third request answers", quote === 1.17 && requests === 3)

  requests = 0
  const unknown = yield* getQuote("XXX").pipe(
    withResilience(quotes),
    Effect.catchTag("UnknownSymbol", () => Effect.succeed("permanent" as const))
  )
  expect("a permanent error comes out unchanged, after one request", unknown === "permanent" && requests === 1)

  const down = yield* getQuote("DOWN").pipe(withResilience(quotes), Effect.flip)
  expect("an outage comes out as RetryExhausted", down._tag === "RetryExhausted" && down.attempts === 4)
  expect("which is one of the errors of an unavailable dependency", Policy.isUnavailable(down))

  yield* QuotesBreaker.isolate()
  const refused = yield* getQuote("EUR").pipe(withResilience(quotes), Effect.flip)
  expect("an isolated circuit refuses the call", refused._tag === "CircuitOpen" && refused.state === "isolated")
}).pipe(Effect.provide(Layer.mergeAll(QuotesBreaker.layer, UpstreamBudget.layer)))

await Effect.runPromise(program)

const codec = RetryExhausted(AttemptTimeout)
const timeouts = await Effect.runPromise(
  Effect.never.pipe(
    withResilience(
      Policy.make({
        name: "hangs",
        faults: Fault.all,
        safety: "idempotent",
        attemptTimeout: "20 millis",
        retry: BackoffAlone.constant("1 millis").pipe(BackoffAlone.times(1))
      })
    ),
    Effect.exit
  )
)
const json = Exit.isFailure(timeouts)
  ? JSON.stringify(Schema.encodeUnknownSync(codec)(Effect.runSync(Effect.flip(timeouts))))
  : ""
expect("an error goes over the wire and back", Schema.decodeUnknownSync(codec)(JSON.parse(json)).attempts === 2)
