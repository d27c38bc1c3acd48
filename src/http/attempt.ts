/**
 * One attempt of an HTTP call: what its request says, and what becomes of its answer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type { HttpClient } from "effect/http/HttpClient"
import { HttpClientError, isHttpClientError, StatusCodeError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import type { Fiber } from "effect"
import type { Codec } from "../Deadline.ts"
import { currentFrame, type Frame } from "../internal/currentCall.ts"
import { evaluated } from "../internal/evaluated.ts"
import { tagOf, whyOf } from "../internal/events.ts"
import { monotonicMs } from "../internal/time.ts"
import { held, inMemory } from "./body.ts"

export type Client = HttpClient.With<unknown, unknown>

/** What is the same for all attempts of a client. */
export interface Manner {
  readonly isFailure: (response: HttpClientResponse) => boolean
  readonly codec: Codec | undefined
  readonly attemptHeader: string | undefined
  /** How an idempotency key is written. */
  readonly isBare: boolean
  readonly readBody: boolean
}

export const keyHeader = "idempotency-key"

/** Sends the request, and judges what comes. Each run of it is an attempt. */
export const attempt = (
  manner: Manner,
  client: Client,
  request: HttpClientRequest.HttpClientRequest,
  isKeyed: boolean
): Effect.Effect<HttpClientResponse, unknown, unknown> => new Attempt(manner, client, request, isKeyed) as never

class Attempt {
  readonly manner: Manner
  readonly client: Client
  readonly request: HttpClientRequest.HttpClientRequest
  /** Whether it says the idempotency key of the call. */
  readonly isKeyed: boolean

  constructor(manner: Manner, client: Client, request: HttpClientRequest.HttpClientRequest, isKeyed: boolean) {
    this.manner = manner
    this.client = client
    this.request = request
    this.isKeyed = isKeyed
  }
}

evaluated(Attempt, function (fiber) {
  const { client, isKeyed, manner, request } = this
  const frame = currentFrame(fiber)
  const sent = HttpClientRequest.updateHeaders(request, (headers) =>
    frame === undefined ? headers : headersOf(manner, headers, fiber, frame, isKeyed)
  )
  const answered = Effect.matchCauseEffect(client.postprocess(Effect.succeed(sent)), {
    onSuccess: (response) => judge(manner, response),
    onFailure: letGo
  })
  return annotated(answered, frame)
})

/** The headers of the request, and what this attempt says. */
const headersOf = (
  { attemptHeader, codec, isBare }: Manner,
  headers: Headers.Headers,
  fiber: Fiber.Fiber<unknown, unknown>,
  frame: Frame,
  isKeyed: boolean
): Headers.Headers => {
  if (attemptHeader !== undefined) headers = Headers.set(headers, attemptHeader, String(frame.attempt))
  if (isKeyed) headers = Headers.set(headers, keyHeader, isBare ? frame.idempotencyKey! : quoted(frame.idempotencyKey!))
  if (codec === undefined) return headers
  const clock = fiber.getRef(Clock.Clock)
  const left = timeLeft(frame, monotonicMs(clock))
  if (left === undefined) return headers
  const nowMillis = clock.currentTimeMillisUnsafe()
  const said = headers[codec.header.toLowerCase()]
  if (said !== undefined && isAtMost(codec.decode(said, nowMillis), left)) return headers
  return Headers.set(headers, codec.header, codec.encode(left, nowMillis))
}

/** What the request says already is of someone who waits further out. They may have less time than there is here. */
const isAtMost = (said: Option.Option<Duration.Duration>, left: Duration.Duration): boolean =>
  Option.isSome(said) && Duration.isLessThanOrEqualTo(said.value, left)

/** A String of structured fields (RFC 9651). */
const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`

const timeLeft = ({ attemptEnds, deadline }: Frame, now: number): Duration.Duration | undefined => {
  // who still runs when an attempt around should have ended, is not interrupted with it
  const cut = attemptEnds === undefined || attemptEnds <= now ? Infinity : attemptEnds
  const end = Math.min(cut, deadline?.at ?? Infinity)
  return end === Infinity ? undefined : Duration.millis(Math.max(0, end - now))
}

const judge = (
  { isFailure, readBody }: Manner,
  response: HttpClientResponse
): Effect.Effect<HttpClientResponse, HttpClientError> => {
  if (!isFailure(response)) return readBody ? inMemory(response) : Effect.succeed(response)
  return Effect.flatMap(held(response), (response) =>
    Effect.fail(
      new HttpClientError({
        reason: new StatusCodeError({
          request: response.request,
          response,
          description: "a response that is a failure"
        })
      })
    )
  )
}

/**
 * An error of those inside may have a response that nobody has read. It comes out with its body in memory, as one of ours does: changed where
 * it stands, for it may be of a class of its own, and say what it means.
 */
const letGo = <E>(cause: Cause.Cause<E>): Effect.Effect<never, E> => {
  const error = cause.reasons
    .filter(Cause.isFailReason)
    .map(({ error }) => error)
    .find((error) => isHttpClientError(error) && error.response !== undefined) as HttpClientError | undefined
  if (error === undefined) return Effect.failCause(cause)
  return Effect.flatMap(held(error.response!), (response) => {
    Reflect.set(error.reason, "response", response)
    return Effect.failCause(cause)
  })
}

/** The span of a request that is not the first says which it is, and why. */
const annotated = <A, E, R>(self: Effect.Effect<A, E, R>, frame: Frame | undefined): Effect.Effect<A, E, R> => {
  if (frame === undefined || frame.attempt === 1) return self
  const lastError = frame.history?.lastError
  return Effect.annotateSpans(self, {
    // as OpenTelemetry calls it
    "http.request.resend_count": frame.attempt - 1,
    "resilience.attempt.kind": frame.kind,
    ...(lastError === undefined ? undefined : { "resilience.reason": whyOf(lastError) ?? tagOf(lastError) })
  })
}
