import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Duration, Effect, Random, Schedule } from "effect"
import * as Backoff from "../../src/Backoff.ts"
import { endlessAfter, isEndless } from "../../src/internal/endless.ts"

class Missing extends Context.Service<Missing, number>()("test/Missing") {}

const base = { base: "100 millis" } as const
type AnySchedule = Schedule.Schedule<any, any, any, any>

describe("isEndless", () => {
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
    )
  }
  for (const [name, schedule] of Object.entries(endless)) {
    it(`${name}: yes`, () => {
      assert.isTrue(isEndless(schedule))
    })
  }

  const bounded: Record<string, AnySchedule> = {
    once: Schedule.once,
    recurs: Schedule.recurs(3),
    "as many retries as are tried": Schedule.recurs(endlessAfter),
    duration: Schedule.duration("1 second"),
    during: Schedule.during("1 hour"),
    "upTo duration": Schedule.spaced("10 millis").pipe(Schedule.upTo({ duration: "1 day" })),
    "upTo duration, without a delay": Schedule.forever.pipe(Schedule.upTo({ duration: "1 day" })),
    "upTo times": Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 })),
    "one after the other": Schedule.recurs(2).pipe(Schedule.concat(Schedule.recurs(2))),
    "Backoff.sequence": Backoff.sequence([1, 2]),
    "Backoff.times": Backoff.exponential(base).pipe(Backoff.fullJitter, Backoff.times(3)),
    "Backoff.times before immediateFirst": Backoff.exponential(base).pipe(Backoff.times(3), Backoff.immediateFirst),
    "Backoff.within": Backoff.exponential(base).pipe(Backoff.within("1 minute")),
    "Backoff.within, with many short delays": Backoff.constant("10 millis").pipe(Backoff.within("1 hour")),
    "Backoff.within, without a delay": Backoff.constant(0).pipe(Backoff.within("1 hour"))
  }
  for (const [name, schedule] of Object.entries(bounded)) {
    it(`${name}: no`, () => {
      assert.isFalse(isEndless(schedule))
    })
  }

  const unknown: Record<string, AnySchedule> = {
    "requires a service": Schedule.forever.pipe(Schedule.tap(() => Missing)),
    fails: Schedule.cron("not a cron"),
    "fails later": Schedule.forever.pipe(
      Schedule.tap(({ attempt }) => (attempt === 3 ? Effect.fail("no more") : Effect.void))
    ),
    "throws on the made-up error": Schedule.forever.pipe(
      Schedule.setInputType<{ readonly response: { readonly status: number } }>(),
      Schedule.while(({ input }) => input.response.status === 503)
    ),
    "throws on the made-up error, in a step of its own": Schedule.fromStep(
      Effect.succeed((_now: number, input: { readonly response: { readonly delay: never } }) => input.response.delay)
    )
  }
  for (const [name, schedule] of Object.entries(unknown)) {
    it(`${name}: cannot tell, so no`, () => {
      assert.isFalse(isEndless(schedule))
    })
  }

  it.live("waits for something: cannot tell, so no; and it is interrupted, not left to run", () =>
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
      assert.isFalse(isEndless(schedule))
      for (let turn = 0; turn < 20; turn++) yield* Effect.promise(() => Promise.resolve())
      assert.strictEqual(steps, 1)
    })
  )

  it.effect("sleeps inside a schedule pass at once, in simulated time", () =>
    Effect.sync(() => {
      const sleeping = Schedule.forever.pipe(Schedule.tap(() => Effect.sleep("1 minute")))
      assert.isTrue(isEndless(sleeping))
      assert.isFalse(isEndless(sleeping.pipe(Schedule.upTo({ duration: "1 hour" }))))
    })
  )

  it("gives the same answer every time, even where chance ends the schedule", () => {
    // goes on for ever if the first draw is above a half
    const tossed = Schedule.fromStep(
      Effect.map(
        Random.next,
        (u) => () => (u > 0.5 ? Effect.succeed<[number, Duration.Duration]>([u, Duration.zero]) : Cause.done(u))
      )
    )
    const answers = new Set(Array.from({ length: 30 }, () => isEndless(tossed)))
    assert.strictEqual(answers.size, 1)
  })

  it("logs nothing", () => {
    const logged: Array<unknown> = []
    const original = console.log
    console.log = (...line) => logged.push(line)
    try {
      isEndless(Schedule.forever.pipe(Schedule.tap(() => Effect.logError("retrying"))))
    } finally {
      console.log = original
    }
    assert.deepStrictEqual(logged, [])
  })
})
