/**
 * Where the middleware for idempotency keys keeps what it knows of them.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Duration } from "effect"
import { monotonicMs } from "../internal/time.ts"
import * as validate from "../internal/validate.ts"
import { Ledger } from "./idempotencyLedger.ts"
import { IdempotencyStoreError } from "./idempotencyStoreError.ts"
import type { StoredResponse } from "./storedResponse.ts"

export { IdempotencyStoreError } from "./idempotencyStoreError.ts"

/**
 * What a store knows of a key:
 *
 * - `Started`: nobody has it, and now this request does; `claim` names it until it is completed or released.
 * - `InProgress`: a request with this key is running.
 * - `Mismatch`: the key belongs to a request with another fingerprint.
 * - `Completed`: such a request has been answered; without a `response`, if its answer could not be kept.
 *
 * @since 0.1.0
 * @category models
 */
export type Begun =
  | { readonly _tag: "Started"; readonly claim: string }
  | { readonly _tag: "InProgress" }
  | { readonly _tag: "Mismatch" }
  | { readonly _tag: "Completed"; readonly response: StoredResponse | undefined }

/**
 * What a store of idempotency keys must do, in memory, Redis or SQL. Each operation is atomic: of any number of requests that begin
 * with one key, one starts. `complete` and `release` change nothing if the key is not claimed by `claim`, so that whoever lost its
 * claim cannot take another's.
 *
 * A store that outlives the process gives a claim an end, longer than any request takes, because a process that dies releases nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Store {
  readonly begin: (
    key: string,
    fingerprint: string,
    /**
     * Whose request it is: what the middleware's `caller` says, or else a hash of the credentials, "" without any. For a store of limited
     * size, so that one caller cannot push out what is kept for the others; it tells no two keys apart.
     */
    caller: string
  ) => Effect.Effect<Begun, IdempotencyStoreError>
  readonly complete: (
    key: string,
    claim: string,
    /** `undefined`: the request was carried out, and its response cannot be kept. */
    response: StoredResponse | undefined
  ) => Effect.Effect<void, IdempotencyStoreError>
  readonly release: (key: string, claim: string) => Effect.Effect<void, IdempotencyStoreError>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface MemoryOptions {
  /** The most keys in memory: a whole number of at least 1. Default: {@link idempotencyMemoryDefaults}. */
  readonly max?: number | undefined
  /** How long an answer is kept: a finite duration above 0. Default: {@link idempotencyMemoryDefaults}. */
  readonly timeToLive?: Duration.Input | undefined
}

/**
 * - `max`: 10 000 keys, with answers of a kilobyte each some ten megabytes.
 * - `timeToLive`: a day, as Stripe does.
 *
 * @since 0.1.0
 * @category constants
 */
export const idempotencyMemoryDefaults = { max: 10_000, timeToLive: "24 hours" } as const

/**
 * The store that {@link idempotency} uses.
 *
 * `layerMemory` keeps everything in this process: a request that is sent again must come to the same one. When it is full, an answer is
 * forgotten, and its request would be carried out again: the one nearest to its end of the caller who has most keys. So who floods it
 * pushes out his own answers first, and a caller who has fewer than its share loses none. What runs is never forgotten: a caller who has
 * more keys than any other, and all of them running, gets no more, and is answered 503.
 *
 * Who can call by any number of names has any number of shares, though. So let it stand inside of what checks who calls, take `caller`
 * from there, and make `max` as large as what comes in a `timeToLive`. `InvalidOption` is what it dies with if an option is wrong.
 *
 * @since 0.1.0
 * @category services
 */
export class IdempotencyStore
  extends /*#__PURE__*/ Context.Service<IdempotencyStore, Store>()("effect-resilience/http/IdempotencyStore")
{
  static readonly layerMemory = (options?: MemoryOptions | undefined): Layer.Layer<IdempotencyStore> =>
    Layer.effect(IdempotencyStore)(Effect.sync(() => memory(options)))
}

const memory = (options: MemoryOptions | undefined): Store => {
  const max = validate.integer("IdempotencyStore: max", options?.max ?? idempotencyMemoryDefaults.max, 1)
  const timeToLive = options?.timeToLive ?? idempotencyMemoryDefaults.timeToLive
  const ledger = new Ledger(max, validate.duration("IdempotencyStore: timeToLive", timeToLive, "positive"))
  const withNow = <A, E>(f: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiber((fiber) => f(monotonicMs(fiber.getRef(Clock.Clock))))
  return {
    begin: (key, fingerprint, caller) =>
      withNow((now) => {
        const begun = ledger.begin(key, fingerprint, caller, now)
        return begun === undefined ? Effect.fail(full(max)) : Effect.succeed(begun)
      }),
    complete: (key, claim, response) => withNow((now) => Effect.sync(() => ledger.complete(key, claim, response, now))),
    release: (key, claim) => Effect.sync(() => ledger.release(key, claim))
  }
}

const full = (max: number) =>
  new IdempotencyStoreError({
    operation: "begin",
    cause: `it holds ${max} keys, and none can be forgotten for this caller`
  })
