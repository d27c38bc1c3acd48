// `Http.resilient` over real sockets: every fault is made at the socket, and what counts is how many requests the server gets.
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Random, Schedule, Stream, type Scope } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { Backoff, Deadline, Idempotency, Policy, withResilience } from "effect-resilience"
import type { Socket } from "node:net"
import * as Http from "../../src/http/index.ts"
import { errorOf } from "../kit.ts"
import { closedPort, response, wire, type Act } from "./wire.ts"

/** As small as its pool can be, each client for itself. */
const clients: Readonly<Record<string, Layer.Layer<HttpClient.HttpClient>>> = {
  fetch: FetchHttpClient.layer,
  "undici, one connection": NodeHttpClient.layerUndiciOptions({ connections: 1 }),
  "node:http, one connection": NodeHttpClient.layerNodeHttpOptions({ keepAlive: true, maxSockets: 1 })
}

/** Those that take the same connection again, if they can. */
const pools = Object.entries(clients).filter(([name]) => name.includes("one connection"))

interface Said {
  readonly name: string
  readonly safety: Policy.Safety
  readonly retry: Schedule.Schedule<Duration.Duration>
  readonly attemptTimeout?: Duration.Input | undefined
}

const times = (retries: number, after: Duration.Input) => Backoff.constant(after).pipe(Backoff.times(retries))

const policy = (said: Partial<Said>): Policy.Policy<Said> =>
  Policy.make<Said>({ name: "quotes", safety: "idempotent", retry: times(2, "1 millis"), ...said })

const three = policy({})
/** For servers that do not answer. */
const attemptTimeout = "150 millis"
const timed = policy({ attemptTimeout })
const safety = Idempotency.key(Effect.succeed("k"))
const keyed = policy({ safety })

const get = HttpClientRequest.get
const post = (url: string) => HttpClientRequest.post(url).pipe(HttpClientRequest.bodyText("pay"))

const send = (request: HttpClientRequest.HttpClientRequest, policy = three, options?: Http.Options) =>
  Effect.flatMap(HttpClient.HttpClient, (client) => client.pipe(Http.resilient(policy, options)).execute(request))

const textOf = (request: HttpClientRequest.HttpClientRequest, policy = three, options?: Http.Options) =>
  Effect.flatMap(send(request, policy, options), (response) => response.text)

const failing = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(self), errorOf)

const exhausted = (error: unknown): Policy.RetryExhausted<unknown> => {
  assert.instanceOf(error, Policy.RetryExhausted, String(error))
  return error as Policy.RetryExhausted<unknown>
}

/** One test for each client. */
const each = <E>(
  what: string,
  test: Effect.Effect<unknown, E, HttpClient.HttpClient | Scope.Scope>,
  among: Iterable<readonly [name: string, client: Layer.Layer<HttpClient.HttpClient>]> = Object.entries(clients)
) => {
  for (const [name, layer] of among) {
    it.live(`${what}: ${name}`, () => Effect.asVoid(Effect.provide(test, layer)))
  }
}

/** Waits until something that other processes and sockets do is so. */
const until = (is: () => boolean) =>
  Effect.promise(async () => {
    for (let i = 0; i < 400 && !is(); i++) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.isTrue(is())
  })

/** Some turns of the event loop: what was sent over the loopback has come by then. */
const eventLoop = Effect.promise(async () => {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
})

describe("refused", () => {
  each(
    "nothing was sent, so that a POST is tried again too",
    Effect.gen(function* () {
      const url = `http://127.0.0.1:${yield* closedPort}/`
      for (const request of [get(url), post(url)]) {
        const error = exhausted(yield* failing(send(request)))
        assert.deepStrictEqual([error.reason, error.attempts], ["schedule", 3])
      }
    })
  )
})

