// What no policy can be cheaper than, with nothing of a policy in it: the frames of the runtime that an attempt needs so that an interruption
// anywhere gives back what is held (rule 23), the context of the attempt, and the time at its beginning and end.
import { Clock, Context, Effect, type Fiber } from "effect"

const Attempt = Context.Reference<number>("bench/Attempt", { defaultValue: () => 0 })

/** The context of an attempt alone, as Effect itself provides one. */
export const provided = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Attempt, 1)

interface Held {
  readonly clock: Clock.Clock
  readonly since: bigint
}

let elapsed = 0n

/** One around everything, one that sees a failure, and the step that admits under both. */
export const framed = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const around = fiber.context
    const clock = fiber.getRef(Clock.Clock)
    const held: Held = { clock, since: clock.monotonicTimeNanosUnsafe() }
    const admitted = Effect.withFiber((fiber) => enter(fiber, around, self))
    return Effect.onExitPrimitive(
      Effect.catchCause(admitted, (cause) => Effect.failCause(cause)),
      () => leave(fiber, around, held)
    )
  })

const enter = <A>(fiber: Fiber.Fiber<unknown, unknown>, around: Context.Context<never>, self: A): A => {
  fiber.setContext(Context.add(around, Attempt, 1))
  return self
}

const leave = (
  fiber: Fiber.Fiber<unknown, unknown>,
  around: Context.Context<never>,
  { clock, since }: Held
): undefined => {
  fiber.setContext(around)
  elapsed += clock.monotonicTimeNanosUnsafe() - since
}
