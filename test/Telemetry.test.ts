import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  ManagedRuntime,
  Metric,
  References,
  Scope,
  Stream,
  Tracer
} from "effect"
import { PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import * as Fallback from "../src/Fallback.ts"
import * as Fault from "../src/Fault.ts"
import * as Policy from "../src/Policy.ts"
import { withResilience } from "../src/Policy.ts"
import { CurrentListener, tagOf } from "../src/internal/events.ts"
import type { Event } from "../src/internal/events.ts"
import { makeHub } from "../src/internal/listeners.ts"
import { MAX_KINDS, logger } from "../src/internal/log.ts"
import { MAX_CIRCUITS, recorder } from "../src/internal/metrics.ts"
import { spanEmit, spanOf } from "../src/internal/spanEvents.ts"
import * as Telemetry from "../src/Telemetry.ts"

const call = { at: 1_000, policy: "quotes.get", key: "user-7" }
const elapsed = Duration.millis(120)

const started: Event = { ...call, _tag: "CallStarted" }
const attemptSucceeded: Event = { ...call, _tag: "AttemptSucceeded", attempt: 2, kind: "retry", elapsed }
const attemptFailed: Event = {
  ...call,
  _tag: "AttemptFailed",
  attempt: 1,
  kind: "first",
  outcome: "transient",
  error: "NetworkError",
  elapsed
}
const retryScheduled: Event = {
  ...call,
  _tag: "RetryScheduled",
  attempt: 2,
  error: "NetworkError",
  delay: Duration.millis(50),
  retryAfter: undefined
}
const retryDenied: Event = {
  ...call,
  _tag: "RetryDenied",
  attempt: 2,
  reason: "budget",
  error: "NetworkError",
  deniedBy: "app/Budget"
}
const hedgeStarted: Event = { ...call, _tag: "HedgeStarted", attempt: 2, after: Duration.millis(80) }
const hedgeDenied: Event = { ...call, _tag: "HedgeDenied", attempt: 3, reason: "budget", deniedBy: "app/Budget" }
const recovered: Event = { ...call, _tag: "CallRecovered", attempts: 2, error: "NetworkError", elapsed }
const succeeded: Event = { ...call, _tag: "CallSucceeded", attempts: 2, elapsed }
const callFailed: Event = {
  ...call,
  _tag: "CallFailed",
  attempts: 2,
  error: "RetryExhausted",
  lastError: "NetworkError",
  elapsed
}
const interrupted: Event = {
  ...call,
  _tag: "CallFailed",
  attempts: 1,
  error: "Interrupted",
  lastError: undefined,
  elapsed
}
const rejected: Event = {
  ...call,
  _tag: "GuardRejected",
  guard: "app/Breaker",
  attempt: 1,
  error: "CircuitOpen",
  reason: "open"
}
const opened: Event = {
  _tag: "CircuitChanged",
  at: 1_000,
  breaker: "app/Breaker",
  key: "h",
  from: "closed",
  to: "open"
}
const probing: Event = { ...opened, from: "open", to: "half-open" }
const closed: Event = { ...opened, from: "half-open", to: "closed" }
const served: Event = {
  _tag: "FallbackServed",
  at: 1_000,
  name: "app/Last",
  source: "stale",
  error: "CircuitOpen",
  age: Duration.seconds(2)
}
const deadlinePassed: Event = { _tag: "DeadlinePassed", at: 1_000, name: "quotes.get", after: Duration.seconds(3) }
const budgetChanged: Event = { _tag: "BudgetChanged", at: 1_000, budget: "app/Budget", key: undefined, balance: 4 }
const injected: Event = {
  ...call,
  _tag: "ChaosInjected",
  attempt: 1,
  injection: "fault",
  error: "NetworkError",
  delay: undefined
}

const everyEvent = [
  started,
  attemptFailed,
  retryScheduled,
  attemptSucceeded,
  recovered,
  succeeded,
  retryDenied,
  callFailed,
  interrupted,
  rejected,
  opened,
  probing,
  closed,
  served,
  deadlinePassed,
  budgetChanged,
  injected,
  hedgeStarted,
  hedgeDenied
]

/** What the engine does. */
const emit = (...events: ReadonlyArray<Event>): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const listener = fiber.getRef(CurrentListener)
    for (const event of events) listener?.(event)
    return Effect.void
  })

const callsIn = (report: Telemetry.Report): number => report.policies.reduce((total, policy) => total + policy.calls, 0)
const calls = Effect.map(Telemetry.report, callsIn)

/** Captures what is logged. */
const capture = () => {
  const lines: Array<string> = []
  const messages: Array<unknown> = []
  const logger = Logger.make<unknown, void>(({ date, fiber, logLevel, message }) => {
    const [text, event] = message as ReadonlyArray<unknown>
    lines.push(`${logLevel} ${String(text)}`)
    messages.push({ event, date: date.getTime(), annotations: fiber.getRef(References.CurrentLogAnnotations) })
  })
  return { lines, messages, layer: Logger.layer([logger]), logger }
}

