// Where the value of an effect comes from: what the fallbacks within it have served, as far as it is a part of the value. What a run
// serves counts only once that run has succeeded, because the value of a failed one goes nowhere. So each attempt of a policy, each
// effect that has a fallback, and each answer of a fallback is a part that keeps its own account, and passes it on with its value.
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Fiber } from "effect"
import { orUndefined } from "./context.ts"
import type { Interposer, Target } from "./interposer.ts"

export interface Source {
  readonly source: "live" | "stale" | "fallback"
  readonly age: Duration.Duration | undefined
}

export const live: Source = { source: "live", age: undefined }

/** The source, and the attempt of the schedule around in which its value was served. */
interface Entry {
  readonly source: Source
  attempt: number
}

/** What was served in one part, by place: an effect that runs again in the same place may take back what it said there. */
export class Account {
  readonly #entries = new Map<unknown, Entry>()

  get last(): Source | undefined {
    return Array.from(this.#entries.values()).at(-1)?.source
  }

  /**
   * An effect begins in that place. In a later attempt of a schedule it runs anew, because its value was thrown away. In the same
   * attempt, or an earlier one, it is used once more, and both uses count.
   */
  begin(place: unknown, attempt: number): void {
    const known = this.#entries.get(place)
    if (known === undefined) return
    if (known.attempt < attempt) this.#entries.delete(place)
    else known.attempt = Number.POSITIVE_INFINITY
  }

  add(place: unknown, source: Source, attempt: number): void {
    const isUsedTwice = this.#entries.delete(place)
    this.#entries.set(place, { source, attempt: isUsedTwice ? Number.POSITIVE_INFINITY : attempt })
  }
}

export const CurrentAccount = /*#__PURE__*/ Context.Reference<Account | undefined>(
  "effect-resilience/Fallback/CurrentAccount",
  {
    defaultValue: () => undefined
  }
)

/**
 * Runs `self` as a part with an account of its own; if it succeeds, what it says last is put down in the account around, `own` where it
 * says nothing. `place` is the same whenever the same effect runs. Where nobody asks, it is `self` itself.
 */
export const part = <A, E, R>(
  fiber: Fiber.Fiber<unknown, unknown>,
  place: object,
  self: Effect.Effect<A, E, R>,
  own?: Source
): Effect.Effect<A, E, R> => {
  const around = orUndefined(fiber.context, CurrentAccount)
  if (around === undefined) return self
  const schedule = orUndefined<Schedule.Metadata>(fiber.context, Schedule.CurrentMetadata as never)
  // outside of a schedule nothing runs again, and one place does for all: there may be many
  const where = schedule === undefined ? around : place
  const attempt = schedule?.attempt ?? 0
  const within = new Account()
  around.begin(where, attempt)
  return Effect.map(Effect.provideService(self, CurrentAccount, within), (value) => {
    const source = within.last ?? own
    if (source !== undefined) around.add(where, source, attempt)
    return value
  })
}

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

/** Makes each attempt of the policies within a part, whatever else comes between. */
class Watch implements Interposer {
  readonly #other: Interposer | undefined

  constructor(other: Interposer | undefined) {
    this.#other = other
  }

  interpose(self: AnyEffect, target: Target, caller: Fiber.Fiber<unknown, unknown>): AnyEffect {
    const attempt = this.#other === undefined ? self : this.#other.interpose(self, target, caller)
    // in the fiber of the attempt, and in its context
    return Effect.withFiber((fiber) => part(fiber, self, attempt))
  }
}

export const watched = (other: Interposer | undefined): Interposer =>
  other instanceof Watch ? other : new Watch(other)

/** One in place of that around, which may watch: then the new one does. */
export const inPlaceOf = (around: Interposer | undefined, other: Interposer): Interposer =>
  around instanceof Watch ? new Watch(other) : other
