/**
 * When to try again: plain Effect `Schedule`s, nothing else.
 *
 * A backoff is a shape (`exponential`, `decorrelated`, …) piped through what changes its delays (`fullJitter`, `cap`,
 * …) and what ends it (`times`, `within`). Any `Schedule` can take the place of a shape, and every result works
 * wherever Effect takes a schedule: in a policy's `retry`, in a circuit breaker's `openFor`, in `Effect.retry`, in
 * `Stream.retry`.
 *
 * Order matters, and reads left to right: cap first, then jitter, then the end. Jitter over a capped delay is spread
 * *below* the cap, so that clients which have all reached the cap are still apart (a capped jitter would bring them
 * together again, on the cap).
 *
 * Randomness is Effect's `Random` and time the schedule's `now`: under a seed and a `TestClock` every delay is known.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff } from "effect-resilience"
 *
 * // up to 3 retries: within 100 ms, within 200 ms, within 400 ms
 * const backoff = Backoff.exponential({ base: "100 millis", cap: "2 seconds" }).pipe(
 *   Backoff.fullJitter,
 *   Backoff.times(3)
 * )
 *
 * let attempts = 0
 * const flaky = Effect.suspend(() => (++attempts < 3 ? Effect.fail("unavailable") : Effect.succeed(attempts)))
 *
 * await Effect.runPromise(Effect.retry(flaky, backoff)) // => 3
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { dual } from "effect/Function"
import type { Pull } from "effect"
import * as formula from "./internal/backoff.ts"
import { CallStart } from "./internal/callStart.ts"
import { ending, type Ending } from "./internal/endless.ts"
import { simulation } from "./internal/simulation.ts"
import { duration, finite, integer, invalid, ratio } from "./internal/validate.ts"

/**
 * Where a shape without a cap stops growing: 2^31 − 1 ms, about 24.8 days, the longest timer of the hosts JavaScript
 * runs on. (With a base longer than that, it is the base.) An infinite delay of a schedule from elsewhere counts as
 * this one in every function that changes delays.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxDelay: Duration.Duration = /*#__PURE__*/ Duration.millis(formula.maxDelayMs)

/**
 * The same delay before every retry, for ever.
 *
 * Throws `InvalidOption` unless the delay is a finite duration of 0 or more.
 *
 * @since 0.1.0
 * @category shapes
 */
export const constant = (delay: Duration.Input): Schedule.Schedule<Duration.Duration> => {
  const pull = emit(duration("Backoff.constant: delay", delay))
  return shape(Effect.succeed(() => pull))
}

/**
 * Options of `linear`.
 *
 * @since 0.1.0
 * @category options
 */
export interface LinearOptions {
  /** The first delay; 0 or more. */
  readonly base: Duration.Input
  /** What each further delay is longer by; 0 or more. Default: the base. */
  readonly increment?: Duration.Input | undefined
  /** The longest delay; at least the base. Default: `maxDelay`. */
  readonly cap?: Duration.Input | undefined
}

/**
 * Delays that grow by the same step: retry n waits `min(cap, base + (n − 1) · increment)`, for ever.
 *
 * Throws `InvalidOption` for a duration that is negative, infinite or not one, and for a cap below the base.
 *
 * @since 0.1.0
 * @category shapes
 */
export const linear = (options: LinearOptions): Schedule.Schedule<Duration.Duration> => {
  const baseMs = duration("Backoff.linear: base", options.base)
  const incrementMs =
    options.increment === undefined ? baseMs : duration("Backoff.linear: increment", options.increment)
  const capMs = optionalCap("Backoff.linear: cap", options.cap, baseMs)
  return byRetry((retry) => formula.linearMs(retry, baseMs, incrementMs, capMs))
}

/**
 * Options of `exponential`.
 *
 * @since 0.1.0
 * @category options
 */
export interface ExponentialOptions {
  /** The first delay; 0 or more. */
  readonly base: Duration.Input
  /** What each delay is multiplied by to give the next; 1 or more. Default: 2. */
  readonly factor?: number | undefined
  /** The longest delay; at least the base. Default: `maxDelay`. */
  readonly cap?: Duration.Input | undefined
}

