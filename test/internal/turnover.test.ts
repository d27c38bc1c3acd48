import { assert, describe, it } from "@effect/vitest"
import { Turnover } from "../../src/internal/turnover.ts"

const after = (...held: ReadonlyArray<number>) => {
  const turnover = new Turnover()
  for (const ms of held) turnover.observe(ms)
  return turnover
}

describe("Turnover", () => {
  it("knows nothing until a slot has been given back; but a free one is free", () => {
    assert.isUndefined(after().waitMs(1, 1, 0))
    assert.strictEqual(after().waitMs(2, 1, 0), 0)
    assert.strictEqual(after(100).waitMs(9, 1, 0), 0)
  })

  it("those that run give back one every mean / their number; who asks needs as many as there are too many with it", () => {
    const turnover = after(100)
    for (const [limit, inFlight, waiting, waitMs] of [
      [1, 1, 0, 100],
      [10, 10, 0, 10],
      [10, 10, 5, 60],
      // lowered from 10
      [5, 10, 0, 60],
      // a limit of 0
      [0, 0, 0, 100]
    ] as const) {
      assert.strictEqual(turnover.waitMs(limit, inFlight, waiting), waitMs)
    }
  })

  it("the first counts whole, the later ones an eighth (RFC 6298)", () => {
    assert.strictEqual(after(80).waitMs(1, 1, 0), 80)
    assert.strictEqual(after(80, 160).waitMs(1, 1, 0), 90)
    assert.strictEqual(after(80, 160, 10).waitMs(1, 1, 0), 80)
    assert.strictEqual(after(0).waitMs(1, 1, 0), 0)
  })
})
