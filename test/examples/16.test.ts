// Real sockets and real time, on a machine that may be busy: only what must hold on any is asked, with wide margins.
import { describe, expect, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { capacityAt, lengthMs, phaseAt, timeline } from "../../examples/16/script.ts"
import { summary, type Measured } from "../../examples/16/summary.ts"
import type { Call } from "../../examples/16/traffic.ts"

const names = ["timeout and retry", "bulkhead", "adaptive limit", "everything"]

const run = () =>
  new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const args = ["--conditions=effect-resilience-source", "examples/16-everything.ts"]
    // the environment of a plain terminal: what vitest sets (colours, options of Node) would show on stderr
    const options = { env: { PATH: process.env["PATH"] }, timeout: 55_000 }
    const child = execFile(process.execPath, args, options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr })
    )
  })

/** The rows below the heading that begins so, by client: cells are at least two spaces apart. */
const table = (text: string, heading: string) => {
  const lines = text.split("\n")
  const first = lines.findIndex((line) => line.startsWith(heading))
  const cells = (line: string) => line.split(/ {2,}/)
  const columns = cells(lines[first]!)
  const rows = lines.slice(first + 1, lines.indexOf("", first)).map((line) => {
    const [name, ...values] = cells(line)
    return [name!, Object.fromEntries(values.map((value, i) => [columns[i + 1]!, Number.parseFloat(value)]))] as const
  })
  return new Map(rows)
}

describe("example 16", () => {
  it("collapses with nothing; guards keep the server useful, and priorities the critical calls", async () => {
    const { code, stderr, stdout } = await run()
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" })

    const rows = stdout.split("\n").filter((line) => /^ *\d+ \|/.test(line))
    expect(rows).toHaveLength(lengthMs / 1000)
    for (const [i, row] of rows.entries()) {
      const [second, capacity, ...rest] = row.split("|").map((cell) => cell.trim())
      expect([Number(second), Number(capacity)]).toEqual([i + 1, capacityAt(i * 1000)])
      expect(rest.at(-1)).toBe(phaseAt(i * 1000).name)
      const clients = rest.slice(0, -1).map((cell) => cell.split(/ +/))
      expect(clients.map((cells) => cells.length)).toEqual([3, 3, 4, 4])
      for (const cells of clients) for (const cell of cells) expect(cell).toMatch(/^(\d+%?|-)$/)
    }

    for (const { name } of timeline) expect([...table(stdout, `calls made in: ${name} `).keys()]).toEqual(names)
    const drop = table(stdout, "calls made in: drop ")
    const [naive, bulkhead, limit, everything] = names.map((name) => drop.get(name)!)
    const after = table(stdout, "calls made in: after ")
    const servers = table(stdout, "the server of ")

    // the collapse: most calls are lost, in the drop and after it, and attempts are many
    expect(bulkhead!["answered/s"]).toBeGreaterThan(1.5 * naive!["answered/s"]!)
    expect(after.get("bulkhead")!["answered/s"]).toBeGreaterThan(1.5 * after.get("timeout and retry")!["answered/s"]!)
    expect(servers.get("timeout and retry")!["per call"]).toBeGreaterThan(1.3)
    for (const name of names.slice(1)) expect(servers.get(name)!["per call"]).toBeLessThan(1.1)
    expect(servers.get("timeout and retry")!["in vain"]).toBeGreaterThan(20)
    expect(stdout).toMatch(/^timeout and retry collapsed: /m)

    // the limits that adapt begin with 14; with 7 a request takes 350 ms in the drop
    const limits = rows
      .filter((row) => row.endsWith("drop"))
      .map((row) => row.split("|").slice(4, 6))
      .map((cells) => cells.map((cell) => Number(cell.trim().split(/ +/)[3])))
    for (const client of [0, 1]) expect(Math.min(...limits.map((row) => row[client]!))).toBeLessThan(12)

    // the priorities
    for (const client of [limit!, everything!]) {
      expect(client["critical"]).toBeGreaterThan(naive!["critical"]! + 20)
      expect(client["critical"]).toBeGreaterThan(client["others"]! + 20)
    }
  })
})

const drop = timeline[1]!

/** Calls of the drop, evenly over it: every fifth is critical, and `answered` says which get an answer. */
const measured = (
  answered: (i: number, isCritical: boolean) => boolean,
  stats = { done: 100, inVain: 0 }
): Measured => {
  const calls = Array.from({ length: 400 }, (_, i): Call => {
    const isCritical = i % 5 === 0
    return {
      arrived: drop.from + i * 20,
      tookMs: 100,
      error: answered(i, isCritical) ? undefined : "TimeoutError",
      priority: isCritical ? "critical" : "background"
    }
  })
  const after = Array.from({ length: 20 }, (_, i): Call => ({
    arrived: drop.to + 500 + i,
    tookMs: 100,
    error: undefined,
    priority: "background"
  }))
  return { name: "it", calls: [...calls, ...after], server: { stats: { requests: 420, ...stats } } }
}

describe("the words of example 16 follow from the figures", () => {
  const words = (it: Measured) => summary([it])

  it("collapsed, and held: half of the 160 that the server can give", () => {
    expect(words(measured((i) => i < 79))).toContain("it collapsed: in the drop it got 79 answers from")
    expect(words(measured((i) => i < 80))).toContain(
      "it held: in the drop it got 80 answers from a server that could give about 160."
    )
  })

  it("what became of the critical calls: nine in ten is survival", () => {
    expect(words(measured((i, isCritical) => isCritical && i < 360))).toContain(
      "Its critical calls survived: 90% were answered, and 0% of the others."
    )
    expect(words(measured((i, isCritical) => isCritical && i < 355))).toContain(
      "Its critical calls did not survive: 89% were answered, and 0% of the others."
    )
    expect(words(measured((i) => i % 2 === 0))).toContain(
      "Its critical calls did not survive: 50% were answered, about as many as of the others (50%)."
    )
  })

  it("work in vain is told of above a tenth", () => {
    expect(words(measured(() => true, { done: 100, inVain: 10 }))).not.toContain("callers who had gone")
    expect(words(measured(() => true, { done: 100, inVain: 11 }))).toContain("  11% of what its server worked on was")
  })

  it("recovery, and how calls ended that were not answered", () => {
    const fine = measured(() => true)
    expect(words(fine)).toContain("It had recovered 0.5 s after the drop.")
    expect(words(fine)).toContain("Not answered: none.")
    const lost = { ...fine, calls: fine.calls.slice(0, 400).map((call) => ({ ...call, error: "BulkheadFull" })) }
    expect(words(lost)).toContain("It had not recovered 9.0 s after the drop, when the traffic ended.")
    expect(words(lost)).toContain("Not answered: BulkheadFull 400.")
  })

  it("a table for each phase, by when calls were made", () => {
    const it = table(words(measured((i) => i < 100)), "calls made in: drop ").get("it")
    expect(it).toEqual({
      "answered/s": 12.5,
      critical: 25,
      others: 25,
      "p50 ms": 100,
      "p99 ms": 100,
      "p99 of critical": 100
    })
    expect(table(words(measured(() => true)), "calls made in: healthy ").get("it")!["answered/s"]).toBe(0)
  })
})
