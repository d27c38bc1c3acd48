// A guard of your own: it admits or rejects an attempt, and learns from how the attempt ended. A policy runs any guard that keeps
// the contract, and knows none of them.
//
//   node --conditions=effect-resilience-source examples/10-your-own-guard.ts
import { Clock, Console, Context, Data, Effect, Fiber, Layer, MutableRef } from "effect"
import { Attempt, Backoff, Fault, Guard, Policy, withResilience } from "effect-resilience"

// 1. A maintenance window: a synchronous guard.
class UnderMaintenance extends Data.TaggedError("UnderMaintenance")<{ readonly until: number }> {}

/** Until when there is maintenance, in milliseconds since the epoch: set by whoever operates the dependency. */
class MaintenancePlan extends Context.Service<MaintenancePlan, MutableRef.MutableRef<number>>()("app/MaintenancePlan") {
  static readonly layer = Layer.sync(MaintenancePlan, () => MutableRef.make(0))
}

// A guard is a service. What it is made of may come from other services: then its layer asks for them.
class Maintenance extends Guard.Service<Maintenance, UnderMaintenance>()(
  "app/Maintenance",
  Effect.gen(function* () {
    const plan = yield* MaintenancePlan
    const clock = yield* Clock.Clock
    return {
      name: "app/Maintenance",
      phase: "throttle",
      admit: () => {
        const until = plan.current
        return clock.currentTimeMillisUnsafe() < until
          ? Guard.rejected(new UnderMaintenance({ until }))
          : Guard.admitted({ settle: () => {} }) // an outcome teaches it nothing
      }
    }
  })
) {}

// 2. A gate: at most two attempts at a time, and two that wait.
class GateFull extends Data.TaggedError("GateFull")<{}> {}

class Gate extends Guard.Service<Gate, GateFull>()(
  "app/Gate",
  Effect.sync(() => {
    let free = 2
    const waiting = new Set<() => void>()
    // Whoever has waited longest gets the place directly, so that nobody can take it in between.
    const leave = () => {
      const [next] = waiting
      if (next === undefined) free++
      else next()
    }
    const place = Guard.admitted({ settle: leave })
    return {
      name: "app/Gate",
      phase: "concurrency",
      admit: () => {
        if (free > 0) {
          free--
          return place
        }
        if (waiting.size >= 2) return Guard.rejected(new GateFull())
        return Guard.pending(
          Effect.callback<Guard.Admitted>((resume) => {
            const enter = () => {
              waiting.delete(enter)
              resume(Effect.succeed(place))
            }
            waiting.add(enter)
            // Interrupted: out of the queue. If that comes just after the place was handed over, give the place back.
            return Effect.sync(() => {
              if (!waiting.delete(enter)) leave()
            })
          })
        )
      }
    }
  })
) {}

// Both in one policy.
class NetworkError extends Data.TaggedError("NetworkError")<{}> {}
const reports = Policy.make({
  name: "reports.build",
  faults: Fault.byTag<NetworkError>()({ NetworkError: "transient" }),
  safety: "idempotent",
  retry: Backoff.constant("5 millis").pipe(Backoff.times(1)),
  guards: [Gate, Maintenance] // in any order: their phases say which is asked first
})

let running = 0
let most = 0
const work = Effect.gen(function* () {
  most = Math.max(most, ++running)
  yield* Effect.sleep("20 millis").pipe(Effect.ensuring(Effect.sync(() => running--)))
  return (yield* Attempt.current).number === 1 ? yield* new NetworkError() : "a report"
})

// What the guards reject with is in the type by itself.
type Failure = Policy.RetryExhausted<NetworkError> | GateFull | UnderMaintenance
const build: Effect.Effect<string, Failure, Gate | Maintenance> = work.pipe(withResilience(reports))
const ended = Effect.match(build, { onSuccess: (value) => value, onFailure: (error) => error._tag })

const program = Effect.gen(function* () {
  yield* Console.log("four at once: two run, two wait for a place; each is retried once")
  const four = yield* Effect.all([ended, ended, ended, ended], { concurrency: 4 })
  yield* Console.log(`  ${four.join(", ")}; at most ${most} at a time`)

  yield* Console.log("five at once: there is no room for the fifth")
  const fibers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(ended, { startImmediately: true }))
  yield* Console.log(`  the fifth: ${yield* ended}`)
  yield* Console.log("all are interrupted, running or waiting: no place is lost")
  yield* Fiber.interruptAll(fibers)
  yield* Console.log(`  ${(yield* Effect.all([ended, ended], { concurrency: 2 })).join(", ")}; running: ${running}`)

  yield* Console.log("maintenance is announced for 200 ms")
  MutableRef.set(yield* MaintenancePlan, (yield* Clock.currentTimeMillis) + 200)
  yield* Console.log(`  now: ${yield* ended}`)
  yield* Effect.sleep("220 millis")
  yield* Console.log(`  later: ${yield* ended}`)
})

const layer = Layer.mergeAll(Gate.layer, Maintenance.layer).pipe(Layer.provideMerge(MaintenancePlan.layer))
await Effect.runPromise(program.pipe(Effect.provide(layer)))
