import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Duration } from "effect"
import * as Fault from "../src/Fault.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import { AttemptTimeout, DeadlineExceeded, RetryExhausted } from "../src/internal/errors.ts"
import { UnavailableTypeId } from "../src/internal/unavailable.ts"

class NetworkError extends Data.TaggedError("NetworkError") {}
class Busy extends Data.TaggedError("Busy")<{ readonly after: Duration.Duration }> {}
class NotFound extends Data.TaggedError("NotFound") {}
type E = NetworkError | Busy | NotFound

const network = new NetworkError()
const busy = new Busy({ after: Duration.seconds(3) })
const notFound = new NotFound()

const exhausted = new RetryExhausted<NetworkError>({
  policy: "inner",
  reason: "schedule",
  attempts: 2,
  elapsed: Duration.zero,
  lastError: network,
  history: [],
  cause: Cause.fail(network)
})
const deadlineExceeded = new DeadlineExceeded({ name: "inner", after: Duration.seconds(1) })
const attemptTimeout = new AttemptTimeout({ policy: "inner", attempt: 1, after: Duration.seconds(1) })
const circuitOpen = { _tag: "CircuitOpen", [UnavailableTypeId]: UnavailableTypeId }

/** What no classifier that goes by tags may trip over. */
const oddities: ReadonlyArray<unknown> = [
  undefined,
  null,
  "NetworkError",
  0,
  NaN,
  true,
  1n,
  Symbol("NetworkError"),
  () => {},
  {},
  [],
  new Error("NetworkError"),
  Object.create(null),
  { _tag: undefined },
  { _tag: null },
  { _tag: 1 },
  { _tag: "constructor" },
  { _tag: "toString" },
  { _tag: "__proto__" },
  { _tag: "hasOwnProperty" },
  { tag: "NetworkError" }
]

const kindOf = (classifier: Fault.Classifier, error: unknown) => classifier.classify(error)?.kind

describe("verdicts", () => {
  const constructors = [
    ["transient", Fault.transient],
    ["throttled", Fault.throttled],
    ["permanent", Fault.permanent]
  ] as const

  for (const [kind, make] of constructors) {
    it(`${kind}: plain, one value for all`, () => {
      assert.deepStrictEqual(make(), {
        kind,
        retryAfter: undefined,
        unprocessed: undefined,
        health: undefined
      } as never)
      assert.strictEqual(make() as unknown, make())
      assert.strictEqual(make() as unknown, make(undefined))
    })

    it(`${kind}: with options`, () => {
      assert.deepStrictEqual(make({ retryAfter: "2 seconds", unprocessed: true, health: "ignored" }), {
        kind,
        retryAfter: Duration.seconds(2),
        unprocessed: true,
        health: "ignored"
      } as never)
      assert.deepStrictEqual(make({}), make() as never)
      assert.deepStrictEqual(make({ unprocessed: false, health: undefined, retryAfter: undefined }), {
        ...make(),
        unprocessed: false
      } as never)
      assert.deepStrictEqual(make({ health: "failed" }), { ...make(), health: "failed" } as never)
    })
  }

  it("retryAfter in every form of Duration.Input", () => {
    const forms: ReadonlyArray<readonly [Duration.Input, Duration.Duration]> = [
      [1500, Duration.millis(1500)],
      [0, Duration.zero],
      [1_500_000n, Duration.millis(1.5)],
      ["90 seconds", Duration.minutes(1.5)],
      [[2, 500_000_000], Duration.seconds(2.5)],
      [{ minutes: 1, seconds: 1 }, Duration.seconds(61)],
      ["Infinity", Duration.infinity],
      [Duration.hours(1), Duration.hours(1)]
    ]
    for (const [input, expected] of forms) {
      const { retryAfter } = Fault.throttled({ retryAfter: input })
      assert.isTrue(Duration.isDuration(retryAfter))
      assert.strictEqual(Duration.toMillis(retryAfter!), Duration.toMillis(expected))
    }
  })
})