describe("no connection", () => {
  // a name that is never found stands for a host that never answers
  const unanswered = NodeHttpClient.layerUndiciOptions({ connect: { lookup: () => {}, timeout: 50 } })
  it.live("a timeout while connecting: nothing was sent, so that a POST is tried again too", () =>
    Effect.gen(function* () {
      const error = exhausted(yield* failing(send(post("http://quotes.test/"))))
      assert.deepStrictEqual([error.reason, error.attempts], ["schedule", 3])
    }).pipe(Effect.provide(unanswered))
  )

  each(
    "a server that does not speak TLS is not asked again, for whatever",
    Effect.gen(function* () {
      const server = yield* wire(
        () => {},
        (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")
      )
      for (const request of [get(`https://127.0.0.1:${server.port}/`), post(`https://127.0.0.1:${server.port}/`)]) {
        assert.isTrue(HttpClientError.isHttpClientError(yield* failing(send(request))))
      }
      assert.strictEqual(server.connections(), 2)
    }),
    pools
  )
})

/** Of a fault at the socket: what the server gets of a GET, a POST, and a POST with a key. */
const afterFault = (
  what: string,
  act: Act,
  onSocket?: (socket: Socket) => void,
  over: Partial<Said> = {},
  among = Object.entries(clients)
) =>
  each(
    what,
    Effect.gen(function* () {
      const server = yield* wire(act, onSocket)
      const cases = [
        [get(server.url), policy(over), 3, "schedule"],
        [post(server.url), policy(over), 1, "unsafe"],
        [post(server.url), policy({ ...over, safety }), 3, "schedule"]
      ] as const
      let before = 0
      // where the request is never read, it is the connections that count
      const count = () => (onSocket === undefined ? server.requests.length : server.connections())
      for (const [request, policy, requests, reason] of cases) {
        const error = exhausted(yield* failing(send(request, policy)))
        assert.strictEqual(error.reason, reason)
        assert.strictEqual(count() - before, requests, `${request.method} ${reason}`)
        before = count()
      }
      yield* until(() => server.open() === 0)
    }),
    among
  )

describe("the request may have been received", () => {
  afterFault(
    "reset before it was read",
    () => {},
    (socket) => setTimeout(() => socket.resetAndDestroy(), 30)
  )
  afterFault("reset after it was read", (socket) => socket.resetAndDestroy())
  afterFault("closed without an answer", (socket) => socket.end())
  afterFault("reset within the headers", (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nx-a: b\r\n")
    setTimeout(() => socket.resetAndDestroy(), 10)
  })
  afterFault("a connection that is accepted, and never answers", () => {}, undefined, { attemptTimeout })
  afterFault(
    "a connection that is accepted, and never read",
    () => {},
    () => {},
    { attemptTimeout },
    // Node's fetch opens some in stock
    pools
  )
  afterFault(
    "headers that come slowly, and never end",
    (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n")
      const timer = setInterval(() => socket.write("x-a: b\r\n"), 20)
      socket.on("close", () => clearInterval(timer))
    },
    undefined,
    { attemptTimeout }
  )

  each(
    "a POST with a key says the same one again, and its body",
    Effect.gen(function* () {
      const server = yield* wire((socket, n) =>
        n < 3 ? socket.resetAndDestroy() : socket.write(response(200, {}, "paid"))
      )
      assert.strictEqual(yield* textOf(post(server.url), keyed), "paid")
      assert.deepStrictEqual(
        server.requests.map(({ body, headers }) => [
          headers["idempotency-key"],
          headers["x-envoy-attempt-count"],
          body
        ]),
        [
          ['"k"', "1", "pay"],
          ['"k"', "2", "pay"],
          ['"k"', "3", "pay"]
        ]
      )
    })
  )

  each(
    "and the next attempt is served",
    Effect.gen(function* () {
      const server = yield* wire((socket, n) =>
        n === 1 ? socket.resetAndDestroy() : socket.write(response(200, {}, "all"))
      )
      assert.strictEqual(yield* textOf(get(server.url)), "all")
      assert.strictEqual(server.requests.length, 2)
    })
  )

  each(
    "each attempt says the time left of its own",
    Effect.gen(function* () {
      const server = yield* wire(() => {})
      yield* failing(send(get(server.url), timed))
      assert.lengthOf(server.requests, 3)
      for (const { headers } of server.requests) {
        const left = Duration.toMillis(Option.getOrThrow(Deadline.grpcTimeout.decode(headers["grpc-timeout"]!)))
        assert.isTrue(left > 0 && left <= 150, headers["grpc-timeout"])
      }
    })
  )
})

describe("a body that is a stream", () => {
  each(
    "is not sent again, whatever went wrong, and the error says why",
    Effect.gen(function* () {
      const acts: ReadonlyArray<Act> = [
        (socket) => socket.resetAndDestroy(),
        (socket) => socket.write(response(429, { "Retry-After": "0" })),
        (socket) => socket.write(response(503, { "Retry-After": "0" }))
      ]
      for (const act of acts) {
        const server = yield* wire(act)
        const body = HttpClientRequest.bodyStream(Stream.make(new TextEncoder().encode("pay")))
        for (const request of [HttpClientRequest.put(server.url), HttpClientRequest.post(server.url)]) {
          const error = exhausted(yield* failing(send(request.pipe(body), keyed)))
          assert.strictEqual(error.reason, "unsafe")
          assert.include(error.message, "its body is a stream")
        }
        assert.deepStrictEqual(
          server.requests.map(({ body, method }) => [method, body.includes("pay")]),
          [
            ["PUT", true],
            ["POST", true]
          ]
        )
      }
    })
  )
})

describe("the body", () => {
  const readBody = { readBody: true }
  const cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
  const cutChunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhalf"

  for (const [how, bytes] of [
    ["by its length", cut],
    ["within a chunk", cutChunk]
  ] as const) {
    each(
      `cut short, ${how}, and read within the attempt: the next attempt has it all`,
      Effect.gen(function* () {
        const server = yield* wire((socket, n) => (n < 3 ? socket.end(bytes) : socket.write(response(200, {}, "all"))))
        assert.strictEqual(yield* textOf(get(server.url), three, readBody), "all")
        assert.strictEqual(server.requests.length, 3)
      })
    )

    each(
      `cut short, ${how}, each time`,
      Effect.gen(function* () {
        const server = yield* wire((socket) => socket.end(bytes))
        assert.isTrue(
          HttpClientError.isHttpClientError(exhausted(yield* failing(send(get(server.url), three, readBody))).lastError)
        )
        assert.strictEqual(server.requests.length, 3)
        assert.strictEqual(exhausted(yield* failing(send(post(server.url), three, readBody))).reason, "unsafe")
        assert.strictEqual(server.requests.length, 4)
      })
    )

    each(
      `cut short, ${how}, and not read within the attempt: it is the reader who fails`,
      Effect.gen(function* () {
        const server = yield* wire((socket) => socket.end(bytes))
        const response = yield* send(get(server.url))
        assert.isTrue(HttpClientError.isHttpClientError(yield* failing(response.text)))
        assert.strictEqual(server.requests.length, 1)
      })
    )
  }

  const slow: Act = (socket) => {
    socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    const timer = setInterval(() => socket.write("1\r\nx\r\n"), 20)
    socket.on("close", () => clearInterval(timer))
  }

  each(
    "that never ends takes the attempt's time, if it is read within it",
    Effect.gen(function* () {
      const server = yield* wire((socket, n, request) =>
        n < 3 ? slow(socket, n, request) : socket.write(response(200, {}, "all"))
      )
      assert.strictEqual(yield* textOf(get(server.url), timed, readBody), "all")
      assert.strictEqual(server.requests.length, 3)
      yield* until(() => server.open() <= 1)
    })
  )

  each(
    "that never ends is no failure of the call otherwise",
    Effect.gen(function* () {
      const server = yield* wire(slow)
      assert.strictEqual((yield* send(get(server.url), timed)).status, 200)
      assert.strictEqual(server.requests.length, 1)
    })
  )

  each(
    "of a failed response, cut short: the status says what it is",
    Effect.gen(function* () {
      const server = yield* wire((socket, _, { path }) => socket.end(cut.replace("200 OK", `${path.slice(1)} No`)))
      const missing = yield* failing(send(get(`${server.url}404`)))
      assert.strictEqual((missing as HttpClientError.HttpClientError).response?.status, 404)
      assert.strictEqual(yield* (missing as HttpClientError.HttpClientError).response!.text, "half")
      assert.strictEqual(server.requests.length, 1)
      const last = exhausted(yield* failing(send(get(`${server.url}500`)))).lastError
      assert.strictEqual((last as HttpClientError.HttpClientError).response?.status, 500)
      assert.strictEqual(server.requests.length, 4)
    })
  )

  each(
    "of a failed response can be read from the error, after its connection is somebody else's",
    Effect.gen(function* () {
      const server = yield* wire((socket, n) =>
        socket.write(response(500, { "content-type": "text/plain" }, `no ${n}`))
      )
      const { history } = exhausted(yield* failing(send(get(server.url))))
      const bodies = yield* Effect.forEach(
        history,
        ({ error }) => (error as HttpClientError.HttpClientError).response!.text
      )
      assert.deepStrictEqual(bodies, ["no 1", "no 2", "no 3"])
    })
  )

  each(
    "of an answer to HEAD, and of statuses that have none",
    Effect.gen(function* () {
      const server = yield* wire((socket, _, { method, path }) =>
        socket.write(
          method === "HEAD"
            ? "HTTP/1.1 404 No\r\ncontent-length: 10\r\n\r\n"
            : `HTTP/1.1 ${path.slice(1)} So\r\n${path === "/205" ? "content-length: 0\r\n" : ""}\r\n`
        )
      )
      const error = yield* failing(send(HttpClientRequest.head(server.url), three, readBody))
      assert.strictEqual((error as HttpClientError.HttpClientError).response?.status, 404)
      for (const status of [204, 205, 304]) {
        assert.strictEqual((yield* send(get(`${server.url}${status}`), three, readBody)).status, status)
      }
      assert.strictEqual(server.requests.length, 4)
    })
  )

  each(
    "comes with its head as it was: several cookies, and characters beyond ASCII",
    Effect.gen(function* () {
      const server = yield* wire((socket, _, { path }) =>
        socket.write(
          Buffer.from(
            `HTTP/1.1 ${path.slice(1)} So\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-name: Łódź ✓\r\ncontent-length: 4\r\n\r\nbody`
          )
        )
      )
      const found = yield* send(get(`${server.url}200`), three, readBody)
      const error = yield* failing(send(get(`${server.url}404`)))
      for (const response of [found, (error as HttpClientError.HttpClientError).response!]) {
        assert.deepStrictEqual(Object.keys(response.cookies.cookies), ["a", "b"])
        assert.isString(response.headers["x-name"])
        assert.strictEqual(yield* response.text, "body")
      }
    })
  )
})

describe("a status of no class", () => {
  each(
    "is no success: it is asked again, and it may have been received",
    Effect.gen(function* () {
      for (const status of ["000", "099", "600", "999"]) {
        const server = yield* wire((socket) => socket.write(`HTTP/1.1 ${status} So\r\ncontent-length: 3\r\n\r\nwhy`))
        assert.strictEqual(exhausted(yield* failing(send(get(server.url)))).reason, "schedule")
        assert.strictEqual(server.requests.length, 3, status)
        assert.strictEqual(exhausted(yield* failing(send(post(server.url)))).reason, "unsafe")
        assert.strictEqual(server.requests.length, 4, status)
      }
    })
  )
})

describe("a failed response whose body never comes", () => {
  const limit = "200 millis"
  type Limited = (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<unknown, unknown, HttpClient.HttpClient>
  const over = (said: Partial<Policy.Options>) => Policy.extend(three, { name: "quotes", ...said } as { name: string })
  const limits: ReadonlyArray<readonly [what: string, limited: Limited]> = [
    ["an attempt timeout", (request) => send(request, policy({ attemptTimeout: limit }))],
    ["a deadline", (request) => send(request, over({ deadline: limit }))],
    ["a deadline around", (request) => Deadline.within(send(request), limit)],
    [
      "an attempt timeout around",
      (request) => withResilience(send(request), Policy.make({ name: "outer", attemptTimeout: limit }))
    ],
    ["hedged", (request) => send(request, over({ attemptTimeout: limit, hedge: { after: "190 millis" } }))],
    [
      "an attempt in which bodies are read",
      (request) => send(request, policy({ attemptTimeout: limit }), { readBody: true })
    ]
  ]
  const started = (head: string) =>
    wire((socket) => socket.write(`HTTP/1.1 ${head}\r\ncontent-length: 100\r\n\r\nhalf`))

  for (const [what, limited] of limits) {
    each(
      `${what}: the head says what it is, and no time is lost with it`,
      Effect.gen(function* () {
        for (const status of [404, 401]) {
          const server = yield* started(`${status} No`)
          const error = (yield* failing(limited(get(server.url)))) as HttpClientError.HttpClientError
          assert.strictEqual(error.response?.status, status, String(error))
          assert.strictEqual(yield* error.response!.text, "half")
          assert.strictEqual(server.requests.length, 1)
        }
        for (const head of ["429 No\r\nretry-after: 90", "503 No\r\nretry-after: 90"]) {
          const server = yield* started(head)
          for (const request of [get(server.url), post(server.url)]) {
            const { reason, retryAfter } = exhausted(yield* failing(limited(request)))
            const told = head.startsWith("503") && request.method === "POST" ? "unsafe" : "retry-after"
            assert.deepStrictEqual([reason, retryAfter], [told, Duration.seconds(90)])
          }
          assert.strictEqual(server.requests.length, 2)
          yield* until(() => server.open() === 0)
        }
      })
    )
  }

  each(
    "what was not processed is sent again, a POST too",
    Effect.gen(function* () {
      const server = yield* wire((socket, n) =>
        socket.write(n < 3 ? "HTTP/1.1 429 No\r\ncontent-length: 100\r\n\r\nhalf" : response(200, {}, "paid"))
      )
      assert.strictEqual(yield* textOf(post(server.url), policy({ attemptTimeout: limit })), "paid")
      assert.strictEqual(server.requests.length, 3)
    })
  )
})

describe("when the server says to come back", () => {
  const now = Date.UTC(2026, 6, 1, 12)
  const forms: ReadonlyArray<readonly [headers: Record<string, string>, seconds: number]> = [
    [{ "Retry-After": "120" }, 120],
    [{ "Retry-After": "Wed, 01 Jul 2026 12:02:00 GMT" }, 120],
    [{ "Retry-After": "Wednesday, 01-Jul-26 12:02:00 GMT" }, 120],
    [{ "Retry-After": "Wed Jul  1 12:02:00 2026" }, 120],
    [{ "Retry-After": "1", "Retry-After-Ms": "120000" }, 120],
    [{ "X-Ms-Retry-After-Ms": "120000" }, 120],
    [{ "X-Amz-Retry-After": "120000" }, 120],
    [{ "Grpc-Retry-Pushback-Ms": "120000" }, 120],
    [{ RateLimit: '"default";r=0;t=120' }, 120],
    [{ "RateLimit-Reset": "120" }, 120],
    [{ "X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "2m0s" }, 120]
  ]

  for (const [name, layer] of Object.entries(clients)) {
    // by the TestClock, so that dates mean what they say; the sockets are real
    it.effect(`in every form, above the ceiling: it is not asked again: ${name}`, () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(now)
        for (const status of [429, 503]) {
          for (const [headers, seconds] of forms) {
            const server = yield* wire((socket) => socket.write(response(status, headers)))
            const error = exhausted(yield* failing(send(get(server.url))))
            assert.strictEqual(error.reason, "retry-after", JSON.stringify(headers))
            assert.deepStrictEqual(error.retryAfter, Duration.seconds(seconds), JSON.stringify(headers))
            assert.strictEqual(server.requests.length, 1)
          }
        }
      }).pipe(Effect.provide(layer))
    )
  }

  // the same hints, where there is patience for them
  for (const [name, layer] of Object.entries(clients)) {
    it.effect(`in every form, below the ceiling: it is asked again then, and not before: ${name}`, () =>
      Effect.gen(function* () {
        for (const status of [429, 503]) {
          for (const [headers, seconds] of forms) yield* heeded(status, headers, seconds)
        }
      }).pipe(Effect.provide(layer))
    )
  }

  const heeded = (status: number, headers: Record<string, string>, seconds: number) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      let waits = false
      const retry = Schedule.tap(times(2, "1 millis"), () => Effect.sync(() => void (waits = true)))
      const patient = Policy.extend(policy({ retry }), {
        name: "patient",
        retryAfterCeiling: Duration.seconds(seconds)
      })
      const server = yield* wire((socket, n) =>
        socket.write(n === 1 ? response(status, headers) : response(200, {}, "all"))
      )
      // a policy looks at its schedule when it is made
      waits = false
      const call = yield* Effect.forkChild(send(get(server.url), patient), { startImmediately: true })
      yield* until(() => waits)
      yield* TestClock.adjust(seconds * 1000 - 1)
      yield* eventLoop
      assert.strictEqual(server.requests.length, 1, JSON.stringify(headers))
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(call)).status, 200)
      assert.strictEqual(server.requests.length, 2, JSON.stringify(headers))
    }).pipe(
      Effect.scoped,
      // each at the same time of day
      Effect.provide(TestClock.layer()),
      // no jitter
      Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0, nextIntUnsafe: () => 0 })
    )

  each(
    "soon: it is asked again, a POST as well where nothing was processed",
    Effect.gen(function* () {
      for (const headers of [{ "Retry-After-Ms": "20" }, { "Retry-After": "0" }, { "Retry-After": "junk" }]) {
        const server = yield* wire((socket, n) =>
          socket.write(n < 3 ? response(429, headers) : response(200, {}, "all"))
        )
        assert.strictEqual(yield* textOf(post(server.url)), "all")
        assert.strictEqual(server.requests.length, 3)
      }
      const server = yield* wire((socket) => socket.write(response(503, { "Retry-After": "0" })))
      assert.strictEqual(exhausted(yield* failing(send(post(server.url)))).reason, "unsafe")
      assert.strictEqual(server.requests.length, 1)
    })
  )
})

