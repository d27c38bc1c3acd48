// Compiled by tsc: each `@ts-expect-error` fails the type check when the line below it compiles.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import type { Exit } from "effect"
import * as Telemetry from "../src/Telemetry.ts"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(answer: Same<A, B>): boolean => answer

interface Db {
  readonly db: true
}
declare const call: Effect.Effect<number, "error", Db>
declare const event: Telemetry.Event

// Never run: it is here to be compiled
const compiled = () => {
  same<typeof Telemetry.layer, Layer.Layer<Telemetry.Telemetry>>(true)
  same<typeof Telemetry.layerMetrics, Layer.Layer<never>>(true)
  same<typeof Telemetry.layerLog, Layer.Layer<never>>(true)
  same<typeof Telemetry.events, Stream.Stream<Telemetry.Event, never, Telemetry.Telemetry>>(true)
  same<typeof Telemetry.report, Effect.Effect<Telemetry.Report, never, Telemetry.Telemetry>>(true)
  const recorded = Telemetry.recorded(call)
  same<
    typeof recorded,
    Effect.Effect<readonly [Exit.Exit<number, "error">, ReadonlyArray<Telemetry.Event>], never, Db>
  >(true)
  const all = Layer.mergeAll(Telemetry.layer, Telemetry.layerMetrics, Telemetry.layerLog)
  same<typeof all, Layer.Layer<Telemetry.Telemetry>>(true)

  if (event._tag === "RetryScheduled") return event.delay
  // @ts-expect-error: no such event
  if (event._tag === "RetryPlanned") return undefined
  // @ts-expect-error: not every event has one
  return event.attempt
}

describe("the types of Telemetry", () => {
  it("compile", () => {
    assert.isFunction(compiled)
  })
})
