// How the time left is written in a header of a request, in the ways that other systems read. Encoding rounds down, so that nobody
// further in works on a request whose caller has given up.
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Below 0 is 0, and `undefined` stands for no end. */
const nanosOf = (left: Duration.Input): bigint | undefined => {
  const duration = Duration.fromInputUnsafe(left)
  return Duration.isNegative(duration) ? 0n : Option.getOrUndefined(Duration.toNanos(duration))
}

/** Whole milliseconds as such, so that they equal those made any other way. */
const durationOf = (nanos: bigint): Duration.Duration =>
  nanos % 1_000_000n === 0n ? Duration.millis(Number(nanos / 1_000_000n)) : Duration.nanos(nanos)

/** From the finest to the coarsest. */
const grpcUnits: ReadonlyArray<readonly [name: string, nanos: bigint]> = [
  ["n", 1n],
  ["u", 1000n],
  ["m", 1_000_000n],
  ["S", 1_000_000_000n],
  ["M", 60_000_000_000n],
  ["H", 3_600_000_000_000n]
]

const grpcMost = 99_999_999n

export const encodeGrpc = (left: Duration.Input): string => {
  const nanos = nanosOf(left)
  // the finest unit in which it can be written loses least
  const unit = nanos === undefined ? undefined : grpcUnits.find(([, size]) => nanos / size <= grpcMost)
  return unit === undefined ? `${grpcMost}H` : `${nanos! / unit[1]}${unit[0]}`
}

export const decodeGrpc = (text: string): Option.Option<Duration.Duration> => {
  const [, digits, name] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? []
  return digits === undefined
    ? Option.none()
    : Option.some(durationOf(BigInt(digits) * grpcUnits.find(([unit]) => unit === name)![1]))
}

export const encodeEnvoy = (left: Duration.Input): string => {
  const ms = (nanosOf(left) ?? BigInt(Number.MAX_SAFE_INTEGER) * 1_000_000n) / 1_000_000n
  // for Envoy 0 is no timeout at all: it sends 1 itself when the time is up
  return String(ms < 1n ? 1n : ms)
}

export const decodeEnvoy = (text: string): Option.Option<Duration.Duration> =>
  /^\d+$/.test(text) && Number(text) > 0
    ? Option.some(Duration.millis(Math.min(Number(text), Number.MAX_SAFE_INTEGER)))
    : Option.none()

/** The latest time that a signed 64-bit number of nanoseconds can say. */
const finagleMost = 9_223_372_036_854_775_807n

const epochNanos = (nowMillis: number): bigint => BigInt(Math.floor(nowMillis)) * 1_000_000n

export const encodeFinagle = (left: Duration.Input, nowMillis: number): string => {
  const now = epochNanos(nowMillis)
  const nanos = nanosOf(left)
  const deadline = nanos === undefined || now + nanos > finagleMost ? finagleMost : now + nanos
  return `${now} ${deadline}`
}

export const decodeFinagle = (text: string, nowMillis: number): Option.Option<Duration.Duration> => {
  const [, timestamp, deadline] = /^(-?\d{1,19}) (-?\d{1,19})$/.exec(text) ?? []
  if (timestamp === undefined || deadline === undefined || !Number.isFinite(nowMillis)) return Option.none()
  const left = BigInt(deadline) - epochNanos(nowMillis)
  const given = BigInt(deadline) - BigInt(timestamp)
  // a clock that is behind the sender's would give more time than the sender had
  const nanos = left < given ? left : given
  return Option.some(durationOf(nanos < 0n ? 0n : nanos))
}
