// Asking a language model again with the very same prompt mostly buys the very same mistake. So an attempt reads what was wrong
// with the one before, and asks differently; and three budgets bound what all that asking may cost.
//
//   node --conditions=effect-resilience-source examples/08-llm-changing-prompt.ts
import { Console, Data, Effect, Option } from "effect"
import { Attempt, Backoff, Fault, Policy, RetryBudget, withResilience } from "effect-resilience"

class Overloaded extends Data.TaggedError("Overloaded")<{}> {}
class BadOutput extends Data.TaggedError("BadOutput")<{ readonly answer: string; readonly problem: string }> {}

// The budget of a user: three retries, and one more every ten seconds. Keyed, so a call must say for whom it is.
class PerUser extends RetryBudget.Service<PerUser>()(
  "app/PerUser",
  RetryBudget.fixedRate({ perSecond: 0.1, burst: 3 }),
  { keys: { max: 10_000, idleTimeToLive: "1 hour" } }
) {}

// Two layers, because there are two kinds of failure. The transport: the same prompt again, after a pause. It has to be the inner
// one, so that a pause in the transport does not make the outer one forget what was wrong with the content.
const transport = Policy.make({
  name: "model.complete",
  faults: Fault.byTag<Overloaded>()({ Overloaded: "throttled" }),
  safety: "idempotent",
  retry: Backoff.exponential({ base: "5 millis" }).pipe(Backoff.fullJitter, Backoff.times(2))
})

// The content: at once, but with another prompt, and at most twice for one operation.
const content = Policy.make({
  name: "invoice.total",
  faults: Fault.tags({ transient: ["BadOutput"] }),
  safety: "idempotent",
  retry: Backoff.constant(0).pipe(Backoff.times(2)),
  budget: PerUser
})

// A stand-in for a model: overloaded at first, careless by nature, better when told; nothing helps it with a smudged invoice.
const prompts: Array<string> = []
let requests = 0

const complete = (prompt: string): Effect.Effect<string, Overloaded> =>
  Effect.suspend(() => {
    if (++requests === 1) return Effect.fail(new Overloaded())
    prompts.push(prompt)
    if (prompt.includes("smudged")) return Effect.succeed(`roughly ${prompt.length}`)
    return Effect.succeed(prompt.includes("not a number") ? "42.50" : "about forty")
  })

const extractTotal = Effect.fn("extractTotal")(function* (invoice: string) {
  // `Option<BadOutput>`: none in the first attempt
  const last = yield* Attempt.lastError(BadOutput)
  const prompt = Option.match(last, {
    onNone: () => `The total of ${invoice}, please.`,
    onSome: ({ answer, problem }) => `The total of ${invoice}, please. You said "${answer}", but ${problem}.`
  })
  const answer = yield* complete(prompt).pipe(withResilience(transport))
  const total = Number(answer)
  return Number.isFinite(total) ? total : yield* new BadOutput({ answer, problem: "that is not a number" })
})

// Two different ends: the model is away, or it never got it right.
const totalFor = (
  user: string,
  invoice: string
): Effect.Effect<number, Policy.RetryExhausted<Overloaded> | Policy.RetryExhausted<BadOutput>, PerUser> =>
  extractTotal(invoice).pipe(withResilience(content, { key: user }))

const show = (user: string, invoice: string) =>
  totalFor(user, invoice).pipe(
    Effect.matchEffect({
      onSuccess: (total) => Console.log(`  ${invoice} for ${user}: ${total.toFixed(2)}`),
      onFailure: ({ attempts, deniedBy, reason }) =>
        Console.log(
          `  ${invoice} for ${user}: no total; attempts: ${attempts}, reason: ${reason}${deniedBy === undefined ? "" : ` of ${deniedBy}`}`
        )
    })
  )

const program = Effect.gen(function* () {
  yield* Console.log("the model is told what was wrong, and gets it right")
  yield* show("ada", "invoice 1")
  for (const prompt of prompts) yield* Console.log(`    > ${prompt}`)
  yield* Console.log(`    requests: ${requests}, because the first found the model overloaded`)

  yield* Console.log("the operation gives up: two retries at most, and no prompt was sent twice")
  prompts.length = 0
  yield* show("ada", "a smudged invoice")
  yield* Console.log(`    prompts: ${prompts.length}, different ones: ${new Set(prompts).size}`)

  yield* Console.log("ada has used up her retries; bob has his own")
  yield* show("ada", "invoice 2")
  yield* show("bob", "invoice 2")

  yield* Console.log("a task may retry twice in all, whatever its users still have")
  yield* Effect.forEach(["carl", "dora", "eve"], (user) => show(user, "invoice 3")).pipe(
    RetryBudget.task({ maxRetries: 2, name: "nightly import" })
  )
  const left = yield* PerUser.snapshots
  yield* Console.log(`  left: ${left.map(({ balance, key }) => `${key} ${Math.floor(balance)}`).join(", ")}`)
})

await Effect.runPromise(program.pipe(Effect.provide(PerUser.layer)))
