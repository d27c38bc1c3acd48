// A client, the server it has to itself, and what became of its calls.
import { Effect } from "effect"
import type { CircuitBreaker } from "effect-resilience"
import type { Server } from "./server.ts"
import type { Call } from "./statistics.ts"

export interface Lane<R> {
  readonly name: string
  readonly server: Server
  readonly call: Effect.Effect<number, { readonly _tag: string }, R>
  /** What protects the client, where something does. */
  readonly guards?: Effect.Effect<{ readonly breaker: CircuitBreaker.State; readonly balance: number }, never, R>
  /** In the order in which they ended. */
  readonly calls: Array<Call>
}

/** Makes one call when its time has come, and notes how it ended. A defect is a bug of the example, and ends it. */
export const visit = <R>(lane: Lane<R>, at: number, now: Effect.Effect<number>) =>
  Effect.gen(function* () {
    yield* Effect.sleep(at - (yield* now))
    const arrived = yield* now
    const error = yield* Effect.match(lane.call, { onSuccess: () => undefined, onFailure: ({ _tag }) => _tag })
    lane.calls.push({ arrived, tookMs: (yield* now) - arrived, error })
  })
