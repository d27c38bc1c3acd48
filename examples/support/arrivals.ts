// Arrivals as from many independent users: random, and regardless of how the calls before them fare (an open loop).
import { Effect, Random } from "effect"

/** The times of a Poisson process, in milliseconds from its start; the same in every run. */
export const arrivals = (perSecond: number, lengthMs: number) =>
  Effect.gen(function* () {
    const times: Array<number> = []
    let at = 0
    while (true) {
      // the time between two arrivals
      at += (-Math.log(1 - (yield* Random.next)) * 1000) / perSecond
      if (at >= lengthMs) return times
      times.push(at)
    }
  }).pipe(Random.withSeed("traffic"))
