import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, Exit } from "effect"
import * as Fault from "../../src/Fault.ts"
import {
  AttemptTimeout,
  DeadlineExceeded,
  describe as words,
  RetryExhausted,
  type Reason
} from "../../src/internal/errors.ts"
import { stackless } from "../../src/internal/stackless.ts"
import { isUnavailable, UnavailableTypeId } from "../../src/internal/unavailable.ts"

class Down extends Data.TaggedError("Down") {}
class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const down = new Down()
const cause = Cause.fail(down)

const exhausted = (reason: Reason, more: Partial<ConstructorParameters<typeof RetryExhausted>[0]> = {}) =>
  new RetryExhausted<Down>({
    policy: "quotes.get",
    reason,
    attempts: 3,
    elapsed: Duration.millis(1234.4),
    lastError: down,
    history: [],
    cause,
    ...more
  })

describe("RetryExhausted", () => {
  const head = "quotes.get failed after 3 attempts in 1s 234ms with Down; "
  const rows: ReadonlyArray<readonly [string, RetryExhausted<unknown>, string]> = [
    ["schedule", exhausted("schedule"), "its retry schedule has ended"],
    ["deadline", exhausted("deadline"), "the next attempt would not fit before the deadline"],
    [
      "budget",
      exhausted("budget", { deniedBy: "app/Upstream" }),
      "the retry budget app/Upstream is used up, so that retries do not add to an outage"
    ],
    [
      "rejected",
      exhausted("rejected", { deniedBy: "app/Quotes", rejection: new Refused({ message: "open for 5s" }) }),
      "app/Quotes refused the next attempt: Refused: open for 5s"
    ],
    [
      "unsafe",
      exhausted("unsafe"),
      "it is not idempotent and the dependency may have acted: give the policy an idempotency key to retry safely"
    ],
    [
      "retry-after",
      exhausted("retry-after", { retryAfter: Duration.minutes(5) }),
      "the dependency asked to wait 5m, which is above retryAfterCeiling"
    ],
    [
      "retry-after without the hint",
      exhausted("retry-after"),
      "the dependency asked to wait longer, which is above retryAfterCeiling"
    ],
    ["draining", exhausted("draining"), "this process is shutting down and makes no new retries"]
  ]
  for (const [name, error, why] of rows) {
    it(`says what happened and why it stopped: ${name}`, () => assert.strictEqual(error.message, head + why))
  }

  it("one attempt", () => {
    assert.strictEqual(
      exhausted("schedule", { attempts: 1, elapsed: Duration.zero }).message,
      "quotes.get failed after 1 attempt in 0ms with Down; its retry schedule has ended"
    )
  })

  it("carries what it was given, the whole cause included", () => {
    const error = exhausted("budget", { deniedBy: "b", retryAfter: Duration.seconds(1), rejection: 1 })
    assert.strictEqual(error._tag, "RetryExhausted")
    assert.strictEqual(error.name, "RetryExhausted")
    assert.strictEqual(error.cause, cause)
    assert.strictEqual(error.lastError, down)
    assert.deepStrictEqual(
      [error.policy, error.reason, error.attempts, error.deniedBy, error.rejection],
      ["quotes.get", "budget", 3, "b", 1]
    )
    assert.deepStrictEqual(error.retryAfter, Duration.seconds(1))
  })

  it("carries no verdict: a policy further out does not retry it", () => {
    assert.isUndefined(Fault.auto.classify(exhausted("schedule")))
  })

  it("JSON", () => {
    const json = JSON.parse(JSON.stringify(exhausted("budget", { deniedBy: "b" })))
    assert.strictEqual(json._tag, "RetryExhausted")
    assert.strictEqual(json.policy, "quotes.get")
    assert.strictEqual(json.reason, "budget")
    assert.strictEqual(json.attempts, 3)
    assert.strictEqual(json.deniedBy, "b")
    assert.deepStrictEqual(json.lastError, { _tag: "Down" })
    assert.deepStrictEqual(json.history, [])
    assert.strictEqual(json.elapsed._id, "Duration")
  })
})

describe("AttemptTimeout", () => {
  const error = new AttemptTimeout({ policy: "quotes.get", attempt: 2, after: Duration.millis(800) })

  it("says which limit it was", () => {
    assert.strictEqual(error.message, "attempt 2 of quotes.get was stopped after 800ms, its attemptTimeout")
    assert.strictEqual(error._tag, "AttemptTimeout")
    assert.strictEqual(error.name, "AttemptTimeout")
  })

  it("is transient", () => assert.deepStrictEqual(error[Fault.verdict], Fault.transient()))

  it("JSON", () => {
    assert.deepStrictEqual(JSON.parse(JSON.stringify(error)), {
      _tag: "AttemptTimeout",
      policy: "quotes.get",
      attempt: 2,
      after: { _id: "Duration", _tag: "Millis", millis: 800 }
    })
  })
})

