import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect } from "effect"
import { type CatchCause, catchCause, likeIts } from "../../src/internal/catchCause.ts"

const effects: CatchCause = (self, handler) => Effect.catchCause(self, handler)
const handler = (cause: Cause.Cause<unknown>) => Effect.succeed(Cause.squash(cause))

describe("catchCause", () => {
  it("makes what Effect's own makes, and is not that", () => {
    const fail = Effect.fail("no")
    const [theirs, ours] = [effects(fail, handler), catchCause(fail, handler)]
    assert.strictEqual(Object.getPrototypeOf(ours), Object.getPrototypeOf(theirs))
    assert.deepStrictEqual(Reflect.ownKeys(ours), Reflect.ownKeys(theirs))
    for (const key of Reflect.ownKeys(ours)) assert.strictEqual(Reflect.get(ours, key), Reflect.get(theirs, key))
    assert.notStrictEqual(likeIts(effects), effects)
  })

  it.effect("catches failures and defects, and lets successes pass", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* catchCause(Effect.fail("no"), handler), "no")
      assert.strictEqual(yield* catchCause(Effect.die("broken"), handler), "broken")
      assert.strictEqual(yield* catchCause(Effect.succeed(1), handler), 1)
    })
  )

  it.each<readonly [string, CatchCause]>([
    ["has more in it than its two arguments", (self, f) => Object.assign(effects(self, f), { more: 1 })],
    ["wraps the handler", (self, f) => effects(self, (cause) => f(cause))],
    ["wraps the effect", (self, f) => effects(Effect.asVoid(self), f)],
    ["has less", () => Effect.void]
  ])("is the one it is given where that %s", (_, other) => {
    assert.strictEqual(likeIts(other), other)
  })
})
