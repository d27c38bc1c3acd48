import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Data, Duration, Effect, Exit, Layer, MutableRef, Schedule } from "effect"
import * as Backoff from "../src/Backoff.ts"
import * as Fault from "../src/Fault.ts"
import * as Guard from "../src/Guard.ts"
import * as Idempotency from "../src/Idempotency.ts"
import { Draining } from "../src/internal/draining.ts"
import { DeadlineExceeded } from "../src/internal/errors.ts"
import { UnavailableTypeId } from "../src/internal/unavailable.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import * as Policy from "../src/Policy.ts"
import { withResilience } from "../src/Policy.ts"
import * as RetryBudget from "../src/RetryBudget.ts"

class Down extends Data.TaggedError("Down") {}
class NotFound extends Data.TaggedError("NotFound") {}

class MyGuard extends Guard.Service<MyGuard, never>()("test/MyGuard", {
  name: "mine",
  phase: "circuit",
  admit: () => Guard.admitted({ settle: () => {} })
}) {}
class SameId extends Guard.Service<SameId, never>()("test/MyGuard", {
  name: "same id",
  phase: "circuit",
  admit: () => Guard.admitted({ settle: () => {} })
}) {}
class Upstream extends RetryBudget.Service<Upstream>()("test/Upstream", RetryBudget.ratio()) {}

const once = Schedule.recurs(1)
const base = { name: "p", safety: "idempotent", retry: once } as const

/** Options as somebody without a compiler may give them. */
const make = (options: unknown) => Policy.make(options as never)

const refusal = (f: () => unknown): InvalidOption => {
  try {
    f()
  } catch (error) {
    if (error instanceof InvalidOption) return error
    throw error
  }
  return assert.fail("nothing was refused")
}

const refuses = (
  f: () => unknown,
  option: string,
  value: unknown,
  allowed: string | RegExp,
  printed?: string
): void => {
  const error = refusal(f)
  assert.strictEqual(error.option, option)
  assert.deepStrictEqual(error.value, value)
  if (typeof allowed === "string") assert.strictEqual(error.allowed, allowed)
  else assert.match(error.allowed, allowed)
  assert.strictEqual(
    error.message,
    `${option} must be ${error.allowed}, but it is ${printed ?? error.message.slice(error.message.lastIndexOf("it is ") + 6)}`
  )
}

