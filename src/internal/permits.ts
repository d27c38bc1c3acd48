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
  private first: Permit | undefined = undefined
  private second: Permit | undefined = undefined
  /** Those after the second: most attempts have one guard or two. */
  private others: Array<Permit> | undefined = undefined
  /** What guards still have to do. */
  protected settling: Effect.Effect<void> | undefined = undefined

  hold(permit: Permit): void {
    if (this.first === undefined) this.first = permit
    else if (this.second === undefined) this.second = permit
    else if (this.others === undefined) this.others = [permit]
    else this.others.push(permit)
  }

  settle(outcome: Outcome, elapsed: number): void {
    const { first, others, second } = this
    if (first === undefined) return
    this.first = undefined
    if (second !== undefined) {
      this.second = this.others = undefined
      if (others !== undefined) for (const permit of others.toReversed()) this.settleOne(permit, outcome, elapsed)
      this.settleOne(second, outcome, elapsed)
    }
    this.settleOne(first, outcome, elapsed)
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