describe("a retryAfter that makes no sense", () => {
  const hint = (retryAfter: unknown) => Fault.throttled({ retryAfter: retryAfter as Duration.Input }).retryAfter

  it("NaN, as of a header that could not be read, is no hint", () => {
    for (const value of [NaN, [NaN, 0], { seconds: NaN }]) assert.isUndefined(hint(value))
  })

  it("less than 0, as of a moment that has passed, is now", () => {
    for (const value of [-5, -5n, "-1 seconds", "-Infinity", Duration.seconds(-1), { seconds: -1 }]) {
      assert.deepStrictEqual(hint(value), Duration.zero)
    }
  })

  it("what is no duration is refused", () => {
    for (const value of ["soon", "", null, true, {}.constructor]) {
      assert.throws(() => hint(value), InvalidOption, "Fault.throttled: retryAfter must be a duration")
    }
    assert.throws(
      () => Fault.transient({ retryAfter: "soon" as never }),
      InvalidOption,
      'Fault.transient: retryAfter must be a duration, such as "2 seconds", 2000 (milliseconds) or Duration.seconds(2), but it is "soon"'
    )
  })
})

describe("byTag", () => {
  const classifier = Fault.byTag<E>()({
    NetworkError: "transient",
    Busy: (e) => Fault.throttled({ retryAfter: e.after }),
    NotFound: "permanent"
  })

  it("gives a kind, or what the function says of the error", () => {
    assert.strictEqual(classifier.classify(network) as unknown, Fault.transient())
    assert.strictEqual(classifier.classify(notFound) as unknown, Fault.permanent())
    assert.deepStrictEqual(classifier.classify(busy), Fault.throttled({ retryAfter: "3 seconds" }))
  })

  it("goes by the tag, not by the class", () => {
    assert.strictEqual(kindOf(classifier, { _tag: "NetworkError" }), "transient")
  })

  it("knows nothing else: no other tag, no name of Object.prototype, no non-object", () => {
    for (const error of [...oddities, { _tag: "Other" }, exhausted, deadlineExceeded, attemptTimeout]) {
      assert.isUndefined(classifier.classify(error), String(Object.prototype.toString.call(error)))
    }
  })

  it("has the cases of the moment it was made", () => {
    const cases: { NetworkError: Fault.Kind } = { NetworkError: "transient" }
    const made = Fault.byTag<NetworkError>()(cases)
    cases.NetworkError = "permanent"
    assert.strictEqual(kindOf(made, network), "transient")
  })

  it("a tag named like a property of Object", () => {
    const made = Fault.byTag<{ readonly _tag: "constructor" } | { readonly _tag: "toString" }>()({
      constructor: "transient",
      toString: () => Fault.permanent()
    })
    assert.strictEqual(kindOf(made, { _tag: "constructor" }), "transient")
    assert.strictEqual(kindOf(made, { _tag: "toString" }), "permanent")
    assert.isUndefined(made.classify({ _tag: "valueOf" }))
  })

  it("this library's errors, where they are named", () => {
    const made = Fault.byTag<RetryExhausted<E> | DeadlineExceeded>()({
      RetryExhausted: "transient",
      DeadlineExceeded: (e) => (e.name === "inner" ? Fault.transient() : Fault.permanent())
    })
    assert.strictEqual(kindOf(made, exhausted), "transient")
    assert.strictEqual(kindOf(made, deadlineExceeded), "transient")
  })
})

