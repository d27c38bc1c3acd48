// From a policy's options to the plan that the engine runs: every option checked, every duration in milliseconds.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { auto, type Classifier } from "../Fault.ts"
import type { Guard } from "../Guard.ts"
import type { Budget } from "./budget.ts"
import { endingOf } from "./endless.ts"
import type { Options, Retry } from "./policyTypes.ts"
import { mostHedges, type Hedging } from "./hedge.ts"
import { Recent } from "./surroundings.ts"
import { duration, integer, invalid, name as nonEmpty } from "./validate.ts"

/** A policy, checked and in milliseconds. */
export interface Plan {
  /** The options as they were given. */
  readonly said: Options
  readonly name: string
  readonly classifier: Classifier
  readonly guards: ReadonlyArray<Service<Guard<unknown>>>
  readonly budgets: ReadonlyArray<Service<Budget>>
  readonly deadlineMs: number | undefined
  readonly attemptTimeoutMs: number | undefined
  readonly retry: { readonly transient: RetrySchedule; readonly throttled: RetrySchedule } | undefined
  readonly retryAfterCeilingMs: number
  /** When an attempt is hedged; or the service that says when. */
  readonly hedge: Hedging | Context.Key<unknown, Hedging> | undefined
  /** Whether the same request may be sent again although the dependency may have acted on it. */
  readonly repeatable: boolean
  readonly keyed: boolean
  readonly mint: Effect.Effect<string> | undefined
  /** The order of the guards by phase, as found in the last call. */
  order: ReadonlyArray<number>
  readonly recent: Recent
}

/** A service of a policy, and whether it is told the key of a call: one of the user's that does not say is. */
export interface Service<S> extends Context.Key<unknown, S> {
  readonly keyed: boolean
}

export type RetrySchedule = Schedule.Schedule<unknown, unknown, never, never>

export interface CallOptions {
  readonly key?: string | { readonly [serviceId: string]: string } | undefined
  readonly idempotencyKey?: string | undefined
  /** When the request of this call may be sent again, where that is not as the policy's `safety` says. */
  readonly resend?: "always" | "unprocessed" | "never" | undefined
  /** Why not always. */
  readonly unsafe?: string | undefined
}

/** Default of `retryAfterCeiling`: OpenAI's client and ai-retry believe hints of up to a minute; linkerd caps at five. */
export const retryAfterCeilingMs = 60_000

const known: ReadonlySet<string> = new Set<keyof Options>([
  "name",
  "faults",
  "safety",
  "deadline",
  "attemptTimeout",
  "retry",
  "retryAfterCeiling",
  "budget",
  "guards",
  "hedge",
  "unbounded"
])

