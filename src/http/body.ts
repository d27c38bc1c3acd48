/**
 * What becomes of the body of a response: read into memory, or given up, so that its connection is free again.
 */
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import type { Fiber } from "effect"
import { bounded } from "../internal/bounded.ts"
import { currentFrame } from "../internal/currentCall.ts"
import { nowMs } from "../internal/time.ts"

type Response = HttpClientResponse.HttpClientResponse

/** How much of a failed response is kept: more than any problem report, less than what hurts. */
const maxBytes = 64 * 1024

/** How long is waited for it. A connection that takes longer is not worth keeping. */
const patienceMs = 1_000

/** The imprecision of the host's timers: in less, whoever cuts the attempt may come first. */
const leastMs = 2

/** The web's class of responses; its types are those of whoever uses the library. */
const Web = globalThis as unknown as {
  readonly Response: new (body: Uint8Array, init: { readonly headers: Record<string, string> }) => object
}

/**
 * A failed response with its body in memory. Of a body that is too long, or too slow, there is what had come by then.
 *
 * The verdict is known from the head. It would be lost if the attempt were cut while its body is read: so the body has half of the time that
 * the attempt has left, and the other half is for a host that is late.
 */
export const held = (response: Response): Effect.Effect<Response> =>
  Effect.withFiber((fiber) => {
    const chunks: Array<Uint8Array> = []
    let size = 0
    const copied = () => Effect.succeed(copy(response, concat(chunks, size).subarray(0, maxBytes)))
    const ms = Math.min(patienceMs, timeLeftMs(fiber) / 2)
    // opened and closed, which cancels it
    if (ms < leastMs) return Effect.flatMap(Effect.exit(Effect.scoped(Stream.toPull(response.stream))), copied)
    const keep = (chunk: Uint8Array) => {
      size += chunk.byteLength
      chunks.push(chunk)
    }
    // what is left unread when the stream is given up is cancelled, and its connection with it
    const reading = Stream.runForEach(
      Stream.takeUntil(response.stream, (chunk) => size + chunk.byteLength > maxBytes),
      (chunk) => Effect.sync(() => keep(chunk))
    )
    // somebody inside may have read it before: then it is at its end, or locked, which is a defect, and the response remembers it
    const remembering = Effect.flatMap(
      Effect.catchDefect(reading, () => Effect.void),
      () => (size > 0 ? Effect.void : Effect.map(response.arrayBuffer, (all) => keep(new Uint8Array(all))))
    )
    return bounded(fiber, fiber.context, remembering, ms, copied)
  })

/** How long until something cuts what runs here: a timeout of its attempt, or a deadline. */
const timeLeftMs = (fiber: Fiber.Fiber<unknown, unknown>): number => {
  const frame = currentFrame(fiber)
  return Math.min(frame?.attemptEnds ?? Infinity, frame?.deadline?.at ?? Infinity) - nowMs(fiber)
}

/** A response whose whole body has come. */
export const inMemory = (response: Response): Effect.Effect<Response, HttpClientError> =>
  response.status === 101 // a connection that now speaks something else
    ? Effect.succeed(response)
    : Effect.map(response.arrayBuffer, (buffer) => copy(response, new Uint8Array(buffer)))

/** The bytes of all chunks, of which there are `size`. */
export const concat = (chunks: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  const all = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.byteLength
  }
  return all
}

/**
 * Only the body is a copy. All else is that of the response itself, because the web's `Response` does not take every status and header
 * that comes over a wire, and makes one of several cookies.
 */
const copy = (response: Response, body: Uint8Array): Response => {
  const type = response.headers["content-type"]
  const web = new Web.Response(body, {
    // forms cannot be read without it
    headers: type === undefined || !/^[ -~]*$/.test(type) ? {} : { "content-type": type }
  })
  return Object.defineProperties(HttpClientResponse.fromWeb(response.request, web as never), {
    status: { value: response.status },
    url: { value: response.url },
    headers: { value: response.headers },
    cookies: { get: () => response.cookies },
    remoteAddress: { get: () => response.remoteAddress }
  })
}
