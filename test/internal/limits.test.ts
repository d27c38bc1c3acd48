// The steps of the laws with the numbers of their sources, and the machinery around them. What comes of it all in a closed loop is in
// test/AdaptiveLimit.simulation.test.ts.
//
// "Netflix" is github.com/Netflix/concurrency-limits.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { aimd, gradient2, vegas } from "../../src/AdaptiveLimit.ts"
import type { Algorithm } from "../../src/AdaptiveLimit.ts"
import { LimitEstimator } from "../../src/internal/limits.ts"
import type { Settings, Step } from "../../src/internal/limits.ts"
import { aimdStep } from "../../src/internal/limits/aimd.ts"
import { AlgorithmTypeId } from "../../src/internal/limits/algorithm.ts"
import { gradient2 as gradient2Law, gradient2Step, longRttMs } from "../../src/internal/limits/gradient2.ts"
import { NoLoad } from "../../src/internal/limits/noLoad.ts"
import { queued } from "../../src/internal/limits/queue.ts"
import { Samples } from "../../src/internal/limits/samples.ts"
import type { Seen } from "../../src/internal/limits/samples.ts"
import { vegasStep } from "../../src/internal/limits/vegas.ts"
import { holds, integers, numbers } from "../property.ts"

const settingsOf = (algorithm: Algorithm): Settings => algorithm[AlgorithmTypeId]

describe("AIMD, one step", () => {
  const table: ReadonlyArray<readonly [string, limit: number, inFlight: number, dropped: boolean, next: number]> = [
    ["Netflix AIMDLimitTest.increaseOnSuccess", 20, 10, false, 21],
    ["Netflix AIMDLimitTest.increaseOnSuccess, an older version", 10, 10, false, 11],
    ["Netflix AIMDLimitTest.decreaseOnDrops", 30, 0, true, 27],
    ["Netflix AIMDLimitTest.decreaseOnDrops, an older version", 10, 0, true, 9],
    ["half of it in flight is enough to grow", 21, 11, false, 22],
    ["less is not", 21, 10, false, 21],
    ["a decrease is cut to a whole number", 15, 15, true, 13]
  ]
  for (const [what, limit, inFlight, dropped, next] of table) {
    it(what, () => assert.strictEqual(aimdStep(limit, { inFlight, dropped }, 0.9), next))
  }
})

describe("Vegas, one step", () => {
  const published = { alpha: 3, beta: 6, threshold: 1, smoothing: 1 }
  const step = (rttMs: number, inFlight: number, dropped = false): Step => ({ rttMs, noLoadMs: 10, inFlight, dropped })
  const table: ReadonlyArray<readonly [string, limit: number, step: Step, next: number]> = [
    ["Netflix VegasLimitTest.increaseLimit: no queue, so it grows by beta", 10, step(10, 11), 16],
    ["Netflix VegasLimitTest.largeLimitIncrease: beta times the logarithm", 10_000, step(10, 6000), 10_024],
    ["Netflix VegasLimitTest.decreaseLimit: a queue of 8", 10, step(50, 11), 9],
    ["Netflix VegasLimitTest.noChangeIfWithinThresholds: a queue of 3", 10, step(14, 14), 10],
    ["a queue of 1 is hardly any", 10, step(11, 10), 16],
    ["a queue of 2", 10, step(12, 10), 11],
    ["a queue of 6", 10, step(25, 10), 10],
    ["a queue of 7", 10, step(27, 10), 9],
    ["a drop, whatever the queue and however few are in flight", 10, step(10, 1, true), 9],
    ["a drop at 1000, where the logarithm is 3", 1000, step(10, 1000, true), 997],
    ["half of it in flight is enough to change", 11, step(10, 6), 17],
    ["less is not, also to fall", 11, step(50, 5), 11],
    ["at 1, where the logarithm is 0", 1, step(10, 1), 7],
    ["of a limit with a fraction, the logarithm of the whole number", 99.9, step(10, 99), 105.9]
  ]
  for (const [what, limit, given, next] of table) {
    it(what, () => assert.strictEqual(vegasStep(limit, given, published), next))
  }

  it("smoothing makes a part of each step (Netflix VegasLimitTest.decreaseSmoothing has half of it)", () => {
    const smooth = { ...published, smoothing: 0.5 }
    assert.strictEqual(vegasStep(10, step(10, 11), smooth), 13)
    assert.strictEqual(vegasStep(10, step(50, 11), smooth), 9.5)
    assert.strictEqual(vegasStep(10, step(10, 11, true), smooth), 9.5)
  })

  it("the queue is what the longer latency is made of (Brakmo and Peterson, 1994)", () => {
    assert.strictEqual(queued(100, { noLoadMs: 10, rttMs: 10 }), 0)
    assert.strictEqual(queued(100, { noLoadMs: 10, rttMs: 20 }), 50)
    assert.approximately(queued(60, { noLoadMs: 100, rttMs: 120 }), 10, 1e-9)
  })
})

