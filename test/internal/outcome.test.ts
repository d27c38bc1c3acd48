import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Duration, Exit } from "effect"
import * as Fault from "../../src/Fault.ts"
import type { Outcome } from "../../src/Guard.ts"
import { AttemptTimeout, DeadlineExceeded, RetryExhausted } from "../../src/internal/errors.ts"
import { InvalidOption } from "../../src/InvalidOption.ts"
import * as Outcomes from "../../src/internal/outcome.ts"
import { UnavailableTypeId } from "../../src/internal/unavailable.ts"

class Down extends Data.TaggedError("Down") {}
class Busy extends Data.TaggedError("Busy") {}
class Final extends Data.TaggedError("Final") {}
class Unknown extends Data.TaggedError("Unknown") {}

const down = new Down()
const busy = new Busy()
const final = new Final()
const unknown = new Unknown()

const faults = Fault.byTag<Down | Busy | Final>()({
  Down: "transient",
  Busy: () => Fault.throttled({ retryAfter: "2 seconds" }),
  Final: "permanent"
})

const exhausted = new RetryExhausted({
  policy: "inner",
  reason: "schedule",
  attempts: 2,
  elapsed: Duration.zero,
  lastError: down,
  history: [],
  cause: Cause.fail(down)
})
const deadlineExceeded = new DeadlineExceeded({ name: "inner", after: Duration.seconds(1) })
const attemptTimeout = new AttemptTimeout({ policy: "inner", attempt: 1, after: Duration.seconds(1) })
class CircuitOpen extends Data.TaggedError("CircuitOpen") {
  readonly [UnavailableTypeId] = UnavailableTypeId
}
const circuitOpen = new CircuitOpen()

const cause = (...causes: ReadonlyArray<Cause.Cause<unknown>>): Cause.Cause<unknown> =>
  Cause.fromReasons(causes.flatMap((c) => c.reasons))

const outcome = (
  kind: Outcome["kind"],
  health: Outcome["health"],
  retryAfter: Duration.Duration | undefined = undefined
): Outcome => ({ kind, health, retryAfter })

describe("one failure", () => {
  const rows: ReadonlyArray<{
    readonly name: string
    readonly cause: Cause.Cause<unknown>
    readonly outcome: Outcome
    readonly error?: unknown
    readonly verdict?: Fault.Verdict
    readonly nested?: boolean
  }> = [
    {
      name: "transient: the dependency is ill",
      cause: Cause.fail(down),
      outcome: outcome("transient", "failed"),
      error: down,
      verdict: Fault.transient()
    },
    {
      name: "throttled: not ill; the hint is kept",
      cause: Cause.fail(busy),
      outcome: outcome("throttled", "ignored", Duration.seconds(2)),
      error: busy,
      verdict: Fault.throttled({ retryAfter: "2 seconds" })
    },
    {
      name: "permanent: the dependency answers",
      cause: Cause.fail(final),
      outcome: outcome("permanent", "ok"),
      error: final,
      verdict: Fault.permanent()
    },
    {
      name: "unrecognised: counts as a failure",
      cause: Cause.fail(unknown),
      outcome: outcome("unrecognised", "failed"),
      error: unknown
    },
    {
      name: "a failure that is undefined",
      cause: Cause.fail(undefined),
      outcome: outcome("unrecognised", "failed")
    },
    { name: "defect", cause: Cause.die("bug"), outcome: outcome("defect", "failed") },
    { name: "interruption: neutral", cause: Cause.interrupt(1), outcome: outcome("interrupted", "ignored") },
    { name: "nothing at all: neutral", cause: Cause.empty, outcome: outcome("interrupted", "ignored") },
    {
      name: "a rejection by a guard further in says nothing of the dependency",
      cause: Cause.fail(circuitOpen),
      outcome: outcome("unrecognised", "ignored"),
      error: circuitOpen,
      nested: true
    },
    {
      name: "a policy further in gave up: failed",
      cause: Cause.fail(exhausted),
      outcome: outcome("unrecognised", "failed"),
      error: exhausted,
      nested: true
    },
    {
      name: "a deadline further in has passed: failed",
      cause: Cause.fail(deadlineExceeded),
      outcome: outcome("unrecognised", "failed"),
      error: deadlineExceeded,
      nested: true
    },
    {
      name: "an attempt further in timed out: failed",
      cause: Cause.fail(attemptTimeout),
      outcome: outcome("unrecognised", "failed"),
      error: attemptTimeout,
      nested: true
    }
  ]

  for (const row of rows) {
    it(row.name, () => {
      assert.deepStrictEqual(Outcomes.ofCause(row.cause, faults), {
        outcome: row.outcome,
        error: row.error,
        cause: row.cause,
        verdict: row.verdict,
        nested: row.nested ?? false
      })
      assert.deepStrictEqual(Outcomes.ofExit(Exit.failCause(row.cause), faults), row.outcome)
    })
  }

  it("success", () => {
    assert.deepStrictEqual(Outcomes.ofExit(Exit.succeed(down), faults), outcome("success", "ok"))
    assert.strictEqual(Outcomes.ofExit(Exit.void, faults), Outcomes.success)
  })

  it("a limit of the policy's own", () => {
    assert.deepStrictEqual(Outcomes.timeout, outcome("timeout", "failed"))
    assert.deepStrictEqual(Outcomes.interrupted, outcome("interrupted", "ignored"))
    for (const cut of [Outcomes.timeout, Outcomes.interrupted]) {
      const whole = Cause.fail(attemptTimeout)
      assert.deepStrictEqual(Outcomes.ofCut(cut, whole), {
        outcome: cut,
        error: attemptTimeout,
        cause: whole,
        verdict: undefined,
        nested: false
      })
    }
  })

  it("what is retried", () => {
    const kinds = [
      "success",
      "transient",
      "throttled",
      "permanent",
      "unrecognised",
      "timeout",
      "defect",
      "interrupted"
    ] as const
    assert.deepStrictEqual(
      kinds.filter((kind) => Outcomes.isRetried(outcome(kind, "ok"))),
      ["transient", "throttled", "timeout"]
    )
  })
})

