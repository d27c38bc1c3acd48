// The one loop. It runs one call of a policy: admits each attempt through the guards, runs it within its time, tells guards and
// budgets how it ended, and decides whether there is another. It knows contracts only, never a concrete guard or budget.
//
// Two frames of the runtime carry a call: `finish` around everything, `failed` inside it. Both are on the stack before the first
// permit is asked for, and what is held stands in fields of the call; so an interruption between any two operations of the
// runtime finds the frame that gives everything back.
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type { Clock, Fiber } from "effect"
import type { Call as GuardCall, Outcome } from "../Guard.ts"
import { Key } from "../Idempotency.ts"
import * as Admission from "./admission.ts"
import { bounded, defectsOf } from "./bounded.ts"
import type { Budget, BudgetCall, Token } from "./budget.ts"
import * as Budgets from "./callBudgets.ts"
import type { Chaos } from "./chaos.ts"
import {
  errorTag,
  keySaid,
  note,
  noteAttempt,
  noteAttemptEnd,
  noteDeadline,
  noteEnd,
  noteFailure
} from "./callEvents.ts"
import {
  armedFor,
  attemptEnds,
  CurrentCall,
  innermostLive,
  nearest,
  type DeadlineInForce,
  type Frame
} from "./currentCall.ts"
import { isDraining } from "./draining.ts"
import { AttemptTimeout, DeadlineExceeded, RetryExhausted, type Reason } from "./errors.ts"
import { labelOf, reasonOf, tagOf, type AttemptKind, type Emit } from "./events.ts"
import { evaluated } from "./evaluated.ts"
import { hedged } from "./hedging.ts"
import type { History } from "./history.ts"
import * as Outcomes from "./outcome.ts"
import { Permits } from "./permits.ts"
import type { CallOptions, Plan } from "./plan.ts"
import { priorityIn, type Level } from "./priorities.ts"
import { Retries } from "./retries.ts"
import { emitterWith } from "./spanEvents.ts"
import { stackless } from "./stackless.ts"
import { surroundings, type Surroundings } from "./surroundings.ts"
import { monotonicMs } from "./time.ts"
import { name } from "./validate.ts"

/** Which limit of our own has cut an attempt. */
export type Cut = "timeout" | "deadline" | undefined

/** How an attempt, or a round of them, has failed. */
export interface Ended {
  readonly failed: Outcomes.Failed
  readonly cut: Cut
}

interface Refusal {
  readonly deniedBy?: string | undefined
  readonly rejection?: unknown
}

