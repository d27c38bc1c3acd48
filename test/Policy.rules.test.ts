// The rules of the design, each by its number. Rules about backoff, budgets, circuits and options alone have their tests with
// those modules; test/README.md says where.
import { assert, describe, it } from "@effect/vitest"
import { Backoff, Deadline, Fault, Guard, Policy, withResilience } from "effect-resilience"
import { Cause, Clock, Context, Duration, Effect, Exit, Fiber, Layer, MutableRef, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import type { Budget } from "../src/internal/budget.ts"
import { Book, bookedGuard, BookedBudget, errorOf, Gone, Net, scripted, Slow, throughTime } from "./kit.ts"

type E = Net | Slow | Gone
const faults = Fault.byTag<E>()({
  Net: "transient",
  Slow: (e) => Fault.throttled({ retryAfter: e.after, unprocessed: true }),
  Gone: "permanent"
})
const fail = (n?: number): Effect.Effect<never, E> => Effect.fail(n === undefined ? new Net({}) : new Net({ n }))
const ok: Effect.Effect<string, E> = Effect.succeed("ok")
const every = (ms: number, times: number) => Backoff.constant(ms).pipe(Backoff.times(times))

const exhausted = <A>(exit: Exit.Exit<A, unknown>): Policy.RetryExhausted<unknown> => {
  const error = errorOf(exit)
  assert.instanceOf(error, Policy.RetryExhausted)
  return error
}

describe("retry", () => {
  const policy = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(100, 3) })

  it.effect("runs until it succeeds, at the schedule's times", () =>
    Effect.gen(function* () {
      const { effect, runs } = scripted(fail(), fail(), ok)
      assert.deepStrictEqual(yield* throughTime(withResilience(effect, policy)), Exit.succeed("ok"))
      assert.deepStrictEqual(runs, [0, 100, 200])
    })
  )

  it.effect("rule 1: a permanent or unrecognised fault, a defect and an interruption are never retried", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<Effect.Effect<never, E | string>> = [
        Effect.fail(new Gone({})),
        Effect.fail("unrecognised"),
        Effect.die("defect"),
        Effect.interrupt,
        Effect.failCause(Cause.combine(Cause.fail(new Net({})), Cause.die("defect"))),
        Effect.failCause(Cause.combine(Cause.fail(new Net({})), Cause.interrupt(7))),
        Effect.failCause(Cause.combine(Cause.fail(new Net({})), Cause.fail(new Gone({}))))
      ]
      for (const failure of cases) {
        const { effect, runs } = scripted(failure)
        const exit = yield* Effect.exit(withResilience(effect, policy))
        assert.deepStrictEqual<Exit.Exit<unknown, unknown>>(exit, yield* Effect.exit(failure))
        assert.strictEqual(runs.length, 1)
      }
    })
  )

  it.effect("rule 4: Retry-After is a floor, jitter only adds to it, and a hint above the ceiling is refused", () =>
    Effect.gen(function* () {
      const hinted = (after: number) => scripted<string, E>(Effect.fail(new Slow({ after })), ok)
      for (let seed = 0; seed < 20; seed++) {
        const { effect, runs } = hinted(1_000)
        const exit = yield* throughTime(Effect.scoped(withResilience(effect, policy)).pipe(Random.withSeed(seed)), {
          step: 1
        })
        assert.deepStrictEqual(exit, Exit.succeed("ok"))
        const waited = runs[1]! - runs[0]!
        assert.isAtLeast(waited, 1_000)
        assert.isAtMost(waited, 1_101)
      }
      const short = hinted(40)
      yield* throughTime(withResilience(short.effect, policy))
      assert.strictEqual(short.runs[1]! - short.runs[0]!, 100)
      const long = hinted(60_001)
      const error = exhausted(yield* Effect.exit(withResilience(long.effect, policy)))
      assert.strictEqual(error.reason, "retry-after")
      assert.deepStrictEqual(error.retryAfter, Duration.millis(60_001))
      assert.strictEqual(long.runs.length, 1)
      const patient = Policy.extend(policy, { name: "patient", retryAfterCeiling: "2 minutes" })
      const waited = hinted(60_001)
      assert.deepStrictEqual(
        yield* throughTime(withResilience(waited.effect, patient), { step: 1_000 }),
        Exit.succeed("ok")
      )
    })
  )

  it.effect("rule 5: elapsed time counts from the start of the call, not from the first failure", () =>
    Effect.gen(function* () {
      const p = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: Backoff.constant(100).pipe(Backoff.within(1_000))
      })
      const { effect, runs } = scripted(Effect.andThen(Effect.sleep(800), fail()))
      const error = exhausted(yield* throughTime(withResilience(effect, p)))
      // 0..800, 900..1700; a third attempt would start after 1000
      assert.deepStrictEqual(runs, [0, 900])
      assert.strictEqual(error.reason, "schedule")
      assert.deepStrictEqual(error.elapsed, Duration.millis(1_700))
    })
  )

  it.effect("rule 6: the schedule is acquired on the first failure, once", () =>
    Effect.gen(function* () {
      let acquired = 0
      const counted = Schedule.fromStep(
        Effect.sync(() => {
          acquired++
          return () => Effect.succeed<[void, Duration.Duration]>([undefined, Duration.zero])
        })
      )
      const p = Policy.make({ name: "p", faults, safety: "idempotent", retry: counted, deadline: "1 minute" })
      acquired = 0
      yield* withResilience(ok, p)
      assert.strictEqual(acquired, 0)
      yield* withResilience(scripted(fail(), fail(), ok).effect, p)
      assert.strictEqual(acquired, 1)
    })
  )

  it.effect("rule 6: Schedule.CurrentMetadata is right inside every attempt, nested calls included", () =>
    Effect.gen(function* () {
      const seen: Array<[string, number, unknown, number]> = []
      const note = (who: string) =>
        Effect.map(Schedule.CurrentMetadata, (m) => {
          seen.push([who, m.attempt, (m.input as Net | undefined)?.n, m.elapsed])
        })
      let n = 0
      const inner = withResilience(Effect.andThen(note("inner"), ok), Policy.make({ name: "inner" }))
      const effect = Effect.gen(function* () {
        yield* note("outer")
        yield* inner
        yield* note("again")
        return yield* ++n < 3 ? fail(n) : ok
      })
      yield* throughTime(withResilience(effect, policy))
      assert.deepStrictEqual(seen, [
        ["outer", 0, undefined, 0],
        ["inner", 0, undefined, 0],
        ["again", 0, undefined, 0],
        ["outer", 1, 1, 0],
        ["inner", 0, undefined, 0],
        ["again", 1, 1, 0],
        ["outer", 2, 2, 100],
        ["inner", 0, undefined, 0],
        ["again", 2, 2, 100]
      ])
      // under a plain Effect.retry, the first attempt of a call is not that retry's
      seen.length = n = 0
      yield* Effect.retry(
        Effect.andThen(
          note("plain"),
          Effect.andThen(
            inner,
            Effect.suspend(() => (++n < 2 ? fail(n) : ok))
          )
        ),
        Schedule.recurs(1)
      )
      assert.deepStrictEqual(seen, [
        ["plain", 0, undefined, 0],
        ["inner", 0, undefined, 0],
        ["plain", 1, 1, 0],
        ["inner", 0, undefined, 0]
      ])
    })
  )

  it.effect("rule 7: RetryExhausted is not retried: two nested policies of 3 attempts make 3 calls", () =>
    Effect.gen(function* () {
      for (const classifier of [Fault.all, Fault.auto, Fault.orElse(faults, Fault.all)]) {
        const p = Policy.make({ name: "p", faults: Fault.all, safety: "idempotent", retry: every(1, 2) })
        const outer = Policy.make({ name: "outer", faults: classifier, safety: "idempotent", retry: every(1, 2) })
        const { effect, runs } = scripted(fail())
        const error = exhausted(yield* throughTime(effect.pipe(withResilience(p), withResilience(outer))))
        assert.strictEqual(runs.length, 3)
        assert.strictEqual(error.policy, "p")
      }
      const insists = Policy.make({
        name: "insists",
        faults: Fault.tags({ transient: ["RetryExhausted"] }),
        safety: "idempotent",
        retry: every(1, 2)
      })
      const { effect, runs } = scripted(fail())
      const inner = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 2) })
      const error = exhausted(yield* throughTime(effect.pipe(withResilience(inner), withResilience(insists))))
      assert.strictEqual(runs.length, 9)
      assert.strictEqual(error.policy, "insists")
    })
  )

  it.effect("rule 8: the original Cause and every attempt's error, duration and delay are kept", () =>
    Effect.gen(function* () {
      const cause = Cause.combine(Cause.fail(new Net({ n: 3 })), Cause.fail(new Net({ n: 4 })))
      const steps = [fail(1), Effect.andThen(Effect.sleep(30), fail(2)), Effect.failCause(cause)]
      const p = Policy.extend(policy, { name: "p", retry: every(100, 2) })
      const error = exhausted(yield* throughTime(withResilience(scripted(...steps).effect, p)))
      assert.strictEqual(error.cause, cause)
      assert.strictEqual((error.lastError as Net).n, 3)
      assert.strictEqual(error.attempts, 3)
      const ms = Duration.millis
      assert.deepStrictEqual(
        error.history.map((h) => ({ ...h, error: (h.error as Net).n })),
        [
          { number: 1, kind: "first", error: 1, startedAfter: ms(0), took: ms(0), delay: ms(100) },
          { number: 2, kind: "retry", error: 2, startedAfter: ms(100), took: ms(30), delay: ms(100) },
          { number: 3, kind: "retry", error: 3, startedAfter: ms(230), took: ms(0) }
        ]
      )
    })
  )

  it.effect("rule 8: the history is bounded at 16, the first and the last kept", () =>
    Effect.gen(function* () {
      const p = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(0, 99) })
      const error = exhausted(yield* Effect.exit(withResilience(fail(), p)))
      assert.strictEqual(error.attempts, 100)
      assert.deepStrictEqual(
        error.history.map((h) => h.number),
        [1, ...Array.from({ length: 15 }, (_, i) => 86 + i)]
      )
    })
  )

  it.effect("rule 9: not idempotent: only what provably was not processed is retried", () =>
    Effect.gen(function* () {
      const p = Policy.make({
        name: "p",
        faults,
        safety: "not-idempotent",
        attemptTimeout: "1 second",
        retry: every(1, 3)
      })
      const unsafe = scripted(fail(), ok)
      const error = exhausted(yield* throughTime(withResilience(unsafe.effect, p)))
      assert.strictEqual(error.reason, "unsafe")
      assert.strictEqual(unsafe.runs.length, 1)
      const unprocessed = scripted<string, E>(Effect.fail(new Slow({})), ok)
      assert.deepStrictEqual(yield* throughTime(withResilience(unprocessed.effect, p)), Exit.succeed("ok"))
      assert.strictEqual(unprocessed.runs.length, 2)
      const hung = scripted<string, E>(Effect.never, ok)
      const timedOut = exhausted(yield* throughTime(withResilience(hung.effect, p)))
      assert.strictEqual(timedOut.reason, "unsafe")
      assert.instanceOf(timedOut.lastError, Policy.AttemptTimeout)
    })
  )

  it.effect("transient and throttled failures may have schedules of their own", () =>
    Effect.gen(function* () {
      const p = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: { transient: every(10, 2), throttled: every(1_000, 1) }
      })
      const slow: Effect.Effect<never, E> = Effect.fail(new Slow({}))
      const { effect, runs } = scripted(fail(), slow, fail(), slow)
      const error = exhausted(yield* throughTime(withResilience(effect, p)))
      assert.deepStrictEqual(runs, [0, 10, 1_010, 1_020])
      assert.strictEqual(error.reason, "schedule")
    })
  )

  it.effect("draining: no new retry, also for a call that runs already", () =>
    Effect.gen(function* () {
      const always = scripted(fail())
      const refused = yield* Effect.exit(
        withResilience(always.effect, policy).pipe(Effect.provideService(Policy.draining, true))
      )
      assert.strictEqual(exhausted(refused).reason, "draining")
      assert.strictEqual(always.runs.length, 1)
      const switched = MutableRef.make(false)
      const { effect, runs } = scripted(fail(), Effect.andThen(Effect.sleep(50), fail()), ok)
      const fiber = yield* Effect.forkChild(
        Effect.exit(withResilience(effect, policy).pipe(Effect.provideService(Policy.draining, switched))),
        { startImmediately: true }
      )
      yield* TestClock.adjust(120)
      MutableRef.set(switched, true)
      yield* TestClock.adjust(100)
      assert.strictEqual(exhausted(yield* Fiber.join(fiber)).reason, "draining")
      assert.strictEqual(runs.length, 2)
    })
  )

  it.effect("a schedule or classifier that dies does not hide the original error", () =>
    Effect.gen(function* () {
      const dying = Schedule.fromStep(
        Effect.succeed((): Effect.Effect<[void, Duration.Duration]> => {
          throw new Error("schedule")
        })
      )
      const p1 = Policy.make({ name: "p", faults, safety: "idempotent", retry: dying, deadline: "1 second" })
      const p2 = Policy.make({
        name: "p",
        faults: Fault.make(() => {
          throw new Error("classifier")
        }),
        safety: "idempotent",
        retry: every(1, 1)
      })
      for (const [p, what] of [
        [p1, "schedule"],
        [p2, "classifier"]
      ] as const) {
        const exit = yield* Effect.exit(withResilience(fail(1), p))
        assert.isTrue(Exit.isFailure(exit))
        if (!Exit.isFailure(exit)) return
        assert.strictEqual(((exit.cause.reasons[0] as Cause.Fail<unknown>).error as Net).n, 1)
        assert.strictEqual(((exit.cause.reasons[1] as Cause.Die).defect as Error).message, what)
      }
    })
  )
})

