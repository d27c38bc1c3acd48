// A number of retries that never comes back: the budget of one task.
import type { Budget, BudgetCall, Token } from "../budget.ts"
import { ignore } from "../budgets.ts"

export const makeTask = (name: string, maxRetries: number): Budget => {
  let left = maxRetries
  const token: Token = {
    settle: ignore,
    cancel: () => {
      left++
    }
  }
  const call: BudgetCall = {
    attempt: ignore,
    retry: () => {
      if (left === 0) return undefined
      left--
      return token
    },
    end: ignore
  }
  return { name, begin: () => call }
}
