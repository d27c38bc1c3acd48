import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import {
  additiveJitterMs,
  decorrelatedMs,
  equalJitterMs,
  exponentialMs,
  fibonacciMs,
  fullJitterMs,
  linearMs,
  maxDelayMs,
  proportionalJitterMs,
  saturateMs
} from "../../src/internal/backoff.ts"
import { draws, holds, integers, numbers } from "../property.ts"

/** The largest number that `Random` draws. */
const almostOne = 1 - 2 ** -53

describe("the shapes, retry by retry", () => {
  const cases: ReadonlyArray<readonly [name: string, delayMs: (retry: number) => number, at: Record<number, number>]> =
    [
      [
        "linear 100 + 50, cap 10 000",
        (retry) => linearMs(retry, 100, 50, 10_000),
        { 1: 100, 2: 150, 50: 2550, 199: 10_000, 200: 10_000, 1023: 10_000, 1024: 10_000, 10_000: 10_000 }
      ],
      [
        "linear without growth",
        (retry) => linearMs(retry, 100, 0, 10_000),
        { 1: 100, 2: 100, 50: 100, 1023: 100, 1024: 100, 10_000: 100 }
      ],
      [
        "linear with the largest increment",
        (retry) => linearMs(retry, 100, Number.MAX_VALUE, 10_000),
        { 1: 100, 2: 10_000, 50: 10_000, 1023: 10_000, 1024: 10_000, 10_000: 10_000 }
      ],
      [
        "exponential 100 · 2, cap 2 000",
        (retry) => exponentialMs(retry, 100, 2, 2000),
        { 1: 100, 2: 200, 3: 400, 4: 800, 5: 1600, 6: 2000, 50: 2000, 1023: 2000, 1024: 2000, 1025: 2000, 10_000: 2000 }
      ],
      [
        "exponential without a cap",
        (retry) => exponentialMs(retry, 1, 2, maxDelayMs),
        {
          1: 1,
          2: 2,
          31: 2 ** 30,
          32: maxDelayMs,
          50: maxDelayMs,
          1023: maxDelayMs,
          1024: maxDelayMs,
          10_000: maxDelayMs
        }
      ],
      [
        "exponential with factor 1.5",
        (retry) => exponentialMs(retry, 100, 1.5, 1000),
        { 1: 100, 2: 150, 3: 225, 50: 1000, 1023: 1000, 1024: 1000, 10_000: 1000 }
      ],
      [
        "exponential with factor 1",
        (retry) => exponentialMs(retry, 100, 1, 2000),
        { 1: 100, 2: 100, 50: 100, 1023: 100, 1024: 100, 10_000: 100 }
      ],
      [
        "exponential from nothing",
        (retry) => exponentialMs(retry, 0, 2, 2000),
        { 1: 0, 2: 0, 50: 0, 1023: 0, 1024: 0, 1025: 0, 10_000: 0 }
      ],
      [
        "exponential with the largest factor",
        (retry) => exponentialMs(retry, 1, Number.MAX_VALUE, 2000),
        { 1: 1, 2: 2000, 50: 2000, 1023: 2000, 1024: 2000, 10_000: 2000 }
      ]
    ]
  for (const [name, delayMs, at] of cases) {
    it(name, () => {
      for (const [retry, expected] of Object.entries(at)) {
        assert.strictEqual(delayMs(Number(retry)), expected, `retry ${retry}`)
      }
    })
  }

  it("fibonacci 100, cap 10 000", () => {
    const expected = [100, 100, 200, 300, 500, 800, 1300, 2100, 3400, 5500, 8900, 10_000, 10_000]
    const delays: Array<number> = []
    let beforeMs = 0
    let delayMs = 100
    for (let retry = 1; retry <= 10_000; retry++) {
      delays.push(delayMs)
      const nextMs = fibonacciMs(beforeMs, delayMs, 10_000)
      beforeMs = delayMs
      delayMs = nextMs
    }
    assert.deepStrictEqual(delays.slice(0, expected.length), expected)
    assert.isTrue(delays.slice(expected.length).every((delay) => delay === 10_000))
  })

  it("fibonacci from nothing stays there", () => {
    assert.strictEqual(fibonacciMs(0, 0, 10_000), 0)
  })

  it("decorrelated: between base and factor times the previous, at most the cap", () => {
    const cases = [
      // previous, base, factor, cap, u, expected
      [100, 100, 3, 5000, 0, 100],
      [100, 100, 3, 5000, 0.5, 200],
      [100, 100, 3, 5000, almostOne, 300],
      [400, 100, 3, 5000, 0, 100],
      [400, 100, 3, 5000, 0.5, 650],
      [5000, 100, 3, 5000, 0.25, 3825],
      [5000, 100, 3, 5000, almostOne, 5000],
      [100, 100, 1, 5000, 0.5, 100],
      [0, 0, 3, 5000, 0.5, 0],
      [100, 100, Number.MAX_VALUE, 5000, 0, 100],
      [100, 100, Number.MAX_VALUE, 5000, almostOne, 5000]
    ] as const
    for (const [previous, base, factor, cap, u, expected] of cases) {
      assert.closeTo(decorrelatedMs(previous, base, factor, cap, u), expected, 1e-9, `previous ${previous}, u ${u}`)
    }
  })
})

