// Graceful shutdown: attempts in progress finish, and nothing is retried any more. Otherwise a process that has to be gone within
// seconds would spend them on backoff.
//
//   node --conditions=effect-resilience-source examples/11-graceful-shutdown.ts
import { Console, Data, Effect, Fiber, MutableRef } from "effect"
import { Attempt, Backoff, Fault, Policy, withResilience } from "effect-resilience"

class NetworkError extends Data.TaggedError("NetworkError")<{ readonly job: string }> {}

const jobs = Policy.make({
  name: "jobs.run",
  faults: Fault.byTag<NetworkError>()({ NetworkError: "transient" }),
  safety: "idempotent",
  retry: Backoff.constant("10 seconds").pipe(Backoff.times(5))
})

interface Job {
  readonly name: string
  readonly takes: number
  readonly fails: boolean
}

const work = Effect.fn("work")(function* ({ fails, name, takes }: Job) {
  const { number } = yield* Attempt.current
  yield* Console.log(`  ${name}: attempt ${number} begins`)
  yield* Effect.sleep(takes)
  if (fails) return yield* new NetworkError({ job: name })
})

// A call that was told not to retry fails as any exhausted call does; its `reason` says why.
const call = (job: Job): Effect.Effect<void, Policy.RetryExhausted<NetworkError>> =>
  work(job).pipe(withResilience(jobs))

const run = (job: Job) =>
  call(job).pipe(
    Effect.matchEffect({
      onSuccess: () => Console.log(`  ${job.name}: done`),
      // a worker would put the job back into its queue here, for the next process
      onFailure: ({ attempts, lastError, reason }) =>
        Console.log(`  ${job.name}: given back; reason: ${reason}, attempts: ${attempts}, error: ${lastError._tag}`)
    }),
    Effect.onInterrupt(() => Console.log(`  ${job.name}: given back, interrupted`))
  )

// One for the whole process. A MutableRef, so that calls that run already see it flip.
const draining = MutableRef.make(false)

const program = Effect.gen(function* () {
  yield* Console.log("three jobs are in progress")
  const fibers = yield* Effect.forEach(
    [
      { name: "invoice", takes: 200, fails: false },
      { name: "mailing", takes: 200, fails: true },
      { name: "report", takes: 10, fails: true }
    ],
    (job) => Effect.forkChild(run(job), { startImmediately: true })
  )
  yield* Effect.sleep("50 millis")
  yield* Console.log("report has failed once, and sleeps for 10 s before its second attempt")

  // In a real process:  process.once("SIGTERM", () => MutableRef.set(draining, true))
  yield* Console.log("SIGTERM: from now on there is no new retry")
  MutableRef.set(draining, true)

  // Work in progress has a grace period; what still sleeps after it is interrupted.
  const grace = Effect.sleep("400 millis").pipe(
    Effect.andThen(Console.log("the grace period is over")),
    Effect.andThen(Fiber.interruptAll(fibers))
  )
  yield* Effect.raceFirst(Fiber.awaitAll(fibers), grace)

  yield* Console.log("bye")
})

await Effect.runPromise(program.pipe(Effect.provideService(Policy.draining, draining)))
