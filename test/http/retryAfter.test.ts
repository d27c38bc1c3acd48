import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Option, Schema } from "effect"
import { Headers } from "effect/http"
import * as Http from "../../src/http/index.ts"
import { parse } from "../../src/http/structuredField.ts"
import { holds, integers } from "../property.ts"

/** The example of RFC 9110 §5.6.7, in its three forms. */
const rfcMillis = 784_111_777_000

/** Wednesday, 1 July 2026, noon. */
const now = Date.UTC(2026, 6, 1, 12)

const msOf = (headers: Headers.Input, nowMillis = now): number | undefined =>
  Option.getOrUndefined(Option.map(Http.retryAfter(headers, nowMillis), Duration.toMillis))

const minutes = 60_000
const hours = 60 * minutes

describe("Retry-After", () => {
  const at = (text: string, nowMillis = now) => msOf({ "retry-after": text }, nowMillis)

  it("delay-seconds", () => {
    assert.strictEqual(at("0"), 0)
    assert.strictEqual(at("120"), 120_000)
    assert.strictEqual(at("007"), 7000)
    assert.strictEqual(at(" 5\t"), 5000)
    assert.strictEqual(at("2147483648"), 2_147_483_648_000)
  })

  it("a number that is too large stands for the longest time", () => {
    assert.strictEqual(at("9".repeat(30)), Number.MAX_SAFE_INTEGER)
    assert.strictEqual(at("9".repeat(1000)), Number.MAX_SAFE_INTEGER)
  })

  it("HTTP-date in its three forms", () => {
    for (const text of [
      "Sun, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994"
    ]) {
      assert.strictEqual(at(text, rfcMillis - 7000), 7000, text)
      assert.strictEqual(at(text, rfcMillis - 1), 1, text)
      // the past is now
      assert.strictEqual(at(text, rfcMillis), 0, text)
      assert.strictEqual(at(text, rfcMillis + 60_000), 0, text)
    }
  })

  it("a leap second, a leap day, and white space around", () => {
    assert.strictEqual(at("Sat, 31 Dec 2016 23:59:60 GMT", Date.UTC(2016, 11, 31, 23, 59)), 60_000)
    assert.strictEqual(at("Tue, 29 Feb 2028 00:00:00 GMT", Date.UTC(2028, 1, 28)), 24 * hours)
    assert.strictEqual(at("\t Wednesday, 01-Jul-70 12:00:00 GMT "), Date.UTC(2070, 6, 1, 12) - now)
  })

  describe("the two-digit year is at most 50 years ahead (RFC 9110 §5.6.7)", () => {
    const years = (text: string, from: number) => at(text, from)! / (365.25 * 24 * hours)
    const date = (yy: string, day = "01-Jul") => `Sunday, ${day}-${yy} 12:00:00 GMT`

    it("relative to now, and not to 1970", () => {
      assert.strictEqual(Math.round(years(date("70"), now)), 44)
      assert.strictEqual(Math.round(years(date("26"), now - hours)), 0)
      assert.strictEqual(at(date("26"), now - hours), hours)
      assert.strictEqual(at(date("94"), now), 0)
      assert.strictEqual(at(date("00"), now), 0)
    })

    it("to the second", () => {
      assert.strictEqual(at(date("76"), now), Date.UTC(2076, 6, 1, 12) - now)
      assert.strictEqual(at("Sunday, 01-Jul-76 12:00:01 GMT", now), 0)
      assert.strictEqual(at(date("76", "30-Jun"), now), Date.UTC(2076, 5, 30, 12) - now)
      assert.strictEqual(at(date("77"), now), 0)
    })

    it("over the turn of a century", () => {
      assert.strictEqual(at("Friday, 01-Jan-00 00:00:00 GMT", Date.UTC(1999, 11, 31, 23)), hours)
      assert.strictEqual(at("Friday, 01-Jan-00 00:00:00 GMT", Date.UTC(2099, 11, 31, 23)), hours)
      assert.strictEqual(at("Thursday, 31-Dec-99 23:00:00 GMT", Date.UTC(2100, 0, 1)), 0)
      assert.strictEqual(at("Thursday, 31-Dec-99 23:00:00 GMT", Date.UTC(1999, 11, 31, 22)), hours)
      assert.strictEqual(at("Sunday, 01-Jan-30 00:00:00 GMT", Date.UTC(1970, 0, 1)), 0)
    })
  })

  it("anything else is ignored", () => {
    const malformed = [
      "",
      " ",
      "-1",
      "+1",
      "1.5",
      "1e3",
      "0x10",
      "120abc",
      "120 s",
      "Infinity",
      "NaN",
      "١٢",
      "1,2",
      "120, 120",
      "soon",
      "2026-07-01T12:00:30Z",
      "Sun, 06 Nov 1994 08:49:37",
      "Sun, 06 Nov 1994 08:49:37 UTC",
      "Sun, 06 Nov 1994 08:49:37 +0000",
      "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 31 Feb 2027 08:49:37 GMT",
      "Sun, 06 Foo 2027 08:49:37 GMT",
      "Sun, 06 Nov 2027 24:00:00 GMT",
      "Sunday, 06-Nov-1994 08:49:37 GMT",
      "Sunday, 31-Feb-27 08:49:37 GMT",
      "Sunday, 06-Foo-27 08:49:37 GMT",
      "Someday, 06-Nov-27 08:49:37 GMT",
      "Sun Nov 6 08:49:37 2027",
      "x Sunday, 06-Nov-27 08:49:37 GMT",
      "Sunday, 06-Nov-27 08:49:37 GMT x"
    ]
    for (const text of malformed) assert.isUndefined(at(text), JSON.stringify(text))
  })
})

