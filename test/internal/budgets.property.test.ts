import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import type { OutcomeKind } from "../../src/Guard.ts"
import type { BudgetCall, Token } from "../../src/internal/budget.ts"
import type { BudgetModel } from "../../src/internal/budgets.ts"
import { Concurrent } from "../../src/internal/budgets/concurrent.ts"
import { FixedRate } from "../../src/internal/budgets/fixedRate.ts"
import { Ratio } from "../../src/internal/budgets/ratio.ts"
import { Throttle } from "../../src/internal/budgets/throttle.ts"
import { TokenBucket } from "../../src/internal/budgets/tokenBucket.ts"

const kinds: ReadonlyArray<OutcomeKind> = [
  "success",
  "success",
  "transient",
  "throttled",
  "permanent",
  "unrecognised",
  "timeout",
  "defect",
  "interrupted"
]

// ---------------------------------------------------------------------------------------------------------------------
// What happens: calls in four slots, interleaved at random, and time that mostly goes forward
// ---------------------------------------------------------------------------------------------------------------------

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Command = Schema.Struct({
  slot: between(0, 3),
  /** 0–3: an attempt ends and a retry is asked for; 4: cancel; 5: the call ends; 6: only time passes. */
  action: between(0, 6),
  kind: between(0, kinds.length - 1),
  nested: Schema.Boolean,
  settleFirst: Schema.Boolean,
  step: between(-400, 2500)
})
type Command = typeof Command.Type

const commands = Arbitrary.array(Arbitrary.schema(Command), { minLength: 1, maxLength: 120 })

/** What the models and their references have in common, in terms of whole calls. */
interface Subject<Call> {
  readonly begin: (now: number, deposits: boolean) => Call
  /** An attempt ends; it was a retry if the call holds a token. */
  readonly finish: (now: number, call: Call, kind: OutcomeKind, settleFirst: boolean) => void
  readonly ask: (now: number, call: Call, timeout: boolean) => boolean
  readonly holds: (call: Call) => boolean
  readonly cancel: (now: number, call: Call) => void
  readonly end: (now: number, call: Call) => void
  readonly balance: (now: number) => number
}

interface ModelCall {
  readonly call: BudgetCall
  token: Token | undefined
}

const subject = (model: BudgetModel): Subject<ModelCall> => ({
  begin: (now, deposits) => ({ call: model.begin(now, deposits), token: undefined }),
  finish: (now, it, kind, settleFirst) => {
    const outcome = { kind, health: "ok", retryAfter: undefined } as const
    if (settleFirst) it.token?.settle(now, outcome)
    it.call.attempt(now, outcome)
    if (!settleFirst) it.token?.settle(now, outcome)
    it.token = undefined
  },
  ask: (now, it, timeout) => {
    it.token = it.call.retry(now, { timeout, kind: "retry" })
    return it.token !== undefined
  },
  holds: (it) => it.token !== undefined,
  cancel: (now, it) => {
    it.token?.cancel(now)
    it.token = undefined
  },
  end: (now, it) => it.call.end(now),
  balance: (now) => model.balance(now)
})

const finalKinds: ReadonlySet<string> = new Set(["success", "permanent", "unrecognised", "defect"])

/**
 * Runs the commands, then cancels and ends what is left. The trace holds each answer to a request for a retry and each
 * balance. `skip` names requests (by number) that are not made at all. `fates` says what became of each request.
 */
const run = <Call>(it: Subject<Call>, script: ReadonlyArray<Command>, skip?: ReadonlySet<number>) => {
  const slots: Array<{ readonly call: Call; request: number; final: boolean } | undefined> = [
    undefined,
    undefined,
    undefined,
    undefined
  ]
  const trace: Array<boolean | number> = []
  const fates: Array<"denied" | "cancelled" | "settled"> = []
  let now = 0
  let requests = 0
  const cancel = (slot: { readonly call: Call; request: number }) => {
    if (!it.holds(slot.call)) return
    it.cancel(now, slot.call)
    fates[slot.request] = "cancelled"
  }
  for (const command of script) {
    now += command.step
    const slot = slots[command.slot]
    // at most one outcome of a call is final
    const kind = slot?.final === true && finalKinds.has(kinds[command.kind]!) ? "transient" : kinds[command.kind]!
    if (command.action < 6 && slot === undefined) {
      slots[command.slot] = { call: it.begin(now, !command.nested), request: -1, final: false }
    } else if (slot !== undefined && command.action <= 3) {
      if (it.holds(slot.call)) fates[slot.request] = "settled"
      it.finish(now, slot.call, kind, command.settleFirst)
      slot.final ||= finalKinds.has(kind)
      slot.request = requests++
      if (skip?.has(slot.request) !== true) {
        const allowed = it.ask(now, slot.call, kind === "timeout")
        trace.push(allowed)
        fates[slot.request] = "denied"
      }
    } else if (slot !== undefined && command.action === 4) {
      cancel(slot)
    } else if (slot !== undefined && command.action === 5) {
      cancel(slot)
      it.end(now, slot.call)
      slots[command.slot] = undefined
    }
    trace.push(it.balance(now))
  }
  for (const slot of slots) {
    if (slot === undefined) continue
    cancel(slot)
    it.end(now, slot.call)
  }
  const after: Array<number> = []
  for (let i = 0; i <= 12; i++) after.push(it.balance(now + i * 500))
  return { trace, fates, after, now }
}

