// A rate limit against a second one, written independently: it has lists, goes through time a millisecond at a time, and finds out
// when somebody has a turn by playing the future through.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Context, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import type * as Guard from "../../src/Guard.ts"
import * as RateLimit from "../../src/RateLimit.ts"
import { holds, integers } from "../property.ts"
import { VirtualClock } from "../virtual.ts"

interface Config {
  readonly algorithm: "fixed-window" | "token-bucket"
  readonly limit: number
  readonly tokens: number
  readonly refillMs: number
  readonly maxWaitMs: number
}

const ceilingMs = 80

// ---------------------------------------------------------------------------------------------------------------------
// The slow one
// ---------------------------------------------------------------------------------------------------------------------

interface Tokens {
  take(now: number): boolean
  remaining(now: number): number
  copy(): Tokens
}

/** The counter lasts for as long as its tokens stand for. */
class Window implements Tokens {
  readonly config: Config
  taken: ReadonlyArray<number> = []
  since = 0
  constructor(config: Config) {
    this.config = config
  }
  private expire(now: number) {
    if (now >= this.since + this.taken.length * this.config.refillMs) {
      this.taken = []
      this.since = now
    }
  }
  take(now: number) {
    this.expire(now)
    if (this.taken.length + this.config.tokens > this.config.limit) return false
    for (let i = 0; i < this.config.tokens; i++) this.taken = [...this.taken, now]
    return true
  }
  remaining(now: number) {
    const copy = this.copy()
    copy.expire(now)
    return this.config.limit - copy.taken.length
  }
  copy() {
    return Object.assign(new Window(this.config), this)
  }
}

class Bucket implements Tokens {
  readonly config: Config
  there: number
  since = 0
  constructor(config: Config) {
    this.config = config
    this.there = config.limit
  }
  private fill(now: number) {
    while (this.there < this.config.limit && this.since + this.config.refillMs <= now) {
      this.there++
      this.since += this.config.refillMs
    }
    if (this.there === this.config.limit) this.since = now
  }
  take(now: number) {
    this.fill(now)
    if (this.there < this.config.tokens) return false
    this.there -= this.config.tokens
    return true
  }
  remaining(now: number) {
    const copy = this.copy()
    copy.fill(now)
    return copy.there
  }
  copy() {
    return Object.assign(new Bucket(this.config), this)
  }
}

interface Caller {
  readonly id: number
  readonly expiresAt: number
  readonly deadline: number
}

/** What became of a caller, and when. A refusal says why, and when to come back. */
type Fate = readonly ["granted", at: number] | readonly ["refused", at: number, reason: string, retryAfter: number]

class Model {
  readonly config: Config
  readonly tokens: Tokens
  readonly fates = new Map<number, Fate>()
  queue: Array<Caller> = []
  drainedUntil = 0
  now = 0

  constructor(config: Config) {
    this.config = config
    this.tokens = config.algorithm === "fixed-window" ? new Window(config) : new Bucket(config)
  }

  /** When the last of so many callers has its turn. */
  turnOf(callers: number): number {
    const tokens = this.tokens.copy()
    let served = 0
    for (let now = this.now; ; now++) {
      while (now >= this.drainedUntil && tokens.take(now)) if (++served === callers) return now
    }
  }

  refuse(caller: Caller) {
    const reason = this.now < this.drainedUntil ? "drained" : this.config.maxWaitMs === 0 ? "limit" : "wait"
    this.fates.set(caller.id, ["refused", this.now, reason, this.turnOf(this.queue.length + 1) - this.now])
  }

  serve() {
    while (this.queue.length > 0) {
      const [head, ...others] = this.queue as [Caller, ...Array<Caller>]
      const turn = this.turnOf(1)
      const late = turn > head.deadline || (turn > this.now && turn > head.expiresAt)
      if (!late && turn > this.now) return
      this.queue = others
      if (late) this.refuse(head)
      else {
        this.tokens.take(this.now)
        this.fates.set(head.id, ["granted", this.now])
      }
    }
  }

