import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Quantile } from "../../src/internal/quantile.ts"
import { holds, integers, numbers } from "../property.ts"

const minute = 60_000

const of = (values: Iterable<number>, at = 0): Quantile => {
  const quantile = new Quantile(minute)
  for (const value of values) quantile.record(at, value)
  return quantile
}

/** The slow and exact way: the nearest rank in a sorted list. */
const exact = (values: ReadonlyArray<number>, q: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(q * values.length - 1e-9) - 1)]!

/** Never below, and at most 2 % above. */
const fits = (estimate: number | undefined, value: number): boolean =>
  estimate !== undefined && estimate >= value * (1 - 1e-12) && estimate <= value * 1.02

const oneTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

describe("Quantile", () => {
  it("without samples it knows nothing", () => {
    const quantile = new Quantile(minute)
    assert.isUndefined(quantile.quantile(0, 0.95))
    assert.strictEqual(quantile.samples(0), 0)
  })

  it.each([
    [[7], 0.95, 7],
    [[7], 0.001, 7],
    [[7, 8], 1e-12, 7],
    [oneTo(100), 0.95, 95],
    [oneTo(100), 0.951, 96],
    [oneTo(100), 0.5, 50],
    [oneTo(100), 0.99, 99],
    [oneTo(100), 0.999, 100],
    // 0.07 * 100 is 7.000000000000001
    [oneTo(100), 0.07, 7],
    [oneTo(1000).toReversed(), 0.95, 950],
    [[...oneTo(19).fill(10), 500], 0.95, 10],
    [[...oneTo(18).fill(10), 500, 500], 0.95, 500]
  ])("of %j at %d it is %d, and at most 2 %% more", (values, q, expected) => {
    const estimate = of(values).quantile(0, q)
    assert.isTrue(fits(estimate, expected), `${estimate}`)
  })

  it("from a tenth of a millisecond to ten minutes; what is less or more counts as that", () => {
    for (const [value, counts] of [
      [0, 0.1],
      [0.05, 0.1],
      [-3, 0.1],
      [Number.NaN, 0.1],
      [0.1, 0.1],
      [0.11, 0.11],
      [1, 1],
      [599_999, 599_999],
      [600_000, 600_000],
      [3_600_000, 600_000],
      [Number.POSITIVE_INFINITY, 600_000]
    ] as const) {
      const quantile = of([value])
      assert.isTrue(fits(quantile.quantile(0, 0.5), counts), `${value}: ${quantile.quantile(0, 0.5)}`)
      assert.strictEqual(quantile.samples(0), 1)
    }
  })

  const values = Arbitrary.array(
    // spread over all orders of magnitude
    Arbitrary.map(numbers(-1, 5.7), (exponent) => 10 ** exponent),
    { minLength: 1, maxLength: 300 }
  )
  const questions = Arbitrary.array(integers(1, 999), { minLength: 1, maxLength: 8 })

  it.effect("agrees with a sorted list within 2 %, whatever was asked before", () =>
    holds(
      Arbitrary.map(Arbitrary.all([values, questions]), ([values, questions]) => ({ values, questions })),
      ({ questions, values }) => {
        const quantile = new Quantile(minute)
        return values.every((value, i) => {
          quantile.record(0, value)
          const q = questions[i % questions.length]! / 1000
          return fits(quantile.quantile(0, q), exact(values.slice(0, i + 1), q))
        })
      },
      { runs: 200 }
    )
  )

  describe("forgets", () => {
    it("half by half: at least half of the window is remembered, and never more than all of it", () => {
      const quantile = new Quantile(1000)
      quantile.record(0, 100)
      quantile.record(499.9, 200)
      quantile.record(500, 300)
      assert.deepStrictEqual(
        [0, 999.9, 1000, 1499.9, 1500].map((now) => quantile.samples(now)),
        [3, 3, 1, 1, 0]
      )
    })

    it("when it is read, too", () => {
      const quantile = new Quantile(1000)
      quantile.record(0, 100)
      quantile.record(600, 10)
      assert.isTrue(fits(quantile.quantile(999, 0.95), 100))
      assert.isTrue(fits(quantile.quantile(1000, 0.95), 10))
      assert.isUndefined(quantile.quantile(1500, 0.95))
    })

    it("all of it after an idle hour, and begins anew", () => {
      const quantile = new Quantile(1000)
      for (let now = 0; now < 1000; now++) quantile.record(now, 100)
      assert.strictEqual(quantile.samples(3_600_000), 0)
      quantile.record(3_600_000, 7)
      assert.isTrue(fits(quantile.quantile(3_600_000, 0.95), 7))
      assert.strictEqual(quantile.samples(3_600_999), 1)
    })

    it("an idle half within: what came before goes with it", () => {
      const quantile = new Quantile(1000)
      quantile.record(0, 100)
      quantile.record(1000, 10)
      quantile.record(1400, 10)
      assert.strictEqual(quantile.samples(1400), 2)
      quantile.record(1500, 20)
      assert.strictEqual(quantile.samples(1500), 3)
      assert.strictEqual(quantile.samples(2000), 1)
    })

    it("nothing while the clock steps back", () => {
      const quantile = new Quantile(1000)
      quantile.record(10_000, 100)
      quantile.record(10, 200)
      assert.strictEqual(quantile.samples(10), 2)
      assert.strictEqual(quantile.samples(10_500), 2)
      assert.strictEqual(quantile.samples(11_000), 0)
    })

    it("in time before zero as after it", () => {
      const quantile = new Quantile(1000)
      quantile.record(-700, 100)
      assert.strictEqual(quantile.samples(-501), 1)
      assert.strictEqual(quantile.samples(-1), 1)
      assert.strictEqual(quantile.samples(0), 0)
    })
  })

  const Step = Schema.Struct({
    wait: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 })),
    value: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })),
    q: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 999 }))
  })

  it.effect("agrees with a list of samples and the halves they came in", () =>
    holds(
      Arbitrary.array(Arbitrary.schema(Step), { minLength: 1, maxLength: 200 }),
      (steps) => {
        const windowMs = 1000
        const half = (now: number) => Math.floor(now / (windowMs / 2))
        const quantile = new Quantile(windowMs)
        const all: Array<{ readonly at: number; readonly value: number }> = []
        let now = 0
        return steps.every(({ q, value, wait }) => {
          now += wait
          const seen = () => all.filter(({ at }) => half(at) >= half(now) - 1).map(({ value }) => value)
          if (wait % 2 === 0) {
            // no two of these values share a bucket
            const ms = 1.05 ** (10 * value)
            all.push({ at: now, value: ms })
            quantile.record(now, ms)
          }
          const left = seen()
          if (quantile.samples(now) !== left.length) return false
          const estimate = quantile.quantile(now, q / 1000)
          return left.length === 0 ? estimate === undefined : fits(estimate, exact(left, q / 1000))
        })
      },
      { runs: 300 }
    )
  )

  it("a million samples of one value neither overflow nor move it", () => {
    const quantile = new Quantile(minute)
    for (let i = 0; i < 1_000_000; i++) quantile.record(0, 25)
    assert.strictEqual(quantile.samples(0), 1_000_000)
    assert.isTrue(fits(quantile.quantile(0, 0.95), 25))
    for (let i = 0; i < 60_000; i++) quantile.record(0, 400)
    assert.isTrue(fits(quantile.quantile(0, 0.95), 400))
  })
})
