// A fallback to the last good answer: better an old rate than none, as long as the user is told.
//
//   node --conditions=effect-resilience-source examples/06-stale-fallback.ts
import { Console, Data, Duration, Effect, MutableRef } from "effect"
import { Backoff, Fallback, Fault, Policy, withResilience } from "effect-resilience"

class NetworkError extends Data.TaggedError("NetworkError")<{ readonly host: string }> {}
class UnknownCurrency extends Data.TaggedError("UnknownCurrency")<{ readonly code: string }> {}

interface Rate {
  readonly code: string
  readonly perEuro: number
}

const rates = Policy.make({
  name: "rates.get",
  faults: Fault.byTag<NetworkError | UnknownCurrency>()({ NetworkError: "transient", UnknownCurrency: "permanent" }),
  safety: "idempotent",
  retry: Backoff.constant("5 millis").pipe(Backoff.times(2))
})

// Remembers the last good rate of each currency. How old a rate may be, and how many there are, only the application knows.
class LastRates extends Fallback.Stale<LastRates, Rate>()("app/LastRates", { maxAge: "500 millis", max: 200 }) {}

const isDown = MutableRef.make(false)

const fetchRate = Effect.fn("fetchRate")(function* (code: string) {
  if (isDown.current) return yield* new NetworkError({ host: "rates.example" })
  if (code === "ABC") return yield* new UnknownCurrency({ code })
  return { code, perEuro: code === "USD" ? 1.08 : 170.4 } satisfies Rate
})

// From the best answer to the last resort. `orStale` answers what the policy gives up on; with nothing recent to answer with, the
// error comes out, so the type keeps it:
const recentRate = (
  code: string
): Effect.Effect<Rate, UnknownCurrency | Policy.RetryExhausted<NetworkError>, LastRates> =>
  fetchRate(code).pipe(withResilience(rates), LastRates.orStale(code))

// A fallback that always has an answer takes exactly the errors it handles out of the type. Neither of the two hides
// UnknownCurrency: that is an answer of the dependency, not an outage.
const anyRate = (code: string): Effect.Effect<Fallback.Served<Rate | undefined>, UnknownCurrency, LastRates> =>
  recentRate(code).pipe(Fallback.value(undefined, { name: "no-rate" }), Fallback.served)

// What the user is told depends on where the value came from.
const show = (code: string) =>
  anyRate(code).pipe(
    Effect.map(({ age, source, value }) => {
      if (value === undefined) return `${code}: no rate at the moment, please try again later`
      const rate = `1 EUR = ${value.perEuro} ${value.code}`
      return age === undefined ? rate : `${rate} (${source}, from ${Math.round(Duration.toMillis(age))} ms ago)`
    }),
    Effect.catchTag("UnknownCurrency", (error) => Effect.succeed(`${error.code} is not a currency`)),
    Effect.flatMap((line) => Console.log(`  ${line}`))
  )

const program = Effect.gen(function* () {
  yield* Console.log("all is well")
  yield* show("USD")
  yield* show("ABC")

  yield* Console.log("the source goes down")
  MutableRef.set(isDown, true)
  yield* show("USD")
  yield* Console.log("nobody has asked for JPY before, so nothing is remembered")
  yield* show("JPY")

  yield* Console.log("the rate of USD is older than maxAge by now, so it is not served any more")
  yield* Effect.sleep("550 millis")
  yield* show("USD")

  yield* Console.log("the source is back")
  MutableRef.set(isDown, false)
  yield* show("USD")
  yield* show("JPY")
})

await Effect.runPromise(program.pipe(Effect.provide(LastRates.layer)))