describe("time", () => {
  it.effect("rule 5: a call is interrupted at its deadline, and returns when its finalizers have run", () =>
    Effect.gen(function* () {
      const p = Policy.make({ name: "p", deadline: "1 second" })
      const slowToStop = Effect.onInterrupt(Effect.never, () => Effect.sleep(300))
      const exit = yield* throughTime(Effect.exit(withResilience(slowToStop, p)))
      assert.strictEqual(yield* Clock.currentTimeMillis, 1_300)
      const error = errorOf(exit.pipe(Exit.getSuccess, (o) => (o._tag === "Some" ? o.value : Exit.die("none"))))
      assert.instanceOf(error, Deadline.DeadlineExceeded)
      assert.deepStrictEqual([error.name, error.after, error.attempts], ["p", Duration.seconds(1), 1])
    })
  )

  it.effect("an attempt timeout is transient; the deadline cuts the last attempt short", () =>
    Effect.gen(function* () {
      const p = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        deadline: "2 seconds",
        attemptTimeout: "800 millis",
        retry: every(100, 5)
      })
      const { effect, runs } = scripted<never, never>(Effect.never)
      const exit = yield* throughTime(withResilience(effect, p))
      assert.deepStrictEqual(runs, [0, 900, 1_800])
      const error = errorOf(exit)
      assert.instanceOf(error, Deadline.DeadlineExceeded)
      assert.instanceOf(error.lastError, Policy.AttemptTimeout)
      assert.strictEqual(error.attempts, 3)
      assert.strictEqual(yield* Clock.currentTimeMillis, 2_000)
    })
  )

  it.effect("a retry whose delay does not fit is refused now, without sleeping", () =>
    Effect.gen(function* () {
      const p = Policy.make({ name: "p", faults, safety: "idempotent", deadline: "1 second", retry: every(1_000, 5) })
      const error = exhausted(yield* Effect.exit(withResilience(fail(), p)))
      assert.strictEqual(error.reason, "deadline")
      assert.strictEqual(error.attempts, 1)
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
    })
  )

  it.effect("a policy without a deadline refuses retries that do not fit, and is interrupted by the owner", () =>
    Effect.gen(function* () {
      const p = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(600, 5) })
      const { effect, runs } = scripted(fail())
      const error = exhausted(yield* throughTime(withResilience(effect, p).pipe(Deadline.within("1 second"))))
      assert.deepStrictEqual([error.policy, error.reason], ["p", "deadline"])
      assert.deepStrictEqual(runs, [0, 600])
      const outer = Policy.make({ name: "outer", deadline: "1 second" })
      const hung = yield* throughTime(Effect.never.pipe(withResilience(p), withResilience(outer)))
      const exceeded = errorOf(hung)
      assert.instanceOf(exceeded, Deadline.DeadlineExceeded)
      assert.strictEqual(exceeded.name, "outer")
    })
  )

  it.effect("a policy's deadline is clamped by the one in force, whose owner raises it", () =>
    Effect.gen(function* () {
      const p = Policy.make({ name: "p", deadline: "5 seconds" })
      const late = errorOf(
        yield* throughTime(withResilience(Effect.never, p).pipe(Deadline.within("1 second", { name: "mine" })))
      )
      assert.instanceOf(late, Deadline.DeadlineExceeded)
      assert.strictEqual(late.name, "mine")
      const early = errorOf(yield* throughTime(withResilience(Effect.never, p).pipe(Deadline.within("9 seconds"))))
      assert.instanceOf(early, Deadline.DeadlineExceeded)
      assert.strictEqual(early.name, "p")
    })
  )

  it.effect("rule 18: a wall clock that steps changes nothing", () =>
    Effect.gen(function* () {
      const p = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        deadline: "10 seconds",
        retry: Backoff.constant(100).pipe(Backoff.within(5_000))
      })
      const clock = yield* Clock.Clock
      let skew = 0
      const stepping: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + skew
      }
      let n = 0
      const effect = Effect.suspend(() => {
        skew -= 3_600_000
        return ++n < 4 ? fail() : ok
      })
      const exit = yield* throughTime(withResilience(effect, p).pipe(Effect.provideService(Clock.Clock, stepping)))
      assert.deepStrictEqual(exit, Exit.succeed("ok"))
      assert.strictEqual(yield* Clock.currentTimeMillis, 300)
    })
  )
})

