// What a nested call must know of the calls around it: one Reference, of which Attempt, Deadline and Idempotency are views.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect"
import type { Budget } from "./budget.ts"
import type { AttemptKind } from "./events.ts"
import type { History } from "./history.ts"

/** A deadline in force. `at` is monotonic milliseconds of the Clock; `owner` is whoever set it, and raises it. */
export interface DeadlineInForce {
  readonly at: number
  readonly owner: string | undefined
}

/** Whether the call or region still runs. A fiber forked as a daemon outlives its call, and must not see it any more. */
export interface Life {
  live: boolean
  /** Whether the call counts towards this budget. */
  readonly uses?: (budget: Budget) => boolean
}

export interface Frame {
  readonly life: Life
  readonly parent: Frame | undefined
  readonly policy: string | undefined
  readonly attempt: number
  readonly kind: AttemptKind
  /** The attempts that failed before, if any did. */
  readonly history: History | undefined
  readonly deadline: DeadlineInForce | undefined
  readonly idempotencyKey: string | undefined
  /** The budgets of the tasks around: every retry below draws from each of them. */
  readonly tasks: ReadonlyArray<Budget>
}

export const CurrentCall = Context.Reference<Frame | undefined>("effect-resilience/CurrentCall", {
  defaultValue: () => undefined
})

/** The innermost frame that still runs. */
export const currentFrame = (fiber: Fiber.Fiber<unknown, unknown>): Frame | undefined =>
  innermostLive(fiber.getRef(CurrentCall))

const innermostLive = (frame: Frame | undefined): Frame | undefined => {
  while (frame !== undefined && !frame.life.live) frame = frame.parent
  return frame
}

/** Whether a call around counts towards this budget already. */
export const usedAround = (frame: Frame | undefined, budget: Budget): boolean => {
  for (; frame !== undefined; frame = innermostLive(frame.parent)) {
    if (frame.life.uses?.(budget) === true) return true
  }
  return false
}

export const noTasks: ReadonlyArray<Budget> = []

/** Outside every policy: the first attempt of nothing in particular. */
const outside: Omit<Frame, "life" | "parent"> = {
  policy: undefined,
  attempt: 1,
  kind: "first",
  history: undefined,
  deadline: undefined,
  idempotencyKey: undefined,
  tasks: noTasks
}

/** A frame like the one around it, but for `change`. */
export const derive = (
  parent: Frame | undefined,
  life: Life,
  change: Partial<Omit<Frame, "life" | "parent">>
): Frame => ({ ...(parent ?? outside), ...change, life, parent })

/** Runs `self` in a frame like the one around it, but for `change`; the frame dies with it. */
export const withinFrame = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  change: (parent: Frame | undefined) => Partial<Omit<Frame, "life" | "parent">>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const life: Life = { live: true }
    const parent = currentFrame(fiber)
    return Effect.onExitPrimitive(
      Effect.provideService(self, CurrentCall, derive(parent, life, change(parent))),
      () => {
        life.live = false
        return undefined
      }
    )
  })
