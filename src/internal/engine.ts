// The one loop. It runs one call of a policy: admits each attempt through the guards, runs it within its time, tells guards and
// budgets how it ended, and decides whether there is another. It knows contracts only, never a concrete guard or budget.
//
// Two frames of the runtime carry a call: `finish` around everything, `failed` inside it. Both are on the stack before the first
// permit is asked for, and what is held stands in fields of the call; so an interruption between any two operations of the
// runtime finds the frame that gives everything back.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type { Fiber } from "effect"
import type { Call as GuardCall, Guard, Outcome } from "../Guard.ts"
import { Key } from "../Idempotency.ts"
import * as Admission from "./admission.ts"
import { bounded, defectsOf } from "./bounded.ts"
import type { Budget, BudgetCall, Token } from "./budget.ts"
import * as Budgets from "./callBudgets.ts"
import { errorTag, note, noteAttempt, noteDeadline, noteEnd, noteFailure } from "./callEvents.ts"
import { clockIn, orUndefined } from "./context.ts"
import { CurrentCall, currentFrame, noTasks, type DeadlineInForce, type Frame } from "./currentCall.ts"
import { isDraining } from "./draining.ts"
import { AttemptTimeout, DeadlineExceeded, RetryExhausted, type Reason } from "./errors.ts"
import { CurrentListener, reasonOf, tagOf, type AttemptKind, type Emit } from "./events.ts"
import { Evaluated } from "./evaluated.ts"
import type { History } from "./history.ts"
import * as Outcomes from "./outcome.ts"
import { Permits } from "./permits.ts"
import type { CallOptions, Plan } from "./plan.ts"
import { Retries } from "./retries.ts"
import { spanEmit, spanOf } from "./spanEvents.ts"
import { stackless } from "./stackless.ts"
import { monotonicMs } from "./time.ts"
import { name } from "./validate.ts"

interface Refusal {
  readonly deniedBy?: string
  readonly rejection?: unknown
}

