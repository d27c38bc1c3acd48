// The throttle against a second one, written independently: slow, with a list of calls instead of rings of counts.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { levels } from "../../src/internal/priorities.ts"
import { Throttling, windowsOf } from "../../src/internal/throttle.ts"
import type { Settings } from "../../src/internal/throttle.ts"
import { holds, integers } from "../property.ts"

interface Known {
  readonly at: number
  readonly rank: number
  readonly accepted: boolean
}

/** A list, looked through again at each question. */
class Model {
  readonly known: Array<Known> = []
  readonly settings: Settings
  constructor(settings: Settings) {
    this.settings = settings
  }
  live(now: number) {
    const bucket = (at: number) => Math.floor((at * 10) / this.settings.windows.all.durationMs)
    return this.known.filter(({ at }) => bucket(at) > bucket(now) - 10)
  }
  rate(now: number) {
    const requests = this.live(now).length
    const accepts = this.live(now).filter(({ accepted }) => accepted).length
    const { k, maxRejectionRate, minimumRequests, padding } = this.settings
    return requests < minimumRequests || requests <= k * accepts
      ? 0
      : Math.min(maxRejectionRate, (requests - k * accepts) / (requests + padding))
  }
  /** Refuses from the bottom up until the rate is used up. */
  rates(now: number) {
    const live = this.live(now)
    let left = this.rate(now)
    const rates = levels.map(() => 0)
    for (const rank of [...rates.keys()].toReversed()) {
      const own = live.filter((it) => it.rank === rank).length / live.length
      if (left > 1e-12) rates[rank] = Math.min(this.settings.maxRejectionRate, own === 0 ? 1 : left / own)
      left -= own
    }
    return rates
  }
}

const command = Arbitrary.all({
  pass: integers(-60, 200),
  rank: integers(0, 4),
  what: integers(0, 9),
  draw: integers(1, 999)
})

describe("the throttle", () => {
  it.effect("counts and decides as a list of calls would", () => {
    const visited = { refused: 0, passed: 0, certain: 0, expired: 0 }
    return Effect.gen(function* () {
      yield* holds(
        Arbitrary.all({
          halves: integers(2, 6),
          padding: integers(1, 8),
          max: integers(3, 10),
          minimumRequests: integers(1, 12),
          windowMs: Arbitrary.map(integers(1, 30), (n) => 3100 - 100 * n),
          commands: Arbitrary.array(command, { minLength: 20, maxLength: 80 })
        }),
        ({ commands, halves, max, minimumRequests, padding, windowMs }) => {
          const settings: Settings = {
            k: halves / 2,
            padding,
            maxRejectionRate: max / 10,
            minimumRequests,
            windows: windowsOf(windowMs)
          }
          const throttle = new Throttling(settings)
          const model = new Model(settings)
          let now = 1000
          return commands.every(({ draw: perMille, pass, rank, what }) => {
            now += Math.max(0, pass)
            let agrees = true
            const draw = perMille / 1000
            if (what < 5) {
              const accepted = what === 4
              throttle.record(rank, accepted, now)
              model.known.push({ at: now, rank, accepted })
            } else {
              const probability = model.rates(now)[rank]!
              const rate = model.rate(now)
              let draws = 0
              const reason = throttle.refuse(rank, { now, random: () => (draws++, draw) })
              const expected = draw < probability
              agrees =
                Math.abs(draw - probability) < 1e-9 ||
                (expected === (reason !== undefined) &&
                  draws === (probability > 0 ? 1 : 0) &&
                  (reason === undefined || reason === (draw < rate ? "overload" : "priority")))
              if (reason !== undefined) model.known.push({ at: now, rank, accepted: false })
              if (probability === 0) visited.certain++
              else if (reason === undefined) visited.passed++
              else visited.refused++
            }
            const live = model.live(now)
            if (live.length < model.known.length) visited.expired++
            return (
              agrees &&
              throttle.requests(now) === live.length &&
              throttle.accepts(now) === live.filter(({ accepted }) => accepted).length &&
              Math.abs(throttle.rejectionRate(now) - model.rate(now)) < 1e-9 &&
              model.rates(now).every((rate, rank) => Math.abs(rate - throttle.rejectionRateOf(rank, now)) < 1e-9)
            )
          })
        },
        { runs: 800 }
      )
      // what was never tried was not tested
      for (const [what, times] of Object.entries(visited)) assert.isAbove(times, 200, what)
    })
  })
})