describe("Policy.make refuses", () => {
  const notFinite = (bounds: "positive" | "zero") =>
    bounds === "positive" ? "a finite duration above 0" : "a finite duration of 0 or more"
  const badDurations: ReadonlyArray<readonly [value: unknown, printed: string]> = [
    [-1, "-1"],
    [-0.5, "-0.5"],
    [Infinity, "Infinity"],
    [-Infinity, "-Infinity"],
    [-1n, "-1"],
    ["-1 second", '"-1 second"'],
    ["Infinity", '"Infinity"'],
    ["-Infinity", '"-Infinity"'],
    [[-1, 0], "[-1,0]"],
    [[Infinity, 0], '["Infinity",0]'],
    [{ seconds: -1 }, '{"seconds":-1}'],
    [{ seconds: Infinity }, '{"seconds":"Infinity"}'],
    [Duration.infinity, '{"_id":"Duration","_tag":"Infinity"}'],
    [Duration.negativeInfinity, '{"_id":"Duration","_tag":"NegativeInfinity"}'],
    [Duration.millis(-1), '{"_id":"Duration","_tag":"Millis","millis":-1}']
  ]
  const zeros: ReadonlyArray<readonly [value: unknown, printed: string]> = [
    [0, "0"],
    [-0, "0"],
    [0n, "0"],
    ["0 seconds", '"0 seconds"'],
    [[0, 0], "[0,0]"],
    [{}, "{}"],
    [{ seconds: 0 }, '{"seconds":0}'],
    [Duration.zero, '{"_id":"Duration","_tag":"Millis","millis":0}']
  ]
  const nans: ReadonlyArray<readonly [value: unknown, printed: string]> = [
    [NaN, "NaN"],
    [[NaN, 0], '["NaN",0]'],
    [[0, NaN], '[0,"NaN"]'],
    [{ seconds: NaN }, '{"seconds":"NaN"}'],
    [{ seconds: 1, nanoseconds: NaN }, '{"seconds":1,"nanoseconds":"NaN"}']
  ]
  const noDurations: ReadonlyArray<readonly [value: unknown, printed: string]> = [
    ["", '""'],
    ["1 secnd", '"1 secnd"'],
    ["NaN seconds", '"NaN seconds"'],
    [[1, 2, 3], "[1,2,3]"],
    [[1, "2"], '[1,"2"]'],
    [true, "true"],
    [null, "null"]
  ]

  for (const option of ["deadline", "attemptTimeout", "retryAfterCeiling"] as const) {
    const positive = option !== "retryAfterCeiling"
    const of = `Policy.make: ${option}`

    it(`${option}: negative and infinite durations, in every form`, () => {
      for (const [value, printed] of badDurations) {
        refuses(() => make({ ...base, [option]: value }), of, value, notFinite(positive ? "positive" : "zero"), printed)
      }
    })

    it(`${option}: zero${positive ? "" : " is allowed"}`, () => {
      for (const [value, printed] of zeros) {
        if (positive) refuses(() => make({ ...base, [option]: value }), of, value, notFinite("positive"), printed)
        else assert.strictEqual(make({ ...base, [option]: value }).options[option], value as never)
      }
    })

    it(`${option}: NaN, and what is no duration`, () => {
      for (const [value, printed] of nans) {
        refuses(() => make({ ...base, [option]: value }), of, value, "a duration of 0 or more", printed)
      }
      for (const [value, printed] of noDurations) {
        refuses(
          () => make({ ...base, [option]: value }),
          of,
          value,
          'a duration, such as "2 seconds", 2000 (milliseconds) or Duration.seconds(2)',
          printed
        )
      }
    })

    it(`${option}: undefined is as if it were not there`, () => {
      assert.isUndefined(make({ ...base, [option]: undefined }).options[option])
    })
  }

  it("an attemptTimeout above the deadline", () => {
    const allowed = "at most the deadline, because an attempt cannot outlast its call"
    refuses(
      () => make({ ...base, deadline: "1 second", attemptTimeout: "2 seconds" }),
      "Policy.make: attemptTimeout",
      "2 seconds",
      allowed,
      '"2 seconds"'
    )
    refuses(
      () => make({ ...base, deadline: 1000, attemptTimeout: 1000.5 }),
      "Policy.make: attemptTimeout",
      1000.5,
      allowed
    )
    assert.isDefined(make({ ...base, deadline: 1000, attemptTimeout: "1 second" }))
  })

  it("a name that says nothing", () => {
    for (const [name, printed] of [
      ["", '""'],
      [" \t\n", '" \\t\\n"'],
      [undefined, "undefined"],
      [1, "1"],
      [null, "null"]
    ]) {
      refuses(() => make({ ...base, name }), "Policy.make: name", name, "a non-empty string", printed as string)
    }
  })

  it("an endless schedule without a deadline", () => {
    const allowed = /^a schedule that ends .*deadline.*`unbounded: true`$/
    const refused = (options: object) =>
      refuses(() => make({ ...base, ...options }), "Policy.make: retry", "an endless schedule", allowed)
    refused({ retry: Schedule.forever })
    refused({ retry: Schedule.exponential("1 second") })
    refused({ retry: Schedule.forever, attemptTimeout: "1 second" })
    refused({ retry: Schedule.forever, deadline: undefined, unbounded: false })
    refused({ retry: Schedule.forever, unbounded: "yes" })
    refused({ retry: { transient: Schedule.forever, throttled: once } })
    refused({ retry: { transient: once, throttled: Schedule.forever } })
  })

  it("a schedule that may be endless", () => {
    class Env extends Context.Service<Env, number>()("test/Env") {}
    const needy = Schedule.tap(Schedule.forever, () => Env)
    const value = "a schedule of which only running it can tell whether it ends"
    refuses(
      () => make({ ...base, retry: needy }),
      "Policy.make: retry",
      value,
      /^a schedule that ends .*Backoff\.times/
    )
    assert.isDefined(make({ ...base, retry: needy.pipe(Backoff.times(3)) }))
    // a selector that cannot read a made-up error is none of its business
    const hinted = Backoff.honorRetryAfter({
      ceiling: "1 minute",
      of: (error: { readonly response: { readonly headers: { readonly ra: Duration.Duration } } }) =>
        error.response.headers.ra
    })
    const endless = Backoff.constant("1 second").pipe(hinted)
    assert.strictEqual(refusal(() => make({ ...base, retry: endless })).value, "an endless schedule")
    assert.isDefined(make({ ...base, retry: endless.pipe(Backoff.times(1500)) }))
  })

  it("but not one with a deadline, or one that is meant", () => {
    const needy = Schedule.tap(Schedule.forever, () => assert.fail("stepped"))
    for (const retry of [Schedule.forever, needy]) {
      assert.isDefined(make({ ...base, retry, deadline: "1 second" }))
      assert.isDefined(make({ ...base, retry, unbounded: true }))
    }
    assert.isDefined(make({ ...base, retry: { transient: once, throttled: Schedule.recurs(2) } }))
  })

  it("looks once at a schedule, whatever it serves, and at none that Backoff ends", () => {
    let steps = 0
    const counting = Schedule.tap(once, () => Effect.sync(() => void steps++))
    make({ ...base, retry: counting.pipe(Backoff.fullJitter, Backoff.times(3)) })
    assert.strictEqual(steps, 0)
    make({ ...base, retry: counting })
    assert.strictEqual(steps, 1)
    make({ ...base, retry: { transient: counting, throttled: counting } })
    assert.strictEqual(steps, 1)
    make({ ...base, retry: { transient: counting, throttled: Schedule.tap(counting, () => Effect.void) } })
    assert.strictEqual(steps, 2)
  })

  it("a retry that is no schedule", () => {
    const allowed = "a Schedule, or { transient: Schedule, throttled: Schedule }"
    for (const [retry, printed] of [
      [3, "3"],
      ["exponential", '"exponential"'],
      [null, "null"],
      [{}, "{}"],
      [{ times: 3 }, '{"times":3}']
    ] as const) {
      refuses(() => make({ ...base, retry }), "Policy.make: retry", retry, allowed, printed)
    }
    assert.strictEqual(refusal(() => make({ ...base, retry: { transient: once } })).allowed, allowed)
    assert.strictEqual(refusal(() => make({ ...base, retry: { throttled: once } })).allowed, allowed)
  })

  it("a safety that is missing where there is a retry, or that is none", () => {
    const allowed = '"idempotent", "not-idempotent" or an Idempotency.key(…) for a policy that retries or hedges'
    refuses(() => make({ name: "p", retry: once }), "Policy.make: safety", undefined, allowed, "undefined")
    refuses(() => make({ ...base, safety: undefined }), "Policy.make: safety", undefined, allowed, "undefined")
    for (const [safety, printed] of [
      ["idempotant", '"idempotant"'],
      ["", '""'],
      [true, "true"],
      [null, "null"],
      [{}, "{}"],
      [{ mint: 1 }, '{"mint":1}']
    ] as const) {
      refuses(() => make({ ...base, safety }), "Policy.make: safety", safety, allowed, printed)
      refuses(() => make({ name: "p", safety }), "Policy.make: safety", safety, allowed, printed)
    }
    assert.isDefined(make({ name: "p" }))
    for (const safety of ["idempotent", "not-idempotent", Idempotency.key(), Idempotency.key(Idempotency.uuid)]) {
      assert.isDefined(make({ ...base, safety }))
      assert.isDefined(make({ name: "p", safety }))
    }
  })

  it("a mint that is no effect", () => {
    refuses(
      () => make({ ...base, safety: Idempotency.key("k" as never) }),
      "Policy.make: safety",
      "k",
      "Idempotency.key(mint) with an effect",
      '"k"'
    )
  })

  it("options it does not know", () => {
    refuses(
      () => make({ ...base, deadlin: 1 }),
      "Policy.make: deadlin",
      "deadlin",
      "one of the options name, faults, safety, deadline, attemptTimeout, retry, retryAfterCeiling, budget, guards, hedge, unbounded",
      '"deadlin"'
    )
    assert.strictEqual(refusal(() => make({ ...base, constructor: undefined })).option, "Policy.make: constructor")
    assert.isDefined(
      make({
        name: "p",
        faults: Fault.all,
        safety: "idempotent",
        deadline: 2,
        attemptTimeout: 1,
        retry: once,
        retryAfterCeiling: 1,
        budget: Upstream,
        guards: [MyGuard],
        unbounded: true
      })
    )
  })

  it("a classifier that is none", () => {
    for (const [faults, printed] of [
      ["auto", '"auto"'],
      [null, "null"],
      [{ classify: 1 }, '{"classify":1}']
    ] as const) {
      refuses(
        () => make({ ...base, faults }),
        "Policy.make: faults",
        faults,
        "a classifier, such as Fault.byTag makes",
        printed
      )
    }
    assert.isDefined(make({ ...base, faults: undefined }))
  })

  it("guards and budgets that are no services, or given twice", () => {
    for (const option of ["guards", "budget"] as const) {
      const example = option === "guards" ? "CircuitBreaker.Service" : "RetryBudget.Service"
      const none = `service classes, such as a ${example} class`
      const of = `Policy.make: ${option}`
      refuses(() => make({ ...base, [option]: ["breaker"] }), of, "breaker", none, '"breaker"')
      refuses(() => make({ ...base, [option]: [MyGuard, null] }), of, null, none, "null")
      refuses(() => make({ ...base, [option]: {} }), of, {}, none, "{}")
      assert.strictEqual(refusal(() => make({ ...base, [option]: Down })).allowed, none)
      const ids = ["test/MyGuard", "test/MyGuard"]
      const printed = '["test/MyGuard","test/MyGuard"]'
      refuses(() => make({ ...base, [option]: [MyGuard, MyGuard] }), of, ids, "service classes, each once", printed)
      // the id makes the service
      refuses(() => make({ ...base, [option]: [MyGuard, SameId] }), of, ids, "service classes, each once", printed)
      assert.isDefined(make({ ...base, [option]: [] }))
      assert.isDefined(make({ ...base, [option]: undefined }))
    }
    assert.isDefined(make({ ...base, guards: [MyGuard], budget: Upstream }))
  })
})

