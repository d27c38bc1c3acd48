// "Should we break?": the conditions under which a circuit opens, and what they count.
import { CountWindow, TimeWindow } from "./window.ts"
import type { Cells, Window } from "./window.ts"

/** How many calls, or how much time, a rate is taken over. */
export type Span =
  { readonly _tag: "Calls"; readonly calls: number } | { readonly _tag: "Time"; readonly durationMs: number }

export type Condition =
  | { readonly _tag: "ConsecutiveFailures"; readonly failures: number }
  | { readonly _tag: "FailureRate"; readonly threshold: number; readonly minimumCalls: number; readonly span: Span }
  | {
      readonly _tag: "SlowCallRate"
      readonly threshold: number
      readonly minimumCalls: number
      readonly span: Span
      readonly slowerThanMs: number
    }

export const TripTypeId = "~effect-resilience/CircuitBreaker/Trip"

/** What `CircuitBreaker` shows of a list of conditions. */
export interface Trip {
  readonly [TripTypeId]: ReadonlyArray<Condition>
}

export const isTrip = (value: unknown): value is Trip =>
  typeof value === "object" && value !== null && TripTypeId in value

export interface Reading {
  /** Undefined while there is not enough data. */
  readonly rate: number | undefined
  /** What the rate is taken over; of a run of failures, its length. */
  readonly calls: number
}

/** What a circuit asks of its trip. */
export interface Detector {
  /** How many cells a circuit needs for it. */
  readonly length: number
  /** Counts one call; says whether the circuit must open now. */
  readonly record: (cells: Cells, now: number, failed: boolean, elapsedMs: number) => boolean
  readonly isSlow: (elapsedMs: number) => boolean
  readonly read: (cells: Cells, now: number) => Reading
}

export const detector = (conditions: ReadonlyArray<Condition>): Detector => {
  let length = 0
  const all = conditions.map((condition) => {
    const made = one(condition, length)
    length += made.length
    return made
  })
  const first = all[0]!
  // most have one condition, and it is asked at every call
  return all.length === 1 ? first : new AnyOf(all, length, all.find((it) => it instanceof Rate) ?? first)
}

const one = (condition: Condition, offset: number): Detector =>
  condition._tag === "ConsecutiveFailures"
    ? new Run(condition.failures, offset)
    : new Rate(condition.threshold, condition.minimumCalls, window(condition.span, offset), slowerThan(condition))

const window = (span: Span, offset: number): Window =>
  span._tag === "Calls" ? new CountWindow(span.calls, offset) : new TimeWindow(span.durationMs, offset)

const slowerThan = (condition: Condition): number | undefined =>
  condition._tag === "SlowCallRate" ? condition.slowerThanMs : undefined

class Run implements Detector {
  readonly length = 1
  readonly #failures: number
  readonly #cell: number

  constructor(failures: number, offset: number) {
    this.#failures = failures
    this.#cell = offset
  }

  record(cells: Cells, _now: number, failed: boolean): boolean {
    cells[this.#cell] = failed ? cells[this.#cell]! + 1 : 0
    return cells[this.#cell]! >= this.#failures
  }

  isSlow(): boolean {
    return false
  }

  read(cells: Cells): Reading {
    return { rate: undefined, calls: cells[this.#cell]! }
  }
}

class Rate implements Detector {
  readonly length: number
  readonly #threshold: number
  readonly #minimumCalls: number
  readonly #window: Window
  /** Undefined: it counts failures, not slow calls. */
  readonly #slowerThanMs: number | undefined

  constructor(threshold: number, minimumCalls: number, window: Window, slowerThanMs: number | undefined) {
    this.#threshold = threshold
    this.#minimumCalls = minimumCalls
    this.#window = window
    this.#slowerThanMs = slowerThanMs
    this.length = window.length
  }

  record(cells: Cells, now: number, failed: boolean, elapsedMs: number): boolean {
    this.#window.record(cells, now, this.#slowerThanMs === undefined ? failed : this.isSlow(elapsedMs))
    const rate = this.#rate(cells)
    return rate !== undefined && rate >= this.#threshold
  }

  isSlow(elapsedMs: number): boolean {
    return this.#slowerThanMs !== undefined && elapsedMs > this.#slowerThanMs
  }

  read(cells: Cells, now: number): Reading {
    this.#window.expire(cells, now)
    return { rate: this.#rate(cells), calls: this.#window.calls(cells) }
  }

  #rate(cells: Cells): number | undefined {
    const calls = this.#window.calls(cells)
    return calls < this.#minimumCalls ? undefined : this.#window.bad(cells) / calls
  }
}

class AnyOf implements Detector {
  readonly length: number
  readonly #all: ReadonlyArray<Detector>
  readonly #shown: Detector

  constructor(all: ReadonlyArray<Detector>, length: number, shown: Detector) {
    this.#all = all
    this.#shown = shown
    this.length = length
  }

  record(cells: Cells, now: number, failed: boolean, elapsedMs: number): boolean {
    let trips = false
    for (const it of this.#all) {
      if (it.record(cells, now, failed, elapsedMs)) trips = true
    }
    return trips
  }

  isSlow(elapsedMs: number): boolean {
    return this.#all.some((it) => it.isSlow(elapsedMs))
  }

  read(cells: Cells, now: number): Reading {
    return this.#shown.read(cells, now)
  }
}
