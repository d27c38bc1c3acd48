/**
 * The `Idempotency-Key` header on the side of the server: a request that is sent again is not carried out again.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import { setHeader } from "effect/http/HttpServerResponse"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import { currentFrame, withinRegion } from "../internal/currentCall.ts"
import { reportDefect } from "../internal/reportDefect.ts"
import { nowMs } from "../internal/time.ts"
import * as validate from "../internal/validate.ts"
import { callerBy, fingerprint, parseKey } from "./idempotencyKey.ts"
import { IdempotencyStore } from "./idempotencyStore.ts"
import type { IdempotencyStoreError, Store } from "./idempotencyStore.ts"
import type { Middleware } from "./middleware.ts"
import { callable, methods as methodSet } from "./optionChecks.ts"
import { problem } from "./problem.ts"
import type { Problem } from "./problem.ts"
import { requestBody } from "./requestBody.ts"
import { rereadRequest } from "./rereadRequest.ts"
import { CurrentRemainder } from "./remainder.ts"
import { replay, take } from "./storedResponse.ts"
import type { StoredResponse } from "./storedResponse.ts"
import { responseToCause, toResponse } from "./toResponse.ts"
import { isTurnedAway } from "./turnedAway.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface IdempotencyOptions<out R = never> {
  /** Whether a request without a key is refused; else it is served as if this were not there. Default: {@link idempotencyDefaults}. */
  readonly required?: boolean | undefined
  /**
   * The methods that it is for, in upper case, because methods are case-sensitive; at least one. Others are served as if this were not
   * there. Default: {@link idempotencyDefaults}.
   */
  readonly methods?: ReadonlyArray<string> | undefined
  /**
   * Whose request it is, such as the id of an account, by which two callers may use the same key, and neither gets what was answered to
   * the other. Take it from what has been authenticated: it is all that tells callers apart then.
   *
   * By default the credentials count as part of the payload: the headers `authorization`, `proxy-authorization`, `cookie`, `api-key`,
   * `apikey`, `x-api-key`, `x-goog-api-key`, `ocp-apim-subscription-key`, `x-access-token`, `x-auth-token`, `x-session-token`,
   * `client-cert`, `x-forwarded-client-cert`, `x-forwarded-user` and `x-remote-user`. The same key with others is answered 422: neither
   * replayed nor carried out again. So say a caller
   *
   * - where credentials change between two attempts: cookies that rotate, tokens that are renewed, requests that are signed;
   * - where callers are known by anything else: a certificate (mTLS), another header, an address.
   */
  readonly caller?: ((request: HttpServerRequest) => string | Effect.Effect<string, never, R>) | undefined
  /**
   * Whether a response is the answer to the request for good. One that is not is not kept, and the request may be carried out again: say
   * so only of responses before which your handler has certainly done nothing. Default: {@link idempotencyDefaults}, whose `isFinal`
   * you may ask, too.
   */
  readonly isFinal?: ((response: HttpServerResponse) => boolean) | undefined
  /** The largest body of a response that is kept, in bytes: a whole number of at least 0. Default: {@link idempotencyDefaults}. */
  readonly maxBodyBytes?: number | undefined
  /**
   * The largest body of a request that is taken, in bytes: a whole number of at least 0. It is in memory as a whole while the handler
   * runs. Default: Effect's `MaxBodySize`, where that is set, or else that of {@link idempotencyDefaults}.
   */
  readonly maxRequestBytes?: number | undefined
}

/**
 * - `required`: true. Whoever puts this before a route has an operation in mind that must not happen twice.
 * - `methods`: POST and PATCH. The other methods are idempotent by definition (RFC 9110 §9.2.2).
 * - `isFinal`: everything but what {@link shed} or {@link deadline}, inside of this, answers to a request that it turns away. All that the
 *   handler itself answers is kept, as the draft asks, 429, 503 and 504 included: it may have had an effect before.
 * - `maxBodyBytes`: 16 KiB, more than the answers to such requests usually have; it bounds what 10 000 keys take to 160 MB.
 * - `maxRequestBytes`: 1 MiB, as nginx takes; say more where files are uploaded.
 *
 * @since 0.1.0
 * @category constants
 */