/**
 * Delays that grow by the same factor: retry n waits `min(cap, base · factor^(n − 1))`, for ever. Without jitter,
 * clients that failed together retry together, so pipe it through `fullJitter` or `equalJitter` (AWS Architecture Blog,
 * "Exponential Backoff And Jitter": with 100 clients that contend, un-jittered makes more than twice the calls of full
 * jitter, and takes longer than no backoff at all).
 *
 * Throws `InvalidOption` for a duration that is negative, infinite or not one, a factor below 1, and a cap below the
 * base.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { Backoff } from "effect-resilience"
 *
 * const rows = await Effect.runPromise(
 *   Backoff.preview(Backoff.exponential({ base: "100 millis", cap: "1 second" }), { retries: 5 })
 * )
 * rows.map((row) => Duration.toMillis(row.median)) // => [100, 200, 400, 800, 1000]
 * ```
 *
 * @since 0.1.0
 * @category shapes
 */
export const exponential = (options: ExponentialOptions): Schedule.Schedule<Duration.Duration> => {
  const baseMs = duration("Backoff.exponential: base", options.base)
  const factor = options.factor === undefined ? 2 : finite("Backoff.exponential: factor", options.factor, 1)
  const capMs = optionalCap("Backoff.exponential: cap", options.cap, baseMs)
  return byRetry((retry) => formula.exponentialMs(retry, baseMs, factor, capMs))
}

/**
 * Options of `fibonacci`.
 *
 * @since 0.1.0
 * @category options
 */
export interface FibonacciOptions {
  /** The first delay, and the second; 0 or more. */
  readonly base: Duration.Input
  /** The longest delay; at least the base. Default: `maxDelay`. */
  readonly cap?: Duration.Input | undefined
}

/**
 * Delays that grow as the Fibonacci numbers: base · 1, 1, 2, 3, 5, 8, … up to the cap, for ever. It grows by about 1.6
 * a retry, gentler than the doubling of `exponential`.
 *
 * Throws `InvalidOption` for a duration that is negative, infinite or not one, and for a cap below the base.
 *
 * @since 0.1.0
 * @category shapes
 */
export const fibonacci = (options: FibonacciOptions): Schedule.Schedule<Duration.Duration> => {
  const baseMs = duration("Backoff.fibonacci: base", options.base)
  const capMs = optionalCap("Backoff.fibonacci: cap", options.cap, baseMs)
  return shape(
    Effect.sync(() => {
      let beforeMs = 0
      let delayMs = baseMs
      return () => {
        const pull = emit(delayMs)
        const nextMs = formula.fibonacciMs(beforeMs, delayMs, capMs)
        beforeMs = delayMs
        delayMs = nextMs
        return pull
      }
    })
  )
}

/**
 * Options of `decorrelated`.
 *
 * @since 0.1.0
 * @category options
 */
export interface DecorrelatedOptions {
  /** The shortest delay; 0 or more. */
  readonly base: Duration.Input
  /** The longest delay; at least the base. */
  readonly cap: Duration.Input
  /** How many times the delay before it a delay may be; 1 or more. Default: 3, the value of the source. */
  readonly factor?: number | undefined
}

/**
 * A random walk between base and cap, for ever: `min(cap, base + u · (factor · previous − base))` with u uniform in [0,
 * 1), where previous starts at the base. It is jittered already, but not at the cap: once there, two of three delays
 * (with factor 3) are the cap itself. Source: the AWS Architecture Blog, "Exponential Backoff And Jitter"; with 50 to
 * 100 clients that contend it makes 12 to 26 % more calls than full jitter, and is done a little sooner.
 *
 * Throws `InvalidOption` for a duration that is negative, infinite or not one, a factor below 1, and a cap below the
 * base.
 *
 * @since 0.1.0
 * @category shapes
 */
export const decorrelated = (options: DecorrelatedOptions): Schedule.Schedule<Duration.Duration> => {
  const baseMs = duration("Backoff.decorrelated: base", options.base)
  const capMs = capAbove("Backoff.decorrelated: cap", options.cap, baseMs)
  const factor = options.factor === undefined ? 3 : finite("Backoff.decorrelated: factor", options.factor, 1)
  return shape(
    Effect.sync(() => {
      let previousMs = baseMs
      return () =>
        Random.Random.use((random) => {
          previousMs = formula.decorrelatedMs(previousMs, baseMs, factor, capMs, random.nextDoubleUnsafe())
          return emit(previousMs)
        })
    })
  )
}

