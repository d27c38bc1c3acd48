// Classes whose instances are effects. That saves the closure and the object that `Effect.withFiber` would need for each.
import * as Effectable from "effect/Effectable"
import type { Effect, Fiber } from "effect"

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

/** Makes the instances of a class effects; `evaluate` is what one does, as the function given to `Effect.withFiber`. */
export const evaluated = <T extends object>(
  type: { readonly prototype: T },
  evaluate: (this: T, fiber: Fiber.Fiber<unknown, unknown>) => AnyEffect
): void => {
  const effect = Effectable.Prototype<AnyEffect>({ label: "withResilience", evaluate: evaluate as never })
  Object.defineProperties(type.prototype, Object.getOwnPropertyDescriptors(effect))
}
