// Compiled by tsc: each `@ts-expect-error` fails the type check when the line below it compiles.
import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Layer } from "effect"
import type { Config } from "effect"
import * as Fallback from "../src/Fallback.ts"
import { UnavailableTypeId } from "../src/internal/unavailable.ts"

class CircuitOpen extends Data.TaggedError("CircuitOpen")<{ readonly breaker: string }> {
  readonly [UnavailableTypeId] = UnavailableTypeId
}
class RetryExhausted<out E> extends Data.TaggedError("RetryExhausted")<{ readonly lastError: unknown }> {
  readonly [UnavailableTypeId] = UnavailableTypeId
  declare readonly lastError: E
}
class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly sku: string }> {}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(answer: Same<A, B>): boolean => answer

interface Db {
  readonly db: true
}
declare const stock: Effect.Effect<number, CircuitOpen | RetryExhausted<OutOfStock> | OutOfStock, Db>
declare const flag: boolean

// Never run: it is here to be compiled
const compiled = () => {
  const byDefault = stock.pipe(Fallback.value("none"))
  same<typeof byDefault, Effect.Effect<number | string, OutOfStock, Db>>(true)

  const first = Fallback.value(stock, "none", { name: "stock" })
  same<typeof first, Effect.Effect<number | string, OutOfStock, Db>>(true)

  const named = stock.pipe(Fallback.value(0, { on: ["OutOfStock"] }))
  same<typeof named, Effect.Effect<number, CircuitOpen | RetryExhausted<OutOfStock>, Db>>(true)

  const two = Fallback.value(stock, 0, { on: ["OutOfStock", "CircuitOpen"] })
  same<typeof two, Effect.Effect<number, RetryExhausted<OutOfStock>, Db>>(true)

  // Whether `on` is there is not known: both leave their errors
  const perhaps = stock.pipe(Fallback.value(0, { on: flag ? ["OutOfStock"] : undefined }))
  same<typeof perhaps, Effect.Effect<number, OutOfStock | CircuitOpen | RetryExhausted<OutOfStock>, Db>>(true)
  const absent = stock.pipe(Fallback.value(0, { on: undefined, name: undefined }))
  same<typeof absent, Effect.Effect<number, OutOfStock, Db>>(true)

  // One that is made apart from what it is used on
  const apart = Fallback.value(0)
  const used = apart(stock)
  same<typeof used, Effect.Effect<number, OutOfStock, Db>>(true)
  const generic = <E>(self: Effect.Effect<number, E>) => Fallback.value(self, 0)
  const ofGeneric = generic(Effect.fail(new CircuitOpen({ breaker: "b" })))
  same<typeof ofGeneric, Effect.Effect<number>>(true)

  // @ts-expect-error: it never fails with that
  stock.pipe(Fallback.value(0, { on: ["Typo"] }))
  // @ts-expect-error: nor so
  Fallback.value(stock, 0, { on: ["OutOfStock", "Typo"] })
  // @ts-expect-error: at least one tag
  Fallback.value(0, { on: [] })
  // @ts-expect-error: an unknown option
  Fallback.value(0, { nome: "a" })
  // @ts-expect-error: not a list known in advance
  stock.pipe(Fallback.value(0, { on: ["OutOfStock"] as [string, ...Array<string>] }))

  const other = stock.pipe(
    Fallback.orElse((error) => {
      same<typeof error, CircuitOpen | RetryExhausted<OutOfStock>>(true)
      return Effect.fail("other" as const)
    })
  )
  same<typeof other, Effect.Effect<number, OutOfStock | "other", Db>>(true)

  const otherNamed = stock.pipe(
    Fallback.orElse((error) => Effect.succeed(error.sku), { name: "sku", on: ["OutOfStock"] })
  )
  same<typeof otherNamed, Effect.Effect<number | string, CircuitOpen | RetryExhausted<OutOfStock>, Db>>(true)

  // A handler that says what it takes
  const handler = (error: CircuitOpen | RetryExhausted<OutOfStock>) => Effect.succeed(error._tag)
  const handled = stock.pipe(Fallback.orElse(handler))
  same<typeof handled, Effect.Effect<number | "CircuitOpen" | "RetryExhausted", OutOfStock, Db>>(true)
  // @ts-expect-error: RetryExhausted comes too
  stock.pipe(Fallback.orElse((error: CircuitOpen) => Effect.succeed(error._tag)))

  const otherFirst = Fallback.orElse(stock, (error) => Effect.succeed(error._tag), { on: ["CircuitOpen"] })
  same<typeof otherFirst, Effect.Effect<number | "CircuitOpen", OutOfStock | RetryExhausted<OutOfStock>, Db>>(true)

  const otherPerhaps = Fallback.orElse(stock, (error) => Effect.succeed(error._tag), {
    on: flag ? ["OutOfStock"] : undefined
  })
  same<Effect.Error<typeof otherPerhaps>, OutOfStock | CircuitOpen | RetryExhausted<OutOfStock>>(true)
  same<Effect.Success<typeof otherPerhaps>, number | "OutOfStock" | "CircuitOpen" | "RetryExhausted">(true)

  // @ts-expect-error: it never fails with that
  stock.pipe(Fallback.orElse(() => Effect.succeed(0), { on: ["Typo"] }))
  // @ts-expect-error: nor so
  Fallback.orElse(stock, () => Effect.succeed(0), { on: ["Typo"] })

  class Last extends Fallback.Stale<Last, number>()("app/Last", { maxAge: "1 minute", max: 10 }) {}
  const stale = stock.pipe(Last.orStale("a"))
  same<typeof stale, Effect.Effect<number, CircuitOpen | RetryExhausted<OutOfStock> | OutOfStock, Db | Last>>(true)
  const staleFirst = Last.orStale(stock, "a", { on: ["OutOfStock"] })
  same<typeof staleFirst, typeof stale>(true)
  same<typeof Last.layer, Layer.Layer<Last>>(true)
  same<ReturnType<typeof Last.layerWith>, Layer.Layer<Last>>(true)
  same<ReturnType<typeof Last.layerConfig>, Layer.Layer<Last, Config.ConfigError>>(true)
  Last.layerWith({ maxAge: undefined, max: 2 })
  // @ts-expect-error: it never fails with that
  stock.pipe(Last.orStale("a", { on: ["Typo"] }))
  // @ts-expect-error: nor so
  Last.orStale(stock, "a", { on: ["Typo"] })
  // @ts-expect-error: remembers numbers
  Effect.succeed("seven").pipe(Last.orStale("a"))
  // @ts-expect-error: an unknown option
  Last.layerWith({ maxage: "1 minute" })
  // @ts-expect-error: how old it may be must be said
  class NoAge extends Fallback.Stale<NoAge, number>()("app/NoAge", { max: 10 }) {}

  const served = Fallback.served(named)
  same<typeof served, Effect.Effect<Fallback.Served<number>, CircuitOpen | RetryExhausted<OutOfStock>, Db>>(true)
  same<Fallback.Served<number>["source"], "live" | "stale" | "fallback">(true)
  same<Fallback.Served<number>["age"], Duration.Duration | undefined>(true)
  return NoAge
}

describe("the types of Fallback", () => {
  it("compile", () => {
    assert.isFunction(compiled)
  })
})
