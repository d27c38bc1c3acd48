import { assert, describe, it } from "@effect/vitest"
import type { Outcome, OutcomeKind } from "../../src/Guard.ts"
import type { RetryRequest } from "../../src/internal/budget.ts"
import type { BudgetModel } from "../../src/internal/budgets.ts"
import { Concurrent } from "../../src/internal/budgets/concurrent.ts"
import { FixedRate } from "../../src/internal/budgets/fixedRate.ts"
import { Ratio } from "../../src/internal/budgets/ratio.ts"
import { makeTask } from "../../src/internal/budgets/task.ts"
import { Throttle } from "../../src/internal/budgets/throttle.ts"
import { TokenBucket } from "../../src/internal/budgets/tokenBucket.ts"

const outcome = (kind: OutcomeKind): Outcome => ({ kind, health: "ok", retryAfter: undefined })
const retry: RetryRequest = { timeout: false, kind: "retry" }
const afterTimeout: RetryRequest = { timeout: true, kind: "retry" }
const hedge: RetryRequest = { timeout: false, kind: "hedge" }

const kinds: ReadonlyArray<OutcomeKind> = [
  "success",
  "transient",
  "throttled",
  "permanent",
  "unrecognised",
  "timeout",
  "defect",
  "interrupted"
]

/** A whole call whose only attempt ends with `kind`. */
const call = (budget: BudgetModel, now: number, kind: OutcomeKind, deposits = true) => {
  const it = budget.begin(now, deposits)
  it.attempt(now, outcome(kind))
  it.end(now)
}

/** A whole call that is allowed a retry, or not; the retry fails too. */
const retried = (budget: BudgetModel, now: number, request = retry): boolean => {
  const it = budget.begin(now, true)
  it.attempt(now, outcome(request.timeout ? "timeout" : "transient"))
  const token = it.retry(now, request)
  if (token !== undefined) {
    it.attempt(now, outcome("transient"))
    token.settle(now, outcome("transient"))
  }
  it.end(now)
  return token !== undefined
}

/** Retries until the budget says no. */
const drain = (budget: BudgetModel, now: number, request = retry): number => {
  let n = 0
  while (retried(budget, now, request)) n++
  return n
}

