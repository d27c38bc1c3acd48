// What the tests of the codecs share: the way over the wire, and random fields.
import { assert } from "@effect/vitest"
import { Arbitrary, Cause, Duration, Schema } from "effect"

/** Encodes, goes through a JSON text, and decodes. */
export const overTheWire = <A, I>(
  codec: Schema.Codec<A, I>,
  value: A
): { readonly json: unknown; readonly decoded: A } => {
  const encoded = Schema.encodeSync(codec)(value)
  const json: unknown = JSON.parse(JSON.stringify(encoded))
  assert.deepStrictEqual(json, encoded, "what it encodes to is plain JSON")
  return { json, decoded: Schema.decodeUnknownSync(codec)(json) }
}

const between = (minimum: number, maximum: number) => Schema.isBetween({ minimum, maximum })
export const spans = Arbitrary.map(
  Arbitrary.schema(
    Schema.Union([
      Schema.Finite.check(between(0, 2 ** 31)),
      Schema.Int.check(between(0, 2 ** 40)),
      Schema.Literal("Infinity")
    ])
  ),
  (ms) => Duration.millis(Number(ms))
)
export const counts = Arbitrary.schema(Schema.Int.check(between(1, 10_000)))
export const names = Arbitrary.schema(Schema.String)
export const maybe = <A>(inputs: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A | undefined> =>
  Arbitrary.map(Arbitrary.all([inputs, Arbitrary.schema(Schema.Boolean)]), ([input, known]) =>
    known ? input : undefined
  )

/** The same message (so the same fields that it is made from) and the same enumerable fields. */
export const same = (a: Error, b: Error): boolean => {
  assert.strictEqual(a.message, b.message)
  for (const key of Object.keys(b)) {
    const [left, right] = [Reflect.get(a, key), Reflect.get(b, key)] as [unknown, unknown]
    if (Duration.isDuration(left) && Duration.isDuration(right)) assert.isTrue(Duration.equals(left, right), key)
    else if (right instanceof Error) assert.strictEqual((left as Error).message, right.message)
    else if (!Cause.isCause(right)) assert.deepStrictEqual(left, right, key)
  }
  return true
}
