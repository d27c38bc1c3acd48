// What comes of the algorithms in a closed loop: clients with limits, and a server of limited capacity, in virtual time.
//
// The true capacity is the number of calls that the server works on at once: with more in flight its throughput does not rise any
// more, and calls wait in it. It is 50, unless it changes; a call takes 100 ms then, give or take 30 % (log-normal). Three times as
// many calls are offered as it can serve; a hundred may wait in it, and more are refused by it; a client gives up after a second.
//
// Where a limit settles is its mean over the last 20 s. How long it took is the time until the first 10 s in which its mean was within
// a tenth of the capacity.
import { assert, describe, it } from "@effect/vitest"
import { aimd, defaults, gradient2, vegas } from "../src/AdaptiveLimit.ts"
import type { Algorithm } from "../src/AdaptiveLimit.ts"
import { LimitEstimator } from "../src/internal/limits.ts"
import { AlgorithmTypeId } from "../src/internal/limits/algorithm.ts"
import { simulate } from "./simulation.ts"
import type { Limiter, Recording, World } from "./simulation.ts"

const algorithms: ReadonlyArray<readonly [name: string, algorithm: Algorithm]> = [
  ["gradient2", gradient2()],
  ["vegas", vegas()],
  ["aimd", aimd()]
]
const seeds = [1, 2, 3, 4, 5]

const limiter = (algorithm: Algorithm) => new LimitEstimator(algorithm[AlgorithmTypeId])

const world = (over: Partial<World> & Pick<World, "seed" | "untilMs" | "clients">): World => ({
  capacity: () => 50,
  serviceMs: () => 100,
  variation: 0.3,
  queueBound: 100,
  timeoutMs: 1000,
  offered: () => 1500,
  ...over
})

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** Jain, Chiu and Hawe, 1984: 1 if all have the same, 1 / n if one has all. */
const jain = (shares: ReadonlyArray<number>): number =>
  shares.reduce((sum, share) => sum + share, 0) ** 2 /
  (shares.length * shares.reduce((sum, share) => sum + share ** 2, 0))

const second = 10
/** In seconds after `from`, when the ten seconds begin in which the limit is first within a tenth of the capacity. */
const settledAfter = (limits: ReadonlyArray<number>, from: number, capacity: number): number => {
  let at = from
  while (Math.abs(between(limits, at, at + 10) - capacity) > capacity / 10) at++
  return at - from
}

const between = (values: ReadonlyArray<number>, from: number, to: number) =>
  mean(values.slice(from * second, to * second))

const percentile = (values: ReadonlyArray<number>, share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]!

describe("a limit finds the capacity", () => {
  const phases = [50, 25, 50, 100]
  const phase = 60
  const capacity = (now: number) => phases[Math.floor(now / (phase * 1000))]!

  const runs = (algorithm: Algorithm, over: Partial<World> = {}) =>
    seeds.map((seed) =>
      simulate(
        world({
          seed,
          untilMs: phases.length * phase * 1000,
          capacity,
          offered: (now) => 30 * capacity(now),
          clients: [{ limiter: limiter(algorithm) }],
          ...over
        })
      )
    )

  for (const [name, algorithm] of algorithms) {
    it(`${name}: within a tenth, from below, after it halves, and after it doubles, within a minute each`, () => {
      for (const [i, { limits, seconds }] of runs(algorithm).entries()) {
        for (const [n, capacity] of phases.entries()) {
          const [from, to] = [n * phase, (n + 1) * phase]
          const what = `seed ${seeds[i]}, capacity ${capacity}, phase ${n + 1}`
          assert.approximately(between(limits[0]!, to - 20, to), capacity, capacity / 10, what)
          assert.isAtMost(settledAfter(limits[0]!, from, capacity), 30, what)
          const last = seconds.slice(to - 20, to)
          // what the server can serve, in calls of 100 ms
          assert.isAtLeast(mean(last.map(({ served }) => served)) / (capacity * 10), 0.85, what)
          assert.strictEqual(mean(last.map(({ dropped }) => dropped)), 0, what)
          // alone it would take 190: this is how long the calls are that wait
          assert.isAtMost(
            percentile(
              last.flatMap(({ latenciesMs }) => latenciesMs),
              0.99
            ),
            215,
            what
          )
        }
      }
    })
  }

  it("with the published constants it lets more calls wait, or as many as there may be", () => {
    const published = [
      gradient2({ queueSize: 4, tolerance: 1.5 }),
      vegas({ alpha: 3, beta: 6, threshold: 1 }),
      aimd({ slowerThan: "5 seconds", dropTolerance: 0 })
    ]
    const [gradient, threeSix, timeout] = published.map((algorithm) =>
      mean(runs(algorithm).map(({ limits }) => between(limits[0]!, phase - 20, phase) / 50))
    )
    assert.approximately(gradient!, 1.26, 0.04)
    assert.approximately(threeSix!, 1.09, 0.02)
    // the server's fifty, and the hundred that may wait in it
    assert.approximately(timeout!, 0.95 * 3, 0.1)
  })
})

