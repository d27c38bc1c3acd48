// Property tests over Effect's own Arbitrary: a failure shows the shrunk input, and the seed to run again with.
import { assert } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"

export const integers = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

export const numbers = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Finite.check(Schema.isBetween({ minimum, maximum })))

/** Random numbers as `Random` gives them: [0, 1), both ends included in what is tried. */
export const draws: Arbitrary.Arbitrary<number> = Arbitrary.map(numbers(0, 1), (u) => Math.min(u, 1 - 2 ** -53))

export const holds = <A, E = never, R = never>(
  inputs: Arbitrary.Arbitrary<A>,
  property: (input: A) => boolean | Effect.Effect<boolean, E, R>,
  options: { readonly runs: number; readonly seed?: number }
): Effect.Effect<void, never, R> =>
  Effect.gen(function* () {
    const seed = options.seed ?? 20_260_101
    const outcome = yield* Arbitrary.checkEffect(inputs, property, { runs: options.runs, seed })
    const failure = Arbitrary.formatCheckFailure(outcome)
    assert.isUndefined(failure, `seed ${seed}: ${failure}`)
  })