describe("tags", () => {
  it("three lists", () => {
    const classifier = Fault.tags({ transient: ["NetworkError", "A"], throttled: ["Busy"], permanent: ["NotFound"] })
    assert.strictEqual(classifier.classify(network) as unknown, Fault.transient())
    assert.strictEqual(kindOf(classifier, { _tag: "A" }), "transient")
    assert.strictEqual(classifier.classify(busy) as unknown, Fault.throttled())
    assert.strictEqual(classifier.classify(notFound) as unknown, Fault.permanent())
    for (const error of [...oddities, { _tag: "Other" }, exhausted]) assert.isUndefined(classifier.classify(error))
  })

  it("of two lists that name a tag, transient comes before throttled, and throttled before permanent", () => {
    const all = Fault.tags({ permanent: ["a", "b", "c", "d"], throttled: ["a", "b", "d"], transient: ["a", "c"] })
    assert.deepStrictEqual(
      ["a", "b", "c", "d"].map((_tag) => kindOf(all, { _tag })),
      ["transient", "throttled", "transient", "throttled"]
    )
  })

  it("lists that are absent, undefined or empty", () => {
    for (const lists of [{}, { transient: undefined }, { transient: [], throttled: [], permanent: [] }]) {
      assert.isUndefined(Fault.tags(lists).classify(network))
    }
    assert.strictEqual(kindOf(Fault.tags({ transient: undefined, permanent: ["NotFound"] }), notFound), "permanent")
  })
})

describe("refine", () => {
  const isNegative = (e: unknown): e is number => typeof e === "number" && e < 0

  it("what it accepts is transient", () => {
    const classifier = Fault.refine(isNegative)
    assert.strictEqual(classifier.classify(-1) as unknown, Fault.transient())
    for (const error of [1, "x", undefined, null, network]) assert.isUndefined(classifier.classify(error))
    assert.strictEqual(kindOf(Fault.refine(isNegative, undefined), -1), "transient")
  })

  it("with a verdict", () => {
    const verdict = Fault.throttled({ retryAfter: 1 })
    const classifier = Fault.refine(isNegative, verdict)
    assert.strictEqual(classifier.classify(-1), verdict)
    assert.isUndefined(classifier.classify(1))
  })

  it("with a function, which is asked about accepted errors only", () => {
    const seen: Array<unknown> = []
    const classifier = Fault.refine(isNegative, (n) => {
      seen.push(n)
      return n < -1 ? Fault.permanent() : Fault.transient()
    })
    assert.deepStrictEqual(
      [-1, -2, 1, "x"].map((e) => kindOf(classifier, e)),
      ["transient", "permanent", undefined, undefined]
    )
    assert.deepStrictEqual(seen, [-1, -2])
  })
})

describe("make", () => {
  it("is asked about everything, and answers as the function does", () => {
    const seen: Array<unknown> = []
    const verdict = Fault.permanent({ health: "failed" })
    const classifier = Fault.make((e) => {
      seen.push(e)
      return e === 1 ? verdict : undefined
    })
    assert.strictEqual(classifier.classify(1), verdict)
    assert.isUndefined(classifier.classify(exhausted))
    assert.deepStrictEqual(seen, [1, exhausted])
  })
})

describe("all", () => {
  it("every failure is transient, whatever it is", () => {
    for (const error of [...oddities, network, notFound]) {
      assert.strictEqual(Fault.all.classify(error) as unknown, Fault.transient())
    }
  })

  it("but for this library's errors; a nested attempt timeout is one that may work next time", () => {
    for (const error of [exhausted, deadlineExceeded, circuitOpen]) assert.isUndefined(Fault.all.classify(error))
    assert.strictEqual(kindOf(Fault.all, attemptTimeout), "transient")
    // somebody else's error of the same name is no error of this library
    assert.strictEqual(kindOf(Fault.all, { _tag: "RetryExhausted" }), "transient")
  })
})

