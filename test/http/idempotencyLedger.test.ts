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
  readonly claim: string
  response?: StoredResponse | undefined
  endedAt?: number
}

class Reference {
  known: Array<Known> = []
  claims = 0
  readonly max: number
  readonly timeToLiveMs: number
  constructor(max: number, timeToLiveMs: number) {
    this.max = max
    this.timeToLiveMs = timeToLiveMs
  }
  begin(key: string, fingerprint: string, now: number): Begun | undefined {
    this.known = this.known.filter(({ endedAt }) => endedAt === undefined || now - endedAt < this.timeToLiveMs)
    const found = this.known.find((known) => known.key === key)
    if (found !== undefined) {
      if (found.fingerprint !== fingerprint) return { _tag: "Mismatch" }
      return found.endedAt === undefined ? { _tag: "InProgress" } : { _tag: "Completed", response: found.response }
    }
    if (this.known.length === this.max) {
      const ended = this.known.filter(({ endedAt }) => endedAt !== undefined)
      if (ended.length === 0) return undefined
      const oldest = ended.reduce((a, b) => (b.endedAt! < a.endedAt! ? b : a))
      this.known = this.known.filter((known) => known !== oldest)
    }
    const claim = String(++this.claims)
    this.known.push({ key, fingerprint, claim })
    return { _tag: "Started", claim }
  }
  complete(key: string, claim: string, response: StoredResponse | undefined, now: number): void {
    const found = this.known.find((known) => known.key === key && known.claim === claim && known.endedAt === undefined)
    if (found === undefined) return
    // those that end at one moment go in the order in which they ended
    this.known = [...this.known.filter((known) => known !== found), { ...found, response, endedAt: now }]
  }
  release(key: string, claim: string): void {
    this.known = this.known.filter((known) => known.key !== key || known.claim !== claim || known.endedAt !== undefined)
  }
}

const step = Schema.Struct({
  operation: Schema.Literals(["begin", "begin", "begin", "complete", "complete", "release"]),
  key: Schema.Literals(["a", "b", "c", "d", "e"]),
  fingerprint: Schema.Literals(["x", "x", "x", "y"]),
  claim: Schema.Int.check(Schema.isBetween({ minimum: -2, maximum: 0 })),
  after: Schema.Literals([0, 1, 4, 10])
})

describe("the store in memory", () => {
  it.effect("does what the reference does", () =>
    holds(
      Arbitrary.schema(Schema.Struct({ max: Schema.Literals([1, 2, 4]), steps: Schema.Array(step) })),
      ({ max, steps }) => {
        const ledger = new Ledger(max, 10)
        const reference = new Reference(max, 10)
        let now = 1_000
        for (const [i, { after, claim, fingerprint, key, operation }] of steps.entries()) {
          now += after
          if (operation === "begin") {
            const [is, should] = [ledger.begin(key, fingerprint, now), reference.begin(key, fingerprint, now)]
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
    assert.deepStrictEqual(ledger.begin("k", "x", 0), { _tag: "Started", claim: "1" })
    ledger.release("k", "1")
    assert.deepStrictEqual(ledger.begin("k", "x", 0), { _tag: "Started", claim: "2" })
    ledger.complete("k", "1", answer(500), 0)
    ledger.release("k", "1")
    assert.deepStrictEqual(ledger.begin("k", "x", 0), { _tag: "InProgress" })
    ledger.complete("k", "2", answer(200), 0)
    ledger.release("k", "2")
    ledger.complete("k", "2", answer(500), 0)
    assert.deepStrictEqual(ledger.begin("k", "x", 0), { _tag: "Completed", response: answer(200) })
  })

  it("forgets the answer nearest to its end when it is full, and what runs never", () => {
    const ledger = new Ledger(2, 1_000)
    ledger.begin("old", "x", 0)
    ledger.begin("new", "x", 0)
    ledger.complete("new", "2", answer(200), 1)
    ledger.complete("old", "1", answer(200), 2)
    ledger.begin("third", "x", 3)
    assert.strictEqual(ledger.begin("old", "x", 3)?._tag, "Completed")
    assert.strictEqual(ledger.begin("new", "x", 3)?._tag, "Started")
    assert.isUndefined(ledger.begin("fourth", "x", 3))
    assert.strictEqual(ledger.size, 2)
  })
})
