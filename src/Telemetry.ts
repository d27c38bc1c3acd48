/**
 * What the policies, guards and fallbacks do, as it happens: a stream of events, metrics, log lines, a report for whoever is
 * on call, and a recorder for tests.
 *
 * Listening is a matter of context. A call is heard by whoever listens where it *runs*: provide these layers to the program,
 * not to the services that it uses. Where nobody listens, no event is ever built.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Telemetry } from "effect-resilience"
 *
 * const program = Effect.gen(function* () {
 *   // The application, and at times, on a page for whoever is on call:
 *   return Telemetry.formatReport(yield* Telemetry.report)
 * })
 *
 * const observed = program.pipe(
 *   Effect.provide(Layer.mergeAll(Telemetry.layer, Telemetry.layerMetrics, Telemetry.layerLog))
 * )
 * ```
 *
 * The layers can be combined in any way and any number, and each adds to whoever listens already. Of runtimes that are built
 * separately, each hears its own calls.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Exit } from "effect"
import { broadcast } from "./internal/broadcast.ts"
import { CurrentListener } from "./internal/events.ts"
import type { Event } from "./internal/events.ts"
import { Ear, layer as listening, makeHub } from "./internal/listeners.ts"
import type { Listener } from "./internal/listeners.ts"
import { format } from "./internal/formatReport.ts"
import { logger } from "./internal/log.ts"
import { recorder } from "./internal/metrics.ts"
import { Accumulator } from "./internal/report.ts"
import type { CircuitReport, FallbackReport, PolicyReport } from "./internal/report.ts"

export type {
  AttemptFailed,
  AttemptSucceeded,
  BudgetChanged,
  CallFailed,
  CallRecovered,
  CallStarted,
  CallSucceeded,
  ChaosInjected,
  CircuitChanged,
  DeadlinePassed,
  Event,
  FallbackServed,
  GuardRejected,
  HedgeDenied,
  HedgeStarted,
  RetryDenied,
  RetryScheduled
} from "./internal/events.ts"
export type { CircuitReport, Count, FallbackReport, PolicyReport, Rejections } from "./internal/report.ts"

/**
 * How many events a subscriber of {@link events} may be behind: 1024. Past that it loses the oldest, because a slow
 * subscriber must neither hold up calls nor fill the memory. At some 5 events a call that is 200 calls.
 *
 * @since 0.1.0
 * @category constants
 */
export const eventsCapacity = 1024

/**
 * What has happened since {@link layer} was built.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report {
  /** When counting began, in milliseconds since the epoch. */
  readonly since: number
  /** When the report was made, in milliseconds since the epoch. */
  readonly at: number
  /** One a policy, what is in trouble first: by failed calls, then retries, then rejections, then calls. */
  readonly policies: ReadonlyArray<PolicyReport>
  /** The circuits that are not closed, the latest change last. A circuit that has not changed since is not known. */
  readonly circuits: ReadonlyArray<CircuitReport>
  /** The fallbacks that answered, the most frequent first. */
  readonly fallbacks: ReadonlyArray<FallbackReport>
  /** How often a listener threw. A call never notices. Anything but 0 is a bug, of a logger or a metric registry most likely. */
  readonly listenerFailures: number
}

/**
 * Hears the calls that run where it is provided. See {@link layer}.
 *
 * @since 0.1.0
 * @category services
 */
export class Telemetry
  extends /*#__PURE__*/ Context.Service<
    Telemetry,
    {
      readonly events: Stream.Stream<Event>
      readonly report: Effect.Effect<Report>
    }
  >()("effect-resilience/Telemetry") {}

/**
 * Makes {@link events} and {@link report} available, and listens from now on.
 *
 * Every event is then built and counted (well below a microsecond each), whether or not anybody subscribes. Without this
 * layer, and without the others of this module, none is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Telemetry> = /*#__PURE__*/ listening<Telemetry>(
  /*#__PURE__*/ Layer.effectContext(
    /*#__PURE__*/ Effect.gen(function* () {
      const since = yield* Clock.currentTimeMillis
      const counts = new Accumulator()
      const heard = yield* broadcast<Event>(eventsCapacity)
      let listenerFailures = 0
      const listener: Listener = {
        hear: (event) => {
          counts.add(event)
          heard.send(event)
        },
        failed: () => {
          listenerFailures++
        }
      }
      const report = Effect.map(Clock.currentTimeMillis, (at): Report => ({
        since,
        at,
        ...counts.summary(),
        listenerFailures
      }))
      return Context.make(Telemetry, { events: heard.stream, report }).pipe(Context.add(Ear, listener))
    })
  )
)

/**
 * The events as they happen, from the moment the stream is run; it ends when {@link layer} is released. Any number may
 * subscribe. A subscriber that falls more than {@link eventsCapacity} events behind loses the oldest.
 *
 * @since 0.1.0
 * @category accessors
 */
export const events: Stream.Stream<Event, never, Telemetry> = /*#__PURE__*/ Stream.unwrap(
  /*#__PURE__*/ Telemetry.useSync((telemetry) => telemetry.events)
)

/**
 * Which operation is retrying, which error causes it, and do the retries succeed in the end: what was counted since
 * {@link layer} was built. {@link formatReport} prints it.
 *
 * Memory is bounded: at most 200 policies, 20 errors and 50 kinds of rejection a policy, and 50 fallbacks; the rest is
 * counted together under the name "(other)". Of the circuits that are not closed the latest 1000 to change are kept.
 *
 * @since 0.1.0
 * @category accessors
 */
export const report: Effect.Effect<Report, never, Telemetry> = /*#__PURE__*/ Telemetry.use(
  (telemetry) => telemetry.report
)