describe("policy.options", () => {
  it("are those given, frozen and apart from the object given", () => {
    const options = { ...base, deadline: "1 second" as Duration.Input }
    const policy = Policy.make(options)
    options.deadline = "2 seconds"
    assert.deepStrictEqual(policy.options, { ...base, deadline: "1 second" })
    assert.isTrue(Object.isFrozen(policy.options))
  })
})

describe("Policy.extend", () => {
  it("puts later options over earlier ones, and leaves the first policy alone", () => {
    const first = Policy.make({ ...base, deadline: "3 seconds", attemptTimeout: "2 seconds" })
    const second = Policy.extend(first, { name: "q", deadline: "5 seconds", attemptTimeout: undefined })
    assert.deepStrictEqual(second.options, { ...base, name: "q", deadline: "5 seconds", attemptTimeout: undefined })
    assert.deepStrictEqual(first.options, { ...base, deadline: "3 seconds", attemptTimeout: "2 seconds" })
  })

  it("checks what comes out of both", () => {
    const first = Policy.make({ ...base, attemptTimeout: "2 seconds" })
    refuses(
      () => Policy.extend(first, { name: "q", deadline: "1 second" }),
      "Policy.extend: attemptTimeout",
      "2 seconds",
      "at most the deadline, because an attempt cannot outlast its call"
    )
    refuses(() => Policy.extend(first, { name: " " }), "Policy.extend: name", " ", "a non-empty string", '" "')
    const bad = { name: "q", misspelt: 1 } as never
    assert.strictEqual(refusal(() => Policy.extend(first, bad)).option, "Policy.extend: misspelt")
    const endless = Policy.make({ ...base, retry: Schedule.forever, deadline: "1 second" })
    assert.strictEqual(
      refusal(() => Policy.extend(endless, { name: "q", deadline: undefined })).option,
      "Policy.extend: retry"
    )
  })

  it.effect("runs by the new options", () =>
    Effect.gen(function* () {
      const first = Policy.make({ ...base, faults: Fault.tags({ transient: ["Down"] }) })
      const patient = Policy.extend(first, { name: "patient", retry: Schedule.recurs(3) })
      let runs = 0
      const down = Effect.suspend(() => (runs++, Effect.fail(new Down())))
      const one = yield* Effect.flip(down.pipe(withResilience(first)))
      assert.deepStrictEqual([runs, one.policy, one.attempts], [2, "p", 2])
      runs = 0
      const two = yield* Effect.flip(down.pipe(withResilience(patient)))
      assert.deepStrictEqual([runs, two.policy, two.attempts], [4, "patient", 4])
    })
  )
})

