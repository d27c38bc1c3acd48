import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Clock, Context, Data, Duration, Effect, Exit, Fiber, Pull, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import { CallStart } from "../src/internal/callStart.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import { draws, holds, integers, numbers } from "./property.ts"

/** The delays in milliseconds of the first retries, each step taken when the delay before it has passed. */
const delays = <Output, Input, Error, Env>(
  schedule: Schedule.Schedule<Output, Input, Error, Env>,
  retries: number,
  ...[input]: unknown extends Input ? [] : [input: Input]
): Effect.Effect<Array<number>, Error, Env> =>
  Effect.gen(function* () {
    const step = yield* Schedule.toStep(schedule)
    const found: Array<number> = []
    let now = yield* Clock.currentTimeMillis
    for (let retry = 1; retry <= retries; retry++) {
      const delay = yield* Pull.catchDone(
        Effect.map(step(now, input as Input), (result) => Duration.toMillis(result[1])),
        () => Effect.succeed(undefined)
      )
      if (delay === undefined) break
      found.push(delay)
      now += delay
    }
    return found
  })

/** A Random that draws the given numbers, and then again. */
const drawing = (...us: ReadonlyArray<number>) => {
  let index = 0
  return Effect.provideService(Random.Random, {
    nextDoubleUnsafe: () => us[index++ % us.length]!,
    nextIntUnsafe: () => assert.fail("no whole number is drawn")
  })
}

const almostOne = 1 - 2 ** -53

/** The times in milliseconds at which `Effect.retry` makes its attempts, each of which takes `took`. */
const attemptTimes = <Output, Error>(
  schedule: Schedule.Schedule<Output, "failed", Error>,
  took: Duration.Input = 0
): Effect.Effect<{ readonly times: Array<number>; readonly exit: Exit.Exit<never, "failed" | Error> }> =>
  Effect.gen(function* () {
    const times: Array<number> = []
    const start = yield* Clock.currentTimeMillis
    const attempt = Effect.gen(function* () {
      times.push((yield* Clock.currentTimeMillis) - start)
      yield* Effect.sleep(took)
      return yield* Effect.fail("failed" as const)
    })
    const fiber = yield* Effect.forkChild(Effect.retry(attempt, schedule))
    yield* TestClock.adjust("1 day")
    return { times, exit: yield* Fiber.await(fiber) }
  })

const millis = Duration.millis

describe("the shapes", () => {
  const cases: ReadonlyArray<
    readonly [name: string, schedule: Schedule.Schedule<Duration.Duration>, delays: ReadonlyArray<number>]
  > = [
    ["constant", Backoff.constant("250 millis"), [250, 250, 250]],
    ["constant of nothing", Backoff.constant(0), [0, 0, 0]],
    ["linear", Backoff.linear({ base: 100 }), [100, 200, 300, 400]],
    ["linear with an increment", Backoff.linear({ base: 100, increment: 10 }), [100, 110, 120]],
    ["linear with a cap", Backoff.linear({ base: 100, cap: 250 }), [100, 200, 250, 250]],
    ["exponential", Backoff.exponential({ base: "100 millis" }), [100, 200, 400, 800, 1600]],
    ["exponential with a factor", Backoff.exponential({ base: 100, factor: 3 }), [100, 300, 900]],
    ["exponential with a cap", Backoff.exponential({ base: 100, cap: "300 millis" }), [100, 200, 300, 300]],
    ["exponential at its cap", Backoff.exponential({ base: 100, cap: 100 }), [100, 100]],
    ["fibonacci", Backoff.fibonacci({ base: 10 }), [10, 10, 20, 30, 50, 80]],
    ["fibonacci with a cap", Backoff.fibonacci({ base: 10, cap: 25 }), [10, 10, 20, 25, 25]],
    ["absent options", Backoff.exponential({ base: 100, factor: undefined, cap: undefined }), [100, 200, 400]],
    ["absent options, linear", Backoff.linear({ base: 100, increment: undefined, cap: undefined }), [100, 200]],
    ["absent options, fibonacci", Backoff.fibonacci({ base: 100, cap: undefined }), [100, 100, 200]]
  ]
  for (const [name, schedule, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* delays(schedule, expected.length), expected)
        // each acquisition starts anew
        assert.deepStrictEqual(yield* delays(schedule, expected.length), expected)
      })
    )
  }

  it.effect("decorrelated walks from the base", () =>
    Effect.gen(function* () {
      const schedule = Backoff.decorrelated({ base: 100, cap: 1000 })
      // 100 + 0.5 · 200, 100 + 0.5 · 500, 100 + 0 · …, 100 + 0.9 · 200, then above the cap
      assert.deepStrictEqual(yield* drawing(0.5, 0.5, 0, 0.9, almostOne, almostOne)(delays(schedule, 6)), [
        200,
        350,
        100,
        280,
        Duration.toMillis(millis(100 + almostOne * 740)),
        1000
      ])
      assert.deepStrictEqual(yield* drawing(0.5)(delays(schedule, 1)), [200])
      const gentle = Backoff.decorrelated({ base: 100, cap: 1000, factor: 1.5 })
      assert.deepStrictEqual(yield* drawing(0.5)(delays(gentle, 2)), [125, 143.75])
    })
  )

  it.effect("sequence stops after the last: two delays are three attempts", () =>
    Effect.gen(function* () {
      const schedule = Backoff.sequence(["1 second", "5 seconds"])
      assert.deepStrictEqual(yield* delays(schedule, 10), [1000, 5000])
      const { exit, times } = yield* attemptTimes(schedule)
      assert.deepStrictEqual(times, [0, 1000, 6000])
      assert.deepStrictEqual(exit, Exit.fail("failed"))
    })
  )

  it.effect("sequence keeps its own copy of the list", () =>
    Effect.gen(function* () {
      const list: Array<Duration.Input> = [1, 2]
      const schedule = Backoff.sequence(list)
      list.push(3)
      assert.deepStrictEqual(yield* delays(schedule, 10), [1, 2])
    })
  )

  it.effect("the output is the delay", () =>
    Effect.gen(function* () {
      const step = yield* Schedule.toStep(Backoff.linear({ base: 100 }))
      const [first] = yield* step(0, undefined)
      const [second] = yield* step(0, undefined)
      assert.deepStrictEqual([first, second].map(Duration.toMillis), [100, 200])
    })
  )

  it.effect("retries 1 to 10 000 saturate", () =>
    Effect.gen(function* () {
      const longest = Duration.toMillis(Backoff.maxDelay)
      assert.strictEqual(longest, 2 ** 31 - 1)
      const month = Duration.toMillis("31 days")
      const shapes: ReadonlyArray<readonly [Schedule.Schedule<Duration.Duration>, number]> = [
        [Backoff.linear({ base: "1 day" }), longest],
        [Backoff.exponential({ base: 100 }), longest],
        [Backoff.exponential({ base: 100, cap: "1 minute" }), 60_000],
        [Backoff.fibonacci({ base: 100 }), longest],
        // a base above the default cap is not cut
        [Backoff.exponential({ base: month }), month],
        [Backoff.constant(month), month]
      ]
      for (const [schedule, last] of shapes) {
        const all = yield* delays(schedule, 10_000)
        assert.strictEqual(all.length, 10_000)
        assert.isTrue(all.every((delay) => delay >= 0 && delay <= last))
        for (const retry of [50, 1023, 1024, 1025, 10_000]) assert.strictEqual(all[retry - 1], last)
      }
    })
  )
})

