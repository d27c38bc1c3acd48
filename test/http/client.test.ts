import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Exit, Fiber, Option, Stream, Tracer } from "effect"
import { Cookies, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import {
  Backoff,
  CircuitBreaker,
  Deadline,
  Fault,
  Idempotency,
  Policy,
  RetryBudget,
  withResilience
} from "effect-resilience"
import { InvalidOption } from "../../src/InvalidOption.ts"
import * as Http from "../../src/http/index.ts"
import { errorOf, throughTime } from "../kit.ts"
import { fake, refused, reset, status, transport, type Answer } from "./fake.ts"

const url = "http://quotes.example/eur"

/** Two retries, each after 100 ms. */
const retry = Backoff.constant("100 millis").pipe(Backoff.times(2))
const three = Policy.make({ name: "quotes", safety: "idempotent", retry })

/** A policy that mints "k1", "k2" and so on, and how many it has minted. */
const minting = () => {
  let minted = 0
  const mint = Effect.sync(() => `k${++minted}`)
  return {
    policy: Policy.make({ name: "payments", safety: Idempotency.key(mint), retry }),
    minted: () => minted
  }
}

const get = HttpClientRequest.get(url)
const post = HttpClientRequest.post(url)

/** The error of a call that fails, in as much time as it takes. */
const failing = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.map(throughTime(self), errorOf)

const exhausted = (error: unknown): Policy.RetryExhausted<unknown> => {
  assert.instanceOf(error, Policy.RetryExhausted, String(error))
  return error as Policy.RetryExhausted<unknown>
}

/** The response that a call has failed with, in the end. */
const responseOf = (error: unknown): HttpClientResponse.HttpClientResponse => {
  const last = error instanceof Policy.RetryExhausted ? error.lastError : error
  assert.isTrue(HttpClientError.isHttpClientError(last), String(last))
  const { response } = last as HttpClientError.HttpClientError
  assert.isDefined(response)
  return response!
}

describe("one loop", () => {
  it.effect("three attempts are three requests, and the last response is in what comes out", () =>
    Effect.gen(function* () {
      const { at, client, sent } = fake(status(500), status(502), status(503))
      const error = exhausted(yield* failing(Http.resilient(client, three).get(url)))
      assert.strictEqual(sent.length, 3)
      assert.deepStrictEqual(at(), [0, 100, 200])
      assert.strictEqual(error.reason, "schedule")
      assert.strictEqual(error.attempts, 3)
      assert.strictEqual(error.policy, "quotes")
      assert.strictEqual(responseOf(error).status, 503)
    })
  )

  it.effect("never nine, however often the client is wrapped", () =>
    Effect.gen(function* () {
      const twice = fake(status(500))
      yield* failing(Http.resilient(Http.resilient(twice.client, three), three).get(url))
      assert.strictEqual(twice.sent.length, 3)

      const around = fake(reset)
      const call = Http.resilient(around.client, three).get(url)
      yield* failing(withResilience(call, Policy.extend(three, { name: "around", faults: Http.faults })))
      assert.strictEqual(around.sent.length, 3)
    })
  )

  it.effect("what succeeds is sent once, and comes out as it is", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(200, { "x-a": "b" }, "all"))
      const response = yield* Http.resilient(client, three).get(url)
      assert.strictEqual(yield* response.text, "all")
      assert.strictEqual(response.headers["x-a"], "b")
      assert.strictEqual(sent.length, 1)
    })
  )

  it.effect("with the client first or last, and every run of a call is a call of its own", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(500))
      const call = client.pipe(Http.resilient(three, { attemptHeader: "x-attempt" })).get(url)
      yield* failing(call)
      assert.deepStrictEqual(
        sent.map(({ request }) => request.headers["x-attempt"]),
        ["1", "2", "3"]
      )
      yield* failing(call)
      assert.strictEqual(sent.length, 6)
    })
  )

  it.effect("a request is made once for the call: what maps it, inside or outside, runs once", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(500))
      let inside = 0
      let outside = 0
      const call = client.pipe(
        HttpClient.mapRequest((request) => HttpClientRequest.setHeader(request, "x-inside", String(++inside))),
        Http.resilient(three),
        HttpClient.mapRequest((request) => HttpClientRequest.setHeader(request, "x-outside", String(++outside))),
        HttpClient.mapRequestInput(HttpClientRequest.prependUrl("http://quotes.example"))
      )
      yield* failing(call.get("/eur"))
      assert.strictEqual(sent.length, 3)
      assert.deepStrictEqual(
        sent.map(({ request }) => [request.url, request.headers["x-inside"], request.headers["x-outside"]]),
        Array.from({ length: 3 }, () => [url, "1", "1"])
      )
    })
  )

  it.effect("what transforms responses inside is a part of each attempt", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(500))
      let seen = 0
      const tapped = HttpClient.tap(client, () => Effect.sync(() => ++seen))
      yield* failing(Http.resilient(tapped, three).get(url))
      assert.deepStrictEqual([sent.length, seen], [3, 3])
    })
  )

  it.effect("it is also a client for those who ask the context for one", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(500), status(200, {}, "all"))
      const text = HttpClient.get(url).pipe(
        Effect.flatMap((response) => response.text),
        Effect.provideService(
          HttpClient.HttpClient,
          Http.resilient(client, three).pipe(
            HttpClient.catchTag("RetryExhausted", (error) => Effect.fail(error.lastError))
          )
        )
      )
      assert.deepStrictEqual(yield* throughTime(text), Exit.succeed("all"))
      assert.strictEqual(sent.length, 2)
    })
  )
})

