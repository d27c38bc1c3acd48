// What a policy finds in the context around a call. A context never changes, and most calls are made in one that others were made in. There,
// what was found before is used again: to look for what is mostly not there (another Clock, a listener, a call around) is otherwise a fifth of
// what a call costs.
import type * as Clock from "effect/Clock"
import * as Schedule from "effect/Schedule"
import type { Context } from "effect"
import type { Guard } from "../Guard.ts"
import type { Budget } from "./budget.ts"
import { clockIn, orUndefined, service } from "./context.ts"
import { frameIn, type Frame } from "./currentCall.ts"
import { CurrentListener, type Emit } from "./events.ts"
import type { Plan } from "./plan.ts"

export interface Surroundings {
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  /** The innermost call or region around, which may have ended. */
  readonly frame: Frame | undefined
  readonly listener: Emit | undefined
  /** In the order of their phases. */
  readonly guards: ReadonlyArray<Guard<unknown>>
  /** The i-th guard belongs to the service `plan.guards[order[i]]`. */
  readonly order: ReadonlyArray<number>
  /** The i-th belongs to the service `plan.budgets[i]`. */
  readonly budgets: ReadonlyArray<Budget>
  /** Whether a retry around, of Effect's or of a policy, is past its first attempt. */
  readonly retrying: boolean
}

/** What was found, for as long as its context is in use elsewhere: for that holds all of a request, and of the calls around. */
export class Recent {
  looked = 0
  readonly found = new WeakMap<Context.Context<never>, Surroundings>()
}

/** To keep it is dear, and a request may have a context of its own: so one in so many is kept, and one that is used again soon is. */
const looksBeforeKept = 8

/** Dies if a service is missing, which the types of a policy do not allow. */
export const surroundings = (plan: Plan, context: Context.Context<never>): Surroundings => {
  const { recent } = plan
  const known = recent.found.get(context)
  if (known !== undefined) return known
  const found = find(plan, context)
  if (++recent.looked >= looksBeforeKept) {
    recent.looked = 0
    recent.found.set(context, found)
  }
  return found
}

const find = (plan: Plan, context: Context.Context<never>): Surroundings => {
  const guards = guardsIn(plan, context)
  return {
    context,
    clock: clockIn(context),
    frame: frameIn(context),
    listener: orUndefined(context, CurrentListener),
    guards,
    // as it is now that they were found
    order: plan.order,
    budgets: budgetsIn(plan, context),
    retrying: isRetrying(context)
  }
}

const rank = { throttle: 0, rate: 1, concurrency: 2, circuit: 3 } as const

const none: ReadonlyArray<never> = []

const guardsIn = (plan: Plan, context: Context.Context<never>): ReadonlyArray<Guard<unknown>> => {
  if (plan.order.length === 0) return none
  const guards = plan.order.map((i) => service(context, plan.guards[i]!))
  for (let i = 1; i < guards.length; i++) {
    if (rank[guards[i]!.phase] < rank[guards[i - 1]!.phase]) return sorted(plan, context)
  }
  return guards
}

/** The phases belong to the guards, which are services: their order is found in the first call, and kept. */
const sorted = (plan: Plan, context: Context.Context<never>): ReadonlyArray<Guard<unknown>> => {
  const guard = (i: number) => service(context, plan.guards[i]!)
  plan.order = plan.guards.map((_, i) => i).sort((a, b) => rank[guard(a).phase] - rank[guard(b).phase])
  return plan.order.map(guard)
}

const budgetsIn = ({ budgets }: Plan, context: Context.Context<never>): ReadonlyArray<Budget> =>
  budgets.length === 0 ? none : budgets.map((key) => service(context, key))

const isRetrying = (context: Context.Context<never>): boolean => {
  const metadata = orUndefined<Schedule.Metadata>(context, Schedule.CurrentMetadata as never)
  return metadata !== undefined && metadata.attempt !== 0
}
