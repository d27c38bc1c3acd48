// Steps a schedule against a clock of its own, without sleeping: what `Backoff.preview` shows.
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { CallStart } from "./callStart.ts"

/**
 * Begins a call at time 0; attempts take no time, and each fails with `input`. What comes back is run once for each retry: it gives
 * the delay in milliseconds, which then has passed; undefined once the schedule is done.
 */
export const simulation = <Output, Input, Error, Env>(
  schedule: Schedule.Schedule<Output, Input, Error, Env>,
  input: Input
): Effect.Effect<Effect.Effect<number | undefined, Error, Env>, never, Env> =>
  Effect.suspend(() => {
    const clock = new SimulatedClock()
    const inside = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.provideService(Effect.provideService(self, Clock.Clock, clock), CallStart, 0)
    return Effect.map(inside(Schedule.toStep(schedule)), (step) =>
      inside(
        Pull.catchDone(
          Effect.map(
            Effect.suspend(() => step(clock.now, input)),
            ([, delay]) => {
              const ms = Duration.toMillis(delay)
              clock.advance(ms)
              return ms
            }
          ),
          () => Effect.undefined
        )
      )
    )
  })

// Ten thousand years: past any bound in time, and early enough for a calendar schedule to have an answer still
const endOfTimeMs = 10_000 * 365 * 24 * 60 * 60 * 1000

class SimulatedClock implements Clock.Clock {
  now = 0
  advance(ms: number): void {
    this.now = Math.min(this.now + ms, endOfTimeMs)
  }
  currentTimeMillisUnsafe(): number {
    return this.now
  }
  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.round(this.now * 1_000_000))
  }
  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }
  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.sync(() => this.advance(Duration.toMillis(duration)))
  }
}
