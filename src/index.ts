/**
 * Resilience for Effect: a policy is data, guards decide, one engine runs it.
 *
 * @since 0.1.0
 */
export * as AdaptiveLimit from "./AdaptiveLimit.ts"
export * as Attempt from "./Attempt.ts"
export * as Backoff from "./Backoff.ts"
export * as Bulkhead from "./Bulkhead.ts"
export * as Chaos from "./Chaos.ts"
export * as CircuitBreaker from "./CircuitBreaker.ts"
export * as Deadline from "./Deadline.ts"
export * as Fallback from "./Fallback.ts"
export * as Fault from "./Fault.ts"
export * as Guard from "./Guard.ts"
export * as Hedge from "./Hedge.ts"
export * as Idempotency from "./Idempotency.ts"
export * as Policy from "./Policy.ts"
export * as Priority from "./Priority.ts"
export * as RetryBudget from "./RetryBudget.ts"
export * as Telemetry from "./Telemetry.ts"
export * as Throttle from "./Throttle.ts"
export { InvalidOption } from "./InvalidOption.ts"
export { withResilience } from "./Policy.ts"