describe("the classifier has the last word", () => {
  it("on health", () => {
    for (const kind of ["transient", "throttled", "permanent"] as const) {
      for (const health of ["ok", "failed", "ignored"] as const) {
        const verdict: Fault.Verdict = { kind, health }
        const seen = Outcomes.ofCause(
          Cause.fail(1),
          Fault.make(() => verdict)
        )
        assert.deepStrictEqual(seen.outcome, outcome(kind, health))
        assert.strictEqual(seen.verdict, verdict)
      }
    }
  })

  it("on this library's errors: then they are as good as any other", () => {
    const all = Fault.make(() => Fault.transient())
    for (const error of [exhausted, deadlineExceeded, attemptTimeout, circuitOpen]) {
      const seen = Outcomes.ofCause(Cause.fail(error), all)
      assert.deepStrictEqual(seen.outcome, outcome("transient", "failed"))
      assert.isFalse(seen.nested)
    }
  })

  it("a classifier that throws is a defect: the original failure first, what it threw beside it", () => {
    const bug = new Error("bug in the classifier")
    const thrower = Fault.make((e) => {
      if (e === unknown) throw bug
      return Fault.transient()
    })
    const seen = Outcomes.ofCause(Cause.fail(unknown), thrower)
    assert.deepStrictEqual(seen.outcome, outcome("defect", "failed"))
    assert.isUndefined(seen.error)
    assert.isUndefined(seen.verdict)
    assert.isFalse(seen.nested)
    assert.deepStrictEqual(
      seen.cause.reasons.map((reason) =>
        reason._tag === "Fail" ? reason.error : reason._tag === "Die" && reason.defect
      ),
      [unknown, bug]
    )
    // also where it throws on the second failure
    assert.strictEqual(Outcomes.ofCause(cause(Cause.fail(down), Cause.fail(unknown)), thrower).outcome.kind, "defect")
  })
})

describe("a verdict that was not made by Fault", () => {
  class Marked extends Data.TaggedError("Marked")<{ readonly verdict: unknown }> {
    get [Fault.verdict]() {
      return this.verdict
    }
  }
  const see = (verdict: unknown) => Outcomes.ofCause(Cause.fail(new Marked({ verdict })), Fault.auto)

  it("counts like one that was", () => {
    const seen = see({ kind: "throttled", retryAfter: Duration.seconds(2) })
    assert.deepStrictEqual(seen.outcome, outcome("throttled", "ignored", Duration.seconds(2)))
  })

  it("a hint of less than 0 is now", () => {
    const seen = see({ kind: "transient", retryAfter: Duration.seconds(-2) })
    assert.deepStrictEqual(seen.outcome, outcome("transient", "failed", Duration.zero))
    const auto = { isRetryable: true, retryAfter: Duration.seconds(-2) }
    assert.deepStrictEqual(Outcomes.ofCause(Cause.fail(auto), Fault.auto).outcome.retryAfter, Duration.zero)
  })

  it("what makes no sense is a bug beside the original failure", () => {
    for (const verdict of ["transient", null, 1, {}, { kind: "toString" }, { kind: "transient", retryAfter: NaN }]) {
      const seen = see(verdict)
      assert.deepStrictEqual(seen.outcome, outcome("defect", "failed"))
      const [first, second] = seen.cause.reasons
      assert.isTrue(first?._tag === "Fail" && first.error instanceof Marked)
      assert.isTrue(second?._tag === "Die" && second.defect instanceof InvalidOption)
    }
  })
})

describe("several failures", () => {
  const die = Cause.die("bug")
  const interrupt = Cause.interrupt(1)
  const rows: ReadonlyArray<readonly [string, Cause.Cause<unknown>, Outcome["kind"], unknown]> = [
    ["defect over everything", cause(Cause.fail(final), interrupt, Cause.fail(down), die), "defect", undefined],
    ["defect over interruption", cause(interrupt, die), "defect", undefined],
    ["defect first", cause(die, Cause.fail(down)), "defect", undefined],
    ["interruption over failures", cause(Cause.fail(down), interrupt), "interrupted", undefined],
    ["interruption over a permanent one", cause(interrupt, Cause.fail(final)), "interrupted", undefined],
    ["permanent over transient", cause(Cause.fail(down), Cause.fail(final)), "permanent", final],
    ["permanent over throttled", cause(Cause.fail(busy), Cause.fail(final), Cause.fail(down)), "permanent", final],
    ["unrecognised over transient", cause(Cause.fail(down), Cause.fail(unknown)), "unrecognised", unknown],
    ["the first final one", cause(Cause.fail(down), Cause.fail(unknown), Cause.fail(final)), "unrecognised", unknown],
    ["else the first: transient", cause(Cause.fail(down), Cause.fail(busy)), "transient", down],
    ["else the first: throttled", cause(Cause.fail(busy), Cause.fail(down)), "throttled", busy]
  ]
  for (const [name, whole, kind, error] of rows) {
    it(name, () => {
      const seen = Outcomes.ofCause(whole, faults)
      assert.strictEqual(seen.outcome.kind, kind)
      assert.strictEqual(seen.error, error)
      assert.strictEqual(seen.cause, whole)
    })
  }
})
