import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Fiber, Option, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as Deadline from "../src/Deadline.ts"
import * as Fault from "../src/Fault.ts"
import * as Idempotency from "../src/Idempotency.ts"
import * as Policy from "../src/Policy.ts"
import { withResilience } from "../src/Policy.ts"
import { holds, integers } from "./property.ts"

class Down extends Data.TaggedError("Down") {}

const base = { faults: Fault.tags({ transient: ["Down"] }), retry: Schedule.recurs(5) } as const

/** A mint that says how often it ran. */
const counting = () => {
  let minted = 0
  return { mint: Effect.sync(() => `key ${++minted}`), minted: () => minted }
}

/** Fails twice, and notes the key it is run with. */
const flaky = (keys: Array<string>) => {
  let runs = 0
  return Effect.gen(function* () {
    keys.push(yield* Idempotency.Key)
    if (++runs % 3 !== 0) return yield* new Down()
  })
}

const keyNow = Effect.serviceOption(Idempotency.Key)

describe("key", () => {
  it.effect("a mint runs once for each call: all attempts see the same key, the next call another", () =>
    Effect.gen(function* () {
      const { mint, minted } = counting()
      const policy = Policy.make({ ...base, name: "p", safety: Idempotency.key(mint) })
      const keys: Array<string> = []
      const call = flaky(keys).pipe(withResilience(policy))
      assert.strictEqual(minted(), 0)
      yield* call
      assert.deepStrictEqual(keys, ["key 1", "key 1", "key 1"])
      yield* call
      assert.deepStrictEqual(keys.slice(3), ["key 2", "key 2", "key 2"])
      assert.strictEqual(minted(), 2)
    })
  )

  it.effect("the caller's key wins, and then nothing is minted", () =>
    Effect.gen(function* () {
      const { mint, minted } = counting()
      const policy = Policy.make({ ...base, name: "p", safety: Idempotency.key(mint) })
      const keys: Array<string> = []
      yield* flaky(keys).pipe(withResilience(policy, { idempotencyKey: "order-1" }))
      assert.deepStrictEqual(keys, ["order-1", "order-1", "order-1"])
      assert.strictEqual(minted(), 0)
    })
  )

  it.effect("a policy that asks its caller", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ ...base, name: "p", safety: Idempotency.key() })
      const keys: Array<string> = []
      yield* flaky(keys).pipe(withResilience(policy, { idempotencyKey: "order-1" }))
      yield* flaky(keys).pipe(withResilience(policy, { idempotencyKey: "order-2" }))
      assert.deepStrictEqual(keys, ["order-1", "order-1", "order-1", "order-2", "order-2", "order-2"])
    })
  )

  it.effect("makes a repeat safe: such a policy retries what may have been acted on", () =>
    Effect.gen(function* () {
      const attempts = (safety: Policy.Safety) =>
        Effect.map(
          Effect.flip(
            Effect.fail(new Down()).pipe(
              withResilience(Policy.make({ ...base, name: "p", safety }), { idempotencyKey: "k" })
            )
          ),
          (error) => (error as Policy.RetryExhausted<Down>).attempts
        )
      assert.strictEqual(yield* attempts(Idempotency.key()), 6)
      assert.strictEqual(yield* attempts(Idempotency.key(Idempotency.uuid)), 6)
      assert.strictEqual(yield* attempts("not-idempotent"), 1)
    })
  )

  it.effect("is there in the attempts only, not around the call", () =>
    Effect.gen(function* () {
      const policy = Policy.make({ name: "p", safety: Idempotency.key() })
      const during = yield* keyNow.pipe(withResilience(policy, { idempotencyKey: "k" }))
      assert.deepStrictEqual(during, Option.some("k"))
      assert.deepStrictEqual(yield* keyNow, Option.none())
      const after = yield* Effect.fail("x").pipe(
        withResilience(policy, { idempotencyKey: "k" }),
        Effect.catch(() => keyNow)
      )
      assert.deepStrictEqual(after, Option.none())
    })
  )

  it.effect("a nested policy does not inherit it: it has its own, or none", () =>
    Effect.gen(function* () {
      const outer = Policy.make({ name: "outer", safety: Idempotency.key() })
      const keyed = Policy.make({ name: "keyed", safety: Idempotency.key(Effect.succeed("inner key")) })
      const plain = Policy.make({ name: "plain" })
      const retried = Policy.make({ ...base, name: "retried", safety: "idempotent", attemptTimeout: "1 second" })
      const seen = yield* Effect.all([
        keyNow,
        keyNow.pipe(withResilience(plain)),
        keyNow.pipe(withResilience(retried)),
        keyNow.pipe(withResilience(keyed)),
        keyNow.pipe(withResilience(plain), withResilience(keyed)),
        keyNow.pipe(withResilience(keyed), withResilience(plain)),
        keyNow
      ]).pipe(withResilience(outer, { idempotencyKey: "outer key" }))
      assert.deepStrictEqual(seen, [
        Option.some("outer key"),
        Option.none(),
        Option.none(),
        Option.some("inner key"),
        Option.none(),
        Option.some("inner key"),
        Option.some("outer key")
      ])
    })
  )

  it.effect("nor does it through a region with a deadline", () =>
    Effect.gen(function* () {
      const outer = Policy.make({ name: "outer", safety: Idempotency.key() })
      const plain = Policy.make({ name: "plain" })
      const seen = yield* Effect.all([keyNow, keyNow.pipe(withResilience(plain))]).pipe(
        Deadline.within("1 second"),
        withResilience(outer, { idempotencyKey: "outer key" })
      )
      assert.deepStrictEqual(seen, [Option.some("outer key"), Option.none()])
    })
  )

  it.effect("nor does a call that outlives the keyed one, in a region or not", () =>
    Effect.gen(function* () {
      const keyed = Policy.make({ name: "outer", safety: Idempotency.key() })
      const nested = Effect.serviceOption(Idempotency.Key).pipe(withResilience(Policy.make({ name: "inner" })))
      const later = Effect.andThen(Effect.sleep(10), nested)
      const daemons = yield* Effect.all([
        Effect.forkDetach(later),
        Effect.forkDetach(Effect.andThen(Effect.sleep(10), Deadline.within(nested, "1 second"))),
        Effect.forkDetach(Deadline.within(later, "1 second"))
      ]).pipe(withResilience(keyed, { idempotencyKey: "K1" }))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(
        yield* Effect.all(daemons.map(Fiber.join)),
        daemons.map(() => Option.none())
      )
    })
  )

  it.effect("a mint that dies ends the call before anything is sent", () =>
    Effect.gen(function* () {
      let ran = false
      const policy = Policy.make({ ...base, name: "p", safety: Idempotency.key(Effect.die("no entropy")) })
      const exit = yield* Effect.exit(Effect.sync(() => void (ran = true)).pipe(withResilience(policy)))
      assert.deepStrictEqual(exit, Exit.die("no entropy"))
      assert.isFalse(ran)
    })
  )

  it.effect("a mint that hangs is cut by the deadline, and by the caller", () =>
    Effect.gen(function* () {
      let stopped = 0
      const mint = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void stopped++))
      const policy = Policy.make({ ...base, name: "p", safety: Idempotency.key(mint), deadline: "1 second" })
      const cut = yield* Effect.forkChild(Effect.flip(Effect.void.pipe(withResilience(policy))))
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(cut)
      assert.strictEqual(error._tag, "DeadlineExceeded")
      assert.strictEqual(stopped, 1)
      const fiber = yield* Effect.forkChild(Effect.void.pipe(withResilience(policy)))
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.strictEqual(stopped, 2)
    })
  )
})

