/**
 * `npm run bench`: what a policy costs, beside what a user would pick instead.
 *
 * Every case runs in a process of its own, several times, in turn with all the others: see `measure.ts` for how. Overheads are nanoseconds
 * of processor time for one call, less what the same call costs without a policy. A rejected call never runs what it guards, so there the
 * whole call counts, with the handling of the error.
 *
 * It measures and does not judge: the exit code is 0 unless a case crashes.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { cpus } from "node:os"
import { memory, timed, type Result, type TimedCase } from "./cases.ts"
import type { Footprint } from "./memory.ts"
import { leastDisturbed, rounds, type Timing } from "./measure.ts"

const processes = 5

interface Row {
  readonly title: string
  readonly ours: TimedCase
  /** Of several, the cheapest counts. "bare": the same call without a policy, to which the whole call is compared. */
  readonly theirs: ReadonlyArray<TimedCase> | "bare"
  readonly must: number
  readonly aim: number
}

const rows: ReadonlyArray<Row> = [
  {
    title: "retry + budget + breaker, sync / Effect's retry + CircuitBreaker",
    ours: "ours: guarded, sync",
    theirs: ["effect: retry(breaker), sync"],
    must: 1 / 10,
    aim: 1 / 15
  },
  {
    title: "retry + budget + breaker, async / cockatiel wrap(retry, breaker)",
    ours: "ours: guarded, async",
    theirs: ["cockatiel: wrap(retry, breaker)"],
    must: 1.5,
    aim: 1
  },
  {
    title: "… + deadline + timeout, async / cockatiel wrap(retry, breaker, timeout, bulkhead)",
    ours: "ours: everything, async",
    theirs: ["cockatiel: wrap(retry, breaker, timeout, bulkhead)"],
    must: 1 / 2.5,
    aim: 1 / 3.5
  },
  {
    title: "… + deadline + timeout, async / Effect's breaker(retry(timeout))",
    ours: "ours: everything, async",
    theirs: ["effect: breaker(retry(timeout)), async"],
    must: 1 / 4,
    aim: 1 / 7
  },
  {
    title: "rejection by an open breaker, whole call / cockatiel, opossum",
    ours: "ours: rejected",
    theirs: ["cockatiel: rejected", "opossum: rejected"],
    must: 1 / 8,
    aim: 1 / 12
  },
  {
    title: "fail once, retry once, no delay / Effect.retry",
    ours: "ours: retried once",
    theirs: ["effect: retried once"],
    must: 1,
    aim: 0.5
  },
  {
    title: "a second guard in a policy / the first one",
    ours: "ours: a second guard",
    theirs: ["ours: the first guard"],
    must: 0.5,
    aim: 0.5
  },
  {
    title: "breaker, bulkhead, adaptive limit, throttle, deadline, budget, timeout, async / cockatiel's four",
    ours: "ours: all guards, async",
    theirs: ["cockatiel: wrap(retry, breaker, timeout, bulkhead)"],
    must: 1,
    aim: 1
  },
  {
    title: "refusal by a full bulkhead, whole call / cockatiel's bulkhead",
    ours: "ours: refused by a bulkhead",
    theirs: ["cockatiel: refused by a bulkhead"],
    must: 1 / 8,
    aim: 1 / 8
  },
  {
    title: "GET over loopback, retry + budget + breaker, whole call / Effect's HttpClient alone",
    ours: "ours: HTTP, guarded",
    theirs: "bare",
    must: 1.03,
    aim: 1.03
  },
  {
    title: "GET over loopback, retry + budget + breaker / Effect's retryTransient + withCircuitBreaker",
    ours: "ours: HTTP, guarded",
    theirs: ["effect: HTTP, retryTransient(withCircuitBreaker)"],
    must: 1,
    aim: 1
  }
]

const footprint = { must: 600, aim: 350 }

// -- running ------------------------------------------------------------------------------------------------------------

