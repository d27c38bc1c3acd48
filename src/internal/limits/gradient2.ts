// Gradient2: the limit follows the ratio of the latency that is usual in the long run to the one of now.
import type { Law } from "../limits.ts"
import { queueSizeAt } from "./queue.ts"
import type { QueueSize } from "./queue.ts"

export interface Gradient2Constants {
  /** By how much the limit would grow, were there no queue: as many calls may wait inside the dependency. */
  readonly queueSize: QueueSize
  /** How much of each step is made. */
  readonly smoothing: number
  /** How many times the usual latency is not slow yet. */
  readonly tolerance: number
  /** Over how many windows the usual latency is averaged. */
  readonly longWindow: number
}

/** It does not fall by more at once, so that an outlier cannot do much. */
const lowestGradient = 0.5

/** A usual latency of more than so many times the one of now is of the past, and is forgotten faster. */
const drift = 2
const decay = 0.95

/** One step of Netflix's Gradient2Limit, given both latencies. */
export const gradient2Step = (
  limit: number,
  { inFlight, longMs, shortMs }: { readonly inFlight: number; readonly longMs: number; readonly shortMs: number },
  { queueSize, smoothing, tolerance }: Omit<Gradient2Constants, "longWindow">
): number => {
  if (inFlight < limit / 2) return limit
  const gradient = Math.max(lowestGradient, Math.min(1, (tolerance * longMs) / shortMs))
  return limit * (1 - smoothing) + smoothing * (limit * gradient + queueSizeAt(queueSize, Math.trunc(limit)))
}

/** The usual latency after one more window: the exponential average of Netflix's Gradient2Limit. */
export const longRttMs = (longMs: number, shortMs: number, longWindow: number): number => {
  const average = longMs + (2 / (longWindow + 1)) * (shortMs - longMs)
  return average / shortMs > drift ? average * decay : average
}

/**
 * The average begins anew with what a probe has measured. Alone it would follow any overload that lasts, and the limit after it.
 *
 * Published, it does not see drops. Here one is the lowest gradient, without a queue: what Netflix's first Gradient does.
 */
export const gradient2 = (constants: Gradient2Constants): Law => {
  let longMs = 0
  let measuredMs: number | undefined = undefined
  return {
    next: (limit, { dropped, inFlight, noLoadMs, rttMs }) => {
      const { longWindow, smoothing } = constants
      if (dropped) return limit * (1 - smoothing) + smoothing * limit * lowestGradient
      if (noLoadMs !== measuredMs) longMs = measuredMs = noLoadMs
      longMs = longRttMs(longMs, rttMs, longWindow)
      return gradient2Step(limit, { inFlight, longMs, shortMs: rttMs }, constants)
    }
  }
}