describe("milliseconds", () => {
  for (const name of ["grpc-retry-pushback-ms", "retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"]) {
    it(name, () => {
      assert.strictEqual(msOf({ [name]: "1234" }), 1234)
      assert.strictEqual(msOf({ [name]: "0" }), 0)
      assert.strictEqual(msOf({ [name]: "12.5" }), 12.5)
      assert.strictEqual(msOf({ [name]: " 7 " }), 7)
      assert.strictEqual(msOf({ [name]: "9".repeat(400) }), Number.MAX_SAFE_INTEGER)
      for (const text of ["", "-1", "+1", ".5", "5.", "1e3", "0x1", "NaN", "Infinity", "5ms", "1 2"]) {
        assert.isUndefined(msOf({ [name]: text }), text)
      }
    })
  }
})

describe("RateLimit (draft-ietf-httpapi-ratelimit-headers)", () => {
  const at = (ratelimit: string) => msOf({ ratelimit })

  it("a policy that is spent", () => {
    assert.strictEqual(at('"default";r=0;t=30'), 30_000)
    assert.strictEqual(at("default;r=0;t=30"), 30_000)
    assert.strictEqual(at('"default"; r=0;  t=30'), 30_000)
    assert.strictEqual(at('  "default";r=0;t=30 '), 30_000)
    assert.strictEqual(at('"default";t=30;r=0;pk=:cHNsxMO2:;acme'), 30_000)
    assert.strictEqual(at('"100-in-15min";r=0;t=900'), 900_000)
    assert.strictEqual(at('"a, b; \\"c\\" \\\\";r=0;t=1'), 1000)
    assert.strictEqual(at('"default";r=0;t=0'), 0)
  })

  it("a policy that is not says nothing", () => {
    for (const text of [
      '"default";r=50;t=30',
      '"default";r=1;t=30',
      '"default";r=0',
      '"default";t=30',
      '"default"',
      ""
    ]) {
      assert.isUndefined(at(text), text)
    }
  })

  it("of several, the one that is spent, and the longest of those", () => {
    assert.strictEqual(at('"permin";r=0;t=23, "perhr";r=399;t=2402'), 23_000)
    assert.strictEqual(at('"permin";r=0;t=23,"perhr";r=0;t=2402'), 2_402_000)
    assert.strictEqual(at('"perhr";r=0;t=2402\t,\t"permin";r=0;t=23'), 2_402_000)
    // the last of two parameters of one name counts (RFC 9651 §4.2.3.2)
    assert.isUndefined(at('"a";r=0;r=1;t=5'))
  })

  it("the Dictionary of older drafts, which express-rate-limit sends too", () => {
    assert.strictEqual(at("limit=100, remaining=0, reset=30"), 30_000)
    assert.strictEqual(at("limit=100;w=60, remaining=0;x, reset=30"), 30_000)
    assert.strictEqual(at("limit=100, reset=30"), 30_000)
    assert.isUndefined(at("limit=100, remaining=50, reset=30"))
    assert.isUndefined(at("limit=100, remaining=0"))
  })

  it("a field that is malformed anywhere is ignored as a whole", () => {
    const good = '"a";r=0;t=5'
    assert.strictEqual(at(good), 5000)
    for (const text of [
      `${good},`,
      `,${good}`,
      `${good},,${good}`,
      `${good} ${good}`,
      `${good};`,
      `${good}, "b`,
      `${good}, "b\\`,
      `${good}, "b\u00e4"`,
      `${good}, (a b)`,
      `${good}, =`,
      `${good}, 1;R=2`,
      `${good}, 1;x=`,
      `${good}, 1 ; x`,
      `${good}, ?2`,
      `${good}, :#:`,
      `${good}, -`,
      `${good}, 1234567890123456`,
      `${good}, 1.2345`,
      // of the draft's own appendix: a List and a Dictionary in one
      "problemPolicy;r=0, t=10",
      `${good}, limit=5`,
      `${good}, remaining=0, reset=5`
    ]) {
      assert.isUndefined(at(text), text)
    }
  })

  it("every kind of item is understood", () => {
    for (const item of [
      "1",
      "-1",
      "1.5",
      '""',
      "tok/en:*",
      "?0",
      "?1",
      ":YQ==:",
      "@1659578233",
      '%"f%c3%bc"',
      "a;b;c=1.5"
    ]) {
      assert.strictEqual(at(`${item}, "a";r=0;t=5`), 5000, item)
    }
    assert.strictEqual(at('flag, "a";r=0;t=5;x=?1;y=tok;z="s"'), 5000)
    assert.strictEqual(at('flag=?1, remaining=0, reset=5, text="a"'), 5000)
  })

  it("what is no whole number of seconds is ignored", () => {
    for (const t of ["5.5", "-5", '"5"', "five", "?1", "@5"]) {
      assert.isUndefined(at(`"a";r=0;t=${t}`), t)
      assert.isUndefined(at(`remaining=0, reset=${t}`), t)
    }
    assert.isUndefined(at('"a";r;t=5'))
    for (const r of ["-0.5", '"0"', "?0", "zero"]) assert.isUndefined(at(`"a";r=${r};t=5`), r)
  })
})