describe("what is a failure, and what kind", () => {
  const answers: ReadonlyArray<readonly [what: string, answer: Answer, requests: number]> = [
    ...([408, 425, 429, 500, 502, 503, 504, 507, 599] as const).map((n) => [String(n), status(n), 3] as const),
    ...([400, 401, 404, 409, 418, 422, 499, 501, 505, 511] as const).map((n) => [String(n), status(n), 1] as const),
    ["refused", refused, 3],
    ["reset", reset, 3],
    ["a certificate that nobody vouches for", transport("DEPTH_ZERO_SELF_SIGNED_CERT"), 1]
  ]
  for (const [what, answer, requests] of answers) {
    it.effect(`${what}: ${requests}`, () =>
      Effect.gen(function* () {
        const { client, sent } = fake(answer)
        const error = yield* failing(Http.resilient(client, three).get(url))
        assert.strictEqual(sent.length, requests)
        const last = requests === 1 ? error : exhausted(error).lastError
        assert.isTrue(HttpClientError.isHttpClientError(last), String(last))
      })
    )
  }

  for (const n of [200, 204, 206, 301, 304, 399]) {
    it.effect(`${n} is none`, () =>
      Effect.gen(function* () {
        const { client, sent } = fake(status(n))
        assert.strictEqual((yield* Http.resilient(client, three).get(url)).status, n)
        assert.strictEqual(sent.length, 1)
      })
    )
  }

  it.effect("a malformed URL is not sent at all", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(200))
      const error = yield* failing(Http.resilient(client, three).get("http://"))
      assert.strictEqual((error as HttpClientError.HttpClientError).reason._tag, "InvalidUrlError")
      assert.strictEqual(sent.length, 0)
    })
  )

  it.effect("the user says which responses are failures", () =>
    Effect.gen(function* () {
      const found = fake(status(404, {}, "nothing"))
      const isFailure = (response: HttpClientResponse.HttpClientResponse) => response.status >= 500
      const response = yield* Http.resilient(found.client, three, { isFailure }).get(url)
      assert.strictEqual(yield* response.text, "nothing")

      const failed = fake(status(500))
      yield* failing(Http.resilient(failed.client, three, { isFailure }).get(url))
      assert.strictEqual(failed.sent.length, 3)
    })
  )

  it.effect("a failure by the user's word, of a status that is none: permanent, unless the policy knows better", () =>
    Effect.gen(function* () {
      const isFailure = (response: HttpClientResponse.HttpClientResponse) => "x-broken" in response.headers
      const broken = fake(status(200, { "x-broken": "1" }, "why"))
      const error = yield* failing(Http.resilient(broken.client, three, { isFailure }).get(url))
      assert.strictEqual(yield* responseOf(error).text, "why")
      assert.strictEqual(broken.sent.length, 1)

      const again = fake(status(200, { "x-broken": "1" }))
      const policy = Policy.extend(three, { name: "all", faults: Fault.all })
      exhausted(yield* failing(Http.resilient(again.client, policy, { isFailure }).get(url)))
      assert.strictEqual(again.sent.length, 3)
    })
  )

  it.effect("a policy's own faults count, and no others", () =>
    Effect.gen(function* () {
      const faults = Fault.make((error: unknown) =>
        HttpClientError.isHttpClientError(error) && error.response?.status === 404 ? Fault.transient() : undefined
      )
      const policy = Policy.extend(three, { name: "eventually", faults })
      const missing = fake(status(404))
      exhausted(yield* failing(Http.resilient(missing.client, policy).get(url)))
      assert.strictEqual(missing.sent.length, 3)

      const failed = fake(status(500))
      assert.isTrue(HttpClientError.isHttpClientError(yield* failing(Http.resilient(failed.client, policy).get(url))))
      assert.strictEqual(failed.sent.length, 1)
    })
  )

  it.effect("faults that are undefined are those of HTTP", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(500))
      const policy = Policy.make({ name: "quotes", safety: "idempotent", retry, faults: undefined })
      exhausted(yield* failing(Http.resilient(client, policy).get(url)))
      assert.strictEqual(sent.length, 3)
    })
  )

  it.effect("a standard policy", () =>
    Effect.gen(function* () {
      class Quotes extends Policy.Standard<Quotes>()("quotes.get", { safety: "idempotent" }) {}
      const { client, sent } = fake(status(500))
      exhausted(yield* failing(Effect.provide(Http.resilient(client, Quotes).get(url), Quotes.layer)))
      assert.strictEqual(sent.length, 4)
    })
  )
})

describe("safety by method", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"] as const) {
    it.effect(`${method} is sent again`, () =>
      Effect.gen(function* () {
        const { client, sent } = fake(reset)
        yield* failing(Http.resilient(client, three).execute(HttpClientRequest.make(method)(url)))
        assert.strictEqual(sent.length, 3)
      })
    )
  }

  for (const method of ["POST", "PATCH"] as const) {
    const request = HttpClientRequest.make(method)(url)

    it.effect(`${method} is not sent again when the server may have acted, and the error says why`, () =>
      Effect.gen(function* () {
        for (const answer of [reset, status(500), status(503, { "retry-after": "0" })]) {
          const { client, sent } = fake(answer)
          const error = exhausted(yield* failing(Http.resilient(client, three).execute(request)))
          assert.strictEqual(sent.length, 1)
          assert.strictEqual(error.reason, "unsafe")
          assert.strictEqual(error.deniedBy, `the dependency may have acted, and ${method} has no idempotency key`)
          assert.include(error.message, `the dependency may have acted, and ${method} has no idempotency key`)
        }
      })
    )

    it.effect(`${method} is sent again when it was provably not processed`, () =>
      Effect.gen(function* () {
        for (const answer of [refused, status(429), status(425), status(503, { "x-envoy-overloaded": "true" })]) {
          const { client, sent } = fake(answer)
          assert.strictEqual(
            exhausted(yield* failing(Http.resilient(client, three).execute(request))).reason,
            "schedule"
          )
          assert.strictEqual(sent.length, 3)
        }
      })
    )

    it.effect(`${method} is sent again with the user's own key, which stays as it is`, () =>
      Effect.gen(function* () {
        const { minted, policy } = minting()
        for (const each of [three, policy, Policy.extend(three, { name: "keyed", safety: Idempotency.key() })]) {
          const { client, header } = fake(reset)
          const own = HttpClientRequest.setHeader(request, "Idempotency-Key", "mine")
          yield* failing(Http.resilient(client, each).execute(own))
          assert.deepStrictEqual(header("idempotency-key"), ["mine", "mine", "mine"])
        }
        assert.strictEqual(minted(), 0)
      })
    )
  }

  for (const empty of ["", " ", '""']) {
    it.effect(`a key that says nothing is none: ${JSON.stringify(empty)}`, () =>
      Effect.gen(function* () {
        const nameless = HttpClientRequest.setHeader(post, "Idempotency-Key", empty)
        const { client, sent } = fake(reset)
        assert.strictEqual(exhausted(yield* failing(Http.resilient(client, three).execute(nameless))).reason, "unsafe")
        assert.strictEqual(sent.length, 1)

        const own = fake(reset)
        yield* failing(Http.resilient(own.client, minting().policy).execute(nameless))
        assert.strictEqual(new Set(own.header("idempotency-key")).size, 1)
        assert.match(own.header("idempotency-key")[2]!, /^".+"$/)
      })
    )
  }

  it.effect("a POST that was refused, and then reset, is not sent a third time", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(refused, reset)
      assert.strictEqual(exhausted(yield* failing(Http.resilient(client, three).execute(post))).reason, "unsafe")
      assert.strictEqual(sent.length, 2)
    })
  )

  it.effect("a minted key is the same on every attempt of a call, and another one for the next", () =>
    Effect.gen(function* () {
      const { minted, policy } = minting()
      const { client, header } = fake(reset)
      const call = Http.resilient(client, policy).execute(post)
      yield* failing(call)
      assert.deepStrictEqual(header("idempotency-key"), ['"k1"', '"k1"', '"k1"'])
      yield* failing(call)
      assert.deepStrictEqual(header("idempotency-key").slice(3), ['"k2"', '"k2"', '"k2"'])
      assert.strictEqual(minted(), 2)
    })
  )

  it.effect("a minted key may be written bare", () =>
    Effect.gen(function* () {
      const { client, header } = fake(reset)
      yield* failing(Http.resilient(client, minting().policy, { idempotencyKey: "bare" }).execute(post))
      assert.deepStrictEqual(header("idempotency-key"), ["k1", "k1", "k1"])
    })
  )

  it.effect("quotes within a key are escaped, as structured fields ask", () =>
    Effect.gen(function* () {
      const { client, header } = fake(status(200))
      const policy = Policy.extend(three, { name: "odd", safety: Idempotency.key(Effect.succeed('a"b\\c')) })
      yield* Http.resilient(client, policy).execute(post)
      assert.deepStrictEqual(header("idempotency-key"), ['"a\\"b\\\\c"'])
    })
  )

  it.effect("no key is minted for a method that needs none", () =>
    Effect.gen(function* () {
      const { minted, policy } = minting()
      const { client, header } = fake(reset)
      yield* failing(Http.resilient(client, policy).execute(get))
      assert.deepStrictEqual(header("idempotency-key"), [undefined, undefined, undefined])
      assert.strictEqual(minted(), 0)
    })
  )

  it.effect("where the caller is to give the key, and does not, a POST is not sent again", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(reset)
      const policy = Policy.extend(three, { name: "keyed", safety: Idempotency.key() })
      assert.strictEqual(exhausted(yield* failing(Http.resilient(client, policy).execute(post))).reason, "unsafe")
      assert.strictEqual(sent.length, 1)
    })
  )

  it.effect("a policy that is not idempotent repeats no method, key or no key, unless nothing was processed", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ name: "once", safety: "not-idempotent", retry })
      for (const request of [get, post, HttpClientRequest.setHeader(post, "idempotency-key", "mine")]) {
        const lost = fake(reset)
        const error = exhausted(yield* failing(Http.resilient(lost.client, policy).execute(request)))
        assert.strictEqual(error.reason, "unsafe")
        assert.include(error.deniedBy, 'the policy is "not-idempotent"')
        // which would change nothing
        assert.notInclude(error.message, "no idempotency key")
        assert.strictEqual(lost.sent.length, 1)
        const never = fake(refused)
        yield* failing(Http.resilient(never.client, policy).execute(request))
        assert.strictEqual(never.sent.length, 3)
      }
    })
  )

  it.effect("a minted key that fits in no header is refused by name, before anything is sent", () =>
    Effect.gen(function* () {
      for (const [form, keys] of [
        ["structured", ["ключ", "a\r\nx: 1", "a\n", "\0", "é", ""]],
        ["bare", ["ключ", "a\r\nx: 1", "a\n", "\0", "é", "", "a b"]]
      ] as const) {
        for (const key of keys) {
          const { client, sent } = fake(status(200))
          const policy = Policy.extend(three, { name: "payments", safety: Idempotency.key(Effect.succeed(key)) })
          const exit = yield* throughTime(Http.resilient(client, policy, { idempotencyKey: form }).execute(post))
          const defect = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
          assert.isTrue(defect?._tag === "Die" && defect.defect instanceof InvalidOption, key)
          assert.include(String(defect), "the idempotency key minted for payments")
          assert.lengthOf(sent, 0)
        }
      }
      const fine = fake(status(200))
      const policy = Policy.extend(three, { name: "payments", safety: Idempotency.key(Effect.succeed("order 1")) })
      yield* Http.resilient(fine.client, policy).execute(post)
      assert.deepStrictEqual(fine.header("idempotency-key"), ['"order 1"'])
    })
  )
})