describe("connections that stay", () => {
  each(
    "one serves every attempt, because what failed was read to its end",
    Effect.gen(function* () {
      const server = yield* wire((socket, n) =>
        socket.write(n === 6 ? response(200, {}, "all") : response(n % 2 === 1 ? 500 : 429, {}, "x".repeat(20_000)))
      )
      // undici gives a connection some time to show that nothing more comes
      assert.strictEqual(yield* textOf(get(server.url), policy({ retry: times(5, "30 millis") })), "all")
      assert.deepStrictEqual([server.requests.length, server.connections()], [6, 1])
    })
  )

  each(
    "one that the server has closed meanwhile is replaced",
    Effect.gen(function* () {
      const server = yield* wire((socket, n) => {
        socket.write(response(500, {}, "no"))
        // idle for the client by then
        if (n === 1) setTimeout(() => socket.destroy(), 20)
      })
      const error = exhausted(yield* failing(send(get(server.url), policy({ retry: times(2, "60 millis") }))))
      assert.strictEqual((error.lastError as HttpClientError.HttpClientError).response?.status, 500)
      assert.deepStrictEqual([server.requests.length, server.connections()], [3, 2])
    })
  )

  each(
    "one that is reset at its second request",
    Effect.gen(function* () {
      const server = yield* wire((socket, n) =>
        n === 2 ? socket.resetAndDestroy() : socket.write(response(n === 1 ? 500 : 200, {}, "all"))
      )
      assert.strictEqual(yield* textOf(get(server.url)), "all")
      assert.deepStrictEqual([server.requests.length, server.connections()], [3, 2])
    })
  )
})

