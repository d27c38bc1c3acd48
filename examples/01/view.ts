// What is seen while it runs: a screen that is redrawn in place, or, where there is no terminal, a line for each weather.
import { Effect, Stdio, Terminal } from "effect"
import type { Lane } from "./lane.ts"
import { columns, percent, seconds, total } from "./format.ts"
import { between, successRate } from "./statistics.ts"
import { lengthMs, phaseAt, script, timeline } from "./weather.ts"

const screen = Effect.fnUntraced(function* <R>(lanes: ReadonlyArray<Lane<R>>, ms: number) {
  const current = phaseAt(ms)
  const width = 60
  const done = Math.min(width, Math.round((ms / lengthMs) * width))
  const rows = yield* Effect.forEach(lanes, ({ name, calls, server, guards }) =>
    Effect.map(guards ?? Effect.undefined, (it) => [
      name,
      percent(successRate(calls)),
      percent(successRate(between(calls, ms - 1500, ms))),
      `${total(server.stats.requests)}`,
      `${server.stats.inFlight}`,
      it === undefined ? "-" : it.breaker,
      it === undefined ? "-" : `${Math.floor(it.balance)}`
    ])
  )
  return [
    `${"█".repeat(done)}${"░".repeat(width - done)}  ${seconds(Math.min(ms, lengthMs))} of ${seconds(lengthMs)}`,
    script.map(({ name }) => (name === current.weather.name ? `[${name}]` : ` ${name} `)).join(" "),
    "",
    ...columns([["", "success", "last 1.5 s", "requests", "in flight", "breaker", "retries left"], ...rows])
  ]
})

const colours = { closed: 32, "half-open": 33, open: 31, isolated: 31 } as const

const paint = (line: string) =>
  line.replace(
    /\b(closed|half-open|open)\b/,
    (state) => `\x1b[${colours[state as keyof typeof colours]}m${state}\x1b[0m`
  )

/** Draws ten times a second until all calls have ended. */
const animate = Effect.fnUntraced(function* <R>(
  lanes: ReadonlyArray<Lane<R>>,
  now: Effect.Effect<number>,
  callCount: number
) {
  const terminal = yield* Terminal.Terminal
  yield* Effect.acquireRelease(terminal.display("\x1b[?25l"), () => Effect.ignore(terminal.display("\x1b[?25h")))
  let drawn = 0
  while (true) {
    // asked before drawing, so that the last picture shows all
    const done = lanes.every(({ calls }) => calls.length === callCount)
    const width = (yield* terminal.columns) || 80
    const lines = yield* screen(lanes, yield* now)
    const home = drawn === 0 ? "" : `\x1b[${drawn}A`
    // a line that wraps would be two lines to go back
    yield* terminal.display(home + lines.map((line) => `${paint(line.slice(0, width - 1))}\x1b[K\n`).join(""))
    if (done) return
    drawn = lines.length
    yield* Effect.sleep("100 millis")
  }
}, Effect.scoped)

/** What is known at the end of each weather. */
const report = Effect.fnUntraced(function* <R>(lanes: ReadonlyArray<Lane<R>>, now: Effect.Effect<number>) {
  const terminal = yield* Terminal.Terminal
  yield* terminal.display(
    "Of each weather: its end, success (requests) of each client, state of the breaker, retries left.\n"
  )
  for (const { weather, from, to } of timeline) {
    yield* Effect.sleep(to - (yield* now))
    const parts = yield* Effect.forEach(lanes, ({ name, calls, server, guards }) =>
      Effect.map(guards ?? Effect.undefined, (it) => {
        const figures = `${name} ${percent(successRate(between(calls, from, to)))} (${server.stats.requests.get(weather.name)})`
        return it === undefined ? figures : `${figures} ${it.breaker}, ${Math.floor(it.balance)} left`
      })
    )
    yield* terminal.display(`${seconds(to).padStart(6)}  ${weather.name.padEnd(10)}  ${parts.join(" | ")}\n`)
  }
})

export const view = Effect.fn("view")(function* <R>(
  lanes: ReadonlyArray<Lane<R>>,
  now: Effect.Effect<number>,
  callCount: number
) {
  const stdio = yield* Stdio.Stdio
  yield* (yield* stdio.stdoutIsTerminal) ? animate(lanes, now, callCount) : report(lanes, now)
})
