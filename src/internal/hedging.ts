// Attempts that hedge each other: one round of them. The first is the attempt of the call itself; if it has not ended after a delay,
// another one starts beside it. The first acceptable outcome is the round's, and the others are interrupted and awaited. A failure
// that is worth another attempt is not acceptable while another attempt still runs.
//
// Whatever holds something is settled in the step in which its fiber ends: the observer of every fiber is the only place that
// does it, so that it does not matter who interrupts whom, and when.
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Outcome } from "../Guard.ts"
import * as Admission from "./admission.ts"
import type { Token } from "./budget.ts"
import * as Budgets from "./callBudgets.ts"
import { note, noteAttemptEnd } from "./callEvents.ts"
import { service } from "./context.ts"
import { isDraining } from "./draining.ts"
import type { Cut, Ended } from "./callFrame.ts"
import type { Call } from "./engine.ts"
import type { Hedging } from "./hedge.ts"
import { Hedge, HedgeEffect } from "./hedgedAttempt.ts"
import * as Outcomes from "./outcome.ts"
import type { Plan } from "./plan.ts"
import { reportDefect } from "./reportDefect.ts"
import { after, byClock } from "./time.ts"

type AnyContext = Context.Context<unknown>

/** Runs the attempt of a call, and those that hedge it. */
export const hedged = (
  call: Call,
  hedge: NonNullable<Plan["hedge"]>,
  self: Effect.Effect<unknown, unknown, unknown>,
  context: Context.Context<never>
): Effect.Effect<unknown, unknown> =>
  Effect.callback((resume) => {
    const hedging = Context.isKey(hedge) ? service(call.context, hedge as Context.Key<unknown, Hedging>) : hedge
    const round = new Round(call, hedging, resume)
    round.begin(self, context as AnyContext)
    return round.abandon()
  })

/** An attempt that runs in a fiber of its own. */
interface Runner {
  readonly attempt: Call | Hedge
  readonly fiber: Fiber.Fiber<unknown, unknown>
  disarm: (() => void) | undefined
  cut: Cut
}

class Round {
  readonly call: Call
  private readonly hedging: Hedging
  private resume: (effect: Effect.Effect<unknown, unknown>) => void
  private readonly runners = new Set<Runner>()
  private hedges = 0
  /** A fiber that is being started runs already, and may have ended what it is to be a part of. */
  private starting = 0
  private disarm: (() => void) | undefined = undefined
  /** What the round has ended with. Those that still run then have lost. */
  private result: Effect.Effect<unknown, unknown> | undefined = undefined
  /** A failure that others may still make good. */
  private failed: Ended | undefined = undefined

  constructor(call: Call, hedging: Hedging, resume: (effect: Effect.Effect<unknown, unknown>) => void) {
    this.call = call
    this.hedging = hedging
    this.resume = resume
  }

  begin(self: Effect.Effect<unknown, unknown, unknown>, context: AnyContext): void {
    const { call, hedging } = this
    this.start(call, self, context)
    if (this.result === undefined) this.wait(hedging.delayMs(call.now))
  }

