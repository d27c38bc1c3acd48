/**
 * The point in time by which everything here must be over. It is inherited by all calls below: the nearest one counts, whoever set
 * it raises it, and no policy begins a retry that would not fit.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { dataFirstOrLast } from "./internal/dataFirstOrLast.ts"
import { bounded, defectsOf } from "./internal/bounded.ts"
import { armedFor, CurrentCall, currentFrame, frameIn, Region, withinRegion } from "./internal/currentCall.ts"
import * as codecs from "./internal/deadlineCodecs.ts"
import { DeadlineExceeded } from "./internal/errors.ts"
import { emitter } from "./internal/spanEvents.ts"
import { stackless } from "./internal/stackless.ts"
import { monotonicMs, nowMs } from "./internal/time.ts"
import { duration, invalid, name as nonEmpty } from "./internal/validate.ts"

export { DeadlineExceeded } from "./internal/errors.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Names the deadline in `DeadlineExceeded` and in events. */
  readonly name?: string | undefined
}

/**
 * A deadline in force.
 *
 * @since 0.1.0
 * @category models
 */
export interface Current {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** The policy that set it, or the name given to it. */
  readonly owner: string | undefined
}

/**
 * Gives an effect `d` to finish, from now on. It is interrupted then, and `DeadlineExceeded` comes out when its finalizers have
 * run; unless a nearer deadline is in force already, whose owner raises it. `d` is a finite duration above 0.
 *
 * It runs in a fiber of its own: what it starts with `Effect.forkChild` is interrupted when it ends, as within `Effect.timeout`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const within: {
  (
    d: Duration.Input,
    options?: Options
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    d: Duration.Input,
    options?: Options
  ): Effect.Effect<A, E | DeadlineExceeded, R>
} = /*#__PURE__*/ dataFirstOrLast((d: Duration.Input, options?: Options) => {
  const ms = duration("Deadline.within: d", d, "positive")
  const owner = options?.name === undefined ? undefined : nonEmpty("Deadline.within: name", options.name)
  return (self) => limited(self, owner, () => ms)
})

/**
 * Gives an effect until a point in time, in milliseconds since the epoch; one that has passed already lets nothing begin. As
 * {@link within} otherwise.
 *
 * @since 0.1.0
 * @category combinators
 */
export const at: {
  (
    epochMillis: number,
    options?: Options
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    epochMillis: number,
    options?: Options
  ): Effect.Effect<A, E | DeadlineExceeded, R>
} = /*#__PURE__*/ dataFirstOrLast((epochMillis: number, options?: Options) => {
  if (!Number.isFinite(epochMillis)) {
    invalid("Deadline.at: epochMillis", epochMillis, "a finite number of milliseconds since the epoch")
  }
  const owner = options?.name === undefined ? undefined : nonEmpty("Deadline.at: name", options.name)
  return (self) => limited(self, owner, (clock) => epochMillis - clock.currentTimeMillisUnsafe())
})

const limited = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  owner: string | undefined,
  allowedMs: (clock: Clock.Clock) => number,
  kept?: { readonly reserved: Duration.Duration }
): Effect.Effect<A, E | DeadlineExceeded, R> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const ms = allowedMs(clock)
    const now = monotonicMs(clock)
    const exceeded = (): DeadlineExceeded => {
      const after = Duration.millis(Math.max(0, ms))
      emitter(fiber)?.({ _tag: "DeadlinePassed", at: clock.currentTimeMillisUnsafe(), name: owner, after, ...kept })
      return stackless(() => new DeadlineExceeded({ name: owner, after, ...kept }))
    }
    if (ms <= 0) return Effect.fail(exceeded())
    // armed also where one around is nearer, whose owner then interrupts first: this region may outlive that owner
    const region = new Region(frameIn(fiber.context), { deadline: { at: now + ms, owner } }, now)
    const body = Effect.provideService(self, CurrentCall, region)
    return bounded<A, E, R, A, E | DeadlineExceeded, never>(
      fiber,
      fiber.context as never,
      body,
      armedFor(ms, region.parent, now),
      (exit, timedOut) => {
        region.live = false
        return timedOut
          ? Effect.failCause(
              Cause.fromReasons<DeadlineExceeded>([...Cause.fail(exceeded()).reasons, ...defectsOf(exit)])
            )
          : exit
      }
    )
  })

/**
 * The deadline in force, if there is one.
 *
 * @since 0.1.0
 * @category accessors
 */
export const current: Effect.Effect<Option.Option<Current>> = /*#__PURE__*/ Effect.withFiber((fiber) => {
  const deadline = currentFrame(fiber)?.deadline
  if (deadline === undefined) return Effect.succeedNone
  const clock = fiber.getRef(Clock.Clock)
  const at = Math.round(clock.currentTimeMillisUnsafe() + (deadline.at - monotonicMs(clock)))
  return Effect.succeedSome({ at, owner: deadline.owner })
})

/**
 * The time left until the deadline in force, if there is one; never negative.
 *
 * @since 0.1.0
 * @category accessors
 */
export const remaining: Effect.Effect<Option.Option<Duration.Duration>> = /*#__PURE__*/ Effect.withFiber((fiber) => {
  const deadline = currentFrame(fiber)?.deadline
  return deadline === undefined
    ? Effect.succeedNone
    : Effect.succeedSome(Duration.millis(Math.max(0, deadline.at - nowMs(fiber))))
})

