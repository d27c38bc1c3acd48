import { assert, describe, it } from "@effect/vitest"
import { Circuit } from "../../src/internal/circuit.ts"
import type { Health, Settings } from "../../src/internal/circuit.ts"
import { detector } from "../../src/internal/trip.ts"
import type { Condition, Span } from "../../src/internal/trip.ts"

const calls = (calls: number): Span => ({ _tag: "Calls", calls })
const time = (durationMs: number): Span => ({ _tag: "Time", durationMs })
const failures = (failures: number): Condition => ({ _tag: "ConsecutiveFailures", failures })
const failureRate = (threshold: number, minimumCalls: number, span: Span): Condition => ({
  _tag: "FailureRate",
  threshold,
  minimumCalls,
  span
})
const slowRate = (threshold: number, slowerThanMs: number, minimumCalls: number, span: Span): Condition => ({
  _tag: "SlowCallRate",
  threshold,
  slowerThanMs,
  minimumCalls,
  span
})

/** A circuit with a clock: open times 100, 200, 300, … */
const make = (options: { readonly trip?: ReadonlyArray<Condition> } & Partial<Settings> = {}) => {
  let now = 0
  let sequences = 0
  const circuit = new Circuit({
    detector: detector(options.trip ?? [failures(2)]),
    probes: 3,
    successes: 2,
    maxProbeMs: 50,
    retryAfterCeilingMs: 1000,
    openTimes: () => {
      sequences++
      let opening = 0
      return () => 100 * ++opening
    },
    ...options
  })
  const call = () => {
    circuit.expire(now)
    const admitted = circuit.admit(now)
    const generation = circuit.generation
    return admitted
      ? (health: Health = "ok", elapsedMs = 0, retryAfterMs?: number) =>
          circuit.conclude(generation, health, elapsedMs, retryAfterMs, now)
      : undefined
  }
  const run = (health: Health = "ok", elapsedMs = 0, retryAfterMs?: number) => {
    const settle = call()
    settle?.(health, elapsedMs, retryAfterMs)
    return settle !== undefined
  }
  return {
    circuit,
    call,
    run,
    runs: (outcomes: string) => {
      for (const outcome of outcomes) run(outcome === "S" ? "ok" : outcome === "F" ? "failed" : "ignored")
    },
    pass: (ms: number) => {
      now += ms
    },
    at: () => circuit.stateAt(now),
    until: () => circuit.openUntil(now),
    read: () => circuit.read(now),
    now: () => now,
    sequences: () => sequences
  }
}

