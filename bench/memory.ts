// What the circuits of a keyed breaker keep in memory, and what they keep running: nothing.
import { Effect, Layer } from "effect"
import { CircuitBreaker, Fault, Policy, withResilience } from "effect-resilience"
import { Down, inFiberWith, sync, trip } from "./calls.ts"

export interface Footprint {
  readonly keys: number
  /** Of one circuit, with its place in the map and its key. */
  readonly bytes: number
  /** What would keep a process awake, or wake it up, that was not there before. */
  readonly timers: number
}

const keys = 100_000
const callsPerKey = 3

class Hosts extends CircuitBreaker.Service<Hosts>()("bench/Hosts", {
  trip: CircuitBreaker.failureRate(trip),
  keys: { max: keys, idleTimeToLive: "1 hour" }
}) {}

const policy = Policy.make({ name: "bench.hosts", faults: Fault.byTag<Down>()({ Down: "transient" }), guards: [Hosts] })

/** A third of the calls fail. */
const call = (i: number) =>
  (i % callsPerKey === 1 ? Effect.fail(new Down()) : sync(i)).pipe(
    withResilience(policy, { key: `host-${Math.floor(i / callsPerKey)}.example.com` }),
    Effect.ignore
  )

const heapUsed = (): number => {
  for (let i = 0; i < 4; i++) gc!()
  return process.memoryUsage().heapUsed
}

const running = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === "Timeout" || name === "Immediate").length

export const footprint = async (): Promise<Footprint> => {
  // the same code once before, on a breaker that is gone afterwards
  await (
    await inFiberWith(Hosts.layer, call)
  )(10_000)
  const before = { heap: heapUsed(), running: running() }
  const loop = await inFiberWith(Layer.fresh(Hosts.layer), call)
  await loop(keys * callsPerKey)
  const after = { heap: heapUsed(), running: running() }
  // keeps what is measured alive until here
  await loop(1)
  return { keys, bytes: (after.heap - before.heap) / keys, timers: after.running - before.running }
}
