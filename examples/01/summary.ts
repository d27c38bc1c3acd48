// What came of it, in numbers: all of them counted or measured in this run.
import type { CircuitBreaker } from "effect-resilience"
import { columns, millis, percent, seconds, total } from "./format.ts"
import type { Lane } from "./lane.ts"
import { between, failures, percentile, successes, successRate, timeToRecover } from "./statistics.ts"
import type { Call } from "./statistics.ts"
import { lengthMs, recoveryMs, timeline } from "./weather.ts"

const latency = (calls: ReadonlyArray<Call>, p: number) =>
  percentile(
    calls.map(({ tookMs }) => tookMs),
    p
  )

const recovery = (calls: ReadonlyArray<Call>) => {
  const ms = timeToRecover(calls, recoveryMs)
  return ms === undefined ? `not in ${seconds(lengthMs - recoveryMs)}` : seconds(ms)
}

const overall = <R>(lanes: ReadonlyArray<Lane<R>>) =>
  columns([
    ["client", "success", "p50", "p99", "failure p50", "requests", "per call", "in outage", "time to recover"],
    ...lanes.map(({ name, calls, server: { stats } }) => [
      name,
      percent(successRate(calls)),
      millis(latency(successes(calls), 50)),
      millis(latency(successes(calls), 99)),
      millis(latency(failures(calls), 50)),
      `${total(stats.requests)}`,
      `${(total(stats.requests) / calls.length).toFixed(2)}`,
      `${stats.requests.get("outage")}`,
      recovery(calls)
    ])
  ])

const byWeather = <R>(lanes: ReadonlyArray<Lane<R>>) =>
  columns([
    ["success of calls made in", ...timeline.map(({ weather }) => weather.name)],
    ...lanes.map(({ name, calls }) => [
      name,
      ...timeline.map(({ from, to }) => percent(successRate(between(calls, from, to))))
    ])
  ])

export interface Change {
  readonly at: number
  readonly to: CircuitBreaker.State
}

/** What the breaker did, and what its caution cost. */
const breaker = (changes: ReadonlyArray<Change>, calls: ReadonlyArray<Call>) => {
  const outage = timeline.find(({ weather }) => weather.name === "outage")!
  const refused = calls.filter(({ error }) => error === "CircuitOpen")
  return [
    `The breaker: ${changes.map(({ at, to }) => `${seconds(at)} ${to}`).join(", ")}.`,
    `It refused ${refused.length} calls at once, ${between(refused, outage.from, outage.to).length} of them in the outage.`,
    "The others are the price of its caution: some of them would have been answered."
  ]
}

export const summary = <R>(lanes: ReadonlyArray<Lane<R>>, changes: ReadonlyArray<Change>): string =>
  [
    ...overall(lanes),
    "",
    "p50 and p99: how long calls that succeeded took; failure p50: how long a caller waited to hear that it failed.",
    "Time to recover: from the end of the outage to the first call with which 19 of 20 in a row succeed again.",
    "",
    ...byWeather(lanes),
    "",
    ...breaker(
      changes,
      lanes.flatMap(({ guards, calls }) => (guards === undefined ? [] : calls))
    )
  ].join("\n")
