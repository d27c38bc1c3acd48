// Testing your own policy: time by TestClock, chance by a seed, and `Telemetry.recorded` to see what happened on the way. Ten
// seconds of patience are tested in no time, and the same way on every machine.
//
//   node --conditions=effect-resilience-source examples/09-testing-a-policy.ts
import { deepStrictEqual, notDeepStrictEqual, ok } from "node:assert/strict"
import { Console, Data, Duration, Effect, Exit, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { Attempt, Backoff, CircuitBreaker, Fault, Policy, Telemetry, withResilience } from "effect-resilience"

// -- what is tested: as it stands in the application -------------------------------------------------------------------

class NetworkError extends Data.TaggedError("NetworkError")<{}> {}
class NotFound extends Data.TaggedError("NotFound")<{}> {}

class UsersBreaker extends CircuitBreaker.Service<UsersBreaker>()("app/UsersBreaker", {
  trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 20, window: "30 seconds" })
}) {}

const users = Policy.make({
  name: "users.get",
  faults: Fault.byTag<NetworkError | NotFound>()({ NetworkError: "transient", NotFound: "permanent" }),
  safety: "idempotent",
  deadline: "10 seconds",
  attemptTimeout: "3 seconds",
  retry: Backoff.exponential({ base: "200 millis", cap: "2 seconds" }).pipe(Backoff.fullJitter, Backoff.times(4)),
  guards: [UsersBreaker]
})

// -- the pattern -------------------------------------------------------------------------------------------------------

// Start the call, let a minute pass, look at how it ended and at what was recorded. `TestClock.adjust` wakes whatever sleeps, in
// order and each at its own time, so that everything inside sees the time it would have seen.
const observe = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Telemetry.recorded(call), { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    const [exit, events] = yield* Fiber.join(fiber)
    return {
      exit,
      steps: events.map((event) => event._tag),
      delays: events.flatMap((event) => (event._tag === "RetryScheduled" ? [Duration.toMillis(event.delay)] : [])),
      took: events.flatMap((event) =>
        event._tag === "CallFailed" || event._tag === "CallSucceeded" ? [Duration.toMillis(event.elapsed)] : []
      )
    }
  })

// Every test has a clock and a breaker of its own. With `@effect/vitest`, `it.effect` provides the clock.
const test = <A, E>(name: string, body: Effect.Effect<A, E, UsersBreaker>) =>
  body.pipe(
    Random.withSeed("users"),
    Effect.provide(UsersBreaker.layer),
    Effect.provide(TestClock.layer()),
    Effect.andThen(Console.log(`ok  ${name}`))
  )

/** Fails that many times with a network error, and answers then. */
const flaky = (failures: number): Effect.Effect<string, NetworkError> =>
  Effect.flatMap(Attempt.current, ({ number }) =>
    number <= failures ? Effect.fail(new NetworkError()) : Effect.succeed("Ada")
  )

// -- the tests ---------------------------------------------------------------------------------------------------------

const recovers = Effect.gen(function* () {
  const { delays, exit, steps } = yield* observe(flaky(1).pipe(withResilience(users)))
  deepStrictEqual(exit, Exit.succeed("Ada"))
  deepStrictEqual(steps, [
    "CallStarted",
    "AttemptFailed",
    "RetryScheduled",
    "AttemptSucceeded",
    "CallRecovered",
    "CallSucceeded"
  ])
  ok(delays.every((delay) => delay < 200))
})

const staysPermanent = Effect.gen(function* () {
  const notFound: Effect.Effect<string, NotFound> = Effect.fail(new NotFound())
  const { delays, exit, took } = yield* observe(notFound.pipe(withResilience(users)))
  deepStrictEqual(exit, Exit.fail(new NotFound()))
  deepStrictEqual([delays, took], [[], [0]])
})

const endsInTime = Effect.gen(function* () {
  const { exit, took } = yield* observe(Effect.never.pipe(withResilience(users)))
  ok(Exit.isFailure(exit))
  deepStrictEqual(took, [10_000])
})

const sameSeed = Effect.gen(function* () {
  const call = observe(flaky(4).pipe(withResilience(users)))
  const first = yield* call.pipe(Random.withSeed(1))
  const second = yield* call.pipe(Random.withSeed(1))
  const third = yield* call.pipe(Random.withSeed(2))
  deepStrictEqual(first.delays, second.delays)
  notDeepStrictEqual(first.delays, third.delays)
})

// What takes twenty calls in production takes two here: a test may change the options of a layer.
const opens = Effect.gen(function* () {
  const first = yield* observe(flaky(9).pipe(withResilience(users)))
  deepStrictEqual(first.steps.filter((step) => step === "AttemptFailed").length, 2)
  deepStrictEqual(yield* UsersBreaker.state(), "open")
  const second = yield* observe(flaky(0).pipe(withResilience(users)))
  deepStrictEqual(second.steps, ["CallStarted", "GuardRejected", "CallFailed"])
}).pipe(Effect.provide(UsersBreaker.layerWith({ trip: CircuitBreaker.consecutiveFailures(2), openFor: "5 minutes" })))

await Effect.runPromise(
  Effect.gen(function* () {
    yield* test("one failure is retried, within the jitter", recovers)
    yield* test("a permanent error comes out at once", staysPermanent)
    yield* test("a call that hangs ends at its deadline", endsInTime)
    yield* test("the same seed gives the same delays", sameSeed)
    yield* test("the breaker opens, and rejects without an attempt", opens)
  })
)
