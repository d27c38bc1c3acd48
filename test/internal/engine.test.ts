// What is easily got wrong in the engine, and what the rules by number do not pin down. The clock never starts at zero here, so that a
// point in time cannot pass for a span.
import { assert, describe, it } from "@effect/vitest"
import { Backoff, Deadline, Fault, Guard, Policy, RetryBudget, Telemetry, withResilience } from "effect-resilience"
import { Cause, Clock, Context, Duration, Effect, Exit, Fiber, Layer, Logger, Schedule } from "effect"
import { TestClock } from "effect/testing"
import type { Budget, RetryRequest } from "../../src/internal/budget.ts"
import { CurrentListener, type Event } from "../../src/internal/events.ts"
import { Book, bookedGuard, BookedBudget, errorOf, Gone, Net, scripted, Slow, throughTime } from "../kit.ts"

type E = Net | Slow | Gone
const faults = Fault.byTag<E>()({
  Net: "transient",
  Slow: (e) => Fault.throttled({ retryAfter: e.after }),
  Gone: "permanent"
})
const fail: Effect.Effect<never, E> = Effect.fail(new Net({}))
const ok: Effect.Effect<string, E> = Effect.succeed("ok")
const every = (ms: number, times: number) => Backoff.constant(ms).pipe(Backoff.times(times))
const later = TestClock.adjust(7_000)

const exhausted = <A>(exit: Exit.Exit<A, unknown>): Policy.RetryExhausted<unknown> => {
  const error = errorOf(exit)
  assert.instanceOf(error, Policy.RetryExhausted)
  return error
}

describe("spans", () => {
  it.effect("of the call, of each attempt, and of the schedule", () =>
    Effect.gen(function* () {
      yield* later
      const seen: Array<ReadonlyArray<number>> = []
      const spy = Schedule.fromStepWithMetadata(
        Effect.succeed((meta: Schedule.InputMetadata<unknown>) => {
          seen.push([meta.now, meta.elapsed])
          return Effect.succeed<[void, Duration.Duration]>([undefined, Duration.millis(100)])
        })
      )
      const inside: Array<ReadonlyArray<number>> = []
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: spy.pipe(Backoff.times(2)),
        unbounded: true
      })
      seen.length = 0
      const body = Effect.gen(function* () {
        const meta = yield* Schedule.CurrentMetadata
        inside.push([meta.attempt, meta.start, meta.now, meta.elapsed, meta.elapsedSincePrevious])
        yield* Effect.sleep(50)
        return yield* fail
      })
      const error = exhausted(yield* throughTime(withResilience(body, policy)))
      assert.deepStrictEqual(seen.slice(0, 2), [
        [7_050, 0],
        [7_200, 150]
      ])
      assert.deepStrictEqual(inside, [
        [0, 0, 0, 0, 0],
        [1, 7_050, 7_050, 0, 0],
        [2, 7_050, 7_200, 150, 150]
      ])
      assert.deepStrictEqual(error.elapsed, Duration.millis(350))
      assert.deepStrictEqual(
        error.history.map((h) => [Duration.toMillis(h.startedAfter), Duration.toMillis(h.took)]),
        [
          [0, 50],
          [150, 50],
          [300, 50]
        ]
      )
    })
  )

  it.effect("within counts from the start of the call, wherever the clock stands", () =>
    Effect.gen(function* () {
      yield* later
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: Backoff.constant(100).pipe(Backoff.within(250))
      })
      const { effect, runs } = scripted(Effect.andThen(Effect.sleep(20), fail))
      exhausted(yield* throughTime(withResilience(effect, policy)))
      assert.deepStrictEqual(runs, [7_000, 7_120, 7_240])
    })
  )

  it.effect("an attempt timeout says which attempt, of what, and after how long", () =>
    Effect.gen(function* () {
      yield* later
      const policy = Policy.make({ name: "p", attemptTimeout: "300 millis" })
      const error = errorOf(yield* throughTime(withResilience(Effect.never, policy)))
      assert.deepInclude(error as object, {
        _tag: "AttemptTimeout",
        policy: "p",
        attempt: 1,
        after: Duration.millis(300)
      })
    })
  )
})

