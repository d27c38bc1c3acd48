/**
 * The one error for a bad option. Constructors throw it, layers die with it; it never reaches an error channel, because a
 * wrong option is a mistake in the program and not something that happens to a call.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * Says which option was refused, which value it had and which values are allowed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOption extends Data.TaggedError("InvalidOption")<{
  readonly option: string
  readonly value: unknown
  readonly allowed: string
}> {
  override get message(): string {
    return `${this.option} must be ${this.allowed}, but it is ${print(this.value)}`
  }
}

const print = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  if (typeof value === "object" && value !== null) {
    try {
      // JSON has no word for NaN and Infinity
      const readable = (_: string, part: unknown) =>
        typeof part === "number" && !Number.isFinite(part) ? String(part) : part
      return JSON.stringify(value, readable) ?? String(value)
    } catch {
      return Object.prototype.toString.call(value)
    }
  }
  return String(value)
}