/** Runs `self` as one call of the policy. */
export const run = <A, E, R>(
  plan: Plan,
  options: CallOptions | undefined,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, unknown, R> => new Run(plan, options, self) as never

/** The call that is still to be made: each run of it is a call of its own. */
class Run extends Evaluated {
  readonly plan: Plan
  readonly options: CallOptions | undefined
  readonly self: Effect.Effect<unknown, unknown, unknown>

  constructor(plan: Plan, options: CallOptions | undefined, self: Effect.Effect<unknown, unknown, unknown>) {
    super()
    this.plan = plan
    this.options = options
    this.self = self
  }

  evaluate(fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<unknown, unknown, unknown> {
    const call = new Call(this.plan, this.options, this.self, fiber)
    return Admission.look(call) ?? Effect.onExitPrimitive(call.next(), (exit) => call.finish(exit))
  }
}

/** One call. As an effect it is the next attempt, from admission on. */
export class Call extends Permits implements Frame {
  readonly plan: Plan
  readonly options: CallOptions | undefined
  readonly self: Effect.Effect<unknown, unknown, unknown>
  readonly fiber: Fiber.Fiber<unknown, unknown>
  /** The context around the call; the attempts run in their own. */
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  readonly parent: Frame | undefined
  /** In the order of their phases. */
  readonly guards: ReadonlyArray<Guard<unknown>>
  readonly startedMs: number
  readonly deadline: DeadlineInForce | undefined
  /** The deadline, if it is this policy's own: then this call raises it. */
  readonly ownDeadlineMs: number | undefined
  readonly emit: Emit | undefined

  live = true
  /** "over": what comes out is decided already, and only passes through. */
  state: "between" | "running" | "over" = "between"
  number = 1
  kind: AttemptKind = "first"
  now: number
  attemptStartedMs = 0
  /** Set when one of our own limits cut the attempt: then it is not the classifier's business. */
  cut: "timeout" | "deadline" | undefined = undefined
  contextSet = false
  asking: GuardCall | undefined = undefined
  budgets: Array<BudgetCall> | undefined = undefined
  taskBudgets: Array<BudgetCall> | undefined = undefined
  tokens: Array<Token> | undefined = undefined
  idempotencyKey: string | undefined
  /** From the first failure on. */
  retries: Retries | undefined = undefined

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
    this.context = fiber.context
    this.clock = clockIn(fiber.context)
    this.parent = currentFrame(fiber)
    this.guards = Admission.guardsInForce(plan, fiber.context)
    this.startedMs = this.now = monotonicMs(this.clock)
    this.idempotencyKey = options?.idempotencyKey
    // One that has passed already has no owner left to raise it: this call runs in a finalizer, or on its own
    const around = this.parent?.deadline
    const outer = around !== undefined && around.at > this.startedMs ? around : undefined
    const own = plan.deadlineMs === undefined ? undefined : this.startedMs + plan.deadlineMs
    this.ownDeadlineMs = own !== undefined && (outer === undefined || own < outer.at) ? own : undefined
    this.deadline = this.ownDeadlineMs === undefined ? outer : { at: this.ownDeadlineMs, owner: plan.name }
    const listener = orUndefined(fiber.context, CurrentListener)
    this.emit = listener === undefined && spanOf(fiber) === undefined ? undefined : emitTo(listener, fiber)
    if (this.emit !== undefined) note(this, "CallStarted", {})
  }

  uses(budget: Budget): boolean {
    return Budgets.uses(this, budget)
  }

  get policy(): string {
    return this.plan.name
  }

  get attempt(): number {
    return this.number
  }

  get history(): History | undefined {
    return this.retries?.history
  }

  get tasks(): ReadonlyArray<Budget> {
    return this.parent === undefined ? noTasks : this.parent.tasks
  }

  get lastError(): unknown {
    return this.retries?.lastFailed.error
  }

  // -- one attempt ------------------------------------------------------------------------------------------------------

  /** From admission to decision. */
  next(): Effect.Effect<unknown, unknown, never> {
    return Effect.catchCause(this as never, (cause) => this.failed(cause)) as Effect.Effect<unknown, unknown, never>
  }

  evaluate(): Effect.Effect<unknown, unknown, unknown> {
    if (this.number === 1) {
      if (this.plan.keyed && this.idempotencyKey === undefined) return this.mint()
      if (this.plan.budgets.length > 0) Budgets.begin(this)
      return Admission.admit(this, 0)
    }
    this.now = this.readNow()
    this.asking = undefined
    // it may have begun while this call slept
    if (isDraining(this.fiber)) return this.withdrawn("draining")
    return Admission.look(this) ?? Admission.admit(this, 0)
  }

  private mint(): Effect.Effect<unknown, unknown, unknown> {
    const mint = bounded(this.fiber, this.context, this.plan.mint!, this.ownTimeLeft(), (exit, timedOut) =>
      timedOut ? this.deadlineExceeded(0) : exit
    )
    return Effect.flatMap(mint, (key) => {
      this.idempotencyKey = name(`the idempotency key minted for ${this.plan.name}`, key)
      return this.evaluate()
    })
  }

  rejected(guard: string, rejection: unknown): Effect.Effect<never, unknown> {
    if (this.emit !== undefined) {
      note(this, "GuardRejected", { guard, attempt: this.number, error: tagOf(rejection), reason: reasonOf(rejection) })
    }
    this.release()
    if (this.number === 1) return this.giveUp(Cause.fail(rejection), undefined)
    return this.withdrawn("rejected", { deniedBy: guard, rejection })
  }

  /** The attempt that was due is not made after all. */
  private withdrawn(reason: Reason, more?: Refusal): Effect.Effect<never, unknown> {
    this.number--
    return this.exhausted(reason, more)
  }

  runAttempt(): Effect.Effect<unknown, unknown, unknown> {
    const timeout = this.plan.attemptTimeoutMs
    const left = this.ownTimeLeft()
    if (left !== undefined && left <= 0) return this.deadlineExceeded(this.number - 1)
    this.state = "running"
    this.attemptStartedMs = this.now
    const context = this.attemptContext()
    const ms = timeout === undefined ? left : left === undefined || timeout < left ? timeout : left
    if (ms === undefined || Exit.isExit(this.self)) {
      this.enter(context)
      return this.self
    }
    return bounded(this.fiber, context as Context.Context<unknown>, this.self, ms, (exit, timedOut) =>
      timedOut ? this.timedOut(ms === timeout ? "timeout" : "deadline", exit) : exit
    )
  }

  private timedOut(cut: "timeout" | "deadline", exit: Exit.Exit<unknown, unknown>): Effect.Effect<never, unknown> {
    this.cut = cut
    const { attemptTimeoutMs, name: policy } = this.plan
    const error =
      cut === "deadline"
        ? this.deadlineError(this.number)
        : stackless(
            () => new AttemptTimeout({ policy, attempt: this.number, after: Duration.millis(attemptTimeoutMs!) })
          )
    return Effect.failCause(Cause.fromReasons<unknown>([...Cause.fail(error).reasons, ...defectsOf(exit)]))
  }

  private attemptContext(): Context.Context<never> {
    const { parent } = this
    let context: Context.Context<never> = Context.add(this.context, CurrentCall, this)
    if (this.retries !== undefined) {
      context = Context.add(context, Schedule.CurrentMetadata, this.retries.metadata)
    } else if (isRetrying(this.context)) {
      // an outer retry's metadata is not about this attempt
      context = Context.add(context, Schedule.CurrentMetadata, Schedule.CurrentMetadata.defaultValue())
    }
    if (this.plan.keyed) return Context.add(context, Key, this.idempotencyKey!)
    // another operation's key is never inherited; one that the user has provided in between stays
    const inherited = parent?.idempotencyKey
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
      return this.giveUp(cause, this.lastError)
    }
    this.state = "between"
    const elapsed = this.now - this.attemptStartedMs
    const cut = this.cut
    this.cut = undefined
    const failed = this.classify(cause, cut, elapsed)
    this.settle(failed.outcome, elapsed)
    Budgets.tell(this, failed.outcome, failed.nested)
    if (this.emit !== undefined) noteAttempt(this, failed.outcome, errorTag(failed), elapsed)
    const next = this.decide(failed, cut, elapsed)
    return this.settling === undefined ? next : Effect.andThen(this.flush(), next)
  }

  private classify(cause: Cause.Cause<unknown>, cut: "timeout" | "deadline" | undefined, elapsed: number) {
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

  private decide(
    failed: Outcomes.Failed,
    cut: "timeout" | "deadline" | undefined,
    elapsed: number
  ): Effect.Effect<unknown, unknown, never> {
    if (cut === "deadline" && failed.outcome.kind !== "defect") {
      if (this.emit !== undefined) noteDeadline(this, this.emit)
      return this.giveUp(failed.cause, this.lastError)
    }
    if (this.plan.retry === undefined || !Outcomes.isRetried(failed.outcome)) {
      return this.giveUp(failed.cause, failed.error)
    }
    this.retries ??= new Retries(this, failed)
    return this.retries.next(failed, elapsed)
  }

  /** The next attempt, after a delay that every check has agreed to. */
  again(failed: Outcomes.Failed, delayMs: number): Effect.Effect<unknown, unknown, never> {
    this.number++
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
    if (this.state === "running") {
      const elapsed = this.now - this.attemptStartedMs
      const outcome = Exit.isSuccess(exit) ? Outcomes.success : this.interruptedOutcome(elapsed)
      this.settle(outcome, elapsed)
      Budgets.tell(this, outcome, false)
      if (this.emit !== undefined) noteEnd(this, exit, outcome, elapsed)
    } else {
      this.release()
      if (this.state === "between" && this.emit !== undefined && Exit.isFailure(exit)) {
        noteFailure(this, exit.cause, this.lastError)
      }
    }
    Budgets.end(this, this.now)
    this.live = false
    return this.settling === undefined ? undefined : this.flush()
  }

  /** The caller interrupts: neutral, unless a deadline further out did, and the attempt had its chance. */
  private interruptedOutcome(elapsed: number): Outcome {
    const late = this.deadline !== undefined && this.now >= this.deadline.at
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
          attempts: this.number,
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
      note(this, "RetryDenied", { attempt, reason, error: tagOf(lastError), deniedBy })
    }
    return this.giveUp(Cause.fail(error), failed.error)
  }

  /** The deadline has passed while no attempt ran; `attempts` have begun before. */
  deadlineExceeded(attempts: number): Effect.Effect<never, unknown> {
    this.release()
    if (this.emit !== undefined) noteDeadline(this, this.emit)
    return this.giveUp(Cause.fail(this.deadlineError(attempts)), this.lastError)
  }

  private deadlineError(attempts: number): DeadlineExceeded {
    const { deadlineMs, name } = this.plan
    return stackless(
      () =>
        new DeadlineExceeded({
          name,
          after: Duration.millis(deadlineMs!),
          attempts,
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

/** Whether a retry around, of Effect's or of a policy, is past its first attempt. */
const isRetrying = (context: Context.Context<never>): boolean => {
  const metadata = orUndefined<Schedule.Metadata>(context, Schedule.CurrentMetadata as never)
  return metadata !== undefined && metadata.attempt !== 0
}

const emitTo =
  (listener: Emit | undefined, fiber: Fiber.Fiber<unknown, unknown>): Emit =>
  (event) => {
    listener?.(event)
    spanEmit(fiber, event)
  }