describe("bodies that are sent", () => {
  const bytes = new TextEncoder().encode("body")
  const streamed = HttpClientRequest.bodyStream(Stream.make(bytes))

  it.effect("a stream is never sent again, whatever the method, key and fault, and the error says why", () =>
    Effect.gen(function* () {
      const requests = [
        HttpClientRequest.put(url).pipe(streamed),
        post.pipe(streamed),
        post.pipe(streamed, HttpClientRequest.setHeader("idempotency-key", "mine"))
      ]
      for (const request of requests) {
        for (const answer of [reset, refused, status(500), status(429)]) {
          for (const policy of [three, minting().policy]) {
            const { client, sent } = fake(answer)
            const error = exhausted(yield* failing(Http.resilient(client, policy).execute(request)))
            assert.strictEqual(sent.length, 1)
            assert.strictEqual(error.reason, "unsafe")
            assert.include(error.deniedBy, "its body is a stream")
            assert.include(error.message, "its body is a stream")
          }
        }
      }
    })
  )

  it.effect("a permanent failure of a request with a stream is what it is", () =>
    Effect.gen(function* () {
      const { client } = fake(status(422))
      const error = yield* failing(Http.resilient(client, three).execute(post.pipe(streamed)))
      assert.strictEqual(responseOf(error).status, 422)
      assert.isTrue(HttpClientError.isHttpClientError(error))
    })
  )

  it.effect("what is held in memory is sent again as it was", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(reset)
      yield* failing(
        Http.resilient(client, three).execute(HttpClientRequest.bodyUint8Array(HttpClientRequest.put(url), bytes))
      )
      assert.deepStrictEqual(
        sent.map(({ request }) => request.body._tag === "Uint8Array" && request.body.body),
        [bytes, bytes, bytes]
      )
    })
  )
})

describe("keys", () => {
  class Breaker extends CircuitBreaker.Service<Breaker>()("test/http/Breaker", {
    trip: CircuitBreaker.consecutiveFailures(2),
    openFor: "1 hour",
    keys: { max: 10 }
  }) {}
  class Budget extends RetryBudget.Service<Budget>()(
    "test/http/Budget",
    RetryBudget.fixedRate({ perSecond: 0.001, burst: 2 }),
    { keys: { max: 10 } }
  ) {}
  const a = "http://a.example:8080/x"
  const b = "http://b.example/x"

  it.effect("breakers are kept by origin", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(500))
      const resilient = Http.resilient(client, Policy.make({ name: "quotes", guards: [Breaker] }))
      yield* failing(resilient.get(a))
      yield* failing(resilient.get(`${a}/y?z=1`))
      const error = yield* failing(resilient.get(a))
      assert.instanceOf(error, CircuitBreaker.CircuitOpen)
      assert.strictEqual((error as CircuitBreaker.CircuitOpen).key, "http://a.example:8080")
      assert.strictEqual(sent.length, 2)
      assert.isTrue(HttpClientError.isHttpClientError(yield* failing(resilient.get(b))))
      assert.strictEqual(sent.length, 3)
      assert.deepStrictEqual((yield* Breaker.snapshots).map(({ key, state }) => `${key} ${state}`).sort(), [
        "http://a.example:8080 open",
        "http://b.example closed"
      ])
    }).pipe(Effect.provide(Breaker.layer))
  )

  it.effect("budgets are kept by origin", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(500))
      const policy = Policy.extend(three, { name: "quotes", budget: Budget })
      const resilient = Http.resilient(client, policy)
      assert.strictEqual(exhausted(yield* failing(resilient.get(a))).reason, "schedule")
      const error = exhausted(yield* failing(resilient.get(a)))
      assert.deepStrictEqual([error.reason, error.deniedBy], ["budget", "test/http/Budget"])
      assert.strictEqual(sent.length, 4)
      assert.strictEqual(exhausted(yield* failing(resilient.get(b))).reason, "schedule")
      assert.strictEqual(sent.length, 7)
    }).pipe(Effect.provide(Budget.layer))
  )

  it.effect("or by what the user says: one for all, or one for each service", () =>
    Effect.gen(function* () {
      const { client } = fake(status(500))
      const policy = Policy.extend(three, { name: "quotes", budget: Budget, guards: [Breaker] })
      yield* failing(Http.resilient(client, policy, { key: (request) => request.method }).get(a))
      assert.deepStrictEqual(
        (yield* Breaker.snapshots).map(({ key }) => key),
        ["GET"]
      )
      const key = () => ({ "test/http/Breaker": "one", "test/http/Budget": "other" })
      yield* failing(Http.resilient(client, policy, { key }).get(a))
      assert.deepStrictEqual((yield* Breaker.snapshots).map(({ key }) => key).sort(), ["GET", "one"])
      assert.deepStrictEqual((yield* Budget.snapshots).map(({ key }) => key).sort(), ["GET", "other"])
    }).pipe(Effect.provide([Breaker.layer, Budget.layer]))
  )

  it.effect("a breaker that opens between attempts ends the call, and is not sent to", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(500))
      const policy = Policy.extend(three, { name: "quotes", guards: [Breaker] })
      const error = exhausted(yield* failing(Http.resilient(client, policy).get(a)))
      assert.strictEqual(error.reason, "rejected")
      assert.strictEqual(sent.length, 2)
    }).pipe(Effect.provide(Breaker.layer))
  )

  it.effect("a 404 says that the server is well, and a 429 nothing at all", () =>
    Effect.gen(function* () {
      const resilient = (answer: Answer) =>
        Http.resilient(fake(answer).client, Policy.make({ name: "quotes", guards: [Breaker] }))
      for (const answer of [500, 404, 500, 429, 404, 500]) yield* failing(resilient(status(answer)).get(a))
      assert.strictEqual(yield* Breaker.state("http://a.example:8080"), "closed")
      yield* failing(resilient(status(500)).get(a))
      assert.strictEqual(yield* Breaker.state("http://a.example:8080"), "open")
    }).pipe(Effect.provide(Breaker.layer))
  )
})

