// What a nested call must know of the calls around it: one Reference, of which Attempt, Deadline and Idempotency are views.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect"
import type { Budget } from "./budget.ts"
import { orUndefined } from "./context.ts"
import type { AttemptKind } from "./events.ts"
import type { History } from "./history.ts"

/** A deadline in force. `at` is monotonic milliseconds of the Clock; `owner` is whoever set it, and raises it. */
export interface DeadlineInForce {
  readonly at: number
  readonly owner: string | undefined
}

/**
 * One call, or region, of those around. A call of a policy is its own frame, and shows the attempt in progress: its hot path makes
 * no other object for it.
 */
export interface Frame {
  /** Whether it still runs. A fiber forked as a daemon outlives its call, and must not see it any more. */
  readonly live: boolean
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
  /** Whether the call counts towards this budget. */
  readonly uses: ((budget: Budget) => boolean) | undefined
}

export const CurrentCall = Context.Reference<Frame | undefined>("effect-resilience/CurrentCall", {
  defaultValue: () => undefined
})

/** The innermost frame that still runs. */
export const currentFrame = (fiber: Fiber.Fiber<unknown, unknown>): Frame | undefined =>
  innermostLive(orUndefined(fiber.context, CurrentCall))

const innermostLive = (frame: Frame | undefined): Frame | undefined => {
  while (frame !== undefined && !frame.live) frame = frame.parent
  return frame
}

/** Whether a call around counts towards this budget already. */
export const usedAround = (frame: Frame | undefined, budget: Budget): boolean => {
  for (; frame !== undefined; frame = innermostLive(frame.parent)) {
    if (frame.uses?.(budget) === true) return true
  }
  return false
}

export const noTasks: ReadonlyArray<Budget> = []

export interface Change {
  readonly deadline?: DeadlineInForce | undefined
  readonly tasks?: ReadonlyArray<Budget>
}

/** A region within a call, or outside of all: like the frame around it, but for what it changes. */
export class Region implements Frame {
  live = true
  readonly parent: Frame | undefined
  readonly deadline: DeadlineInForce | undefined
  readonly tasks: ReadonlyArray<Budget>
  readonly uses = undefined

  constructor(parent: Frame | undefined, change: Change) {
    this.parent = parent
    this.deadline = "deadline" in change ? change.deadline : parent?.deadline
    this.tasks = change.tasks ?? parent?.tasks ?? noTasks
  }

  // outside every policy: the first attempt of nothing in particular
  get policy() {
    return this.parent?.policy
  }
  get attempt() {
    return this.parent?.attempt ?? 1
  }
  get kind() {
    return this.parent?.kind ?? "first"
  }
  get history() {
    return this.parent?.history
  }
  get idempotencyKey() {
    return this.parent?.idempotencyKey
  }
}

/** Runs `self` in a region of its own, which ends with it. */
export const withinRegion = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  change: (parent: Frame | undefined) => Change
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const parent = currentFrame(fiber)
    const region = new Region(parent, change(parent))
    return Effect.onExitPrimitive(Effect.provideService(self, CurrentCall, region), () => {
      region.live = false
      return undefined
    })
  })