describe("closed", () => {
  const table: ReadonlyArray<readonly [ReadonlyArray<Condition>, string, string]> = [
    // trip, outcomes, the state after each (c closed, o open)
    [[failures(1)], "SF", "co"],
    [[failures(3)], "FFSFFF", "ccccco"],
    [[failures(3)], "FFIFF", "cccoo"],
    [[failures(3)], "FIFIF", "cccco"],
    [[failureRate(0.5, 4, calls(4))], "FSSSF", "ccccc"],
    [[failureRate(0.5, 4, calls(4))], "FSSF", "ccco"],
    [[failureRate(0.5, 4, calls(4))], "FFSS", "ccco"],
    [[failureRate(0.5, 4, calls(4))], "FFF", "ccc"],
    [[failureRate(0.5, 4, calls(4))], "FFFIF", "cccco"],
    [[failureRate(0.5, 2, calls(4))], "SSSFF", "cccco"],
    [[failureRate(0.5, 2, calls(4))], "FF", "co"],
    [[failureRate(0.51, 2, calls(4))], "SSSFFF", "ccccco"],
    [[failureRate(1, 3, calls(3))], "SFFF", "ccco"],
    [[failureRate(0.6, 5, calls(5))], "SSFFF", "cccco"],
    [[failureRate(0.7, 10, calls(10))], "SSSFFFFFFF", "ccccccccco"],
    [[failureRate(0.25, 4, calls(4))], "SSSSF", "cccco"],
    [[failures(5), failureRate(0.5, 2, calls(4))], "SF", "co"],
    [[failures(2), failureRate(1, 4, calls(4))], "SFF", "cco"]
  ]
  for (const [trip, outcomes, states] of table) {
    it(`${trip.map(({ _tag }) => _tag).join(" or ")} ${JSON.stringify(trip[0])}: ${outcomes}`, () => {
      const it = make({ trip })
      const seen = Array.from(outcomes, (outcome) => {
        it.runs(outcome)
        return it.circuit.state[0]
      })
      assert.strictEqual(seen.join(""), states)
    })
  }

  it("Finagle: three failures in a row, dead on the third", () => {
    const it = make({ trip: [failures(3)] })
    it.runs("SSFF")
    assert.strictEqual(it.at(), "closed")
    it.runs("F")
    assert.strictEqual(it.at(), "open")
  })

  it("resilience4j's numbers, of failures and of slow calls: E S S S is not enough, 50, 33.3, 25 %", () => {
    const failing = make({ trip: [failureRate(1, 2, calls(4))] })
    const slow = make({ trip: [slowRate(1, 10, 2, calls(4))] })
    for (const [i, rate] of [undefined, 1 / 2, 1 / 3, 1 / 4].entries()) {
      failing.run(i === 0 ? "failed" : "ok")
      slow.run("ok", i === 0 ? 11 : 10)
      assert.deepStrictEqual(failing.read(), { rate, calls: i + 1 })
      assert.deepStrictEqual(slow.read(), { rate, calls: i + 1 })
    }
  })

  it("below the minimum the rate is not enough data, never a number", () => {
    const it = make({ trip: [failureRate(0.5, 3, calls(10))] })
    assert.deepStrictEqual(it.read(), { rate: undefined, calls: 0 })
    it.runs("SS")
    assert.deepStrictEqual(it.read(), { rate: undefined, calls: 2 })
    it.runs("S")
    assert.deepStrictEqual(it.read(), { rate: 0, calls: 3 })
  })

  it("with several conditions it shows the first that has a rate, else the first", () => {
    const one = make({ trip: [failures(9), slowRate(0.9, 5, 1, calls(4)), failureRate(0.9, 2, calls(4))] })
    one.run("failed", 0)
    one.run("ok", 6)
    assert.deepStrictEqual(one.read(), { rate: 0.5, calls: 2 })
    const other = make({ trip: [failures(9), failures(7)] })
    other.runs("SFF")
    assert.deepStrictEqual(other.read(), { rate: undefined, calls: 2 })
  })

  it("a call is slow if it took longer than that, whether it failed or not", () => {
    for (const health of ["ok", "failed"] as const) {
      const it = make({ trip: [slowRate(0.5, 10, 2, calls(2))] })
      it.run(health, 10)
      it.run(health, 10)
      assert.strictEqual(it.at(), "closed")
      it.run(health, 10.1)
      assert.strictEqual(it.at(), "open")
    }
  })

  it("each of several conditions counts every call", () => {
    const it = make({ trip: [failureRate(0.5, 2, calls(4)), slowRate(0.5, 10, 3, calls(4)), failures(9)] })
    it.run("ok", 11)
    it.run("ok", 0)
    it.run("ok", 11)
    assert.strictEqual(it.at(), "open")
  })

  it("a window of time forgets, and is read at the time of the settlement", () => {
    const it = make({ trip: [failureRate(0.5, 2, time(100))] })
    it.run("failed")
    it.pass(100)
    it.run("failed")
    assert.strictEqual(it.at(), "closed")
    assert.deepStrictEqual(it.read(), { rate: undefined, calls: 1 })
    it.pass(99)
    const settle = it.call()
    it.pass(1)
    settle?.("failed")
    assert.strictEqual(it.at(), "closed")
    it.pass(100)
    assert.deepStrictEqual(it.read(), { rate: undefined, calls: 0 })
    it.runs("FF")
    assert.strictEqual(it.at(), "open")
  })
})

