import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, Exit } from "effect"
import { HttpServerError, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, Deadline, Policy, Throttle } from "effect-resilience"
import { answerUnavailable, responseToCause, toResponse } from "../../src/http/toResponse.ts"
import { circuitOpen } from "../../src/internal/circuitOpen.ts"
import { concurrencyLimited } from "../../src/internal/concurrencyLimited.ts"
import type { Unavailable } from "../../src/internal/unavailable.ts"
import { RateLimited } from "../../src/RateLimit.ts"
import { ask } from "./serverKit.ts"

const inTwoAndABit = Duration.millis(2_001)

class Maintenance extends Data.TaggedError("Maintenance")<{ readonly retryAfter?: unknown }> {
  readonly [Policy.UnavailableTypeId] = Policy.UnavailableTypeId
}

const circuit = (retryAfter: Duration.Duration | undefined) =>
  new CircuitBreaker.CircuitOpen({ breaker: "app/Secret", key: "tenant-7", state: "open", retryAfter })

const limited = (reason: RateLimited["reason"]) =>
  new RateLimited({ limiter: "app/Secret", key: "tenant-7", reason, retryAfter: inTwoAndABit })

const exhausted = (fields: Partial<ConstructorParameters<typeof Policy.RetryExhausted>[0]> = {}) =>
  new Policy.RetryExhausted({
    policy: "secret.policy",
    reason: "schedule",
    attempts: 3,
    elapsed: Duration.seconds(1),
    lastError: new Error("password"),
    history: [],
    cause: Cause.fail(new Error("password")),
    ...fields
  })

const outOfTime = new Deadline.DeadlineExceeded({ name: "secret.call", after: Duration.seconds(1) })
const slowAttempt = new Policy.AttemptTimeout({ policy: "secret.policy", attempt: 1, after: Duration.seconds(1) })

/** Status, the end of the type, and Retry-After. */
const said = (error: Unavailable) =>
  Effect.map(
    ask(Effect.succeed(toResponse(error))),
    ({ headers, status, type }) =>
      `${status} ${type?.replace("urn:effect-resilience:", "")}${headers["retry-after"] === undefined ? "" : ` after ${headers["retry-after"]}`}`
  )

const table: ReadonlyArray<readonly [what: string, error: Unavailable, said: string]> = [
  ["an open circuit", circuit(inTwoAndABit), "503 unavailable after 3"],
  ["an isolated circuit", circuit(undefined), "503 unavailable"],
  ["a circuit that may be tried now", circuit(Duration.zero), "503 unavailable after 0"],
  [
    "a bulkhead",
    new Bulkhead.BulkheadFull({ bulkhead: "b", key: undefined, reason: "queue", retryAfter: Duration.seconds(2) }),
    "503 unavailable after 2"
  ],
  ["an adaptive limit", concurrencyLimited("l", undefined, "limit", () => 1), "503 unavailable after 1"],
  [
    "a throttle",
    new Throttle.Throttled({ throttle: "t", key: undefined, reason: "overload", retryAfter: undefined }),
    "503 unavailable"
  ],
  ["a rate limit", limited("limit"), "429 rate-limited after 3"],
  ["a rate limit that would have waited", limited("wait"), "429 rate-limited after 3"],
  ["a rate limit whose dependency throttles", limited("drained"), "503 unavailable after 3"],
  ["a rate limit whose store is away", limited("store"), "503 unavailable after 3"],
  ["a deadline", outOfTime, "504 timed-out"],
  ["an attempt's timeout", slowAttempt, "504 timed-out"],
  ["retries exhausted", exhausted(), "502 upstream-failed"],
  ["retries that no budget pays", exhausted({ reason: "budget" }), "502 upstream-failed"],
  ["a retry that is not safe", exhausted({ reason: "unsafe" }), "502 upstream-failed"],
  ["a retry that does not fit", exhausted({ reason: "deadline" }), "502 upstream-failed"],
  ["retries exhausted, out of time", exhausted({ lastError: slowAttempt }), "504 timed-out"],
  ["retries exhausted, deadline within", exhausted({ lastError: outOfTime }), "504 timed-out"],
  ["retries exhausted, Effect's timeout", exhausted({ lastError: new Cause.TimeoutError() }), "504 timed-out"],
  ["a dependency that throttles", exhausted({ retryAfter: inTwoAndABit }), "503 unavailable after 3"],
  [
    "a hint above the ceiling",
    exhausted({ reason: "retry-after", retryAfter: inTwoAndABit }),
    "503 unavailable after 3"
  ],
  ["a shutdown", exhausted({ reason: "draining" }), "503 unavailable"],
  ["a retry refused", exhausted({ reason: "rejected", rejection: circuit(inTwoAndABit) }), "503 unavailable after 3"],
  [
    "a retry refused, where the dependency said more",
    exhausted({ reason: "rejected", rejection: circuit(undefined), retryAfter: Duration.seconds(9) }),
    "503 unavailable after 9"
  ],
  ["a retry over the limit", exhausted({ reason: "rejected", rejection: limited("limit") }), "503 unavailable after 3"],
  ["a nested policy", exhausted({ lastError: exhausted({ lastError: slowAttempt }) }), "504 timed-out"],
  ["a nested guard", exhausted({ lastError: circuit(inTwoAndABit) }), "503 unavailable after 3"],
  ["a nested rate limit", exhausted({ lastError: limited("limit") }), "503 unavailable after 3"],
  ["a guard of one's own", new Maintenance({}), "503 unavailable"],
  ["a guard of one's own with a hint", new Maintenance({ retryAfter: inTwoAndABit }), "503 unavailable after 3"],
  ["a hint that is no duration", new Maintenance({ retryAfter: 7 }), "503 unavailable"],
  ["a hint without end", new Maintenance({ retryAfter: Duration.infinity }), "503 unavailable"]
]

