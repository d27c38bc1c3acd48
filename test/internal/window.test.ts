import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { CountWindow, TimeWindow, bucketsPerWindow } from "../../src/internal/window.ts"
import type { Window } from "../../src/internal/window.ts"
import { holds, integers } from "../property.ts"

const cellsOf = (...windows: ReadonlyArray<Window>) =>
  new Array<number>(windows.reduce((sum, window) => sum + window.length, 0)).fill(0)

const rate = (window: Window, cells: Array<number>, now: number): number => {
  window.expire(cells, now)
  return (100 * window.bad(cells)) / window.calls(cells)
}

describe("CountWindow", () => {
  it("resilience4j's numbers: count(4), E S S S is 100, 50, 33.3, 25 %, and E falls out with the fifth call", () => {
    const window = new CountWindow(4, 0)
    const cells = cellsOf(window)
    const rates = [true, false, false, false, false].map((bad) => {
      window.record(cells, 0, bad)
      return Math.round(rate(window, cells, 0) * 10) / 10
    })
    assert.deepStrictEqual(rates, [100, 50, 33.3, 25, 0])
    assert.strictEqual(window.calls(cells), 4)
  })

  it("is a ring: each new outcome replaces the oldest", () => {
    const window = new CountWindow(3, 0)
    const cells = cellsOf(window)
    const seen = [true, true, false, true, true, true, false, false, false].map((bad) => {
      window.record(cells, 0, bad)
      return [window.bad(cells), window.calls(cells)]
    })
    assert.deepStrictEqual(seen, [
      [1, 1],
      [2, 2],
      [2, 3],
      [2, 3],
      [2, 3],
      [3, 3],
      [2, 3],
      [1, 3],
      [0, 3]
    ])
  })

  it("a hundred calls are six numbers, all of them small ones", () => {
    const window = new CountWindow(100, 0)
    assert.strictEqual(window.length, 6)
    const cells = cellsOf(window)
    for (let i = 0; i < 1000; i++) window.record(cells, 0, true)
    assert.strictEqual(window.bad(cells), 100)
    assert.strictEqual(window.calls(cells), 100)
    for (const cell of cells) assert.strictEqual(cell | 0, cell)
  })

  it("needs no time", () => {})

  it.effect("agrees with a list of the last calls, for every size, beside another window", () =>
    holds(
      Arbitrary.all({
        size: integers(1, 70),
        outcomes: Arbitrary.array(Arbitrary.map(integers(0, 1), Boolean), { maxLength: 300 })
      }),
      ({ outcomes, size }) => {
        const before = new CountWindow(5, 0)
        const window = new CountWindow(size, before.length)
        const after = new CountWindow(7, before.length + window.length)
        const cells = cellsOf(before, window, after)
        return outcomes.every((bad, i) => {
          window.record(cells, 0, bad)
          const last = outcomes.slice(0, i + 1).slice(-size)
          return (
            window.calls(cells) === last.length &&
            window.bad(cells) === last.filter(Boolean).length &&
            before.calls(cells) === 0 &&
            before.bad(cells) === 0 &&
            after.calls(cells) === 0 &&
            after.bad(cells) === 0
          )
        })
      },
      { runs: 150 }
    )
  )
})