describe("Policy.Standard", () => {
  const atMost = "at most the deadline, because an attempt cannot outlast its call"

  it("defining the class does not throw, using its policy does, each time", () => {
    class Bad extends Policy.Standard<Bad>()("bad", { safety: "idempotent", attemptTimeout: "20 seconds" }) {}
    const down = Effect.fail(new Down())
    for (let time = 0; time < 2; time++) {
      refuses(() => Bad.policy, "bad: attemptTimeout", "20 seconds", atMost)
      refuses(() => withResilience(Bad), "bad: attemptTimeout", "20 seconds", atMost)
      refuses(() => withResilience(down, Bad), "bad: attemptTimeout", "20 seconds", atMost)
    }
    class Good extends Policy.Standard<Good>()("good", { safety: "idempotent" }) {}
    assert.strictEqual(Good.policy, Good.policy)
  })

  it("and whatever the option, with the name of the class", () => {
    const standard = (name: unknown, options: object) => Policy.Standard<"s">()(name as "s", options as never)
    const safety = "idempotent"
    for (const [option, options] of [
      ["deadline", { safety, deadline: -1 }],
      ["retry", { safety, retry: 3 }],
      ["safety", {}],
      ["hedge.after", { safety, hedge: { after: 0 } }],
      ["deadlin", { safety, deadlin: 1 }]
    ] as const) {
      const made = standard("q", options)
      assert.strictEqual(refusal(() => made.policy).option, `q: ${option}`)
    }
    for (const name of ["", " ", undefined, 3]) {
      const made = standard(name, { safety })
      assert.strictEqual(refusal(() => made.policy).option, "Policy.Standard: name")
    }
  })

  it.effect("its layer dies with what is wrong with the policy, or the breaker", () =>
    Effect.gen(function* () {
      const diesOf = (layer: Layer.Layer<"s">) =>
        Effect.map(Effect.exit(Effect.provide(Effect.void, layer as Layer.Layer<never>)), (exit) =>
          Exit.isFailure(exit) ? (Cause.squash(exit.cause) as InvalidOption).option : "nothing"
        )
      const policy = Policy.Standard<"s">()("s", { safety: "idempotent", attemptTimeout: "20 seconds" })
      assert.strictEqual(yield* diesOf(policy.layer), "s: attemptTimeout")
      const breaker = Policy.Standard<"s">()("s", { safety: "idempotent", breaker: { halfOpen: { probes: 0 } } })
      assert.match(yield* diesOf(breaker.layer), /^s\/breaker: .*probes/)
      const good = Policy.Standard<"s">()("s", { safety: "idempotent" })
      assert.strictEqual(yield* diesOf(good.layer), "nothing")
    })
  )
})

