// Classes whose instances are effects. That saves the closure and the object that `Effect.withFiber` would need for each.
import * as Effectable from "effect/Effectable"
import type { Effect, Fiber } from "effect"

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

/**
 * Makes the instances of a class effects, and gives the class back: who makes instances by that name keeps both in a bundle, and where
 * nobody does, both go. `evaluate` is what one does, as the function given to `Effect.withFiber`.
 */
export const evaluated = <C extends { readonly prototype: object }>(
  type: C,
  evaluate: (this: C["prototype"], fiber: Fiber.Fiber<unknown, unknown>) => AnyEffect
): C => {
  const effect = Effectable.Prototype<AnyEffect>({ label: "withResilience", evaluate: evaluate as never })
  Object.defineProperties(type.prototype, Object.getOwnPropertyDescriptors(effect))
  return type
}