  /** The caller interrupts. It may do so while a hedge is being started. */
  abandon(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.result ??= Effect.interrupt
      this.resume = () => resume(Effect.void)
      this.stop()
      this.end()
    })
  }

  // -- starting ---------------------------------------------------------------------------------------------------------

  private start(attempt: Call | Hedge, self: Effect.Effect<unknown, unknown, unknown>, context: AnyContext): void {
    const { call } = this
    this.starting++
    const fiber = Effect.runForkWith(context)(self)
    const runner: Runner = { attempt, fiber, cut: undefined, disarm: undefined }
    this.runners.add(runner)
    this.starting--
    // the time of an attempt begins when it runs, and a hedge may have to wait for admission before
    if (attempt === call || (attempt as Hedge).ran) this.arm(runner)
    else (attempt as Hedge).whenRun = () => this.arm(runner)
    fiber.addObserver((exit) => this.ended(runner, exit))
    if (this.result !== undefined) this.stop()
  }

  private arm(runner: Runner): void {
    const { attempt, fiber } = runner
    const { fiber: waiting, plan } = this.call
    const timeout = plan.attemptTimeoutMs
    const left = attempt.ownTimeLeft()
    const ms = timeout === undefined ? left : left === undefined || timeout < left ? timeout : left
    if (ms === undefined || fiber.pollUnsafe() !== undefined) return
    runner.disarm = after(waiting, ms, () => {
      runner.cut = ms === timeout ? "timeout" : "deadline"
      fiber.interruptUnsafe(waiting.id)
    })
  }

  private wait(delayMs: number | undefined): void {
    if (delayMs === undefined || this.hedges >= this.hedging.max) return
    this.disarm = after(this.call.fiber, delayMs, () => {
      this.disarm = undefined
      this.hedge(delayMs)
    })
    if (this.result !== undefined) this.stop()
  }

  private hedge(delayMs: number): void {
    const { call } = this
    if (this.result !== undefined || isDraining(call.fiber)) return
    this.hedges++
    call.now = call.readNow()
    const hedge = new HedgeEffect(call)
    try {
      this.enter(hedge)
    } catch (defect) {
      // thrown in a timer, it would reach nobody
      hedge.cancel()
      this.died(defect)
    }
    if (this.result === undefined) this.wait(delayMs)
  }

  private enter(hedge: Hedge): void {
    const { call } = this
    // a free look first, so that no token is spent on a hedge that a guard refuses
    if (Admission.look(hedge, 0) !== undefined) return
    const tokens = Budgets.withdraw(call, { timeout: false, kind: "hedge" })
    if (typeof tokens !== "string") {
      hedge.tokens = tokens
      this.start(hedge, hedge as never, call.context as AnyContext)
    } else if (call.emit !== undefined) {
      note(call, "HedgeDenied", { attempt: hedge.number, reason: "budget", deniedBy: tokens })
    }
  }

  private died(defect: unknown): void {
    reportDefect(this.call.fiber, `a guard of ${this.call.plan.name} died while it was asked to admit a hedge`, defect)
  }

  // -- ending -----------------------------------------------------------------------------------------------------------

  private ended(runner: Runner, exit: Exit.Exit<unknown, unknown>): void {
    const { call } = this
    const { attempt } = runner
    runner.disarm?.()
    this.runners.delete(runner)
    call.now = call.readNow()
    if (attempt === call) call.state = "settled"
    if (attempt instanceof Hedge && !attempt.ran) {
      attempt.cancel()
      if (Exit.isFailure(exit) && Exit.hasDies(exit)) this.died(Cause.squash(exit.cause))
    } else if (Exit.isSuccess(exit)) this.succeeded(attempt, exit)
    else if (this.result === undefined || runner.cut !== undefined || !Cause.hasInterruptsOnly(exit.cause)) {
      this.failedWith(attempt, runner.cut, exit)
    } else this.lost(attempt)
    this.end()
  }

  private succeeded(attempt: Call | Hedge, exit: Exit.Exit<unknown, unknown>): void {
    const elapsed = this.tell(attempt, Outcomes.success, this.result !== undefined)
    if (attempt === this.call) this.hedging.record(this.call.now, elapsed)
    if (this.result === undefined) this.call.winner = attempt.kind
    this.decide(exit)
  }

  private failedWith(attempt: Call | Hedge, cut: Cut, exit: Exit.Failure<unknown, unknown>): void {
    const { call } = this
    const elapsed = call.now - attempt.attemptStartedMs
    const { cause } = cut === undefined ? exit : (call.cutExit(cut, attempt.number, exit) as typeof exit)
    const failed = byClock(call.clock, () => call.classify(cause, cut, elapsed))
    attempt.settle(failed.outcome, elapsed)
    if (attempt === call)
      this.hedging.record(call.now, elapsed, Outcomes.isRetried(failed.outcome) || cut !== undefined)
    const ended: Ended = { failed, cut }
    const isOver = this.result !== undefined
    call.tell(attempt, takeTokens(attempt), isOver ? { ...failed, nested: true } : failed, cut, elapsed)
    if (isOver) return
    if (cut === "deadline" || !Outcomes.isRetried(failed.outcome)) return this.fail(ended)
    // a server that asks for patience is heard, whoever comes last
    if (this.failed?.failed.outcome.kind !== "throttled" || failed.outcome.kind === "throttled") this.failed = ended
  }

  /** Interrupted, because another one has won, or by the caller. */
  private lost(attempt: Call | Hedge): void {
    const elapsed = this.call.now - attempt.attemptStartedMs
    this.tell(attempt, this.call.interruptedOutcome(elapsed), true)
    if (attempt === this.call) this.hedging.record(this.call.now, elapsed, true)
  }

  /** An attempt has ended otherwise than by a failure. `neutral`: budgets do not count it. */
  private tell(attempt: Call | Hedge, outcome: Outcome, neutral: boolean): number {
    const { call } = this
    const elapsed = call.now - attempt.attemptStartedMs
    attempt.settle(outcome, elapsed)
    Budgets.tell(call, takeTokens(attempt), outcome, neutral)
    if (call.emit !== undefined) noteAttemptEnd(call, attempt, outcome, elapsed)
    return elapsed
  }

  private fail(ended: Ended): void {
    this.call.ended = ended
    this.decide(Exit.failCause(ended.failed.cause))
  }

  private decide(result: Effect.Effect<unknown, unknown>): void {
    if (this.result !== undefined) return
    this.result = result
    this.stop()
  }

  /** No hedge any more, and those that run have lost. */
  private stop(): void {
    this.disarm?.()
    this.disarm = undefined
    for (const { fiber } of this.runners) fiber.interruptUnsafe(this.call.fiber.id)
  }

  /** When nothing runs any more, the round is over. Said more than once, it is heard once. */
  private end(): void {
    if (this.starting > 0 || this.runners.size > 0) return
    if (this.result === undefined) this.fail(this.failed!)
    this.resume(this.result!)
  }
}

const takeTokens = (attempt: Call | Hedge): ReadonlyArray<Token> | undefined => {
  const { tokens } = attempt
  attempt.tokens = undefined
  return tokens
}
