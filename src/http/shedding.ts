/**
 * Guards in front of the routes of a server, so that under load it refuses some requests, the least important first, and
 * serves the others well.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { Fiber } from "effect"
import type * as Guard from "../Guard.ts"
import { currentFrame } from "../internal/currentCall.ts"
import * as outcomes from "../internal/outcome.ts"
import { protect } from "../internal/protect.ts"
import { nowMs } from "../internal/time.ts"
import * as validate from "../internal/validate.ts"
import * as Priority from "../Priority.ts"
import { ServerLimit } from "./deadlineMiddleware.ts"
import type { Middleware } from "./middleware.ts"
import { callable, headerName } from "./optionChecks.ts"
import { CurrentRemainder, Remainder } from "./remainder.ts"
import { responseTo, responseToCause } from "./toResponse.ts"
import { turnedAway } from "./turnedAway.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ShedOptions<out R = never> {
  /** The priority of a request that may not say one, or says none. Default: {@link shedDefaults}. */
  readonly priority?: Priority.Priority | undefined
  /** The header in which callers say one: `critical`, `high`, `normal`, `low` or `background`. Default: {@link shedDefaults}. */
  readonly priorityHeader?: string | undefined
  /**
   * Whose word on the priority counts, such as callers with a certificate of one's own. It is asked only if the header is there.
   * Default: nobody's, because who may say that a request is critical can push out all others.
   */
  readonly trust?: ((request: HttpServerRequest) => boolean | Effect.Effect<boolean, never, R>) | undefined
  /** Which of a keyed guard's keys a request belongs to, such as its API key. */
  readonly key?: ((request: HttpServerRequest) => string) | undefined
}

/**
 * - `priority`: "normal", what everything is that says nothing.
 * - `priorityHeader`: "priority-level". There is no standard: the `Priority` header (RFC 9218) is about the order in which parts
 *   of a page are sent, and browsers send it by themselves.
 *
 * @since 0.1.0
 * @category constants
 */
export const shedDefaults = { priority: "normal", priorityHeader: "priority-level" } as const

type GuardService = Context.Key<unknown, Guard.Guard<unknown>>

type IdentifierOf<S> = S extends Context.Key<infer I, infer _> ? I : never

/**
 * Asks a guard before each request, of whatever kind the guard is: a bulkhead, an adaptive limit, a rate limit, one of your own. A
 * request that is refused is answered as {@link toResponse} says, without being begun; the guard is told how the others end.
 *
 * A response below 500 is a success for the guard, and one from 500 on a failure; a handler that fails is judged by the response that
 * it becomes. A handler that its client leaves, or that is cut by its client's deadline, tells the guard nothing. One that ran for
 * at least half of the server's own `limit` before the deadline cut it is a failure.
 *
 * The priority is in force for the handler too, and for all calls below.
 *
 * Put it inside of {@link deadline}: a request that waits in the guard's queue is then given up when its time is over. What
 * {@link idempotency}, inside of this, finishes after that keeps its place until it has ended. A guard that is keyed needs `key`.
 *
 * ```ts
 * import { Bulkhead } from "effect-resilience"
 * import * as Http from "effect-resilience/http"
 *
 * class Capacity extends Bulkhead.Service<Capacity>()("app/Capacity", { maxConcurrent: 100, maxQueue: 100 }) {}
 *
 * const shed = Http.shed(Capacity, { trust: (request) => request.headers["x-internal"] === "a secret" })
 * ```
 *
 * Throws `InvalidOption`.
 *
 * @since 0.1.0
 * @category middleware
 */
