// A concurrency limit that finds itself: from what calls take, and how many of them are dropped, how many a dependency can serve at
// once. Synchronous, without Effect; time comes in with the samples.
import { aimd } from "./limits/aimd.ts"
import type { AimdConstants } from "./limits/aimd.ts"
import { gradient2 } from "./limits/gradient2.ts"
import type { Gradient2Constants } from "./limits/gradient2.ts"
import { NoLoad } from "./limits/noLoad.ts"
import { Samples } from "./limits/samples.ts"
import type { Seen, WindowSettings } from "./limits/samples.ts"
import { vegas } from "./limits/vegas.ts"
import type { VegasConstants } from "./limits/vegas.ts"

/** What a law goes by: what one window of calls has shown. If it is `dropped`, the latencies mean nothing. */
export interface Step {
  /** What calls took in the window. */
  readonly rttMs: number
  /** What they take when none has to wait. */
  readonly noLoadMs: number
  /** The most there were in flight when one of the calls began, that call included. */
  readonly inFlight: number
  /** Too many of them were dropped. */
  readonly dropped: boolean
}

/** How one limit follows from another. A limit has a fraction, which is cut off when it is used. */
export interface Law {
  readonly next: (limit: number, step: Step) => number
}

export interface Bounds {
  readonly initial: number
  readonly min: number
  readonly max: number
  /** The share of a window's calls that may be dropped without it being a sign of overload. */
  readonly dropTolerance: number
  readonly window: WindowSettings
}

/** Which law, with what constants, within what bounds. It has no state. */
export type Settings = Bounds &
  (
    | ({ readonly _tag: "Aimd" } & AimdConstants)
    | ({ readonly _tag: "Vegas" } & VegasConstants)
    | ({ readonly _tag: "Gradient2" } & Gradient2Constants)
  )

const lawOf = (settings: Settings): Law => {
  switch (settings._tag) {
    case "Aimd":
      return aimd(settings)
    case "Vegas":
      return vegas(settings)
    case "Gradient2":
      return gradient2(settings)
  }
}

/** More drops than the tolerated share makes by chance once in forty windows: two standard deviations. */
const isOverload = ({ calls, dropped }: Seen, tolerance: number): boolean => {
  const tolerated = tolerance * (calls + dropped)
  return dropped > tolerated + 2 * Math.sqrt(tolerated)
}

/** An average of calls that differ is taken to be lower by so many standard errors, so that chance does not look like a queue. */
const doubt = 1

export class LimitEstimator {
  readonly #bounds: Bounds
  readonly #law: Law
  readonly #samples: Samples
  /** Undefined for a law that does without. */
  readonly #noLoad: NoLoad | undefined
  #estimate: number
  #limit: number
  #pressed = false

  constructor(settings: Settings) {
    const { initial, window } = settings
    this.#bounds = settings
    this.#law = lawOf(settings)
    this.#samples = new Samples(window)
    const isAbsolute = settings._tag === "Aimd" && settings.slowerThanMs !== undefined
    this.#noLoad = isAbsolute ? undefined : new NoLoad(window)
    this.#estimate = this.#limit = initial
  }

  /** A whole number. */
  get limit(): number {
    return this.#limit
  }

  /** Whether the limit is lowered for the moment, to see how long calls take when none has to wait. */
  get isProbing(): boolean {
    return this.#noLoad !== undefined && this.#noLoad.share < 1
  }

  /** What calls take when none has to wait, in milliseconds; undefined if nobody has measured it (yet). */
  get noLoadMs(): number | undefined {
    return this.#noLoad?.ms
  }

  /** A call has found no slot: it is the limit that is in the way, and not that there is nothing to do. */
  press(): void {
    this.#pressed = true
  }

  /**
   * A call that has loaded the dependency has ended. `inFlight` is how many there were when it began, it included; `dropped`: it
   * failed for want of capacity, as far as anybody knows. `now` should be the same for all clients of a dependency.
   */
  sample(now: number, elapsedMs: number, inFlight: number, dropped: boolean): void {
    const seen = this.#samples.add(now, elapsedMs, inFlight, dropped)
    if (seen === undefined) return
    const noLoad = this.#noLoad
    if (isOverload(seen, this.#bounds.dropTolerance)) {
      noLoad?.abort(this.#estimate)
      this.#step({ rttMs: 0, noLoadMs: 0, inFlight: seen.inFlight, dropped: true })
    } else if (noLoad?.isProbing === true) {
      this.#estimate *= noLoad.measure(seen, this.#estimate) ?? 1
    } else {
      noLoad?.observe(seen, now, this.#estimate, this.#pressed)
      const rttMs = seen.meanMs - doubt * seen.errorMs
      this.#step({ rttMs, noLoadMs: noLoad?.ms ?? 0, inFlight: seen.inFlight, dropped: false })
    }
    this.#pressed = false
    this.#limit = Math.max(this.#bounds.min, Math.trunc(this.#estimate * (noLoad?.share ?? 1)))
  }

  #step(step: Step): void {
    const { max, min } = this.#bounds
    this.#estimate = Math.min(max, Math.max(min, this.#law.next(this.#estimate, step)))
  }
}