describe("what each attempt says", () => {
  const number = "x-envoy-attempt-count"

  it.effect("its number, from 1 on", () =>
    Effect.gen(function* () {
      const { client, header } = fake(reset)
      yield* failing(Http.resilient(client, three).get(url))
      assert.deepStrictEqual(header(number), ["1", "2", "3"])
    })
  )

  it.effect("its number in the user's header, or not at all", () =>
    Effect.gen(function* () {
      const own = fake(reset)
      yield* failing(Http.resilient(own.client, three, { attemptHeader: "X-Attempt" }).get(url))
      assert.deepStrictEqual(own.header("x-attempt"), ["1", "2", "3"])
      assert.deepStrictEqual(own.header(number), [undefined, undefined, undefined])

      const off = fake(reset)
      yield* failing(Http.resilient(off.client, three, { attemptHeader: false }).get(url))
      assert.deepStrictEqual(off.header(number), [undefined, undefined, undefined])
    })
  )

  it.effect("its own number, not that of the request that came in, whose headers a proxy has copied", () =>
    Effect.gen(function* () {
      const { client, header } = fake(reset)
      yield* failing(Http.resilient(client, three).get(url, { headers: { [number]: "7" } }))
      assert.deepStrictEqual(header(number), ["1", "2", "3"])
    })
  )

  /** Each takes 400 ms to fail, and the next follows 100 ms later. */
  const slow: Answer = Effect.delay(status(500), "400 millis")
  const timed = Policy.extend(three, { name: "timed", attemptTimeout: "800 millis", deadline: "1 second" })
  const header = "grpc-timeout"

  it.effect("the time left: that of the attempt, or of the call where that is less", () =>
    Effect.gen(function* () {
      const { client, header: said } = fake(slow)
      yield* failing(Http.resilient(client, timed).get(url))
      assert.deepStrictEqual(said(header), ["800000u", "500000u"])
    })
  )

  it.effect("the time left of a call without an attempt timeout, and nothing where there is no end", () =>
    Effect.gen(function* () {
      const call = fake(slow)
      const deadline = Policy.make({ name: "p", safety: "idempotent", retry, deadline: "1 second" })
      yield* failing(Http.resilient(call.client, deadline).get(url))
      assert.deepStrictEqual(call.header(header), ["1000000u", "500000u"])

      const attempt = fake(slow)
      const timeout = Policy.extend(three, { name: "p", attemptTimeout: "450 millis" })
      yield* failing(Http.resilient(attempt.client, timeout).get(url))
      assert.deepStrictEqual(attempt.header(header), ["450000u", "450000u", "450000u"])

      const none = fake(slow)
      yield* failing(Http.resilient(none.client, three).get(url))
      assert.deepStrictEqual(none.header(header), [undefined, undefined, undefined])
    })
  )

  it.effect("a nearer deadline around counts, and one further out does not", () =>
    Effect.gen(function* () {
      const near = fake(slow)
      yield* failing(Deadline.within(Http.resilient(near.client, timed).get(url), "700 millis"))
      assert.deepStrictEqual(near.header(header), ["700000u", "200000u"])

      const far = fake(slow)
      yield* failing(Deadline.within(Http.resilient(far.client, timed).get(url), "1 hour"))
      assert.deepStrictEqual(far.header(header), ["800000u", "500000u"])

      const only = fake(slow)
      yield* failing(Deadline.within(Http.resilient(only.client, three).get(url), "700 millis"))
      assert.deepStrictEqual(only.header(header), ["700000u", "200000u"])
    })
  )

  it.effect("the end of an attempt around counts, for as long as that attempt runs", () =>
    Effect.gen(function* () {
      const outer = Policy.make({ name: "outer", safety: "idempotent", retry, attemptTimeout: "700 millis" })
      const call = (by: HttpClient.HttpClient) => Http.resilient(by, timed).get(url)
      const near = fake(slow)
      const around = Effect.andThen(Effect.sleep("50 millis"), call(near.client)).pipe(withResilience(outer))
      yield* failing(around)
      assert.deepStrictEqual(near.header(header).slice(0, 4), ["650000u", "150000u", "650000u", "150000u"])

      // a region without a deadline is interrupted with the attempt around, as anything is
      const within = fake(slow)
      yield* failing(Deadline.within(withResilience(Deadline.unbounded(call(within.client)), outer), "900 millis"))
      assert.deepStrictEqual(within.header(header).slice(0, 2), ["700000u", "200000u"])

      // while the call waits for its next attempt, nothing cuts what the last one left behind
      const between = fake(slow)
      const failed = Effect.andThen(
        Effect.forkDetach(Effect.delay(call(between.client), "200 millis"), { startImmediately: true }),
        Effect.fail("down")
      )
      const waiting = Policy.extend(outer, {
        name: "waiting",
        faults: Fault.all,
        retry: Backoff.constant("1 second").pipe(Backoff.times(1))
      })
      yield* failing(failed.pipe(withResilience(waiting)))
      assert.deepStrictEqual(between.header(header).slice(0, 2), ["800000u", "500000u"])

      // nor what goes on although the attempt around should have ended
      const on = fake(slow)
      const cut = Policy.make({ name: "cut", attemptTimeout: "450 millis" })
      yield* failing(Effect.uninterruptible(call(on.client)).pipe(withResilience(cut)))
      assert.deepStrictEqual(on.header(header), ["450000u", "500000u"])

      // its attempt is over, and what it left behind is bound by it no more
      const behind = fake(slow)
      const fiber = yield* Effect.forkDetach(Effect.delay(call(behind.client), "800 millis"), {
        startImmediately: true
      }).pipe(withResilience(outer))
      yield* throughTime(Fiber.await(fiber))
      assert.deepStrictEqual(behind.header(header), ["800000u", "500000u"])
    })
  )

  it.effect("the smaller of it and what the request says already, on each attempt", () =>
    Effect.gen(function* () {
      for (const [already, said] of [
        // of a gateway's client, which waits longer than this call does
        ["99S", ["800000u", "500000u"]],
        ["600m", ["600m", "500000u"]],
        ["100m", ["100m", "100m"]],
        ["0n", ["0n", "0n"]],
        ["soon", ["800000u", "500000u"]],
        ["", ["800000u", "500000u"]]
      ] as const) {
        const call = fake(slow)
        yield* failing(Http.resilient(call.client, timed).get(url, { headers: { "Grpc-Timeout": already } }))
        assert.deepStrictEqual(call.header(header), [...said], already)
      }
      const none = fake(slow)
      yield* failing(Http.resilient(none.client, three).get(url, { headers: { "Grpc-Timeout": "99S" } }))
      assert.deepStrictEqual(none.header(header), ["99S", "99S", "99S"])
    })
  )

  it.effect("the smaller of two points in time", () =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const { finagleDeadline } = Deadline
      for (const ms of [600, 60_000]) {
        const call = fake(slow)
        const already = finagleDeadline.encode(Duration.millis(ms), now)
        const client = Http.resilient(call.client, timed, { deadline: finagleDeadline })
        const start = yield* Clock.currentTimeMillis
        yield* failing(client.get(url, { headers: { [finagleDeadline.header]: already } }))
        const said = call.header(finagleDeadline.header)
        assert.deepStrictEqual(
          said.map((text) => text?.split(" ")[1]),
          ms === 600 ? [`${now + 600}000000`, `${now + 600}000000`] : [`${start + 800}000000`, `${start + 1_000}000000`]
        )
      }
    })
  )

  it.effect("in the user's codec", () =>
    Effect.gen(function* () {
      const envoy = fake(slow)
      yield* failing(Http.resilient(envoy.client, timed, { deadline: Deadline.envoyTimeout }).get(url))
      assert.deepStrictEqual(envoy.header("x-envoy-expected-rq-timeout-ms"), ["800", "500"])
      assert.deepStrictEqual(envoy.header(header), [undefined, undefined])

      // the time of sending is that of the wall clock, which is another one than elapses
      const clock = yield* Clock.Clock
      const wall: Clock.Clock = Object.create(clock, {
        currentTimeMillisUnsafe: { value: () => clock.currentTimeMillisUnsafe() + 1_000_000 }
      })
      const until: Deadline.Codec = {
        header: "x-until",
        encode: (left, nowMillis) => String(nowMillis + Duration.toMillis(left)),
        decode: () => Option.none()
      }
      const own = fake(slow)
      const start = wall.currentTimeMillisUnsafe()
      const call = Http.resilient(own.client, timed, { deadline: until }).get(url)
      yield* failing(Effect.provideService(call, Clock.Clock, wall))
      assert.deepStrictEqual(own.header("x-until"), [String(start + 800), String(start + 1_000)])
    })
  )

  it.effect("not at all", () =>
    Effect.gen(function* () {
      const { client, header: said, sent } = fake(slow)
      yield* failing(Http.resilient(client, timed, { deadline: false }).get(url))
      assert.strictEqual(sent.length, 2)
      assert.deepStrictEqual(said(header), [undefined, undefined])
    })
  )
})

