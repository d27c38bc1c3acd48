// An HTTP server with few workers. Each client gets one of its own, all alike, so that no client suffers from another's storm.
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Random, Semaphore } from "effect"
import { HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { phaseAt, script } from "./weather.ts"

/**
 * With 75 ms of work a request, 10 workers serve 133 requests a second: three times the traffic, as a careful operator would have
 * it, and less than the four times that a client sends which makes four attempts of every call. (Try 20: then the storm is served.)
 *
 * A request waits for a worker in the order of arrival, and its work is done to the end, as on most servers, whether or not anybody
 * still waits for the answer: without a router, Effect's server runs a handler uninterruptibly.
 */
const workers = 10

export const startServer = Effect.fn("startServer")(function* (now: Effect.Effect<number>) {
  const http = yield* NodeHttpServer.make(createServer, {
    port: 0,
    host: "127.0.0.1",
    gracefulShutdownTimeout: "1 second"
  })
  const pool = yield* Semaphore.make(workers)
  /** Requests that came in, by weather. */
  const requests = new Map<string, number>(script.map(({ name }) => [name, 0]))
  const stats = { requests, inFlight: 0 }
  const quota = { second: -1, used: 0 }

  /** The milliseconds to wait if the quota of this second is used up, else 0. */
  const throttledFor = (ms: number): number => {
    const second = Math.floor(ms / 1000)
    if (second !== quota.second) Object.assign(quota, { second, used: 0 })
    return ++quota.used > phaseAt(ms).weather.quota ? (second + 1) * 1000 - ms : 0
  }

  const work = Effect.gen(function* () {
    const { weather } = phaseAt(yield* now)
    const isStuck = (yield* Random.next) < weather.stuck
    yield* Effect.sleep(isStuck ? 1500 : yield* Random.nextBetween(...weather.work))
    const failed = (yield* Random.next) < weather.failing
    return failed ? HttpServerResponse.empty({ status: 503 }) : HttpServerResponse.text("1.0842")
  }).pipe(Effect.uninterruptible, pool.withPermit)

  const handler = Effect.gen(function* () {
    const ms = yield* now
    const { name } = phaseAt(ms).weather
    requests.set(name, requests.get(name)! + 1)
    const wait = throttledFor(ms)
    if (wait === 0) return yield* work
    return HttpServerResponse.empty({ status: 429, headers: { "retry-after": `${Math.ceil(wait / 1000)}` } })
  })

  const counted = Effect.acquireUseRelease(
    Effect.sync(() => void stats.inFlight++),
    () => handler,
    () => Effect.sync(() => void stats.inFlight--)
  )

  yield* http.serve(counted).pipe(Random.withSeed("weather"))
  return { url: HttpServer.formatAddress(http.address), stats }
})

export type Server = Effect.Success<ReturnType<typeof startServer>>