describe("Ratio", () => {
  const make = (ratio: number, minPerSecond: number, windowMs: number) => new Ratio({ ratio, minPerSecond, windowMs })

  describe("Finagle's vectors: 10 000 calls at one point in time, a retry asked for after each", () => {
    it.each([
      [60, 0, 0.1],
      [60, 0, 0.5],
      [60, 0, 0.25],
      [60, 0, 0.75],
      [60, 0, 0.99],
      [60, 0, 0.999],
      [60, 0, 0.9999],
      [60, 0, 0.01],
      [60, 0, 0.001],
      [60, 0, 0.0001],
      [1, 10, 0],
      [2, 5, 0],
      [1, 10, 0.1],
      [2, 5, 0.5],
      // what tower's arithmetic gets wrong
      [60, 0, 0.3],
      [60, 0, 0.4],
      [60, 0, 0.6],
      [60, 0, 0.7],
      [60, 0, 0.9]
    ])("window %d s, %d a second, ratio %d", (seconds, minPerSecond, ratio) => {
      const budget = make(ratio, minPerSecond, seconds * 1000)
      const reserve = seconds * minPerSecond
      assert.strictEqual(budget.balance(0), reserve)
      if (reserve === 0) assert.isFalse(retried(budget, 0))
      let taken = 0
      for (let i = 0; i < 10_000; i++) {
        call(budget, 0, "success")
        if (retried(budget, 0)) taken++
        else assert.strictEqual(budget.balance(0), 0)
      }
      // Finagle's own tolerance is 1; here it is exact
      assert.strictEqual(taken, Math.round(10_000 * ratio) + reserve)
      assert.strictEqual(budget.balance(0), 0)
    })

    it("a ratio above 1: all calls first", () => {
      const budget = make(2, 0, 60_000)
      assert.strictEqual(budget.balance(0), 0)
      assert.isFalse(retried(budget, 0))
      for (let i = 0; i < 10_000; i++) call(budget, 0, "success")
      assert.strictEqual(budget.balance(0), 20_000)
      assert.strictEqual(drain(budget, 0), 20_000)
    })
  })

  it.each([
    [0.3, 3],
    [0.4, 4],
    [0.6, 6],
    [0.7, 7],
    [0.75, 7],
    [0.9, 9]
  ])("ten calls at ratio %d allow %d retries", (ratio, expected) => {
    const budget = make(ratio, 0, 10_000)
    for (let i = 0; i < 10; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(0), expected)
    assert.strictEqual(drain(budget, 0), expected)
  })

  it("a share of which the millionths are not exact in binary: 1.001 * 1000000 is 1000999.9999999999", () => {
    const budget = make(1.001, 0, 10_000)
    for (let i = 0; i < 1000; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(0), 1001)
  })

  it.each(kinds)("a call that ends with %s", (kind) => {
    const budget = make(1, 0, 10_000)
    call(budget, 0, kind)
    const pays = kind === "success" || kind === "permanent" || kind === "unrecognised" || kind === "defect"
    assert.strictEqual(budget.balance(0), pays ? 1 : 0)
  })

  it("a call pays in at its final outcome, and only if it deposits", () => {
    const budget = make(1, 0, 10_000)
    const retried = budget.begin(0, true)
    retried.attempt(0, outcome("transient"))
    assert.strictEqual(budget.balance(0), 0)
    retried.attempt(0, outcome("permanent"))
    retried.end(0)
    assert.strictEqual(budget.balance(0), 1)
    call(budget, 0, "success", false)
    assert.strictEqual(budget.balance(0), 1)
    // but it draws like any other
    const inner = budget.begin(0, false)
    assert.isDefined(inner.retry(0, hedge))
    assert.isUndefined(inner.retry(0, hedge))
  })

  it("a deposit counts until the window has passed since the start of its slice, without anything being written", () => {
    const budget = make(1, 0, 10_000)
    call(budget, 999, "success")
    call(budget, 1000, "success")
    assert.strictEqual(budget.balance(9999), 2)
    assert.strictEqual(budget.balance(10_000), 1)
    assert.strictEqual(budget.balance(10_999), 1)
    assert.strictEqual(budget.balance(11_000), 0)
  })

  it("after a long pause nothing is left of the past, whatever its slice", () => {
    const budget = make(1, 0, 10_000)
    for (let slice = 0; slice < 10; slice++) call(budget, slice * 1000, "success")
    assert.strictEqual(budget.balance(9000), 10)
    assert.strictEqual(budget.balance(1_000_000_000_000), 0)
    call(budget, 1_000_000_000_000, "success")
    assert.strictEqual(budget.balance(1_000_000_000_000), 1)
  })

  it("the reserve is a rate: taken at once, it is back when the window has passed and not before", () => {
    const budget = make(0.2, 10, 10_000)
    assert.strictEqual(drain(budget, 500), 100)
    assert.isTrue(budget.spent(9999))
    assert.strictEqual(budget.balance(9999), 0)
    assert.isFalse(budget.spent(10_000))
    assert.strictEqual(drain(budget, 10_000), 100)
    // a hundred a window for ever, and no more
    let taken = 0
    for (let now = 20_000; now < 120_000; now += 100) taken += drain(budget, now)
    assert.strictEqual(taken, 1000)
  })

  it("a fraction of a retry is not a retry", () => {
    const budget = make(0, 0.15, 10_000)
    assert.strictEqual(budget.balance(0), 1)
    assert.strictEqual(drain(budget, 0), 1)
    assert.strictEqual(budget.balance(0), 0)
  })

  it("the balance is never negative: deposits may leave before what they paid for", () => {
    const budget = make(1, 0, 10_000)
    for (let i = 0; i < 5; i++) call(budget, 0, "success")
    assert.strictEqual(drain(budget, 9000), 5)
    assert.strictEqual(budget.balance(10_000), 0)
    call(budget, 10_000, "success")
    assert.strictEqual(budget.balance(10_000), 0)
    assert.strictEqual(budget.balance(19_000), 1)
  })

  it("a cancelled retry is back in the slice it came from", () => {
    const budget = make(0, 0.2, 10_000)
    const token = budget.begin(12_500, true).retry(12_500, retry)
    const second = budget.begin(15_000, true).retry(15_000, retry)
    assert.isDefined(second)
    assert.strictEqual(budget.balance(21_000), 0)
    token?.cancel(21_000)
    assert.strictEqual(budget.balance(21_000), 1)
    // had it come back to the slice of 21 000, there would be 2 from 22 000 on
    assert.strictEqual(budget.balance(22_000), 1)
    assert.strictEqual(budget.balance(23_000), 1)
    second?.cancel(23_000)
    for (const now of [23_000, 25_000, 33_000, 60_000]) assert.strictEqual(budget.balance(now), 2)
  })

  it("a retry that has left the window has come back by itself, and is not given back twice", () => {
    const budget = make(0, 0.2, 10_000)
    const token = budget.begin(0, true).retry(0, retry)
    assert.strictEqual(budget.balance(10_000), 2)
    token?.cancel(10_000)
    assert.strictEqual(budget.balance(10_000), 2)
    assert.strictEqual(drain(budget, 10_000), 2)
  })

  it("a settled retry gives nothing back", () => {
    for (const kind of kinds) {
      const budget = make(0, 0.2, 10_000)
      budget.begin(0, true).retry(0, retry)?.settle(0, outcome(kind))
      assert.strictEqual(budget.balance(0), 1)
    }
  })

  it("a clock that steps back changes nothing", () => {
    const budget = make(1, 0, 10_000)
    call(budget, 5000, "success")
    call(budget, 0, "success")
    assert.strictEqual(budget.balance(0), 2)
    // both were paid in at 5000
    assert.strictEqual(budget.balance(14_999), 2)
    assert.strictEqual(budget.balance(15_000), 0)
    assert.strictEqual(budget.balance(5000), 0)
  })

  it("time below zero is time", () => {
    const budget = make(1, 0, 10_000)
    call(budget, -10_500, "success")
    assert.strictEqual(budget.balance(-1001), 1)
    assert.strictEqual(budget.balance(-1000), 0)
  })
})

