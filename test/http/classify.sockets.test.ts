// The errors of real clients, made by real sockets. What counts is what a verdict says, so that a new version of a client
// that words its errors differently is noticed here.
import { NodeHttpClient } from "@effect/platform-node"
import { Agent, fetch as fetchOfUndici } from "@effect/platform-node/Undici"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, type Scope } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { createSecureServer, constants } from "node:http2"
import * as net from "node:net"
import * as tls from "node:tls"
import * as Http from "../../src/http/index.ts"
import { said } from "./kit.ts"
import { cert, key } from "./selfSigned.ts"

const unprocessed = { kind: "transient", unprocessed: true }
const lost = { kind: "transient" }
const notSecure = { kind: "permanent", health: "failed" }
const client = { kind: "permanent", health: "ignored" }
const permanent = { kind: "permanent" }

type Client = Layer.Layer<HttpClient.HttpClient>

const clients: Readonly<Record<string, Client>> = {
  fetch: FetchHttpClient.layer,
  undici: NodeHttpClient.layerUndici,
  "node:http": NodeHttpClient.layerNodeHttp
}

/** A `fetch` of its own for the client. */
const withFetch = (fetch: typeof globalThis.fetch): Client =>
  FetchHttpClient.layer.pipe(Layer.provideMerge(Layer.succeed(FetchHttpClient.Fetch, fetch)))

/** undici's fetch with options that the built-in one keeps to itself. */
const undiciFetch = (options: Agent.Options): Client =>
  withFetch(((url: string, init: object) => fetchOfUndici(url, { ...init, dispatcher: new Agent(options) })) as never)

/** The port of a server on loopback, which goes with the scope and takes its connections along. */
const listening = (server: net.Server) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as net.AddressInfo).port)))
    }),
    () => Effect.sync(() => server.close())
  )

const accepting = (onSocket: (socket: net.Socket) => void, options: net.ServerOpts = {}) =>
  Effect.gen(function* () {
    const sockets = new Set<net.Socket>()
    yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
    return yield* listening(
      net.createServer(options, (socket) => {
        sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)))
        onSocket(socket)
      })
    )
  })

/** A server that does this once it has read something of a request. */
const onRequest = (act: (socket: net.Socket) => void) => accepting((socket) => socket.once("data", () => act(socket)))

const answering = (...lines: ReadonlyArray<string>) => onRequest((socket) => socket.end(lines.join("\r\n")))

/** A port on which nobody listens. */
const closedPort = Effect.scoped(accepting(() => {}))

/** The verdict on a call that reads the whole response, and the reason of its error. */
const verdictOf = <E>(call: Effect.Effect<unknown, E, HttpClient.HttpClient>, client: Client) =>
  call.pipe(
    Effect.flip,
    Effect.provide(client),
    Effect.map((error) => {
      assert.isTrue(HttpClientError.isHttpClientError(error), String(error))
      const failed = error as HttpClientError.HttpClientError
      return { verdict: said(Http.errorVerdict(failed, 0)), reason: failed.reason._tag }
    })
  )

const get = (url: string) => Effect.flatMap(HttpClient.get(url), (response) => response.text)

const failsWith = (verdict: object, reason: HttpClientError.HttpClientErrorReason["_tag"] = "TransportError") => ({
  verdict,
  reason
})

/** One test for each client, against a server. */
const each = (
  what: string,
  port: Effect.Effect<number, never, Scope.Scope>,
  expected: object,
  call: (port: number) => Effect.Effect<unknown, unknown, HttpClient.HttpClient> = (port) =>
    get(`http://127.0.0.1:${port}/`),
  among: Readonly<Record<string, Client>> = clients
) => {
  for (const [name, layer] of Object.entries(among)) {
    it.live(`${what}: ${name}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* verdictOf(call(yield* port), layer), expected)
      })
    )
  }
}

describe("before a connection is there: nothing was sent", () => {
  each("refused", closedPort, failsWith(unprocessed))
  each("no such name", Effect.succeed(80), failsWith(unprocessed), () => get("http://quotes.invalid/"))

  const addresses = [
    { address: "127.0.0.1", family: 4 },
    { address: "127.0.0.2", family: 4 }
  ]
  const lookup: net.LookupFunction = (_host, _options, callback) => callback(null, addresses)
  each(
    "refused at each of several addresses",
    closedPort,
    failsWith(unprocessed),
    (port) => get(`http://quotes.test:${port}/`),
    {
      undici: NodeHttpClient.layerUndiciOptions({ connect: { lookup, autoSelectFamily: true } }),
      "node:http": NodeHttpClient.layerNodeHttpOptions({ lookup, autoSelectFamily: true })
    }
  )

  // a name that is never found stands for a host that never answers
  each("a timeout while connecting", Effect.succeed(80), failsWith(unprocessed), () => get("http://quotes.test/"), {
    undici: NodeHttpClient.layerUndiciOptions({ connect: { lookup: () => {}, timeout: 50 } })
  })

  each(
    "closed within the TLS handshake",
    onRequest((socket) => socket.end()),
    failsWith(unprocessed),
    (port) => get(`https://127.0.0.1:${port}/`)
  )
})

