import { connect, createServer as createTcpServer } from "node:net"
import type { AddressInfo } from "node:net"
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Data, Deferred, Effect, Exit, Fiber, Layer, Option, Schema, Scope, Stream } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { HttpBody, HttpClient, HttpRouter, HttpServerRequest, HttpServerResponse, Multipart } from "effect/http"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Deadline,
  Idempotency,
  InvalidOption,
  Policy,
  withResilience
} from "effect-resilience"
import { resilient } from "../../src/http/client.ts"
import { deadline } from "../../src/http/deadlineMiddleware.ts"
import { idempotency } from "../../src/http/idempotency.ts"
import type { IdempotencyOptions } from "../../src/http/idempotency.ts"
import { credentialHeaders, fingerprint, parseKey } from "../../src/http/idempotencyKey.ts"
import { IdempotencyStore, IdempotencyStoreError } from "../../src/http/idempotencyStore.ts"
import type { Store } from "../../src/http/idempotencyStore.ts"
import { forRouter } from "../../src/http/middleware.ts"
import type { Middleware } from "../../src/http/middleware.ts"
import { shed } from "../../src/http/shedding.ts"
import { answerUnavailable } from "../../src/http/toResponse.ts"
import { holds, integers } from "../property.ts"
import { fake, status } from "./fake.ts"
import { ask, serving } from "./serverKit.ts"
import type { Sent } from "./serverKit.ts"

/** A handler that counts, and answers with the number of the run. */
const counting = (respond = (n: number) => HttpServerResponse.text(`run ${n}`)) => {
  const counter = { runs: 0 }
  const app = Effect.sync(() => respond(++counter.runs))
  return { app, counter }
}

const post = (key: string | undefined, more?: Sent): Sent => ({
  method: "POST",
  path: "/payments",
  body: "{}",
  ...more,
  headers: { ...(key === undefined ? {} : { "idempotency-key": key }), ...more?.headers }
})

const memory = IdempotencyStore.layerMemory()

/** Status, and the end of the type, if it is a problem, or else the text. */
const brief = ({ status, text, type }: { status: number; text: string; type: string | undefined }) =>
  `${status} ${type?.replace("urn:effect-resilience:", "") ?? text}`

describe("the key", () => {
  it.effect("a request is carried out once, and its answer is sent again", () =>
    Effect.gen(function* () {
      const { app, counter } = counting((n) =>
        HttpServerResponse.jsonUnsafe({ n }, { status: 201, headers: { location: `/payments/${n}` } }).pipe(
          HttpServerResponse.setCookieUnsafe("session", "abc")
        )
      )
      const once = idempotency()(app)
      const first = yield* ask(once, post("k"))
      const second = yield* ask(once, post("k"))
      assert.strictEqual(first.headers["idempotent-replayed"], undefined)
      assert.deepStrictEqual(second, { ...first, headers: { ...first.headers, "idempotent-replayed": "true" } })
      assert.deepStrictEqual(
        [first.status, first.headers["location"], first.cookies],
        [201, "/payments/1", ["session"]]
      )
      assert.strictEqual(counter.runs, 1)
      assert.strictEqual((yield* ask(once, post("other"))).text, '{"n":2}')
    }).pipe(Effect.provide(memory))
  )

  it.effect("an answer without a body is sent again, too", () =>
    Effect.gen(function* () {
      const once = idempotency()(counting(() => HttpServerResponse.empty({ status: 204 })).app)
      yield* ask(once, post("k"))
      const { headers, status, text } = yield* ask(once, post("k"))
      assert.deepStrictEqual([status, text, headers["idempotent-replayed"]], [204, "", "true"])
    }).pipe(Effect.provide(memory))
  )

  const refusals: ReadonlyArray<readonly [what: string, sent: Sent, expected: string]> = [
    ["a missing key", post(undefined), "400 idempotency-key-missing"],
    ["an empty key", post(""), "400 idempotency-key-malformed"],
    ["an empty string", post('""'), "400 idempotency-key-malformed"],
    ["a key that is too long", post("k".repeat(256)), "400 idempotency-key-malformed"],
    ["two keys", post('"a", "b"'), "400 idempotency-key-malformed"]
  ]
  for (const [what, sent, expected] of refusals) {
    it.effect(`${what}: ${expected}`, () =>
      Effect.gen(function* () {
        const { app, counter } = counting()
        assert.strictEqual(brief(yield* ask(idempotency()(app), sent)), expected)
        assert.strictEqual(counter.runs, 0)
      }).pipe(Effect.provide(memory))
    )
  }

  it.effect("may be missing where it is not required, and is not looked at for other methods", () =>
    Effect.gen(function* () {
      const optional = idempotency({ required: false })(counting().app)
      assert.strictEqual((yield* ask(optional, post(undefined))).text, "run 1")
      assert.strictEqual((yield* ask(optional, post("k"))).text, "run 2")
      assert.strictEqual((yield* ask(optional, post("k"))).text, "run 2")
      const required = idempotency()(counting().app)
      for (const method of ["GET", "PUT", "DELETE"] as const) {
        const before = (yield* ask(required, { method, headers: { "idempotency-key": "m" } })).text
        assert.notStrictEqual((yield* ask(required, { method, headers: { "idempotency-key": "m" } })).text, before)
        assert.strictEqual((yield* ask(required, { method })).status, 200)
      }
      const puts = idempotency({ methods: ["PUT"] })(counting().app)
      assert.strictEqual((yield* ask(puts, { method: "PUT" })).status, 400)
      assert.strictEqual((yield* ask(puts, { method: "POST" })).status, 200)
      assert.strictEqual((yield* ask(idempotency()(counting().app), { method: "PATCH" })).status, 400)
    }).pipe(Effect.provide(memory))
  )

  it.effect("in quotes or bare is the same", () =>
    Effect.gen(function* () {
      const once = idempotency()(counting().app)
      yield* ask(once, post('"k-1"'))
      assert.strictEqual((yield* ask(once, post("k-1"))).text, "run 1")
    }).pipe(Effect.provide(memory))
  )

  it.effect("of a request in progress: 409, to be tried again", () =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      const once = idempotency()(Effect.andThen(Deferred.await(go), counting().app))
      const first = yield* Effect.forkChild(ask(once, post("k")))
      yield* Effect.yieldNow
      const begun = yield* eventually(ask(once, post("k")), ({ status }) => status === 409)
      assert.strictEqual(brief(begun), "409 idempotency-key-in-progress")
      assert.strictEqual(begun.headers["retry-after"], "1")
      assert.strictEqual(begun.headers["x-should-retry"], "true")
      assert.strictEqual(brief(yield* ask(once, post("k", { body: "other" }))), "422 idempotency-key-reused")
      yield* Deferred.succeed(go, void 0)
      assert.strictEqual((yield* Fiber.join(first)).text, "run 1")
      assert.strictEqual((yield* ask(once, post("k"))).headers["idempotent-replayed"], "true")
    }).pipe(Effect.provide(memory))
  )

  it.effect("of another request: 422", () =>
    Effect.gen(function* () {
      const { app, counter } = counting()
      const once = idempotency()(app)
      yield* ask(once, post("k"))
      for (const other of [
        { body: '{"a":1}' },
        { body: "" },
        { path: "/payments/2" },
        { path: "/payments?a=1" },
        { method: "PATCH" },
        { headers: { authorization: "Bearer other" } }
      ] as const) {
        assert.strictEqual(brief(yield* ask(once, post("k", other))), "422 idempotency-key-reused")
      }
      assert.strictEqual(counter.runs, 1)
    }).pipe(Effect.provide(memory))
  )

  for (const name of credentialHeaders) {
    it.effect(`of who has other credentials (${name}): neither replayed nor carried out again`, () =>
      Effect.gen(function* () {
        const { app, counter } = counting()
        const once = idempotency()(app)
        const as = (value: string | undefined) =>
          ask(once, post("k", { headers: value === undefined ? {} : { [name]: value } }))
        assert.strictEqual((yield* as("alice")).text, "run 1")
        for (const other of ["mallory", undefined]) {
          assert.strictEqual(brief(yield* as(other)), "422 idempotency-key-reused")
        }
        assert.strictEqual((yield* as("alice")).text, "run 1")
        assert.strictEqual(counter.runs, 1)
      }).pipe(Effect.provide(memory))
    )
  }

  it.effect("belongs to its caller", () =>
    Effect.gen(function* () {
      const once = idempotency({ caller: ({ headers }) => Effect.succeed(headers["x-account"] ?? "") })(counting().app)
      const as = (account: string, token: string) =>
        Effect.map(
          ask(once, post("k", { headers: { "x-account": account, authorization: token } })),
          ({ text }) => text
        )
      assert.strictEqual(yield* as("ada", "t1"), "run 1")
      assert.strictEqual(yield* as("bob", "t1"), "run 2")
      // a new token is the same caller
      assert.strictEqual(yield* as("ada", "t2"), "run 1")
      const rotated = post("k", { headers: { "x-account": "ada", cookie: "session=2", "x-api-key": "new" } })
      assert.strictEqual((yield* ask(once, rotated)).text, "run 1")
      const plain = idempotency({ caller: () => "ada" })(counting().app)
      assert.strictEqual((yield* ask(plain, post("k"))).text, "run 1")
    }).pipe(Effect.provide(memory))
  )
})

