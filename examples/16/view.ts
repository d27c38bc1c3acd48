// What is seen while it runs: a row a second, with the clients side by side.
import { Console, Effect } from "effect"
import { percentile, successes, successRate } from "../01/statistics.ts"
import { capacityAt, lengthMs, perSecond, phaseAt } from "./script.ts"
import type { Call, Lane } from "./traffic.ts"

export const whole = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(0))

/** From 0 to 1, as a whole number of percent. */
export const share = (rate: number | undefined): string => (rate === undefined ? "-" : `${whole(rate * 100)}%`)

export const critical = (calls: ReadonlyArray<Call>): ReadonlyArray<Call> =>
  calls.filter(({ priority }) => priority === "critical")

/** How long it took to answer `p` percent of the calls that were answered, at most. */
export const latency = (calls: ReadonlyArray<Call>, p: number): number | undefined =>
  percentile(
    successes(calls).map(({ tookMs }) => tookMs),
    p
  )

/** Calls that ended in [from, to), whenever they were made. */
const endedBetween = (calls: ReadonlyArray<Call>, from: number, to: number) =>
  calls.filter(({ arrived, tookMs }) => arrived + tookMs >= from && arrived + tookMs < to)

/** The cells of a client: the limit only of one that has one. */
const cells = (texts: ReadonlyArray<string>) => texts.map((text) => text.padStart(5)).join(" ")

const headings = ["ok", "p50", "crit"]

const figures = (calls: ReadonlyArray<Call>) => [
  `${successes(calls).length}`,
  whole(latency(calls, 50)),
  share(successRate(critical(calls)))
]

const row = (time: string, capacity: string, clients: ReadonlyArray<string>, phase: string) =>
  [time.padStart(4), capacity.padStart(8), ...clients, phase].join(" | ")

export const view = Effect.fn("view")(function* <R>(lanes: ReadonlyArray<Lane<R>>, now: Effect.Effect<number>) {
  yield* Console.log(
    [
      `About ${perSecond} new calls a second to each server. A row tells of the calls that ended in it: how many were answered,`,
      "how many ms half of those took at most, what share of the critical calls were answered; and the limit, where there is one.",
      "",
      row(
        "",
        "server",
        lanes.map(({ limit, name }) => name.padStart(limit === undefined ? 17 : 23)),
        "phase"
      ),
      row(
        "s",
        "capacity",
        lanes.map(({ limit }) => cells(limit === undefined ? headings : [...headings, "limit"])),
        ""
      )
    ].join("\n")
  )
  for (let to = 1000; to <= lengthMs; to += 1000) {
    yield* Effect.sleep(to - (yield* now))
    const from = to - 1000
    const clients = yield* Effect.forEach(lanes, ({ calls, limit }) =>
      Effect.map(limit ?? Effect.undefined, (it) => {
        const texts = figures(endedBetween(calls, from, to))
        return cells(it === undefined ? texts : [...texts, whole(it)])
      })
    )
    yield* Console.log(row(`${to / 1000}`, whole(capacityAt(from)), clients, phaseAt(from).name))
  }
})
