/**
 * What the middlewares of a server have in common.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { unhandled } from "effect/Types"

/**
 * Wraps what answers a request; `Needs` are the services that it uses itself. It fits a single handler, `HttpRouter.middleware`
 * and an `HttpApi` alike.
 *
 * @since 0.1.0
 * @category models
 */
export interface Middleware<out Needs> {
  <E, R>(
    app: Effect.Effect<HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse, E, HttpServerRequest | Needs | R>
}

/**
 * Takes the services that a middleware needs when the routes' layer is built, as `HttpRouter.middleware` wants it for some routes
 * of a router; every request then uses the same.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 * import { Bulkhead } from "effect-resilience"
 * import * as Http from "effect-resilience/http"
 *
 * class Reports extends Bulkhead.Service<Reports>()("app/Reports", { maxConcurrent: 10 }) {}
 *
 * const reports = HttpRouter.add("GET", "/reports", Effect.succeed(HttpServerResponse.text("a report"))).pipe(
 *   Layer.provide(HttpRouter.middleware(Http.forRouter(Http.shed(Reports))).layer),
 *   Layer.provide(Reports.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category middleware
 */
export const forRouter = <Needs>(
  middleware: Middleware<Needs>
): Effect.Effect<
  (
    app: Effect.Effect<HttpServerResponse, unhandled>
  ) => Effect.Effect<HttpServerResponse, unhandled, HttpServerRequest>,
  never,
  Needs
> =>
  Effect.map(
    Effect.context<Needs>(),
    (built) => (app) =>
      Effect.updateContext(middleware(app), (request: Context.Context<HttpServerRequest>) =>
        // what the request has counts for more than what was in force when the layer was built
        Context.merge(built, request)
      )
  )