/** Until the digests that the platform makes beside the fibers are there. */
const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, until: (a: A) => boolean) => Effect.repeat(self, { until })

class Refused extends Data.TaggedError("Refused")<{}> {}

describe("errors", () => {
  const failing = (exit: Exit.Exit<HttpServerResponse.HttpServerResponse, Refused | Bulkhead.BulkheadFull>) => {
    const counter = { runs: 0 }
    return { counter, app: Effect.suspend(() => (counter.runs++, exit)) }
  }
  const full = new Bulkhead.BulkheadFull({ bulkhead: "b", key: undefined, reason: "queue", retryAfter: undefined })
  const cases: ReadonlyArray<
    readonly [
      what: string,
      exit: Exit.Exit<HttpServerResponse.HttpServerResponse, Refused | Bulkhead.BulkheadFull>,
      kept: number
    ]
  > = [
    ["a 400", Exit.succeed(HttpServerResponse.empty({ status: 400 })), 400],
    ["a 500", Exit.succeed(HttpServerResponse.empty({ status: 500 })), 500],
    ["a 504", Exit.succeed(HttpServerResponse.empty({ status: 504 })), 504],
    ["a 425", Exit.succeed(HttpServerResponse.empty({ status: 425 })), 425],
    ["a 429", Exit.succeed(HttpServerResponse.empty({ status: 429 })), 429],
    ["a 503", Exit.succeed(HttpServerResponse.empty({ status: 503 })), 503],
    ["an error", Exit.fail(new Refused()), 500],
    ["a defect", Exit.die("bug"), 500],
    ["a response as a defect", Exit.die(HttpServerResponse.empty({ status: 404 })), 404],
    ["a guard that refused", Exit.fail(full), 503],
    ["an interruption of its own", Exit.interrupt(1), 503]
  ]
  for (const [what, exit, kept] of cases) {
    it.effect(`${what} is kept`, () =>
      Effect.gen(function* () {
        const { app, counter } = failing(exit)
        const once = idempotency()(app)
        const first = yield* Effect.exit(ask(once, post("k")))
        const second = yield* Effect.exit(ask(once, post("k")))
        assert.strictEqual(counter.runs, 1)
        assert.strictEqual(Exit.isSuccess(second) && second.value.status, kept)
        // nobody need try again what stays the same
        assert.strictEqual(Exit.isSuccess(second) && second.value.headers["x-should-retry"], "false")
        // it is still seen what happened, in the type and in the cause
        if (Exit.isFailure(exit)) {
          assert.deepInclude(Exit.isFailure(first) ? first.cause.reasons : [], exit.cause.reasons[0])
        }
      }).pipe(Effect.provide(memory))
    )
  }

  it.effect("a failure is answered with what was kept", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(ask(idempotency()(Effect.fail(new Refused())), post("k")))
      const response = Exit.isFailure(exit)
        ? exit.cause.reasons.find((reason) => Cause.isDieReason(reason))?.defect
        : undefined
      assert.isTrue(HttpServerResponse.isHttpServerResponse(response) && response.status === 500)
    }).pipe(Effect.provide(memory))
  )

  class One extends Bulkhead.Service<One>()("app/OneAtATime", { maxConcurrent: 1 }) {}
  const turnedAway: ReadonlyArray<
    readonly [what: string, inner: Middleware<One>, headers: Record<string, string>, first: string]
  > = [
    ["a guard in front of the handler", shed(One), {}, "503 unavailable"],
    ["a deadline that had passed", deadline(), { "grpc-timeout": "0S" }, "504 timed-out"]
  ]
  for (const [what, inner, headers, first] of turnedAway) {
    it.effect(`${what} has certainly let nothing begin: the request may run later`, () =>
      Effect.gen(function* () {
        const { app, counter } = counting()
        const once = idempotency()(inner(app))
        const go = yield* Deferred.make<void>()
        const busy = yield* Effect.forkChild(One.protect()(Deferred.await(go)), { startImmediately: true })
        assert.strictEqual(brief(yield* ask(once, post("k", { headers }))), first)
        yield* Deferred.succeed(go, void 0)
        yield* Fiber.join(busy)
        assert.strictEqual(counter.runs, 0)
        assert.strictEqual((yield* ask(once, post("k"))).text, "run 1")
      }).pipe(Effect.provide([memory, One.layer]))
    )
  }

  const cuts: ReadonlyArray<
    readonly [
      what: string,
      cut: (
        app: Handler
      ) => Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, HttpServerRequest.HttpServerRequest>
    ]
  > = [
    ["of the handler's own", Deadline.within("20 millis")],
    ["of a middleware inside", deadline({ limit: "20 millis" })]
  ]
  type Handler = Effect.Effect<HttpServerResponse.HttpServerResponse>
  for (const [what, cut] of cuts) {
    it.effect(`the 504 of a deadline ${what} is kept, for the handler had begun`, () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        let runs = 0
        const slow = Effect.suspend(() => (runs++, Effect.andThen(Deferred.succeed(begun, void 0), Effect.never)))
        const once = idempotency()(cut(slow))
        const first = yield* Effect.forkChild(Effect.exit(ask(once, post("k"))))
        yield* Deferred.await(begun)
        yield* TestClock.adjust("20 millis")
        yield* Fiber.join(first)
        const again = yield* ask(once, post("k"))
        assert.strictEqual(brief(again), "504 timed-out")
        assert.strictEqual(again.headers["idempotent-replayed"], "true")
        assert.strictEqual(runs, 1)
      }).pipe(Effect.provide(memory))
    )
  }

  it.effect("isFinal decides", () =>
    Effect.gen(function* () {
      const { app, counter } = counting()
      const never = idempotency({ isFinal: (response) => response.status !== 200 })(app)
      yield* ask(never, post("k"))
      yield* ask(never, post("k"))
      assert.strictEqual(counter.runs, 2)
    }).pipe(Effect.provide(memory))
  )

  const brokenStream = HttpServerResponse.stream(Stream.fail("the source is gone"))
  for (const [what, response, options] of [
    ["a response whose body fails", brokenStream, {}],
    [
      "an isFinal that throws",
      HttpServerResponse.text("ok"),
      {
        isFinal: () => {
          throw new Error("no")
        }
      }
    ]
  ] as const) {
    it.effect(`${what}: the request was carried out, and its key is not in progress for ever`, () =>
      Effect.gen(function* () {
        const { app, counter } = counting(() => response)
        const once = idempotency(options)(app)
        const first = yield* Effect.exit(ask(once, post("k")))
        assert.isTrue(Exit.isFailure(first) && Cause.hasDies(first.cause))
        const second = yield* ask(once, post("k"))
        assert.strictEqual(brief(second), "409 idempotency-response-not-kept")
        assert.isUndefined(second.headers["x-should-retry"])
        assert.strictEqual(counter.runs, 1)
      }).pipe(Effect.provide(memory))
    )
  }

  it.effect("a body that cannot be read is answered, and no key is taken", () =>
    Effect.gen(function* () {
      const { app, counter } = counting()
      const broken = Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
        Object.create(request, {
          arrayBuffer: { get: () => request.upgrade }
        })
      )
      const once = Effect.flatMap(broken, (request) =>
        Effect.provideService(idempotency()(app), HttpServerRequest.HttpServerRequest, request)
      )
      assert.strictEqual((yield* ask(once, post("k"))).status, 400)
      assert.strictEqual(counter.runs, 0)
      assert.strictEqual((yield* ask(idempotency()(app), post("k"))).text, "run 1")
    }).pipe(Effect.provide(memory))
  )
})