describe("TimeWindow", () => {
  it("resilience4j's numbers: time(5 s), E S S S is 100, 50, 33.3, 25 %", () => {
    const window = new TimeWindow(5000, 0)
    const cells = cellsOf(window)
    const rates = [true, false, false, false].map((bad, i) => {
      window.record(cells, i * 1000, bad)
      return Math.round(rate(window, cells, i * 1000) * 10) / 10
    })
    assert.deepStrictEqual(rates, [100, 50, 33.3, 25])
    assert.strictEqual(rate(window, cells, 4999), 25)
    assert.strictEqual(rate(window, cells, 5000), 0)
  })

  it("covers at least nine tenths of its duration, and never more than all of it", () => {
    for (const at of [0, 1, 500, 999]) {
      const window = new TimeWindow(10_000, 0)
      const cells = cellsOf(window)
      window.record(cells, at, true)
      window.expire(cells, 9999)
      assert.strictEqual(window.bad(cells), 1)
      window.expire(cells, 10_000)
      assert.strictEqual(window.bad(cells), 0)
      assert.strictEqual(window.calls(cells), 0)
    }
  })

  it("forgets bucket by bucket", () => {
    const window = new TimeWindow(10_000, 0)
    const cells = cellsOf(window)
    for (let second = 0; second < 10; second++) window.record(cells, second * 1000, second % 2 === 0)
    const seen = [9000, 10_000, 11_000, 12_000, 15_000, 18_999, 19_000].map((now) => {
      window.expire(cells, now)
      return [window.bad(cells), window.calls(cells)]
    })
    assert.deepStrictEqual(seen, [
      [5, 10],
      [4, 9],
      [4, 8],
      [3, 7],
      [2, 4],
      [0, 1],
      [0, 0]
    ])
  })

  it("failsafe-go: a window does not expire when it is read", () => {
    const window = new TimeWindow(60_000, 0)
    const cells = cellsOf(window)
    for (let i = 0; i < 100; i++) window.record(cells, 0, true)
    window.expire(cells, 3_600_000)
    assert.strictEqual(window.calls(cells), 0)
  })

  it("cockatiel #64: after an idle hour only one bucket is forgotten", () => {
    const window = new TimeWindow(5000, 0)
    const cells = cellsOf(window)
    for (let i = 0; i < 4; i++) window.record(cells, i * 1000, true)
    window.record(cells, 3_600_000, true)
    assert.strictEqual(window.calls(cells), 1)
    assert.strictEqual(window.bad(cells), 1)
  })

  it("resilience4j: a clock that steps back evicts a bucket a call", () => {
    const window = new TimeWindow(10_000, 0)
    const cells = cellsOf(window)
    for (let i = 0; i < 1000; i++) window.record(cells, 7_200_000, false)
    for (let i = 0; i < 10; i++) window.record(cells, 3_600_000, true)
    assert.strictEqual(window.calls(cells), 1010)
    assert.strictEqual(window.bad(cells), 10)
    window.expire(cells, 7_200_000 + 9999)
    assert.strictEqual(window.calls(cells), 1010)
    window.expire(cells, 7_200_000 + 10_000)
    assert.strictEqual(window.calls(cells), 0)
  })

  it("an empty window begins wherever the clock stands, below zero too", () => {
    const window = new TimeWindow(10_000, 0)
    const cells = cellsOf(window)
    window.record(cells, -50_500, true)
    window.expire(cells, -41_001)
    assert.strictEqual(window.calls(cells), 1)
    window.expire(cells, -41_000)
    assert.strictEqual(window.calls(cells), 0)
    window.record(cells, 1e12, true)
    window.record(cells, 1e12 + 9000, false)
    window.expire(cells, 1e12 + 10_000)
    assert.deepStrictEqual([window.bad(cells), window.calls(cells)], [0, 1])
  })

  it("looks at the time", () => {})

  it.effect("agrees with a list of calls and their buckets, beside another window", () =>
    holds(
      Arbitrary.all({
        duration: integers(1, 5000),
        steps: Arbitrary.array(Arbitrary.all({ pass: integers(-200, 1500), what: integers(0, 2) }), { maxLength: 120 })
      }),
      ({ duration, steps }) => {
        const before = new TimeWindow(100, 0)
        const window = new TimeWindow(duration, before.length)
        const after = new CountWindow(7, before.length + window.length)
        const cells = cellsOf(before, window, after)
        const calls: Array<{ readonly bucket: number; readonly bad: boolean }> = []
        let now = 1000
        let newest = Number.NEGATIVE_INFINITY
        return steps.every(({ pass, what }) => {
          now += pass
          const bucket = Math.floor((now * bucketsPerWindow) / duration)
          const live = () => calls.filter((call) => call.bucket > newest - bucketsPerWindow)
          // with nothing in it, it does not matter what time it was
          newest = live().length === 0 ? bucket : Math.max(newest, bucket)
          if (live().length === 0) newest = Math.max(newest, bucket)
          if (what < 2) {
            if (live().length === 0) {
              calls.length = 0
              newest = bucket
            }
            calls.push({ bucket: newest, bad: what === 1 })
            window.record(cells, now, what === 1)
          } else {
            window.expire(cells, now)
          }
          const expected = live()
          return (
            window.calls(cells) === expected.length &&
            window.bad(cells) === expected.filter((call) => call.bad).length &&
            before.calls(cells) === 0 &&
            after.calls(cells) === 0 &&
            after.bad(cells) === 0
          )
        })
      },
      { runs: 200 }
    )
  )
})