describe("a peer that vanishes without a word", () => {
  /** Answers the first request of the first connection, and then neither reads nor closes it any more. */
  const vanishing = wire((socket, n) => {
    if (n === 1) socket.pause()
    socket.write(response(200, {}, `served ${n}`))
  })

  each(
    "the next attempt takes another connection",
    Effect.gen(function* () {
      const server = yield* vanishing
      assert.strictEqual(yield* textOf(get(server.url)), "served 1")
      assert.strictEqual(yield* textOf(get(server.url), timed), "served 2")
      assert.deepStrictEqual([server.requests.length, server.connections()], [2, 2])
      assert.strictEqual(server.requests[1]!.headers["x-envoy-attempt-count"], "2")
    }),
    pools
  )

  each(
    "a POST may have been received, and is not sent again without a key",
    Effect.gen(function* () {
      const server = yield* vanishing
      yield* textOf(get(server.url))
      const error = exhausted(yield* failing(send(post(server.url), timed)))
      assert.deepStrictEqual([error.reason, error.attempts], ["unsafe", 1])
      assert.instanceOf(error.lastError, Policy.AttemptTimeout)
      assert.strictEqual(server.requests.length, 1)
      assert.strictEqual(yield* textOf(post(server.url), policy({ attemptTimeout, safety })), "served 2")
      assert.strictEqual(server.requests.length, 2)
    }),
    pools
  )
})

