// What is behind a bulkhead's service: its options checked, and its effects.
import * as Effect from "effect/Effect"
import type { Duration } from "effect"
import type { Bulkhead } from "../Bulkhead.ts"
import { bulkheadFull } from "./bulkheadFull.ts"
import type { BulkheadFull } from "./bulkheadFull.ts"
import { Compartments } from "./compartments.ts"
import type { Keys } from "./perKey.ts"
import type { Order } from "./slots.ts"
import { nowMs } from "./time.ts"
import * as validate from "./validate.ts"

/** The options with their defaults, not yet checked. */
export interface Resolved {
  readonly maxConcurrent: number
  readonly maxQueue: number
  readonly maxWait: Duration.Input
  readonly order: Order
  readonly standing: Duration.Input
  /** Undefined: the bulkhead is not keyed. */
  readonly keys: Keys | undefined
}

/** The value of a bulkhead service. Dies with InvalidOption. */
export const make = (name: string, options: Resolved): Effect.Effect<Bulkhead> =>
  Effect.withFiber((fiber) => {
    const compartments = new Compartments<BulkheadFull>(
      {
        name,
        maxQueue: validate.integer("maxQueue", options.maxQueue, 0),
        maxWaitMs: validate.duration("maxWait", options.maxWait, "positive"),
        order: orderOf(options.order),
        standingMs: validate.duration("standing", options.standing),
        reject: (key, reason, waitMs) => bulkheadFull(name, key, reason, waitMs)
      },
      validate.integer("maxConcurrent", options.maxConcurrent, 1),
      options.keys,
      nowMs(fiber)
    )
    const at = <A>(f: (now: number) => A): Effect.Effect<A> =>
      Effect.withFiber((fiber) => Effect.succeed(f(nowMs(fiber))))
    return Effect.succeed({
      name,
      phase: "concurrency",
      keyed: options.keys !== undefined,
      look: (call) => compartments.look(call),
      admit: (call) => compartments.admit(call),
      snapshot: (key) => at((now) => compartments.snapshot(key, now)),
      snapshots: at((now) => compartments.snapshots(now)),
      resize: (maxConcurrent, key) =>
        at((now) => compartments.resize(validate.integer(`${name}.resize: maxConcurrent`, maxConcurrent, 1), key, now))
    } satisfies Bulkhead)
  })

const orderOf = (order: Order): Order =>
  order === "fifo" || order === "lifo" || order === "adaptive"
    ? order
    : validate.invalid("order", order, '"fifo", "lifo" or "adaptive"')
