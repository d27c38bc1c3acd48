/**
 * Which idempotency keys are in use, and what their requests were answered with: the store in memory. Pure; synchronous, and so
 * atomic. `now` is monotonic milliseconds.
 */
import { Shares } from "./idempotencyShares.ts"
import type { Begun } from "./idempotencyStore.ts"
import type { StoredResponse } from "./storedResponse.ts"

interface Running {
  readonly fingerprint: string
  readonly caller: string
  readonly claim: string
}

interface Finished {
  readonly fingerprint: string
  readonly caller: string
  readonly response: StoredResponse | undefined
  readonly expiresAt: number
}

export class Ledger {
  readonly #max: number
  readonly #timeToLiveMs: number
  readonly #running = new Map<string, Running>()
  /** In the order in which they finished, and so in which they expire. */
  readonly #finished = new Map<string, Finished>()
  readonly #shares = new Shares()
  #claims = 0

  constructor(max: number, timeToLiveMs: number) {
    this.#max = max
    this.#timeToLiveMs = timeToLiveMs
  }

  /** How many keys are in memory. */
  get size(): number {
    return this.#running.size + this.#finished.size
  }

  /** `undefined`: there is no room, because what would have to go is running. */
  begin(key: string, fingerprint: string, caller: string, now: number): Begun | undefined {
    this.#expire(now)
    const running = this.#running.get(key)
    const finished = this.#finished.get(key)
    const known = running ?? finished
    if (known !== undefined && known.fingerprint !== fingerprint) return { _tag: "Mismatch" }
    if (running !== undefined) return { _tag: "InProgress" }
    if (finished !== undefined) return { _tag: "Completed", response: finished.response }
    if (!this.#makeRoom(caller)) return undefined
    const claim = String(++this.#claims)
    this.#running.set(key, { fingerprint, caller, claim })
    this.#shares.begin(caller)
    return { _tag: "Started", claim }
  }

  complete(key: string, claim: string, response: StoredResponse | undefined, now: number): void {
    const running = this.#running.get(key)
    if (running?.claim !== claim) return
    this.#running.delete(key)
    const { caller, fingerprint } = running
    this.#finished.set(key, { fingerprint, caller, response, expiresAt: now + this.#timeToLiveMs })
    this.#shares.answer(caller, key)
  }

  release(key: string, claim: string): void {
    const running = this.#running.get(key)
    if (running?.claim !== claim) return
    this.#running.delete(key)
    this.#shares.end(running.caller, key)
  }

  #expire(now: number): void {
    for (const [key, { expiresAt }] of this.#finished) {
      if (expiresAt > now) return
      this.#forget(key)
    }
  }

  /** What runs is never forgotten, because it would run again. */
  #makeRoom(caller: string): boolean {
    if (this.size < this.#max) return true
    const key = this.#shares.toGiveUp(caller)
    if (key !== undefined) this.#forget(key)
    return key !== undefined
  }

  #forget(key: string): void {
    this.#shares.end(this.#finished.get(key)!.caller, key)
    this.#finished.delete(key)
  }
}
