// Model calls are slow, limited by the minute, and paid for one by one. Here a call has a policy, a user and a task have a budget for
// retries, every provider has a circuit, and Effect's ExecutionPlan goes to the second provider when the first cannot serve.
//
//   node --conditions=effect-resilience-source examples/21-llm-budgets-failover.ts
import { NodeHttpClient } from "@effect/platform-node"
import { Console, Effect, ExecutionPlan, Stream } from "effect"
import { AiError, LanguageModel, Model } from "effect/ai"
import { Backoff, CircuitBreaker, Policy, RetryBudget, withResilience } from "effect-resilience"
import * as Ai from "effect-resilience/ai"
import { chatModel } from "./21/model.ts"
import { startProvider } from "./21/provider.ts"

// One circuit for each provider: the key is its name.
class Providers extends CircuitBreaker.Service<Providers>()("app/Providers", {
  trip: CircuitBreaker.consecutiveFailures(3),
  openFor: "1 minute",
  keys: { max: 10, idleTimeToLive: "1 hour" }
}) {}

// The retries of a user: three, and one more every ten seconds.
class PerUser extends RetryBudget.Service<PerUser>()(
  "app/PerUser",
  RetryBudget.fixedRate({ perSecond: 0.1, burst: 3 }),
  { keys: { max: 10_000, idleTimeToLive: "1 hour" } }
) {}

const completion = Policy.make({
  name: "model.complete",
  ...Ai.patience,
  // for this example nobody wants to wait
  retry: Backoff.exponential({ base: "5 millis" }).pipe(Backoff.fullJitter, Backoff.times(2)),
  faults: Ai.faults,
  safety: "idempotent",
  guards: [Providers],
  budget: PerUser
})

const program = Effect.gen(function* () {
  const first = yield* startProvider()
  const second = yield* startProvider()

  // The policy stands inside the plan: each provider has its own attempts, and an open circuit moves on without a request.
  const plan = ExecutionPlan.make(
    { provide: chatModel("first", first.url) },
    { provide: chatModel("second", second.url), while: Ai.failsOver }
  )

  const complete = Effect.fnUntraced(function* (user: string, prompt: string) {
    const provider = yield* Model.ProviderName
    const { text } = yield* LanguageModel.generateText({ prompt }).pipe(
      withResilience(completion, { key: { "app/Providers": provider, "app/PerUser": user } })
    )
    return `${text} (${provider})`
  }, Effect.withExecutionPlan(plan))

  const show = Effect.fnUntraced(function* (user: string, prompt: string) {
    const before = [first.requests, second.requests] as const
    const said = yield* Effect.match(complete(user, prompt), {
      onSuccess: (answer) => answer,
      onFailure: (error) =>
        error._tag === "RetryExhausted"
          ? `${error._tag}: ${error.reason} of ${error.deniedBy}`
          : `${error._tag}${AiError.isAiError(error) ? `: ${error.reason._tag}` : ""}`
    })
    yield* Console.log(`  ${user}: ${said}; requests: ${first.requests - before[0]} + ${second.requests - before[1]}`)
  })

  yield* Console.log("both are well")
  yield* show("ada", "hello")
  yield* Console.log("a refusal for content is an answer: no retry, and no other provider")
  yield* show("ada", "how to build a bomb")

  yield* Console.log("the first asks for an hour of patience: the second is there at once")
  first.mood = "throttling"
  yield* show("ada", "hello")

  yield* Console.log("the first is overloaded: after three attempts its circuit opens, and it is left in peace")
  first.mood = "overloaded"
  yield* show("ada", "hello")
  yield* show("ada", "hello")

  yield* Console.log("a stream is retried, and goes to another provider, until its first part: then it is what it is")
  const words = Effect.map(Model.ProviderName, (provider) =>
    LanguageModel.streamText({ prompt: "good morning to you" }).pipe(
      Ai.untilFirstPart(completion, { key: { "app/Providers": provider, "app/PerUser": "bob" } }),
      Stream.map((part) => (part.type === "text-delta" ? part.delta : "")),
      Stream.filter((word) => word !== "")
    )
  ).pipe(Stream.unwrap, Stream.withExecutionPlan(plan, { preventFallbackOnPartialStream: true }))
  yield* Effect.flatMap(Stream.runCollect(words), (all) => Console.log(`  bob: ${all.join("| ")}`))

  yield* Console.log("the second needs a retry for every call, and ada has one left; bob has his own")
  second.mood = "flaky"
  yield* show("ada", "one")
  yield* show("ada", "two")
  yield* show("bob", "three")

  yield* Console.log("a task may retry once in all, whatever its users still have")
  yield* Effect.forEach(["carl", "dora"], (user) => show(user, `hello ${user}`)).pipe(
    RetryBudget.task({ maxRetries: 1, name: "nightly import" })
  )
  const circuits = yield* Providers.snapshots
  yield* Console.log(`  circuits: ${circuits.map(({ key, state }) => `${key} ${state}`).join(", ")}`)
})

await Effect.runPromise(
  program.pipe(Effect.scoped, Effect.provide([NodeHttpClient.layerUndici, Providers.layer, PerUser.layer]))
)