describe("when the server says to come back", () => {
  const now = Date.UTC(2026, 6, 1, 12)
  const hints: ReadonlyArray<readonly [headers: Record<string, string>, ms: number]> = [
    [{ "retry-after": "2" }, 2_000],
    [{ "retry-after": "Wed, 01 Jul 2026 12:00:02 GMT" }, 2_000],
    [{ "retry-after": "Wednesday, 01-Jul-26 12:00:02 GMT" }, 2_000],
    [{ "retry-after": "Wed Jul  1 12:00:02 2026" }, 2_000],
    [{ "retry-after-ms": "1500" }, 1_500],
    [{ "x-ms-retry-after-ms": "1500" }, 1_500],
    [{ "x-amz-retry-after": "1500" }, 1_500],
    [{ "grpc-retry-pushback-ms": "1500" }, 1_500],
    [{ ratelimit: '"default";r=0;t=3' }, 3_000],
    [{ "ratelimit-reset": "3" }, 3_000],
    [{ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s" }, 2_000],
    [{ "retry-after": "60" }, 60_000]
  ]
  for (const n of [429, 503]) {
    for (const [headers, ms] of hints) {
      it.effect(`${n} with ${JSON.stringify(headers)}`, () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(now)
          const { at, client } = fake(status(n, headers), status(200))
          yield* throughTime(Http.resilient(client, three).get(url), { step: 10, steps: 10_000 })
          const waited = at()[1]! - now
          // a tenth more at most, so that clients do not come back together; the clock moves in steps of 10
          assert.isAtLeast(waited, ms)
          assert.isAtMost(waited, ms * 1.1 + 10)
        })
      )
    }
  }

  it.effect("what is malformed, or has passed, changes nothing", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const passed = "Wed, 01 Jul 2026 11:59:00 GMT"
      for (const value of ["soon", "-5", "1e3", "Wed, 01 Jul 2026 12:00:02 CEST", "", "NaN", passed]) {
        const before = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const { at, client } = fake(status(503, { "retry-after": value }), status(200))
        yield* throughTime(Http.resilient(client, three).get(url), { steps: 100 })
        assert.strictEqual(at()[1]! - before, 100, value)
      }
    })
  )

  it.effect("above a minute it is not waited for: the call fails now, and says when to come back", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(status(429, { "retry-after": "61" }))
      const error = exhausted(errorOf(yield* Effect.exit(Http.resilient(client, three).get(url))))
      assert.strictEqual(error.reason, "retry-after")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(61))
      assert.strictEqual(sent.length, 1)
    })
  )

  it.effect("a policy has a ceiling of its own", () =>
    Effect.gen(function* () {
      const ceiling = (retryAfterCeiling: Duration.Input) => Policy.extend(three, { name: "p", retryAfterCeiling })
      const answer = status(503, { "retry-after": "120" })
      const low = fake(answer)
      yield* failing(Http.resilient(low.client, ceiling("119 seconds")).get(url))
      assert.strictEqual(low.sent.length, 1)
      const high = fake(answer, status(200))
      yield* throughTime(Http.resilient(high.client, ceiling("120 seconds")).get(url), { step: 1_000 })
      assert.strictEqual(high.sent.length, 2)
    })
  )

  it.effect("a hint that does not fit in the deadline ends the call at once", () =>
    Effect.gen(function* () {
      const { client } = fake(status(503, { "retry-after": "5" }))
      const policy = Policy.extend(three, { name: "p", deadline: "5 seconds" })
      assert.strictEqual(
        exhausted(errorOf(yield* Effect.exit(Http.resilient(client, policy).get(url)))).reason,
        "deadline"
      )
    })
  )

  it.effect("a server that says no is not asked again", () =>
    Effect.gen(function* () {
      for (const headers of [{ "x-should-retry": "false" }, { "grpc-retry-pushback-ms": "-1" }]) {
        const { client, sent } = fake(status(503, headers))
        assert.isTrue(HttpClientError.isHttpClientError(yield* failing(Http.resilient(client, three).get(url))))
        assert.strictEqual(sent.length, 1)
      }
    })
  )

  it.effect("the date is told by the clock of the call, also in a hedged round", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const answer = status(503, { "retry-after": "Wed, 01 Jul 2026 12:00:02 GMT" })
      const { at, client } = fake(answer, status(200))
      const policy = Policy.extend(three, { name: "p", hedge: { after: "1 second" } })
      yield* throughTime(Http.resilient(client, policy).get(url))
      assert.strictEqual(at().length, 2)
      assert.isAtLeast(at()[1]! - now, 2_000)
      assert.isAtMost(at()[1]! - now, 2_210)
    })
  )
})

/** A body in these chunks, and whether somebody has given it up; with `hangs`, it never ends. */
const body = (chunks: ReadonlyArray<Uint8Array>, then: "ends" | "hangs" | "breaks" = "ends") => {
  const seen = { cancelled: false, pulled: 0 }
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        const chunk = chunks[seen.pulled++]
        if (chunk !== undefined) return controller.enqueue(chunk)
        if (then === "ends") return controller.close()
        if (then === "breaks") return controller.error(Object.assign(new Error("cut"), { code: "ECONNRESET" }))
        return new Promise(() => {})
      },
      cancel: () => {
        seen.cancelled = true
      }
    },
    { highWaterMark: 0 }
  )
  return { seen, stream }
}

const text = (text: string) => new TextEncoder().encode(text)
const kibibytes = (n: number) => new Uint8Array(n * 1024).fill(120)

/** Lets the promises of a web stream have their turn, which the TestClock knows nothing of. */
const turns = Effect.promise(async () => {
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
})

/** Runs to its end a call that waits for streams as well as for time. */
const throughStreams = Effect.fnUntraced(function* <A, E, R>(self: Effect.Effect<A, E, R>, step = 100) {
  const fiber = yield* Effect.forkChild(self, { startImmediately: true })
  for (let i = 0; i < 1_000 && fiber.pollUnsafe() === undefined; i++) {
    yield* turns
    if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(step)
  }
  const exit = fiber.pollUnsafe()
  return exit === undefined ? yield* Effect.die("the call did not end in the time given") : exit
})

