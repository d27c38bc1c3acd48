/**
 * The whole body of a request, of which no more is held than is allowed.
 */
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { MaxBodySize } from "effect/http/HttpIncomingMessage"
import type { HttpServerError } from "effect/http/HttpServerError"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import { problem } from "./problem.ts"
import type { Problem } from "./problem.ts"
import { responseToCause } from "./toResponse.ts"

const tooLarge: Problem = {
  name: "request-too-large",
  status: 413,
  title: "The request is too large",
  detail: "The body of the request is larger than this server takes."
}

/**
 * The body, or, as a failure, the answer to a request whose body is too large or cannot be read. The limit is `maxBytes`, or else
 * Effect's `MaxBodySize`, or else `defaultMaxBytes`.
 */
export const requestBody = (
  request: HttpServerRequest,
  maxBytes: number | undefined,
  defaultMaxBytes: number
): Effect.Effect<ArrayBuffer, HttpServerResponse> =>
  Effect.flatMap(MaxBodySize, (inForce) => {
    const limit = maxBytes ?? (inForce === undefined ? defaultMaxBytes : Number(inForce))
    // a length that is said is refused before anything is read
    if (Number(request.headers["content-length"]) > limit) return Effect.fail(problem(tooLarge))
    return request.arrayBuffer.pipe(
      Effect.provideService(MaxBodySize, ByteSize.bytes(limit)),
      Effect.catch((error) => Effect.flatMap(answerTo(error), Effect.fail)),
      // not every platform heeds the limit
      Effect.filterOrFail(
        (body) => body.byteLength <= limit,
        () => problem(tooLarge)
      )
    )
  })

const answerTo = (error: HttpServerError): Effect.Effect<HttpServerResponse> =>
  error.reason._tag === "RequestParseError" && error.reason.reason === "BodyTooLarge"
    ? Effect.succeed(problem(tooLarge))
    : responseToCause(Cause.fail(error))