describe("the jitters", () => {
  const second = Backoff.constant("1 second")
  const cases: ReadonlyArray<
    readonly [name: string, schedule: Schedule.Schedule<Duration.Duration>, delays: ReadonlyArray<number>]
  > = [
    // for u = 0, 0.25 and the largest below 1
    ["fullJitter", second.pipe(Backoff.fullJitter), [0, 250, 1000]],
    ["equalJitter", second.pipe(Backoff.equalJitter), [500, 625, 1000]],
    ["jitter", second.pipe(Backoff.jitter({ factor: 0.4 })), [1000, 900, 600]],
    ["jitter 0", second.pipe(Backoff.jitter({ factor: 0 })), [1000, 1000, 1000]],
    ["jitter 1", second.pipe(Backoff.jitter({ factor: 1 })), [1000, 750, 0]],
    ["additiveJitter", second.pipe(Backoff.additiveJitter({ window: 200 })), [1000, 1050, 1200]],
    ["additiveJitter with a cap", second.pipe(Backoff.additiveJitter({ window: 200, cap: 1040 })), [1000, 1040, 1040]],
    [
      "additiveJitter, cap absent",
      second.pipe(Backoff.additiveJitter({ window: 0, cap: undefined })),
      [1000, 1000, 1000]
    ],
    [
      "additiveJitter at the longest delay",
      Backoff.constant(Backoff.maxDelay).pipe(Backoff.additiveJitter({ window: "1 day" })),
      [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1]
    ],
    [
      "additiveJitter above the longest delay",
      Backoff.constant("30 days").pipe(Backoff.additiveJitter({ window: "1 day" })),
      [2_592_000_000, 2_592_000_000, 2_592_000_000]
    ]
  ]
  for (const [name, schedule, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const found = yield* drawing(0, 0.25, almostOne)(delays(schedule, 3))
        found.forEach((delay, index) => assert.closeTo(delay, expected[index]!, 1e-6))
        assert.strictEqual(found.length, 3)
      })
    )
  }

  it.effect("keep the output, and an infinite delay counts as the longest", () =>
    Effect.gen(function* () {
      const infinite = Schedule.spaced("Infinity").pipe(Schedule.map(() => "out"))
      for (const jittered of [
        Backoff.fullJitter(infinite),
        Backoff.equalJitter(infinite),
        Backoff.jitter({ factor: 1 })(infinite)
      ]) {
        const step = yield* Schedule.toStep(jittered)
        const [output, delay] = yield* drawing(0.5)(step(0, undefined))
        assert.strictEqual(output, "out")
        assert.isTrue(Duration.isFinite(delay) && Duration.isLessThanOrEqualTo(delay, Backoff.maxDelay))
      }
      assert.deepStrictEqual(yield* drawing(0)(delays(Backoff.fullJitter(infinite), 1)), [0])
    })
  )

  it.effect("draw once a retry, from Random: the same seed, the same delays", () =>
    Effect.gen(function* () {
      const schedules = [
        Backoff.exponential({ base: 100 }).pipe(Backoff.fullJitter),
        Backoff.exponential({ base: 100 }).pipe(Backoff.equalJitter, Backoff.additiveJitter({ window: 50 })),
        Backoff.decorrelated({ base: 100, cap: 10_000 })
      ]
      for (const schedule of schedules) {
        const seeded = (seed: string) => Random.withSeed(delays(schedule, 20), seed)
        const first = yield* seeded("a")
        assert.deepStrictEqual(yield* seeded("a"), first)
        assert.notDeepEqual(yield* seeded("b"), first)
        assert.isAbove(new Set(first).size, 15)
      }
    })
  )

  it.effect(
    "full jitter has the shape of a uniform draw: mean d/2, quarters equally full; equal jitter in the upper half",
    () =>
      Effect.gen(function* () {
        const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length
        const full = yield* Random.withSeed(delays(second.pipe(Backoff.fullJitter), 4000), "shape")
        assert.closeTo(mean(full), 500, 15)
        for (let quarter = 0; quarter < 4; quarter++) {
          const inside = full.filter((delay) => delay >= quarter * 250 && delay < (quarter + 1) * 250).length
          assert.closeTo(inside, 1000, 100)
        }
        const equal = yield* Random.withSeed(delays(second.pipe(Backoff.equalJitter), 4000), "shape")
        assert.closeTo(mean(equal), 750, 8)
        assert.isTrue(equal.every((delay) => delay >= 500 && delay <= 1000))
      })
  )

  it.effect("jitter is still there once the cap is reached", () =>
    Effect.gen(function* () {
      const capped = Backoff.exponential({ base: 100, cap: "1 second" }).pipe(Backoff.fullJitter)
      const late = (yield* Random.withSeed(delays(capped, 1100), "late")).slice(1000)
      assert.isAbove(new Set(late).size, 90)
      assert.isTrue(late.every((delay) => delay <= 1000))
    })
  )

  it.effect("no schedule leaves [0, cap], whatever its parameters", () =>
    holds(
      Arbitrary.all({
        base: numbers(0, 10_000),
        above: numbers(0, 1e9),
        factor: numbers(1, 100),
        share: numbers(0, 1),
        u: draws,
        shape: integers(0, 3),
        jitter: integers(0, 3),
        retries: integers(1, 60)
      }),
      ({ above, base, factor, jitter, retries, shape, share, u }) => {
        // as a duration has it: to the nanosecond
        const cap = Duration.toMillis(millis(base + above))
        const options = { base, factor, cap }
        const shaped = [Backoff.linear, Backoff.exponential, Backoff.fibonacci, Backoff.decorrelated][shape]!(options)
        const jittered = [
          Backoff.fullJitter<Duration.Duration, unknown, never, never>,
          Backoff.equalJitter<Duration.Duration, unknown, never, never>,
          Backoff.jitter({ factor: share }),
          Backoff.additiveJitter({ window: base, cap })
        ][jitter]!(shaped)
        return Effect.map(
          drawing(u)(delays(jittered, retries)),
          (found) => found.length === retries && found.every((delay) => delay >= 0 && delay <= cap)
        )
      },
      { runs: 300 }
    )
  )
})

