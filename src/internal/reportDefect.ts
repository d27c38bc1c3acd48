import * as Effect from "effect/Effect"
import type { Fiber } from "effect"

/** Logs what must not change a call's result and must not be lost either: a guard that throws while it is told an outcome. */
export const reportDefect = (fiber: Fiber.Fiber<unknown, unknown>, what: string, defect: unknown): void => {
  Effect.runForkWith(fiber.context)(Effect.logError(what, defect))
}