const freshRegistry = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Metric.MetricRegistry, new Map())

const seriesOf = Effect.map(Metric.snapshot, (snapshots) =>
  Object.fromEntries(
    snapshots.map(({ attributes, id, state, type }) => [
      `${id}{${Object.entries(attributes ?? {})
        .map(([name, value]) => `${name}=${value}`)
        .join(",")}}`,
      type === "Counter" ? state.count : type === "Gauge" ? state.value : type === "Histogram" ? state.sum : undefined
    ])
  )
)

describe("Telemetry", () => {
  describe("listening", () => {
    it.effect("nobody listens by default", () =>
      Effect.gen(function* () {
        assert.isUndefined(yield* CurrentListener)
        assert.isFunction(yield* Effect.provide(CurrentListener, Telemetry.layer))
        assert.isUndefined(yield* CurrentListener)
      })
    )

    it.effect("the layers work together in any order", () =>
      Effect.gen(function* () {
        const orders = [
          Layer.mergeAll(Telemetry.layer, Telemetry.layerMetrics, Telemetry.layerLog),
          Layer.mergeAll(Telemetry.layerLog, Telemetry.layerMetrics, Telemetry.layer),
          Layer.mergeAll(Telemetry.layerMetrics, Telemetry.layer, Telemetry.layerLog),
          Telemetry.layer.pipe(Layer.provideMerge(Telemetry.layerMetrics), Layer.provideMerge(Telemetry.layerLog)),
          Layer.merge(Telemetry.layer.pipe(Layer.provideMerge(Telemetry.layerLog)), Telemetry.layerMetrics),
          Layer.merge(Telemetry.layerMetrics, Telemetry.layerLog.pipe(Layer.provideMerge(Telemetry.layer))),
          // Twice, by two ways
          Layer.mergeAll(
            Layer.merge(Telemetry.layer, Telemetry.layerMetrics),
            Layer.merge(Telemetry.layer, Telemetry.layerLog),
            Layer.merge(Telemetry.layerLog, Telemetry.layerMetrics)
          )
        ]
        for (const layer of orders) {
          const logs = capture()
          yield* Effect.gen(function* () {
            yield* emit(started, succeeded, callFailed)
            assert.strictEqual(yield* calls, 1)
            const series = yield* seriesOf
            assert.strictEqual(series["resilience.calls{policy=quotes.get,outcome=success}"], 1)
            assert.strictEqual(logs.lines.length, 1)
          }).pipe(Effect.provide(layer), Effect.provide(logs.layer), freshRegistry)
        }
      })
    )

    it.effect("each layer works alone", () =>
      Effect.gen(function* () {
        const logs = capture()
        yield* Effect.provide(emit(callFailed), Telemetry.layerLog).pipe(Effect.provide(logs.layer))
        assert.strictEqual(logs.lines.length, 1)
        yield* Effect.gen(function* () {
          yield* Effect.provide(emit(succeeded), Telemetry.layerMetrics)
          assert.strictEqual((yield* seriesOf)["resilience.calls{policy=quotes.get,outcome=success}"], 1)
        }).pipe(freshRegistry)
      })
    )

    it.effect("one further in adds to those further out, and hears only what runs within it", () =>
      Effect.gen(function* () {
        const logs = capture()
        const inner = Effect.provide(
          Effect.andThen(emit(started, callFailed), calls),
          Layer.merge(Telemetry.layer, Telemetry.layerMetrics)
        )
        const [outside, within] = yield* Effect.gen(function* () {
          yield* emit(started, started)
          const within = yield* inner
          const series = yield* seriesOf
          assert.strictEqual(series["resilience.calls{policy=quotes.get,outcome=failure}"], 1)
          return [logs.lines.length, within]
        }).pipe(Effect.provide(Telemetry.layerLog), Effect.provide(logs.layer), freshRegistry)
        assert.deepStrictEqual([outside, within], [1, 1])
      })
    )

    it.effect("the same layer further in shares what it builds, like any layer, and hears once", () =>
      Effect.gen(function* () {
        yield* Effect.gen(function* () {
          yield* Effect.provide(emit(started, succeeded), Layer.merge(Telemetry.layer, Telemetry.layerMetrics))
          yield* Effect.provide(emit(started, succeeded), Telemetry.layerMetrics)
          assert.strictEqual((yield* seriesOf)["resilience.calls{policy=quotes.get,outcome=success}"], 2)
          assert.strictEqual(yield* calls, 2)
          // A new listener beside one that listens further out already
          const logs = capture()
          yield* Effect.provide(
            emit(callFailed),
            Layer.mergeAll(Telemetry.layerLog, Telemetry.layerMetrics, Telemetry.layer)
          ).pipe(Effect.provide(logs.layer))
          assert.strictEqual(logs.lines.length, 1)
          assert.strictEqual((yield* seriesOf)["resilience.calls{policy=quotes.get,outcome=failure}"], 1)
          // Fresh means fresh
          const fresh = yield* Effect.provide(Effect.andThen(emit(started), calls), Layer.fresh(Telemetry.layer))
          assert.deepStrictEqual([fresh, yield* calls], [1, 3])
        }).pipe(Effect.provide(Layer.merge(Telemetry.layer, Telemetry.layerMetrics)))
      }).pipe(freshRegistry)
    )

    it.effect("a recorder in between goes on hearing", () =>
      Effect.gen(function* () {
        const inner = Effect.provide(emit(started), Telemetry.layer)
        const [, events] = yield* Telemetry.recorded(inner)
        assert.deepStrictEqual(events, [started])
        assert.strictEqual(yield* calls, 1)
      }).pipe(Effect.provide(Telemetry.layer))
    )

    it.effect("runtimes that are built apart hear their own calls", () =>
      Effect.gen(function* () {
        const a = ManagedRuntime.make(Telemetry.layer)
        const b = ManagedRuntime.make(Telemetry.layer)
        yield* Effect.promise(() => a.runPromise(emit(started)))
        const count = (runtime: typeof a) => Effect.promise(() => runtime.runPromise(calls))
        assert.deepStrictEqual([yield* count(a), yield* count(b)], [1, 0])
        yield* Effect.promise(() => a.dispose())
        yield* Effect.promise(() => b.dispose())
      })
    )

    it.effect("goes with its layer", () =>
      Effect.gen(function* () {
        const logs = capture()
        // Both hear through one hub, whose other layers are released apart
        const build = Layer.merge(Layer.merge(Telemetry.layer, Telemetry.layerLog), Telemetry.layerLog)
        const left = yield* Effect.gen(function* () {
          const listener = yield* CurrentListener
          listener?.(callFailed)
          const hub = listener?.hub
          assert.deepStrictEqual([hub?.listeners.size, hub?.users], [2, 3])
          return listener
        }).pipe(Effect.provide(build), Effect.provide(logs.layer))
        left?.({ ...callFailed, at: 9_000_000 })
        assert.strictEqual(logs.lines.length, 1)
        assert.deepStrictEqual([left?.hub?.listeners.size, left?.hub?.users], [0, 0])
      })
    )

    it.effect("layers of one build come and go", () =>
      Effect.gen(function* () {
        const memoMap = yield* Layer.makeMemoMap
        const build = Effect.fnUntraced(function* (layer: Layer.Layer<Telemetry.Telemetry> | Layer.Layer<never>) {
          const scope = yield* Scope.make()
          const context = yield* Layer.buildWithMemoMap(layer as Layer.Layer<never>, memoMap, scope)
          return { scope, listener: Context.get(context, CurrentListener) }
        })
        // Of another place, so that the build goes on when those below have gone
        yield* Telemetry.recorded(build(Telemetry.layerLog))
        const first = yield* build(Telemetry.layerLog)
        const second = yield* build(Telemetry.layer)
        yield* Scope.close(first.scope, Exit.void)
        // The others still share one listener
        const third = yield* build(Telemetry.layerMetrics)
        assert.strictEqual(third.listener, second.listener)
        yield* Scope.close(second.scope, Exit.void)
        yield* Scope.close(third.scope, Exit.void)
        // And nothing of it is left
        const fourth = yield* build(Telemetry.layer)
        assert.notStrictEqual(fourth.listener, third.listener)
        yield* Scope.close(fourth.scope, Exit.void)
      }).pipe(freshRegistry)
    )

    it.effect("a listener that throws breaks nothing, and is counted", () =>
      Effect.gen(function* () {
        const broken = Logger.make<unknown, void>(() => {
          throw new Error("bug")
        })
        const logs = Logger.layer([broken])
        yield* Effect.gen(function* () {
          yield* emit(callFailed)
          // Further in, and a raw listener around: both count where they can be counted
          yield* Effect.provide(emit({ ...callFailed, at: 9_000_000 }), Layer.fresh(Telemetry.layerLog))
          const report = yield* Telemetry.report
          assert.strictEqual(report.policies[0]?.failed, 2)
          assert.strictEqual(report.listenerFailures, 3)
        }).pipe(Effect.provide(Layer.merge(Telemetry.layerLog, Telemetry.layer)), Effect.provide(logs))
        const raw = yield* Effect.andThen(emit(started), Telemetry.report).pipe(
          Effect.provide(Telemetry.layer),
          Effect.provideService(CurrentListener, () => {
            throw new Error("bug")
          })
        )
        assert.deepStrictEqual([callsIn(raw), raw.listenerFailures], [1, 1])
        // Nobody there to count it
        makeHub(() => {
          throw new Error("bug")
        }).emit(started)
      })
    )
  })

  describe("recorded", () => {
    it.effect("answers how the effect ended and what happened", () =>
      Effect.gen(function* () {
        const [exit, events] = yield* Telemetry.recorded(Effect.andThen(emit(started, retryDenied), Effect.fail("no")))
        assert.deepStrictEqual(exit, Exit.fail("no"))
        assert.deepStrictEqual(events, [started, retryDenied])
      })
    )

    it.effect("hears forked fibers, and stops at the end", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const [exit, events] = yield* Telemetry.recorded(
          Effect.gen(function* () {
            yield* Fiber.join(yield* Effect.forkChild(emit(started)))
            return yield* Effect.forkDetach(Effect.andThen(Deferred.await(gate), emit(succeeded)))
          })
        )
        yield* Deferred.succeed(gate, undefined)
        if (Exit.isSuccess(exit)) yield* Fiber.join(exit.value)
        assert.deepStrictEqual(events, [started])
      })
    )

    it.effect("nests: all hear, and neighbours do not", () =>
      Effect.gen(function* () {
        const [exit, outer] = yield* Telemetry.recorded(
          Effect.all([Telemetry.recorded(emit(started)), Telemetry.recorded(emit(succeeded))], { concurrency: 2 })
        )
        assert.deepStrictEqual(outer, [started, succeeded])
        const inner = Exit.isSuccess(exit) ? exit.value.map(([, events]) => events) : []
        assert.deepStrictEqual(inner, [[started], [succeeded]])
        assert.strictEqual(yield* calls, 1)
      }).pipe(Effect.provide(Telemetry.layer))
    )
  })

  describe("events", () => {
    it.effect("streams what happens to every subscriber, and ends with the layer", () =>
      Effect.gen(function* () {
        const [a, b, after] = yield* Effect.gen(function* () {
          const a = yield* Effect.forkDetach(Stream.runCollect(Telemetry.events))
          const b = yield* Effect.forkDetach(Stream.runCollect(Stream.take(Telemetry.events, 1)))
          yield* Effect.yieldNow
          yield* emit(started, succeeded)
          assert.deepStrictEqual(yield* Fiber.join(b), [started])
          yield* emit(recovered)
          return [a, b, (yield* Telemetry.Telemetry).events] as const
        }).pipe(Effect.provide(Telemetry.layer))
        assert.deepStrictEqual(yield* Fiber.join(a), [started, succeeded, recovered])
        assert.deepStrictEqual(yield* Fiber.join(b), [started])
        assert.deepStrictEqual(yield* Stream.runCollect(after), [])
      })
    )

    it.effect("a slow subscriber loses the oldest", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const seen: Array<number> = []
        const subscriber = yield* Effect.forkChild(
          Stream.runForEach(Telemetry.events, (event) => {
            seen.push(event.at)
            return seen.length === 1 ? Deferred.await(gate) : Effect.void
          })
        )
        yield* Effect.yieldNow
        const of = (at: number): Event => ({ ...started, at }) as Event
        yield* emit(of(0))
        yield* Effect.yieldNow
        yield* emit(...Array.from({ length: Telemetry.eventsCapacity + 5 }, (_, i) => of(i + 1)))
        yield* Deferred.succeed(gate, undefined)
        yield* Effect.yieldNow
        yield* Effect.yieldNow
        yield* Fiber.interrupt(subscriber)
        assert.deepStrictEqual(seen, [0, ...Array.from({ length: Telemetry.eventsCapacity }, (_, i) => i + 6)])
      }).pipe(Effect.provide(Telemetry.layer))
    )
  })

  describe("what an error is called", () => {
    const reason = (more: object) => ({ _tag: "SqlError", message: "a secret", reason: more })
    for (const [name, error] of [
      ["SqlError(DeadlockError)", reason({ _tag: "DeadlockError", message: "a secret" })],
      ["SqlError(StatusCodeError)", reason({ _tag: "StatusCodeError" })],
      ["SqlError(503)", reason({ _tag: "StatusCodeError", response: { status: 503 } })],
      ["SqlError(DecodeError)", reason({ _tag: "DecodeError", response: { status: 200 } })],
      ["SqlError", reason({ kind: "DeadlockError" })],
      ["SqlError", { _tag: "SqlError", reason: "a secret" }],
      ["SqlError", { _tag: "SqlError", reason: null }],
      ["TypeError", new TypeError("a secret")],
      ["string", "a secret"]
    ] as const) {
      it.effect(`${name}, in all that is told of it`, () =>
        Effect.gen(function* () {
          const policy = Policy.make({
            name: "p",
            faults: Fault.all,
            safety: "idempotent",
            retry: Backoff.constant(0).pipe(Backoff.times(1))
          })
          const call = Effect.fail(error).pipe(withResilience(policy), Fallback.value("stale", { name: "f" }))
          const [, events] = yield* Telemetry.recorded(call)
          const told = events.flatMap((event) => ("error" in event ? [[event._tag, event.error]] : []))
          assert.deepStrictEqual(told, [
            ["AttemptFailed", name],
            ["RetryScheduled", name],
            ["AttemptFailed", name],
            ["RetryDenied", name],
            ["CallFailed", "RetryExhausted"],
            ["FallbackServed", "RetryExhausted"]
          ])
          assert.notInclude(JSON.stringify(events), "secret")
          const failed = events.find(({ _tag }) => _tag === "CallFailed") as Extract<Event, { _tag: "CallFailed" }>
          assert.strictEqual(failed.lastError, name)
        })
      )
    }
  })

  it.effect("an error that cannot be read changes nothing of what happens", () => {
    const evil = Object.defineProperty({ _tag: "Evil" }, "reason", {
      get: () => {
        throw new Error("no")
      }
    })
    return Effect.gen(function* () {
      const policy = Policy.make({
        name: "p",
        faults: Fault.all,
        safety: "idempotent",
        retry: Backoff.constant(0),
        deadline: "1 minute"
      })
      let runs = 0
      const flaky = Effect.suspend(() => (++runs < 3 ? Effect.fail(evil) : Effect.succeed("ok")))
      const [exit, events] = yield* Telemetry.recorded(Effect.withSpan(withResilience(flaky, policy), "s"))
      assert.deepStrictEqual(exit, Exit.succeed("ok"))
      assert.include(JSON.stringify(events), '"Evil"')
      assert.strictEqual(yield* Fallback.value(Effect.fail(evil), 7, { on: ["Evil"] }), 7)
    })
  })

  describe("layerMetrics", () => {
    it.effect("counts and times everything under the documented names", () =>
      Effect.gen(function* () {
        yield* Effect.gen(function* () {
          yield* emit(
            ...everyEvent,
            { ...budgetChanged, key: "k", balance: 99 } as Event,
            {
              ...opened,
              key: "other"
            } as Event
          )
          assert.deepStrictEqual(yield* seriesOf, {
            "resilience.attempts{policy=quotes.get,outcome=transient,error=NetworkError}": 1,
            "resilience.attempts{policy=quotes.get,outcome=success,error=none}": 1,
            "resilience.attempt.duration{policy=quotes.get}": 240,
            "resilience.retries{policy=quotes.get,error=NetworkError}": 1,
            "resilience.retries.recovered{policy=quotes.get}": 1,
            "resilience.retries.denied{policy=quotes.get,reason=budget}": 1,
            "resilience.calls{policy=quotes.get,outcome=success}": 1,
            "resilience.calls{policy=quotes.get,outcome=failure}": 1,
            "resilience.calls{policy=quotes.get,outcome=interrupted}": 1,
            "resilience.call.duration{policy=quotes.get}": 360,
            "resilience.guard.rejections{guard=app/Breaker,reason=open}": 1,
            "resilience.circuit.transitions{breaker=app/Breaker,from=closed,to=open}": 2,
            "resilience.circuit.transitions{breaker=app/Breaker,from=open,to=half-open}": 1,
            "resilience.circuit.transitions{breaker=app/Breaker,from=half-open,to=closed}": 1,
            "resilience.circuit.circuits{breaker=app/Breaker,state=open}": 1,
            "resilience.circuit.circuits{breaker=app/Breaker,state=half-open}": 0,
            "resilience.budget.balance{budget=app/Budget}": 4,
            "resilience.fallbacks{name=app/Last,source=stale}": 1,
            "resilience.chaos.injected{policy=quotes.get,injection=fault}": 1,
            "resilience.hedges{policy=quotes.get}": 1,
            "resilience.hedges.denied{policy=quotes.get,reason=budget}": 1
          })
        }).pipe(Effect.provide(Telemetry.layerMetrics))
        // Released, it knows of no circuit any more
        assert.strictEqual((yield* seriesOf)["resilience.circuit.circuits{breaker=app/Breaker,state=open}"], 0)
      }).pipe(freshRegistry)
    )

    it.effect("shows in Prometheus, without any key", () =>
      Effect.gen(function* () {
        yield* emit(...everyEvent)
        const text = yield* PrometheusMetrics.format()
        assert.include(text, 'resilience_calls{policy="quotes.get",outcome="success"} 1')
        assert.include(text, "# TYPE resilience_call_duration histogram")
        assert.include(text, 'resilience_call_duration_bucket{policy="quotes.get",le="250"} 3')
        assert.notInclude(text, "user-7")
      }).pipe(Effect.provide(Telemetry.layerMetrics), freshRegistry)
    )

    it.effect("carries the common attributes of where it is built", () =>
      Effect.gen(function* () {
        yield* Effect.provide(emit(recovered), Telemetry.layerMetrics).pipe(
          Effect.provideService(Metric.CurrentMetricAttributes, { region: "eu" })
        )
        assert.deepStrictEqual(yield* seriesOf, {
          "resilience.retries.recovered{policy=quotes.get,region=eu}": 1
        })
      }).pipe(freshRegistry)
    )

    it("remembers a bounded number of circuits", () => {
      const registry: Metric.MetricRegistry = new Map()
      const context = Context.make(Metric.MetricRegistry, registry) as Context.Context<never>
      const metrics = recorder(context)
      const openCircuits = () =>
        Metric.snapshotUnsafe(context)
          .filter(({ id }) => id === "resilience.circuit.circuits")
          .map(({ state }) => state)
      for (let i = 0; i < MAX_CIRCUITS + 10; i++) metrics.hear({ ...opened, key: `k${i}` } as Event)
      assert.deepStrictEqual(openCircuits(), [{ value: MAX_CIRCUITS }])
      // A change of one that was forgotten takes nothing away from the others
      metrics.hear({ ...opened, key: "k0", from: "open", to: "closed" } as Event)
      assert.deepStrictEqual(openCircuits(), [{ value: MAX_CIRCUITS }])
      metrics.close()
      assert.deepStrictEqual(openCircuits(), [{ value: 0 }])
    })
  })

  describe("layerLog", () => {
    it.effect("says what went wrong, at the documented levels", () =>
      Effect.gen(function* () {
        const logs = capture()
        yield* emit(
          ...everyEvent,
          { ...retryDenied, reason: "schedule", deniedBy: undefined } as Event,
          { ...deadlinePassed, name: undefined } as Event,
          { ...deadlinePassed, name: "page", reserved: Duration.millis(300) } as Event,
          { ...served, source: "fallback", age: undefined, name: "zero" } as Event,
          { ...opened, to: "isolated" } as Event,
          { ...callFailed, attempts: 1, error: "NotFound", lastError: undefined } as Event,
          { ...injected, injection: "latency", error: undefined, delay: Duration.millis(50) } as Event,
          { ...injected, injection: "result", error: undefined } as Event
        ).pipe(
          Effect.provide(Telemetry.layerLog),
          Effect.provide(logs.layer),
          Effect.provideService(References.MinimumLogLevel, "Debug")
        )
        assert.deepStrictEqual(logs.lines, [
          "Debug quotes.get: attempt 2 follows in 50ms, after NetworkError",
          "Info quotes.get: succeeded after 2 attempts and 120ms, the last failure being NetworkError",
          "Debug quotes.get: no retry after NetworkError in attempt 2 (budget, app/Budget)",
          "Warn quotes.get: failed with RetryExhausted after 2 attempts and 120ms, the last failure being NetworkError",
          "Debug quotes.get: attempt 1 refused by app/Breaker (open)",
          "Warn app/Breaker: the circuit went from closed to open",
          "Info app/Breaker: the circuit went from open to half-open",
          "Info app/Breaker: the circuit went from half-open to closed",
          "Info app/Last: answered CircuitOpen with a value 2s old",
          "Debug quotes.get: not done after 3s",
          "Info quotes.get: injected into attempt 1 by Chaos: fault (NetworkError)",
          "Debug quotes.get: attempt 2 started beside the first, which has taken 80ms so far",
          "Debug quotes.get: no hedge (budget, app/Budget)",
          "Debug quotes.get: no retry after NetworkError in attempt 2 (schedule)",
          "Debug a deadline: not done after 3s",
          "Debug page: not done after 3s, 300ms being reserved",
          "Info zero: answered CircuitOpen with a substitute",
          "Warn app/Breaker: the circuit went from closed to isolated",
          "Warn quotes.get: failed with NotFound after 1 attempt and 120ms",
          "Info quotes.get: injected into attempt 1 by Chaos: latency (50ms)",
          "Info quotes.get: injected into attempt 1 by Chaos: result"
        ])
      })
    )

    it.effect("keeps to the minimum level, and a healthy call says nothing", () =>
      Effect.gen(function* () {
        const logs = capture()
        yield* Effect.gen(function* () {
          yield* emit(started, attemptSucceeded, succeeded, retryScheduled)
          assert.deepStrictEqual(logs.lines, [])
          yield* Effect.provideService(emit(recovered), References.MinimumLogLevel, "Warn")
          assert.deepStrictEqual(logs.lines, [])
          // What was below the level has not used up the turn of the next
          yield* emit(recovered)
          assert.strictEqual(logs.lines.length, 1)
        }).pipe(Effect.provide(Telemetry.layerLog), Effect.provide(logs.layer))
      })
    )

    it.effect("writes one line a second of a kind, and says how many were left out", () =>
      Effect.gen(function* () {
        const logs = capture()
        const at = (at: number): Event => ({ ...callFailed, at }) as Event
        yield* emit(
          at(5_000),
          at(5_001),
          { ...callFailed, at: 5_002, policy: "other" } as Event,
          at(5_999),
          at(6_000),
          at(7_000),
          // The wall clock was set back
          at(1_000)
        ).pipe(Effect.provide(Telemetry.layerLog), Effect.provide(logs.layer))
        const text =
          "Warn quotes.get: failed with RetryExhausted after 2 attempts and 120ms, the last failure being NetworkError"
        assert.deepStrictEqual(logs.lines, [
          text,
          text.replace("quotes.get", "other"),
          `${text} (and 2 more like it before)`,
          text,
          text
        ])
      })
    )

    it.effect("logs as the fiber of the call, with its annotations, and the event", () => {
      const logs = capture()
      const elsewhere = capture()
      return Effect.gen(function* () {
        yield* emit(callFailed).pipe(
          Effect.annotateLogs("request", "r1"),
          Effect.provide(logs.layer),
          Effect.provide(Telemetry.layerLog)
        )
        assert.deepStrictEqual(logs.messages, [{ event: callFailed, date: 1_000, annotations: { request: "r1" } }])
        assert.deepStrictEqual(elsewhere.lines, [])
        // Outside of any fiber, as from a timer of the host
        const hear = yield* Effect.withFiber((fiber) => Effect.succeed(logger(fiber)))
        yield* Effect.promise(async () => {
          await Promise.resolve()
          assert.isUndefined(Fiber.getCurrent())
          hear(callFailed)
        })
        assert.strictEqual(elsewhere.lines.length, 1)
      }).pipe(Effect.provide(elsewhere.layer))
    })

    it.effect("remembers a bounded number of kinds", () =>
      Effect.gen(function* () {
        const logs = capture()
        const of = (i: number): Event => ({ ...callFailed, policy: `p${i}` }) as Event
        yield* emit(...Array.from({ length: MAX_KINDS + 1 }, (_, i) => of(i)), of(0), of(0)).pipe(
          Effect.provide(Telemetry.layerLog),
          Effect.provide(logs.layer)
        )
        // The first was forgotten, so it is logged once more
        assert.strictEqual(logs.lines.length, MAX_KINDS + 2)
      })
    )
  })

  describe("report", () => {
    it.effect("names the errors that no classifier knew", () =>
      Effect.gen(function* () {
        const policy = Policy.make({
          name: "quotes.get",
          faults: Fault.tags({ transient: ["Net"] }),
          safety: "idempotent",
          retry: Backoff.constant(0).pipe(Backoff.times(1))
        })
        yield* Effect.exit(Effect.fail({ _tag: "Nett" }).pipe(withResilience(policy)))
        const text = Telemetry.formatReport(yield* Telemetry.report)
        assert.include(text, "1 failed, not retried, because `faults` does not know them: Nett 1, last error Nett")
      }).pipe(Effect.provide(Telemetry.layer))
    )

    it.effect("covers the time since the layer was built", () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(Date.parse("2026-01-01T12:00:00Z"))
        const text = yield* Effect.gen(function* () {
          assert.strictEqual(
            Telemetry.formatReport(yield* Telemetry.report),
            "2026-01-01T12:00:00.000Z to 2026-01-01T12:00:00.000Z (0ms)\n\nno calls"
          )
          yield* TestClock.adjust("5 minutes")
          yield* emit(...everyEvent, started, { ...rejected, guard: "app/Bulkhead", reason: "full" } as Event)
          yield* emit(
            { ...started, policy: "users.get" } as Event,
            { ...retryScheduled, policy: "idle" } as Event,
            { ...rejected, policy: "idle" } as Event,
            { ...injected, policy: "users.get" } as Event,
            { ...injected, policy: "users.get", injection: "result", error: undefined } as Event
          )
          yield* emit(opened, { ...opened, key: undefined, to: "isolated" } as Event)
          const report = yield* Telemetry.report
          assert.strictEqual(report.at - report.since, 300_000)
          return Telemetry.formatReport(report)
        }).pipe(Effect.provide(Telemetry.layer))
        assert.deepStrictEqual(text.split("\n"), [
          "2026-01-01T12:00:00.000Z to 2026-01-01T12:05:00.000Z (5m)",
          "",
          "policy      calls  failed  retries  amplification  recovered  rejected",
          "quotes.get      2       1        1          1.00x     1 of 2         2",
          "idle            0       0        1              -          -         1",
          "users.get       1       0        0          0.00x          -         0",
          "",
          "quotes.get: 2 calls, 1 retry (NetworkError 1), 1 hedge, 1 of 2 retried calls recovered, 1 failed, no further retry once (budget 1), 2 rejections (app/Breaker open 1, app/Bulkhead full 1), 1 injection by Chaos, last error NetworkError at 1970-01-01T00:00:01.000Z",
          "idle: 0 calls, 1 retry (NetworkError 1), 1 rejection (app/Breaker open 1)",
          "users.get: 1 call, 2 injections by Chaos",
          "",
          'circuit app/Breaker "h": open since 1970-01-01T00:00:01.000Z',
          "circuit app/Breaker: isolated since 1970-01-01T00:00:01.000Z",
          "",
          "fallback app/Last: 1 stale, 0 substitutes"
        ])
      })
    )

    it("says so when listeners fail", () => {
      const report: Telemetry.Report = {
        since: 0,
        at: 0,
        policies: [],
        circuits: [],
        fallbacks: [],
        listenerFailures: 2
      }
      assert.include(Telemetry.formatReport(report), "listeners failed 2 times: this is a bug")
    })
  })

  describe("span events", () => {
    const eventsOf = (span: Tracer.Span): unknown => (span as Tracer.NativeSpan).events

    it.effect("marks on the span what went wrong, at the fiber's time and without any key", () =>
      Effect.gen(function* () {
        yield* TestClock.adjust("2 seconds")
        const span = yield* Effect.currentSpan
        yield* Effect.withFiber((fiber) => {
          assert.strictEqual(spanOf(fiber), span)
          for (const event of everyEvent) spanEmit(fiber, event)
          spanEmit(fiber, { ...retryScheduled, retryAfter: Duration.seconds(9) } as Event)
          return Effect.void
        })
        const of = { "resilience.policy": "quotes.get" }
        const error = { "resilience.error": "NetworkError" }
        const retry = { ...of, "resilience.attempt": 2, ...error, "resilience.delay_ms": 50 }
        const circuit = { "resilience.breaker": "app/Breaker" }
        const expected: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
          [
            "resilience.attempt.failed",
            {
              ...of,
              "resilience.attempt": 1,
              "resilience.kind": "first",
              "resilience.outcome": "transient",
              ...error,
              "resilience.elapsed_ms": 120
            }
          ],
          ["resilience.retry.scheduled", retry],
          ["resilience.call.recovered", { ...of, "resilience.attempts": 2, ...error, "resilience.elapsed_ms": 120 }],
          [
            "resilience.retry.denied",
            {
              ...of,
              "resilience.attempt": 2,
              "resilience.reason": "budget",
              ...error,
              "resilience.denied_by": "app/Budget"
            }
          ],
          [
            "resilience.guard.rejected",
            {
              ...of,
              "resilience.attempt": 1,
              "resilience.guard": "app/Breaker",
              "resilience.reason": "open",
              "resilience.error": "CircuitOpen"
            }
          ],
          ["resilience.circuit.changed", { ...circuit, "resilience.from": "closed", "resilience.to": "open" }],
          ["resilience.circuit.changed", { ...circuit, "resilience.from": "open", "resilience.to": "half-open" }],
          ["resilience.circuit.changed", { ...circuit, "resilience.from": "half-open", "resilience.to": "closed" }],
          [
            "resilience.fallback.served",
            {
              "resilience.name": "app/Last",
              "resilience.source": "stale",
              "resilience.error": "CircuitOpen",
              "resilience.age_ms": 2000
            }
          ],
          ["resilience.deadline.passed", { "resilience.name": "quotes.get", "resilience.after_ms": 3000 }],
          ["resilience.chaos.injected", { ...of, "resilience.attempt": 1, "resilience.injection": "fault", ...error }],
          ["resilience.hedge.started", { ...of, "resilience.attempt": 2, "resilience.after_ms": 80 }],
          [
            "resilience.hedge.denied",
            { ...of, "resilience.attempt": 3, "resilience.reason": "budget", "resilience.denied_by": "app/Budget" }
          ],
          ["resilience.retry.scheduled", { ...retry, "resilience.retry_after_ms": 9000 }]
        ]
        assert.deepStrictEqual(
          eventsOf(span),
          expected.map(([name, attributes]) => [name, 2_000_000_000n, attributes])
        )
      }).pipe(Effect.withSpan("call"))
    )

    it.effect("needs a span of this process that is sampled and goes on", () =>
      Effect.gen(function* () {
        const has = Effect.withFiber((fiber) => {
          spanEmit(fiber, attemptFailed)
          return Effect.succeed(spanOf(fiber) !== undefined)
        })
        assert.isFalse(yield* has)
        const external = Tracer.externalSpan({ spanId: "a", traceId: "b" })
        assert.isFalse(yield* Effect.withParentSpan(has, external))
        const span = yield* Effect.makeSpan("call")
        assert.isTrue(yield* Effect.withParentSpan(has, span))
        span.end(1n, Exit.void)
        assert.isFalse(yield* Effect.withParentSpan(has, span))
        const unsampled = yield* Effect.makeSpan("call", { sampled: false })
        assert.isFalse(yield* Effect.withParentSpan(has, unsampled))
        assert.deepStrictEqual(eventsOf(unsampled), [])
      })
    )
  })

  it("takes an error's tag, else its constructor's name, else its type", () => {
    class Custom extends Error {}
    assert.deepStrictEqual(
      [{ _tag: "Tag" }, new Custom("m"), Object.create(null), { _tag: 1 }, "text", undefined, null].map(tagOf),
      ["Tag", "Custom", "Object", "Object", "string", "undefined", "null"]
    )
  })
})
