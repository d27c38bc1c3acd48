// The engine beyond the numbered rules: keys, idempotency, telemetry, Policy.Standard.
import { assert, describe, it } from "@effect/vitest"
import {
  Attempt,
  Backoff,
  CircuitBreaker,
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
import {
  Cause,
  Clock,
  Context,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Metric,
  Option,
  Random,
  Schedule,
  Tracer
} from "effect"
import { TestClock } from "effect/testing"
import type { Budget } from "../src/internal/budget.ts"
import { Book, bookedGuard, BookedBudget, errorOf, Gone, Net, scripted, throughTime } from "./kit.ts"
import { runInterrupted } from "./virtual.ts"

const faults = Fault.byTag<Net | Gone>()({ Net: "transient", Gone: "permanent" })
const fail: Effect.Effect<never, Net | Gone> = Effect.fail(new Net({}))
const every = (ms: number, times: number) => Backoff.constant(ms).pipe(Backoff.times(times))

describe("keys", () => {
  it.effect("one key for all keyed services, or one for each by its id", () =>
    Effect.gen(function* () {
      class Host extends CircuitBreaker.Service<Host>()("test/Host", {
        trip: CircuitBreaker.consecutiveFailures(1),
        keys: {}
      }) {}
      class Tenant extends RetryBudget.Service<Tenant>()(
        "test/Tenant",
        RetryBudget.tokenBucket({ capacity: 5, retryCost: 5 }),
        { keys: {} }
      ) {}
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: every(1, 1),
        guards: [Host],
        budget: Tenant
      })
      yield* Effect.gen(function* () {
        yield* throughTime(withResilience(fail, policy, { key: "a" }))
        assert.deepStrictEqual([yield* Host.state("a"), yield* Host.state("b")], ["open", "closed"])
        yield* throughTime(withResilience(fail, policy, { key: { "test/Host": "b", "test/Tenant": "t" } }))
        assert.deepStrictEqual([yield* Host.state("b"), yield* Host.state("t")], ["open", "closed"])
        const keys = (yield* Tenant.snapshots).map((s) => s.key)
        assert.deepStrictEqual(new Set(keys), new Set(["a", "t"]))
      }).pipe(Effect.provide([Host.layer, Tenant.layer]))
    })
  )

  it.effect("what is not keyed is told none, although others are", () =>
    Effect.gen(function* () {
      const trip = CircuitBreaker.consecutiveFailures(1)
      class Host extends CircuitBreaker.Service<Host>()("test/Host", { trip, keys: {} }) {}
      class Whole extends CircuitBreaker.Service<Whole>()("test/Whole", { trip }) {}
      class Budget extends RetryBudget.Service<Budget>()(
        "test/Budget",
        RetryBudget.fixedRate({ perSecond: 1, burst: 2 })
      ) {}
      const told: Array<unknown> = []
      const whole = Effect.map(Whole, (guard) => ({
        ...guard,
        look: (call: Guard.Call) => void told.push(call.key),
        admit: (call: Guard.Call) => {
          told.push(call.key)
          return Guard.admitted({ settle: () => {} })
        }
      }))
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: every(1, 1),
        guards: [Whole, Host],
        budget: Budget
      })
      const [, events] = yield* Telemetry.recorded(
        throughTime(withResilience(fail, policy, { key: "a" }).pipe(Effect.provideServiceEffect(Whole, whole)))
      ).pipe(Effect.provide([Host.layer, Whole.layer, Budget.layer]))
      assert.deepStrictEqual(new Set(told), new Set([undefined]))
      const changes = events.flatMap((event) => (event._tag === "BudgetChanged" ? [[event.budget, event.key]] : []))
      assert.deepStrictEqual(changes[0], ["test/Budget", undefined])
    })
  )

  it.effect("a nested call at another key of the same budget is counted there", () =>
    Effect.gen(function* () {
      class Tenant extends RetryBudget.Service<Tenant>()(
        "test/Tenant",
        RetryBudget.ratio({ ratio: 1, minPerSecond: 0 }),
        { keys: {} }
      ) {}
      const policy = (name: string) => Policy.make({ name, safety: "idempotent", faults, budget: Tenant })
      const nested = (inner: string) =>
        Effect.succeed(1).pipe(
          withResilience(policy("in"), { key: inner }),
          withResilience(policy("out"), { key: "a" })
        )
      yield* Effect.gen(function* () {
        yield* nested("b")
        assert.deepStrictEqual([yield* Tenant.balance("a"), yield* Tenant.balance("b")], [1, 1])
        yield* nested("a")
        assert.deepStrictEqual([yield* Tenant.balance("a"), yield* Tenant.balance("b")], [2, 1])
      }).pipe(Effect.provide(Tenant.layer))
    })
  )

  it.effect("guards see the key, the deadline, the time and a seeded random number", () =>
    Effect.gen(function* () {
      const book = new Book()
      const One = Context.Service<"one", Guard.Guard<never>>("one")
      const Two = Context.Service<"two", Guard.Guard<never>>("two")
      const policy = Policy.make({ name: "p", deadline: "2 seconds", guards: [One, Two] })
      yield* TestClock.adjust(500)
      const run = (key: unknown) =>
        withResilience(Effect.void, policy, { key } as never).pipe(
          Effect.provideService(One, bookedGuard(book, "one")),
          Effect.provideService(Two, bookedGuard(book, "two")),
          Random.withSeed(1)
        )
      yield* run("k")
      yield* run({ one: "a", two: "b" })
      assert.deepStrictEqual(
        book.calls.map((call) => [call.key, call.now, call.deadline, call.emit]),
        ["k", "k", "a", "b"].map((key) => [key, 500, 2_500, undefined])
      )
      const expected = yield* Random.withSeed(Random.next, 1)
      const drawn = yield* Random.withSeed(
        Effect.withFiber((fiber) =>
          Effect.succeed(Object.assign(Object.create(book.calls[0]!), { fiber }) as Guard.Call)
        ).pipe(Effect.map((call) => call.random())),
        1
      )
      assert.strictEqual(drawn, expected)
    })
  )
})

