// The cases of HTTP: a GET of a small body over the loopback, by Effect's client on undici, with as many requests at a time as keep it busy.
// The server is another process, so that only the client's processor time counts: a client that is always busy makes so many fewer requests a
// second as a request costs more.
import { fork } from "node:child_process"
import { once } from "node:events"
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Effect, Layer, Schedule, Scope } from "effect"
import { HttpClient } from "effect/http"
import { setHeader } from "effect/http/HttpClientRequest"
import { CircuitBreaker as EffectBreaker } from "effect/persistence"
import { Backoff, CircuitBreaker, Policy, RetryBudget } from "effect-resilience"
import * as Http from "effect-resilience/http"
import * as Calls from "./calls.ts"
import { framed, provided } from "./floor.ts"
import type { Loop, Timed } from "./measure.ts"

const atATime = 8

class Breaker extends CircuitBreaker.Service<Breaker>()("bench/Origins", {
  trip: CircuitBreaker.failureRate(Calls.trip),
  openFor: Calls.openMs,
  keys: {}
}) {}

class Budget extends RetryBudget.Service<Budget>()("bench/HttpBudget", RetryBudget.ratio()) {}

const guarded = Policy.make({
  name: "bench.http",
  safety: "idempotent",
  retry: Backoff.exponential({ base: Calls.baseMs, cap: Calls.capMs }).pipe(
    Backoff.fullJitter,
    Backoff.times(Calls.retries)
  ),
  budget: Budget,
  guards: [Breaker]
})

const everything = Policy.extend(guarded, {
  name: "bench.http.everything",
  deadline: Calls.deadlineMs,
  attemptTimeout: Calls.attemptTimeoutMs
})

const services = Layer.mergeAll(
  Breaker.layer,
  Budget.layer,
  EffectBreaker.layer({
    tripPolicy: EffectBreaker.rate({
      threshold: Calls.trip.threshold,
      size: Calls.trip.window,
      minimumCalls: Calls.trip.minimumCalls
    }),
    openDuration: Calls.openMs
  }).pipe(Layer.provide(EffectBreaker.layerStoreMemory())),
  NodeHttpClient.layerUndici
)

type Services = Layer.Success<typeof services>

const origin = async (): Promise<string> => {
  const server = fork(`${import.meta.dirname}/httpServer.ts`, { execArgv: [] })
  const [port] = (await once(server, "message")) as [number]
  server.unref()
  return `http://127.0.0.1:${port}`
}

/** The same requests, by the client as it is and by another one made of it. */
const beside = async <E, R extends Services>(
  make: (client: HttpClient.HttpClient) => Effect.Effect<HttpClient.HttpClient.With<E, R>, never, Services>
): Promise<Timed> => {
  const url = await origin()
  const context = await Effect.runPromise(Layer.buildWithScope(services, Scope.makeUnsafe()))
  const by =
    <E, R extends Services>(client: HttpClient.HttpClient.With<E, R>): Loop =>
    (times) => {
      const some = Effect.gen(function* () {
        for (let i = 0; i < times / atATime; i++) yield* (yield* client.get(url)).text
      })
      const all = Array.from({ length: atATime }, () => some)
      return Effect.runPromiseWith<R>(context)(Effect.all(all, { concurrency: "unbounded", discard: true }))
    }
  const bare = Context.get(context, HttpClient.HttpClient)
  return { bare: by(bare), guarded: by(await Effect.runPromiseWith(context)(make(bare))) }
}

export const httpGuarded = () => beside((client) => Effect.succeed(Http.resilient(client, guarded)))

export const httpEverything = () => beside((client) => Effect.succeed(Http.resilient(client, everything)))

export const httpFramed = () => beside((client) => Effect.succeed(HttpClient.transform(client, framed)))

/** What each attempt says of itself, by Effect's own means. */
export const httpWithHeader = () =>
  beside((client) => Effect.succeed(HttpClient.mapRequest(client, setHeader("x-envoy-attempt-count", "1"))))

/** Anything that runs in a context of its own: Effect's client merges that into the one it was built in, at each request. */
export const httpProvided = () => beside((client) => Effect.succeed(HttpClient.transform(client, provided)))

export const effectHttpGuarded = () =>
  beside((client) =>
    Effect.map(EffectBreaker.CircuitBreaker, (breaker) =>
      client.pipe(
        HttpClient.withCircuitBreaker({ breaker }),
        HttpClient.retryTransient({
          times: Calls.retries,
          schedule: Schedule.exponential(Calls.baseMs).pipe(Schedule.jittered)
        })
      )
    )
  )
