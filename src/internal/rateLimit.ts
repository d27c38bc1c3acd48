// One rate limit behind the contract of a guard: that of a service, or of one of its keys.
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Admission, Admitted, Call, Outcome, Permit, Rejected } from "../Guard.ts"
import { pending, rejected } from "../Guard.ts"
import type { Snapshot } from "../RateLimit.ts"
import { Quota } from "./rateQuota.ts"
import type { Answer, Rate } from "./rateQuota.ts"
import type { RateLimited, Reason } from "./rateLimited.ts"
import { Line } from "./rateLine.ts"
import type { Granted, Patience, Take } from "./rateLine.ts"
import type { OnStoreError } from "./rateStore.ts"
import { nowMs } from "./time.ts"

/** What all the limits of a service share. */
export interface Shared {
  readonly rate: Rate
  readonly window: Duration.Duration
  readonly maxWaitMs: number
  readonly retryAfterCeilingMs: number
  readonly onStoreError: OnStoreError
  readonly reject: (key: string | undefined, reason: Reason, at: number | undefined) => RateLimited
}

export class Limit implements Admitted, Permit {
  readonly _tag = "Admitted"
  readonly #shared: Shared
  readonly #key: string | undefined
  readonly #take: Take
  readonly #quota: Quota
  readonly #line: Line
  #refusal: Refusal | undefined = undefined

  constructor(shared: Shared, key: string | undefined, take: Take) {
    this.#shared = shared
    this.#key = key
    this.#take = take
    this.#quota = new Quota(shared.rate)
    this.#line = new Line({
      quota: this.#quota,
      take,
      admitted: this,
      tooLate: (now) => this.#rejection(now),
      failed: () => this.#failed()
    })
  }

  /** What is admitted gives nothing back, so all share one permit. */
  get permit(): Permit {
    return this
  }

  look(call: Call): RateLimited | undefined {
    const { now } = call
    const isFree = this.#line.size === 0 && this.#quota.turnAt(0, now) <= now
    return isFree || this.#isInTime(now, this.#patience(call)) ? undefined : this.#rejection(now).rejection
  }

  admit(call: Call): Admission<RateLimited> {
    const { now } = call
    // nobody passes those who wait
    if (this.#line.size === 0 && this.#quota.turnAt(0, now) <= now) {
      if (this.#take._tag === "Later") return pending(this.#ask(this.#take.take, this.#patience(call)))
      const answer = this.#take.take(now)
      this.#quota.learn(answer, now)
      if (answer._tag === "Taken") return this
    }
    const patience = this.#patience(call)
    return this.#isInTime(now, patience) ? pending(this.#line.wait(patience)) : this.#rejection(now)
  }

  /** Those who ask a store that is shared do not wait for each other, before one of them is refused. */
  #ask(take: Effect.Effect<Answer>, patience: Patience): Effect.Effect<Granted> {
    return Effect.withFiber((fiber) =>
      Effect.flatMap(take, (answer) => {
        const now = nowMs(fiber)
        this.#quota.learn(answer, now)
        if (answer._tag === "Taken") return Effect.succeed(this)
        if (answer._tag === "Failed") return Effect.succeed(this.#failed())
        return this.#isInTime(now, patience) ? this.#line.wait(patience) : Effect.succeed(this.#rejection(now))
      })
    )
  }

  settle(outcome: Outcome, _elapsed: number, now: number): void {
    if (outcome.kind !== "throttled" || outcome.retryAfter === undefined) return
    this.#quota.drain(Math.min(Duration.toMillis(outcome.retryAfter), this.#shared.retryAfterCeilingMs), now)
    this.#line.advance()
  }

  /** Whether one made anew would do the same. */
  isFresh(now: number): boolean {
    return this.#line.size === 0 && this.#quota.isFresh(now)
  }

  snapshot(now: number): Snapshot {
    const { rate, window } = this.#shared
    return {
      key: this.#key,
      limit: rate.limit,
      window,
      remaining: this.#quota.remaining(now),
      waiting: this.#line.size,
      retryAfter: left(this.#turnAt(now), now),
      drainedFor: left(this.#quota.drainedUntil, now)
    }
  }

  #patience({ deadline = Number.POSITIVE_INFINITY, now }: Call): Patience {
    return { expiresAt: now + this.#shared.maxWaitMs, deadline }
  }

  /** Of one that comes now. */
  #turnAt(now: number): number {
    return this.#quota.turnAt(this.#line.size, now)
  }

  #isInTime(now: number, { deadline, expiresAt }: Patience): boolean {
    const at = this.#turnAt(now)
    return at <= expiresAt && at <= deadline
  }

  #rejection(now: number): Rejected<RateLimited> {
    const isDrained = now < this.#quota.drainedUntil
    return this.#reject(isDrained ? "drained" : this.#shared.maxWaitMs === 0 ? "limit" : "wait", this.#turnAt(now))
  }

  #failed(): Granted {
    return this.#shared.onStoreError === "admit" ? this : this.#reject("store", undefined)
  }

  #reject(reason: Reason, at: number | undefined): Rejected<RateLimited> {
    if (this.#refusal?.reason !== reason || this.#refusal.at !== at) {
      this.#refusal = { reason, at, rejected: rejected(this.#shared.reject(this.#key, reason, at)) }
    }
    return this.#refusal.rejected
  }
}

/** The latest, because the next one is mostly the same. */
interface Refusal {
  readonly reason: Reason
  readonly at: number | undefined
  readonly rejected: Rejected<RateLimited>
}

const left = (at: number, now: number): Duration.Duration | undefined =>
  at > now ? Duration.millis(Math.ceil(at - now)) : undefined
