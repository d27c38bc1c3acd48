// What all sides of the bench have in common: the calls they guard, and the numbers of the policies they guard them with.
import { Data, Effect, Layer, Scope } from "effect"
import type { Loop } from "./measure.ts"

export class Down extends Data.TaggedError("Down")<{}> {}

const down = Effect.fail(new Down())

export const answer = async (): Promise<number> => 42

/** An effect that ends at once. It is made for each call, and may fail as far as its type says. */
export const sync = (i: number): Effect.Effect<number, Down> => Effect.sync(() => i)

/** The same asynchronous function that the Promise libraries guard. */
export const async = (_i: number): Effect.Effect<number, Down> => Effect.promise(answer)

/** Fails at its first run, and succeeds at its second. */
export const flaky = (i: number): Effect.Effect<number, Down> => {
  let isFirst = true
  return Effect.suspend(() => {
    if (!isFirst) return Effect.succeed(i)
    isFirst = false
    return down
  })
}

export const retries = 3
export const baseMs = 100
export const capMs = 2_000
export const attemptTimeoutMs = 800
export const deadlineMs = 3_000
export const trip = { threshold: 0.5, window: 100, minimumCalls: 10 }
export const openMs = 3_600_000

/** One fiber that makes one call after the other, as a program does. */
export const inFiber =
  <E>(call: (i: number) => Effect.Effect<unknown, E>): Loop =>
  (times) =>
    Effect.runPromise(
      Effect.gen(function* () {
        for (let i = 0; i < times; i++) yield* call(i)
      })
    )

/** The same, of calls that need what a layer builds: built once, and provided once. */
export const inFiberWith = async <R, E>(
  layer: Layer.Layer<R>,
  call: (i: number) => Effect.Effect<unknown, E, R>
): Promise<Loop> => {
  const context = await Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe()))
  return (times) =>
    Effect.runPromiseWith(context)(
      Effect.gen(function* () {
        for (let i = 0; i < times; i++) yield* call(i)
      })
    )
}

export const inPromise =
  (call: (i: number) => Promise<unknown>): Loop =>
  async (times) => {
    for (let i = 0; i < times; i++) await call(i)
  }
