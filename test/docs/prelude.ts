// What a snippet without imports may use besides what earlier snippets of its page declare. See test/docs.test.ts.
export {
  Clock,
  Config,
  Console,
  Context,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  MutableRef,
  Option,
  Random,
  Schedule,
  Schema,
  Stream
} from "effect"
export { TestClock } from "effect/testing"
export {
  AdaptiveLimit,
  Attempt,
  Backoff,
  Bulkhead,
  Chaos,
  CircuitBreaker,
  Deadline,
  Fallback,
  Fault,
  Guard,
  Hedge,
  Idempotency,
  InvalidOption,
  Policy,
  Priority,
  RetryBudget,
  Telemetry,
  Throttle,
  withResilience
} from "effect-resilience"
export { getQuote, NetworkError, TooManyRequests, UnknownSymbol } from "./quotes.ts"
export type { Quote } from "./quotes.ts"