  arrive(id: number, deadline: number) {
    const caller = { id, deadline, expiresAt: this.now + this.config.maxWaitMs }
    const turn = this.turnOf(this.queue.length + 1)
    if (turn > this.now && turn > Math.min(caller.expiresAt, deadline)) return this.refuse(caller)
    // at once, also for one whose deadline has passed
    if (this.queue.length === 0 && turn === this.now) {
      this.tokens.take(this.now)
      this.fates.set(id, ["granted", this.now])
    } else this.queue.push(caller)
    this.serve()
  }

  leave(id: number) {
    this.queue = this.queue.filter((caller) => caller.id !== id)
    this.serve()
  }

  drain(ms: number) {
    this.drainedUntil = Math.max(this.drainedUntil, this.now + Math.min(ms, ceilingMs))
    this.serve()
  }

  /** A millisecond goes by. */
  tick() {
    this.now++
    this.serve()
    const [head, ...others] = this.queue
    if (head === undefined) return
    const expired = others.filter((caller) => caller.expiresAt <= this.now)
    this.queue = [head, ...others.filter((caller) => caller.expiresAt > this.now)]
    for (const caller of expired) {
      // those behind it are still in the line when it is told
      this.queue = [head, ...others.filter((other) => other.id > caller.id || !expired.includes(other))]
      this.refuse(caller)
    }
    this.queue = [head, ...others.filter((caller) => !expired.includes(caller))]
  }

