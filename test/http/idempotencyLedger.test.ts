// The store in memory against a slow reference: lists, searched from end to end.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Ledger } from "../../src/http/idempotencyLedger.ts"
import type { Begun } from "../../src/http/idempotencyStore.ts"
import type { StoredResponse } from "../../src/http/storedResponse.ts"
import { holds } from "../property.ts"

const answer = (status: number): StoredResponse => ({ status, headers: {}, cookies: [], body: new Uint8Array(0) })

interface Known {
  readonly key: string
  readonly fingerprint: string
  readonly caller: string
  readonly claim: string
  response?: StoredResponse | undefined
  endedAt?: number
}

class Reference {
  known: Array<Known> = []
  claims = 0
  /** The callers, the one whose share has changed last at the end. */
  changed: Array<string> = []
  readonly max: number
  readonly timeToLiveMs: number
  constructor(max: number, timeToLiveMs: number) {
    this.max = max
    this.timeToLiveMs = timeToLiveMs
  }
  begin(key: string, fingerprint: string, caller: string, now: number): Begun | undefined {
    const expired = this.known.filter(({ endedAt }) => endedAt !== undefined && now - endedAt >= this.timeToLiveMs)
    for (const known of expired) this.#forget(known)
    const found = this.known.find((known) => known.key === key)
    if (found !== undefined) {
      if (found.fingerprint !== fingerprint) return { _tag: "Mismatch" }
      return found.endedAt === undefined ? { _tag: "InProgress" } : { _tag: "Completed", response: found.response }
    }
    if (this.known.length === this.max) {
      const victim = this.#victim(caller)
      if (victim === undefined) return undefined
      this.#forget(victim)
    }
    const claim = String(++this.claims)
    this.known.push({ key, fingerprint, caller, claim })
    this.#change(caller)
    return { _tag: "Started", claim }
  }
  #of(caller: string): ReadonlyArray<Known> {
    return this.known.filter((known) => known.caller === caller)
  }
  #victim(caller: string): Known | undefined {
    const answered = (caller: string) => this.#of(caller).find(({ endedAt }) => endedAt !== undefined)
    const givers = this.changed.filter((caller) => answered(caller) !== undefined)
    const most = Math.max(0, ...givers.map((caller) => this.#of(caller).length))
    const share = this.#of(caller).length + 1
    if (share > most || (share === most && answered(caller) !== undefined)) return answered(caller)
    return answered(givers.find((caller) => this.#of(caller).length === most)!)
  }
  #change(caller: string): void {
    this.changed = [...this.changed.filter((other) => other !== caller), caller]
  }
  #forget(known: Known): void {
    this.known = this.known.filter((other) => other !== known)
    this.#change(known.caller)
  }
  complete(key: string, claim: string, response: StoredResponse | undefined, now: number): void {
    const found = this.known.find((known) => known.key === key && known.claim === claim && known.endedAt === undefined)
    if (found === undefined) return
    // those that end at one moment go in the order in which they ended
    this.known = [...this.known.filter((known) => known !== found), { ...found, response, endedAt: now }]
    this.#change(found.caller)
  }
  release(key: string, claim: string): void {
    const found = this.known.find((known) => known.key === key && known.claim === claim && known.endedAt === undefined)
    if (found !== undefined) this.#forget(found)
  }
}

const step = Schema.Struct({
  operation: Schema.Literals(["begin", "begin", "begin", "complete", "complete", "release"]),
  key: Schema.Literals(["a", "b", "c", "d", "e", "f", "g", "h"]),
  caller: Schema.Literals(["ada", "ada", "bob", "eve"]),
  fingerprint: Schema.Literals(["x", "x", "x", "y"]),
  claim: Schema.Int.check(Schema.isBetween({ minimum: -2, maximum: 0 })),
  after: Schema.Literals([0, 1, 4, 10])
})

