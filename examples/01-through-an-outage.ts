// `npm start`: the same traffic, through the same bad weather, through three clients of real HTTP servers, in 20 seconds.
import { NodeHttpClient, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Clock, Effect, Layer, Stream, Terminal } from "effect"
import { HttpClient } from "effect/http"
import { Telemetry } from "effect-resilience"
import { noRetry, plainRetry, QuotesBreaker, QuotesBudget, resilient } from "./01/clients.ts"
import { visit, type Lane } from "./01/lane.ts"
import { startServer } from "./01/server.ts"
import { summary, type Change } from "./01/summary.ts"
import { arrivals, perSecond } from "./01/traffic.ts"
import { view } from "./01/view.ts"

type Services = Effect.Services<ReturnType<typeof resilient>>

const main = Effect.gen(function* () {
  const { display } = yield* Terminal.Terminal
  const http = yield* HttpClient.HttpClient

  // One clock for all: the weather follows from the time that has passed.
  const start = yield* Clock.monotonicTimeNanos
  const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos - start) / 1e6)

  // Three clients, each with a server of its own: on a shared one, all would suffer from the storms of one.
  const [a, b, c] = yield* Effect.all([startServer(now), startServer(now), startServer(now)])
  const lanes: ReadonlyArray<Lane<Services>> = [
    { name: "no retry", server: a, call: noRetry(http, a.url), calls: [] },
    { name: "Effect.retry", server: b, call: plainRetry(http, b.url), calls: [] },
    {
      name: "Http.resilient",
      server: c,
      call: resilient(http, c.url),
      guards: Effect.all({ breaker: QuotesBreaker.state(), balance: QuotesBudget.balance() }),
      calls: []
    }
  ]

  // The breaker is a service like any other: whoever has it can watch it.
  const changes: Array<Change> = []
  yield* QuotesBreaker.changes.pipe(
    Stream.runForEach(({ to }) => Effect.map(now, (at) => void changes.push({ at, to }))),
    Effect.forkScoped
  )

  // Every arrival is a call to each of the three, whatever has become of the earlier ones.
  const times = yield* arrivals
  const traffic = Effect.forEach(
    times,
    (at) =>
      Effect.all(
        lanes.map((lane) => visit(lane, at, now)),
        { concurrency: "unbounded", discard: true }
      ),
    { concurrency: "unbounded", discard: true }
  )

  yield* display(`The same ${times.length} calls to three servers alike, about ${perSecond} a second:\n`)
  yield* display(`${lanes.map(({ name, server }) => `  ${name.padEnd(14)}  ${server.url}\n`).join("")}\n`)
  yield* Effect.all([traffic, view(lanes, now, times.length)], { concurrency: "unbounded", discard: true })

  yield* display(`\n${summary(lanes, changes)}\n`)
  yield* display(`\n${Telemetry.formatReport(yield* Telemetry.report)}\n`)
})

// State lives in layers, provided once, at the edge: all calls share one breaker and one budget.
const services = Layer.mergeAll(
  QuotesBreaker.layer,
  QuotesBudget.layer,
  Telemetry.layer,
  NodeHttpClient.layerUndici,
  NodeServices.layer
)

main.pipe(Effect.scoped, Effect.provide(services), NodeRuntime.runMain)
