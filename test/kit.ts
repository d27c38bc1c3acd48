// What several tests of policies need: scripted effects, guards and budgets that count what they hold, and a way through time.
import { Clock, Data, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Guard } from "effect-resilience"
import type { Budget } from "../src/internal/budget.ts"

export class Net extends Data.TaggedError("Net")<{ readonly n?: number }> {}
export class Slow extends Data.TaggedError("Slow")<{ readonly after?: number }> {}
export class Gone extends Data.TaggedError("Gone")<{ readonly id?: string }> {}

/** An effect that goes through `steps`, one a run, and stays with the last. `runs` are the times it was started at. */
export const scripted = <A, E>(...steps: ReadonlyArray<Effect.Effect<A, E>>) => {
  const runs: Array<number> = []
  const effect: Effect.Effect<A, E> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    runs.push(now)
    return steps[Math.min(runs.length, steps.length) - 1]!
  })
  return { effect, runs }
}

/** Runs an effect to its end, moving the TestClock on by `step` milliseconds as often as it takes. */
export const throughTime = Effect.fnUntraced(function* <A, E, R>(
  self: Effect.Effect<A, E, R>,
  options?: { readonly step?: number; readonly steps?: number }
) {
  const fiber = yield* Effect.forkChild(self, { startImmediately: true })
  for (let i = 0; i < (options?.steps ?? 2_000) && fiber.pollUnsafe() === undefined; i++) {
    yield* TestClock.adjust(options?.step ?? 10)
  }
  const exit = fiber.pollUnsafe()
  if (exit === undefined) {
    yield* Fiber.interrupt(fiber)
    return yield* Effect.die("the effect did not end in the time given")
  }
  return exit
})

/** Begins at once, in a fiber of its own. */
export const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

/** What a guard is told of a call. */
export const asking = (over: Partial<Guard.Call> = {}): Guard.Call => ({
  policy: "test",
  key: undefined,
  attempt: 1,
  kind: "first",
  now: 0,
  deadline: undefined,
  priority: "normal",
  random: () => 0.5,
  emit: undefined,
  ...over
})

/** The error of a failed exit; dies where there is none. */
export const errorOf = <A, E>(exit: Exit.Exit<A, E>): E => {
  const reason = Exit.isFailure(exit) ? exit.cause.reasons.find((r) => r._tag === "Fail") : undefined
  if (reason === undefined) throw new Error(`no typed failure in ${String(exit)}`)
  return reason.error as E
}

/** A guard that admits everything, at once or after a wait, and keeps books. */
export class Book {
  admitted = 0
  settled: Array<{ readonly outcome: Guard.Outcome; readonly elapsed: number }> = []
  calls: Array<Guard.Call> = []
  get held() {
    return this.admitted - this.settled.length
  }
  permit(): Guard.Permit {
    this.admitted++
    return {
      settle: (outcome, elapsed) => {
        this.settled.push({ outcome, elapsed })
      }
    }
  }
}

export const bookedGuard = (book: Book, name: string, phase: Guard.Phase = "concurrency"): Guard.Guard<never> => ({
  name,
  phase,
  admit: (call) => {
    book.calls.push(call)
    return Guard.admitted(book.permit())
  }
})

/** A budget with so many tokens, which keeps books. */
export class BookedBudget implements Budget {
  readonly name: string
  tokens: number
  begun = 0
  ended = 0
  deposits = 0
  taken = 0
  settled = 0
  cancelled = 0
  outcomes: Array<string> = []
  constructor(name: string, tokens: number) {
    this.name = name
    this.tokens = tokens
  }
  begin(_now: number, _key: string | undefined, deposits: boolean) {
    this.begun++
    if (deposits) this.deposits++
    return {
      attempt: (_: number, outcome: Guard.Outcome) => {
        this.outcomes.push(outcome.kind)
      },
      retry: () => {
        if (this.tokens <= 0) return undefined
        this.tokens--
        this.taken++
        return {
          settle: () => {
            this.settled++
          },
          cancel: () => {
            this.tokens++
            this.cancelled++
          }
        }
      },
      end: () => {
        this.ended++
      }
    }
  }
  get open() {
    return this.begun - this.ended + (this.taken - this.settled - this.cancelled)
  }
}
