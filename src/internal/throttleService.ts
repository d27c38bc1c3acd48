// What is behind a throttle's service: its options checked, what it hands out, and its effects.
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Admission, Admitted, Call, Outcome, Permit, Rejected } from "../Guard.ts"
import { rejected } from "../Guard.ts"
import type { CountOptions, Snapshot, Throttle } from "../Throttle.ts"
import { PerKey } from "./perKey.ts"
import type { Keys } from "./perKey.ts"
import { levels, rankOf } from "./priorities.ts"
import type { Level } from "./priorities.ts"
import { Throttling, windowsOf } from "./throttle.ts"
import type { Reason, Settings } from "./throttle.ts"
import { throttled } from "./throttled.ts"
import type { Throttled } from "./throttled.ts"
import { monotonicMs, nowMs } from "./time.ts"
import * as validate from "./validate.ts"

/** The options with their defaults, not yet checked. */
export interface Resolved {
  readonly k: number
  readonly padding: number
  readonly window: Duration.Input
  readonly maxRejectionRate: number
  readonly minimumRequests: number
  readonly count: CountOptions
  /** Undefined: the throttle is not keyed. */
  readonly keys: Keys | undefined
}

interface Shared extends Settings {
  readonly name: string
  /** Of whoever asks. */
  readonly now: () => number
  readonly count: CountOptions
}

/** The value of a throttle service. Dies with InvalidOption. */
export const make = (name: string, options: Resolved): Effect.Effect<Throttle> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.sync(() => {
      // Whoever asks may have another Clock in force than whoever built the layer
      const now = () => monotonicMs(Fiber.getCurrent()?.getRef(Clock.Clock) ?? Context.get(context, Clock.Clock))
      const shared: Shared = { ...settingsOf(options), name, now }
      const throttles = new PerKey<GuardedThrottle>(
        {
          label: `throttle "${name}"`,
          keys: options.keys,
          make: (key) => new GuardedThrottle(shared, key),
          // forgotten and made anew, it would let everything through to a dependency that does not want it
          keep: (throttle, now) => throttle.rejectionRate(now) > 0
        },
        now()
      )
      const reading = <A>(f: (now: number) => A): Effect.Effect<A> =>
        Effect.withFiber((fiber) => Effect.succeed(f(nowMs(fiber))))
      return {
        name,
        phase: "throttle",
        keyed: options.keys !== undefined,
        admit: (call) => throttles.use(call.key, call.now).admit(call),
        snapshot: (key) =>
          reading((now) => (throttles.find(key, now) ?? new GuardedThrottle(shared, key)).snapshot(now)),
        snapshots: reading((now) => throttles.present(now).map(([, throttle]) => throttle.snapshot(now)))
      }
    })
  )

const settingsOf = (options: Resolved): Settings & Pick<Shared, "count"> => {
  return {
    k: validate.finite("k", options.k, 1),
    padding: validate.above("padding", options.padding, 0),
    maxRejectionRate: validate.ratio("maxRejectionRate", options.maxRejectionRate, "positive"),
    minimumRequests: validate.integer("minimumRequests", options.minimumRequests, 1),
    windows: windowsOf(validate.duration("window", options.window, "positive")),
    count: {
      failed: countOf("count.failed", options.count.failed),
      defect: countOf("count.defect", options.count.defect)
    }
  }
}

const countOf = (option: string, count: "refused" | "ignored" | undefined) =>
  count === undefined || count === "refused" || count === "ignored"
    ? count
    : validate.invalid(option, count, '"refused" or "ignored"')

/** A throttle with what it hands out: an object for each priority and reason, so that neither admitting nor refusing allocates. */
class GuardedThrottle extends Throttling<Shared> {
  readonly key: string | undefined
  readonly #tickets: Array<Ticket | undefined> = levels.map(() => undefined)
  #overload: Rejected<Throttled> | undefined = undefined
  #priority: Rejected<Throttled> | undefined = undefined

  constructor(shared: Shared, key: string | undefined) {
    super(shared)
    this.key = key
  }

  admit(call: Call): Admission<Throttled> {
    const rank = rankOf(call.priority)
    const reason = this.refuse(rank, call)
    if (reason === undefined) return (this.#tickets[rank] ??= new Ticket(this, rank))
    return reason === "overload"
      ? (this.#overload ??= this.#rejection(reason))
      : (this.#priority ??= this.#rejection(reason))
  }

  snapshot(now: number): Snapshot {
    const byPriority = levels.map((level, rank) => [level, this.rejectionRateOf(rank, now)] as const)
    return {
      key: this.key,
      requests: this.requests(now),
      accepts: this.accepts(now),
      rejectionRate: this.rejectionRate(now),
      byPriority: Object.fromEntries(byPriority) as Record<Level, number>
    }
  }

  #rejection(reason: Reason): Rejected<Throttled> {
    const { name, now } = this.settings
    return rejected(throttled(name, this.key, reason, () => this.patienceLeft(now())))
  }
}

/** The admission and its permit in one object. It knows nothing of the one call, so all calls of a priority share it. */
class Ticket implements Admitted, Permit {
  readonly #throttle: GuardedThrottle
  readonly #rank: number

  constructor(throttle: GuardedThrottle, rank: number) {
    this.#throttle = throttle
    this.#rank = rank
  }

  get _tag(): "Admitted" {
    return "Admitted"
  }

  get permit(): Permit {
    return this
  }

  settle(outcome: Outcome, _elapsed: number, now: number): void {
    const throttle = this.#throttle
    const count = countedAs(outcome, throttle.settings.count)
    if (count !== "ignored") throttle.record(this.#rank, count === "accepted", now)
    if (outcome.kind !== "interrupted" && outcome.retryAfter !== undefined) {
      throttle.bePatient(Duration.toMillis(outcome.retryAfter), now)
    }
  }
}

const countedAs = (outcome: Outcome, count: CountOptions): "accepted" | "refused" | "ignored" => {
  switch (outcome.kind) {
    case "interrupted":
      return "ignored"
    case "throttled":
      return "refused"
    case "defect":
      return count.defect ?? byHealth(outcome, count)
    default:
      return byHealth(outcome, count)
  }
}

const byHealth = ({ health }: Outcome, count: CountOptions): "accepted" | "refused" | "ignored" => {
  switch (health) {
    case "ok":
      return "accepted"
    case "failed":
      return count.failed ?? "refused"
    case "ignored":
      return "ignored"
  }
}
