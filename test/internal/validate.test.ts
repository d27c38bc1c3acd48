import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as Validate from "../../src/internal/validate.ts"
import { InvalidOption } from "../../src/InvalidOption.ts"

const refuses = (f: () => unknown, value: unknown, allowed: string): void => {
  let thrown: unknown = "nothing was thrown"
  try {
    f()
  } catch (error) {
    thrown = error
  }
  if (!(thrown instanceof InvalidOption)) return assert.fail(`not refused: ${String(value)}`)
  assert.strictEqual(thrown.option, "opt")
  assert.deepStrictEqual(thrown.value, value)
  assert.strictEqual(thrown.allowed, allowed)
  assert.isTrue(thrown.message.startsWith(`opt must be ${allowed}, but it is `))
}

const notNumbers: ReadonlyArray<unknown> = [NaN, Infinity, -Infinity, "1", null, undefined, 1n, {}, [1]]

it("invalid", () => {
  refuses(() => Validate.invalid("opt", 1, "two"), 1, "two")
})

it("integer", () => {
  for (const value of [-1, 0, 1, Number.MAX_SAFE_INTEGER]) assert.strictEqual(Validate.integer("opt", value, -1), value)
  for (const value of [3, 4, 5]) assert.strictEqual(Validate.integer("opt", value, 3, 5), value)
  for (const value of [...notNumbers, 0, 1.5, Number.MAX_SAFE_INTEGER + 1]) {
    refuses(() => Validate.integer("opt", value as number, 1), value, "a whole number of at least 1")
  }
  for (const value of [...notNumbers, 2, 6, 3.5]) {
    refuses(() => Validate.integer("opt", value as number, 3, 5), value, "a whole number from 3 to 5")
  }
})

it("finite", () => {
  for (const value of [0.5, 1, Number.MAX_VALUE]) assert.strictEqual(Validate.finite("opt", value, 0.5), value)
  for (const value of [0, 0.25, 1]) assert.strictEqual(Validate.finite("opt", value, 0, 1), value)
  for (const value of [...notNumbers, 0.49]) {
    refuses(() => Validate.finite("opt", value as number, 0.5), value, "a number of at least 0.5")
  }
  for (const value of [...notNumbers, -0.1, 1.1]) {
    refuses(() => Validate.finite("opt", value as number, 0, 1), value, "a number from 0 to 1")
  }
})

it("above", () => {
  for (const value of [1.0000001, 2, Number.MAX_VALUE]) assert.strictEqual(Validate.above("opt", value, 1), value)
  for (const value of [...notNumbers, 1, 0]) {
    refuses(() => Validate.above("opt", value as number, 1), value, "a number above 1")
  }
})

it("ratio", () => {
  for (const value of [0, 0.5, 1]) assert.strictEqual(Validate.ratio("opt", value), value)
  for (const value of [...notNumbers, -0.01, 1.01]) {
    refuses(() => Validate.ratio("opt", value as number), value, "a number from 0 to 1")
  }
  for (const value of [Number.MIN_VALUE, 0.5, 1]) assert.strictEqual(Validate.ratio("opt", value, "positive"), value)
  for (const value of [...notNumbers, 0, -0.01, 1.01]) {
    refuses(() => Validate.ratio("opt", value as number, "positive"), value, "a number above 0 and at most 1")
  }
})

describe("duration", () => {
  it("every form of Duration.Input, in milliseconds", () => {
    const forms: ReadonlyArray<readonly [Duration.Input, number]> = [
      [1500, 1500],
      [0.5, 0.5],
      [2_000_000n, 2],
      ["2 seconds", 2000],
      ["1.5 minutes", 90_000],
      [[1, 500_000_000], 1500],
      [{ hours: 1, milliseconds: 1 }, 3_600_001],
      [{ milliseconds: 1, microseconds: 500 }, 1.5],
      [Duration.seconds(3), 3000]
    ]
    for (const [input, ms] of forms) {
      assert.strictEqual(Validate.duration("opt", input), ms)
      assert.strictEqual(Validate.duration("opt", input, "positive"), ms)
    }
  })

  it("zero, unless it has to be positive", () => {
    for (const zero of [0, 0n, "0 millis", [0, 0], {}, Duration.zero] as const) {
      assert.strictEqual(Validate.duration("opt", zero as Duration.Input), 0)
      refuses(() => Validate.duration("opt", zero as Duration.Input, "positive"), zero, "a finite duration above 0")
    }
  })

  it("not what is negative or infinite", () => {
    for (const value of [
      -1,
      "-1 second",
      -1n,
      [0, -1],
      { seconds: -1 },
      Duration.millis(-1),
      Infinity,
      "Infinity",
      Duration.infinity,
      [0, Infinity],
      { days: Infinity },
      { days: 1e308 }
    ] as Array<Duration.Input>) {
      refuses(() => Validate.duration("opt", value), value, "a finite duration of 0 or more")
      refuses(() => Validate.duration("opt", value, "positive"), value, "a finite duration above 0")
    }
  })

  it("not NaN, anywhere in it: `Duration` takes it for zero", () => {
    for (const value of [
      NaN,
      [NaN, 1],
      [1, NaN],
      { seconds: NaN },
      { hours: 1, seconds: NaN }
    ] as Array<Duration.Input>) {
      refuses(() => Validate.duration("opt", value), value, "a duration of 0 or more")
    }
  })

  it("not what is no duration", () => {
    for (const value of ["", "soon", "1 parsec", "NaN millis", [1], [1, 2, 3], null, undefined, true, Symbol("1")]) {
      refuses(
        () => Validate.duration("opt", value as never),
        value,
        'a duration, such as "2 seconds", 2000 (milliseconds) or Duration.seconds(2)'
      )
    }
  })
})

it("name", () => {
  for (const value of ["a", " a ", "quotes.get"]) assert.strictEqual(Validate.name("opt", value), value)
  for (const value of ["", " ", "\n\t", undefined, null, 1, ["a"]]) {
    refuses(() => Validate.name("opt", value as string), value, "a non-empty string")
  }
})

it("hint", () => {
  assert.isUndefined(Validate.hint("opt", undefined))
  assert.isUndefined(Validate.hint("opt", NaN))
  assert.deepStrictEqual(Validate.hint("opt", 5), Duration.millis(5))
  assert.deepStrictEqual(Validate.hint("opt", -5), Duration.zero)
  assert.deepStrictEqual(Validate.hint("opt", "Infinity"), Duration.infinity)
  const allowed = 'a duration, such as "2 seconds", 2000 (milliseconds) or Duration.seconds(2)'
  refuses(() => Validate.hint("opt", "soon" as never), "soon", allowed)
})

it("named", () => {
  assert.strictEqual(
    Validate.named("app/X", () => 1),
    1
  )
  try {
    Validate.named("app/X", () => Validate.integer("max", 0, 1))
    assert.fail("not refused")
  } catch (error) {
    assert.instanceOf(error, InvalidOption)
    assert.deepStrictEqual(
      [error.option, error.value, error.allowed],
      ["app/X: max", 0, "a whole number of at least 1"]
    )
  }
  assert.throws(
    () =>
      Validate.named("app/X", () => {
        throw new Error("another")
      }),
    "another"
  )
})
