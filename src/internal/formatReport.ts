// Prints a report for a terminal.
import * as Duration from "effect/Duration"
import type { Report } from "../Telemetry.ts"
import { print } from "./errors.ts"
import type { Count, PolicyReport } from "./report.ts"

export const format = (report: Report): string => {
  const span = `${new Date(report.since).toISOString()} to ${new Date(report.at).toISOString()} (${print(Duration.millis(report.at - report.since))})`
  const sections = [
    [span],
    report.policies.length === 0 ? ["no calls"] : table(report.policies),
    report.policies.filter(troubled).map(sentence),
    report.circuits.map(
      ({ breaker, key, since, state }) =>
        `circuit ${breaker}${key === undefined ? "" : ` ${JSON.stringify(key)}`}: ${state} since ${new Date(since).toISOString()}`
    ),
    report.fallbacks.map(({ fallback, name, stale }) => `fallback ${name}: ${stale} stale, ${fallback} substitutes`),
    report.listenerFailures === 0 ? [] : [`listeners failed ${times(report.listenerFailures)}: this is a bug`]
  ]
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")
}

const table = (policies: ReadonlyArray<PolicyReport>): ReadonlyArray<string> => {
  const rows = policies.map((policy) => [
    policy.policy,
    `${policy.calls}`,
    `${policy.failed}`,
    `${policy.retries}`,
    policy.amplification === undefined ? "-" : `${policy.amplification.toFixed(2)}x`,
    policy.retriedCalls === 0 ? "-" : `${policy.recovered} of ${policy.retriedCalls}`,
    `${policy.rejected}`
  ])
  const columns = HEADINGS.map((heading, i) => {
    const cells = [heading, ...rows.map((row) => row[i]!)]
    const width = Math.max(...cells.map((cell) => cell.length))
    return cells.map((cell) => (i === 0 ? cell.padEnd(width) : cell.padStart(width)))
  })
  return [HEADINGS, ...rows].map((_, row) => columns.map((column) => column[row]!).join("  "))
}

const HEADINGS = ["policy", "calls", "failed", "retries", "amplification", "recovered", "rejected"]

const troubled = (policy: PolicyReport): boolean =>
  policy.failed + policy.retries + policy.rejected + policy.injected > 0

const sentence = (policy: PolicyReport): string =>
  [
    `${policy.policy}: ${plural(policy.calls, "call", "calls")}`,
    policy.retries > 0 && `${plural(policy.retries, "retry", "retries")} (${list(policy.retriesByError)})`,
    policy.hedges > 0 && plural(policy.hedges, "hedge", "hedges"),
    policy.retriedCalls > 0 &&
      `${policy.recovered} of ${plural(policy.retriedCalls, "retried call", "retried calls")} recovered`,
    policy.failed > 0 && `${policy.failed} failed`,
    policy.exhausted > 0 && `no further retry ${times(policy.exhausted)} (${list(policy.exhaustedByReason)})`,
    policy.rejected > 0 &&
      `${plural(policy.rejected, "rejection", "rejections")} (${list(policy.rejections.map(({ count, guard, reason }) => ({ name: `${guard} ${reason}`, count })))})`,
    policy.unrecognised.length > 0 &&
      `not retried, because \`faults\` does not know them: ${list(policy.unrecognised)}`,
    policy.injected > 0 && `${plural(policy.injected, "injection", "injections")} by Chaos`,
    policy.lastError !== undefined &&
      `last error ${policy.lastError.error} at ${new Date(policy.lastError.at).toISOString()}`
  ]
    .filter((part) => part !== false)
    .join(", ")

const list = (counts: ReadonlyArray<Count>): string => counts.map(({ count, name }) => `${name} ${count}`).join(", ")

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`

const times = (count: number): string => (count === 1 ? "once" : `${count} times`)