describe("TokenBucket", () => {
  const make = (o: Partial<ConstructorParameters<typeof TokenBucket>[0]> = {}) =>
    new TokenBucket({ capacity: 500, retryCost: 5, timeoutCost: 10, refund: 1, ...o })

  it("all failing: 500 / 5 = 100 retries, at two a call 50 whole calls; the 51st makes one attempt", () => {
    const budget = make()
    const attempts: Array<number> = []
    for (let i = 0; i < 51; i++) {
      const it = budget.begin(0, true)
      let n = 1
      for (; n < 3; n++) {
        it.attempt(0, outcome("transient"))
        const token = it.retry(0, retry)
        if (token === undefined) break
        token.settle(0, outcome("transient"))
      }
      it.end(0)
      attempts.push(n)
    }
    assert.deepStrictEqual(attempts, [...Array<number>(50).fill(3), 1])
    assert.strictEqual(budget.balance(), 0)
  })

  it("a timeout costs more", () => {
    assert.strictEqual(drain(make(), 0, afterTimeout), 50)
    const budget = make({ capacity: 14 })
    assert.isTrue(retried(budget, 0, afterTimeout))
    assert.isFalse(retried(budget, 0, afterTimeout))
    assert.isFalse(retried(budget, 0, hedge))
    assert.strictEqual(budget.balance(), 0)
  })

  it("a success without a retry refunds 1: five of them allow a retry again", () => {
    const budget = make()
    drain(budget, 0)
    for (let i = 0; i < 4; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 0)
    call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 1)
    assert.isTrue(retried(budget, 0))
    assert.isFalse(retried(budget, 0))
  })

  it("a success after retries returns the cost of the last of them", () => {
    const budget = make({ capacity: 100, retryCost: 10, timeoutCost: 20 })
    const it = budget.begin(0, true)
    it.attempt(0, outcome("timeout"))
    const first = it.retry(0, afterTimeout)
    assert.strictEqual(budget.balance(), 8)
    it.attempt(0, outcome("transient"))
    first?.settle(0, outcome("transient"))
    const second = it.retry(0, retry)
    assert.strictEqual(budget.balance(), 7)
    it.attempt(0, outcome("success"))
    second?.settle(0, outcome("success"))
    it.end(0)
    assert.strictEqual(budget.balance(), 8)
    // exactly 80: 8 more and no remainder
    assert.strictEqual(drain(budget, 0), 8)
    for (let i = 0; i < 9; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 0)
    call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 1)
  })

  it("the same, if the token is settled before the call is told", () => {
    const budget = make({ capacity: 10, retryCost: 10 })
    const it = budget.begin(0, true)
    const token = it.retry(0, retry)
    token?.settle(0, outcome("success"))
    assert.strictEqual(budget.balance(), 0)
    it.attempt(0, outcome("success"))
    assert.strictEqual(budget.balance(), 1)
    assert.isFalse(budget.spent())
  })

  it("a nested call refunds nothing, but gets the cost of its own retry back", () => {
    const budget = make({ capacity: 10 })
    const it = budget.begin(0, false)
    const token = it.retry(0, retry)
    assert.strictEqual(budget.balance(), 1)
    it.attempt(0, outcome("success"))
    assert.isTrue(budget.spent())
    token?.settle(0, outcome("success"))
    it.end(0)
    assert.isFalse(budget.spent())
  })

  it("never above its capacity", () => {
    const budget = make({ capacity: 10 })
    for (let i = 0; i < 20; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 2)
    const token = budget.begin(0, true).retry(0, retry)
    for (let i = 0; i < 4; i++) call(budget, 0, "success")
    token?.settle(0, outcome("success"))
    assert.strictEqual(drain(budget, 0), 2)
    for (let i = 0; i < 4; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 0)
  })

  it.each(kinds.filter((kind) => kind !== "success"))("%s changes nothing", (kind) => {
    const budget = make({ capacity: 10 })
    const token = budget.begin(0, true).retry(0, retry)
    call(budget, 0, kind)
    token?.settle(0, outcome(kind))
    for (let i = 0; i < 4; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 1)
    call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 2)
  })

  it("a cancelled retry gives back what it cost", () => {
    for (const request of [retry, afterTimeout, hedge]) {
      const budget = make({ capacity: 20 })
      retried(budget, 0)
      const token = budget.begin(0, true).retry(0, request)
      assert.strictEqual(budget.balance(), request.timeout ? 1 : 2)
      // a refund that does not fill it changes nothing about that
      call(budget, 0, "success")
      token?.cancel(0)
      assert.strictEqual(budget.balance(), 3)
    }
  })

  it("but nothing, if the bucket has been full since: it would be as full without it", () => {
    const budget = make({ capacity: 5 })
    const early = budget.begin(0, true).retry(0, retry)
    for (let i = 0; i < 5; i++) call(budget, 0, "success")
    assert.isFalse(budget.spent())
    assert.isTrue(retried(budget, 0))
    early?.cancel(0)
    assert.strictEqual(budget.balance(), 0)
  })

  it("ten times 0.1 is one retry", () => {
    const budget = make({ capacity: 1, retryCost: 1, refund: 0.1 })
    drain(budget, 0)
    for (let i = 0; i < 9; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 0)
    call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 1)
  })

  it("a refund above the cost is not taken back", () => {
    const budget = make({ capacity: 10, retryCost: 2, refund: 3 })
    const it = budget.begin(0, true)
    const token = it.retry(0, retry)
    it.attempt(0, outcome("success"))
    token?.settle(0, outcome("success"))
    assert.isFalse(budget.spent())
  })
})

