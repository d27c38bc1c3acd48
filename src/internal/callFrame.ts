// One call, as it is seen: by guards and budgets, by its events, and by the calls nested in it. What becomes of it is the engine's business.
import * as Context from "effect/Context"
import * as Schedule from "effect/Schedule"
import type { Clock, Effect, Fiber } from "effect"
import type { Call as GuardCall } from "../Guard.ts"
import { Key } from "../Idempotency.ts"
import type { Budget, BudgetCall, Token } from "./budget.ts"
import * as Budgets from "./callBudgets.ts"
import { note } from "./callEvents.ts"
import {
  armedFor,
  attemptEnds,
  CurrentCall,
  innermostLive,
  nearest,
  type DeadlineInForce,
  type Frame
} from "./currentCall.ts"
import type { AttemptKind, Emit } from "./events.ts"
import type { History } from "./history.ts"
import type { Interposer } from "./interposer.ts"
import type { Failed } from "./outcome.ts"
import { Permits } from "./permits.ts"
import type { CallOptions, Plan } from "./plan.ts"
import { priorityIn, type Level } from "./priorities.ts"
import type { Retries } from "./retries.ts"
import { emitterWith } from "./spanEvents.ts"
import { surroundings, type Surroundings } from "./surroundings.ts"
import { monotonicMs } from "./time.ts"

/** Which limit of our own has cut an attempt. */
export type Cut = "timeout" | "deadline" | undefined

/** How an attempt, or a round of them, has failed. */
export interface Ended {
  readonly failed: Failed
  readonly cut: Cut
}

export abstract class CallFrame extends Permits implements Frame {
  readonly plan: Plan
  readonly options: CallOptions | undefined
  readonly self: Effect.Effect<unknown, unknown, unknown>
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly around: Surroundings
  readonly parent: Frame | undefined
  readonly startedMs: number
  /**
   * The policy's own deadline, which this call raises. It is armed also where another around is nearer, whose owner then interrupts
   * first: this call may outlive that owner.
   */
  readonly ownDeadlineMs: number | undefined
  readonly emit: Emit | undefined

  live = true
  /**
   * "settled": the attempts of a hedged round have ended, and everybody was told. "over": what comes out is decided already, and only
   * passes through.
   */
  state: "between" | "running" | "settled" | "over" = "between"
  /** Of the attempt in progress, or to come. */
  number = 1
  /** How many attempts have begun: one that a guard refuses has not. */
  begun = 0
  kind: AttemptKind = "first"
  now: number
  attemptStartedMs = 0
  /** Set when one of our own limits cut the attempt: then it is not the classifier's business. */
  cut: Cut = undefined
  contextSet = false
  asking: GuardCall | undefined = undefined
  budgets: Array<BudgetCall> | undefined = undefined
  tokens: ReadonlyArray<Token> | undefined = undefined
  idempotencyKey: string | undefined
  /** From the first failure on. */
  retries: Retries | undefined = undefined
  /** Of attempts that hedged each other, the one that has won. */
  winner: AttemptKind | undefined = undefined
  /** The failure that a hedged round has ended with. */
  ended: Ended | undefined = undefined

  constructor(
    plan: Plan,
    options: CallOptions | undefined,
    self: Effect.Effect<unknown, unknown, unknown>,
    fiber: Fiber.Fiber<unknown, unknown>
  ) {
    super()
    this.plan = plan
    this.options = options
    this.self = self
    this.fiber = fiber
    const around = (this.around = surroundings(plan, fiber.context))
    this.parent = innermostLive(around.frame)
    this.startedMs = this.now = monotonicMs(around.clock)
    this.idempotencyKey = options?.idempotencyKey
    this.ownDeadlineMs =
      plan.deadlineMs === undefined
        ? undefined
        : this.startedMs + armedFor(plan.deadlineMs, this.parent, this.startedMs)
    this.emit = emitterWith(fiber, around.listener)
    if (this.emit !== undefined) note(this, "CallStarted", {})
  }

  get clock(): Clock.Clock {
    return this.around.clock
  }

  /** The context around the call; the attempts run in their own. */
  get context(): Context.Context<never> {
    return this.around.context
  }

  uses(budget: Budget, key: string | undefined): boolean {
    return Budgets.uses(this, budget, key)
  }

  get policy(): string {
    return this.plan.name
  }

  get deadline(): DeadlineInForce | undefined {
    const at = this.ownDeadlineMs
    return nearest(at === undefined ? undefined : { at, owner: this.plan.name }, this.parent, this.startedMs)
  }

  get attempt(): number {
    return this.number
  }

  get attemptEnds(): number | undefined {
    const timeout = this.state === "running" ? this.plan.attemptTimeoutMs : undefined
    return attemptEnds(this.attemptStartedMs, timeout, this.parent, this.startedMs)
  }

  get priority(): Level {
    return priorityIn(this.context, this.parent)
  }

  get task(): undefined {
    return undefined
  }

  get history(): History | undefined {
    return this.retries?.history
  }

  get interposer(): Interposer | undefined {
    return this.parent?.interposer
  }

  /** When the same request may be sent again although the dependency may have acted on it. */
  get resend(): "always" | "unprocessed" | "never" {
    return this.options?.resend ?? (this.plan.repeatable ? "always" : "unprocessed")
  }

  get lastError(): unknown {
    return this.retries?.lastFailed.error
  }

  // -- the context of an attempt -----------------------------------------------------------------------------------------

  /** Of an attempt that nested calls will see as `frame`. */
  attemptContext(frame: Frame): Context.Context<never> {
    // quicker than `Context.add`, which finds out first in which of two styles it is called
    let context: Context.Context<never> = Context.addUnsafe(this.context, CurrentCall.key, frame)
    if (this.retries !== undefined) {
      context = Context.add(context, Schedule.CurrentMetadata, this.retries.metadata)
    } else if (this.around.retrying) {
      // an outer retry's metadata is not about this attempt
      context = Context.add(context, Schedule.CurrentMetadata, Schedule.CurrentMetadata.defaultValue())
    }
    if (this.plan.keyed) return Context.add(context, Key, this.idempotencyKey!)
    // another operation's key is never inherited, whether that still runs or not; another that the user has provided in between stays
    const inherited = this.around.frame?.idempotencyKey
    if (inherited === undefined || Context.getOrUndefined(context as Context.Context<Key>, Key) !== inherited)
      return context
    return Context.omit(Key)(context)
  }

  /** Something runs in a context of its own, until `leave`. */
  enter(context: Context.Context<never>): void {
    this.contextSet = true
    this.fiber.setContext(context)
  }

  leave(): void {
    if (!this.contextSet) return
    this.contextSet = false
    this.fiber.setContext(this.context)
  }

  // -- time -------------------------------------------------------------------------------------------------------------

  readNow(): number {
    return monotonicMs(this.clock)
  }

  ownTimeLeft(): number | undefined {
    return this.ownDeadlineMs === undefined ? undefined : this.ownDeadlineMs - this.now
  }
}