describe("the body of a failed response", () => {
  it.effect("can be read from what comes out, more than once and in every form", () =>
    Effect.gen(function* () {
      const problem = '{"title":"no such quote"}'
      const { client } = fake(status(404, { "content-type": "application/problem+json" }, problem))
      const response = responseOf(errorOf(yield* throughStreams(Http.resilient(client, three).get(url))))
      assert.strictEqual(response.headers["content-type"], "application/problem+json")
      assert.deepStrictEqual(yield* response.json, { title: "no such quote" })
      assert.strictEqual(yield* response.text, problem)
      assert.deepStrictEqual(new Uint8Array(yield* response.arrayBuffer), text(problem))
      assert.strictEqual(response.url, url)
    })
  )

  it.effect("can be read as a stream, and as a form", () =>
    Effect.gen(function* () {
      const { client } = fake(status(400, { "content-type": "application/x-www-form-urlencoded" }, "a=1&b=2"))
      const failure = Effect.map(throughStreams(Http.resilient(client, three).get(url)), (exit) =>
        responseOf(errorOf(exit))
      )
      const chunks = yield* Stream.runCollect((yield* failure).stream)
      assert.deepStrictEqual(Array.from(chunks), [text("a=1&b=2")])
      assert.deepStrictEqual(Array.from((yield* (yield* failure).formData).entries()), [
        ["a", "1"],
        ["b", "2"]
      ])
    })
  )

  it.effect("of the last attempt is there after the retries", () =>
    Effect.gen(function* () {
      const { client } = fake(status(500, {}, "one"), status(500, {}, "two"), status(500, {}, "three"))
      const error = exhausted(errorOf(yield* throughStreams(Http.resilient(client, three).get(url))))
      assert.strictEqual(yield* responseOf(error).text, "three")
      assert.deepStrictEqual(yield* Effect.forEach(error.history, (entry) => responseOf(entry.error).text), [
        "one",
        "two",
        "three"
      ])
    })
  )

  it.effect("is read to its end before the next request, so that its connection is free", () =>
    Effect.gen(function* () {
      const first = body([text("a"), text("b")])
      const { client } = fake(
        Effect.sync(() => new Response(first.stream as never, { status: 500 })),
        Effect.sync(() => {
          assert.strictEqual(first.seen.pulled, 3)
          return new Response("all")
        })
      )
      const response = yield* throughStreams(Http.resilient(client, three).get(url))
      assert.isTrue(Exit.isSuccess(response))
    })
  )

  it.effect("64 KiB are kept of one that is longer, and the rest is cancelled unread", () =>
    Effect.gen(function* () {
      const long = body(Array.from({ length: 100 }, () => kibibytes(10)))
      const { client } = fake(Effect.sync(() => new Response(long.stream as never, { status: 404 })))
      const response = responseOf(errorOf(yield* throughStreams(Http.resilient(client, three).get(url))))
      assert.strictEqual((yield* response.arrayBuffer).byteLength, 64 * 1024)
      assert.strictEqual(long.seen.pulled, 7)
      assert.isTrue(long.seen.cancelled)
    })
  )

  it.effect("64 KiB are kept of one that comes all at once", () =>
    Effect.gen(function* () {
      const { client } = fake(status(404, {}, kibibytes(100)))
      const response = responseOf(errorOf(yield* throughStreams(Http.resilient(client, three).get(url))))
      assert.strictEqual((yield* response.arrayBuffer).byteLength, 64 * 1024)
    })
  )

  it.effect("of exactly 64 KiB is read to its end", () =>
    Effect.gen(function* () {
      const whole = body([kibibytes(32), kibibytes(32)])
      const { client } = fake(Effect.sync(() => new Response(whole.stream as never, { status: 404 })))
      const response = responseOf(errorOf(yield* throughStreams(Http.resilient(client, three).get(url))))
      assert.strictEqual((yield* response.arrayBuffer).byteLength, 64 * 1024)
      assert.deepStrictEqual(whole.seen, { cancelled: false, pulled: 3 })
    })
  )

  it.effect("that does not end is waited for during a second, and given up; what had come is kept", () =>
    Effect.gen(function* () {
      const slow = body([text("so far")], "hangs")
      const { at, client } = fake(
        Effect.sync(() => new Response(slow.stream as never, { status: 500 })),
        status(404, {}, "done")
      )
      const fiber = yield* Effect.forkChild(Effect.exit(Http.resilient(client, three).get(url)), {
        startImmediately: true
      })
      yield* turns
      yield* TestClock.adjust(999)
      yield* turns
      assert.isFalse(slow.seen.cancelled)
      yield* TestClock.adjust(1)
      yield* turns
      assert.isTrue(slow.seen.cancelled)
      yield* TestClock.adjust(100)
      yield* turns
      assert.deepStrictEqual(at(), [0, 1_100])
      yield* Fiber.join(fiber)

      const hung = body([text("so far")], "hangs")
      const once = fake(Effect.sync(() => new Response(hung.stream as never, { status: 404 })))
      const response = responseOf(errorOf(yield* throughStreams(Http.resilient(once.client, three).get(url))))
      assert.strictEqual(yield* response.text, "so far")
    })
  )

  it.effect(
    "that does not end has half of the time that the attempt has left, and none where that is next to nothing",
    () =>
      Effect.gen(function* () {
        const policy = Policy.extend(three, { name: "p", attemptTimeout: "1 second" })
        for (const [headAfter, bodyFor] of [
          [0, 500],
          [800, 100],
          [998, 0]
        ] as const) {
          const slow = body([text("so far")], "hangs")
          const answer: Answer = Effect.delay(
            Effect.sync(() => new Response(slow.stream as never, { status: 404 })),
            headAfter
          )
          const start = yield* Clock.currentTimeMillis
          const exit = yield* throughStreams(Http.resilient(fake(answer).client, policy).get(url), 2)
          const response = responseOf(errorOf(exit))
          assert.strictEqual(yield* response.text, bodyFor === 0 ? "" : "so far")
          assert.isTrue(slow.seen.cancelled)
          assert.strictEqual((yield* Clock.currentTimeMillis) - start, headAfter + bodyFor)
        }
      })
  )

  it.effect("that is cut short does not change what the status says", () =>
    Effect.gen(function* () {
      const cut = body([text("so far")], "breaks")
      const { client, sent } = fake(Effect.sync(() => new Response(cut.stream as never, { status: 404 })))
      const response = responseOf(errorOf(yield* throughStreams(Http.resilient(client, three).get(url))))
      assert.strictEqual(yield* response.text, "so far")
      assert.strictEqual(sent.length, 1)
    })
  )

  it.effect("is given up with the call: an interruption cancels it", () =>
    Effect.gen(function* () {
      const slow = body([], "hangs")
      const { client } = fake(Effect.sync(() => new Response(slow.stream as never, { status: 500 })))
      const fiber = yield* Effect.forkChild(Http.resilient(client, three).get(url), { startImmediately: true })
      yield* turns
      yield* Fiber.interrupt(fiber)
      yield* turns
      assert.isTrue(slow.seen.cancelled)
    })
  )
})