  get snapshot() {
    const turn = this.turnOf(this.queue.length + 1) - this.now
    const drained = this.drainedUntil - this.now
    return {
      remaining: this.tokens.remaining(this.now),
      waiting: this.queue.length,
      retryAfter: turn > 0 ? turn : undefined,
      drainedFor: drained > 0 ? drained : undefined
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The real one
// ---------------------------------------------------------------------------------------------------------------------

class Real {
  readonly clock = new VirtualClock()
  readonly context: Context.Context<never>
  readonly guard: RateLimit.RateLimit
  readonly fates = new Map<number, Fate>()
  readonly waiting = new Map<number, Fiber.Fiber<unknown, unknown>>()
  permit: Guard.Permit | undefined

  constructor(config: Config, store: "own" | "shared") {
    this.context = Context.make(Clock.Clock, this.clock)
    class Limited extends RateLimit.Service<Limited>()("test/Limited", {
      algorithm: config.algorithm,
      limit: config.limit,
      tokens: config.tokens,
      window: config.limit * config.refillMs,
      maxWait: config.maxWaitMs,
      retryAfterCeiling: ceilingMs
    }) {}
    const layer =
      store === "own" ? Limited.layer : Limited.layerShared.pipe(Layer.provide(RateLimiter.layerStoreMemory))
    this.guard = this.run(Effect.provide(Limited, layer))
  }

  run<A>(self: Effect.Effect<A>): A {
    return Effect.runSyncWith(this.context)(self)
  }

  arrive(id: number, deadline: number | undefined) {
    const call: Guard.Call = {
      policy: "test",
      key: undefined,
      attempt: 1,
      kind: "first",
      now: this.clock.now,
      deadline,
      priority: "normal",
      random: () => 0.5,
      emit: undefined
    }
    const admission = this.run(Effect.sync(() => this.guard.admit(call)))
    if (admission._tag !== "Pending") return this.tell(id, admission)
    const fiber = Effect.runForkWith(this.context)(admission.effect)
    this.waiting.set(id, fiber)
    fiber.addObserver((exit) => {
      this.waiting.delete(id)
      if (Exit.isSuccess(exit)) this.tell(id, exit.value)
    })
  }

  private tell(id: number, answer: Guard.Admitted | Guard.Rejected<RateLimit.RateLimited>) {
    assert.isFalse(this.fates.has(id), "one answer each")
    const at = this.clock.now
    if (answer._tag === "Admitted") {
      this.permit = answer.permit
      this.fates.set(id, ["granted", at])
    } else {
      const { reason, retryAfter } = this.run(Effect.sync(() => ({ ...answer.rejection })))
      this.fates.set(id, ["refused", at, reason, Duration.toMillis(retryAfter!)])
    }
  }

  leave(id: number) {
    this.waiting.get(id)?.interruptUnsafe()
  }

  drain(ms: number) {
    const outcome = { kind: "throttled", health: "ignored", retryAfter: Duration.millis(ms) } as const
    void this.permit?.settle(outcome, 0, this.clock.now)
  }

  tick() {
    const next = this.clock.now + 1
    while (this.clock.sleepers.some(({ at }) => at <= next)) this.clock.advance()
    this.clock.now = next
  }

  get snapshot() {
    const { drainedFor, remaining, retryAfter, waiting } = this.run(this.guard.snapshot())
    const ms = (duration: Duration.Duration | undefined) => duration && Duration.toMillis(duration)
    return { remaining, waiting, retryAfter: ms(retryAfter), drainedFor: ms(drainedFor) }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Both
// ---------------------------------------------------------------------------------------------------------------------

type Command = readonly [kind: number, value: number]

const configs = Arbitrary.map(
  Arbitrary.all([integers(0, 1), integers(1, 5), integers(1, 5), integers(2, 15), integers(0, 90)]),
  ([algorithm, limit, tokens, refillMs, maxWait]): Config => ({
    algorithm: algorithm === 0 ? "fixed-window" : "token-bucket",
    limit,
    tokens: Math.min(limit, tokens),
    refillMs,
    maxWaitMs: maxWait < 15 ? 0 : maxWait
  })
)
const commands: Arbitrary.Arbitrary<ReadonlyArray<Command>> = Arbitrary.array(
  Arbitrary.all([integers(0, 9), integers(0, 100)]),
  { minLength: 40, maxLength: 80 }
)

/** What has happened over all runs: a test in which nobody waits shows nothing. */
type Tally = Map<string, number>

const agree = (config: Config, script: ReadonlyArray<Command>, store: "own" | "shared", tally: Tally): boolean => {
  const arrivals = new Map<number, number>()
  const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1)
  const model = new Model(config)
  const real = new Real(config, store)
  let id = 0
  let wasGranted = false
  for (const [kind, value] of script) {
    if (kind <= 4) {
      arrivals.set(id, model.now)
      const deadline = kind <= 3 ? undefined : model.now + value
      model.arrive(id, deadline ?? Number.POSITIVE_INFINITY)
      real.arrive(id, deadline)
      id++
    } else if (kind === 5) {
      // one that waits is interrupted
      const waiting = model.queue[value % Math.max(1, model.queue.length)]
      if (waiting !== undefined) {
        count("left")
        model.leave(waiting.id)
        real.leave(waiting.id)
      }
    } else if (kind === 6) {
      if (wasGranted && value % 3 === 0) {
        model.drain(value)
        real.drain(value)
      }
    } else {
      for (let i = 0; i < value / (kind === 9 ? 3 : 20); i++) {
        model.tick()
        real.tick()
      }
    }
    wasGranted = real.permit !== undefined
    assert.deepStrictEqual(real.snapshot, model.snapshot)
    assert.deepStrictEqual(real.fates, model.fates)
    assert.deepStrictEqual(
      [...real.waiting.keys()],
      model.queue.map(({ id }) => id)
    )
  }
  for (let i = 0; i < 1_000 && model.queue.length > 0; i++) {
    model.tick()
    real.tick()
  }
  assert.deepStrictEqual(real.fates, model.fates)
  assert.deepStrictEqual([real.waiting.size, real.clock.sleepers.length], [0, 0])
  for (const [id, [fate, at, reason]] of model.fates) {
    count(`${fate} ${at === arrivals.get(id) ? "at once" : "later"}${reason === undefined ? "" : `: ${reason}`}`)
  }
  return true
}

const beside = (store: "own" | "shared", runs: number) =>
  Effect.gen(function* () {
    const tally: Tally = new Map()
    const inputs = Arbitrary.all([configs, commands])
    yield* holds(inputs, ([config, script]) => agree(config, script, store, tally), { runs })
    const all = [
      "granted at once",
      "granted later",
      "left",
      "refused at once: drained",
      "refused at once: limit",
      "refused at once: wait",
      "refused later: drained",
      "refused later: wait"
    ]
    assert.deepStrictEqual([...tally.keys()].toSorted(), all)
    for (const [what, times] of tally) assert.isAtLeast(times, 10, what)
  })

describe("a rate limit, beside a slow one", () => {
  it.effect("grants, refuses, waits and tells as it does: its own store", () => beside("own", 600))

  it.effect("a store that is shared, and has no other user", () => beside("shared", 400))
})
