// A policy as a value: its options, and the plan made of them.
import type { Effect } from "effect"
import { run } from "./engine.ts"
import { compile, type Plan } from "./plan.ts"
import type { Options, Policy } from "./policyTypes.ts"
import { invalid } from "./validate.ts"

export class PolicyImpl<O> implements Policy<O> {
  readonly "~effect-resilience/Policy" = "~effect-resilience/Policy"
  readonly options: O
  readonly plan: Plan
  /** `withResilience(policy)` of a policy that asks nothing of the call: always the same function. */
  readonly pipeable: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, unknown, R>

  /** Options that are refused are said to be those of `maker`. */
  constructor(options: O, maker: string) {
    this.options = Object.freeze({ ...options })
    const plan = (this.plan = compile(options as Options, maker))
    this.pipeable = (self) => run(plan, undefined, self)
  }
}

/** The plan of a policy, or of a class that carries one, given as this option. */
export const planOf = (policy: unknown, option = "withResilience: policy"): Plan => {
  if (policy instanceof PolicyImpl) return policy.plan
  const carried = typeof policy === "function" && "policy" in policy ? policy.policy : undefined
  if (carried instanceof PolicyImpl) return carried.plan
  return invalid(option, policy, "made by Policy.make, Policy.extend or Policy.Standard")
}
