// An adaptive limit: nobody knows how many calls the dependency can serve at once, and the number changes. Every call that ends tells
// the limit something, and it follows.
//
//   node --conditions=effect-resilience-source examples/13-adaptive-limit.ts
import { Console, Data, Duration, Effect, Random, Semaphore } from "effect"
import { TestClock } from "effect/testing"
import { AdaptiveLimit, Fault, Policy, Priority, withResilience } from "effect-resilience"

class Overloaded extends Data.TaggedError("Overloaded")<{}> {}

// There is no number to guess. (It begins with 20 calls; here with fewer, to show how it grows.)
class Search extends AdaptiveLimit.Service<Search>()("app/Search", {
  algorithm: AdaptiveLimit.gradient2({ initial: 5 })
}) {}

const search = Policy.make({
  name: "search.find",
  faults: Fault.byTag<Overloaded>()({ Overloaded: "throttled" }),
  guards: [Search]
})

// -- the dependency: it works on so many calls at once, for about 100 ms; 50 more may wait in it, and it turns others away --

let capacity = 20
let inside = 0
const slots = Semaphore.makeUnsafe(capacity)

const find = Effect.suspend(() => {
  if (inside >= capacity + 50) return Effect.fail(new Overloaded())
  inside++
  const work = Effect.flatMap(Random.next, (u) => Effect.sleep(70 + 60 * u)).pipe(slots.withPermits(1))
  return Effect.ensuring(
    work,
    Effect.sync(() => inside--)
  )
})

// What the limit refuses with is in the type by itself.
type Failure = Overloaded | AdaptiveLimit.ConcurrencyLimited
const limited: Effect.Effect<void, Failure, Search> = find.pipe(withResilience(search))

// -- four hundred calls a second, which is twice what it can serve; time is moved by a TestClock, so this takes no time -------

interface Seen {
  readonly served: number
  readonly latency: number
  readonly turnedAway: number
  readonly refused: { readonly critical: number; readonly normal: number }
}

/** `critical` of each hundred calls are. What came of them, by the second. */
const load = <E extends { readonly _tag: string }, R>(self: Effect.Effect<void, E, R>, seconds: number, critical = 0) =>
  Effect.gen(function* () {
    let served = 0
    let totalMs = 0
    let turnedAway = 0
    const refused = { critical: 0, normal: 0 }
    for (let i = 0; i < seconds * 400; i++) {
      const level = (i * 37) % 100 < critical ? "critical" : "normal"
      const call = Effect.timed(self).pipe(
        Effect.match({
          onSuccess: ([took]) => {
            served++
            totalMs += Duration.toMillis(took)
          },
          onFailure: ({ _tag }) => {
            if (_tag === "Overloaded") turnedAway++
            else refused[level]++
          }
        }),
        Priority.at(level)
      )
      yield* Effect.forkChild(call, { startImmediately: true })
      if (i % 2 === 1) yield* TestClock.adjust(5)
    }
    const perSecond = (n: number) => Math.round(n / seconds)
    const seen: Seen = {
      served: perSecond(served),
      latency: Math.round(totalMs / served),
      turnedAway: perSecond(turnedAway),
      refused: { critical: perSecond(refused.critical), normal: perSecond(refused.normal) }
    }
    return seen
  })

const report = ({ latency, served, turnedAway }: Seen) =>
  Console.log(`  each second ${served} are served, in ${latency} ms each, and ${turnedAway} turned away`)
const limit = Effect.flatMap(Search.snapshot(), ({ limit }) => Console.log(`  the limit: ${limit}`))
const resize = (n: number) => {
  capacity = n
  return slots.resize(n)
}

const program = Effect.gen(function* () {
  yield* Console.log("a dependency that works on 20 calls at once, without a limit")
  yield* report(yield* load(find, 10))
  yield* TestClock.adjust("1 second") // let it finish what it has

  yield* Console.log("with one")
  yield* limit
  yield* load(limited, 20)
  yield* limit
  yield* report(yield* load(limited, 10))

  yield* Console.log("half of the dependency fails")
  yield* resize(10)
  yield* load(limited, 20)
  yield* limit
  yield* report(yield* load(limited, 10))

  yield* Console.log("it is whole again, and one call in five is critical")
  yield* resize(20)
  yield* load(limited, 20, 20)
  yield* limit
  const { refused } = yield* load(limited, 10, 20)
  yield* Console.log(
    `  refused each second: ${refused.critical} of 80 critical calls, and ${refused.normal} of the 320 others`
  )
})

await Effect.runPromise(
  program.pipe(Effect.provide(Search.layer), Random.withSeed("search"), Effect.provide(TestClock.layer()))
)
