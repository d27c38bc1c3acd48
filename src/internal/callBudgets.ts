// What one call holds of the budgets of its policy and of the tasks around it.
import type { Outcome } from "../Guard.ts"
import { keyFor } from "./admission.ts"
import type { Budget, BudgetCall, RetryRequest, Token } from "./budget.ts"
import { usedAround } from "./currentCall.ts"
import type { Call } from "./engine.ts"
import type { Emit } from "./events.ts"

/** The call counts towards each budget of its policy; once, however deeply policies that use the same one are nested. */
export const begin = (call: Call): void => {
  const { budgets } = call.around
  for (let i = 0; i < budgets.length; i++) {
    const budget = budgets[i]!
    const begun = budget.begin(call.now, keyFor(call, call.plan.budgets[i]!), !usedAround(call.parent, budget))
    if (call.budgets === undefined) call.budgets = [begun]
    else call.budgets.push(begun)
  }
}

export const uses = (call: Call, budget: Budget): boolean => call.around.budgets.includes(budget)

/** An attempt has ended, for which these tokens were taken. `nested`: with an error of a policy further in, which counts already there. */
export const tell = (call: Call, tokens: ReadonlyArray<Token> | undefined, outcome: Outcome, nested: boolean): void => {
  const { budgets, now, taskBudgets } = call
  if (tokens !== undefined) for (const token of tokens) token.settle(now, outcome)
  if (nested || outcome.kind === "interrupted") return
  if (budgets !== undefined) for (let i = 0; i < budgets.length; i++) budgets[i]!.attempt(now, outcome)
  if (taskBudgets !== undefined) for (const task of taskBudgets) task.attempt(now, outcome)
}

/** The call is over. A token that no attempt has used goes back. */
export const end = (call: Call, now: number): void => {
  const { budgets, taskBudgets, tokens } = call
  call.tokens = call.budgets = call.taskBudgets = undefined
  if (tokens !== undefined) for (const token of tokens) token.cancel(now)
  if (budgets !== undefined) for (let i = 0; i < budgets.length; i++) budgets[i]!.end(now)
  if (taskBudgets !== undefined) for (const task of taskBudgets) task.end(now)
}

/** A token of every budget, or of none: then it is the name of the one that said no. */
export const withdraw = (call: Call, request: RetryRequest): ReadonlyArray<Token> | string => {
  const { now } = call
  const around = call.tasks
  const tokens: Array<Token> = []
  const take = (budget: BudgetCall): boolean => {
    const token = budget.retry(now, request)
    if (token !== undefined) tokens.push(token)
    return token !== undefined
  }
  const refused = (name: string): string => {
    for (const token of tokens) token.cancel(now)
    if (call.emit !== undefined) noteBalances(call, call.emit)
    return name
  }
  const budgets = call.budgets ?? []
  if (around.length > 0) call.taskBudgets ??= around.map((budget) => budget.begin(now, undefined, true))
  for (let i = 0; i < around.length; i++) if (!take(call.taskBudgets![i]!)) return refused(around[i]!.name)
  for (let i = 0; i < budgets.length; i++) if (!take(budgets[i]!)) return refused(call.around.budgets[i]!.name)
  if (call.emit !== undefined) noteBalances(call, call.emit)
  return tokens
}

/** What a retry has left in the budgets it drew from. */
const noteBalances = (call: Call, emit: Emit): void => {
  const services = call.plan.budgets
  for (let i = 0; i < services.length; i++) {
    const budget = call.around.budgets[i]!
    const key = keyFor(call, services[i]!)
    if (budget.balance === undefined) continue
    const at = call.clock.currentTimeMillisUnsafe()
    emit({ _tag: "BudgetChanged", at, budget: budget.name, key, balance: budget.balance(call.now, key) })
  }
}
