// The circuit against a second one, written independently: slow, with lists instead of rings and bits, and eager where the real
// one is lazy.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { Circuit } from "../../src/internal/circuit.ts"
import type { Health, State } from "../../src/internal/circuit.ts"
import { detector } from "../../src/internal/trip.ts"
import type { Condition } from "../../src/internal/trip.ts"
import { holds, integers } from "../property.ts"

interface Config {
  readonly conditions: ReadonlyArray<Condition>
  readonly probes: number
  readonly successes: number
  readonly maxProbeMs: number
  readonly ceilingMs: number
}

const openTime = (opening: number): number => [70, 110, 260, 40][opening % 4]!

interface Counted {
  readonly at: number
  readonly failed: boolean
  readonly elapsed: number
}

interface Ticket {
  readonly round: object
  readonly startedAt: number
  verdict: "good" | "bad" | "none" | undefined
}

class Model {
  readonly config: Config
  state: "closed" | "open" | "half-open" | "isolated" = "closed"
  log: Array<Counted> = []
  until = 0
  openings = 0
  hint = Number.NEGATIVE_INFINITY
  round = {}
  probes: Array<Ticket> = []

  constructor(config: Config) {
    this.config = config
  }

  enter(state: Model["state"]) {
    this.state = state
    this.round = {}
  }

  open(at: number, until?: number) {
    this.until = until ?? Math.max(at + openTime(this.openings++), this.hint)
    this.enter("open")
  }

  close() {
    this.log = []
    this.openings = 0
    this.hint = Number.NEGATIVE_INFINITY
    this.enter("closed")
  }

  /** Does what time does, as soon as it does it. */
  tick(now: number) {
    if (this.state !== "half-open") return
    const waiting = this.probes.filter((probe) => probe.verdict === undefined)
    if (waiting.length === 0) return
    const latest = Math.max(...this.probes.map((probe) => probe.startedAt))
    const dueAt = latest + this.config.maxProbeMs
    if (now < dueAt) return
    for (const probe of waiting) probe.verdict = "bad"
    this.judge(dueAt)
  }

  judge(at: number) {
    const good = this.probes.filter((probe) => probe.verdict === "good").length
    const bad = this.probes.filter((probe) => probe.verdict === "bad").length
    if (good >= this.config.successes) this.close()
    else if (this.config.probes - bad < this.config.successes) this.open(at)
  }

  read(now: number): State {
    this.tick(now)
    return this.state === "open" && now >= this.until ? "half-open" : this.state
  }

  start(now: number): Ticket | undefined {
    const state = this.read(now)
    if (state === "open" || state === "isolated") return undefined
    if (this.state === "open") {
      this.enter("half-open")
      this.probes = []
    }
    const ticket: Ticket = { round: this.round, startedAt: now, verdict: undefined }
    if (this.state === "half-open") {
      if (this.probes.filter((probe) => probe.verdict !== "none").length >= this.config.probes) return undefined
      this.probes.push(ticket)
    }
    return ticket
  }

  settle(ticket: Ticket, now: number, health: Health, elapsed: number, hint: number | undefined) {
    this.tick(now)
    if (ticket.round !== this.round || ticket.verdict !== undefined) return
    if (hint !== undefined) this.hint = Math.max(this.hint, now + Math.min(hint, this.config.ceilingMs))
    if (this.state === "half-open") {
      const slow = this.config.conditions.some((it) => it._tag === "SlowCallRate" && elapsed > it.slowerThanMs)
      ticket.verdict = health === "ignored" ? "none" : health === "ok" && !slow ? "good" : "bad"
      this.judge(now)
      return
    }
    if (health === "ignored") return
    this.log.push({ at: now, failed: health === "failed", elapsed })
    if (this.config.conditions.some((condition) => this.trips(condition, now))) this.open(now)
  }

  counted(condition: Condition, now: number): ReadonlyArray<boolean> {
    if (condition._tag === "ConsecutiveFailures") {
      const lastSuccess = this.log.findLastIndex((it) => !it.failed)
      return this.log.slice(lastSuccess + 1).map(() => true)
    }
    const { span } = condition
    const bucket = (at: number) => Math.floor((at * 10) / (span._tag === "Time" ? span.durationMs : 1))
    const inWindow =
      span._tag === "Calls" ? this.log.slice(-span.calls) : this.log.filter((it) => bucket(it.at) > bucket(now) - 10)
    return inWindow.map((it) => (condition._tag === "SlowCallRate" ? it.elapsed > condition.slowerThanMs : it.failed))
  }

  rate(condition: Condition, now: number): { rate: number | undefined; calls: number } {
    const counted = this.counted(condition, now)
    const isKnown = condition._tag !== "ConsecutiveFailures" && counted.length >= condition.minimumCalls
    return { rate: isKnown ? counted.filter(Boolean).length / counted.length : undefined, calls: counted.length }
  }

  trips(condition: Condition, now: number): boolean {
    if (condition._tag === "ConsecutiveFailures") return this.counted(condition, now).length >= condition.failures
    const { rate } = this.rate(condition, now)
    return rate !== undefined && rate >= condition.threshold
  }

