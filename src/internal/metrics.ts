// Turns events into Effect metrics. Every series is made once, on its first use: `Metric.withAttributes` on every update
// would cost more than the update.
import * as Duration from "effect/Duration"
import * as Metric from "effect/Metric"
import type { Context } from "effect"
import type { CircuitChanged, Event } from "./events.ts"

/** From one millisecond to a minute, in steps of at most 2.5. */
const boundaries = /*#__PURE__*/ Metric.boundariesFromIterable([
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000
])

type Attributes = { readonly [name: string]: string }

/** The series of one metric, found by the values of its attributes. */
const family = <Input, State>(
  names: ReadonlyArray<string>,
  make: (attributes: Attributes) => Metric.Metric<Input, State>
): ((...values: ReadonlyArray<string>) => Metric.Metric<Input, State>) => {
  const root: Branch<Metric.Metric<Input, State>> = { children: new Map(), leaf: undefined }
  return (...values) => {
    let branch = root
    for (const value of values) {
      let child = branch.children.get(value)
      if (child === undefined) branch.children.set(value, (child = { children: new Map(), leaf: undefined }))
      branch = child
    }
    return (branch.leaf ??= make(Object.fromEntries(names.map((name, i) => [name, values[i]!]))))
  }
}

interface Branch<A> {
  readonly children: Map<string, Branch<A>>
  leaf: A | undefined
}

const counter = (name: string, description: string, attributes: ReadonlyArray<string>) =>
  family(attributes, (values) =>
    Metric.counter(`resilience.${name}`, { description, incremental: true, attributes: values })
  )

const gauge = (name: string, description: string, attributes: ReadonlyArray<string>) =>
  family(attributes, (values) => Metric.gauge(`resilience.${name}`, { description, attributes: values }))

const histogram = (name: string, description: string, attributes: ReadonlyArray<string>) =>
  family(attributes, (values) =>
    Metric.histogram(`resilience.${name}`, { description, boundaries, attributes: values })
  )

export interface Recorder {
  readonly hear: (event: Event) => void
  /** Nobody updates the gauges of circuits any more: none is known to be in any state. */
  readonly close: () => void
}

/** The most circuits that are not closed it remembers the state of. */
export const MAX_CIRCUITS = 10_000

/** `context` says the registry, and the attributes that all metrics carry. */
export const recorder = (context: Context.Context<never>): Recorder => {
  const calls = counter("calls", "Calls ended", ["policy", "outcome"])
  const attempts = counter("attempts", "Attempts ended, first attempts included", ["policy", "outcome", "error"])
  const retries = counter("retries", "Retries decided on, by the error that caused them", ["policy", "error"])
  const recovered = counter(
    "retries.recovered",
    "Calls that succeeded in a retry or a hedge, after an attempt had failed",
    ["policy"]
  )
  const denied = counter("retries.denied", "Transient failures after which no further retry was made", [
    "policy",
    "reason"
  ])
  const hedges = counter("hedges", "Attempts started beside one that took long", ["policy"])
  const hedgesDenied = counter("hedges.denied", "Hedges that were due and did not start", ["policy", "reason"])
  const callDuration = histogram(
    "call.duration",
    "How long calls took, retries and waiting included, in milliseconds",
    ["policy"]
  )
  const attemptDuration = histogram("attempt.duration", "How long attempts took, in milliseconds", ["policy"])
  const rejections = counter("guard.rejections", "Attempts that a guard refused", ["guard", "reason"])
  const circuits = gauge("circuit.circuits", "Circuits in that state; closed ones are not counted", [
    "breaker",
    "state"
  ])
  const transitions = counter("circuit.transitions", "Changes of state of circuits", ["breaker", "from", "to"])
  const balance = gauge("budget.balance", "Retries that could be taken now", ["budget"])
  const fallbacks = counter("fallbacks", "Failures answered by a fallback", ["name", "source"])
  const chaos = counter("chaos.injected", "What Chaos injected into attempts", ["policy", "injection"])

  const states = new Map<string, { readonly breaker: string; readonly state: CircuitChanged["to"] }>()

  const leave = (id: string): void => {
    const known = states.get(id)
    if (known === undefined) return
    states.delete(id)
    circuits(known.breaker, known.state).modifyUnsafe(-1, context)
  }

  const circuit = (event: CircuitChanged): void => {
    transitions(event.breaker, event.from, event.to).updateUnsafe(1, context)
    const id = JSON.stringify([event.breaker, event.key])
    leave(id)
    if (event.to === "closed") return
    if (states.size >= MAX_CIRCUITS) Array.from(states.keys()).slice(0, 1).forEach(leave)
    states.set(id, { breaker: event.breaker, state: event.to })
    circuits(event.breaker, event.to).modifyUnsafe(1, context)
  }

  const call = (policy: string, outcome: string, elapsed: Duration.Duration): void => {
    calls(policy, outcome).updateUnsafe(1, context)
    callDuration(policy).updateUnsafe(Duration.toMillis(elapsed), context)
  }

  const attempt = (policy: string, outcome: string, error: string, elapsed: Duration.Duration): void => {
    attempts(policy, outcome, error).updateUnsafe(1, context)
    attemptDuration(policy).updateUnsafe(Duration.toMillis(elapsed), context)
  }

  const hear = (event: Event): void => {
    switch (event._tag) {
      case "AttemptSucceeded":
        return attempt(event.policy, "success", "none", event.elapsed)
      case "AttemptFailed":
        return attempt(event.policy, event.outcome, event.error, event.elapsed)
      case "RetryScheduled":
        return retries(event.policy, event.error).updateUnsafe(1, context)
      case "RetryDenied":
        return denied(event.policy, event.reason).updateUnsafe(1, context)
      case "HedgeStarted":
        return hedges(event.policy).updateUnsafe(1, context)
      case "HedgeDenied":
        return hedgesDenied(event.policy, event.reason).updateUnsafe(1, context)
      case "CallRecovered":
        return recovered(event.policy).updateUnsafe(1, context)
      case "CallSucceeded":
        return call(event.policy, "success", event.elapsed)
      case "CallFailed":
        return call(event.policy, event.error === "Interrupted" ? "interrupted" : "failure", event.elapsed)
      case "GuardRejected":
        return rejections(event.guard, event.reason).updateUnsafe(1, context)
      case "CircuitChanged":
        return circuit(event)
      case "FallbackServed":
        return fallbacks(event.name, event.source).updateUnsafe(1, context)
      case "BudgetChanged":
        // One gauge cannot show the balances of many keys, and the last one to change says nothing of the others
        if (event.key === undefined) balance(event.budget).updateUnsafe(event.balance, context)
        return
      case "ChaosInjected":
        return chaos(event.policy, event.injection).updateUnsafe(1, context)
      case "CallStarted":
      case "DeadlinePassed":
        return
    }
  }

  return { hear, close: () => Array.from(states.keys()).forEach(leave) }
}
