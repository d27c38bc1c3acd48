import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Arbitrary, Cause, Clock, Duration, Effect, Schema } from "effect"
import { AdaptiveLimit, Bulkhead, CircuitBreaker, Deadline, InvalidOption, Policy, Throttle } from "../../src/index.ts"
import { circuitOpen } from "../../src/internal/circuitOpen.ts"
import { RateLimited } from "../../src/internal/rateLimited.ts"
import { monotonicMs } from "../../src/internal/time.ts"
import * as Codecs from "../../src/schema/index.ts"
import { holds } from "../property.ts"
import { counts, maybe, names, overTheWire, same, spans } from "./kit.ts"

class NetworkError extends Schema.TaggedError<NetworkError>()("NetworkError", {
  host: Schema.String,
  at: Schema.DateTimeUtcFromString.pipe(Schema.optionalKey)
}) {}

const Transient = Schema.Union([NetworkError, Codecs.AttemptTimeout])
const Exhausted = Codecs.RetryExhausted(Transient)

describe("AttemptTimeout", () => {
  it("comes back as an instance, with its message made again", () => {
    const error = new Policy.AttemptTimeout({ policy: "quotes.get", attempt: 2, after: Duration.millis(800) })
    const { json, decoded } = overTheWire(Codecs.AttemptTimeout, error)
    assert.deepStrictEqual(json, { _tag: "AttemptTimeout", policy: "quotes.get", attempt: 2, after: 800 })
    assert.instanceOf(decoded, Policy.AttemptTimeout)
    assert.isTrue(Policy.isUnavailable(decoded))
    assert.strictEqual(decoded.message, error.message)
    assert.isTrue(Duration.equals(decoded.after, error.after))
  })

  it.effect("any of them round-trips", () =>
    holds(
      Arbitrary.all([names, counts, spans]),
      ([policy, attempt, after]) => {
        const error = new Policy.AttemptTimeout({ policy, attempt, after })
        const { decoded } = overTheWire(Codecs.AttemptTimeout, error)
        return decoded instanceof Policy.AttemptTimeout && same(decoded, error)
      },
      { runs: 200 }
    )
  )

  it("writes an infinite duration as a word", () => {
    for (const [after, word] of [
      [Duration.infinity, "Infinity"],
      [Duration.negativeInfinity, "-Infinity"]
    ] as const) {
      const error = new Policy.AttemptTimeout({ policy: "p", attempt: 1, after })
      const { json, decoded } = overTheWire(Codecs.AttemptTimeout, error)
      assert.deepInclude(json as object, { after: word })
      assert.isTrue(Duration.equals(decoded.after, after))
    }
  })

  it("refuses what is not one", () => {
    const refused = Schema.decodeUnknownExit(Codecs.AttemptTimeout)({ _tag: "AttemptTimeout", policy: "p", attempt: 1 })
    assert.strictEqual(refused._tag, "Failure")
  })
})

describe("CircuitOpen", () => {
  it("leaves out what is not known", () => {
    const error = new CircuitBreaker.CircuitOpen({
      breaker: "app/Quotes",
      key: undefined,
      state: "isolated",
      retryAfter: undefined
    })
    const { json, decoded } = overTheWire(Codecs.CircuitOpen, error)
    assert.deepStrictEqual(json, { _tag: "CircuitOpen", breaker: "app/Quotes", state: "isolated" })
    assert.instanceOf(decoded, CircuitBreaker.CircuitOpen)
    assert.isTrue(Policy.isUnavailable(decoded))
    assert.isUndefined(decoded.key)
    assert.strictEqual(decoded.message, error.message)
  })

  it.effect("says how much of the open time is left when it is encoded", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const now = monotonicMs(clock)
      let later = 0
      const error = circuitOpen("app/Quotes", "EUR", "open", now + 5_000, () => now + later)
      later = 2_000
      const { json } = overTheWire(Codecs.CircuitOpen, error)
      assert.deepInclude(json as object, { key: "EUR", state: "open", retryAfter: 3_000 })
    })
  )

  it.effect("any of them round-trips", () =>
    holds(
      Arbitrary.all([
        names,
        maybe(names),
        Arbitrary.schema(Schema.Literals(["open", "half-open", "isolated"])),
        maybe(spans)
      ]),
      ([breaker, key, state, retryAfter]) => {
        const error = new CircuitBreaker.CircuitOpen({ breaker, key, state, retryAfter })
        const { decoded } = overTheWire(Codecs.CircuitOpen, error)
        return decoded instanceof CircuitBreaker.CircuitOpen && same(decoded, error)
      },
      { runs: 200 }
    )
  )
})