describe("withResilience", () => {
  const keyed = Policy.make({ name: "keyed", safety: Idempotency.key() })
  const minted = Policy.make({ name: "minted", safety: Idempotency.key(Effect.succeed("minted")) })

  it("refuses what is no policy, at once", () => {
    const allowed = "made by Policy.make, Policy.extend or Policy.Standard"
    const of = "withResilience: policy"
    for (const [policy, printed] of [
      [undefined, "undefined"],
      [null, "null"],
      ["p", '"p"'],
      [{ options: { name: "p" } }, '{"options":{"name":"p"}}']
    ] as const) {
      refuses(() => withResilience(policy as never), of, policy, allowed, printed)
      refuses(() => withResilience(Effect.void, policy as never), of, policy, allowed, printed)
    }
    class Carrier {
      static readonly policy = "p"
    }
    assert.strictEqual(refusal(() => withResilience(Carrier as never)).allowed, allowed)
    assert.strictEqual(refusal(() => withResilience((() => 1) as never)).allowed, allowed)
    const looksLikeOne = { "~effect-resilience/Policy": "~effect-resilience/Policy", options: keyed.options }
    assert.strictEqual(refusal(() => withResilience(looksLikeOne as never)).allowed, allowed)
  })

  it("refuses an idempotency key that is missing or empty, at once", () => {
    const of = "withResilience: idempotencyKey"
    for (const run of [
      (call?: unknown) => withResilience(keyed, call as never),
      (call?: unknown) => withResilience(Effect.void, keyed, call as never)
    ]) {
      for (const call of [undefined, {}, { idempotencyKey: undefined }]) {
        refuses(() => run(call), of, undefined, "said at the call, because keyed asks its caller for it", "undefined")
      }
      for (const [idempotencyKey, printed] of [
        ["", '""'],
        [" ", '" "'],
        [1, "1"]
      ] as const) {
        refuses(() => run({ idempotencyKey }), of, idempotencyKey, "a non-empty string", printed)
      }
    }
    refuses(() => withResilience(minted, { idempotencyKey: "" }), of, "", "a non-empty string", '""')
    assert.isFunction(withResilience(minted))
    assert.isFunction(withResilience(minted, {}))
  })

  it.effect("data-first, data-last, and by a class that carries the policy", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ ...base, faults: Fault.tags({ transient: ["Down"] }) })
      class Carrier {
        static readonly policy = policy
      }
      const down = Effect.fail(new Down())
      for (const run of [
        withResilience(down, policy),
        withResilience(policy)(down),
        withResilience(down, Carrier),
        down.pipe(withResilience(Carrier))
      ]) {
        const error = yield* Effect.flip(run)
        assert.deepStrictEqual([error._tag, error.policy, error.attempts], ["RetryExhausted", "p", 2])
      }
      const key = Effect.map(Idempotency.Key, (k) => k)
      assert.strictEqual(yield* withResilience(key, keyed, { idempotencyKey: "a" }), "a")
      assert.strictEqual(yield* key.pipe(withResilience(keyed, { idempotencyKey: "b" })), "b")
      assert.strictEqual(yield* withResilience(key, minted), "minted")
    })
  )

  it.effect("a policy without faults goes by what errors say of themselves", () =>
    Effect.gen(function* () {
      const policy = Policy.make(base)
      class Marked extends Data.TaggedError("Marked") {
        readonly [Fault.verdict] = Fault.transient()
      }
      assert.strictEqual((yield* Effect.flip(Effect.fail(new Marked()).pipe(withResilience(policy)))).attempts, 2)
      const plain = new Down()
      assert.strictEqual(yield* Effect.flip(Effect.fail(plain).pipe(withResilience(policy))), plain)
    })
  )
})

