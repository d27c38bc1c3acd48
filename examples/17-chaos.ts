// Chaos: break things on purpose, by the clock and with a seed, and see whether the policy holds. The same scenario serves a test, as
// here, and a game day of the application that runs.
//
//   node --conditions=effect-resilience-source examples/17-chaos.ts
import { Console, Data, Effect, MutableRef, Random } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Chaos, CircuitBreaker, Fault, Policy, Telemetry, withResilience } from "effect-resilience"

// -- the application: nothing in it knows of chaos -----------------------------------------------------------------------

class NetworkError extends Data.TaggedError("NetworkError")<{}> {}
interface Quote {
  readonly symbol: string
  readonly price: number
}

class QuotesBreaker extends CircuitBreaker.Service<QuotesBreaker>()("app/QuotesBreaker", {
  trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 20, window: "5 seconds" }),
  openFor: "2 seconds"
}) {}

const quotes = Policy.make({
  name: "quotes.get",
  faults: Fault.byTag<NetworkError>()({ NetworkError: "transient" }),
  safety: "idempotent",
  deadline: "4 seconds",
  attemptTimeout: "500 millis",
  retry: Backoff.exponential({ base: "100 millis", cap: "1 second" }).pipe(Backoff.fullJitter, Backoff.times(3)),
  guards: [QuotesBreaker]
})

const request: Effect.Effect<Quote, NetworkError> = Effect.succeed({ symbol: "EUR", price: 1.08 })
const getQuote = request.pipe(withResilience(quotes))

// -- what happens to it, counted from the start --------------------------------------------------------------------------

const policy = quotes.options.name // a name of a policy that cannot be misspelt
const networkError = () => new NetworkError()

const gameDay = Chaos.scenario([
  { at: "10 seconds", for: "10 seconds", inject: [Chaos.fault({ policy, probability: 0.25, error: networkError })] },
  { at: "20 seconds", for: "10 seconds", inject: [Chaos.fault({ policy, probability: 1, error: networkError })] },
  {
    at: "40 seconds",
    for: "10 seconds",
    inject: [Chaos.latency({ policy, probability: 0.25, delay: { min: "200 millis", max: "2 seconds" } })]
  },
  {
    at: "50 seconds",
    inject: [Chaos.result({ policy, probability: 0.25, value: (): Quote => ({ symbol: "EUR", price: 0 }) })]
  }
])

const phases = [
  "all is well",
  "one in four fails",
  "all fail",
  "all is well again",
  "one in four is slow",
  "wrong prices"
]

// -- ten calls a second for a minute, through time that a TestClock moves -------------------------------------------------

const minute = Effect.gen(function* () {
  const ended = phases.map(() => ({ answered: 0, refused: 0, failed: 0, wrong: 0 }))
  const call = (phase: number) =>
    Effect.match(getQuote, {
      onSuccess: ({ price }) => (price > 0 ? ended[phase]!.answered++ : ended[phase]!.wrong++),
      onFailure: ({ _tag }) => (_tag === "CircuitOpen" ? ended[phase]!.refused++ : ended[phase]!.failed++)
    })
  const traffic = Effect.gen(function* () {
    for (let i = 0; i < 600; i++) {
      yield* Effect.forkChild(call(Math.floor(i / 100)), { startImmediately: true })
      yield* TestClock.adjust("100 millis")
    }
    yield* TestClock.adjust("4 seconds") // the last calls may take as long
  })
  // injected trouble is told as such: nobody has to guess which of the errors were real
  const [, events] = yield* Telemetry.recorded(traffic)
  const injected = events.filter((event) => event._tag === "ChaosInjected")
  return phases.map((name, i) => ({
    name,
    ...ended[i]!,
    injected: injected.filter(({ at }) => Math.floor(at / 10_000) === i).length
  }))
})

const columns = ["answered", "wrong", "failed", "refused", "injected"] as const
const print = (rows: Effect.Success<typeof minute>) =>
  Effect.forEach(rows, (row, i) => {
    const cells = columns.map((column) => `${row[column]}`.padStart(column.length))
    return Console.log(`  ${String(i * 10).padStart(2)} s  ${row.name.padEnd(20)}  ${cells.join("  ")}`)
  })
const heading = `        ${"".padEnd(20)}  ${columns.join("  ")}`

// A world of its own: its clock begins at 0, its breaker is closed, its dice fall the same way every time.
const isolated = <A, E>(self: Effect.Effect<A, E, QuotesBreaker>) =>
  self.pipe(Effect.provide(QuotesBreaker.layer), Random.withSeed("game day"), Effect.provide(TestClock.layer()))

const program = Effect.gen(function* () {
  yield* Console.log("ten calls a second, and what becomes of them")
  yield* Console.log(heading)
  yield* print(yield* minute.pipe(Chaos.provide(gameDay), isolated))

  yield* Console.log("the same, but somebody pulls the switch when all fail")
  const enabled = MutableRef.make(true)
  const pull = Effect.andThen(
    Effect.sleep("25 seconds"),
    Effect.sync(() => MutableRef.set(enabled, false))
  )
  const watched = Effect.andThen(Effect.forkChild(pull, { startImmediately: true }), minute)
  yield* print(yield* watched.pipe(Chaos.provide(gameDay), Effect.provideService(Chaos.enabled, enabled), isolated))
})

await Effect.runPromise(program)