describe("bodies", () => {
  const bytes = (n: number) => new Uint8Array(n).fill(120)
  const streamed = (chunks: ReadonlyArray<Uint8Array>, type?: string) =>
    HttpServerResponse.stream(Stream.fromIterable(chunks).pipe(Stream.rechunk(1)), { contentType: type })

  const cases: ReadonlyArray<readonly [what: string, response: HttpServerResponse.HttpServerResponse, kept: boolean]> =
    [
      ["as large as allowed", HttpServerResponse.uint8Array(bytes(10)), true],
      ["a byte larger", HttpServerResponse.uint8Array(bytes(11)), false],
      ["a stream as large as allowed", streamed([bytes(4), bytes(6)], "text/x"), true],
      ["a stream a byte larger", streamed([bytes(4), bytes(6), bytes(1)], "text/x"), false],
      ["a stream much larger", streamed(Array.from({ length: 9 }, () => bytes(9))), false],
      ["an empty stream", streamed([]), true],
      ["a form", HttpServerResponse.formData(new FormData()), false],
      ["something raw", HttpServerResponse.raw("raw"), false]
    ]
  for (const [what, response, kept] of cases) {
    it.effect(`${what} is ${kept ? "kept" : "sent, but not kept"}`, () =>
      Effect.gen(function* () {
        const once = idempotency({ maxBodyBytes: 10 })(Effect.succeed(response))
        const plain = yield* ask(Effect.succeed(response), post("k"))
        const first = yield* ask(once, post("k"))
        assert.deepStrictEqual(
          [first.status, first.text, first.headers["content-type"]],
          [plain.status, plain.text, plain.headers["content-type"]]
        )
        const second = yield* ask(once, post("k"))
        if (kept) assert.deepStrictEqual([second.status, second.text], [first.status, first.text])
        else assert.strictEqual(brief(second), "409 idempotency-response-not-kept")
        assert.strictEqual(second.headers["idempotent-replayed"], kept ? "true" : undefined)
      }).pipe(Effect.provide(memory))
    )
  }

  it.effect("what a body draws from is held until it has been sent", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const app = Effect.gen(function* () {
        const scope = yield* Scope.Scope
        yield* Scope.addFinalizer(
          scope,
          Effect.sync(() => log.push("closed"))
        )
        return HttpServerResponse.stream(
          Stream.tap(Stream.rechunk(Stream.make(bytes(9), bytes(9), bytes(9)), 1), () =>
            Effect.sync(() => log.push("chunk"))
          )
        )
      })
      const { text } = yield* ask(idempotency({ maxBodyBytes: 10 })(app), post("k"))
      assert.strictEqual(text.length, 27)
      assert.deepStrictEqual(log, ["chunk", "chunk", "chunk", "closed"])
    }).pipe(Effect.provide(memory))
  )

  it.effect("what is kept is not changed by whoever has the first answer", () =>
    Effect.gen(function* () {
      const body = bytes(3)
      const once = idempotency()(Effect.succeed(HttpServerResponse.uint8Array(body)))
      yield* ask(once, post("k"))
      body.fill(0)
      assert.strictEqual((yield* ask(once, post("k"))).text, "xxx")
    }).pipe(Effect.provide(memory))
  )

  it.effect("the handler reads the request's body as if nobody had, however it likes", () =>
    Effect.gen(function* () {
      const read = Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        const sliced = request.modify({ url: "/x" })
        const parts = [
          yield* request.text,
          JSON.stringify(yield* request.json),
          yield* Stream.mkString(Stream.decodeText(request.stream)),
          String((yield* request.arrayBuffer).byteLength),
          yield* sliced.text,
          sliced.url,
          request.method,
          request.headers["x-a"]
        ]
        return HttpServerResponse.text(parts.join(" "))
      })
      const { text } = yield* ask(idempotency()(read), post("k", { headers: { "x-a": "a" } }))
      assert.strictEqual(text, "{} {} {} 2 {} /x POST a")
    }).pipe(Effect.provide(memory))
  )
})

