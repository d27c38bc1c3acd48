import type { IncomingMessage } from "node:http"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Data, Deferred, Duration, Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Deadline, InvalidOption } from "effect-resilience"
import { deadline, ServerLimit } from "../../src/http/deadlineMiddleware.ts"
import type { DeadlineOptions } from "../../src/http/deadlineMiddleware.ts"
import { holds, integers } from "../property.ts"
import { ask, serving } from "./serverKit.ts"

/** Answers how many milliseconds it has. */
const left = Effect.map(Deadline.remaining, (left) =>
  HttpServerResponse.text(Option.match(left, { onNone: () => "no end", onSome: (d) => String(Duration.toMillis(d)) }))
)

const given = (headers: Record<string, string>, options?: DeadlineOptions) =>
  Effect.map(ask(deadline(options)(left), { headers }), ({ status, text }) => (status === 200 ? text : status))

describe("what is in force for the handler", () => {
  const cases: ReadonlyArray<
    readonly [what: string, headers: Record<string, string>, options: DeadlineOptions | undefined, expected: unknown]
  > = [
    ["nothing without a header", {}, undefined, "no end"],
    ["what grpc-timeout says", { "grpc-timeout": "1500m" }, undefined, "1500"],
    ["what Envoy says", { "x-envoy-expected-rq-timeout-ms": "250" }, undefined, "250"],
    ["the least of several", { "grpc-timeout": "2S", "x-envoy-expected-rq-timeout-ms": "1900" }, undefined, "1900"],
    [
      "the least, in the other order",
      { "grpc-timeout": "1S", "x-envoy-expected-rq-timeout-ms": "1900" },
      undefined,
      "1000"
    ],
    ["the limit, if the client says nothing", {}, { limit: "3 seconds" }, "3000"],
    ["the limit, if the client says more", { "grpc-timeout": "1H" }, { limit: "3 seconds" }, "3000"],
    ["the client's word, if it says less", { "grpc-timeout": "1S" }, { limit: "3 seconds" }, "1000"],
    ["the limit, if the client talks nonsense", { "grpc-timeout": "-1S" }, { limit: "3 seconds" }, "3000"],
    ["nothing, if the client talks nonsense", { "grpc-timeout": "soon" }, undefined, "no end"],
    ["the good one of two", { "grpc-timeout": "1S, 2S", "x-envoy-expected-rq-timeout-ms": "70" }, undefined, "70"],
    ["less a reserve", { "grpc-timeout": "1S" }, { reserve: "200 millis" }, "800"],
    ["a limit without the reserve", { "grpc-timeout": "9S" }, { limit: "3 seconds", reserve: "200 millis" }, "3000"],
    ["nothing of headers it does not read", { "grpc-timeout": "1S" }, { codecs: [Deadline.envoyTimeout] }, "no end"],
    ["nothing without codecs", { "grpc-timeout": "1S" }, { codecs: [] }, "no end"],
    ["no time, so not at all", { "grpc-timeout": "0S" }, undefined, 504],
    ["less time than the reserve, so not at all", { "grpc-timeout": "200m" }, { reserve: "200 millis" }, 504]
  ]
  for (const [what, headers, options, expected] of cases) {
    it.effect(what, () => Effect.map(given(headers, options), (text) => assert.strictEqual(text, expected)))
  }

  it.effect("a point in time is one on the wall clock", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const header = Deadline.finagleDeadline.encode("5 seconds", yield* Clock.currentTimeMillis)
      yield* TestClock.adjust("2 seconds")
      const options = { codecs: [Deadline.finagleDeadline] }
      assert.strictEqual(yield* given({ [Deadline.finagleDeadline.header]: header }, options), "3000")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* given({ [Deadline.finagleDeadline.header]: header }, options), 504)
    })
  )

  it.effect("a deadline around counts if it is nearer", () =>
    Effect.gen(function* () {
      const app = deadline({ limit: "3 seconds" })(left).pipe(Deadline.within("1 second"))
      assert.strictEqual((yield* ask(app)).text, "1000")
    })
  )

  it.effect("the server's own limit is known within, whatever the client says", () =>
    Effect.gen(function* () {
      const limit = Effect.map(ServerLimit, (ms) => HttpServerResponse.text(String(ms)))
      assert.strictEqual(
        (yield* ask(deadline({ limit: "3 seconds" })(limit), { headers: { "grpc-timeout": "1S" } })).text,
        "3000"
      )
      assert.strictEqual((yield* ask(deadline()(limit), { headers: { "grpc-timeout": "1S" } })).text, "undefined")
    })
  )
})