describe("the bounds", () => {
  it.effect("times(n) is n retries", () =>
    Effect.gen(function* () {
      const schedule = Backoff.constant("1 second")
      assert.deepStrictEqual(yield* delays(schedule.pipe(Backoff.times(3)), 10), [1000, 1000, 1000])
      assert.deepStrictEqual(yield* delays(schedule.pipe(Backoff.times(0)), 10), [])
      assert.deepStrictEqual((yield* attemptTimes(schedule.pipe(Backoff.times(2)))).times, [0, 1000, 2000])
    })
  )

  it.effect("times ends with the output of the schedule", () =>
    Effect.gen(function* () {
      const step = yield* Schedule.toStep(Schedule.spaced("1 second").pipe(Backoff.times(1)))
      assert.deepStrictEqual(yield* step(0, undefined), [0, Duration.seconds(1)])
      assert.deepStrictEqual(yield* Effect.flip(step(1000, undefined)), Cause.Done(1))
    })
  )

  it.effect("within stops before a delay that would pass it; one that just fits is taken", () =>
    Effect.gen(function* () {
      const schedule = Backoff.constant("1 second")
      assert.deepStrictEqual(
        (yield* attemptTimes(schedule.pipe(Backoff.within("3 seconds")))).times,
        [0, 1000, 2000, 3000]
      )
      assert.deepStrictEqual((yield* attemptTimes(schedule.pipe(Backoff.within("2999 millis")))).times, [0, 1000, 2000])
      assert.deepStrictEqual((yield* attemptTimes(schedule.pipe(Backoff.within("999 millis")))).times, [0])
      const { exit } = yield* attemptTimes(schedule.pipe(Backoff.within(0)))
      assert.deepStrictEqual(exit, Exit.fail("failed"))
    })
  )

  it.effect("within counts what the attempts took, the first one included", () =>
    Effect.gen(function* () {
      const { times } = yield* attemptTimes(
        Backoff.constant("1 second").pipe(Backoff.within("10 seconds")),
        "3 seconds"
      )
      // the fourth would begin at 12 seconds
      assert.deepStrictEqual(times, [0, 4000, 8000])
    })
  )

  it.effect("within counts from the start of the call inside a policy, on the policy's scale", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const schedule = Backoff.constant("1 second").pipe(Backoff.within("10 seconds"))
      const done = (start: number, now: number) =>
        Effect.gen(function* () {
          const step = yield* Schedule.toStep(schedule)
          const exit = yield* Effect.exit(step(now, undefined))
          return Exit.isFailure(exit) && Pull.isDoneCause(exit.cause)
        }).pipe(Effect.provideService(CallStart, start))
      assert.isFalse(yield* done(5000, 14_000))
      assert.isTrue(yield* done(5000, 14_001))
      assert.isFalse(yield* done(0, 9000))
      assert.isTrue(yield* done(0, 9001))
    })
  )

  it.effect("within takes the start that is in force when it is stepped", () =>
    Effect.gen(function* () {
      const step = yield* Schedule.toStep(Backoff.constant("1 second").pipe(Backoff.within("10 seconds")))
      const exit = yield* Effect.exit(Effect.provideService(step(12_000, undefined), CallStart, 2000))
      assert.isTrue(Exit.isFailure(exit))
      yield* Effect.provideService(step(12_000, undefined), CallStart, 3000)
    })
  )

  it.effect("within counts from its acquisition where it comes second", () =>
    Effect.gen(function* () {
      const schedule = Backoff.sequence(["10 seconds"]).pipe(
        Schedule.concat(Backoff.constant("1 second").pipe(Backoff.within("2 seconds")))
      )
      assert.deepStrictEqual((yield* attemptTimes(schedule)).times, [0, 10_000, 11_000, 12_000])
    })
  )

  it.effect("within refuses an infinite delay", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delays(Schedule.spaced("Infinity").pipe(Backoff.within("1 day")), 2), [])
    })
  )

  it.effect("cap cuts each delay, of any schedule", () =>
    Effect.gen(function* () {
      const cut = Schedule.exponential("100 millis").pipe(Backoff.cap("1 second"))
      const found = yield* delays(cut, 1100)
      assert.deepStrictEqual(found.slice(0, 6), [100, 200, 400, 800, 1000, 1000])
      assert.isTrue(found.slice(6).every((delay) => delay === 1000))
      assert.deepStrictEqual(yield* delays(Schedule.spaced("Infinity").pipe(Backoff.cap("1 second")), 1), [1000])
      assert.deepStrictEqual(yield* delays(Schedule.spaced("-1 second").pipe(Backoff.cap("1 second")), 1), [0])
    })
  )

  it.effect("an end inside goes through every combinator", () =>
    Effect.gen(function* () {
      const schedule = Backoff.sequence([10, 20]).pipe(
        Backoff.cap(15),
        Backoff.jitter({ factor: 0 }),
        Backoff.honorRetryAfter({ ceiling: 0, of: () => undefined }),
        Backoff.within("1 day"),
        Backoff.times(100)
      )
      assert.deepStrictEqual(yield* delays(schedule, 10), [10, 15])
    })
  )

  it.effect("an error of the schedule goes through every combinator", () =>
    Effect.gen(function* () {
      const schedule = Schedule.forever.pipe(
        Schedule.tap(() => Effect.fail("broken" as const)),
        Backoff.cap(15),
        Backoff.fullJitter,
        Backoff.honorRetryAfter({ ceiling: 0, of: () => undefined }),
        Backoff.within("1 day"),
        Backoff.times(0)
      )
      const error: "broken" = yield* Effect.flip(delays(schedule, 10))
      assert.strictEqual(error, "broken")
    })
  )
})

