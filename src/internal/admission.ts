// How an attempt comes through the guards: a free look at each, then a permit of each, in the order of their phases.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type { Fiber } from "effect"
import type { Admitted, Call as GuardCall, Pending, Permit, Rejected } from "../Guard.ts"
import { bounded } from "./bounded.ts"
import type { DeadlineInForce } from "./currentCall.ts"
import type { CallOptions, Plan, Service } from "./plan.ts"
import type { Surroundings } from "./surroundings.ts"
import type { AttemptKind, Emit } from "./events.ts"
import type { Level } from "./priorities.ts"

/** An attempt that asks for admission. */
export interface Entrant {
  readonly plan: Plan
  readonly options: CallOptions | undefined
  readonly around: Surroundings
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly number: number
  readonly kind: AttemptKind
  readonly deadline: DeadlineInForce | undefined
  readonly priority: Level
  readonly emit: Emit | undefined
  now: number
  /** What the guards were told last, for as long as it holds. */
  asking: GuardCall | undefined
  readNow(): number
  ownTimeLeft(): number | undefined
  hold(permit: Permit): void
  rejected(guard: string, rejection: unknown): Effect.Effect<never, unknown>
  /** The deadline has passed while it waited. */
  deadlineExceeded(): Effect.Effect<never, unknown>
  /** It is admitted. */
  runAttempt(): Effect.Effect<unknown, unknown, unknown>
}

/** What the guards are told of one attempt. It stays as it is when the next attempt begins. */
class Asking implements GuardCall {
  readonly key: string | undefined
  readonly attempt: number
  readonly kind: AttemptKind
  readonly now: number
  private readonly call: Entrant

  constructor(call: Entrant, key: string | undefined) {
    this.call = call
    this.key = key
    this.attempt = call.number
    this.kind = call.kind
    this.now = call.now
  }

  get policy(): string {
    return this.call.plan.name
  }

  get deadline(): number | undefined {
    return this.call.deadline?.at
  }

  get priority(): Level {
    return this.call.priority
  }

  get emit(): Emit | undefined {
    return this.call.emit
  }

  get random(): () => number {
    const { fiber } = this.call
    return () => fiber.getRef(Random.Random).nextDoubleUnsafe()
  }
}

/** The key said at the call for one service. */
export const keyFor = (
  call: { readonly options: CallOptions | undefined },
  service: Service<unknown>
): string | undefined => {
  const key = call.options?.key
  return !service.keyed ? undefined : typeof key === "object" ? key[service.key] : key
}

const ask = (call: Entrant, i: number): GuardCall => {
  const key = keyFor(call, call.plan.guards[call.around.order[i]!]!)
  if (call.asking !== undefined && call.asking.key === key) return call.asking
  return (call.asking = new Asking(call, key))
}

/**
 * A free look at each guard from the i-th on, before anything is taken or waited for. What it returns ends the call. Guards that have
 * admitted this very attempt are not asked: one whose last place it took would refuse it.
 */
export const look = (call: Entrant, i: number): Effect.Effect<never, unknown> | undefined => {
  const { guards } = call.around
  for (; i < guards.length; i++) {
    const guard = guards[i]!
    if (guard.look === undefined) continue
    const rejection = guard.look(ask(call, i))
    if (rejection !== undefined) return call.rejected(guard.name, rejection)
  }
  return undefined
}

/** Admission through the guards from the i-th on, and then the attempt. Synchronous, unless a guard is pending. */
export const admit = (call: Entrant, i: number): Effect.Effect<unknown, unknown, unknown> => {
  const { guards } = call.around
  for (; i < guards.length; i++) {
    const guard = guards[i]!
    const admission = guard.admit(ask(call, i))
    if (admission._tag === "Admitted") call.hold(admission.permit)
    else if (admission._tag === "Rejected") return call.rejected(guard.name, admission.rejection)
    else return wait(call, admission, i)
  }
  return call.runAttempt()
}

const wait = (call: Entrant, admission: Pending<unknown>, i: number): Effect.Effect<unknown, unknown, unknown> =>
  Effect.flatMap(
    // The permit is taken hold of in the step in which the guard hands it over, so that no interruption can come between
    bounded(call.fiber, call.around.context, admission.effect, call.ownTimeLeft(), (exit, timedOut) => {
      if (Exit.isSuccess(exit) && exit.value._tag === "Admitted") call.hold(exit.value.permit)
      return timedOut ? call.deadlineExceeded() : exit
    }),
    (admission) => afterWait(call, admission, i)
  )

const afterWait = (
  call: Entrant,
  admission: Admitted | Rejected<unknown>,
  i: number
): Effect.Effect<unknown, unknown, unknown> => {
  call.now = call.readNow()
  call.asking = undefined
  if (admission._tag === "Rejected") return call.rejected(call.around.guards[i]!.name, admission.rejection)
  // What was true before the wait may not be now: an open circuit rejects here, before the next guard makes us wait again
  return look(call, i + 1) ?? admit(call, i + 1)
}
