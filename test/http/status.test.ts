import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as Http from "../../src/http/index.ts"
import { respond, said } from "./kit.ts"

const now = Date.UTC(2026, 6, 1, 12)

const verdictOn = (status: number, headers: Record<string, string> = {}) =>
  said(Http.responseVerdict(respond(status, headers), now))

const transient = { kind: "transient" }
const permanent = { kind: "permanent" }
const throttled = { kind: "throttled", unprocessed: true }

describe("responseVerdict", () => {
  it("below 400 nothing has failed", () => {
    for (const status of [100, 101, 103, 200, 201, 204, 206, 299, 300, 301, 304, 307, 399]) {
      assert.isUndefined(verdictOn(status), String(status))
      assert.isUndefined(verdictOn(status, { "retry-after": "5", "x-should-retry": "true" }), String(status))
    }
  })

  it("by status", () => {
    for (const status of [408, 500, 502, 503, 504]) assert.deepStrictEqual(verdictOn(status), transient, String(status))
    assert.deepStrictEqual(verdictOn(425), { kind: "transient", unprocessed: true, health: "ok" })
    assert.deepStrictEqual(verdictOn(429), throttled)
    assert.deepStrictEqual(verdictOn(501), permanent)
    assert.deepStrictEqual(verdictOn(505), permanent)
    assert.deepStrictEqual(verdictOn(511), { kind: "permanent", health: "ignored" })
  })

  it("any other 4xx is permanent", () => {
    const others = Array.from({ length: 100 }, (_, i) => 400 + i).filter((status) => ![408, 425, 429].includes(status))
    for (const status of others) assert.deepStrictEqual(verdictOn(status), permanent, String(status))
  })

  it("any unknown 5xx is transient, and so is a status outside of all classes (RFC 9110 §15)", () => {
    const known = new Set([501, 505, 511])
    const others = Array.from({ length: 100 }, (_, i) => 500 + i).filter((status) => !known.has(status))
    for (const status of [...others, 0, 99, 600, 999])
      assert.deepStrictEqual(verdictOn(status), transient, String(status))
  })

  it("Retry-After goes with every verdict that may be retried", () => {
    const hint = { retryAfter: Duration.seconds(7) }
    for (const status of [408, 500, 502, 504, 520, 599]) {
      assert.deepStrictEqual(verdictOn(status, { "retry-after": "7" }), { ...transient, ...hint }, String(status))
    }
    assert.deepStrictEqual(verdictOn(429, { "retry-after": "7" }), { ...throttled, ...hint })
    assert.deepStrictEqual(verdictOn(425, { "retry-after": "7" })!["retryAfter"], hint.retryAfter)
    for (const status of [400, 413, 501]) assert.deepStrictEqual(verdictOn(status, { "retry-after": "7" }), permanent)
  })

  it("a date is told from the time of asking", () => {
    const verdict = verdictOn(429, { "retry-after": "Wed, 01 Jul 2026 12:00:09 GMT" })!
    assert.deepStrictEqual(verdict["retryAfter"], Duration.seconds(9))
  })

  it("a 503 that says when to come back asks for patience", () => {
    const hint = { retryAfter: Duration.seconds(7) }
    assert.deepStrictEqual(verdictOn(503, { "retry-after": "7" }), { kind: "throttled", ...hint })
    assert.deepStrictEqual(verdictOn(503, { "retry-after-ms": "7000" }), { kind: "throttled", ...hint })
    assert.deepStrictEqual(verdictOn(503, { ratelimit: '"p";r=0;t=7' }), { kind: "throttled", ...hint })
    assert.deepStrictEqual(verdictOn(503, { "retry-after": "0" }), { kind: "throttled", retryAfter: Duration.zero })
    assert.deepStrictEqual(verdictOn(503, { "retry-after": "soon" }), transient)
    assert.deepStrictEqual(verdictOn(503, { ratelimit: '"p";r=3;t=7' }), transient)
  })

  it("a 503 that was turned away is unprocessed", () => {
    for (const name of ["finagle-http-nack", "x-envoy-overloaded", "x-envoy-local-overloaded"]) {
      assert.deepStrictEqual(verdictOn(503, { [name]: "true" }), { ...transient, unprocessed: true }, name)
      assert.deepStrictEqual(verdictOn(503, { [name]: "true", "retry-after": "1" }), {
        kind: "throttled",
        retryAfter: Duration.seconds(1),
        unprocessed: true
      })
      // a 500 is an answer of the service itself
      assert.deepStrictEqual(verdictOn(500, { [name]: "true" }), transient, name)
    }
    assert.deepStrictEqual(verdictOn(503, { "x-envoy-upstream-service-time": "5" }), transient)
  })

  it("the server's own no makes it permanent, and does not make the server well", () => {
    const no = { "x-should-retry": "false", "retry-after": "7" }
    assert.deepStrictEqual(verdictOn(500, no), { kind: "permanent", health: "failed" })
    assert.deepStrictEqual(verdictOn(503, no), { kind: "permanent", health: "failed" })
    assert.deepStrictEqual(verdictOn(408, no), { kind: "permanent", health: "failed" })
    assert.deepStrictEqual(verdictOn(425, no), { kind: "permanent", health: "ok", unprocessed: true })
    assert.deepStrictEqual(verdictOn(429, no), { kind: "permanent", health: "ignored", unprocessed: true })
    assert.deepStrictEqual(verdictOn(400, no), permanent)
    assert.deepStrictEqual(verdictOn(503, { "grpc-retry-pushback-ms": "-1" }), { kind: "permanent", health: "failed" })
    assert.deepStrictEqual(verdictOn(503, { "finagle-http-nonretryable-nack": "true" }), {
      kind: "permanent",
      health: "failed",
      unprocessed: true
    })
  })

  it("its yes makes it transient, and does not make the server ill", () => {
    const yes = { "x-should-retry": "true" }
    assert.deepStrictEqual(verdictOn(409, yes), { kind: "transient", health: "ok" })
    assert.deepStrictEqual(verdictOn(501, { ...yes, "retry-after": "7" }), {
      kind: "transient",
      health: "ok",
      retryAfter: Duration.seconds(7)
    })
    assert.deepStrictEqual(verdictOn(511, yes), { kind: "transient", health: "ignored" })
    assert.deepStrictEqual(verdictOn(500, yes), transient)
    assert.deepStrictEqual(verdictOn(429, yes), throttled)
    assert.deepStrictEqual(verdictOn(503, { ...yes, "retry-after": "7" }), {
      kind: "throttled",
      retryAfter: Duration.seconds(7)
    })
  })
})
