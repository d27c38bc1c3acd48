// Hedging as the engine does it: which attempts start, which outcome wins, and that nothing is left of the others.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Context, Duration, Effect, Exit, Fiber, Layer, MutableRef } from "effect"
import { TestClock } from "effect/testing"
import {
  Attempt,
  Backoff,
  Deadline,
  Fault,
  Guard,
  Idempotency,
  InvalidOption,
  Policy,
  RetryBudget,
  Telemetry,
  withResilience
} from "effect-resilience"
import type { Budget } from "../src/internal/budget.ts"
import { wallNowMs } from "../src/internal/time.ts"
import { Book, bookedGuard, BookedBudget, errorOf, Gone, Net, Slow, throughTime } from "./kit.ts"
import { holds, integers } from "./property.ts"

const faults = Fault.tags({ transient: ["Net"], throttled: ["Slow"], permanent: ["Gone"] })

const base = { name: "hedged", faults, safety: "idempotent", hedge: { after: 100 } } as const

const hedged = Policy.make(base)

interface Step {
  readonly takes: number
  readonly ends: Effect.Effect<string, Net | Slow | Gone>
}

/** What each attempt does, in the order of their starts; who started when, and who was interrupted when. */
const scenario = (...steps: ReadonlyArray<Step>) => {
  const started: Array<{ readonly at: number; readonly attempt: number; readonly kind: string }> = []
  const interrupted: Array<{ readonly at: number; readonly attempt: number }> = []
  const effect = Effect.gen(function* () {
    const { kind, number } = yield* Attempt.current
    started.push({ at: yield* Clock.currentTimeMillis, attempt: number, kind })
    const step = steps[started.length - 1]!
    return yield* Effect.sleep(step.takes).pipe(
      Effect.andThen(step.ends),
      Effect.onInterrupt(() =>
        Effect.andThen(
          // what comes after must wait for it
          Effect.sleep(5),
          Effect.map(Clock.currentTimeMillis, (at) => interrupted.push({ at, attempt: number }))
        )
      )
    )
  })
  return { effect, started, interrupted }
}

const ok = (takes: number, value = "ok"): Step => ({ takes, ends: Effect.succeed(value) })
const net = (takes: number): Step => ({ takes, ends: Effect.fail(new Net({})) })
const slow = (takes: number): Step => ({ takes, ends: Effect.fail(new Slow({})) })
const gone = (takes: number): Step => ({ takes, ends: Effect.fail(new Gone({})) })

const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  throughTime(
    Effect.andThen(Effect.exit(self), (exit) => Effect.map(Clock.currentTimeMillis, (at) => ({ at, exit }))),
    {
      step: 5
    }
  ).pipe(Effect.map((exit) => (Exit.isSuccess(exit) ? exit.value : assert.fail(String(exit)))))

