// A policy as a value: its options, and the plan made of them.
import type { Plan } from "./engine.ts"
import { compile } from "./plan.ts"
import type { Options, Policy } from "./policyTypes.ts"
import { invalid } from "./validate.ts"

export class PolicyImpl<O> implements Policy<O> {
  readonly "~effect-resilience/Policy" = "~effect-resilience/Policy"
  readonly options: O
  readonly plan: Plan

  constructor(options: O) {
    this.options = Object.freeze({ ...options })
    this.plan = compile(options as Options)
  }
}

/** The plan of a policy, or of a class that carries one. */
export const planOf = (policy: unknown): Plan => {
  if (policy instanceof PolicyImpl) return policy.plan
  const carried = typeof policy === "function" && "policy" in policy ? policy.policy : undefined
  if (carried instanceof PolicyImpl) return carried.plan
  return invalid("withResilience: policy", policy, "made by Policy.make, Policy.extend or Policy.Standard")
}
