// Four ways to make the same call. An attempt may take 1.2 seconds, and there are three of them: that is the same in all four.
import { Effect, Layer, Schedule } from "effect"
import { HttpClient, type HttpClientError } from "effect/http"
import {
  AdaptiveLimit,
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Fault,
  Policy,
  RetryBudget,
  Throttle,
  withResilience
} from "effect-resilience"
import * as RateLimit from "effect-resilience/RateLimit"

/** The call itself. An answer that is not 2xx is a failure. */
const getQuote = Effect.fn("getQuote")(function* (url: string) {
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const response = yield* client.get(`${url}/quotes/EUR`)
  return Number(yield* response.text)
})

// 1. What one writes first: a timeout, and a retry.
export const naive = (url: string) =>
  getQuote(url).pipe(
    Effect.timeout("1.2 seconds"),
    Effect.retry({ schedule: Schedule.exponential("100 millis"), times: 2 })
  )

// What a failure means: we did not get through, or what the status says.
const connection = Fault.make<HttpClientError.HttpClientError>(({ reason }) =>
  reason._tag === "TransportError" ? Fault.transient() : undefined
)
const status = Fault.make<HttpClientError.HttpClientError>(({ response }) => {
  if (response === undefined) return undefined
  if (response.status === 429 || response.status === 503) return Fault.throttled()
  return response.status >= 500 ? Fault.transient() : Fault.permanent()
})

const patience = {
  faults: Fault.orElse(connection, status),
  safety: "idempotent",
  attemptTimeout: "1.2 seconds",
  retry: Backoff.exponential({ base: "100 millis", cap: "1 second" }).pipe(Backoff.fullJitter, Backoff.times(2))
} as const

// 2. A bulkhead, of the size that suits the server as we know it: it has 12 workers. Nobody waits.
class Slots extends Bulkhead.Service<Slots>()("Slots", { maxConcurrent: 14 }) {}

const withBulkhead = Policy.make({ ...patience, name: "bulkhead", guards: [Slots] })

export const bulkhead = (url: string) => getQuote(url).pipe(withResilience(withBulkhead))

// 3. A limit that suits the server as it is now. Some calls may wait for a slot, and those that matter go first.
//
// An answer that takes more than 350 ms has waited in the server, which works for 200 ms at most: knowing that, the limit needs no
// time to find out what is slow, and is there within the seconds of this example. Without `algorithm` it learns that, too; give it
// minutes. (So the windows are short, and the steps large.)
const quick = {
  algorithm: AdaptiveLimit.aimd({
    initial: 14,
    max: 20,
    slowerThan: "350 millis",
    backoffRatio: 0.8,
    window: { max: "300 millis", samples: 5 }
  }),
  queue: { maxQueue: 10, maxWait: "500 millis" }
} as const

export class Limit extends AdaptiveLimit.Service<Limit>()("Limit", quick) {}

const withLimit = Policy.make({ ...patience, name: "limit", guards: [Limit] })

export const adaptiveLimit = (url: string) => getQuote(url).pipe(withResilience(withLimit))

// 4. Everything, as it may stand in an application. The order of the guards is not said: the policy asks each in its phase.
class Quota extends RateLimit.Service<Quota>()("Quota", { limit: 200, window: "1 second" }) {}
class Refusals extends Throttle.Service<Refusals>()("Refusals", { window: "5 seconds" }) {}
export class OwnLimit extends AdaptiveLimit.Service<OwnLimit>()("OwnLimit", quick) {}
class Breaker extends CircuitBreaker.Service<Breaker>()("Breaker", {
  trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 20, window: "5 seconds" }),
  openFor: Backoff.exponential({ base: "500 millis", cap: "2 seconds" }).pipe(Backoff.equalJitter)
}) {}
class Retries extends RetryBudget.Service<Retries>()("Retries", RetryBudget.ratio({ ratio: 0.1, minPerSecond: 1 })) {}
class Callers extends Bulkhead.Service<Callers>()("Callers", { maxConcurrent: 200 }) {}

const withEverything = Policy.make({
  ...patience,
  name: "everything",
  deadline: "2.5 seconds",
  budget: Retries,
  guards: [Breaker, OwnLimit, Quota, Refusals]
})

// around the policy: it limits callers, not attempts
export const everything = (url: string) => getQuote(url).pipe(withResilience(withEverything), Callers.protect())

export const layer = Layer.mergeAll(
  Slots.layer,
  Limit.layer,
  Quota.layer,
  Refusals.layer,
  OwnLimit.layer,
  Breaker.layer,
  Retries.layer,
  Callers.layer
)