const holdsFor = (seed: number, property: (script: ReadonlyArray<Command>) => boolean, runs = 150) =>
  Arbitrary.checkEffect(commands, property, { runs, seed, size: 120 }).pipe(
    Effect.map((result) => {
      const failure = Arbitrary.formatCheckFailure(result)
      assert.isUndefined(failure, `seed ${seed}: ${failure}`)
    })
  )

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

// ---------------------------------------------------------------------------------------------------------------------
// The references: slow, and written from the descriptions of the models, not from their code. All amounts are whole numbers.
// ---------------------------------------------------------------------------------------------------------------------

interface Ref {
  readonly deposits: boolean
  paid: boolean
  token: { readonly cost: number; readonly at: number } | undefined
}

/** The parts that are alike: a clock that never steps back, and who holds what. */
const reference = (o: {
  readonly price: (timeout: boolean) => number
  readonly allowed: (now: number, price: number) => boolean
  readonly taken: (now: number, cost: number) => number
  readonly finished: (now: number, call: Ref, kind: OutcomeKind) => void
  readonly cancelled: (now: number, token: { readonly cost: number; readonly at: number }) => void
  readonly begun?: (deposits: boolean) => void
  readonly ended?: (deposits: boolean) => void
  readonly balance: (now: number) => number
}): Subject<Ref> => {
  let clock = Number.NEGATIVE_INFINITY
  const time = (now: number) => (clock = Math.max(clock, now))
  return {
    begin: (now, deposits) => {
      time(now)
      o.begun?.(deposits)
      return { deposits, paid: false, token: undefined }
    },
    finish: (now, call, kind) => {
      o.finished(time(now), call, kind)
      call.token = undefined
    },
    ask: (now, call, timeout) => {
      const cost = o.price(timeout)
      if (!o.allowed(time(now), cost)) return false
      call.token = { cost, at: o.taken(clock, cost) }
      return true
    },
    holds: (call) => call.token !== undefined,
    cancel: (now, call) => {
      o.cancelled(time(now), call.token!)
      call.token = undefined
    },
    end: (now, call) => {
      time(now)
      o.ended?.(call.deposits)
    },
    balance: (now) => o.balance(time(now))
  }
}

/** Every deposit and withdrawal ever made, with its time; amounts in hundredths of a retry. */
const ratioReference = (percent: number, minPerSecond: number, windowMs: number): Subject<Ref> => {
  const entries: Array<{ readonly slice: number; amount: number }> = []
  const sliceOf = (now: number) => Math.floor((now * 10) / windowMs)
  const sum = (now: number) =>
    entries.reduce((total, entry) => (sliceOf(now) - entry.slice < 10 ? total + entry.amount : total), 0) +
    (minPerSecond * windowMs) / 10
  return reference({
    price: () => 100,
    allowed: (now, price) => sum(now) >= price,
    taken: (now, cost) => entries.push({ slice: sliceOf(now), amount: -cost }) - 1,
    finished: (now, call, kind) => {
      if (!call.deposits || call.paid || !finalKinds.has(kind)) return
      call.paid = true
      entries.push({ slice: sliceOf(now), amount: percent })
    },
    cancelled: (_now, token) => {
      entries[token.at]!.amount = 0
    },
    balance: (now) => Math.max(0, Math.floor(sum(now) / 100))
  })
}

/** The history of the number of tokens. */
const tokenBucketReference = (capacity: number, retryCost: number, timeoutCost: number, refund: number) => {
  const history = [capacity]
  const last = () => history.at(-1)!
  const put = (amount: number) => history.push(Math.min(capacity, last() + amount))
  return reference({
    price: (timeout) => (timeout ? timeoutCost : retryCost),
    allowed: (_now, price) => last() >= price,
    taken: (_now, cost) => history.push(last() - cost) - 1,
    finished: (_now, call, kind) => {
      if (kind !== "success") return
      // "success without a retry + refund; success after retries returns the last acquired cost"
      put(call.token === undefined ? (call.deposits ? refund : 0) : call.token.cost)
    },
    cancelled: (_now, token) => {
      if (!history.slice(token.at).includes(capacity)) put(token.cost)
    },
    balance: () => Math.floor(last() / retryCost)
  })
}

