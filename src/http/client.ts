/**
 * Effect's `HttpClient` under a policy.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type * as Deadline from "../Deadline.ts"
import { run } from "../internal/engine.ts"
import type { CallOptions } from "../internal/plan.ts"
import type * as Types from "../internal/policyTypes.ts"
import { attempt, keyHeader, type Client } from "./attempt.ts"
import type { faults } from "./classify.ts"
import { canReplay, isIdempotentMethod } from "./request.ts"
import { settingsOf, type Settings } from "./settings.ts"

type Request = HttpClientRequest

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Which responses are failures. Default: a status of 400 or above, or below 100. */
  readonly isFailure?: ((response: HttpClientResponse) => boolean) | undefined
  /** The key for keyed guards and budgets, or one for each by its service's id. Default: the origin of the request. */
  readonly key?: ((request: Request) => string | { readonly [serviceId: string]: string }) | undefined
  /**
   * How each attempt tells the server the time left; `false`: not at all. Default: `Deadline.grpcTimeout`. Where the request has that header
   * already, such as a gateway copies it, the smaller of the two is sent, and one that cannot be read is replaced. In a browser a header of
   * its own makes a request across origins ask first (CORS).
   */
  readonly deadline?: Deadline.Codec | false | undefined
  /**
   * The header with the number of the attempt, from 1 on, over one that the request has already; `false`: none. Default:
   * "x-envoy-attempt-count", as Envoy calls it.
   */
  readonly attemptHeader?: string | false | undefined
  /**
   * How a minted idempotency key is written: `"structured"`, in quotes (the IETF draft; for servers that take it as it is, the quotes are
   * a part of the key), or `"bare"`. Default: "structured".
   */
  readonly idempotencyKey?: "structured" | "bare" | undefined
  /**
   * Whether the whole body is read within the attempt, so that one that is cut short, or hangs, is a failure of the attempt too. It is held in
   * memory. Default: false: the call is over when the response's head is there, and the body comes as a stream.
   */
  readonly readBody?: boolean | undefined
}

/** What the policy says, where it says nothing of `faults`: those of HTTP. Where it may say something, either may be in force. */
type WithFaults<O> = O extends { readonly faults: {} }
  ? O
  : Types.Merge<O, { readonly faults: typeof faults | NonNullable<SaidFaults<O>> }>

type SaidFaults<O> = "faults" extends keyof O ? O["faults"] : never

type Accepted<P, E> = Types.Accepted<WithFaults<Types.OptionsOf<P>>, E | HttpClientError>

/**
 * A client whose requests are calls of a policy.
 *
 * - **Responses are failures** as {@link faults} says, unless the policy has `faults` of its own: nobody need call `filterStatusOk`. Of what
 *   comes out, a `StatusCodeError` still has its response, with a body that can be read.
 * - **Safety is a matter of the method**: GET, HEAD, OPTIONS, TRACE, QUERY, PUT and DELETE are sent again; POST, PATCH and all others only
 *   with an idempotency key, or after a fault that is `unprocessed`. The key is one that the request carries in `Idempotency-Key`, or one that
 *   the policy mints (`safety: Idempotency.key(mint)`), the same on every attempt. A policy that is "not-idempotent" repeats
 *   no method. A body that cannot be sent twice is never sent again.
 * - **Breakers and budgets with keys** are kept by origin.
 * - **Each attempt says** its number, and how much time is left.
 * - **A failed response's body is read**, at most 64 KiB of it, for at most a second and half of the time that the attempt has left, or
 *   cancelled, before anything else is sent: a pool of connections neither leaks nor blocks, and what the status says is never lost for a body
 *   that does not come. So is that of a response in an `HttpClientError` from inside, such as `filterStatusOk` makes; an error of another class
 *   shows no response, and whoever makes it reads or cancels the body.
 *
 * There is one loop: a client that retries on its own (`HttpClient.retryTransient`) does not belong inside.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpClient } from "effect/http"
 * import { Backoff, Policy } from "effect-resilience"
 * import * as Http from "effect-resilience/http"
 *
 * const quotes = Policy.make({
 *   name: "quotes",
 *   safety: "idempotent",
 *   deadline: "3 seconds",
 *   attemptTimeout: "800 millis",
 *   retry: Backoff.exponential({ base: "100 millis", cap: "2 seconds" }).pipe(Backoff.fullJitter, Backoff.times(3))
 * })
 *
 * const quote = Effect.gen(function* () {
 *   const client = (yield* HttpClient.HttpClient).pipe(Http.resilient(quotes))
 *   const response = yield* client.get("https://quotes.example/eur")
 *   return yield* response.json
 * })
 * ```
 *
 * Throws `InvalidOption`. A call dies with it if a key is minted that fits in no header.
 *
 * @since 0.1.0
 * @category clients
 */
