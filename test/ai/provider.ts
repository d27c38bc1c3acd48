// A provider on a loopback socket that speaks enough of a model API, and answers each request as the test says.
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Fiber, Layer } from "effect"
import type { Exit } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { createServer } from "node:http"
import type { ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export type Reply = (response: ServerResponse) => void

export const says =
  (content: string, finish_reason = "stop"): Reply =>
  (response) =>
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ choices: [{ message: { content }, finish_reason }] }))

export const refuses =
  (status: number, body: unknown, headers: Record<string, string> = {}): Reply =>
  (response) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))

export const throttles = (headers: Record<string, string> = {}): Reply =>
  refuses(429, { error: { message: "slow down", type: "requests", code: "rate_limit_exceeded" } }, headers)

export const overloaded = refuses(529, { error: { type: "overloaded_error", message: "Overloaded" } })

export const noMoney = refuses(429, { error: { message: "pay first", type: "insufficient_quota", code: null } })

export const badKey = refuses(401, { error: { message: "Incorrect API key", code: "invalid_api_key" } })

export const badRequest = refuses(400, { error: { message: "no such parameter" } })

/** What a proxy says in the provider's place. */
export const garbage: Reply = (response) => response.writeHead(200).end("<html>It works!</html>")

/** Takes the request, and says nothing. */
export const hangs: Reply = () => {}

/** Takes the request, and hangs up. */
export const hangsUp: Reply = (response) => response.destroy()

/** Half a response. */
export const breaksOff: Reply = (response) => {
  response.writeHead(200, { "content-length": "1000" })
  response.write('{"choices":[', () => response.destroy())
}

const data = (value: object) => `data: ${JSON.stringify(value)}\n\n`

const event = (content: string) => data({ choices: [{ delta: { content } }] })

const writeHead = (response: ServerResponse) => response.writeHead(200, { "content-type": "text/event-stream" })

export const streams =
  (...parts: ReadonlyArray<string>): Reply =>
  (response) =>
    writeHead(response).end(`${parts.map(event).join("")}data: [DONE]\n\n`)

/** Says these parts, and then that something went wrong: a 200 cannot be taken back. */
export const streamsError =
  (error: object, ...parts: ReadonlyArray<string>): Reply =>
  (response) =>
    writeHead(response).end(`${parts.map(event).join("")}${data({ error })}data: [DONE]\n\n`)

/** Says these parts, and hangs up in the middle of the stream. */
export const cutAfter =
  (...parts: ReadonlyArray<string>): Reply =>
  (response) => {
    writeHead(response)
    response.write(`: hello\n\n${parts.map(event).join("")}`, () => setImmediate(() => response.destroy()))
  }

/** Says these parts, and then nothing any more. */
export const silentAfter =
  (...parts: ReadonlyArray<string>): Reply =>
  (response) => {
    writeHead(response)
    response.write(`: hello\n\n${parts.map(event).join("")}`)
  }

export interface Provider {
  readonly url: string
  /** The prompts of all requests, in their order. */
  readonly prompts: Array<string>
}

/** Goes through the replies, one a request, and stays with the last. */
export const startProvider = (...replies: ReadonlyArray<Reply>) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly provider: Provider; readonly stop: () => void }>((resume) => {
      const server = createServer((request, response) => {
        let body = ""
        request.on("data", (chunk) => (body += chunk))
        request.on("end", () => {
          const { messages } = JSON.parse(body) as { messages: ReadonlyArray<{ content: string }> }
          provider.prompts.push(messages.map(({ content }) => content).join("\n"))
          replies[Math.min(provider.prompts.length, replies.length) - 1]!(response)
        })
      })
      let provider: Provider
      server.listen(0, "127.0.0.1", () => {
        provider = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, prompts: [] }
        const stop = () => {
          server.closeAllConnections()
          server.close()
        }
        resume(Effect.succeed({ provider, stop }))
      })
    }),
    ({ stop }) => Effect.sync(stop)
  ).pipe(Effect.map(({ provider }) => provider))

/** A provider that is not there: the port was free a moment ago. */
export const noProvider = Effect.map(Effect.scoped(startProvider(hangs)), ({ url }) => url)

export const client: Layer.Layer<HttpClient.HttpClient> = NodeHttpClient.layerUndici

/** One turn of the event loop: what has come in from the sockets is dealt with. */
const turn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/**
 * Runs an effect that talks over sockets to its end. Between two turns of the event loop the TestClock goes on by a millisecond, so that
 * delays pass; what is sent over the loopback takes a few of these.
 */
export const throughSockets = Effect.fnUntraced(function* <A, E, R>(self: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(self, { startImmediately: true })
  for (let i = 0; i < 300_000; i++) {
    const exit: Exit.Exit<A, E> | undefined = fiber.pollUnsafe()
    if (exit !== undefined) return exit
    yield* turn
    yield* TestClock.adjust(1)
  }
  yield* Fiber.interrupt(fiber)
  return yield* Effect.die("the effect did not end")
})