describe("Gradient2, one step", () => {
  // Netflix has no test of it: the numbers follow from the formula
  const published = { queueSize: 4, smoothing: 0.2, tolerance: 1.5 }
  const table: ReadonlyArray<
    readonly [string, limit: number, long: number, short: number, tolerance: number, next: number]
  > = [
    ["no queue: it grows by a fifth of the queue size", 100, 10, 10, 1.5, 100.8],
    ["nor within the tolerance", 100, 10, 15, 1.5, 100.8],
    ["a gradient of 0.75", 100, 10, 20, 1.5, 95.8],
    ["it is never below 0.5", 100, 10, 1000, 1.5, 90.8],
    ["faster than usual is a gradient of 1", 100, 30, 10, 1.5, 100.8],
    ["a tolerance of 1, as first published", 100, 10, 12.5, 1, 96.8]
  ]
  for (const [what, limit, longMs, shortMs, tolerance, next] of table) {
    it(what, () => {
      const result = gradient2Step(limit, { inFlight: limit, longMs, shortMs }, { ...published, tolerance })
      assert.approximately(result, next, 1e-9)
    })
  }

  it("unchanged with less than half of the limit in flight", () => {
    const step = { longMs: 10, shortMs: 10 }
    assert.strictEqual(gradient2Step(101, { ...step, inFlight: 50 }, published), 101)
    assert.isAbove(gradient2Step(101, { ...step, inFlight: 51 }, published), 101)
    assert.isAbove(gradient2Step(100, { ...step, inFlight: 50 }, published), 100)
  })

  it("the queue size may be a function, of the limit in whole numbers", () => {
    const asked: Array<number> = []
    const queueSize = (limit: number) => {
      asked.push(limit)
      return 10
    }
    const step = { inFlight: 100, longMs: 10, shortMs: 10 }
    assert.approximately(gradient2Step(100.9, step, { ...published, queueSize }), 102.9, 1e-9)
    assert.deepStrictEqual(asked, [100])
  })

  it("the usual latency is an exponential average (Netflix ExpAvgMeasurement: 2 / (window + 1))", () => {
    assert.strictEqual(longRttMs(10, 10, 600), 10)
    assert.approximately(longRttMs(10, 10 + 601 / 2, 600), 11, 1e-9)
    assert.approximately(longRttMs(10, 20, 1), 20, 1e-9)
  })

  it("it decays where it is more than twice the latency of now", () => {
    assert.approximately(longRttMs(20, 10, 1_000_000_000), 20, 1e-6)
    assert.approximately(longRttMs(30, 10, 1_000_000_000), 28.5, 1e-6)
  })

  it("it begins anew with what has been measured", () => {
    const law = gradient2Law({ queueSize: 4, smoothing: 0.2, tolerance: 1, longWindow: 600 })
    const step = (noLoadMs: number): Step => ({ rttMs: 20, noLoadMs, inFlight: 100, dropped: false })
    for (let i = 0; i < 100; i++) law.next(100, step(10))
    // by now it is on its way from 10 to 20
    const before = law.next(100, step(10))
    assert.isAbove(before, 92)
    assert.approximately(law.next(100, step(10.001)), 100 * 0.8 + 0.2 * (100 * 0.5017 + 4), 0.01)
    assert.approximately(law.next(100, step(20)), 100.8, 1e-9)
  })

  it("a drop is the lowest gradient, without a queue (Netflix GradientLimit: half, smoothed), whatever is in flight", () => {
    const law = gradient2Law({ queueSize: 4, smoothing: 0.2, tolerance: 1, longWindow: 600 })
    assert.approximately(law.next(100, { rttMs: 0, noLoadMs: 0, inFlight: 1, dropped: true }), 90, 1e-9)
  })
})

