// A throttle in front of a backend that takes so many calls a second, and turns the rest away. Pure, and the same every time.
import { assert, describe, it } from "@effect/vitest"
import { levels, rankOf } from "../../src/internal/priorities.ts"
import type { Level } from "../../src/internal/priorities.ts"
import { Throttling, windowsOf } from "../../src/internal/throttle.ts"

/** Uniform in [0, 1): mulberry32. */
const seeded = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
}

const windowSeconds = 30
const offered = 200

interface Second {
  readonly sent: number
  readonly accepted: number
  readonly refused: { readonly [level in Level]: number }
}

/** What happened in each second, of `offered` calls that come evenly spread. */
const simulate = (options: {
  readonly k?: number
  readonly seconds: number
  readonly capacity: (second: number) => number
  /** Of the call with this number in its second. */
  readonly priority?: (call: number) => Level
}): ReadonlyArray<Second> => {
  const { capacity, k = 2, priority = () => "normal", seconds } = options
  const throttle = new Throttling({
    k,
    padding: 1,
    maxRejectionRate: 0.9,
    minimumRequests: 10,
    windows: windowsOf(windowSeconds * 1000)
  })
  const random = seeded(20_260_101)
  return Array.from({ length: seconds }, (_, second) => {
    let sent = 0
    let accepted = 0
    const refused = Object.fromEntries(levels.map((level) => [level, 0])) as Record<Level, number>
    for (let call = 0; call < offered; call++) {
      const now = second * 1000 + (call * 1000) / offered
      const rank = rankOf(priority(call))
      if (throttle.refuse(rank, { now, random }) !== undefined) {
        refused[priority(call)]++
        continue
      }
      sent++
      const takes = accepted < capacity(second)
      if (takes) accepted++
      throttle.record(rank, takes, now)
    }
    return { sent, accepted, refused }
  })
}

const sum = (seconds: ReadonlyArray<Second>, of: (second: Second) => number) =>
  seconds.reduce((sum, second) => sum + of(second), 0)
const refusedIn = ({ refused }: Second) => Object.values(refused).reduce((a, b) => a + b)
/** How many seconds after `from` the last call was refused. */
const lastRefusal = (seconds: ReadonlyArray<Second>, from: number) =>
  seconds.findLastIndex((second) => refusedIn(second) > 0) - from

describe("the backend's load", () => {
  // SRE book, chapter 21: "Even in large overload situations, backends end up rejecting one request for each request they
  // actually process" (k = 2), and "one request … for every 10 requests accepted" (k = 1.1)
  const table: ReadonlyArray<readonly [k: number, capacity: number]> = [
    [2, 100],
    [2, 50],
    [2, 25],
    [1.1, 100],
    [1.1, 50],
    [3, 20]
  ]
  for (const [k, capacity] of table) {
    it(`k = ${k}, a capacity of ${(100 * capacity) / offered} % of the load: about ${k} calls are sent for each accepted`, () => {
      const settled = simulate({ k, seconds: 180, capacity: () => capacity }).slice(60)
      const sent = sum(settled, ({ sent }) => sent)
      const accepted = sum(settled, ({ accepted }) => accepted)
      assert.approximately(sent / accepted, k, 0.03 * k)
      // and what it could have taken was not kept from it
      assert.isAbove(accepted / settled.length, 0.9 * capacity)
    })
  }

  it("down, it gets what the ceiling lets through", () => {
    const settled = simulate({ seconds: 180, capacity: () => 0 }).slice(60)
    assert.approximately(sum(settled, ({ sent }) => sent) / settled.length, 0.1 * offered, 0.01 * offered)
  })

  it("able to take everything, it gets everything", () => {
    assert.strictEqual(sum(simulate({ seconds: 60, capacity: () => offered }), refusedIn), 0)
  })
})

describe("recovery", () => {
  const until = (outage: number, during: number) => (second: number) => (second < outage ? during : offered)

  it("after an overload the last refusal comes within a window", () => {
    for (const capacity of [100, 50, 25]) {
      const seconds = simulate({ seconds: 200, capacity: until(100, capacity) })
      assert.isAtMost(lastRefusal(seconds, 100), windowSeconds)
    }
  })

  it("after a total outage, however long, within two", () => {
    for (const outage of [35, 100, 400]) {
      const seconds = simulate({ seconds: outage + 100, capacity: until(outage, 0) })
      assert.isAtMost(lastRefusal(seconds, outage), 2 * windowSeconds)
      // the refusals are requests that were not accepted as well: that is the price of the book's formula
      assert.isAbove(lastRefusal(seconds, outage), windowSeconds)
    }
  })

  it("with k = 2, failures of less than half a window are not answered with refusals", () => {
    const hiccup = (length: number) => (second: number) => (second >= 60 && second < 60 + length ? 0 : offered)
    assert.strictEqual(sum(simulate({ seconds: 150, capacity: hiccup(13) }), refusedIn), 0)
    assert.isAbove(sum(simulate({ seconds: 150, capacity: hiccup(17) }), refusedIn), 0)
  })
})

describe("priorities", () => {
  it("the least important calls bear the refusals, and all together they are as many", () => {
    // of each ten calls two are critical, five normal and three in the background
    const priority = (call: number): Level => (call % 10 < 2 ? "critical" : call % 10 < 7 ? "normal" : "background")
    const settled = simulate({ seconds: 180, capacity: () => 50, priority }).slice(60)
    const rate = (level: Level, share: number) =>
      sum(settled, ({ refused }) => refused[level]) / (share * offered * settled.length)
    assert.strictEqual(rate("critical", 0.2), 0)
    assert.approximately(rate("background", 0.3), 0.9, 0.01)
    // a half is to be refused, of which three tenths have been
    assert.approximately(rate("normal", 0.5), 0.4, 0.02)
  })
})
