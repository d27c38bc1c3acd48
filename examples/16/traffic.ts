// The same calls for every client: when they come, and how much they matter.
import { Effect, Fiber, Random } from "effect"
import { Priority } from "effect-resilience"
import type { Call as Ended } from "../01/statistics.ts"
import { arrivals } from "../support/arrivals.ts"
import { criticalShare, lengthMs, perSecond } from "./script.ts"
import type { Server } from "./server.ts"

export interface Call extends Ended {
  readonly priority: "critical" | "background"
}

/** A client, the server it has to itself, and what became of its calls, in the order in which they ended. */
export interface Lane<R> {
  readonly name: string
  readonly server: Server
  readonly call: Effect.Effect<number, { readonly _tag: string }, R>
  /** How many requests its client allows itself at a time, where it finds that out. */
  readonly limit?: Effect.Effect<number, never, R>
  readonly calls: Array<Call>
}

const priority = Effect.map(Random.next, (u): Call["priority"] => (u < criticalShare ? "critical" : "background"))

/** Makes a call, and notes how it ended. A defect is a bug of the example, and ends it. */
const visit = Effect.fnUntraced(function* <R>(
  lane: Lane<R>,
  priority: Call["priority"],
  arrived: number,
  now: Effect.Effect<number>
) {
  const error = yield* lane.call.pipe(
    Priority.at(priority),
    Effect.match({ onSuccess: () => undefined, onFailure: ({ _tag }) => _tag })
  )
  lane.calls.push({ arrived, tookMs: (yield* now) - arrived, error, priority })
})

/** Every arrival is a call to each server, whatever has become of the earlier ones. It ends when all calls have ended. */
export const traffic = Effect.fn("traffic")(function* <R>(lanes: ReadonlyArray<Lane<R>>, now: Effect.Effect<number>) {
  const times = yield* arrivals(perSecond, lengthMs)
  const priorities = yield* Effect.forEach(times, () => priority).pipe(Random.withSeed("priorities"))
  const calls = yield* Effect.forEach(times, (at, i) =>
    Effect.gen(function* () {
      yield* Effect.sleep(at - (yield* now))
      const arrived = yield* now
      return yield* Effect.forEach(lanes, (lane) => Effect.forkChild(visit(lane, priorities[i]!, arrived, now)))
    })
  )
  yield* Fiber.joinAll(calls.flat())
})