describe("DeadlineExceeded", () => {
  it("says whose time it was, and what went before", () => {
    const after = Duration.seconds(3)
    const message = (more: Partial<ConstructorParameters<typeof DeadlineExceeded>[0]>) =>
      new DeadlineExceeded({ name: undefined, after, ...more }).message
    assert.strictEqual(message({}), "the effect did not finish within 3s")
    assert.strictEqual(message({ name: "answer" }), "answer did not finish within 3s")
    assert.strictEqual(message({ name: "p", attempts: 2 }), "p did not finish within 3s (attempts: 2)")
    assert.strictEqual(
      message({ name: "p", attempts: 2, lastError: down }),
      "p did not finish within 3s (attempts: 2); the last error was Down"
    )
    assert.strictEqual(message({ lastError: "text" }), "the effect did not finish within 3s; the last error was text")
    assert.strictEqual(message({ after: Duration.millis(0.4) }), "the effect did not finish within 0ms")
    assert.strictEqual(message({ after: Duration.millis(999.6) }), "the effect did not finish within 1s")
  })

  it("says that nothing began", () => {
    const message = (name: string | undefined) => new DeadlineExceeded({ name, after: Duration.zero }).message
    assert.strictEqual(message("GET /page"), "GET /page had no time left and did not begin")
    assert.strictEqual(message(undefined), "the effect had no time left and did not begin")
  })

  it("says that some of the time was reserved: it is not the owner's that was too short", () => {
    const reserved = Duration.millis(300)
    const message = (name: string | undefined, after: number) =>
      new DeadlineExceeded({ name, after: Duration.millis(after), reserved }).message
    assert.strictEqual(
      message("GET /page", 700),
      "the effect did not finish within 700ms, because 300ms before the deadline of GET /page are reserved"
    )
    assert.strictEqual(
      message(undefined, 0),
      "the effect had no time left and did not begin, because 300ms before the deadline are reserved"
    )
  })

  const error = new DeadlineExceeded({ name: "p", after: Duration.seconds(3) })

  it("is final, and a sign of ill health", () => {
    assert.strictEqual(error._tag, "DeadlineExceeded")
    assert.deepStrictEqual(error[Fault.verdict], Fault.permanent({ health: "failed" }))
  })

  it("JSON", () => {
    assert.deepStrictEqual(JSON.parse(JSON.stringify(error)), {
      _tag: "DeadlineExceeded",
      name: "p",
      after: { _id: "Duration", _tag: "Millis", millis: 3000 }
    })
  })
})

describe("describe: an error in a few words", () => {
  const rows: ReadonlyArray<readonly [unknown, string]> = [
    ["text", "text"],
    ["", ""],
    [1, "number"],
    [undefined, "undefined"],
    [null, "null"],
    [down, "Down"],
    [new Refused({ message: "connection refused" }), "Refused: connection refused"],
    [new Refused({ message: "Refused" }), "Refused"],
    [new Refused({ message: "" }), "Refused"],
    [new TypeError("fetch failed"), "TypeError: fetch failed"],
    [new Error(), "Error"],
    [{ _tag: "Plain", message: "not an Error" }, "Plain"],
    [{ _tag: 1 }, "Object"],
    [Object.create(null), "Object"]
  ]
  for (const [error, expected] of rows) {
    it(JSON.stringify(expected), () => assert.strictEqual(words(error), expected))
  }
})

describe("the mark", () => {
  it("is on each of them, and on the prototype: it is no data", () => {
    for (const error of [
      exhausted("schedule"),
      new AttemptTimeout({ policy: "p", attempt: 1, after: Duration.zero }),
      new DeadlineExceeded({ name: "p", after: Duration.zero })
    ]) {
      assert.isTrue(isUnavailable(error))
      assert.strictEqual(error[UnavailableTypeId], UnavailableTypeId)
      assert.isFalse(Object.keys(error).includes(UnavailableTypeId))
      assert.isFalse(JSON.stringify(error).includes(UnavailableTypeId))
    }
  })

  it.effect("each of them is an Effect that fails with it", () =>
    Effect.gen(function* () {
      const error = new DeadlineExceeded({ name: "p", after: Duration.zero })
      assert.deepStrictEqual(
        yield* Effect.exit(
          Effect.gen(function* () {
            return yield* error
          })
        ),
        Exit.fail(error)
      )
    })
  )
})

describe("stackless", () => {
  const limit = () => (Error as { stackTraceLimit?: number }).stackTraceLimit

  it("captures no stack trace", () => {
    const bare = stackless(() => exhausted("schedule"))
    const full = exhausted("schedule")
    assert.match(full.stack!, /\n\s+at /)
    assert.notMatch(bare.stack!, /\n\s+at /)
    assert.strictEqual(bare.message, full.message)
  })

  it("puts the limit back, also when making throws", () => {
    const before = limit()
    assert.strictEqual(
      stackless(() => {
        assert.strictEqual(limit(), 0)
        return 7
      }),
      7
    )
    assert.strictEqual(limit(), before)
    assert.throws(
      () =>
        stackless(() => {
          throw new Error("no")
        }),
      "no"
    )
    assert.strictEqual(limit(), before)
    assert.isAbove(before!, 0)
  })
})
