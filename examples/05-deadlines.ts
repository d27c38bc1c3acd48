// Deadlines: a point in time by which everything must be over. Calls inside inherit it: the nearest one counts, whoever set it
// raises it, and no policy begins a retry that would not fit.
//
//   node --conditions=effect-resilience-source examples/05-deadlines.ts
import { Console, Data, Deferred, Duration, Effect, Option } from "effect"
import { Attempt, Backoff, Deadline, Fault, Policy, withResilience } from "effect-resilience"

class NetworkError extends Data.TaggedError("NetworkError")<{ readonly host: string }> {}

// Patient on its own: ten seconds for a call, a second between attempts.
const prices = Policy.make({
  name: "prices.get",
  faults: Fault.byTag<NetworkError>()({ NetworkError: "transient" }),
  safety: "idempotent",
  deadline: "10 seconds",
  retry: Backoff.constant("1 second").pipe(Backoff.times(3))
})

const left = Effect.map(
  Deadline.remaining,
  Option.match({
    onNone: () => "for ever",
    // rounded up, so that this page prints the same each time
    onSome: (duration) => `${Math.ceil(Duration.toMillis(duration) / 100) * 100} ms`
  })
)

const hangs: Effect.Effect<number, NetworkError> = Effect.gen(function* () {
  const { policy } = yield* Attempt.current
  yield* Console.log(`  ${policy}: asking, with at most ${yield* left} left`)
  return yield* Effect.never
})

const fails: Effect.Effect<number, NetworkError> = Effect.fail(new NetworkError({ host: "prices.example" }))

// Both deadlines are in the type: the policy's own is raised where it is the nearer one.
const page: Effect.Effect<number, Policy.RetryExhausted<NetworkError> | Deadline.DeadlineExceeded> = hangs.pipe(
  withResilience(prices),
  Deadline.within("400 millis", { name: "GET /page" })
)

const program = Effect.gen(function* () {
  yield* Console.log(`outside, there is time ${yield* left}`)

  yield* Console.log("a page has 400 ms; the policy inside asks for 10 s, and is clamped")
  const late = yield* Effect.flip(page)
  yield* Console.log(`  -> ${late._tag}: ${late.message}`)

  yield* Console.log("a retry after 1 s does not fit into 400 ms: it is refused now, without sleeping")
  const refused = yield* fails.pipe(
    withResilience(prices),
    Deadline.within("400 millis", { name: "GET /page" }),
    Effect.flip,
    Effect.timed
  )
  const [elapsed, error] = refused
  yield* Console.log(`  -> ${error._tag === "RetryExhausted" ? error.reason : error._tag}`)
  yield* Console.log(`     at once: ${Duration.toMillis(elapsed) < 400}`)

  yield* Console.log("with 200 ms of the page's 400 ms kept in reserve, a fallback still fits")
  const fallback = Effect.gen(function* () {
    yield* Console.log(`  fallback: at most ${yield* left} left`)
    yield* Effect.sleep("10 millis")
    return 42
  })
  const answer = yield* hangs.pipe(
    withResilience(prices),
    Deadline.reserve("200 millis"),
    Policy.catchUnavailable(() => fallback),
    Deadline.within("400 millis", { name: "GET /page" })
  )
  yield* Console.log(`  -> ${answer}`)

  yield* Console.log(
    "an audit record outlives the page that writes it: the page is answered, the record is written all the same"
  )
  const written = yield* Deferred.make<string>()
  const audit = Effect.gen(function* () {
    yield* Effect.sleep("150 millis")
    yield* Deferred.succeed(written, `written, with time ${yield* left}`)
  })
  yield* Deadline.unbounded(audit).pipe(
    Deadline.within("50 millis", { name: "POST /order" }),
    Effect.catchTag("DeadlineExceeded", (error) => Console.log(`  page:  ${error.message}`))
  )
  yield* Console.log(`  audit: ${yield* Deferred.await(written)}`)
})

await Effect.runPromise(program)
