// Adds up events into what `Telemetry.report` answers. Memory is bounded: what there are too many of is counted together.
import type { CircuitChanged, Event } from "./events.ts"

/** The tags of this library's errors. */
const ours: ReadonlySet<string> = new Set([
  "AttemptTimeout",
  "BulkheadFull",
  "CircuitOpen",
  "ConcurrencyLimited",
  "DeadlineExceeded",
  "RateLimited",
  "RetryExhausted",
  "Throttled"
])

/** Under this name stands what is past a bound. */
export const OTHER = "(other)"

/**
 * The bounds. Names of policies, breakers and fallbacks, and tags and reasons of errors, are written in the program and few, and a status
 * has three digits; the bounds are there for a program that makes them up at run time.
 */
export const BOUNDS = { policies: 200, errors: 20, rejections: 50, circuits: 1000, fallbacks: 50 } as const

/**
 * How often something happened, by name. Names past a bound are counted together, as "(other)".
 *
 * @since 0.1.0
 * @category models
 */
export interface Count {
  readonly name: string
  readonly count: number
}

/**
 * How often a guard refused an attempt, and why (the rejection's `reason` or `state`, else its `_tag`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejections {
  readonly guard: string
  readonly reason: string
  readonly count: number
}

/**
 * What became of the calls of one policy.
 *
 * @since 0.1.0
 * @category models
 */
export interface PolicyReport {
  readonly policy: string
  /** Calls begun. */
  readonly calls: number
  readonly succeeded: number
  /** Calls that ended with an error or a defect. */
  readonly failed: number
  /** Calls that their caller gave up: neither a success nor a failure. */
  readonly interrupted: number
  /** Attempts ended, first attempts included. */
  readonly attempts: number
  /** Retries decided on; one that was then rejected or interrupted before it began is counted too. */
  readonly retries: number
  /** Which error caused the retries, the most frequent first. */
  readonly retriesByError: ReadonlyArray<Count>
  /** Hedges started. One that was due and did not start is not counted. */
  readonly hedges: number
  /** Attempts divided by calls: how much more load the dependency sees. `undefined` without a call. */
  readonly amplification: number | undefined
  /** Calls of more than one attempt that ended, not counting interrupted ones. */
  readonly retriedCalls: number
  /** Those of `retriedCalls` that succeeded in the end. */
  readonly recovered: number
  /** `recovered` divided by `retriedCalls`, from 0 to 1. `undefined` without a retried call: not enough data. */
  readonly recoveryRate: number | undefined
  /** Transient failures after which no further retry was made. */
  readonly exhausted: number
  /** Why not, the most frequent first. */
  readonly exhaustedByReason: ReadonlyArray<Count>
  /** Attempts that a guard refused. */
  readonly rejected: number
  /** Which guard, and why, the most frequent first. */
  readonly rejections: ReadonlyArray<Rejections>
  /** How often `Chaos` injected something into an attempt. What it caused is counted like the real thing. */
  readonly injected: number
  /** The errors of failed attempts by `_tag` and reason, the most frequent first; interrupted attempts are left out. */
  readonly errors: ReadonlyArray<Count>
  /**
   * Those that the policy's `faults` did not recognise, by `_tag` and reason: they were not retried, maybe because a classifier is missing or a tag is
   * misspelt. This library's own errors, of a policy or guard further in, are left out.
   */
  readonly unrecognised: ReadonlyArray<Count>
  /** The latest of `errors`, and when (milliseconds since the epoch). */
  readonly lastError: { readonly error: string; readonly at: number } | undefined
}

/**
 * A circuit that is not closed.
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitReport {
  readonly breaker: string
  readonly key: string | undefined
  readonly state: Exclude<CircuitChanged["to"], "closed">
  /** Since when, in milliseconds since the epoch. */
  readonly since: number
}

/**
 * How often a fallback answered, with a stale value or with a substitute.
 *
 * @since 0.1.0
 * @category models
 */
export interface FallbackReport {
  readonly name: string
  readonly stale: number
  readonly fallback: number
}

export interface Summary {
  readonly policies: ReadonlyArray<PolicyReport>
  readonly circuits: ReadonlyArray<CircuitReport>
  readonly fallbacks: ReadonlyArray<FallbackReport>
}

/** The entry of `key`, or of everything past the bound. */
const entry = <V>(map: Map<string, V>, key: string, max: number, make: (name: string) => V): V => {
  const name = map.has(key) || map.size < max ? key : OTHER
  const known = map.get(name)
  if (known !== undefined) return known
  const made = make(name)
  map.set(name, made)
  return made
}

class Tally {
  total = 0
  readonly #counts = new Map<string, { count: number }>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  add(name: string): void {
    this.total++
    entry(this.#counts, name, this.#max, () => ({ count: 0 })).count++
  }

