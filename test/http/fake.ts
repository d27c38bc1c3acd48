// A client that sends nothing: it answers as the test says, and remembers what it was asked.
import { Clock, Effect } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"

export type Answer = Effect.Effect<
  Response,
  (request: HttpClientRequest.HttpClientRequest) => HttpClientError.HttpClientError
>

export const status = (
  status: number,
  headers: Record<string, string> = {},
  body: string | Uint8Array | null = null
): Answer => Effect.sync(() => new Response(body as never, { status, headers }))

/** What Node says, by its code, of a connection that failed. */
export const transport = (code: string): Answer =>
  Effect.fail(
    (request) =>
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({
          request,
          cause: Object.assign(new TypeError("fetch failed"), { cause: Object.assign(new Error(code), { code }) })
        })
      })
  )

/** Nobody listens: the request was not sent. */
export const refused = transport("ECONNREFUSED")

/** The connection broke: the request may have been received. */
export const reset = transport("ECONNRESET")

export interface Sent {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly at: number
}

/** Gives these answers, one a request, and stays with the last. */
export const fake = (...answers: ReadonlyArray<Answer>) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      sent.push({ request, at })
      return answers[Math.min(sent.length, answers.length) - 1]!.pipe(
        Effect.mapError((error) => error(request)),
        Effect.map((response) => HttpClientResponse.fromWeb(request, response))
      )
    })
  )
  return {
    client,
    sent,
    /** What stood in this header, request by request. */
    header: (name: string) => sent.map(({ request }) => request.headers[name]),
    at: () => sent.map(({ at }) => at)
  }
}
