// Rule 23: a call that is interrupted at any operation of the runtime leaves nothing: no permit, token, fiber or timer.
import { assert, describe, it } from "@effect/vitest"
import {
  Backoff,
  CircuitBreaker,
  Deadline,
  Fault,
  Guard,
  Idempotency,
  Policy,
  RetryBudget,
  Telemetry,
  withResilience
} from "effect-resilience"
import { Clock, Context, Data, Effect, Exit } from "effect"
import type { Budget } from "../src/internal/budget.ts"
import { Book, bookedGuard, BookedBudget, Net } from "./kit.ts"
import { runInterrupted } from "./virtual.ts"

const Sync = Context.Service<"sync", Guard.Guard<never>>("test/sync")
const Waiting = Context.Service<"waiting", Guard.Guard<never>>("test/waiting")
const Tokens = Context.Service<"tokens", Budget>("test/tokens")

class Breaker extends CircuitBreaker.Service<Breaker>()("test/Breaker", {
  trip: CircuitBreaker.consecutiveFailures(1_000),
  halfOpen: { probes: 2, successRatio: 1, maxDuration: "1 hour" }
}) {}
class Active extends RetryBudget.Service<Active>()(
  "test/Active",
  RetryBudget.concurrent({ ratio: 1, minConcurrency: 9 })
) {}

const retries = 24

const parts = {
  name: "p",
  safety: "idempotent",
  retry: Backoff.constant(10).pipe(Backoff.times(retries)),
  budget: [Tokens, Active],
  guards: [Breaker, Waiting, Sync]
} as const

const probing = Policy.make({ name: "probing", attemptTimeout: "50 millis", guards: [Sync, Waiting, Breaker] })
const plain = Policy.make(parts)
const timed = Policy.make({ ...parts, attemptTimeout: "50 millis" })
const bounded = Policy.make({ ...parts, deadline: "1 minute" })
const both = Policy.make({ ...parts, deadline: "1 minute", attemptTimeout: "50 millis" })
const keyed = Policy.make({ ...parts, safety: Idempotency.key(Effect.andThen(Effect.sleep(1), Idempotency.uuid)) })
const hedged = Policy.make({ ...parts, hedge: { after: "3 millis", max: 2 } })
const hedgedBoth = Policy.make({
  ...parts,
  hedge: { after: "3 millis" },
  deadline: "1 minute",
  attemptTimeout: "50 millis"
})
const outer = Policy.make({ name: "outer", deadline: "30 seconds", guards: [Sync, Waiting] })
const noRetry = Policy.make({ name: "inner", attemptTimeout: "50 millis", guards: [Sync, Waiting, Breaker] })

class Marked extends Net {
  readonly isRetryable = true
}

/** Fails at once, later, hangs where something limits it, and succeeds in the end. */
const work = (hangs: boolean) => {
  let n = 0
  return Effect.suspend((): Effect.Effect<string, Marked> => {
    n++
    if (n > retries) return Effect.as(Effect.sleep(5), "done")
    if (n % 4 === 1) return Effect.fail(new Marked({}))
    if (n % 4 === 2) return Effect.andThen(Effect.sleep(5), Effect.fail(new Marked({})))
    if (n % 4 === 3) return Effect.andThen(Effect.yieldNow, Effect.fail(new Marked({})))
    return hangs ? Effect.never : Effect.fail(new Marked({}))
  })
}

/** Says nothing of the dependency's health: a probe's place is free again. */
class Neutral extends Data.TaggedError("Neutral")<{}> {
  readonly [Fault.verdict] = Fault.throttled()
}
const neutral = Effect.andThen(Effect.sleep(5), Effect.fail(new Neutral()))

const halfOpen = Effect.andThen(Breaker.open(undefined, { for: 1 }), Effect.sleep(1))

/** How many probes a half-open breaker would still admit. */
const freeProbes = Effect.gen(function* () {
  // an open circuit is half-open after its time
  yield* Effect.sleep(1)
  const guard = yield* Breaker
  const now = (yield* Clock.monotonicTimeNanos) / 1_000_000n
  const call = {
    policy: "p",
    key: undefined,
    attempt: 1,
    kind: "first",
    now: Number(now),
    deadline: undefined,
    priority: "normal"
  } as const
  let free = 0
  while (free < 9 && guard.admit({ ...call, random: () => 0, emit: undefined })._tag === "Admitted") free++
  return free
})

