// One of the two servers of two-processes.test.ts, in a process of its own: A, which needs B for its answer, or B, which does the
// work and keeps books of it. The process that started it says what it is to be, asks for the books, and ends it.
import { createServer } from "node:http"
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { Effect, Semaphore } from "effect"
import { HttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Backoff, Policy, RetryBudget } from "effect-resilience"
import { resilient } from "../../src/http/client.ts"
import { deadline } from "../../src/http/deadlineMiddleware.ts"
import { answerUnavailable } from "../../src/http/toResponse.ts"

export interface SaidToA {
  readonly upstream: string
  /** Whether B is told of the time left. */
  readonly tells: boolean
  /** It does not notice that its client has gone, as many servers do not. */
  readonly deaf: boolean
  /** How long it takes before it calls B, in milliseconds. */
  readonly thinks: number
  readonly retries: number
  readonly budget: boolean
}

export interface SaidToB {
  /** How many requests it works on at the same time; the others wait. */
  readonly places: number
  /** How long one takes, in milliseconds. */
  readonly takes: number
  /** It cuts every connection as soon as it has read the request. */
  readonly dead: boolean
}

/** What B has seen. */
export interface Books {
  requests: number
  /** In work, or waiting for a place, at this moment. */
  busy: number
  begun: number
  finished: number
  /** Pieces of work on requests whose client had given up. */
  late: number
}

/** When the client gives up, in milliseconds since the epoch: an instrument of the test, which no server here goes by. */
export const giveUpHeader = "x-give-up-at"

/** How late a piece of work may be: what it takes to tell the other process. */
export const toleranceMs = 250

/** Work is done in pieces of so many milliseconds. */
const pieceMs = 20

const nothing: Books = { requests: 0, busy: 0, begun: 0, finished: 0, late: 0 }
const books = { ...nothing }

class Budget extends RetryBudget.Service<Budget>()("test/http/ProcessBudget", RetryBudget.ratio()) {}

const retry = (retries: number) =>
  Backoff.exponential({ base: "5 millis", cap: "50 millis" }).pipe(Backoff.fullJitter, Backoff.times(retries))

const a = ({ budget, deaf, retries, tells, thinks, upstream }: SaidToA) => {
  const policy = Policy.make({
    name: "work",
    safety: "idempotent",
    retry: retry(retries),
    budget: budget ? [Budget] : []
  })
  const answer = Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    if (thinks > 0) yield* Effect.sleep(thinks)
    const client = (yield* HttpClient.HttpClient).pipe(resilient(policy, { deadline: tells ? undefined : false }))
    const response = yield* client.get(upstream, { headers: { [giveUpHeader]: headers[giveUpHeader] ?? "" } })
    return HttpServerResponse.text(yield* response.text)
  }).pipe(
    answerUnavailable,
    Effect.catchTag("HttpClientError", () => Effect.succeed(HttpServerResponse.empty({ status: 502 })))
  )
  return deadline()(deaf ? Effect.uninterruptible(answer) : answer)
}

const b = ({ places, takes }: SaidToB) => {
  const semaphore = Semaphore.makeUnsafe(places)
  const piece = (giveUpAt: number) =>
    Effect.suspend(() => {
      if (Date.now() > giveUpAt + toleranceMs) books.late++
      return Effect.sleep(pieceMs)
    })
  const answer = Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const giveUpAt = Number(headers[giveUpHeader])
    books.busy++
    yield* Effect.gen(function* () {
      books.begun++
      for (let done = 0; done < takes; done += pieceMs) yield* piece(giveUpAt)
      books.finished++
    }).pipe(semaphore.withPermits(1), Effect.ensuring(Effect.sync(() => books.busy--)))
    return HttpServerResponse.text("work")
  })
  return deadline()(answer)
}

type Handler = ReturnType<typeof a | typeof b>

const serve = () =>
  Effect.gen(function* () {
    let dead = false
    let handler: Handler = Effect.succeed(HttpServerResponse.empty())
    const node = createServer().on("request", (request) => {
      books.requests++
      if (dead) request.socket.resetAndDestroy()
    })
    process.on("message", (said: SaidToA | SaidToB | "books") => {
      if (said !== "books") {
        dead = "dead" in said && said.dead
        handler = "upstream" in said ? a(said) : b(said)
        Object.assign(books, nothing)
      }
      process.send!(books)
    })
    const server = yield* NodeHttpServer.make(() => node, { port: 0, host: "127.0.0.1" })
    const route = HttpRouter.add(
      "GET",
      "/",
      Effect.suspend(() => handler)
    )
    yield* server.serve(yield* HttpRouter.toHttpEffect(route))
    process.send!(HttpServer.formatAddress(server.address))
    return yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide([NodeHttpClient.layerUndici, Budget.layer]))

// only where it is started, not where its types are imported
if (process.argv[1] === import.meta.filename) void Effect.runPromise(serve())
