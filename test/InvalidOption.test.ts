import { assert, it } from "@effect/vitest"
import { Context, Data, Duration, Effect, Schedule } from "effect"
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

class Down extends Data.TaggedError("Down") {}
class Db extends Context.Service<Db, number>()("test/Db") {}
const named = () => 1

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
    [{ toJSON: () => undefined, toString: () => "itself" }, "itself"],
    [Schedule.forever, "a Schedule"],
    [{ transient: Schedule.forever, throttled: 3 }, '{"transient":"a Schedule","throttled":3}'],
    [Effect.succeed(1), "an Effect"],
    [[Effect.never], '["an Effect"]'],
    [new Down(), '{"_tag":"Down"}'],
    [Down, "the class Down"],
    [Db, "the class Db"],
    [class {}, "a class"],
    [named, "the function named"],
    [() => 1, "a function"],
    [{ faults: named }, '{"faults":"the function named"}'],
    ["x".repeat(300), JSON.stringify("x".repeat(300))],
    [["x".repeat(300)], `["${"x".repeat(198)}…`]
  ]
  for (const [value, printed] of values)
    assert.strictEqual(messageOf(value), `max must be a whole number, but it is ${printed}`)
})
