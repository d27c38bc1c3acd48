import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { KeyedMap } from "../../src/internal/keyed.ts"
import { holds, integers } from "../property.ts"

interface Value {
  readonly key: string
  readonly madeAt: number
  reluctantUntil: number
}

const keyed = (max: number, idleTimeToLiveMs: number) =>
  new KeyedMap<Value>({
    max,
    idleTimeToLiveMs,
    make: (key, now) => ({ key, madeAt: now, reluctantUntil: 0 }),
    keep: (value, now) => now < value.reluctantUntil
  })

const keysOf = (map: KeyedMap<Value>, now: number) => map.entries(now).map(([key]) => key)

describe("KeyedMap", () => {
  it("makes a value once, with its key and the time", () => {
    const map = keyed(10, 1000)
    const value = map.get("a", 5)
    assert.deepStrictEqual(value, { key: "a", madeAt: 5, reluctantUntil: 0 })
    assert.strictEqual(map.get("a", 6), value)
    assert.strictEqual(map.peek("a", 6), value)
    assert.strictEqual(map.size, 1)
  })

  it("peeking and listing make nothing, and are no use", () => {
    const map = keyed(10, 1000)
    assert.isUndefined(map.peek("a", 0))
    assert.deepStrictEqual(map.entries(0), [])
    assert.strictEqual(map.size, 0)
    map.get("a", 0)
    assert.isDefined(map.peek("a", 999))
    assert.deepStrictEqual(keysOf(map, 999), ["a"])
    assert.isUndefined(map.peek("a", 1000))
    assert.deepStrictEqual(keysOf(map, 1000), [])
    // still in memory: nothing runs in the background
    assert.strictEqual(map.size, 1)
  })

  it("an entry is gone after its idle time, and made anew", () => {
    const map = keyed(10, 1000)
    const first = map.get("a", 0)
    assert.strictEqual(map.get("a", 999), first)
    assert.strictEqual(map.get("a", 1998), first)
    const second = map.get("a", 2998)
    assert.notStrictEqual(second, first)
    assert.strictEqual(second.madeAt, 2998)
    assert.strictEqual(map.size, 1)
  })

  it("drops all that is idle when something new comes in", () => {
    const map = keyed(10, 1000)
    map.get("a", 0)
    map.get("b", 500)
    map.get("c", 600)
    map.get("b", 700)
    map.get("d", 1600)
    assert.strictEqual(map.size, 2)
    assert.deepStrictEqual(keysOf(map, 1600), ["b", "d"])
  })

  it("at its maximum, the one that was used least recently goes", () => {
    const map = keyed(3, 1000)
    map.get("a", 0)
    map.get("b", 1)
    map.get("c", 2)
    map.get("a", 3)
    map.get("c", 4)
    map.get("d", 5)
    assert.deepStrictEqual(keysOf(map, 5), ["a", "c", "d"])
    map.get("e", 6)
    assert.deepStrictEqual(keysOf(map, 6), ["c", "d", "e"])
    assert.strictEqual(map.size, 3)
  })

  it("using the last one again changes nothing", () => {
    const map = keyed(2, 1000)
    map.get("a", 0)
    map.get("b", 1)
    map.get("b", 2)
    map.get("b", 3)
    map.get("c", 4)
    assert.deepStrictEqual(keysOf(map, 4), ["b", "c"])
  })

  it("holds one", () => {
    const map = keyed(1, 1000)
    map.get("a", 0).reluctantUntil = 100
    map.get("b", 1)
    assert.deepStrictEqual(keysOf(map, 1), ["b"])
    map.get("c", 2)
    assert.deepStrictEqual(keysOf(map, 2), ["c"])
  })

  it("a reluctant one outlives its idle time, for as long as it is reluctant", () => {
    const map = keyed(10, 1000)
    const value = map.get("a", 0)
    value.reluctantUntil = 5000
    map.get("b", 0)
    map.get("c", 4000)
    assert.deepStrictEqual(keysOf(map, 4000), ["a", "c"])
    assert.strictEqual(map.peek("a", 4999), value)
    assert.isUndefined(map.peek("a", 5000))
    assert.strictEqual(map.size, 2)
    map.get("d", 5000)
    assert.strictEqual(map.size, 1)
    assert.deepStrictEqual(keysOf(map, 5000), ["d"])
  })

  it("a reluctant one that was set aside is used like any other", () => {
    const map = keyed(10, 1000)
    const value = map.get("a", 0)
    value.reluctantUntil = 5000
    map.get("b", 2000)
    assert.strictEqual(map.get("a", 2500), value)
    value.reluctantUntil = 0
    map.get("c", 3499)
    assert.strictEqual(map.peek("a", 3499), value)
    map.get("d", 3500)
    assert.deepStrictEqual(keysOf(map, 3500), ["c", "d"])
    assert.strictEqual(map.size, 2)
  })

  it("reluctant ones are evicted last", () => {
    const map = keyed(3, 1000)
    map.get("a", 0).reluctantUntil = 100
    map.get("b", 1).reluctantUntil = 100
    map.get("c", 2)
    map.get("d", 3)
    assert.deepStrictEqual(keysOf(map, 3), ["a", "b", "d"])
    map.get("e", 4)
    assert.deepStrictEqual(keysOf(map, 4), ["a", "b", "e"])
  })

  it("only where all are reluctant does one go, and the newcomer comes in", () => {
    const map = keyed(3, 1000)
    for (const key of ["a", "b", "c"]) map.get(key, 0).reluctantUntil = 100
    map.get("d", 1)
    assert.deepStrictEqual(keysOf(map, 1), ["b", "c", "d"])
    assert.strictEqual(map.size, 3)
  })

  it("of those set aside, one that is reluctant no more goes before the others", () => {
    const map = keyed(3, 1000)
    map.get("a", 0).reluctantUntil = 100
    map.get("b", 0).reluctantUntil = 10
    map.get("c", 0).reluctantUntil = 100
    map.get("d", 1).reluctantUntil = 100
    assert.deepStrictEqual(keysOf(map, 1), ["b", "c", "d"])
    map.get("e", 10).reluctantUntil = 100
    assert.deepStrictEqual(keysOf(map, 10), ["c", "d", "e"])
  })

  it("in search of one that is reluctant no more, it looks at sixteen", () => {
    for (const [place, found] of [
      [16, true],
      [17, false]
    ] as const) {
      let asked = 0
      const map = new KeyedMap<{ until: number }>({
        max: 40,
        idleTimeToLiveMs: 1e6,
        make: () => ({ until: 1000 }),
        keep: (value, now) => {
          asked++
          return now < value.until
        }
      })
      for (let i = 0; i < 40; i++) map.get(`${i}`, 0)
      // sets all aside; the first goes, and those that were looked at stand behind the others
      map.get("new", 1)
      const order = [...Array.from({ length: 24 }, (_, i) => i + 16), ...Array.from({ length: 15 }, (_, i) => i + 1)]
      // the first is looked at to see whether it is idle, and goes behind the others for it
      map.peek(`${order[place]}`, 1)!.until = 2
      asked = 0
      map.get("newer", 2)
      assert.strictEqual(map.peek(`${order[place]}`, 2) === undefined, found)
      assert.isAtMost(asked, 20)
      assert.strictEqual(map.size, 40)
    }
  })

  it("a clock that steps back stands still", () => {
    const map = keyed(10, 1000)
    const value = map.get("a", 5000)
    assert.strictEqual(map.get("a", 0), value)
    assert.strictEqual(map.peek("a", 0), value)
    assert.deepStrictEqual(keysOf(map, 0), ["a"])
    map.get("b", 5500)
    map.get("a", 0)
    assert.strictEqual(map.peek("a", 6499), value)
    assert.isUndefined(map.peek("a", 6500))
  })

  it("without `keep` nothing is reluctant", () => {
    const map = new KeyedMap({ max: 1, idleTimeToLiveMs: 10, make: (key) => key })
    map.get("a", 0)
    map.get("b", 0)
    assert.deepStrictEqual(map.entries(0), [["b", "b"]])
    assert.deepStrictEqual(map.entries(10), [])
  })

  it.effect("agrees with a plain list, where nothing is reluctant; never holds more than its maximum", () =>
    holds(
      Arbitrary.all({
        max: integers(1, 5),
        steps: Arbitrary.array(Arbitrary.all({ pass: integers(0, 40), key: integers(0, 8) }), { maxLength: 100 })
      }),
      ({ max, steps }) => {
        const map = keyed(max, 100)
        let used: Array<{ key: string; at: number; value: Value }> = []
        let now = 0
        return steps.every(({ key, pass }) => {
          now += pass
          used = used.filter(({ at }) => now - at < 100)
          const name = `${key}`
          const before = used.find((entry) => entry.key === name)
          const value = map.get(name, now)
          if (before !== undefined && before.value !== value) return false
          if (before === undefined && used.length === max) used.shift()
          used = [...used.filter((entry) => entry.key !== name), { key: name, at: now, value }]
          return (
            map.size <= max &&
            map.entries(now).length === used.length &&
            used.every((entry) => map.peek(entry.key, now) === entry.value)
          )
        })
      },
      { runs: 200 }
    )
  )

  it.effect("with few enough to look at, a reluctant one never goes while another could", () =>
    holds(
      Arbitrary.all({
        max: integers(1, 6),
        steps: Arbitrary.array(
          Arbitrary.all({ pass: integers(0, 40), key: integers(0, 9), reluctantFor: integers(-300, 200) }),
          { maxLength: 100 }
        )
      }),
      ({ max, steps }) => {
        const map = keyed(max, 100)
        let now = 0
        return steps.every(({ key, pass, reluctantFor }) => {
          now += pass
          const before = map.entries(now)
          const reluctant = before.filter(([, value]) => now < value.reluctantUntil)
          const isNew = map.peek(`${key}`, now) === undefined
          map.get(`${key}`, now)
          const gone = reluctant.filter(([key, value]) => map.peek(key, now) !== value)
          map.get(`${key}`, now).reluctantUntil = now + reluctantFor
          return map.size <= max && gone.length === (isNew && reluctant.length === max ? 1 : 0)
        })
      },
      { runs: 200 }
    )
  )
})