describe("open", () => {
  it("rejects until its time is over; at that moment it admits", () => {
    const it = make()
    it.runs("FF")
    assert.strictEqual(it.circuit.state, "open")
    assert.strictEqual(it.until(), 100)
    assert.isFalse(it.run())
    it.pass(99.9)
    assert.strictEqual(it.at(), "open")
    assert.isTrue(it.circuit.rejects(it.now()))
    it.pass(0.1)
    assert.isFalse(it.circuit.rejects(it.now()))
    assert.strictEqual(it.at(), "half-open")
    assert.isUndefined(it.until())
    // reading has changed nothing
    assert.strictEqual(it.circuit.state, "open")
    assert.isTrue(it.run("ignored"))
    assert.strictEqual(it.circuit.state, "half-open")
  })

  it("the open time is the next of the sequence for each opening in a row, and begins anew after it has closed", () => {
    const it = make({ successes: 1, probes: 1 })
    const times: Array<number | undefined> = []
    const opened = () => times.push(it.until()! - it.now())
    it.runs("FF")
    opened()
    for (let i = 0; i < 2; i++) {
      it.pass(it.until()! - it.now())
      it.run("failed")
      opened()
    }
    assert.strictEqual(it.sequences(), 1)
    it.pass(it.until()! - it.now())
    it.run("ok")
    assert.strictEqual(it.at(), "closed")
    it.runs("FF")
    opened()
    assert.deepStrictEqual(times, [100, 200, 300, 100])
    assert.strictEqual(it.sequences(), 2)
  })

  it("shows what it counted until it closes, but for what grows old", () => {
    const it = make({ trip: [failureRate(0.5, 2, time(100))], openTimes: () => () => 30 })
    it.runs("FF")
    assert.deepStrictEqual(it.read(), { rate: 1, calls: 2 })
    it.pass(99)
    assert.deepStrictEqual(it.read(), { rate: 1, calls: 2 })
    it.pass(1)
    assert.deepStrictEqual(it.read(), { rate: undefined, calls: 0 })
  })

  it("a clock that steps back changes nothing but how long it takes", () => {
    const it = make()
    it.pass(1000)
    it.runs("FF")
    it.pass(-500)
    assert.isFalse(it.run())
    assert.strictEqual(it.at(), "open")
    it.pass(600)
    assert.isTrue(it.run("ok"))
    it.pass(-600)
    assert.strictEqual(it.at(), "half-open")
    assert.isTrue(it.run("ok"))
    assert.strictEqual(it.at(), "closed")
  })
})

describe("a server's retryAfter", () => {
  const table: ReadonlyArray<readonly [string, Health, number, number]> = [
    ["lengthens the open time", "ignored", 500, 500],
    ["never shortens it", "ignored", 50, 100],
    ["is believed up to a ceiling", "ignored", 5000, 1000],
    ["comes with failures and successes too", "ok", 500, 500]
  ]
  for (const [what, health, hint, until] of table) {
    it(what, () => {
      const it = make()
      it.run(health, 0, hint)
      assert.strictEqual(it.at(), "closed")
      it.runs("FF")
      assert.strictEqual(it.until(), until)
    })
  }

  it("the failure that opens the circuit may carry it", () => {
    const it = make()
    it.run("failed")
    it.run("failed", 0, 700)
    assert.strictEqual(it.until(), 700)
  })

  it("counts from when it was heard; the latest moment holds", () => {
    const it = make()
    it.run("ignored", 0, 500)
    it.pass(100)
    it.run("ignored", 0, 300)
    it.runs("FF")
    assert.strictEqual(it.until(), 500)
  })

  it("is forgotten when the circuit closes, and not before", () => {
    const it = make({ probes: 1, successes: 1 })
    it.runs("FF")
    it.pass(100)
    it.run("ignored", 0, 900)
    assert.strictEqual(it.at(), "half-open")
    it.run("failed")
    assert.strictEqual(it.until(), 1000)
    it.pass(900)
    it.run("ok", 0, 900)
    assert.strictEqual(it.at(), "closed")
    it.runs("FF")
    assert.strictEqual(it.until(), 1100)
  })

  it("does not disturb the sequence of open times", () => {
    const it = make()
    it.run("ignored", 0, 1)
    it.pass(10)
    it.runs("FF")
    assert.strictEqual(it.until(), 110)
  })
})