describe("auto", () => {
  const auto = (error: unknown) => Fault.auto.classify(error)

  it("the verdict that the error carries comes first, unchanged", () => {
    const verdict = Fault.throttled({ retryAfter: "1 second", unprocessed: true, health: "failed" })
    class Refused extends Data.TaggedError("Refused") {
      readonly [Fault.verdict] = verdict
    }
    class Final extends Data.TaggedError("Final") {
      readonly [Fault.verdict] = Fault.permanent()
      readonly isRetryable = true
    }
    class FromPrototype extends Error {
      get [Fault.verdict]() {
        return verdict
      }
    }
    assert.strictEqual(auto(new Refused()), verdict)
    assert.strictEqual(auto(new FromPrototype()), verdict)
    assert.strictEqual(auto(new Final())?.kind, "permanent")
    const timeout = Object.assign(new Cause.TimeoutError(), { [Fault.verdict]: Fault.permanent() })
    assert.strictEqual(auto(timeout)?.kind, "permanent")
  })

  it("a marker that is undefined says nothing", () => {
    assert.strictEqual(auto({ [Fault.verdict]: undefined, isRetryable: true })?.kind, "transient")
    assert.isUndefined(auto({ [Fault.verdict]: undefined }))
  })

  it("isRetryable: true, and only true", () => {
    assert.strictEqual(auto({ isRetryable: true }) as unknown, Fault.transient())
    for (const isRetryable of [false, undefined, 1, "true", {}]) assert.isUndefined(auto({ isRetryable }))
    class Getter extends Error {
      get isRetryable() {
        return true
      }
    }
    assert.strictEqual(auto(new Getter())?.kind, "transient")
  })

  it("with isRetryable, a retryAfter that is a Duration is the hint", () => {
    assert.deepStrictEqual(
      auto({ isRetryable: true, retryAfter: Duration.seconds(5) }),
      Fault.transient({ retryAfter: "5 seconds" })
    )
    for (const retryAfter of [undefined, 5, "5 seconds", { seconds: 5 }]) {
      assert.strictEqual(auto({ isRetryable: true, retryAfter }) as unknown, Fault.transient())
    }
    assert.isUndefined(auto({ isRetryable: false, retryAfter: Duration.seconds(5) }))
  })

  it("a retryAfter alone makes nothing retryable", () => {
    assert.isUndefined(auto({ retryAfter: Duration.seconds(5) }))
  })

  it("Effect's TimeoutError", () => {
    assert.strictEqual(auto(new Cause.TimeoutError()) as unknown, Fault.transient())
    assert.isUndefined(auto({ _tag: "TimeoutError" }))
  })

  it("all else is unrecognised", () => {
    for (const error of [...oddities, network, circuitOpen, exhausted]) assert.isUndefined(auto(error))
  })

  it("of this library's errors: an attempt's timeout is transient, a deadline passed is final and says that nobody answered", () => {
    assert.deepStrictEqual(auto(attemptTimeout), Fault.transient())
    assert.deepStrictEqual(auto(deadlineExceeded), Fault.permanent({ health: "failed" }))
  })

  it("the marker is one symbol for all copies of the library", () => {
    assert.strictEqual(Fault.verdict, Symbol.for("effect-resilience/Fault/verdict"))
  })
})

describe("orElse", () => {
  it("the first that recognises the error decides; the second is not asked then", () => {
    const asked: Array<unknown> = []
    const second = Fault.make((e) => {
      asked.push(e)
      return e === busy || e === network ? Fault.throttled() : undefined
    })
    const classifier = Fault.orElse(Fault.tags({ transient: ["NetworkError"] }), second)
    assert.strictEqual(kindOf(classifier, network), "transient")
    assert.strictEqual(kindOf(classifier, busy), "throttled")
    assert.isUndefined(classifier.classify(notFound))
    assert.deepStrictEqual(asked, [busy, notFound])
  })

  it("nests", () => {
    const classifier = Fault.orElse(
      Fault.orElse(Fault.tags({ permanent: ["NotFound"] }), Fault.tags({ throttled: ["Busy", "NotFound"] })),
      Fault.all
    )
    assert.deepStrictEqual(
      [notFound, busy, network].map((e) => kindOf(classifier, e)),
      ["permanent", "throttled", "transient"]
    )
  })
})
