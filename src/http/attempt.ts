/**
 * One attempt of an HTTP call: what its request says, and what becomes of its answer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
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
  /** In lower case, as all names of headers are within a request. */
  readonly attemptHeader: string | undefined
  readonly codec: Codec | undefined
  /** That of the codec, in lower case. */
  readonly deadlineHeader: string
  /** How an idempotency key is written. */
  readonly isBare: boolean
  readonly judge: Judge
}

/** What becomes of an answer, and of an error in its place. */
export interface Judge {
  readonly onSuccess: (response: HttpClientResponse) => Effect.Effect<HttpClientResponse, HttpClientError>
  readonly onFailure: <E>(cause: Cause.Cause<E>) => Effect.Effect<never, E>
}

export const keyHeader = "idempotency-key"

/** Sends the request, and judges what comes. Each run of it is an attempt. */
export const attempt = (
  manner: Manner,
  client: Client,
  request: HttpClientRequest.HttpClientRequest,
  isKeyed: boolean
): Effect.Effect<HttpClientResponse, unknown, unknown> => new AttemptEffect(manner, client, request, isKeyed) as never

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

const AttemptEffect = /*#__PURE__*/ evaluated(Attempt, function (fiber) {
  const { client, manner } = this
  const frame = currentFrame(fiber)
  const sent = frame === undefined ? this.request : saying(this, fiber, frame)
  return annotated(Effect.matchCauseEffect(client.postprocess(Effect.succeed(sent)), manner.judge), frame)
})

/** The request, and what this attempt says in its headers. They are copied once. */
const saying = (
  { isKeyed, manner, request }: Attempt,
  fiber: Fiber.Fiber<unknown, unknown>,
  frame: Frame
): HttpClientRequest.HttpClientRequest => {
  const { attemptHeader, codec, deadlineHeader, isBare } = manner
  const headers: Record<string, string> & Headers.Headers = Object.assign(
    Object.create(Object.getPrototypeOf(request.headers)),
    request.headers
  )
  if (attemptHeader !== undefined) headers[attemptHeader] = String(frame.attempt)
  if (isKeyed) headers[keyHeader] = isBare ? frame.idempotencyKey! : quoted(frame.idempotencyKey!)
  if (codec !== undefined) {
    const left = timeLeftIn(codec, headers[deadlineHeader], fiber.getRef(Clock.Clock), frame)
    if (left !== undefined) headers[deadlineHeader] = left
  }
  const { body, hash, method, url, urlParams } = request
  return HttpClientRequest.makeWith(method, url, urlParams, hash, headers, body)
}

/** What to say of the time left; `undefined` where there is no end, or where what is said already is less. */
const timeLeftIn = (codec: Codec, said: string | undefined, clock: Clock.Clock, frame: Frame): string | undefined => {
  const left = timeLeft(frame, monotonicMs(clock))
  if (left === undefined) return undefined
  const nowMillis = clock.currentTimeMillisUnsafe()
  return said !== undefined && isAtMost(codec.decode(said, nowMillis), left) ? undefined : codec.encode(left, nowMillis)
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

export const judging = (isFailure: (response: HttpClientResponse) => boolean, readBody: boolean): Judge => ({
  onSuccess: (response) =>
    isFailure(response) ? failedWith(response) : readBody ? inMemory(response) : Effect.succeed(response),
  onFailure: letGo
})

const failedWith = (response: HttpClientResponse): Effect.Effect<never, HttpClientError> =>
  Effect.flatMap(held(response), (response) =>
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
