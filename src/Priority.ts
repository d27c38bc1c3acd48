/**
 * How much a call matters. When a guard must refuse some calls, it refuses the lowest priority first: a bulkhead in its queue,
 * an adaptive limit, a throttle.
 *
 * A priority is inherited by everything below, forked fibers and nested calls included, and is never raised by it: a background
 * job that says `critical` deep inside stays a background job. Without one, everything is `normal`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Priority } from "effect-resilience"
 *
 * const refreshCache = Effect.succeed("fresh").pipe(Priority.at("background"))
 * ```
 *
 * The levels are those of Google's SRE book (CRITICAL_PLUS, CRITICAL, SHEDDABLE_PLUS, SHEDDABLE; chapter 21) with one below
 * for what nobody waits for.
 *
 * @since 0.1.0
 */
import type { Context } from "effect"
import * as Effect from "effect/Effect"
import { currentFrame } from "./internal/currentCall.ts"
import { dataFirstOrLast } from "./internal/dataFirstOrLast.ts"
import * as priorities from "./internal/priorities.ts"
import { invalid } from "./internal/validate.ts"

/**
 * From the first that is served to the first that is refused:
 *
 * - `critical`: a person would notice at once, and it cannot be done later (a payment, a login).
 * - `high`: a person waits for it.
 * - `normal`: everything that says nothing.
 * - `low`: can wait for a better time (a batch, a report).
 * - `background`: nobody waits for it (a refresh ahead, a clean-up).
 *
 * @since 0.1.0
 * @category models
 */
export type Priority = priorities.Level

/**
 * The five levels, the most important first.
 *
 * @since 0.1.0
 * @category constants
 */
export const levels: readonly [Priority, ...ReadonlyArray<Priority>] = priorities.levels

/**
 * What was said for this fiber and those it forks; `undefined`, as by default, means that nothing was. {@link at} sets it.
 * Provided directly it may be anything, but within a call of a policy no call gets a higher priority than the one around it.
 *
 * @since 0.1.0
 * @category references
 */
export const CurrentPriority: Context.Reference<Priority | undefined> = priorities.CurrentPriority

/**
 * The priority in force.
 *
 * @since 0.1.0
 * @category accessors
 */
export const current: Effect.Effect<Priority> = /*#__PURE__*/ Effect.withFiber((fiber) =>
  Effect.succeed(priorities.priorityIn(fiber.context, currentFrame(fiber)))
)

/**
 * Runs an effect at a priority, or at the one in force if that is lower.
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const at: {
  (priority: Priority): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, priority: Priority): Effect.Effect<A, E, R>
} = /*#__PURE__*/ dataFirstOrLast((priority: Priority) => {
  if (!levels.includes(priority)) invalid("Priority.at: priority", priority, `one of ${levels.join(", ")}`)
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const frame = currentFrame(fiber)
      const isSaid = (fiber.getRef(priorities.CurrentPriority) ?? frame?.priority) !== undefined
      const level = isSaid ? priorities.lower(priorities.priorityIn(fiber.context, frame), priority) : priority
      return Effect.provideService(self, priorities.CurrentPriority, level)
    })
})
