import { assert, it } from "@effect/vitest"
import { Duration } from "effect"
import { InvalidOption } from "../src/InvalidOption.ts"

const messageOf = (value: unknown) => new InvalidOption({ option: "max", value, allowed: "a whole number" }).message

it("names the option, what is allowed and the value", () => {
  const error = new InvalidOption({ option: "max", value: -1, allowed: "a whole number" })
  assert.strictEqual(error.message, "max must be a whole number, but it is -1")
  assert.strictEqual(error._tag, "InvalidOption")
  assert.strictEqual(error.name, "InvalidOption")
  assert.deepStrictEqual([error.option, error.value, error.allowed], ["max", -1, "a whole number"])
  assert.instanceOf(error, Error)
  assert.match(String(error), /max must be a whole number, but it is -1/)
  assert.deepStrictEqual(JSON.parse(JSON.stringify(error)), {
    _tag: "InvalidOption",
    option: "max",
    value: -1,
    allowed: "a whole number"
  })
})

it("shows any value so that it can be told from others", () => {
  const circular: { self?: unknown } = {}
  circular.self = circular
  const values: ReadonlyArray<readonly [unknown, string]> = [
    ["1", '"1"'],
    ['a "b"\n', '"a \\"b\\"\\n"'],
    ["", '""'],
    [1, "1"],
    [NaN, "NaN"],
    [-Infinity, "-Infinity"],
    [1n, "1"],
    [true, "true"],
    [undefined, "undefined"],
    [null, "null"],
    [Symbol("s"), "Symbol(s)"],
    [[], "[]"],
    [[1, "2"], '[1,"2"]'],
    [{ seconds: 1 }, '{"seconds":1}'],
    [[NaN, Infinity, { a: -Infinity }], '["NaN","Infinity",{"a":"-Infinity"}]'],
    [Duration.infinity, '{"_id":"Duration","_tag":"Infinity"}'],
    [circular, "[object Object]"],
    [{ big: 1n }, "[object Object]"],
    [{ toJSON: () => undefined, toString: () => "itself" }, "itself"]
  ]
  for (const [value, printed] of values)
    assert.strictEqual(messageOf(value), `max must be a whole number, but it is ${printed}`)
})
