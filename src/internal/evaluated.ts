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

/** Does the first operation of an effect where it stands; without its name, what is to go on with is the effect itself. */
export const firstOf =
  (name: PropertyKey | undefined) =>
  (effect: AnyEffect, fiber: AnyFiber): AnyEffect =>
    name === undefined ? effect : (effect as never as Record<PropertyKey, Evaluate>)[name]!(fiber)

/**
 * What the runtime would do next with an effect that is returned to it is done now, by whoever is being evaluated himself: so a frame stands
 * on the stack at once, and nothing comes between. What it returns is to be returned to the runtime, unless it is an effect that is known.
 * An operation that the runtime does takes it a twentieth of what a whole call costs.
 */
export const evaluateHere = /*#__PURE__*/ firstOf(/*#__PURE__*/ nameIn(prototype))
