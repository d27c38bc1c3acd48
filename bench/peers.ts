// The cases of the libraries for Promises.
import {
  BrokenCircuitError,
  CountBreaker,
  ExponentialBackoff,
  TimeoutStrategy,
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  handleAll,
  handleWhen,
  retry,
  timeout,
  wrap
} from "cockatiel"
import Opossum from "opossum"
import pRetry from "p-retry"
import * as Calls from "./calls.ts"
import { answer, inPromise } from "./calls.ts"
import type { Timed } from "./measure.ts"

const bare = inPromise(answer)

const cockatielRetry = () =>
  retry(
    // else it retries its own rejections
    handleWhen((error) => !(error instanceof BrokenCircuitError)),
    {
      maxAttempts: Calls.retries,
      backoff: new ExponentialBackoff({ initialDelay: Calls.baseMs, maxDelay: Calls.capMs })
    }
  )

const cockatielBreaker = () =>
  circuitBreaker(handleAll, {
    halfOpenAfter: Calls.openMs,
    breaker: new CountBreaker({
      threshold: Calls.trip.threshold,
      size: Calls.trip.window,
      minimumNumberOfCalls: Calls.trip.minimumCalls
    })
  })

export const cockatielGuarded = (): Timed => {
  const policy = wrap(cockatielRetry(), cockatielBreaker())
  return { bare, guarded: inPromise(() => policy.execute(answer)) }
}

export const cockatielEverything = (): Timed => {
  const policy = wrap(
    cockatielRetry(),
    cockatielBreaker(),
    timeout(Calls.attemptTimeoutMs, TimeoutStrategy.Cooperative),
    bulkhead(100, 100)
  )
  return { bare, guarded: inPromise(() => policy.execute(answer)) }
}

const rejected = (call: () => Promise<unknown>): Timed => ({
  bare: undefined,
  guarded: inPromise(async () => {
    try {
      await call()
    } catch {
      return 0
    }
  })
})

/** The breaker alone. */
export const cockatielRejected = async (): Promise<Timed> => {
  const policy = circuitBreaker(handleAll, { halfOpenAfter: Calls.openMs, breaker: new ConsecutiveBreaker(1) })
  await policy.execute(() => Promise.reject(new Error("down"))).catch(() => undefined)
  return rejected(() => policy.execute(answer))
}

/** The bulkhead alone, its one place taken. */
export const cockatielRefused = (): Timed => {
  const policy = bulkhead(1)
  void policy.execute(() => new Promise(() => {}))
  return rejected(() => policy.execute(answer))
}

export const opossumRejected = (): Timed => {
  const breaker = new Opossum(answer, { resetTimeout: Calls.openMs })
  breaker.open()
  return rejected(() => breaker.fire())
}

export const opossumTimed = (): Timed => {
  const breaker = new Opossum(answer, { timeout: Calls.attemptTimeoutMs })
  return { bare, guarded: inPromise(() => breaker.fire()) }
}

export const pRetried = (): Timed => ({
  bare,
  guarded: inPromise(() => pRetry(answer, { retries: Calls.retries, minTimeout: Calls.baseMs }))
})
