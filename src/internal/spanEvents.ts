// Marks what went wrong on the trace: an event on the span in which it happened.
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type { Fiber, Tracer } from "effect"
import { orUndefined } from "./context.ts"
import { CurrentListener, type Emit, type Event } from "./events.ts"
import { reportDefect } from "./reportDefect.ts"

/**
 * The fiber's span, where an event on it would be kept: one of this process that is sampled and has not ended. Whoever emits
 * asks first, so that without a listener and without a span no event is built.
 */
export const spanOf = (fiber: Fiber.Fiber<unknown, unknown>): Tracer.Span | undefined => {
  const span = fiber.cache.span
  return span !== undefined && span._tag === "Span" && span.sampled && span.status._tag === "Started" ? span : undefined
}

/** What is no trouble, or is said by another event. */
const quiet = /^(CallStarted|AttemptSucceeded|CallSucceeded|CallFailed|BudgetChanged)$/

/** Never a key, and of an error its `_tag` and reason alone: a trace leaves the process, and may be read by many. */
const unsaid = /^(_tag|at|key)$/

/** `resilience.retry.denied` for RetryDenied. */
const nameOf = (tag: string): string => `resilience${tag.replace(/[A-Z]/g, (letter) => `.${letter.toLowerCase()}`)}`

/** `resilience.denied_by` for deniedBy; durations in milliseconds; what is undefined is left out. */
const attributesOf = (event: Event): Record<string, unknown> => {
  const all: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(event)) {
    if (value === undefined || unsaid.test(field)) continue
    const name = `resilience.${field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`
    if (Duration.isDuration(value)) all[`${name}_ms`] = Duration.toMillis(value)
    else all[name] = value
  }
  return all
}

/** Adds `event` to the fiber's span, if it has one and something went wrong. What a tracer throws is not the call's failure. */
export const spanEmit = (fiber: Fiber.Fiber<unknown, unknown>, event: Event): void => {
  const span = quiet.test(event._tag) ? undefined : spanOf(fiber)
  if (span === undefined) return
  try {
    span.event(nameOf(event._tag), fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(), attributesOf(event))
  } catch (defect) {
    reportDefect(fiber, "the tracer failed while it was told of an event", defect)
  }
}

/** Sends events to whoever listens in this fiber and to its span; `undefined` where neither is there. */
export const emitter = (fiber: Fiber.Fiber<unknown, unknown>): Emit | undefined =>
  emitterWith(fiber, orUndefined(fiber.context, CurrentListener))

/** The same, of a listener that was found already. */
export const emitterWith = (fiber: Fiber.Fiber<unknown, unknown>, listener: Emit | undefined): Emit | undefined => {
  if (listener === undefined && spanOf(fiber) === undefined) return undefined
  return (event) => {
    listener?.(event)
    spanEmit(fiber, event)
  }
}
