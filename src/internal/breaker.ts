// A breaker: one circuit, or one for each key, behind the contract of a guard.
import * as Duration from "effect/Duration"
import type { Admission, Admitted, Call, Outcome, Permit, Rejected } from "../Guard.ts"
import { rejected } from "../Guard.ts"
import { Circuit, firstGeneration } from "./circuit.ts"
import type { Health, Settings, State } from "./circuit.ts"
import type { Emit } from "./events.ts"
import { PerKey, type Keys } from "./perKey.ts"

export interface Snapshot {
  /** `undefined` for a breaker that is not keyed. */
  readonly key: string | undefined
  readonly state: State
  /** From 0 to 1: what the trip's rate is. `undefined` while there is not enough data, or if the trip counts no rate. */
  readonly rate: number | undefined
  /** How many calls the rate is taken over; of a trip that counts failures in a row, how many there were. */
  readonly calls: number
  /** How long it will still be open; `undefined` if it is not. */
  readonly retryAfter: Duration.Duration | undefined
}

export type Refusing = Exclude<State, "closed">

/** What all the circuits of a breaker share. */
export interface Shared<Rejection> extends Settings {
  readonly name: string
  /** Of the place where it is built. */
  readonly now: () => number
  /** How an outcome counts, where that is not as the classifier says. */
  readonly count: { readonly throttled?: Health | undefined; readonly defect?: Health | undefined }
  readonly reject: (key: string | undefined, state: Refusing, until: number | undefined) => Rejection
  /** Says that a circuit has changed. Whoever caused it may listen. */
  readonly changed: (emit: Emit | undefined, key: string | undefined, from: State, to: State) => void
}

/** What every circuit of a keyed breaker is to be, the future ones included. */
type Mode = { readonly state: "open"; readonly until: number } | { readonly state: Exclude<State, "open"> }

export class Breaker<Rejection> {
  readonly #shared: Shared<Rejection>
  readonly #keyed: boolean
  readonly #circuits: PerKey<GuardedCircuit<Rejection>>
  #mode: Mode = { state: "closed" }

  constructor(shared: Shared<Rejection>, keys: Keys | undefined, initial: State) {
    this.#shared = shared
    this.#keyed = keys !== undefined
    const now = shared.now()
    if (initial !== "open") this.#mode = { state: initial }
    else if (this.#keyed) this.#mode = this.#openMode(now, undefined)
    this.#circuits = new PerKey(
      {
        label: `circuit breaker "${shared.name}"`,
        keys,
        make: (key, now) => this.#make(key, now),
        keep: (circuit, now) => this.#isWorthKeeping(circuit, now, keys!.idleTimeToLiveMs)
      },
      now
    )
    if (!this.#keyed && initial === "open") this.#circuits.use(undefined, now).open(now)
  }

  // -- the guard ---------------------------------------------------------------------------------------------------------

  look(call: Call): Rejection | undefined {
    const circuit = this.#circuits.find(call.key, call.now)
    if (circuit === undefined) {
      const state = this.#modeAt(call.now)
      return state === "open" || state === "isolated"
        ? this.#shared.reject(call.key, state, this.#modeUntil(call.now))
        : undefined
    }
    return circuit.state !== "closed" && circuit.rejects(call.now) ? circuit.rejection(call.now).rejection : undefined
  }

  admit(call: Call): Admission<Rejection> {
    const circuit = this.#circuits.use(call.key, call.now)
    if (circuit.state !== "closed") {
      this.#move(circuit, call.emit, () => circuit.expire(call.now))
      let isAdmitted = false
      this.#move(circuit, call.emit, () => (isAdmitted = circuit.admit(call.now)))
      if (!isAdmitted) return circuit.rejection(call.now)
    }
    return circuit.admission(call.emit)
  }

  // -- reading -----------------------------------------------------------------------------------------------------------

  state(key: string | undefined, now: number): State {
    return this.#circuits.find(key, now)?.stateAt(now) ?? this.#modeAt(now)
  }

  snapshot(key: string | undefined, now: number): Snapshot {
    const circuit = this.#circuits.find(key, now)
    return circuit === undefined
      ? { key, state: this.#modeAt(now), rate: undefined, calls: 0, retryAfter: left(this.#modeUntil(now), now) }
      : circuit.snapshot(now)
  }

  snapshots(now: number): ReadonlyArray<Snapshot> {
    return this.#circuits.present(now).map(([, circuit]) => circuit.snapshot(now))
  }

  // -- by hand -----------------------------------------------------------------------------------------------------------

  open(key: string | undefined, forMs: number | undefined, now: number, emit: Emit | undefined): void {
    const isAll = this.#keyed && key === undefined
    if (isAll && this.#mode.state !== "isolated") this.#mode = this.#openMode(now, forMs)
    for (const circuit of isAll ? this.#all(now) : [this.#circuits.use(key, now)]) {
      this.#move(circuit, emit, () => circuit.expire(now))
      if (circuit.state === "isolated") continue
      this.#move(circuit, emit, () => circuit.open(now, forMs === undefined ? undefined : now + forMs))
    }
  }

  isolate(key: string | undefined, now: number, emit: Emit | undefined): void {
    this.#set("isolated", key, now, emit)
  }

  close(key: string | undefined, now: number, emit: Emit | undefined): void {
    this.#set("closed", key, now, emit)
  }

  #set(to: "closed" | "isolated", key: string | undefined, now: number, emit: Emit | undefined): void {
    const isAll = this.#keyed && key === undefined
    if (isAll) this.#mode = { state: to }
    for (const circuit of isAll ? this.#all(now) : [this.#circuits.use(key, now)]) {
      this.#move(circuit, emit, () => circuit.expire(now))
      this.#move(circuit, emit, () => (to === "closed" ? circuit.close() : circuit.isolate()))
    }
  }

  // -- the circuits ------------------------------------------------------------------------------------------------------

  #all(now: number): ReadonlyArray<GuardedCircuit<Rejection>> {
    return this.#circuits.present(now).map(([, circuit]) => circuit)
  }

  #make(key: string | undefined, now: number): GuardedCircuit<Rejection> {
    const circuit = new GuardedCircuit(this.#shared, key)
    const state = this.#modeAt(now)
    if (state === "open") circuit.open(now, this.#modeUntil(now))
    else if (state === "half-open") circuit.halfOpen(now)
    else if (state === "isolated") circuit.isolate()
    return circuit
  }

  /** One that would be another if it were forgotten and made anew. */
  #isWorthKeeping(circuit: GuardedCircuit<Rejection>, now: number, idleTimeToLiveMs: number): boolean {
    const mode = this.#modeAt(now)
    if (mode === "isolated") return circuit.state !== "isolated"
    if (mode === "open" && circuit.state === "closed") return true
    return now < circuit.eventfulUntil + idleTimeToLiveMs
  }

  #openMode(now: number, forMs: number | undefined): Mode {
    return { state: "open", until: now + (forMs ?? this.#shared.openTimes()()) }
  }

  /** An opening of all circuits is over, for those to come, when its time is. */
  #modeAt(now: number): State {
    return this.#mode.state === "open" && now >= this.#mode.until ? "closed" : this.#mode.state
  }

  #modeUntil(now: number): number | undefined {
    return this.#mode.state === "open" && now < this.#mode.until ? this.#mode.until : undefined
  }

