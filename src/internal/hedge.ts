// When to hedge: what the engine asks for, and the answer that is learnt from how long attempts take.
import { Quantile } from "./quantile.ts"

/** What the engine needs to hedge. It asks at the start of the first attempt of a round, and tells how long that one took. */
export interface Hedging {
  readonly name: string
  /** How many more attempts may run beside the first. */
  readonly max: number
  /** How long to wait for an attempt before the next is started beside it. Undefined: not known yet, so there is no hedge. */
  readonly delayMs: (now: number) => number | undefined
  /**
   * How long the first attempt of a round took until its acceptable outcome; or, with `cut`, until it was interrupted, timed out
   * or failed before it had one. Never for a hedge: a call counts once.
   */
  readonly record: (now: number, elapsedMs: number, cut?: boolean) => void
}

/** As many as Polly allows. More is a flood, not a hedge. */
export const mostHedges = 10

export interface Settings {
  readonly quantile: number
  readonly max: number
  readonly minimumSamples: number
  readonly windowMs: number
  readonly minMs: number
  readonly capMs: number | undefined
  readonly initialMs: number | undefined
}

/**
 * What an attempt that was cut is taken to have needed, in relation to what it had. Not 1: the estimate would rise by no more than
 * a hedge takes at a time, and fall faster than it rises. Much more than 1, and it would leap where one call in twenty is slow.
 * 1.25 is from the simulation in the tests.
 */
const stretch = 1.25

/**
 * Waits as long as most attempts take.
 *
 * An attempt that lost against its hedge would have taken longer than it was given. To leave such attempts out would be to
 * forget the slow ones: the quantile would fall, more would be hedged, and more forgotten. So they count, as a little longer than
 * what they were given. How much longer is of no account as long as the estimate is right, for it is above the quantile in any
 * case; while the estimate is too low, because the dependency has become slower, it is what makes it rise.
 *
 * (A Kaplan-Meier estimate would rise at once. But of a service that is slow once in twenty calls the 95th percentile lies anywhere
 * between its fast and its slow answers: such an estimate jumps between the two, and half of the time nothing is hedged.)
 */
export class Learner implements Hedging {
  readonly name: string
  readonly max: number
  readonly #settings: Settings
  readonly #took: Quantile

  constructor(name: string, settings: Settings) {
    this.name = name
    this.max = settings.max
    this.#settings = settings
    this.#took = new Quantile(settings.windowMs)
  }

  samples(now: number): number {
    return this.#took.samples(now)
  }

  /** The quantile, unless there are too few samples to know it. */
  estimateMs(now: number): number | undefined {
    const { minimumSamples, quantile } = this.#settings
    return this.#took.samples(now) < minimumSamples ? undefined : this.#took.quantile(now, quantile)
  }

  delayMs(now: number): number | undefined {
    const { capMs, initialMs, minMs } = this.#settings
    const delay = this.estimateMs(now)
    if (delay === undefined) return initialMs
    if (delay < minMs) return minMs
    return capMs !== undefined && delay > capMs ? capMs : delay
  }

  record(now: number, elapsedMs: number, cut = false): void {
    if (cut) {
      // cut before a hedge was due, it might have ended on either side of the quantile
      const delay = this.delayMs(now)
      if (delay === undefined || elapsedMs < delay) return
    }
    this.#took.record(now, cut ? elapsedMs * stretch : elapsedMs)
  }
}
