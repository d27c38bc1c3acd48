// Asking a model again, but differently.
import { isAiError } from "effect/ai/AiError"
import * as Effect from "effect/Effect"
import type { Option } from "effect"
import * as Attempt from "../Attempt.ts"
import { isMalformation, MalformedOutput } from "./malformedOutput.ts"

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