describe("uuid", () => {
  const drawing = (u: number) =>
    Effect.provideService(Random.Random, {
      nextDoubleUnsafe: () => u,
      nextIntUnsafe: () => assert.fail("not an integer")
    })

  it.effect("at the ends of what Random draws", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Idempotency.uuid.pipe(drawing(0)), "00000000-0000-4000-8000-000000000000")
      assert.strictEqual(yield* Idempotency.uuid.pipe(drawing(1 - 2 ** -53)), "ffffffff-ffff-4fff-bfff-ffffffffffff")
      assert.strictEqual(yield* Idempotency.uuid.pipe(drawing(0.5)), "80000000-8000-4800-a000-800000800000")
    })
  )

  it.effect("is a version 4 UUID, for any seed, and no two alike", () =>
    Effect.gen(function* () {
      const seen = new Map<string, number>()
      yield* holds(
        integers(0, 2 ** 31),
        (seed) =>
          Effect.map(Idempotency.uuid.pipe(Random.withSeed(seed)), (uuid) => {
            const fresh = !seen.has(uuid) || seen.get(uuid) === seed
            seen.set(uuid, seed)
            return fresh && /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid)
          }),
        { runs: 300 }
      )
      assert.isAbove(seen.size, 100)
    })
  )

  it.effect("every bit of it is drawn", () =>
    Effect.gen(function* () {
      // each hex digit, but for the version and the top two bits of the variant, takes all its values
      const values = Array.from({ length: 36 }, () => new Set<string>())
      yield* Effect.gen(function* () {
        for (let i = 0; i < 500; i++) [...(yield* Idempotency.uuid)].forEach((digit, j) => values[j]!.add(digit))
      }).pipe(Random.withSeed("uuid"))
      assert.deepStrictEqual(
        values.map((set) => set.size),
        [...Array(8).fill(16), 1, ...Array(4).fill(16), 1, 1, 16, 16, 16, 1, 4, 16, 16, 16, 1, ...Array(12).fill(16)]
      )
    })
  )

  it.effect("the same seed gives the same one, and the next draw another", () =>
    Effect.gen(function* () {
      const two = Effect.all([Idempotency.uuid, Idempotency.uuid])
      const [a, b] = yield* two.pipe(Random.withSeed(1))
      assert.deepStrictEqual(yield* two.pipe(Random.withSeed(1)), [a, b])
      assert.notStrictEqual(a, b)
      assert.notStrictEqual(yield* Idempotency.uuid.pipe(Random.withSeed(2)), a)
    })
  )
})