export const idempotencyDefaults = {
  required: true,
  methods: ["POST", "PATCH"] as ReadonlyArray<string>,
  isFinal: (response: HttpServerResponse): boolean => !isTurnedAway(response),
  maxBodyBytes: 16_384,
  maxRequestBytes: 1_048_576
} as const

const missing: Problem = {
  name: "idempotency-key-missing",
  status: 400,
  title: "Idempotency-Key is missing",
  detail:
    "This request needs an Idempotency-Key header: a value that is new for each request, and the same if it is sent again."
}

const malformed: Problem = {
  name: "idempotency-key-malformed",
  status: 400,
  title: "Idempotency-Key is malformed",
  detail: "The Idempotency-Key header must be a string of 1 to 255 visible ASCII characters, with or without quotes."
}

const inProgress: Problem = {
  name: "idempotency-key-in-progress",
  status: 409,
  title: "A request with this Idempotency-Key is in progress",
  detail: "Send the request again, unchanged, when the first one has been answered."
}

const reused: Problem = {
  name: "idempotency-key-reused",
  status: 422,
  title: "Idempotency-Key is already used",
  detail: "The key was used for another request. Use a new key for a new request."
}

const notKept: Problem = {
  name: "idempotency-response-not-kept",
  status: 409,
  title: "The request has been carried out already",
  detail:
    "A request with this Idempotency-Key has been answered, and the answer could not be kept. It is not carried out again."
}

/**
 * Carries out a request with an `Idempotency-Key` once, however often it is sent (draft-ietf-httpapi-idempotency-key-header). The key is
 * a string in quotes, or bare, as Stripe has it, of 1 to 255 characters.
 *
 * | the key | answer |
 * |---|---|
 * | is missing, or malformed | 400; a missing one only where it is `required` |
 * | comes with a body that is too large | 413 |
 * | is new | the handler's; kept, errors included |
 * | belongs to a request that is running | 409, to be tried again after a second: `retry-after` and `x-should-retry: true` |
 * | belongs to a request with another method, path or body, or (without `caller`) other credentials | 422 |
 * | belongs to a request that was answered | the same answer, with `idempotent-replayed: true` |
 * | belongs to one whose answer could not be kept | 409 |
 * | cannot be looked up, because the store is away | 503 |
 *
 * **What has begun is finished**
 *
 * A handler that is interrupted half-way may have charged already, and its client could never know. So nothing interrupts it: when the
 * client goes away, or its deadline passes, the handler goes on, without a deadline, and its answer is kept for when the client asks
 * again. The server waits for it when it shuts down, unless a deadline has passed. Give what the handler calls timeouts of its own.
 *
 * A handler that fails, dies or interrupts itself has the answer to that kept, too, because of what it may have done before: the 503 of a
 * circuit that is open in the middle of it, and the 504 of a deadline of its own. The key is left free only where the request has certainly
 * not been begun: by {@link shed} and {@link deadline}, where they stand directly inside of this and turn it away. If your handler has
 * other answers of which you know that, say so with `isFinal`.
 *
 * A replayed error says `x-should-retry: false`, because it will be the same for as long as it is kept.
 *
 * **Where it stands**
 *
 * Inside of {@link deadline}, of {@link shed}, and of what checks who calls. What they answer (504, 503 or 429, and 401) is then not seen
 * here, and not kept; what is answered inside of this is, a 401 and a 504 included.
 *
 * A handler that goes on after its deadline keeps its place in the guard of {@link shed} until it has ended: the guard bounds what really
 * runs, however short the deadlines are that clients say. That holds for `shed` alone: the permit of a guard's own `protect` around this
 * goes back when the waiting ends.
 *
 * **What is kept**
 *
 * The status, the headers and cookies, and a body of at most `maxBodyBytes`. A streamed body is read that far before the answer begins;
 * a larger one, a file or a form is sent but not kept.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 * import * as Http from "effect-resilience/http"
 *
 * const pay = Effect.succeed(HttpServerResponse.jsonUnsafe({ paid: true }))
 *
 * const routes = HttpRouter.add("POST", "/payments", pay.pipe(Http.idempotency()))
 *
 * HttpRouter.serve(routes).pipe(Layer.provide(Http.IdempotencyStore.layerMemory()))
 * ```
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category middleware
 */