/**
 * The given delays, one after the other; then it stops. Two delays are two retries, so three attempts.
 *
 * Throws `InvalidOption` for an empty list, and for a delay that is negative, infinite or not a duration.
 *
 * @since 0.1.0
 * @category shapes
 */
export const sequence = (delays: ReadonlyArray<Duration.Input>): Schedule.Schedule<Duration.Duration> => {
  if (delays.length === 0) invalid("Backoff.sequence: delays", delays, "a list of at least one duration")
  const pulls = delays.map((delay, index) => emit(duration(`Backoff.sequence: delays[${index}]`, delay)))
  return shape(
    Effect.sync(() => {
      let index = 0
      return () => pulls[index++] ?? Cause.done(Duration.zero)
    }),
    "ends"
  )
}

/**
 * A random delay between nothing and the schedule's: `u · d`, u uniform in [0, 1). The widest spread, and the default
 * to prefer: with 100 clients that contend it makes the fewest calls (AWS Architecture Blog, "Exponential Backoff And
 * Jitter"). Never above the delay it is given, so never above its cap. The output stays the schedule's own.
 *
 * @since 0.1.0
 * @category jitter
 */
export const fullJitter = <Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
): Schedule.Schedule<Output, Input, Error, Env> => withJitter(self, formula.fullJitterMs)

/**
 * A random delay between half of the schedule's and all of it: `d / 2 + u · d / 2`, u uniform in [0, 1). For when some
 * pause must be kept. Never above the delay it is given. The output stays the schedule's own. Source: as `fullJitter`.
 *
 * @since 0.1.0
 * @category jitter
 */
export const equalJitter = <Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
): Schedule.Schedule<Output, Input, Error, Env> => withJitter(self, formula.equalJitterMs)

/**
 * Options of `jitter`.
 *
 * @since 0.1.0
 * @category options
 */
export interface JitterOptions {
  /** The largest share of the delay that may be taken off; 0 (none) to 1 (as `fullJitter`). */
  readonly factor: number
}

/**
 * Takes a random share off the schedule's delay: `d · (1 − factor · u)`, u uniform in [0, 1). A factor of 0.25 gives
 * between 75 % and 100 % of it, as the OpenAI and Anthropic clients do. Never above the delay it is given. The output
 * stays the schedule's own.
 *
 * Throws `InvalidOption` unless the factor is from 0 to 1.
 *
 * @since 0.1.0
 * @category jitter
 */
export const jitter = (
  options: JitterOptions
): (<Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
) => Schedule.Schedule<Output, Input, Error, Env>) => {
  const factor = ratio("Backoff.jitter: factor", options.factor)
  return (self) => withJitter(self, (delayMs, u) => formula.proportionalJitterMs(delayMs, factor, u))
}

/**
 * Options of `additiveJitter`.
 *
 * @since 0.1.0
 * @category options
 */
export interface AdditiveJitterOptions {
  /** The most that may be added; 0 or more. */
  readonly window: Duration.Input
  /** The longest delay that may come out; 0 or more. Default: `maxDelay`, or the delay itself where that is longer. */
  readonly cap?: Duration.Input | undefined
}

/**
 * Adds a random time to the schedule's delay: `min(cap, d + u · window)`, u uniform in [0, 1). The one jitter that
 * lengthens: for where the delay is a floor, as after `honorRetryAfter`. A cap below the delay cuts it, so choose it
 * above what must be kept. The output stays the schedule's own.
 *
 * Throws `InvalidOption` for a duration that is negative, infinite or not one.
 *
 * @since 0.1.0
 * @category jitter
 */
export const additiveJitter = (
  options: AdditiveJitterOptions
): (<Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
) => Schedule.Schedule<Output, Input, Error, Env>) => {
  const windowMs = duration("Backoff.additiveJitter: window", options.window)
  const capMs = options.cap === undefined ? undefined : duration("Backoff.additiveJitter: cap", options.cap)
  return (self) =>
    withJitter(self, (delayMs, u) =>
      formula.additiveJitterMs(delayMs, windowMs, capMs ?? Math.max(formula.maxDelayMs, delayMs), u)
    )
}