describe("unavailable", () => {
  const exceeded = new DeadlineExceeded({ name: "p", after: Duration.seconds(1) })
  const exhausted = new Policy.RetryExhausted({
    policy: "p",
    reason: "schedule",
    attempts: 1,
    elapsed: Duration.zero,
    lastError: 1,
    history: [],
    cause: Cause.fail(1)
  })
  const timeout = new Policy.AttemptTimeout({ policy: "p", attempt: 1, after: Duration.seconds(1) })
  const foreign = { _tag: "BulkheadFull", [UnavailableTypeId]: UnavailableTypeId } as const

  it("isUnavailable goes by the mark, not by the name", () => {
    for (const error of [exceeded, exhausted, timeout, foreign]) assert.isTrue(Policy.isUnavailable(error))
    for (const error of [undefined, null, "DeadlineExceeded", 1, {}, new Down(), { _tag: "RetryExhausted" }]) {
      assert.isFalse(Policy.isUnavailable(error))
    }
  })

  it.effect("catchUnavailable handles them, and leaves alone the rest", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const handler = (error: unknown) => {
        seen.push(error)
        return Effect.succeed("handled")
      }
      for (const error of [exceeded, exhausted, timeout, foreign]) {
        assert.strictEqual(yield* Effect.fail(error).pipe(Policy.catchUnavailable(handler)), "handled")
        assert.strictEqual(yield* Policy.catchUnavailable(Effect.fail(error), handler), "handled")
      }
      assert.deepStrictEqual(seen, [exceeded, exceeded, exhausted, exhausted, timeout, timeout, foreign, foreign])
      const notFound = new NotFound()
      const untouched = yield* Effect.exit(
        (Effect.fail(notFound) as Effect.Effect<never, NotFound | DeadlineExceeded>).pipe(
          Policy.catchUnavailable(handler)
        )
      )
      assert.deepStrictEqual(untouched, Exit.fail(notFound))
      const died = yield* Effect.exit(Policy.catchUnavailable(Effect.die(exceeded), handler))
      assert.deepStrictEqual(died, Exit.die(exceeded))
      assert.strictEqual(yield* Policy.catchUnavailable(Effect.succeed("fine"), handler), "fine")
      assert.strictEqual(seen.length, 8)
      const failed = yield* Effect.flip(Policy.catchUnavailable(Effect.fail(exceeded), () => Effect.fail("worse")))
      assert.strictEqual(failed, "worse")
    })
  )
})

describe("draining", () => {
  it.effect("is the reference that the engine reads; false by default", () =>
    Effect.gen(function* () {
      assert.strictEqual(Policy.draining, Draining)
      assert.isFalse(yield* Policy.draining)
      const flag = MutableRef.make(true)
      const policy = Policy.make({ ...base, faults: Fault.all })
      const down = Effect.fail("down").pipe(withResilience(policy))
      const drained = yield* Effect.flip(Effect.provideService(down, Policy.draining, flag))
      assert.deepStrictEqual([drained.reason, drained.attempts], ["draining", 1])
      MutableRef.set(flag, false)
      const tried = yield* Effect.flip(Effect.provideService(down, Policy.draining, flag))
      assert.deepStrictEqual([tried.reason, tried.attempts], ["schedule", 2])
      assert.isTrue(Context.isReference(Policy.draining))
    })
  )
})
