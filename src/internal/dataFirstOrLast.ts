// Data-first and data-last, as `dual` makes it, but for options that are refused when they are written and not when they are applied.
import * as Effect from "effect/Effect"

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

/** `make` checks the options and answers with what is applied to the effect. By default a first argument that is an effect is the data. */
export const dataFirstOrLast = <Args extends ReadonlyArray<never>>(
  make: (...args: Args) => (self: AnyEffect) => AnyEffect,
  isDataFirst: (args: ReadonlyArray<unknown>) => boolean = (args) => Effect.isEffect(args[0])
) =>
  ((...args: ReadonlyArray<unknown>) => {
    const bind = make as unknown as (...args: ReadonlyArray<unknown>) => (self: AnyEffect) => AnyEffect
    return isDataFirst(args) ? bind(...args.slice(1))(args[0] as AnyEffect) : bind(...args)
  }) as never
