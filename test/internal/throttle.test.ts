import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { levels } from "../../src/internal/priorities.ts"
import { rejectionRate, rejectionRateOf, Throttling, windowsOf } from "../../src/internal/throttle.ts"
import type { Settings } from "../../src/internal/throttle.ts"
import { holds, integers } from "../property.ts"

/** The formula of the book, with no ceiling and no minimum. */
const book = { k: 2, padding: 1, maxRejectionRate: 1, minimumRequests: 1 }
const windowMs = 1000
const settings = (over: Partial<Settings> = {}): Settings => ({ ...book, windows: windowsOf(windowMs), ...over })
const [critical, high, normal, low, background] = [0, 1, 2, 3, 4] as const

/** A throttle that has seen so many calls of a priority, and how many of them were accepted. */
const seen = (
  over: Partial<Settings>,
  ...counts: ReadonlyArray<readonly [rank: number, calls: number, ok: number]>
) => {
  const throttle = new Throttling(settings(over))
  for (const [rank, calls, ok] of counts) {
    for (let call = 0; call < calls; call++) throttle.record(rank, call < ok, 0)
  }
  return throttle
}

const never = () => assert.fail("nothing is left to chance here")
/** Evenly spread: the numbers of `Arbitrary` are mostly tiny. Never 0 or 1. */
const share = Arbitrary.map(integers(1, 999), (n) => n / 1000)
const drawing = (u: number, now = 0) => ({ now, random: () => u })

describe("the rejection rate", () => {
  it("Google SRE book, equation 21-1", () => {
    assert.strictEqual(rejectionRate(100, 50, book), 0)
    assert.strictEqual(rejectionRate(100, 0, book), 100 / 101)
    assert.approximately(rejectionRate(100, 50, { ...book, k: 1.1 }), 45 / 101, 1e-12)
    assert.strictEqual(rejectionRate(100, 100, book), 0)
    assert.strictEqual(rejectionRate(0, 0, book), 0)
    // the client begins to regulate itself when requests reach k times the accepts
    assert.strictEqual(rejectionRate(101, 50, book), 1 / 102)
  })

  it("failsafe-go: computeRejectionRate, success rate threshold 0.9 (k = 1 / 0.9), at most 0.8", () => {
    const rate = (executions: number, successes: number) =>
      rejectionRate(executions, successes, { ...book, k: 1 / 0.9, maxRejectionRate: 0.8 })
    assert.strictEqual(rate(100, 95), 0)
    assert.approximately(rate(120, 90), 20 / 121, 1e-12)
    assert.approximately(rate(200, 50), 0.7186, 1e-4)
    assert.strictEqual(rate(1000, 10), 0.8)
    assert.strictEqual(rate(100, 0), 0.8)
    assert.strictEqual(rate(100, 90), 0)
    assert.isAbove(rate(100, 50), rate(100, 70))
    // "should calculate rejection rate after failures"
    assert.strictEqual(rejectionRate(1, 0, { ...book, k: 1 / 0.9, maxRejectionRate: 0.9 }), 0.5)
  })

  it("failsafe-go: an execution threshold, below which nothing is refused", () => {
    const five = { ...book, minimumRequests: 5 }
    assert.strictEqual(rejectionRate(4, 0, five), 0)
    assert.strictEqual(rejectionRate(5, 0, five), 5 / 6)
  })

  it("Envoy: FilterBehaviorBasic, half of 1000 requests succeed at aggression 1: a draw of 0.55 passes, 0.45 does not", () => {
    const throttle = () => seen({ k: 1 }, [normal, 1000, 500])
    assert.isUndefined(throttle().refuse(normal, drawing(0.55)))
    assert.strictEqual(throttle().refuse(normal, drawing(0.45)), "overload")
    assert.strictEqual(seen({}, [normal, 1000, 0]).rejectionRate(0), 1000 / 1001)
  })

  // adaptive_test.go: after each answer (A accepted, T throttled) a call asks, at a draw of 0.5
  const answers = "TTTTTTTTTAAAAAATTTT"
  const grpc: ReadonlyArray<readonly [string, k: number, padding: number, refused: string]> = [
    ["Baseline", 1.1, 8, "nnnnnnnnyyyyynnnyyy"],
    ["ChangePadding", 1.1, 7, "nnnnnnnyyyyyyyyyyyy"],
    ["ChangeRatioForAccepts", 1.4, 8, "nnnnnnnnyynnnnnnnnn"]
  ]
  for (const [name, k, padding, refused] of grpc) {
    it(`gRPC RLS, TestShouldThrottleOptions, ${name}: a refusal is a request that was not accepted`, () => {
      const throttle = new Throttling(settings({ k, padding }))
      const asked = [...answers].map((answer) => {
        throttle.record(normal, answer === "A", 0)
        return throttle.refuse(normal, drawing(0.5)) === undefined ? "n" : "y"
      })
      assert.strictEqual(asked.join(""), refused)
    })
  }

  it("nothing is drawn where nothing is left to chance", () => {
    const throttle = seen({ maxRejectionRate: 0.5 }, [normal, 100, 100])
    assert.isUndefined(throttle.refuse(normal, { now: 0, random: never }))
    assert.strictEqual(throttle.requests(0), 100)
    const overloaded = seen({ maxRejectionRate: 0.5 }, [normal, 100, 0])
    // more important than anything in the window
    assert.isUndefined(overloaded.refuse(critical, { now: 0, random: never }))
  })

  it("refuses below the probability, not at it", () => {
    const at = seen({ maxRejectionRate: 0.5 }, [normal, 100, 0])
    assert.isUndefined(at.refuse(normal, drawing(0.5)))
    assert.strictEqual(at.requests(0), 100)
    assert.strictEqual(at.refuse(normal, drawing(0.4999)), "overload")
    assert.strictEqual(at.requests(0), 101)
    assert.strictEqual(at.accepts(0), 0)
  })
})

