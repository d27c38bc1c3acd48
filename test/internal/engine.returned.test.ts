// The engine where it knows nothing of how an effect is evaluated, and returns all of them to the runtime.
import { assert, describe, it } from "@effect/vitest"
import { Backoff, Guard, Policy, withResilience } from "effect-resilience"
import { Context, Effect, Exit } from "effect"
import { vi } from "vitest"
import type * as Evaluated from "../../src/internal/evaluated.ts"
import { Book, bookedGuard, Net } from "../kit.ts"
import { runInterrupted } from "../virtual.ts"

const returned = vi.hoisted(() => ({ effects: 0 }))

vi.mock(import("../../src/internal/evaluated.ts"), async (original) => ({
  ...(await original()),
  evaluateHere: ((effect) => {
    returned.effects++
    return effect
  }) satisfies typeof Evaluated.evaluateHere
}))

const Booked = Context.Service<"booked", Guard.Guard<never>>("test/booked")

class Marked extends Net {
  readonly isRetryable = true
}

const retries = 5
const policy = Policy.make({
  name: "p",
  safety: "idempotent",
  retry: Backoff.constant(10).pipe(Backoff.times(retries)),
  attemptTimeout: "50 millis",
  guards: [Booked]
})

/** Hangs, fails at once and later, and succeeds in the end. */
const work = () => {
  let n = 0
  return Effect.suspend((): Effect.Effect<string, Marked> => {
    if (++n > retries) return Effect.succeed("done")
    if (n === 1) return Effect.never
    return n === 2 ? Effect.fail(new Marked({})) : Effect.andThen(Effect.sleep(1), Effect.fail(new Marked({})))
  })
}

const run = (at: number | undefined) => {
  const book = new Book()
  const program = withResilience(work(), policy).pipe(Effect.provideService(Booked, bookedGuard(book, "test/booked")))
  return { book, ...runInterrupted(program, at, false) }
}

describe("an engine that returns its frames to the runtime", () => {
  it("makes the same attempts, and succeeds", () => {
    const { book, exit } = run(undefined)
    assert.deepStrictEqual(exit, Exit.succeed("done"))
    assert.deepStrictEqual(
      book.settled.map(({ outcome }) => outcome.kind),
      ["timeout", "transient", "transient", "transient", "transient", "success"]
    )
    // of the two frames around the first attempt the outer one comes back; those of retries are left to the runtime in any case
    assert.strictEqual(returned.effects, 1)
  })

  it("leaves nothing when it is interrupted at any operation", () => {
    const whole = run(undefined)
    let interrupted = 0
    for (let at = 0; at < whole.operations; at++) {
      const { book, exit, openFibers, sleepers } = run(at)
      assert.deepStrictEqual([book.held, openFibers, sleepers], [0, 0, 0], `interrupted at operation ${at}`)
      if (exit !== undefined && Exit.hasInterrupts(exit)) interrupted++
    }
    assert.isAbove(interrupted, 20)
  })
})
