import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Clock, Data, Duration, Effect } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Backoff from "../../src/Backoff.ts"
import * as Fault from "../../src/Fault.ts"
import * as Http from "../../src/http/index.ts"
import * as Policy from "../../src/Policy.ts"
import { withResilience } from "../../src/Policy.ts"
import { errorOf, throughTime } from "../kit.ts"
import { request, respond, said } from "./kit.ts"

const now = Date.UTC(2026, 6, 1, 12)

const { DecodeError, EmptyBodyError, EncodeError, InvalidUrlError, StatusCodeError, TransportError } = HttpClientError

const made = (reason: HttpClientError.HttpClientErrorReason) => new HttpClientError.HttpClientError({ reason })

const response = respond(200)
const transport = (cause?: unknown) => made(new TransportError({ request, cause }))
const decode = (cause?: unknown) => made(new DecodeError({ request, response, cause }))
const status = (status: number, headers?: Record<string, string>) =>
  made(new StatusCodeError({ request, response: respond(status, headers) }))

const verdictOn = (error: HttpClientError.HttpClientError) => said(Http.errorVerdict(error, now))

/** An error as hosts make them. */
const host = (fields: { code?: string; syscall?: string; name?: string; cause?: unknown }, message = "x") => {
  const error = fields.name === "TypeError" ? new TypeError(message) : new Error(message)
  return Object.assign(error, fields)
}

const unprocessed = { kind: "transient", unprocessed: true }
const lost = { kind: "transient" }
const tls = { kind: "permanent", health: "failed" }
const client = { kind: "permanent", health: "ignored" }
const permanent = { kind: "permanent" }

describe("errorVerdict", () => {
  it("a status is what the response says", () => {
    assert.deepStrictEqual(verdictOn(status(500)), lost)
    assert.deepStrictEqual(verdictOn(status(404)), permanent)
    assert.deepStrictEqual(verdictOn(status(429, { "retry-after": "Wed, 01 Jul 2026 12:00:09 GMT" })), {
      kind: "throttled",
      unprocessed: true,
      retryAfter: Duration.seconds(9)
    })
    assert.deepStrictEqual(verdictOn(status(503, { "x-should-retry": "false" })), tls)
  })

  it("a status below 400 that somebody made an error is permanent", () => {
    assert.deepStrictEqual(verdictOn(status(304)), permanent)
    assert.deepStrictEqual(verdictOn(status(200)), permanent)
  })

  it("what failed before anything was sent", () => {
    assert.deepStrictEqual(verdictOn(made(new InvalidUrlError({ request }))), client)
    assert.deepStrictEqual(verdictOn(made(new EncodeError({ request }))), client)
  })

  it("a failed transport", () => {
    assert.deepStrictEqual(verdictOn(transport(host({ code: "ECONNREFUSED" }))), unprocessed)
    assert.deepStrictEqual(verdictOn(transport(host({ code: "ECONNRESET" }))), lost)
    assert.deepStrictEqual(verdictOn(transport(host({ code: "CERT_HAS_EXPIRED" }))), tls)
    assert.deepStrictEqual(verdictOn(transport(host({ code: "UND_ERR_INVALID_ARG" }))), client)
    assert.deepStrictEqual(verdictOn(transport(host({ code: "UND_ERR_HEADERS_OVERFLOW" }))), permanent)
  })

  it("of which nothing is known may have been received", () => {
    for (const cause of [undefined, null, "reset", 5, {}, host({}), host({ code: "EWHATEVER" })]) {
      assert.deepStrictEqual(verdictOn(transport(cause)), lost)
    }
  })

  it("fetch was given what it does not take", () => {
    const misused = host({ name: "TypeError" }, "Request with GET/HEAD method cannot have body.")
    assert.deepStrictEqual(verdictOn(transport(misused)), client)
    assert.deepStrictEqual(verdictOn(transport(host({ name: "TypeError" }, "fetch failed"))), lost)
    assert.deepStrictEqual(verdictOn(transport(host({ name: "TypeError" }, "Failed to fetch"))), lost)
  })

  it("a body that broke off: the request had been received", () => {
    for (const code of ["ECONNRESET", "UND_ERR_SOCKET", "UND_ERR_BODY_TIMEOUT", "ECONNREFUSED", "ERR_SSL_BAD_RECORD"]) {
      assert.deepStrictEqual(verdictOn(decode(host({ name: "TypeError", cause: host({ code }) }, "terminated"))), lost)
      assert.deepStrictEqual(verdictOn(decode(host({ code }))), lost)
    }
  })

  it("a body that does not fit", () => {
    for (const cause of [undefined, new SyntaxError("Unexpected token"), host({ code: "Z_DATA_ERROR" })]) {
      assert.deepStrictEqual(verdictOn(decode(cause)), permanent)
    }
    assert.deepStrictEqual(
      verdictOn(decode(host({ name: "TypeError" }, "Failed to parse body as FormData."))),
      permanent
    )
    assert.deepStrictEqual(verdictOn(decode(host({ code: "UND_ERR_RES_EXCEEDED_MAX_SIZE" }))), permanent)
    assert.deepStrictEqual(verdictOn(decode(host({ name: "AbortError" }))), client)
    assert.deepStrictEqual(verdictOn(made(new EmptyBodyError({ request, response }))), permanent)
  })

  it("what an error says of itself counts first", () => {
    const own = Object.assign(status(404), { [Fault.verdict]: Fault.throttled() })
    assert.deepStrictEqual(verdictOn(own), { kind: "throttled" })
  })
})