describe("what has begun is finished", () => {
  /** A handler that runs until `go`, and where it has come to. */
  const slow = Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const go = yield* Deferred.make<void>()
    const log: Array<string> = []
    const app = Effect.gen(function* () {
      yield* Scope.addFinalizer(
        yield* Scope.Scope,
        Effect.sync(() => log.push("closed"))
      )
      log.push(Option.isNone(yield* Deadline.remaining) ? "no deadline" : "a deadline")
      yield* Deferred.succeed(begun, void 0)
      yield* Deferred.await(go)
      log.push("done")
      return HttpServerResponse.text("paid")
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push("interrupted"))))
    return { app, begun, go, log }
  })

  it.effect("when its client goes away", () =>
    Effect.gen(function* () {
      const { app, begun, go, log } = yield* slow
      const once = idempotency()(app)
      const first = yield* Effect.forkChild(ask(once, post("k")))
      yield* Deferred.await(begun)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(first), { startImmediately: true })
      yield* Effect.repeat(Effect.yieldNow, { times: 50 })
      assert.isUndefined(interrupting.pollUnsafe())
      yield* Deferred.succeed(go, void 0)
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(log, ["no deadline", "done", "closed"])
      const again = yield* ask(once, post("k"))
      assert.deepStrictEqual([again.text, again.headers["idempotent-replayed"]], ["paid", "true"])
    }).pipe(Effect.provide(memory))
  )

  it.effect("when the deadline passes, and the client is told at once", () =>
    Effect.gen(function* () {
      const { app, begun, go, log } = yield* slow
      const once = deadline({ limit: "1 second" })(idempotency()(app))
      const first = yield* Effect.forkChild(ask(once, post("k")))
      yield* Deferred.await(begun)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(first)).status, 504)
      assert.deepStrictEqual(log, ["no deadline"])
      assert.strictEqual(brief(yield* ask(once, post("k"))), "409 idempotency-key-in-progress")
      yield* Deferred.succeed(go, void 0)
      const again = yield* eventually(ask(once, post("k")), ({ status }) => status !== 409)
      assert.strictEqual(again.text, "paid")
      assert.deepStrictEqual(log, ["no deadline", "done", "closed"])
    }).pipe(Effect.provide(memory))
  )

  it.effect("what it calls is told of no end that does not cut it, be it of a deadline or of an attempt around", () =>
    Effect.gen(function* () {
      const bank = fake(status(200))
      const client = resilient(bank.client, Policy.make({ name: "bank", safety: "idempotent" }))
      const pay = Effect.as(client.get("http://bank.example/"), HttpServerResponse.text("paid"))
      const once = idempotency()(Effect.orDie(pay))
      const around = Policy.make({ name: "around", attemptTimeout: "1 second", deadline: "2 seconds" })
      yield* withResilience(ask(once, post("k")), around)
      assert.deepStrictEqual(bank.header("grpc-timeout"), [undefined])
    }).pipe(Effect.provide(memory))
  )

  it.effect("within a guard, whose slot is free when the waiting ends", () => {
    class One extends Bulkhead.Service<One>()("app/One", { maxConcurrent: 1 }) {}
    return Effect.gen(function* () {
      const once = shed(One)(idempotency()(counting().app))
      assert.strictEqual((yield* ask(once, post("k"))).text, "run 1")
      assert.strictEqual((yield* ask(once, post("k"))).text, "run 1")
    }).pipe(Effect.provide([memory, One.layer]))
  })
})

