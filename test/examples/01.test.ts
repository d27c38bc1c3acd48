// Real sockets and real time: only what must hold on any machine is asked.
import { describe, expect, it } from "@effect/vitest"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import { percentile, successRate, timeToRecover, type Call } from "../../examples/01/statistics.ts"
import { lengthMs, phaseAt, script, timeline } from "../../examples/01/weather.ts"

/** What `npm start` runs, without npm. */
const startScript = (): ReadonlyArray<string> => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: { start: string } }
  const [node, ...args] = scripts.start.split(" ")
  expect(node).toBe("node")
  return args
}

const run = () =>
  new Promise<{ code: number | null; stdout: string; stderr: string; seconds: number }>((resolve) => {
    const start = performance.now()
    const child = execFile(process.execPath, startScript(), (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr, seconds: (performance.now() - start) / 1000 })
    )
  })

const ports = (stdout: string) =>
  Array.from(stdout.matchAll(/http:\/\/127\.0\.0\.1:(\d+)/g), ([, port]) => Number(port))

const isOpen = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

/** The rows below a heading that begins so: cells are at least two spaces apart. */
const table = (stdout: string, heading: string) => {
  const lines = stdout.split("\n")
  const first = lines.findIndex((line) => line.startsWith(heading))
  const cells = (line: string) => line.split(/ {2,}/)
  const names = cells(lines[first]!)
  return lines
    .slice(first + 1, first + 4)
    .map((line) => Object.fromEntries(cells(line).map((cell, i) => [names[i]!, cell])))
}

const number = (cell: string | undefined) => Number.parseFloat(cell ?? "")

describe("npm start", () => {
  it("goes through the outage, and leaves nothing behind", async () => {
    const { code, stdout, stderr, seconds } = await run()
    expect(stderr).toBe("")
    expect(code).toBe(0)
    expect(seconds).toBeLessThan(30)

    const [none, plain, resilient, ...more] = table(stdout, "client ")
    expect(more).toEqual([])
    expect([none?.client, plain?.client, resilient?.client]).toEqual(["no retry", "Effect.retry", "Http.resilient"])
    expect(number(none!["per call"])).toBeLessThanOrEqual(1)
    expect(number(plain!["per call"])).toBeGreaterThan(1)
    expect(number(resilient!["requests"])).toBeLessThan(number(plain!["requests"]))
    expect(number(resilient!["in outage"])).toBeLessThan(number(plain!["in outage"]))
    expect(number(resilient!["success"])).toBeGreaterThan(number(none!["success"]))

    const [noneBy, , resilientBy] = table(stdout, "success of calls made in")
    expect(number(resilientBy!["30% errors"])).toBeGreaterThan(number(noneBy!["30% errors"]))

    for (const { name } of script) expect(stdout).toMatch(new RegExp(`^ *\\d+\\.\\d s  ${name} `, "m"))
    expect(stdout).toMatch(/The breaker: [\d.]+ s open, .*half-open/)
    expect(stdout).toMatch(/^quotes\.get: \d+ calls, \d+ retries \(/m)
    // a log, not a screen
    expect(stdout).not.toContain("\x1b")

    expect(ports(stdout)).toHaveLength(3)
    expect(await Promise.all(ports(stdout).map(isOpen))).toEqual([false, false, false])
  })

  it("stops at once when interrupted", async () => {
    const child = spawn(process.execPath, startScript(), { stdio: ["ignore", "pipe", "inherit"] })
    let stdout = ""
    child.stdout.setEncoding("utf8")
    await new Promise<void>((resolve) =>
      child.stdout.on("data", (chunk: string) => {
        stdout += chunk
        if (ports(stdout).length === 3) resolve()
      })
    )
    expect(await Promise.all(ports(stdout).map(isOpen))).toEqual([true, true, true])
    child.kill("SIGINT")
    const [code] = (await once(child, "exit")) as [number | null]
    expect(code).toBe(130)
    expect(await Promise.all(ports(stdout).map(isOpen))).toEqual([false, false, false])
  })
})

const call = (arrived: number, error?: string): Call => ({ arrived, tookMs: 1, error })

const calls = (outcomes: string): ReadonlyArray<Call> =>
  Array.from(outcomes, (outcome, i) => call(i * 10, outcome === "+" ? undefined : "Failed"))

describe("the example's statistics", () => {
  it.each([
    [[], 50, undefined],
    [[7], 0, 7],
    [[7], 99, 7],
    [[4, 1, 3, 2], 50, 2],
    [[4, 1, 3, 2], 51, 3],
    [[4, 1, 3, 2], 100, 4],
    [Array.from({ length: 100 }, (_, i) => i + 1), 99, 99],
    [[10, 9, 100], 50, 10]
  ])("percentile(%j, %d) is %s", (values, p, expected) => {
    expect(percentile(values, p)).toBe(expected)
  })

  it("successRate: a share, or not known", () => {
    expect(successRate([])).toBeUndefined()
    expect(successRate(calls("++-+"))).toBe(0.75)
  })

  it.each([
    ["recovered at once", "+".repeat(20), 0, 0],
    ["counted from the moment of health", "-".repeat(5) + "+".repeat(20), 50, 0],
    ["after failures", "-".repeat(5) + "+".repeat(20), 0, 50],
    ["one failure of twenty is forgiven", "-".repeat(5) + "+".repeat(10) + "-" + "+".repeat(9), 0, 50],
    ["two are not", "+-+-" + "+".repeat(19), 0, 20],
    ["it begins with a success", "-" + "+".repeat(20), 0, 10],
    ["too few to know", "+".repeat(19), 0, undefined],
    ["never", "-".repeat(100), 0, undefined]
  ])("timeToRecover: %s", (_, outcomes, healthyAt, expected) => {
    expect(timeToRecover(calls(outcomes), healthyAt)).toBe(expected)
  })

  it("timeToRecover sorts by arrival, for calls are noted as they end", () => {
    expect(timeToRecover(calls("--" + "+".repeat(20)).toReversed(), 0)).toBe(20)
  })

  it("the weather follows from the time", () => {
    expect(phaseAt(0).weather.name).toBe("healthy")
    for (const { from, to, weather } of timeline) {
      expect(phaseAt(from).weather).toBe(weather)
      expect(phaseAt(to - 0.01).weather).toBe(weather)
      // so that no second's quota spans two weathers
      expect(from % 1000).toBe(0)
    }
    expect(phaseAt(lengthMs + 5000).weather.name).toBe("recovery")
    expect(lengthMs).toBeLessThanOrEqual(20_000)
  })
})
