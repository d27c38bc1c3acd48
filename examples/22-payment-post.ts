// A payment is charged, and then the connection is cut before the answer is out. Whoever sends it again charges twice, and whoever does not
// never learns that it was charged: unless the request has a key, by which the server knows it again.
//
//   node --conditions=effect-resilience-source examples/22-payment-post.ts
import { NodeHttpClient } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { Backoff, Idempotency, Policy } from "effect-resilience"
import * as Http from "effect-resilience/http"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const options = {
  deadline: "5 seconds",
  attemptTimeout: "1 second",
  retry: Backoff.exponential({ base: "20 millis", cap: "1 second" }).pipe(Backoff.fullJitter, Backoff.times(3))
} as const

// 1. Without a key. The method says that it is not safe to repeat, although the policy would allow it.
const withoutKey = Policy.make({ name: "payments", safety: "idempotent", ...options })

// 2. With a key that is minted once for each call, and is the same on all of its attempts.
const withKey = Policy.make({ name: "payments", safety: Idempotency.key(Idempotency.uuid), ...options })

const payment = (amount: number) =>
  HttpClientRequest.post("/payments").pipe(HttpClientRequest.bodyJsonUnsafe({ amount, currency: "EUR" }))

// The other side: it charges, remembers the answer by the key, and cuts the first connection.
let charged: Array<number> = []
const answers = new Map<string, string>()
const server = createServer((request, response) => {
  let body = ""
  request.on("data", (chunk) => (body += chunk))
  request.on("end", () => {
    const key = request.headers["idempotency-key"] as string | undefined
    const known = key === undefined ? undefined : answers.get(key)
    if (known !== undefined) return response.end(known)
    charged.push((JSON.parse(body) as { readonly amount: number }).amount)
    const answer = `charge ${charged.length}: ${body}`
    if (key !== undefined) answers.set(key, answer)
    return charged.length === 1 ? request.socket.resetAndDestroy() : response.end(answer)
  })
})

const listening = Effect.acquireRelease(
  Effect.callback<string>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      resume(Effect.succeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
    })
  }),
  () =>
    Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    })
)

const program = Effect.gen(function* () {
  const origin = yield* listening
  const payments = HttpClient.mapRequest(yield* HttpClient.HttpClient, HttpClientRequest.prependUrl(origin))

  yield* Console.log("without a key: charged, but nobody here knows")
  const careful = payments.pipe(Http.resilient(withoutKey))
  const error = yield* Effect.flip(careful.execute(payment(100)))
  yield* Console.log(`  ${error.message.replace(/ in \S+;/, ";")}`)
  yield* Console.log(`  charged: ${charged}`)

  yield* Console.log("with a key: charged once, and the second attempt gets the answer of the first")
  charged = []
  const safe = payments.pipe(Http.resilient(withKey))
  const answer = yield* safe.execute(payment(100))
  yield* Console.log(`  ${yield* answer.text}`)
  yield* Console.log(`  charged: ${charged}`)

  // The best key is one that stands for what the user means to do, because it also covers a second press of the button, and a
  // process that was restarted. A key that the request has already is the one that counts.
  yield* Console.log("with a key of the user's own, pressed twice: still charged once")
  charged = []
  const order = payment(200).pipe(HttpClientRequest.setHeader("Idempotency-Key", '"order-4711"'))
  for (const press of [1, 2]) {
    const response = yield* safe.execute(order)
    yield* Console.log(`  press ${press}: ${yield* response.text}`)
  }
  yield* Console.log(`  charged: ${charged}`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici)))
