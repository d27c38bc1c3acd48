import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Effect, Schema } from "effect"
import type { Event } from "../../src/internal/events.ts"
import { Accumulator, BOUNDS, OTHER } from "../../src/internal/report.ts"
import type { PolicyReport } from "../../src/internal/report.ts"

const call = { at: 1, policy: "p", key: undefined }
const elapsed = Duration.millis(5)

const summaryOf = (events: ReadonlyArray<Event>) => {
  const counts = new Accumulator()
  for (const event of events) counts.add(event)
  return counts.summary()
}

const policyOf = (events: ReadonlyArray<Event>): PolicyReport => {
  const { policies } = summaryOf(events)
  assert.strictEqual(policies.length, 1)
  return policies[0] as PolicyReport
}

const failed = (error: string, outcome: "transient" | "interrupted" = "transient", at = 1): Event => ({
  ...call,
  at,
  _tag: "AttemptFailed",
  attempt: 1,
  kind: "first",
  outcome,
  error,
  elapsed
})

const retry = (error: string): Event => ({
  ...call,
  _tag: "RetryScheduled",
  attempt: 2,
  error,
  delay: elapsed,
  retryAfter: undefined
})

const over = (attempts: number, error: string): Event => ({
  ...call,
  _tag: "CallFailed",
  attempts,
  error,
  lastError: undefined,
  elapsed
})

const started = (policy: string): Event => ({ ...call, policy, _tag: "CallStarted" })

const rejection = (guard: string, reason: string): Event => ({
  ...call,
  _tag: "GuardRejected",
  guard,
  attempt: 1,
  error: "Refused",
  reason
})

const circuit = (breaker: string, key: string | undefined, to: "closed" | "open" | "half-open", at = 1): Event => ({
  _tag: "CircuitChanged",
  at,
  breaker,
  key,
  from: "closed",
  to
})

const fallback = (name: string, source: "stale" | "fallback"): Event => ({
  _tag: "FallbackServed",
  at: 1,
  name,
  source,
  error: "E",
  age: undefined
})

const nothing: PolicyReport = {
  policy: "p",
  calls: 0,
  succeeded: 0,
  failed: 0,
  interrupted: 0,
  attempts: 0,
  retries: 0,
  retriesByError: [],
  hedges: 0,
  amplification: undefined,
  retriedCalls: 0,
  recovered: 0,
  recoveryRate: undefined,
  exhausted: 0,
  exhaustedByReason: [],
  rejected: 0,
  rejections: [],
  injected: 0,
  errors: [],
  unrecognised: [],
  lastError: undefined
}