describe("the window", () => {
  it("failsafe-go: expires when it is read, not only when it is written", () => {
    const throttle = seen({}, [normal, 100, 0], [low, 10, 10])
    assert.strictEqual(throttle.rejectionRate(999), 90 / 111)
    assert.deepStrictEqual([throttle.requests(999), throttle.accepts(999)], [110, 10])
    assert.strictEqual(throttle.requests(1000), 0)
    assert.strictEqual(seen({}, [normal, 5, 5]).accepts(1000), 0)
    assert.strictEqual(seen({}, [normal, 5, 0]).rejectionRate(1000), 0)
    assert.strictEqual(seen({}, [normal, 5, 0]).rejectionRateOf(normal, 1000), 0)
    assert.isUndefined(seen({}, [normal, 5, 0]).refuse(normal, { now: 1000, random: never }))
  })

  it("a call counts where it ended, a refusal where it was refused", () => {
    const throttle = seen({}, [normal, 10, 0])
    throttle.record(normal, true, 500)
    assert.strictEqual(throttle.refuse(normal, drawing(0, 700)), "overload")
    assert.deepStrictEqual([throttle.requests(1000), throttle.accepts(1000)], [2, 1])
    assert.deepStrictEqual([throttle.requests(1500), throttle.accepts(1500)], [1, 0])
    assert.strictEqual(throttle.requests(1700), 0)
  })
})

