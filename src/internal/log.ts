// Turns events into log lines: none for what is healthy, few for what is not.
import * as Cause from "effect/Cause"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import { print } from "./errors.ts"
import type { Event } from "./events.ts"

interface Line {
  readonly level: LogLevel.LogLevel
  /** Lines of the same kind are those that a flood would consist of. */
  readonly kind: string
  readonly text: string
}

/** A flood of lines of one kind comes down to one line in this time. */
export const QUIET_MS = 1000

/** The most kinds it remembers. */
export const MAX_KINDS = 1000

const attempts = (n: number): string => (n === 1 ? "1 attempt" : `${n} attempts`)

/** What to say of an event, and how loudly. `undefined`: nothing. */
const describe = (event: Event): Line | undefined => {
  const line = (level: LogLevel.LogLevel, of: ReadonlyArray<string>, text: string): Line => ({
    level,
    kind: JSON.stringify([event._tag, ...of]),
    text
  })
  switch (event._tag) {
    case "RetryScheduled":
      return line(
        "Debug",
        [event.policy, event.error],
        `${event.policy}: attempt ${event.attempt} follows in ${print(event.delay)}, after ${event.error}`
      )
    case "RetryDenied":
      return line(
        "Debug",
        [event.policy, event.error, event.reason],
        `${event.policy}: no retry after ${event.error} in attempt ${event.attempt} (${event.reason}${event.deniedBy === undefined ? "" : `, ${event.deniedBy}`})`
      )
    case "HedgeStarted":
      return line(
        "Debug",
        [event.policy],
        `${event.policy}: attempt ${event.attempt} started beside the first, which has taken ${print(event.after)} so far`
      )
    case "HedgeDenied":
      return line(
        "Debug",
        [event.policy, event.reason],
        `${event.policy}: no hedge (${event.reason}, ${event.deniedBy})`
      )
    case "GuardRejected":
      return line(
        "Debug",
        [event.policy, event.guard, event.reason],
        `${event.policy}: attempt ${event.attempt} refused by ${event.guard} (${event.reason})`
      )
    case "DeadlinePassed":
      return line(
        "Debug",
        [event.name ?? ""],
        `${event.name ?? "a deadline"}: not done after ${print(event.after)}${event.reserved === undefined ? "" : `, ${print(event.reserved)} being reserved`}`
      )
    case "CallRecovered":
      return line(
        "Info",
        [event.policy, event.error],
        `${event.policy}: succeeded after ${attempts(event.attempts)} and ${print(event.elapsed)}, the last failure being ${event.error}`
      )
    case "CallFailed":
      // Its caller gave it up
      if (event.error === "Interrupted") return undefined
      return line(
        "Warn",
        [event.policy, event.error, event.lastError ?? ""],
        `${event.policy}: failed with ${event.error} after ${attempts(event.attempts)} and ${print(event.elapsed)}${event.lastError === undefined ? "" : `, the last failure being ${event.lastError}`}`
      )
    case "CircuitChanged":
      return line(
        event.to === "open" || event.to === "isolated" ? "Warn" : "Info",
        [event.breaker, event.to],
        `${event.breaker}: the circuit went from ${event.from} to ${event.to}`
      )
    case "FallbackServed":
      return line(
        "Info",
        [event.name, event.source],
        `${event.name}: answered ${event.error} with ${event.age === undefined ? "a substitute" : `a value ${print(event.age)} old`}`
      )
    case "ChaosInjected": {
      const what = event.error ?? (event.delay === undefined ? undefined : print(event.delay))
      return line(
        "Info",
        [event.policy, event.injection],
        `${event.policy}: injected into attempt ${event.attempt} by Chaos: ${event.injection}${what === undefined ? "" : ` (${what})`}`
      )
    }
    case "CallStarted":
    case "AttemptSucceeded":
    case "AttemptFailed":
    case "CallSucceeded":
    case "BudgetChanged":
      return undefined
  }
}

/**
 * Logs with the loggers, level, annotations and span of the fiber in which the event happens: in its log line a failed call
 * can be told from the others. `home` stands in where an event happens outside of any fiber.
 */
export const logger = (home: Fiber.Fiber<unknown, unknown>): ((event: Event) => void) => {
  const heard = new Map<string, { readonly at: number; suppressed: number }>()

  /** How many lines of this kind were left out since the last one, or `undefined` to leave this one out too. */
  const admit = (kind: string, at: number): number | undefined => {
    const last = heard.get(kind)
    // A wall clock that steps back must not silence anything
    if (last !== undefined && Math.abs(at - last.at) < QUIET_MS) {
      last.suppressed++
      return undefined
    }
    heard.delete(kind)
    if (heard.size >= MAX_KINDS) heard.clear()
    heard.set(kind, { at, suppressed: 0 })
    return last?.suppressed ?? 0
  }

  return (event) => {
    const line = describe(event)
    if (line === undefined) return
    const fiber = Fiber.getCurrent() ?? home
    if (LogLevel.isGreaterThan(fiber.getRef(References.MinimumLogLevel), line.level)) return
    const suppressed = admit(line.kind, event.at)
    if (suppressed === undefined) return
    const message = [suppressed === 0 ? line.text : `${line.text} (and ${suppressed} more like it before)`, event]
    for (const logger of fiber.getRef(Logger.CurrentLoggers)) {
      logger.log({ cause: Cause.empty, fiber, date: new Date(event.at), logLevel: line.level, message })
    }
  }
}