describe("which attempts start", () => {
  it.effect("none beside one that has ended by then", () =>
    Effect.gen(function* () {
      const it = scenario(ok(99))
      const { at, exit } = yield* timed(it.effect.pipe(withResilience(hedged)))
      assert.deepStrictEqual([at, exit], [99, Exit.succeed("ok")])
      assert.deepStrictEqual(it.started, [{ at: 0, attempt: 1, kind: "first" }])
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(it.started, 1)
    })
  )

  it.effect("another one after the delay, and as many as `max` allows, each as much later", () =>
    Effect.gen(function* () {
      const policy = Policy.extend(hedged, { name: "three", hedge: { after: "100 millis", max: 2 } })
      const it = scenario(ok(10_000), ok(10_000), ok(500, "third"), ok(0, "never"))
      const { at, exit } = yield* timed(it.effect.pipe(withResilience(policy)))
      assert.deepStrictEqual(it.started, [
        { at: 0, attempt: 1, kind: "first" },
        { at: 100, attempt: 2, kind: "hedge" },
        { at: 200, attempt: 3, kind: "hedge" }
      ])
      assert.deepStrictEqual([at, exit], [705, Exit.succeed("third")])
    })
  )

  it.effect("none for an effect that has its answer already", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* timed(Effect.succeed(1).pipe(withResilience(hedged)))).exit, Exit.succeed(1))
      assert.deepStrictEqual((yield* timed(Effect.sync(() => 2).pipe(withResilience(hedged)))).exit, Exit.succeed(2))
    })
  )

  it.effect("none while the process drains, neither then nor later", () =>
    Effect.gen(function* () {
      const draining = MutableRef.make(false)
      const it = scenario(ok(1_000))
      const fiber = yield* it.effect.pipe(
        withResilience(Policy.extend(hedged, { name: "three", hedge: { after: 100, max: 3 } })),
        Effect.provideService(Policy.draining, draining),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust(50)
      MutableRef.set(draining, true)
      yield* TestClock.adjust(950)
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
      assert.lengthOf(it.started, 1)
    })
  )

  it.effect("hedges of a retry too, with the next number", () =>
    Effect.gen(function* () {
      const policy = Policy.extend(hedged, { name: "retried", retry: Backoff.constant(10).pipe(Backoff.times(2)) })
      const it = scenario(net(150), net(300), ok(500), ok(10, "fourth"))
      const { at, exit } = yield* timed(it.effect.pipe(withResilience(policy)))
      assert.deepStrictEqual(it.started, [
        { at: 0, attempt: 1, kind: "first" },
        { at: 100, attempt: 2, kind: "hedge" },
        // the hedge fails at 400
        { at: 410, attempt: 3, kind: "retry" },
        { at: 510, attempt: 4, kind: "hedge" }
      ])
      assert.deepStrictEqual([at, exit], [525, Exit.succeed("fourth")])
      assert.deepStrictEqual(it.interrupted, [{ at: 525, attempt: 3 }])
    })
  )
})

describe("which outcome wins", () => {
  it.effect("the hedge's, if it comes first: the first attempt is interrupted and awaited", () =>
    Effect.gen(function* () {
      const it = scenario(ok(1_000, "first"), ok(50, "second"))
      const { at, exit } = yield* timed(it.effect.pipe(withResilience(hedged)))
      assert.deepStrictEqual([at, exit], [155, Exit.succeed("second")])
      assert.deepStrictEqual(it.interrupted, [{ at: 155, attempt: 1 }])
    })
  )

  it.effect("the first attempt's, if it comes first", () =>
    Effect.gen(function* () {
      const it = scenario(ok(120, "first"), ok(50, "second"))
      const { at, exit } = yield* timed(it.effect.pipe(withResilience(hedged)))
      assert.deepStrictEqual([at, exit], [125, Exit.succeed("first")])
      assert.deepStrictEqual(it.interrupted, [{ at: 125, attempt: 2 }])
    })
  )

  it.effect("not a transient failure while another attempt runs, whichever of the two failed", () =>
    Effect.gen(function* () {
      for (const fails of [net, slow]) {
        const first = scenario(fails(120), ok(300, "second"))
        assert.deepStrictEqual((yield* timed(first.effect.pipe(withResilience(hedged)))).exit, Exit.succeed("second"))
        const second = scenario(ok(300, "first"), fails(20))
        assert.deepStrictEqual((yield* timed(second.effect.pipe(withResilience(hedged)))).exit, Exit.succeed("first"))
      }
    })
  )

  it.effect("a permanent failure at once, and a defect, wherever it happens", () =>
    Effect.gen(function* () {
      for (const bad of [gone(50), { takes: 50, ends: Effect.die("bug") }]) {
        const hedge = scenario(ok(1_000), bad)
        const one = yield* timed(hedge.effect.pipe(withResilience(hedged)))
        assert.strictEqual(one.at % 1_000_000, one.at)
        assert.isTrue(Exit.isFailure(one.exit))
        assert.lengthOf(hedge.interrupted, 1)
        const first = scenario({ ...bad, takes: 130 }, ok(1_000))
        const two = yield* timed(first.effect.pipe(withResilience(hedged)))
        assert.deepStrictEqual(two.exit, one.exit)
        assert.deepStrictEqual(first.interrupted[0]?.attempt, 2)
      }
    })
  )

  it.effect("if all fail, the last failure; the history has every attempt", () =>
    Effect.gen(function* () {
      const policy = Policy.extend(hedged, { name: "retried", retry: Backoff.constant(1).pipe(Backoff.times(0)) })
      const it = scenario(net(200), net(50))
      const error = errorOf((yield* timed(it.effect.pipe(withResilience(policy)))).exit)
      if (error._tag !== "RetryExhausted") return assert.fail(error._tag)
      assert.strictEqual(error.attempts, 2)
      assert.deepStrictEqual(
        error.history.map(({ kind, number, startedAfter, took }) => [
          number,
          kind,
          Duration.toMillis(startedAfter),
          Duration.toMillis(took)
        ]),
        [
          [2, "hedge", 100, 50],
          [1, "first", 0, 200]
        ]
      )
    })
  )

  it.effect("if all fail, a server that asked for patience is heard, whoever came last", () =>
    Effect.gen(function* () {
      const policy = Policy.make({
        ...base,
        faults: Fault.orElse(
          Fault.refine((e: unknown): e is Slow => e instanceof Slow, Fault.throttled({ retryAfter: "1 second" })),
          faults
        ),
        retry: Backoff.constant(1).pipe(Backoff.times(1))
      })
      for (const [first, second] of [
        [slow(120), net(50)],
        [net(120), slow(50)]
      ] as const) {
        const it = scenario(first, second, ok(0))
        const { exit } = yield* timed(it.effect.pipe(withResilience(policy)))
        assert.deepStrictEqual(exit, Exit.succeed("ok"))
        assert.isAtLeast(it.started[2]!.at - it.started[1]!.at, 1_000)
      }
    })
  )

  it.effect("a classifier goes by the Clock of the call, although no fiber runs when an attempt has ended", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const timely = Fault.make<Net | Slow | Gone>(() => {
        seen.push(wallNowMs())
        return Fault.transient()
      })
      const it = scenario(net(110), net(50))
      yield* timed(it.effect.pipe(withResilience(Policy.extend(hedged, { name: "timely", faults: timely }))))
      assert.deepStrictEqual(seen, [110, 150])
    })
  )

  it.effect("without a retry, a transient failure comes out as it is", () =>
    Effect.gen(function* () {
      const it = scenario(net(110), net(50))
      const exit = (yield* timed(it.effect.pipe(withResilience(hedged)))).exit
      assert.strictEqual(errorOf(exit)._tag, "Net")
    })
  )
})