describe("the response of an error that comes from inside", () => {
  /** A client whose responses are failures of its own making. */
  const inside = (client: HttpClient.HttpClient, fail: HttpClientError.HttpClientError["reason"]["_tag"]) =>
    HttpClient.transformResponse(client, (answered) =>
      Effect.flatMap(answered, (response) => {
        const props = { request: response.request, response }
        const reason =
          fail === "DecodeError"
            ? new HttpClientError.DecodeError(props)
            : fail === "EmptyBodyError"
              ? new HttpClientError.EmptyBodyError(props)
              : new HttpClientError.StatusCodeError(props)
        return Effect.fail(new HttpClientError.HttpClientError({ reason }))
      })
    )

  for (const fail of ["StatusCodeError", "DecodeError", "EmptyBodyError"] as const) {
    it.effect(`${fail}: its body is read before anything else is sent, and can be read from what comes out`, () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const answer = Effect.suspend(() => {
          const slow = body([text("why"), text(" not")])
          if (seen.length === 1) assert.strictEqual(first.seen.pulled, 3)
          if (seen.length === 0) first = slow
          seen.push("sent")
          return Effect.succeed(new Response(slow.stream as never, { status: 503 }))
        })
        let first = body([])
        const client = inside(fake(answer).client, fail)
        const policy = Policy.extend(three, { name: "all", faults: Fault.all })
        const error = errorOf(yield* throughStreams(Http.resilient(client, policy).get(url)))
        assert.lengthOf(seen, 3)
        assert.strictEqual(yield* responseOf(error).text, "why not")
      })
    )
  }

  it.effect("is cancelled where it does not end, and the error is the one it was", () =>
    Effect.gen(function* () {
      const slow = body([text("so far")], "hangs")
      const own = Object.assign(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.StatusCodeError({
            request: get,
            response: HttpClientResponse.fromWeb(get, new Response(slow.stream as never, { status: 503 }))
          })
        }),
        { [Fault.verdict]: Fault.permanent() }
      )
      const client = HttpClient.transformResponse(fake(status(200)).client, () => Effect.fail(own))
      const error = errorOf(yield* throughStreams(Http.resilient(client, three).get(url)))
      assert.strictEqual(error, own)
      assert.strictEqual(yield* responseOf(error).text, "so far")
      assert.isTrue(slow.seen.cancelled)
    })
  )

  it.effect("that was read inside already is still there, whoever says that it is a failure", () =>
    Effect.gen(function* () {
      const { client } = fake(status(404, {}, "why"))
      const told = HttpClient.tap(client, (response) => response.text)
      for (const each of [told, HttpClient.filterStatusOk(told)]) {
        const error = errorOf(yield* throughStreams(Http.resilient(each, three).get(url)))
        assert.strictEqual(yield* responseOf(error).text, "why")
      }
      const decoded = HttpClient.transformResponse(fake(status(200, {}, "{")).client, (answered) =>
        Effect.tap(answered, (response) => response.json)
      )
      const error = errorOf(yield* throughStreams(Http.resilient(decoded, three).get(url)))
      assert.strictEqual(yield* responseOf(error).text, "{")
    })
  )

  it.effect("errors without one, and defects, are what they were", () =>
    Effect.gen(function* () {
      for (const exit of [Exit.fail("down"), Exit.die("broken")]) {
        const client = HttpClient.transformResponse(fake(status(200)).client, () => exit)
        assert.deepStrictEqual(yield* throughStreams(Http.resilient(client, three).get(url)), exit as never)
      }
    })
  )
})

describe("what a copy of a response keeps", () => {
  /** A response as a client makes it that does not go through the web's `Response`. */
  const over = (response: Partial<HttpClientResponse.HttpClientResponse>) =>
    HttpClient.make((request) =>
      Effect.succeed(
        Object.defineProperties(
          HttpClientResponse.fromWeb(request, new Response("body")),
          Object.fromEntries(Object.entries(response).map(([name, value]) => [name, { value }]))
        )
      )
    )

  for (const n of [200, 404]) {
    it.effect(`${n}: its headers, whatever characters they are of, and every cookie`, () =>
      Effect.gen(function* () {
        const cookies = Cookies.fromSetCookie(["a=1; Path=/", "b=2; Expires=Wed, 01 Jul 2026 12:00:00 GMT"])
        const headers = { "x-name": "Łódź ✓", "content-type": "text/ż" }
        const moved = "http://quotes.example/moved"
        const client = over({
          status: n,
          url: moved,
          headers: headers as never,
          cookies,
          remoteAddress: Option.some("::1")
        })
        const exit = yield* throughStreams(Http.resilient(client, three, { readBody: true }).get(url))
        const response = Exit.isSuccess(exit) ? exit.value : responseOf(errorOf(exit))
        assert.deepStrictEqual(response.headers as {}, headers)
        assert.deepStrictEqual(Object.keys(response.cookies.cookies), ["a", "b"])
        assert.deepStrictEqual(response.remoteAddress, Option.some("::1"))
        assert.strictEqual(response.url, moved)
        assert.strictEqual(yield* response.text, "body")
      })
    )
  }

  it.effect("a status that the web does not know", () =>
    Effect.gen(function* () {
      for (const n of [600, 999]) {
        const response = responseOf(errorOf(yield* throughStreams(Http.resilient(over({ status: n }), three).get(url))))
        assert.strictEqual(response.status, n)
        assert.strictEqual(yield* response.text, "body")
      }
    })
  )
})

describe("readBody", () => {
  const chunked = (stream: () => ReadableStream<Uint8Array>): Answer =>
    Effect.sync(() => new Response(stream() as never))

  it.effect("a body that is cut short is a failure of the attempt", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(
        chunked(() => body([text("a")], "breaks").stream),
        chunked(() => body([text("a"), text("b")]).stream)
      )
      const exit = yield* throughStreams(Http.resilient(client, three, { readBody: true }).get(url))
      assert.isTrue(Exit.isSuccess(exit))
      if (Exit.isFailure(exit)) return
      assert.strictEqual(yield* exit.value.text, "ab")
      assert.strictEqual(yield* exit.value.text, "ab")
      assert.strictEqual(sent.length, 2)
    })
  )

  it.effect("one that hangs takes the attempt's time, and no more", () =>
    Effect.gen(function* () {
      const hung = body([text("a")], "hangs")
      const { at, client } = fake(
        chunked(() => hung.stream),
        status(200, {}, "all")
      )
      const policy = Policy.extend(three, { name: "p", attemptTimeout: "300 millis" })
      const exit = yield* throughStreams(Http.resilient(client, policy, { readBody: true }).get(url))
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(at(), [0, 400])
    })
  )

  it.effect("statuses that have no body", () =>
    Effect.gen(function* () {
      for (const n of [204, 205, 304]) {
        const { client } = fake(status(n))
        const exit = yield* throughStreams(Http.resilient(client, three, { readBody: true }).get(url))
        assert.isTrue(Exit.isSuccess(exit) && exit.value.status === n, String(n))
      }
    })
  )

  it.effect("a connection that speaks something else from now on is left alone", () =>
    Effect.gen(function* () {
      const web = new Response("frames")
      const upgraded = Object.defineProperties(HttpClientResponse.fromWeb(get, web), {
        status: { value: 101 }
      })
      const client = HttpClient.make(() => Effect.succeed(upgraded))
      const response = yield* Http.resilient(client, three, { readBody: true }).get(url)
      assert.strictEqual(response.status, 101)
      assert.isFalse(web.bodyUsed)
    })
  )

  it.effect("without it the call is over with the head, and the body is the caller's", () =>
    Effect.gen(function* () {
      const cut = body([text("a")], "breaks")
      const { client, sent } = fake(chunked(() => cut.stream))
      const response = yield* Http.resilient(client, three).get(url)
      assert.strictEqual(cut.seen.pulled, 0)
      assert.isTrue(HttpClientError.isHttpClientError(errorOf(yield* throughStreams(response.text))))
      assert.strictEqual(sent.length, 1)
    })
  )
})

