// How long calls take when none of them has to wait: what a limit compares their latency with.
//
// Nobody can tell by looking whether a dependency takes long because it is slow or because calls wait in it. So from time to time
// the limit is lowered for a moment (a probe), which lets a queue drain: what calls take then is the no-load latency. Vegas and
// Gradient2, as published, take it while calls wait, and each time allow for a longer queue; lowering the limit is what
// Netflix's first Gradient does, Envoy's gradient controller (minRTT), and BBR (ProbeRTT).
import { durationMs } from "./samples.ts"
import type { Seen, WindowSettings } from "./samples.ts"

/**
 * To what share a step of a probe lowers the limit. Lower drains a longer queue in one step, and costs more throughput. BBR drains
 * at 3/4 (tcp_bbr.c); at 0.7 two clients that probe one at a time still drain each other's queues.
 */
const cut = 0.7

/** A step that makes calls faster by more than this share found them waiting, and may still: then the next one follows. */
const fall = 0.1

/** No more steps than this: down to a twelfth of the limit. */
const mostSteps = 7

/** The windows of one step: the first, in which the queue drains, does not count. */
const windowsToDrain = 1
const windowsToMeasure = 6

/**
 * Probes are due at multiples of a power of two of milliseconds, at least as many windows apart. So clients of one dependency, which
 * see about the same latency, probe together, and find the queue drained that none of them could drain alone. With this many,
 * probes cost two or three hundredths of the throughput of a dependency that is full.
 */
const windowsBetween = 64

/** … and this many of one's own, which may be longer for want of samples. */
const windowsOfRest = 20

/** The first probes need not be due: what so few calls took is not known well. */
const earlyProbes = 4

/** A limit that has sunk to this share asks for a probe at once: perhaps the dependency has become slower, not fuller. */
const sunk = 0.8

/** How much a measurement counts against those before it, and a window against those before it. */
const measurementWeight = 1 / 3
const windowWeight = 1 / 5

/** A measurement this many standard errors away, or more, is no chance: what was known before is out of date. */
const errorsOfChance = 3

interface Probe {
  /** Whether it is one of those that the clients of a dependency make together. */
  readonly together: boolean
  /** What calls took before it. */
  readonly beforeMs: number
  /** What they took before its latest step. */
  lastMs: number
  steps: number
  windows: number
  calls: number
  sumMs: number
  /** The sum of the squares of the errors of the sums. */
  errors: number
}

export class NoLoad {
  readonly #window: WindowSettings
  #ms: number | undefined = undefined
  #errorMs = 0
  /** An average of the latest windows without a probe. */
  #recentMs = 0
  /** The first one lowers nothing: nothing is known yet. */
  #probe: Probe | undefined = probeFrom(0, false, 0)
  #probes = 0
  #rested = 0
  #slot = Number.NEGATIVE_INFINITY
  /** The highest limit since the latest probe. */
  #highest = 0

  constructor(window: WindowSettings) {
    this.#window = window
  }

  /** Undefined until it has been measured. */
  get ms(): number | undefined {
    return this.#ms
  }

  get isProbing(): boolean {
    return this.#probe !== undefined
  }

  /** The share of the limit that is in force. */
  get share(): number {
    return this.#probe === undefined ? 1 : cut ** this.#probe.steps
  }

  /** A window without drops, outside a probe. `pressed`: calls have found no slot. A probe may begin. */
  observe(seen: Seen, now: number, limit: number, pressed: boolean): void {
    this.#recentMs += windowWeight * (seen.meanMs - this.#recentMs)
    // that calls have become faster needs no probe to be seen
    if (this.#recentMs < this.#ms! - Math.max(this.#ms! * fall, errorsOfChance * this.#errorMs)) {
      this.#ms = this.#recentMs
    }
    this.#rested++
    this.#highest = Math.max(this.#highest, limit)
    if (!pressed || this.#rested < windowsOfRest) return
    const slot = Math.floor(now / this.#periodMs())
    const isDue = slot !== this.#slot
    if (isDue) this.#slot = slot
    if (isDue || limit < sunk * this.#highest || this.#probes < earlyProbes)
      this.#probe = probeFrom(1, isDue, this.#recentMs)
  }

  /** A window without drops, within a probe. When it is over: what share of the calls in flight before it did not wait. */
  measure(seen: Seen, limit: number): number | undefined {
    const probe = this.#probe!
    if (probe.windows++ < windowsToDrain) return undefined
    probe.calls += seen.calls
    probe.sumMs += seen.calls * seen.meanMs
    probe.errors += (seen.calls * seen.errorMs) ** 2
    if (probe.windows < windowsToDrain + windowsToMeasure) return undefined
    const measuredMs = probe.sumMs / probe.calls
    if (probe.steps > 0 && probe.steps < mostSteps && measuredMs < probe.lastMs * (1 - fall)) {
      this.#probe = { ...probeFrom(probe.steps + 1, probe.together, probe.beforeMs), lastMs: measuredMs }
      return undefined
    }
    this.#take(probe, measuredMs, Math.sqrt(probe.errors) / probe.calls)
    // by Little's law; nothing is compared in the beginning
    const share = probe.steps === 0 ? 1 : Math.min(1, measuredMs / probe.beforeMs)
    this.#end(limit * share)
    return share
  }

  /** Calls were dropped: what they take says nothing now. */
  abort(limit: number): void {
    if (this.#ms === undefined) this.#probe = probeFrom(0, false, 0)
    else if (this.#probe !== undefined) this.#end(limit)
  }

  #end(limit: number): void {
    this.#probe = undefined
    this.#probes++
    this.#rested = 0
    this.#highest = limit
  }

  #take(probe: Probe, measuredMs: number, errorMs: number): void {
    const known = this.#ms
    this.#errorMs = errorMs
    if (known === undefined) {
      this.#ms = this.#recentMs = measuredMs
      return
    }
    // Alone, and with a queue that is still there though less long: it is the others', and must not be taken for slowness
    if (!probe.together && measuredMs > known && measuredMs < probe.beforeMs * (1 - fall / 2)) return
    const isChance = Math.abs(measuredMs - known) <= Math.max((known * fall) / 2, errorsOfChance * errorMs)
    if (isChance) this.#ms = known + measurementWeight * (measuredMs - known)
    else this.#ms = this.#recentMs = measuredMs
  }

  #periodMs(): number {
    return 2 ** Math.ceil(Math.log2(windowsBetween * durationMs(this.#ms!, this.#window)))
  }
}

const probeFrom = (steps: number, together: boolean, beforeMs: number): Probe => ({
  together,
  beforeMs,
  lastMs: beforeMs,
  steps,
  windows: 0,
  calls: 0,
  sumMs: 0,
  errors: 0
})
