// Whether a failed attempt is followed by another, and when. A call that never fails has none of this.
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { bounded } from "./bounded.ts"
import { withdraw } from "./callBudgets.ts"
import { CallStart } from "./callStart.ts"
import { isDraining } from "./draining.ts"
import type { Call } from "./engine.ts"
import type { AttemptKind } from "./events.ts"
import { History } from "./history.ts"
import type { Failed } from "./outcome.ts"

/** How much more than the server's hint a retry may wait, as a share of the hint: so that clients do not come back together. */
const hintJitter = 0.1

type Step = (now: number, input: unknown) => Pull.Pull<[unknown, Duration.Duration], never, unknown>
type StepExit = Exit.Exit<[unknown, Duration.Duration], Cause.Done<unknown>>

export class Retries {
  lastFailed: Failed
  readonly history = new History()
  /** What `Schedule.CurrentMetadata` says inside the next attempt, as Effect's own retry would. */
  metadata: Schedule.Metadata = Schedule.CurrentMetadata.defaultValue()
  private readonly call: Call
  // of the two schedules of a plan, which may be one
  private transient: Step | undefined = undefined
  private throttled: Step | undefined = undefined
  /** The call's start on the scale of the schedule: the wall clock at the first failure, less the time elapsed. */
  private readonly startedAt: number

  constructor(call: Call, failed: Failed) {
    this.call = call
    this.lastFailed = failed
    this.startedAt = call.clock.currentTimeMillisUnsafe() - (call.now - call.startedMs)
  }

  /** An attempt has failed in a way that is worth another one. */
  failed(
    attempt: { readonly number: number; readonly kind: AttemptKind; readonly attemptStartedMs: number },
    failed: Failed,
    elapsedMs: number
  ): void {
    this.lastFailed = failed
    const startedAfterMs = attempt.attemptStartedMs - this.call.startedMs
    this.history.add(attempt.number, attempt.kind, failed.error, startedAfterMs, elapsedMs)
  }

  /** Asks, in this order: draining, safety, schedule, the hint's ceiling, deadline, budget. The first "no" ends the call. */
  next(failed: Failed): Effect.Effect<unknown, unknown, never> {
    const { call } = this
    this.lastFailed = failed
    if (isDraining(call.fiber)) return call.exhausted("draining")
    const { resend } = call
    if (resend === "never" || (resend === "unprocessed" && failed.verdict?.unprocessed !== true)) {
      return call.exhausted("unsafe", { deniedBy: call.options?.unsafe })
    }
    // time elapses on the monotonic clock, so that a wall clock that steps changes nothing
    const at = this.startedAt + (call.now - call.startedMs)
    const context = Context.add(call.context, CallStart, this.startedAt)
    const left = call.ownTimeLeft()
    if (left === undefined) {
      // nothing may cut it short, so it needs no fiber of its own
      call.enter(context)
      return Effect.matchCauseEffect(this.step(failed, at), {
        onSuccess: (value) => this.stepped(Exit.succeed(value), failed, at),
        onFailure: (cause) => this.stepped(Exit.failCause(cause), failed, at)
      })
    }
    const step = bounded(call.fiber, context, this.step(failed, at), left, (exit, timedOut) =>
      timedOut ? call.deadlineExceeded() : Effect.succeed(exit)
    )
    return Effect.flatMap(step, (exit) => this.stepped(exit, failed, at))
  }

  private step(failed: Failed, at: number): Effect.Effect<[unknown, Duration.Duration], Cause.Done<unknown>> {
    const retry = this.call.plan.retry!
    const schedule = failed.outcome.kind === "throttled" ? retry.throttled : retry.transient
    const known = schedule === retry.transient ? this.transient : this.throttled
    if (known !== undefined) return Effect.suspend(() => known(at, failed.error))
    return Effect.flatMap(Schedule.toStep(schedule), (step) => {
      if (schedule === retry.transient) this.transient = step
      if (schedule === retry.throttled) this.throttled = step
      return step(at, failed.error)
    })
  }

  private stepped(exit: StepExit, failed: Failed, at: number): Effect.Effect<unknown, unknown, never> {
    const { call } = this
    call.leave()
    call.now = call.readNow()
    if (Exit.isFailure(exit)) {
      if (Pull.isDoneCause(exit.cause)) return call.exhausted("schedule")
      // a schedule that dies: the original failure first, its defect beside it
      return call.giveUp(Cause.combine(failed.cause, exit.cause), failed.error)
    }
    const [output, duration] = exit.value
    const delayMs = this.delay(Math.max(0, Duration.toMillis(duration)), failed)
    if (delayMs === undefined) return call.exhausted("retry-after")
    const { deadline } = call
    if (deadline !== undefined && call.now + delayMs >= deadline.at) return call.exhausted("deadline")
    const tokens = withdraw(call, { timeout: failed.outcome.kind === "timeout", kind: "retry" })
    if (typeof tokens === "string") return call.exhausted("budget", { deniedBy: tokens })
    call.tokens = tokens
    this.history.delayed(delayMs)
    this.metadata = metadataAfter(this.metadata, at, failed.error, output, delayMs)
    return call.again(failed, delayMs)
  }

  /** The schedule's delay, or the server's hint where that is longer; `undefined` when the hint is above the ceiling. */
  private delay(scheduledMs: number, failed: Failed): number | undefined {
    const hint = failed.outcome.retryAfter
    if (hint === undefined) return scheduledMs
    const hintMs = Duration.toMillis(hint)
    if (hintMs > this.call.plan.retryAfterCeilingMs) return undefined
    if (hintMs <= scheduledMs) return scheduledMs
    return hintMs * (1 + hintJitter * this.call.fiber.getRef(Random.Random).nextDoubleUnsafe())
  }
}

const metadataAfter = (
  previous: Schedule.Metadata,
  now: number,
  input: unknown,
  output: unknown,
  delayMs: number
): Schedule.Metadata => {
  const isFirst = previous.attempt === 0
  const start = isFirst ? now : previous.start
  return {
    input,
    output,
    duration: Duration.millis(delayMs),
    attempt: previous.attempt + 1,
    start,
    now,
    elapsed: now - start,
    elapsedSincePrevious: isFirst ? 0 : now - previous.now
  }
}