describe("Throttle", () => {
  const make = (maxTokens = 10, tokenRatio = 0.1) => new Throttle({ maxTokens, tokenRatio })

  it("A6: retries only while more than half of the tokens are there", () => {
    const budget = make()
    assert.strictEqual(budget.balance(), 5)
    const allowed: Array<boolean> = []
    const it = budget.begin(0, true)
    for (let i = 0; i < 12; i++) {
      it.attempt(0, outcome("transient"))
      allowed.push(it.retry(0, retry) !== undefined)
    }
    // 9 8 7 6 | 5 …
    assert.deepStrictEqual(allowed, [true, true, true, true, ...Array<boolean>(8).fill(false)])
    assert.strictEqual(budget.balance(), 0)
  })

  it("never below 0: from there, half and a bit", () => {
    const budget = make()
    for (let i = 0; i < 30; i++) call(budget, 0, "transient")
    for (let i = 0; i < 50; i++) call(budget, 0, "success")
    assert.isUndefined(budget.begin(0, true).retry(0, retry))
    assert.strictEqual(budget.balance(), 0)
    call(budget, 0, "success")
    assert.isDefined(budget.begin(0, true).retry(0, hedge))
    assert.strictEqual(budget.balance(), 1)
  })

  it("never above the maximum", () => {
    const budget = make()
    for (let i = 0; i < 30; i++) call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 5)
    call(budget, 0, "transient")
    assert.isTrue(budget.spent())
    for (let i = 0; i < 9; i++) call(budget, 0, "success")
    assert.isTrue(budget.spent())
    call(budget, 0, "success")
    assert.isFalse(budget.spent())
  })

  it.each(kinds)("%s", (kind) => {
    const budget = make()
    for (let i = 0; i < 3; i++) call(budget, 0, "transient")
    assert.strictEqual(budget.balance(), 2)
    for (let i = 0; i < 10; i++) call(budget, 0, kind)
    const expected = kind === "success" ? 3 : ["transient", "throttled", "timeout"].includes(kind) ? 0 : 2
    assert.strictEqual(budget.balance(), expected)
  })

  it("a nested call fails like any other, but pays nothing in", () => {
    const budget = make(10, 1)
    call(budget, 0, "transient", false)
    call(budget, 0, "timeout", false)
    assert.strictEqual(budget.balance(), 3)
    call(budget, 0, "success", false)
    assert.strictEqual(budget.balance(), 3)
    call(budget, 0, "success")
    assert.strictEqual(budget.balance(), 4)
  })

  it.each([
    [0.5466, 1000, 916], // 546, as A6 says: with 547 it would be 915
    [0.5469999, 1000, 916],
    [1.001, 1000, 500], // with 1000 it would be 501
    [0.29, 1000, 1725],
    [0.001, 1, 501]
  ])("with the ratio %d and %d tokens at most, an empty one needs %d successes", (tokenRatio, maxTokens, needed) => {
    const budget = make(maxTokens, tokenRatio)
    for (let i = 0; i < maxTokens; i++) call(budget, 0, "transient")
    for (let i = 1; i < needed; i++) call(budget, 0, "success")
    assert.isUndefined(budget.begin(0, true).retry(0, retry))
    assert.strictEqual(budget.balance(), 0)
    call(budget, 0, "success")
    assert.isDefined(budget.begin(0, true).retry(0, retry))
    assert.strictEqual(budget.balance(), 1)
  })

  it("half a token above half is one retry, and an odd maximum has a half of its own", () => {
    const budget = make(3, 0.5)
    assert.strictEqual(budget.balance(), 2)
    call(budget, 0, "transient")
    assert.strictEqual(budget.balance(), 1)
    assert.isDefined(budget.begin(0, true).retry(0, retry))
    call(budget, 0, "transient")
    assert.isUndefined(budget.begin(0, true).retry(0, retry))
    call(budget, 0, "success")
    assert.isUndefined(budget.begin(0, true).retry(0, retry))
    call(budget, 0, "success")
    assert.isDefined(budget.begin(0, true).retry(0, retry))
  })

  it("a retry takes nothing, and neither its end nor its cancelling gives anything", () => {
    const budget = make()
    for (let i = 0; i < 4; i++) call(budget, 0, "transient")
    for (let i = 0; i < 20; i++) {
      const token = budget.begin(0, true).retry(0, retry)
      assert.isDefined(token)
      if (i % 2 === 0) token?.cancel(0)
      else token?.settle(0, outcome("success"))
    }
    assert.strictEqual(budget.balance(), 1)
  })
})

