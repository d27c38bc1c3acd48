// Three ways to make the same call. All have 2 seconds; both that retry have 600 ms and 4 attempts, and start at 100 ms.
import { Effect, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { Backoff, CircuitBreaker, Policy, RetryBudget } from "effect-resilience"
import * as Http from "effect-resilience/http"

/** The call itself, by a client to which an error status is a failure. */
const getQuote = Effect.fn("getQuote")(function* <E, R>(client: HttpClient.HttpClient.With<E, R>, url: string) {
  const response = yield* client.get(`${url}/quotes/EUR`)
  return Number(yield* response.text)
})

export const noRetry = (http: HttpClient.HttpClient, url: string) =>
  getQuote(HttpClient.filterStatusOk(http), url).pipe(Effect.timeout("2 seconds"))

export const plainRetry = (http: HttpClient.HttpClient, url: string) =>
  getQuote(HttpClient.filterStatusOk(http), url).pipe(
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

/** Which responses are worth a retry, and how long a 429 asks to wait, is not said here: the client reads it from them. */
const quotes = Policy.make({
  name: "quotes.get",
  safety: "idempotent",
  deadline: "2 seconds",
  attemptTimeout: "600 millis",
  retry: Backoff.exponential({ base: "100 millis", cap: "1 second" }).pipe(Backoff.fullJitter, Backoff.times(3)),
  budget: QuotesBudget,
  guards: [QuotesBreaker]
})

/** The body is read within the attempt, so that the timeouts cover it, as those of the others do. */
export const resilient = (http: HttpClient.HttpClient, url: string) =>
  getQuote(Http.resilient(http, quotes, { readBody: true }), url)
