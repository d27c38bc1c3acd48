/**
 * Which idempotency keys are in use, and what their requests were answered with: the store in memory. Pure; synchronous, and so
 * atomic. `now` is monotonic milliseconds.
 */
import type { Begun } from "./idempotencyStore.ts"
import type { StoredResponse } from "./storedResponse.ts"

interface Running {
  readonly fingerprint: string
  readonly claim: string
}

interface Finished {
  readonly fingerprint: string
  readonly response: StoredResponse | undefined
  readonly expiresAt: number
}

export class Ledger {
  readonly #max: number
  readonly #timeToLiveMs: number
  readonly #running = new Map<string, Running>()
  /** In the order in which they finished, and so in which they expire. */
  readonly #finished = new Map<string, Finished>()
  #claims = 0

  constructor(max: number, timeToLiveMs: number) {
    this.#max = max
    this.#timeToLiveMs = timeToLiveMs
  }

  /** How many keys are in memory. */
  get size(): number {
    return this.#running.size + this.#finished.size
  }

  /** `undefined`: there is no room, because as many requests as it holds keys are running. */
  begin(key: string, fingerprint: string, now: number): Begun | undefined {
    this.#expire(now)
    const running = this.#running.get(key)
    const finished = this.#finished.get(key)
    const known = running ?? finished
    if (known !== undefined && known.fingerprint !== fingerprint) return { _tag: "Mismatch" }
    if (running !== undefined) return { _tag: "InProgress" }
    if (finished !== undefined) return { _tag: "Completed", response: finished.response }
    if (!this.#makeRoom()) return undefined
    const claim = String(++this.#claims)
    this.#running.set(key, { fingerprint, claim })
    return { _tag: "Started", claim }
  }

  complete(key: string, claim: string, response: StoredResponse | undefined, now: number): void {
    const running = this.#running.get(key)
    if (running?.claim !== claim) return
    this.#running.delete(key)
    this.#finished.set(key, { fingerprint: running.fingerprint, response, expiresAt: now + this.#timeToLiveMs })
  }

  release(key: string, claim: string): void {
    if (this.#running.get(key)?.claim === claim) this.#running.delete(key)
  }

  #expire(now: number): void {
    for (const [key, { expiresAt }] of this.#finished) {
      if (expiresAt > now) return
      this.#finished.delete(key)
    }
  }

  /** The one that is nearest to its end goes first; what runs never does, because it would run again. */
  #makeRoom(): boolean {
    if (this.size < this.#max) return true
    for (const key of this.#finished.keys()) return this.#finished.delete(key)
    return false
  }
}
