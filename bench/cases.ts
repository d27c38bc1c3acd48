// Every case by name. A case is loaded in a process of its own, so that no library warms up, or spoils, what another one runs.
import type { Timed } from "./measure.ts"

const ours = () => import("./ours.ts")
const effects = () => import("./effects.ts")
const http = () => import("./http.ts")
const peers = () => import("./peers.ts")

export const timed = {
  "ours: guarded, sync": async () => (await ours()).guardedSync(),
  "ours: guarded, async": async () => (await ours()).guardedAsync(),
  "ours: everything, sync": async () => (await ours()).everythingSync(),
  "ours: everything, async": async () => (await ours()).everythingAsync(),
  "ours: rejected": async () => (await ours()).rejected(),
  "ours: rejected, Effect.catch": async () => (await ours()).rejectedAndCaught(),
  "ours: retried once": async () => (await ours()).retriedOnce(),
  "ours: retried once, with breaker and budget": async () => (await ours()).guardedRetriedOnce(),
  "ours: retry only, sync": async () => (await ours()).retryOnlySync(),
  "ours: no guard, sync": async () => (await ours()).noGuardSync(),
  "ours: two guards, sync": async () => (await ours()).twoGuardsSync(),
  "ours: the first guard": async () => (await ours()).theFirstGuard(),
  "ours: a second guard": async () => (await ours()).aSecondGuard(),
  "ours: all guards, async": async () => (await ours()).allGuardsAsync(),
  "ours: refused by a bulkhead": async () => (await ours()).refusedByBulkhead(),
  "ours: hedged, async": async () => (await ours()).hedgedAsync(),
  "ours: keyed breaker, sync": async () => (await ours()).keyedSync(),
  "ours: guarded, sync, Telemetry.layer": async () => (await ours()).listenedToSync(),
  "ours: guarded, sync, Telemetry.layerMetrics": async () => (await ours()).metricsSync(),
  "floor: frames, context and clock, async": async () => (await ours()).framedAsync(),
  "floor: a second guard that does nothing": async () => (await ours()).aSecondGuardThatDoesNothing(),
  "floor: HTTP, one header more": async () => (await http()).httpWithHeader(),
  "floor: HTTP, one service provided": async () => (await http()).httpProvided(),
  "floor: HTTP, frames, context and clock": async () => (await http()).httpFramed(),
  "effect: retry(breaker), sync": async () => (await effects()).guardedSync(),
  "effect: breaker(retry(timeout)), async": async () => (await effects()).everythingAsync(),
  "effect: retried once": async () => (await effects()).retriedOnce(),
  "ours: HTTP, guarded": async () => (await http()).httpGuarded(),
  "ours: HTTP, everything": async () => (await http()).httpEverything(),
  "effect: HTTP, retryTransient(withCircuitBreaker)": async () => (await http()).effectHttpGuarded(),
  "cockatiel: wrap(retry, breaker)": async () => (await peers()).cockatielGuarded(),
  "cockatiel: wrap(retry, breaker, timeout, bulkhead)": async () => (await peers()).cockatielEverything(),
  "cockatiel: rejected": async () => (await peers()).cockatielRejected(),
  "cockatiel: refused by a bulkhead": async () => (await peers()).cockatielRefused(),
  "opossum: rejected": async () => (await peers()).opossumRejected(),
  "opossum: breaker with timeout": async () => (await peers()).opossumTimed(),
  "p-retry": async () => (await peers()).pRetried()
} satisfies { readonly [name: string]: () => Promise<Timed> }

export type TimedCase = keyof typeof timed

export const memory = "ours: memory"