/**
 * Runs an effect under a deadline that is earlier by `d` than the one in force, so that a fallback or an answer still fits. With no
 * deadline in force, or with no more than `d` left, nothing is reserved or nothing begins, respectively. `d` is a finite duration of 0 or
 * more.
 *
 * The error has the name of the deadline's owner, whose time is not up yet: `reserved` says so.
 *
 * @since 0.1.0
 * @category combinators
 */
export const reserve: {
  (d: Duration.Input): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, d: Duration.Input): Effect.Effect<A, E | DeadlineExceeded, R>
} = /*#__PURE__*/ dataFirstOrLast((d: Duration.Input) => {
  const ms = duration("Deadline.reserve: d", d)
  const kept = { reserved: Duration.millis(ms) }
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | DeadlineExceeded, R> =>
    Effect.withFiber((fiber) => {
      const deadline = currentFrame(fiber)?.deadline
      if (deadline === undefined || ms === 0) return self
      return limited(self, deadline.owner, (clock) => deadline.at - ms - monotonicMs(clock), kept)
    })
})

/**
 * Runs an effect with no deadline in force, for what must outlive the caller's: clean-up, an audit record, a shared cache being built. When
 * the caller's deadline passes, the caller goes on without it, and it finishes on its own. An interruption for any other
 * reason still interrupts it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const unbounded = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const deadline = currentFrame(fiber)?.deadline
    if (deadline === undefined) return self
    const free = withinRegion(self, () => ({ unbounded: true }))
    return Effect.callback<A, E, R>((resume) => {
      const child = Effect.runForkWith(fiber.context as never)(free) as Fiber.Fiber<A, E>
      child.addObserver((exit: Exit.Exit<A, E>) => resume(exit))
      return Effect.suspend(() => (nowMs(fiber) >= deadline.at ? Effect.void : Fiber.interrupt(child)))
    })
  })

// ---------------------------------------------------------------------------------------------------------------------
// Across processes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How the time left is written in a header of a request, so that the process that serves it stops in time too. Write one of your own
 * for any header that your servers read.
 *
 * Encoding never says more time than there is. Decoding gives none for what is malformed, and never throws; zero says
 * that the time is up already.
 *
 * @since 0.1.0
 * @category models
 */
export interface Codec {
  /** The header's name, in lower case. */
  readonly header: string
  /** `nowMillis` is the time of sending, in milliseconds since the epoch: codecs that send a point in time need it. */
  readonly encode: (left: Duration.Duration, nowMillis: number) => string
  /** `nowMillis` is the time of receipt, in milliseconds since the epoch. */
  readonly decode: (text: string, nowMillis: number) => Option.Option<Duration.Duration>
}

/**
 * A codec that sends how much time is left, and so depends on no clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface RelativeCodec extends Codec {
  readonly encode: (left: Duration.Input) => string
  readonly decode: (text: string) => Option.Option<Duration.Duration>
}

/**
 * A codec that sends a point in time, so that the clocks of both sides must agree.
 *
 * @since 0.1.0
 * @category models
 */
export interface AbsoluteCodec extends Codec {
  readonly encode: (left: Duration.Input, nowMillis: number) => string
}

/**
 * `grpc-timeout`, as gRPC writes it over HTTP/2: at most eight digits and a unit, H M S m u n ("250m" is 250 milliseconds).
 *
 * Encoding takes the finest unit that fits, and rounds down, as Java's gRPC does; those of Go and JavaScript round up and may so let a server
 * work longer than its caller waits. No end, and whatever is longer, is "99999999H", some 11 000 years.
 *
 * ```ts
 * import { Duration, Option } from "effect"
 * import { Deadline } from "effect-resilience"
 *
 * Deadline.grpcTimeout.encode("1500 millis") // => "1500000u"
 * Deadline.grpcTimeout.decode("90S") // => Option.some(Duration.seconds(90))
 * Deadline.grpcTimeout.decode("soon") // => Option.none()
 * ```
 *
 * @since 0.1.0
 * @category codecs
 */
export const grpcTimeout: RelativeCodec = {
  header: "grpc-timeout",
  encode: codecs.encodeGrpc,
  decode: codecs.decodeGrpc
}

/**
 * `x-envoy-expected-rq-timeout-ms`, which Envoy sends to the services behind it: whole milliseconds.
 *
 * Encoding rounds down, but says at least 1, as Envoy does when the time is up: for Envoy 0 is no timeout at all, and is
 * decoded as none.
 *
 * @since 0.1.0
 * @category codecs
 */
export const envoyTimeout: RelativeCodec = {
  header: "x-envoy-expected-rq-timeout-ms",
  encode: codecs.encodeEnvoy,
  decode: codecs.decodeEnvoy
}

/**
 * `finagle-ctx-com.twitter.finagle.deadline`, as Finagle sends it between HTTP services: when the deadline was set and when it is, each in
 * nanoseconds since the epoch.
 *
 * Decoding never gives more time than lies between the two, however far behind the receiver's clock is; one that is ahead gives less. No end, and
 * whatever is later than 64 bits can say, is the year 2262.
 *
 * @since 0.1.0
 * @category codecs
 */
export const finagleDeadline: AbsoluteCodec = {
  header: "finagle-ctx-com.twitter.finagle.deadline",
  encode: codecs.encodeFinagle,
  decode: codecs.decodeFinagle
}