describe("the jitters", () => {
  const cases: ReadonlyArray<readonly [name: string, actual: number, expected: number]> = [
    ["full, u = 0", fullJitterMs(1000, 0), 0],
    ["full, u = 0.25", fullJitterMs(1000, 0.25), 250],
    ["full, u → 1", fullJitterMs(1000, almostOne), 1000 * almostOne],
    ["full of nothing", fullJitterMs(0, almostOne), 0],
    ["equal, u = 0", equalJitterMs(1000, 0), 500],
    ["equal, u = 0.25", equalJitterMs(1000, 0.25), 625],
    ["equal, u → 1", equalJitterMs(1000, almostOne), 1000],
    ["equal of nothing", equalJitterMs(0, almostOne), 0],
    ["proportional 0.25, u = 0", proportionalJitterMs(1000, 0.25, 0), 1000],
    ["proportional 0.25, u = 0.5", proportionalJitterMs(1000, 0.25, 0.5), 875],
    ["proportional 0.25, u → 1", proportionalJitterMs(1000, 0.25, almostOne), 750],
    ["proportional 0", proportionalJitterMs(1000, 0, 0.5), 1000],
    ["proportional 1, u = 0.5", proportionalJitterMs(1000, 1, 0.5), 500],
    ["additive, u = 0", additiveJitterMs(1000, 200, 5000, 0), 1000],
    ["additive, u = 0.5", additiveJitterMs(1000, 200, 5000, 0.5), 1100],
    ["additive, u → 1", additiveJitterMs(1000, 200, 5000, almostOne), 1200],
    ["additive at the cap", additiveJitterMs(1000, 200, 1050, 0.5), 1050],
    ["additive above the cap", additiveJitterMs(1000, 200, 900, 0), 900],
    ["additive that overflows", additiveJitterMs(Number.MAX_VALUE, Number.MAX_VALUE, 5000, 0.5), 5000]
  ]
  for (const [name, actual, expected] of cases) {
    it(name, () => {
      assert.closeTo(actual, expected, 1e-9)
    })
  }

  it("saturates what comes from elsewhere", () => {
    assert.strictEqual(saturateMs(Number.POSITIVE_INFINITY), maxDelayMs)
    assert.strictEqual(saturateMs(Number.NEGATIVE_INFINITY), 0)
    assert.strictEqual(saturateMs(-1), 0)
    assert.strictEqual(saturateMs(0), 0)
    assert.strictEqual(saturateMs(maxDelayMs + 1), maxDelayMs + 1)
  })
})

describe("for any parameters, retry and random number", () => {
  const day = 86_400_000
  const parameters = Arbitrary.map(
    Arbitrary.all({
      retry: integers(1, 10_000),
      base: numbers(0, day),
      above: numbers(0, day),
      increment: numbers(0, day),
      factor: numbers(1, 1e6),
      share: numbers(0, 1),
      u: draws
    }),
    ({ above, ...rest }) => ({ ...rest, cap: rest.base + above })
  )
  // NaN is in no range
  const inRange = (ms: number, low: number, high: number) => ms >= low && ms <= high

  it.effect("a shape is in [base, cap], and never shorter than the retry before", () =>
    holds(
      parameters,
      ({ base, cap, factor, increment, retry }) => {
        for (const shape of [
          (n: number) => linearMs(n, base, increment, cap),
          (n: number) => exponentialMs(n, base, factor, cap)
        ]) {
          if (!inRange(shape(retry), base, cap) || shape(retry + 1) < shape(retry)) return false
        }
        return true
      },
      { runs: 500 }
    )
  )

  it.effect("a walk of decorrelated delays stays in [base, cap]", () =>
    holds(
      Arbitrary.all({ parameters, walk: Arbitrary.array(draws, { minLength: 1, maxLength: 50 }) }),
      ({ parameters: { base, cap, factor }, walk }) => {
        let previous = base
        return walk.every((u) => {
          previous = decorrelatedMs(previous, base, factor, cap, u)
          return inRange(previous, base, cap)
        })
      },
      { runs: 200 }
    )
  )

  it.effect("a fibonacci sequence stays in [base, cap]", () =>
    holds(
      parameters,
      ({ base, cap }) => {
        let before = 0
        let delay = base
        for (let retry = 1; retry <= 100; retry++) {
          if (!inRange(delay, base, cap)) return false
          ;[before, delay] = [delay, fibonacciMs(before, delay, cap)]
        }
        return true
      },
      { runs: 100 }
    )
  )

  it.effect("a jitter goes down and stays in [0, delay]; the additive one goes up and stays below the cap", () =>
    holds(
      parameters,
      ({ base, cap, increment, share, u }) =>
        inRange(fullJitterMs(base, u), 0, base) &&
        inRange(equalJitterMs(base, u), base / 2, base) &&
        inRange(proportionalJitterMs(base, share, u), 0, base) &&
        inRange(additiveJitterMs(base, increment, cap, u), base, cap),
      { runs: 500 }
    )
  )

  it.effect("a property that does not hold shows its seed", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.exit(holds(integers(0, 100), (n) => n < 10, { runs: 100, seed: 7 }))
      assert.match(String(failed), /seed 7/)
    })
  )
})

