// What any number may follow as a stream, each from when it begins to; the stream ends with the scope in which this was made.
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Cause, Scope } from "effect"

export interface Broadcast<A> {
  /** Whether anybody follows it now. */
  readonly isFollowed: () => boolean
  readonly send: (value: A) => void
  readonly stream: Stream.Stream<A>
}

/** Who falls behind by more than `capacity` loses the oldest. None runs within `send`: that may be in the midst of a call. */
export const broadcast = /*#__PURE__*/ Effect.fnUntraced(function* <A>(
  capacity: number
): Effect.fn.Return<Broadcast<A>, never, Scope.Scope> {
  const queues = new Set<Queue.Queue<A, Cause.Done>>()
  let ended = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      ended = true
      for (const queue of queues) Queue.endUnsafe(queue)
    })
  )
  const followed = Effect.acquireRelease(Queue.sliding<A, Cause.Done>(capacity), (queue) =>
    Effect.sync(() => queues.delete(queue))
  )
  return {
    isFollowed: () => !ended && queues.size > 0,
    send: (value) => {
      // one that was told of the end may cause something to be sent to those that are not told yet
      if (ended) return
      for (const queue of queues) Queue.offerUnsafe(queue, value)
    },
    stream: Stream.unwrap(
      Effect.map(followed, (queue) => {
        if (ended) return Stream.empty
        queues.add(queue)
        return Stream.fromQueue(queue)
      })
    )
  }
})
