/**
 * Limits how many calls of a dependency run at once, so that one that has become slow cannot take all the connections, sockets and
 * memory of its callers with it. Like the bulkheads of a ship, it keeps a leak in one compartment.
 *
 * A bulkhead is a service: its state lives in a Layer's scope, and every policy that names it shares its slots.
 *
 * ```ts
 * import { Bulkhead } from "effect-resilience"
 *
 * class Quotes extends Bulkhead.Service<Quotes>()("app/Quotes", { maxConcurrent: 20 }) {}
 * ```
 *
 * How many are right follows from Little's law: calls a second, times the seconds that one takes, is the number that runs at once
 * when all is well. Take some more than that, and at most what the dependency stands.
 *
 * **Attempts, or whole calls**
 *
 * As one of the guards of a policy it limits attempts: a call that waits for its next attempt holds no slot. `protect` around a
 * policy limits whole calls, with their retries and the waiting in between. That is what other libraries do where the bulkhead
 * is the outermost part (the rate limiter of Polly's standard pipeline): it bounds how many callers there can be.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff, Bulkhead, Fault, Policy, withResilience } from "effect-resilience"
 *
 * class Attempts extends Bulkhead.Service<Attempts>()("app/Attempts", { maxConcurrent: 20 }) {}
 * class Calls extends Bulkhead.Service<Calls>()("app/Calls", { maxConcurrent: 1000 }) {}
 *
 * const quotes = Policy.make({
 *   name: "quotes.get",
 *   faults: Fault.all,
 *   safety: "idempotent",
 *   retry: Backoff.exponential({ base: "100 millis" }).pipe(Backoff.fullJitter, Backoff.times(3)),
 *   guards: [Attempts]
 * })
 *
 * const getQuote = Effect.succeed("1.08").pipe(withResilience(quotes), Calls.protect())
 * ```
 *
 * **The queue**
 *
 * Without a queue a call that finds no free slot is refused at once with {@link BulkheadFull}. With one, as many as `maxQueue` wait
 * for at most `maxWait`, and never beyond the deadline in force: whoever set that interrupts them, and one whose deadline has
 * passed is not let in. The wait counts towards the deadline of a policy, not towards its attempt timeout.
 *
 * Those of the highest priority are let in first (see `Priority`); `order` decides among equals. If the queue is full, one that
 * matters more takes the place of one that matters less: of those of the lowest priority, the one that would be let in last. A
 * newcomer never overtakes those that wait and matter as much, except that `lifo` is meant to do just that.
 *
 * A call that is interrupted while it waits leaves the queue at once. A slot that it was given in that very moment goes to the next.
 *
 * **Time**
 *
 * Nothing runs in the background: only a call that waits holds a timer.
 *
 * @since 0.1.0
 */
import type { Duration, Effect } from "effect"
import type { BulkheadFull } from "./internal/bulkheadFull.ts"
import { make } from "./internal/bulkheadService.ts"
import type { Resolved } from "./internal/bulkheadService.ts"
import type { Snapshot as CompartmentSnapshot } from "./internal/compartments.ts"
import { guardClass, over } from "./internal/guardClass.ts"
import type { GuardClass, KeysChange, Readable } from "./internal/guardClass.ts"
import { keysDefaults } from "./internal/perKey.ts"
import type { KeysOptions as Keys } from "./internal/perKey.ts"
import type { Order as QueueOrder } from "./internal/slots.ts"

export { BulkheadFull } from "./internal/bulkheadFull.ts"

/**
 * A bulkhead as it is now: its limit, how many calls hold a slot, and how many wait for one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot extends CompartmentSnapshot {}

// ---------------------------------------------------------------------------------------------------------------------
// Options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Who of those that wait, and matter equally, is let in first:
 *
 * - `fifo`: the first come. It is fair.
 * - `lifo`: the last come. Those that have waited long have callers who may have given up, so under overload fewer calls are made
 *   for nothing, and those that wait longest are refused.
 * - `adaptive`: the first come, until the queue has not been empty for as long as `standing`; then the last come, until it is
 *   empty again. So Facebook does it (Maurer, "Fail at Scale", ACM Queue 2015): fair as long as the queue only smooths
 *   bursts, and useful when it stands.
 *
 * @since 0.1.0
 * @category models
 */
export type Order = QueueOrder

/**
 * How many keys a keyed bulkhead remembers, and for how long.
 *
 * A key that somebody uses at the moment is kept beyond `idleTimeToLive`, and so is one with a limit of its own (see `resize`). If
 * `max` forces even those out, the key that comes back begins with all its slots free.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeysOptions extends Keys {}

interface Tuning {
  /** How many calls may wait for a slot: a whole number of at least 0, which refuses them at once. */
  readonly maxQueue?: number | undefined
  /** How long one may wait: a finite duration above 0. */
  readonly maxWait?: Duration.Input | undefined
  readonly order?: Order | undefined
  /** For the `adaptive` order: how long the queue must not have been empty before the last come go first: 0 or more. */
  readonly standing?: Duration.Input | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Tuning {
  /** How many calls may run at once: a whole number of at least 1. */
  readonly maxConcurrent: number
  /** Gives each key (a host, a tenant) slots of its own. The key is then said at the call. */
  readonly keys?: KeysOptions | undefined
}

