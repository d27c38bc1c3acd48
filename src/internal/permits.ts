// What one attempt holds of its guards, and how it is given back: once, in reverse, whatever a guard does wrong.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect"
import type { Outcome, Permit } from "../Guard.ts"
import { interrupted } from "./outcome.ts"
import type { Plan } from "./plan.ts"
import { reportDefect } from "./reportDefect.ts"

export abstract class Permits {
  abstract readonly plan: Plan
  abstract readonly fiber: Fiber.Fiber<unknown, unknown>
  abstract now: number
  private permit: Permit | undefined = undefined
  /** Those after the first: most attempts have one guard. */
  private permits: Array<Permit> | undefined = undefined
  /** What guards still have to do. */
  protected settling: Effect.Effect<void> | undefined = undefined

  hold(permit: Permit): void {
    if (this.permit === undefined) this.permit = permit
    else if (this.permits === undefined) this.permits = [permit]
    else this.permits.push(permit)
  }

  settle(outcome: Outcome, elapsed: number): void {
    const { permit, permits } = this
    if (permit === undefined) return
    this.permit = this.permits = undefined
    if (permits !== undefined) for (const later of permits.toReversed()) this.settleOne(later, outcome, elapsed)
    this.settleOne(permit, outcome, elapsed)
  }

  /** Gives permits back that no attempt has used. */
  release(): void {
    this.settle(interrupted, 0)
  }

  /** Runs what guards have to do. Once begun it is not interrupted; not begun, it is still there for whoever comes next. */
  protected flush(): Effect.Effect<void> {
    return Effect.uninterruptible(
      Effect.suspend(() => {
        const settling = this.settling ?? Effect.void
        this.settling = undefined
        return settling
      })
    )
  }

  private settleOne(permit: Permit, outcome: Outcome, elapsed: number): void {
    try {
      const effect = permit.settle(outcome, elapsed, this.now)
      if (effect !== undefined) this.later(effect)
    } catch (defect) {
      this.guardDied(defect)
    }
  }

  /** A guard has something to do that takes time. */
  later(effect: Effect.Effect<void>): void {
    const safe = Effect.catchCause(effect, (cause) => Effect.sync(() => this.guardDied(Cause.squash(cause))))
    this.settling = this.settling === undefined ? safe : Effect.andThen(this.settling, safe)
  }

  /** What the attempt did counts for more than what a guard did wrong when it was told. */
  private guardDied(defect: unknown): void {
    reportDefect(this.fiber, `a guard of ${this.plan.name} died while it was told how an attempt ended`, defect)
  }
}