describe("properties", () => {
  const codecs = [Deadline.grpcTimeout, Deadline.envoyTimeout, Deadline.finagleDeadline]
  const limit = 60_000

  it.effect("whatever bytes the headers have, the handler has from 0 to the server's limit, or there is a 504", () => {
    const bytes = Arbitrary.map(Arbitrary.array(integers(0, 255), { maxLength: 40 }), (codes) =>
      String.fromCharCode(...codes)
    )
    const pieces = ["0", "1", "59", "99999999", "9223372036854775807", "-", "H", "M", "S", "m", "u", "n", " ", ".", ","]
    const made = Arbitrary.map(Arbitrary.array(integers(0, pieces.length - 1), { maxLength: 4 }), (at) =>
      at.map((i) => pieces[i]).join("")
    )
    const header = Arbitrary.map(Arbitrary.all({ bytes, made, which: integers(0, 3) }), ({ bytes, made, which }) =>
      which === 0 ? bytes : made
    )
    const app = deadline({ codecs, limit })(left)
    return holds(
      Arbitrary.all({ grpc: header, envoy: header, finagle: header }),
      ({ envoy, finagle, grpc }) =>
        Effect.map(
          ask(app, {
            headers: {
              [Deadline.grpcTimeout.header]: grpc,
              [Deadline.envoyTimeout.header]: envoy,
              [Deadline.finagleDeadline.header]: finagle
            }
          }),
          ({ status, text }) => status === 504 || (status === 200 && Number(text) > 0 && Number(text) <= limit)
        ),
      { runs: 1000 }
    )
  })

  it.effect("a client's word arrives in every codec: never more, and at most a millisecond less", () =>
    holds(
      Arbitrary.all({ left: integers(1, 86_400_000_000), now: integers(0, 4_102_444_800_000) }),
      ({ left, now }) =>
        codecs.every((codec) => {
          // microseconds
          const said = codec.decode(codec.encode(Duration.nanos(BigInt(left) * 1000n), now), now)
          const micros = Number(Duration.toNanosUnsafe(Option.getOrThrow(said)) / 1000n)
          // Envoy has no less than 1 ms
          return micros <= Math.max(left, codec === Deadline.envoyTimeout ? 1000 : 0) && left - micros <= 1000
        }),
      { runs: 1000 }
    )
  )
})

class Refused extends Data.TaggedError("Refused")<{}> {}

describe("when the time is up", () => {
  it.effect("answers 504 when the handler's finalizers have run", () =>
    Effect.gen(function* () {
      let cleaned = false
      const slow = Effect.never.pipe(
        Effect.ensuring(
          Effect.andThen(
            Effect.sleep("300 millis"),
            Effect.sync(() => (cleaned = true))
          )
        )
      )
      const fiber = yield* Effect.forkChild(ask(deadline()(slow), { headers: { "grpc-timeout": "1S" } }))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("300 millis")
      const { status, type } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([status, type, cleaned], [504, "urn:effect-resilience:timed-out", true])
    })
  )

  it.effect("does not begin a request that is late", () =>
    Effect.gen(function* () {
      let begun = 0
      const app = Effect.sync(() => {
        begun++
        return HttpServerResponse.empty()
      })
      const { status, type } = yield* ask(deadline()(app), { headers: { "grpc-timeout": "0n" } })
      assert.deepStrictEqual([status, type, begun], [504, "urn:effect-resilience:timed-out", 0])
      yield* ask(deadline()(app), { headers: { "grpc-timeout": "1n" } })
      assert.strictEqual(begun, 1)
    })
  )

  it.effect("the handler's own errors come out as they are, a deadline of its own too", () =>
    Effect.gen(function* () {
      const headers = { "grpc-timeout": "1H" }
      const refused: Effect.Effect<HttpServerResponse.HttpServerResponse, Refused> = Effect.fail(new Refused())
      assert.deepStrictEqual(yield* Effect.exit(ask(deadline()(refused), { headers })), Exit.fail(new Refused()))

      const own = Effect.as(Effect.never, HttpServerResponse.empty()).pipe(Deadline.within("1 second", { name: "own" }))
      const fiber = yield* Effect.forkChild(Effect.flip(ask(deadline()(own), { headers })))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).name, "own")

      const bug = yield* Effect.exit(ask(deadline()(Effect.die("bug")), { headers }))
      assert.deepStrictEqual(bug, Exit.die("bug"))
    })
  )
})

describe("options", () => {
  for (const [what, options] of [
    ["limit of 0", { limit: 0 }],
    ["limit without end", { limit: "Infinity" }],
    ["limit that is no duration", { limit: "soon" }],
    ["limit that is null", { limit: null }],
    ["reserve below 0", { reserve: -1 }],
    ["reserve without end", { reserve: Infinity }],
    ["codec instead of a list", { codecs: Deadline.grpcTimeout }],
    ["list of what is no codec", { codecs: [undefined] }],
    ["codec that cannot decode", { codecs: [{ header: "x-left" }] }],
    ["codec whose header would never be met", { codecs: [{ ...Deadline.grpcTimeout, header: "Grpc-Timeout" }] }],
    ["codec without a header", { codecs: [{ ...Deadline.grpcTimeout, header: undefined }] }]
  ] as const) {
    it(`refuses a ${what}`, () => assert.throws(() => deadline(options as never), InvalidOption))
  }
  it("may all be undefined", () => {
    deadline({ codecs: undefined, limit: undefined, reserve: undefined })
  })
})