describe("what the other guards refuse with", () => {
  const rejections = {
    BulkheadFull: {
      codec: Codecs.BulkheadFull,
      type: Bulkhead.BulkheadFull,
      name: "bulkhead",
      reasons: ["queue", "displaced", "wait"]
    },
    ConcurrencyLimited: {
      codec: Codecs.ConcurrencyLimited,
      type: AdaptiveLimit.ConcurrencyLimited,
      name: "limit",
      reasons: ["limit", "priority", "queue", "displaced", "wait"]
    },
    RateLimited: {
      codec: Codecs.RateLimited,
      type: RateLimited,
      name: "limiter",
      reasons: ["limit", "wait", "drained", "store"]
    },
    Throttled: {
      codec: Codecs.Throttled,
      type: Throttle.Throttled,
      name: "throttle",
      reasons: ["overload", "priority"]
    }
  } as const

  for (const [tag, { codec, name, reasons, type }] of Object.entries(rejections)) {
    const make = type as new (fields: object) => Bulkhead.BulkheadFull
    const wire = codec as unknown as Schema.Codec<Bulkhead.BulkheadFull, { readonly _tag: string }>

    it(`${tag} leaves out what is not known, and is handled as before`, () => {
      const error = new make({ [name]: "app/X", key: undefined, reason: reasons[0], retryAfter: undefined })
      const { decoded, json } = overTheWire(wire, error)
      assert.deepStrictEqual(json as object, { _tag: tag, [name]: "app/X", reason: reasons[0] })
      assert.instanceOf(decoded, make)
      assert.isTrue(Policy.isUnavailable(decoded))
      assert.strictEqual(decoded.message, error.message)
    })

    it(`${tag} refuses a reason that it does not know`, () => {
      const refused = Schema.decodeUnknownExit(wire)({ _tag: tag, [name]: "app/X", reason: "weather" })
      assert.strictEqual(refused._tag, "Failure")
    })

    it.effect(`${tag}: any of them round-trips`, () =>
      holds(
        Arbitrary.all([names, maybe(names), Arbitrary.schema(Schema.Literals(reasons)), maybe(spans)]),
        ([id, key, reason, retryAfter]) => {
          const error = new make({ [name]: id, key, reason, retryAfter })
          const { decoded } = overTheWire(wire, error)
          return decoded instanceof type && same(decoded, error)
        },
        { runs: 100 }
      )
    )
  }
})

describe("DeadlineExceeded", () => {
  it("keeps the class of this library's errors, and the name and message of any other", () => {
    const after = Duration.seconds(3)
    const timeout = new Policy.AttemptTimeout({ policy: "p", attempt: 1, after: Duration.millis(5) })
    const own = new Deadline.DeadlineExceeded({ name: "p", after, attempts: 2, lastError: timeout })
    const foreign = new Deadline.DeadlineExceeded({
      name: undefined,
      after,
      lastError: new NetworkError({ host: "h" })
    })

    const decodedOwn = overTheWire(Codecs.DeadlineExceeded, own).decoded
    assert.instanceOf(decodedOwn, Deadline.DeadlineExceeded)
    assert.instanceOf(decodedOwn.lastError, Policy.AttemptTimeout)
    assert.strictEqual(decodedOwn.message, own.message)

    const decodedForeign = overTheWire(Codecs.DeadlineExceeded, foreign).decoded
    assert.instanceOf(decodedForeign.lastError, Error)
    assert.strictEqual((decodedForeign.lastError as Error).name, "NetworkError")
    assert.isUndefined(decodedForeign.name)
  })

  it.effect("any of them round-trips", () =>
    holds(
      Arbitrary.all([maybe(names), spans, maybe(counts), maybe(names), maybe(spans)]),
      ([name, after, attempts, lastError, reserved]) => {
        const error = new Deadline.DeadlineExceeded({ name, after, attempts, lastError, reserved })
        const { decoded } = overTheWire(Codecs.DeadlineExceeded, error)
        return decoded instanceof Deadline.DeadlineExceeded && same(decoded, error)
      },
      { runs: 200 }
    )
  )
})

