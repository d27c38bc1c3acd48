// A provider of a small model, on this machine. Its mood can be set.
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Schema } from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

export type Mood = "well" | "overloaded" | "flaky" | "throttling"

const Request = Schema.Struct({
  stream: Schema.Boolean,
  messages: Schema.Array(Schema.Struct({ content: Schema.String }))
})

const refuses = (status: number, code: string, headers: Record<string, string> = {}) =>
  HttpServerResponse.jsonUnsafe({ error: { code, message: code } }, { status, headers })

/** Says the prompt back, in capital letters; it does not talk about bombs. */
const reply = (prompt: string, isStream: boolean) => {
  const content = prompt.toUpperCase()
  if (isStream) {
    const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`
    const deltas = content.split(/(?<= )/).map((word) => event({ choices: [{ delta: { content: word } }] }))
    return HttpServerResponse.text(`${deltas.join("")}data: [DONE]\n\n`, { contentType: "text/event-stream" })
  }
  const finish_reason = prompt.includes("bomb") ? "content_filter" : "stop"
  return HttpServerResponse.jsonUnsafe({ choices: [{ message: { content }, finish_reason }] })
}

export const startProvider = Effect.fn("startProvider")(function* () {
  const http = yield* NodeHttpServer.make(createServer, {
    port: 0,
    host: "127.0.0.1",
    gracefulShutdownTimeout: "100 millis"
  })
  const provider = { url: HttpServer.formatAddress(http.address), mood: "well" as Mood, requests: 0 }
  /** Flaky is who serves no prompt the first time. */
  const known = new Set<string>()
  yield* http.serve(
    Effect.gen(function* () {
      provider.requests++
      const { messages, stream } = yield* HttpServerRequest.schemaBodyJson(Request)
      if (provider.mood === "overloaded") return refuses(529, "overloaded_error")
      if (provider.mood === "throttling") return refuses(429, "rate_limit_exceeded", { "retry-after": "3600" })
      const prompt = messages.map(({ content }) => content).join("\n")
      if (provider.mood === "flaky" && !known.has(prompt)) {
        known.add(prompt)
        return refuses(503, "try_again")
      }
      return reply(prompt, stream)
    }).pipe(Effect.orDie)
  )
  return provider
})
