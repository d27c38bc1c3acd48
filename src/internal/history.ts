// What a call remembers of its failed attempts: the first, and the latest ones, so that a long call stays small.
import * as Duration from "effect/Duration"
import type { HistoryEntry } from "./errors.ts"
import type { AttemptKind } from "./events.ts"

/** How many entries are kept. */
export const maxEntries = 16

export class History {
  private readonly kept: Array<HistoryEntry<unknown>> = []

  add(number: number, kind: AttemptKind, error: unknown, startedAfterMs: number, tookMs: number): void {
    if (this.kept.length === maxEntries) this.kept.splice(1, 1)
    this.kept.push({
      number,
      kind,
      error,
      startedAfter: Duration.millis(startedAfterMs),
      took: Duration.millis(tookMs)
    })
  }

  /** The latest attempt is followed by another, after this delay. */
  delayed(delayMs: number): void {
    const last = this.kept.length - 1
    this.kept[last] = { ...this.kept[last]!, delay: Duration.millis(delayMs) }
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
    return [...this.kept]
  }
}