describe("Accumulator", () => {
  it("says which errors no classifier knew; not those of this library, which are not to be known", () => {
    const failed = (outcome: "unrecognised" | "permanent", error: string): Event => ({
      ...call,
      _tag: "AttemptFailed",
      attempt: 1,
      kind: "first",
      outcome,
      error,
      elapsed
    })
    const report = summaryOf([
      failed("unrecognised", "NetworkEror"),
      failed("permanent", "NotFound"),
      failed("unrecognised", "Sql"),
      failed("unrecognised", "Sql"),
      failed("unrecognised", "RetryExhausted")
    ]).policies[0]!
    assert.deepStrictEqual(report.unrecognised, [
      { name: "Sql", count: 2 },
      { name: "NetworkEror", count: 1 }
    ])
    assert.strictEqual(report.errors.length, 4)
  })

  it("starts empty, and knows a policy by its first event", () => {
    assert.deepStrictEqual(summaryOf([]), { policies: [], circuits: [], fallbacks: [] })
    assert.deepStrictEqual(policyOf([started("p")]), { ...nothing, calls: 1, amplification: 0 })
  })

  it("answers which operation is retrying, why, and whether it helps", () => {
    const report = policyOf([
      started("p"),
      failed("Timeout", "transient", 10),
      retry("Timeout"),
      failed("Network", "transient", 20),
      retry("Network"),
      { ...call, _tag: "AttemptSucceeded", attempt: 3, kind: "retry", elapsed },
      { ...call, _tag: "CallRecovered", attempts: 3, error: "Network", elapsed },
      { ...call, _tag: "CallSucceeded", attempts: 3, elapsed },
      started("p"),
      failed("Network", "transient", 30),
      retry("Network"),
      failed("Network", "transient", 40),
      { ...call, _tag: "RetryDenied", attempt: 2, reason: "budget", error: "Network", deniedBy: "b" },
      over(2, "RetryExhausted"),
      // The first attempt failed for good: not a retried call
      started("p"),
      failed("NotFound", "transient", 50),
      over(1, "NotFound"),
      // Given up by their callers: neither says anything of the dependency
      started("p"),
      failed("Interrupted", "interrupted", 60),
      over(2, "Interrupted")
    ])
    assert.deepStrictEqual(report, {
      ...nothing,
      calls: 4,
      succeeded: 1,
      failed: 2,
      interrupted: 1,
      attempts: 7,
      retries: 3,
      retriesByError: [
        { name: "Network", count: 2 },
        { name: "Timeout", count: 1 }
      ],
      amplification: 7 / 4,
      retriedCalls: 2,
      recovered: 1,
      recoveryRate: 0.5,
      exhausted: 1,
      exhaustedByReason: [{ name: "budget", count: 1 }],
      errors: [
        { name: "Network", count: 3 },
        { name: "NotFound", count: 1 },
        { name: "Timeout", count: 1 }
      ],
      lastError: { error: "NotFound", at: 50 }
    })
  })

  it("counts rejections by guard and reason, the most frequent first", () => {
    const report = policyOf([
      rejection("b", "open"),
      rejection("b", "half-open"),
      rejection("a", "queue full"),
      rejection("b", "open")
    ])
    assert.strictEqual(report.rejected, 4)
    assert.deepStrictEqual(report.rejections, [
      { guard: "b", reason: "open", count: 2 },
      { guard: "a", reason: "queue full", count: 1 },
      { guard: "b", reason: "half-open", count: 1 }
    ])
  })

  it("puts what is in trouble first", () => {
    const of = (policy: string, event: Event): Event => ({ ...event, policy }) as Event
    const { policies } = summaryOf([
      started("b quiet"),
      started("a quiet"),
      started("busy"),
      started("busy"),
      of("rejecting", rejection("g", "r")),
      of("retrying", retry("E")),
      of("failing", over(1, "E"))
    ])
    assert.deepStrictEqual(
      policies.map(({ policy }) => policy),
      ["failing", "retrying", "rejecting", "busy", "a quiet", "b quiet"]
    )
  })

  it("keeps the circuits that are not closed, each key apart", () => {
    const { circuits } = summaryOf([
      circuit("b", "x", "open", 1),
      circuit("b", undefined, "open", 2),
      circuit("b", "y", "open", 3),
      circuit("b", "y", "closed", 4),
      circuit("b", "x", "half-open", 5)
    ])
    assert.deepStrictEqual(circuits, [
      { breaker: "b", key: undefined, state: "open", since: 2 },
      { breaker: "b", key: "x", state: "half-open", since: 5 }
    ])
  })

  it("counts fallbacks by source, the most frequent first", () => {
    const { fallbacks } = summaryOf([
      fallback("b", "stale"),
      fallback("c", "stale"),
      fallback("a", "fallback"),
      fallback("c", "fallback")
    ])
    assert.deepStrictEqual(fallbacks, [
      { name: "c", stale: 1, fallback: 1 },
      { name: "a", stale: 0, fallback: 1 },
      { name: "b", stale: 1, fallback: 0 }
    ])
  })

  it("leaves out what has no place in it", () => {
    assert.deepStrictEqual(
      summaryOf([
        { _tag: "DeadlinePassed", at: 1, name: "p", after: elapsed },
        { _tag: "BudgetChanged", at: 1, budget: "b", key: undefined, balance: 1 }
      ]),
      { policies: [], circuits: [], fallbacks: [] }
    )
  })

  it("is bounded in memory, and loses no count", () => {
    const names = (n: number) => Array.from({ length: n }, (_, i) => `n${i}`)
    const { policies } = summaryOf([...names(BOUNDS.policies + 7).map(started), started("n0")])
    assert.strictEqual(policies.length, BOUNDS.policies + 1)
    assert.strictEqual(policies.find(({ policy }) => policy === OTHER)?.calls, 7)
    assert.strictEqual(policies.find(({ policy }) => policy === "n0")?.calls, 2)

    const report = policyOf([
      ...names(BOUNDS.errors + 3).flatMap((error) => [failed(error), retry(error)]),
      ...names(BOUNDS.rejections + 4).map((guard) => rejection(guard, "r"))
    ])
    assert.deepStrictEqual(report.errors[0], { name: OTHER, count: 3 })
    assert.strictEqual(report.errors.length, BOUNDS.errors + 1)
    assert.deepStrictEqual(report.retriesByError[0], { name: OTHER, count: 3 })
    assert.strictEqual(report.retries, BOUNDS.errors + 3)
    assert.deepStrictEqual(report.rejections[0], { guard: OTHER, reason: OTHER, count: 4 })
    assert.strictEqual(report.rejected, BOUNDS.rejections + 4)

    const { circuits, fallbacks } = summaryOf([
      ...names(BOUNDS.circuits + 1).map((key) => circuit("b", key, "open")),
      ...names(BOUNDS.fallbacks + 2).map((name) => fallback(name, "stale"))
    ])
    assert.strictEqual(circuits.length, BOUNDS.circuits)
    assert.strictEqual(circuits[0]?.key, "n1")
    assert.deepStrictEqual(fallbacks[0], { name: OTHER, stale: 2, fallback: 0 })
  })

  it.effect("agrees with counting the list of events", () =>
    Effect.gen(function* () {
      const policy = Schema.Literals(["p", "q"])
      const error = Schema.Literals(["A", "B", "Interrupted"])
      const random = Schema.Struct({
        tag: Schema.Literals([
          "started",
          "succeeded",
          "failed",
          "retry",
          "recovered",
          "ok",
          "over",
          "denied",
          "rejected",
          "hedge",
          "injected"
        ]),
        policy,
        error,
        attempts: Schema.Literals([1, 2, 3])
      })
      const eventOf = ({ attempts, error, policy, tag }: typeof random.Type): Event => {
        const base = { ...call, policy }
        switch (tag) {
          case "started":
            return { ...base, _tag: "CallStarted" }
          case "succeeded":
            return { ...base, _tag: "AttemptSucceeded", attempt: attempts, kind: "first", elapsed }
          case "failed":
            return {
              ...base,
              _tag: "AttemptFailed",
              attempt: attempts,
              kind: "first",
              outcome: error === "Interrupted" ? "interrupted" : "transient",
              error,
              elapsed
            }
          case "retry":
            return { ...base, _tag: "RetryScheduled", attempt: attempts, error, delay: elapsed, retryAfter: undefined }
          case "recovered":
            return { ...base, _tag: "CallRecovered", attempts, error, elapsed }
          case "ok":
            return { ...base, _tag: "CallSucceeded", attempts, elapsed }
          case "over":
            return { ...base, _tag: "CallFailed", attempts, error, lastError: undefined, elapsed }
          case "denied":
            return { ...base, _tag: "RetryDenied", attempt: attempts, reason: "schedule", error, deniedBy: undefined }
          case "rejected":
            return { ...base, ...rejection("g", error), policy } as Event
          case "hedge":
            return { ...base, _tag: "HedgeStarted", attempt: attempts, after: elapsed }
          case "injected":
            return { ...base, _tag: "ChaosInjected", attempt: attempts, injection: "fault", error, delay: undefined }
        }
      }
      const result = yield* Arbitrary.checkEffect(
        Arbitrary.array(Arbitrary.map(Arbitrary.schema(random), eventOf), { maxLength: 60 }),
        (events) =>
          summaryOf(events).policies.every((report) => {
            const of = events.filter((event) => "policy" in event && event.policy === report.policy)
            const count = (f: (event: Event) => boolean) => of.filter(f).length
            const sum = (counts: ReadonlyArray<{ readonly count: number }>) =>
              counts.reduce((total, { count }) => total + count, 0)
            const errors = (tag: string) => (event: Event) =>
              event._tag === "AttemptFailed" && event.outcome !== "interrupted" && event.error === tag
            return (
              report.calls === count((e) => e._tag === "CallStarted") &&
              report.succeeded === count((e) => e._tag === "CallSucceeded") &&
              report.failed + report.interrupted === count((e) => e._tag === "CallFailed") &&
              report.interrupted === count((e) => e._tag === "CallFailed" && e.error === "Interrupted") &&
              report.attempts === count((e) => e._tag === "AttemptSucceeded" || e._tag === "AttemptFailed") &&
              report.retries === count((e) => e._tag === "RetryScheduled") &&
              report.retries === sum(report.retriesByError) &&
              report.recovered === count((e) => e._tag === "CallRecovered") &&
              report.retriedCalls - report.recovered ===
                count((e) => e._tag === "CallFailed" && e.error !== "Interrupted" && e.attempts > 1) &&
              report.exhausted === count((e) => e._tag === "RetryDenied") &&
              report.exhausted === sum(report.exhaustedByReason) &&
              report.rejected === count((e) => e._tag === "GuardRejected") &&
              report.rejected === sum(report.rejections) &&
              report.hedges === count((e) => e._tag === "HedgeStarted") &&
              report.injected === count((e) => e._tag === "ChaosInjected") &&
              report.errors.every(({ count: n, name }) => n > 0 && n === count(errors(name))) &&
              sum(report.errors) === count(errors("A")) + count(errors("B"))
            )
          }),
        { runs: 200, size: 60, seed: 7 }
      )
      assert.isUndefined(Arbitrary.formatCheckFailure(result))
    })
  )
})
