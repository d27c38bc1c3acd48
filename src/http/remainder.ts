/**
 * What goes on of a request when whoever waited for it has left: a handler that is finished for the sake of its idempotency key. A
 * guard in front of it must not give its place to another request meanwhile.
 */
import * as Context from "effect/Context"
import type { Fiber } from "effect"
import type { Lingering } from "../internal/protect.ts"

export class Remainder implements Lingering {
  readonly #around: Remainder | undefined
  #running = 0
  #then: (() => void) | undefined = undefined

  constructor(around: Remainder | undefined) {
    this.#around = around
  }

  get isRunning(): boolean {
    return this.#running > 0
  }

  whenEnded(f: () => void): void {
    this.#then = f
  }

  /** To be called while whoever waits for the fiber still does. */
  add(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.#around?.add(fiber)
    this.#running++
    fiber.addObserver(() => {
      this.#running--
      if (this.isRunning) return
      const then = this.#then
      this.#then = undefined
      then?.()
    })
  }
}

/** That of the innermost guard around a handler, which tells those further out. */
export const CurrentRemainder = /*#__PURE__*/ Context.Reference<Remainder | undefined>(
  "effect-resilience/http/Remainder",
  {
    defaultValue: () => undefined
  }
)