/** In thousandths, as A6 has it. */
const throttleReference = (maxTokens: number, thousandths: number) => {
  let tokens = maxTokens * 1000
  return reference({
    price: () => 0,
    allowed: () => tokens > maxTokens * 500,
    taken: () => 0,
    finished: (_now, call, kind) => {
      if (kind === "success") tokens += call.deposits ? thousandths : 0
      if (kind === "transient" || kind === "timeout" || kind === "throttled") tokens -= 1000
      tokens = Math.min(maxTokens * 1000, Math.max(0, tokens))
    },
    cancelled: () => {},
    balance: () => {
      let n = 0
      for (let left = tokens; left > maxTokens * 500; left -= 1000) n++
      return n
    }
  })
}

const concurrentReference = (percent: number, minConcurrency: number) => {
  const calls: Array<boolean> = []
  const retries: Array<number> = []
  const free = () => Math.max(Math.trunc((calls.length * percent) / 100), minConcurrency) - retries.length
  return reference({
    price: () => 1,
    allowed: () => free() > 0,
    taken: (_now, cost) => retries.push(cost),
    finished: (_now, call) => {
      if (call.token !== undefined) retries.pop()
    },
    cancelled: () => retries.pop(),
    begun: (deposits) => {
      if (deposits) calls.push(deposits)
    },
    ended: (deposits) => {
      if (deposits) calls.pop()
    },
    balance: () => Math.max(0, free())
  })
}

/** Millisecond by millisecond; a token is a thousand parts, of which `perSecond` come in each millisecond. */
const fixedRateReference = (perSecond: number, burst: number) => {
  const full = burst * 1000
  let at: number | undefined
  /** Every level there ever was. */
  const history = [full]
  const level = () => history.at(-1)!
  const put = (parts: number) => history.push(Math.min(full, level() + parts))
  const advance = (now: number) => {
    for (at ??= now; at < now; at++) if (level() < full) put(perSecond)
  }
  return reference({
    price: () => 1000,
    allowed: (now, price) => {
      advance(now)
      return level() >= price
    },
    taken: (_now, cost) => history.push(level() - cost) - 1,
    finished: () => {},
    cancelled: (now, token) => {
      advance(now)
      if (!history.slice(token.at).includes(full)) put(token.cost)
    },
    balance: (now) => {
      advance(now)
      return Math.floor(level() / 1000)
    }
  })
}

const models: ReadonlyArray<{
  readonly name: string
  readonly make: () => BudgetModel
  readonly reference: () => Subject<Ref>
  /** Whether a cancelled retry leaves no trace at all, whatever happened meanwhile. */
  readonly exact: boolean
}> = [
  {
    name: "ratio 0.6, 0.3 a second in 10 s",
    make: () => new Ratio({ ratio: 0.6, minPerSecond: 0.3, windowMs: 10_000 }),
    reference: () => ratioReference(60, 0.3, 10_000),
    exact: true
  },
  {
    name: "ratio 0.29, 2 a second in 1 s",
    make: () => new Ratio({ ratio: 0.29, minPerSecond: 2, windowMs: 1000 }),
    reference: () => ratioReference(29, 2, 1000),
    exact: true
  },
  {
    name: "tokenBucket 20, 5, 10, 1",
    make: () => new TokenBucket({ capacity: 20, retryCost: 5, timeoutCost: 10, refund: 1 }),
    reference: () => tokenBucketReference(20, 5, 10, 1),
    exact: false
  },
  {
    name: "throttle 6, 0.45",
    make: () => new Throttle({ maxTokens: 6, tokenRatio: 0.45 }),
    reference: () => throttleReference(6, 450),
    exact: true
  },
  {
    name: "concurrent 0.57, 1",
    make: () => new Concurrent({ ratio: 0.57, minConcurrency: 1 }),
    reference: () => concurrentReference(57, 1),
    exact: true
  },
  {
    name: "fixedRate 1 a second, 3",
    make: () => new FixedRate({ perSecond: 1, burst: 3 }),
    reference: () => fixedRateReference(1, 3),
    exact: false
  }
]

