// A store that others share may fail, or not answer at all (a Redis client that has lost its connection waits for the next one).
// A call must not hang for that, and nobody must have to guess that its limit is not in force.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Answer } from "./rateQuota.ts"
import { nowMs } from "./time.ts"

export type OnStoreError = "admit" | "reject"

/** An outage comes down to one line of log in this time. */
export const quietMs = 10_000

const effectOn = { admit: "calls go through without it", reject: "calls are refused" } as const

/** Makes what asks the store into what always answers, in about `timeoutMs` at most, and tells the log what the store did not. */
export const answering = (
  limiter: string,
  timeoutMs: number,
  onStoreError: OnStoreError
): (<E>(take: Effect.Effect<Answer, E>) => Effect.Effect<Answer>) => {
  let lastLine: number | undefined
  let unsaid = 0
  const failed = (cause: Cause.Cause<unknown>): Effect.Effect<Answer> =>
    Effect.withFiber((fiber) => {
      const answer = Effect.succeed<Answer>({ _tag: "Failed" })
      const now = nowMs(fiber)
      if (lastLine !== undefined && now - lastLine < quietMs) {
        unsaid++
        return answer
      }
      const more = unsaid === 0 ? "" : ` (as ${unsaid} times since the last such line)`
      lastLine = now
      unsaid = 0
      const text = `the rate limit ${limiter} cannot reach its store, so ${effectOn[onStoreError]}${more}`
      return Effect.andThen(Effect.logWarning(text, cause), answer)
    })
  return (take) =>
    take.pipe(
      Effect.timeout(Duration.millis(timeoutMs)),
      Effect.catch((error) => failed(Cause.fail(error)))
    )
}