describe("guards", () => {
  const guards = (...list: ReadonlyArray<Guard.Guard<unknown>>) => {
    const keys = list.map((guard) => Context.Service<{ readonly _: unique symbol }, Guard.Guard<unknown>>(guard.name))
    const layer = Layer.mergeAll(Layer.empty, ...keys.map((key, i) => Layer.succeed(key)(list[i]!)))
    return { keys, layer }
  }

  it.effect("every attempt passes the guards in the order of their phases and settles once, in reverse", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const guard = (name: string, phase: Guard.Phase): Guard.Guard<never> => ({
        name,
        phase,
        look: () => {
          order.push(`look ${name}`)
          return undefined
        },
        admit: () => {
          order.push(`admit ${name}`)
          return Guard.admitted({
            settle: (outcome) => {
              order.push(`settle ${name} ${outcome.kind}`)
            }
          })
        }
      })
      const { keys, layer } = guards(
        guard("circuit", "circuit"),
        guard("limit", "concurrency"),
        guard("throttle", "throttle")
      )
      const p = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 2), guards: keys })
      yield* throughTime(withResilience(scripted(fail(), ok).effect, p).pipe(Effect.provide(layer)))
      const round = (outcome: string) => [
        ...["look throttle", "look limit", "look circuit", "admit throttle", "admit limit", "admit circuit"],
        ...[`settle circuit ${outcome}`, `settle limit ${outcome}`, `settle throttle ${outcome}`]
      ]
      // in the first call the order of the phases is not known before all guards are
      assert.deepStrictEqual(order, [...round("transient"), ...round("success")])
    })
  )

  it.effect("a rejection releases what is held; on the first attempt it comes out itself", () =>
    Effect.gen(function* () {
      const book = new Book()
      const no: Guard.Guard<Gone> = {
        name: "no",
        phase: "circuit",
        admit: () => Guard.rejected(new Gone({ id: "no" }))
      }
      const { keys, layer } = guards(bookedGuard(book, "book"), no)
      const p = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 2), guards: keys })
      const { effect, runs } = scripted(ok)
      const error = errorOf(yield* Effect.exit(withResilience(effect, p).pipe(Effect.provide(layer))))
      assert.strictEqual((error as Gone).id, "no")
      assert.strictEqual(runs.length, 0)
      assert.deepStrictEqual(
        book.settled.map((s) => [s.outcome.kind, s.outcome.health]),
        [["interrupted", "ignored"]]
      )
    })
  )

  it.effect("on a later attempt it is RetryExhausted, with the rejection and the last real error", () =>
    Effect.gen(function* () {
      let n = 0
      const once: Guard.Guard<Gone> = {
        name: "once",
        phase: "circuit",
        admit: () => (++n === 1 ? Guard.admitted({ settle: () => {} }) : Guard.rejected(new Gone({ id: "no" })))
      }
      const { keys, layer } = guards(once)
      const budget = new BookedBudget("budget", 5)
      const Budgets = Context.Service<"b", Budget>("budget")
      const p = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: every(1, 2),
        guards: keys,
        budget: Budgets
      })
      const error = exhausted(
        yield* throughTime(
          withResilience(fail(1), p).pipe(Effect.provide(layer), Effect.provideService(Budgets, budget))
        )
      )
      assert.deepStrictEqual([error.reason, error.deniedBy, error.attempts], ["rejected", "once", 1])
      assert.strictEqual((error.rejection as Gone).id, "no")
      assert.strictEqual((error.lastError as Net).n, 1)
      // the attempt it was taken for never ran
      assert.deepStrictEqual([budget.taken, budget.cancelled, budget.settled, budget.open], [1, 1, 0, 0])
    })
  )

  it.effect("a look rejects before anything is waited for, and again after a wait", () =>
    Effect.gen(function* () {
      let open = true
      let waits = 0
      const book = new Book()
      const waiting: Guard.Guard<never> = {
        name: "waiting",
        phase: "concurrency",
        admit: () =>
          Guard.pending(
            Effect.sync(() => {
              waits++
              return Guard.admitted(book.permit())
            }).pipe(Effect.delay(100))
          )
      }
      const circuit: Guard.Guard<Gone> = {
        name: "circuit",
        phase: "circuit",
        look: () => (open ? new Gone({ id: "open" }) : undefined),
        admit: () => Guard.admitted({ settle: () => {} })
      }
      const { keys, layer } = guards(waiting, circuit)
      const p = Policy.make({ name: "p", guards: keys })
      const run = withResilience(ok, p).pipe(Effect.provide(layer))
      assert.strictEqual((errorOf(yield* throughTime(run)) as Gone).id, "open")
      assert.strictEqual(waits, 0)
      open = false
      const fiber = yield* Effect.forkChild(Effect.exit(run), { startImmediately: true })
      open = true
      yield* TestClock.adjust(100)
      assert.strictEqual((errorOf(yield* Fiber.join(fiber)) as Gone).id, "open")
      assert.deepStrictEqual([waits, book.held], [1, 0])
      open = false
      assert.deepStrictEqual(yield* throughTime(run), Exit.succeed("ok"))
      assert.strictEqual(book.held, 0)
    })
  )

  it.effect("a wait does not make a guard look again that has let this very attempt through", () =>
    Effect.gen(function* () {
      // each has one place, at once or after a wait, and refuses at a look when it is taken
      const onePlace = (name: string, phase: Guard.Phase, waits: boolean): Guard.Guard<Gone> => {
        let isTaken = false
        const take = () => {
          isTaken = true
          return Guard.admitted({ settle: () => void (isTaken = false) })
        }
        return {
          name,
          phase,
          look: () => (isTaken ? new Gone({ id: name }) : undefined),
          admit: () => (waits ? Guard.pending(Effect.map(Effect.sleep(10), take)) : take())
        }
      }
      const { keys, layer } = guards(
        onePlace("first", "throttle", false),
        onePlace("second", "rate", true),
        onePlace("third", "concurrency", true),
        onePlace("last", "circuit", false)
      )
      const run = withResilience(ok, Policy.make({ name: "p", guards: keys })).pipe(Effect.provide(layer))
      assert.deepStrictEqual(yield* throughTime(run), Exit.succeed("ok"))
      assert.deepStrictEqual(yield* throughTime(run), Exit.succeed("ok"))
    })
  )

  it.effect("a pending admission is bounded by the deadline, and interrupted by the caller", () =>
    Effect.gen(function* () {
      let waiting = 0
      const stuck: Guard.Guard<never> = {
        name: "stuck",
        phase: "rate",
        admit: () =>
          Guard.pending(
            Effect.suspend(() => {
              waiting++
              return Effect.never
            }).pipe(
              Effect.onInterrupt(() =>
                Effect.sync(() => {
                  waiting--
                })
              )
            )
          )
      }
      const book = new Book()
      const { keys, layer } = guards(bookedGuard(book, "first", "throttle"), stuck)
      const p = Policy.make({ name: "p", deadline: "1 second", guards: keys })
      const run = withResilience(ok, p).pipe(Effect.provide(layer))
      assert.instanceOf(errorOf(yield* throughTime(run)), Deadline.DeadlineExceeded)
      assert.deepStrictEqual([waiting, book.held], [0, 0])
      const fiber = yield* Effect.forkChild(run, { startImmediately: true })
      assert.deepStrictEqual([waiting, book.held], [1, 1])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([waiting, book.held], [0, 0])
    })
  )

  it.effect("guards are told the outcome, its health, the hint and how long the attempt ran", () =>
    Effect.gen(function* () {
      const book = new Book()
      const { keys, layer } = guards(bookedGuard(book, "book"))
      const p = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        attemptTimeout: "1 second",
        retry: every(5, 9),
        guards: keys
      })
      const { effect } = scripted<string, E | string>(
        Effect.andThen(Effect.sleep(20), fail()),
        Effect.fail(new Slow({ after: 4 })),
        Effect.never,
        Effect.fail("what")
      )
      yield* throughTime(withResilience(effect, p).pipe(Effect.provide(layer)))
      assert.deepStrictEqual(
        book.settled.map((s) => [s.outcome.kind, s.outcome.health, s.elapsed, s.outcome.retryAfter]),
        [
          ["transient", "failed", 20, undefined],
          ["throttled", "ignored", 0, Duration.millis(4)],
          ["timeout", "failed", 1_000, undefined],
          ["unrecognised", "failed", 0, undefined]
        ]
      )
      assert.deepStrictEqual(
        book.calls.map((c) => [c.policy, c.attempt, c.kind]),
        [
          ["p", 1, "first"],
          ["p", 2, "retry"],
          ["p", 3, "retry"],
          ["p", 4, "retry"]
        ]
      )
    })
  )

  it.effect("an attempt cut by a deadline counts as failed only if it had its chance", () =>
    Effect.gen(function* () {
      const outcomeOf = (
        options: { readonly deadline?: string; readonly attemptTimeout?: string },
        outer: number | undefined,
        wait: number
      ) =>
        Effect.gen(function* () {
          const book = new Book()
          const slow: Guard.Guard<never> = {
            name: "slow",
            phase: "rate",
            admit: () => Guard.pending(Effect.as(Effect.sleep(wait), Guard.admitted({ settle: () => {} })))
          }
          const { keys, layer } = guards(bookedGuard(book, "book"), slow)
          const p = Policy.make({ name: "p", guards: keys, ...(options as { deadline: "1 second" }) })
          const run = withResilience(Effect.never, p).pipe(Effect.provide(layer))
          yield* throughTime(outer === undefined ? run : Deadline.within(run, outer))
          assert.strictEqual(book.held, 0)
          return book.settled[0]!.outcome.kind
        })
      assert.strictEqual(yield* outcomeOf({ deadline: "1 second" }, undefined, 0), "timeout")
      assert.strictEqual(yield* outcomeOf({ deadline: "1 second" }, undefined, 500), "timeout")
      assert.strictEqual(yield* outcomeOf({ deadline: "1 second" }, undefined, 510), "interrupted")
      assert.strictEqual(
        yield* outcomeOf({ deadline: "1 second", attemptTimeout: "300 millis" }, undefined, 710),
        "interrupted"
      )
      assert.strictEqual(yield* outcomeOf({ attemptTimeout: "300 millis" }, 200, 0), "interrupted")
      assert.strictEqual(yield* outcomeOf({ deadline: "1 second" }, 600, 0), "timeout")
      assert.strictEqual(yield* outcomeOf({ deadline: "1 second" }, 400, 0), "interrupted")
      assert.strictEqual(yield* outcomeOf({}, 400, 0), "interrupted")
    })
  )

  it.effect("rule 15: interruption by the caller is neutral", () =>
    Effect.gen(function* () {
      const book = new Book()
      const { keys, layer } = guards(bookedGuard(book, "book"))
      const p = Policy.make({ name: "p", guards: keys })
      const fiber = yield* Effect.forkChild(withResilience(Effect.never, p).pipe(Effect.provide(layer)), {
        startImmediately: true
      })
      yield* TestClock.adjust(5_000)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(
        book.settled.map((s) => [s.outcome.kind, s.outcome.health, s.elapsed]),
        [["interrupted", "ignored", 5_000]]
      )
    })
  )

  it.effect("a guard that dies on admission or settling leaks nothing and hides nothing", () =>
    Effect.gen(function* () {
      const book = new Book()
      const dies = (when: "look" | "admit" | "settle" | "settleLater" | "pending"): Guard.Guard<never> => ({
        name: "dies",
        phase: "circuit",
        look: () => {
          if (when === "look") throw new Error("look")
          return undefined
        },
        admit: () => {
          if (when === "admit") throw new Error("admit")
          if (when === "pending") return Guard.pending(Effect.die(new Error("pending")))
          return Guard.admitted({
            settle: () => {
              if (when === "settleLater") return Effect.die(new Error("settle"))
              throw new Error("settle")
            }
          })
        }
      })
      for (const when of ["look", "admit", "pending"] as const) {
        const { keys, layer } = guards(bookedGuard(book, "book"), dies(when))
        const p = Policy.make({ name: "p", guards: keys })
        const exit = yield* Effect.exit(withResilience(ok, p).pipe(Effect.provide(layer)))
        assert.isTrue(Exit.isFailure(exit) && (Cause.squash(exit.cause) as Error).message === when)
        assert.strictEqual(book.held, 0)
      }
      for (const when of ["settle", "settleLater"] as const) {
        const { keys, layer } = guards(bookedGuard(book, "book"), dies(when))
        const p = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 2), guards: keys })
        const quiet = Effect.provide(layer)
        assert.deepStrictEqual(yield* throughTime(withResilience(ok, p).pipe(quiet)), Exit.succeed("ok"))
        const gone = errorOf(yield* throughTime(withResilience(Effect.fail(new Gone({})), p).pipe(quiet)))
        assert.instanceOf(gone, Gone)
        const { effect, runs } = scripted(fail(), ok)
        assert.deepStrictEqual(yield* throughTime(withResilience(effect, p).pipe(quiet)), Exit.succeed("ok"))
        assert.strictEqual(runs.length, 2)
        assert.strictEqual(book.held, 0)
      }
    })
  )

  it.effect("a permit may settle with an effect, which is waited for and not interrupted", () =>
    Effect.gen(function* () {
      let done = 0
      const slow: Guard.Guard<never> = {
        name: "slow",
        phase: "circuit",
        admit: () =>
          Guard.admitted({
            settle: () =>
              Effect.map(Effect.sleep(50), () => {
                done++
              })
          })
      }
      const { keys, layer } = guards(slow, { ...slow, name: "slow too" })
      const p = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(10, 2), guards: keys })
      const { effect, runs } = scripted(fail(), ok)
      const run = withResilience(effect, p).pipe(Effect.provide(layer))
      assert.deepStrictEqual(yield* throughTime(run), Exit.succeed("ok"))
      assert.deepStrictEqual(runs, [0, 110])
      assert.strictEqual(done, 4)
      const fiber = yield* Effect.forkChild(withResilience(fail(), p).pipe(Effect.provide(layer)), {
        startImmediately: true
      })
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* TestClock.adjust(99)
      assert.isUndefined(interrupting.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(interrupting.pollUnsafe())
      assert.strictEqual(done, 6)
    })
  )
})

