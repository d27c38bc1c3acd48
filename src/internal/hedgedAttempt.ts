// An attempt that hedges another one: how it is seen from inside, and how it comes to run. When it starts, and what becomes of it, is the
// business of its round (see hedging.ts).
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Call as GuardCall } from "../Guard.ts"
import * as Admission from "./admission.ts"
import type { Budget, Token } from "./budget.ts"
import { note } from "./callEvents.ts"
import { attemptEnds, type Frame } from "./currentCall.ts"
import type { Call } from "./engine.ts"
import { evaluated } from "./evaluated.ts"
import { reasonOf, tagOf, type Emit } from "./events.ts"
import { Permits } from "./permits.ts"
import type { Plan } from "./plan.ts"

/** An attempt that starts while another one of the same call still runs. As an effect it goes from admission to its end. */
export class Hedge extends Permits implements Frame, Admission.Entrant {
  readonly plan: Plan
  /** Of attempts that wait for admission together, the first to run is the earlier one. */
  number: number
  readonly kind = "hedge"
  readonly task = undefined
  readonly call: Call
  now: number
  asking: GuardCall | undefined = undefined
  attemptStartedMs = 0
  tokens: ReadonlyArray<Token> | undefined = undefined
  /** Whether the guards have let it through. */
  ran = false
  /** To be told of it, where it had to wait. */
  whenRun: (() => void) | undefined = undefined

  constructor(call: Call) {
    super()
    this.call = call
    this.plan = call.plan
    this.number = call.begun + 1
    this.now = call.now
  }

  // -- as seen from inside ----------------------------------------------------------------------------------------------

  get live(): boolean {
    return this.call.live
  }
  get parent(): Frame | undefined {
    return this.call.parent
  }
  get policy(): string {
    return this.plan.name
  }
  get attempt(): number {
    return this.number
  }
  get history() {
    return this.call.history
  }
  get deadline() {
    return this.call.deadline
  }
  get attemptEnds() {
    return attemptEnds(this.attemptStartedMs, this.plan.attemptTimeoutMs, this.parent, this.call.startedMs)
  }
  get idempotencyKey(): string | undefined {
    return this.call.idempotencyKey
  }
  get priority() {
    return this.call.priority
  }
  get interposer() {
    return this.call.interposer
  }
  uses(budget: Budget, key: string | undefined): boolean {
    return this.call.uses(budget, key)
  }

  // -- admission --------------------------------------------------------------------------------------------------------

  get options() {
    return this.call.options
  }
  get fiber() {
    return this.call.fiber
  }
  get around() {
    return this.call.around
  }
  get emit(): Emit | undefined {
    return this.call.emit
  }
  readNow(): number {
    return this.call.readNow()
  }
  ownTimeLeft(): number | undefined {
    const at = this.call.ownDeadlineMs
    return at === undefined ? undefined : at - this.now
  }

  /** Without admission it simply does not start: the call has another attempt. */
  rejected(guard: string, rejection: unknown): Effect.Effect<never, unknown> {
    const { call } = this
    if (call.emit !== undefined) {
      const attempt = this.number
      note(call, "GuardRejected", { guard, attempt, error: tagOf(rejection), reason: reasonOf(rejection) })
      note(call, "HedgeDenied", { attempt, reason: "rejected", deniedBy: guard })
    }
    return Effect.fail(rejection)
  }

  deadlineExceeded(): Effect.Effect<never, unknown> {
    return Effect.interrupt
  }

  runAttempt(): Effect.Effect<unknown, unknown, unknown> {
    const { call } = this
    this.ran = true
    this.attemptStartedMs = this.now
    this.whenRun?.()
    this.number = ++call.begun
    if (call.emit !== undefined) {
      note(call, "HedgeStarted", { attempt: this.number, after: Duration.millis(this.now - call.attemptStartedMs) })
    }
    return Effect.provideContext(call.attemptEffect(this.number), call.attemptContext(this) as Context.Context<unknown>)
  }

  /** It has never run. */
  cancel(): void {
    this.release()
    const { tokens } = this
    this.tokens = undefined
    if (tokens !== undefined) for (const token of tokens) token.cancel(this.call.now)
  }

  override later(effect: Effect.Effect<void>): void {
    this.call.later(effect)
  }
}

/** The same class: its instances are effects. */
export const HedgeEffect = /*#__PURE__*/ evaluated(Hedge, function () {
  return Admission.admit(this, 0)
})
