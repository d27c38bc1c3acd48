// How many calls wait inside the dependency, as far as its clients can tell.
import type { Step } from "../limits.ts"

/** How many may wait: a number, or a function of the limit. */
export type QueueSize = number | ((limit: number) => number)

export const queueSizeAt = (queueSize: QueueSize, limit: number): number =>
  typeof queueSize === "number" ? queueSize : queueSize(limit)

/** By Little's law: of so many in flight, those that the longer latency is made of (TCP Vegas: Brakmo and Peterson, 1994). */
export const queued = (limit: number, { noLoadMs, rttMs }: Pick<Step, "noLoadMs" | "rttMs">): number =>
  limit * (1 - noLoadMs / rttMs)
