/**
 * `npm run bench`: what a policy costs, beside what a user would pick instead.
 *
 * Every case has a process of its own, and those that are compared take turns: see `measure.ts` for how and why. It is done several times
 * over with new processes, for the compiler of a process decides some things once and for all. Overheads are nanoseconds of processor time
 * for one call, less what the same call costs without a policy. A rejected call never runs what it guards, so there the whole call counts,
 * with the handling of the error.
 *
 * It measures and does not judge: the exit code is 0 unless a case crashes. With words as arguments it measures only the rows and cases
 * that contain one.
 */
import { fork, spawnSync, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { cpus } from "node:os"
import { memory, timed, type TimedCase } from "./cases.ts"
import type { Footprint } from "./memory.ts"
import { fastest, median, overhead, quantile, type Timing } from "./measure.ts"

const sets = 3
const roundsPerSet = 7
const turnsPerRound = 4
const warmUps = 1

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

const here = (file: string): string => `${import.meta.dirname}/${file}`

const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

const start = (name: string): ChildProcess =>
  fork(here("case.ts"), [name], { execArgv: [...process.execArgv, "--expose-gc"] })

/** What a case says next; it fails if the case ends instead. */
const said = async <A>(child: ChildProcess): Promise<A> => {
  const ended = new AbortController()
  const exit = once(child, "exit", { signal: ended.signal }).then(([code]) => {
    throw new Error(`${child.spawnargs.at(-1)} ended with ${code}`)
  })
  exit.catch(() => {})
  const [message] = await Promise.race([once(child, "message"), exit])
  ended.abort()
  return message as A
}

const wanted = process.argv.slice(2)
const isWanted = (text: string): boolean => wanted.length === 0 || wanted.some((word) => text.includes(word))

const shown = rows.filter(({ ours, theirs, title }) => isWanted([title, ours, theirs].flat().join(" ")))
const needed = new Set(shown.flatMap(({ ours, theirs }) => (theirs === "bare" ? [ours] : [ours, ...theirs])))
const names = (Object.keys(timed) as Array<TimedCase>).filter((name) => needed.has(name) || isWanted(name))

/** Cases that a row compares are together, and all others by themselves: a process that has to wait for long forgets what it has compiled. */
const groupsOf = (names: ReadonlyArray<TimedCase>): ReadonlyArray<ReadonlyArray<TimedCase>> => {
  let groups: ReadonlyArray<ReadonlyArray<TimedCase>> = names.map((name) => [name])
  for (const { ours, theirs } of shown) {
    const together = theirs === "bare" ? [ours] : [ours, ...theirs]
    const touched = groups.filter((group) => group.some((name) => together.includes(name)))
    groups = [...groups.filter((group) => !touched.includes(group)), touched.flat()]
  }
  return groups
}

/** Of each case, its fastest turns in every round. */
const taken = new Map<TimedCase, Array<Timing>>(names.map((name) => [name, []]))

const takeRounds = async (children: ReadonlyMap<TimedCase, ChildProcess>): Promise<void> => {
  for (let round = 1 - warmUps; round <= roundsPerSet; round++) {
    const turns = new Map<TimedCase, Array<Timing>>(Array.from(children.keys(), (name) => [name, []]))
    for (let turn = 0; turn < turnsPerRound; turn++) {
      for (const [name, child] of children) {
        child.send("turn")
        turns.get(name)!.push(await said<Timing>(child))
      }
    }
    if (round > 0) for (const [name, all] of turns) taken.get(name)!.push(fastest(all))
  }
}

const groups = groupsOf(names)
for (let set = 1; set <= sets; set++) {
  for (const [i, group] of groups.entries()) {
    progress(`set ${set}/${sets}, group ${i + 1}/${groups.length}  ${group.join(", ")}`)
    const children = new Map<TimedCase, ChildProcess>()
    for (const name of group) {
      const child = start(name)
      await said(child)
      children.set(name, child)
    }
    await takeRounds(children)
    for (const child of children.values()) child.disconnect()
  }
}
const child = start(memory)
const memoryUsed = await said<Footprint>(child)
child.disconnect()
progress("")

/** Of each round, how the two sides of a row compare. */
const compared = ({ ours, theirs }: Row): ReadonlyArray<readonly [ours: number, theirs: number]> =>
  taken.get(ours)!.map((timing, round) => {
    if (theirs === "bare") return [timing.guarded, timing.bare]
    return [overhead(timing), Math.min(...theirs.map((name) => overhead(taken.get(name)![round]!)))]
  })

// -- printing -----------------------------------------------------------------------------------------------------------

const right = (text: string, width: number): string => text.padStart(width)
const ns = (value: number): string => right(value.toFixed(0), 7)
const share = (ratio: number): string => (ratio >= 0.95 ? `${ratio.toFixed(2)} ×` : `1/${(1 / ratio).toFixed(1)}`)
const verdict = (value: number, { aim, must }: { readonly aim: number; readonly must: number }): string =>
  value <= aim ? "meets the aim" : value <= must ? "meets the must" : "MISSES THE MUST"

const cpu = cpus()
console.log(`Node ${process.version}, ${cpu.length} × ${cpu[0]?.model ?? "unknown CPU"}`)
console.log(`medians of ${sets * roundsPerSet} rounds, with the middle half of them; ns of processor time a call\n`)

const width = Math.max(...rows.map(({ title }) => title.length)) + 2
const line = (title: string, ...columns: ReadonlyArray<string>): void =>
  console.log(title.padEnd(width) + columns.join("  "))
/** Where the middle half of the rounds lies. */
const middle = (values: ReadonlyArray<number>, shown: (value: number) => string): string =>
  [0.25, 0.75].map((q) => shown(quantile(values, q)).trim()).join(" … ")

const blank = right("", 7)
line(
  "overhead",
  right("ours", 7),
  right("theirs", 7),
  right("ratio", 7),
  right("", 15),
  right("must", 7),
  right("aim", 7)
)
for (const row of shown) {
  const pairs = compared(row)
  const ratios = pairs.map(([ours, theirs]) => ours / theirs)
  const ratio = median(ratios)
  line(
    row.title,
    ns(median(pairs.map(([ours]) => ours))),
    ns(median(pairs.map(([, theirs]) => theirs))),
    right(share(ratio), 7),
    right(middle(ratios, share), 15),
    ...[row.must, row.aim].map((it) => right(share(it), 7)),
    verdict(ratio, row)
  )
}
line(
  `memory of one keyed circuit with a window of ${100} calls, ${memoryUsed.keys} keys`,
  right(`${memoryUsed.bytes.toFixed(0)} B`, 7),
  blank,
  blank,
  right("", 15),
  right(`${footprint.must} B`, 7),
  right(`${footprint.aim} B`, 7),
  verdict(memoryUsed.bytes, footprint)
)
line(
  "timers while idle",
  right(`${memoryUsed.timers}`, 7),
  blank,
  blank,
  right("", 15),
  blank,
  blank,
  verdict(memoryUsed.timers, { must: 0, aim: 0 })
)

console.log("")
line("every case", right("bare", 7), right("whole", 7), right("overhead", 8), right("middle half", 17))
for (const name of names) {
  const timings = taken.get(name)!
  const overheads = timings.map(overhead)
  line(
    name,
    ns(median(timings.map((it) => it.bare))),
    ns(median(timings.map((it) => it.guarded))),
    right(median(overheads).toFixed(0), 8),
    right(middle(overheads, ns), 17)
  )
}

if (existsSync(here("bundle.ts")) && wanted.length === 0) {
  const { error, status, stderr, stdout } = spawnSync(process.execPath, [...process.execArgv, here("bundle.ts")], {
    encoding: "utf8"
  })
  if (error !== undefined || status === null) throw error ?? new Error(stderr)
  console.log(`\n${stdout}`)
}
