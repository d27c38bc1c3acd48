// Client-side adaptive throttling: how large a part of the calls to refuse, and of which priority. Synchronous, without Effect:
// time and chance come from outside.
import type { Call } from "../Guard.ts"
import { levels } from "./priorities.ts"
import { TimeWindow } from "./window.ts"
import type { Cells } from "./window.ts"

export interface Formula {
  readonly k: number
  readonly padding: number
  readonly maxRejectionRate: number
  /** With fewer requests in the window nothing is refused. */
  readonly minimumRequests: number
}

/** What all the throttles of a keyed one share. */
export interface Settings extends Formula {
  readonly windows: Windows
}

/** All in one array of cells. */
export interface Windows {
  /** Every call; a bad one was not accepted. */
  readonly all: TimeWindow
  /** How many there were of each priority: only looked at when some are to be refused. */
  readonly byRank: ReadonlyArray<TimeWindow>
}

/** Why a call was refused. `overload`: it would have been without priorities, too. `priority`: in place of a more important one. */
export type Reason = "overload" | "priority"

export const windowsOf = (durationMs: number): Windows => {
  const all = new TimeWindow(durationMs, 0)
  const byRank = levels.map((_, rank) => new TimeWindow(durationMs, (1 + rank) * all.length))
  return { all, byRank }
}

/** The share of all calls to refuse: Google's SRE book, chapter 21, equation 21-1, up to the ceiling. */
export const rejectionRate = (requests: number, accepts: number, formula: Formula): number => {
  if (requests < formula.minimumRequests) return 0
  const excess = Math.max(0, requests - formula.k * accepts)
  return Math.min(excess / (requests + formula.padding), formula.maxRejectionRate)
}

/**
 * The share to refuse of one priority, so that the least important calls go first and `rate` of all are refused. `below` is the
 * share that less important calls have of all of them, and `own` the share that those of this priority have.
 */
export const rejectionRateOf = (rate: number, below: number, own: number, maxRejectionRate: number): number =>
  rate <= below ? 0 : Math.min((rate - below) / own, maxRejectionRate)

export class Throttling<S extends Settings = Settings> {
  readonly settings: S
  readonly #cells: Cells
  /** Until when the dependency has asked for patience. */
  #patienceUntil = Number.NEGATIVE_INFINITY

  constructor(settings: S) {
    this.settings = settings
    const { all, byRank } = settings.windows
    this.#cells = new Array<number>((1 + byRank.length) * all.length).fill(0)
  }

  /** How many calls of the window are known: refused here, or answered. */
  requests(now: number): number {
    const { all } = this.settings.windows
    all.expire(this.#cells, now)
    return all.calls(this.#cells)
  }

  /** How many of them the dependency has accepted. */
  accepts(now: number): number {
    const requests = this.requests(now)
    return requests - this.settings.windows.all.bad(this.#cells)
  }

  /** The share of all calls to refuse. */
  rejectionRate(now: number): number {
    const requests = this.requests(now)
    const accepts = requests - this.settings.windows.all.bad(this.#cells)
    return rejectionRate(requests, accepts, this.settings)
  }

  /** The probability with which a call of this priority is refused. */
  rejectionRateOf(rank: number, now: number): number {
    return this.#rateOf(rank, this.rejectionRate(now), now)
  }

  /** Decides over one call. It draws only where chance decides. A refusal is a request that was not accepted, at once. */
  refuse(rank: number, call: Pick<Call, "now" | "random">): Reason | undefined {
    const rate = this.rejectionRate(call.now)
    const probability = this.#rateOf(rank, rate, call.now)
    if (probability === 0) return undefined
    const draw = call.random()
    if (draw >= probability) return undefined
    this.record(rank, false, call.now)
    return draw < rate ? "overload" : "priority"
  }

  /** Counts a call that was answered, or refused. */
  record(rank: number, accepted: boolean, now: number): void {
    const { all, byRank } = this.settings.windows
    all.record(this.#cells, now, !accepted)
    byRank[rank]!.record(this.#cells, now, !accepted)
  }

  /** The dependency asks to be called again after so long: believed for a window, because nothing here is older. */
  bePatient(forMs: number, now: number): void {
    this.#patienceUntil = Math.max(this.#patienceUntil, now + Math.min(forMs, this.settings.windows.all.durationMs))
  }

  /** How much is left of the time that it has asked for. */
  patienceLeft(now: number): number | undefined {
    return now < this.#patienceUntil ? this.#patienceUntil - now : undefined
  }

  #rateOf(rank: number, rate: number, now: number): number {
    if (rate === 0) return 0
    const { maxRejectionRate, windows } = this.settings
    const requests = this.requests(now)
    let below = 0
    for (let lower = rank + 1; lower < windows.byRank.length; lower++) below += this.#requestsOf(lower, now)
    return rejectionRateOf(rate, below / requests, this.#requestsOf(rank, now) / requests, maxRejectionRate)
  }

  #requestsOf(rank: number, now: number): number {
    const window = this.settings.windows.byRank[rank]!
    window.expire(this.#cells, now)
    return window.calls(this.#cells)
  }
}
