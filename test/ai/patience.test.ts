import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { AiError } from "effect/ai"
import * as Ai from "../../src/ai/index.ts"
import * as Backoff from "../../src/Backoff.ts"
import * as Policy from "../../src/Policy.ts"
import { withResilience } from "../../src/Policy.ts"
import { errorOf, scripted, throughTime } from "../kit.ts"
import { aiError, everyReason } from "./kit.ts"

const policy = Policy.make({ name: "patient", ...Ai.patience, faults: Ai.faults, safety: "idempotent" })

const run = (reason: AiError.AiErrorReason) =>
  Effect.gen(function* () {
    const { effect, runs } = scripted(Effect.fail(aiError(reason)))
    const exit = yield* throughTime(effect.pipe(withResilience(policy)), { step: 1000 })
    const error = errorOf(exit)
    assert.instanceOf(error, Policy.RetryExhausted)
    return { reason: error.reason, attempts: runs.length }
  })

describe("patience", () => {
  it.effect("has a count of its own for each kind of failure", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run(everyReason.InternalProviderError), { reason: "schedule", attempts: 3 })
      assert.deepStrictEqual(yield* run(everyReason.RateLimitError), { reason: "schedule", attempts: 5 })
    })
  )

  it.effect("believes hints of up to a minute", () =>
    Effect.gen(function* () {
      const asks = (seconds: number) => run(new AiError.RateLimitError({ retryAfter: Duration.seconds(seconds) }))
      // four of them are within the deadline
      assert.deepStrictEqual(yield* asks(60), { reason: "schedule", attempts: 5 })
      assert.deepStrictEqual(yield* asks(61), { reason: "retry-after", attempts: 1 })
    })
  )

  it.effect("waits no longer than it says", () =>
    Effect.gen(function* () {
      const longest = (schedule: (typeof Ai.patience.retry)["transient"], retries: number) =>
        Effect.map(Backoff.preview(schedule, { retries, samples: 500, seed: "x" }), (rows) =>
          rows.map(({ max }) => Math.ceil(Duration.toMillis(max) / 100) * 100)
        )
      assert.deepStrictEqual(yield* longest(Ai.patience.retry.transient, 3), [500, 1000])
      assert.deepStrictEqual(yield* longest(Ai.patience.retry.throttled, 5), [2000, 4000, 8000, 16_000])
    })
  )

  it.effect("an attempt that hangs ends after 90 seconds, and the call with the third", () =>
    Effect.gen(function* () {
      const exit = yield* throughTime(Effect.never.pipe(withResilience(policy)), { step: 1000 })
      const error = errorOf(exit)
      assert.instanceOf(error, Policy.RetryExhausted)
      assert.instanceOf(error.lastError, Policy.AttemptTimeout)
      assert.deepStrictEqual([error.attempts, error.reason], [3, "schedule"])
      assert.isBelow(Duration.toMillis(error.elapsed), 300_000)
    })
  )
})