/**
 * What a layer may change of its class. What it leaves out, or `undefined`, is as in the class; of `keys` single members can be
 * changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface LayerOptions<Keyed extends boolean = boolean> extends Tuning {
  readonly maxConcurrent?: number | undefined
  /** A class without keys cannot be given any: callers would not say one. */
  readonly keys?: KeysChange<Keyed> | undefined
}

/**
 * The options that have defaults:
 *
 * - `maxQueue`: 0, so that nobody waits, as in Polly (queue 0), resilience4j and failsafe-go (wait 0). A queue hides an overload
 *   for a while, and adds its waiting to every call; whoever wants one should say how long it may get.
 * - `maxWait`: 1 s, for those that have a queue. It is how long a person waits without losing the thread (Nielsen, "Usability
 *   Engineering", 1993, chapter 5), and leaves most of a usual deadline to the call itself. Polly and cockatiel wait without end.
 * - `order`: the first come, which surprises nobody, and is what Polly and resilience4j do.
 * - `standing`: 100 ms, as in "Fail at Scale" and in CoDel, whose interval it is (RFC 8289): longer than a burst, in a
 *   data centre. For a dependency that takes seconds it should be some times its usual latency.
 * - `keys`: ten thousand keys are some megabytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  maxQueue: 0,
  maxWait: "1 second",
  order: "fifo",
  standing: "100 millis",
  keys: keysDefaults
} as const satisfies Omit<Options, "maxConcurrent">

// ---------------------------------------------------------------------------------------------------------------------
// The service
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The value of a bulkhead service: a guard that can be read and resized.
 *
 * Of a keyed bulkhead, `admit`, `look` and `snapshot` need the key, and die with `InvalidOption` without one. A bulkhead that is not
 * keyed ignores keys.
 *
 * @since 0.1.0
 * @category services
 */
export interface Bulkhead extends Readable<BulkheadFull, Snapshot> {
  readonly phase: "concurrency"
  readonly look: NonNullable<Readable<BulkheadFull, Snapshot>["look"]>
  /**
   * Changes the limit. A higher one lets in those that wait; under a lower one those that run go on, and nobody is let in until
   * they are fewer. Of a keyed bulkhead one key, or without a key every one, present and future. Dies with `InvalidOption` if it
   * is not a whole number of at least 1.
   */
  readonly resize: (maxConcurrent: number, key?: string | undefined) => Effect.Effect<void>
}

const resolve = (own: Options, change: LayerOptions, keys: Resolved["keys"]): Resolved => ({
  ...over<Resolved>(defaults, own, change),
  keys
})

/**
 * The class that {@link Service} makes.
 *
 * @since 0.1.0
 * @category services
 */
export interface ServiceClass<Self, Id extends string, Keyed extends boolean> extends GuardClass<
  Self,
  Id,
  Keyed,
  Bulkhead,
  BulkheadFull,
  Snapshot,
  LayerOptions<Keyed>
> {
  /** See {@link Bulkhead}. */
  readonly resize: (maxConcurrent: number, key?: string | undefined) => Effect.Effect<void, never, Self>
}

/**
 * How {@link Service} is called, by what is known of `keys`.
 *
 * @since 0.1.0
 * @category services
 */
export interface Constructor<Self> {
  <const Id extends string>(id: Id, options: Options & { readonly keys?: undefined }): ServiceClass<Self, Id, false>
  <const Id extends string>(id: Id, options: Options & { readonly keys: KeysOptions }): ServiceClass<Self, Id, true>
  <const Id extends string>(id: Id, options: Options): ServiceClass<Self, Id, boolean>
}

/**
 * Makes a bulkhead as a service; its state lives as long as its layer. Defining a class never throws.
 *
 * **Example** (A queue, and another limit from the configuration)
 *
 * ```ts
 * import { Config } from "effect"
 * import { Bulkhead } from "effect-resilience"
 *
 * class Quotes extends Bulkhead.Service<Quotes>()("app/Quotes", {
 *   maxConcurrent: 20,
 *   maxQueue: 100,
 *   maxWait: "500 millis",
 *   order: "adaptive"
 * }) {}
 *
 * Quotes.layerConfig({ maxConcurrent: Config.Int("QUOTES_MAX_CONCURRENT") })
 * ```
 *
 * **Example** (Slots for each tenant, and more of them for one)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Bulkhead } from "effect-resilience"
 *
 * class Tenants extends Bulkhead.Service<Tenants>()("app/Tenants", { maxConcurrent: 4, keys: { max: 1000 } }) {}
 *
 * const program = Effect.gen(function* () {
 *   yield* Tenants.resize(16, "the big one")
 *   yield* Effect.succeed("a report").pipe(Tenants.protect({ key: "the big one" }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Service = <Self>(): Constructor<Self> => {
  const construct = (id: string, options: Options) => {
    const Class = guardClass<Self, Bulkhead>()(id, options, (id, own, change: LayerOptions, keys) =>
      make(id, resolve(own, change, keys))
    )
    return Object.assign(Class, {
      resize: (maxConcurrent: number, key?: string | undefined) =>
        Class.use((bulkhead) => bulkhead.resize(maxConcurrent, key))
    })
  }
  return construct as unknown as Constructor<Self>
}