describe("Concurrent", () => {
  const make = (ratio = 0.2, minConcurrency = 3) => new Concurrent({ ratio, minConcurrency })
  const calls = (budget: BudgetModel, n: number) => Array.from({ length: n }, () => budget.begin(0, true))

  it.each([
    [0, 3],
    [1, 3],
    [15, 3],
    [19, 3],
    [20, 4],
    [24, 4],
    [25, 5],
    [1000, 200]
  ])("%d calls in progress allow %d retries", (active, allowed) => {
    const budget = make()
    calls(budget, active)
    assert.strictEqual(budget.balance(), allowed)
    const it = budget.begin(0, false)
    for (let i = 0; i < allowed; i++) assert.isDefined(it.retry(0, retry))
    assert.isUndefined(it.retry(0, hedge))
    assert.strictEqual(budget.balance(), 0)
  })

  it.each([
    [0.29, 100, 29],
    [0.57, 100, 57],
    [0.6, 5, 3],
    [0.7, 10, 7],
    [1, 7, 7],
    [0, 1000, 0]
  ])("%d of %d is %d", (ratio, active, allowed) => {
    const budget = make(ratio, 0)
    calls(budget, active)
    assert.strictEqual(budget.balance(), allowed)
  })

  it("a slot is held until the token is settled or cancelled, whatever the outcome", () => {
    for (const kind of kinds) {
      const budget = make(0, 1)
      const it = budget.begin(0, true)
      const first = it.retry(0, retry)
      it.attempt(0, outcome(kind))
      assert.isUndefined(it.retry(0, retry))
      first?.settle(0, outcome(kind))
      const second = it.retry(0, retry)
      assert.isDefined(second)
      second?.cancel(0)
      assert.strictEqual(budget.balance(), 1)
    }
  })

  it("a call counts until it ends, and a nested one does not", () => {
    const budget = make(1, 0)
    const outer = budget.begin(0, true)
    const inner = budget.begin(0, false)
    assert.strictEqual(budget.balance(), 1)
    inner.attempt(0, outcome("success"))
    inner.end(0)
    assert.strictEqual(budget.balance(), 1)
    outer.end(0)
    assert.strictEqual(budget.balance(), 0)
  })

  it("when calls end before retries do, nothing is left, not less than nothing", () => {
    const budget = make(1, 0)
    const [a, b] = calls(budget, 2)
    const tokens = [a?.retry(0, retry), b?.retry(0, retry)]
    a?.end(0)
    b?.end(0)
    assert.strictEqual(budget.balance(), 0)
    assert.isTrue(budget.spent())
    calls(budget, 1)
    assert.strictEqual(budget.balance(), 0)
    for (const token of tokens) token?.settle(0, outcome("success"))
    assert.strictEqual(budget.balance(), 1)
  })

  it("is in use while a call or a retry is in progress", () => {
    const budget = make()
    assert.isFalse(budget.spent())
    const it = budget.begin(0, true)
    assert.isTrue(budget.spent())
    const token = it.retry(0, retry)
    it.end(0)
    assert.isTrue(budget.spent())
    token?.cancel(0)
    assert.isFalse(budget.spent())
  })
})

