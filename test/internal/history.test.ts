import { assert, it } from "@effect/vitest"
import { Duration } from "effect"
import { History, maxEntries } from "../../src/internal/history.ts"

it("keeps what was said, in order", () => {
  const history = new History()
  assert.deepStrictEqual(history.entries(), [])
  history.add(1, "first", "a", 0, 5)
  history.delayed(10)
  history.add(2, "retry", "b", 15, 7.5)
  assert.deepStrictEqual(history.entries(), [
    {
      number: 1,
      kind: "first",
      error: "a",
      startedAfter: Duration.zero,
      took: Duration.millis(5),
      delay: Duration.millis(10)
    },
    { number: 2, kind: "retry", error: "b", startedAfter: Duration.millis(15), took: Duration.millis(7.5) }
  ])
  assert.isFalse("delay" in history.entries()[1]!)
})

it("what was handed out does not change", () => {
  const history = new History()
  history.add(1, "first", "a", 0, 5)
  const before = history.entries()
  history.delayed(10)
  history.add(2, "retry", "b", 15, 5)
  assert.strictEqual(before.length, 1)
  assert.isUndefined(before[0]!.delay)
})

it("keeps the first and the latest fifteen", () => {
  const history = new History()
  const numbers = () => history.entries().map((entry) => entry.number)
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
  for (let n = 1; n <= 100; n++) {
    history.add(n, n === 1 ? "first" : "retry", `e${n}`, n, n)
    history.delayed(1000 + n)
    const expected = n <= 16 ? upTo(n) : [1, ...upTo(n).slice(-15)]
    assert.deepStrictEqual(numbers(), expected)
  }
  assert.strictEqual(maxEntries, 16)
  for (const entry of history.entries()) {
    assert.strictEqual(entry.error, `e${entry.number}`)
    assert.deepStrictEqual(entry.delay, Duration.millis(1000 + entry.number))
  }
})

it("finds the latest error, and the latest of a kind", () => {
  const history = new History()
  const isShort = (error: unknown): error is string => typeof error === "string" && error.length === 1
  assert.isUndefined(history.lastError)
  assert.isUndefined(history.findLast(isShort))
  for (const [i, error] of ["a", "b", "long"].entries()) history.add(i + 1, "retry", error, 0, 0)
  assert.strictEqual(history.lastError, "long")
  assert.strictEqual(history.findLast(isShort), "b")
  assert.isUndefined(history.findLast((error): error is number => error === 1))
})