describe("immediateFirst", () => {
  it.effect("retries at once, then from the schedule's own first delay", () =>
    Effect.gen(function* () {
      const schedule = Backoff.exponential({ base: "1 second" }).pipe(Backoff.immediateFirst, Backoff.times(4))
      assert.deepStrictEqual((yield* attemptTimes(schedule)).times, [0, 0, 1000, 3000, 7000])
      assert.deepStrictEqual((yield* attemptTimes(schedule)).times, [0, 0, 1000, 3000, 7000])
    })
  )

  it.effect("adds a retry to a bound before it, and is neither jittered nor stopped by it", () =>
    Effect.gen(function* () {
      const added = Backoff.constant(100).pipe(Backoff.times(2), Backoff.immediateFirst)
      assert.deepStrictEqual(yield* delays(added, 10), [0, 100, 100])
      const bounded = Backoff.constant(100).pipe(Backoff.within(0), Backoff.immediateFirst)
      assert.deepStrictEqual(yield* delays(bounded, 10), [0])
      const jittered = Backoff.constant(100).pipe(Backoff.additiveJitter({ window: 100 }), Backoff.immediateFirst)
      assert.deepStrictEqual(yield* drawing(0.5)(delays(jittered, 2)), [0, 150])
    })
  )

  it.effect("outputs a duration of zero first", () =>
    Effect.gen(function* () {
      const step = yield* Schedule.toStep(Backoff.immediateFirst(Schedule.spaced("1 second")))
      const first: [number | Duration.Duration, Duration.Duration] = yield* step(0, undefined)
      assert.deepStrictEqual(first, [Duration.zero, Duration.zero])
      assert.deepStrictEqual(yield* step(0, undefined), [0, Duration.seconds(1)])
    })
  )
})

