// A server that honours the deadlines of its clients, refuses the least important requests first when it has too many, and carries out
// a payment once, however often it is sent.
//
//   node --conditions=effect-resilience-source examples/19-http-server.ts
import { createServer } from "node:http"
import { NodeHttpServer } from "@effect/platform-node"
import { Console, Deferred, Duration, Effect, Fiber, Layer, Option } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Bulkhead, Deadline } from "effect-resilience"
import * as Http from "effect-resilience/http"

// The capacity of the server: one request at a time, and one that waits, so that it is easy to see who goes first.
class Capacity extends Bulkhead.Service<Capacity>()("app/Capacity", { maxConcurrent: 1, maxQueue: 1 }) {}

// Only who knows the secret may say how important a request is: else everybody would be critical.
const shed = Http.shed(Capacity, { trust: (request) => request.headers["x-secret"] === "of the gateway" })

// 1. A report takes a while. How long it may take, its client says, up to the server's own limit.
const report = Effect.gen(function* () {
  const left = Option.getOrThrow(yield* Deadline.remaining)
  yield* Console.log(
    `    the server begins, with ${Duration.toMillis(left) > 1000 ? "its own" : "its client's"} deadline`
  )
  yield* Effect.sleep("200 millis")
  return HttpServerResponse.text("the report")
}).pipe(Effect.onInterrupt(() => Console.log("    the server stops, because nobody waits any more")))

// 2. Work that goes on until the example opens the door.
const door = Deferred.makeUnsafe<void>()
const work = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  yield* Deferred.await(door)
  yield* Console.log(`    the server has done: ${request.headers["x-what"]}`)
  return HttpServerResponse.empty()
})

// 3. A payment that must not be made twice.
let payments = 0
const charged = Deferred.makeUnsafe<void>()
const written = Deferred.makeUnsafe<void>()
const pay = Effect.gen(function* () {
  payments++
  yield* Deferred.succeed(charged, undefined)
  yield* Deferred.await(written)
  return HttpServerResponse.jsonUnsafe({ payment: payments }, { status: 201 })
})

// The deadline is outermost, so that a request does not wait in the queue longer than its client does.
const routes = Layer.mergeAll(
  HttpRouter.add("GET", "/report", report),
  HttpRouter.add("GET", "/work", work.pipe(shed)),
  HttpRouter.add("POST", "/payments", pay.pipe(Http.idempotency()))
).pipe(Layer.provide(HttpRouter.middleware(Http.deadline({ limit: "10 seconds" })).layer))

/** The client: any client will do. */
const send = (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) =>
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    const response = yield* Effect.promise(() =>
      fetch(`${HttpServer.formatAddress(address)}${path}`, { ...init, headers })
    )
    const text = yield* Effect.promise(() => response.text())
    const type = response.headers.get("content-type") === "application/problem+json" ? JSON.parse(text).type : text
    return `${response.status} ${type}`.trim()
  })

const deadlines = Effect.gen(function* () {
  yield* Console.log("a report")
  yield* Console.log(`  -> ${yield* send("/report")}`)
  yield* Console.log("a report for a client that waits 50 ms")
  yield* Console.log(`  -> ${yield* send("/report", { "grpc-timeout": "50m" })}`)
  yield* Console.log("a report for a client that waits no more")
  yield* Console.log(`  -> ${yield* send("/report", { "grpc-timeout": "0m" })}`)
})

/** Until so many requests wait. */
const waiting = (n: number) =>
  Effect.repeat(Effect.andThen(Effect.sleep("5 millis"), Capacity.snapshot()), {
    until: ({ inFlight, waiting }) => inFlight === 1 && waiting === n
  })

const priorities = Effect.gen(function* () {
  yield* Console.log("three requests, where one is served and one may wait")
  const order = (what: string, headers: Record<string, string>) =>
    Effect.forkChild(
      Effect.flatMap(send("/work", { "x-what": what, ...headers }), (answer) => Console.log(`  ${what} -> ${answer}`)),
      { startImmediately: true }
    )
  const fibers = [yield* order("first", {})]
  yield* waiting(0)
  fibers.push(yield* order("a backup", { "priority-level": "background", "x-secret": "of the gateway" }))
  yield* waiting(1)
  fibers.push(yield* order("a stranger", { "priority-level": "critical" }))
  // nobody trusts the stranger, whose request is a normal one: more than a backup, and less than a payment
  yield* Effect.sleep("50 millis")
  fibers.push(yield* order("a login", { "priority-level": "critical", "x-secret": "of the gateway" }))
  yield* Effect.sleep("50 millis")
  yield* Deferred.succeed(door, undefined)
  yield* Effect.forEach(fibers, Fiber.join)
})

const idempotency = Effect.gen(function* () {
  yield* Console.log("a payment, whose client loses the connection after the server has charged")
  const headers = { "idempotency-key": '"order-17"' }
  const connection = new AbortController()
  const lost = yield* Effect.forkChild(
    send("/payments", headers, { method: "POST", body: "5 EUR", signal: connection.signal }).pipe(
      Effect.catchDefect(() => Effect.succeed("the connection is lost"))
    ),
    { startImmediately: true }
  )
  yield* Deferred.await(charged)
  connection.abort()
  yield* Console.log(`  -> ${yield* Fiber.join(lost)}`)
  const again = send("/payments", headers, { method: "POST", body: "5 EUR" })
  yield* Console.log(`  sent again     -> ${yield* again}`)
  yield* Deferred.succeed(written, undefined)
  const answer = yield* Effect.repeat(again, { until: (answer) => !answer.startsWith("409") })
  yield* Console.log(`  and again      -> ${answer}`)
  yield* Console.log(`  another amount -> ${yield* send("/payments", headers, { method: "POST", body: "6 EUR" })}`)
  yield* Console.log(`  payments made: ${payments}`)
})

const program = Effect.all([deadlines, priorities, idempotency], { discard: true })

const server = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.provideMerge(Layer.merge(Capacity.layer, Http.IdempotencyStore.layerMemory()))
)
await Effect.runPromise(program.pipe(Effect.provide(server)))
