// Marks what went wrong on the trace: an event on the span in which it happened.
import { Clock, Duration } from "effect"
import type { Fiber, Tracer } from "effect"
import type { Event } from "./events.ts"

/**
 * The fiber's span, where an event on it would be kept: one of this process that is sampled and has not ended. Whoever emits
 * asks first, so that without a listener and without a span no event is built.
 */
export const spanOf = (fiber: Fiber.Fiber<unknown, unknown>): Tracer.Span | undefined => {
  const span = fiber.cache.span
  return span !== undefined && span._tag === "Span" && span.sampled && span.status._tag === "Started" ? span : undefined
}

/** Adds `event` to the fiber's span, if it has one and something went wrong. */
export const spanEmit = (fiber: Fiber.Fiber<unknown, unknown>, event: Event): void => {
  const span = spanOf(fiber)
  if (span === undefined) return
  const note = describe(event)
  if (note === undefined) return
  span.event(note.name, fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(), attributes(note.of))
}

interface Note {
  readonly name: string
  readonly of: { readonly [name: string]: unknown }
}

/** Never a key, and of an error its `_tag` alone: a trace leaves the process, and may be read by many. */
const describe = (event: Event): Note | undefined => {
  switch (event._tag) {
    case "AttemptFailed":
      return {
        name: "resilience.attempt.failed",
        of: {
          policy: event.policy,
          attempt: event.attempt,
          kind: event.kind,
          outcome: event.outcome,
          error: event.error,
          elapsed: event.elapsed
        }
      }
    case "RetryScheduled":
      return {
        name: "resilience.retry",
        of: {
          policy: event.policy,
          attempt: event.attempt,
          error: event.error,
          delay: event.delay,
          retry_after: event.retryAfter
        }
      }
    case "RetryDenied":
      return {
        name: "resilience.retry.denied",
        of: {
          policy: event.policy,
          attempt: event.attempt,
          reason: event.reason,
          error: event.error,
          denied_by: event.deniedBy
        }
      }
    case "CallRecovered":
      return {
        name: "resilience.call.recovered",
        of: { policy: event.policy, attempts: event.attempts, error: event.error, elapsed: event.elapsed }
      }
    case "GuardRejected":
      return {
        name: "resilience.guard.rejected",
        of: {
          policy: event.policy,
          attempt: event.attempt,
          guard: event.guard,
          reason: event.reason,
          error: event.error
        }
      }
    case "CircuitChanged":
      return {
        name: "resilience.circuit.changed",
        of: { breaker: event.breaker, from: event.from, to: event.to }
      }
    case "FallbackServed":
      return {
        name: "resilience.fallback.served",
        of: { fallback: event.name, source: event.source, error: event.error, age: event.age }
      }
    case "DeadlinePassed":
      return { name: "resilience.deadline.passed", of: { name: event.name, after: event.after } }
    case "CallStarted":
    case "AttemptSucceeded":
    case "CallSucceeded":
    case "CallFailed":
    case "BudgetChanged":
      return undefined
  }
}

/** Prefixed; durations in milliseconds; what is undefined is left out. */
const attributes = (of: Note["of"]): Record<string, unknown> => {
  const all: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(of)) {
    if (Duration.isDuration(value)) all[`resilience.${name}_ms`] = Duration.toMillis(value)
    else if (value !== undefined) all[`resilience.${name}`] = value
  }
  return all
}
