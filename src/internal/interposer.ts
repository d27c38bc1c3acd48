// What comes between the engine and each attempt of the calls within a region, hedges included.
import type { Effect, Fiber } from "effect"
import type { Emit } from "./events.ts"

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

/** The attempt that is about to begin. */
export interface Target {
  readonly policy: string
  readonly key: string | undefined
  readonly attempt: number
  readonly emit: Emit | undefined
}

export interface Interposer {
  /** The attempt with what is put in between; `self` as it is, where that is nothing. `fiber` is that of the call. */
  readonly interpose: (self: AnyEffect, target: Target, fiber: Fiber.Fiber<unknown, unknown>) => AnyEffect
}
