// What the tests of the server's side share: a request and its answer without a network, and a server on a free port of loopback.
import { createServer } from "node:http"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import type { Layer, Scope } from "effect"
import { HttpClientRequest, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"

export interface Sent {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path?: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

/** Runs an app for one request, and lets the request's scope end when its answer has been read. */
export const ask = <E, R>(
  app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  { body = "", headers = {}, method = "GET", path = "/" }: Sent = {}
): Effect.Effect<Heard, E, Exclude<Exclude<R, HttpServerRequest.HttpServerRequest>, Scope.Scope>> => {
  const request = HttpClientRequest.make(method)(`http://localhost${path}`, { headers }).pipe(
    HttpClientRequest.bodyText(body, headers["content-type"])
  )
  return Effect.scoped(
    Effect.flatMap(
      Effect.provideService(app, HttpServerRequest.HttpServerRequest, HttpServerRequest.fromClientRequest(request)),
      heard
    )
  )
}

export interface Heard {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly cookies: ReadonlyArray<string>
  readonly text: string
  /** The `type` of a problem. */
  readonly type: string | undefined
}

const heard = (response: HttpServerResponse.HttpServerResponse): Effect.Effect<Heard> =>
  Effect.map(textOf(response), (text) => ({
    status: response.status,
    headers: { ...response.headers },
    cookies: Object.keys(response.cookies.cookies),
    text,
    type: response.headers["content-type"] === "application/problem+json" ? JSON.parse(text).type : undefined
  }))

const decoder = new TextDecoder()

const textOf = ({ body }: HttpServerResponse.HttpServerResponse): Effect.Effect<string> => {
  switch (body._tag) {
    case "Uint8Array":
      return Effect.succeed(decoder.decode(body.body))
    case "Stream":
      return Effect.orDie(Stream.mkString(Stream.decodeText(body.stream)))
    default:
      return Effect.succeed("")
  }
}

/** The routes, with all that they need, on a free port of loopback; and its address. */
export const serving = (routes: Layer.Layer<never, unknown, unknown>): Effect.Effect<string, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const app = yield* HttpRouter.toHttpEffect(routes)
    const host = createServer()
    const server = yield* NodeHttpServer.make(() => host, { port: 0, host: "127.0.0.1" })
    yield* server.serve(app)
    // before the server waits for its connections, of which a client keeps some
    yield* Effect.addFinalizer(() => Effect.sync(() => host.closeAllConnections()))
    return HttpServer.formatAddress(server.address)
  }) as Effect.Effect<string, unknown, Scope.Scope>
