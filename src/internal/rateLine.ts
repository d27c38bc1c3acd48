// Those who wait for the tokens of one limit: first come, first served. Only the first of them asks the store, and only when there
// is something to get. Whoever waits has taken nothing yet, so that whoever leaves leaves nothing behind.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Admitted, Rejected } from "../Guard.ts"
import { Link, Queue } from "./linked.ts"
import type { Answer, Quota } from "./rateQuota.ts"
import type { RateLimited } from "./rateLimited.ts"
import { after, nowMs } from "./time.ts"

/** Takes what one call uses: from a store in memory at once; from one that is shared, when it has answered. */
export type Take =
  | { readonly _tag: "Now"; readonly take: (now: number) => Answer }
  | { readonly _tag: "Later"; readonly take: Effect.Effect<Answer> }

export type Granted = Admitted | Rejected<RateLimited>

export interface LineOptions {
  readonly quota: Quota
  readonly take: Take
  readonly admitted: Admitted
  /** For one whose turn does not come in time. */
  readonly tooLate: (now: number) => Rejected<RateLimited>
  /** For everybody, when the store fails. */
  readonly failed: () => Granted
}

/** How long one may wait: whichever comes first. */
export interface Patience {
  /** Then it stops waiting. */
  readonly expiresAt: number
  /** Then it is stopped, by whoever set the deadline; infinite without one. */
  readonly deadline: number
}

export class Line {
  readonly #options: LineOptions
  readonly #queue = new Queue<Waiter>()
  /** The question to the store that is under way. Who asked may have left; then the answer is the next one's. */
  #asking: Fiber.Fiber<Answer> | undefined = undefined
  #size = 0

  constructor(options: LineOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#size
  }

  /** Waits at the end of the line. Interrupted, it is out of it. */
  wait(patience: Patience): Effect.Effect<Granted> {
    return Effect.withFiber((fiber) =>
      Effect.callback<Granted>((resume) => {
        const waiter = new Waiter(fiber, patience, resume)
        // interrupted after its turn has come and before it could say so: the tokens are the next one's
        fiber.addObserver((exit) => {
          if (waiter.hasTokens && Exit.isFailure(exit)) this.#passOn()
        })
        this.#join(waiter)
        return Effect.suspend(() => this.#leave(waiter))
      })
    )
  }

  /** Lets in whoever's turn it is, and sees to it that the next one is woken. To be called when the quota has changed. */
  advance(): void {
    const { quota } = this.#options
    for (let head = this.#queue.first; head !== undefined && this.#asking === undefined; head = this.#queue.first) {
      const now = nowMs(head.fiber)
      const at = quota.turnAt(0, now)
      if (at > head.patience.deadline || (at > now && at > head.patience.expiresAt)) this.#refuse(head, now)
      else if (at > now) return head.wakeIn(at - now, () => this.advance())
      else this.#ask(head, now)
    }
  }

  #join(waiter: Waiter): void {
    this.#queue.add(waiter)
    this.#size++
    if (this.#queue.first === waiter) this.advance()
    else waiter.wakeIn(waiter.patience.expiresAt - nowMs(waiter.fiber), () => this.#expire(waiter))
  }

  #expire(waiter: Waiter): void {
    // its turn may be this very moment, and the timer of the one ahead not have fired yet
    this.advance()
    // the first is about to be told in any case
    if (waiter.isWaiting && this.#queue.first !== waiter) this.#refuse(waiter, nowMs(waiter.fiber))
  }

  #leave(waiter: Waiter): Effect.Effect<unknown> {
    if (!waiter.isWaiting) return Effect.void
    const wasFirst = this.#queue.first === waiter
    this.#remove(waiter)
    const asking = this.#asking
    if (asking !== undefined && this.#queue.first === undefined) {
      this.#asking = undefined
      return Fiber.interrupt(asking)
    }
    if (wasFirst) this.advance()
    return Effect.void
  }

  #ask(head: Waiter, now: number): void {
    const { take } = this.#options
    if (take._tag === "Now") return this.#hear(take.take(now), now)
    const asking = Effect.runForkWith(head.fiber.context)(take.take)
    const exit = asking.pollUnsafe()
    if (exit !== undefined) return this.#end(exit, now)
    // all have left while the question was put
    if (this.#queue.first === undefined) return asking.interruptUnsafe()
    this.#asking = asking
    asking.addObserver((exit) => {
      // nobody waits any more
      if (this.#asking !== asking) return
      this.#asking = undefined
      this.#end(exit, nowMs(asking))
      this.advance()
    })
  }

  #end(exit: Exit.Exit<Answer>, now: number): void {
    if (Exit.isSuccess(exit)) return this.#hear(exit.value, now)
    // a store with a bug: nobody may go on waiting for it
    for (const waiter of this.#everybody()) waiter.resume(Effect.failCause(exit.cause))
  }

  #hear(answer: Answer, now: number): void {
    const { failed, quota } = this.#options
    quota.learn(answer, now)
    if (answer._tag === "Taken") this.#admitNext()
    // asked again for each of them, a store that is down would make them wait once more for each ahead
    if (answer._tag === "Failed") for (const waiter of this.#everybody()) waiter.resume(Effect.succeed(failed()))
  }

  /** There are tokens for one. If nobody is there any more, they are lost. */
  #admitNext(): void {
    const head = this.#queue.first
    if (head === undefined) return
    this.#remove(head)
    head.hasTokens = true
    head.resume(Effect.succeed(this.#options.admitted))
  }

  #passOn(): void {
    this.#admitNext()
    this.advance()
  }

  #refuse(waiter: Waiter, now: number): void {
    this.#remove(waiter)
    waiter.resume(Effect.succeed(this.#options.tooLate(now)))
  }

  #remove(waiter: Waiter): void {
    waiter.isWaiting = false
    waiter.unlink()
    waiter.disarm()
    this.#size--
  }

  /** Out of the line: so that nobody who comes while they are told stands among them. */
  #everybody(): ReadonlyArray<Waiter> {
    const all: Array<Waiter> = []
    for (let head = this.#queue.first; head !== undefined; head = this.#queue.first) {
      this.#remove(head)
      all.push(head)
    }
    return all
  }
}

class Waiter extends Link {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly patience: Patience
  readonly resume: (granted: Effect.Effect<Granted>) => void
  isWaiting = true
  hasTokens = false
  #disarm: (() => void) | undefined = undefined

  constructor(
    fiber: Fiber.Fiber<unknown, unknown>,
    patience: Patience,
    resume: (granted: Effect.Effect<Granted>) => void
  ) {
    super()
    this.fiber = fiber
    this.patience = patience
    this.resume = resume
  }

  wakeIn(ms: number, f: () => void): void {
    this.disarm()
    // a clock may count whole milliseconds only; woken too early, it would have to be woken again
    this.#disarm = after(this.fiber, Math.max(1, Math.ceil(ms)), f)
  }

  disarm(): void {
    this.#disarm?.()
    this.#disarm = undefined
  }
}