/** Options that are refused are said to be those of `maker`. */
export const compile = (options: Options, maker: string): Plan => {
  const at = (option: string) => `${maker}: ${option}`
  for (const option of Object.keys(options)) {
    if (!known.has(option)) invalid(at(option), option, `one of the options ${[...known].join(", ")}`)
  }
  const deadlineMs = options.deadline === undefined ? undefined : duration(at("deadline"), options.deadline, "positive")
  const attemptTimeoutMs =
    options.attemptTimeout === undefined
      ? undefined
      : duration(at("attemptTimeout"), options.attemptTimeout, "positive")
  if (deadlineMs !== undefined && attemptTimeoutMs !== undefined && attemptTimeoutMs > deadlineMs) {
    invalid(
      at("attemptTimeout"),
      options.attemptTimeout,
      "at most the deadline, because an attempt cannot outlast its call"
    )
  }
  const retry = options.retry === undefined ? undefined : schedules(at("retry"), options.retry)
  if (retry !== undefined && deadlineMs === undefined && options.unbounded !== true) {
    for (const schedule of [retry.transient, retry.throttled]) {
      const ends = endingOf(schedule)
      if (ends !== "ends") {
        invalid(
          at("retry"),
          ends === "endless" ? "an endless schedule" : "a schedule of which only running it can tell whether it ends",
          "a schedule that ends (Backoff.times or Backoff.within last), or the policy must have a deadline, or say `unbounded: true`"
        )
      }
    }
  }
  const { safety } = options
  const keyed = typeof safety === "object" && safety !== null && "~effect-resilience/Idempotency" in safety
  const mint = keyed && "mint" in safety ? safety.mint : undefined
  if (
    safety === undefined
      ? retry !== undefined || options.hedge !== undefined
      : !(keyed || safety === "idempotent" || safety === "not-idempotent")
  ) {
    invalid(
      at("safety"),
      safety,
      '"idempotent", "not-idempotent" or an Idempotency.key(…) for a policy that retries or hedges'
    )
  }
  if (options.hedge !== undefined && safety === "not-idempotent") {
    invalid(
      at("safety"),
      safety,
      '"idempotent" or an Idempotency.key(…) for a policy that hedges, because a hedge sends the request twice'
    )
  }
  if (mint !== undefined && !Effect.isEffect(mint)) invalid(at("safety"), mint, "Idempotency.key(mint) with an effect")
  const { faults = auto } = options
  if (typeof (faults as Partial<Classifier> | null)?.classify !== "function") {
    invalid(at("faults"), faults, "a classifier, such as Fault.byTag makes")
  }
  const guards = services(at("guards"), options.guards ?? [], "CircuitBreaker.Service")
  return {
    said: options,
    name: nonEmpty(at("name"), options.name),
    classifier: faults,
    guards: guards as Plan["guards"],
    budgets: services(at("budget"), options.budget ?? [], "RetryBudget.Service") as Plan["budgets"],
    deadlineMs,
    attemptTimeoutMs,
    retry,
    retryAfterCeilingMs:
      options.retryAfterCeiling === undefined
        ? retryAfterCeilingMs
        : duration(at("retryAfterCeiling"), options.retryAfterCeiling),
    hedge:
      options.hedge === undefined ? undefined : hedging(at("hedge"), options.hedge, attemptTimeoutMs ?? deadlineMs),
    repeatable: safety === "idempotent" || keyed,
    keyed,
    mint,
    order: guards.map((_, i) => i),
    recent: new Recent()
  }
}

const schedules = (option: string, retry: Retry): { transient: RetrySchedule; throttled: RetrySchedule } => {
  const pair = Schedule.isSchedule(retry) ? { transient: retry, throttled: retry } : retry
  if (!Schedule.isSchedule(pair?.transient) || !Schedule.isSchedule(pair.throttled)) {
    invalid(option, retry, "a Schedule, or { transient: Schedule, throttled: Schedule }")
  }
  // what it needs is in the types of the policy; by the time it is stepped, it is there
  return pair as unknown as { transient: RetrySchedule; throttled: RetrySchedule }
}

const hedging = (
  option: string,
  hedge: NonNullable<Options["hedge"]>,
  limitMs: number | undefined
): Hedging | Context.Key<unknown, Hedging> => {
  if (Context.isKey(hedge)) return hedge
  if (typeof hedge !== "object" || hedge === null || !("after" in hedge)) {
    return invalid(option, hedge, "{ after: Duration, max?: number }, or a Hedge.Service class")
  }
  const afterMs = duration(`${option}.after`, hedge.after, "positive")
  if (limitMs !== undefined && afterMs >= limitMs) {
    invalid(
      `${option}.after`,
      hedge.after,
      "less than the attempt timeout and the deadline, or no hedge would ever start"
    )
  }
  const max = integer(`${option}.max`, hedge.max ?? 1, 1, mostHedges)
  return { name: option, max, delayMs: () => afterMs, record: () => {} }
}

const services = (option: string, given: unknown, example: string): ReadonlyArray<Service<unknown>> => {
  const list: ReadonlyArray<unknown> = Array.isArray(given) ? given : [given]
  for (const service of list) {
    if (!Context.isKey(service)) invalid(option, service, `service classes, such as a ${example} class`)
  }
  const keys = list as ReadonlyArray<Context.Key<unknown, unknown> & { readonly keyed?: boolean }>
  const ids = keys.map((service) => service.key)
  if (new Set(ids).size !== ids.length) invalid(option, ids, "service classes, each once")
  // they are looked up by their ids in every call, and a class with so many members is slow to say its own
  return keys.map((service) =>
    Object.assign(Object.create(service) as Context.Key<unknown, unknown>, {
      key: service.key,
      keyed: service.keyed !== false
    })
  )
}
