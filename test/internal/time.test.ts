import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Clock, Context, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { after, liveClock, maxTimerMs, monotonicMs, nowMs } from "../../src/internal/time.ts"

const thisFiber = Effect.withFiber((fiber) => Effect.succeed(fiber))

describe("now", () => {
  it("is the monotonic clock's, fractions of a millisecond included", () => {
    const clock = { monotonicTimeNanosUnsafe: () => 1_234_567_890n } as Clock.Clock
    assert.strictEqual(monotonicMs(clock), 1234.56789)
  })

  it("of the live clock is to the nanosecond what it says, however long the host has been up", () => {
    const spy = vi.spyOn(liveClock, "monotonicTimeNanosUnsafe")
    try {
      const year = 365n * 86_400_000_000_000n
      for (const nanos of [0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 52n + 1n, year, 200n * year]) {
        spy.mockReturnValue(nanos)
        assert.strictEqual(monotonicMs(liveClock), Number(nanos) / 1e6)
      }
    } finally {
      spy.mockRestore()
    }
  })

  it("of another clock may be anything, also more than 64 bits hold", () => {
    const clock = { monotonicTimeNanosUnsafe: () => 2n ** 80n } as Clock.Clock
    assert.strictEqual(monotonicMs(clock), 2 ** 80 / 1e6)
  })

  it.effect("is that of the clock in force", () =>
    Effect.gen(function* () {
      const fiber = yield* thisFiber
      const start = nowMs(fiber)
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(nowMs(fiber) - start, 1500)
      assert.strictEqual(nowMs(fiber), monotonicMs(yield* Clock.Clock))
    })
  )
})

describe("after, under another clock than the live one", () => {
  it.effect("sleeps on that clock", () =>
    Effect.gen(function* () {
      const calls: Array<string> = []
      const fiber = yield* thisFiber
      after(fiber, 1000, () => calls.push("a"))
      after(fiber, 1.5, () => calls.push("b"))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(calls, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(calls, ["b"])
      yield* TestClock.adjust("997 millis")
      assert.deepStrictEqual(calls, ["b"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(calls, ["b", "a"])
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(calls, ["b", "a"])
    })
  )

  it.effect("also for longer than a host timer lasts", () =>
    Effect.gen(function* () {
      let calls = 0
      after(yield* thisFiber, 3 * maxTimerMs, () => calls++)
      yield* TestClock.adjust(3 * maxTimerMs - 1)
      assert.strictEqual(calls, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(calls, 1)
    })
  )

  it.effect("arms no timer of the host", () =>
    Effect.gen(function* () {
      const fiber = yield* thisFiber
      const spy = vi.spyOn(globalThis, "setTimeout")
      const cancel = after(fiber, 1000, () => {})
      assert.strictEqual(spy.mock.calls.length, 0)
      spy.mockRestore()
      cancel()
    })
  )

  it.effect("cancelled, it does nothing and leaves no sleeper behind", () =>
    Effect.gen(function* () {
      let calls = 0
      let sleeping = 0
      const fiber = yield* thisFiber
      const clock = {
        sleep: () =>
          Effect.acquireUseRelease(
            Effect.sync(() => void sleeping++),
            () => Effect.never,
            () => Effect.sync(() => void sleeping--)
          )
      }
      const on = Object.create(fiber, { getRef: { value: () => clock } }) as typeof fiber
      const cancel = after(on, 1000, () => calls++)
      assert.strictEqual(sleeping, 1)
      cancel()
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual([calls, sleeping], [0, 0])
    })
  )
})

describe("after, under the live clock", () => {
  let fiber: Fiber.Fiber<never>

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    fiber = Effect.runFork(Effect.never)
  })
  afterEach(() => {
    fiber.interruptUnsafe()
    vi.useRealTimers()
  })

  // The live clock's fiber keeps an interval of its own, so timers are counted against what was there before
  const armed = () => vi.getTimerCount()

  it("is one timer of the host, and never early: the host cuts fractions off, and counts from a whole millisecond", () => {
    for (const [ms, due] of [
      [10, 11],
      [10.1, 12],
      [10.9, 12],
      [0.4, 2],
      [0, 1]
    ] as const) {
      let calls = 0
      const before = armed()
      after(fiber, ms, () => calls++)
      assert.strictEqual(armed(), before + 1)
      vi.advanceTimersByTime(due - 1)
      assert.strictEqual(calls, 0, `${ms} ms, early`)
      vi.advanceTimersByTime(1)
      assert.strictEqual(calls, 1, `${ms} ms`)
      assert.strictEqual(armed(), before)
      vi.advanceTimersByTime(1000)
      assert.strictEqual(calls, 1)
    }
  })

  it("cancelled, it does nothing and leaves no timer behind", () => {
    let calls = 0
    const before = armed()
    const cancel = after(fiber, 10, () => calls++)
    vi.advanceTimersByTime(9)
    cancel()
    assert.strictEqual(armed(), before)
    vi.advanceTimersByTime(1000)
    assert.strictEqual(calls, 0)
    cancel()
  })

  it("longer than a host timer lasts, it is the clock's sleep", async () => {
    assert.strictEqual(maxTimerMs, 2_147_483_647)
    const spy = vi.spyOn(globalThis, "setTimeout")
    const asked = () => spy.mock.calls.map((call) => call[1] as number)
    let calls = 0
    const before = armed()
    after(fiber, maxTimerMs - 1, () => {})
    assert.deepStrictEqual(asked(), [maxTimerMs])
    after(fiber, maxTimerMs - 0.5, () => calls++)
    after(fiber, maxTimerMs + 5, () => calls++)
    for (const ms of asked()) assert.isAtMost(ms, maxTimerMs)
    await vi.advanceTimersByTimeAsync(maxTimerMs + 4)
    assert.strictEqual(calls, 1)
    await vi.advanceTimersByTimeAsync(1)
    assert.strictEqual(calls, 2)
    assert.strictEqual(armed(), before)
    const cancel = after(fiber, 2 * maxTimerMs, () => calls++)
    cancel()
    await vi.advanceTimersByTimeAsync(0)
    assert.strictEqual(armed(), before)
    spy.mockRestore()
  })

  it("it is the live clock that counts, not its absence from the context", () => {
    const live = Context.get(Context.empty(), Clock.Clock)
    assert.strictEqual(fiber.getRef(Clock.Clock), live)
    const provided = Effect.runForkWith(Context.make(Clock.Clock, live))(Effect.never)
    const spy = vi.spyOn(globalThis, "setTimeout")
    after(provided, 5, () => {})()
    assert.deepStrictEqual(
      spy.mock.calls.map((call) => call[1]),
      [6]
    )
    spy.mockRestore()
    provided.interruptUnsafe()
  })
})