describe("limits", () => {
  it.effect("the time of a hedge that waits for admission begins when it runs, like that of any attempt", () =>
    Effect.gen(function* () {
      // the first attempt is let in at once, and the hedge after 300 ms
      class Queue extends Guard.Service<Queue, never>()("test/Queue", {
        name: "test/Queue",
        phase: "concurrency",
        admit: ({ kind }) => {
          const free = Guard.admitted({ settle: () => {} })
          return kind === "hedge" ? Guard.pending(Effect.as(Effect.sleep(300), free)) : free
        }
      }) {}
      const policy = Policy.make({ ...base, guards: [Queue], attemptTimeout: 1_000 })
      const it = scenario(net(1_200), net(1_200))
      const { at } = yield* timed(it.effect.pipe(withResilience(policy), Effect.provide(Queue.layer)))
      assert.deepStrictEqual(
        it.started.map(({ at }) => at),
        [0, 400]
      )
      assert.deepStrictEqual(
        it.interrupted.map(({ at }) => at),
        [1_005, 1_405]
      )
      assert.strictEqual(at, 1_405)

      // but the deadline is that of the call
      const late = scenario(net(2_000), net(2_000))
      const until = Policy.extend(policy, { name: "until", deadline: 1_200 })
      const { exit } = yield* timed(late.effect.pipe(withResilience(until), Effect.provide(Queue.layer)))
      assert.strictEqual(errorOf(exit)._tag, "DeadlineExceeded")
      assert.deepStrictEqual(
        late.interrupted.map(({ at }) => at - late.started[0]!.at),
        [1_005, 1_205]
      )
    })
  )

  it.effect("each attempt has its own timeout", () =>
    Effect.gen(function* () {
      const policy = Policy.extend(hedged, { name: "timed", attemptTimeout: 150 })
      const it = scenario(ok(1_000), ok(120, "second"))
      const { at, exit } = yield* timed(it.effect.pipe(withResilience(policy)))
      assert.deepStrictEqual([at, exit], [220, Exit.succeed("second")])
      assert.deepStrictEqual(it.interrupted, [{ at: 155, attempt: 1 }])
      const both = scenario(ok(1_000), ok(1_000))
      const error = errorOf((yield* timed(both.effect.pipe(withResilience(policy)))).exit)
      assert.deepInclude(error, { _tag: "AttemptTimeout", attempt: 2 })
    })
  )

  it.effect("the deadline cuts all of them", () =>
    Effect.gen(function* () {
      const policy = Policy.extend(hedged, { name: "bounded", deadline: 300 })
      const it = scenario(ok(1_000), ok(1_000))
      const { at, exit } = yield* timed(it.effect.pipe(withResilience(policy)))
      assert.deepInclude(errorOf(exit), { _tag: "DeadlineExceeded", attempts: 2 })
      assert.strictEqual(at, 305)
      assert.lengthOf(it.interrupted, 2)
      // one further out
      const outer = scenario(ok(1_000), ok(1_000))
      const late = yield* timed(outer.effect.pipe(withResilience(hedged), Deadline.within(200)))
      assert.strictEqual(errorOf(late.exit)._tag, "DeadlineExceeded")
      assert.lengthOf(outer.interrupted, 2)
    })
  )

  it("a delay that no attempt can outlast is refused, and so is what is no hedge", () => {
    const refused = (options: object, option: string) => {
      try {
        Policy.make({ ...base, ...options } as never)
      } catch (error) {
        assert.instanceOf(error, InvalidOption)
        return assert.strictEqual((error as InvalidOption).option, `Policy.make: ${option}`)
      }
      assert.fail(`${option} was not refused`)
    }
    refused({ attemptTimeout: 100 }, "hedge.after")
    refused({ deadline: "0.05 seconds" }, "hedge.after")
    refused({ hedge: { after: 0 } }, "hedge.after")
    refused({ hedge: { after: Number.NaN } }, "hedge.after")
    refused({ hedge: { after: 1, max: 0 } }, "hedge.max")
    refused({ hedge: { after: 1, max: 11 } }, "hedge.max")
    refused({ hedge: { after: 1, max: 1.5 } }, "hedge.max")
    refused({ hedge: "1 second" }, "hedge")
    refused({ hedge: null }, "hedge")
    refused({ safety: undefined }, "safety")
    refused({ safety: "not-idempotent" }, "safety")
    assert.doesNotThrow(() => Policy.make({ ...base, attemptTimeout: 101, deadline: 102 }))
  })
})

