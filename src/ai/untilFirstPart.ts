// A policy around the beginning of a stream.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Array } from "effect"
import type { Accepted, Args, ErrorOf, Flat, OptionsOf, PolicyLike, ServicesOf } from "../internal/policyTypes.ts"
import { withResilience } from "../Policy.ts"

/** A stream that has begun: what it has said up to the first part that says anything, and the way to the rest, if there is one. */
interface Begun {
  readonly first: ReadonlyArray<unknown>
  readonly next: Parts | undefined
}

type Parts = Pull.Pull<Array.NonEmptyReadonlyArray<unknown>, unknown, void, unknown>

/** What comes ahead of an answer, and says nothing of it yet. */
const ahead: ReadonlySet<unknown> = new Set(["response-metadata", "text-start", "reasoning-start", "tool-params-start"])

const isAhead = (part: unknown): boolean =>
  typeof part === "object" && part !== null && "type" in part && ahead.has(part.type)

/**
 * What can come out of a stream that begins by policy `P`: what comes out of a call of the policy, and after the first part the stream's
 * own errors as they are.
 *
 * @since 0.1.0
 * @category type-level
 */
export type StreamError<P, E> = Flat<ErrorOf<OptionsOf<P>, E> | E>

/**
 * Runs the beginning of a stream, up to its first part, as one call of a policy: data-first or data-last. Each attempt opens the stream
 * anew; the first that yields a part is the one that goes on. What a model sends ahead of its answer (`response-metadata`, and the
 * `-start` of a text, of reasoning or of a tool's parameters) is not a first part yet, and is held back until there is one.
 *
 * After that nothing is retried, and no error is changed: what was delivered cannot be taken back, and no provider goes on in the
 * middle of an answer. A stream that is cut fails with its own error, and it is up to you whether half an answer is of use.
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
    self: Stream.Stream<A, E, R> & Accepted<OptionsOf<P>, E>
  ) => Stream.Stream<A, StreamError<P, E>, ServicesOf<OptionsOf<P>, R>>
  <A, E, R, P extends PolicyLike<unknown>>(
    self: Stream.Stream<A, E, R>,
    policy: P & Accepted<OptionsOf<P>, E>,
    ...call: Args<OptionsOf<P>>
  ): Stream.Stream<A, StreamError<P, E>, ServicesOf<OptionsOf<P>, R>>
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

const firstOf = (next: Parts, held: ReadonlyArray<unknown>): Effect.Effect<Begun, unknown, unknown> =>
  Pull.matchEffect(next, {
    onSuccess: (parts) => {
      const first = [...held, ...parts]
      return parts.every(isAhead) ? firstOf(next, first) : Effect.succeed({ first, next })
    },
    onFailure: (cause) => Effect.failCause(cause),
    onDone: () => Effect.succeed({ first: held, next: undefined })
  })

const rest = ({ first, next }: Begun): AnyStream => {
  const begun = Stream.fromArray(first)
  return next === undefined ? begun : Stream.concat(begun, Stream.fromPull(Effect.succeed(next)))
}
