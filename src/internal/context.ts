// Lookups in a Context that skip finding the default of a Reference.
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import { liveClock } from "./time.ts"

/** A Reference whose default is `undefined`. */
export const orUndefined = <A>(
  context: Context.Context<never>,
  reference: Context.Reference<A | undefined>
): A | undefined =>
  Context.getOrUndefined(context as Context.Context<unknown>, reference as Context.Key<unknown, A | undefined>)

export const clockIn = (context: Context.Context<never>): Clock.Clock =>
  Context.getOrUndefined(context as Context.Context<unknown>, Clock.Clock as Context.Key<unknown, Clock.Clock>) ??
  liveClock

/** A service that must be there. */
export const service = <I, S>(context: Context.Context<never>, key: Context.Key<I, S>): S =>
  Context.getOrUndefined(context as Context.Context<unknown>, key as Context.Key<unknown, S>) ??
  Context.getUnsafe(context as Context.Context<unknown>, key)