class Busy extends Data.TaggedError("Busy")<{ readonly retryAfter?: Duration.Duration }> {}
class Lost extends Data.TaggedError("Lost") {}

describe("honorRetryAfter", () => {
  const honoring = Backoff.constant("1 second").pipe(
    Backoff.honorRetryAfter({
      ceiling: "1 minute",
      of: (error: Busy | Lost) => (error._tag === "Busy" ? error.retryAfter : undefined)
    })
  )

  it.effect("the hint is a floor", () =>
    Effect.gen(function* () {
      const of = (error: Busy | Lost) => delays(honoring, 1, error)
      assert.deepStrictEqual(yield* of(new Busy({ retryAfter: Duration.seconds(20) })), [20_000])
      assert.deepStrictEqual(yield* of(new Busy({ retryAfter: millis(10) })), [1000])
      assert.deepStrictEqual(yield* of(new Busy({ retryAfter: Duration.zero })), [1000])
      assert.deepStrictEqual(yield* of(new Busy({ retryAfter: Duration.seconds(-5) })), [1000])
      assert.deepStrictEqual(yield* of(new Busy({})), [1000])
      assert.deepStrictEqual(yield* of(new Lost()), [1000])
    })
  )

  it.effect("a hint at the ceiling is waited for; one above it ends the schedule", () =>
    Effect.gen(function* () {
      const of = (retryAfter: Duration.Duration) => delays(honoring, 1, new Busy({ retryAfter }))
      assert.deepStrictEqual(yield* of(Duration.minutes(1)), [60_000])
      assert.deepStrictEqual(yield* of(millis(60_001)), [])
      assert.deepStrictEqual(yield* of(Duration.infinity), [])
      // an infinite delay of the schedule itself counts as the longest
      const longest = Schedule.spaced("Infinity").pipe(Backoff.honorRetryAfter({ ceiling: 0, of: () => undefined }))
      assert.deepStrictEqual(yield* delays(longest, 1), [Duration.toMillis(Backoff.maxDelay)])
    })
  )

  it.effect("in Effect.retry, hint by hint, with the types of the errors", () =>
    Effect.gen(function* () {
      const times: Array<number> = []
      const failures = [
        new Busy({ retryAfter: Duration.seconds(5) }),
        new Lost(),
        new Busy({ retryAfter: Duration.hours(1) })
      ]
      const call: Effect.Effect<never, Busy | Lost> = Effect.gen(function* () {
        times.push(yield* Clock.currentTimeMillis)
        return yield* Effect.fail(failures[times.length - 1]!)
      })
      const retried: Effect.Effect<never, Busy | Lost> = Effect.retry(call, honoring)
      const fiber = yield* Effect.forkChild(Effect.flip(retried))
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* Fiber.join(fiber), failures[2])
      assert.deepStrictEqual(times, [0, 5000, 6000])
    })
  )

  it.effect("jitter after it only adds", () =>
    Effect.gen(function* () {
      const spread = honoring.pipe(Backoff.additiveJitter({ window: "10 seconds" }))
      const found = yield* Effect.forEach(Array.from({ length: 100 }), () =>
        delays(spread, 1, new Busy({ retryAfter: Duration.seconds(20) }))
      ).pipe(Random.withSeed(1))
      assert.isTrue(found.every(([delay]) => delay! >= 20_000 && delay! < 30_000))
      assert.isAbove(new Set(found.map(([delay]) => delay)).size, 90)
    })
  )

  it.effect("what the caller's function throws is a defect", () =>
    Effect.gen(function* () {
      const broken = Backoff.constant(1).pipe(
        Backoff.honorRetryAfter({
          ceiling: 1,
          of: () => {
            throw new Error("broken")
          }
        })
      )
      const step = yield* Schedule.toStep(broken)
      const exit = yield* Effect.exit(step(0, undefined))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  it("refuses to retry errors it has no answer for", () => {
    const call: Effect.Effect<never, Error> = Effect.fail(new Error())
    // @ts-expect-error an Error is neither Busy nor Lost
    void Effect.retry(call, honoring)
  })
})

describe("preview", () => {
  const toMillis = (rows: ReadonlyArray<Backoff.Previewed>) =>
    rows.map((row) => [row.retry, ...[row.min, row.median, row.max].map(Duration.toMillis)])

  it.effect("a schedule without chance is the same in every sample", () =>
    Effect.gen(function* () {
      const rows = yield* Backoff.preview(Backoff.exponential({ base: 100, cap: 500 }), { retries: 4, samples: 3 })
      assert.deepStrictEqual(toMillis(rows), [
        [1, 100, 100, 100],
        [2, 200, 200, 200],
        [3, 400, 400, 400],
        [4, 500, 500, 500]
      ])
    })
  )

  it.effect("shows the spread: min, median and max of the samples", () =>
    Effect.gen(function* () {
      const schedule = Backoff.exponential({ base: 1000 }).pipe(Backoff.fullJitter)
      const rows = toMillis(yield* Backoff.preview(schedule, { retries: 3, samples: 500, seed: "spread" }))
      rows.forEach(([retry, min, median, max]) => {
        const delay = 1000 * 2 ** (retry! - 1)
        assert.isBelow(min!, delay * 0.05)
        assert.closeTo(median!, delay / 2, delay * 0.1)
        assert.isTrue(max! > delay * 0.95 && max! < delay)
      })
    })
  )

  it.effect("the median is the one in the middle, or the mean of the two", () =>
    Effect.gen(function* () {
      const cycle = [30, 10, 20, 40]
      let call = 0
      const next = Schedule.fromStep(
        Effect.sync(() => {
          const delay = millis(cycle[call++ % 4]!)
          return () => Effect.succeed<[number, Duration.Duration]>([call, delay])
        })
      )
      const rows = (samples: number) => {
        call = 0
        return Effect.map(Backoff.preview(next, { retries: 1, samples }), toMillis)
      }
      assert.deepStrictEqual(yield* rows(1), [[1, 30, 30, 30]])
      assert.deepStrictEqual(yield* rows(2), [[1, 10, 20, 30]])
      assert.deepStrictEqual(yield* rows(3), [[1, 10, 20, 30]])
      assert.deepStrictEqual(yield* rows(4), [[1, 10, 25, 40]])
    })
  )

  it.effect("the same seed gives the same preview, whatever the Random around it", () =>
    Effect.gen(function* () {
      const schedule = Backoff.decorrelated({ base: 100, cap: 10_000 })
      const rows = (seed?: string | number) => Effect.map(Backoff.preview(schedule, { retries: 5, seed }), toMillis)
      assert.deepStrictEqual(yield* rows(1), yield* drawing(0.5)(rows(1)))
      assert.deepStrictEqual(yield* rows(), yield* rows())
      assert.notDeepEqual(yield* rows(1), yield* rows(2))
      assert.deepStrictEqual(yield* rows(), yield* rows(0))
    })
  )

  it.effect("stops where the schedule stops, without sleeping and without the clock around it", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const bounded = Backoff.constant("1 second").pipe(Backoff.within("3 seconds"))
      assert.strictEqual((yield* Backoff.preview(bounded, { retries: 10 })).length, 3)
      assert.strictEqual((yield* Backoff.preview(Backoff.sequence([1, 2]), { retries: 10 })).length, 2)
      assert.deepStrictEqual(yield* Backoff.preview(bounded.pipe(Backoff.times(0)), { retries: 10 }), [])
      assert.strictEqual(yield* Clock.currentTimeMillis, 3_600_000)
      assert.isUndefined(yield* CallStart)
    })
  )

  it.effect("a schedule that reads the clock reads the simulated one", () =>
    Effect.gen(function* () {
      const times: Array<unknown> = []
      const reading = Backoff.constant("90 millis").pipe(
        Schedule.tap(() =>
          Effect.gen(function* () {
            yield* Effect.sleep("10 millis")
            const clock = yield* Clock.Clock
            times.push([yield* clock.currentTimeMillis, yield* clock.currentTimeNanos, yield* clock.monotonicTimeNanos])
          })
        )
      )
      yield* Backoff.preview(reading, { retries: 2, samples: 1 })
      assert.deepStrictEqual(times, [
        [10, 10_000_000n, 10_000_000n],
        [110, 110_000_000n, 110_000_000n]
      ])
    })
  )

  it.effect("the call begins at 0, as in a policy, wherever the schedule is acquired", () =>
    Effect.gen(function* () {
      const schedule = Backoff.sequence(["10 seconds"]).pipe(
        Schedule.concat(Backoff.constant("1 second").pipe(Backoff.within("11 seconds")))
      )
      assert.strictEqual((yield* Backoff.preview(schedule, { retries: 10 })).length, 2)
    })
  )

  it.effect("simulates 100 calls unless it is told another number", () =>
    Effect.gen(function* () {
      let calls = 0
      const counting = Backoff.constant(1).pipe(Schedule.tap(() => Effect.sync(() => calls++)))
      yield* Backoff.preview(counting, { retries: 1 })
      assert.strictEqual(calls, 100)
      yield* Backoff.preview(counting, { retries: 1, samples: 7 })
      assert.strictEqual(calls, 107)
    })
  )

  it.effect("some samples may stop before others", () =>
    Effect.gen(function* () {
      const schedule = Backoff.constant("1 second").pipe(Backoff.fullJitter, Backoff.within("2 seconds"))
      const rows = yield* Backoff.preview(schedule, { retries: 100, samples: 200 })
      assert.isTrue(rows.length > 4 && rows.length < 20)
      assert.deepStrictEqual(
        rows.map((row) => row.retry),
        rows.map((_, index) => index + 1)
      )
    })
  )

  it.effect("works data-last, and the error is what the attempts fail with", () =>
    Effect.gen(function* () {
      const honoring = Backoff.constant("1 second").pipe(
        Backoff.honorRetryAfter({ ceiling: "1 minute", of: (error: Busy) => error.retryAfter })
      )
      const rows = yield* honoring.pipe(
        Backoff.preview({ retries: 1, error: new Busy({ retryAfter: Duration.seconds(3) }) })
      )
      assert.deepStrictEqual(toMillis(rows), [[1, 3000, 3000, 3000]])
      assert.strictEqual((yield* Backoff.constant(5).pipe(Backoff.preview({ retries: 2 }))).length, 2)
      // @ts-expect-error a schedule that looks at the error needs one
      void Backoff.preview(honoring, { retries: 1 })
      // @ts-expect-error and one it understands
      void Backoff.preview(honoring, { retries: 1, error: new Lost() })
      // @ts-expect-error data-last as well
      void honoring.pipe(Backoff.preview({ retries: 1 }))
    })
  )

  it.effect("errors and services of the schedule stay its own", () =>
    Effect.gen(function* () {
      class Limit extends Context.Service<Limit, number>()("test/Limit") {}
      const schedule = Schedule.forever.pipe(
        Schedule.tap(({ attempt }) =>
          Effect.flatMap(Limit, (limit) => (attempt > limit ? Effect.fail("limit" as const) : Effect.void))
        )
      )
      const rows: Effect.Effect<ReadonlyArray<Backoff.Previewed>, "limit", Limit> = Backoff.preview(schedule, {
        retries: 3
      })
      assert.strictEqual(yield* Effect.flip(Effect.provideService(rows, Limit, 2)), "limit")
      assert.strictEqual((yield* Effect.provideService(rows, Limit, 3)).length, 3)
    })
  )
})