describe("budgets", () => {
  const one = Context.Service<"one", Budget>("one")
  const two = Context.Service<"two", Budget>("two")
  const using = (...budgets: ReadonlyArray<BookedBudget>) => {
    const context = Context.make(one, budgets[0]!).pipe(Context.add(two, budgets[1] ?? budgets[0]!))
    return Effect.provide(context)
  }
  const policy = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 9), budget: one })

  it.effect("rule 12: an exhausted budget returns the original failure inside RetryExhausted", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("one", 2)
      const { effect, runs } = scripted(fail(1))
      const error = exhausted(yield* throughTime(withResilience(effect, policy).pipe(using(budget))))
      assert.deepStrictEqual([error.reason, error.deniedBy, error.attempts], ["budget", "one", 3])
      assert.strictEqual((error.lastError as Net).n, 1)
      assert.strictEqual(runs.length, 3)
      assert.deepStrictEqual([budget.taken, budget.settled, budget.cancelled, budget.open], [2, 2, 0, 0])
      assert.deepStrictEqual(budget.outcomes, ["transient", "transient", "transient"])
    })
  )

  it.effect("the budget is asked last: no token is spent on a retry that another check refuses", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("one", 5)
      const refusals: ReadonlyArray<[Partial<Policy.Options>, string]> = [
        [{ retry: every(1, 0) }, "schedule"],
        [{ deadline: "1 second", retry: every(1_000, 1) }, "deadline"],
        [{ safety: "not-idempotent" }, "unsafe"]
      ]
      for (const [options, reason] of refusals) {
        const p = Policy.make({ ...policy.options, ...(options as {}) })
        const error = exhausted(yield* throughTime(withResilience(fail(), p).pipe(using(budget))))
        assert.strictEqual(error.reason, reason)
      }
      assert.deepStrictEqual([budget.taken, budget.open], [0, 0])
    })
  )

  it.effect("rule 13: several budgets are taken all or none", () =>
    Effect.gen(function* () {
      const both = Policy.extend(policy, { name: "both", budget: [one, two] })
      const rich = new BookedBudget("one", 9)
      const poor = new BookedBudget("two", 1)
      const error = exhausted(yield* throughTime(withResilience(fail(), both).pipe(using(rich, poor))))
      assert.deepStrictEqual([error.deniedBy, error.attempts], ["two", 2])
      assert.deepStrictEqual([rich.taken, rich.cancelled, rich.settled, rich.tokens], [2, 1, 1, 8])
      assert.deepStrictEqual([rich.open, poor.open], [0, 0])
    })
  )

  it.effect("rule 13: only the outermost live policy that uses a budget deposits", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("one", 9)
      const other = new BookedBudget("two", 9)
      const between = Policy.make({ name: "between", faults, safety: "idempotent", retry: every(1, 1), budget: two })
      yield* ok.pipe(withResilience(policy), withResilience(between), withResilience(policy), using(budget, other))
      assert.deepStrictEqual([budget.begun, budget.deposits], [2, 1])
      assert.deepStrictEqual([other.begun, other.deposits], [1, 1])
      // a daemon outlives the call: then it is outermost itself
      const run = Effect.gen(function* () {
        const fiber = yield* Effect.forkDetach(Effect.andThen(Effect.sleep(10), withResilience(ok, policy)))
        return fiber
      })
      const fiber = yield* withResilience(run, policy).pipe(using(budget))
      yield* TestClock.adjust(10)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([budget.begun, budget.deposits], [4, 3])
      assert.strictEqual(budget.open, 0)
    })
  )

  it.effect("rule 12: an exhausted budget never kills work in flight", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("one", 1)
      const p = Policy.extend(policy, { name: "p", retry: every(1, 9) })
      const slow = scripted(fail(), Effect.as(Effect.sleep(1_000), "late"))
      const inFlight = yield* Effect.forkChild(withResilience(slow.effect, p).pipe(using(budget)), {
        startImmediately: true
      })
      yield* TestClock.adjust(10)
      const refused = exhausted(yield* throughTime(withResilience(fail(), p).pipe(using(budget))))
      assert.deepStrictEqual([refused.reason, refused.attempts], ["budget", 1])
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* Fiber.join(inFlight), "late")
      assert.strictEqual(budget.open, 0)
    })
  )

  it.effect("interruption gives an unused token back", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("one", 5)
      const p = Policy.extend(policy, { name: "p", retry: every(1_000, 3) })
      const fiber = yield* Effect.forkChild(withResilience(fail(), p).pipe(using(budget)), { startImmediately: true })
      assert.strictEqual(budget.tokens, 4)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([budget.tokens, budget.open], [5, 0])
      assert.deepStrictEqual(budget.outcomes, ["transient"])
    })
  )

  it.effect("a nested policy's exhaustion is neutral, as the outcome table says", () =>
    Effect.gen(function* () {
      const budget = new BookedBudget("one", 5)
      const inner = Policy.make({ name: "inner", faults, safety: "idempotent", retry: every(1, 1) })
      yield* throughTime(fail().pipe(withResilience(inner), withResilience(policy), using(budget)))
      assert.deepStrictEqual(budget.outcomes, [])
    })
  )
})