export const resilient: {
  <P extends Types.PolicyLike<unknown>>(
    policy: P,
    options?: Options | undefined
  ): <E, R>(
    client: HttpClient.HttpClient.With<E, R> & Accepted<P, E>
  ) => HttpClient.HttpClient.With<
    Types.ErrorOf<WithFaults<Types.OptionsOf<P>>, E | HttpClientError>,
    R | Types.ServicesOf<Types.OptionsOf<P>, never>
  >
  <E, R, P extends Types.PolicyLike<unknown>>(
    client: HttpClient.HttpClient.With<E, R>,
    policy: P & Accepted<P, E>,
    options?: Options | undefined
  ): HttpClient.HttpClient.With<
    Types.ErrorOf<WithFaults<Types.OptionsOf<P>>, E | HttpClientError>,
    R | Types.ServicesOf<Types.OptionsOf<P>, never>
  >
} = ((first: unknown, second: unknown, third: unknown) =>
  HttpClient.isHttpClient(first)
    ? wrap(settingsOf(second, third))(first as never)
    : wrap(settingsOf(first, second))) as never

const wrap =
  (settings: Settings) =>
  (client: Client): Client =>
    HttpClient.makeWith(
      (request: Effect.Effect<Request, unknown, unknown>) =>
        Effect.flatMap(request, (request) => call(settings, client, request)),
      client.preprocess as never
    )

const call = (settings: Settings, client: Client, request: Request) => {
  const { isKeyed, resend, unsafe } = safetyOf(settings, request)
  const plan = isKeyed ? settings.minting! : settings.plain
  const options: CallOptions = { key: settings.key(request), resend, unsafe }
  return run(plan, options, attempt(settings, client, request, isKeyed))
}

/** An empty one tells no two requests apart. */
const hasKey = ({ headers }: Request): boolean => !/^("\s*")?$/.test((headers[keyHeader] ?? "").trim())

interface Safety extends Pick<CallOptions, "resend" | "unsafe"> {
  /** Whether the policy mints a key for it. */
  readonly isKeyed: boolean
}

/** Whether, and when, this request may be sent again. */
const safetyOf = (settings: Settings, request: Request): Safety => {
  const replay = canReplay(request.body)
  if (!replay.replayable) return { isKeyed: false, resend: "never", unsafe: replay.reason }
  if (!settings.repeats) return { isKeyed: false, resend: "unprocessed", unsafe: notIdempotent }
  if (isIdempotentMethod(request.method) || hasKey(request)) return safe
  if (settings.minting !== undefined) return safeByKey
  return {
    isKeyed: false,
    resend: "unprocessed",
    unsafe: `the dependency may have acted, and ${request.method} has no idempotency key`
  }
}

const safe: Safety = { isKeyed: false, resend: "always", unsafe: undefined }
const safeByKey: Safety = { isKeyed: true, resend: "always", unsafe: undefined }

const notIdempotent =
  'the dependency may have acted, and the policy is "not-idempotent": with "idempotent", GET and its like are sent again, and what has an idempotency key'
