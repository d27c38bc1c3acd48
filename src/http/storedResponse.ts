/**
 * A response as a store of idempotency keys keeps it: plain data, to be sent again as it was.
 *
 * @since 0.1.0
 */
import * as Cookies from "effect/http/Cookies"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Scope } from "effect"
import { concat } from "./body.ts"

/**
 * A response that can be sent again.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The values of the `Set-Cookie` headers. */
  readonly cookies: ReadonlyArray<string>
  readonly body: Uint8Array
}

/** A response to send, and what of it can be kept. */
export interface Taken {
  readonly response: HttpServerResponse.HttpServerResponse
  /** `undefined` if it cannot be kept: its body is larger than allowed, or of a kind that can be read but once. */
  readonly stored: StoredResponse | undefined
}

/**
 * Reads the body of a response, but no more than `maxBytes` of it. A stream that fits is sent as bytes, and one that does not goes
 * on as a stream, with what has been read of it in front.
 */
export const take = (
  response: HttpServerResponse.HttpServerResponse,
  maxBytes: number
): Effect.Effect<Taken, unknown, Scope.Scope> => {
  const { body } = response
  switch (body._tag) {
    case "Empty":
      return Effect.succeed(taken(response, new Uint8Array(0), maxBytes))
    case "Uint8Array":
      return Effect.succeed(taken(response, body.body, maxBytes))
    case "Stream":
      return takeStream(response, body, maxBytes)
    default:
      return Effect.succeed({ response, stored: undefined })
  }
}

const taken = (response: HttpServerResponse.HttpServerResponse, body: Uint8Array, maxBytes: number): Taken => ({
  response,
  stored:
    body.length > maxBytes
      ? undefined
      : {
          status: response.status,
          headers: { ...response.headers },
          cookies: Cookies.toSetCookieHeaders(response.cookies),
          // a copy, because it may be a part of a larger buffer, which would be kept as a whole
          body: new Uint8Array(body)
        }
})

const takeStream = /*#__PURE__*/ Effect.fnUntraced(function* (
  response: HttpServerResponse.HttpServerResponse,
  body: HttpBody.Stream,
  maxBytes: number
) {
  const pull = yield* Stream.toPull(body.stream)
  const chunks: Array<Uint8Array> = []
  let length = 0
  for (;;) {
    const read = yield* Pull.catchDone(pull, () => Effect.succeed(undefined))
    if (read === undefined) {
      const bytes = HttpBody.uint8Array(concat(chunks, length), body.contentType)
      return taken(HttpServerResponse.setBody(response, bytes), bytes.body, maxBytes)
    }
    chunks.push(...read)
    for (const chunk of read) length += chunk.length
    if (length > maxBytes) {
      const all = Stream.concat(Stream.fromIterable(chunks), Stream.fromPull(Effect.succeed(pull)))
      const rest = HttpBody.stream(all, body.contentType, body.contentLength)
      return { response: HttpServerResponse.setBody(response, rest), stored: undefined }
    }
  }
})

/** The stored response, to be sent; it says that it is not the first, and of an error, that there will be no other. */
export const replay = (stored: StoredResponse): HttpServerResponse.HttpServerResponse => {
  const headers = Headers.set(Headers.fromInput(stored.headers), "idempotent-replayed", "true")
  const response = HttpServerResponse.empty({
    status: stored.status,
    headers: stored.status < 400 ? headers : Headers.set(headers, "x-should-retry", "false"),
    cookies: Cookies.fromSetCookie(stored.cookies)
  })
  return stored.body.length === 0
    ? response
    : HttpServerResponse.setBody(response, HttpBody.uint8Array(stored.body, stored.headers["content-type"]))
}
