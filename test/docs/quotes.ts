// What the README calls your own code: an effect, and the errors it may fail with. It misbehaves by script.
import { Data, Duration, Effect } from "effect"
import { Attempt } from "effect-resilience"

export class NetworkError extends Data.TaggedError("NetworkError")<{ readonly host: string }> {}
export class TooManyRequests extends Data.TaggedError("TooManyRequests")<{ readonly retryAfter: Duration.Duration }> {}
export class UnknownSymbol extends Data.TaggedError("UnknownSymbol")<{ readonly symbol: string }> {}

export interface Quote {
  readonly symbol: string
  readonly price: number
  readonly status: "ready" | "computing"
}

/** EUR answers at the third attempt, ZZZ is not a symbol, DOWN is unreachable; all others answer at once. */
export const getQuote = Effect.fn("getQuote")(function* (symbol: string) {
  const { number } = yield* Attempt.current
  if (symbol === "ZZZ") return yield* new UnknownSymbol({ symbol })
  if (symbol === "DOWN" || (symbol === "EUR" && number === 1))
    return yield* new NetworkError({ host: "quotes.example" })
  if (symbol === "EUR" && number === 2) return yield* new TooManyRequests({ retryAfter: Duration.millis(20) })
  return { symbol, price: 1.08, status: "ready" } as Quote
})
