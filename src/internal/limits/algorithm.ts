// What users hold of a law: its settings, checked, behind a mark.
import type { Duration } from "effect"
import type { Bounds, Settings } from "../limits.ts"
import * as validate from "../validate.ts"
import type { QueueSize } from "./queue.ts"

export const AlgorithmTypeId = "~effect-resilience/AdaptiveLimit/Algorithm"

export interface Algorithm {
  readonly [AlgorithmTypeId]: Settings
}

export const algorithm = (settings: Settings): Algorithm => ({ [AlgorithmTypeId]: settings })

export const isAlgorithm = (value: unknown): value is Algorithm =>
  typeof value === "object" && value !== null && AlgorithmTypeId in value

export interface BoundsOptions {
  readonly initial?: number | undefined
  readonly min: number
  readonly max: number
  readonly dropTolerance: number
  readonly window: {
    readonly min: Duration.Input
    readonly max: Duration.Input
    readonly samples: number
  }
}

/** Throws InvalidOption, naming `of`. An initial limit that is not said is the one nearest to `usual` within the bounds. */
export const boundsOf = (
  of: string,
  { dropTolerance, initial, window, ...options }: BoundsOptions,
  usual: number
): Bounds => {
  const min = validate.integer(`${of}: min`, options.min, 1)
  const max = validate.integer(`${of}: max`, options.max, min)
  const minMs = validate.duration(`${of}: window.min`, window.min, "positive")
  const maxMs = validate.duration(`${of}: window.max`, window.max, "positive")
  if (maxMs < minMs) validate.invalid(`${of}: window.max`, window.max, "a duration of at least window.min")
  return {
    min,
    max,
    initial:
      initial === undefined
        ? Math.min(max, Math.max(min, usual))
        : validate.integer(`${of}: initial`, initial, min, max),
    dropTolerance: validate.ratio(`${of}: dropTolerance`, dropTolerance),
    window: { minMs, maxMs, samples: validate.integer(`${of}: window.samples`, window.samples, 1) }
  }
}

/** Throws InvalidOption. A function is tried where the limit begins, and at its bounds. */
export const checkQueueSize = (of: string, queueSize: QueueSize, { initial, max, min }: Bounds): QueueSize => {
  const option = `${of}: queueSize`
  const allowed = "a number above 0, or a function of the limit that gives one"
  if (typeof queueSize === "number") return validate.above(option, queueSize, 0)
  if (typeof queueSize !== "function") return validate.invalid(option, queueSize, allowed)
  for (const limit of [min, initial, max]) {
    const size: unknown = queueSize(limit)
    if (!(typeof size === "number" && Number.isFinite(size) && size > 0)) validate.invalid(option, size, allowed)
  }
  return queueSize
}