describe("hints", () => {
  const policy = Policy.make({
    name: "p",
    faults,
    safety: "idempotent",
    retry: every(100, 1),
    retryAfterCeiling: "1 second"
  })
  const hinted = (after: number) => scripted<string, E>(Effect.fail(new Slow({ after })), ok)

  it.effect("at the ceiling it is waited for; one that is no longer than the schedule's delay changes nothing", () =>
    Effect.gen(function* () {
      const most = hinted(1_000)
      assert.deepStrictEqual(yield* throughTime(withResilience(most.effect, policy)), Exit.succeed("ok"))
      for (const after of [99, 100]) {
        const equal = hinted(after)
        yield* throughTime(withResilience(equal.effect, policy), { step: 1 })
        assert.strictEqual(equal.runs[1]! - equal.runs[0]!, 100)
      }
    })
  )
})

describe("budgets", () => {
  const Tokens = Context.Service<"tokens", Budget>("tokens")

  it.effect("are told whether the attempt before timed out, and that it is a retry", () =>
    Effect.gen(function* () {
      const requests: Array<RetryRequest> = []
      const spy: Budget = {
        name: "tokens",
        begin: () => ({
          attempt: () => {},
          end: () => {},
          retry: (_, request) => {
            requests.push(request)
            return { settle: () => {}, cancel: () => {} }
          }
        })
      }
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        attemptTimeout: "1 second",
        retry: every(1, 5),
        budget: Tokens
      })
      const { effect } = scripted<string, E>(fail, Effect.never, ok)
      yield* throughTime(withResilience(effect, policy).pipe(Effect.provideService(Tokens, spy)))
      assert.deepStrictEqual(requests, [
        { timeout: false, kind: "retry" },
        { timeout: true, kind: "retry" }
      ])
    })
  )

  it.effect("of the tasks around bound every retry below, those of nested policies too", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(1, 9), budget: Tokens })
      const tokens = new BookedBudget("tokens", 99)
      const first = scripted(fail)
      const second = scripted(fail)
      const both = Effect.all([
        Effect.exit(withResilience(first.effect, policy)),
        Effect.exit(withResilience(second.effect, policy))
      ])
      const exit = yield* throughTime(
        RetryBudget.task(both, { maxRetries: 4, name: "job" }).pipe(Effect.provideService(Tokens, tokens))
      )
      const [one, two] = Exit.isSuccess(exit) ? exit.value : assert.fail()
      assert.deepInclude(exhausted(one), { reason: "budget", deniedBy: "job", attempts: 5 })
      assert.deepInclude(exhausted(two), { reason: "budget", deniedBy: "job", attempts: 1 })
      assert.deepStrictEqual([first.runs.length, second.runs.length], [5, 1])
      // the task is asked first, so that its "no" costs the others nothing
      assert.deepStrictEqual([tokens.taken, tokens.cancelled, tokens.open], [4, 0, 0])
      // and a task further in counts as well
      const inner = scripted(fail)
      yield* throughTime(
        RetryBudget.task(
          RetryBudget.task(withResilience(inner.effect, Policy.extend(policy, { name: "q", budget: undefined })), {
            maxRetries: 1
          }),
          { maxRetries: 9 }
        )
      )
      assert.strictEqual(inner.runs.length, 2)
    })
  )

  it.effect("an attempt that the caller interrupts, or a deadline cuts, is neutral", () =>
    Effect.gen(function* () {
      const tokens = new BookedBudget("tokens", 99)
      const policy = Policy.make({ name: "p", deadline: "1 second", budget: Tokens })
      const run = withResilience(Effect.never, policy).pipe(Effect.provideService(Tokens, tokens))
      yield* throughTime(run)
      yield* throughTime(Deadline.within(run, "900 millis"))
      assert.deepStrictEqual(tokens.outcomes, [])
      assert.strictEqual(tokens.open, 0)
    })
  )
})

