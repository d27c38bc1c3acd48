// A dependency that is overloaded spends its strength on turning calls away. A throttle learns from the answers how much it accepts,
// sends about twice as much, and refuses the rest before it is sent: the least important calls first.
//
//   node --conditions=effect-resilience-source examples/14-throttle.ts
import { Console, Data, Effect, MutableRef, Random } from "effect"
import { Fault, Policy, Priority, Throttle, withResilience } from "effect-resilience"

class Busy extends Data.TaggedError("Busy")<{}> {}

// k: how many calls the dependency gets for each one that it accepts
class Quotes extends Throttle.Service<Quotes>()("app/Quotes", { k: 2, window: "1 second" }) {}

const quotes = Policy.make({
  name: "quotes.get",
  faults: Fault.byTag<Busy>()({ Busy: "throttled" }),
  guards: [Quotes]
})

// The dependency: of a hundred calls it serves as many as it can, and turns the others away.
const capacity = MutableRef.make(10)
const served = MutableRef.make(0)
const received = MutableRef.make(0)

const getQuote = Effect.suspend(() => {
  MutableRef.increment(received)
  if (served.current >= capacity.current) return Effect.fail(new Busy())
  MutableRef.increment(served)
  return Effect.succeed(1.08)
})

// The throttle's own error is in the type.
type Failure = Busy | Throttle.Throttled
const getQuoteOrNot: Effect.Effect<number, Failure, Quotes> = getQuote.pipe(withResilience(quotes))

/** Ten times a hundred calls, of which so many are critical. The others say nothing, so they are normal. */
const load = <E extends { readonly _tag: string }, R>(self: Effect.Effect<number, E, R>, critical: number) =>
  Effect.gen(function* () {
    MutableRef.set(received, 0)
    let servedInAll = 0
    const refused = { critical: 0, normal: 0 }
    for (let hundred = 0; hundred < 10; hundred++) {
      MutableRef.set(served, 0)
      for (let call = 0; call < 100; call++) {
        // spread among the others
        const level = (call * critical) % 100 < critical ? "critical" : "normal"
        const outcome = yield* self.pipe(
          Priority.at(level),
          Effect.match({ onSuccess: () => "served", onFailure: (error) => error._tag })
        )
        if (outcome === "Throttled") refused[level]++
      }
      servedInAll += served.current
    }
    return { served: servedInAll, received: received.current, refused }
  })

const program = Effect.gen(function* () {
  yield* Console.log("a thousand calls, of which the dependency can serve a tenth")
  const plain = yield* load(getQuote, 0)
  yield* Console.log(`  without a throttle it gets ${plain.received}, and serves ${plain.served}`)
  const throttled = yield* load(getQuoteOrNot, 0)
  yield* Console.log(`  with one it serves ${throttled.served}, and gets ${throttled.received}`)

  yield* Console.log("what the throttle knows, and what it says")
  const { accepts, rejectionRate, requests } = yield* Quotes.snapshot()
  yield* Console.log(`  requests: ${requests}, accepts: ${accepts}, rejection rate: ${rejectionRate.toFixed(1)}`)
  // by chance a few get through
  const error = yield* Effect.flip(getQuoteOrNot).pipe(Effect.repeat({ until: ({ _tag }) => _tag === "Throttled" }))
  yield* Console.log(`  ${error.message}`)

  yield* Console.log("five calls of each hundred are critical: they are not the ones that are refused")
  const mixed = yield* load(getQuoteOrNot, 5)
  yield* Console.log(`  critical: ${mixed.refused.critical} of 50 refused`)
  yield* Console.log(`  the others: ${mixed.refused.normal} of 950 refused`)

  yield* Console.log("the dependency recovers: a window later it gets everything again")
  MutableRef.set(capacity, 100)
  yield* Effect.sleep("1 second")
  const after = yield* load(getQuoteOrNot, 0)
  yield* Console.log(`  it gets ${after.received}, and serves ${after.served}`)
})

// with a seed, so that it is the same each time
await Effect.runPromise(program.pipe(Random.withSeed(1), Effect.provide(Quotes.layer)))