class Tokens extends Context.Service<Tokens, Budget>()("test/Tokens") {}
class Gate extends Context.Service<Gate, Guard.Guard<Net>>()("test/Gate") {}

const guarded = Policy.make({ ...base, budget: Tokens, guards: [Gate] })

const provide = (budget: BookedBudget, guard: Guard.Guard<Net>) =>
  Effect.provide(Layer.mergeAll(Layer.succeed(Tokens, budget), Layer.succeed(Gate, guard)))

describe("budgets", () => {
  it.effect("a hedge draws a token; the attempts that lose are neutral", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("b", 1)
      const book = new Book()
      const it = scenario(ok(1_000), ok(20, "second"))
      yield* timed(it.effect.pipe(withResilience(guarded), provide(budget, bookedGuard(book, "g"))))
      assert.deepInclude(budget, { taken: 1, settled: 1, cancelled: 0, begun: 1, ended: 1, tokens: 0 })
      assert.deepStrictEqual(budget.outcomes, ["success"])
      assert.deepStrictEqual(
        book.settled.map(({ elapsed, outcome }) => [outcome.kind, elapsed]),
        [
          ["success", 20],
          ["interrupted", 125]
        ]
      )
    })
  )

  it.effect("without a token it does not start, and the attempt that runs is left alone", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("b", 0)
      const book = new Book()
      const it = scenario(ok(1_000))
      const [{ exit }, events] = yield* Telemetry.recorded(
        timed(it.effect.pipe(withResilience(guarded), provide(budget, bookedGuard(book, "g"))))
      ).pipe(Effect.map(([exit, events]) => [Exit.isSuccess(exit) ? exit.value : assert.fail(), events] as const))
      assert.deepStrictEqual(exit, Exit.succeed("ok"))
      assert.lengthOf(it.started, 1)
      assert.strictEqual(book.admitted, 1)
      assert.deepInclude(events.find((event) => event._tag === "HedgeDenied") ?? {}, {
        attempt: 2,
        reason: "budget",
        deniedBy: "b"
      })
    })
  )

  it.effect("a task's budget counts it", () =>
    Effect.gen(function* () {
      const it = scenario(ok(1_000), ok(1_000), ok(500), ok(500))
      const policy = Policy.extend(hedged, { name: "three", hedge: { after: 100, max: 3 } })
      yield* timed(it.effect.pipe(withResilience(policy), RetryBudget.task({ maxRetries: 1 })))
      assert.lengthOf(it.started, 2)
    })
  )
})

