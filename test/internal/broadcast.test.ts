import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { broadcast } from "../../src/internal/broadcast.ts"

const made = (capacity: number) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const { isFollowed, send, stream } = yield* Scope.provide(broadcast<number>(capacity), scope)
    const follow = Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Stream.runCollect(stream), { startImmediately: true })
      assert.isTrue(isFollowed())
      return fiber
    })
    return { isFollowed, send, stream, follow, end: Scope.close(scope, Exit.void) }
  })

describe("broadcast", () => {
  it.effect("each follower gets everything from its beginning on, to the end of the scope", () =>
    Effect.gen(function* () {
      const { end, follow, send } = yield* made(9)
      send(1)
      const first = yield* follow
      send(2)
      const second = yield* follow
      send(3)
      yield* end
      assert.deepStrictEqual(yield* Fiber.join(first), [2, 3])
      assert.deepStrictEqual(yield* Fiber.join(second), [3])
    })
  )

  it.effect("who falls behind loses the oldest, and no other does", () =>
    Effect.gen(function* () {
      const { end, send, stream } = yield* made(2)
      const seen: Array<number> = []
      const slow = yield* Stream.runForEach(stream, (n) =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => seen.push(n))
        )
      ).pipe(Effect.forkChild({ startImmediately: true }))
      for (let n = 1; n <= 5; n++) send(n)
      yield* end
      yield* Fiber.join(slow)
      assert.deepStrictEqual(seen, [4, 5])
    })
  )

  it.effect("nobody runs within send, but when the sender waits", () =>
    Effect.gen(function* () {
      const { send, stream } = yield* made(9)
      const seen: Array<number> = []
      yield* Effect.forkChild(
        Stream.runForEach(stream, (n) => Effect.sync(() => seen.push(n))),
        { startImmediately: true }
      )
      send(1)
      send(2)
      assert.deepStrictEqual(seen, [])
      yield* Effect.yieldNow
      assert.deepStrictEqual(seen, [1, 2])
    })
  )

  it.effect("who leaves is not followed by anything", () =>
    Effect.gen(function* () {
      const { follow, isFollowed, send } = yield* made(9)
      assert.isFalse(isFollowed())
      yield* Fiber.interrupt(yield* follow)
      assert.isFalse(isFollowed())
      send(1)
    })
  )

  it.effect("what one causes who is told of the end reaches nobody any more", () =>
    Effect.gen(function* () {
      const { end, isFollowed, send, stream } = yield* made(9)
      const speaking = Effect.andThen(
        Stream.runDrain(stream),
        Effect.sync(() => {
          assert.isFalse(isFollowed())
          send(7)
        })
      )
      const first = yield* Effect.forkChild(speaking, { startImmediately: true })
      const second = yield* Effect.forkChild(Stream.runCollect(stream), { startImmediately: true })
      yield* end
      yield* Fiber.join(first)
      assert.deepStrictEqual(yield* Fiber.join(second), [])
    })
  )

  it.effect("who comes after the end finds it, and is not kept", () =>
    Effect.gen(function* () {
      const { end, isFollowed, send, stream } = yield* made(9)
      yield* end
      send(1)
      assert.deepStrictEqual(yield* Stream.runCollect(stream), [])
      assert.isFalse(isFollowed())
    })
  )
})
