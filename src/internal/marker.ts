// The verdict that an error carries itself. It stands apart from Fault.ts, so that this library's errors can carry one.
import type { Verdict } from "../Fault.ts"

export const verdictSymbol: unique symbol = Symbol.for("effect-resilience/Fault/verdict")

export const verdictOf = (error: object): Verdict | undefined =>
  verdictSymbol in error ? (error[verdictSymbol] as Verdict | undefined) : undefined