describe("FixedRate", () => {
  const make = (perSecond: number, burst: number) => new FixedRate({ perSecond, burst })

  it("its burst at once, then so many a second", () => {
    const budget = make(2, 5)
    assert.strictEqual(budget.balance(1000), 5)
    assert.strictEqual(drain(budget, 1000), 5)
    assert.strictEqual(budget.balance(1499), 0)
    assert.isFalse(retried(budget, 1499))
    assert.strictEqual(budget.balance(1500), 1)
    assert.isTrue(retried(budget, 1500))
    assert.isFalse(retried(budget, 1500))
    assert.strictEqual(drain(budget, 3000), 3)
  })

  it("never more than the burst, however long nothing happens", () => {
    const budget = make(10, 3)
    assert.isTrue(budget.balance(0) === 3)
    drain(budget, 0)
    assert.strictEqual(budget.balance(1_000_000_000), 3)
    assert.strictEqual(drain(budget, 1_000_000_000), 3)
    assert.isFalse(retried(budget, 1_000_000_099))
    assert.isTrue(retried(budget, 1_000_000_100))
  })

  it("nothing is lost to rounding: a third of a token a second, each millisecond looked at", () => {
    const budget = make(0.333333, 1)
    drain(budget, 0)
    const taken: Array<number> = []
    for (let now = 0; now <= 9010; now++) if (retried(budget, now)) taken.push(now)
    assert.deepStrictEqual(taken, [3001, 6002, 9003])
  })

  it.each([
    [0.57, 100_000, 57],
    [1.1, 10_000, 11],
    [0.1, 10_000, 1],
    [0.7, 10_000, 7]
  ])("%d a second are, in %d ms, %d", (perSecond, ms, expected) => {
    const budget = make(perSecond, 100)
    drain(budget, 0)
    assert.strictEqual(budget.balance(ms - 1), expected - 1)
    assert.strictEqual(budget.balance(ms), expected)
  })

  it("what was earned before a retry is not lost by it", () => {
    const budget = make(1, 2)
    drain(budget, 0)
    assert.isTrue(retried(budget, 1900))
    assert.isFalse(retried(budget, 1999))
    assert.isTrue(retried(budget, 2000))
  })

  it("learns from no outcome", () => {
    for (const kind of kinds) {
      const budget = make(1, 2)
      const token = budget.begin().retry(0, retry)
      call(budget, 0, kind)
      token?.settle(0, outcome(kind))
      assert.strictEqual(budget.balance(0), 1)
    }
  })

  it("without a rate, a burst and no more", () => {
    const budget = make(0, 2)
    assert.strictEqual(drain(budget, 0), 2)
    assert.strictEqual(budget.balance(1e12), 0)
  })

  it("a cancelled retry comes back", () => {
    const budget = make(1, 2)
    const token = budget.begin().retry(0, retry)
    retried(budget, 0)
    assert.isTrue(budget.spent(500))
    token?.cancel(500)
    assert.strictEqual(budget.balance(500), 1)
    assert.isTrue(budget.spent(999))
    assert.strictEqual(budget.balance(1000), 2)
    assert.isFalse(budget.spent(1000))
  })

  it("but not if the bucket has been full since", () => {
    const budget = make(1, 1)
    const early = budget.begin().retry(0, retry)
    assert.isTrue(retried(budget, 1000))
    early?.cancel(1100)
    assert.isFalse(retried(budget, 1999))
    const late = budget.begin().retry(2000, retry)
    // full again at the very time of cancelling
    late?.cancel(3000)
    assert.strictEqual(drain(budget, 3000), 1)
    assert.isFalse(retried(budget, 3999))
  })

  it("a clock that steps back changes nothing", () => {
    const budget = make(1, 2)
    drain(budget, 5000)
    assert.strictEqual(budget.balance(0), 0)
    assert.strictEqual(budget.balance(6000), 1)
    assert.strictEqual(budget.balance(5000), 1)
    assert.isTrue(retried(budget, 0))
    assert.isFalse(retried(budget, 6999))
    assert.isTrue(retried(budget, 7000))
  })
})

describe("Task", () => {
  it("so many retries for all its calls, and a cancelled one comes back", () => {
    const task = makeTask("job", 2)
    assert.strictEqual(task.name, "job")
    const token = task.retry()
    assert.isDefined(token)
    const second = task.retry()
    assert.isDefined(second)
    assert.isUndefined(task.retry())
    token?.settle(0, outcome("success"))
    assert.isUndefined(task.retry())
    second?.cancel(0)
    assert.isDefined(task.retry())
    assert.isUndefined(task.retry())
  })

  it("none at all", () => {
    assert.isUndefined(makeTask("job", 0).retry())
  })
})