describe("idempotency keys", () => {
  const body = Effect.flatMap(Idempotency.Key, (key) => Effect.fail(new Net({ n: Number(key) })))
  const keysOf = (exit: Exit.Exit<unknown, unknown>) =>
    (errorOf(exit) as Policy.RetryExhausted<Net>).history.map((h) => h.error.n)

  it.effect("minted once a call, within its deadline; the caller's own wins", () =>
    Effect.gen(function* () {
      let minted = 0
      const mint = Effect.sync(() => String(++minted))
      const policy = Policy.make({ name: "p", faults, safety: Idempotency.key(mint), retry: every(1, 2) })
      assert.deepStrictEqual(keysOf(yield* throughTime(withResilience(body, policy))), [1, 1, 1])
      assert.deepStrictEqual(keysOf(yield* throughTime(withResilience(body, policy))), [2, 2, 2])
      const said = yield* throughTime(withResilience(body, policy, { idempotencyKey: "77" }))
      assert.deepStrictEqual(keysOf(said), [77, 77, 77])
      assert.strictEqual(minted, 2)
      const slow = Policy.make({
        name: "slow",
        safety: Idempotency.key(Effect.as(Effect.sleep(5_000), "1")),
        deadline: "1 second"
      })
      const late = errorOf(yield* throughTime(withResilience(Effect.void, slow)))
      assert.strictEqual(late._tag, "DeadlineExceeded")
      const empty = Policy.make({ name: "empty", safety: Idempotency.key(Effect.succeed(" ")) })
      const refused = yield* Effect.exit(withResilience(Effect.void, empty))
      assert.isTrue(Exit.isFailure(refused) && Cause.squash(refused.cause) instanceof InvalidOption)
      const dies = Policy.make({ name: "dies", safety: Idempotency.key(Effect.die("mint")) })
      const exit = yield* Effect.exit(withResilience(Effect.void, dies))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "mint")
    })
  )

  it.effect("a nested policy does not inherit the key", () =>
    Effect.gen(function* () {
      const outer = Policy.make({ name: "outer", safety: Idempotency.key() })
      const plain = Policy.make({ name: "plain" })
      const own = Policy.make({ name: "own", safety: Idempotency.key(Effect.succeed("2")) })
      const read = Effect.map(Idempotency.Key, (key) => key)
      assert.strictEqual(yield* withResilience(read, outer, { idempotencyKey: "1" }), "1")
      assert.strictEqual(yield* read.pipe(withResilience(own), withResilience(outer, { idempotencyKey: "1" })), "2")
      const exit = yield* Effect.exit(read.pipe(withResilience(plain), withResilience(outer, { idempotencyKey: "1" })))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      const given = read.pipe(withResilience(plain), Effect.provideService(Idempotency.Key, "mine"))
      assert.strictEqual(yield* withResilience(given, outer, { idempotencyKey: "1" }), "mine")
    })
  )
})