  #move(circuit: GuardedCircuit<Rejection>, emit: Emit | undefined, f: () => void): void {
    const from = circuit.state
    f()
    if (circuit.state !== from) this.#shared.changed(emit, circuit.key, from, circuit.state)
  }
}

/**
 * A circuit with what it hands out: one object for each generation, so that neither admitting nor rejecting allocates. For the first, which
 * many keys never leave, it is its own ticket.
 */
class GuardedCircuit<Rejection> extends Circuit<Shared<Rejection>> implements Ticket {
  readonly key: string | undefined
  #ticket: OwnTicket<Rejection> | undefined = undefined
  #refusal: Refusal<Rejection> | undefined = undefined

  constructor(shared: Shared<Rejection>, key: string | undefined) {
    super(shared)
    this.key = key
  }

  get _tag(): "Admitted" {
    return "Admitted"
  }

  get permit(): Permit {
    return this
  }

  settle(outcome: Outcome, elapsed: number, now: number): void {
    this.settleIn(firstGeneration, undefined, outcome, elapsed, now)
  }

  admission(emit: Emit | undefined): Ticket {
    // one that speaks to a listener is not kept: it would keep alive who was called last
    if (emit !== undefined) return new OwnTicket(this, this.generation, emit)
    if (this.generation === firstGeneration) return this
    const ticket = this.#ticket
    return ticket !== undefined && ticket.generation === this.generation
      ? ticket
      : (this.#ticket = new OwnTicket(this, this.generation, undefined))
  }

  /** How a call let through in this generation has ended. */
  settleIn(generation: number, emit: Emit | undefined, outcome: Outcome, elapsed: number, now: number): void {
    const { changed, count } = this.settings
    const from = this.state
    this.conclude(
      generation,
      healthOf(outcome, count),
      elapsed,
      outcome.retryAfter && Duration.toMillis(outcome.retryAfter),
      now
    )
    if (this.state !== from) changed(emit, this.key, from, this.state)
  }

  rejection(now: number): Rejected<Rejection> {
    if (this.#refusal === undefined || this.#refusal.generation !== this.generation) {
      const rejection = this.settings.reject(this.key, this.state as Refusing, this.openUntil(now))
      this.#refusal = { generation: this.generation, rejected: rejected(rejection) }
    }
    return this.#refusal.rejected
  }

  snapshot(now: number): Snapshot {
    return {
      key: this.key,
      state: this.stateAt(now),
      ...this.read(now),
      retryAfter: left(this.openUntil(now), now)
    }
  }
}

interface Refusal<Rejection> {
  readonly generation: number
  readonly rejected: Rejected<Rejection>
}

/** The admission and its permit in one object, because a circuit keeps one. */
type Ticket = Admitted & Permit

/** An object of its own: for a later generation, or for one call that speaks to a listener. */
class OwnTicket<Rejection> implements Ticket {
  readonly generation: number
  readonly emit: Emit | undefined
  readonly #circuit: GuardedCircuit<Rejection>

  constructor(circuit: GuardedCircuit<Rejection>, generation: number, emit: Emit | undefined) {
    this.#circuit = circuit
    this.generation = generation
    this.emit = emit
  }

  get _tag(): "Admitted" {
    return "Admitted"
  }

  get permit(): Permit {
    return this
  }

  settle(outcome: Outcome, elapsed: number, now: number): void {
    this.#circuit.settleIn(this.generation, this.emit, outcome, elapsed, now)
  }
}

const healthOf = (outcome: Outcome, count: Shared<unknown>["count"]): Health => {
  switch (outcome.kind) {
    case "interrupted":
      return "ignored"
    case "throttled":
      return count.throttled ?? outcome.health
    case "defect":
      return count.defect ?? outcome.health
    default:
      return outcome.health
  }
}

/** In whole milliseconds, rounded up: who waits so long is not too early. */
const left = (until: number | undefined, now: number): Duration.Duration | undefined =>
  until === undefined ? undefined : Duration.millis(Math.ceil(until - now))
