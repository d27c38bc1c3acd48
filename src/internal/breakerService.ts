// What is behind a circuit breaker's service: its options checked, its clock, its listeners and its effects.
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Duration, Schedule, Scope } from "effect"
import type { CircuitBreaker, OpenOptions, Transition } from "../CircuitBreaker.ts"
import { Breaker } from "./breaker.ts"
import type { Shared } from "./breaker.ts"
import { broadcast } from "./broadcast.ts"
import type { State } from "./circuit.ts"
import { circuitOpen } from "./circuitOpen.ts"
import type { CircuitOpen } from "./circuitOpen.ts"
import { CurrentListener } from "./events.ts"
import type { Emit } from "./events.ts"
import { openTimes } from "./openTimes.ts"
import type { Keys } from "./perKey.ts"
import { monotonicMs, nowMs } from "./time.ts"
import { detector, isTrip, TripTypeId } from "./trip.ts"
import type { Trip } from "./trip.ts"
import * as validate from "./validate.ts"

/** The options with their defaults, not yet checked. */
export interface Resolved {
  readonly trip: Trip
  readonly openFor: Duration.Input | Schedule.Schedule<unknown, unknown>
  readonly halfOpen: { readonly probes: number; readonly successRatio: number; readonly maxDuration: Duration.Input }
  readonly retryAfterCeiling: Duration.Input
  readonly count: {
    readonly throttled?: "failed" | "ignored" | undefined
    readonly defect?: "failed" | "ignored" | undefined
  }
  /** Undefined: the breaker is not keyed. */
  readonly keys: Keys | undefined
  readonly initial: State
}

/**
 * Changes kept for a subscriber that is slow: enough for some minutes of any one circuit; and for what moves all the circuits of a keyed
 * breaker at once, which changes each of them twice at most.
 */
const changesKept = (keys: Keys | undefined): number => 128 + 2 * (keys?.max ?? 0)

/** The value of a breaker service. Dies with InvalidOption. */
export const make = /*#__PURE__*/ Effect.fnUntraced(function* (
  name: string,
  options: Resolved
): Effect.fn.Return<CircuitBreaker, never, Scope.Scope> {
  const context = yield* Effect.context<Scope.Scope>()
  // Whoever asks may have another Clock in force than whoever built the layer
  const clock = () => Fiber.getCurrent()?.getRef(Clock.Clock) ?? Context.get(context, Clock.Clock)
  const now = () => monotonicMs(clock())
  const changes = yield* broadcast<Transition>(changesKept(options.keys))
  const changed = (emit: Emit | undefined, key: string | undefined, from: State, to: State): void => {
    if (emit === undefined && !changes.isFollowed()) return
    const at = clock().currentTimeMillisUnsafe()
    const transition: Transition = { _tag: "CircuitChanged", at, breaker: name, key, from, to }
    changes.send(transition)
    emit?.(transition)
  }
  const breaker = new Breaker<CircuitOpen>(
    {
      ...settingsOf(options, context),
      name,
      now,
      changed,
      reject: (key, state, until) => circuitOpen(name, key, state, until, now)
    },
    options.keys,
    initialOf(options.initial)
  )
  const reading = <A>(f: (now: number) => A): Effect.Effect<A> =>
    Effect.withFiber((fiber) => Effect.succeed(f(nowMs(fiber))))
  const moving = (f: (now: number, emit: Emit | undefined) => void): Effect.Effect<void> =>
    Effect.withFiber((fiber) => {
      f(nowMs(fiber), fiber.getRef(CurrentListener))
      return Effect.void
    })
  return {
    name,
    phase: "circuit",
    keyed: options.keys !== undefined,
    look: (call) => breaker.look(call),
    admit: (call) => breaker.admit(call),
    state: (key) => reading((now) => breaker.state(key, now)),
    snapshot: (key) => reading((now) => breaker.snapshot(key, now)),
    snapshots: reading((now) => breaker.snapshots(now)),
    changes: changes.stream,
    open: (first?: string | OpenOptions | undefined, second?: OpenOptions | undefined) =>
      moving((now, emit) => {
        const [key, options] = typeof first === "object" ? [undefined, first] : [first, second]
        const forMs =
          options?.for === undefined ? undefined : validate.duration(`${name}.open: for`, options.for, "positive")
        breaker.open(key, forMs, now, emit)
      }),
    isolate: (key) => moving((now, emit) => breaker.isolate(key, now, emit)),
    close: (key) => moving((now, emit) => breaker.close(key, now, emit))
  }
})

const settingsOf = (
  options: Resolved,
  context: Context.Context<never>
): Omit<Shared<CircuitOpen>, "name" | "now" | "changed" | "reject"> => {
  if (!isTrip(options.trip)) validate.invalid("trip", options.trip, "a trip, such as consecutiveFailures(5)")
  const { count, halfOpen } = options
  const probes = validate.integer("halfOpen.probes", halfOpen.probes, 1)
  const ratio = validate.ratio("halfOpen.successRatio", halfOpen.successRatio, "positive")
  return {
    detector: detector(options.trip[TripTypeId]),
    probes,
    // a product such as 0.07 * 100 comes out a little above the 7 that is meant
    successes: Math.max(1, Math.ceil(ratio * probes - 1e-9)),
    maxProbeMs: validate.duration("halfOpen.maxDuration", halfOpen.maxDuration, "positive"),
    retryAfterCeilingMs: validate.duration("retryAfterCeiling", options.retryAfterCeiling),
    count: {
      throttled: healthOf("count.throttled", count.throttled),
      defect: healthOf("count.defect", count.defect)
    },
    openTimes: openTimes(options.openFor, context)
  }
}

const healthOf = (option: string, health: "failed" | "ignored" | undefined) =>
  health === undefined || health === "failed" || health === "ignored"
    ? health
    : validate.invalid(option, health, '"failed" or "ignored"')

const initialOf = (initial: State): State =>
  initial === "closed" || initial === "open" || initial === "half-open" || initial === "isolated"
    ? initial
    : validate.invalid("initial", initial, '"closed", "open", "half-open" or "isolated"')
