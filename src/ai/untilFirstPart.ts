// A policy around the beginning of a stream.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Array as Arr } from "effect"
import type { AiError } from "effect/ai/AiError"
import { isPart } from "effect/ai/Response"
import type { ErrorPart } from "effect/ai/Response"
import type { Accepted, Args, ErrorOf, Flat, OptionsOf, PolicyLike, ServicesOf } from "../internal/policyTypes.ts"
import { withResilience } from "../Policy.ts"
import { errorOf } from "./errorPart.ts"

/** A stream that has begun: what it has said up to the first part that says anything, and the way to the rest, if there is one. */
interface Begun {
  readonly first: ReadonlyArray<unknown>
  readonly next: Parts | undefined
}

type Parts = Pull.Pull<Arr.NonEmptyReadonlyArray<unknown>, unknown, void, unknown>

/** What comes ahead of an answer, and says nothing of it yet: also an end, where nothing was said before it. */
const ahead: ReadonlySet<unknown> = new Set([
  "response-metadata",
  "text-start",
  "text-end",
  "reasoning-start",
  "reasoning-end",
  "tool-params-start",
  "tool-params-end"
])

const isAhead = (part: unknown): boolean =>
  typeof part === "object" &&
  part !== null &&
  "type" in part &&
  // OpenAI's chat begins with a delta that is empty
  (ahead.has(part.type) || ("delta" in part && part.delta === ""))

const isError = (part: unknown): part is ErrorPart => isPart(part) && part.type === "error"

/** How an attempt can fail. */
type Given<A, E> = E | (ErrorPart extends A ? AiError : never)

/**
 * What can come out of a stream of `A` that begins by policy `P`: what comes out of a call of the policy, and after the first part the
 * stream's own errors as they are. If error parts are among `A`, such a call can fail with an `AiError`.
 *
 * @since 0.1.0
 * @category type-level
 */
export type StreamError<P, E, A = never> = Flat<ErrorOf<OptionsOf<P>, Given<A, E>> | E>

