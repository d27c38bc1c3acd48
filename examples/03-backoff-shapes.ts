// Backoff shapes: a backoff is an ordinary Effect `Schedule`. `Backoff.preview` shows what one does, without waiting for it.
//
//   node --conditions=effect-resilience-source examples/03-backoff-shapes.ts
import { Console, Data, Duration, Effect } from "effect"
import type { Schedule } from "effect"
import { Backoff } from "effect-resilience"

const base = "100 millis"
const cap = "1 second"

// Read them left to right: cap first, then jitter, then the end. So jitter is spread *below* the cap, and clients that have all
// reached the cap are still apart.
const shapes: ReadonlyArray<readonly [title: string, shape: Schedule.Schedule<Duration.Duration>]> = [
  ["exponential: clients that failed together come back together", Backoff.exponential({ base, cap })],
  [
    "exponential + fullJitter: the widest spread, the one to start with",
    Backoff.exponential({ base, cap }).pipe(Backoff.fullJitter)
  ],
  [
    "exponential + equalJitter: where some pause must be kept",
    Backoff.exponential({ base, cap }).pipe(Backoff.equalJitter)
  ],
  ["decorrelated: a random walk between base and cap", Backoff.decorrelated({ base, cap })],
  ["fibonacci: grows more gently", Backoff.fibonacci({ base, cap })]
]

const columns = 50
const column = (delay: Duration.Duration) => Math.round((Duration.toMillis(delay) / 1000) * columns)
const ms = (delay: Duration.Duration) => String(Math.round(Duration.toMillis(delay))).padStart(4)

// ├─── from the shortest delay ───●─── over the median ───┤ to the longest, of 500 simulated calls
const bar = ({ max, median, min, retry }: Backoff.Previewed): string => {
  const cells = Array.from({ length: columns + 1 }, (_, i) =>
    i === column(median) ? "●" : i >= column(min) && i <= column(max) ? "─" : " "
  )
  return `  retry ${retry}  |${cells.join("")}|  ${ms(min)} … ${ms(median)} … ${ms(max)} ms`
}

class Unreachable extends Data.TaggedError("Unreachable")<{}> {}

const program = Effect.gen(function* () {
  for (const [title, shape] of shapes) {
    // the same seed gives the same picture
    const rows = yield* Backoff.preview(shape, { retries: 6, samples: 500, seed: "picture" })
    yield* Console.log(`${title}\n${rows.map(bar).join("\n")}\n`)
  }

  // A shape goes on for ever. What ends it comes last:
  const threeTimes = Backoff.exponential({ base, cap }).pipe(Backoff.fullJitter, Backoff.times(3))
  const withinAWhile = Backoff.exponential({ base, cap }).pipe(Backoff.within("2 seconds"))
  const explicit = Backoff.sequence(["10 millis", "50 millis", "250 millis"])
  const atOnceThenSlow = Backoff.constant("250 millis").pipe(Backoff.immediateFirst, Backoff.times(3))

  const list = (schedule: Schedule.Schedule<Duration.Duration>) =>
    Backoff.preview(schedule, { retries: 10 }).pipe(
      Effect.map((rows) => rows.map((row) => Duration.toMillis(row.max)).join(", "))
    )
  yield* Console.log(`times(3)              retries: ${(yield* Backoff.preview(threeTimes, { retries: 10 })).length}`)
  yield* Console.log(`within("2 seconds")   delays:  ${yield* list(withinAWhile)}`)
  yield* Console.log(`sequence([…])         delays:  ${yield* list(explicit)}`)
  yield* Console.log(`immediateFirst        delays:  ${yield* list(atOnceThenSlow)}`)

  // And it is a Schedule: plain `Effect.retry` takes it too.
  let attempts = 0
  const flaky = Effect.suspend(() => (++attempts < 3 ? Effect.fail(new Unreachable()) : Effect.succeed(attempts)))
  const answered = yield* Effect.retry(flaky, Backoff.sequence(["5 millis", "5 millis"]))
  yield* Console.log(`Effect.retry          attempts: ${answered}`)
})

await Effect.runPromise(program)