/** Runs `self` as one call of the policy. */
export const run = <A, E, R>(
  plan: Plan,
  options: CallOptions | undefined,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, unknown, R> => new Run(plan, options, self) as never

/** The call that is still to be made: each run of it is a call of its own. */
class Run {
  readonly plan: Plan
  readonly options: CallOptions | undefined
  readonly self: Effect.Effect<unknown, unknown, unknown>

  constructor(plan: Plan, options: CallOptions | undefined, self: Effect.Effect<unknown, unknown, unknown>) {
    this.plan = plan
    this.options = options
    this.self = self
  }
}

evaluated(Run, function (fiber) {
  const call = new Call(this.plan, this.options, this.self, fiber)
  return call.refused() ?? Effect.onExitPrimitive(call.next(), (exit) => call.finish(exit))
})

/** One call. As an effect it is the next attempt, from admission on. */
export class Call extends Permits implements Frame {
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

  readonly task = undefined
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
    const around = (this.around = surroundings(plan, fiber))
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

  get history(): History | undefined {
    return this.retries?.history
  }

  get chaos(): Chaos | undefined {
    return this.parent?.chaos
  }

  /** When the same request may be sent again although the dependency may have acted on it. */
  get resend(): "always" | "unprocessed" | "never" {
    return this.options?.resend ?? (this.plan.repeatable ? "always" : "unprocessed")
  }

  get lastError(): unknown {
    return this.retries?.lastFailed.error
  }

  // -- one attempt ------------------------------------------------------------------------------------------------------

  /** A free look before anything is begun: what it returns ends the call. */
  refused(): Effect.Effect<never, unknown> | undefined {
    try {
      return Admission.look(this, 0)
    } catch (defect) {
      return this.giveUp(Cause.die(defect), undefined)
    }
  }

  /** From admission to decision. */
  next(): Effect.Effect<unknown, unknown, never> {
    return Effect.catchCause(this as never, (cause) => this.failed(cause)) as Effect.Effect<unknown, unknown, never>
  }

  begin(): Effect.Effect<unknown, unknown, unknown> {
    if (this.number === 1) {
      if (this.plan.keyed && this.idempotencyKey === undefined) return this.mint()
      if (this.plan.budgets.length > 0) Budgets.begin(this)
      return Admission.admit(this, 0)
    }
    this.now = this.readNow()
    this.asking = undefined
    // it may have begun while this call slept
    if (isDraining(this.fiber)) return this.exhausted("draining")
    return Admission.look(this, 0) ?? Admission.admit(this, 0)
  }

  private mint(): Effect.Effect<unknown, unknown, unknown> {
    const mint = bounded(this.fiber, this.context, this.plan.mint!, this.ownTimeLeft(), (exit, timedOut) =>
      timedOut ? this.deadlineExceeded() : exit
    )
    return Effect.flatMap(mint, (key) => {
      this.idempotencyKey = name(`the idempotency key minted for ${this.plan.name}`, key)
      this.now = this.readNow()
      this.asking = undefined
      return Admission.look(this, 0) ?? this.begin()
    })
  }

  rejected(guard: string, rejection: unknown): Effect.Effect<never, unknown> {
    if (this.emit !== undefined) {
      note(this, "GuardRejected", { guard, attempt: this.number, error: tagOf(rejection), reason: reasonOf(rejection) })
    }
    this.release()
    if (this.number === 1) return this.giveUp(Cause.fail(rejection), undefined)
    return this.exhausted("rejected", { deniedBy: guard, rejection })
  }

  runAttempt(): Effect.Effect<unknown, unknown, unknown> {
    const timeout = this.plan.attemptTimeoutMs
    const left = this.ownTimeLeft()
    if (left !== undefined && left <= 0) return this.deadlineExceeded()
    this.state = "running"
    this.begun = this.number
    this.attemptStartedMs = this.now
    const context = this.attemptContext(this)
    const self = this.attemptEffect(this.number)
    const { hedge } = this.plan
    if (hedge !== undefined && !Exit.isExit(self) && this.resend === "always") return hedged(this, hedge, self, context)
    const ms = timeout === undefined ? left : left === undefined || timeout < left ? timeout : left
    if (ms === undefined || Exit.isExit(self)) {
      this.enter(context)
      return self
    }
    return bounded(this.fiber, context as Context.Context<unknown>, self, ms, (exit, timedOut) => {
      if (!timedOut) return exit
      this.cut = ms === timeout ? "timeout" : "deadline"
      return this.cutExit(this.cut, this.number, exit)
    })
  }

  /** What an attempt that one of our own limits has cut ends with. */
  cutExit(cut: "timeout" | "deadline", attempt: number, exit: Exit.Exit<unknown, unknown>): Exit.Exit<never, unknown> {
    const { attemptTimeoutMs, name: policy } = this.plan
    const error =
      cut === "deadline"
        ? this.deadlineError()
        : stackless(() => new AttemptTimeout({ policy, attempt, after: Duration.millis(attemptTimeoutMs!) }))
    return Exit.failCause(Cause.fromReasons<unknown>([...Cause.fail(error).reasons, ...defectsOf(exit)]))
  }

  /** The effect, with what chaos puts into this attempt of it. */
  attemptEffect(attempt: number): Effect.Effect<unknown, unknown, unknown> {
    const { chaos, emit, fiber, plan, self } = this
    return chaos === undefined
      ? self
      : chaos.inject(self, { policy: plan.name, key: keySaid(this), attempt, emit }, fiber)
  }

  /** Of an attempt that nested calls will see as `frame`. */
  attemptContext(frame: Frame): Context.Context<never> {
    let context: Context.Context<never> = Context.add(this.context, CurrentCall, frame)
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

  // -- how it ended -----------------------------------------------------------------------------------------------------

  /** The frame inside: an attempt failed, or what comes out is decided. Not called when the caller interrupts. */
  private failed(cause: Cause.Cause<unknown>): Effect.Effect<unknown, unknown, never> {
    this.leave()
    if (this.state === "over") return Effect.failCause(cause)
    this.now = this.readNow()
    if (this.state === "between") {
      // no attempt ran: a guard or a mint has died
      this.release()
      const before = this.retries?.lastFailed
      return this.giveUp(before === undefined ? cause : Cause.combine(before.cause, cause), before?.error)
    }
    const ended = this.state === "settled" ? this.ended! : this.attemptFailed(cause)
    this.state = "between"
    if (this.settling === undefined) return this.decide(ended)
    return Effect.flatMap(this.flush(), () => {
      this.now = this.readNow()
      return this.decide(ended)
    })
  }

  private attemptFailed(cause: Cause.Cause<unknown>): Ended {
    const elapsed = this.now - this.attemptStartedMs
    const cut = this.cut
    this.cut = undefined
    const failed = this.classify(cause, cut, elapsed)
    this.settle(failed.outcome, elapsed)
    const { tokens } = this
    this.tokens = undefined
    this.tell(this, tokens, failed, cut, elapsed)
    return { failed, cut }
  }

  /** What all but the guards are told of a failed attempt. */
  tell(
    attempt: { readonly number: number; readonly kind: AttemptKind; readonly attemptStartedMs: number },
    tokens: ReadonlyArray<Token> | undefined,
    failed: Outcomes.Failed,
    cut: Cut,
    elapsed: number
  ): void {
    // one that a deadline has cut is neutral, like one that the caller has interrupted
    Budgets.tell(this, tokens, failed.outcome, failed.nested || cut === "deadline")
    if (this.emit !== undefined) noteAttempt(this, attempt, failed.outcome, errorTag(failed), elapsed)
    const { hedge, retry } = this.plan
    if ((retry === undefined && hedge === undefined) || !Outcomes.isRetried(failed.outcome)) return
    // the call ends with it, and says what came before
    if (cut === "deadline") return
    this.retries ??= new Retries(this, failed)
    this.retries.failed(attempt, failed, elapsed)
  }

  classify(cause: Cause.Cause<unknown>, cut: Cut, elapsed: number): Outcomes.Failed {
    // a defect while cleaning up makes it a defect, whoever cut it
    if (cut === undefined || cause.reasons.length > 1) return Outcomes.ofCause(cause, this.plan.classifier)
    const fair = cut === "timeout" || this.hadItsChance(elapsed)
    return Outcomes.ofCut(fair ? Outcomes.timeout : Outcomes.interrupted, cause)
  }

  /** An attempt cut by a deadline says something of the dependency only if it had a fair share of the time. */
  private hadItsChance(elapsed: number): boolean {
    const { attemptTimeoutMs, deadlineMs } = this.plan
    const share = attemptTimeoutMs ?? (deadlineMs === undefined ? undefined : deadlineMs / 2)
    return share !== undefined && elapsed >= share
  }

  private decide({ cut, failed }: Ended): Effect.Effect<unknown, unknown, never> {
    if (cut === "deadline" && failed.outcome.kind !== "defect") {
      if (this.emit !== undefined) noteDeadline(this, this.emit)
      return this.giveUp(failed.cause, this.lastError)
    }
    if (this.plan.retry === undefined || !Outcomes.isRetried(failed.outcome)) {
      return this.giveUp(failed.cause, failed.error)
    }
    return this.retries!.next(failed)
  }

  /** The next attempt, after a delay that every check has agreed to. */
  again(failed: Outcomes.Failed, delayMs: number): Effect.Effect<unknown, unknown, never> {
    this.number = this.begun + 1
    this.kind = "retry"
    if (this.emit !== undefined) {
      const delay = Duration.millis(delayMs)
      const { retryAfter } = failed.outcome
      note(this, "RetryScheduled", { attempt: this.number, error: errorTag(failed), delay, retryAfter })
    }
    if (delayMs <= 0) return this.next()
    return Effect.flatMap(this.clock.sleep(Duration.millis(delayMs)), () => this.next())
  }

  /** The frame around everything: the call is over, however it ended. */
  finish(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    this.leave()
    this.now = this.readNow()
    const ran = this.state === "running"
    const elapsed = this.now - this.attemptStartedMs
    const outcome = Exit.isSuccess(exit) ? Outcomes.success : this.interruptedOutcome(elapsed)
    if (ran) {
      this.settle(outcome, elapsed)
      const { tokens } = this
      this.tokens = undefined
      Budgets.tell(this, tokens, outcome, Exit.isFailure(exit))
    } else {
      this.release()
    }
    Budgets.end(this, this.now)
    this.live = false
    if (this.emit !== undefined) {
      if (ran) noteAttemptEnd(this, this, outcome, elapsed)
      if (this.state !== "over") noteEnd(this, exit)
    }
    return this.settling === undefined ? undefined : this.flush()
  }

  /** The caller interrupts: neutral, unless a limit of ours had cut the attempt before, or a deadline further out did now. */
  interruptedOutcome(elapsed: number): Outcome {
    if (this.cut === "timeout") return Outcomes.timeout
    const { deadline } = this
    const late = deadline !== undefined && this.now >= deadline.at
    return late && this.hadItsChance(elapsed) ? Outcomes.timeout : Outcomes.interrupted
  }

  // -- what comes out ---------------------------------------------------------------------------------------------------

  exhausted(reason: Reason, more?: Refusal): Effect.Effect<never, unknown> {
    const retries = this.retries!
    const failed = retries.lastFailed
    const error = stackless(
      () =>
        new RetryExhausted({
          policy: this.plan.name,
          reason,
          attempts: this.begun,
          elapsed: Duration.millis(this.now - this.startedMs),
          lastError: failed.error,
          history: retries.history.entries(),
          cause: failed.cause,
          retryAfter: failed.outcome.retryAfter,
          ...more
        })
    )
    if (this.emit !== undefined) {
      const { attempts: attempt, deniedBy, lastError } = error
      note(this, "RetryDenied", { attempt, reason, error: labelOf(lastError), deniedBy })
    }
    return this.giveUp(Cause.fail(error), failed.error)
  }

  /** The deadline has passed while no attempt ran. */
  deadlineExceeded(): Effect.Effect<never, unknown> {
    this.release()
    if (this.emit !== undefined) noteDeadline(this, this.emit)
    return this.giveUp(Cause.fail(this.deadlineError()), this.lastError)
  }

  private deadlineError(): DeadlineExceeded {
    const { deadlineMs, name } = this.plan
    return stackless(
      () =>
        new DeadlineExceeded({
          name,
          after: Duration.millis(deadlineMs!),
          attempts: this.begun,
          lastError: this.lastError
        })
    )
  }

  giveUp(cause: Cause.Cause<unknown>, lastError: unknown): Effect.Effect<never, unknown> {
    this.state = "over"
    if (this.emit !== undefined) noteFailure(this, cause, lastError)
    return Effect.failCause(cause)
  }

  // -- time -------------------------------------------------------------------------------------------------------------

  readNow(): number {
    return monotonicMs(this.clock)
  }

  ownTimeLeft(): number | undefined {
    return this.ownDeadlineMs === undefined ? undefined : this.ownDeadlineMs - this.now
  }
}

evaluated(Call, function () {
  return this.begin()
})