describe("the store", () => {
  it.effect("forgets an answer after its time, and not before", () =>
    Effect.gen(function* () {
      const once = idempotency()(counting().app)
      yield* ask(once, post("k"))
      yield* TestClock.adjust("86399999 millis")
      assert.strictEqual((yield* ask(once, post("k"))).text, "run 1")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* ask(once, post("k"))).text, "run 2")
    }).pipe(Effect.provide(memory))
  )

  it.effect("is a layer's: another layer knows nothing of it", () =>
    Effect.gen(function* () {
      const once = idempotency()(counting().app)
      const apart = Effect.provide(ask(once, post("k")), IdempotencyStore.layerMemory())
      assert.strictEqual((yield* apart).text, "run 1")
      assert.strictEqual((yield* apart).text, "run 2")
    })
  )

  it.effect("that is full of running requests takes no more: 503", () =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const once = idempotency()(
        Effect.andThen(Deferred.succeed(begun, void 0), Effect.andThen(Deferred.await(go), counting().app))
      )
      const first = yield* Effect.forkChild(ask(once, post("a")))
      yield* Deferred.await(begun)
      assert.strictEqual(brief(yield* ask(once, post("b"))), "503 unavailable")
      yield* Deferred.succeed(go, void 0)
      yield* Fiber.join(first)
      assert.strictEqual((yield* ask(once, post("b"))).status, 200)
    }).pipe(Effect.provide(IdempotencyStore.layerMemory({ max: 1 })))
  )

  const broken = (operation: keyof Store): Layer.Layer<IdempotencyStore> =>
    Layer.effect(IdempotencyStore)(
      Effect.map(Effect.provide(IdempotencyStore, memory), (store) => ({
        ...store,
        [operation]: () => Effect.fail(new IdempotencyStoreError({ operation, cause: "connection lost" }))
      }))
    )

  it.effect("that is away when a request begins: 503, and it is not begun", () =>
    Effect.gen(function* () {
      const { app, counter } = counting()
      const answer = yield* ask(idempotency()(app), post("k"))
      assert.strictEqual(brief(answer), "503 unavailable")
      assert.notInclude(answer.text, "connection")
      assert.strictEqual(counter.runs, 0)
    }).pipe(Effect.provide(broken("begin")))
  )

  it.effect("that is away when a request has ended changes nothing of its answer, and keeps the key", () =>
    Effect.gen(function* () {
      const once = idempotency()(counting().app)
      assert.strictEqual((yield* ask(once, post("k"))).text, "run 1")
      assert.strictEqual(brief(yield* ask(once, post("k"))), "409 idempotency-key-in-progress")
    }).pipe(Effect.provide(broken("complete")))
  )

  const failed = "the store of idempotency keys failed to begin a request"
  const messages: ReadonlyArray<readonly [what: string, cause: unknown, message: string]> = [
    ["an error", new Error("connection lost"), `${failed}: Error: connection lost`],
    ["an error without a message", new TypeError(""), `${failed}: TypeError`],
    ["a tagged error", new Refused(), `${failed}: Refused`],
    ["a text", "connection lost", `${failed}: connection lost`],
    ["a number", 7, `${failed}: 7`],
    ["an object with a message", { message: "connection lost" }, `${failed}: connection lost`],
    ["an object with a code", { code: "ECONNREFUSED" }, `${failed}: ECONNREFUSED`],
    ["an object with a tag", { _tag: "Gone", message: "" }, `${failed}: Gone`],
    ["an object with a tag and a message", { _tag: "Gone", message: "for good" }, `${failed}: Gone: for good`],
    ["an object that says nothing", { port: 6379 }, failed],
    ["one without a prototype", Object.create(null), failed],
    ["nothing", undefined, failed],
    ["null", null, failed]
  ]
  for (const [what, cause, message] of messages) {
    it(`its error says why, of ${what}`, () =>
      assert.strictEqual(new IdempotencyStoreError({ operation: "begin", cause }).message, message))
  }

  it("its error is one that Fallback and its like know", () => {
    const error = new IdempotencyStoreError({ operation: "begin", cause: new Error("connection lost") })
    assert.isTrue(Policy.isUnavailable(error))
  })

  it.effect("refuses bad options when its layer is built", () =>
    Effect.gen(function* () {
      for (const options of [{ max: 0 }, { max: 1.5 }, { timeToLive: 0 }, { timeToLive: "Infinity" as const }]) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(IdempotencyStore.layerMemory(options))))
        const defect = Exit.isFailure(exit) && exit.cause.reasons.find(Cause.isDieReason)?.defect
        assert.instanceOf(defect, InvalidOption)
      }
      yield* Effect.scoped(Layer.build(IdempotencyStore.layerMemory({ max: undefined, timeToLive: undefined })))
    })
  )
})

describe("options", () => {
  const bad: ReadonlyArray<readonly [option: string, options: object]> = [
    ["maxBodyBytes", { maxBodyBytes: -1 }],
    ["maxRequestBytes", { maxRequestBytes: -1 }],
    ["maxRequestBytes", { maxRequestBytes: 1.5 }],
    ["methods", { methods: ["post"] }],
    ["methods", { methods: ["POST", "Patch"] }],
    ["methods", { methods: [] }],
    ["methods", { methods: "POST" }],
    ["methods", { methods: [undefined] }],
    ["caller", { caller: "ada" }],
    ["isFinal", { isFinal: true }]
  ]
  for (const [option, options] of bad) {
    it(`refuses ${JSON.stringify(options)}`, () =>
      assert.throws(() => idempotency(options), new RegExp(`^Http.idempotency: ${option} must be `)))
  }

  it("takes undefined, and methods that are rare", () => {
    idempotency({ methods: ["POST", "M-SEARCH", "X"] })
    const none: IdempotencyOptions = {
      required: undefined,
      methods: undefined,
      caller: undefined,
      isFinal: undefined,
      maxBodyBytes: undefined,
      maxRequestBytes: undefined
    }
    idempotency(none)
  })
})