describe.each(models)("$name", ({ exact, make, reference }) => {
  it.effect("answers as its reference does, whatever is interleaved", () =>
    holdsFor(20_261, (script) => {
      const seen = run(subject(make()), script)
      const expected = run(reference(), script)
      return same(seen.trace, expected.trace) && same(seen.after, expected.after)
    })
  )

  it.effect("what is taken and cancelled at once leaves no trace", () =>
    holdsFor(20_262, (script) => {
      const model = make()
      const plain = subject(model)
      const tried: Subject<ModelCall> = {
        ...plain,
        balance: (now) => {
          const before = model.balance(now)
          const other = model.begin(now, false)
          const token = other.retry(now, { timeout: false, kind: "hedge" })
          if ((token !== undefined) !== before > 0) throw new Error(`${before} left, but a token was ${token}`)
          token?.cancel(now)
          other.end(now)
          return model.balance(now)
        }
      }
      return same(run(tried, script), run(subject(make()), script))
    })
  )

  it.effect("cancelled retries: the state is as if they had never been asked for", () =>
    holdsFor(20_263, (script) => {
      const seen = run(subject(make()), script)
      const notSettled = new Set(seen.fates.flatMap((fate, i) => (fate === "settled" ? [] : [i])))
      const without = run(subject(make()), script, notSettled)
      // everything that was allowed beside them is allowed without them
      if (without.trace.includes(false)) return false
      if (exact) return same(seen.after, without.after)
      const cancelled = seen.fates.filter((fate) => fate === "cancelled").length
      return seen.after.every((balance, i) => {
        const more = balance - without.after[i]!
        // Refills that came in while the bucket was held down by a retry that was then cancelled are not taken back. This
        // adds at most what was cancelled, and never goes above the capacity (a timeout costs two).
        return more >= 0 && more <= 2 * cancelled && balance <= make().balance(0)
      })
    })
  )
})

describe("never overspent", () => {
  it.effect("fixedRate: at most the burst and what time brought", () =>
    holdsFor(20_264, (script) => {
      const seen = run(subject(new FixedRate({ perSecond: 1, burst: 3 })), script)
      const spent = seen.fates.filter((fate) => fate === "settled").length
      const times: Array<number> = []
      for (const command of script) times.push((times.at(-1) ?? 0) + command.step)
      return spent <= 3 + (Math.max(...times) - times[0]!) / 1000
    })
  )

  it.effect("tokenBucket: at most the capacity and what successes brought", () =>
    holdsFor(20_265, (script) => {
      let brought = 0
      let spent = 0
      const plain = subject(new TokenBucket({ capacity: 20, retryCost: 5, timeoutCost: 10, refund: 1 }))
      const costs = new Map<ModelCall, number>()
      const counted: Subject<ModelCall> = {
        ...plain,
        ask: (now, it, timeout) => {
          costs.set(it, timeout ? 10 : 5)
          return plain.ask(now, it, timeout)
        },
        finish: (now, it, kind, settleFirst) => {
          if (it.token !== undefined) spent += costs.get(it)!
          if (kind === "success") brought += it.token === undefined ? 1 : costs.get(it)!
          plain.finish(now, it, kind, settleFirst)
        }
      }
      run(counted, script)
      return spent <= 20 + brought
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// The closed forms, by simulation
// ---------------------------------------------------------------------------------------------------------------------

/** mulberry32: a generator that every run and every machine gives the same numbers of. */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
}

/** Attempts a call, of `calls` calls at one a millisecond, each attempt failing with probability `p`. */
const load = (model: BudgetModel, p: number, maxRetries: number, seed: number, calls = 60_000) => {
  const next = random(seed)
  const it = subject(model)
  let attempts = 0
  for (let now = 0; now < calls; now++) {
    const call = it.begin(now, true)
    for (let retries = 0; ; retries++) {
      attempts++
      const kind = next() < p ? "transient" : "success"
      it.finish(now, call, kind, false)
      if (kind === "success" || retries === maxRetries || !it.ask(now, call, false)) break
    }
    it.end(now, call)
  }
  return attempts / calls
}

const unlimited = (p: number, maxRetries: number) => {
  let sum = 0
  for (let i = 0; i <= maxRetries; i++) sum += p ** i
  return sum
}

const cases = [0.1, 0.2].flatMap((r) =>
  [1, 3].flatMap((n) => [0.02, 0.099, 0.2, 0.5, 0.9, 1].map((p) => [r, n, p] as const))
)

describe("the load that retries add, by closed form (seed 8)", () => {
  it.each(cases)("ratio %d, %d retries at most, failure probability %d", (r, n, p) => {
    const measured = load(new Ratio({ ratio: r, minPerSecond: 0, windowMs: 10_000 }), p, n, 8)
    // a success pays r, a retry costs 1: retries = r (1 - p) load
    assert.closeTo(measured, Math.min(unlimited(p, n), 1 / (1 - r * (1 - p))), 0.006)
  })

  it.each(cases)("tokenBucket with refund %d, %d retries at most, failure probability %d", (r, n, p) => {
    const measured = load(new TokenBucket({ capacity: 50, retryCost: 1, timeoutCost: 1, refund: r }), p, n, 8)
    // a first success pays r, and only a failed retry costs 1: p retries = r (1 - p)
    assert.closeTo(measured, Math.min(unlimited(p, n), 1 + (r * (1 - p)) / p), 0.006)
  })
})