describe("guards", () => {
  it.effect("one that refuses at a look: no token is asked for", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("b", 1)
      const book = new Book()
      const guard: Guard.Guard<Net> = {
        ...bookedGuard(book, "g"),
        look: (call) => (call.kind === "hedge" ? new Net({}) : undefined)
      }
      const it = scenario(ok(300))
      const [, events] = yield* Telemetry.recorded(
        timed(it.effect.pipe(withResilience(guarded), provide(budget, guard)))
      )
      assert.lengthOf(it.started, 1)
      assert.strictEqual(budget.taken, 0)
      assert.deepInclude(events.find((event) => event._tag === "HedgeDenied") ?? {}, {
        reason: "rejected",
        deniedBy: "g"
      })
      assert.deepInclude(events.find((event) => event._tag === "GuardRejected") ?? {}, { attempt: 2, guard: "g" })
    })
  )

  it.effect("one that refuses at admission: the token goes back", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("b", 1)
      const book = new Book()
      const guard: Guard.Guard<Net> = {
        name: "g",
        phase: "circuit",
        admit: (call) => (call.kind === "hedge" ? Guard.rejected(new Net({})) : bookedGuard(book, "g").admit(call))
      }
      const it = scenario(ok(300))
      assert.deepStrictEqual(
        (yield* timed(it.effect.pipe(withResilience(guarded), provide(budget, guard)))).exit,
        Exit.succeed("ok")
      )
      assert.deepInclude(budget, { taken: 1, cancelled: 1, settled: 0, tokens: 1, ended: 1 })
      assert.deepStrictEqual([book.admitted, book.held], [1, 0])
    })
  )

  it.effect("one that dies while it is asked costs the call nothing", () =>
    Effect.gen(function* () {
      for (const where of ["look", "admit"] as const) {
        const budget = new BookedBudget("b", 1)
        const book = new Book()
        const guard: Guard.Guard<Net> = {
          ...bookedGuard(book, "g"),
          [where]: (call: Guard.Call) => {
            if (call.kind === "hedge") throw new Error("a bug")
            return where === "look" ? undefined : bookedGuard(book, "g").admit(call)
          }
        }
        const it = scenario(ok(300))
        assert.deepStrictEqual(
          (yield* timed(it.effect.pipe(withResilience(guarded), provide(budget, guard)))).exit,
          Exit.succeed("ok")
        )
        assert.deepStrictEqual([budget.open, book.held, budget.tokens], [0, 0, 1])
      }
    })
  )

  it.effect("one that lets it wait: the hedge starts when it is let in, or never if the call ends first", () =>
    Effect.gen(function* () {
      for (const waits of [100, 400]) {
        const budget = new BookedBudget("b", 1)
        const book = new Book()
        const guard: Guard.Guard<Net> = {
          name: "g",
          phase: "concurrency",
          admit: (call) =>
            call.kind === "hedge"
              ? Guard.pending(Effect.as(Effect.sleep(waits), Guard.admitted(book.permit())))
              : Guard.admitted(book.permit())
        }
        const late: Guard.Guard<Net> = {
          ...guard,
          admit: (call) =>
            call.kind === "hedge"
              ? Guard.pending(Effect.map(Effect.sleep(waits), () => Guard.admitted(book.permit())))
              : guard.admit(call)
        }
        const it = scenario(ok(300, "first"), ok(50, "second"))
        const { at, exit } = yield* timed(it.effect.pipe(withResilience(guarded), provide(budget, late)))
        if (waits === 100) {
          assert.deepStrictEqual([at % 1_000, exit], [255, Exit.succeed("second")])
          assert.deepStrictEqual([budget.settled, book.admitted], [1, 2])
        } else {
          assert.deepStrictEqual(exit, Exit.succeed("first"))
          assert.deepStrictEqual([budget.cancelled, budget.tokens, book.admitted], [1, 1, 1])
        }
        assert.deepStrictEqual([book.held, budget.open], [0, 0])
        yield* TestClock.setTime(0)
      }
    })
  )

  it.effect("what a guard still has to do when it is told is done before the call ends", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const guard: Guard.Guard<Net> = {
        name: "g",
        phase: "concurrency",
        admit: () =>
          Guard.admitted({ settle: (outcome) => Effect.map(Effect.sleep(10), () => void told.push(outcome.kind)) })
      }
      const it = scenario(ok(1_000), ok(20, "second"))
      const { at } = yield* timed(it.effect.pipe(withResilience(guarded), provide(new BookedBudget("b", 9), guard)))
      assert.sameMembers(told, ["success", "interrupted"])
      assert.isAtLeast(at, 145)
    })
  )
})