describe("half-open", () => {
  const open = (options: Parameters<typeof make>[0] = {}) => {
    const it = make(options)
    it.runs("FF")
    it.pass(100)
    return it
  }

  it("admits as many probes as said, and rejects the others", () => {
    const it = open()
    const probes = [it.call(), it.call(), it.call()]
    assert.isTrue(probes.every((probe) => probe !== undefined))
    assert.isTrue(it.circuit.rejects(it.now()))
    assert.isUndefined(it.call())
    assert.strictEqual(it.at(), "half-open")
  })

  const verdicts: ReadonlyArray<readonly [probes: number, successes: number, outcomes: string, states: string]> = [
    [1, 1, "S", "c"],
    [1, 1, "F", "o"],
    [1, 1, "IIS", "hhc"],
    [3, 2, "SS", "hc"],
    [3, 2, "FF", "ho"],
    [3, 2, "SFS", "hhc"],
    [3, 2, "SFF", "hho"],
    [3, 2, "SIIFIS", "hhhhhc"],
    [3, 3, "F", "o"],
    [3, 3, "SSS", "hhc"],
    [3, 1, "FFS", "hhc"],
    [3, 1, "FFF", "hho"],
    [10, 5, "FFFFFF", "hhhhho"],
    [10, 5, "SFSFSFSFS", "hhhhhhhhc"]
  ]
  for (const [probes, successes, outcomes, states] of verdicts) {
    it(`${successes} of ${probes}: ${outcomes}: the verdict falls as soon as it is certain`, () => {
      const it = open({ probes, successes })
      const seen = Array.from(outcomes, (outcome) => {
        it.runs(outcome)
        return it.circuit.state[0]
      })
      assert.strictEqual(seen.join(""), states)
    })
  }

  it("a decided probe's place is not given away again", () => {
    const it = open()
    it.runs("SF")
    assert.isDefined(it.call())
    assert.isUndefined(it.call())
  })

  it("an interrupted probe's place is free again", () => {
    const it = open({ probes: 1, successes: 1 })
    const probe = it.call()
    assert.isUndefined(it.call())
    probe?.("ignored")
    assert.isDefined(it.call())
    assert.isUndefined(it.call())
  })

  it("a slow probe has failed, where slow calls count", () => {
    const it = make({ trip: [failures(2), slowRate(1, 10, 5, calls(5))], probes: 1, successes: 1 })
    it.runs("FF")
    it.pass(100)
    it.run("ok", 11)
    assert.strictEqual(it.at(), "open")
    it.pass(200)
    it.run("ok", 10)
    assert.strictEqual(it.at(), "closed")
  })

  it("probes are not counted among the calls", () => {
    const it = open({ trip: [failureRate(0.5, 2, calls(4))] })
    it.runs("SF")
    assert.deepStrictEqual(it.read(), { rate: 1, calls: 2 })
    it.runs("S")
    assert.strictEqual(it.at(), "closed")
    assert.deepStrictEqual(it.read(), { rate: undefined, calls: 0 })
  })

  it("the next half-open time counts anew", () => {
    const it = open()
    it.runs("SFF")
    it.pass(200)
    it.runs("F")
    assert.strictEqual(it.at(), "half-open")
    it.runs("SS")
    assert.strictEqual(it.at(), "closed")
  })
})

