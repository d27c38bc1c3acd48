// A quantile of recent durations, estimated online: a fixed number of counters, whatever the traffic.
//
// Values are counted in buckets whose bounds grow by a constant factor, so that the relative error is the same everywhere (as in
// DDSketch, Masson, Rim and Lee, VLDB 2019).

/** Neighbouring bounds are 1.94 % apart. */
const bucketsPerOctave = 36

/** Everything below counts as this: less than what a timer resolves. */
const shortestMs = 0.1

/** Everything above counts as this: ten minutes. */
const longestMs = 600_000

const bucketOf = (ms: number): number =>
  // the comparison is false for NaN too
  ms > shortestMs ? Math.ceil(Math.log2(Math.min(ms, longestMs) / shortestMs) * bucketsPerOctave) : 0

/** Its upper bound. */
const valueOf = (bucket: number): number => shortestMs * 2 ** (bucket / bucketsPerOctave)

const lastBucket = /*#__PURE__*/ bucketOf(longestMs)

/**
 * The window is forgotten half by half: at any time it covers at least half of `windowMs`, and never more than all of it. A clock
 * that steps back stands still here.
 */
export class Quantile {
  readonly #windowMs: number
  /** Of the window: the half in progress, and the one before. */
  readonly #all = new Uint32Array(lastBucket + 1)
  #total = 0
  /** Of the half in progress. */
  readonly #young = new Uint32Array(lastBucket + 1)
  #youngTotal = 0
  /** Its number, counted from time 0. */
  #half = Number.NEGATIVE_INFINITY
  /** Where the quantile was when last asked for, and how many are in the buckets before: it has seldom moved far since. */
  #bucket = 0
  #before = 0

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  record(now: number, ms: number): void {
    this.#expire(now)
    const bucket = bucketOf(ms)
    this.#all[bucket]!++
    this.#total++
    this.#young[bucket]!++
    this.#youngTotal++
    if (bucket < this.#bucket) this.#before++
  }

  /** How many are in the window. */
  samples(now: number): number {
    this.#expire(now)
    return this.#total
  }

  /**
   * The duration, in milliseconds, that the share `q` of the samples did not exceed: never less than it is, and at most 2 % more.
   * Undefined without samples.
   */
  quantile(now: number, q: number): number | undefined {
    this.#expire(now)
    if (this.#total === 0) return undefined
    const all = this.#all
    // a product such as 0.07 * 100 comes out a little above the 7 that is meant
    const rank = Math.max(1, Math.ceil(q * this.#total - 1e-9))
    while (this.#before >= rank) this.#before -= all[--this.#bucket]!
    while (this.#before + all[this.#bucket]! < rank) this.#before += all[this.#bucket++]!
    return valueOf(this.#bucket)
  }

  #expire(now: number): void {
    // one division: with two, a time on the border of two halves falls on the wrong side
    const half = Math.floor((now * 2) / this.#windowMs)
    if (half <= this.#half) return
    if (half > this.#half + 1) {
      this.#young.fill(0)
      this.#youngTotal = 0
    }
    this.#all.set(this.#young)
    this.#total = this.#youngTotal
    this.#young.fill(0)
    this.#youngTotal = 0
    this.#half = half
    this.#bucket = 0
    this.#before = 0
  }
}