/**
 * Stops after `n` retries, so after n + 1 attempts; 0 is no retry at all.
 *
 * Throws `InvalidOption` unless `n` is a whole number of 0 or more.
 *
 * @since 0.1.0
 * @category bounds
 */
export const times = (
  n: number
): (<Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
) => Schedule.Schedule<Output, Input, Error, Env>) => {
  const limit = integer("Backoff.times: n", n, 0)
  return (self) =>
    changed(
      self,
      (step) => {
        let retries = 0
        return (now, input) => {
          const pull = step(now, input)
          return retries++ < limit ? pull : Effect.flatMapEager(pull, ([output]) => Cause.done(output))
        }
      },
      "ends"
    )
}

/**
 * Stops before a delay that would pass `limit` since the call began: no retry begins later than that. It does not cut
 * an attempt short; a policy's `deadline` or `Deadline.within` does.
 *
 * In a policy the call begins with its first attempt. Elsewhere it begins when the schedule is acquired: for
 * `Effect.retry`, before the first attempt; on the right of `Schedule.concat`, when the left one is done. Put it after
 * what changes delays.
 *
 * Throws `InvalidOption` unless the limit is a finite duration of 0 or more.
 *
 * @since 0.1.0
 * @category bounds
 */
export const within = (
  limit: Duration.Input
): (<Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
) => Schedule.Schedule<Output, Input, Error, Env>) => {
  const limitMs = duration("Backoff.within: limit", limit)
  return (self) =>
    ending(
      Schedule.fromStep(
        Effect.zipWith(
          Clock.currentTimeMillis,
          Schedule.toStep(self),
          (acquiredAt, step) => (now, input) =>
            Effect.flatMapEager(step(now, input), (result) =>
              CallStart.use((callStart) =>
                now + Duration.toMillis(result[1]) - (callStart ?? acquiredAt) > limitMs
                  ? Cause.done(result[0])
                  : Effect.succeed(result)
              )
            )
        )
      ),
      "ends"
    )
}

/**
 * Cuts every delay to at most `limit`. The shapes have a `cap` of their own; this one is for any other schedule. Put it
 * before jitter.
 *
 * Throws `InvalidOption` unless the limit is a finite duration of 0 or more.
 *
 * @since 0.1.0
 * @category bounds
 */
export const cap = (
  limit: Duration.Input
): (<Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
) => Schedule.Schedule<Output, Input, Error, Env>) => {
  const limitMs = duration("Backoff.cap: limit", limit)
  return (self) =>
    changed(
      self,
      (step) => (now, input) =>
        Effect.mapEager(step(now, input), ([output, delay]) =>
          result(output, Math.min(limitMs, formula.saturateMs(Duration.toMillis(delay))))
        )
    )
}

/**
 * Retries once at once, then follows the schedule from its own first delay: for failures that are mostly gone a moment
 * later, such as a connection the other side had closed. It adds a retry: `times(3)` before it makes four, after it
 * three. The immediate retry is neither delayed by jitter nor stopped by a bound that comes before it.
 *
 * The immediate retry has no output of the schedule; it outputs a duration of zero.
 *
 * @since 0.1.0
 * @category combinators
 */
export const immediateFirst = <Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
): Schedule.Schedule<Output | Duration.Duration, Input, Error, Env> =>
  changed(self, (step): Step<Output | Duration.Duration, Input, Error, Env> => {
    let first = true
    return (now, input) => {
      if (!first) return step(now, input)
      first = false
      return emit(0)
    }
  })

/**
 * Options of `honorRetryAfter`.
 *
 * @since 0.1.0
 * @category options
 */
export interface HonorRetryAfterOptions<in E> {
  /** The longest hint that is waited for; a longer one ends the schedule. 0 or more. */
  readonly ceiling: Duration.Input
  /**
   * The server's hint in an error, such as its `Retry-After` header, or undefined. A `Duration` and not a number,
   * because the header counts seconds where Effect counts milliseconds. Anything else changes nothing, nor does a hint of
   * 0 or less.
   */
  readonly of: (error: E) => Duration.Duration | undefined
}