describe("the store in memory", () => {
  it.effect("does what the reference does", () =>
    holds(
      Arbitrary.schema(Schema.Struct({ max: Schema.Literals([1, 2, 4, 6]), steps: Schema.Array(step) })),
      ({ max, steps }) => {
        const ledger = new Ledger(max, 10)
        const reference = new Reference(max, 10)
        let now = 1_000
        for (const [i, { after, caller, claim, fingerprint, key, operation }] of steps.entries()) {
          now += after
          if (operation === "begin") {
            const is = ledger.begin(key, fingerprint, caller, now)
            const should = reference.begin(key, fingerprint, caller, now)
            if (JSON.stringify(is) !== JSON.stringify(should)) return false
            if (ledger.size !== reference.known.length) return false
          } else {
            // the claim of one of the latest, or one that nobody has
            const latest = reference.known.findLast((known) => known.key === key)?.claim
            const name = claim === 0 && latest !== undefined ? latest : String(reference.claims + claim)
            const response = i % 2 === 0 ? answer(i) : undefined
            if (operation === "complete") {
              ledger.complete(key, name, response, now)
              reference.complete(key, name, response, now)
            } else {
              ledger.release(key, name)
              reference.release(key, name)
            }
            if (ledger.size > max) return false
          }
        }
        return true
      },
      { runs: 2_000 }
    )
  )

  it("is not changed by who has lost the claim", () => {
    const ledger = new Ledger(10, 10)
    assert.deepStrictEqual(ledger.begin("k", "x", "ada", 0), { _tag: "Started", claim: "1" })
    ledger.release("k", "1")
    assert.deepStrictEqual(ledger.begin("k", "x", "ada", 0), { _tag: "Started", claim: "2" })
    ledger.complete("k", "1", answer(500), 0)
    ledger.release("k", "1")
    assert.deepStrictEqual(ledger.begin("k", "x", "ada", 0), { _tag: "InProgress" })
    ledger.complete("k", "2", answer(200), 0)
    ledger.release("k", "2")
    ledger.complete("k", "2", answer(500), 0)
    assert.deepStrictEqual(ledger.begin("k", "x", "ada", 0), { _tag: "Completed", response: answer(200) })
  })

  it("forgets the answer nearest to its end when it is full, and what runs never", () => {
    const ledger = new Ledger(2, 1_000)
    ledger.begin("old", "x", "ada", 0)
    ledger.begin("new", "x", "ada", 0)
    ledger.complete("new", "2", answer(200), 1)
    ledger.complete("old", "1", answer(200), 2)
    ledger.begin("third", "x", "ada", 3)
    assert.strictEqual(ledger.begin("old", "x", "ada", 3)?._tag, "Completed")
    assert.strictEqual(ledger.begin("new", "x", "ada", 3)?._tag, "Started")
    assert.isUndefined(ledger.begin("fourth", "x", "ada", 3))
    assert.strictEqual(ledger.size, 2)
  })

  describe("when it is full", () => {
    /** Begins, and answers, unless it is to go on. */
    const keep = (ledger: Ledger, caller: string, keys: number, running = false) => {
      for (let i = 0; i < keys; i++) {
        const begun = ledger.begin(`${caller}${i}`, "x", caller, 0)
        if (begun?._tag === "Started" && !running) ledger.complete(`${caller}${i}`, begun.claim, answer(200), 0)
      }
    }
    /** Which of a caller's keys are there, each asked of a ledger of its own, because one that is not there is begun by asking. */
    const kept = (make: () => Ledger, caller: string, keys: number) =>
      Array.from({ length: keys }, (_, i) => i).filter(
        (i) => make().begin(`${caller}${i}`, "other", caller, 0)?._tag === "Mismatch"
      )

    it("a flood pushes out its own answers, and nobody else's", () => {
      const make = () => {
        const ledger = new Ledger(100, 1_000)
        keep(ledger, "ada", 20)
        keep(ledger, "eve", 1_000)
        return ledger
      }
      assert.strictEqual(make().size, 100)
      assert.strictEqual(kept(make, "ada", 20).length, 20)
    })

    it("who has less than others takes from whoever has most, until both have the same", () => {
      const make = () => {
        const ledger = new Ledger(12, 1_000)
        keep(ledger, "eve", 10)
        keep(ledger, "ada", 2)
        keep(ledger, "bob", 9)
        return ledger
      }
      assert.deepStrictEqual(kept(make, "ada", 2), [0, 1])
      assert.deepStrictEqual(kept(make, "eve", 10), [5, 6, 7, 8, 9])
      assert.deepStrictEqual(kept(make, "bob", 9), [4, 5, 6, 7, 8])
    })

    it("who has most, and only requests that run, gets no more; others do", () => {
      const make = () => {
        const ledger = new Ledger(10, 1_000)
        keep(ledger, "ada", 2)
        keep(ledger, "eve", 100, true)
        return ledger
      }
      assert.deepStrictEqual(kept(make, "ada", 2), [0, 1])
      assert.isUndefined(make().begin("eve", "x", "eve", 0))
      assert.strictEqual(make().begin("bob", "x", "bob", 0)?._tag, "Started")
    })
  })
})
