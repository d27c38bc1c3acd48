/**
 * The attempt in progress, readable from inside the effect: so that it can change something on the next attempt (another model, a
 * smaller page), where sending the very same request again would fail the very same way.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { currentFrame } from "./internal/currentCall.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Attempt {
  /** The policy's name; `undefined` outside a policy. */
  readonly policy: string | undefined
  /** 1 for the first attempt of the call. */
  readonly number: number
  readonly kind: "first" | "retry" | "hedge"
  /** What the attempt before failed with; `undefined` in the first. */
  readonly lastError: unknown
}

const outside: Attempt = { policy: undefined, number: 1, kind: "first", lastError: undefined }

/**
 * The attempt in progress, of the innermost policy around. Outside a policy: number 1, kind "first". A fiber that an earlier attempt
 * has left behind sees the attempt that is in progress now.
 *
 * @since 0.1.0
 * @category accessors
 */
export const current: Effect.Effect<Attempt> = /*#__PURE__*/ Effect.withFiber((fiber) => {
  const frame = currentFrame(fiber)
  return Effect.succeed(
    frame === undefined
      ? outside
      : { policy: frame.policy, number: frame.attempt, kind: frame.kind, lastError: frame.history?.lastError }
  )
})

/**
 * The latest error of this call that is an instance of `errorClass`: of the attempt before, or, where that one failed otherwise,
 * of the one before it. So what a model was told to do better is not forgotten over a lost connection. Of a call's failures the
 * first and the latest 15 are remembered.
 *
 * @since 0.1.0
 * @category accessors
 */
export const lastError = <E extends object>(
  errorClass: abstract new (...args: never) => E
): Effect.Effect<Option.Option<E>> =>
  Effect.withFiber((fiber) => {
    const found = currentFrame(fiber)?.history?.findLast((error): error is E => error instanceof errorClass)
    return Effect.succeed(Option.fromUndefinedOr(found))
  })
