// Additive increase, multiplicative decrease: the limit grows by one a step, and falls by a share when there are too many.
import type { Law, Step } from "../limits.ts"
import { queued, queueSizeAt } from "./queue.ts"
import type { QueueSize } from "./queue.ts"

export interface AimdConstants {
  /** What a decrease leaves of the limit. */
  readonly backoffRatio: number
  /** Calls that take longer count as dropped. Undefined: it goes by the queue instead. */
  readonly slowerThanMs: number | undefined
  readonly queueSize: QueueSize
}

/** One step of Netflix's AIMDLimit. */
export const aimdStep = (
  limit: number,
  { dropped, inFlight }: Pick<Step, "dropped" | "inFlight">,
  backoffRatio: number
): number => {
  if (dropped) return Math.trunc(limit * backoffRatio)
  return inFlight * 2 >= limit ? limit + 1 : limit
}

export const aimd = ({ backoffRatio, queueSize, slowerThanMs }: AimdConstants): Law => ({
  next: (limit, step) => {
    const isSlow =
      slowerThanMs === undefined ? queued(limit, step) > queueSizeAt(queueSize, limit) : step.rttMs > slowerThanMs
    return aimdStep(limit, { ...step, dropped: step.dropped || isSlow }, backoffRatio)
  }
})