describe("a pool of one connection", () => {
  const twice = policy({ retry: times(1, 0) })
  const small = "x".repeat(2_000)
  // too long to be kept
  const large = "x".repeat(100_000)

  for (const [name, layer] of pools) {
    it.live(`1 000 failing calls: ${name}`, () =>
      Effect.gen(function* () {
        const server = yield* wire((socket, _, { path }) =>
          socket.write(response(Number(path.slice(1, 4)), {}, path.endsWith("large") ? large : small))
        )
        const paths = ["500", "404", "500/large", "404/large"]
        const tags = yield* Effect.forEach(
          Array.from({ length: 1_000 }, (_, i) => paths[i % 4]),
          (path) => Effect.map(failing(send(get(`${server.url}${path}`), twice)), (error) => error._tag),
          { concurrency: 20 }
        )
        const count = (tag: string) => tags.filter((each) => each === tag).length
        assert.deepStrictEqual([count("RetryExhausted"), count("HttpClientError")], [500, 500])
        assert.strictEqual(server.requests.length, 1_500)
        // one that was given up costs its connection, and no other does
        assert.isAtMost(server.connections(), 751)
        yield* until(() => server.open() <= 1)
        // the pool still has its connection to give
        yield* failing(send(get(`${server.url}404`), twice))
        assert.strictEqual(server.requests.length, 1_501)
      }).pipe(Effect.provide(layer))
    )

    it.live(`failing calls, all over the one connection: ${name}`, () =>
      Effect.gen(function* () {
        const server = yield* wire((socket, _, { path }) => socket.write(response(Number(path.slice(1)), {}, small)))
        yield* Effect.forEach(
          Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 500 : 404)),
          (status) => failing(send(get(`${server.url}${status}`), twice)),
          { concurrency: 10 }
        )
        assert.deepStrictEqual([server.requests.length, server.connections()], [150, 1])
      }).pipe(Effect.provide(layer))
    )

    it.live(`an error that comes from inside has a response too, whose connection is given back: ${name}`, () =>
      Effect.gen(function* () {
        const body = "x".repeat(300_000)
        const server = yield* wire((socket, _, { path }) => socket.write(response(Number(path.slice(1)), {}, body)))
        const client = (yield* HttpClient.HttpClient).pipe(HttpClient.filterStatusOk, Http.resilient(three))
        for (const [status, requests] of [
          [503, 3],
          [404, 1],
          [503, 3]
        ] as const) {
          const before = server.requests.length
          const error = yield* failing(client.get(`${server.url}${status}`))
          const last = error instanceof Policy.RetryExhausted ? error.lastError : error
          assert.isTrue(HttpClientError.isHttpClientError(last), String(last))
          assert.strictEqual(server.requests.length - before, requests)
          // readable as long as it is not too long to be kept
          assert.strictEqual(yield* (last as HttpClientError.HttpClientError).response!.text, body.slice(0, 65_536))
        }
      }).pipe(Effect.provide(layer))
    )

    it.live(`calls that are cut in any state give it back: ${name}`, () =>
      Effect.gen(function* () {
        const states = [
          "",
          "HTTP/1.1 500 No\r\n",
          "HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\nhalf",
          "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"
        ]
        const server = yield* wire((socket, n, { path }) =>
          socket.write(path === "/" ? states[n % states.length]! : response(200, {}, "all"))
        )
        const cut = policy({ attemptTimeout: "20 millis", retry: times(1, 0) })
        const readBody = { readBody: true }
        for (let i = 0; i < 12; i++) yield* Effect.exit(send(get(server.url), cut, readBody))
        assert.strictEqual(server.requests.length, 24)
        yield* until(() => server.open() === 0)
        // by the caller
        for (let i = 0; i < 8; i++) {
          yield* Effect.timeoutOption(send(get(server.url), three, readBody), "20 millis")
        }
        yield* until(() => server.open() === 0)
        assert.strictEqual(yield* textOf(get(`${server.url}all`)), "all")
      }).pipe(Effect.provide(layer))
    )
  }
})
