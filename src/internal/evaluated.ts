// Classes whose instances are effects. That saves the closure and the object that `Effect.withFiber` would need for each.
import * as Effectable from "effect/Effectable"
import type { Effect, Fiber } from "effect"

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

export abstract class Evaluated {
  /** What the effect does, as the function given to `Effect.withFiber`. */
  abstract evaluate(fiber: Fiber.Fiber<unknown, unknown>): AnyEffect
}

Object.setPrototypeOf(
  Evaluated.prototype,
  Effectable.Prototype<AnyEffect & Evaluated>({
    label: "withResilience",
    evaluate(fiber) {
      return this.evaluate(fiber)
    }
  })
)
