// Effects as the runtime sees them: objects with a method that does one operation, and returns the effect to go on with.
import * as Effectable from "effect/Effectable"
import type { Effect, Fiber } from "effect"

type AnyEffect = Effect.Effect<unknown, unknown, unknown>
type AnyFiber = Fiber.Fiber<unknown, unknown>
type Evaluate = (fiber: AnyFiber) => AnyEffect

const prototype = (label: string, evaluate: Evaluate): object =>
  Effectable.Prototype<AnyEffect>({ label, evaluate: evaluate as never })

/**
 * Makes the instances of a class effects, and gives the class back: who makes instances by that name keeps both in a bundle, and where
 * nobody does, both go. `evaluate` is what one does, as the function given to `Effect.withFiber`; it saves the closure and the object that
 * would need for each.
 */
export const evaluated = <C extends { readonly prototype: object }>(
  type: C,
  evaluate: (this: C["prototype"], fiber: AnyFiber) => AnyEffect
): C => {
  Object.defineProperties(
    type.prototype,
    Object.getOwnPropertyDescriptors(prototype("withResilience", evaluate as Evaluate))
  )
  return type
}

/** Under which name an effect has its method, if `prototype` tells: it stands there as it was given. */
export const nameIn = (make: typeof prototype): PropertyKey | undefined => {
  const evaluate = () => undefined as never
  const made = make("", evaluate) as Record<PropertyKey, unknown>
  return Reflect.ownKeys(made).find((name) => made[name] === evaluate)
}

/** The first operation of an effect, done where it stands. Without the name, the effect itself is what follows. */
export const firstOf =
  (name: PropertyKey | undefined) =>
  (effect: AnyEffect, fiber: AnyFiber): AnyEffect =>
    name === undefined ? effect : (effect as never as Record<PropertyKey, Evaluate>)[name]!(fiber)

/**
 * Does what the runtime would do next if `effect` were returned to it, and answers what it would go on with: so a frame is on the stack at
 * once, and nothing comes between. It is for whoever is being evaluated, who has to return the answer, or else to know it and do that
 * himself. Each operation so saved is about a twentieth of what a call costs.
 */
export const evaluateHere = /*#__PURE__*/ firstOf(/*#__PURE__*/ nameIn(prototype))