  reading(now: number) {
    const shown = this.config.conditions.find((it) => it._tag !== "ConsecutiveFailures") ?? this.config.conditions[0]!
    return this.rate(shown, now)
  }
}

// -- what is tried ------------------------------------------------------------------------------------------------------

const span = Arbitrary.map(integers(0, 13), (n) =>
  n < 10
    ? ({ _tag: "Calls", calls: n + 1 } as const)
    : ({ _tag: "Time", durationMs: [30, 100, 333, 1000][n - 10]! } as const)
)

const condition = Arbitrary.map(
  Arbitrary.all({
    kind: integers(0, 2),
    failures: integers(1, 4),
    share: integers(1, 10),
    minimum: integers(1, 6),
    span
  }),
  ({ failures, kind, minimum, share, span }): Condition => {
    if (kind === 0) return { _tag: "ConsecutiveFailures", failures }
    const minimumCalls = span._tag === "Calls" ? Math.min(minimum, span.calls) : minimum
    const rate = { threshold: share / 10, minimumCalls, span }
    return kind === 1 ? { _tag: "FailureRate", ...rate } : { _tag: "SlowCallRate", ...rate, slowerThanMs: 5 }
  }
)

const config = Arbitrary.map(
  Arbitrary.all({
    conditions: Arbitrary.array(condition, { minLength: 1, maxLength: 3 }),
    probes: integers(1, 4),
    successes: integers(1, 4),
    maxProbeMs: integers(1, 150)
  }),
  (config): Config => ({ ...config, successes: Math.min(config.successes, config.probes), ceilingMs: 300 })
)

const command = Arbitrary.all({
  pass: integers(-60, 120),
  what: integers(0, 15),
  which: integers(0, 5),
  health: Arbitrary.map(integers(0, 4), (n) => (["ok", "ok", "failed", "failed", "ignored"] as const)[n]!),
  elapsed: integers(0, 10),
  hint: integers(-800, 400)
})

describe("the circuit", () => {
  it.effect("does what the slow model does", () => {
    const visited = new Map<string, number>()
    const visit = (what: string) => visited.set(what, (visited.get(what) ?? 0) + 1)
    return Effect.gen(function* () {
      yield* holds(
        Arbitrary.all({ config, commands: Arbitrary.array(command, { minLength: 25, maxLength: 80 }) }),
        ({ commands, config }) => {
          let now = 1000
          const model = new Model(config)
          const circuit = new Circuit({
            detector: detector(config.conditions),
            probes: config.probes,
            successes: config.successes,
            maxProbeMs: config.maxProbeMs,
            retryAfterCeilingMs: config.ceilingMs,
            openTimes: () => {
              let opening = 0
              return () => openTime(opening++)
            }
          })
          const running: Array<{ readonly ticket: Ticket; readonly generation: number }> = []
          const start = (): boolean => {
            const certain = circuit.rejects(now)
            circuit.expire(now)
            const admitted = circuit.admit(now)
            const ticket = model.start(now)
            if (ticket !== undefined) running.push({ ticket, generation: circuit.generation })
            return admitted === (ticket !== undefined) && (!certain || !admitted)
          }
          return commands.every(({ elapsed, health, hint, pass, what, which }) => {
            now += Math.max(0, pass)
            let agrees = true
            if (what <= 4) {
              agrees = start()
            } else if (what <= 12) {
              if (what <= 9) agrees = start()
              const [one] = running.splice(what <= 9 ? -1 : which % Math.max(1, running.length), 1)
              if (one !== undefined) {
                if (one.generation !== circuit.generation) visit("late")
                circuit.conclude(one.generation, health, elapsed, hint < 0 ? undefined : hint, now)
                model.settle(one.ticket, now, health, elapsed, hint < 0 ? undefined : hint)
              }
            } else if (which === 0) {
              circuit.isolate()
              model.enter("isolated")
            } else if (which === 1) {
              circuit.expire(now)
              model.tick(now)
              const until = hint < 0 ? undefined : now + hint
              circuit.open(now, until)
              model.open(now, until)
            } else if (which === 2) {
              circuit.close()
              model.close()
            }
            const state = circuit.stateAt(now)
            visit(state)
            if (circuit.state !== state) visit(`${circuit.state} that reads ${state}`)
            const { calls, rate } = circuit.read(now)
            const expected = model.reading(now)
            return (
              agrees &&
              state === model.read(now) &&
              circuit.openUntil(now) === (state === "open" ? model.until : undefined) &&
              rate === expected.rate &&
              calls === expected.calls &&
              (!circuit.rejects(now) || state !== "closed")
            )
          })
        },
        { runs: 800 }
      )
      // what was never tried was not tested
      for (const what of [
        "closed",
        "open",
        "half-open",
        "isolated",
        "late",
        "open that reads half-open",
        "half-open that reads open"
      ]) {
        assert.isAbove(visited.get(what) ?? 0, 20, what)
      }
    })
  })
})