  /** The most frequent first. */
  list(): ReadonlyArray<Count> {
    return Array.from(this.#counts, ([name, { count }]) => ({ name, count })).sort(
      (a, b) => b.count - a.count || compare(a.name, b.name)
    )
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

class PolicyCounts {
  calls = 0
  succeeded = 0
  failed = 0
  failedAfterRetry = 0
  interrupted = 0
  attempts = 0
  recovered = 0
  hedges = 0
  injected = 0
  lastError: { readonly error: string; readonly at: number } | undefined
  readonly retries = new Tally(BOUNDS.errors)
  readonly errors = new Tally(BOUNDS.errors)
  readonly unrecognised = new Tally(BOUNDS.errors)
  readonly exhausted = new Tally(Number.POSITIVE_INFINITY)
  rejected = 0
  readonly #rejections = new Map<string, { readonly guard: string; readonly reason: string; count: number }>()

  reject(guard: string, reason: string): void {
    this.rejected++
    entry(this.#rejections, JSON.stringify([guard, reason]), BOUNDS.rejections, (name) =>
      name === OTHER ? { guard: OTHER, reason: OTHER, count: 0 } : { guard, reason, count: 0 }
    ).count++
  }

  summary(policy: string): PolicyReport {
    const retriedCalls = this.recovered + this.failedAfterRetry
    return {
      policy,
      calls: this.calls,
      succeeded: this.succeeded,
      failed: this.failed,
      interrupted: this.interrupted,
      attempts: this.attempts,
      retries: this.retries.total,
      retriesByError: this.retries.list(),
      hedges: this.hedges,
      amplification: this.calls === 0 ? undefined : this.attempts / this.calls,
      retriedCalls,
      recovered: this.recovered,
      recoveryRate: retriedCalls === 0 ? undefined : this.recovered / retriedCalls,
      exhausted: this.exhausted.total,
      exhaustedByReason: this.exhausted.list(),
      rejected: this.rejected,
      rejections: Array.from(this.#rejections.values(), (counts) => ({ ...counts })).sort(
        (a, b) => b.count - a.count || compare(a.guard, b.guard) || compare(a.reason, b.reason)
      ),
      injected: this.injected,
      errors: this.errors.list(),
      unrecognised: this.unrecognised.list(),
      lastError: this.lastError
    }
  }
}

/** What is in trouble first: failed calls, then retries, then rejections, then traffic. */
const byTrouble = (a: PolicyReport, b: PolicyReport): number =>
  b.failed - a.failed ||
  b.retries - a.retries ||
  b.rejected - a.rejected ||
  b.calls - a.calls ||
  compare(a.policy, b.policy)

export class Accumulator {
  readonly #policies = new Map<string, PolicyCounts>()
  readonly #circuits = new Map<string, CircuitReport>()
  readonly #fallbacks = new Map<string, { stale: number; fallback: number }>()

  add(event: Event): void {
    switch (event._tag) {
      case "CallStarted":
        this.#policy(event).calls++
        return
      case "AttemptSucceeded":
        this.#policy(event).attempts++
        return
      case "AttemptFailed": {
        const policy = this.#policy(event)
        policy.attempts++
        // An attempt that its caller gave up says nothing of the dependency
        if (event.outcome === "interrupted") return
        policy.errors.add(event.error)
        if (event.outcome === "unrecognised" && !ours.has(event.error)) policy.unrecognised.add(event.error)
        policy.lastError = { error: event.error, at: event.at }
        return
      }
      case "RetryScheduled":
        this.#policy(event).retries.add(event.error)
        return
      case "RetryDenied":
        this.#policy(event).exhausted.add(event.reason)
        return
      case "HedgeStarted":
        this.#policy(event).hedges++
        return
      case "CallRecovered":
        this.#policy(event).recovered++
        return
      case "CallSucceeded":
        this.#policy(event).succeeded++
        return
      case "CallFailed": {
        const policy = this.#policy(event)
        if (event.error === "Interrupted") {
          policy.interrupted++
          return
        }
        policy.failed++
        if (event.attempts > 1) policy.failedAfterRetry++
        return
      }
      case "GuardRejected":
        this.#policy(event).reject(event.guard, event.reason)
        return
      case "ChaosInjected":
        this.#policy(event).injected++
        return
      case "CircuitChanged":
        this.#circuit(event)
        return
      case "FallbackServed":
        entry(this.#fallbacks, event.name, BOUNDS.fallbacks, () => ({ stale: 0, fallback: 0 }))[event.source]++
        return
      case "HedgeDenied":
      case "DeadlinePassed":
      case "BudgetChanged":
        return
    }
  }

  #policy(event: { readonly policy: string }): PolicyCounts {
    return entry(this.#policies, event.policy, BOUNDS.policies, () => new PolicyCounts())
  }

  #circuit(event: CircuitChanged): void {
    const id = JSON.stringify([event.breaker, event.key])
    // Deleted first, so that the latest change stands last and the oldest is the one to go
    this.#circuits.delete(id)
    if (event.to === "closed") return
    if (this.#circuits.size >= BOUNDS.circuits) {
      for (const oldest of Array.from(this.#circuits.keys()).slice(0, 1)) this.#circuits.delete(oldest)
    }
    this.#circuits.set(id, { breaker: event.breaker, key: event.key, state: event.to, since: event.at })
  }

  summary(): Summary {
    return {
      policies: Array.from(this.#policies, ([name, policy]) => policy.summary(name)).sort(byTrouble),
      circuits: Array.from(this.#circuits.values()),
      fallbacks: Array.from(this.#fallbacks, ([name, counts]) => ({ name, ...counts })).sort(
        (a, b) => b.stale + b.fallback - (a.stale + a.fallback) || compare(a.name, b.name)
      )
    }
  }
}
