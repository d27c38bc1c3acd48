// Arrivals as from many independent users: random, and regardless of how the calls before them fare (an open loop).
import { Effect, Random } from "effect"
import { lengthMs } from "./weather.ts"

export const perSecond = 40

/** The arrivals of the whole run, in milliseconds from its start; the same in every run. */
export const arrivals = Effect.gen(function* () {
  const times: Array<number> = []
  let at = 0
  while (true) {
    // the time between two arrivals of a Poisson process
    at += (-Math.log(1 - (yield* Random.next)) * 1000) / perSecond
    if (at >= lengthMs) return times
    times.push(at)
  }
}).pipe(Random.withSeed("traffic"))