const windows = { minMs: 100, maxMs: 30_000, samples: 3 }

describe("the samples of a window", () => {
  /** When windows end, of calls that end every `every` ms and take `elapsed`. */
  const ends = (every: number, elapsed: number, until: number, settings = windows) => {
    const samples = new Samples(settings)
    const at: Array<number> = []
    for (let now = 0; now <= until; now += every) if (samples.add(now, elapsed, 1, false) !== undefined) at.push(now)
    return at
  }

  it("last two latencies, the first one the shortest", () =>
    assert.deepStrictEqual(ends(10, 150, 1000), [100, 400, 700, 1000]))

  it("last no less than the shortest", () => assert.deepStrictEqual(ends(10, 1, 300), [100, 200, 300]))

  it("last no longer than the longest", () =>
    assert.deepStrictEqual(ends(10, 5000, 1500, { ...windows, maxMs: 700 }), [100, 800, 1500]))

  it("go on until there are enough samples", () => assert.deepStrictEqual(ends(70, 1, 700), [140, 350, 560]))

  it("show the average and its standard error, of the calls that were answered", () => {
    const samples = new Samples(windows)
    assert.isUndefined(samples.add(0, 10, 3, false))
    assert.isUndefined(samples.add(10, 20, 7, false))
    assert.isUndefined(samples.add(20, 5000, 9, true))
    const seen = samples.add(100, 30, 5, false)!
    assert.deepStrictEqual([seen.calls, seen.meanMs, seen.inFlight, seen.dropped], [3, 20, 9, 1])
    // the variance is 200 / 3, and there are three of them
    assert.approximately(seen.errorMs, Math.sqrt(200 / 9), 1e-9)
    // and nothing of it is left
    assert.isUndefined(samples.add(110, 40, 1, true))
    assert.isUndefined(samples.add(120, 40, 1, true))
    assert.deepStrictEqual(samples.add(200, 40, 1, true), { calls: 0, meanMs: 0, errorMs: 0, inFlight: 1, dropped: 3 })
  })

  it("a window without an answer lasts as long as the one before", () => {
    const samples = new Samples({ ...windows, samples: 1 })
    const at: Array<number> = []
    for (let now = 0; now <= 900; now += 10) if (samples.add(now, 150, 1, now > 100) !== undefined) at.push(now)
    assert.deepStrictEqual(at, [100, 400, 700])
  })

  it("calls that all take as long have no error, although numbers are rounded", () => {
    const samples = new Samples({ ...windows, samples: 1000 })
    let seen: Seen | undefined
    for (let i = 0; i < 1000; i++) seen = samples.add(i, 0.1 + 0.2, 1, false)
    assert.approximately(seen!.errorMs, 0, 1e-6)
  })
})