describe("RetryExhausted", () => {
  const network = new NetworkError({ host: "quotes.example" })
  const timeout = new Policy.AttemptTimeout({ policy: "quotes.get", attempt: 2, after: Duration.millis(800) })
  const exhausted = new Policy.RetryExhausted<NetworkError | Policy.AttemptTimeout>({
    policy: "quotes.get",
    reason: "rejected",
    attempts: 2,
    elapsed: Duration.millis(1234.5),
    lastError: timeout,
    history: [
      {
        number: 1,
        kind: "first",
        error: network,
        startedAfter: Duration.zero,
        took: Duration.millis(20),
        delay: Duration.millis(100)
      },
      { number: 2, kind: "retry", error: timeout, startedAfter: Duration.millis(120), took: Duration.millis(800) }
    ],
    cause: Cause.fail(timeout),
    deniedBy: "app/Quotes",
    rejection: new CircuitBreaker.CircuitOpen({
      breaker: "app/Quotes",
      key: undefined,
      state: "open",
      retryAfter: Duration.seconds(5)
    })
  })

  it("comes back with every part an instance of its class", () => {
    const { json, decoded } = overTheWire(Exhausted, exhausted)
    assert.instanceOf(decoded, Policy.RetryExhausted)
    assert.isTrue(Policy.isUnavailable(decoded))
    assert.strictEqual(decoded.message, exhausted.message)
    assert.instanceOf(decoded.lastError, Policy.AttemptTimeout)
    assert.instanceOf(decoded.history[0]?.error, NetworkError)
    assert.isTrue(Duration.equals(decoded.history[0]!.delay!, Duration.millis(100)))
    assert.isFalse("delay" in decoded.history[1]!)
    assert.isTrue(Cause.isCause(decoded.cause))
    assert.strictEqual(decoded.cause.reasons.length, 1)
    assert.instanceOf(decoded.rejection, CircuitBreaker.CircuitOpen)
    assert.deepInclude(json as object, { elapsed: 1234.5, deniedBy: "app/Quotes" })
    assert.notProperty(json, "retryAfter")
  })

  it("keeps the whole cause: failures, defects and interruptions", () => {
    const cause = Cause.fromReasons<NetworkError | Policy.AttemptTimeout>([
      Cause.makeFailReason(network),
      Cause.makeDieReason(new RangeError("out of range")),
      Cause.makeInterruptReason(7),
      Cause.makeInterruptReason()
    ])
    const { decoded } = overTheWire(Exhausted, new Policy.RetryExhausted({ ...fieldsOf(exhausted), cause }))
    const [fail, die, interrupt, unknown] = decoded.cause.reasons
    assert.isTrue(fail !== undefined && Cause.isFailReason(fail) && fail.error instanceof NetworkError)
    assert.isTrue(die !== undefined && Cause.isDieReason(die) && (die.defect as Error).name === "RangeError")
    assert.isTrue(interrupt !== undefined && Cause.isInterruptReason(interrupt) && interrupt.fiberId === 7)
    assert.isTrue(unknown !== undefined && Cause.isInterruptReason(unknown) && unknown.fiberId === undefined)
  })

  it("is told apart by the errors it can hold", () => {
    const OfTimeouts = Codecs.RetryExhausted(Codecs.AttemptTimeout)
    const OfNetwork = Codecs.RetryExhausted(NetworkError)
    assert.isTrue(Schema.is(OfTimeouts)(exhausted))
    assert.isFalse(Schema.is(OfNetwork)(exhausted))
  })

  it("is an error codec for what other modules of Effect build on one", () => {
    const Failure = Schema.Union([Exhausted, Codecs.CircuitOpen, Codecs.DeadlineExceeded])
    const Outcome = Schema.toCodecJson(Schema.Exit(Schema.Number, Failure, Schema.Defect()))
    const exit = Effect.runSyncExit(Effect.fail(exhausted))
    const decoded = Schema.decodeUnknownSync(Outcome)(JSON.parse(JSON.stringify(Schema.encodeSync(Outcome)(exit))))
    assert.strictEqual(decoded._tag, "Failure")
    if (decoded._tag === "Failure") assert.instanceOf(Cause.squash(decoded.cause), Policy.RetryExhausted)
  })

  it("has the types of its parts", () => {
    expectTypeOf<(typeof Exhausted)["Type"]>().toEqualTypeOf<
      Policy.RetryExhausted<NetworkError | Policy.AttemptTimeout>
    >()
    expectTypeOf<(typeof Exhausted)["DecodingServices"]>().toEqualTypeOf<never>()
    expectTypeOf<(typeof Exhausted)["Encoded"]["lastError"]>().toEqualTypeOf<
      { readonly _tag: "NetworkError"; readonly host: string; readonly at?: string } | Codecs.AttemptTimeoutEncoded
    >()
  })

  it.effect("any of them round-trips", () =>
    holds(
      Arbitrary.all({
        policy: names,
        reason: Arbitrary.schema(
          Schema.Literals(["schedule", "deadline", "budget", "rejected", "unsafe", "retry-after", "draining"])
        ),
        attempts: counts,
        elapsed: spans,
        lastError: Arbitrary.map(names, (host) => new NetworkError({ host })),
        retryAfter: maybe(spans),
        deniedBy: maybe(names),
        rejection: maybe(names)
      }),
      (fields) => {
        const cause = Cause.fail(fields.lastError)
        const error = new Policy.RetryExhausted<NetworkError>({ ...fields, cause, history: [] })
        const { decoded } = overTheWire(Codecs.RetryExhausted(NetworkError), error)
        return decoded instanceof Policy.RetryExhausted && same(decoded, error)
      },
      { runs: 200 }
    )
  )
})