/** The bundle's exit code says whether it is small enough, which is no crash: it has printed that itself. */
const node = (args: ReadonlyArray<string>, allowed = 0): string => {
  const { error, signal, status, stderr, stdout } = spawnSync(process.execPath, [...process.execArgv, ...args], {
    encoding: "utf8",
    maxBuffer: 16 * 2 ** 20
  })
  if (error !== undefined) throw error
  if (status === null || status > allowed)
    throw new Error(`${args.join(" ")} ended with ${status ?? signal}\n${stderr}`)
  return stdout
}

const here = (file: string): string => `${import.meta.dirname}/${file}`

const measure = (name: string): Result => JSON.parse(node(["--expose-gc", here("case.ts"), name])) as Result

const names = Object.keys(timed) as Array<TimedCase>
const taken = new Map<TimedCase, Array<Timing>>(names.map((name) => [name, []]))
for (let run = 1; run <= processes; run++) {
  for (const [i, name] of names.entries()) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${run}/${processes}  ${i + 1}/${names.length}  ${name}`)
    taken.get(name)!.push(measure(name) as Timing)
  }
}
const memoryUsed = measure(memory) as Footprint
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K")

const results = new Map(names.map((name) => [name, leastDisturbed(taken.get(name)!)]))
const overhead = (name: TimedCase): number => results.get(name)!.overhead

const compared = ({ ours, theirs }: Row): readonly [ours: number, theirs: number] => {
  if (theirs !== "bare") return [overhead(ours), Math.min(...theirs.map(overhead))]
  const { bare, overhead: added } = results.get(ours)!
  return [bare + added, bare]
}

// -- printing -----------------------------------------------------------------------------------------------------------

const right = (text: string, width: number): string => text.padStart(width)
const ns = (value: number): string => right(value.toFixed(0), 7)
const share = (ratio: number): string => (ratio >= 0.95 ? `${ratio.toFixed(2)} ×` : `1/${(1 / ratio).toFixed(1)}`)
const verdict = (value: number, { aim, must }: { readonly aim: number; readonly must: number }): string =>
  value <= aim ? "meets the aim" : value <= must ? "meets the must" : "MISSES THE MUST"

const cpu = cpus()
console.log(`Node ${process.version}, ${cpu.length} × ${cpu[0]?.model ?? "unknown CPU"}`)
console.log(
  `median of ${rounds} rounds, of the least disturbed of ${processes} processes; ns of processor time a call\n`
)

const width = Math.max(...rows.map(({ title }) => title.length)) + 2
const line = (title: string, ...columns: ReadonlyArray<string>): void =>
  console.log(title.padEnd(width) + columns.join("  "))

line("overhead", right("ours", 7), right("theirs", 7), right("ratio", 7), right("must", 7), right("aim", 7))
for (const row of rows) {
  const [ours, theirs] = compared(row)
  const ratio = ours / theirs
  const bounds = [row.must, row.aim].map((it) => right(share(it), 7))
  line(row.title, ns(ours), ns(theirs), right(share(ratio), 7), ...bounds, verdict(ratio, row))
}
line(
  `memory of one keyed circuit with a window of ${100} calls, ${memoryUsed.keys} keys`,
  right(`${memoryUsed.bytes.toFixed(0)} B`, 7),
  " ".repeat(7),
  " ".repeat(7),
  right(`${footprint.must} B`, 7),
  right(`${footprint.aim} B`, 7),
  verdict(memoryUsed.bytes, footprint)
)
line(
  "timers while idle",
  right(`${memoryUsed.timers}`, 7),
  ...[7, 7, 7, 7].map((w) => " ".repeat(w)),
  verdict(memoryUsed.timers, { must: 0, aim: 0 })
)

console.log("")
line("every case", right("bare", 7), right("whole", 7), right("overhead", 8), right("min … max of the processes", 27))
for (const name of names) {
  const { bare, guarded } = results.get(name)!
  const all = taken.get(name)!.map((it) => it.overhead)
  const spread = `${Math.min(...all).toFixed(0)} … ${Math.max(...all).toFixed(0)}`
  line(name, ns(bare), ns(guarded), right(overhead(name).toFixed(0), 8), right(spread, 27))
}

if (existsSync(here("bundle.ts"))) console.log(`\n${node([here("bundle.ts")], 1)}`)