describe("the grammar", () => {
  const good: ReadonlyArray<readonly [text: string, key: string]> = [
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ["8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"],
    [' "a" ', "a"],
    ['"a b"', "a b"],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ["a,b;c=1", "a,b;c=1"],
    ["k".repeat(255), "k".repeat(255)],
    [`"${"k".repeat(255)}"`, "k".repeat(255)]
  ]
  for (const [text, key] of good) it(`reads ${text.slice(0, 40)}`, () => assert.strictEqual(parseKey(text), key))

  for (const text of [
    "",
    " ",
    '""',
    '"',
    '"a',
    'a"',
    '"a"b',
    '"a\\b"',
    "a b",
    "ä",
    '"ä"',
    "a\u0007",
    '"a";x=1',
    "a\\b"
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.isUndefined(parseKey(text)))
  }

  it.effect("never throws, and reads whatever it writes", () =>
    Effect.gen(function* () {
      yield* holds(
        Arbitrary.schema(Schema.String),
        (text) => {
          const key = parseKey(text)
          return key === undefined || (key.length > 0 && key.length <= 255 && /^[ -~]+$/.test(key))
        },
        { runs: 500 }
      )
      yield* holds(
        Arbitrary.schema(Schema.String.check(Schema.isPattern(/^[ -~]{1,255}$/))),
        (key) => parseKey(`"${key.replace(/["\\]/g, "\\$&")}"`) === key,
        { runs: 300 }
      )
    })
  )

  it.effect("arbitrary bytes never throw, and what is read from them comes back from both of its forms", () => {
    const bytes = Arbitrary.map(Arbitrary.array(integers(0, 255), { maxLength: 300 }), (codes) =>
      String.fromCharCode(...codes)
    )
    // so that a good part gets some way in
    const pieces = ['"', "\\", '\\"', "\\\\", " ", "a", "k-1", ",", ";", "=", "\t", "\0", "\u00e4", "k".repeat(254)]
    const made = Arbitrary.map(Arbitrary.array(integers(0, pieces.length - 1), { maxLength: 8 }), (at) =>
      at.map((i) => pieces[i]).join("")
    )
    const escaped = (key: string) => `"${key.replace(/["\\]/g, "\\$&")}"`
    let read = 0
    return Effect.map(
      holds(
        Arbitrary.all({ bytes, made, text: Arbitrary.schema(Schema.String) }),
        ({ bytes, made, text }) =>
          [bytes, made, text, `"${made}"`, escaped(made)].every((text) => {
            const key = parseKey(text)
            if (key === undefined) return true
            read++
            if (key.length === 0 || key.length > 255 || !/^[ -~]+$/.test(key)) return false
            return parseKey(escaped(key)) === key && (/[ "\\]/.test(key) || parseKey(key) === key)
          }),
        { runs: 1000 }
      ),
      () => assert.isAbove(read, 500)
    )
  })

  it.effect("the fingerprint does not mix up its parts, nor look at the origin", () =>
    Effect.gen(function* () {
      const of = (method: string, url: string, caller: string, body: string) =>
        fingerprint(
          { method, originalUrl: url, headers: {} } as never,
          caller,
          new TextEncoder().encode(body).buffer as ArrayBuffer
        )
      const one = yield* of("POST", "http://a.example/x?y", "c", "b")
      assert.match(one, /^[0-9a-f]{64}$/)
      assert.strictEqual(yield* of("POST", "https://b.example:8080/x?y", "c", "b"), one)
      assert.strictEqual(yield* of("POST", "/x?y", "c", "b"), one)
      const others = [
        yield* of("PATCH", "/x?y", "c", "b"),
        yield* of("POST", "/x", "c", "b"),
        yield* of("POST", "/x?y", "d", "b"),
        yield* of("POST", "/x?y", "c", "bb"),
        yield* of("POST", "/x?yc", "", "b"),
        yield* of("POST", "/x?y", "cb", "")
      ]
      assert.strictEqual(new Set([one, ...others]).size, 7)
    })
  )
})

describe("with real sockets", () => {
  it.live("nobody gets the answer, nor the cookies, of another user", () =>
    Effect.gen(function* () {
      let runs = 0
      const whoami = Effect.gen(function* () {
        runs++
        const { cookies } = yield* HttpServerRequest.HttpServerRequest
        return HttpServerResponse.text(`secret of ${cookies["user"]}`).pipe(
          HttpServerResponse.setCookieUnsafe("session", `of-${cookies["user"]}`)
        )
      })
      const built = yield* Layer.build(memory)
      const app = Effect.provideContext(idempotency()(whoami), built)
      const url = yield* serving(HttpRouter.add("POST", "/", app))
      const as = (user: string) =>
        Effect.promise(async () => {
          const response = await fetch(url, {
            method: "POST",
            headers: { cookie: `user=${user}`, "idempotency-key": "order-1" },
            body: "x"
          })
          return [response.status, response.headers.get("set-cookie"), await response.text()] as const
        })
      assert.deepStrictEqual(yield* as("alice"), [200, "session=of-alice", "secret of alice"])
      const [status, cookie, text] = yield* as("mallory")
      assert.deepStrictEqual([status, cookie], [422, null])
      assert.notInclude(text, "alice")
      assert.deepStrictEqual(yield* as("alice"), [200, "session=of-alice", "secret of alice"])
      assert.strictEqual(runs, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a circuit that is open in the middle of the handler does not charge twice", () =>
    Effect.gen(function* () {
      class Mail extends CircuitBreaker.Service<Mail>()("app/Mail", {
        trip: CircuitBreaker.consecutiveFailures(1),
        openFor: "1 minute"
      }) {}
      let charges = 0
      const pay = Effect.gen(function* () {
        charges++
        yield* Mail.open()
        yield* Mail.protect()(Effect.void)
        return HttpServerResponse.text("paid")
      })
      for (const [path, app] of [
        ["/inside", answerUnavailable(pay).pipe(idempotency())],
        ["/outside", answerUnavailable(pay.pipe(idempotency()))]
      ] as const) {
        charges = 0
        const built = yield* Layer.build(Layer.merge(memory, Mail.layer))
        const url = yield* serving(HttpRouter.add("POST", path, Effect.provideContext(app, built)))
        const send = Effect.promise(() => fetch(url + path, { method: "POST", headers: { "idempotency-key": "k" } }))
        const first = yield* send
        assert.deepStrictEqual([first.status, first.headers.get("idempotent-replayed")], [503, null])
        const second = yield* send
        assert.deepStrictEqual([second.status, second.headers.get("idempotent-replayed")], [503, "true"])
        assert.strictEqual(charges, 1)
      }
    }).pipe(Effect.scoped)
  )

  it.live("around a router, within a deadline: the client is told in time, and gets its answer later", () =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      const pay = Effect.andThen(Deferred.await(go), Effect.succeed(HttpServerResponse.text("paid")))
      const once = Effect.map(
        forRouter(idempotency()),
        (once) => (app: Parameters<typeof once>[0]) => deadline()(once(app))
      )
      const app = Layer.merge(HttpRouter.add("POST", "/", pay), HttpRouter.middleware(once, { global: true }))
      const url = yield* serving(Layer.provide(app, memory))
      const send = (headers: Record<string, string>) =>
        Effect.promise(() => fetch(url, { method: "POST", headers: { "idempotency-key": "k", ...headers } }))
      assert.strictEqual((yield* send({ "grpc-timeout": "20m" })).status, 504)
      yield* Deferred.succeed(go, void 0)
      const answer = yield* eventually(send({}), ({ status }) => status !== 409)
      assert.strictEqual(yield* Effect.promise(() => answer.text()), "paid")
    }).pipe(Effect.scoped)
  )

  for (const global of [false, true]) {
    it.live(`${global ? "around a router" : "around routes"}: the connection is cut after the payment`, () =>
      Effect.gen(function* () {
        const charged = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        let charges = 0
        const pay = Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const body = yield* request.json
          charges++
          yield* Deferred.succeed(charged, void 0)
          yield* Deferred.await(go)
          return HttpServerResponse.jsonUnsafe({ body, charges })
        })
        const form = Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const parts = yield* Stream.runCollect(request.multipartStream)
          return HttpServerResponse.text(parts.map((part) => (Multipart.isField(part) ? part.value : "?")).join())
        })
        const routes = HttpRouter.addAll(
          [HttpRouter.route("POST", "/payments", pay), HttpRouter.route("POST", "/form", form)],
          { prefix: "/v1" }
        )
        const once = forRouter(idempotency())
        const app = global
          ? Layer.merge(routes, HttpRouter.middleware(once, { global: true }))
          : Layer.provide(routes, HttpRouter.middleware(once).layer)
        const url = yield* serving(Layer.provide(app, memory))
        const send = (signal: AbortSignal | null) =>
          fetch(`${url}/v1/payments`, {
            method: "POST",
            body: '{"eur":5}',
            headers: { "idempotency-key": '"k"' },
            signal
          })
        const abort = new AbortController()
        const cut = send(abort.signal).catch(() => "cut")
        yield* Deferred.await(charged)
        abort.abort()
        assert.strictEqual(yield* Effect.promise(() => cut), "cut")
        assert.strictEqual((yield* Effect.promise(() => send(null))).status, 409)
        yield* Deferred.succeed(go, void 0)
        const answer = yield* eventually(
          Effect.promise(() => send(null)),
          ({ status }) => status !== 409
        )
        assert.strictEqual(answer.headers.get("idempotent-replayed"), "true")
        assert.deepStrictEqual(yield* Effect.promise(() => answer.json()), { body: { eur: 5 }, charges: 1 })
        assert.strictEqual(charges, 1)

        const body = new FormData()
        body.set("field", "value")
        const multipart = yield* Effect.promise(() =>
          fetch(`${url}/v1/form`, { method: "POST", body, headers: { "idempotency-key": "f" } })
        )
        assert.strictEqual(yield* Effect.promise(() => multipart.text()), "value")
      }).pipe(Effect.scoped)
    )
  }
})

