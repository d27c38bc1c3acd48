/**
 * The key of the logical call in progress. A dependency that remembers keys answers a repeated request from memory, so that a
 * retry after "connection lost" cannot charge twice. A policy whose `safety` is {@link key} provides {@link Key} to the effect it
 * runs: the same key for every attempt.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/**
 * The key of the logical call in progress. An effect that requires it cannot run without a keyed policy around it. A policy
 * nested further in does not inherit it, because it is another operation: it provides its own, or none.
 *
 * **Gotchas**
 *
 * The types do not see that: an effect that requires the key, in a policy without a key, in a policy with one, compiles and dies with
 * "Service not found: effect-resilience/Idempotency/Key". Make the inner policy a keyed one. If it is the same operation after all, hand
 * the key on:
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Idempotency, Policy, withResilience } from "effect-resilience"
 *
 * const order = Policy.make({ name: "order", safety: Idempotency.key(Idempotency.uuid) })
 * const payment = Policy.make({ name: "payment", safety: Idempotency.key() })
 *
 * const pay = Effect.flatMap(Idempotency.Key, (key) => Effect.succeed(`paid with ${key}`))
 *
 * const both = Effect.flatMap(Idempotency.Key, (key) => withResilience(pay, payment, { idempotencyKey: key })).pipe(
 *   withResilience(order, { idempotencyKey: "basket-7" })
 * )
 *
 * Effect.runSync(both) // => "paid with basket-7"
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Key extends /*#__PURE__*/ Context.Service<Key, string>()("effect-resilience/Idempotency/Key") {}

/**
 * `safety` by a key that the caller says: `withResilience(policy, { idempotencyKey })`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Required {
  readonly "~effect-resilience/Idempotency": "required"
}

/**
 * `safety` by a key that the policy mints, once for each logical call. A key said at the call wins.
 *
 * @since 0.1.0
 * @category models
 */
export interface Minted {
  readonly "~effect-resilience/Idempotency": "minted"
  readonly mint: Effect.Effect<string>
}

const required: Required = { "~effect-resilience/Idempotency": "required" }

/**
 * Makes a policy safe to retry by an idempotency key: said by the caller, or minted once for each logical call.
 *
 * Prefer a key that the caller derives from the business operation (an order number): it also covers a second press of the
 * button and a restart of the process. A minted key covers the retries of one call.
 *
 * The key is for the effect of this policy alone. A policy within it that is to have one needs a `safety` of this kind itself: see
 * {@link Key}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const key: {
  (): Required
  (mint: Effect.Effect<string>): Minted
} = ((mint?: Effect.Effect<string>): Required | Minted =>
  mint === undefined ? required : { "~effect-resilience/Idempotency": "minted", mint }) as never

const hex = (n: number, digits: number) => n.toString(16).padStart(digits, "0")

/**
 * Mints a random UUID, version 4 (RFC 9562), from the `Random` in force: reproducible under `Random.withSeed`, and not meant as
 * a secret.
 *
 * @since 0.1.0
 * @category mints
 */
export const uuid: Effect.Effect<string> = /*#__PURE__*/ Effect.withFiber((fiber) => {
  const random = fiber.getRef(Random.Random)
  const bits = (n: number) => Math.floor(random.nextDoubleUnsafe() * 2 ** n)
  const variant = 0x8000 + bits(14)
  return Effect.succeed(
    `${hex(bits(32), 8)}-${hex(bits(16), 4)}-4${hex(bits(12), 3)}-${hex(variant, 4)}-${hex(bits(24), 6)}${hex(bits(24), 6)}`
  )
})
