// The formulas of `Backoff`. Pure: `retry` counts from 1, `u` is a random number in [0, 1), every time is in
// milliseconds. Each result is finite and in [0, cap] for any retry number, given finite arguments of 0 or more and
// factors in their range.

/** Where growth stops without a cap: the longest timer of the hosts JavaScript runs on, about 24.8 days. */
export const maxDelayMs = 2 ** 31 - 1

/** `base + (retry − 1) · increment`, at most `cap`. */
export const linearMs = (retry: number, baseMs: number, incrementMs: number, capMs: number): number =>
  Math.min(capMs, baseMs + (retry - 1) * incrementMs)

/** `base · factor^(retry − 1)`, at most `cap`. */
export const exponentialMs = (retry: number, baseMs: number, factor: number, capMs: number): number =>
  // the power overflows to Infinity, which is fine under a cap; 0 · Infinity is not
  baseMs === 0 ? 0 : Math.min(capMs, baseMs * factor ** (retry - 1))

/** The sum of the two delays before, at most `cap`; they start as 0 and the base. */
export const fibonacciMs = (beforeMs: number, previousMs: number, capMs: number): number =>
  Math.min(capMs, beforeMs + previousMs)

/** `base + u · (factor · previous − base)`, at most `cap`; `previous` starts at the base. */
export const decorrelatedMs = (previousMs: number, baseMs: number, factor: number, capMs: number, u: number): number =>
  // the product may overflow, and 0 · Infinity is NaN
  Math.min(capMs, baseMs + u * (Math.min(factor * previousMs, Number.MAX_VALUE) - baseMs))

/** `u · delay` */
export const fullJitterMs = (delayMs: number, u: number): number => u * delayMs

/** `delay / 2 + u · delay / 2` */
export const equalJitterMs = (delayMs: number, u: number): number =>
  // two halves, each rounded, can add up to more than the whole
  delayMs * (0.5 + u / 2)

/** `delay · (1 − factor · u)` */
export const proportionalJitterMs = (delayMs: number, factor: number, u: number): number => delayMs * (1 - factor * u)

/** `delay + u · window`, at most `cap`. */
export const additiveJitterMs = (delayMs: number, windowMs: number, capMs: number, u: number): number =>
  Math.min(capMs, delayMs + u * windowMs)

/** The delay of a schedule from anywhere, as the formulas want it: infinite counts as the longest, negative as none. */
export const saturateMs = (delayMs: number): number =>
  delayMs === Number.POSITIVE_INFINITY ? maxDelayMs : Math.max(0, delayMs)
