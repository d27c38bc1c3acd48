import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import * as Effectable from "effect/Effectable"
import { evaluated, evaluateHere, firstOf, nameIn } from "../../src/internal/evaluated.ts"

describe("evaluateHere", () => {
  it.effect("does the first operation of an effect, where a function of one is evaluated", () =>
    Effect.withFiber((fiber) => {
      const inner = Effect.succeed(1)
      assert.strictEqual(evaluateHere(Effect.suspend(() => inner) as never, fiber as never), inner as never)
      return Effect.void
    })
  )

  it.effect("a frame stands on the stack then, before the runtime goes on", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const framed = Effect.withFiber((fiber): Effect.Effect<number> => {
        const inner = Effect.suspend(() => Effect.die("boom"))
        const frame = Effect.onExitPrimitive(inner, (exit) => void seen.push(Exit.isFailure(exit)))
        assert.strictEqual(evaluateHere(frame as never, fiber as never), inner as never)
        throw "thrown"
      })
      const exit = yield* Effect.exit(framed)
      assert.deepStrictEqual(seen, [true])
      assert.deepStrictEqual(exit, Exit.die("thrown"))
    })
  )

  it("of an Effect that wraps the methods of its effects nothing is known, and an effect is returned as it is", () => {
    const wrapping = (_label: string, evaluate: (fiber: never) => unknown) => ({
      method: () => evaluate(null as never)
    })
    assert.isUndefined(nameIn(wrapping as never))
    const effect = Effect.void as never
    assert.strictEqual(firstOf(undefined)(effect, undefined as never), effect)
  })

  it("of the Effect that is installed it is known", () => {
    const named = nameIn((label, evaluate) => Effectable.Prototype({ label, evaluate: evaluate as never }) as object)
    assert.isDefined(named)
  })
})

describe("evaluated", () => {
  it.effect("makes instances of a class effects", () =>
    Effect.gen(function* () {
      class Twice {
        readonly of: number
        constructor(of: number) {
          this.of = of
        }
      }
      const TwiceEffect = evaluated(Twice, function (fiber) {
        assert.strictEqual(Fiber.getCurrent(), fiber as never)
        return Effect.succeed(2 * this.of)
      })
      const effect = new TwiceEffect(21) as unknown as Effect.Effect<number>
      assert.isTrue(Effect.isEffect(effect))
      assert.strictEqual(yield* effect, 42)
    })
  )
})
