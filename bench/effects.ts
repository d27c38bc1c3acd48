// The cases of what Effect ships: `retry`, `timeout` and the experimental circuit breaker on its memory store.
import { Effect, Layer, Schedule } from "effect"
import { CircuitBreaker } from "effect/persistence"
import * as Calls from "./calls.ts"
import { inFiber, inFiberWith } from "./calls.ts"
import type { Timed } from "./measure.ts"

const layer = CircuitBreaker.layer({
  tripPolicy: CircuitBreaker.rate({
    threshold: Calls.trip.threshold,
    size: Calls.trip.window,
    minimumCalls: Calls.trip.minimumCalls
  }),
  openDuration: Calls.openMs
}).pipe(Layer.provide(CircuitBreaker.layerStoreMemory()))

const schedule = Schedule.exponential(Calls.baseMs).pipe(Schedule.jittered, Schedule.upTo({ times: Calls.retries }))

/** The breaker is looked up once: cheaper than what `CircuitBreaker.use` at each call would cost. */
const withBreaker = async (
  call: (i: number, breaker: CircuitBreaker.CircuitBreaker) => Effect.Effect<unknown, unknown>
) => {
  let breaker: CircuitBreaker.CircuitBreaker | undefined
  const found = Effect.map(CircuitBreaker.CircuitBreaker, (it) => (breaker = it))
  const loop = await inFiberWith(layer, (i) =>
    breaker === undefined ? Effect.andThen(found, Effect.void) : call(i, breaker)
  )
  await loop(1)
  return loop
}

const key = { key: "bench" }

export const guardedSync = async (): Promise<Timed> => ({
  bare: inFiber(Calls.sync),
  guarded: await withBreaker((i, breaker) => Calls.sync(i).pipe(breaker.execute(key), Effect.retry(schedule)))
})

export const everythingAsync = async (): Promise<Timed> => ({
  bare: inFiber(Calls.async),
  guarded: await withBreaker((i, breaker) =>
    Calls.async(i).pipe(Effect.timeout(Calls.attemptTimeoutMs), Effect.retry(schedule), breaker.execute(key))
  )
})

export const retriedOnce = async (): Promise<Timed> => ({
  bare: inFiber((i) => {
    const call = Calls.flaky(i)
    return Effect.catch(call, () => call)
  }),
  guarded: inFiber((i) => Calls.flaky(i).pipe(Effect.retry({ times: 1 })))
})
