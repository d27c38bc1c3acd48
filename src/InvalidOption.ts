/**
 * The one error for a bad option. Constructors throw it, layers die with it; it never reaches an error channel, because a
 * wrong option is a mistake in the program and not something that happens to a call.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/**
 * Says which option was refused, which value it had and which values are allowed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOption
  extends /*#__PURE__*/ Data.TaggedError("InvalidOption")<{
    readonly option: string
    readonly value: unknown
    readonly allowed: string
  }>
{
  override get message(): string {
    return `${this.option} must be ${this.allowed}, but it is ${print(this.value)}`
  }
}

/** A longer value is cut: the reader is to know which one it is, not all that is in it. */
const longest = 200

const print = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  const words = inWords(value)
  if (words !== undefined) return words
  if (typeof value !== "object" || value === null) return String(value)
  try {
    const json = JSON.stringify(value, readable) ?? String(value)
    return json.length > longest ? `${json.slice(0, longest)}…` : json
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/** What has nothing to read inside it, but Effect's own parts or code. */
const inWords = (value: unknown): string | undefined => {
  if (typeof value === "function") {
    const kind = /^class\b/.test(Function.prototype.toString.call(value)) ? "class" : "function"
    return value.name === "" ? `a ${kind}` : `the ${kind} ${value.name}`
  }
  if (Schedule.isSchedule(value)) return "a Schedule"
  return Effect.isEffect(value) && !(value instanceof Error) ? "an Effect" : undefined
}

function readable(this: Readonly<Record<string, unknown>>, key: string, part: unknown): unknown {
  // what is inside may have turned itself into JSON already
  const words = inWords(this[key])
  if (words !== undefined) return words
  // JSON has no word for NaN and Infinity
  return typeof part === "number" && !Number.isFinite(part) ? String(part) : part
}