describe("attempts", () => {
  it.effect("an effect can look at its attempt, and at the latest error of a kind", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ name: "p", faults: Fault.all, safety: "idempotent", retry: every(1, 5) })
      const seen: Array<unknown> = []
      const look = Effect.gen(function* () {
        const { kind, lastError, number, policy } = yield* Attempt.current
        const net = yield* Attempt.lastError(Net)
        seen.push([policy, number, kind, (lastError as Net | undefined)?._tag, Option.map(net, (e) => e.n)])
      })
      const { effect } = scripted<void, Net | Gone>(
        Effect.fail(new Net({ n: 1 })),
        Effect.fail(new Gone({})),
        Effect.fail(new Net({ n: 3 })),
        Effect.void
      )
      yield* throughTime(withResilience(Effect.andThen(look, effect), policy))
      assert.deepStrictEqual(seen, [
        ["p", 1, "first", undefined, Option.none()],
        ["p", 2, "retry", "Net", Option.some(1)],
        ["p", 3, "retry", "Gone", Option.some(1)],
        ["p", 4, "retry", "Net", Option.some(3)]
      ])
    })
  )

  it.effect("draining that begins while a call sleeps makes no further attempt, and gives the token back", () =>
    Effect.gen(function* () {
      const draining = { current: false }
      const budget = new BookedBudget("b", 5)
      const Tokens = Context.Service<"b", Budget>("b")
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: every(1_000, 5),
        budget: Tokens
      })
      const { effect, runs } = scripted(fail)
      const fiber = yield* Effect.forkChild(
        Effect.exit(withResilience(effect, policy)).pipe(
          Effect.provideService(Policy.draining, draining as never),
          Effect.provideService(Tokens, budget)
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust(500)
      draining.current = true
      yield* TestClock.adjust(500)
      const error = errorOf(yield* Fiber.join(fiber)) as Policy.RetryExhausted<Net>
      assert.deepStrictEqual([error.reason, error.attempts], ["draining", 1])
      assert.strictEqual(runs.length, 1)
      assert.deepStrictEqual([budget.taken, budget.cancelled, budget.open], [1, 1, 0])
    })
  )
})

describe("deadlines", () => {
  it.effect("the time that minting a key takes counts", () =>
    Effect.gen(function* () {
      const mint = Effect.as(Effect.sleep(180), "key")
      const looked: Array<number> = []
      const Looking = Context.Service<"looking", Guard.Guard<never>>("looking")
      const looking: Guard.Guard<never> = {
        name: "looking",
        phase: "rate",
        look: (call) => void looked.push(call.now),
        admit: (call) => {
          looked.push(call.now)
          return Guard.admitted({ settle: (_, elapsed) => void looked.push(elapsed) })
        }
      }
      const policy = Policy.make({
        name: "p",
        safety: Idempotency.key(mint),
        deadline: "200 millis",
        guards: [Looking]
      })
      const run = withResilience(Effect.sleep(150), policy).pipe(Effect.provideService(Looking, looking))
      assert.strictEqual(errorOf(yield* throughTime(run))._tag, "DeadlineExceeded")
      assert.strictEqual(yield* Clock.currentTimeMillis, 200)
      assert.deepStrictEqual(looked, [0, 180, 180, 20])
    })
  )

  it.effect("a fiber that outlives its caller keeps its own deadline, and sees the caller's no more", () =>
    Effect.gen(function* () {
      const outer = Policy.make({ name: "outer", deadline: "200 millis" })
      const inner = Policy.make({ name: "inner", deadline: "300 millis" })
      const retrying = Policy.make({
        name: "retrying",
        faults,
        safety: "idempotent",
        deadline: "5 seconds",
        retry: every(400, 1)
      })
      const daemon = <A, E>(self: Effect.Effect<A, E>) =>
        withResilience(Effect.forkDetach(self, { startImmediately: true }), outer)
      const late = yield* daemon(withResilience(Effect.sleep(1_500), inner))
      const region = yield* daemon(Deadline.within(Effect.sleep(1_500), "300 millis", { name: "region" }))
      const { effect, runs } = scripted<string, Net | Gone>(
        Effect.andThen(Effect.sleep(10), fail),
        Effect.succeed("ok")
      )
      const task = yield* daemon(RetryBudget.task(withResilience(effect, retrying), { maxRetries: 1 }))
      const within = yield* daemon(
        RetryBudget.task(Effect.andThen(Effect.sleep(10), Deadline.remaining), { maxRetries: 1 })
      )
      yield* TestClock.adjust(2_000)
      assert.strictEqual(errorOf(yield* Fiber.await(late))._tag, "DeadlineExceeded")
      assert.deepInclude(errorOf(yield* Fiber.await(region)) as object, { name: "region" })
      assert.strictEqual(yield* Fiber.join(task), "ok")
      assert.strictEqual(runs.length, 2)
      assert.isTrue(Option.isNone(yield* Fiber.join(within)))
    })
  )

  it.effect("one that has passed already does not take a call's own away", () =>
    Effect.gen(function* () {
      const cleanUp = Policy.make({ name: "clean-up", deadline: "30 millis" })
      let cleaned: unknown
      const body = Effect.onInterrupt(Effect.never, () =>
        Effect.map(Effect.exit(withResilience(Effect.interruptible(Effect.never), cleanUp)), (exit) => {
          cleaned = errorOf(exit)
        })
      )
      const exit = yield* throughTime(withResilience(body, Policy.make({ name: "outer", deadline: "100 millis" })))
      assert.strictEqual(errorOf(exit)._tag, "DeadlineExceeded")
      assert.strictEqual((cleaned as { readonly name: string }).name, "clean-up")
      assert.strictEqual(yield* Clock.currentTimeMillis, 130)
    })
  )
})