describe("what may disturb it", () => {
  const settledAt = (algorithm: Algorithm, seed: number, over: Partial<World>) => {
    const { limits } = simulate(world({ seed, untilMs: 120_000, clients: [{ limiter: limiter(algorithm) }], ...over }))
    return mean(limits[0]!.slice(-20 * second))
  }

  for (const [name, algorithm] of algorithms) {
    it(`${name}: calls that take longer, or less long, without waiting`, () => {
      for (const seed of [1, 2]) {
        for (const factor of [0.5, 1.15, 2]) {
          const serviceMs = (now: number) => (now < 60_000 ? 100 : 100 * factor)
          const offered = (now: number) => 150_000 / serviceMs(now)
          assert.approximately(settledAt(algorithm, seed, { serviceMs, offered }), 50, 6, `${seed}: times ${factor}`)
        }
      }
    })

    it(`${name}: fast calls and slow ones, all alike and very different ones`, () => {
      for (const seed of [1, 2]) {
        assert.approximately(settledAt(algorithm, seed, { variation: 0 }), 50, 5)
        assert.approximately(settledAt(algorithm, seed, { variation: 0.6 }), 50, 8)
        assert.approximately(
          settledAt(algorithm, seed, { serviceMs: () => 10, offered: () => 15_000, untilMs: 30_000 }),
          50,
          5
        )
      }
    })

    it(`${name}: a server that lets nobody wait, and one that fails one call in twenty for reasons of its own`, () => {
      for (const seed of [1, 2]) {
        assert.approximately(settledAt(algorithm, seed, { queueBound: 0 }), 50, 6)
        let call = seed
        const estimator = limiter(algorithm)
        const failing: Limiter = {
          get limit() {
            return estimator.limit
          },
          press: () => estimator.press(),
          sample: (now, elapsed, inFlight, dropped) =>
            estimator.sample(now, elapsed, inFlight, dropped || ++call % 20 === 0)
        }
        assert.approximately(settledAt(algorithm, seed, { clients: [{ limiter: failing }] }), 50, 6)
      }
    })

    it(`${name}: while less is asked than can be served, hardly anything is refused, and the limit does not run away`, () => {
      const { limits, seconds } = simulate(
        world({ seed: 1, untilMs: 120_000, offered: () => 400, clients: [{ limiter: limiter(algorithm) }] })
      )
      const refused = mean(seconds.slice(60).map(({ refused }) => refused))
      assert.isBelow(refused / 400, 0.005)
      assert.isBelow(Math.max(...limits[0]!), 140)
    })
  }
})

describe("several clients share a server", () => {
  const total = ({ limits }: Recording, from: number, to: number) =>
    limits.map((limit) => between(limit, from, to)).reduce((sum, limit) => sum + limit, 0)

  /** Limits whose clocks differ by so much. */
  const clients = (algorithm: Algorithm, n: number, fromMs: number, skewMs: number) =>
    Array.from({ length: n }, (_, i) => {
      const estimator = limiter(algorithm)
      const skewed: Limiter = {
        get limit() {
          return estimator.limit
        },
        press: () => estimator.press(),
        sample: (now, elapsed, inFlight, dropped) => estimator.sample(now + i * skewMs, elapsed, inFlight, dropped)
      }
      return { limiter: skewed, fromMs: i * fromMs }
    })

  for (const [name, algorithm] of algorithms) {
    it(`${name}: two of them equally, whether they begin together or not, and whether their clocks agree or not`, () => {
      for (const seed of seeds) {
        for (const [fromMs, skewMs] of [
          [0, 0],
          [30_000, 0],
          [30_000, 7000]
        ] as const) {
          const run = simulate(world({ seed, untilMs: 120_000, clients: clients(algorithm, 2, fromMs, skewMs) }))
          const what = `seed ${seed}, the second after ${fromMs} ms, ${skewMs} ms apart`
          assert.isAtLeast(jain(run.inFlight.map((inFlight) => between(inFlight, 60, 120))), 0.9, what)
          assert.isAbove(total(run, 60, 120), 48, what)
          assert.isBelow(total(run, 60, 120), 64, what)
        }
      }
    })
  }

  it("the default copes with four of them, that begin one after the other, and keeps its queue short", () => {
    assert.strictEqual(defaults.algorithm[AlgorithmTypeId]._tag, "Gradient2")
    for (const seed of seeds) {
      const run = simulate(world({ seed, untilMs: 120_000, clients: clients(defaults.algorithm, 4, 10_000, 0) }))
      assert.isAtLeast(jain(run.inFlight.map((inFlight) => between(inFlight, 60, 120))), 0.9)
      assert.approximately(total(run, 60, 120), 50, 10)
    }
  })
})
