import * as Context from "effect/Context"
import type { Fiber, MutableRef } from "effect"

export const Draining = /*#__PURE__*/ Context.Reference<boolean | MutableRef.MutableRef<boolean>>(
  "effect-resilience/Draining",
  {
    defaultValue: () => false
  }
)

export const isDraining = (fiber: Fiber.Fiber<unknown, unknown>): boolean => {
  const draining = fiber.getRef(Draining)
  return typeof draining === "boolean" ? draining : draining.current
}