describe("guards", () => {
  const service = (guard: Guard.Guard<Gone>) => {
    const Tag = Context.Service<"guard", Guard.Guard<Gone>>(guard.name)
    return { Tag, layer: Layer.succeed(Tag)(guard) }
  }

  it.effect("one that waits may refuse in the end", () =>
    Effect.gen(function* () {
      const { Tag, layer } = service({
        name: "slow",
        phase: "rate",
        admit: () => Guard.pending(Effect.as(Effect.sleep(50), Guard.rejected(new Gone({ id: "slow" }))))
      })
      const { effect, runs } = scripted(ok)
      const policy = Policy.make({ name: "p", guards: [Tag] })
      const error = errorOf(yield* throughTime(withResilience(effect, policy).pipe(Effect.provide(layer))))
      assert.deepInclude(error, { _tag: "Gone", id: "slow" })
      assert.strictEqual(runs.length, 0)
    })
  )

  it.effect("what one does wrong on settling is logged, with the policy's name", () =>
    Effect.gen(function* () {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ message }) => void lines.push(message))
      for (const settle of [
        () => {
          throw new Error("at once")
        },
        () => Effect.die(new Error("later"))
      ]) {
        const { Tag, layer } = service({ name: "bad", phase: "rate", admit: () => Guard.admitted({ settle }) })
        const policy = Policy.make({ name: "my.policy", guards: [Tag] })
        const run = withResilience(ok, policy).pipe(Effect.provide(layer), Effect.provide(Logger.layer([logger])))
        assert.strictEqual(yield* run, "ok")
      }
      assert.deepStrictEqual(
        lines.map((line) => {
          const [what, defect] = line as [string, Error]
          return [what, defect.message]
        }),
        ["at once", "later"].map((why) => ["a guard of my.policy died while it was told how an attempt ended", why])
      )
    })
  )

  it.effect("each is told the time of its own asking, and when the attempt ended", () =>
    Effect.gen(function* () {
      yield* later
      const times: Array<number> = []
      const { Tag, layer } = service({
        name: "timed",
        phase: "rate",
        admit: (call) => {
          times.push(call.now)
          return Guard.admitted({ settle: (_, elapsed, now) => void times.push(elapsed, now) })
        }
      })
      const policy = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(100, 1), guards: [Tag] })
      const { effect } = scripted(Effect.andThen(Effect.sleep(30), fail), ok)
      yield* throughTime(withResilience(effect, policy).pipe(Effect.provide(layer)))
      assert.deepStrictEqual(times, [7_000, 30, 7_030, 7_130, 0, 7_130])
      assert.strictEqual(yield* Clock.currentTimeMillis, 7_130)
    })
  )

  it.effect.each(["CallStarted", "RetryScheduled"] as const)(
    "none is asked for an attempt whose call a listener has interrupted: at %s",
    (tag) =>
      Effect.gen(function* () {
        const book = new Book()
        const Tag = Context.Service<Guard.Guard<never>>("test/asked")
        const budget = new BookedBudget("test/tokens", 9)
        const Tokens = Context.Service<Budget>("test/tokens")
        const policy = Policy.make({
          name: "p",
          faults,
          safety: "idempotent",
          retry: every(0, 2),
          guards: [Tag],
          budget: Tokens
        })
        const heard: Array<string> = []
        const listener = (event: Event) => {
          heard.push(event._tag)
          if (event._tag === tag) Fiber.getCurrent()!.interruptUnsafe()
        }
        const call = withResilience(fail, policy).pipe(
          Effect.provideService(Tag, bookedGuard(book, "test/asked")),
          Effect.provideService(Tokens, budget),
          Effect.provideService(CurrentListener, listener)
        )
        const exit = yield* Fiber.await(yield* Effect.forkChild(call))
        assert.isTrue(Exit.hasInterrupts(exit))
        const before = tag === "CallStarted" ? 0 : 1
        assert.strictEqual(book.calls.length, before)
        assert.deepStrictEqual([book.held, budget.open, budget.tokens], [0, 0, 9])
        assert.strictEqual(heard.filter((it) => it.startsWith("Attempt")).length, before)
        assert.strictEqual(heard.at(-1), "CallFailed")
      })
  )
})

