// TCP Vegas for concurrency: the limit is held where so many calls wait inside the dependency, and no more.
import type { Law, Step } from "../limits.ts"
import { queued } from "./queue.ts"

/** The first three are multiplied by log10 of the limit, in whole numbers of at least 1. */
export interface VegasConstants {
  /** With fewer calls waiting the limit grows. */
  readonly alpha: number
  /** With more calls waiting it falls; and by so much it grows while hardly any wait. */
  readonly beta: number
  /** Up to as many are hardly any. */
  readonly threshold: number
  /** How much of the step is made: 1 is all of it. */
  readonly smoothing: number
}

/** One step of Netflix's VegasLimit. */
export const vegasStep = (limit: number, step: Step, { alpha, beta, smoothing, threshold }: VegasConstants): number => {
  const log = Math.max(1, Math.trunc(Math.log10(Math.trunc(limit))))
  const change = (by: number) => limit + smoothing * by
  if (step.dropped) return change(-log)
  if (step.inFlight * 2 < limit) return limit
  const queue = Math.ceil(queued(limit, step))
  if (queue <= threshold * log) return change(beta * log)
  if (queue < alpha * log) return change(log)
  return queue > beta * log ? change(-log) : limit
}

export const vegas = (constants: VegasConstants): Law => ({ next: (limit, step) => vegasStep(limit, step, constants) })