describe("fields for what remains and for the reset", () => {
  it("RateLimit-Reset, with or without what remains", () => {
    assert.strictEqual(msOf({ "ratelimit-reset": "30" }), 30_000)
    assert.strictEqual(msOf({ "ratelimit-remaining": "0", "ratelimit-reset": "30" }), 30_000)
    assert.isUndefined(msOf({ "ratelimit-remaining": "5", "ratelimit-reset": "30" }))
    assert.isUndefined(msOf({ "ratelimit-remaining": "?", "ratelimit-reset": "30" }))
    assert.isUndefined(msOf({ "ratelimit-remaining": "0", "ratelimit-reset": "soon" }))
  })

  it("X-RateLimit-Reset: a span, or a date of the epoch in seconds or milliseconds", () => {
    const at = (reset: string) => msOf({ "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset })
    assert.strictEqual(at("60"), 60_000)
    assert.strictEqual(at("0.5"), 500)
    assert.strictEqual(at(String(now / 1000 + 60)), 60_000)
    assert.strictEqual(at(String(now + 60)), 60)
    assert.strictEqual(at(String(now / 1000 - 60)), 0)
    assert.strictEqual(at("999999999"), 999_999_999_000)
    assert.strictEqual(at("1000000000"), 0)
    assert.strictEqual(at("9".repeat(400)), Number.MAX_SAFE_INTEGER)
    // GitHub sends it with every response
    assert.isUndefined(msOf({ "x-ratelimit-remaining": "4999", "x-ratelimit-reset": "60" }))
    assert.isUndefined(msOf({ "x-ratelimit-reset": "60" }))
  })

  it("OpenAI: Go durations, and what remains decides which matter", () => {
    const openai = (requests: string, tokens: string) => ({
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": requests,
      "x-ratelimit-reset-requests": "12ms",
      "x-ratelimit-limit-tokens": "150000",
      "x-ratelimit-remaining-tokens": tokens,
      "x-ratelimit-reset-tokens": "6m0s"
    })
    assert.isUndefined(msOf(openai("59", "149984")))
    assert.strictEqual(msOf(openai("0", "149984")), 12)
    assert.strictEqual(msOf(openai("59", "0")), 6 * minutes)
    assert.strictEqual(msOf(openai("0", "0")), 6 * minutes)
  })

  it("Go durations", () => {
    const at = (text: string) => msOf({ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": text })
    const table: Readonly<Record<string, number>> = {
      "1s": 1000,
      "7.66s": 7660,
      "2m59.56s": 179_560,
      "1h2m3.5s": hours + 2 * minutes + 3500,
      "23h59m51.36s": 86_391_360,
      "1.5h": 1.5 * hours,
      ".5s": 500,
      "5.s": 5000,
      "0s": 0,
      "0": 0,
      "20ms": 20,
      "300us": 0.3,
      "300\u00b5s": 0.3,
      "300\u03bcs": 0.3,
      "500000ns": 0.5,
      "1m1m": 2 * minutes,
      "59": 59_000
    }
    for (const [text, ms] of Object.entries(table)) assert.strictEqual(at(text), ms, text)
    for (const text of ["", "s", ".s", "1d", "-1s", "+1s", "1 s", "1s1", "1ms2", "1hm", "1S", "1.2.3s"]) {
      assert.isUndefined(at(text), text)
    }
    assert.strictEqual(at(" 1s "), 1000)
    assert.strictEqual(at(`${"9".repeat(400)}h`), Number.MAX_SAFE_INTEGER)
  })

  it("Azure says -1 for what it does not know", () => {
    assert.isUndefined(
      msOf({
        "x-ratelimit-limit-tokens": "-1",
        "x-ratelimit-remaining-tokens": "-1",
        "x-ratelimit-reset-tokens": "0"
      })
    )
  })

  it("Anthropic: RFC 3339, and what remains decides which matter", () => {
    const anthropic = (requests: string, input: string) => ({
      "anthropic-ratelimit-requests-limit": "1000",
      "anthropic-ratelimit-requests-remaining": requests,
      "anthropic-ratelimit-requests-reset": "2026-07-01T12:00:01Z",
      "anthropic-ratelimit-input-tokens-limit": "80000",
      "anthropic-ratelimit-input-tokens-remaining": input,
      "anthropic-ratelimit-input-tokens-reset": "2026-07-01T12:00:30Z"
    })
    assert.isUndefined(msOf(anthropic("999", "80000")))
    assert.strictEqual(msOf(anthropic("0", "80000")), 1000)
    assert.strictEqual(msOf(anthropic("999", "0")), 30_000)
    assert.strictEqual(msOf(anthropic("0", "0")), 30_000)
    // a plan's window of hours, whose remainder is not said
    assert.isUndefined(msOf({ "anthropic-ratelimit-unified-5h-reset": String(now / 1000 + 3600) }))
  })

  it("RFC 3339", () => {
    const at = (text: string) =>
      msOf({ "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": text })
    const table: Readonly<Record<string, number>> = {
      "2026-07-01T12:00:00Z": 0,
      "2026-07-01t12:00:01z": 1000,
      "2026-07-01T12:00:00.5Z": 500,
      "2026-07-01T12:00:00.123456789Z": 123,
      "2026-07-01T14:00:02+02:00": 2000,
      "2026-07-01T06:30:02-05:30": 2000,
      "2026-07-01T12:00:03+00:00": 3000,
      "2026-07-02T00:00:00-00:00": 12 * hours,
      "2026-12-31T23:59:60Z": Date.UTC(2027, 0, 1) - now,
      "2028-02-29T00:00:00Z": Date.UTC(2028, 1, 29) - now,
      "1999-01-01T00:00:00Z": 0,
      "0001-01-01T00:00:00Z": 0
    }
    for (const [text, ms] of Object.entries(table)) assert.strictEqual(at(text), ms, text)
    for (const text of [
      "2026-07-01",
      "2026-07-01T12:00Z",
      "2026-07-01T12:00:01",
      "2026-07-01 12:00:01Z",
      "2027-02-29T00:00:00Z",
      "2027-00-01T00:00:00Z",
      "2027-13-01T00:00:00Z",
      "2027-01-00T00:00:00Z",
      "2027-01-32T00:00:00Z",
      "2027-01-01T24:00:00Z",
      "2027-01-01T00:60:00Z",
      "2027-01-01T00:00:61Z",
      "2027-01-01T00:00:00.Z",
      "2027-01-01T00:00:00+24:00",
      "2027-01-01T00:00:00+00:60",
      "2027-01-01T00:00:00+0000",
      "+002027-01-01T00:00:00Z",
      "x2027-01-01T00:00:00Z",
      "2027-01-01T00:00:00Zx"
    ]) {
      assert.isUndefined(at(text), text)
    }
  })

  it("of all windows of all kinds, the longest", () => {
    const headers = {
      ratelimit: '"a";r=0;t=5',
      "ratelimit-reset": "4",
      "x-ratelimit-remaining": "0",
      "x-ratelimit-reset": "3",
      "x-ratelimit-remaining-tokens": "0.0",
      "x-ratelimit-reset-tokens": "7s"
    }
    assert.strictEqual(msOf(headers), 7000)
    assert.strictEqual(msOf({ ...headers, ratelimit: '"a";r=0;t=9' }), 9000)
  })

  it("names that only look alike are left alone", () => {
    for (const prefix of ["x-ratelimits", "my-x-ratelimit", "ratelimit-resets", "x-rate-limit"]) {
      assert.isUndefined(msOf({ [`${prefix}-reset`]: "5", [`${prefix}-remaining`]: "0" }))
    }
    assert.isUndefined(msOf({ "x-ratelimit-reset-": "5", "x-ratelimit-remaining-": "0" }))
  })
})

describe("precedence", () => {
  /** From the first to the last, each with a value of its own. */
  const ranked: ReadonlyArray<readonly [name: string, text: string, ms: number]> = [
    ["grpc-retry-pushback-ms", "1", 1],
    ["retry-after-ms", "2", 2],
    ["x-ms-retry-after-ms", "3", 3],
    ["x-amz-retry-after", "4", 4],
    ["retry-after", "5", 5000],
    ["ratelimit", '"a";r=0;t=6', 6000]
  ]

  it("the first that is there", () => {
    for (let i = 0; i < ranked.length; i++) {
      const headers = Object.fromEntries(ranked.slice(i).map(([name, text]) => [name, text]))
      assert.strictEqual(msOf(headers), ranked[i]![2], ranked[i]![0])
    }
  })

  it("and is well-formed", () => {
    for (let i = 0; i < ranked.length - 1; i++) {
      const headers = Object.fromEntries(ranked.map(([name, text], j) => [name, j <= i ? "garbage" : text]))
      assert.strictEqual(msOf(headers), ranked[i + 1]![2], ranked[i]![0])
    }
    assert.strictEqual(msOf({ "grpc-retry-pushback-ms": "-1", "retry-after": "5" }), 5000)
  })

  it("a 0 is a hint like any other", () => {
    assert.strictEqual(msOf({ "retry-after-ms": "0", "retry-after": "5" }), 0)
  })
})

describe("what it takes", () => {
  it("headers in every form that Effect knows", () => {
    assert.strictEqual(msOf(Headers.fromInput({ "Retry-After": "5" })), 5000)
    assert.strictEqual(msOf({ "Retry-After": "5" }), 5000)
    assert.strictEqual(msOf([["RETRY-AFTER", "5"]]), 5000)
    assert.strictEqual(msOf(new globalThis.Headers({ "Retry-After": "5" })), 5000)
    assert.strictEqual(msOf({ "Retry-After": undefined }), undefined)
    assert.isTrue(Option.isNone(Http.retryAfter(Headers.empty, now)))
  })

  it("names of Object.prototype are no headers", () => {
    assert.isUndefined(msOf({ constructor: "5", toString: "5", ["__proto__"]: "5" } as never))
  })
})

describe("shouldRetry", () => {
  const said = (headers: Headers.Input) => Option.getOrUndefined(Http.shouldRetry(headers))

  it("by header", () => {
    assert.isUndefined(said({}))
    for (const name of ["x-should-retry", "stripe-should-retry"]) {
      assert.strictEqual(said({ [name]: "true" }), true)
      assert.strictEqual(said({ [name]: " false " }), false)
      for (const text of ["", "yes", "TRUE", "1", "truefalse"]) assert.isUndefined(said({ [name]: text }), text)
    }
    assert.strictEqual(said({ "Finagle-Http-NonRetryable-Nack": "true" }), false)
    assert.isUndefined(said({ "finagle-http-nack": "true" }))
  })

  it("gRPC: a pushback that is negative or no number means no (gRFC A6)", () => {
    for (const text of ["-1", "-0", "", "abc", "1.5", "1e3", "0x1", "5ms"]) {
      assert.strictEqual(said({ "grpc-retry-pushback-ms": text }), false, text)
    }
    for (const text of ["0", "1", " 25 "]) assert.isUndefined(said({ "grpc-retry-pushback-ms": text }), text)
  })

  it("a no wins", () => {
    assert.strictEqual(said({ "x-should-retry": "true", "stripe-should-retry": "false" }), false)
    assert.strictEqual(said({ "x-should-retry": "false", "stripe-should-retry": "true" }), false)
    assert.strictEqual(said({ "x-should-retry": "true", "grpc-retry-pushback-ms": "-1" }), false)
    assert.strictEqual(said({ "x-should-retry": "true", "finagle-http-nonretryable-nack": "" }), false)
  })
})

describe("properties", () => {
  const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  const two = (n: number, fill = "0") => String(n).padStart(2, fill)
  const time = (d: Date) => `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`
  const day = (d: Date) => days[d.getUTCDay()]!
  const month = (d: Date) => months[d.getUTCMonth()]!

  /** The three forms of an HTTP-date. */
  const dates: ReadonlyArray<(d: Date) => string> = [
    (d) => `${day(d).slice(0, 3)}, ${two(d.getUTCDate())} ${month(d)} ${d.getUTCFullYear()} ${time(d)} GMT`,
    (d) => `${day(d)}, ${two(d.getUTCDate())}-${month(d)}-${two(d.getUTCFullYear() % 100)} ${time(d)} GMT`,
    (d) => `${day(d).slice(0, 3)} ${month(d)} ${two(d.getUTCDate(), " ")} ${time(d)} ${d.getUTCFullYear()}`
  ]

  /** Now, from 1970 to 2200, and a number of seconds of at most 49 years. */
  const moments = Arbitrary.all({ now: integers(0, 7_258_118_400), ahead: integers(0, 1_545_264_000) })

  dates.forEach((format, i) => {
    it.effect(`an HTTP-date, form ${i + 1}, comes back to the second`, () =>
      holds(
        moments,
        ({ ahead, now }) =>
          msOf({ "retry-after": format(new Date((now + ahead) * 1000)) }, now * 1000) === ahead * 1000,
        { runs: 500 }
      )
    )
  })

  it.effect("a past date is 0, of two digits or four, up to 49 years ago", () =>
    holds(
      Arbitrary.all({ now: integers(1_600_000_000, 7_258_118_400), ago: integers(0, 1_545_264_000) }),
      ({ ago, now }) =>
        dates.every((format) => msOf({ "retry-after": format(new Date((now - ago) * 1000)) }, now * 1000) === 0),
      { runs: 500 }
    )
  )

  it.effect("seconds, milliseconds, quotas", () =>
    holds(
      integers(0, 999_999_999),
      (n) =>
        msOf({ "retry-after": `${n}` }) === n * 1000 &&
        msOf({ "retry-after-ms": `${n}` }) === n &&
        msOf({ ratelimit: `"p";r=0;t=${n}` }) === n * 1000 &&
        msOf({ ratelimit: `remaining=0, reset=${n}` }) === n * 1000 &&
        msOf({ "ratelimit-reset": `${n}` }) === n * 1000 &&
        msOf({ "x-ratelimit-remaining": "0", "x-ratelimit-reset": `${Math.floor(now / 1000) + n}` }) === n * 1000,
      { runs: 300 }
    )
  )

  it.effect("RFC 3339 with any offset", () =>
    holds(
      Arbitrary.all({ ahead: integers(0, 2_000_000_000), offset: integers(-1439, 1439), millis: integers(0, 999) }),
      ({ ahead, millis, offset }) => {
        const local = new Date(now + ahead * 1000 + offset * minutes).toISOString().slice(0, 19)
        const [h, m] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60]
        const text = `${local}.${String(millis).padStart(3, "0")}${offset < 0 ? "-" : "+"}${two(h)}:${two(m)}`
        const headers = { "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": text }
        return msOf(headers) === ahead * 1000 + millis
      },
      { runs: 500 }
    )
  )

  it.effect("Go durations, as Go writes them", () =>
    holds(
      Arbitrary.all({ h: integers(0, 10_000), m: integers(0, 59), s: integers(0, 59), ms: integers(0, 999) }),
      ({ h, m, ms, s }) => {
        const seconds = ms === 0 ? `${s}` : `${s}.${String(ms).padStart(3, "0").replace(/0+$/, "")}`
        const text = h > 0 ? `${h}h${m}m${seconds}s` : m > 0 ? `${m}m${seconds}s` : s > 0 ? `${seconds}s` : `${ms}ms`
        const expected = h * hours + m * minutes + s * 1000 + ms
        const headers = { "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": text }
        return Math.abs(msOf(headers)! - expected) < 0.001
      },
      { runs: 500 }
    )
  )

  it.effect("Structured Fields: names, units and parameters of any kind are passed over", () => {
    const name = Arbitrary.map(Arbitrary.array(integers(0x20, 0x7e), { maxLength: 12 }), (codes) =>
      String.fromCharCode(...codes).replace(/["\\]/g, "\\$&")
    )
    const policy = Arbitrary.all({ name, r: integers(0, 3), t: integers(0, 1000), text: name })
    return holds(
      Arbitrary.array(policy, { maxLength: 6 }),
      (policies) => {
        const text = policies.map(({ name, r, t, text }) => `"${name}";pk="${text}";r=${r};t=${t};x`).join(", ")
        const spent = policies.filter(({ r }) => r === 0).map(({ t }) => t * 1000)
        return msOf({ ratelimit: text }) === (spent.length === 0 ? undefined : Math.max(...spent))
      },
      { runs: 300 }
    )
  })

  describe("Structured Fields, every kind of item in a List or a Dictionary", () => {
    /** Each as it is written, and as it is read: numbers as numbers, all else as it was written. */
    const items: ReadonlyArray<readonly [text: string, value: string | number]> = [
      ...[0, 7, -42, 999_999_999_999_999, 0.5, -1.125].map((n) => [String(n), n] as const),
      ["1.0", 1],
      ...['""', '"a b, c;d=1"', '"\\"\\\\"', "token", "*t/o:k~", "?0", "?1", ":YQ==:", "::", "@-5", '%"f%c3%bc"'].map(
        (text) => [text, text] as const
      )
    ]
    const params = Arbitrary.array(integers(0, items.length), { maxLength: 3 })
    const member = Arbitrary.all({ item: integers(0, items.length - 1), params })
    const written = Arbitrary.all({ members: Arbitrary.array(member, { maxLength: 5 }), keyed: integers(0, 1) })

    /** A member as it is written, and as it is read. The last item of a list, which there is not, is a name without a value. */
    const both = ({ item, params }: { item: number; params: ReadonlyArray<number> }, key: string | undefined) => {
      const pairs = params.map((at, i) => [`p${i}`, items[at]] as const)
      return {
        text: [key === undefined ? "" : `${key}=`, items[item]![0]]
          .concat(pairs.map(([name, said]) => (said === undefined ? `; ${name}` : `;${name}=${said[0]}`)))
          .join(""),
        member: {
          key,
          value: items[item]![1],
          params: Object.fromEntries(pairs.map(([name, said]) => [name, said === undefined ? "?1" : said[1]]))
        }
      }
    }

    it.effect("what is written comes back", () =>
      holds(
        written,
        ({ keyed, members }) => {
          const all = members.map((each, i) => both(each, keyed === 1 ? `k${i}` : undefined))
          const found = parse(all.map(({ text }) => text).join(" ,\t"))
          return JSON.stringify(found) === JSON.stringify(all.map(({ member }) => member))
        },
        { runs: 500 }
      )
    )

    it.effect("one character more anywhere never throws, and gives whole members or none", () =>
      holds(
        Arbitrary.all({ written, at: integers(0, 200), code: integers(0, 255) }),
        ({ at, code, written: { keyed, members } }) => {
          const text = members.map((each, i) => both(each, keyed === 1 ? `k${i}` : undefined).text).join(", ")
          const broken = text.slice(0, at) + String.fromCharCode(code) + text.slice(at)
          const found = parse(broken)
          return found === undefined || found.every(({ value }) => value !== "" && !Number.isNaN(value))
        },
        { runs: 1000 }
      )
    )
  })

  const names = [
    "grpc-retry-pushback-ms",
    "retry-after-ms",
    "x-ms-retry-after-ms",
    "x-amz-retry-after",
    "retry-after",
    "ratelimit",
    "ratelimit-reset",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
    "x-should-retry"
  ]

  /** Pieces that the grammars are made of, in any order, so that a good part gets some way in. */
  const pieces = [..."0123456789", "9999999999999999", "-", "+", ".", "e", "r=0", "t=", ";", "; ", ",", ", ", '"', "\\"]
    .concat(
      "remaining=0",
      "reset=",
      "ms",
      "s",
      "m",
      "h",
      "n",
      "\u00b5s",
      "GMT",
      " ",
      ":",
      "T",
      "Z",
      "Sun, ",
      "Sunday, "
    )
    .concat(
      "06",
      "Nov",
      "-Nov-",
      "1994",
      "2026-07-01",
      "12:00:00",
      "?1",
      "%",
      "@",
      "NaN",
      "Infinity",
      "\0",
      "\u{1f600}"
    )

  const finite = (texts: ReadonlyArray<string>, nowMillis: number) => {
    const headers = Object.fromEntries(names.map((name, i) => [name, texts[i % Math.max(1, texts.length)] ?? ""]))
    const found = Http.retryAfter(headers, nowMillis)
    Http.shouldRetry(headers)
    for (const name of names) {
      const alone = msOf({ [name]: headers[name], "x-ratelimit-remaining": "0" }, nowMillis)
      if (alone !== undefined && !(Number.isFinite(alone) && alone >= 0)) return false
    }
    return Option.isNone(found) || (Duration.isFinite(found.value) && Duration.toMillis(found.value) >= 0)
  }

  it.effect("pieces in any order never throw, and give nothing or a time of 0 or more", () =>
    holds(
      Arbitrary.all({
        texts: Arbitrary.array(
          Arbitrary.map(Arbitrary.array(integers(0, pieces.length - 1), { maxLength: 12 }), (at) =>
            at.map((i) => pieces[i]).join("")
          ),
          { maxLength: names.length }
        ),
        now: integers(-1e15, 1e15)
      }),
      ({ now, texts }) => finite(texts, now),
      { runs: 1000 }
    )
  )

  it.effect("arbitrary bytes never throw, and give nothing or a time of 0 or more", () =>
    holds(
      Arbitrary.all({
        texts: Arbitrary.array(
          Arbitrary.map(Arbitrary.array(integers(0, 255), { maxLength: 60 }), (bytes) => String.fromCharCode(...bytes)),
          { maxLength: names.length }
        ),
        text: Arbitrary.schema(Schema.String)
      }),
      ({ text, texts }) => finite([text, ...texts], now),
      { runs: 1000 }
    )
  )

  it("takes time in proportion to the length", () => {
    // as long as a field may be
    const long = 16_384 / 2
    for (const text of [
      "9".repeat(long),
      "1h".repeat(long),
      `${"1".repeat(long)}x`,
      `"${"\\\\".repeat(long)}`,
      `"${" ".repeat(long)}`,
      `a${";a".repeat(long)}=`,
      "a, ".repeat(long),
      " ".repeat(long),
      `${" ".repeat(long)}x`,
      `1${" ".repeat(long)},`,
      `1${"\t".repeat(long)}x`
    ]) {
      for (const name of names) assert.isTrue(finite([text], now), name)
    }
  })

  it("what is too long is ignored, and never throws", () => {
    for (const times of [1, 100, 150_000]) {
      const quota = { ratelimit: `${"1;r=0;t=1,".repeat(times)}1;r=0;t=2` }
      assert.strictEqual(msOf(quota), times > 1_000 ? undefined : 2_000, String(times))
    }
    for (const text of ["9", "a", " ", '"', "1s", "\\", "1,", "a=1,"].flatMap((it) => [it, `"${it}`])) {
      const long = `${text.repeat(1_000_000)}"`
      for (const name of names) assert.isTrue(finite([long], now), name)
      assert.isUndefined(msOf({ "retry-after": long }))
      assert.isTrue(Option.isNone(Http.shouldRetry({ "grpc-retry-pushback-ms": long, "x-should-retry": long })))
    }
    assert.isUndefined(msOf({ ratelimit: `"${"a".repeat(3e7)}"` }))
    assert.strictEqual(msOf({ "retry-after": " ".repeat(16_383) + "1" }), 1_000)
    assert.isUndefined(msOf({ "retry-after": " ".repeat(16_384) + "1" }))
  })

  it("any number of quotas never throws", () => {
    const quotas = Array.from({ length: 200_000 }, (_, i) => [
      [`x-ratelimit-remaining-${i}`, "0"],
      [`x-ratelimit-reset-${i}`, String(i)]
    ])
    assert.strictEqual(msOf(Object.fromEntries(quotas.flat())), 199_999_000)
  })

  it("the time zone of the process does not matter", () => {
    const zone = process.env["TZ"]
    try {
      for (const tz of ["America/Los_Angeles", "Asia/Kolkata", "UTC"]) {
        process.env["TZ"] = tz
        for (const format of dates) {
          assert.strictEqual(msOf({ "retry-after": format(new Date(now + 5000)) }), 5000, tz)
        }
      }
    } finally {
      if (zone === undefined) delete process.env["TZ"]
      else process.env["TZ"] = zone
    }
  })
})