describe("what a call costs", () => {
  it.effect("rule 24: no listener, no cost: no event is built, also where all goes wrong", () =>
    Effect.gen(function* () {
      // each event carries the wall-clock time, so that one that is built asks for it
      const clock = yield* Clock.Clock
      let asked = 0
      const counting: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => {
          asked++
          return clock.currentTimeMillisUnsafe()
        }
      }
      const policy = Policy.make({ name: "p", faults, safety: "idempotent", deadline: "1 second" })
      const run = (self: Effect.Effect<unknown, unknown>) =>
        throughTime(withResilience(self, policy).pipe(Effect.provideService(Clock.Clock, counting)))
      for (const self of [Effect.void, fail, Effect.die("x"), Effect.never, Effect.interrupt]) yield* run(self)
      assert.strictEqual(asked, 0)
      yield* Telemetry.recorded(run(fail))
      assert.strictEqual(asked, 3)
    })
  )

  it("rule 21: a rejection arms no timer and forks no fiber", () => {
    class Open extends CircuitBreaker.Service<Open>()("test/Open", {
      trip: CircuitBreaker.consecutiveFailures(1),
      initial: "isolated"
    }) {}
    const policy = Policy.make({
      name: "p",
      faults,
      safety: "idempotent",
      deadline: "1 second",
      attemptTimeout: "1 second",
      retry: every(1, 3),
      guards: [Open]
    })
    const context = Effect.runSync(Effect.scoped(Layer.build(Open.layer)))
    const run = runInterrupted(
      Effect.exit(withResilience(Effect.never, policy)).pipe(Effect.provideContext(context)),
      undefined,
      false
    )
    assert.instanceOf(
      errorOf((run.exit as Exit.Success<Exit.Exit<never, CircuitBreaker.CircuitOpen>>).value),
      CircuitBreaker.CircuitOpen
    )
    assert.deepStrictEqual([run.sleepers, run.openFibers, run.fibers], [0, 0, 1])
  })

  it.effect("an attempt that ends at once arms no timer; one timer serves attempt timeout and deadline", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const sleeps: Array<number> = []
      const counting: Clock.Clock = {
        ...clock,
        sleep: (duration) => {
          sleeps.push(Duration.toMillis(duration))
          return clock.sleep(duration)
        }
      }
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        attemptTimeout: "300 millis",
        deadline: "500 millis",
        retry: every(0, 3)
      })
      const run = (self: Effect.Effect<unknown, unknown>) =>
        throughTime(withResilience(self, policy).pipe(Effect.provideService(Clock.Clock, counting)))
      yield* run(Effect.sync(() => 1))
      yield* run(fail)
      assert.deepStrictEqual(sleeps, [])
      yield* run(Effect.never)
      assert.deepStrictEqual(sleeps, [300, 200])
    })
  )
})

describe("deadlines count the attempts that began", () => {
  it.effect("not the one that waited for a guard, or for its key", () =>
    Effect.gen(function* () {
      const Slow = Context.Service<"slow", Guard.Guard<never>>("slow")
      let asked = 0
      const slow: Guard.Guard<never> = {
        name: "slow",
        phase: "rate",
        admit: () => (++asked === 1 ? Guard.admitted({ settle: () => {} }) : Guard.pending(Effect.never))
      }
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        deadline: "1 second",
        retry: every(1, 3),
        guards: [Slow]
      })
      const exit = yield* throughTime(withResilience(fail, policy).pipe(Effect.provideService(Slow, slow)))
      assert.deepInclude(errorOf(exit) as object, { _tag: "DeadlineExceeded", attempts: 1 })
      const minting = Policy.make({ name: "p", deadline: "1 second", safety: Idempotency.key(Effect.never) })
      const none = yield* throughTime(withResilience(Effect.void, minting))
      assert.deepInclude(errorOf(none) as object, { attempts: 0 })
      const stuck = Schedule.fromStep(Effect.succeed(() => Effect.never))
      const stepping = Policy.make({ name: "p", faults, deadline: "1 second", safety: "idempotent", retry: stuck })
      const one = yield* throughTime(withResilience(fail, stepping))
      assert.deepInclude(errorOf(one) as object, { _tag: "DeadlineExceeded", attempts: 1 })
    })
  )
})

