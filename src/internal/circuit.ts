// The state machine of one circuit. Synchronous, without Effect: time and open times come from outside.
import type { Detector, Reading } from "./trip.ts"
import type { Cells } from "./window.ts"

export type State = "closed" | "open" | "half-open" | "isolated"

/** What all the circuits of a breaker share. */
export interface Settings {
  readonly detector: Detector
  /** How many calls a half-open circuit lets through to judge by. */
  readonly probes: number
  /** How many of them must succeed to close it. */
  readonly successes: number
  /** A probe that has not answered after so long has failed. */
  readonly maxProbeMs: number
  readonly retryAfterCeilingMs: number
  /** Begins a sequence of open times, in milliseconds: one for each opening in a row. */
  readonly openTimes: () => () => number
}

export type Health = "ok" | "failed" | "ignored"

export const firstGeneration = 0

export class Circuit<S extends Settings = Settings> {
  readonly settings: S
  state: State = "closed"
  /** What is let through belongs to a generation; a result of an earlier one changes nothing and frees nothing. */
  generation: number = firstGeneration
  readonly #cells: Cells
  /** What only a circuit needs that has opened, or has been asked for patience, since it last closed. */
  #trouble: Trouble | undefined = undefined

  constructor(settings: S) {
    this.settings = settings
    this.#cells = new Array<number>(settings.detector.length).fill(0)
  }

  /** What it would be if it were used now: time moves it too, but only its next use writes that down. */
  stateAt(now: number): State {
    if (this.state === "open") return now < this.#trouble!.until ? "open" : "half-open"
    if (this.state === "half-open" && this.#isOverdue(now)) {
      const trouble = this.#trouble!
      const reopens = this.#isLost(trouble.failed + trouble.running)
      if (reopens && now < trouble.openUntil(this.#overdueAt(), trouble.nextMs)) return "open"
    }
    return this.state
  }

  /** When it may next be tried, if it is open. */
  openUntil(now: number): number | undefined {
    if (this.stateAt(now) !== "open") return undefined
    const trouble = this.#trouble!
    return this.state === "open" ? trouble.until : trouble.openUntil(this.#overdueAt(), trouble.nextMs)
  }

  /** Until when there is something about it that is worth remembering, used or not. */
  get eventfulUntil(): number {
    switch (this.state) {
      case "closed":
        return Number.NEGATIVE_INFINITY
      case "open":
        return this.#trouble!.until
      case "half-open":
        return this.#overdueAt()
      case "isolated":
        return Number.POSITIVE_INFINITY
    }
  }

  /** What the trip counts. It stands still while the circuit is not closed, but for what grows old. */
  read(now: number): Reading {
    return this.settings.detector.read(this.#cells, now)
  }

  /** Whether it would refuse a call for certain, as it stands. */
  rejects(now: number): boolean {
    switch (this.state) {
      case "closed":
        return false
      case "open":
        return now < this.#trouble!.until
      case "half-open":
        return this.#free() === 0 && !this.#isOverdue(now)
      case "isolated":
        return true
    }
  }

  /**
   * Probes that have not answered in time have failed. If that decides, it is open again since that moment; else it goes on
   * with the probes that are left.
   */
  expire(now: number): void {
    if (this.state !== "half-open" || !this.#isOverdue(now)) return
    const trouble = this.#trouble!
    const at = this.#overdueAt()
    trouble.failed += trouble.running
    trouble.running = 0
    if (this.#isLost(trouble.failed)) this.open(at)
    // their answers, should they still come, have been counted
    else this.generation++
  }

  /** Lets a call through, in the generation that is then current, or refuses it. `expire` comes first. */
  admit(now: number): boolean {
    if (this.state === "closed") return true
    if (this.rejects(now)) return false
    if (this.state === "open") this.halfOpen(now)
    const trouble = this.#trouble!
    trouble.running++
    trouble.lastProbeAt = now
    return true
  }

  /**
   * A call let through in `generation` has ended. `ignored`: nothing is known, and its place is free again. `retryAfterMs` can
   * only lengthen the next open time.
   */
  conclude(generation: number, health: Health, elapsedMs: number, retryAfterMs: number | undefined, now: number): void {
    if (generation === this.generation && this.state === "half-open") this.expire(now)
    if (generation !== this.generation) return
    if (retryAfterMs !== undefined) this.#remember(retryAfterMs, now)
    if (this.state === "closed") this.#count(health, elapsedMs, now)
    else this.#judge(health, elapsedMs, now)
  }

  /** Opens for the next open time, or until `until`. */
  open(now: number, until?: number | undefined): void {
    const trouble = this.#troubled()
    trouble.until = until ?? trouble.openUntil(now, trouble.take())
    this.#become("open")
  }

  halfOpen(now: number): void {
    const trouble = this.#troubled()
    trouble.succeeded = 0
    trouble.failed = 0
    trouble.running = 0
    trouble.lastProbeAt = now
    this.#become("half-open")
  }

  isolate(): void {
    this.#become("isolated")
  }

  /** Starts afresh. */
  close(): void {
    this.#cells.fill(0)
    this.#trouble = undefined
    this.#become("closed")
  }

  #become(state: State): void {
    this.state = state
    this.generation++
  }

  #count(health: Health, elapsedMs: number, now: number): void {
    if (health === "ignored") return
    if (this.settings.detector.record(this.#cells, now, health === "failed", elapsedMs)) this.open(now)
  }

  #judge(health: Health, elapsedMs: number, now: number): void {
    const trouble = this.#trouble!
    trouble.running--
    if (health === "ignored") return
    if (health === "failed" || this.settings.detector.isSlow(elapsedMs)) trouble.failed++
    else trouble.succeeded++
    if (trouble.succeeded >= this.settings.successes) this.close()
    else if (this.#isLost(trouble.failed)) this.open(now)
  }

  /** Whether, after so many failures, the probes that are left cannot close it any more. */
  #isLost(failed: number): boolean {
    return failed > this.settings.probes - this.settings.successes
  }

  #remember(retryAfterMs: number, now: number): void {
    const trouble = this.#troubled()
    const at = now + Math.min(retryAfterMs, this.settings.retryAfterCeilingMs)
    trouble.notBefore = Math.max(trouble.notBefore, at)
  }

  #troubled(): Trouble {
    return (this.#trouble ??= new Trouble(this.settings.openTimes()))
  }

  #free(): number {
    const { failed, running, succeeded } = this.#trouble!
    return this.settings.probes - succeeded - failed - running
  }

  /** Counted from the latest probe, so that all that run have had that long. */
  #overdueAt(): number {
    return this.#trouble!.lastProbeAt + this.settings.maxProbeMs
  }

  #isOverdue(now: number): boolean {
    return this.#trouble!.running > 0 && now >= this.#overdueAt()
  }
}

class Trouble {
  /** The open time after this one: drawn ahead, so that reading the state can tell what time will do. */
  nextMs: number
  until = 0
  /** The dependency asked not to be called before. */
  notBefore = Number.NEGATIVE_INFINITY
  succeeded = 0
  failed = 0
  /** Probes on their way. */
  running = 0
  lastProbeAt = 0
  readonly #draw: () => number

  constructor(draw: () => number) {
    this.#draw = draw
    this.nextMs = draw()
  }

  take(): number {
    const ms = this.nextMs
    this.nextMs = this.#draw()
    return ms
  }

  openUntil(now: number, openMs: number): number {
    return Math.max(now + openMs, this.notBefore)
  }
}
