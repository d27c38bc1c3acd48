/**
 * The deadline of a request: what its client said, and what the server allows.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Headers } from "effect/http/Headers"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Deadline from "../Deadline.ts"
import * as validate from "../internal/validate.ts"
import type { Middleware } from "./middleware.ts"
import { headerName } from "./optionChecks.ts"
import { toResponse } from "./toResponse.ts"
import { turnedAway } from "./turnedAway.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface DeadlineOptions {
  /** The headers to read. Of several that are there, the one that leaves least time counts. Default: {@link deadlineDefaults}. */
  readonly codecs?: ReadonlyArray<Deadline.Codec> | undefined
  /** The most time that the server gives a request, whatever its client says. A finite duration above 0. Default: none. */
  readonly limit?: Duration.Input | undefined
  /**
   * How much earlier than the client the server stops, so that its answer still arrives. A finite duration of 0 or more.
   * Default: {@link deadlineDefaults}.
   */
  readonly reserve?: Duration.Input | undefined
}

/**
 * - `codecs`: `grpc-timeout`, which this library's client sends, and `x-envoy-expected-rq-timeout-ms`, which Envoy does.
 * - `reserve`: 0, because the way within a data center takes less than a millisecond. Where requests travel further, take a
 *   few hundred milliseconds (Google's SRE book, chapter 22).
 *
 * @since 0.1.0
 * @category constants
 */
export const deadlineDefaults = {
  codecs: [Deadline.grpcTimeout, Deadline.envoyTimeout] as ReadonlyArray<Deadline.Codec>,
  reserve: Duration.zero
} as const

/** The server's own limit, in milliseconds: what a guard goes by that must tell a slow handler from an impatient client. */
export const ServerLimit = /*#__PURE__*/ Context.Reference<number | undefined>("effect-resilience/http/ServerLimit", {
  defaultValue: () => undefined
})

/**
 * Puts the deadline that a request carries in force for its handler, so that every call below inherits it. A client can make the
 * server's own `limit` shorter, and never longer. A header that is malformed is ignored.
 *
 * When the time is up, the handler is interrupted, and the answer is a 504 as {@link toResponse} makes it, as soon as its finalizers
 * have run. A request that has no time left when it arrives gets that answer at once, and is not begun. What the handler itself fails
 * with, comes out as it is, a `DeadlineExceeded` of its own too.
 *
 * It stands around handlers of an `HttpRouter`, or an `HttpApi`. Effect serves an app without a router in an uninterruptible region: there the
 * answer comes only when the handler has ended, however late.
 *
 * The time ends with the handler: a streamed body takes as long as it takes. A client that goes away interrupts the handler, as it
 * does without this.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 * import * as Http from "effect-resilience/http"
 *
 * const routes = HttpRouter.add("GET", "/", HttpServerResponse.text("hello")).pipe(
 *   Layer.provide(HttpRouter.middleware(Http.deadline({ limit: "10 seconds" })).layer)
 * )
 * ```
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category middleware
 */
export const deadline = (options?: DeadlineOptions | undefined): Middleware<never> => {
  const codecs = checked(options?.codecs ?? deadlineDefaults.codecs)
  const reserveMs = validate.duration("Http.deadline: reserve", options?.reserve ?? deadlineDefaults.reserve)
  const limitMs =
    options?.limit === undefined ? undefined : validate.duration("Http.deadline: limit", options.limit, "positive")
  return (app) =>
    Effect.withFiber((fiber) => {
      const { headers } = Context.getUnsafe(fiber.context, HttpServerRequest)
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      const leftMs = Math.min(saidMs(codecs, headers, now) - reserveMs, limitMs ?? Infinity)
      const limited = limitMs === undefined ? app : Effect.provideService(app, ServerLimit, limitMs)
      return leftMs === Infinity ? limited : within(limited, leftMs, now)
    })
}

const checked = (codecs: ReadonlyArray<Deadline.Codec>): ReadonlyArray<Deadline.Codec> => {
  if (!Array.isArray(codecs)) validate.invalid("Http.deadline: codecs", codecs, "a list of codecs")
  for (const codec of codecs) {
    if (typeof codec?.decode !== "function") {
      validate.invalid("Http.deadline: codecs", codec, "a codec, such as Deadline.grpcTimeout")
    }
    headerName("Http.deadline: the header of a codec", codec.header)
  }
  return codecs
}

/** What the client said, in milliseconds; without a word of it there is no end. */
const saidMs = (codecs: ReadonlyArray<Deadline.Codec>, headers: Headers, now: number): number => {
  let least = Infinity
  for (const { decode, header } of codecs) {
    const text = headers[header]
    const said = text === undefined ? Option.none() : decode(text, now)
    if (Option.isSome(said)) least = Math.min(least, Duration.toMillis(said.value))
  }
  return least
}

const within = <E, R>(
  app: Effect.Effect<HttpServerResponse, E, R>,
  leftMs: number,
  now: number
): Effect.Effect<HttpServerResponse, E, R> => {
  const name = "http.request"
  const late = leftMs <= 0
  // Around all routes of a router the fiber cannot be interrupted, and the router makes it interruptible for the handler. Here the
  // handler has a fiber of its own: so whoever waits for it must be interruptible instead, and the handler is what it would be.
  const bounded = Effect.interruptibleMask((restore) => {
    // its exit as a value, so that a DeadlineExceeded of the handler is not taken for the one of the request
    const exit = Effect.exit(restore(app))
    return late ? Deadline.at(exit, now, { name }) : Deadline.within(exit, leftMs, { name })
  })
  return Effect.flatMap(
    Effect.match(bounded, {
      onSuccess: identity,
      onFailure: (error) => Exit.succeed(late ? turnedAway(toResponse(error)) : toResponse(error))
    }),
    identity
  )
}
