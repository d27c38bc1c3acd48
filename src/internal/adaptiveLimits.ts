// An adaptive limit behind the contract of a guard: one estimate, or one for each key, with the slots that it allows.
import * as Duration from "effect/Duration"
import type { Admission, Admitted, Call, Outcome, Permit, Rejected } from "../Guard.ts"
import { rejected } from "../Guard.ts"
import type { Reason } from "./concurrencyLimited.ts"
import { Headroom } from "./headroom.ts"
import { LimitEstimator } from "./limits.ts"
import type { Settings } from "./limits.ts"
import { PerKey, type Keys } from "./perKey.ts"
import { levels, rankOf } from "./priorities.ts"
import type { Level } from "./priorities.ts"
import { Slots, type SlotsOptions } from "./slots.ts"
import { Turnover } from "./turnover.ts"
import { waitFor } from "./waitFor.ts"

export interface Snapshot {
  /** `undefined` for a limit that is not keyed. */
  readonly key: string | undefined
  /** How many calls may be in flight. */
  readonly limit: number
  /** Whether it is lowered for a moment, to see how long calls take when none has to wait. */
  readonly probing: boolean
  /** How long calls take when none has to wait; `undefined` until it has been measured, and if nothing depends on it. */
  readonly noLoad: Duration.Duration | undefined
  /** More than `limit` for a while, after it has fallen. */
  readonly inFlight: number
  readonly waiting: number
  /** How many slots calls of each priority must leave free for more important ones. */
  readonly keptFree: { readonly [level in Level]: number }
}

/** What outcomes mean that need not mean that the dependency is overloaded. */
export interface Count {
  readonly failed: "dropped" | "ignored"
  readonly throttled: "dropped" | "ignored"
  readonly defect: "dropped" | "ignored"
}

/** What all the limits of a keyed one share. */
export interface Shared<Rejection> extends Omit<SlotsOptions, "limit"> {
  readonly name: string
  readonly settings: Settings
  readonly maxWaitMs: number
  readonly count: Count
  /** Of whoever asks. */
  readonly now: () => number
  /** From `now` to milliseconds since the epoch, which all clients of a dependency share. */
  readonly epochMs: number
  /** `waitMs` is an estimate, live: when one that asked now could expect a slot. */
  readonly reject: (key: string | undefined, reason: Reason, waitMs: () => number | undefined) => Rejection
}

/**
 * In how long the slots that are kept free become half as many. In a simulation (50 slots, calls of 0.1 s; critical ones for 0.3 of
 * the slots, background ones for three times of them) 0.7 % of the critical calls are refused then, and 8 % of the slots are idle; with
 * neither, 70 % are refused. Shorter, more are refused; longer, more are idle, and for longer.
 */
const headroomHalfLifeMs = 3_000

/** What takes less has not reached the dependency: so Netflix's WindowedLimit has it. */
const shortestMs = 0.1

export class AdaptiveLimits<Rejection> {
  readonly #shared: Shared<Rejection>
  readonly #limits: PerKey<GuardedLimit<Rejection>>

  constructor(shared: Shared<Rejection>, keys: Keys | undefined, now: number) {
    this.#shared = shared
    this.#limits = new PerKey(
      {
        label: `adaptive limit "${shared.name}"`,
        keys,
        make: (key) => new GuardedLimit(shared, key),
        keep: (limit) => limit.isUsed
      },
      now
    )
  }

  look(call: Call): Rejection | undefined {
    return this.#limits.find(call.key, call.now)?.look(call)
  }

  admit(call: Call): Admission<Rejection> {
    return this.#limits.use(call.key, call.now).admit(call)
  }

  snapshot(key: string | undefined, now: number): Snapshot {
    return (this.#limits.find(key, now) ?? new GuardedLimit(this.#shared, key)).snapshot(now)
  }

  snapshots(now: number): ReadonlyArray<Snapshot> {
    return this.#limits.present(now).map(([, limit]) => limit.snapshot(now))
  }
}

class GuardedLimit<Rejection> {
  readonly #shared: Shared<Rejection>
  readonly #key: string | undefined
  readonly #estimator: LimitEstimator
  readonly #slots: Slots
  readonly #turnover = new Turnover()
  /** Where calls can wait, the important ones go first, and nothing need be kept free for them. */
  readonly #headroom: Headroom | undefined
  /** The n-th is for calls that begin as the n-th in flight: handing one out allocates nothing. */
  readonly #tickets: Array<Ticket<Rejection>> = []
  readonly #refusals: { [reason in Reason]?: Rejected<Rejection> } = {}
  readonly #byPriority: Array<Rejected<Rejection> | undefined> = levels.map(() => undefined)

  constructor(shared: Shared<Rejection>, key: string | undefined) {
    this.#shared = shared
    this.#key = key
    this.#estimator = new LimitEstimator(shared.settings)
    this.#slots = new Slots({ ...shared, limit: this.#estimator.limit })
    this.#headroom = shared.maxQueue === 0 ? new Headroom(headroomHalfLifeMs) : undefined
  }

  get isUsed(): boolean {
    return this.#slots.inFlight > 0
  }