describe("with Effect", () => {
  it.effect("Effect.retry under a seed: exact attempt times", () =>
    Effect.gen(function* () {
      const schedule = Backoff.exponential({ base: "100 millis", cap: "2 seconds" }).pipe(
        Backoff.fullJitter,
        Backoff.times(3)
      )
      const { exit, times } = yield* drawing(0.5, 0.25, 0.75)(attemptTimes(schedule))
      assert.deepStrictEqual(times, [0, 50, 100, 400])
      assert.deepStrictEqual(exit, Exit.fail("failed"))
    })
  )

  it.effect("Effect.retry stops at the first success", () =>
    Effect.gen(function* () {
      let attempts = 0
      const flaky = Effect.suspend(() => (++attempts < 3 ? Effect.fail("failed") : Effect.succeed(attempts)))
      const fiber = yield* Effect.forkChild(Effect.retry(flaky, Backoff.constant("1 second")))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(3))
    })
  )

  it("input, error and services of a schedule keep their types", () => {
    class Service extends Context.Service<Service, number>()("test/Service") {}
    const own: Schedule.Schedule<number, Busy, "broken", Service> = Schedule.forever.pipe(
      Schedule.setInputType<Busy>(),
      Schedule.tap(() => Effect.flatMap(Service, () => Effect.fail("broken" as const)))
    )
    const same: Schedule.Schedule<number, Busy, "broken", Service> = own.pipe(
      Backoff.fullJitter,
      Backoff.equalJitter,
      Backoff.jitter({ factor: 0.5 }),
      Backoff.additiveJitter({ window: 1 }),
      Backoff.cap(1),
      Backoff.within(1),
      Backoff.times(1)
    )
    const first: Schedule.Schedule<number | Duration.Duration, Busy, "broken", Service> = Backoff.immediateFirst(same)
    assert.isTrue(Schedule.isSchedule(first))
    // @ts-expect-error an input of Busy does not take a Lost
    const wrong: Schedule.Schedule<unknown, Lost, unknown, Service> = same
    assert.isTrue(Schedule.isSchedule(wrong))
    // @ts-expect-error a misspelt option does not compile
    Backoff.exponential({ base: 1, caps: 2 })
  })
})

