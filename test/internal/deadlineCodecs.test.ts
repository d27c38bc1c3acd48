import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Option, Schema } from "effect"
import * as Deadline from "../../src/Deadline.ts"
import { holds, integers, numbers } from "../property.ts"

const now = Date.UTC(2026, 6, 1, 12)

const { envoyTimeout, finagleDeadline, grpcTimeout } = Deadline

const codecs: ReadonlyArray<Deadline.Codec> = [grpcTimeout, envoyTimeout, finagleDeadline]

const msOf = (left: Option.Option<Duration.Duration>) => Option.getOrUndefined(Option.map(left, Duration.toMillis))

const ms = Duration.millis

describe("grpcTimeout", () => {
  it("is gRPC's header", () => assert.strictEqual(grpcTimeout.header, "grpc-timeout"))

  it("encodes in the finest unit that eight digits hold, and rounds down", () => {
    const table: ReadonlyArray<readonly [Duration.Input, string]> = [
      [0n, "0n"],
      [1n, "1n"],
      [12_345_678n, "12345678n"],
      [99_999_999n, "99999999n"],
      [100_000_000n, "100000u"],
      [123_456_789n, "123456u"],
      ["1 second", "1000000u"],
      [99_999_999_999n, "99999999u"],
      ["100 seconds", "100000m"],
      ["1 day", "86400000m"],
      [Duration.millis(99_999_999), "99999999m"],
      [Duration.millis(100_000_999), "100000S"],
      [Duration.seconds(99_999_999), "99999999S"],
      [Duration.seconds(100_000_059), "1666667M"],
      [Duration.minutes(99_999_999), "99999999M"],
      [Duration.minutes(100_000_019), "1666666H"],
      [Duration.hours(99_999_999), "99999999H"],
      [Duration.hours(100_000_000), "99999999H"],
      ["Infinity", "99999999H"],
      [-5, "0n"],
      ["-Infinity", "0n"]
    ]
    for (const [left, text] of table) assert.strictEqual(grpcTimeout.encode(left), text)
  })

  it("decodes every unit", () => {
    const table: Readonly<Record<string, Duration.Duration>> = {
      "2H": Duration.hours(2),
      "3M": Duration.minutes(3),
      "4S": Duration.seconds(4),
      "250m": ms(250),
      "1500u": ms(1.5),
      "1000000n": ms(1),
      "1n": Duration.nanos(1n),
      "00000001S": Duration.seconds(1),
      "0S": Duration.zero,
      "0n": Duration.zero,
      "99999999H": Duration.hours(99_999_999)
    }
    for (const [text, left] of Object.entries(table)) {
      assert.deepStrictEqual(grpcTimeout.decode(text), Option.some(left), text)
    }
  })

  it("nothing else", () => {
    for (const text of [
      "",
      "S",
      "1",
      "1s",
      "1h",
      "1U",
      "1 S",
      " 1S",
      "1S ",
      "-1S",
      "+1S",
      "1.5S",
      "123456789S",
      "1SS",
      "1S1",
      "0x1S"
    ]) {
      assert.isTrue(Option.isNone(grpcTimeout.decode(text)), text)
    }
  })

  it.effect("what it says is never more than was left, nor less by more than a part in 100 000", () =>
    holds(
      Arbitrary.all({ mantissa: integers(0, 2 ** 31), shift: integers(0, 37) }),
      ({ mantissa, shift }) => {
        const left = BigInt(mantissa) << BigInt(shift)
        const text = grpcTimeout.encode(Duration.nanos(left))
        const said = Duration.toNanosUnsafe(Option.getOrThrow(grpcTimeout.decode(text)))
        return /^\d{1,8}[HMSmun]$/.test(text) && said <= left && (left - said) * 100_000n <= left
      },
      { runs: 1000 }
    )
  )

  it.effect("what it says comes back as it was", () =>
    holds(
      Arbitrary.all({ digits: integers(0, 99_999_999), unit: integers(0, 5) }),
      ({ digits, unit }) => {
        const left = Option.getOrThrow(grpcTimeout.decode(`${digits}${"HMSmun"[unit]}`))
        return Duration.equals(Option.getOrThrow(grpcTimeout.decode(grpcTimeout.encode(left))), left)
      },
      { runs: 1000 }
    )
  )
})

