// A number of retries that never comes back: the budget of one task.
import type { Token } from "../budget.ts"
import { ignore } from "../budgets.ts"

export interface Task {
  readonly name: string
  /** Check and take in one step: a token for one more attempt, or nothing. */
  readonly retry: () => Token | undefined
}

export const makeTask = (name: string, maxRetries: number): Task => {
  let left = maxRetries
  const token: Token = {
    settle: ignore,
    cancel: () => {
      left++
    }
  }
  return {
    name,
    retry: () => {
      if (left === 0) return undefined
      left--
      return token
    }
  }
}
