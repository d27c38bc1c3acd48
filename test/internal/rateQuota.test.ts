import { assert, describe, it } from "@effect/vitest"
import { Quota } from "../../src/internal/rateQuota.ts"
import type { Answer, Rate } from "../../src/internal/rateQuota.ts"

const fixed: Rate = { algorithm: "fixed-window", limit: 4, tokens: 1, refillMs: 10 }
const bucket: Rate = { ...fixed, algorithm: "token-bucket" }
const taken = (remaining: number, resetMs: number): Answer => ({ _tag: "Taken", remaining, resetMs })
const refused = (retryMs: number): Answer => ({ _tag: "Refused", retryMs })

/** When each of so many has its turn, who come at `now`. */
const turns = (quota: Quota, callers: number, now: number) =>
  Array.from({ length: callers }, (_, ahead) => quota.turnAt(ahead, now))

describe("what is known of a limit", () => {
  it("one of which nothing was asked is whole: as many as it has go at once", () => {
    assert.deepStrictEqual(turns(new Quota(fixed), 9, 5), [5, 5, 5, 5, 45, 45, 45, 45, 85])
    assert.deepStrictEqual(turns(new Quota(bucket), 7, 5), [5, 5, 5, 5, 15, 25, 35])
    assert.strictEqual(new Quota(fixed).remaining(5), 4)
    assert.isTrue(new Quota(fixed).isFresh(0))
  })

  it("fixed window: what is left goes first, and makes the window longer; then one window after the other", () => {
    const quota = new Quota(fixed)
    // one taken at 0, one at 5: the window is over at 20
    quota.learn(taken(2, 15), 5)
    assert.deepStrictEqual(turns(quota, 7, 5), [5, 5, 40, 40, 40, 40, 80])
    assert.deepStrictEqual([quota.remaining(19), quota.remaining(20)], [2, 4])
    assert.deepStrictEqual([quota.isFresh(19), quota.isFresh(20)], [false, true])
    assert.deepStrictEqual(turns(quota, 5, 20), [20, 20, 20, 20, 60])
  })

  it("fixed window: several tokens a call, of which not all fit into a window", () => {
    const quota = new Quota({ ...fixed, limit: 5, tokens: 2 })
    quota.learn(taken(1, 40), 0)
    assert.deepStrictEqual(turns(quota, 5, 0), [40, 40, 80, 80, 120])
    quota.learn(refused(33), 7)
    assert.deepStrictEqual(turns(quota, 3, 7), [40, 40, 80])
    assert.strictEqual(quota.remaining(7), 1)
  })

  it("token bucket: one after the other", () => {
    const quota = new Quota(bucket)
    // three taken at once, 4 ms ago: the next comes in 6, the last in 26
    quota.learn(taken(1, 26), 4)
    assert.deepStrictEqual(turns(quota, 4, 4), [4, 10, 20, 30])
    assert.deepStrictEqual(
      [4, 9, 10, 19, 20, 29, 30].map((now) => quota.remaining(now)),
      [1, 1, 2, 2, 3, 3, 4]
    )
    quota.learn(taken(0, 36), 4)
    quota.learn(refused(6), 4)
    assert.deepStrictEqual(turns(quota, 3, 4), [10, 20, 30])
    assert.deepStrictEqual([quota.remaining(9), quota.remaining(10), quota.remaining(40)], [0, 1, 4])
    assert.deepStrictEqual([quota.isFresh(39), quota.isFresh(40)], [false, true])
  })

  it("token bucket: refills whose sum comes out a little above or below the whole number are counted right", () => {
    const refillMs = 333.333333
    for (const start of [0, 7.699999999999989]) {
      const quota = new Quota({ ...bucket, limit: 3, refillMs })
      quota.learn(taken(0, 3 * refillMs), start)
      assert.deepStrictEqual(
        [1, 2, 3].map((n) => quota.remaining(start + n * refillMs)),
        [1, 2, 3]
      )
    }
  })

  it("a later answer counts for more than an earlier one", () => {
    const quota = new Quota(fixed)
    quota.learn(refused(40), 0)
    assert.strictEqual(quota.turnAt(0, 0), 40)
    quota.learn(taken(3, 10), 1)
    assert.strictEqual(quota.turnAt(0, 1), 1)
    assert.strictEqual(quota.remaining(1), 3)
    quota.learn({ _tag: "Failed" }, 2)
    assert.deepStrictEqual([quota.turnAt(0, 2), quota.remaining(2)], [2, 3])
  })

  it("a refusal that names no time is not asked after without end", () => {
    for (const retryMs of [0, -1, 0.001]) {
      const quota = new Quota(bucket)
      quota.learn(refused(retryMs), 7)
      assert.strictEqual(quota.turnAt(0, 7), 8)
    }
  })

  it("drained: nothing goes, tokens come back all the same; the longest counts", () => {
    const quota = new Quota(bucket)
    quota.learn(taken(0, 40), 0)
    quota.drain(25, 0)
    quota.drain(10, 0)
    assert.strictEqual(quota.drainedUntil, 25)
    assert.deepStrictEqual(turns(quota, 4, 0), [25, 25, 30, 40])
    quota.drain(60, 0)
    assert.deepStrictEqual(turns(quota, 5, 0), [60, 60, 60, 60, 70])
    assert.isFalse(quota.isFresh(59))
    assert.isTrue(quota.isFresh(60))
    const window = new Quota(fixed)
    window.learn(taken(1, 30), 0)
    window.drain(20, 0)
    assert.deepStrictEqual(turns(window, 3, 0), [20, 40, 40])
  })
})