describe("what others do wrong", () => {
  it.effect("a guard that dies on a later attempt does not hide the original error", () =>
    Effect.gen(function* () {
      const Dying = Context.Service<"dying", Guard.Guard<never>>("dying")
      const dying: Guard.Guard<never> = {
        name: "dying",
        phase: "rate",
        admit: (call) => {
          if (call.attempt > 1) throw new Error("guard")
          return Guard.admitted({ settle: () => {} })
        }
      }
      const policy = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 1), guards: [Dying] })
      const exit = yield* throughTime(withResilience(fail, policy).pipe(Effect.provideService(Dying, dying)))
      assert.deepStrictEqual(Exit.isFailure(exit) && exit.cause.reasons.map((reason) => reason._tag), ["Fail", "Die"])
    })
  )

  it.effect("a verdict that is none does not hide the original error", () =>
    Effect.gen(function* () {
      const wrong = Fault.make(() => ({ kind: "throttled", retryAfter: 3 as never }))
      const policy = Policy.make({ name: "p", faults: wrong, safety: "idempotent", retry: every(1, 1) })
      const exit = yield* Effect.exit(withResilience(fail, policy))
      assert.isTrue(Exit.isFailure(exit))
      if (!Exit.isFailure(exit)) return
      assert.strictEqual((exit.cause.reasons[0] as Cause.Fail<Net>).error._tag, "Net")
      assert.instanceOf((exit.cause.reasons[1] as Cause.Die).defect, InvalidOption)
    })
  )

  it.effect("a guard that dies when it is looked at ends the call, and listeners hear of it", () =>
    Effect.gen(function* () {
      const One = Context.Service<"one", Guard.Guard<never>>("one")
      const policy = Policy.make({ name: "p", guards: [One] })
      const look = (): undefined => {
        throw new Error("broken")
      }
      const [exit, events] = yield* Telemetry.recorded(
        withResilience(Effect.void, policy).pipe(
          Effect.provideService(One, { ...bookedGuard(new Book(), "one"), look })
        )
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.deepStrictEqual(
        events.map((event) => event._tag),
        ["CallStarted", "CallFailed"]
      )
      assert.deepInclude(events[1], { error: "Defect", attempts: 0 })
    })
  )

  it.effect("a guard that hands over nonsense ends the call, and does not hang it", () =>
    Effect.gen(function* () {
      const Odd = Context.Service<"odd", Guard.Guard<never>>("odd")
      const policy = Policy.make({ name: "p", guards: [Odd] })
      for (const wait of [Effect.void, Effect.sleep(5)]) {
        const odd: Guard.Guard<never> = { name: "odd", phase: "rate", admit: () => Guard.pending(wait as never) }
        const exit = yield* throughTime(withResilience(Effect.void, policy).pipe(Effect.provideService(Odd, odd)))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }
    })
  )

  it.effect("a tracer that throws changes no result, and nothing is left behind", () =>
    Effect.gen(function* () {
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          span.event = () => {
            throw new Error("tracer")
          }
          return span
        }
      })
      const budget = new BookedBudget("b", 5)
      const Tokens = Context.Service<"b", Budget>("b")
      const policy = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 1), budget: Tokens })
      const exit = yield* throughTime(
        withResilience(scripted(fail, Effect.succeed("ok")).effect, policy).pipe(
          Effect.provideService(Tokens, budget),
          Effect.withSpan("span"),
          Effect.provideService(Tracer.Tracer, tracer)
        )
      )
      assert.deepStrictEqual(exit, Exit.succeed("ok"))
      assert.strictEqual(budget.open, 0)
    })
  )

  it.effect("what a guard does on settling is not within the schedule of the call", () =>
    Effect.gen(function* () {
      const Settling = Context.Service<"settling", Guard.Guard<never>>("settling")
      let tries = 0
      const own = Effect.suspend(() => Effect.fail(++tries)).pipe(
        Effect.retry(Backoff.constant(10).pipe(Backoff.within(100))),
        Effect.ignore
      )
      const settling: Guard.Guard<never> = {
        name: "settling",
        phase: "rate",
        admit: () => Guard.admitted({ settle: () => own })
      }
      const policy = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 0), guards: [Settling] })
      const slow = Effect.andThen(Effect.sleep(200), fail)
      yield* throughTime(withResilience(slow, policy).pipe(Effect.provideService(Settling, settling)))
      assert.isAbove(tries, 5)
    })
  )

  it.effect("an attempt that timed out has, also if the caller interrupts while it cleans up", () =>
    Effect.gen(function* () {
      const book = new Book()
      const Booked = Context.Service<"booked", Guard.Guard<never>>("booked")
      const policy = Policy.make({ name: "p", attemptTimeout: "100 millis", guards: [Booked] })
      const body = Effect.onInterrupt(Effect.never, () => Effect.sleep(100))
      const fiber = yield* Effect.forkChild(
        withResilience(body, policy).pipe(Effect.provideService(Booked, bookedGuard(book, "booked"))),
        { startImmediately: true }
      )
      yield* TestClock.adjust(150)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* TestClock.adjust(100)
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(
        book.settled.map((s) => s.outcome.kind),
        ["timeout"]
      )
    })
  )
})