/**
 * Waits at least as long as the server asked: the delay becomes `max(delay, hint)`. A hint above the ceiling ends the
 * schedule, because a retry before the time the server named is refused work anyway. For plain `Effect.retry`; a policy
 * does this by itself.
 *
 * The hint is a floor, so put it after the jitter that shortens delays; what comes after it may only add, as
 * `additiveJitter` does. Clients that were given the same hint then come back apart.
 *
 * Throws `InvalidOption` unless the ceiling is a finite duration of 0 or more.
 *
 * @example
 * ```ts
 * import { Data, Duration, Effect } from "effect"
 * import { Backoff } from "effect-resilience"
 *
 * class TooManyRequests extends Data.TaggedError("TooManyRequests")<{ readonly retryAfter?: Duration.Duration }> {}
 *
 * const backoff = Backoff.constant("1 second").pipe(
 *   Backoff.honorRetryAfter({ ceiling: "1 minute", of: (error: TooManyRequests) => error.retryAfter }),
 *   Backoff.additiveJitter({ window: "2 seconds" }),
 *   Backoff.times(3)
 * )
 *
 * const rows = await Effect.runPromise(
 *   Backoff.preview(backoff, { retries: 3, error: new TooManyRequests({ retryAfter: Duration.seconds(20) }) })
 * )
 * rows.every((row) => Duration.toSeconds(row.min) >= 20) // => true
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const honorRetryAfter = <E>(
  options: HonorRetryAfterOptions<E>
): (<Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>
) => Schedule.Schedule<Output, Input & E, Error, Env>) => {
  const ceilingMs = duration("Backoff.honorRetryAfter: ceiling", options.ceiling)
  return <Output, Input, Error, Env>(self: Schedule.Schedule<Output, Input, Error, Env>) =>
    changed(
      self,
      (step): Step<Output, Input & E, Error, Env> =>
        (now, input) =>
          // not eager: what the caller's function throws must be a defect of the effect, not of whoever steps
          Effect.flatMap(step(now, input), ([output, delay]) => {
            const hint = options.of(input)
            // an error that is made up to step the schedule has something else there
            const hintMs = Duration.isDuration(hint) ? Duration.toMillis(hint) : 0
            return hintMs > ceilingMs
              ? Cause.done(output)
              : Effect.succeed(result(output, Math.max(hintMs, formula.saturateMs(Duration.toMillis(delay)))))
          })
    )
}

/**
 * Options of `preview`.
 *
 * @since 0.1.0
 * @category options
 */
export interface PreviewOptions<out E = unknown> {
  /** How many retries to look at; 1 or more. */
  readonly retries: number
  /** How many calls to simulate; 1 or more. Default: 100. */
  readonly samples?: number | undefined
  /** The seed of the random numbers; the same seed gives the same preview. Default: 0. */
  readonly seed?: string | number | undefined
  /** What every attempt fails with; needed only by a schedule that looks at the error. Default: undefined. */
  readonly error?: E | undefined
}

/**
 * The delays before one retry, over all the simulated calls that came to it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Previewed {
  /** The number of the retry, from 1. */
  readonly retry: number
  readonly min: Duration.Duration
  readonly median: Duration.Duration
  readonly max: Duration.Duration
}

/**
 * What a schedule does, without waiting for it: for each retry, the shortest, the median and the longest delay over a
 * number of simulated calls. The clock is simulated and starts at 0; attempts take no time. The list ends where the
 * schedule stops, in all the calls or after `retries`; it is empty for a schedule that never retries. Services and
 * errors of the schedule stay its own.
 *
 * Throws `InvalidOption` for retries or samples that are not whole numbers of 1 or more.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { Backoff } from "effect-resilience"
 *
 * const rows = await Effect.runPromise(
 *   Backoff.exponential({ base: "100 millis" }).pipe(
 *     Backoff.equalJitter,
 *     Backoff.times(2),
 *     Backoff.preview({ retries: 10 })
 *   )
 * )
 * rows.length // => 2
 * Duration.toMillis(rows[1]!.min) >= 100 && Duration.toMillis(rows[1]!.max) <= 200 // => true
 * ```
 *
 * @since 0.1.0
 * @category inspection
 */