describe("spans", () => {
  const recording = () => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return { tracer, spans }
  }

  it.effect("one for each request, which says from the second on which it is, and why", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const { client } = fake(status(503), reset, status(200))
      yield* throughTime(Effect.withTracer(Http.resilient(client, three).get(url), tracer))
      const said = [
        "http.response.status_code",
        "http.request.resend_count",
        "resilience.attempt.kind",
        "resilience.reason"
      ]
      assert.deepStrictEqual(
        spans.map((span) => said.map((attribute) => span.attributes.get(attribute))),
        [
          [503, undefined, undefined, undefined],
          [undefined, 1, "retry", "503"],
          [200, 2, "retry", "TransportError"]
        ]
      )
    })
  )

  it.effect("after a timeout", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const { client } = fake(Effect.never, status(200))
      const policy = Policy.extend(three, { name: "p", attemptTimeout: "1 second" })
      yield* throughTime(Effect.withTracer(Http.resilient(client, policy).get(url), tracer))
      assert.deepStrictEqual(
        spans.map((span) => span.attributes.get("resilience.reason")),
        [undefined, "AttemptTimeout"]
      )
    })
  )

  it.effect("of a hedge", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const { client } = fake(Effect.never, status(200))
      const policy = Policy.extend(three, { name: "p", hedge: { after: "1 second" } })
      yield* throughTime(Effect.withTracer(Http.resilient(client, policy).get(url), tracer))
      assert.deepStrictEqual(
        spans.map((span) => [
          span.attributes.get("http.request.resend_count"),
          span.attributes.get("resilience.attempt.kind")
        ]),
        [
          [undefined, undefined],
          [1, "hedge"]
        ]
      )
    })
  )
})

describe("hedging", () => {
  const hedge = { after: "1 second" } as const
  const hedged = Policy.extend(three, { name: "hedged", hedge })

  it.effect("a GET that takes long is hedged, and the first answer counts", () =>
    Effect.gen(function* () {
      const { at, client, header } = fake(Effect.never, status(200, {}, "second"))
      const exit = yield* throughTime(Http.resilient(client, hedged).get(url))
      assert.strictEqual(Exit.isSuccess(exit) ? yield* exit.value.text : "", "second")
      assert.deepStrictEqual(at(), [0, 1_000])
      assert.deepStrictEqual(header("x-envoy-attempt-count"), ["1", "2"])
    })
  )

  it.effect("a POST never, nor a body that cannot be sent twice", () =>
    Effect.gen(function* () {
      const streamed = HttpClientRequest.put(url).pipe(HttpClientRequest.bodyStream(Stream.make(text("body"))))
      for (const request of [post, HttpClientRequest.patch(url), streamed]) {
        const { client, sent } = fake(Effect.delay(status(200), "10 seconds"))
        yield* throughTime(Http.resilient(client, hedged).execute(request))
        assert.strictEqual(sent.length, 1)
      }
    })
  )

  it.effect("a POST with a key is, and both have the same", () =>
    Effect.gen(function* () {
      const keyed = Policy.extend(minting().policy, { name: "hedged", hedge })
      const { client, header } = fake(Effect.never, status(200))
      yield* throughTime(Http.resilient(client, keyed).execute(post))
      assert.deepStrictEqual(header("idempotency-key"), ['"k1"', '"k1"'])
    })
  )
})

describe("deadlines", () => {
  it.effect("an attempt that takes too long is cut, and its request is aborted", () =>
    Effect.gen(function* () {
      const signals: Array<AbortSignal> = []
      const client = HttpClient.make((_, __, signal) => {
        signals.push(signal)
        return Effect.never
      })
      const policy = Policy.extend(three, { name: "p", attemptTimeout: "1 second" })
      const error = exhausted(yield* failing(Http.resilient(client, policy).get(url)))
      assert.instanceOf(error.lastError, Policy.AttemptTimeout)
      assert.deepStrictEqual(
        signals.map((signal) => signal.aborted),
        [true, true, true]
      )
    })
  )

  it.effect("a POST that was cut may have been processed", () =>
    Effect.gen(function* () {
      const { client, sent } = fake(Effect.never)
      const policy = Policy.extend(three, { name: "p", attemptTimeout: "1 second" })
      assert.strictEqual(exhausted(yield* failing(Http.resilient(client, policy).execute(post))).reason, "unsafe")
      assert.strictEqual(sent.length, 1)
    })
  )
})

describe("what a request runs in", () => {
  class Tenant extends Context.Service<Tenant, string>()("test/http/Tenant") {}

  it.effect("its services, for what makes the request and for what makes the response", () =>
    Effect.gen(function* () {
      const { client, header } = fake(status(200))
      const tenant = HttpClient.mapRequestEffect(client, (request) =>
        Effect.map(Tenant, (tenant) => HttpClientRequest.setHeader(request, "x-tenant", tenant))
      )
      yield* Effect.provideService(Http.resilient(tenant, three).get(url), Tenant, "a")
      assert.deepStrictEqual(header("x-tenant"), ["a"])
    })
  )

  it.effect("a key of an operation around is its own, and not this request's", () =>
    Effect.gen(function* () {
      const { client, header } = fake(reset)
      const around = Policy.extend(minting().policy, { name: "around" })
      yield* failing(withResilience(Http.resilient(client, three).execute(post), around))
      assert.deepStrictEqual(header("idempotency-key"), [undefined])
    })
  )
})

describe("options that are refused", () => {
  const { client } = fake(status(200))
  const refuses = (make: () => unknown, option: string) => {
    try {
      make()
    } catch (error) {
      assert.instanceOf(error, InvalidOption)
      return assert.include((error as InvalidOption).option, option)
    }
    return assert.fail(`${option} was taken`)
  }

  it("when the client is made", () => {
    const of = (options: object, option: string) => {
      for (const make of [
        () => Http.resilient(client, three, options as never),
        () => Http.resilient(three, options)
      ]) {
        refuses(make, `Http.resilient: ${option}`)
      }
    }
    for (const header of ["", " ", "bad header", "bad:header", "bad\r\n", "ключ", 1, true, null]) {
      of({ attemptHeader: header }, "attemptHeader")
      of({ deadline: { ...Deadline.grpcTimeout, header } }, "deadline.header")
    }
    for (const deadline of [{}, true, null, "grpc-timeout", 0, { header: "x" }]) of({ deadline }, "deadline")
    of({ deadline: { ...Deadline.grpcTimeout, encode: "1S" } }, "deadline")
    of({ deadline: { ...Deadline.grpcTimeout, decode: undefined } }, "deadline")
    for (const isFailure of [true, null, [500]]) of({ isFailure }, "isFailure")
    for (const key of ["origin", null, {}]) of({ key }, "key")
    for (const readBody of ["no", 0, null]) of({ readBody }, "readBody")
    for (const idempotencyKey of ["plain", true, null]) of({ idempotencyKey }, "idempotencyKey")
    of({ readBodies: true }, "readBodies")
    refuses(() => Http.resilient(client, three, null as never), "Http.resilient: options")
    refuses(() => Http.resilient(client, three, "no" as never), "Http.resilient: options")
    for (const policy of [null, undefined, {}, "p", () => {}]) {
      refuses(() => Http.resilient(client, policy as never), "Http.resilient: policy")
      refuses(() => Http.resilient(policy as never), "Http.resilient: policy")
    }
  })

  it("every header that is one is taken", () => {
    for (const header of ["X-Try", "x-envoy-attempt-count", "a", "~!#$%&'*+-.^_`|1"]) {
      Http.resilient(client, three, { attemptHeader: header, deadline: { ...Deadline.grpcTimeout, header } })
    }
  })

  it("every option may be undefined", () => {
    const nothing = {
      isFailure: undefined,
      key: undefined,
      deadline: undefined,
      attemptHeader: undefined,
      idempotencyKey: undefined,
      readBody: undefined
    }
    assert.isTrue(HttpClient.isHttpClient(Http.resilient(client, three, nothing)))
    assert.isTrue(HttpClient.isHttpClient(Http.resilient(client, three, undefined)))
  })
})