describe("the no-load latency", () => {
  const settings = { minMs: 100, maxMs: 30_000, samples: 10 }
  const seen = (meanMs: number, over: Partial<Seen> = {}): Seen => ({
    calls: 100,
    meanMs,
    errorMs: 0.1,
    inFlight: 100,
    dropped: 0,
    ...over
  })
  const windowsOf = (noLoad: NoLoad, latencies: ReadonlyArray<number>, limit = 100, over: Partial<Seen> = {}) =>
    latencies.map((meanMs) => noLoad.measure(seen(meanMs, over), limit)).at(-1)
  const times = (n: number, latency: number) => Array.from({ length: n }, () => latency)
  /** Knows a latency of `ms`, has finished its first probes, and is not due: it is asked just after the due time of 16384 ms. */
  const known = (ms = 100): { readonly noLoad: NoLoad; readonly now: number } => {
    const noLoad = new NoLoad(settings)
    windowsOf(noLoad, times(7, ms))
    for (let probe = 0; probe < 3; probe++) {
      for (let i = 0; i < 20; i++) noLoad.observe(seen(ms), 16_384, 100, true)
      assert.isTrue(noLoad.isProbing)
      windowsOf(noLoad, times(7, ms))
    }
    assert.isFalse(noLoad.isProbing)
    return { noLoad, now: 16_384 }
  }
  /** Rests, and begins the next probe at its due time. */
  const probeAfter = (noLoad: NoLoad, latency: number, now: number, limit = 100) => {
    for (let i = 0; i < 19; i++) noLoad.observe(seen(latency), now - 1, limit, true)
    assert.isFalse(noLoad.isProbing)
    noLoad.observe(seen(latency), now, limit, true)
    assert.isTrue(noLoad.isProbing)
  }
  const nextDue = 2 * 16_384

  it("is measured first, with the limit as it is: one window to settle, and six that count, by the number of their calls", () => {
    const noLoad = new NoLoad(settings)
    assert.isUndefined(noLoad.ms)
    assert.isTrue(noLoad.isProbing)
    assert.strictEqual(noLoad.share, 1)
    assert.isUndefined(windowsOf(noLoad, [5000, ...times(5, 100)]))
    assert.isUndefined(noLoad.ms)
    assert.strictEqual(noLoad.measure(seen(170, { calls: 200 }), 100), 1)
    assert.strictEqual(noLoad.ms, 120)
    assert.isFalse(noLoad.isProbing)
  })

  it("begins anew where calls are dropped meanwhile", () => {
    const noLoad = new NoLoad(settings)
    windowsOf(noLoad, times(6, 1))
    noLoad.abort(100)
    assert.isTrue(noLoad.isProbing)
    windowsOf(noLoad, times(6, 100))
    assert.isUndefined(noLoad.ms)
    windowsOf(noLoad, [100])
    assert.strictEqual(noLoad.ms, 100)
  })

  it("a probe comes at a moment common to all: a power of two of ms, of at least 64 windows", () => {
    // windows of 200 ms: 12.8 s, so every 16.384 s; of 100 ms, the shortest: 6.4 s, so every 8.192 s; of 256 ms: exactly
    for (const [latency, period] of [
      [100, 16_384],
      [10, 8192],
      [128, 16_384],
      [129, 32_768]
    ] as const) {
      const { noLoad } = known(latency)
      const due = 5 * period
      for (let i = 0; i < 20; i++) noLoad.observe(seen(latency), due - period, 100, true)
      assert.isTrue(noLoad.isProbing)
      windowsOf(noLoad, times(7, latency))
      probeAfter(noLoad, latency, due)
    }
  })

  it("not before it has rested for 20 windows, nor while nobody is refused; then at once", () => {
    const { noLoad } = known()
    for (let i = 0; i < 19; i++) noLoad.observe(seen(100), nextDue, 100, true)
    assert.isFalse(noLoad.isProbing)
    for (let i = 0; i < 50; i++) noLoad.observe(seen(100), nextDue, 100, false)
    assert.isFalse(noLoad.isProbing)
    noLoad.observe(seen(100), nextDue + 5, 100, true)
    assert.isTrue(noLoad.isProbing)
  })

  it("in the beginning, as soon as it has rested: four probes, the first included", () => {
    const noLoad = new NoLoad(settings)
    windowsOf(noLoad, times(7, 100))
    let probes = 1
    // all within one period
    for (let i = 0; i < 200; i++) {
      noLoad.observe(seen(100), 1000, 100, true)
      if (!noLoad.isProbing) continue
      probes++
      windowsOf(noLoad, times(7, 100))
    }
    assert.strictEqual(probes, 4)
  })

  it("lowers the limit to 0.7 of itself; a first window drains the queue, six count", () => {
    const { noLoad } = known()
    probeAfter(noLoad, 105, nextDue)
    assert.strictEqual(noLoad.share, 0.7)
    assert.isUndefined(windowsOf(noLoad, [300, ...times(5, 103)]))
    const filled = windowsOf(noLoad, [103])
    assert.strictEqual(noLoad.share, 1)
    // of those in flight before it, 103 in 104.9 did not wait, as far as the latest windows say
    assert.approximately(filled!, 103 / (105 - 5 * 0.8 ** 20), 1e-9)
    // what is within chance counts for a third
    assert.approximately(noLoad.ms!, 101, 1e-9)
  })

  it("what is no chance counts at once: more than a twentieth, and than three standard errors", () => {
    const after = (measured: number, errorMs: number) => {
      const { noLoad } = known()
      probeAfter(noLoad, measured, nextDue)
      windowsOf(noLoad, times(7, measured), 100, { errorMs })
      return noLoad.ms!
    }
    // six windows have 0.41 of the error of one
    assert.strictEqual(after(106, 0.1), 106)
    assert.approximately(after(106, 10), 102, 1e-9)
    assert.strictEqual(after(115, 10), 115)
    assert.strictEqual(after(94, 0.1), 94)
    assert.approximately(after(95.5, 0.1), 98.5, 1e-9)
  })

  it("goes on as long as it makes calls faster, and says how many of them did not wait", () => {
    const { noLoad } = known()
    probeAfter(noLoad, 200, nextDue)
    assert.isUndefined(windowsOf(noLoad, times(7, 140)))
    assert.approximately(noLoad.share, 0.49, 1e-9)
    assert.isUndefined(windowsOf(noLoad, [120, ...times(6, 100)]))
    assert.approximately(noLoad.share, 0.343, 1e-9)
    assert.approximately(windowsOf(noLoad, times(7, 99))!, 0.5, 0.01)
    assert.strictEqual(noLoad.share, 1)
    assert.approximately(noLoad.ms!, 100 - 1 / 3, 1e-9)
  })

  it("calls that became slower meanwhile do not raise the limit", () => {
    const { noLoad } = known()
    probeAfter(noLoad, 100, nextDue)
    assert.strictEqual(windowsOf(noLoad, times(7, 150)), 1)
  })

  it("but not for ever", () => {
    const { noLoad } = known()
    probeAfter(noLoad, 1000, nextDue)
    let share: number | undefined
    let steps = 0
    for (let latency = 800; share === undefined; latency *= 0.8) {
      steps++
      share = windowsOf(noLoad, times(7, latency))
    }
    assert.strictEqual(steps, 7)
  })

  it("a limit that has sunk by a fifth asks for a probe, before it is due", () => {
    const { noLoad, now } = known()
    for (let i = 0; i < 30; i++) noLoad.observe(seen(100), now, 80, true)
    assert.isFalse(noLoad.isProbing)
    noLoad.observe(seen(100), now, 79.9, true)
    assert.isTrue(noLoad.isProbing)
    windowsOf(noLoad, times(7, 100), 79.9)
    // and from there on by a fifth again
    for (let i = 0; i < 30; i++) noLoad.observe(seen(100), now, 64, true)
    assert.isFalse(noLoad.isProbing)
  })

  it("where it has raised it at once, what calls took before is forgotten", () => {
    const { noLoad } = known()
    probeAfter(noLoad, 100, nextDue)
    windowsOf(noLoad, times(7, 150))
    assert.strictEqual(noLoad.ms, 150)
    // as long as calls take as long as that, it stays
    for (let i = 0; i < 10; i++) noLoad.observe(seen(150), nextDue, 100, false)
    assert.strictEqual(noLoad.ms, 150)
  })

  it("a limit that a probe has left lower is not sunk", () => {
    const { noLoad } = known()
    probeAfter(noLoad, 200, nextDue)
    windowsOf(noLoad, times(7, 140))
    windowsOf(noLoad, times(7, 100))
    const share = windowsOf(noLoad, times(7, 100))!
    assert.approximately(share, 0.5, 0.01)
    for (let i = 0; i < 30; i++) noLoad.observe(seen(100), nextDue, 100 * share, true)
    assert.isFalse(noLoad.isProbing)
    noLoad.observe(seen(100), nextDue, 100 * share * 0.79, true)
    assert.isTrue(noLoad.isProbing)
  })

  it("a probe that one makes alone raises it if calls have become slower, and not if they wait with the calls of others", () => {
    const sunk = (before: number, measured: number) => {
      const { noLoad, now } = known()
      for (let i = 0; i < 40; i++) noLoad.observe(seen(before), now, 100, false)
      noLoad.observe(seen(before), now, 70, true)
      assert.isTrue(noLoad.isProbing)
      windowsOf(noLoad, times(7, measured), 70)
      return noLoad.ms
    }
    assert.strictEqual(sunk(150, 149), 149)
    assert.strictEqual(sunk(150, 140), 100)
    // one in which all of them take part may
    const { noLoad } = known()
    for (let i = 0; i < 40; i++) noLoad.observe(seen(150), nextDue - 1, 100, false)
    noLoad.observe(seen(150), nextDue, 100, true)
    windowsOf(noLoad, times(7, 140))
    assert.strictEqual(noLoad.ms, 140)
  })

  it("falls without a probe where calls have become faster by a tenth, on average of some windows", () => {
    const { noLoad, now } = known()
    noLoad.observe(seen(50), now, 100, false)
    assert.strictEqual(noLoad.ms, 100)
    noLoad.observe(seen(50), now, 100, false)
    assert.strictEqual(noLoad.ms, 82)
    for (let i = 0; i < 40; i++) noLoad.observe(seen(50), now, 100, false)
    assert.approximately(noLoad.ms!, 50, 6)
    // one that has measured is taken to be right within three of its errors
    const noisy = known().noLoad
    probeAfter(noisy, 100, nextDue)
    windowsOf(noisy, times(7, 100), 100, { errorMs: 20 })
    for (let i = 0; i < 40; i++) noisy.observe(seen(80), nextDue, 100, false)
    assert.strictEqual(noisy.ms, 100)
  })

  it("a probe in which calls are dropped ends, and rests", () => {
    const { noLoad } = known()
    probeAfter(noLoad, 100, nextDue)
    noLoad.abort(100)
    assert.isFalse(noLoad.isProbing)
    assert.strictEqual(noLoad.ms, 100)
    probeAfter(noLoad, 100, 2 * nextDue)
    // without a probe there is nothing to end
    const other = known().noLoad
    for (let i = 0; i < 19; i++) other.observe(seen(100), nextDue, 100, true)
    other.abort(100)
    other.observe(seen(100), nextDue, 100, true)
    assert.isTrue(other.isProbing)
  })
})

