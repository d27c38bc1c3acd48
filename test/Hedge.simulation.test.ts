// What hedging is for: a service that is slow once in twenty calls, called through a policy in virtual time.
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Random } from "effect"
import { Hedge, Policy, withResilience } from "effect-resilience"
import { runInterrupted } from "./virtual.ts"

class Learned extends Hedge.Service<Learned>()("test/Learned", { quantile: 0.95, minimumSamples: 100 }) {}

const seeds = [1, 2, 3, 4, 5]
const calls = 3_000

const plain = Policy.make({ name: "plain" })
const hedged = Policy.make({ name: "hedged", safety: "idempotent", hedge: Learned })

/** The latencies of calls one after the other, and how many requests they took. */
const run = (policy: typeof plain | typeof hedged, seed: number) => {
  let requests = 0
  const request = Effect.gen(function* () {
    requests++
    const isSlow = (yield* Random.next) < 0.05
    const u = yield* Random.next
    yield* Effect.sleep(isSlow ? 200 + u * 200 : 10 + u * 10)
  })
  const program = Effect.gen(function* () {
    const latencies: Array<number> = []
    for (let i = 0; i < calls; i++) {
      const start = yield* Clock.currentTimeMillis
      yield* request.pipe(withResilience(policy))
      latencies.push((yield* Clock.currentTimeMillis) - start)
    }
    return latencies
  }).pipe(Effect.provide(Learned.layer), Random.withSeed(seed))
  const { exit } = runInterrupted(program, undefined, false)
  if (exit === undefined || Exit.isFailure(exit)) return assert.fail(String(exit))
  return { latencies: exit.value, requests }
}

const quantile = (values: ReadonlyArray<number>, q: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * q) - 1]!

describe("hedging at the 95th percentile", () => {
  it("halves the 99th percentile, at least, for at most 6 % more requests", () => {
    const before = seeds.map((seed) => run(plain, seed))
    const after = seeds.map((seed) => run(hedged, seed))
    const p99Before = quantile(
      before.flatMap((it) => it.latencies),
      0.99
    )
    const p99After = quantile(
      after.flatMap((it) => it.latencies),
      0.99
    )
    const total = seeds.length * calls
    const extra = after.reduce((sum, it) => sum + it.requests, 0) / total - 1
    const figures = `p99 ${p99Before.toFixed(0)} ms → ${p99After.toFixed(0)} ms, ${(extra * 100).toFixed(1)} % more requests`
    assert.strictEqual(
      before.reduce((sum, it) => sum + it.requests, 0),
      total
    )
    assert.isAtMost(p99After, p99Before / 2, figures)
    assert.isAtMost(extra, 0.06, figures)
    // it has hedged at all
    assert.isAtLeast(extra, 0.03, figures)
    console.log(figures)
  })
})
