// The cases of effect-resilience. The policy is piped at each call, as in a program.
import { Effect, Layer } from "effect"
import {
  AdaptiveLimit,
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Fault,
  Guard,
  Policy,
  RetryBudget,
  Telemetry,
  Throttle,
  withResilience
} from "effect-resilience"
import * as Calls from "./calls.ts"
import { inFiber, inFiberWith } from "./calls.ts"
import { framed } from "./floor.ts"
import type { Timed } from "./measure.ts"

class Breaker extends CircuitBreaker.Service<Breaker>()("bench/Breaker", {
  trip: CircuitBreaker.failureRate(Calls.trip),
  openFor: Calls.openMs
}) {}

class Budget extends RetryBudget.Service<Budget>()("bench/Budget", RetryBudget.ratio()) {}

const layer = Layer.mergeAll(Breaker.layer, Budget.layer)

const faults = Fault.byTag<Calls.Down>()({ Down: "transient" })

const retry = Backoff.exponential({ base: Calls.baseMs, cap: Calls.capMs }).pipe(
  Backoff.fullJitter,
  Backoff.times(Calls.retries)
)

/** Retry, budget and breaker. */
const guarded = Policy.make({
  name: "bench.guarded",
  faults,
  safety: "idempotent",
  retry,
  budget: Budget,
  guards: [Breaker]
})

const everything = Policy.extend(guarded, {
  name: "bench.everything",
  deadline: Calls.deadlineMs,
  attemptTimeout: Calls.attemptTimeoutMs
})

const retryOnly = Policy.make({ name: "bench.retryOnly", faults, safety: "idempotent", retry })

const retryAtOnce = Policy.make({
  name: "bench.retryAtOnce",
  faults,
  safety: "idempotent",
  retry: Backoff.constant(0).pipe(Backoff.times(1))
})

const guardedRetryAtOnce = Policy.extend(retryAtOnce, {
  name: "bench.guardedRetryAtOnce",
  budget: Budget,
  guards: [Breaker]
})

class Places extends Bulkhead.Service<Places>()("bench/Places", { maxConcurrent: 100 }) {}

class Limit extends AdaptiveLimit.Service<Limit>()("bench/Limit", {}) {}

class Share extends Throttle.Service<Share>()("bench/Share") {}

const noGuard = Policy.extend(guarded, { name: "bench.noGuard", guards: [] })

const twoGuards = Policy.extend(guarded, { name: "bench.twoGuards", guards: [Breaker, Places] })

/** Everything that may stand before an attempt, and every limit of time. */
const allGuards = Policy.extend(everything, {
  name: "bench.allGuards",
  guards: [Breaker, Places, Limit, Share]
})

const hedged = Policy.extend(everything, { name: "bench.hedged", hedge: { after: Calls.attemptTimeoutMs / 2 } })

const bareSync = inFiber(Calls.sync)
const bareAsync = inFiber(Calls.async)
// what a user would write by hand
const bareFlaky = inFiber((i) => {
  const call = Calls.flaky(i)
  return Effect.catch(call, () => call)
})

export const guardedSync = async (): Promise<Timed> => ({
  bare: bareSync,
  guarded: await inFiberWith(layer, (i) => Calls.sync(i).pipe(withResilience(guarded)))
})

export const guardedAsync = async (): Promise<Timed> => ({
  bare: bareAsync,
  guarded: await inFiberWith(layer, (i) => Calls.async(i).pipe(withResilience(guarded)))
})

export const everythingSync = async (): Promise<Timed> => ({
  bare: bareSync,
  guarded: await inFiberWith(layer, (i) => Calls.sync(i).pipe(withResilience(everything)))
})

export const everythingAsync = async (): Promise<Timed> => ({
  bare: bareAsync,
  guarded: await inFiberWith(layer, (i) => Calls.async(i).pipe(withResilience(everything)))
})

const rejectedAnd = async (handled: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<unknown, never, R>) => {
  const isOpen = Layer.mergeAll(Breaker.layerWith({ initial: "open" }), Budget.layer)
  return {
    bare: undefined,
    guarded: await inFiberWith(isOpen, (i) => handled(Calls.sync(i).pipe(withResilience(guarded))))
  }
}

/** The failure becomes a value, as by the peers' `try` and `catch`. */
export const rejected = (): Promise<Timed> => rejectedAnd(Effect.exit)

/** Most of this is what `Effect.catch` takes, of whatever failure. */
export const rejectedAndCaught = (): Promise<Timed> => rejectedAnd(Effect.catch(() => Effect.succeed(0)))

export const retriedOnce = async (): Promise<Timed> => ({
  bare: bareFlaky,
  guarded: inFiber((i) => Calls.flaky(i).pipe(withResilience(retryAtOnce)))
})

