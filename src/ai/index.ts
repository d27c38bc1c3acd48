/**
 * Effect's `LanguageModel` under a policy: which failures pass, what may be asked again, and when to go to another provider.
 *
 * Everything a call of a model may cost is bounded by something, and each bound has its place:
 *
 * | bound | said by |
 * |---|---|
 * | one call | the policy: {@link patience} |
 * | one task, whatever it calls | `RetryBudget.task({ maxRetries: 10 })` around it |
 * | one user | a keyed `RetryBudget.Service` in the policy |
 * | one provider that is down | a keyed `CircuitBreaker.Service` in the policy: the key is the provider's name |
 * | all providers | an `ExecutionPlan`: each step runs once, if {@link failsOver} says that it may help |
 *
 * ```ts
 * import { Effect, ExecutionPlan, Layer } from "effect"
 * import { LanguageModel, Model } from "effect/ai"
 * import { CircuitBreaker, Policy, RetryBudget, withResilience } from "effect-resilience"
 * import * as Ai from "effect-resilience/ai"
 *
 * class Providers extends CircuitBreaker.Service<Providers>()("app/Providers", {
 *   trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: "1 minute" }),
 *   keys: { max: 10, idleTimeToLive: "1 hour" }
 * }) {}
 *
 * class PerUser extends RetryBudget.Service<PerUser>()(
 *   "app/PerUser",
 *   RetryBudget.fixedRate({ perSecond: 0.1, burst: 5 }),
 *   { keys: { max: 10_000, idleTimeToLive: "1 hour" } }
 * ) {}
 *
 * const completion = Policy.make({
 *   name: "model.complete",
 *   ...Ai.patience,
 *   faults: Ai.faults,
 *   safety: "idempotent",
 *   guards: [Providers],
 *   budget: PerUser
 * })
 *
 * declare const openai: Layer.Layer<LanguageModel.LanguageModel>
 * declare const anthropic: Layer.Layer<LanguageModel.LanguageModel>
 *
 * const plan = ExecutionPlan.make(
 *   { provide: Model.make("openai", "gpt-5", openai) },
 *   { provide: Model.make("anthropic", "claude-sonnet-4-5", anthropic), while: Ai.failsOver }
 * )
 *
 * const complete = Effect.fnUntraced(function* (user: string, prompt: string) {
 *   const provider = yield* Model.ProviderName
 *   return yield* LanguageModel.generateText({ prompt }).pipe(
 *     withResilience(completion, { key: { "app/Providers": provider, "app/PerUser": user } })
 *   )
 * }, Effect.withExecutionPlan(plan))
 * ```
 *
 * The policy stands inside the plan, so that every provider has its own attempts and its own circuit, and an open circuit moves on to the next
 * provider without a request. To go to another provider is a first attempt there, not a retry: no budget is asked for it.
 *
 * A plan builds the layer of a step anew for each call. Where that is expensive, or where the layer holds state, build it once and
 * provide the `Context`. The layers of the breaker and the budget belong around the plan, never in a step.
 *
 * - {@link faults} gives the verdict on an `AiError`. Malformed output is permanent in it, although Effect calls it retryable.
 * - {@link revise} is the way to ask again all the same: differently.
 * - {@link untilFirstPart} puts a policy around the beginning of a stream, which is all that can be retried of one.
 *
 * Errors of `EmbeddingModel` and `DecisionModel` are `AiError`s too.
 *
 * @since 0.1.0
 */
export { failsOver } from "./failsOver.ts"
export { faults } from "./faults.ts"
export { MalformedOutput, type Malformation } from "./malformedOutput.ts"
export { patience } from "./patience.ts"
export { revise } from "./revise.ts"
export { untilFirstPart, type StreamError } from "./untilFirstPart.ts"