describe("envoyTimeout", () => {
  it("is Envoy's header", () => assert.strictEqual(envoyTimeout.header, "x-envoy-expected-rq-timeout-ms"))

  it("encodes whole milliseconds, rounded down, and at least 1: 0 is no timeout for Envoy", () => {
    const table: ReadonlyArray<readonly [Duration.Input, string]> = [
      [1500, "1500"],
      [1.999, "1"],
      [2, "2"],
      [0.5, "1"],
      [0, "1"],
      [-5, "1"],
      ["-Infinity", "1"],
      ["1 day", "86400000"],
      ["Infinity", "9007199254740991"]
    ]
    for (const [left, text] of table) assert.strictEqual(envoyTimeout.encode(left), text)
  })

  it("decodes whole milliseconds, and takes 0 for no timeout", () => {
    assert.deepStrictEqual(envoyTimeout.decode("1500"), Option.some(ms(1500)))
    assert.deepStrictEqual(envoyTimeout.decode("1"), Option.some(ms(1)))
    assert.deepStrictEqual(envoyTimeout.decode("9".repeat(400)), Option.some(ms(Number.MAX_SAFE_INTEGER)))
    for (const text of ["0", "000", "", "-1", "+1", "1.5", "1e3", "0x10", " 1", "1 ", "1ms", "NaN", "Infinity"]) {
      assert.isTrue(Option.isNone(envoyTimeout.decode(text)), text)
    }
  })

  it.effect("what it says is never more than was left, and less by less than a millisecond", () =>
    holds(
      numbers(1, 1e9),
      (millis) => {
        // a duration is whole nanoseconds
        const left = Duration.toMillis(ms(millis))
        const said = msOf(envoyTimeout.decode(envoyTimeout.encode(ms(left))))!
        return said <= left && left - said < 1
      },
      { runs: 500 }
    )
  )
})

describe("finagleDeadline", () => {
  const at = (nowMillis: number, text: string) => msOf(finagleDeadline.decode(text, nowMillis))

  it("is Finagle's header", () =>
    assert.strictEqual(finagleDeadline.header, "finagle-ctx-com.twitter.finagle.deadline"))

  it("encodes when it was set and when it is, in nanoseconds of the epoch", () => {
    assert.strictEqual(finagleDeadline.encode("1 second", 1000), "1000000000 2000000000")
    assert.strictEqual(finagleDeadline.encode(1n, 1), "1000000 1000001")
    assert.strictEqual(finagleDeadline.encode(-5, 1000.9), "1000000000 1000000000")
    assert.strictEqual(finagleDeadline.encode("Infinity", 1000), "1000000000 9223372036854775807")
    assert.strictEqual(finagleDeadline.encode(Duration.hours(1e9), 1000), "1000000000 9223372036854775807")
  })

  it("decodes what is left until then", () => {
    assert.strictEqual(at(1000, "1000000000 2000000000"), 1000)
    assert.strictEqual(at(1250, "1000000000 2000000000"), 750)
    assert.strictEqual(at(2000, "1000000000 2000000000"), 0)
    assert.strictEqual(at(9000, "1000000000 2000000000"), 0)
    assert.strictEqual(at(0, "-1000000000 1000000000"), 1000)
  })

  it("never more than the sender had, however far behind the clock of the receiver is", () => {
    assert.strictEqual(at(0, "1000000000 2000000000"), 1000)
    // a deadline before its own timestamp
    assert.strictEqual(at(0, "2000000000 1000000000"), 0)
  })

  it("nothing else", () => {
    for (const text of [
      "",
      " ",
      "1",
      "1 ",
      " 1 2",
      "1 2 ",
      "1  2",
      "1 2 3",
      "1\t2",
      "1.5 2",
      "a b",
      "+1 2",
      "0x1 2",
      `1 ${"9".repeat(20)}`,
      `${"9".repeat(20)} 1`
    ]) {
      assert.isUndefined(at(0, text), text)
    }
  })

  it.effect("comes back less what has passed", () =>
    holds(
      Arbitrary.all({ left: integers(0, 1e9), passed: integers(0, 1e9) }),
      ({ left, passed }) => at(now + passed, finagleDeadline.encode(ms(left), now)) === Math.max(0, left - passed),
      { runs: 500 }
    )
  )
})

describe("all", () => {
  it.effect("arbitrary text never throws, and gives nothing or a time of 0 or more", () => {
    const pieces = [..."0123456789HMSmun -+.", "99999999", "9223372036854775807", "\u0661", "\0"]
    const made = Arbitrary.map(Arbitrary.array(integers(0, pieces.length - 1), { maxLength: 12 }), (at) =>
      at.map((i) => pieces[i]).join("")
    )
    return holds(
      Arbitrary.all({ any: Arbitrary.schema(Schema.String), made }),
      (texts) =>
        Object.values(texts).every((text) =>
          codecs.every(({ decode }) => {
            const left = Option.getOrUndefined(decode(text, now))
            return left === undefined || (Duration.isFinite(left) && !Duration.isNegative(left))
          })
        ),
      { runs: 2000 }
    )
  })

  it("text of any length, received at no time at all, never throws", () => {
    const long = "9".repeat(10_000_000)
    for (const nowMillis of [now, Number.NaN, Infinity, -Infinity]) {
      for (const text of [long, `${long}S`, `1 ${long}`, "1 2"]) {
        for (const { decode } of codecs) assert.isTrue(Option.isOption(decode(text, nowMillis)))
      }
    }
    assert.isTrue(Option.isNone(finagleDeadline.decode("1 2", Number.NaN)))
  })

  it("a codec of one's own is one function each way", () => {
    const mine: Deadline.Codec = {
      header: "x-deadline",
      encode: (left, nowMillis) => String(nowMillis + Duration.toMillis(left)),
      decode: (text, nowMillis) => Option.some(ms(Number(text) - nowMillis))
    }
    assert.strictEqual(msOf(mine.decode(mine.encode(ms(5), now), now + 2)), 3)
  })
})