describe("budgets", () => {
  it.effect("each of several is told everything, and a retry takes a token of all of them", () =>
    Effect.gen(function* () {
      const names = ["test/first", "test/second", "test/third", "test/fourth"]
      const tags = names.map((name) => Context.Service<Budget>(name))
      const books = names.map((name) => new BookedBudget(name, 2))
      const policy = Policy.make({
        name: "p",
        faults,
        safety: "idempotent",
        retry: every(100, 9),
        budget: tags as [(typeof tags)[0], ...typeof tags]
      })
      const all = Context.mergeAll(...tags.map((tag, i) => Context.make(tag, books[i]!))) as Context.Context<Budget>
      const once = scripted(fail, ok)
      assert.strictEqual(
        yield* throughTime(Effect.provideContext(withResilience(once.effect, policy), all)).pipe(Effect.flatten),
        "ok"
      )
      for (const { begun, cancelled, deposits, ended, outcomes, settled, taken } of books) {
        assert.deepStrictEqual(outcomes, ["transient", "success"])
        assert.deepStrictEqual([begun, deposits, ended, taken, settled, cancelled], [1, 1, 1, 1, 1, 0])
      }
      // the last one says no: the others get theirs back
      books[3]!.tokens = 0
      const { reason, deniedBy } = exhausted(
        yield* throughTime(Effect.provideContext(withResilience(fail, policy), all))
      )
      assert.deepStrictEqual([reason, deniedBy], ["budget", "test/fourth"])
      assert.deepStrictEqual(
        books.map(({ cancelled, open, tokens }) => [tokens, cancelled, open]),
        [...Array.from({ length: 3 }, () => [1, 1, 0]), [0, 0, 0]]
      )
    })
  )

  it.effect("hear nothing of an attempt that its caller has interrupted, but of the end of the call", () =>
    Effect.gen(function* () {
      const Tokens = Context.Service<Budget>("test/tokens")
      const book = new BookedBudget("test/tokens", 9)
      const policy = Policy.make({ name: "p", faults, safety: "idempotent", retry: every(100, 2), budget: Tokens })
      const call = Effect.provideService(withResilience(Effect.never, policy), Tokens, book)
      const fiber = yield* Effect.forkChild(call, { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([book.begun, book.outcomes, book.ended], [1, [], 1])
    })
  )
})

describe("the end of a call", () => {
  const ends = (call: Effect.Effect<unknown, unknown>) =>
    Effect.gen(function* () {
      yield* later
      const [, events] = yield* throughTime(Telemetry.recorded(Effect.exit(call))).pipe(Effect.flatten)
      const end = events.at(-1)!
      return end._tag === "CallFailed"
        ? ([end._tag, end.error, Duration.toMillis(end.elapsed)] as const)
        : end._tag === "CallSucceeded"
          ? ([end._tag, Duration.toMillis(end.elapsed)] as const)
          : [end._tag]
    })
  const policy = Policy.make({ name: "p" })
  const failing = (...reasons: ReadonlyArray<Cause.Reason<string>>) =>
    withResilience(Effect.andThen(Effect.sleep(30), Effect.failCause(Cause.fromReasons(reasons))), policy)
  const no = Cause.fail("no").reasons
  const died = Cause.die("broken").reasons
  const interrupted = Cause.interrupt(1).reasons

  it.effect("is told with how long the whole took", () =>
    Effect.gen(function* () {
      const taking = withResilience(Effect.sleep(30), policy)
      assert.deepStrictEqual(yield* ends(taking), ["CallSucceeded", 30])
    })
  )

  it.effect("of several reasons a defect is told first, then an interruption", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* ends(failing(...no)), ["CallFailed", "string", 30])
      assert.deepStrictEqual(yield* ends(failing(...no, ...died)), ["CallFailed", "Defect", 30])
      assert.deepStrictEqual(yield* ends(failing(...no, ...interrupted)), ["CallFailed", "Interrupted", 30])
      assert.deepStrictEqual(yield* ends(failing(...interrupted)), ["CallFailed", "Interrupted", 30])
    })
  )
})
