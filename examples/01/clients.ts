// Three ways to make the same call. All have 2 seconds; both that retry have 600 ms and 4 attempts, and start at 100 ms.
import { Data, Duration, Effect, Option, Schedule } from "effect"
import { Headers, HttpClient } from "effect/http"
import { Backoff, CircuitBreaker, Fault, Policy, RetryBudget, withResilience } from "effect-resilience"

export class Unreachable extends Data.TaggedError("Unreachable")<{ readonly cause: unknown }> {}
export class ServerError extends Data.TaggedError("ServerError")<{ readonly status: number }> {}
export class TooManyRequests extends Data.TaggedError("TooManyRequests")<{ readonly retryAfter: Duration.Duration }> {}

/** The call itself: what can go wrong stands in its type. */
const getQuote = Effect.fn("getQuote")(
  function* (url: string) {
    const response = yield* HttpClient.get(`${url}/quotes/EUR`)
    const body = yield* response.text
    if (response.status === 429) {
      const seconds = Option.getOrElse(Headers.get(response.headers, "retry-after"), () => "1")
      return yield* new TooManyRequests({ retryAfter: Duration.seconds(Number(seconds)) })
    }
    if (response.status >= 500) return yield* new ServerError({ status: response.status })
    return Number(body)
  },
  Effect.catchTag("HttpClientError", (cause) => Effect.fail(new Unreachable({ cause })))
)

export const noRetry = (url: string) => getQuote(url).pipe(Effect.timeout("2 seconds"))

export const plainRetry = (url: string) =>
  getQuote(url).pipe(
    Effect.timeout("600 millis"),
    Effect.retry({ schedule: Schedule.exponential("100 millis"), times: 3 }),
    Effect.timeout("2 seconds")
  )

/** A tenth of the times that a real service would say, for an outage of 3 seconds: we want to see it open, half-open and close. */
export class QuotesBreaker extends CircuitBreaker.Service<QuotesBreaker>()("QuotesBreaker", {
  trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 20, window: "2 seconds" }),
  openFor: Backoff.exponential({ base: "300 millis", cap: "600 millis" }).pipe(Backoff.equalJitter)
}) {}

export class QuotesBudget extends RetryBudget.Service<QuotesBudget>()("QuotesBudget", RetryBudget.ratio()) {}

const quotes = Policy.make({
  name: "quotes.get",
  faults: Fault.byTag<Unreachable | ServerError | TooManyRequests>()({
    Unreachable: "transient",
    ServerError: "transient",
    TooManyRequests: ({ retryAfter }) => Fault.throttled({ retryAfter, unprocessed: true })
  }),
  safety: "idempotent",
  deadline: "2 seconds",
  attemptTimeout: "600 millis",
  retry: Backoff.exponential({ base: "100 millis", cap: "1 second" }).pipe(Backoff.fullJitter, Backoff.times(3)),
  budget: QuotesBudget,
  guards: [QuotesBreaker]
})

export const resilient = (url: string) => getQuote(url).pipe(withResilience(quotes))
