// A bulkhead: one compartment, or one for each key, behind the contract of a guard.
import type { Admission, Admitted, Call, Outcome, Permit, Rejected } from "../Guard.ts"
import { rejected } from "../Guard.ts"
import { PerKey, type Keys } from "./perKey.ts"
import { rankOf } from "./priorities.ts"
import { Slots, type SlotsOptions } from "./slots.ts"
import { Turnover } from "./turnover.ts"
import { waitFor, type Impatience } from "./waitFor.ts"

export interface Snapshot {
  /** `undefined` for a bulkhead that is not keyed. */
  readonly key: string | undefined
  /** The limit in force. */
  readonly maxConcurrent: number
  /** How many calls hold a slot; more than `maxConcurrent` for a while, after it was lowered. */
  readonly inFlight: number
  readonly waiting: number
}

/** What all the compartments of a bulkhead share. */
export interface Shared<Rejection> extends Omit<SlotsOptions, "limit"> {
  readonly name: string
  readonly maxWaitMs: number
  /** `waitMs` is an estimate, live: when one that asked now could expect a slot. */
  readonly reject: (key: string | undefined, reason: Impatience, waitMs: () => number | undefined) => Rejection
}

export class Compartments<Rejection> {
  readonly #compartments: PerKey<Compartment<Rejection>>
  /** Of those to come. */
  #limit: number

  constructor(shared: Shared<Rejection>, limit: number, keys: Keys | undefined, now: number) {
    this.#limit = limit
    this.#compartments = new PerKey(
      {
        label: `bulkhead "${shared.name}"`,
        keys,
        make: (key) => new Compartment(shared, key, this.#limit),
        keep: ({ slots }) => slots.inFlight > 0 || slots.limit !== this.#limit
      },
      now
    )
  }

  look(call: Call): Rejection | undefined {
    return this.#compartments.find(call.key, call.now)?.look(call)
  }

  admit(call: Call): Admission<Rejection> {
    return this.#compartments.use(call.key, call.now).admit(call)
  }

  snapshot(key: string | undefined, now: number): Snapshot {
    const compartment = this.#compartments.find(key, now)
    return compartment === undefined
      ? { key, maxConcurrent: this.#limit, inFlight: 0, waiting: 0 }
      : compartment.snapshot()
  }

  snapshots(now: number): ReadonlyArray<Snapshot> {
    return this.#compartments.present(now).map(([, compartment]) => compartment.snapshot())
  }

  /** Of a keyed one without a key: all there are, and all to come. */
  resize(limit: number, key: string | undefined, now: number): void {
    if (key !== undefined) return this.#compartments.use(key, now).slots.resize(limit, now)
    this.#limit = limit
    for (const [, { slots }] of this.#compartments.present(now)) slots.resize(limit, now)
  }
}

/** It is the admission, and the permit, of every call that holds one of its slots: handing one out allocates nothing. */
class Compartment<Rejection> implements Admitted, Permit {
  readonly slots: Slots
  readonly #shared: Shared<Rejection>
  readonly #key: string | undefined
  readonly #turnover = new Turnover()
  readonly #refusals: { [reason in Impatience]?: Rejected<Rejection> } = {}

  constructor(shared: Shared<Rejection>, key: string | undefined, limit: number) {
    this.#shared = shared
    this.#key = key
    this.slots = new Slots({ ...shared, limit })
  }

  get _tag(): "Admitted" {
    return "Admitted"
  }

  get permit(): Permit {
    return this
  }

  look(call: Call): Rejection | undefined {
    return this.#refuses(call) ? this.#refusal("queue").rejection : undefined
  }

  admit(call: Call): Admission<Rejection> {
    const { slots } = this
    if (slots.tryAcquire()) return this
    if (this.#refuses(call)) return this.#refusal("queue")
    return waitFor<Rejection>({
      slots,
      call,
      maxWaitMs: this.#shared.maxWaitMs,
      admit: () => this,
      reject: (reason) => this.#refusal(reason)
    })
  }

  settle(outcome: Outcome, elapsed: number, now: number): void {
    // one that was given back unused says nothing of how long the others are held
    if (elapsed > 0 || outcome.kind !== "interrupted") this.#turnover.observe(elapsed)
    this.slots.release(now)
  }

  snapshot(): Snapshot {
    const { inFlight, limit, waiting } = this.slots
    return { key: this.#key, maxConcurrent: limit, inFlight, waiting }
  }

  #refuses(call: Call): boolean {
    const { slots } = this
    if (slots.isFree || slots.waiting < this.#shared.maxQueue) return false
    // to find out the priority costs more than the rest of a refusal
    return slots.waiting === 0 || !slots.hasPlace(rankOf(call.priority))
  }

  #refusal(reason: Impatience): Rejected<Rejection> {
    return (this.#refusals[reason] ??= rejected(this.#shared.reject(this.#key, reason, () => this.#waitMs())))
  }

  #waitMs(): number | undefined {
    const { inFlight, limit, waiting } = this.slots
    return this.#turnover.waitMs(limit, inFlight, waiting)
  }
}
