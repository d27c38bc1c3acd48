// What chaos does to an attempt before it begins: nothing, as a rule.
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Fiber, MutableRef } from "effect"
import { labelOf } from "./events.ts"
import type { Interposer, Target } from "./interposer.ts"
import { nowMs } from "./time.ts"

type AnyEffect = Effect.Effect<unknown, unknown, unknown>
type AnyFiber = Fiber.Fiber<unknown, unknown>

export const Enabled = /*#__PURE__*/ Context.Reference<boolean | MutableRef.MutableRef<boolean>>(
  "effect-resilience/Chaos/Enabled",
  {
    defaultValue: () => true
  }
)

const isEnabled = (fiber: AnyFiber): boolean => {
  const enabled = fiber.getRef(Enabled)
  return typeof enabled === "boolean" ? enabled : enabled.current
}

interface Chance {
  /** Undefined: every policy. */
  readonly policies: ReadonlySet<string> | undefined
  readonly probability: number
}

export type Injection = Chance &
  (
    | { readonly kind: "fault"; readonly error: () => unknown }
    | { readonly kind: "latency"; readonly minMs: number; readonly maxMs: number }
    | { readonly kind: "result"; readonly value: () => unknown }
    | { readonly kind: "behavior"; readonly effect: Effect.Effect<unknown, unknown> }
  )

/** What may happen from `fromMs` on, and until before `untilMs`, counted from the beginning. */
export interface Step {
  readonly fromMs: number
  readonly untilMs: number
  readonly injections: ReadonlyArray<Injection>
}

export class Injector implements Interposer {
  readonly #steps: ReadonlyArray<Step>
  readonly #beganMs: number

  /** `beganMs`, on the scale of the monotonic clock, is when the steps count from. */
  constructor(steps: ReadonlyArray<Step>, beganMs: number) {
    this.#steps = steps
    this.#beganMs = beganMs
  }

  interpose(self: AnyEffect, target: Target, fiber: AnyFiber): AnyEffect {
    if (!isEnabled(fiber)) return self
    const hits = this.#draw(target.policy, fiber)
    if (hits === undefined) return self
    return hits.reduceRight((rest, hit) => Effect.suspend(() => happen(hit, rest, target, fiber)), self)
  }

  /** What hits an attempt, in its order. A fault or a result stands for the attempt, so nothing comes after it. */
  #draw(policy: string, fiber: AnyFiber): ReadonlyArray<Injection> | undefined {
    const random = fiber.getRef(Random.Random)
    const elapsed = nowMs(fiber) - this.#beganMs
    let hits: Array<Injection> | undefined
    for (const { fromMs, injections, untilMs } of this.#steps) {
      if (elapsed < fromMs || elapsed >= untilMs) continue
      for (const injection of injections) {
        if (injection.policies?.has(policy) === false) continue
        if (random.nextDoubleUnsafe() >= injection.probability) continue
        ;(hits ??= []).push(injection)
        if (injection.kind === "fault" || injection.kind === "result") return hits
      }
    }
    return hits
  }
}

/** One injection, and then the rest of the attempt. */
const happen = (hit: Injection, rest: AnyEffect, target: Target, fiber: AnyFiber): AnyEffect => {
  switch (hit.kind) {
    case "fault": {
      const error = hit.error()
      note(target, fiber, hit, { error })
      return Effect.fail(error)
    }
    case "latency": {
      const u = fiber.getRef(Random.Random).nextDoubleUnsafe()
      const delay = Duration.millis(hit.minMs + u * (hit.maxMs - hit.minMs))
      note(target, fiber, hit, { delay })
      return Effect.andThen(Effect.sleep(delay), rest)
    }
    case "result": {
      const value = hit.value()
      note(target, fiber, hit)
      return Effect.succeed(value)
    }
    case "behavior": {
      note(target, fiber, hit)
      return Effect.andThen(hit.effect, rest)
    }
  }
}

const note = (
  { attempt, emit, key, policy }: Target,
  fiber: AnyFiber,
  { kind: injection }: Injection,
  more: { readonly error?: unknown; readonly delay?: Duration.Duration } = {}
): void => {
  if (emit === undefined) return
  const at = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
  const error = "error" in more ? labelOf(more.error) : undefined
  emit({ _tag: "ChaosInjected", at, policy, key, attempt, injection, error, delay: more.delay })
}