describe("faults", () => {
  it("gives the verdict on an HttpClientError, and leaves all else to Fault.auto", () => {
    assert.deepStrictEqual(said(Http.faults.classify(status(501))), permanent)
    assert.strictEqual(Http.faults.classify(new Cause.TimeoutError())?.kind, "transient")
    assert.strictEqual(Http.faults.classify({ isRetryable: true })?.kind, "transient")
    for (const error of [undefined, null, "ECONNREFUSED", new Error("503"), { _tag: "HttpClientError" }, response]) {
      assert.isUndefined(Http.faults.classify(error))
    }
  })

  it("outside of any fiber the time is that of Effect's live clock", () => {
    const soon = new Date(Effect.runSync(Clock.currentTimeMillis) + 3_600_000).toUTCString()
    const { retryAfter } = Http.faults.classify(status(429, { "retry-after": soon }))!
    assert.approximately(Duration.toMinutes(retryAfter!), 60, 1)
  })

  it("in the types: an HttpClientError may be retried and may come out; of other errors nothing is known", () => {
    class Mine extends Data.TaggedError("Mine") {}
    type E = HttpClientError.HttpClientError | Cause.TimeoutError | Mine
    type C = typeof Http.faults
    expectTypeOf<Fault.Transient<C, E>>().toEqualTypeOf<HttpClientError.HttpClientError | Cause.TimeoutError>()
    expectTypeOf<Fault.Permanent<C, E>>().toEqualTypeOf<HttpClientError.HttpClientError | Mine>()
  })
})

describe("under a policy", () => {
  const policy = (safety: "idempotent" | "not-idempotent") =>
    Policy.make({
      name: "p",
      safety,
      faults: Http.faults,
      retry: Backoff.constant("100 millis").pipe(Backoff.times(2)),
      deadline: "1 hour"
    })

  /** A client that answers so, and counts the requests. */
  const answering = (answer: () => HttpClientResponse.HttpClientResponse | HttpClientError.HttpClientError) => {
    const sent = { requests: 0 }
    const client = HttpClient.filterStatusOk(
      HttpClient.make(() =>
        Effect.suspend(() => {
          sent.requests++
          const answered = answer()
          return HttpClientError.isHttpClientError(answered) ? Effect.fail(answered) : Effect.succeed(answered)
        })
      )
    )
    return { sent, call: client.get("http://quotes.example/eur") }
  }

  it.effect("Retry-After as a date is told by the clock in force", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now)
      const answers = [respond(503, { "retry-after": "Wed, 01 Jul 2026 12:00:30 GMT" }), respond(200)]
      const { call, sent } = answering(() => answers[sent.requests - 1]!)
      yield* throughTime(call.pipe(withResilience(policy("idempotent"))), { step: 100 })
      const took = (yield* Clock.currentTimeMillis) - now
      assert.strictEqual(sent.requests, 2)
      assert.isAtLeast(took, 30_000)
      assert.isBelow(took, 40_000)
    })
  )

  it.effect("what is not idempotent is sent again only if it was not processed", () =>
    Effect.gen(function* () {
      const attempts = Effect.fnUntraced(function* (
        answer: HttpClientResponse.HttpClientResponse | HttpClientError.HttpClientError
      ) {
        const { call, sent } = answering(() => answer)
        const exit = yield* throughTime(call.pipe(withResilience(policy("not-idempotent"))))
        return [sent.requests, errorOf(exit)._tag] as const
      })
      assert.deepStrictEqual(yield* attempts(transport(host({ code: "ECONNREFUSED" }))), [3, "RetryExhausted"])
      assert.deepStrictEqual(yield* attempts(respond(429)), [3, "RetryExhausted"])
      assert.deepStrictEqual(yield* attempts(respond(503, { "finagle-http-nack": "true" })), [3, "RetryExhausted"])
      assert.deepStrictEqual(yield* attempts(respond(503)), [1, "RetryExhausted"])
      assert.deepStrictEqual(yield* attempts(transport(host({ code: "ECONNRESET" }))), [1, "RetryExhausted"])
      assert.deepStrictEqual(yield* attempts(respond(404)), [1, "HttpClientError"])
    })
  )
})