describe("the request may have been received", () => {
  each(
    "reset before it was read",
    accepting((socket) => setTimeout(() => socket.resetAndDestroy(), 50), { pauseOnConnect: true }),
    failsWith(lost)
  )
  each(
    "reset after it was read",
    onRequest((socket) => socket.resetAndDestroy()),
    failsWith(lost)
  )
  each(
    "closed without an answer",
    onRequest((socket) => socket.end()),
    failsWith(lost)
  )
  each("an answer that is no HTTP", answering("SMTP 220 mail.example", "", ""), failsWith(lost))

  const second = Effect.suspend(() => {
    let requests = 0
    return accepting((socket) =>
      socket.on("data", () => {
        if (++requests === 1) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        else socket.resetAndDestroy()
      })
    )
  })
  each("reset at the second request", second, failsWith(lost), (port) =>
    Effect.andThen(get(`http://127.0.0.1:${port}/`), get(`http://127.0.0.1:${port}/`))
  )

  each(
    "headers that do not come in time",
    accepting(() => {}),
    failsWith(lost),
    undefined,
    {
      "undici's fetch": undiciFetch({ headersTimeout: 50 })
    }
  )
  each(
    "a body that does not come in time",
    onRequest((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")),
    failsWith(lost, "DecodeError"),
    undefined,
    {
      "undici's fetch": undiciFetch({ bodyTimeout: 50 })
    }
  )
  each(
    "a signal's timeout",
    accepting(() => {}),
    failsWith(lost),
    undefined,
    {
      fetch: withFetch((url, init) => fetch(url, { ...init, signal: AbortSignal.timeout(20) }))
    }
  )
})

describe("the body broke off", () => {
  const head = ["HTTP/1.1 200 OK", "content-type: text/plain"]
  each("shorter than it says", answering(...head, "content-length: 100", "", "abc"), failsWith(lost, "DecodeError"))
  each("in a chunk", answering(...head, "transfer-encoding: chunked", "", "5", "ab"), failsWith(lost, "DecodeError"))
  each(
    "reset",
    onRequest((socket) => {
      socket.write([...head, "content-length: 100", "", "abc"].join("\r\n"))
      setTimeout(() => socket.resetAndDestroy(), 50)
    }),
    failsWith(lost, "DecodeError")
  )
  each(
    "a body that is no JSON",
    answering(...head, "content-length: 1", "", "{"),
    failsWith(permanent, "DecodeError"),
    (port) => Effect.flatMap(HttpClient.get(`http://127.0.0.1:${port}/`), (response) => response.json)
  )
})

describe("TLS", () => {
  const secure = Effect.suspend(() =>
    listening(tls.createServer({ key, cert }, (socket) => socket.on("error", () => {}).end()))
  )
  each("a certificate that nobody vouches for", secure, failsWith(notSecure), (port) =>
    get(`https://127.0.0.1:${port}/`)
  )
  each("a server that does not speak it", answering("HTTP/1.1 400 Bad Request", "", ""), failsWith(notSecure), (port) =>
    get(`https://127.0.0.1:${port}/`)
  )
})

describe("HTTP/2", () => {
  const trusting: Readonly<Record<string, Client>> = {
    undici: NodeHttpClient.layerUndiciOptions({ connect: { rejectUnauthorized: false }, allowH2: true })
  }
  const closing = (code: number) =>
    Effect.suspend(() => {
      const server = createSecureServer({ key, cert })
      server.on("stream", (stream) => stream.on("error", () => {}).close(code))
      return listening(server)
    })
  const call = (port: number) => get(`https://127.0.0.1:${port}/`)
  each("a stream refused", closing(constants.NGHTTP2_REFUSED_STREAM), failsWith(unprocessed), call, trusting)
  each("a stream that failed", closing(constants.NGHTTP2_INTERNAL_ERROR), failsWith(lost), call, trusting)
})

describe("the client's own mistakes say nothing of the server", () => {
  const nowhere = Effect.succeed(80)
  each("a malformed URL", nowhere, failsWith(client, "InvalidUrlError"), () => get("http://"))
  const { fetch: fetchClient, undici } = clients as { readonly fetch: Client; readonly undici: Client }
  const badHeader = HttpClientRequest.get("http://127.0.0.1/").pipe(HttpClientRequest.setHeader("x", "a\nb"))
  each("a malformed header", nowhere, failsWith(client), () => HttpClient.execute(badHeader), {
    fetch: fetchClient,
    undici
  })
  each("a scheme that it does not know", nowhere, failsWith(client), () => get("gopher://127.0.0.1/"), {
    fetch: fetchClient,
    undici
  })
  each("a port that browsers block", nowhere, failsWith(client), () => get("http://127.0.0.1:25/"), {
    fetch: fetchClient
  })
  each(
    "redirects in a circle",
    answering("HTTP/1.1 302 Found", "location: /", "content-length: 0", "connection: close", "", ""),
    failsWith(client),
    undefined,
    { fetch: fetchClient }
  )
  each(
    "a call that its caller has given up",
    accepting(() => {}),
    failsWith(client),
    undefined,
    {
      fetch: withFetch((url, init) => fetch(url, { ...init, signal: AbortSignal.abort() }))
    }
  )
})

describe("statuses and hints as they come over the wire", () => {
  const at = Date.UTC(2026, 6, 1, 12)
  const throttled = { kind: "throttled", retryAfter: Duration.seconds(30) }
  const table: ReadonlyArray<readonly [status: string, headers: ReadonlyArray<string>, verdict: object]> = [
    ["503 Unavailable", ["Retry-After: 30"], throttled],
    ["503 Unavailable", ["Retry-After: Wed, 01 Jul 2026 12:00:30 GMT"], throttled],
    ["503 Unavailable", ["Retry-After: Wednesday, 01-Jul-26 12:00:30 GMT"], throttled],
    ["503 Unavailable", ["Retry-After: Wed Jul  1 12:00:30 2026"], throttled],
    ["503 Unavailable", ["Retry-After: 1", "Retry-After-Ms: 30000"], throttled],
    ["503 Unavailable", ['RateLimit: "default";r=0;t=30'], throttled],
    ["503 Unavailable", [], lost],
    ["503 Unavailable", ["Finagle-Http-Nack: true"], unprocessed],
    ["429 Too Many Requests", ["Retry-After: 30"], { ...throttled, unprocessed: true }],
    [
      "429 Too Many Requests",
      ["X-RateLimit-Remaining-Tokens: 0", "X-RateLimit-Reset-Tokens: 30s"],
      { ...throttled, unprocessed: true }
    ],
    ["429 Too Many Requests", ["X-Should-Retry: false"], { kind: "permanent", unprocessed: true, health: "ignored" }],
    ["500 Internal Server Error", [], lost],
    ["404 Not Found", ["Retry-After: 30"], permanent]
  ]
  for (const [name, layer] of Object.entries(clients)) {
    it.live(name, () =>
      Effect.gen(function* () {
        for (const [status, headers, verdict] of table) {
          const port = yield* answering(
            `HTTP/1.1 ${status}`,
            ...headers,
            "content-length: 0",
            "connection: close",
            "",
            ""
          )
          const error = yield* HttpClient.get(`http://127.0.0.1:${port}/`).pipe(
            Effect.flatMap(HttpClientResponse.filterStatusOk),
            Effect.flip,
            Effect.provide(layer)
          )
          assert.deepStrictEqual(said(Http.errorVerdict(error, at)), verdict, `${status} ${headers.join(" ")}`)
        }
      })
    )
  }
})