/**
 * Runs the beginning of a stream, up to its first part, as one call of a policy: data-first or data-last. Each attempt opens the stream
 * anew; the first that yields a part is the one that goes on. What a model sends ahead of its answer (`response-metadata`, the `-start`
 * and `-end` of a text, of reasoning or of a tool's parameters, a delta that is empty) is not a first part yet, and is held back until
 * there is one; then it comes out before that.
 *
 * An `error` part ahead of an answer is not one either: the attempt fails with an `AiError`. Providers say so that they are overloaded where
 * the response has begun with a 200. What went wrong is told by the `code`, `type` or `status` that came with it:
 *
 * | what Anthropic, OpenAI, Google and OpenRouter say | reason |
 * |---|---|
 * | `rate_limit_error`, `rate_limit_exceeded`, `slow_down`, `RESOURCE_EXHAUSTED`, 429 | `RateLimitError` |
 * | `insufficient_quota`, `billing_error`, `quota_exceeded`, 402 | `QuotaExhaustedError` |
 * | `authentication_error`, `permission_error`, `invalid_api_key`, 401, 403 | `AuthenticationError` |
 * | `content_policy_violation`, `content_filter` | `ContentPolicyError` |
 * | `invalid_request_error`, `not_found_error`, `context_length_exceeded`, any other 4xx | `InvalidRequestError` |
 * | `overloaded_error`, `api_error`, `server_error`, `UNAVAILABLE`, 408, any 5xx | `InternalProviderError` |
 * | anything else | `InternalProviderError`, so transient: what is wrong with a request is said before a stream begins |
 *
 * After the first part nothing is retried, and no error is changed, be it a failure or a part: what was delivered cannot be taken back,
 * and no provider goes on in the middle of an answer. A stream that is cut fails with its own error, and it is up to you whether half an
 * answer is of use.
 *
 * - `attemptTimeout` is the time to the first part, and `deadline` is for the beginning only. A stream that falls silent
 *   afterwards is a matter for `Stream.timeout`.
 * - A guard learns how the stream began, not how it ended; a bulkhead's slot is free again with the first part.
 *
 * With an `ExecutionPlan`, say `preventFallbackOnPartialStream`. Without it, Effect's plan goes on with another provider in the middle of
 * an answer, and the consumer gets half of one and then another:
 *
 * ```ts
 * import { ExecutionPlan, Layer, Stream } from "effect"
 * import { LanguageModel } from "effect/ai"
 * import { Policy } from "effect-resilience"
 * import * as Ai from "effect-resilience/ai"
 *
 * declare const openai: Layer.Layer<LanguageModel.LanguageModel>
 * declare const anthropic: Layer.Layer<LanguageModel.LanguageModel>
 *
 * const chat = Policy.make({
 *   name: "chat",
 *   ...Ai.patience,
 *   faults: Ai.faults,
 *   safety: "idempotent",
 *   attemptTimeout: "15 seconds"
 * })
 *
 * const plan = ExecutionPlan.make({ provide: openai }, { provide: anthropic, while: Ai.failsOver })
 *
 * const reply = (prompt: string) =>
 *   LanguageModel.streamText({ prompt }).pipe(
 *     Ai.untilFirstPart(chat),
 *     Stream.withExecutionPlan(plan, { preventFallbackOnPartialStream: true })
 *   )
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const untilFirstPart: {
  <P extends PolicyLike<unknown>>(
    policy: P,
    ...call: Args<OptionsOf<P>>
  ): <A, E, R>(
    self: Stream.Stream<A, E, R> & Accepted<OptionsOf<P>, Given<A, E>>
  ) => Stream.Stream<A, StreamError<P, E, A>, ServicesOf<OptionsOf<P>, R>>
  <A, E, R, P extends PolicyLike<unknown>>(
    self: Stream.Stream<A, E, R>,
    policy: P & Accepted<OptionsOf<P>, Given<A, E>>,
    ...call: Args<OptionsOf<P>>
  ): Stream.Stream<A, StreamError<P, E, A>, ServicesOf<OptionsOf<P>, R>>
} = ((first: unknown, second: unknown, third: unknown) =>
  Stream.isStream(first) ? bind(second, third)(first as AnyStream) : bind(first, second)) as never

type AnyStream = Stream.Stream<unknown, unknown, unknown>

const bind = (policy: unknown, call: unknown): ((self: AnyStream) => AnyStream) => {
  const resilient = withResilience(policy as PolicyLike<{}>, call as never)
  return (self) =>
    Stream.unwrap(Effect.flatMap(Effect.scope, (scope) => Effect.map(resilient(attempt(self, scope)), rest)))
}

/** What an attempt has opened is closed with it, unless it is the one that goes on: then with the stream. */
const attempt = (self: AnyStream, scope: Scope.Scope): Effect.Effect<Begun, unknown, unknown> =>
  Effect.flatMap(Scope.fork(scope), (own) =>
    Effect.onExit(begin(self, own), (exit) => (Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit)))
  )

const begin = (self: AnyStream, scope: Scope.Scope): Effect.Effect<Begun, unknown, unknown> =>
  Effect.flatMap(Scope.provide(Stream.toPull(self), scope), (next) => firstOf(next as Parts, []))

const firstOf = (next: Parts, held: Array<unknown>): Effect.Effect<Begun, unknown, unknown> =>
  Pull.matchEffect(next, {
    onSuccess: (parts) => {
      const index = parts.findIndex((part) => !isAhead(part))
      const first = parts[index]
      if (isError(first)) return Effect.fail(errorOf(first))
      for (const part of parts) held.push(part)
      return index === -1 ? firstOf(next, held) : Effect.succeed({ first: held, next })
    },
    onFailure: (cause) => Effect.failCause(cause),
    onDone: () => Effect.succeed({ first: held, next: undefined })
  })

const rest = ({ first, next }: Begun): AnyStream => {
  const begun = Stream.fromArray(first)
  return next === undefined ? begun : Stream.concat(begun, Stream.fromPull(Effect.succeed(next)))
}