/** Half of the attempts fail, so the circuit needs a trip that never comes. */
export const guardedRetriedOnce = async (): Promise<Timed> => {
  const patient = Breaker.layerWith({ trip: CircuitBreaker.failureRate({ ...Calls.trip, threshold: 1 }) })
  const generous = Budget.layerWith(RetryBudget.ratio({ ratio: 2 }))
  return {
    bare: bareFlaky,
    guarded: await inFiberWith(Layer.mergeAll(patient, generous), (i) =>
      Calls.flaky(i).pipe(withResilience(guardedRetryAtOnce))
    )
  }
}

export const retryOnlySync = async (): Promise<Timed> => ({
  bare: bareSync,
  guarded: inFiber((i) => Calls.sync(i).pipe(withResilience(retryOnly)))
})

export const noGuardSync = async (): Promise<Timed> => ({
  bare: bareSync,
  guarded: await inFiberWith(layer, (i) => Calls.sync(i).pipe(withResilience(noGuard)))
})

export const twoGuardsSync = async (): Promise<Timed> => ({
  bare: bareSync,
  guarded: await inFiberWith(Layer.mergeAll(layer, Places.layer), (i) => Calls.sync(i).pipe(withResilience(twoGuards)))
})

/** Policies with none, one and two guards, all of which this process has run: as in a program that uses several guards. */
const inOneProgram = async () => {
  const { guarded: none } = await noGuardSync()
  const { guarded: one } = await guardedSync()
  const { guarded: two } = await twoGuardsSync()
  for (const loop of [none, one, two]) await loop(20_000)
  return { none, one, two }
}

export const theFirstGuard = async (): Promise<Timed> => {
  const { none, one } = await inOneProgram()
  return { bare: none, guarded: one }
}

export const aSecondGuard = async (): Promise<Timed> => {
  const { one, two } = await inOneProgram()
  return { bare: one, guarded: two }
}

class Nothing extends Guard.Service<Nothing, never>()("bench/Nothing", {
  name: "bench/Nothing",
  phase: "concurrency",
  look: () => undefined,
  admit: () => nothing
}) {}

const nothing = Guard.admitted({ settle: () => {} })

/** What the engine does for a guard, without one. */
export const aSecondGuardThatDoesNothing = async (): Promise<Timed> => {
  const { one } = await inOneProgram()
  const policy = Policy.extend(guarded, { name: "bench.nothing", guards: [Breaker, Nothing] })
  const two = await inFiberWith(Layer.mergeAll(layer, Nothing.layer), (i) => Calls.sync(i).pipe(withResilience(policy)))
  await two(20_000)
  return { bare: one, guarded: two }
}

export const framedAsync = async (): Promise<Timed> => ({
  bare: bareAsync,
  guarded: inFiber((i) => framed(Calls.async(i)))
})

export const allGuardsAsync = async (): Promise<Timed> => ({
  bare: bareAsync,
  guarded: await inFiberWith(Layer.mergeAll(layer, Places.layer, Limit.layer, Share.layer), (i) =>
    Calls.async(i).pipe(withResilience(allGuards))
  )
})

/** Its one place is taken, as with the peer. */
export const refusedByBulkhead = async (): Promise<Timed> => {
  const policy = Policy.extend(guarded, { name: "bench.refused", guards: [Places] })
  const full = Layer.effectDiscard(Effect.forkScoped(Places.protect(Effect.never), { startImmediately: true })).pipe(
    Layer.provideMerge(Places.layerWith({ maxConcurrent: 1 }))
  )
  return {
    bare: undefined,
    guarded: await inFiberWith(Layer.mergeAll(full, Budget.layer), (i) =>
      Effect.exit(Calls.sync(i).pipe(withResilience(policy)))
    )
  }
}

export const hedgedAsync = async (): Promise<Timed> => ({
  bare: bareAsync,
  guarded: await inFiberWith(layer, (i) => Calls.async(i).pipe(withResilience(hedged)))
})

export const keyedSync = async (): Promise<Timed> => {
  class Keyed extends CircuitBreaker.Service<Keyed>()("bench/Keyed", {
    trip: CircuitBreaker.failureRate(Calls.trip),
    keys: { max: 1_000, idleTimeToLive: "1 hour" }
  }) {}
  const policy = Policy.extend(guarded, { name: "bench.keyed", guards: [Keyed] })
  const keys = Array.from({ length: 100 }, (_, i) => ({ key: `host-${i}` }))
  return {
    bare: bareSync,
    guarded: await inFiberWith(Layer.mergeAll(Keyed.layer, Budget.layer), (i) =>
      Calls.sync(i).pipe(withResilience(policy, keys[i % keys.length]!))
    )
  }
}

/** Somebody listens: the events are built, and published to nobody in particular. */
export const listenedToSync = async (): Promise<Timed> => ({
  bare: bareSync,
  guarded: await inFiberWith(Layer.mergeAll(layer, Telemetry.layer), (i) => Calls.sync(i).pipe(withResilience(guarded)))
})

export const metricsSync = async (): Promise<Timed> => ({
  bare: bareSync,
  guarded: await inFiberWith(Layer.mergeAll(layer, Telemetry.layerMetrics), (i) =>
    Calls.sync(i).pipe(withResilience(guarded))
  )
})