describe("the limit", () => {
  const window = { min: "100 millis", samples: 10 } as const
  const estimator = (algorithm: Algorithm) => new LimitEstimator(settingsOf(algorithm))

  interface Fed {
    readonly calls?: number
    readonly dropped?: number
    /** Every other one takes as long as `other`, if that is said. */
    readonly elapsed?: number
    readonly other?: number
    readonly inFlight?: number
    readonly pressed?: boolean
  }
  const ended = new WeakMap<LimitEstimator, number>()
  /** A window of so many calls, that ends at `at`: all but the last of them end where the one before it did. */
  const feed = (
    limit: LimitEstimator,
    at: number,
    { calls = 100, dropped = 0, elapsed = 100, inFlight = 200, other, pressed = true }: Fed = {}
  ) => {
    if (pressed) limit.press()
    const before = ended.get(limit) ?? 0
    for (let i = 0; i < calls; i++) {
      limit.sample(i === calls - 1 ? at : before, i % 2 === 0 ? elapsed : (other ?? elapsed), inFlight, i < dropped)
    }
    ended.set(limit, at)
  }

  it("begins with the initial one, and stays there until it has measured", () => {
    const limit = estimator(gradient2({ initial: 30 }))
    assert.strictEqual(limit.limit, 30)
    for (let i = 1; i <= 7; i++) {
      feed(limit, 300 * i)
      assert.deepStrictEqual([limit.limit, limit.isProbing], [30, false])
    }
    assert.strictEqual(limit.noLoadMs, 100)
    feed(limit, 2400)
    // it grows by a fifth of 1.5
    assert.strictEqual(limit.limit, 30)
    for (let i = 9; i <= 12; i++) feed(limit, 300 * i)
    assert.strictEqual(limit.limit, 31)
  })

  const after = (algorithm: Algorithm, windows: number, over: Fed = {}) => {
    const limit = estimator(algorithm)
    for (let i = 1; i <= 7; i++) feed(limit, 300 * i, over.calls === undefined ? {} : { calls: over.calls })
    for (let i = 8; i < 8 + windows; i++) feed(limit, 20_000 * i, over)
    return limit.limit
  }

  it("is kept within its bounds", () => {
    assert.strictEqual(after(vegas({ initial: 20, max: 22, window }), 10), 22)
    assert.strictEqual(after(vegas({ initial: 20, min: 18, window }), 10, { elapsed: 1000 }), 18)
    assert.strictEqual(after(aimd({ initial: 2, window }), 10, { dropped: 100 }), 1)
  })

  it("does not grow while the application is the bottleneck, and falls when calls are dropped even then", () => {
    for (const algorithm of [aimd, vegas, gradient2]) {
      assert.strictEqual(after(algorithm({ initial: 100 }), 15, { inFlight: 49 }), 100)
      assert.isAbove(after(algorithm({ initial: 100 }), 15, { inFlight: 60 }), 102)
      assert.isBelow(after(algorithm({ initial: 100 }), 1, { inFlight: 1, dropped: 100 }), 100)
    }
  })

  it("a drop is a sign of overload only if there are more than chance makes of the tolerated share", () => {
    const limitOf = (dropped: number, dropTolerance: number, calls = 100) =>
      after(aimd({ initial: 100, dropTolerance, window }), 1, { dropped, calls, inFlight: 1 })
    // 10 + 2 * sqrt(10)
    assert.strictEqual(limitOf(16, 0.1), 100)
    assert.strictEqual(limitOf(17, 0.1), 90)
    // 1 + 2 * sqrt(1)
    assert.strictEqual(limitOf(3, 0.1, 10), 100)
    assert.strictEqual(limitOf(4, 0.1, 10), 90)
    // as published: one is enough
    assert.strictEqual(limitOf(1, 0), 90)
    assert.strictEqual(limitOf(0, 0), 100)
    assert.strictEqual(limitOf(100, 1), 100)
  })

  it("an average is taken to be lower by one standard error", () => {
    const limit = estimator(aimd({ initial: 100, queueSize: 5, window }))
    for (let i = 1; i <= 7; i++) feed(limit, 300 * i)
    // 107.5 on average, give or take 2.5: a queue of 4.8
    feed(limit, 2400, { elapsed: 82.5, other: 132.5 })
    assert.strictEqual(limit.limit, 101)
    // 107.5 for sure: a queue of 7
    feed(limit, 2700, { elapsed: 107.5 })
    assert.strictEqual(limit.limit, 90)
  })

  it("AIMD with a latency that is too slow needs no measurement, and never probes", () => {
    const limit = estimator(aimd({ initial: 20, slowerThan: "150 millis", window }))
    for (let i = 1; i <= 100; i++) {
      feed(limit, 20_000 * i, { elapsed: 150 })
      assert.deepStrictEqual([limit.limit, limit.isProbing, limit.noLoadMs], [20 + i, false, undefined])
    }
    feed(limit, 3_000_000, { elapsed: 151 })
    assert.strictEqual(limit.limit, 108)
  })

  it("is lowered by a probe, and comes back", () => {
    const limit = estimator(vegas({ initial: 100, max: 100 }))
    for (let i = 1; i <= 27; i++) feed(limit, 300 * i)
    assert.deepStrictEqual([limit.limit, limit.isProbing], [70, true])
    for (let i = 28; i <= 33; i++) feed(limit, 300 * i)
    assert.deepStrictEqual([limit.limit, limit.isProbing], [70, true])
    feed(limit, 300 * 34)
    assert.deepStrictEqual([limit.limit, limit.isProbing], [100, false])
    assert.strictEqual(limit.noLoadMs, 100)
  })

  it("a probe in which calls are dropped ends at once, and the limit falls", () => {
    const limit = estimator(vegas({ initial: 100, max: 100 }))
    for (let i = 1; i <= 27; i++) feed(limit, 300 * i)
    assert.isTrue(limit.isProbing)
    feed(limit, 300 * 28, { dropped: 100 })
    assert.deepStrictEqual([limit.limit, limit.isProbing], [98, false])
  })

  it("never below its minimum, also by a probe; nor below 1", () => {
    const limit = estimator(vegas({ initial: 10, min: 9, max: 10 }))
    for (let i = 1; i <= 27; i++) feed(limit, 300 * i)
    assert.deepStrictEqual([limit.limit, limit.isProbing], [9, true])
    const one = estimator(vegas({ initial: 1, max: 1 }))
    for (let i = 1; i <= 27; i++) feed(one, 300 * i)
    assert.deepStrictEqual([one.limit, one.isProbing], [1, true])
  })

  it("without calls that are refused it is not lowered", () => {
    const limit = estimator(vegas({ initial: 100, max: 100 }))
    for (let i = 1; i <= 100; i++) {
      // that one was refused counts for the window it was refused in
      feed(limit, 20_000 * i, { pressed: i < 10 })
      assert.deepStrictEqual([limit.limit, limit.isProbing], [100, false])
    }
    feed(limit, 20_000 * 101)
    assert.isTrue(limit.isProbing)
  })

  it("a probe that found calls waiting leaves it as much lower", () => {
    const limit = estimator(vegas({ initial: 100, max: 100 }))
    for (let i = 1; i <= 7; i++) feed(limit, 300 * i)
    for (let i = 8; i <= 27; i++) feed(limit, 1000 * i, { elapsed: 200 })
    assert.isTrue(limit.isProbing)
    const before = limit.limit / 0.7
    assert.isAbove(before, 30)
    for (let i = 28; i <= 34; i++) feed(limit, 1000 * i, { elapsed: 140 })
    for (let i = 35; i <= 41; i++) feed(limit, 1000 * i, { elapsed: 100 })
    assert.isTrue(limit.isProbing)
    for (let i = 42; i <= 48; i++) feed(limit, 1000 * i, { elapsed: 100 })
    assert.isFalse(limit.isProbing)
    assert.approximately(limit.limit, before * 0.5, 2)
  })

  it.effect("whatever it is told, it is a whole number within its bounds", () =>
    holds(
      Arbitrary.all({
        algorithm: integers(0, 3),
        bounds: Arbitrary.all({ min: integers(1, 30), spread: integers(0, 100), initial: numbers(0, 1) }),
        steps: Arbitrary.array(
          Arbitrary.all({
            pass: numbers(0, 500),
            elapsed: numbers(0, 2000),
            inFlight: integers(1, 150),
            dropped: integers(0, 8),
            calls: integers(1, 60),
            pressed: integers(0, 2)
          }),
          { minLength: 30, maxLength: 120 }
        )
      }),
      ({ algorithm, bounds, steps }) => {
        const max = bounds.min + bounds.spread
        const options = { min: bounds.min, max, initial: bounds.min + Math.round(bounds.initial * bounds.spread) }
        const made = [aimd(options), vegas(options), gradient2(options), aimd({ ...options, slowerThan: 500 })][
          algorithm
        ]!
        const limit = estimator(made)
        let now = 0
        return steps.every(({ calls, dropped, elapsed, inFlight, pass, pressed }) => {
          now += pass
          if (pressed > 0) limit.press()
          // calls of no time at all are kept away from it
          for (let i = 0; i < calls; i++) limit.sample(now, Math.max(0.1, elapsed), inFlight, i < dropped)
          return Number.isInteger(limit.limit) && limit.limit >= bounds.min && limit.limit <= max
        })
      },
      { runs: 300 }
    )
  )
})