describe("toResponse", () => {
  for (const [what, error, expected] of table) {
    it.effect(`answers ${what} with ${expected}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* said(error), expected)
      })
    )
  }

  it.effect("is problem+json, and tells nothing of what is inside", () =>
    Effect.gen(function* () {
      for (const [what, error] of table) {
        const { headers, status, text } = yield* ask(Effect.succeed(toResponse(error)))
        assert.strictEqual(headers["content-type"], "application/problem+json")
        const problem = JSON.parse(text)
        assert.sameMembers(Object.keys(problem), ["type", "status", "title", "detail"], what)
        assert.strictEqual(problem.status, status)
        assert.notMatch(text, /secret|tenant|password|app\//i, what)
      }
    })
  )

  it("reads retryAfter when it answers, not when the error was made", () => {
    let now = 0
    const shared = circuitOpen("b", undefined, "open", 10_000, () => now)
    assert.strictEqual(toResponse(shared).headers["retry-after"], "10")
    now = 7_500
    assert.strictEqual(toResponse(shared).headers["retry-after"], "3")
  })
})

class NotFound extends Data.TaggedError("NotFound")<{}> {}

describe("answerUnavailable", () => {
  it.effect("answers this library's errors, and leaves others alone", () =>
    Effect.gen(function* () {
      const failing = (error: NotFound | CircuitBreaker.CircuitOpen) =>
        answerUnavailable(Effect.fail(error) as Effect.Effect<HttpServerResponse.HttpServerResponse, typeof error>)
      // the type says what is left
      const left: Effect.Effect<HttpServerResponse.HttpServerResponse, NotFound> = failing(new NotFound())
      assert.isTrue(Exit.isFailure(yield* Effect.exit(left)))
      assert.strictEqual((yield* ask(failing(circuit(undefined)))).status, 503)
    })
  )

  it.effect("answers a policy's deadline", () =>
    Effect.gen(function* () {
      const slow = Effect.as(Effect.sleep("1 hour"), HttpServerResponse.empty()).pipe(Deadline.within("1 second"))
      const fiber = yield* Effect.forkChild(ask(answerUnavailable(slow)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flatten(Effect.sync(() => fiber.pollUnsafe()!))).status, 504)
    })
  )
})

describe("responseToCause", () => {
  const statusOf = (cause: Cause.Cause<unknown>) => Effect.map(responseToCause(cause), ({ status }) => status)

  it.effect("is what Effect answers, but for this library's errors", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* statusOf(Cause.fail(circuit(undefined))), 503)
      assert.strictEqual(yield* statusOf(Cause.fail(new NotFound())), 500)
      assert.strictEqual(yield* statusOf(Cause.die(new Error("bug"))), 500)
      assert.strictEqual(yield* statusOf(Cause.die(HttpServerResponse.empty({ status: 418 }))), 418)
      const parse = new HttpServerError.RequestParseError({ request: {} as never, reason: "BodyTooLarge" })
      assert.strictEqual(yield* statusOf(Cause.fail(new HttpServerError.HttpServerError({ reason: parse }))), 413)
    })
  )
})