describe("with real sockets", () => {
  // as a middleware of some routes, and of a whole router
  for (const global of [false, true]) {
    const routed = <A, E, R>(routes: Layer.Layer<A, E, R>, options?: DeadlineOptions) =>
      global
        ? Layer.merge(routes, HttpRouter.middleware(deadline(options), { global: true }))
        : Layer.provide(routes, HttpRouter.middleware(deadline(options)).layer)
    const where = global ? "around a router" : "around routes"

    it.live(`${where}: a late request is not begun, another is, and a slow one is cut`, () =>
      Effect.gen(function* () {
        let begun = 0
        const cut = yield* Deferred.make<void>()
        const routes = Layer.mergeAll(
          HttpRouter.add(
            "GET",
            "/slow",
            Effect.suspend(() => {
              begun++
              return Effect.onInterrupt(Effect.never, () => Deferred.succeed(cut, void 0))
            })
          ),
          HttpRouter.add("GET", "/left", left)
        )
        const url = yield* serving(routed(routes, { limit: "1 hour" }))
        const get = (path: string, timeout: string) =>
          Effect.promise(() => fetch(url + path, { headers: { "grpc-timeout": timeout } }))
        assert.strictEqual((yield* get("/slow", "0m")).status, 504)
        assert.strictEqual(begun, 0)
        const response = yield* get("/slow", "20m")
        assert.strictEqual(response.status, 504)
        assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
        yield* Deferred.await(cut)
        assert.strictEqual(begun, 1)
        const answer = yield* get("/left", "1M")
        const said = Number(yield* Effect.promise(() => answer.text()))
        assert.isAbove(said, 0)
        assert.isAtMost(said, 60_000)
      }).pipe(Effect.scoped)
    )

    it.live(`${where}: a client that goes away interrupts the handler`, () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const gone = yield* Deferred.make<void>()
        const routes = HttpRouter.add(
          "GET",
          "/slow",
          Effect.andThen(
            Deferred.succeed(begun, void 0),
            Effect.onInterrupt(Effect.never, () => Deferred.succeed(gone, void 0))
          )
        )
        const url = yield* serving(routed(routes, { limit: "1 hour" }))
        const abort = new AbortController()
        const response = fetch(url + "/slow", { signal: abort.signal }).catch(() => "aborted")
        yield* Deferred.await(begun)
        abort.abort()
        assert.strictEqual(yield* Effect.promise(() => response), "aborted")
        yield* Deferred.await(gone)
      }).pipe(Effect.scoped)
    )

    it.live(`${where}: an uninterruptible route stays so`, () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<string>()
        const closed = yield* Deferred.make<void>()
        const handler = Effect.gen(function* () {
          const { source } = yield* HttpServerRequest.HttpServerRequest
          ;(source as IncomingMessage).socket.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
          yield* Deferred.succeed(begun, void 0)
          yield* Deferred.await(go)
          return HttpServerResponse.empty()
        }).pipe(Effect.onExit((exit) => Deferred.succeed(ended, exit._tag)))
        const routes = HttpRouter.add("GET", "/slow", handler, { uninterruptible: true })
        const url = yield* serving(routed(routes, { limit: "1 hour" }))
        const abort = new AbortController()
        const response = fetch(url + "/slow", { signal: abort.signal }).catch(() => "aborted")
        yield* Deferred.await(begun)
        abort.abort()
        yield* Effect.promise(() => response)
        // the server has seen it, and its fibers have had time to act
        yield* Deferred.await(closed)
        yield* Effect.repeat(Effect.yieldNow, { times: 50 })
        yield* Deferred.succeed(go, void 0)
        assert.strictEqual(yield* Deferred.await(ended), "Success")
      }).pipe(Effect.scoped)
    )
  }
})

describe("an HttpApi", () => {
  it.live("has it by its routes' layer", () =>
    Effect.gen(function* () {
      const slow = HttpApiEndpoint.get("slow", "/slow", { success: Schema.String })
      const Api = HttpApi.make("api").add(HttpApiGroup.make("reports").add(slow))
      const group = HttpApiBuilder.group(Api, "reports", (handlers) => handlers.handle("slow", () => Effect.never))
      const routes = HttpApiBuilder.layer(Api).pipe(
        Layer.provide(group),
        Layer.provide(HttpRouter.middleware(deadline({ limit: "20 millis" })).layer),
        Layer.provide(NodeHttpServer.layerHttpServices)
      )
      const url = yield* serving(routes)
      const response = yield* Effect.promise(() => fetch(url + "/slow"))
      assert.strictEqual(response.status, 504)
      assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
    }).pipe(Effect.scoped)
  )
})
