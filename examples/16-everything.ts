// Overload, and what helps: the same traffic four times, side by side, to real servers that have a quarter of their capacity for a
// while. A timeout and a retry make it worse. A bulkhead keeps the server useful; a limit that adapts, and priorities, also
// keep the calls that matter. All guards together do so as well, and do not get in each other's way.
//
//   node --conditions=effect-resilience-source examples/16-everything.ts
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Layer } from "effect"
import { adaptiveLimit, bulkhead, everything, layer, Limit, naive, OwnLimit } from "./16/clients.ts"
import { startServer } from "./16/server.ts"
import { summary } from "./16/summary.ts"
import { traffic, type Lane } from "./16/traffic.ts"
import { view } from "./16/view.ts"

// A program is slow until it has run for a moment: that is not what is to be seen here.
const warmUp = Effect.gen(function* () {
  const { url } = yield* startServer(Effect.succeed(0))
  yield* Effect.replicateEffect(Effect.ignore(naive(url)), 60, { concurrency: 10, discard: true })
}).pipe(Effect.scoped)

const main = Effect.gen(function* () {
  yield* warmUp

  // One clock for all: what the servers can do follows from the time that has passed.
  const start = yield* Clock.monotonicTimeNanos
  const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos - start) / 1e6)

  // Each client has a server to itself: on a shared one, all would suffer from the storm of one.
  const [a, b, c, d] = yield* Effect.all([startServer(now), startServer(now), startServer(now), startServer(now)])
  const lanes: ReadonlyArray<Lane<Services>> = [
    { name: "timeout and retry", server: a, call: naive(a.url), calls: [] },
    { name: "bulkhead", server: b, call: bulkhead(b.url), calls: [] },
    {
      name: "adaptive limit",
      server: c,
      call: adaptiveLimit(c.url),
      limit: Effect.map(Limit.snapshot(), ({ limit }) => limit),
      calls: []
    },
    {
      name: "everything",
      server: d,
      call: everything(d.url),
      limit: Effect.map(OwnLimit.snapshot(), ({ limit }) => limit),
      calls: []
    }
  ]

  yield* Effect.all([traffic(lanes, now), view(lanes, now)], { concurrency: "unbounded", discard: true })
  yield* Console.log(`\n${summary(lanes)}`)
})

const services = Layer.merge(layer, NodeHttpClient.layerUndici)

type Services = Layer.Success<typeof services>

main.pipe(Effect.scoped, Effect.provide(services), NodeRuntime.runMain)