export const idempotency = <R = never>(
  options?: IdempotencyOptions<R> | undefined
): Middleware<IdempotencyStore | R> => {
  const methods = methodSet("Http.idempotency: methods", options?.methods ?? idempotencyDefaults.methods)
  const required = options?.required ?? idempotencyDefaults.required
  const isFinal = callable("Http.idempotency: isFinal", options?.isFinal) ?? idempotencyDefaults.isFinal
  const maxBodyBytes = validate.integer(
    "Http.idempotency: maxBodyBytes",
    options?.maxBodyBytes ?? idempotencyDefaults.maxBodyBytes,
    0
  )
  const maxRequestBytes =
    options?.maxRequestBytes === undefined
      ? undefined
      : validate.integer("Http.idempotency: maxRequestBytes", options.maxRequestBytes, 0)
  const said = callable("Http.idempotency: caller", options?.caller)
  const callerOf = (request: HttpServerRequest): Effect.Effect<string, never, R> => {
    if (said === undefined) return callerBy(request)
    const caller = said(request)
    return Effect.isEffect(caller) ? caller : Effect.succeed(caller)
  }
  return <E, R2>(app: Effect.Effect<HttpServerResponse, E, R2>) =>
    Effect.withFiber((fiber): Effect.Effect<HttpServerResponse, E, IdempotencyStore | R | R2> => {
      const request = Context.getUnsafe(fiber.context, HttpServerRequest)
      const header = methods.has(request.method) ? request.headers["idempotency-key"] : undefined
      if (header === undefined) return required && methods.has(request.method) ? Effect.succeed(problem(missing)) : app
      const key = parseKey(header)
      if (key === undefined) return Effect.succeed(problem(malformed))
      return Effect.matchEffect(requestBody(request, maxRequestBytes, idempotencyDefaults.maxRequestBytes), {
        onFailure: Effect.succeed,
        onSuccess: (body) =>
          Effect.gen(function* () {
            const store = yield* IdempotencyStore
            const caller = yield* callerOf(request)
            const print = yield* fingerprint(request, caller, body)
            const handler = Effect.provideService(app, HttpServerRequest, rereadRequest(request, body))
            // a key belongs to a caller only where it is known who that is: credentials may have changed, and are told apart by the print
            const name = JSON.stringify([said === undefined ? "" : caller, key])
            const once = new Once(store, name, isFinal, maxBodyBytes)
            return yield* finishing(once.answer(print, caller, handler))
          })
      })
    })
}

/** One request with a key. */
class Once {
  readonly #store: Store
  readonly #key: string
  readonly #isFinal: (response: HttpServerResponse) => boolean
  readonly #maxBodyBytes: number

  constructor(store: Store, key: string, isFinal: (response: HttpServerResponse) => boolean, maxBodyBytes: number) {
    this.#store = store
    this.#key = key
    this.#isFinal = isFinal
    this.#maxBodyBytes = maxBodyBytes
  }

