// An HTTP server as most are: it takes every request in, works on them in the order of arrival, and does not notice that a client
// has hung up. So when requests come faster than it can serve them, it works more and more for nobody.
import { NodeHttpServer } from "@effect/platform-node"
import { Deferred, Effect, Queue, Random } from "effect"
import { HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { phaseAt, phases, workMs } from "./script.ts"

export const startServer = Effect.fn("startServer")(function* (now: Effect.Effect<number>) {
  const http = yield* NodeHttpServer.make(createServer, {
    port: 0,
    host: "127.0.0.1",
    gracefulShutdownTimeout: "1 second"
  })
  const stats = { requests: 0, done: 0, inVain: 0 }
  const queue = yield* Queue.unbounded<{ readonly answer: Deferred.Deferred<void>; isAwaited: boolean }>()

  const work = Effect.gen(function* () {
    const request = yield* Queue.take(queue)
    yield* Effect.sleep(yield* Random.nextBetween(...workMs))
    stats.done++
    if (!request.isAwaited) stats.inVain++
    yield* Deferred.succeed(request.answer, undefined)
  })

  /** A worker that is away begins nothing new. */
  const worker = Effect.fnUntraced(function* (number: number) {
    while (true) {
      const phase = phaseAt(yield* now)
      if (number < phase.workers) yield* work
      else yield* Effect.sleep(phase.to - (yield* now))
    }
  })
  const mostWorkers = Math.max(...phases.map(({ workers }) => workers))
  for (let number = 0; number < mostWorkers; number++) {
    yield* worker(number).pipe(Random.withSeed(`worker ${number}`), Effect.forkScoped)
  }

  // Effect's server lets a request whose client has hung up go on; where that ends the handler, as here, its work is still in the
  // queue. That it is in vain is only counted: the worker cannot know.
  const handler = Effect.gen(function* () {
    stats.requests++
    const request = { answer: yield* Deferred.make<void>(), isAwaited: true }
    yield* Queue.offer(queue, request)
    yield* Effect.interruptible(Deferred.await(request.answer)).pipe(
      Effect.onInterrupt(() => Effect.sync(() => (request.isAwaited = false)))
    )
    return HttpServerResponse.text("1.0842")
  })
  yield* http.serve(handler)

  return { url: HttpServer.formatAddress(http.address), stats, queued: Queue.size(queue) }
})

export type Server = Effect.Success<ReturnType<typeof startServer>>
