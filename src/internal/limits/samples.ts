// What is seen of a dependency between two steps of a limit: the calls that ended within a window of time.

export interface WindowSettings {
  /** The shortest window. */
  readonly minMs: number
  /** The longest window, if it has enough samples. */
  readonly maxMs: number
  /** A window goes on until it has as many. */
  readonly samples: number
}

/** How many times the latency a window lasts: a step shows within one of them, and is judged by what came after it. */
const latencies = 2

/** What a window has shown. */
export interface Seen {
  /** How many calls were answered. */
  readonly calls: number
  /** How long those took on average; 0 if there were none. */
  readonly meanMs: number
  /** The standard error of that average. */
  readonly errorMs: number
  /** The most there were in flight when one of the calls began, that call included. */
  readonly inFlight: number
  /** How many more were dropped. */
  readonly dropped: number
}

export class Samples {
  readonly #settings: WindowSettings
  #calls = 0
  #dropped = 0
  #inFlight = 0
  #sum = 0
  #squares = 0
  #endsAt: number | undefined = undefined
  #latencyMs = 0

  constructor(settings: WindowSettings) {
    this.#settings = settings
  }

  /** Adds a call that has ended. What the window has shown, if it is over now: then the next one begins. */
  add(now: number, elapsedMs: number, inFlight: number, dropped: boolean): Seen | undefined {
    this.#endsAt ??= now + this.#durationMs()
    if (inFlight > this.#inFlight) this.#inFlight = inFlight
    if (dropped) {
      this.#dropped++
    } else {
      this.#calls++
      this.#sum += elapsedMs
      this.#squares += elapsedMs * elapsedMs
    }
    return now >= this.#endsAt && this.#calls + this.#dropped >= this.#settings.samples ? this.#end(now) : undefined
  }

  #end(now: number): Seen {
    const calls = this.#calls
    const meanMs = calls === 0 ? 0 : this.#sum / calls
    // rounding can make a variance of nothing a little less than nothing
    const variance = calls === 0 ? 0 : Math.max(0, this.#squares / calls - meanMs * meanMs)
    const errorMs = calls === 0 ? 0 : Math.sqrt(variance / calls)
    const seen = { calls, meanMs, errorMs, inFlight: this.#inFlight, dropped: this.#dropped }
    if (calls > 0) this.#latencyMs = meanMs
    this.#calls = this.#dropped = this.#inFlight = this.#sum = this.#squares = 0
    this.#endsAt = now + this.#durationMs()
    return seen
  }

  #durationMs(): number {
    return durationMs(this.#latencyMs, this.#settings)
  }
}

/** How long a window lasts at this latency, if it has enough samples by then. */
export const durationMs = (latencyMs: number, { maxMs, minMs }: WindowSettings): number =>
  Math.min(maxMs, Math.max(minMs, latencies * latencyMs))