  answer<E, R>(
    print: string,
    caller: string,
    handler: Effect.Effect<HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse, E, R> {
    return Effect.matchEffect(this.#store.begin(this.#key, print, caller), {
      onFailure: (error) => Effect.as(report(error), toResponse(error)),
      onSuccess: (begun) => {
        switch (begun._tag) {
          case "Started":
            return this.#carryOut(begun.claim, handler)
          case "InProgress":
            // clients take a 409 as final, unless they are told otherwise
            return Effect.succeed(setHeader(problem(inProgress, Duration.seconds(1)), "x-should-retry", "true"))
          case "Mismatch":
            return Effect.succeed(problem(reused))
          case "Completed":
            return Effect.succeed(begun.response === undefined ? problem(notKept) : replay(begun.response))
        }
      }
    })
  }

  #carryOut<E, R>(
    claim: string,
    handler: Effect.Effect<HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse, E, R> {
    return Effect.withFiber((fiber) => {
      const around = Context.getOrUndefined(fiber.context, Scope.Scope)
      // of its own, because the one of the request ends with whoever waits for it
      const scope = Scope.makeUnsafe()
      const close = (exit: Exit.Exit<unknown, unknown>) => Scope.close(scope, exit)
      return Effect.exit(handler).pipe(
        Effect.flatMap((exit) => this.#settle(claim, exit)),
        Scope.provide(scope),
        // the body of the response may still draw from it
        Effect.onExit((exit) => (around === undefined ? close(exit) : Scope.addFinalizerExit(around, close)))
      )
    })
  }

  /** Keeps the answer, or gives the key back, and then lets the handler's own exit happen. */
  #settle<E>(claim: string, exit: Exit.Exit<HttpServerResponse, E>): Effect.Effect<HttpServerResponse, E, Scope.Scope> {
    const release = reported(this.#store.release(this.#key, claim))
    const complete = (response: StoredResponse | undefined) =>
      reported(this.#store.complete(this.#key, claim, response))
    const taken = Effect.flatMap(Exit.isSuccess(exit) ? exit : responseToCause(exit.cause), (response) =>
      this.#isFinal(response)
        ? Effect.map(Effect.orDie(take(response, this.#maxBodyBytes)), (taken) => ({ ...taken, given: response }))
        : Effect.undefined
    )
    return Effect.matchCauseEffect(taken, {
      // else the key would be in progress for ever
      onFailure: (cause) => Effect.andThen(complete(undefined), Effect.failCause(cause)),
      onSuccess: (taken) => {
        if (taken === undefined) return Effect.andThen(release, exit)
        return Effect.andThen(
          complete(taken.stored),
          Exit.isSuccess(exit)
            ? Effect.succeed(taken.response)
            : // the failure stays to be seen, and what it is answered with is what was kept
              Effect.failCause(Cause.fromReasons([...exit.cause.reasons, ...Cause.die(taken.given).reasons]))
        )
      }
    })
  }
}

const report = (error: IdempotencyStoreError): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    reportDefect(fiber, error.message, Cause.fail(error))
    return Effect.void
  })

/** The request has been carried out: what the store does wrong then must not change its answer. The key stays claimed. */
const reported = (operation: Effect.Effect<void, IdempotencyStoreError>): Effect.Effect<void> =>
  Effect.catch(operation, report)

/**
 * Runs an effect in a fiber of its own, to its end, with no deadline in force. Whoever waits for it and is interrupted goes on at once if
 * that is because a deadline has passed, so that it can say so; else, as when the server shuts down, when the effect has ended.
 */
const finishing = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.interruptible(
    Effect.withFiber((fiber) => {
      const deadline = currentFrame(fiber)?.deadline
      const free = withinRegion(self, () => ({ unbounded: "uncut" }))
      return Effect.callback<A, E, R>((resume) => {
        const child = Effect.runForkWith(fiber.context as Context.Context<R>)(free)
        // before whoever waits is told of its end, and asks what is left
        fiber.getRef(CurrentRemainder)?.add(child)
        child.addObserver(resume)
        return Effect.suspend(() =>
          deadline !== undefined && nowMs(fiber) >= deadline.at ? Effect.void : Effect.asVoid(Fiber.await(child))
        )
      })
    })
  )
