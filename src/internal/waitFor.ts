// Waiting for a slot: what a guard with a queue answers when none is free.
import * as Effect from "effect/Effect"
import type { Fiber } from "effect"
import { pending } from "../Guard.ts"
import type { Admitted, Call, Pending, Rejected } from "../Guard.ts"
import { graceMs } from "./currentCall.ts"
import { rankOf } from "./priorities.ts"
import { Waiter, type Answer, type Slots } from "./slots.ts"
import { after, nowMs } from "./time.ts"

/** Why one that would wait is refused: the queue is full, one came that matters more, or it has waited long enough. */
export type Impatience = "queue" | "displaced" | "wait"

export interface WaitOptions<Rejection> {
  readonly slots: Slots
  readonly call: Call
  readonly maxWaitMs: number
  /** For one that has got its slot. What it returns may go unused: an interruption may come first, and give the slot back. */
  readonly admit: (now: number) => Admitted
  readonly reject: (reason: Impatience) => Rejected<Rejection>
}

type Granted<Rejection> = Admitted | Rejected<Rejection>

/** Joins the queue when it is run, not before: an answer that nobody runs leaves nothing in it. */
export const waitFor = <Rejection>(options: WaitOptions<Rejection>): Pending<Rejection> =>
  pending(
    Effect.withFiber((fiber) =>
      Effect.callback<Granted<Rejection>>((resume) => new Turn(options, fiber, resume).begin())
    )
  )

class Turn<Rejection> extends Waiter {
  readonly rank: number
  readonly #options: WaitOptions<Rejection>
  readonly #fiber: Fiber.Fiber<unknown, unknown>
  readonly #resume: (effect: Effect.Effect<Granted<Rejection>>) => void
  readonly #since: number
  #begun = false
  #disarm: (() => void) | undefined = undefined

  constructor(
    options: WaitOptions<Rejection>,
    fiber: Fiber.Fiber<unknown, unknown>,
    resume: (effect: Effect.Effect<Granted<Rejection>>) => void
  ) {
    super()
    this.#options = options
    this.#fiber = fiber
    this.#resume = resume
    this.#since = nowMs(fiber)
    this.rank = rankOf(options.call.priority)
  }

  /** The one in force now. One that had passed before interrupts nobody: what runs then is a finalizer, or on its own. */
  get deadline(): number | undefined {
    const at = this.#options.call.deadline
    return at !== undefined && at > this.#since ? at : undefined
  }

  begin(): Effect.Effect<void> {
    const isIn = this.#options.slots.enqueue(this, this.#since)
    if (!isIn) this.#end("queue")
    else if (this.state !== "granted") this.#disarm = after(this.#fiber, this.#patienceMs(), () => this.#lose())
    this.#begun = true
    return Effect.sync(() => this.#leave())
  }

  answered(answer: Answer): void {
    // of a deadline its owner speaks; if that has ended meanwhile, the timer does
    if (answer === "expired") return
    if (this.#begun) this.#end(answer)
    // resumed before its clean-up is in place, the callback could be interrupted with a slot in its hands
    else this.#fiber.currentDispatcher.scheduleTask(() => this.#end(answer), 0)
  }

  /** Where the deadline comes first, its owner speaks first: of two timers for one moment any may fire first. */
  #patienceMs(): number {
    const { maxWaitMs } = this.#options
    const { deadline } = this
    return deadline !== undefined && deadline <= this.#since + maxWaitMs ? maxWaitMs + graceMs : maxWaitMs
  }

  #lose(): void {
    this.#leave()
    this.#end("wait")
  }

  #end(answer: "granted" | Impatience): void {
    const { admit, reject } = this.#options
    this.#disarm?.()
    this.#resume(Effect.succeed(answer === "granted" ? admit(nowMs(this.#fiber)) : reject(answer)))
  }

  #leave(): void {
    this.#options.slots.leave(this, nowMs(this.#fiber))
    this.#disarm?.()
  }
}