describe("a flood of requests that are refused", () => {
  const cases: ReadonlyArray<readonly [what: string, options: IdempotencyOptions, header: string]> = [
    ["of a caller", { caller: ({ headers }) => headers["x-user"] ?? "" }, "x-user"],
    ["with credentials of one's own", {}, "authorization"],
    ["without any", {}, "x-other"]
  ]
  for (const [what, options, header] of cases) {
    it.live(`${what} does not push out what is kept for another`, () =>
      Effect.gen(function* () {
        let charged = 0
        const pay = Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          if ((yield* request.text) === "") return HttpServerResponse.empty({ status: 400 })
          return HttpServerResponse.text(`charged ${++charged}`)
        })
        const built = yield* Layer.build(IdempotencyStore.layerMemory({ max: 20 }))
        const url = yield* serving(HttpRouter.add("POST", "/", Effect.provideContext(idempotency(options)(pay), built)))
        const send = (key: string, user: Record<string, string>, body: string) =>
          Effect.promise(async () => {
            const headers = { "idempotency-key": key, ...user }
            const response = await fetch(url, { method: "POST", body, headers })
            return [response.status, await response.text()] as const
          })
        const alice = { [header === "x-other" ? "authorization" : header]: "alice" }
        const paid = yield* send("k", alice, "10")
        for (let i = 0; i < 25; i++) {
          assert.strictEqual((yield* send(`m${i}`, { [header]: "mallory" }, ""))[0], 400)
        }
        assert.deepStrictEqual(yield* send("k", alice, "10"), paid)
        assert.strictEqual(charged, 1)
      }).pipe(Effect.scoped)
    )
  }
})

