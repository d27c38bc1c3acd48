// The time, and the one place that may arm a timer of the host.
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** The Clock where nobody has provided another. */
export const liveClock: Clock.Clock = /*#__PURE__*/ Context.get(/*#__PURE__*/ Context.empty(), Clock.Clock)

// A bigint of 64 bits in two halves: to read them is quicker than to ask `Number` for it
const memory = /*#__PURE__*/ new ArrayBuffer(8)
const wide = /*#__PURE__*/ new BigInt64Array(memory)
const halves = /*#__PURE__*/ new Uint32Array(memory)
const isLittleEndian = (): boolean => new Uint8Array(Uint32Array.of(1).buffer)[0] === 1
const low = /*#__PURE__*/ isLittleEndian() ? 0 : 1

/**
 * Monotonic milliseconds of the Clock in force. Only differences mean anything.
 *
 * The live Clock's nanoseconds fit in 63 bits for the next centuries; those of another may be any.
 */
export const monotonicMs = (clock: Clock.Clock): number => {
  const nanos = clock.monotonicTimeNanosUnsafe()
  if (clock !== liveClock) return Number(nanos) / 1_000_000
  wide[0] = nanos
  return (halves[1 - low]! * 4_294_967_296 + halves[low]!) / 1_000_000
}

export const nowMs = (fiber: AnyFiber): number => monotonicMs(fiber.getRef(Clock.Clock))

let clockAsked: Clock.Clock | undefined

/** Milliseconds since the epoch, by the Clock of the fiber that runs: for classifiers, which are not told the time. */
export const wallNowMs = (): number =>
  (clockAsked ?? Fiber.getCurrent()?.getRef(Clock.Clock) ?? liveClock).currentTimeMillisUnsafe()

/** The same by a clock that is given: for a step in which no fiber runs, because one has just ended. */
export const byClock = <A>(clock: Clock.Clock, f: () => A): A => {
  clockAsked = clock
  try {
    return f()
  } finally {
    clockAsked = undefined
  }
}

/** The longest delay a host timer takes; a longer one would fire at once. */
export const maxTimerMs = 2 ** 31 - 1

// The host's timers by their web-standard names, so that no runtime's type library is needed
const host = globalThis as unknown as {
  readonly setTimeout: (f: () => void, ms: number) => unknown
  readonly clearTimeout: (timer: unknown) => void
}

/**
 * Runs `f` in `ms` milliseconds, unless cancelled. With Effect's live Clock in force this is a timer of the host, which costs a
 * third of a sleeping fiber; with any other Clock it is that Clock's sleep, so that everything runs under a TestClock.
 */
export const after = (fiber: AnyFiber, ms: number, f: () => void): (() => void) => {
  const clock = fiber.getRef(Clock.Clock)
  if (clock === liveClock && ms <= maxTimerMs - 1) {
    // A host cuts the fraction off and counts from a whole millisecond, so that it fires up to two early: but whoever is woken
    // here finds, by the clock, that its time has come
    const timer = host.setTimeout(f, Math.ceil(ms) + 1)
    return () => host.clearTimeout(timer)
  }
  const sleeper = Effect.runForkWith(fiber.context)(clock.sleep(Duration.millis(ms)))
  const unobserve = sleeper.addObserver(f)
  return () => {
    unobserve()
    sleeper.interruptUnsafe()
  }
}
