import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { Headroom } from "../../src/internal/headroom.ts"
import { levels, rankOf } from "../../src/internal/priorities.ts"
import { holds, integers, numbers } from "../property.ts"
import { randomFrom } from "../simulation.ts"

const halfLife = 3000
const [critical, high, normal, low, background] = levels.map(rankOf) as [number, number, number, number, number]

const kept = (headroom: Headroom, now: number) => levels.map((level) => headroom.keptFrom(rankOf(level), now))

describe("the headroom", () => {
  it("is none while nobody is refused", () => {
    const headroom = new Headroom(halfLife)
    assert.isTrue(headroom.isNone)
    assert.deepStrictEqual(kept(headroom, 0), [0, 0, 0, 0, 0])
  })

  it("grows by one for all that matter less than the one who was refused", () => {
    const headroom = new Headroom(halfLife)
    headroom.refused(normal, 50, 0)
    assert.deepStrictEqual(kept(headroom, 0), [0, 0, 0, 1, 1])
    headroom.refused(critical, 50, 0)
    assert.deepStrictEqual(kept(headroom, 0), [0, 1, 1, 2, 2])
    headroom.refused(low, 50, 0)
    headroom.refused(high, 50, 0)
    assert.deepStrictEqual(kept(headroom, 0), [0, 1, 2, 3, 4])
    assert.isFalse(headroom.isNone)
  })

  it("refusing the least important teaches nothing", () => {
    const headroom = new Headroom(halfLife)
    headroom.refused(background, 50, 0)
    assert.isTrue(headroom.isNone)
  })

  it("is never more than there is", () => {
    const headroom = new Headroom(halfLife)
    for (let i = 0; i < 10; i++) headroom.refused(critical, 4, 0)
    assert.deepStrictEqual(kept(headroom, 0), [0, 4, 4, 4, 4])
  })

  it("gives up nothing where the limit falls", () => {
    const headroom = new Headroom(halfLife)
    for (let i = 0; i < 10; i++) headroom.refused(critical, 10, 0)
    headroom.refused(normal, 4, 0)
    assert.deepStrictEqual(kept(headroom, 0), [0, 10, 10, 10, 10])
  })

  it("halves in every half-life, and is none in the end", () => {
    const headroom = new Headroom(halfLife)
    for (let i = 0; i < 8; i++) headroom.refused(critical, 50, 1000)
    assert.strictEqual(headroom.keptFrom(low, 1000), 8)
    assert.approximately(headroom.keptFrom(low, 1000 + halfLife), 4, 1e-9)
    assert.approximately(headroom.keptFrom(low, 1000 + 3 * halfLife), 1, 1e-9)
    assert.isFalse(headroom.isNone)
    assert.strictEqual(headroom.keptFrom(low, 1000 + 10 * halfLife), 0)
    assert.isTrue(headroom.isNone)
  })

  it("has decayed before it grows; a time before the last one changes nothing", () => {
    const headroom = new Headroom(halfLife)
    headroom.refused(critical, 50, 0)
    headroom.refused(critical, 50, halfLife)
    assert.approximately(headroom.keptFrom(low, halfLife), 1.5, 1e-9)
    assert.approximately(headroom.keptFrom(low, 0), 1.5, 1e-9)
    headroom.refused(critical, 50, 0)
    assert.approximately(headroom.keptFrom(low, halfLife), 2.5, 1e-9)
  })

  it.effect(
    "never keeps more from one that matters more, nothing from the most important, and no more than there is",
    () =>
      holds(
        Arbitrary.array(Arbitrary.all({ pass: numbers(0, 2000), rank: integers(0, 4), limit: integers(1, 20) }), {
          minLength: 1,
          maxLength: 60
        }),
        (commands) => {
          const headroom = new Headroom(halfLife)
          let now = 0
          return commands.every(({ limit, pass, rank }) => {
            now += pass
            headroom.refused(rank, limit, now)
            const all = kept(headroom, now)
            return (
              all[critical] === 0 &&
              all.every((it, i) => i === 0 || it >= all[i - 1]!) &&
              all.every((it) => it >= 0 && it <= 20) &&
              (rank === background || all[rank + 1]! >= Math.min(1, limit))
            )
          })
        },
        { runs: 300 }
      )
  )
})

/** Slots, and calls that come at random times: what share of each priority is refused, and how many slots are used. */
const run = (
  seed: number,
  slots: number,
  callMs: number,
  loads: Readonly<Record<number, number>>,
  headroom: Headroom
) => {
  const random = randomFrom(seed)
  const untilMs = 60_000
  const arrived = levels.map(() => 0)
  const refused = levels.map(() => 0)
  const ends: Array<number> = []
  const next = levels.map(() => 0)
  let used = 0
  let now = 0
  // in steps of a millisecond, each with the calls that came in it
  for (; now < untilMs; now++) {
    for (let i = ends.length - 1; i >= 0; i--) if (ends[i]! <= now) ends.splice(i, 1)
    for (const [rank] of levels.entries()) {
      const perMs = ((loads[rank] ?? 0) * slots) / callMs
      if (perMs === 0) continue
      for (; next[rank]! <= now; next[rank]! += -Math.log(1 - random()) / perMs) {
        arrived[rank]!++
        if (ends.length + headroom.keptFrom(rank, now) < slots) {
          ends.push(now + callMs * (0.5 + random()))
        } else {
          refused[rank]!++
          headroom.refused(rank, slots, now)
        }
      }
    }
    used += ends.length
  }
  return { refused: refused.map((it, rank) => it / arrived[rank]!), used: used / untilMs / slots }
}

class None extends Headroom {
  override keptFrom(): number {
    return 0
  }
}

describe("the headroom in use: 50 slots, calls of 0.1 s", () => {
  // loads are parts of what the slots can serve
  const offered = { [critical]: 0.3, [background]: 3 }

  it("critical calls are hardly ever refused, at little cost; without it most are", () => {
    for (const seed of [1, 2, 3]) {
      const none = run(seed, 50, 100, offered, new None(halfLife))
      assert.isAbove(none.refused[critical]!, 0.5)
      const some = run(seed, 50, 100, offered, new Headroom(halfLife))
      assert.isBelow(some.refused[critical]!, 0.015)
      assert.isAbove(some.used, 0.9)
    }
  })

  it("with four levels in use, each gets more than the one below", () => {
    const { refused } = run(
      1,
      50,
      100,
      { [critical]: 0.2, [normal]: 0.4, [low]: 0.5, [background]: 2 },
      new Headroom(halfLife)
    )
    assert.isBelow(refused[critical]!, 0.01)
    assert.isBelow(refused[normal]!, 0.05)
    assert.isAbove(refused[low]!, 0.1)
    assert.isAbove(refused[background]!, 0.9)
  })

  it("one level alone may use all of it", () => {
    for (const rank of [critical, normal, background]) {
      assert.isAbove(run(1, 50, 100, { [rank]: 2 }, new Headroom(halfLife)).used, 0.97)
    }
  })
})