/**
 * Runs an effect and answers how it ended, together with everything that happened on the way: for tests.
 *
 * It hears the fiber that runs it and the fibers forked from that one, until it ends. Whoever listens around it, another
 * recorder included, hears the same. The recording is not bounded.
 *
 * ```ts
 * import { Data, Effect } from "effect"
 * import { Fallback, Telemetry } from "effect-resilience"
 *
 * class Offline extends Data.TaggedError("Offline") {}
 *
 * const call = Effect.fail(new Offline()).pipe(Fallback.value("cached", { on: ["Offline"] }))
 *
 * const test = Effect.map(Telemetry.recorded(call), ([, events]) => events.map((event) => event._tag))
 *
 * Effect.runSync(test) // => ["FallbackServed"]
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const recorded = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<readonly [Exit.Exit<A, E>, ReadonlyArray<Event>], never, R> =>
  Effect.withFiber((fiber) => {
    const hub = makeHub(fiber.getRef(CurrentListener))
    const events: Array<Event> = []
    const listener: Listener = { hear: (event) => void events.push(event) }
    hub.listeners.set(listener, 1)
    return Effect.provideService(self, CurrentListener, hub.emit).pipe(
      Effect.exit,
      // A fiber that outlives the effect goes on emitting
      Effect.ensuring(Effect.sync(() => hub.listeners.delete(listener))),
      Effect.map((exit) => [exit, events] as const)
    )
  })

/**
 * Counts and times everything as Effect metrics, so that every exporter of Effect's (Prometheus, OTLP) shows it. It can be
 * used alone.
 *
 * | metric | kind | attributes |
 * |---|---|---|
 * | `resilience.calls` | counter | `policy`, `outcome`: success, failure, interrupted |
 * | `resilience.attempts` | counter | `policy`, `outcome`: success or as the classifier sees it, `error` ("none" on success) |
 * | `resilience.retries` | counter | `policy`, `error` that caused it |
 * | `resilience.retries.recovered` | counter of calls | `policy` |
 * | `resilience.retries.denied` | counter | `policy`, `reason` |
 * | `resilience.hedges` | counter | `policy` |
 * | `resilience.hedges.denied` | counter of hedges that were due and did not start | `policy`, `reason`: budget, rejected |
 * | `resilience.call.duration` | histogram, ms | `policy` |
 * | `resilience.attempt.duration` | histogram, ms | `policy` |
 * | `resilience.guard.rejections` | counter | `guard`, `reason` |
 * | `resilience.circuit.circuits` | gauge | `breaker`, `state`: open, half-open, isolated |
 * | `resilience.circuit.transitions` | counter | `breaker`, `from`, `to` |
 * | `resilience.budget.balance` | gauge | `budget` |
 * | `resilience.fallbacks` | counter | `name`, `source`: stale, fallback |
 * | `resilience.chaos.injected` | counter | `policy`, `injection`: fault, latency, result, behavior |
 *
 * Attributes are low in cardinality: `error` is the error's `_tag`, with its reason where it says one, and a key never shows. For that reason
 * `resilience.budget.balance` leaves keyed budgets out; it is as of the last call that ended, or asked for a retry. `resilience.circuit.circuits` counts the circuits that are *not*
 * closed, of those whose change was heard; it goes back to 0 when the layer is released.
 *
 * The registry (`Metric.MetricRegistry`) and the common attributes (`Metric.CurrentMetricAttributes`) are those in force
 * where the layer is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMetrics: Layer.Layer<never> = /*#__PURE__*/ listening<never>(
  /*#__PURE__*/ Layer.effect(Ear)(
    /*#__PURE__*/ Effect.gen(function* () {
      const metrics = recorder(yield* Effect.context())
      yield* Effect.addFinalizer(() => Effect.sync(metrics.close))
      return { hear: metrics.hear }
    })
  )
)

/**
 * Logs what goes wrong. It can be used alone.
 *
 * | level | events |
 * |---|---|
 * | Warn | `CallFailed` (not when its caller gave it up); `CircuitChanged` to open or isolated |
 * | Info | `CallRecovered`, `FallbackServed`, `CircuitChanged` to half-open or closed, `ChaosInjected` |
 * | Debug | `RetryScheduled`, `RetryDenied`, `HedgeStarted`, `HedgeDenied`, `GuardRejected`, `DeadlinePassed`: the steps towards one of the above |
 *
 * A healthy call logs nothing, and an outage does not flood the log: of lines that differ in nothing but the moment (the same
 * event of the same policy with the same error) one is written in a second, and the next says how many were left out.
 *
 * A line is written by the loggers of the fiber in which the event happens, at its minimum level and with its annotations, so
 * that it can be told which request it belongs to. The event itself is the second part of the message.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLog: Layer.Layer<never> = /*#__PURE__*/ listening<never>(
  /*#__PURE__*/ Layer.effect(Ear)(/*#__PURE__*/ Effect.withFiber((fiber) => Effect.succeed({ hear: logger(fiber) })))
)

/**
 * Prints a {@link Report} for a terminal: a table of the policies, then a sentence on each that had trouble, then the circuits
 * that are not closed and the fallbacks that answered.
 *
 * ```text
 * policy      calls  failed  retries  amplification  recovered  rejected
 * quotes.get    120       2       31          1.26x   29 of 31         0
 * users.get      80       0        0          1.00x          -         0
 *
 * quotes.get: 120 calls, 31 retries (NetworkError 28, Timeout 3), 29 of 31 retried calls recovered, 2 failed
 * circuit app/QuotesBreaker: open since 2026-01-01T12:00:00.000Z
 * ```
 *
 * @since 0.1.0
 * @category formatting
 */
export const formatReport: (report: Report) => string = format
