// What is learnt, and a service in miniature to see what comes of it: one call after the other, each with its first attempt and,
// if that takes longer than the delay, a hedge.
import { assert, describe, it } from "@effect/vitest"
import { Learner } from "../../src/internal/hedge.ts"
import type { Settings } from "../../src/internal/hedge.ts"

const plain: Settings = {
  quantile: 0.95,
  max: 1,
  minimumSamples: 100,
  windowMs: 60_000,
  minMs: 1,
  capMs: undefined,
  initialMs: undefined
}

const learner = (change: Partial<Settings> = {}) => new Learner("test/Hedge", { ...plain, ...change })

/** 95 of 20 ms and five of 300 ms. */
const feed = (hedge: Learner, now = 0) => {
  for (let i = 0; i < 100; i++) hedge.record(now, i % 20 === 0 ? 300 : 20)
}

const near = (value: number | undefined, expected: number, share = 0.02) =>
  assert.isTrue(
    value !== undefined && value >= expected * (1 - 1e-9) && value <= expected * (1 + share),
    `${value} is not ${expected} or a little more`
  )

describe("Learner", () => {
  it("says nothing until it has enough samples", () => {
    const hedge = learner()
    for (let i = 0; i < 99; i++) hedge.record(0, 20)
    assert.deepStrictEqual([hedge.samples(0), hedge.estimateMs(0), hedge.delayMs(0)], [99, undefined, undefined])
    hedge.record(0, 20)
    assert.strictEqual(hedge.samples(0), 100)
    near(hedge.delayMs(0), 20)
    near(hedge.estimateMs(0), 20)
  })

  it("nor when they are too old", () => {
    const hedge = learner({ windowMs: 1000 })
    feed(hedge)
    near(hedge.delayMs(999), 20)
    assert.isUndefined(hedge.delayMs(1000))
  })

  it("waits as long as said until then", () => {
    const hedge = learner({ initialMs: 150 })
    assert.deepStrictEqual([hedge.estimateMs(0), hedge.delayMs(0)], [undefined, 150])
    feed(hedge)
    near(hedge.delayMs(0), 20)
    assert.strictEqual(hedge.delayMs(120_000), 150)
  })

  it("stays between min and cap; the estimate does not", () => {
    const short = learner({ minMs: 50 })
    feed(short)
    assert.strictEqual(short.delayMs(0), 50)
    near(short.estimateMs(0), 20)
    const long = learner({ quantile: 0.99, capMs: 80 })
    feed(long)
    assert.strictEqual(long.delayMs(0), 80)
    near(long.estimateMs(0), 300)
    const both = learner({ minMs: 10, capMs: 80 })
    feed(both)
    near(both.delayMs(0), 20)
  })

  it("knows its name and how many hedges there may be", () => {
    const hedge = learner({ max: 3 })
    assert.deepStrictEqual([hedge.name, hedge.max], ["test/Hedge", 3])
  })

  describe("what was cut", () => {
    it("before a hedge was due says nothing", () => {
      const hedge = learner({ minimumSamples: 1 })
      feed(hedge)
      const delay = hedge.delayMs(0)!
      for (let i = 0; i < 1000; i++) hedge.record(0, delay - 0.01, true)
      assert.strictEqual(hedge.samples(0), 100)
      assert.strictEqual(hedge.delayMs(0), delay)
    })

    it("after it counts with a quarter more than the time it had", () => {
      const hedge = learner()
      feed(hedge)
      hedge.record(0, 40, true)
      assert.strictEqual(hedge.samples(0), 101)
      // now 6 of 101 are above 20 ms, so the 95th percentile is the least of them
      near(hedge.estimateMs(0), 50)
    })

    it("exactly when it was due counts", () => {
      const hedge = learner({ initialMs: 30 })
      hedge.record(0, 30, true)
      assert.strictEqual(hedge.samples(0), 1)
    })

    it("says nothing as long as nothing is hedged", () => {
      const hedge = learner()
      hedge.record(0, 5000, true)
      assert.strictEqual(hedge.samples(0), 0)
    })

    it("is due by the delay in force, capped as it may be", () => {
      const hedge = learner({ quantile: 0.99, capMs: 80 })
      feed(hedge)
      hedge.record(0, 79, true)
      assert.strictEqual(hedge.samples(0), 100)
      hedge.record(0, 81, true)
      assert.strictEqual(hedge.samples(0), 101)
    })
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// A service, called and hedged
// ---------------------------------------------------------------------------------------------------------------------

type Draw = () => number

/** mulberry32 */
const drawing = (seed: number): Draw => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Fast answers take 8 to 14 ms. */
const bimodal =
  (share: number, slow: (draw: Draw) => number) =>
  (draw: Draw): number =>
    draw() < share ? slow(draw) : 8 + 6 * draw()

const percentile = (values: ReadonlyArray<number>, p: number) =>
  values.toSorted((a, b) => a - b)[Math.ceil((p / 100) * values.length) - 1]!

interface Simulated {
  /** What the service takes without hedging, and with it. */
  readonly plain: ReadonlyArray<number>
  readonly hedged: ReadonlyArray<number>
  /** Hedges a call. */
  readonly extra: number
  /** The estimates after each hundredth call. */
  readonly estimates: ReadonlyArray<number>
}

const simulate = (
  service: (draw: Draw) => number,
  options: { readonly seed: number; readonly gapMs?: number; readonly forgetLosers?: boolean }
): Simulated => {
  const draw = drawing(options.seed)
  const hedge = learner()
  const plain: Array<number> = []
  const hedged: Array<number> = []
  const estimates: Array<number> = []
  let hedges = 0
  for (let i = 0; i < 10_000; i++) {
    const now = i * (options.gapMs ?? 10)
    const delay = hedge.delayMs(now)
    const alone = service(draw)
    let took = alone
    if (delay !== undefined && alone > delay) {
      hedges++
      took = Math.min(alone, delay + service(draw))
    }
    const lost = took < alone
    if (!lost || options.forgetLosers !== true) hedge.record(now, took, lost)
    plain.push(alone)
    hedged.push(took)
    if (i % 100 === 99 && delay !== undefined) estimates.push(delay)
  }
  return { plain, hedged, extra: hedges / plain.length, estimates }
}

const seeds = [1, 2, 3, 4, 5, 6, 7, 8]

describe("10 000 calls, hedged at the 95th percentile", () => {
  // slow answers take from 100 to 1000 ms
  it.each([0.02, 0.03, 0.1, 0.2])("with %d of them slow: the estimate stays near the true percentile", (share) => {
    for (const seed of seeds) {
      const { estimates, extra, plain } = simulate(
        bimodal(share, (draw) => 100 + 900 * draw()),
        { seed }
      )
      const ratio = percentile(estimates.slice(20), 50) / percentile(plain, 95)
      assert.isTrue(ratio > 0.92 && ratio < 1.08, `seed ${seed}: ${ratio}`)
      assert.isBelow(extra, 0.06)
    }
  })

  it("to leave out those that lost makes it fall, and hedges more and more", () => {
    for (const seed of seeds) {
      const { estimates, extra, plain } = simulate(
        bimodal(0.1, (draw) => 100 + 900 * draw()),
        { seed, forgetLosers: true }
      )
      assert.isBelow(percentile(estimates.slice(20), 50), percentile(plain, 95) / 10)
      assert.isAbove(extra, 0.1)
    }
  })

  // The 95th percentile of a service that is slow once in twenty calls lies anywhere between its two modes
  const modes: ReadonlyArray<{ readonly slow: (draw: Draw) => number; readonly name: string }> = [
    { name: "200 ms", slow: () => 200 },
    { name: "a second", slow: () => 1000 },
    { name: "180 to 220 ms", slow: (draw) => 180 + 40 * draw() },
    { name: "100 to 1000 ms", slow: (draw) => 100 + 900 * draw() },
    { name: "50 ms and more, exponentially", slow: (draw) => 50 - 200 * Math.log(1 - draw()) }
  ]
  it.each(modes)("slow once in twenty calls, $name: half the 99th percentile for at most 6 % more", ({ slow }) => {
    for (const gapMs of [1, 10, 100]) {
      const runs = seeds.map((seed) => simulate(bimodal(0.05, slow), { seed, gapMs }))
      const hedged = runs.flatMap(({ hedged }) => hedged)
      const plain = runs.flatMap(({ plain }) => plain)
      assert.isBelow(percentile(hedged, 99), percentile(plain, 99) / 2)
      for (const { extra } of runs) assert.isBelow(extra, 0.06)
    }
  })

  it("a service that becomes slower as a whole is followed within a tenth of the window", () => {
    const draw = drawing(1)
    const hedge = learner()
    let followed = Number.POSITIVE_INFINITY
    for (let now = 0; followed > now && now < 120_000; now += 10) {
      const slowdown = now < 60_000 ? 1 : 10
      hedge.record(now, slowdown * (8 + 6 * draw()))
      if (slowdown === 10 && hedge.delayMs(now)! > 80) followed = now
    }
    assert.isBelow(followed, 66_000)
  })

  it("one of which a fifth becomes slow is followed in two minutes, although all of that is hedged at first", () => {
    for (const seed of seeds) {
      const draw = drawing(seed)
      const hedge = learner()
      let late = 0
      for (let now = 0; now < 240_000; now += 10) {
        const service = bimodal(now < 60_000 ? 0.02 : 0.2, (draw) => 500 + 500 * draw())
        const alone = service(draw)
        const delay = hedge.delayMs(now) ?? alone
        const took = alone > delay ? Math.min(alone, delay + service(draw)) : alone
        hedge.record(now, took, took < alone)
        if (now >= 180_000 && alone > delay) late++
      }
      assert.isBelow(late / 6000, 0.06)
    }
  })
})
