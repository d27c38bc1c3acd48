// What is behind an adaptive limit's service: its options checked, its clock and its effects.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Duration } from "effect"
import type { AdaptiveLimit } from "../AdaptiveLimit.ts"
import { AdaptiveLimits } from "./adaptiveLimits.ts"
import type { Count } from "./adaptiveLimits.ts"
import { concurrencyLimited } from "./concurrencyLimited.ts"
import type { ConcurrencyLimited } from "./concurrencyLimited.ts"
import { AlgorithmTypeId, isAlgorithm } from "./limits/algorithm.ts"
import type { Algorithm } from "./limits/algorithm.ts"
import type { Keys } from "./perKey.ts"
import type { Order } from "./slots.ts"
import { monotonicMs, nowMs } from "./time.ts"
import * as validate from "./validate.ts"

/** The options with their defaults, not yet checked. */
export interface Resolved {
  readonly algorithm: Algorithm
  readonly queue: {
    readonly maxQueue: number
    readonly maxWait: Duration.Input
    readonly order: Order
    readonly standing: Duration.Input
  }
  readonly count: Count
  /** Undefined: the limit is not keyed. */
  readonly keys: Keys | undefined
}

/** The value of an adaptive limit's service. Dies with InvalidOption. */
export const make = (name: string, options: Resolved): Effect.Effect<AdaptiveLimit> =>
  Effect.withFiber((fiber) => {
    const { algorithm, count, queue } = options
    if (!isAlgorithm(algorithm)) validate.invalid("algorithm", algorithm, "an algorithm, such as gradient2()")
    const built = fiber.getRef(Clock.Clock)
    const limits = new AdaptiveLimits<ConcurrencyLimited>(
      {
        name,
        settings: algorithm[AlgorithmTypeId],
        maxQueue: validate.integer("queue.maxQueue", queue.maxQueue, 0),
        maxWaitMs: validate.duration("queue.maxWait", queue.maxWait, "positive"),
        order: orderOf(queue.order),
        standingMs: validate.duration("queue.standing", queue.standing),
        count: {
          failed: countOf("count.failed", count.failed),
          throttled: countOf("count.throttled", count.throttled),
          defect: countOf("count.defect", count.defect)
        },
        // whoever asks may have another Clock in force than whoever built the layer
        now: () => monotonicMs(Fiber.getCurrent()?.getRef(Clock.Clock) ?? built),
        epochMs: built.currentTimeMillisUnsafe() - monotonicMs(built),
        reject: (key, reason, waitMs) => concurrencyLimited(name, key, reason, waitMs)
      },
      options.keys,
      nowMs(fiber)
    )
    const reading = <A>(f: (now: number) => A): Effect.Effect<A> =>
      Effect.withFiber((fiber) => Effect.succeed(f(nowMs(fiber))))
    return Effect.succeed({
      name,
      phase: "concurrency",
      keyed: options.keys !== undefined,
      look: (call) => limits.look(call),
      admit: (call) => limits.admit(call),
      snapshot: (key) => reading((now) => limits.snapshot(key, now)),
      snapshots: reading((now) => limits.snapshots(now))
    } satisfies AdaptiveLimit)
  })

const orderOf = (order: Order): Order =>
  order === "fifo" || order === "lifo" || order === "adaptive"
    ? order
    : validate.invalid("queue.order", order, '"fifo", "lifo" or "adaptive"')

const countOf = (option: string, count: "dropped" | "ignored") =>
  count === "dropped" || count === "ignored" ? count : validate.invalid(option, count, '"dropped" or "ignored"')