describe("telemetry of a call", () => {
  it.effect("what retries leave of the budgets", () =>
    Effect.gen(function* () {
      class Few extends RetryBudget.Service<Few>()("test/Few", RetryBudget.fixedRate({ perSecond: 0, burst: 2 })) {}
      const p = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 5), budget: Few })
      const run = Telemetry.recorded(Effect.exit(withResilience(fail, p))).pipe(Effect.provide(Few.layer))
      const exit = yield* throughTime(run)
      const [, events] = Exit.isSuccess(exit) ? exit.value : assert.fail()
      assert.deepStrictEqual(
        events.flatMap((e) => (e._tag === "BudgetChanged" ? [[e.budget, e.key, e.balance]] : [])),
        [
          ["test/Few", undefined, 1],
          ["test/Few", undefined, 0],
          ["test/Few", undefined, 0]
        ]
      )
    })
  )

  class Few extends RetryBudget.Service<Few>()("test/Few", RetryBudget.fixedRate({ perSecond: 1, burst: 2 })) {}
  class Each extends RetryBudget.Service<Each>()("test/Each", RetryBudget.fixedRate({ perSecond: 1, burst: 2 }), {
    keys: {}
  }) {}

  it.effect("what time and successes bring back to the budgets is told when a call ends, once", () =>
    Effect.gen(function* () {
      const p = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: every(0, 2),
        budget: Few,
        deadline: 9_000
      })
      const keyed = Policy.extend(p, { name: "keyed", budget: Each })
      const gauge = "resilience.budget.balance"
      const balances = Effect.map(Metric.snapshot, (all) =>
        all.flatMap((metric) => (metric.id === gauge && metric.type === "Gauge" ? [metric.state.value] : []))
      )
      const told = (events: ReadonlyArray<Telemetry.Event>) =>
        events.flatMap((e) => (e._tag === "BudgetChanged" ? [[e.key, e.balance]] : []))
      const ok = withResilience(Effect.succeed(1), p)
      const [, events] = yield* Telemetry.recorded(
        Effect.gen(function* () {
          yield* ok
          assert.deepStrictEqual(yield* balances, [2])
          yield* Effect.exit(withResilience(fail, p))
          assert.deepStrictEqual(yield* balances, [0])
          yield* TestClock.adjust("1 hour")
          yield* ok
          yield* ok
          assert.strictEqual(yield* Few.balance(), 2)
          assert.deepStrictEqual(yield* balances, [2])
        }).pipe(Effect.provide(Telemetry.layerMetrics))
      )
      assert.deepStrictEqual(told(events), [
        [undefined, 2],
        [undefined, 1],
        [undefined, 0],
        [undefined, 2]
      ])
      const again = Telemetry.recorded(Effect.andThen(ok, withResilience(Effect.succeed(1), keyed, { key: "a" })))
      assert.deepStrictEqual(told((yield* again)[1]), [[undefined, 2]])
    }).pipe(
      Effect.provide(Layer.mergeAll(Few.layer, Each.layer)),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  )

  const policy = Policy.make({
    name: "p",
    faults,
    safety: "idempotent",
    attemptTimeout: "1 second",
    deadline: "10 seconds",
    retry: every(100, 1)
  })
  const tags = (events: ReadonlyArray<Telemetry.Event>) => events.map((e) => e._tag)
  const record = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const exit = yield* throughTime(Telemetry.recorded(self))
      return Exit.isSuccess(exit) ? exit.value : ([Exit.die("no"), []] as const)
    })

  it.effect("success", () =>
    Effect.gen(function* () {
      const [exit, events] = yield* record(withResilience(Effect.as(Effect.sleep(30), 1), policy, {}))
      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.deepStrictEqual(tags(events), ["CallStarted", "AttemptSucceeded", "CallSucceeded"])
      assert.deepInclude(events[1], { policy: "p", attempt: 1, kind: "first", elapsed: Duration.millis(30) })
      assert.deepInclude(events[2], { attempts: 1, elapsed: Duration.millis(30), at: 30, key: undefined })
    })
  )

  it.effect("recovery", () =>
    Effect.gen(function* () {
      const [, events] = yield* record(withResilience(scripted(fail, Effect.succeed(1)).effect, policy))
      assert.deepStrictEqual(tags(events), [
        "CallStarted",
        "AttemptFailed",
        "RetryScheduled",
        "AttemptSucceeded",
        "CallRecovered",
        "CallSucceeded"
      ])
      assert.deepInclude(events[1], { attempt: 1, kind: "first", outcome: "transient", error: "Net" })
      assert.deepInclude(events[2], { attempt: 2, error: "Net", delay: Duration.millis(100), retryAfter: undefined })
      assert.deepInclude(events[4], { attempts: 2, error: "Net", elapsed: Duration.millis(100) })
    })
  )

  it.effect("exhaustion, timeout, deadline", () =>
    Effect.gen(function* () {
      const [, events] = yield* record(withResilience(fail, policy))
      assert.deepStrictEqual(tags(events).slice(-2), ["RetryDenied", "CallFailed"])
      assert.deepInclude(events.at(-2), { reason: "schedule", error: "Net", attempt: 2, deniedBy: undefined })
      assert.deepInclude(events.at(-1), { error: "RetryExhausted", lastError: "Net", attempts: 2 })
      const [, timeouts] = yield* record(withResilience(Effect.never, policy))
      assert.deepInclude(timeouts[1], { outcome: "timeout", error: "AttemptTimeout", elapsed: Duration.seconds(1) })
      const short = Policy.extend(policy, { name: "short", deadline: "1500 millis" })
      const [, late] = yield* record(withResilience(Effect.never, short))
      assert.deepStrictEqual(tags(late).slice(-3), ["AttemptFailed", "DeadlinePassed", "CallFailed"])
      assert.deepInclude(late.at(-3), { outcome: "interrupted", elapsed: Duration.millis(400) })
      assert.deepInclude(late.at(-2), { name: "short", after: Duration.millis(1_500) })
      assert.deepInclude(late.at(-1), { error: "DeadlineExceeded", lastError: "AttemptTimeout" })
    })
  )

  it.effect("a deadline that cuts a retry: what failed before is the last error, in the error and in the event", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ name: "p", faults, safety: "idempotent", deadline: 100, retry: every(10, 3) })
      for (const steps of [[fail, Effect.never], [Effect.never]]) {
        const it = scripted<never, Net | Gone>(...steps)
        const [exit, events] = yield* Telemetry.recorded(throughTime(it.effect.pipe(withResilience(policy))))
        const error = errorOf(yield* exit)
        const failed = events.at(-1)
        assert.deepInclude(failed, { _tag: "CallFailed", error: "DeadlineExceeded" })
        const last = steps.length === 1 ? undefined : "Net"
        assert.strictEqual((error as Deadline.DeadlineExceeded).lastError === undefined ? undefined : "Net", last)
        assert.strictEqual(failed?._tag === "CallFailed" ? failed.lastError : "none", last)
      }
    })
  )

  it.effect("permanent, defect, interruption", () =>
    Effect.gen(function* () {
      const [, permanent] = yield* record(withResilience(Effect.fail(new Gone({})), policy))
      assert.deepInclude(permanent[1], { outcome: "permanent", error: "Gone" })
      assert.deepInclude(permanent[2], { _tag: "CallFailed", error: "Gone", lastError: "Gone" })
      const [, defect] = yield* record(withResilience(Effect.die("x"), policy))
      assert.deepInclude(defect[1], { outcome: "defect", error: "Defect" })
      assert.deepInclude(defect[2], { _tag: "CallFailed", error: "Defect" })
      const [, own] = yield* record(withResilience(Effect.interrupt, policy))
      assert.deepInclude(own[1], { outcome: "interrupted", error: "Interrupted" })
      assert.deepInclude(own[2], { _tag: "CallFailed", error: "Interrupted" })
      const events: Array<Telemetry.Event> = []
      const listened = Telemetry.events.pipe((s) => s)
      assert.isDefined(listened)
      const run = (self: Effect.Effect<unknown, unknown>, after: number) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(self, { startImmediately: true })
          yield* TestClock.adjust(after)
          yield* Fiber.interrupt(fiber)
        })
      const [, running] = yield* Telemetry.recorded(run(withResilience(Effect.never, policy), 50))
      assert.deepStrictEqual(tags(running), ["CallStarted", "AttemptFailed", "CallFailed"])
      assert.deepInclude(running[1], { outcome: "interrupted", error: "Interrupted", elapsed: Duration.millis(50) })
      const [, sleeping] = yield* Telemetry.recorded(run(withResilience(fail, policy), 50))
      assert.deepStrictEqual(tags(sleeping), ["CallStarted", "AttemptFailed", "RetryScheduled", "CallFailed"])
      assert.deepInclude(sleeping.at(-1), { error: "Interrupted", lastError: "Net" })
      assert.isEmpty(events)
    })
  )

  it.effect("a guard's rejection, with its reason and the call's key", () =>
    Effect.gen(function* () {
      class Full extends CircuitBreaker.Service<Full>()("test/Full", {
        trip: CircuitBreaker.consecutiveFailures(1),
        keys: {}
      }) {}
      const p = Policy.make({ name: "p", guards: [Full] })
      const [, events] = yield* Telemetry.recorded(
        Effect.andThen(Full.isolate("k"), Effect.exit(withResilience(Effect.void, p, { key: "k" })))
      ).pipe(Effect.provide(Full.layer))
      assert.deepStrictEqual(tags(events), ["CircuitChanged", "CallStarted", "GuardRejected", "CallFailed"])
      assert.deepInclude(events[2], {
        guard: "test/Full",
        error: "CircuitOpen",
        reason: "isolated",
        attempt: 1,
        key: "k"
      })
      assert.deepInclude(events[3], { error: "CircuitOpen", lastError: undefined, attempts: 0 })
      const odd = (rejection: unknown) => {
        const Odd = Context.Service<"odd", Guard.Guard<unknown>>("odd")
        const guard: Guard.Guard<unknown> = { name: "odd", phase: "rate", admit: () => Guard.rejected(rejection) }
        const run = Effect.exit(withResilience(Effect.void, Policy.make({ name: "p", guards: [Odd] })))
        return Effect.map(Telemetry.recorded(Effect.provideService(run, Odd, guard)), ([, events]) =>
          events.find((e) => e._tag === "GuardRejected")
        )
      }
      assert.deepInclude(yield* odd("no"), { error: "string", reason: "string" })
      assert.deepInclude(yield* odd({ _tag: "No", reason: "full" }), { error: "No", reason: "full" })
      assert.deepInclude(yield* odd({ _tag: "No", reason: 7 }), { error: "No", reason: "No" })
      const [, many] = yield* Telemetry.recorded(
        Effect.exit(withResilience(Effect.void, p, { key: { "test/Full": "k" } }))
      ).pipe(Effect.provide(Full.layer))
      assert.deepInclude(many[0], { key: "k" })
    })
  )

  it.effect("span events on the current span when something goes wrong", () =>
    Effect.gen(function* () {
      const names: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          const event = span.event.bind(span)
          span.event = (name, time, attributes) => {
            names.push(name)
            event(name, time, attributes)
          }
          return span
        }
      })
      yield* throughTime(
        withResilience(fail, policy).pipe(Effect.withSpan("span"), Effect.provideService(Tracer.Tracer, tracer))
      )
      assert.deepStrictEqual(names, [
        "resilience.attempt.failed",
        "resilience.retry.scheduled",
        "resilience.attempt.failed",
        "resilience.retry.denied"
      ])
    })
  )
})

