// What one call holds of the budgets of its policy and of the tasks around it.
import type { Outcome } from "../Guard.ts"
import { keyFor } from "./admission.ts"
import type { Budget, RetryRequest, Token } from "./budget.ts"
import { tasksAround, usedAround } from "./currentCall.ts"
import type { CallFrame } from "./callFrame.ts"
import type { Emit } from "./events.ts"

/** The call counts towards each budget of its policy; once, however deeply policies that use the same one are nested. */
export const begin = (call: CallFrame): void => {
  const { budgets } = call.around
  for (let i = 0; i < budgets.length; i++) {
    const budget = budgets[i]!
    const key = keyFor(call, call.plan.budgets[i]!)
    const begun = budget.begin(call.now, key, !usedAround(call.parent, budget, key))
    if (call.budgets === undefined) call.budgets = [begun]
    else call.budgets.push(begun)
  }
}

export const uses = (call: CallFrame, budget: Budget, key: string | undefined): boolean => {
  const i = call.around.budgets.indexOf(budget)
  return i >= 0 && keyFor(call, call.plan.budgets[i]!) === key
}

/** An attempt has ended, for which these tokens were taken. `nested`: with an error of a policy further in, which counts already there. */
export const tell = (
  call: CallFrame,
  tokens: ReadonlyArray<Token> | undefined,
  outcome: Outcome,
  nested: boolean
): void => {
  const { budgets, now } = call
  if (tokens !== undefined) for (const token of tokens) token.settle(now, outcome)
  if (nested || outcome.kind === "interrupted") return
  if (budgets !== undefined) for (let i = 0; i < budgets.length; i++) budgets[i]!.attempt(now, outcome)
}

/** The call is over. A token that no attempt has used goes back. */
export const end = (call: CallFrame, now: number): void => {
  const { budgets, tokens } = call
  call.tokens = call.budgets = undefined
  if (tokens !== undefined) for (const token of tokens) token.cancel(now)
  if (budgets !== undefined) for (let i = 0; i < budgets.length; i++) budgets[i]!.end(now)
  const told = budgets && balancesTold(call)
  if (told !== undefined) noteBalances(call, call.emit!, told)
}

/** A token of every budget, or of none: then it is the name of the one that said no. */
export const withdraw = (call: CallFrame, request: RetryRequest): ReadonlyArray<Token> | string => {
  const { now } = call
  const tokens: Array<Token> = []
  const taken = (token: Token | undefined): boolean => token !== undefined && tokens.push(token) > 0
  const refusing = (): string | undefined => {
    for (const task of tasksAround(call.parent)) if (!taken(task.retry())) return task.name
    const budgets = call.budgets ?? []
    for (let i = 0; i < budgets.length; i++) {
      if (!taken(budgets[i]!.retry(now, request))) return call.around.budgets[i]!.name
    }
    return undefined
  }
  const refused = refusing()
  if (refused !== undefined) for (const token of tokens) token.cancel(now)
  if (call.emit !== undefined) noteBalances(call, call.emit)
  return refused ?? tokens
}

/**
 * What a call has left in the budgets that it uses. When it ends, only what the listener has not heard yet: others may have changed it, or
 * time alone. Of a keyed budget nothing then, because that would have to be remembered for each key.
 */
const noteBalances = (call: CallFrame, emit: Emit, told?: WeakMap<Budget, number>): void => {
  const services = call.plan.budgets
  for (let i = 0; i < services.length; i++) {
    const budget = call.around.budgets[i]!
    const key = keyFor(call, services[i]!)
    if (budget.balance === undefined) continue
    const balance = budget.balance(call.now, key)
    if (told !== undefined && (key !== undefined || told.get(budget) === balance)) continue
    if (key === undefined) balancesTold(call)?.set(budget, balance)
    emit({ _tag: "BudgetChanged", at: call.clock.currentTimeMillisUnsafe(), budget: budget.name, key, balance })
  }
}

const balancesTold = ({ around: { listener } }: CallFrame): WeakMap<Budget, number> | undefined =>
  listener && (listener.balances ??= new WeakMap())