export const shed: {
  <S extends GuardService & { readonly keyed?: false }, R = never>(
    guard: S,
    options?: ShedOptions<R> | undefined
  ): Middleware<IdentifierOf<S> | R>
  <S extends GuardService, R = never>(
    guard: S,
    options: ShedOptions<R> & { readonly key: (request: HttpServerRequest) => string }
  ): Middleware<IdentifierOf<S> | R>
} = <R>(
  Service: GuardService & { readonly keyed?: boolean },
  options?: ShedOptions<R> | undefined
): Middleware<unknown> => {
  if (!Context.isKey(Service)) {
    validate.invalid("Http.shed: guard", Service, "the class of a guard, such as Bulkhead.Service makes")
  }
  const priority = options?.priority ?? shedDefaults.priority
  const header = headerName(
    "Http.shed: priorityHeader",
    validate.name("Http.shed: priorityHeader", options?.priorityHeader ?? shedDefaults.priorityHeader).toLowerCase()
  )
  const trust = callable("Http.shed: trust", options?.trust)
  const keyOf = callable("Http.shed: key", options?.key)
  if (Service.keyed === true && keyOf === undefined) {
    validate.invalid("Http.shed: key", keyOf, "a function, because the guard is kept by keys")
  }
  const at = byLevel(priority)
  const levelOf = (request: HttpServerRequest): Priority.Priority | Effect.Effect<Priority.Priority, never, R> => {
    const said = trust && request.headers[header]?.trim()
    if (said === undefined || !isLevel(said)) return priority
    const trusted = trust!(request)
    if (Effect.isEffect(trusted)) return Effect.map(trusted, (trusted) => (trusted ? said : priority))
    return trusted ? said : priority
  }
  return <E, R2>(app: Effect.Effect<HttpServerResponse, E, R2>) =>
    Effect.withFiber((fiber): Effect.Effect<HttpServerResponse, E, unknown> => {
      const request = Context.getUnsafe(fiber.context, HttpServerRequest)
      const key = Service.keyed === false ? undefined : keyOf?.(request)
      const guarded = Effect.flatMap(Service, (guard) => guardedBy(guard, Service.key, key, app))
      const level = levelOf(request)
      return Effect.isEffect(level) ? Effect.flatMap(level, (level) => at[level](guarded)) : at[level](guarded)
    })
}

const isLevel = (text: string): text is Priority.Priority => Priority.levels.some((level) => level === text)

/** `Priority.at` for each level, checked and made once. */
const byLevel = (fallback: Priority.Priority) => {
  if (!isLevel(fallback)) {
    validate.invalid("Http.shed: priority", fallback, `one of ${Priority.levels.join(", ")}`)
  }
  return Object.fromEntries(Priority.levels.map((level) => [level, Priority.at(level)])) as unknown as {
    readonly [L in Priority.Priority]: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
}

/** How a request ended, and the status that its client will see. */
interface Answered<E> {
  readonly status: number
  readonly exit: Exit.Exit<HttpServerResponse, E>
}

const guardedBy = <E, R>(
  guard: Guard.Guard<unknown>,
  name: string,
  key: string | undefined,
  app: Effect.Effect<HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse, E, R> =>
  Effect.withFiber((fiber) => {
    let since: number | undefined
    const remainder = new Remainder(fiber.getRef(CurrentRemainder))
    const outcome = (exit: Exit.Exit<unknown, unknown>): Guard.Outcome =>
      Exit.isSuccess(exit) ? outcomeOf(exit.value as Answered<E>) : outcomeOfCut(fiber, since)
    // Around all routes of a router the fiber cannot be interrupted; but who waits in a queue must be
    const admitted = Effect.interruptibleMask((restore) =>
      protect({ name, guard, key, outcome, lingering: remainder })(
        Effect.suspend(() => {
          since = nowMs(fiber)
          return answered(Effect.provideService(restore(app), CurrentRemainder, remainder))
        })
      )
    )
    // Errors of the handler are inside of the value: what fails here is the guard
    return Effect.matchEffect(admitted, {
      onSuccess: ({ exit }) => exit,
      onFailure: (rejection) => Effect.succeed(turnedAway(responseTo(rejection)))
    })
  })

const answered = <E, R>(app: Effect.Effect<HttpServerResponse, E, R>): Effect.Effect<Answered<E>, never, R> =>
  Effect.matchCauseEffect(app, {
    onSuccess: (response) => Effect.succeed({ status: response.status, exit: Exit.succeed(response) }),
    onFailure: (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : Effect.map(responseToCause(cause), ({ status }) => ({ status, exit: Exit.failCause(cause) }))
  })

const failed: Guard.Outcome = { kind: "transient", health: "failed", retryAfter: undefined }

const outcomeOf = ({ status }: Answered<unknown>): Guard.Outcome => (status >= 500 ? failed : outcomes.success)

/** A client may say a deadline that nobody can keep, and must not make the server look ill by it: half of the server's own counts. */
const outcomeOfCut = (fiber: Fiber.Fiber<unknown, unknown>, since: number | undefined): Guard.Outcome => {
  const deadline = currentFrame(fiber)?.deadline
  const limitMs = fiber.getRef(ServerLimit)
  if (deadline === undefined || limitMs === undefined || since === undefined) return outcomes.interrupted
  const now = nowMs(fiber)
  return now >= deadline.at && now - since >= limitMs / 2 ? outcomes.timeout : outcomes.interrupted
}
