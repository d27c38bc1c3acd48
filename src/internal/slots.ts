// How many may run at once, and a queue in front of them: what a bulkhead and an adaptive limit have in common. Every operation
// is O(1), whatever the number of those that wait; letting in several at once takes a step for each.
//
// What an operation changes is changed before anybody hears of it: whoever is answered may run at once, ask again, and end, all
// within the operation that answered.
import { Link, Queue } from "./linked.ts"
import { levels } from "./priorities.ts"

/**
 * Who is served first among those that matter equally: the first come, the last come, or ("adaptive") the first come until the
 * queue has stood for a while, and then the last come, until it is empty again.
 */
export type Order = "fifo" | "lifo" | "adaptive"

export interface SlotsOptions {
  /** A whole number of 0 or more. */
  readonly limit: number
  /** A whole number of 0 or more. */
  readonly maxQueue: number
  readonly order: Order
  /** How long the queue must not have been empty before an adaptive order turns to the last come. */
  readonly standingMs: number
}

/**
 * - `granted`: it holds a slot, which it must release.
 * - `displaced`: the queue was full, and one came that matters more.
 * - `expired`: its turn came when its deadline had passed. It holds nothing.
 */
export type Answer = "granted" | "displaced" | "expired"

/** One that waits. It gets one answer, unless it leaves before. */
export abstract class Waiter extends Link {
  state: "new" | "waiting" | "gone" | Answer = "new"
  /** See `rankOf`: 0 is served first, 4 is displaced first. */
  abstract readonly rank: number
  /** It is not let in from then on. */
  abstract readonly deadline: number | undefined
  abstract answered(answer: Answer): void
}

export class Slots {
  readonly #maxQueue: number
  readonly #order: Order
  readonly #standingMs: number
  /** One for each level, the one that matters most first. */
  readonly #queues: ReadonlyArray<Queue<Waiter>> = levels.map(() => new Queue())
  /** Those whose answer stands, but who have not heard it yet. */
  readonly #unheard = new Queue<Waiter>()
  #limit: number
  #inFlight = 0
  #waiting = 0
  /** Since when somebody has waited without a break. */
  #standingSince = 0
  #telling = false

  constructor({ limit, maxQueue, order, standingMs }: SlotsOptions) {
    this.#limit = limit
    this.#maxQueue = maxQueue
    this.#order = order
    this.#standingMs = standingMs
  }

  get limit(): number {
    return this.#limit
  }

  /** More than the limit for a while, after it was lowered. */
  get inFlight(): number {
    return this.#inFlight
  }

  get waiting(): number {
    return this.#waiting
  }

  /** Whether a newcomer would get a slot at once: then nobody waits, because a slot that is given back goes to those that do. */
  get isFree(): boolean {
    return this.#inFlight < this.#limit
  }

  /** Takes a slot, if one is free for a newcomer. */
  tryAcquire(): boolean {
    if (!this.isFree) return false
    this.#inFlight++
    return true
  }

  /** Whether a newcomer of this rank would find a place in the queue, its own or that of one who matters less. */
  hasPlace(rank: number): boolean {
    return this.#waiting < this.#maxQueue || this.#lowestBelow(rank) !== undefined
  }

  /**
   * Joins the queue, or has a slot at once if one is free. False if there is no place, not even that of one that matters less: of
   * those, the one that would be served last makes room.
   */
  enqueue(waiter: Waiter, now: number): boolean {
    if (!this.isFree && this.#waiting >= this.#maxQueue) {
      const queue = this.#lowestBelow(waiter.rank)
      if (queue === undefined) return false
      this.#answer(this.#isLastComeFirst(now) ? queue.first! : queue.last!, "displaced")
    }
    if (this.#waiting === 0) this.#standingSince = now
    waiter.state = "waiting"
    this.#waiting++
    this.#queues[waiter.rank]!.add(waiter)
    this.#fill(now)
    return true
  }

  /** Gives back whatever it has, a place in the queue or a slot; it hears nothing any more. */
  leave(waiter: Waiter, now: number): void {
    const { state } = waiter
    waiter.unlink()
    waiter.state = "gone"
    if (state === "waiting") this.#waiting--
    else if (state === "granted") this.release(now)
  }

  /** Gives back a slot: the next in the queue gets it. */
  release(now: number): void {
    this.#inFlight--
    this.#fill(now)
  }

  /** Those that run go on; where the limit is lower than their number, nobody is let in until they are fewer. */
  resize(limit: number, now: number): void {
    this.#limit = limit
    this.#fill(now)
  }

  #fill(now: number): void {
    while (this.#waiting > 0 && this.#inFlight < this.#limit) {
      const waiter = this.#next(now)
      if (waiter.deadline !== undefined && waiter.deadline <= now) {
        this.#answer(waiter, "expired")
      } else {
        this.#inFlight++
        this.#answer(waiter, "granted")
      }
    }
    this.#tell()
  }

  #next(now: number): Waiter {
    const queue = this.#queues.find((queue) => queue.first !== undefined)!
    return this.#isLastComeFirst(now) ? queue.last! : queue.first!
  }

  #lowestBelow(rank: number): Queue<Waiter> | undefined {
    for (let i = levels.length - 1; i > rank; i--) {
      if (this.#queues[i]!.first !== undefined) return this.#queues[i]
    }
    return undefined
  }

  #isLastComeFirst(now: number): boolean {
    return this.#order === "lifo" || (this.#order === "adaptive" && now - this.#standingSince >= this.#standingMs)
  }

  #answer(waiter: Waiter, answer: Answer): void {
    waiter.state = answer
    this.#waiting--
    this.#unheard.add(waiter)
  }

  // Not recursive: where each that is let in ends at once, a long queue would fill the stack
  #tell(): void {
    if (this.#telling) return
    this.#telling = true
    try {
      for (let waiter = this.#unheard.first; waiter !== undefined; waiter = this.#unheard.first) {
        waiter.unlink()
        waiter.answered(waiter.state as Answer)
      }
    } finally {
      this.#telling = false
    }
  }
}
