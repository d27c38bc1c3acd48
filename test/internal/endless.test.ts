import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Random, Schedule } from "effect"
import * as Backoff from "../../src/Backoff.ts"
import { endingOf, endlessAfter } from "../../src/internal/endless.ts"

class Missing extends Context.Service<Missing, number>()("test/Missing") {}
class Busy {
  readonly _tag = "Busy"
  readonly response = { status: 503, headers: new Map<string, string>() }
  readonly retryAfter = Duration.seconds(1)
  declare readonly cause: Busy | undefined
}

const base = { base: "100 millis" } as const
type AnySchedule = Schedule.Schedule<any, any, any, any>

/** A schedule that is not to be stepped: it would be seen. */
const untouched = (): { readonly schedule: Schedule.Schedule<number>; readonly steps: () => number } => {
  let steps = 0
  return {
    schedule: Schedule.tap(Schedule.forever, () => Effect.sync(() => void steps++)),
    steps: () => steps
  }
}

const reading = <A>(of: (error: Busy) => A): AnySchedule => Schedule.forever.pipe(looking(of))

const looking =
  <A>(of: (error: Busy) => A) =>
  (self: AnySchedule): AnySchedule =>
    Schedule.tap(self, ({ input }) => Effect.sync(() => of(input)))

describe("endingOf", () => {
  const endless: Record<string, AnySchedule> = {
    forever: Schedule.forever,
    spaced: Schedule.spaced("1 second"),
    fixed: Schedule.fixed("1 second"),
    windowed: Schedule.windowed("1 second"),
    exponential: Schedule.exponential("100 millis"),
    "exponential, jittered": Schedule.exponential("100 millis").pipe(Schedule.jittered),
    "cron every minute": Schedule.cron("* * * * *"),
    "cron every leap day": Schedule.cron("0 0 29 2 *"),
    "the longer of exponential and cron": Schedule.max([
      Schedule.exponential("100 millis"),
      Schedule.cron("* * * * *")
    ]),
    "an infinite delay": Schedule.spaced("Infinity"),
    "min of one that ends and one that does not": Schedule.min([Schedule.recurs(2), Schedule.forever]),
    "one that ends, and then one that does not": Schedule.recurs(2).pipe(Schedule.concat(Schedule.forever)),
    "ended by an error that did not come": Schedule.forever.pipe(
      Schedule.setInputType<{ readonly fatal?: boolean }>(),
      Schedule.while(({ input }) => input.fatal !== true)
    ),
    "more retries than are tried": Schedule.recurs(endlessAfter + 1),
    "Backoff.constant": Backoff.constant("1 second"),
    "Backoff.constant of nothing": Backoff.constant(0),
    "Backoff.linear": Backoff.linear(base),
    "Backoff.exponential": Backoff.exponential(base),
    "Backoff.fibonacci": Backoff.fibonacci(base),
    "Backoff.decorrelated": Backoff.decorrelated({ ...base, cap: "1 second" }),
    "Backoff.exponential, changed in every way": Backoff.exponential(base).pipe(
      Backoff.cap("1 second"),
      Backoff.fullJitter,
      Backoff.equalJitter,
      Backoff.jitter({ factor: 0.5 }),
      Backoff.additiveJitter({ window: "1 second" }),
      Backoff.immediateFirst,
      Backoff.honorRetryAfter({ ceiling: "1 second", of: () => undefined })
    ),
    "Backoff over a schedule of Effect": Schedule.spaced("1 second").pipe(Backoff.fullJitter),
    "Effect over a schedule of Backoff": Backoff.constant("1 second").pipe(Schedule.jittered)
  }
  for (const [name, schedule] of Object.entries(endless)) {
    it(`${name}: endless`, () => {
      assert.strictEqual(endingOf(schedule), "endless")
    })
  }

  const bounded: Record<string, AnySchedule> = {
    once: Schedule.once,
    recurs: Schedule.recurs(3),
    "no retry": Schedule.recurs(0),
    "as many retries as are tried": Schedule.recurs(endlessAfter),
    duration: Schedule.duration("1 second"),
    during: Schedule.during("1 hour"),
    "upTo duration": Schedule.spaced("10 millis").pipe(Schedule.upTo({ duration: "1 day" })),
    "upTo duration, without a delay": Schedule.forever.pipe(Schedule.upTo({ duration: "1 day" })),
    "upTo times": Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 })),
    "one after the other": Schedule.recurs(2).pipe(Schedule.concat(Schedule.recurs(2))),
    "one by number, then one by time": Schedule.recurs(2).pipe(Schedule.concat(Schedule.during("1 hour"))),
    "max of one that ends and one that does not": Schedule.max([Schedule.recurs(2), Schedule.forever]),
    "Backoff.sequence": Backoff.sequence([1, 2]),
    "Backoff.times": Backoff.exponential(base).pipe(Backoff.fullJitter, Backoff.times(3)),
    "Backoff.times, of more than are tried": Backoff.constant(1).pipe(Backoff.times(endlessAfter + 500)),
    "Backoff.times before immediateFirst": Backoff.exponential(base).pipe(Backoff.times(3), Backoff.immediateFirst),
    "Backoff.times, changed in every way": Backoff.exponential(base).pipe(
      Backoff.times(endlessAfter + 500),
      Backoff.cap("1 second"),
      Backoff.fullJitter,
      Backoff.equalJitter,
      Backoff.jitter({ factor: 0.5 }),
      Backoff.additiveJitter({ window: "1 second" }),
      Backoff.immediateFirst,
      Backoff.honorRetryAfter({ ceiling: "1 second", of: () => undefined })
    ),
    "Backoff.within": Backoff.exponential(base).pipe(Backoff.within("1 minute")),
    "Backoff.within, with many short delays": Backoff.constant("10 millis").pipe(Backoff.within("1 hour")),
    "Backoff.within, without a delay": Backoff.constant(0).pipe(Backoff.within("1 hour")),
    "Backoff.within, under Effect": Backoff.constant(0).pipe(Backoff.within("1 hour"), Schedule.jittered),
    "Backoff.times, under Effect": Backoff.constant(0).pipe(Backoff.times(3), Schedule.jittered),
    "Backoff over a schedule of Effect": Schedule.recurs(3).pipe(Backoff.fullJitter),
    "stops on an error that did not come": Schedule.recurs(3).pipe(
      Schedule.setInputType<Busy>(),
      Schedule.while(({ input }) => input._tag !== ("Fatal" as string))
    ),
    "the same, ended afterwards": Schedule.forever.pipe(
      Schedule.setInputType<Busy>(),
      Schedule.while(({ input }) => input._tag !== ("Fatal" as string)),
      Schedule.upTo({ times: 3 })
    ),
    "looks into the error in every step": Schedule.recurs(3).pipe(looking((error) => error.response.headers.get("a")))
  }
  for (const [name, schedule] of Object.entries(bounded)) {
    it(`${name}: ends`, () => {
      assert.strictEqual(endingOf(schedule), "ends")
    })
  }

  const unknown: Record<string, AnySchedule> = {
    "requires a service": Schedule.forever.pipe(Schedule.tap(() => Missing)),
    "ends, but requires a service": Schedule.recurs(3).pipe(Schedule.tap(() => Missing)),
    fails: Schedule.cron("not a cron"),
    "fails later": Schedule.forever.pipe(
      Schedule.tap(({ attempt }) => (attempt === 3 ? Effect.fail("no more") : Effect.void))
    ),
    "throws on the made-up error": reading((error) => [...(error as never as Iterable<unknown>)]),
    "throws on the made-up error, in a step of its own": Schedule.fromStep(
      Effect.succeed((_now: number, input: any) => input.response.delay)
    ),
    "goes on only for some errors: by tag": Schedule.forever.pipe(
      Schedule.setInputType<Busy>(),
      Schedule.while(({ input }) => input._tag === "Busy")
    ),
    "goes on only for some errors: by class": Schedule.forever.pipe(
      Schedule.while(({ input }) => (input as unknown) instanceof Busy)
    ),
    "goes on only for some errors: by a property": Schedule.forever.pipe(
      Schedule.setInputType<object>(),
      Schedule.while(({ input }) => "retryAfter" in input)
    ),
    "runs the error as an effect": Schedule.forever.pipe(Schedule.tap(({ input }) => input as Effect.Effect<void>))
  }
  for (const [name, schedule] of Object.entries(unknown)) {
    it(`${name}: unknown`, () => {
      assert.strictEqual(endingOf(schedule), "unknown")
    })
  }

  it("steps nothing that Backoff knows the end of", () => {
    const { schedule, steps } = untouched()
    const hinted = Backoff.honorRetryAfter({ ceiling: "1 minute", of: () => assert.fail("asked for a hint") })
    assert.strictEqual(endingOf(schedule.pipe(Backoff.times(3))), "ends")
    assert.strictEqual(endingOf(schedule.pipe(Backoff.within("1 hour"), hinted, Backoff.fullJitter)), "ends")
    assert.strictEqual(steps(), 0)
    // of what it changes, only what it changed is stepped
    assert.strictEqual(endingOf(Schedule.recurs(3).pipe(hinted)), "ends")
    assert.strictEqual(endingOf(Schedule.forever.pipe(hinted)), "endless")
    assert.strictEqual(endingOf(Backoff.constant("1 second").pipe(hinted)), "endless")
  })

  it("steps a schedule once, and no further than it goes", () => {
    const { schedule, steps } = untouched()
    const thrice = schedule.pipe(Schedule.upTo({ times: 3 }))
    for (const same of [thrice, thrice, thrice.pipe(Backoff.fullJitter)]) assert.strictEqual(endingOf(same), "ends")
    assert.isAtMost(steps(), 4)
    const before = steps()
    assert.strictEqual(endingOf(schedule.pipe(Schedule.upTo({ duration: "1 day" }))), "ends")
    assert.isAtMost(steps() - before, 2)
  })

  it("looks into a made-up error do not throw", () => {
    const looks: Record<string, (error: Busy) => unknown> = {
      "a path": (error) => error.response.headers.get("retry-after"),
      "a number": (error) => Duration.seconds(Number(error.response.headers.get("retry-after"))),
      "a text": (error) => `${error}`.toLowerCase(),
      "a tag": (error) => error._tag === "Busy",
      "the deepest cause": (error) => {
        let deepest: Busy | undefined = error
        while (deepest !== undefined) deepest = deepest.cause
      }
    }
    for (const [name, look] of Object.entries(looks)) assert.strictEqual(endingOf(reading(look)), "endless", name)
    const hint = Backoff.honorRetryAfter({ ceiling: "1 minute", of: (error: Busy) => error.retryAfter })
    assert.strictEqual(endingOf(Backoff.constant(1).pipe(hint, Schedule.jittered)), "endless")
    assert.strictEqual(endingOf(Backoff.constant(1).pipe(Backoff.times(3), hint, Schedule.jittered)), "ends")
  })

  it.live("waits for something: unknown; and it is interrupted, not left to run", () =>
    Effect.gen(function* () {
      let steps = 0
      const schedule = Schedule.forever.pipe(
        Schedule.tap(() =>
          Effect.suspend(() => {
            steps++
            return Effect.promise(() => Promise.resolve())
          })
        )
      )
      assert.strictEqual(endingOf(schedule), "unknown")
      for (let turn = 0; turn < 20; turn++) yield* Effect.promise(() => Promise.resolve())
      assert.strictEqual(steps, 1)
    })
  )

  it("gives the same answer every time, even where chance ends the schedule", () => {
    // goes on for ever if the first draw is above a half
    const tossed = () =>
      Schedule.fromStep(
        Effect.map(
          Random.next,
          (u) => () => (u > 0.5 ? Effect.succeed<[number, Duration.Duration]>([u, Duration.zero]) : Cause.done(u))
        )
      )
    const answers = new Set(Array.from({ length: 30 }, () => endingOf(tossed())))
    assert.strictEqual(answers.size, 1)
  })

  it("logs nothing", () => {
    const logged: Array<unknown> = []
    const original = console.log
    console.log = (...line) => logged.push(line)
    try {
      endingOf(Schedule.forever.pipe(Schedule.tap(() => Effect.logError("retrying"))))
    } finally {
      console.log = original
    }
    assert.deepStrictEqual(logged, [])
  })
})
