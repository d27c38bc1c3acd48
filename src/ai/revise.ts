// Asking a model again, but differently.
import { isAiError } from "effect/ai/AiError"
import type {
  AiError,
  InvalidOutputError,
  StructuredOutputError,
  ToolNotFoundError,
  ToolParameterValidationError
} from "effect/ai/AiError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Option } from "effect"
import * as Attempt from "../Attempt.ts"
import { transient } from "../Fault.ts"
import { verdictSymbol } from "../internal/marker.ts"

/**
 * What can be wrong with what a model has said: text where an object was asked for, an object that is not the one asked for, a tool that
 * there is not, or parameters that a tool does not take.
 *
 * @since 0.1.0
 * @category models
 */
export type Malformation = InvalidOutputError | StructuredOutputError | ToolNotFoundError | ToolParameterValidationError

const malformations: ReadonlySet<string> = new Set<Malformation["_tag"]>([
  "InvalidOutputError",
  "StructuredOutputError",
  "ToolNotFoundError",
  "ToolParameterValidationError"
])

const isMalformation = (reason: AiError["reason"]): reason is Malformation => malformations.has(reason._tag)

/**
 * A model has answered, and the answer cannot be used; and the next attempt will ask differently. Only {@link revise} makes it. It is
 * transient, and the provider is well.
 *
 * @since 0.1.0
 * @category errors
 */
export class MalformedOutput extends Data.TaggedError("MalformedOutput")<{
  /** What is wrong with it. */
  readonly reason: Malformation
  readonly cause: AiError
}> {
  get [verdictSymbol]() {
    return transient({ health: "ok" })
  }

  /** What is wrong with it, in words that a model can be told. */
  get problem(): string {
    return this.reason.message
  }

  /** What the model said, where Effect has kept it: an object that was asked for and cannot be decoded. */
  get answer(): string | undefined {
    return this.reason._tag === "StructuredOutputError" ? this.reason.responseText : undefined
  }

  override get message(): string {
    return `the model's answer cannot be used: ${this.problem}`
  }
}

/**
 * Makes an effect that asks a model differently on each attempt: `ask` is told what was wrong with the latest answer of this call; on the
 * first attempt, nothing was. When the answer cannot be used again, the effect fails with {@link MalformedOutput}, which
 * {@link faults} retries. All other errors stay what they are.
 *
 * ```ts
 * import { Effect, Option, Schema } from "effect"
 * import { LanguageModel } from "effect/ai"
 * import { Backoff, Policy, withResilience } from "effect-resilience"
 * import * as Ai from "effect-resilience/ai"
 *
 * const extraction = Policy.make({
 *   name: "invoice.extract",
 *   faults: Ai.faults,
 *   safety: "idempotent",
 *   retry: Backoff.immediateFirst(Backoff.exponential({ base: "1 second" })).pipe(Backoff.times(2))
 * })
 *
 * const extract = (invoice: string) =>
 *   Ai.revise((malformed) =>
 *     LanguageModel.generateObject({
 *       prompt: Option.match(malformed, {
 *         onNone: () => `The total of this invoice: ${invoice}`,
 *         onSome: ({ answer, problem }) => `The total of this invoice: ${invoice}. You said ${answer}, but ${problem}.`
 *       }),
 *       schema: Schema.Struct({ total: Schema.Number })
 *     })
 *   ).pipe(withResilience(extraction))
 * ```
 *
 * Put it directly under the policy that retries: an attempt knows only of the failures of the innermost call around it. What is wrong
 * with an answer by your own rules is an error of your own: say that it is transient, and read it with `Attempt.lastError`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const revise = <A, E, R>(
  ask: (malformed: Option.Option<MalformedOutput>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | MalformedOutput, R> =>
  Effect.mapError(Effect.flatMap(Attempt.lastError(MalformedOutput), ask), (error): E | MalformedOutput =>
    isAiError(error) && isMalformation(error.reason)
      ? new MalformedOutput({ reason: error.reason, cause: error })
      : error
  )