describe("priorities", () => {
  it("the least important calls go first", () => {
    // 1000 requests, 250 accepted: a rate of 1/2
    const of = (maxRejectionRate: number) => {
      const throttle = seen(
        { padding: 1e-9, maxRejectionRate },
        [critical, 200, 50],
        [normal, 500, 200],
        [background, 300, 0]
      )
      return levels.map((_, rank) => Number(throttle.rejectionRateOf(rank, 0).toFixed(6)))
    }
    //                       critical, high, normal, low, background
    assert.deepStrictEqual(of(1), [0, 0, 0.4, 1, 1])
    // what the ceiling lets through of one priority is not taken from one that matters more
    assert.deepStrictEqual(of(0.9), [0, 0, 0.4, 0.9, 0.9])
    // what has to get through is what matters most
    assert.deepStrictEqual(of(0.4), [0, 0, 0.2, 0.4, 0.4])
  })

  it("where the ceiling stops at a share, it is the most important of them that get through", () => {
    const throttle = seen({ maxRejectionRate: 0.9 }, [high, 10, 0], [normal, 90, 0])
    assert.strictEqual(throttle.rejectionRate(0), 0.9)
    assert.strictEqual(throttle.rejectionRateOf(high, 0), 0)
    assert.strictEqual(throttle.rejectionRateOf(normal, 0), 0.9)
  })

  it("says whether a call was refused in place of a more important one", () => {
    const throttle = () => seen({ padding: 100 }, [high, 50, 0], [low, 50, 0])
    assert.strictEqual(throttle().rejectionRate(0), 0.5)
    assert.strictEqual(throttle().refuse(low, drawing(0.4999)), "overload")
    assert.strictEqual(throttle().refuse(low, drawing(0.5)), "priority")
    assert.strictEqual(throttle().refuse(background, drawing(0.999)), "priority")
    assert.isUndefined(throttle().refuse(high, { now: 0, random: never }))
    assert.isUndefined(throttle().refuse(critical, { now: 0, random: never }))
    // 100/101 of all: what is left of it after the lower half is 0.98 of the upper one
    const down = () => seen({}, [high, 50, 0], [low, 50, 0])
    assert.strictEqual(down().refuse(high, drawing(0.97)), "overload")
    assert.isUndefined(down().refuse(high, drawing(0.985)))
  })

  it("a refusal is counted for its own priority", () => {
    const throttle = seen({}, [high, 10, 0], [low, 10, 0])
    for (let i = 0; i < 20; i++) throttle.refuse(low, drawing(0))
    // 40 requests, of which 30 are low: 40/41 - 3/4 of all are left for the others, which are a quarter
    assert.approximately(throttle.rejectionRateOf(high, 0), (40 / 41 - 3 / 4) * 4, 1e-12)
  })

  const shares = Arbitrary.map(Arbitrary.array(integers(0, 30), { minLength: 5, maxLength: 5 }), (weights) => {
    const sum = weights.reduce((a, b) => a + b, 0)
    return sum === 0 ? [0, 0, 1, 0, 0] : weights.map((weight) => weight / sum)
  })
  const ratesOf = (rate: number, shares: ReadonlyArray<number>, max: number) =>
    shares.map((own, rank) =>
      rejectionRateOf(
        rate,
        shares.slice(rank + 1).reduce((a, b) => a + b, 0),
        own,
        max
      )
    )

  it.effect("of all calls, the rate is refused, where no ceiling binds", () =>
    holds(
      Arbitrary.all({ rate: share, shares }),
      ({ rate, shares }) => {
        const expected = ratesOf(rate, shares, 1).reduce((sum, of, rank) => sum + of * shares[rank]!, 0)
        return Math.abs(expected - rate) < 1e-9
      },
      { runs: 500 }
    )
  )

  it.effect("a ceiling only caps each priority, and more important calls are never refused more", () =>
    holds(
      Arbitrary.all({ rate: share, shares, max: share }),
      ({ max, rate, shares }) => {
        const free = ratesOf(rate, shares, 1)
        const rates = ratesOf(rate, shares, max)
        return rates.every(
          (of, rank) => of === Math.min(free[rank]!, max) && of >= 0 && (rank === 0 || rates[rank - 1]! <= of)
        )
      },
      { runs: 500 }
    )
  )

  it.effect("with one priority in use it is exactly the formula", () =>
    holds(
      Arbitrary.all({
        rank: integers(0, 4),
        requests: integers(1, 200),
        accepts: integers(0, 200),
        max: share
      }),
      ({ accepts, max, rank, requests }) => {
        const formula = { ...book, k: 1.5, maxRejectionRate: max }
        const throttle = seen(formula, [rank, requests, Math.min(accepts, requests)])
        return throttle.rejectionRateOf(rank, 0) === rejectionRate(requests, Math.min(accepts, requests), formula)
      },
      { runs: 200 }
    )
  )
})

describe("the patience that the dependency asks for", () => {
  it("is the longest asked for, up to a window, and ends", () => {
    const throttle = new Throttling(settings())
    assert.isUndefined(throttle.patienceLeft(0))
    throttle.bePatient(300, 100)
    assert.strictEqual(throttle.patienceLeft(100), 300)
    throttle.bePatient(100, 150)
    assert.strictEqual(throttle.patienceLeft(200), 200)
    throttle.bePatient(Number.POSITIVE_INFINITY, 300)
    assert.strictEqual(throttle.patienceLeft(300), windowMs)
    assert.strictEqual(throttle.patienceLeft(1299), 1)
    assert.isUndefined(throttle.patienceLeft(1300))
  })
})
