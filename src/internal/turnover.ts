// How soon a slot comes free: an estimate, for whoever is refused.
import * as Duration from "effect/Duration"

/** When to come back, in words. */
export const again = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined
    ? "Try again when a call has ended"
    : Duration.isZero(retryAfter)
      ? "Try again now: a slot is free"
      : `Try again in about ${Duration.format(retryAfter)}`

/** What a new one counts in the average, as RFC 6298 smooths round-trip times (section 2.3, alpha). */
const weight = 1 / 8

export class Turnover {
  #meanMs: number | undefined = undefined

  /** A slot was held for `heldMs` milliseconds. */
  observe(heldMs: number): void {
    this.#meanMs = this.#meanMs === undefined ? heldMs : this.#meanMs + weight * (heldMs - this.#meanMs)
  }

  /**
   * In how many milliseconds one that asks now, behind all that wait, may expect a slot; undefined until one has been given back.
   *
   * Those that run give back one every mean / their number (Little's law), and as many have to as there are too many with the
   * newcomer.
   */
  waitMs(limit: number, inFlight: number, waiting: number): number | undefined {
    const before = inFlight + waiting + 1 - limit
    if (before <= 0) return 0
    return this.#meanMs === undefined ? undefined : (before * this.#meanMs) / Math.max(1, inFlight)
  }
}