describe("InvalidOption", () => {
  const values = [0, -1, 1.5, NaN, Infinity, -Infinity, "", "text", "NaN", true, null, undefined, { base: 1 }, [1, 2]]

  for (const value of values) {
    it(`keeps the value ${typeof value === "number" ? value : JSON.stringify(value)}`, () => {
      const error = new InvalidOption({ option: "threshold", value, allowed: "a number in [0, 1]" })
      const { decoded } = overTheWire(Codecs.InvalidOption, error)
      assert.instanceOf(decoded, InvalidOption)
      assert.deepStrictEqual(decoded.value, value)
      assert.strictEqual(decoded.message, error.message)
    })
  }

  const through = (value: unknown) => {
    const { decoded } = overTheWire(Codecs.InvalidOption, new InvalidOption({ option: "o", value, allowed: "a" }))
    return decoded.value
  }

  it("keeps numbers within", () => {
    for (const value of [{ x: NaN }, [Infinity, { y: [-Infinity] }], { number: NaN }]) {
      assert.deepStrictEqual(through(value), value)
    }
  })

  it("takes no object for a number", () => {
    const values = [
      { number: "NaN" },
      { number: "1" },
      { number: null },
      [{ number: "Infinity" }],
      { object: { number: "NaN" } },
      { object: { object: 1 } },
      { object: NaN },
      { number: "NaN", object: 1 },
      { number: { number: NaN } }
    ]
    for (const value of values) assert.deepStrictEqual(through(value), value)
  })

  it("says the text of what has no JSON form, within too", () => {
    class Model {
      readonly size = 1
    }
    const f = () => 1
    assert.strictEqual(through(f), String(f))
    assert.strictEqual(through(1n), "1n")
    assert.strictEqual(through(Symbol("s")), "Symbol(s)")
    assert.strictEqual(through(new Map([[1, 2]])), "Map([[1,2]])")
    assert.strictEqual(through(new Error("boom")), "Error: boom")
    assert.strictEqual(through(new Date(0)), "1970-01-01T00:00:00.000Z")
    assert.strictEqual(through(Duration.seconds(2)), String(Duration.seconds(2)))
    assert.strictEqual(through(new Model()), 'Model({"size":1})')
    assert.deepStrictEqual(through({ f, list: [1n, undefined], none: undefined }), {
      f: String(f),
      list: ["1n", "undefined"]
    })
    const self: { name: string; self?: unknown } = { name: "a" }
    self.self = self
    assert.deepStrictEqual(through(self), { name: "a", self: '{"name":"a","self":[Circular]}' })
    const twice = { a: 1 }
    assert.deepStrictEqual(through([twice, twice]), [twice, twice])
  })

  it.effect("keeps any value that has a JSON form", () =>
    holds(
      Arbitrary.map(Arbitrary.schema(Schema.Json), (json): unknown => JSON.parse(JSON.stringify(json))),
      (json) => {
        for (const value of [json, { number: json }, { object: json }]) assert.deepStrictEqual(through(value), value)
        return true
      },
      { runs: 300 }
    )
  )
})

/** The fields of an error, without what `Error` adds. */
const fieldsOf = <E>({ policy, reason, attempts, elapsed, lastError, history, cause }: Policy.RetryExhausted<E>) => ({
  policy,
  reason,
  attempts,
  elapsed,
  lastError,
  history,
  cause
})
