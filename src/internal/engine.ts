// The one loop. It runs one call of a policy: admits each attempt through the guards, runs it within its time, tells guards and
// budgets how it ended, and decides whether there is another. It knows contracts only, never a concrete guard or budget.
//
// Two frames of the runtime carry a call: `finish` around everything, `failed` inside it. Both are on the stack before the first
// permit is asked for, in the same operation at the earliest, and what is held stands in fields of the call; so an interruption
// between any two operations of the runtime finds the frame that gives everything back.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Context } from "effect"
import type { Outcome } from "../Guard.ts"
import * as Admission from "./admission.ts"
import { bounded, defectsOf } from "./bounded.ts"
import type { Token } from "./budget.ts"
import * as Budgets from "./callBudgets.ts"
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
import { catchCause } from "./catchCause.ts"
import { CallFrame, type Cut, type Ended } from "./callFrame.ts"
import { isDraining } from "./draining.ts"
import { AttemptTimeout, DeadlineExceeded, RetryExhausted, type Reason } from "./errors.ts"
import { labelOf, reasonOf, tagOf, type AttemptKind } from "./events.ts"
import { evaluated, evaluateHere } from "./evaluated.ts"
import { hedged } from "./hedging.ts"
import * as Outcomes from "./outcome.ts"
import type { CallOptions, Plan } from "./plan.ts"
import { Retries } from "./retries.ts"
import { stackless } from "./stackless.ts"
import { name } from "./validate.ts"

interface Refusal {
  readonly deniedBy?: string | undefined
  readonly rejection?: unknown
}

/** Runs `self` as one call of the policy. */
export const run = <A, E, R>(
  plan: Plan,
  options: CallOptions | undefined,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, unknown, R> => new RunEffect(plan, options, self) as never

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

const RunEffect = /*#__PURE__*/ evaluated(Run, function (fiber) {
  const call = new CallEffect(this.plan, this.options, this.self, fiber)
  return call.refused() ?? call.start()
})

/** One call. As an effect it is the next attempt, from admission on. */
export class Call extends CallFrame {
  // -- one attempt ------------------------------------------------------------------------------------------------------

  /** A free look before anything is begun: what it returns ends the call. */
  refused(): Effect.Effect<never, unknown> | undefined {
    try {
      return Admission.look(this, 0)
    } catch (defect) {
      return this.giveUp(Cause.die(defect), undefined)
    }
  }

  /**
   * Puts both frames on the stack and begins, in one operation of the runtime: nothing comes between. Where somebody listens, who may have
   * interrupted this very fiber just now, the runtime is asked first.
   */
  start(): Effect.Effect<unknown, unknown> {
    const attempt = this.next()
    const all = Effect.onExitPrimitive(attempt, (exit) => this.finish(exit))
    let following = evaluateHere(all, this.fiber)
    if (following === attempt) following = evaluateHere(attempt, this.fiber)
    const isNext = following === (this as never) && this.emit === undefined
    return (isNext ? this.begin() : following) as typeof attempt
  }

  /** From admission to decision. */
  next(): Effect.Effect<unknown, unknown> {
    return catchCause(this as never, (cause) => this.failed(cause))
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

  /** The effect, with what comes between in this attempt of it. */
  attemptEffect(attempt: number): Effect.Effect<unknown, unknown, unknown> {
    const { emit, fiber, interposer, plan, self } = this
    return interposer === undefined
      ? self
      : interposer.interpose(self, { policy: plan.name, key: keySaid(this), attempt, emit }, fiber)
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
}

const CallEffect = /*#__PURE__*/ evaluated(Call, function () {
  return this.begin()
})
