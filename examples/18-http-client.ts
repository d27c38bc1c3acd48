// Effect's HTTP client under a policy: which responses are failures, what may be sent again, and how long a server asks to be left alone, is
// known by itself.
//
//   node --conditions=effect-resilience-source examples/18-http-client.ts
import { NodeHttpClient } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { HttpClient } from "effect/http"
import { Policy } from "effect-resilience"
import * as Http from "effect-resilience/http"
import { flakyServer } from "./support/flakyServer.ts"

// The ten lines: a policy with retries, a budget, a breaker and a deadline, and a client of which every request is a call of it.
class Quotes extends Policy.Standard<Quotes>()("quotes", { safety: "idempotent" }) {}

const quotes = Effect.map(HttpClient.HttpClient, Http.resilient(Quotes))

const getQuote = Effect.fn("getQuote")(function* (url: string) {
  const client = yield* quotes
  const response = yield* client.get(url)
  return yield* response.text
})

const program = Effect.gen(function* () {
  const server = yield* flakyServer

  yield* Console.log("a 503, then a connection that is cut, then a quote")
  yield* Console.log(`  -> ${yield* getQuote(`${server}/quotes/EUR`)}`)

  yield* Console.log("a 429, which says when to come back")
  yield* Console.log(`  -> ${yield* getQuote(`${server}/quotes/GBP`)}`)

  // What comes out is typed: HttpClientError is permanent, all else is one of this library's errors.
  yield* Console.log("a 404 is an answer: it is not asked for again, and its body can be read")
  const missing = getQuote(`${server}/quotes/ZZZ`).pipe(
    Effect.catchTag("HttpClientError", (error) => error.response?.text ?? Effect.succeed(error.message)),
    Policy.catchUnavailable((error) => Effect.succeed(`not now: ${error.message}`))
  )
  yield* Console.log(`  -> ${yield* missing}`)

  yield* Console.log("a POST that is cut may have had its effect: without a key it is not sent again")
  const client = yield* quotes
  const error = yield* Effect.flip(client.post(`${server}/orders`))
  yield* Console.log(`  -> ${error._tag === "RetryExhausted" ? `${error._tag}: ${error.deniedBy}` : error._tag}`)
})

// One layer for all requests: the breaker and the budget are in it.
await Effect.runPromise(
  program.pipe(Effect.scoped, Effect.provide(Layer.merge(NodeHttpClient.layerUndici, Quotes.layer)))
)