describe("a probe that hangs", () => {
  const hang = (probes: number, successes: number) => {
    const it = make({ probes, successes })
    it.runs("FF")
    it.pass(100)
    return it
  }

  it("Effect, Polly, opossum: does not hold the circuit half-open for ever", () => {
    const it = hang(1, 1)
    it.call()
    it.pass(49.9)
    assert.strictEqual(it.at(), "half-open")
    assert.isTrue(it.circuit.rejects(it.now()))
    it.pass(0.1)
    assert.strictEqual(it.at(), "open")
    assert.strictEqual(it.until(), 350)
    // what is certain now is certain only once somebody asked
    assert.isFalse(it.circuit.rejects(it.now()))
    assert.isFalse(it.run())
    assert.strictEqual(it.circuit.state, "open")
    assert.strictEqual(it.until(), 350)
    it.pass(200)
    assert.isTrue(it.run("ok"))
    assert.strictEqual(it.at(), "closed")
  })

  it("if nobody asks, it opens and is over all the same", () => {
    const it = hang(1, 1)
    it.call()
    it.pass(50 + 200)
    assert.strictEqual(it.at(), "half-open")
    assert.isUndefined(it.until())
    const generation = it.circuit.generation
    assert.isTrue(it.run("ok"))
    assert.isAbove(it.circuit.generation, generation)
    assert.strictEqual(it.at(), "closed")
  })

  it("a retryAfter holds for that opening too", () => {
    const it = hang(2, 2)
    it.run("ignored", 0, 900)
    it.call()
    it.pass(50)
    assert.strictEqual(it.until(), 1000)
    assert.strictEqual(it.at(), "open")
    it.pass(849)
    assert.strictEqual(it.at(), "open")
    it.pass(1)
    assert.strictEqual(it.at(), "half-open")
  })

  it("its answer, when it comes, changes nothing, noticed or not", () => {
    for (const noticed of [true, false]) {
      const it = hang(1, 1)
      const probe = it.call()
      it.pass(50)
      if (noticed) it.call()
      probe?.("ok")
      assert.strictEqual(it.circuit.state, "open")
      assert.strictEqual(it.until(), 350)
    }
  })

  it("its answer counts up to the last moment", () => {
    const it = hang(1, 1)
    const probe = it.call()
    it.pass(49.9)
    probe?.("ok")
    assert.strictEqual(it.at(), "closed")
  })

  it("counts as failed: where that does not decide, the probes that are left do", () => {
    const it = hang(3, 2)
    const probe = it.call()
    it.pass(50)
    assert.strictEqual(it.at(), "half-open")
    it.run("ok")
    probe?.("ok")
    assert.strictEqual(it.circuit.state, "half-open")
    it.run("ok")
    assert.strictEqual(it.at(), "closed")
    const other = hang(3, 2)
    other.call()
    other.pass(50)
    other.run("failed")
    assert.strictEqual(other.at(), "open")
  })

  it("those that answered before still count", () => {
    const it = hang(3, 2)
    it.run("failed")
    it.call()
    it.pass(50)
    assert.strictEqual(it.at(), "open")
    assert.strictEqual(it.until(), 350)
  })

  it("the time is that of the latest probe, so that every probe has it", () => {
    const it = hang(2, 2)
    it.call()
    it.pass(30)
    const second = it.call()
    it.pass(49)
    assert.strictEqual(it.at(), "half-open")
    second?.("ok")
    assert.strictEqual(it.circuit.state, "half-open")
    it.pass(1)
    assert.strictEqual(it.at(), "open")
  })

  it("no probe on its way, no limit: silence says nothing of the dependency", () => {
    const it = hang(3, 2)
    it.run("ok")
    it.pass(1e6)
    assert.strictEqual(it.at(), "half-open")
    it.run("ok")
    assert.strictEqual(it.at(), "closed")
  })
})

