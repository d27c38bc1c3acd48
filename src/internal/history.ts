// What a call remembers of its failed attempts: the first, and the latest ones, so that a long call stays small.
import * as Duration from "effect/Duration"
import type { HistoryEntry } from "./errors.ts"
import type { AttemptKind } from "./events.ts"

/** How many entries are kept. */
export const maxEntries = 16

/** In milliseconds: the durations are made when somebody looks. */
interface Entry {
  readonly number: number
  readonly kind: AttemptKind
  readonly error: unknown
  readonly startedAfterMs: number
  readonly tookMs: number
  delayMs: number | undefined
}

export class History {
  private readonly kept: Array<Entry> = []

  add(number: number, kind: AttemptKind, error: unknown, startedAfterMs: number, tookMs: number): void {
    if (this.kept.length === maxEntries) this.kept.splice(1, 1)
    this.kept.push({
      number,
      kind,
      error,
      startedAfterMs,
      tookMs,
      delayMs: undefined
    })
  }

  /** The latest attempt is followed by another, after this delay. */
  delayed(delayMs: number): void {
    this.kept[this.kept.length - 1]!.delayMs = delayMs
  }

  /** The error of the latest attempt. */
  get lastError(): unknown {
    return this.kept[this.kept.length - 1]?.error
  }

  /** The latest error that passes. */
  findLast<E>(refinement: (error: unknown) => error is E): E | undefined {
    return this.kept.findLast((entry) => refinement(entry.error))?.error as E | undefined
  }

  entries(): ReadonlyArray<HistoryEntry<unknown>> {
    return this.kept.map(({ delayMs, error, kind, number, startedAfterMs, tookMs }) => ({
      number,
      kind,
      error,
      startedAfter: Duration.millis(startedAfterMs),
      took: Duration.millis(tookMs),
      ...(delayMs === undefined ? undefined : { delay: Duration.millis(delayMs) })
    }))
  }
}
