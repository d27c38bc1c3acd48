// What came of it, in numbers and in words: all of it counted or measured in this run.
import { columns, seconds } from "../01/format.ts"
import { between, failures, successes, successRate, timeToRecover } from "../01/statistics.ts"
import { capacityAt, lengthMs, timeline } from "./script.ts"
import type { Server } from "./server.ts"
import type { Call } from "./traffic.ts"
import { critical, latency, share, whole } from "./view.ts"

/** What of a lane is needed here. */
export interface Measured {
  readonly name: string
  readonly calls: ReadonlyArray<Call>
  readonly server: Pick<Server, "stats">
}

const madeIn = (calls: ReadonlyArray<Call>, { from, to }: { readonly from: number; readonly to: number }) =>
  between(calls, from, to) as ReadonlyArray<Call>

const others = (calls: ReadonlyArray<Call>) => calls.filter(({ priority }) => priority !== "critical")

const tables = (lanes: ReadonlyArray<Measured>) =>
  timeline.flatMap((phase) => [
    ...columns([
      [`calls made in: ${phase.name}`, "answered/s", "critical", "others", "p50 ms", "p99 ms", "p99 of critical"],
      ...lanes.map(({ calls, name }) => {
        const made = madeIn(calls, phase)
        return [
          name,
          ((successes(made).length * 1000) / (phase.to - phase.from)).toFixed(1),
          share(successRate(critical(made))),
          share(successRate(others(made))),
          whole(latency(made, 50)),
          whole(latency(made, 99)),
          whole(latency(critical(made), 99))
        ]
      })
    ]),
    ""
  ])

const servers = (lanes: ReadonlyArray<Measured>) =>
  columns([
    ["the server of", "requests", "per call", "worked on", "in vain"],
    ...lanes.map(({ calls, name, server: { stats } }) => [
      name,
      `${stats.requests}`,
      (stats.requests / calls.length).toFixed(2),
      `${stats.done}`,
      share(stats.done === 0 ? undefined : stats.inVain / stats.done)
    ])
  ])

/** How the calls ended that were not answered. */
const reasons = (calls: ReadonlyArray<Call>) => {
  const tags = failures(calls).map(({ error }) => error!)
  const counts = [...new Set(tags)].map((tag) => `${tag} ${tags.filter((other) => other === tag).length}`)
  return counts.length === 0 ? "none" : counts.join(", ")
}

const drop = timeline.find(({ name }) => name === "drop")!

/** Shares from which on the words below are true. */
const thresholds = { collapsed: 0.5, survived: 0.9, alike: 0.15 }

const inWords = ({ calls, name, server: { stats } }: Measured) => {
  const made = madeIn(calls, drop)
  const possible = (capacityAt(drop.from) * (drop.to - drop.from)) / 1000
  const used = successes(made).length / possible
  const ofCritical = successRate(critical(made)) ?? 0
  const ofOthers = successRate(others(made)) ?? 0
  const recovery = timeToRecover(calls, drop.to)
  return [
    `${name} ${used < thresholds.collapsed ? "collapsed" : "held"}: in the drop it got ${successes(made).length} answers from a ` +
      `server that could give about ${whole(possible)}.`,
    `  Its critical calls ${ofCritical >= thresholds.survived ? "survived" : "did not survive"}: ${share(ofCritical)} were answered, ` +
      (Math.abs(ofCritical - ofOthers) < thresholds.alike
        ? `about as many as of the others (${share(ofOthers)}).`
        : `and ${share(ofOthers)} of the others.`),
    ...(stats.inVain > stats.done / 10
      ? [`  ${share(stats.inVain / stats.done)} of what its server worked on was for callers who had gone.`]
      : []),
    recovery === undefined
      ? `  It had not recovered ${seconds(lengthMs - drop.to)} after the drop, when the traffic ended.`
      : `  It had recovered ${seconds(recovery)} after the drop.`,
    `  Not answered: ${reasons(calls)}.`
  ]
}

export const summary = (lanes: ReadonlyArray<Measured>): string =>
  [
    ...tables(lanes),
    ...servers(lanes),
    "",
    ...lanes.flatMap(inWords),
    "",
    "Held: at least half of what the server could give. Survived: at least nine critical calls in ten. Recovered: from then on, 19 of",
    "20 calls in a row were answered."
  ].join("\n")
