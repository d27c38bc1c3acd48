// Typed faults: say once how each error of an operation is to be treated, and the types know what can still come out.
//
//   node --conditions=effect-resilience-source examples/02-typed-faults.ts
import { Console, Data, Duration, Effect } from "effect"
import { Attempt, Backoff, Fault, Policy, withResilience } from "effect-resilience"

class NetworkError extends Data.TaggedError("NetworkError")<{ readonly host: string }> {}
class TooManyRequests extends Data.TaggedError("TooManyRequests")<{ readonly retryAfter: Duration.Duration }> {}
class UnknownSymbol extends Data.TaggedError("UnknownSymbol")<{ readonly symbol: string }> {}
class NotReady extends Data.TaggedError("NotReady")<{ readonly symbol: string }> {}

interface Quote {
  readonly symbol: string
  readonly status: "ready" | "computing"
  readonly price: number
}

// A case for every error: a missing tag, a misspelt one and a kind that does not exist do not compile.
const quotes = Policy.make({
  name: "quotes.get",
  faults: Fault.byTag<NetworkError | TooManyRequests | UnknownSymbol | NotReady>()({
    NetworkError: "transient",
    TooManyRequests: (error) => Fault.throttled({ retryAfter: error.retryAfter }), // `error` has its own type here
    UnknownSymbol: "permanent",
    NotReady: "transient"
  }),
  safety: "idempotent",
  retry: Backoff.exponential({ base: "10 millis", cap: "100 millis" }).pipe(Backoff.fullJitter, Backoff.times(2))
})

// A stand-in for a real client. It reads which attempt this is, so that it can misbehave by script.
const getQuote = Effect.fn("getQuote")(function* (symbol: string) {
  const { number } = yield* Attempt.current
  yield* Console.log(`  attempt ${number}: GET /quotes/${symbol}`)
  if (symbol === "ZZZ") return yield* new UnknownSymbol({ symbol })
  if (symbol === "JPY") return yield* new NetworkError({ host: "quotes.example" })
  if (symbol === "EUR" && number === 1) return yield* new NetworkError({ host: "quotes.example" })
  if (symbol === "EUR" && number === 2) return yield* new TooManyRequests({ retryAfter: Duration.millis(30) })
  return { symbol, status: symbol === "GBP" && number < 3 ? "computing" : "ready", price: 1.08 } satisfies Quote
})

// What came out of it without a policy:  Effect<Quote, NetworkError | TooManyRequests | UnknownSymbol>
//
// With one, a transient error only ever comes out as a RetryExhausted, which says which; a permanent one comes out as it is.
const resilient = (
  symbol: string
): Effect.Effect<Quote, UnknownSymbol | Policy.RetryExhausted<NetworkError | TooManyRequests>> =>
  getQuote(symbol).pipe(withResilience(quotes))

// To retry on a *result*, turn it into an error first. There is no second mechanism.
const readyQuote = (
  symbol: string
): Effect.Effect<Quote, UnknownSymbol | Policy.RetryExhausted<NetworkError | TooManyRequests | NotReady>> =>
  getQuote(symbol).pipe(
    Effect.filterOrFail(
      (quote) => quote.status === "ready",
      (quote) => new NotReady({ symbol: quote.symbol })
    ),
    withResilience(quotes)
  )

const program = Effect.gen(function* () {
  yield* Console.log("EUR: a network error, then a 429 that asks for 30 ms, then an answer")
  const [elapsed, quote] = yield* Effect.timed(resilient("EUR"))
  yield* Console.log(`  -> ${quote.price}; waited for Retry-After: ${Duration.toMillis(elapsed) >= 30}`)

  yield* Console.log("ZZZ: a permanent error is never retried, and is caught by its own tag")
  yield* resilient("ZZZ").pipe(
    Effect.catchTag("UnknownSymbol", (error) => Console.log(`  -> there is no symbol ${error.symbol}`))
  )

  yield* Console.log("JPY: the network stays down")
  yield* resilient("JPY").pipe(
    Effect.catchTag("RetryExhausted", (error) => {
      // NetworkError | TooManyRequests, with the fields of both
      const last = error.lastError._tag === "NetworkError" ? `${error.lastError.host} is away` : "slow down"
      return Console.log(`  -> gave up after ${error.attempts} attempts (reason: ${error.reason}): ${last}`)
    })
  )

  yield* Console.log("JPY again: catch whatever means 'the dependency could not serve', and nothing else")
  const orNone: Effect.Effect<Quote | undefined, UnknownSymbol> = resilient("JPY").pipe(
    Policy.catchUnavailable((error) => Effect.as(Console.log(`  -> ${error._tag}: no quote for now`), undefined))
  )
  yield* orNone.pipe(Effect.orDie)

  yield* Console.log("GBP: it answers, but is not ready until the third time")
  const { status } = yield* readyQuote("GBP")
  yield* Console.log(`  -> ${status}`)
})

await Effect.runPromise(program)