// AWS Architecture Blog, "Exponential Backoff And Jitter" (Marc Brooker), aws-samples/aws-arch-backoff-simulator: clients contend for one
// row under optimistic locking. Each reads the version, writes with it, and backs off when another was first. Every hop of the
// network takes |Normal(10, 2)| ms. The expected medians come from running the original 101 times (shared/facts/science.md, 1.2).
describe("the AWS backoff simulation, with our formulas", () => {
  const base = 5
  const cap = 2000
  // the original counts the failure before it backs off, so its first delay is twice its base
  const expo = (retry: number) => exponentialMs(retry, 2 * base, 2, cap)
  type Delays = (random: () => number) => (retry: number) => number
  const strategies: Record<string, Delays> = {
    exponential: () => expo,
    equal: (random) => (retry) => equalJitterMs(expo(retry), random()),
    full: (random) => (retry) => fullJitterMs(expo(retry), random()),
    decorrelated: (random) => {
      let previous = base
      return () => (previous = decorrelatedMs(previous, base, 3, cap, random()))
    }
  }

  const expected: ReadonlyArray<readonly [clients: number, strategy: string, timeMs: number, calls: number]> = [
    [50, "exponential", 35_579, 629],
    [50, "equal", 4244, 347],
    [50, "full", 2617, 333],
    [50, "decorrelated", 2179, 373],
    [100, "exponential", 64_117, 1861],
    [100, "equal", 6882, 813],
    [100, "full", 4756, 795],
    [100, "decorrelated", 4589, 999]
  ]
  const medians = new Map<string, number>()
  for (const [clients, strategy, timeMs, calls] of expected) {
    it(`${clients} clients, ${strategy}`, () => {
      const runs = Array.from({ length: 101 }, (_, seed) =>
        contend(clients, strategies[strategy]!, mulberry32(seed + 1))
      )
      const medianCalls = median(runs.map((run) => run.calls))
      medians.set(`${clients} ${strategy}`, medianCalls)
      assert.closeTo(medianCalls, calls, calls * 0.1, "median calls")
      assert.closeTo(median(runs.map((run) => run.timeMs)), timeMs, timeMs * 0.2, "median time")
    })
  }

  it("full jitter more than halves the calls of un-jittered exponential backoff at 100 clients", () => {
    assert.isBelow(medians.get("100 full")!, medians.get("100 exponential")! / 2)
  })

  const median = (values: Array<number>) => values.sort((a, b) => a - b)[values.length >> 1]!

  const contend = (clients: number, strategy: Delays, random: () => number) => {
    const hop = () => Math.abs(10 + 2 * normal(random))
    const events = new Events()
    let version = 0
    let calls = 0
    let timeMs = 0
    for (let client = 0; client < clients; client++) {
      const backoff = strategy(random)
      let failures = 0
      const read = () => events.at(timeMs + hop(), () => write(version))
      const write = (seen: number) =>
        // the answer to the read, and the write
        events.at(timeMs + hop() + hop(), () => {
          calls++
          const won = seen === version
          if (won) version++
          events.at(timeMs + hop(), () => {
            if (!won) events.at(timeMs + backoff(++failures), read)
          })
        })
      read()
    }
    for (let event = events.take(); event !== undefined; event = events.take()) {
      timeMs = event.at
      event.run()
    }
    return { calls, timeMs }
  }

  /** A heap of what happens when, the earliest first. */
  class Events {
    private readonly heap: Array<{ readonly at: number; readonly run: () => void }> = []
    at(at: number, run: () => void): void {
      let index = this.heap.push({ at, run }) - 1
      while (index > 0) {
        const parent = (index - 1) >> 1
        if (this.heap[parent]!.at <= this.heap[index]!.at) return
        this.swap(index, parent)
        index = parent
      }
    }
    take() {
      const first = this.heap[0]
      const last = this.heap.pop()
      if (last === undefined || last === first) return first
      this.heap[0] = last
      for (let index = 0; ;) {
        let least = index
        for (const child of [2 * index + 1, 2 * index + 2]) {
          if (child < this.heap.length && this.heap[child]!.at < this.heap[least]!.at) least = child
        }
        if (least === index) return first
        this.swap(index, least)
        index = least
      }
    }
    private swap(a: number, b: number): void {
      const moved = this.heap[a]!
      this.heap[a] = this.heap[b]!
      this.heap[b] = moved
    }
  }

  const normal = (random: () => number) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

  const mulberry32 = (seed: number) => () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
})