type Needs = "sync" | "waiting" | "tokens" | Breaker | Active

const scenarios: Record<string, () => Effect.Effect<unknown, unknown, Needs>> = {
  "without any limit": () => withResilience(work(false), plain),
  "with an attempt timeout": () => withResilience(work(true), timed),
  "with a deadline": () => withResilience(work(false), bounded),
  "with both": () => withResilience(work(true), both),
  "with a minted key": () => withResilience(work(false), keyed),
  hedged: () => withResilience(work(false), hedged),
  "hedged, with both": () => withResilience(work(true), hedgedBoth),
  nested: () => withResilience(withResilience(work(true), noRetry), both),
  "nested the other way, in a deadline and a task": () =>
    withResilience(work(false), bounded).pipe(
      withResilience(outer),
      Deadline.within("1 minute"),
      RetryBudget.task({ maxRetries: 1_000 })
    ),
  observed: () => Telemetry.recorded(withResilience(work(true), both)),
  "a probe": () => Effect.andThen(halfOpen, Effect.ignore(withResilience(neutral, probing))),
  "a breaker alone": () => Effect.andThen(halfOpen, Effect.ignore(Breaker.protect(neutral)))
}

/** One run in an environment of its own; what it leaves behind. */
const attempt = (scenario: () => Effect.Effect<unknown, unknown, Needs>, at: number | undefined, yielding: boolean) => {
  const sync = new Book()
  const waiting = new Book()
  const tokens = new BookedBudget("test/tokens", 1_000)
  let inQueue = 0
  const waits: Guard.Guard<never> = {
    name: "test/waiting",
    phase: "concurrency",
    admit: () =>
      Guard.pending(
        Effect.callback((resume) => {
          inQueue++
          let granted: Guard.Permit | undefined
          queue.push(() => {
            inQueue--
            granted = waiting.permit()
            resume(Effect.succeed(Guard.admitted(granted)))
          })
          return Effect.sync(() => {
            if (granted === undefined) inQueue--
            else granted.settle({ kind: "interrupted", health: "ignored", retryAfter: undefined }, 0, 0)
          })
        })
      )
  }
  const queue: Array<() => void> = []
  const pump = Effect.forever(
    Effect.andThen(
      Effect.sleep(1),
      Effect.sync(() => {
        for (const grant of queue.splice(0)) if (inQueue > 0) grant()
      })
    )
  )
  let probes: number | undefined
  const program = Effect.gen(function* () {
    yield* Effect.forkScoped(pump)
    yield* Effect.onExit(scenario(), () =>
      Effect.gen(function* () {
        // a half-open circuit has as many probes as before: two, or, closed by now, any number
        probes = yield* freeProbes
        assert.strictEqual(yield* Active.balance(), 9)
      })
    )
  }).pipe(
    Effect.provideService(Sync, bookedGuard(sync, "test/sync", "throttle")),
    Effect.provideService(Waiting, waits),
    Effect.provideService(Tokens, tokens),
    Effect.provide([Breaker.layer, Active.layer]),
    Effect.scoped
  )
  const result = runInterrupted(program, at, yielding)
  return {
    ...result,
    left: {
      ended: result.exit !== undefined,
      sleepers: result.sleepers,
      openFibers: result.openFibers,
      sync: sync.held,
      waiting: waiting.held,
      inQueue,
      tokens: tokens.open,
      probes: probes === undefined || probes === 2 || probes === 9
    }
  }
}

const nothing = { ended: true, sleepers: 0, openFibers: 0, sync: 0, waiting: 0, inQueue: 0, tokens: 0, probes: true }

describe("rule 23: interrupted at every operation from 0 to 3000, nothing is left", () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    it(name, () => {
      const whole = attempt(scenario, undefined, false)
      assert.isTrue(whole.exit !== undefined && Exit.isSuccess(whole.exit), String(whole.exit))
      assert.deepStrictEqual(whole.left, nothing)
      let interrupted = 0
      for (let at = 0; at <= 3_000; at++) {
        for (const yielding of [true, false]) {
          const run = attempt(scenario, at, yielding)
          assert.deepStrictEqual(run.left, nothing, `interrupted at operation ${at}, yielding: ${yielding}`)
          if (run.exit !== undefined && Exit.hasInterrupts(run.exit)) interrupted++
        }
        if (at > whole.operations) break
      }
      assert.isAbove(interrupted, 100)
    })
  }
})