describe("bad options are refused, by name, value and range", () => {
  const nonsense = "soon" as never
  const finiteDuration = "a finite duration of 0 or more"
  const aDuration = 'a duration, such as "2 seconds", 2000 (milliseconds) or Duration.seconds(2)'
  const cases: ReadonlyArray<readonly [make: () => unknown, option: string, allowed: string, value: string]> = [
    [() => Backoff.constant(-1), "Backoff.constant: delay", finiteDuration, "-1"],
    [() => Backoff.constant(Number.NaN), "Backoff.constant: delay", "a duration of 0 or more", "NaN"],
    [() => Backoff.constant("Infinity"), "Backoff.constant: delay", finiteDuration, '"Infinity"'],
    [() => Backoff.constant(nonsense), "Backoff.constant: delay", aDuration, '"soon"'],
    [() => Backoff.linear({ base: -1 }), "Backoff.linear: base", finiteDuration, "-1"],
    [() => Backoff.linear({ base: 1, increment: -1 }), "Backoff.linear: increment", finiteDuration, "-1"],
    [() => Backoff.linear({ base: 10, cap: 9 }), "Backoff.linear: cap", "at least the base (10ms)", "9"],
    [() => Backoff.exponential({ base: -1 }), "Backoff.exponential: base", finiteDuration, "-1"],
    [() => Backoff.exponential({} as never), "Backoff.exponential: base", aDuration, "undefined"],
    [
      () => Backoff.exponential({ base: 1, factor: 0.5 }),
      "Backoff.exponential: factor",
      "a number of at least 1",
      "0.5"
    ],
    [
      () => Backoff.exponential({ base: 1, factor: NaN }),
      "Backoff.exponential: factor",
      "a number of at least 1",
      "NaN"
    ],
    [
      () => Backoff.exponential({ base: 1, factor: Infinity }),
      "Backoff.exponential: factor",
      "a number of at least 1",
      "Infinity"
    ],
    [
      () => Backoff.exponential({ base: "2 seconds", cap: "1 second" }),
      "Backoff.exponential: cap",
      "at least the base (2s)",
      '"1 second"'
    ],
    [() => Backoff.exponential({ base: 1, cap: "Infinity" }), "Backoff.exponential: cap", finiteDuration, '"Infinity"'],
    [() => Backoff.fibonacci({ base: -1 }), "Backoff.fibonacci: base", finiteDuration, "-1"],
    [() => Backoff.fibonacci({ base: 2, cap: 1 }), "Backoff.fibonacci: cap", "at least the base (2ms)", "1"],
    [() => Backoff.decorrelated({ base: -1, cap: 1 }), "Backoff.decorrelated: base", finiteDuration, "-1"],
    [() => Backoff.decorrelated({ base: 2, cap: 1 }), "Backoff.decorrelated: cap", "at least the base (2ms)", "1"],
    [() => Backoff.decorrelated({ base: 2 } as never), "Backoff.decorrelated: cap", aDuration, "undefined"],
    [
      () => Backoff.decorrelated({ base: 1, cap: 2, factor: 0 }),
      "Backoff.decorrelated: factor",
      "a number of at least 1",
      "0"
    ],
    [() => Backoff.sequence([]), "Backoff.sequence: delays", "a list of at least one duration", "[]"],
    [() => Backoff.sequence([1, -1]), "Backoff.sequence: delays[1]", finiteDuration, "-1"],
    [() => Backoff.jitter({ factor: -0.1 }), "Backoff.jitter: factor", "a number from 0 to 1", "-0.1"],
    [() => Backoff.jitter({ factor: 1.1 }), "Backoff.jitter: factor", "a number from 0 to 1", "1.1"],
    [() => Backoff.jitter({ factor: NaN }), "Backoff.jitter: factor", "a number from 0 to 1", "NaN"],
    [() => Backoff.additiveJitter({ window: -1 }), "Backoff.additiveJitter: window", finiteDuration, "-1"],
    [() => Backoff.additiveJitter({ window: 1, cap: -1 }), "Backoff.additiveJitter: cap", finiteDuration, "-1"],
    [() => Backoff.times(-1), "Backoff.times: n", "a whole number of at least 0", "-1"],
    [() => Backoff.times(1.5), "Backoff.times: n", "a whole number of at least 0", "1.5"],
    [() => Backoff.times(Infinity), "Backoff.times: n", "a whole number of at least 0", "Infinity"],
    [() => Backoff.within("-1 second"), "Backoff.within: limit", finiteDuration, '"-1 second"'],
    [() => Backoff.cap("Infinity"), "Backoff.cap: limit", finiteDuration, '"Infinity"'],
    [
      () => Backoff.honorRetryAfter({ ceiling: -1, of: () => undefined }),
      "Backoff.honorRetryAfter: ceiling",
      finiteDuration,
      "-1"
    ],
    [
      () => Backoff.preview(Backoff.constant(1), { retries: 0 }),
      "Backoff.preview: retries",
      "a whole number of at least 1",
      "0"
    ],
    [
      () => Backoff.preview(Backoff.constant(1), { retries: 1, samples: 0.5 }),
      "Backoff.preview: samples",
      "a whole number of at least 1",
      "0.5"
    ]
  ]
  const thrownBy = (make: () => unknown) => {
    try {
      make()
    } catch (error) {
      return error
    }
    return assert.fail("nothing was thrown")
  }
  for (const [make, option, allowed, value] of cases) {
    it(`${option} = ${value}`, () => {
      const refused = thrownBy(make)
      assert.instanceOf(refused, InvalidOption)
      assert.strictEqual(refused.option, option)
      assert.strictEqual(refused.message, `${option} must be ${allowed}, but it is ${value}`)
    })
  }
})
