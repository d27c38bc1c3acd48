// Checks of options. Each returns the checked value, in milliseconds where it is a duration, or throws InvalidOption.
import * as Duration from "effect/Duration"
import { InvalidOption } from "../InvalidOption.ts"

export const invalid = (option: string, value: unknown, allowed: string): never => {
  throw new InvalidOption({ option, value, allowed })
}

/** A bad option says of which service it is. */
export const naming = (id: string, defect: unknown): unknown =>
  defect instanceof InvalidOption
    ? new InvalidOption({ option: `${id}: ${defect.option}`, value: defect.value, allowed: defect.allowed })
    : defect

/** What `check` returns; if it refuses an option, in the name of a service. */
export const named = <A>(id: string, check: () => A): A => {
  try {
    return check()
  } catch (defect) {
    throw naming(id, defect)
  }
}

const inRange = (value: number, min: number, max: number) => value >= min && value <= max

/** A whole number in [min, max]. */
export const integer = (option: string, value: number, min: number, max = Number.MAX_SAFE_INTEGER): number =>
  Number.isInteger(value) && inRange(value, min, max)
    ? value
    : invalid(
        option,
        value,
        max === Number.MAX_SAFE_INTEGER ? `a whole number of at least ${min}` : `a whole number from ${min} to ${max}`
      )

/** A finite number in [min, max]. */
export const finite = (option: string, value: number, min: number, max = Number.POSITIVE_INFINITY): number =>
  Number.isFinite(value) && inRange(value, min, max)
    ? value
    : invalid(
        option,
        value,
        max === Number.POSITIVE_INFINITY ? `a number of at least ${min}` : `a number from ${min} to ${max}`
      )

/** A finite number above `min`. */
export const above = (option: string, value: number, min: number): number =>
  Number.isFinite(value) && value > min ? value : invalid(option, value, `a number above ${min}`)

/** A share in [0, 1], or in (0, 1] with `positive`. */
export const ratio = (option: string, value: number, bounds?: "positive"): number =>
  Number.isFinite(value) && value <= 1 && (bounds === "positive" ? value > 0 : value >= 0)
    ? value
    : invalid(option, value, bounds === "positive" ? "a number above 0 and at most 1" : "a number from 0 to 1")

/** A finite duration of 0 or more, in milliseconds. */
export const duration = (option: string, value: Duration.Input, bounds?: "positive"): number => {
  const ms = toMillis(option, value)
  return Number.isFinite(ms) && (bounds === "positive" ? ms > 0 : ms >= 0)
    ? ms
    : invalid(option, value, bounds === "positive" ? "a finite duration above 0" : "a finite duration of 0 or more")
}

const toMillis = (option: string, value: Duration.Input): number => {
  if (hasNaN(value)) return invalid(option, value, "a duration of 0 or more")
  return Duration.toMillis(decoded(option, value))
}

/** Any duration at all. */
const decoded = (option: string, value: Duration.Input): Duration.Duration => {
  const decoded = Duration.fromInput(value)
  return decoded._tag === "Some"
    ? decoded.value
    : invalid(option, value, 'a duration, such as "2 seconds", 2000 (milliseconds) or Duration.seconds(2)')
}

/**
 * When to come back, as a server says it, which may say anything: what could not be read as a number is no hint, and a moment that has
 * passed is now. What is no duration at all comes from the program, and is refused.
 */
export const hint = (option: string, value: Duration.Input | undefined): Duration.Duration | undefined =>
  value === undefined || hasNaN(value) ? undefined : Duration.max(decoded(option, value), Duration.zero)

/** `Duration` decodes NaN, alone or in a part, as zero. */
const hasNaN = (value: unknown): boolean =>
  typeof value === "number"
    ? Number.isNaN(value)
    : typeof value === "object" &&
      value !== null &&
      !Duration.isDuration(value) &&
      Object.values(value).some(Number.isNaN)

/** A name: a string with at least one character that is not white space. */
export const name = (option: string, value: string): string =>
  typeof value === "string" && value.trim() !== "" ? value : invalid(option, value, "a non-empty string")