describe("what attempts see and say", () => {
  it.effect("the key of the call, the same in each", () =>
    Effect.gen(function* () {
      const keys: Array<string> = []
      const policy = Policy.make({ ...base, safety: Idempotency.key(Idempotency.uuid) })
      const call = Effect.flatMap(Idempotency.Key, (key) => {
        keys.push(key)
        return Effect.sleep(keys.length === 1 ? 1_000 : 10)
      })
      yield* timed(call.pipe(withResilience(policy)))
      assert.lengthOf(keys, 2)
      assert.strictEqual(keys[0], keys[1])
    })
  )

  it.effect("events: which started, which won, which lost", () =>
    Effect.gen(function* () {
      const it = scenario(ok(1_000), ok(20))
      const [, events] = yield* Telemetry.recorded(timed(it.effect.pipe(withResilience(hedged))))
      assert.deepStrictEqual(
        events.map((event) => [event._tag, "attempt" in event ? event.attempt : undefined]),
        [
          ["CallStarted", undefined],
          ["HedgeStarted", 2],
          ["AttemptSucceeded", 2],
          ["AttemptFailed", 1],
          ["CallSucceeded", undefined]
        ]
      )
      assert.deepInclude(events[3], { outcome: "interrupted", kind: "first" })
      assert.deepInclude(events[1], { after: Duration.millis(100) })
      assert.deepInclude(events[4], { attempts: 2 })
    })
  )

  it.effect("a hedge that makes good a failure is a recovery", () =>
    Effect.gen(function* () {
      const it = scenario(net(110), ok(100))
      const [, events] = yield* Telemetry.recorded(timed(it.effect.pipe(withResilience(hedged))))
      assert.deepInclude(events.find((event) => event._tag === "CallRecovered") ?? {}, { attempts: 2, error: "Net" })
    })
  )

  it.effect("a first attempt that succeeds although its hedge failed is none", () =>
    Effect.gen(function* () {
      const it = scenario(ok(500), net(10))
      const [, events] = yield* Telemetry.recorded(timed(it.effect.pipe(withResilience(hedged))))
      assert.isTrue(events.some((event) => event._tag === "AttemptFailed" && event.error === "Net"))
      assert.isFalse(events.some((event) => event._tag === "CallRecovered"))
    })
  )

  it.effect("a nested call in a hedge counts as below the policy", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const inner = Effect.map(Attempt.current, ({ number }) => void seen.push(number))
      const nested = Effect.flatMap(Attempt.current, ({ number }) =>
        Effect.andThen(withResilience(inner, Policy.make({ name: "inner" })), Effect.sleep(number === 1 ? 1_000 : 10))
      )
      yield* timed(nested.pipe(withResilience(hedged)))
      assert.deepStrictEqual(seen, [1, 1])
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// Against a model: what each attempt does is given; who must win, and when, is worked out from a list.
// ---------------------------------------------------------------------------------------------------------------------

const kinds = ["success", "transient", "permanent"] as const

interface Plan {
  readonly after: number
  readonly max: number
  readonly attempts: ReadonlyArray<{ readonly takes: number; readonly kind: number }>
  readonly interruptAt: number
}

const plans: Arbitrary.Arbitrary<Plan> = Arbitrary.all({
  after: integers(1, 8),
  max: integers(1, 3),
  attempts: Arbitrary.array(Arbitrary.all({ takes: integers(1, 30), kind: integers(0, 2) }), {
    minLength: 4,
    maxLength: 4
  }),
  interruptAt: integers(0, 60)
})

/** Times in tens of milliseconds; hedges start five milliseconds off, so that no two things happen at one moment. */
const expected = ({ after, attempts, max }: Plan) => {
  const starts: Array<number> = []
  const ends: Array<{ readonly at: number; readonly kind: string }> = []
  let over = Number.POSITIVE_INFINITY
  let kind = ""
  for (let i = 0; i <= max; i++) {
    const at = i * (after * 10 + 1)
    const running = ends.some((end) => end.at > at)
    if (at > over || (i > 0 && !running)) break
    starts.push(at)
    ends.push({ at: at + attempts[i]!.takes * 10, kind: kinds[attempts[i]!.kind]! })
    const final = ends.filter((end) => end.kind !== "transient").toSorted((a, b) => a.at - b.at)[0]
    if (final !== undefined) [over, kind] = [final.at, final.kind]
  }
  // a final outcome counts only if something still ran until then without a gap
  if (over === Number.POSITIVE_INFINITY) {
    const last = ends.toSorted((a, b) => a.at - b.at).at(-1)!
    return { over: last.at, kind: "transient", starts: starts.length }
  }
  return { over, kind, starts: starts.filter((at) => at < over).length }
}

describe("whatever the attempts do", () => {
  const run = (plan: Plan, interrupted: boolean) =>
    Effect.gen(function* () {
      const budget = new BookedBudget("b", 100)
      const book = new Book()
      let running = 0
      let started = 0
      const call = Effect.suspend(() => {
        const { kind, takes } = plan.attempts[started++]!
        running++
        const end: Effect.Effect<string, Net | Gone> =
          kind === 0 ? Effect.succeed("ok") : Effect.fail(kind === 1 ? new Net({}) : new Gone({}))
        return Effect.sleep(takes * 10).pipe(Effect.andThen(end), Effect.ensuring(Effect.sync(() => void running--)))
      })
      const policy = Policy.extend(guarded, { name: "any", hedge: { after: plan.after * 10 + 1, max: plan.max } })
      const start = yield* Clock.currentTimeMillis
      const fiber = yield* call.pipe(
        withResilience(policy),
        provide(budget, bookedGuard(book, "g")),
        Effect.exit,
        Effect.flatMap((exit) => Effect.map(Clock.currentTimeMillis, (at) => ({ exit, at: at - start }))),
        Effect.forkChild({ startImmediately: true })
      )
      if (interrupted) {
        yield* TestClock.adjust(plan.interruptAt * 10 + 5)
        yield* Fiber.interrupt(fiber)
      } else {
        yield* TestClock.adjust(2_000)
      }
      const left = [running, book.held, budget.open]
      return { result: fiber.pollUnsafe()!, started, left, budget, book }
    })

  it.effect("the first acceptable outcome wins, once, at its time, and nothing is left", () =>
    holds(
      plans,
      (plan) =>
        Effect.map(run(plan, false), ({ book, budget, left, result, started }) => {
          const want = expected(plan)
          if (!Exit.isSuccess(result)) return false
          const { at, exit } = result.value
          const kind = Exit.isSuccess(exit) ? "success" : errorOf(exit)._tag === "Gone" ? "permanent" : "transient"
          const final = budget.outcomes.filter((outcome) => outcome !== "transient")
          return (
            at === want.over &&
            kind === want.kind &&
            started === want.starts &&
            left.every((it) => it === 0) &&
            final.length === (kind === "transient" ? 0 : 1) &&
            book.admitted === started &&
            budget.taken === started - 1
          )
        }),
      { runs: 400 }
    )
  )

  it.effect("interrupted at any time, nothing is left", () =>
    holds(
      plans,
      (plan) =>
        Effect.map(run(plan, true), ({ left, result }) =>
          Exit.isFailure(result) || Exit.isSuccess(result) ? left.every((it) => it === 0) : false
        ),
      { runs: 300 }
    )
  )
})