export const preview: {
  <E = unknown>(
    options: PreviewOptions<E>
  ): <Output, Error, Env>(
    schedule: Schedule.Schedule<Output, NoInfer<E>, Error, Env>
  ) => Effect.Effect<ReadonlyArray<Previewed>, Error, Env>
  <Output, Error, Env, E = unknown>(
    schedule: Schedule.Schedule<Output, NoInfer<E>, Error, Env>,
    options: PreviewOptions<E>
  ): Effect.Effect<ReadonlyArray<Previewed>, Error, Env>
} = /* @__PURE__ */ dual(
  2,
  <Output, Error, Env, E>(
    schedule: Schedule.Schedule<Output, E | undefined, Error, Env>,
    options: PreviewOptions<E>
  ): Effect.Effect<ReadonlyArray<Previewed>, Error, Env> => {
    const retries = integer("Backoff.preview: retries", options.retries, 1)
    const samples = options.samples === undefined ? 100 : integer("Backoff.preview: samples", options.samples, 1)
    return Effect.gen(function* () {
      const delaysMs: Array<Array<number>> = []
      for (let sample = 0; sample < samples; sample++) {
        const next = yield* simulation(schedule, options.error)
        for (let index = 0; index < retries; index++) {
          const delayMs = yield* next
          if (delayMs === undefined) break
          ;(delaysMs[index] ??= []).push(delayMs)
        }
      }
      return delaysMs.map((ofRetry, index) => summary(index + 1, ofRetry))
    }).pipe(Random.withSeed(options.seed ?? 0))
  }
)

const summary = (retry: number, delaysMs: Array<number>): Previewed => {
  delaysMs.sort((a, b) => a - b)
  // an even number has two in the middle
  const low = delaysMs[(delaysMs.length - 1) >> 1]!
  const high = delaysMs[delaysMs.length >> 1]!
  return {
    retry,
    min: Duration.millis(delaysMs[0]!),
    median: Duration.millis((low + high) / 2),
    max: Duration.millis(delaysMs[delaysMs.length - 1]!)
  }
}

type Result<Output> = [output: Output, delay: Duration.Duration]

const result = <Output>(output: Output, delayMs: number): Result<Output> => [output, Duration.millis(delayMs)]

/** A step of a shape: the delay is the output too. */
const emit = (delayMs: number): Effect.Effect<Result<Duration.Duration>> => {
  const delay = Duration.millis(delayMs)
  return Effect.succeed([delay, delay])
}

type Step<Output, Input, Error, Env> = (now: number, input: Input) => Pull.Pull<Result<Output>, Error, Output, Env>

const shape = (
  step: Effect.Effect<Step<Duration.Duration, unknown, never, never>>,
  ends: Ending = "endless"
): Schedule.Schedule<Duration.Duration> => ending(Schedule.fromStep(step), ends)

/** Ends as the schedule it changes, where nothing else is said: so a policy need not step it to find out. */
const changed = <Output, Output2, Input, Input2, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>,
  change: (step: Step<Output, Input, Error, Env>) => Step<Output2, Input2, Error, Env>,
  ends: Ending | object = self
): Schedule.Schedule<Output2, Input2, Error, Env> =>
  ending(Schedule.fromStep(Effect.map(Schedule.toStep(self), change)), ends)

const byRetry = (delayMs: (retry: number) => number): Schedule.Schedule<Duration.Duration> =>
  shape(
    Effect.sync(() => {
      let retry = 0
      return () => emit(delayMs(++retry))
    })
  )

const withJitter = <Output, Input, Error, Env>(
  self: Schedule.Schedule<Output, Input, Error, Env>,
  jittered: (delayMs: number, u: number) => number
): Schedule.Schedule<Output, Input, Error, Env> =>
  changed(
    self,
    (step) => (now, input) =>
      Effect.flatMapEager(step(now, input), ([output, delay]) =>
        Random.Random.useSync((random) =>
          result(output, jittered(formula.saturateMs(Duration.toMillis(delay)), random.nextDoubleUnsafe()))
        )
      )
  )

const capAbove = (option: string, limit: Duration.Input, baseMs: number): number => {
  const limitMs = duration(option, limit)
  return limitMs >= baseMs
    ? limitMs
    : invalid(option, limit, `at least the base (${Duration.format(Duration.millis(baseMs))})`)
}

const optionalCap = (option: string, limit: Duration.Input | undefined, baseMs: number): number =>
  limit === undefined ? Math.max(formula.maxDelayMs, baseMs) : capAbove(option, limit, baseMs)