describe("Policy.Standard", () => {
  class Quotes extends Policy.Standard<Quotes>()("quotes.get", { safety: "idempotent", faults }) {}

  it.effect("has its own budget and breaker, and the documented numbers", () =>
    Effect.gen(function* () {
      const { effect, runs } = scripted(fail)
      const exit = yield* throughTime(
        Effect.gen(function* () {
          const error = errorOf(yield* Effect.exit(withResilience(effect, Quotes))) as Policy.RetryExhausted<Net>
          assert.deepStrictEqual([error.policy, error.reason, error.attempts], ["quotes.get", "schedule", 4])
          for (const [i, entry] of error.history.slice(0, -1).entries()) {
            assert.isAtMost(Duration.toMillis(entry.delay!), 100 * 2 ** i)
          }
          assert.strictEqual(yield* Quotes.budget.balance(), 97)
          for (let i = 0; i < 4; i++) yield* Effect.exit(withResilience(effect, Quotes))
          assert.strictEqual(yield* Quotes.breaker.state(), "open")
          const open = errorOf(yield* Effect.exit(withResilience(effect, Quotes)))
          assert.instanceOf(open, CircuitBreaker.CircuitOpen)
        }).pipe(Effect.provide(Quotes.layer))
      )
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      assert.strictEqual(runs.length, 20)
      const { attemptTimeout, deadline, name } = Quotes.policy.options
      assert.deepStrictEqual([name, deadline, attemptTimeout], ["quotes.get", "10 seconds", "2500 millis"])
    })
  )

  it.effect("takes overrides, of the policy, the budget and the breaker", () =>
    Effect.gen(function* () {
      class Tuned extends Policy.Standard<Tuned>()("tuned", {
        safety: "not-idempotent",
        faults,
        deadline: "1 second",
        retry: every(1, 1),
        budget: RetryBudget.fixedRate({ perSecond: 0, burst: 7 }),
        breaker: { trip: CircuitBreaker.consecutiveFailures(1) }
      }) {}
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* Tuned.budget.balance(), 7)
        yield* Effect.exit(withResilience(fail, Tuned))
        assert.strictEqual(yield* Tuned.breaker.state(), "open")
      }).pipe(Effect.provide(Tuned.layer))
      const short = Policy.Standard<"s">()("short", { safety: "idempotent", deadline: "1 second" })
      assert.strictEqual(short.policy.options.attemptTimeout as unknown, 250)
      const long = Policy.Standard<"l">()("long", { safety: "idempotent", deadline: "1 minute" })
      assert.strictEqual(long.policy.options.attemptTimeout as unknown, 2_500)
      const silent = Policy.Standard<"u">()("silent", {
        safety: "idempotent",
        deadline: undefined,
        attemptTimeout: undefined,
        retry: undefined,
        retryAfterCeiling: undefined,
        hedge: undefined,
        faults: undefined,
        budget: undefined,
        breaker: undefined
      })
      const { attemptTimeout, deadline, retry } = silent.policy.options
      assert.deepStrictEqual([deadline, attemptTimeout], ["10 seconds", "2500 millis"])
      assert.isTrue(Schedule.isSchedule(retry))
    })
  )
})
