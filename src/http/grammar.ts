/**
 * How times are written in header fields. Each function reads one grammar and gives `undefined` for anything else: what is
 * malformed is ignored, so nothing here may throw, whatever the bytes.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"

/** As much as Node takes of all fields together. Of text of some millions a regular expression throws, and nobody has so much to say. */
const longest = 16 * 1024

/** A token of RFC 9110 §5.6.2. */
export const isFieldName = (text: string): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)

/** What a field says; `undefined` also where it is too long to be read. */
export const fieldOf = (headers: Headers.Headers, name: string): string | undefined => {
  const text = headers[name]
  return text === undefined || text.length > longest ? undefined : text
}

/**
 * A decimal number without sign or exponent. `Number` and `parseFloat` read more than that: "", "0x10", "1e3", "12 monkeys". Too many
 * digits are Infinity.
 */
export const decimal = (text: string): number | undefined => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined)

/**
 * `Retry-After` (RFC 9110 §10.2.3), as milliseconds from `nowMillis` on: a whole number of seconds, or an HTTP-date in one of its three
 * forms, always in GMT. A date that has passed is 0.
 */
export const retryAfterField = (text: string, nowMillis: number): number | undefined => {
  const parsed = Headers.parseRetryAfter(withFullYear(text, nowMillis))
  return Result.isSuccess(parsed) ? Duration.toMillis(Headers.retryAfterDelay(parsed.success, nowMillis)) : undefined
}

const rfc850 = /^(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\d{2})-([a-z]{3})-(\d{2}) (\d{2}:\d{2}:\d{2}) gmt$/i

/**
 * An RFC 850 date as an IMF-fixdate; any other text as it is. Of its two-digit year RFC 9110 §5.6.7 says that a date more than 50
 * years ahead of now is meant to be in the past. Effect reads 70 to 99 as 19xx instead, whenever it is asked.
 */
const withFullYear = (text: string, nowMillis: number): string =>
  text.trim().replace(rfc850, (_, day: string, month: string, digits: string, time: string) => {
    const latest = new Date(nowMillis)
    latest.setUTCFullYear(latest.getUTCFullYear() + 50)
    const lastYear = latest.getUTCFullYear()
    const year = lastYear - ((((lastYear - Number(digits)) % 100) + 100) % 100)
    // the name of the day is not checked
    const inYear = (year: number) => `Sun, ${day} ${month} ${year} ${time} GMT`
    const parsed = Headers.parseHttpDate(inYear(year))
    const tooLate = Result.isSuccess(parsed) && DateTime.toEpochMillis(parsed.success) > latest.getTime()
    return inYear(tooLate ? year - 100 : year)
  })

const rfc3339Parts = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2}(?:\.\d+)?)(?:[Zz]|([+-])(\d{2}):(\d{2}))$/

/** An RFC 3339 date-time, as milliseconds since the epoch. A leap second is the second after it. */
export const rfc3339 = (text: string): number | undefined => {
  const parts = rfc3339Parts.exec(text)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second, sign, offsetHour, offsetMinute] = parts
  if (!within(hour, 23) || !within(minute, 59) || !(Number(second) < 61)) return undefined
  if (!within(offsetHour, 23) || !within(offsetMinute, 59)) return undefined
  const date = new Date(0)
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  // 30 February is read as a day in March
  if (date.getUTCMonth() !== Number(month) - 1) return undefined
  const offset = sign === undefined ? 0 : Number(`${sign}1`) * (Number(offsetHour) * 60 + Number(offsetMinute))
  return date.getTime() + (Number(hour) * 60 + Number(minute) - offset) * 60_000 + Math.round(Number(second) * 1000)
}

const within = (text: string | undefined, max: number): boolean => text === undefined || Number(text) <= max

const goUnits: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3, // the micro sign U+00B5
  μs: 1e-3, // the Greek letter U+03BC
  ns: 1e-6
}

/** A duration as Go writes it, without a sign: "6m0s", "12ms", "1h2m3.5s". In milliseconds. */
export const goDuration = (text: string): number | undefined => {
  const part = /(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|μs|ns)/y
  let ms = 0
  while (part.lastIndex < text.length) {
    const found = part.exec(text)
    if (found === null) return undefined
    ms += Number(found[1]) * goUnits[found[2]!]!
  }
  return text === "" ? undefined : ms
}

/**
 * When a quota comes back, as vendors write it: seconds from now (Azure, Cerebras), seconds or milliseconds since the epoch (GitHub,
 * OpenRouter), a Go duration (OpenAI, Groq) or RFC 3339 (Anthropic). As milliseconds from `nowMillis` on; below 0 if it has passed.
 */
export const quotaReset = (text: string, nowMillis: number): number | undefined => {
  const number = decimal(text)
  if (number !== undefined) {
    // 1e9 seconds are 31 years as a span and September 2001 as a date, so that no number can be meant as both
    return number >= 1e12 ? number - nowMillis : number >= 1e9 ? number * 1000 - nowMillis : number * 1000
  }
  const date = rfc3339(text)
  return date === undefined ? goDuration(text) : date - nowMillis
}