describe("a form", () => {
  it.live("that is encoded again has another boundary, and is the same request", () =>
    Effect.gen(function* () {
      const types: Array<string> = []
      const upload = Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        types.push(request.headers["content-type"]!)
        const parts = yield* Stream.runCollect(request.multipartStream)
        return HttpServerResponse.text(`${types.length} upload of ${parts.length}`)
      })
      const built = yield* Layer.build(memory)
      const seen: Array<string> = []
      const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) => {
        seen.push(headers["content-type"]!)
        return Effect.provideContext(idempotency()(upload), built)
      })
      const url = yield* serving(HttpRouter.add("POST", "/", app))
      // cuts the connection of the first answer, which it has waited for
      let connections = 0
      const proxy = createTcpServer((client) => {
        const first = ++connections === 1
        const server = connect(Number(new URL(url).port), "127.0.0.1")
        for (const socket of [client, server]) socket.on("error", () => socket.destroy())
        client.pipe(server)
        if (first) server.once("data", () => (client.destroy(), server.destroy()))
        else server.pipe(client)
      })
      yield* Effect.callback<void>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.void)))
      yield* Effect.addFinalizer(() => Effect.sync(() => proxy.close()))
      const proxied = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`

      const form = (file: string) => {
        const data = new FormData()
        data.append("field", "1")
        data.append("file", new Blob([file]), "x.txt")
        return data
      }
      const uploads = Policy.make({
        name: "uploads",
        safety: Idempotency.key(Effect.succeed("k")),
        retry: Backoff.constant("1 millis").pipe(Backoff.times(2))
      })
      const client = resilient(yield* HttpClient.HttpClient, uploads)
      const answer = yield* client.post(proxied, { body: HttpBody.formData(form("hello")) })
      assert.deepStrictEqual(
        [answer.status, answer.headers["idempotent-replayed"], yield* answer.text],
        [200, "true", "1 upload of 2"]
      )
      assert.deepStrictEqual([connections, types.length, new Set(seen).size], [2, 1, 2])
      const other = yield* Effect.promise(() =>
        fetch(url, { method: "POST", body: form("hello!"), headers: { "idempotency-key": "k" } })
      )
      assert.strictEqual(other.status, 422)
    }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici))
  )
})

describe("a client that does not wait for its first answer", () => {
  it.live("has one minted key on all attempts: it is told to come back, and gets the answer of the first", () =>
    Effect.gen(function* () {
      const first = yield* Deferred.make<void>()
      let charges = 0
      const pay = Effect.gen(function* () {
        charges++
        yield* Deferred.await(first)
        return HttpServerResponse.text("paid")
      })
      const statuses: Array<string> = []
      const once = forRouter((app) =>
        Effect.tap(idempotency()(app), ({ headers, status }) => {
          statuses.push(`${status} ${headers["idempotent-replayed"] ?? ""}`)
          // the second attempt has been told to come back: now the first may end
          return status === 409 ? Deferred.succeed(first, void 0) : Effect.void
        })
      )
      const routes = Layer.provide(HttpRouter.add("POST", "/payments", pay), HttpRouter.middleware(once).layer)
      const url = yield* serving(Layer.provide(routes, memory))
      const payments = Policy.make({
        name: "payments",
        safety: Idempotency.key(Idempotency.uuid),
        attemptTimeout: "200 millis",
        retry: Backoff.constant("1 millis").pipe(Backoff.times(3))
      })
      const client = resilient(yield* HttpClient.HttpClient, payments)
      const response = yield* client.post(`${url}/payments`, { body: HttpBody.text("5 EUR") })
      assert.deepStrictEqual([response.status, yield* response.text], [200, "paid"])
      assert.deepStrictEqual(statuses.slice(-2), ["409 ", "200 true"])
      assert.strictEqual(charges, 1)
    }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici))
  )
})

describe("an HttpApi", () => {
  class Broke extends Schema.TaggedError<Broke>()("Broke", { short: Schema.Int }, { httpApiStatus: 402 }) {}

  it.live("has it by its routes' layer: what it decodes, answers and fails with is kept", () =>
    Effect.gen(function* () {
      const pay = HttpApiEndpoint.post("pay", "/payments", {
        payload: Schema.Struct({ eur: Schema.Int }),
        success: Schema.Struct({ charges: Schema.Int }),
        error: Broke
      })
      const Api = HttpApi.make("api").add(HttpApiGroup.make("payments").add(pay))
      let charges = 0
      const group = HttpApiBuilder.group(Api, "payments", (handlers) =>
        handlers.handle("pay", ({ payload }) =>
          payload.eur > 100 ? Effect.fail(new Broke({ short: ++charges })) : Effect.succeed({ charges: ++charges })
        )
      )
      const once = HttpRouter.middleware(forRouter(idempotency())).layer
      const routes = HttpApiBuilder.layer(Api).pipe(
        Layer.provide(group),
        Layer.provide(once),
        Layer.provide(NodeHttpServer.layerHttpServices),
        Layer.provide(memory)
      )
      const url = yield* serving(routes)
      const send = (key: string | undefined, body: string) =>
        Effect.promise(async () => {
          const response = await fetch(`${url}/payments`, {
            method: "POST",
            body,
            headers: { "content-type": "application/json", ...(key === undefined ? {} : { "idempotency-key": key }) }
          })
          return [response.status, response.headers.get("idempotent-replayed"), await response.text()] as const
        })
      assert.deepStrictEqual(yield* send("a", '{"eur":5}'), [200, null, '{"charges":1}'])
      assert.deepStrictEqual(yield* send("a", '{"eur":5}'), [200, "true", '{"charges":1}'])
      const [status, , broke] = yield* send("b", '{"eur":500}')
      assert.deepStrictEqual([status, JSON.parse(broke)], [402, { _tag: "Broke", short: 2 }])
      assert.deepStrictEqual(yield* send("b", '{"eur":500}'), [402, "true", broke])
      assert.strictEqual((yield* send("a", '{"eur":6}'))[0], 422)
      assert.strictEqual((yield* send(undefined, '{"eur":5}'))[0], 400)
      // what it does not take is an answer, too
      const [refused, , why] = yield* send("c", '{"eur":"five"}')
      assert.strictEqual(refused, 400)
      assert.deepStrictEqual(yield* send("c", '{"eur":"five"}'), [400, "true", why])
      assert.strictEqual(charges, 2)
    }).pipe(Effect.scoped)
  )
})
