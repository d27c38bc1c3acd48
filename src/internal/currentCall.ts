// What a nested call must know of the calls around it: one Reference, of which Attempt, Deadline and Idempotency are views.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect"
import type { Budget } from "./budget.ts"
import type { Task } from "./budgets/task.ts"
import { orUndefined } from "./context.ts"
import type { AttemptKind } from "./events.ts"
import type { History } from "./history.ts"
import type { Interposer } from "./interposer.ts"
import type { Level } from "./priorities.ts"
import { nowMs } from "./time.ts"

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
  /** When the attempt in progress, if one is, should be cut by a timeout of its own or of an attempt around: monotonic milliseconds. */
  readonly attemptEnds: number | undefined
  /** The key that an effect which runs here finds, unless its user has provided another. */
  readonly idempotencyKey: string | undefined
  /** How much the call matters; undefined outside of all calls. */
  readonly priority: Level | undefined
  /** What comes between in the attempts of the calls within. Here, because a call looks for the frame around it anyway. */
  readonly interposer: Interposer | undefined
  /** The budget of a task that begins here: every retry below draws from it. */
  readonly task: Task | undefined
  /** Whether the call counts towards this budget, at this key. */
  readonly uses: ((budget: Budget, key: string | undefined) => boolean) | undefined
}

export const CurrentCall = /*#__PURE__*/ Context.Reference<Frame | undefined>("effect-resilience/CurrentCall", {
  defaultValue: () => undefined
})

/** The innermost frame, which may have ended. */
export const frameIn = (context: Context.Context<never>): Frame | undefined => orUndefined(context, CurrentCall)

/** The innermost frame that still runs. */
export const currentFrame = (fiber: Fiber.Fiber<unknown, unknown>): Frame | undefined =>
  innermostLive(frameIn(fiber.context))

/** The frame itself if it still runs, else the innermost around it that does. */
export const innermostLive = (frame: Frame | undefined): Frame | undefined => {
  while (frame !== undefined && !frame.live) frame = frame.parent
  return frame
}

/** Whether a call around counts towards this budget already: each key is a budget of its own. */
export const usedAround = (frame: Frame | undefined, budget: Budget, key: string | undefined): boolean => {
  for (; frame !== undefined; frame = innermostLive(frame.parent)) {
    if (frame.uses?.(budget, key) === true) return true
  }
  return false
}

/** The budgets of the tasks around that still run, the outermost first. */
export const tasksAround = (frame: Frame | undefined): ReadonlyArray<Task> => {
  const tasks: Array<Task> = []
  for (frame = innermostLive(frame); frame !== undefined; frame = innermostLive(frame.parent)) {
    if (frame.task !== undefined) tasks.unshift(frame.task)
  }
  return tasks
}

export interface Change {
  readonly deadline?: DeadlineInForce | undefined
  /** No deadline around counts here; with "uncut" nor does the end of an attempt around, because nothing interrupts what runs here. */
  readonly unbounded?: boolean | "uncut"
  readonly task?: Task
  readonly interposer?: Interposer
}

/**
 * The nearer of a deadline of one's own and the one around, as it is now: an owner that has ended meanwhile sets none any more, and
 * one whose deadline had passed when this began never interrupts it, because it runs in a finalizer, or on its own.
 */
export const nearest = (
  own: DeadlineInForce | undefined,
  parent: Frame | undefined,
  since: number
): DeadlineInForce | undefined => {
  const around = innermostLive(parent)?.deadline
  if (around === undefined || around.at <= since) return own
  return own !== undefined && own.at < around.at ? own : around
}

/** The nearer of the end of an attempt and that of the attempt around. */
export const attemptEnds = (
  startedMs: number,
  timeoutMs: number | undefined,
  parent: Frame | undefined,
  since: number
): number | undefined => {
  const around = innermostLive(parent)?.attemptEnds
  const own = timeoutMs === undefined ? undefined : startedMs + timeoutMs
  if (around === undefined || around <= since) return own
  return own !== undefined && own < around ? own : around
}

/**
 * How much later than its own time a deadline is armed under a nearer one, in milliseconds: so that of two that pass at one moment the
 * owner further out goes first, whatever the order of their timers.
 */
export const graceMs = 2

/** How long to arm a deadline for that ends in `ms` milliseconds. */
export const armedFor = (ms: number, parent: Frame | undefined, now: number): number => {
  const around = nearest(undefined, parent, now)
  return around !== undefined && around.at <= now + ms ? ms + graceMs : ms
}

/** A region within a call, or outside of all: like the frame around it, but for what it changes. */
export class Region implements Frame {
  live = true
  readonly parent: Frame | undefined
  readonly idempotencyKey: string | undefined
  readonly uses = undefined
  private readonly change: Change
  private readonly since: number

  constructor(around: Frame | undefined, change: Change, now: number) {
    this.parent = innermostLive(around)
    // a call that has ended leaves its key in the context of whoever outlives it
    this.idempotencyKey = around?.idempotencyKey
    this.change = change
    this.since = now
  }

  get task() {
    return this.change.task
  }

  get deadline() {
    return this.change.unbounded ? undefined : nearest(this.change.deadline, this.parent, this.since)
  }

  get attemptEnds() {
    return this.change.unbounded === "uncut" ? undefined : attemptEnds(0, undefined, this.parent, this.since)
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
  get priority() {
    return this.parent?.priority
  }
  get interposer() {
    return this.change.interposer ?? this.parent?.interposer
  }
}

/** Runs `self` in a region of its own, which ends with it. */
export const withinRegion = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  change: (around: Frame | undefined) => Change
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const around = frameIn(fiber.context)
    const region = new Region(around, change(innermostLive(around)), nowMs(fiber))
    return Effect.onExitPrimitive(Effect.provideService(self, CurrentCall, region), () => {
      region.live = false
      return undefined
    })
  })
