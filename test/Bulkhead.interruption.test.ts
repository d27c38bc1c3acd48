// Rule 23, for bulkheads: a call that is interrupted at any operation of the runtime, waiting or running, leaves its slot and its
// place in the queue to the others.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import * as Backoff from "../src/Backoff.ts"
import * as Bulkhead from "../src/Bulkhead.ts"
import * as Deadline from "../src/Deadline.ts"
import * as Fault from "../src/Fault.ts"
import * as Policy from "../src/Policy.ts"
import * as Priority from "../src/Priority.ts"
import { Net, scripted } from "./kit.ts"
import { runInterrupted } from "./virtual.ts"

class B extends Bulkhead.Service<B>()("test/B", { maxConcurrent: 1, maxQueue: 2, maxWait: "1 minute" }) {}
class Second extends Bulkhead.Service<Second>()("test/Second", { maxConcurrent: 1, maxQueue: 2, order: "lifo" }) {}

const plain = Policy.make({ name: "plain", guards: [B] })
const full = Policy.make({
  name: "full",
  faults: Fault.all,
  safety: "idempotent",
  retry: Backoff.constant(2).pipe(Backoff.times(2)),
  deadline: "1 minute",
  attemptTimeout: "1 second",
  guards: [B]
})

const work = Effect.as(Effect.sleep(5), "done")
const retried = () => scripted<string, Net>(Effect.fail(new Net({})), work).effect

/** Whether the call finds the slot taken, and has to wait for it. */
const scenarios: Record<string, readonly [waits: boolean, () => Effect.Effect<unknown, unknown, B | Second>]> = {
  "running, with protect": [false, () => B.protect(work)],
  "waiting, with protect": [true, () => B.protect(work)],
  "waiting, with protect and a deadline": [true, () => B.protect(work).pipe(Deadline.within("1 minute"))],
  "running, in a policy": [false, () => work.pipe(Policy.withResilience(plain))],
  "waiting, in a policy": [true, () => work.pipe(Policy.withResilience(plain))],
  "waiting, with a retry and limits of time": [true, () => retried().pipe(Policy.withResilience(full))],
  "waiting, with another bulkhead around": [true, () => work.pipe(Policy.withResilience(plain), Second.protect())],
  "waiting, and displaced": [
    true,
    () =>
      Effect.gen(function* () {
        const important = yield* Effect.forkChild(
          Effect.andThen(Effect.sleep(2), B.protect(work).pipe(Priority.at("critical"))),
          { startImmediately: true }
        )
        const refused = yield* Effect.flip(B.protect(work).pipe(Priority.at("background")))
        assert.strictEqual(refused.reason, "displaced")
        yield* Fiber.join(important)
      })
  ],
  "waiting, until it has waited too long": [
    true,
    () => Effect.map(Effect.flip(B.protect(work)), ({ reason }) => assert.strictEqual(reason, "wait"))
  ]
}

const attempt = (
  [waits, scenario]: (typeof scenarios)[string],
  maxWait: number,
  at: number | undefined,
  yielding: boolean
) => {
  let left: unknown
  const program = Effect.gen(function* () {
    const holder = waits ? yield* Effect.forkScoped(B.protect(work), { startImmediately: true }) : undefined
    // behind the call, whenever it comes, and in the end it has the slot
    const next = yield* Effect.forkScoped(Effect.andThen(Effect.sleep(1), B.protect(work)), { startImmediately: true })
    yield* Effect.onExit(scenario(), () =>
      Effect.gen(function* () {
        const ended = [holder === undefined ? "done" : yield* Fiber.join(holder), yield* Fiber.join(next)]
        left = [ended, yield* B.snapshots, yield* Second.snapshots]
      })
    )
  }).pipe(Effect.scoped, Effect.provide([B.layerWith({ maxWait }), Second.layer]))
  const result = runInterrupted(program, at, yielding)
  return { ...result, left }
}

const empty = (maxConcurrent: number) => [{ key: undefined, maxConcurrent, inFlight: 0, waiting: 0 }]
const nothing = [["done", "done"], empty(1), empty(1)]

describe("interrupted at every operation, nothing is left", () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    it(name, () => {
      const maxWait = name.endsWith("too long") ? 4.5 : 60_000
      const run = (at: number | undefined, yielding: boolean) => attempt(scenario, maxWait, at, yielding)
      const whole = run(undefined, false)
      assert.deepStrictEqual(whole.exit, Exit.void)
      assert.deepStrictEqual(whole.left, nothing)
      let interrupted = 0
      for (let at = 0; at <= whole.operations; at++) {
        for (const yielding of [true, false]) {
          const { exit, left, openFibers, sleepers } = run(at, yielding)
          const where = `interrupted at operation ${at}, yielding: ${yielding}`
          assert.isDefined(exit, where)
          assert.deepStrictEqual([openFibers, sleepers], [0, 0], where)
          // before the call began there is nothing to leave
          if (left !== undefined) assert.deepStrictEqual(left, nothing, where)
          if (Exit.hasInterrupts(exit!) && left !== undefined) interrupted++
        }
      }
      assert.isAbove(interrupted, 50)
    })
  }
})