describe("late results", () => {
  it("Polly #217, opossum, resilience4j: a success from before the outage does not close a half-open circuit", () => {
    const it = make()
    const late = [it.call(), it.call(), it.call()]
    it.runs("FF")
    it.pass(100)
    const probe = it.call()
    for (const settle of late) settle?.("ok")
    assert.strictEqual(it.circuit.state, "half-open")
    // and frees nothing: resilience4j admitted as many probes more
    assert.isDefined(it.call())
    assert.isDefined(it.call())
    assert.isUndefined(it.call())
    probe?.("ok")
    assert.strictEqual(it.circuit.state, "half-open")
  })

  it("cockatiel: a failure from before the outage neither re-opens a half-open circuit nor one that has recovered", () => {
    const it = make({ trip: [failures(1)] })
    const late = it.call()
    const later = it.call()
    it.runs("F")
    it.pass(100)
    const probe = it.call()
    late?.("failed", 0, 900)
    assert.strictEqual(it.circuit.state, "half-open")
    probe?.("ok")
    it.run("ok")
    assert.strictEqual(it.circuit.state, "closed")
    later?.("failed")
    assert.strictEqual(it.circuit.state, "closed")
    it.runs("F")
    assert.strictEqual(it.until(), 200)
  })

  it("a probe of one half-open time says nothing in the next", () => {
    const it = make({ probes: 2, successes: 2 })
    it.runs("FF")
    it.pass(100)
    const late = it.call()
    it.run("failed")
    it.pass(200)
    const probe = it.call()
    late?.("failed")
    late?.("ok")
    assert.strictEqual(it.circuit.state, "half-open")
    probe?.("ok")
    it.run("ok")
    assert.strictEqual(it.circuit.state, "closed")
  })

  it("a result that comes while it is open or isolated says nothing", () => {
    const it = make()
    const late = it.call()
    it.runs("FF")
    late?.("ok", 0, 900)
    assert.strictEqual(it.until(), 100)
    it.circuit.isolate()
    late?.("ok")
    assert.strictEqual(it.circuit.state, "isolated")
  })
})

describe("by hand", () => {
  it("isolated: rejects until it is closed, whatever time passes", () => {
    const it = make()
    const before = it.call()
    it.circuit.isolate()
    before?.("failed")
    it.pass(1e9)
    assert.strictEqual(it.at(), "isolated")
    assert.isTrue(it.circuit.rejects(it.now()))
    assert.isFalse(it.run())
    assert.isUndefined(it.until())
    it.circuit.close()
    assert.strictEqual(it.at(), "closed")
    assert.isTrue(it.run())
  })

  it("closing forgets what was counted, heard and drawn, and what is on its way", () => {
    const it = make()
    it.run("failed")
    const before = it.call()
    it.circuit.close()
    before?.("failed", 0, 900)
    it.run("failed")
    assert.strictEqual(it.at(), "closed")
    it.run("failed")
    assert.strictEqual(it.until(), 100)
    it.circuit.close()
    it.runs("FF")
    assert.strictEqual(it.until(), 100)
  })

  it("opening takes the next open time, or the time said, exactly", () => {
    const it = make()
    it.run("ignored", 0, 500)
    it.circuit.open(it.now(), 60)
    assert.strictEqual(it.until(), 60)
    it.circuit.open(it.now())
    assert.strictEqual(it.until(), 500)
    it.pass(450)
    it.circuit.open(it.now())
    assert.strictEqual(it.until(), 650)
  })

  it("half-open by hand", () => {
    const it = make()
    it.circuit.halfOpen(it.now())
    it.pass(1e6)
    assert.strictEqual(it.at(), "half-open")
    it.runs("SS")
    assert.strictEqual(it.at(), "closed")
  })

  it("says how long it is worth remembering", () => {
    const it = make()
    assert.strictEqual(it.circuit.eventfulUntil, Number.NEGATIVE_INFINITY)
    it.runs("FF")
    assert.strictEqual(it.circuit.eventfulUntil, 100)
    it.pass(130)
    it.call()
    assert.strictEqual(it.circuit.eventfulUntil, 180)
    it.circuit.isolate()
    assert.strictEqual(it.circuit.eventfulUntil, Number.POSITIVE_INFINITY)
  })

  it("every change begins a generation", () => {
    const { circuit } = make()
    const seen = [circuit.generation]
    for (const change of [
      () => circuit.open(0),
      () => circuit.open(0),
      () => circuit.halfOpen(0),
      () => circuit.isolate(),
      () => circuit.close(),
      () => circuit.close()
    ]) {
      change()
      seen.push(circuit.generation)
    }
    assert.strictEqual(new Set(seen).size, seen.length)
  })
})