  /** It learns from refusing, also here: the call ends with it. */
  look(call: Call): Rejection | undefined {
    return this.#refuse(call)?.rejection
  }

  admit(call: Call): Admission<Rejection> {
    const refusal = this.#refuse(call)
    if (refusal !== undefined) return refusal
    const slots = this.#slots
    if (slots.tryAcquire()) return this.#ticket()
    // where calls are refused because the queue is full, others have come here before
    this.#estimator.press()
    return waitFor<Rejection>({
      slots,
      call,
      maxWaitMs: this.#shared.maxWaitMs,
      admit: () => this.#ticket(),
      reject: (reason) => this.#refusal(reason)
    })
  }

  settle(began: number, outcome: Outcome, elapsedMs: number, now: number): void {
    // one that was given back unused says nothing of how long the others are held
    if (elapsedMs > 0 || outcome.kind !== "interrupted") this.#turnover.observe(elapsedMs)
    const meaning = meaningOf(outcome, this.#shared.count)
    if (meaning === "dropped" || (meaning === "answered" && elapsedMs >= shortestMs)) {
      const estimator = this.#estimator
      estimator.sample(now + this.#shared.epochMs, elapsedMs, began, meaning === "dropped")
      if (estimator.limit !== this.#slots.limit) this.#slots.resize(estimator.limit, now)
    }
    this.#slots.release(now)
  }

  snapshot(now: number): Snapshot {
    const { inFlight, limit, waiting } = this.#slots
    const { isProbing, noLoadMs } = this.#estimator
    const kept = levels.map((level, rank) => [level, this.#keptFrom(rank, now)] as const)
    return {
      key: this.#key,
      limit,
      probing: isProbing,
      noLoad: noLoadMs === undefined ? undefined : Duration.millis(noLoadMs),
      inFlight,
      waiting,
      keptFree: Object.fromEntries(kept) as Record<Level, number>
    }
  }

  #ticket(): Ticket<Rejection> {
    const { inFlight } = this.#slots
    return (this.#tickets[inFlight] ??= new Ticket(this, inFlight))
  }

  #refuse(call: Call): Rejected<Rejection> | undefined {
    return this.#headroom === undefined ? this.#refuseToWait(call) : this.#refuseAtOnce(call, this.#headroom)
  }

  #refuseToWait(call: Call): Rejected<Rejection> | undefined {
    const slots = this.#slots
    return slots.isFree || slots.hasPlace(rankOf(call.priority)) ? undefined : this.#refusal("queue")
  }

  #refuseAtOnce(call: Call, headroom: Headroom): Rejected<Rejection> | undefined {
    const { inFlight, isFree, limit } = this.#slots
    if (isFree && headroom.isNone) return undefined
    const rank = rankOf(call.priority)
    if (isFree && inFlight + headroom.keptFrom(rank, call.now) < limit) return undefined
    this.#estimator.press()
    // a probe refuses calls that need not be refused
    if (!this.#estimator.isProbing) headroom.refused(rank, limit, call.now)
    return isFree ? this.#priority(rank) : this.#refusal("limit")
  }

  #refusal(reason: Exclude<Reason, "priority">): Rejected<Rejection> {
    return (this.#refusals[reason] ??= this.#rejected(reason, () => 0))
  }

  #priority(rank: number): Rejected<Rejection> {
    return (this.#byPriority[rank] ??= this.#rejected("priority", () => this.#keptFrom(rank, this.#shared.now())))
  }

  #rejected(reason: Reason, kept: () => number): Rejected<Rejection> {
    const waitMs = () => {
      const { inFlight, limit, waiting } = this.#slots
      return this.#turnover.waitMs(limit - kept(), inFlight, waiting)
    }
    return rejected(this.#shared.reject(this.#key, reason, waitMs))
  }

  /** In whole slots: less than one keeps none. */
  #keptFrom(rank: number, now: number): number {
    return Math.floor(this.#headroom?.keptFrom(rank, now) ?? 0)
  }
}

/** The admission and its permit in one object. It knows of the one call only how many were in flight when it began. */
class Ticket<Rejection> implements Admitted, Permit {
  readonly #limit: GuardedLimit<Rejection>
  readonly #began: number

  constructor(limit: GuardedLimit<Rejection>, began: number) {
    this.#limit = limit
    this.#began = began
  }

  get _tag(): "Admitted" {
    return "Admitted"
  }

  get permit(): Permit {
    return this
  }

  settle(outcome: Outcome, elapsed: number, now: number): void {
    this.#limit.settle(this.#began, outcome, elapsed, now)
  }
}

const meaningOf = ({ health, kind }: Outcome, count: Count): "answered" | "dropped" | "ignored" => {
  switch (kind) {
    case "interrupted":
      return "ignored"
    case "timeout":
      return "dropped"
    // the classifier may say that it is well, and only the caller's share is used up
    case "throttled":
      return health === "ok" ? "ignored" : count.throttled
    case "defect":
      return health === "ok" ? "answered" : health === "failed" ? count.defect : "ignored"
    default:
      return health === "ok" ? "answered" : health === "failed" ? count.failed : "ignored"
  }
}
