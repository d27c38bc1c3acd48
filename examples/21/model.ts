// A LanguageModel over an HTTP API in the manner of "chat completions", as a provider's package would bring it along: enough of one to ask,
// to listen to a stream, and to say what went wrong in Effect's own words.
import { Effect, Layer, Schema, Stream } from "effect"
import { AiError, LanguageModel, Model, Response } from "effect/ai"
import { Sse } from "effect/encoding"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"

const Answer = Schema.fromJsonString(
  Schema.Struct({
    choices: Schema.Tuple([
      Schema.Struct({ message: Schema.Struct({ content: Schema.String }), finish_reason: Schema.String })
    ])
  })
)

const Chunk = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ choices: Schema.Tuple([Schema.Struct({ delta: Schema.Struct({ content: Schema.String }) })]) }),
    Schema.Struct({ error: Schema.Unknown })
  ])
)

type Method = "generateText" | "streamText"

export const chatModel = <const Provider extends string>(provider: Provider, url: string) =>
  Model.make(
    provider,
    "small",
    Layer.effect(
      LanguageModel.LanguageModel,
      Effect.gen(function* () {
        const client = yield* HttpClient.HttpClient
        const failed = (method: Method, reason: AiError.AiErrorReason) =>
          AiError.make({ module: provider, method, reason })

        /** No response, or not all of it. The cause says more of that than `fromHttpClientError` would keep of a broken body. */
        const lost = (method: Method) => (error: HttpClientError.HttpClientError) =>
          failed(
            method,
            new AiError.NetworkError({
              reason:
                HttpClientError.isHttpClientError(error) && error.reason._tag === "InvalidUrlError"
                  ? "InvalidUrlError"
                  : "TransportError",
              method: "POST",
              url,
              description: error.message,
              cause: error
            })
          )

        const malformed = (method: Method) => (error: { readonly message: string }) =>
          failed(method, new AiError.InvalidResponseError({ description: error.message }))

        /** Asks, and gives the response if it is a 200. */
        const ask = Effect.fnUntraced(function* (method: Method, options: LanguageModel.ProviderOptions) {
          const request = HttpClientRequest.post(`${url}/v1/chat/completions`).pipe(
            HttpClientRequest.bodyJsonUnsafe({
              stream: method === "streamText",
              messages: options.prompt.content.flatMap((message) =>
                typeof message.content === "string"
                  ? [{ role: message.role, content: message.content }]
                  : message.content.flatMap((part) =>
                      part.type === "text" ? [{ role: message.role, content: part.text }] : []
                    )
              )
            })
          )
          const response = yield* Effect.mapError(client.execute(request), lost(method))
          if (response.status === 200) return response
          const body = yield* Effect.mapError(response.text, lost(method))
          const http = { response: { status: response.status, headers: { ...response.headers } }, body }
          return yield* failed(
            method,
            AiError.reasonFromHttpStatus({ status: response.status, http, description: body })
          )
        })

        const generateText = Effect.fnUntraced(function* (options: LanguageModel.ProviderOptions) {
          const response = yield* ask("generateText", options)
          const text = yield* Effect.mapError(response.text, lost("generateText"))
          const answer = yield* Effect.mapError(Schema.decodeEffect(Answer)(text), malformed("generateText"))
          const [{ finish_reason, message }] = answer.choices
          if (finish_reason === "content_filter") {
            return yield* failed("generateText", new AiError.ContentPolicyError({ description: "filtered" }))
          }
          return [{ type: "text", text: message.content }, finish] satisfies Array<Response.PartEncoded>
        })

        const streamText = (options: LanguageModel.ProviderOptions) =>
          Stream.unwrap(Effect.map(ask("streamText", options), parts))

        const parts = (
          response: HttpClientResponse.HttpClientResponse
        ): Stream.Stream<Response.StreamPartEncoded, AiError.AiError> =>
          response.stream.pipe(
            Stream.mapError(lost("streamText")),
            Stream.decodeText(),
            Stream.pipeThroughChannel(Sse.decode<AiError.AiError, unknown>()),
            Stream.mapError((error) =>
              AiError.isAiError(error) ? error : malformed("streamText")({ message: String(error) })
            ),
            Stream.takeWhile((event) => event.data !== "[DONE]"),
            Stream.mapEffect((event) =>
              Effect.mapError(Schema.decodeEffect(Chunk)(event.data), malformed("streamText"))
            ),
            Stream.map((chunk) =>
              "error" in chunk
                ? ({ type: "error", error: chunk.error } as const)
                : ({ type: "text-delta", id: "1", delta: chunk.choices[0].delta.content } as const)
            ),
            (deltas) => Stream.concat(Stream.make({ type: "text-start", id: "1" } as const), deltas),
            (begun) => Stream.concat(begun, Stream.make({ type: "text-end", id: "1" } as const, finish))
          )

        return yield* LanguageModel.make({ generateText, streamText })
      })
    )
  )

const finish = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 10 }, outputTokens: { total: 10 } }
} as const
