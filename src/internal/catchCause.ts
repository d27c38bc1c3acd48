// `Effect.catchCause`, but quicker to make. Effect's own is one of many functions that may be called in either of two styles, which all share
// the code that finds out in which; so no compiler sees through it, and a call of a policy makes one for each attempt.
import * as Effect from "effect/Effect"
import type { Cause } from "effect"

type AnyEffect = Effect.Effect<unknown, unknown>

export type CatchCause = (self: AnyEffect, handler: (cause: Cause.Cause<unknown>) => AnyEffect) => AnyEffect

interface Fields {
  [field: PropertyKey]: unknown
}

type Constructor = new (...args: Parameters<CatchCause>) => AnyEffect

/**
 * Looks at what `catchCause` makes, and makes the same: an object with that prototype, which has its two arguments and nothing else. If they
 * are not to be found in it, or not alone, it is `catchCause` itself that is used.
 */
export const likeIts = (catchCause: CatchCause): CatchCause => {
  const handler = (_cause: unknown): AnyEffect => Effect.void
  const made = catchCause(Effect.void, handler) as AnyEffect & Fields
  const fields = Reflect.ownKeys(made)
  const self = fields.find((field) => made[field] === Effect.void)
  const caught = fields.find((field) => made[field] === handler)
  if (self === undefined || caught === undefined || fields.length !== 2) return catchCause
  const Made = function (this: Fields, effect: unknown, handler: unknown) {
    this[self] = effect
    this[caught] = handler
  } as unknown as Constructor
  Made.prototype = Object.getPrototypeOf(made)
  return (effect, handler) => new Made(effect, handler)
}

export const catchCause: CatchCause = /*#__PURE__*/ likeIts((self, handler) => Effect.catchCause(self, handler))
