// `Policy.Standard`: the preset a careful team would choose.
import * as Layer from "effect/Layer"
import type { Context, Duration, Schedule } from "effect"
import * as Backoff from "../Backoff.ts"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import * as RetryBudget from "../RetryBudget.ts"
import { over } from "./guardClass.ts"
import { PolicyImpl } from "./policy.ts"
import type { Defaulted, Options, Policy, Safety, Sound } from "./policyTypes.ts"
import { duration } from "./validate.ts"

/**
 * The numbers of {@link Standard}, each with its reason:
 *
 * - `retries` 3, so 4 attempts. Google's SRE book and AWS's SDKs stop after 3 attempts, Microsoft's standard pipeline of Polly
 *   after 4. At an independent failure rate of 10 %, four attempts leave 1 call in 10,000. What attempts cost in an outage, the
 *   budget bounds, not this number.
 * - `base` 100 ms and `cap` 10 s with full jitter. In AWS's simulator, full jitter makes the fewest calls among 20 to 160
 *   contending clients of all strategies it has. AWS's SDKs start at 50 ms, and at 1 s when throttled: 100 ms misses a short hiccup
 *   rather than hitting it.
 * - `deadline` 10 s: somebody still waits for it; Envoy gives a whole route 15 s.
 * - `attemptTimeout` 2.5 s, and at most a quarter of the deadline, so that a hung attempt leaves time for the others.
 * - `budget`: 20 % retries over 10 s, and at least 10 a second, are Finagle's and Linkerd's defaults. Steady amplification stays
 *   below 1.2: by the stability condition of the metastability study, C = 1/w, a service may run at 83 % load, against 25 % with
 *   three unbudgeted retries.
 * - `breaker`: opens at 50 % failures (resilience4j, opossum) of at least 20 calls in 30 s. A dependency that fails 20 % of its
 *   calls at random has 10 or more failures in 20 calls once in 385 times.
 *
 * @since 0.1.0
 * @category constants
 */
export const standard = {
  retries: 3,
  base: "100 millis",
  cap: "10 seconds",
  deadline: "10 seconds",
  attemptTimeout: "2500 millis",
  budget: { ratio: 0.2, minPerSecond: 10, window: "10 seconds" },
  breaker: { threshold: 0.5, minimumCalls: 20, window: "30 seconds" }
} as const

/**
 * What may be said of a standard policy beside its name. Its budget and breaker are its own. What is left out, or `undefined`, is as
 * in the preset: to do without a deadline, an attempt timeout or a retry, use `Policy.make`.
 */
export interface StandardOptions extends Partial<Omit<Options, "name" | "budget" | "guards" | "unbounded" | "safety">> {
  readonly safety: Safety
  /** Replaces the budget's model. */
  readonly budget?: RetryBudget.Model | undefined
  /** Changes options of the breaker. */
  readonly breaker?: CircuitBreaker.LayerOptions<false> | undefined
}

/** The preset attempt timeout, or a quarter of a deadline that is shorter than four of it. */
const quarterOf = (option: string, deadline: Options["deadline"]): Duration.Input =>
  deadline === undefined
    ? standard.attemptTimeout
    : Math.min(duration("attemptTimeout", standard.attemptTimeout), duration(option, deadline, "positive") / 4)

export interface Preset<Self, Name extends string> {
  readonly name: Name
  readonly deadline: "10 seconds"
  readonly attemptTimeout: "2500 millis"
  readonly retry: Schedule.Schedule<unknown>
  readonly budget: Context.Key<Self, RetryBudget.RetryBudget>
  readonly guards: readonly [Context.Key<Self, CircuitBreaker.CircuitBreaker>]
}

type PolicyOptions<Self, Name extends string, O> = Defaulted<Preset<Self, Name>, Omit<O, "budget" | "breaker">>

/** The class that {@link Standard} makes. */
export interface StandardClass<Self, Name extends string, O> {
  new (_: never): {}
  readonly policy: Policy<PolicyOptions<Self, Name, O>>
  /** The policy's own budget and breaker. */
  readonly layer: Layer.Layer<Self>
  /** To read and steer: `Quotes.breaker.state()`, `Quotes.breaker.isolate()`. */
  readonly breaker: CircuitBreaker.ServiceClass<Self, `${Name}/breaker`, false>
  /** To read: `Quotes.budget.balance()`. */
  readonly budget: RetryBudget.ServiceClass<Self, `${Name}/budget`, false>
}

/**
 * A whole policy by its name: retry with backoff and full jitter, a deadline, an attempt timeout, a retry budget and a circuit
 * breaker of its own, with the numbers of {@link standard}. Say what differs; what is `undefined` does not. To do without one of
 * them, use `Policy.make`.
 *
 * ```ts
 * class Quotes extends Policy.Standard<Quotes>()("quotes.get", { safety: "idempotent" }) {}
 *
 * getQuote("EUR").pipe(withResilience(Quotes), Effect.provide(Quotes.layer))
 * ```
 *
 * Provide `Quotes.layer` once, at the edge of the program: a layer that is provided at the call builds a new breaker each time,
 * which never trips.
 *
 * Defining the class never throws. For bad options its layer dies with `InvalidOption`, and using its policy throws it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Standard =
  <Self>() =>
  <const Name extends string, const O extends StandardOptions>(
    name: Name,
    options: O & { readonly [K in Exclude<keyof O, keyof StandardOptions>]: never } & Sound<
        PolicyOptions<Self, Name, O>
      >
  ): StandardClass<Self, Name, O> => {
    const { breaker: tuning, budget: model, ...overrides } = options as StandardOptions
    const breaker = CircuitBreaker.Service<Self>()(`${name}/breaker`, {
      trip: CircuitBreaker.failureRate(standard.breaker)
    })
    const budget = RetryBudget.Service<Self>()(`${name}/budget`, model ?? RetryBudget.ratio(standard.budget))
    const layers = Layer.mergeAll(breaker.layerWith(tuning ?? {}), budget.layer)
    const compile = (): PolicyImpl<Options> => {
      // the name says whose options they are, as that of a guard does, if it is one
      const maker = typeof name === "string" && name.trim() !== "" ? name : "Policy.Standard"
      const preset: Options = {
        name,
        deadline: standard.deadline,
        attemptTimeout: quarterOf(`${maker}: deadline`, overrides.deadline),
        retry: Backoff.exponential({ base: standard.base, cap: standard.cap }).pipe(
          Backoff.fullJitter,
          Backoff.times(standard.retries)
        ),
        budget,
        guards: [breaker]
      }
      return new PolicyImpl(over<Options>(preset, overrides), maker)
    }
    // made when it is used: defining a class never throws
    let policy: PolicyImpl<Options> | undefined
    return class {
      static get policy() {
        return (policy ??= compile())
      }
      static readonly breaker = breaker
      static readonly budget = budget
      static readonly layer = Layer.suspend(() => {
        policy ??= compile()
        return layers
      })
    } as unknown as StandardClass<Self, Name, O>
  }
