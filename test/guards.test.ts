// The contract of all guards, asked of each: knowing one is knowing all. What only one of them does is in the file of its name.
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Config,
  ConfigProvider,
  type Context,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Random
} from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import * as AdaptiveLimit from "../src/AdaptiveLimit.ts"
import * as Backoff from "../src/Backoff.ts"
import * as Bulkhead from "../src/Bulkhead.ts"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as Deadline from "../src/Deadline.ts"
import * as Fault from "../src/Fault.ts"
import type * as Guard from "../src/Guard.ts"
import { InvalidOption } from "../src/InvalidOption.ts"
import type { GuardClass, Readable } from "../src/internal/guardClass.ts"
import type { KeysOptions } from "../src/internal/perKey.ts"
import { isUnavailable, UnavailableTypeId } from "../src/internal/unavailable.ts"
import * as Policy from "../src/Policy.ts"
import * as Priority from "../src/Priority.ts"
import * as RateLimit from "../src/RateLimit.ts"
import * as Telemetry from "../src/Telemetry.ts"
import * as Throttle from "../src/Throttle.ts"
import { asking, errorOf, fork, Net, scripted } from "./kit.ts"
import { runInterrupted } from "./virtual.ts"

/** The error of any guard. */
interface Refused extends Error {
  readonly _tag: string
  readonly key: string | undefined
  readonly retryAfter: Duration.Duration | undefined
}
interface Seen {
  readonly key: string | undefined
}
/** The identifier of any guard's service. */
interface It {
  readonly it: unique symbol
}
type Class<Keyed extends boolean> = GuardClass<It, string, Keyed, Readable<Refused, Seen>, Refused, Seen, object>

interface Subject {
  readonly module: { readonly defaults: { readonly keys: KeysOptions }; readonly Service: () => unknown }
  readonly phase: Guard.Phase
  /** What messages about its options call it, and what those of its errors do. */
  readonly label: string
  readonly refused: string
  readonly options: object
  /** A call after which it refuses the next ones for some minutes, and its reason to. */
  readonly burden: Effect.Effect<unknown, unknown>
  readonly reason: string
  readonly Error: unknown
  /** The members of its error that say who refused, and why. */
  readonly who: string
  readonly why: "reason" | "state"
  /** It can say beforehand what it refuses for sure. */
  readonly looks: boolean
  /** What it shows unused, and what it shows otherwise when a call was interrupted. */
  readonly fresh: object
  readonly interrupted?: object
  /** What is read of one key, besides its snapshot. */
  readonly reads?: ReadonlyArray<string>
  /** An option, the same from `N` of the configuration, and what the snapshot shows of it after the burden, where it is 7. */
  readonly setting: (n: number) => object
  readonly configured: object
  readonly shows: object
  readonly bad: ReadonlyArray<readonly [option: string, change: object]>
  /** Another layer that takes the same options. */
  readonly alsoWith?: (change: object) => (Class: object) => unknown
}

/** A limit that stays as it is. */
const fixed = (limit: number) => AdaptiveLimit.aimd({ initial: limit, min: limit, max: limit, slowerThan: "1 minute" })
const byPriority = { critical: 0, high: 0, normal: 0, low: 0, background: 0 }
class Busy extends Data.TaggedError("Busy") {
  readonly [Fault.verdict] = Fault.throttled({ retryAfter: "5 minutes" })
}

const subjects: Readonly<Record<string, Subject>> = {
  Bulkhead: {
    module: Bulkhead,
    phase: "concurrency",
    label: "bulkhead",
    refused: "the bulkhead",
    options: { maxConcurrent: 1 },
    burden: Effect.never,
    reason: "queue",
    Error: Bulkhead.BulkheadFull,
    who: "bulkhead",
    why: "reason",
    looks: true,
    fresh: { maxConcurrent: 1, inFlight: 0, waiting: 0 },
    setting: (maxConcurrent) => ({ maxConcurrent }),
    configured: { maxConcurrent: Config.Int("N") },
    shows: { maxConcurrent: 7 },
    bad: [
      ["maxConcurrent", { maxConcurrent: 0 }],
      ["maxConcurrent", { maxConcurrent: 1.5 }],
      ["maxConcurrent", { maxConcurrent: "5" }],
      ["maxQueue", { maxQueue: -1 }],
      ["maxQueue", { maxQueue: 0.5 }],
      ["maxQueue", { maxQueue: Number.POSITIVE_INFINITY }],
      ["maxWait", { maxWait: 0 }],
      ["maxWait", { maxWait: Duration.infinity }],
      ["maxWait", { maxWait: "soon" }],
      ["order", { order: "random" }],
      ["standing", { standing: -1 }],
      ["standing", { standing: Duration.infinity }]
    ]
  },
  AdaptiveLimit: {
    module: AdaptiveLimit,
    phase: "concurrency",
    label: "adaptive limit",
    refused: "the concurrency limit",
    options: { algorithm: fixed(1) },
    burden: Effect.never,
    reason: "limit",
    Error: AdaptiveLimit.ConcurrencyLimited,
    who: "limit",
    why: "reason",
    looks: true,
    fresh: { limit: 1, probing: false, noLoad: undefined, inFlight: 0, waiting: 0, keptFree: byPriority },
    setting: (limit) => ({ algorithm: fixed(limit) }),
    configured: { algorithm: Config.map(Config.Int("N"), fixed) },
    shows: { limit: 7 },
    bad: [
      ["algorithm", { algorithm: 5 }],
      ["algorithm", { algorithm: null }],
      ["queue.maxQueue", { queue: { maxQueue: -1 } }],
      ["queue.maxQueue", { queue: { maxQueue: 1.5 } }],
      ["queue.maxWait", { queue: { maxWait: 0 } }],
      ["queue.maxWait", { queue: { maxWait: Duration.infinity } }],
      ["queue.order", { queue: { order: "random" } }],
      ["queue.standing", { queue: { standing: -1 } }],
      ["count.failed", { count: { failed: "failed" } }],
      ["count.throttled", { count: { throttled: "ok" } }],
      ["count.defect", { count: { defect: true } }]
    ]
  },
  Throttle: {
    module: Throttle,
    phase: "throttle",
    label: "throttle",
    refused: "the throttle",
    options: { k: 1, minimumRequests: 1, window: "10 minutes" },
    burden: Effect.fail("down"),
    reason: "overload",
    Error: Throttle.Throttled,
    who: "throttle",
    why: "reason",
    // it draws for each call, once
    looks: false,
    fresh: { requests: 0, accepts: 0, rejectionRate: 0, byPriority },
    setting: (padding) => ({ padding }),
    configured: { padding: Config.Number("N") },
    shows: { rejectionRate: 1 / 8 },
    bad: [
      ["k", { k: 0.99 }],
      ["k", { k: Number.NaN }],
      ["k", { k: Number.POSITIVE_INFINITY }],
      ["padding", { padding: 0 }],
      ["padding", { padding: -1 }],
      ["padding", { padding: Number.POSITIVE_INFINITY }],
      ["window", { window: 0 }],
      ["window", { window: Duration.infinity }],
      ["window", { window: "soon" }],
      ["maxRejectionRate", { maxRejectionRate: 0 }],
      ["maxRejectionRate", { maxRejectionRate: 1.01 }],
      ["minimumRequests", { minimumRequests: 0 }],
      ["minimumRequests", { minimumRequests: 1.5 }],
      ["count.failed", { count: { failed: "accepted" } }],
      ["count.defect", { count: { defect: "failed" } }]
    ]
  },
  RateLimit: {
    module: RateLimit,
    phase: "rate",
    label: "rate limit",
    refused: "the rate limit",
    options: { limit: 100, window: "10 seconds", retryAfterCeiling: "1 hour" },
    burden: Effect.fail(new Busy()),
    reason: "drained",
    Error: RateLimit.RateLimited,
    who: "limiter",
    why: "reason",
    looks: true,
    fresh: {
      limit: 100,
      window: Duration.seconds(10),
      remaining: 100,
      waiting: 0,
      retryAfter: undefined,
      drainedFor: undefined
    },
    // whatever becomes of a call, its token is gone
    interrupted: { remaining: 99 },
    setting: (limit) => ({ limit }),
    configured: { limit: Config.Int("N") },
    shows: { limit: 7 },
    bad: [
      // trap: with a limit of 0, Effect's limiter lets everything through that it delays
      ["limit", { limit: 0 }],
      ["limit", { limit: 1.5 }],
      ["limit", { limit: 1001, window: 1 }],
      ["window", { window: 0 }],
      ["window", { window: Duration.infinity }],
      ["window", { window: "999 micros" }],
      ["algorithm", { algorithm: "sliding-window" }],
      ["tokens", { tokens: 0 }],
      ["tokens", { tokens: 101 }],
      ["maxWait", { maxWait: -1 }],
      ["maxWait", { maxWait: Duration.infinity }],
      ["retryAfterCeiling", { retryAfterCeiling: -1 }],
      ["storeTimeout", { storeTimeout: 0 }],
      ["onStoreError", { onStoreError: "allow" }]
    ],
    alsoWith: (change) => (Class) =>
      (Class as RateLimit.ServiceClass<It, string, true>)
        .layerSharedWith(change)
        .pipe(Layer.provide(RateLimiter.layerStoreMemory))
  },
  CircuitBreaker: {
    module: CircuitBreaker,
    phase: "circuit",
    label: "circuit breaker",
    refused: "the circuit",
    options: { trip: CircuitBreaker.consecutiveFailures(1), openFor: "10 minutes" },
    burden: Effect.fail("down"),
    reason: "open",
    Error: CircuitBreaker.CircuitOpen,
    who: "breaker",
    why: "state",
    looks: true,
    fresh: { state: "closed", rate: undefined, calls: 0, retryAfter: undefined },
    reads: ["state"],
    setting: (openFor) => ({ openFor: Duration.seconds(openFor) }),
    configured: { openFor: Config.map(Config.Int("N"), Duration.seconds) },
    shows: { retryAfter: Duration.seconds(7) },
    bad: [
      ["trip", { trip: 5 }],
      ["openFor", { openFor: 0 }],
      ["openFor", { openFor: "soon" }],
      ["openFor", { openFor: Duration.infinity }],
      ["halfOpen.probes", { halfOpen: { probes: 0 } }],
      ["halfOpen.probes", { halfOpen: { probes: 1.5 } }],
      ["halfOpen.successRatio", { halfOpen: { successRatio: 0 } }],
      ["halfOpen.successRatio", { halfOpen: { successRatio: 1.1 } }],
      ["halfOpen.maxDuration", { halfOpen: { maxDuration: 0 } }],
      ["retryAfterCeiling", { retryAfterCeiling: -1 }],
      ["count.throttled", { count: { throttled: "ok" } }],
      ["count.defect", { count: { defect: "ok" } }],
      ["initial", { initial: "shut" }]
    ]
  }
}

const ok = Effect.succeed("ok")
/** Whoever draws is refused, if anybody is. */
const unlucky = Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0, nextIntUnsafe: () => 0 })
const call = (over: Partial<Guard.Call> = {}) => asking({ random: () => 0, ...over })
const defectOf = (exit: Exit.Exit<unknown, unknown>) => (Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined)
/** The error with which a call is refused. */
const refusal = <R>(self: Effect.Effect<unknown, unknown, R>) =>
  Effect.map(Effect.exit(self), (exit) => errorOf(exit) as Refused)
const keysOf = (guard: Class<true>) => Effect.map(guard.snapshots, (all) => all.map(({ key }) => key))
const within = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))

const define = <Keyed extends boolean>(subject: Subject, id: string, more: object): Class<Keyed> =>
  (subject.module.Service() as (id: string, options: object) => Class<Keyed>)(id, { ...subject.options, ...more })

for (const [name, subject] of Object.entries(subjects)) {
  describe(name, () => {
    const Plain = define<false>(subject, "app/Plain", {})
    const Keyed = define<true>(subject, "app/Keyed", { keys: { max: 3, idleTimeToLive: "1 minute" } })
    const burden = (key?: string) => fork(Effect.exit(Plain.protect(subject.burden, { key })))
    const burdenKey = (key: string) => fork(Effect.exit(Keyed.protect(subject.burden, { key })))
    const Refusal = subject.Error as new (fields: object) => Refused
    const fresh = (key?: string) => ({ key, ...subject.fresh }) as Seen

    it.effect("has its id for a name, its phase, and says whether it is keyed", () =>
      Effect.gen(function* () {
        for (const Class of [Plain, Keyed] as ReadonlyArray<Class<boolean>>) {
          const { keyed, name, phase } = yield* Class
          assert.deepStrictEqual([name, phase, keyed], [Class.key, subject.phase, Class === Keyed])
          assert.strictEqual(Class.keyed, keyed)
        }
      }).pipe(Effect.provide([Plain.layer, Keyed.layer]))
    )

    it.effect("asks at each run, and refuses without running anything: one instance for all, without a stack", () =>
      Effect.gen(function* () {
        let runs = 0
        const counted = Plain.protect(Effect.sync(() => ++runs))
        assert.strictEqual(yield* counted, 1)
        yield* burden()
        const [one, other] = [yield* refusal(counted), yield* refusal(counted)]
        assert.strictEqual(runs, 1)
        assert.instanceOf(one, Refusal)
        assert.strictEqual(one, other)
        const admissions = [(yield* Plain).admit(call()), (yield* Plain).admit(call())]
        for (const it of admissions) assert.strictEqual(it._tag === "Rejected" && it.rejection, one)
        assert.notMatch(one.stack ?? "", /^\s+at /m)
      }).pipe(Effect.provide(Plain.layer), unlucky)
    )

    it.effect("its error says who refused the call, and why", () =>
      Effect.gen(function* () {
        yield* burden()
        const error = yield* refusal(Plain.protect(ok))
        assert.isTrue(isUnavailable(error))
        assert.propertyVal(error, UnavailableTypeId, UnavailableTypeId)
        const fields = { [subject.who]: "app/Plain", key: undefined, [subject.why]: subject.reason }
        assert.deepStrictEqual<unknown>({ ...error }, { _tag: Refusal.name, ...fields, retryAfter: error.retryAfter })
        assert.match(error.message, new RegExp(`^${subject.refused} app/Plain refused the call\\b.*[:,] .*Try again`))
        const retryAfter = Duration.seconds(1)
        const decoded = new Refusal({ ...fields, key: "acme", retryAfter })
        assert.deepStrictEqual(decoded.retryAfter, retryAfter)
        assert.match(decoded.message, new RegExp(`^${subject.refused} app/Plain of acme refused the call\\b`))
      }).pipe(Effect.provide(Plain.layer), unlucky)
    )

    if (subject.looks) {
      it.effect("looking refuses what is certain, and takes nothing", () =>
        Effect.gen(function* () {
          const guard = yield* Plain
          // an adaptive limit learns from what it refuses, by a look, too, for whom to keep slots free
          const taken = Effect.map(Plain.snapshot(), (seen) => ({ ...seen, keptFree: undefined }))
          for (let i = 0; i < 3; i++) assert.isUndefined(guard.look!(call()))
          assert.deepStrictEqual(yield* Plain.snapshot(), fresh())
          yield* burden()
          const before = yield* taken
          const looked = guard.look!(call())
          assert.deepStrictEqual(yield* taken, before)
          assert.strictEqual(looked, yield* refusal(Plain.protect(ok)))
        }).pipe(Effect.provide(Plain.layer))
      )
    } else {
      it.effect("has nothing to look at", () =>
        Effect.map(Plain, (guard) => assert.isUndefined(guard.look)).pipe(Effect.provide(Plain.layer))
      )
    }

    describe("protect", () => {
      it.effect("data-last and data-first, with and without options", () =>
        Effect.gen(function* () {
          assert.strictEqual(yield* ok.pipe(Plain.protect()), "ok")
          assert.strictEqual(yield* ok.pipe(Plain.protect({ faults: Fault.all })), "ok")
          assert.strictEqual(yield* Plain.protect(ok).pipe(Effect.provide(Plain.layer)), "ok")
          assert.strictEqual(yield* Plain.protect(ok, { faults: Fault.all }).pipe(Effect.provide(Plain.layer)), "ok")
          assert.strictEqual(yield* ok.pipe(Keyed.protect({ key: "a" })), "ok")
          assert.strictEqual(yield* Keyed.protect(ok, { key: "a" }), "ok")
          assert.deepStrictEqual(yield* keysOf(Keyed), ["a"])
        }).pipe(Effect.provide([Plain.layer, Keyed.layer]))
      )

      it.effect("hands values, errors, defects and interruptions on unchanged", () =>
        Effect.gen(function* () {
          for (const self of [ok, Effect.fail("no"), Effect.die("oh"), Effect.interrupt]) {
            const exit = yield* Effect.exit(Plain.protect(self).pipe(Effect.provide(Plain.layer)))
            assert.deepStrictEqual<unknown>(exit, yield* Effect.exit(self as Effect.Effect<unknown, unknown>))
          }
        })
      )

      it("interrupted at every operation of the runtime, a call leaves nothing behind", () => {
        const run = (at: number | undefined, yielding: boolean) => {
          const left: Array<Seen> = []
          const look = Effect.map(Plain.snapshot(), (snapshot) => void left.push(snapshot))
          const program = Effect.onExit(Plain.protect(Effect.sleep(5)), () => look).pipe(Effect.provide(Plain.layer))
          return { ...runInterrupted(program, at, yielding), left }
        }
        const whole = run(undefined, false)
        assert.deepStrictEqual(whole.exit, Exit.void)
        const allowed = [fresh(), { ...fresh(), ...subject.interrupted }, ...whole.left]
        let interrupted = 0
        for (let at = 0; at <= whole.operations; at++) {
          for (const yielding of [true, false]) {
            const { exit, left, openFibers, sleepers } = run(at, yielding)
            const where = `interrupted at operation ${at}, yielding: ${yielding}`
            assert.deepStrictEqual([openFibers, sleepers], [0, 0], where)
            for (const snapshot of left) assert.deepInclude(allowed, snapshot, where)
            if (Exit.hasInterrupts(exit!) && left.length > 0) interrupted++
          }
        }
        assert.isAbove(interrupted, 5)
      })
    })

    describe("keys", () => {
      it.effect("each is a guard of its own, with its own error; reading makes none", () =>
        Effect.gen(function* () {
          const guard = yield* Keyed
          assert.deepStrictEqual(yield* Keyed.snapshots, [])
          yield* burdenKey("a")
          assert.notDeepEqual(yield* Keyed.snapshot("a"), fresh("a"))
          assert.deepStrictEqual(yield* Keyed.snapshot("b"), fresh("b"))
          assert.isUndefined(guard.look?.(call({ key: "b" })))
          assert.deepStrictEqual(yield* Keyed.snapshots, [yield* Keyed.snapshot("a")])
          const a = yield* refusal(Keyed.protect(ok, { key: "a" }))
          assert.strictEqual(yield* Keyed.protect(ok, { key: "b" }), "ok")
          yield* burdenKey("b")
          const b = yield* refusal(Keyed.protect(ok, { key: "b" }))
          assert.deepStrictEqual([a.key, b.key], ["a", "b"])
          assert.strictEqual(yield* refusal(Keyed.protect(ok, { key: "a" })), a)
          assert.deepStrictEqual(yield* keysOf(Keyed), ["a", "b"])
          const policy = Policy.make({ name: "p", guards: [Keyed] })
          assert.strictEqual(yield* refusal(ok.pipe(Policy.withResilience(policy, { key: "a" }))), a)
        }).pipe(Effect.provide(Keyed.layer), unlucky)
      )

      it.effect("one without keys ignores a key, and shows one guard", () =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* Plain.snapshots, [fresh()])
          yield* burden("x")
          assert.notDeepEqual(yield* Plain.snapshot(), fresh())
          assert.deepStrictEqual(yield* Plain.snapshots, [yield* Plain.snapshot("y")])
          assert.isUndefined((yield* refusal(Plain.protect(ok, { key: "z" }))).key)
          assert.isUndefined((yield* Plain).look?.(call({ key: "z" }))?.key)
        }).pipe(Effect.provide(Plain.layer), unlucky)
      )

      it.effect("without a key a keyed one dies, and says so", () =>
        Effect.gen(function* () {
          const guard = yield* Keyed
          const read = (name: string) => (Keyed as unknown as Record<string, () => Effect.Effect<unknown>>)[name]!()
          for (const effect of [
            Keyed.protect(ok, {} as { readonly key: string }),
            ...["snapshot", ...(subject.reads ?? [])].map(read),
            Effect.sync(() => guard.admit(call())),
            ...(subject.looks ? [Effect.sync(() => guard.look!(call()))] : [])
          ]) {
            const defect = defectOf(yield* Effect.exit(effect))
            assert.instanceOf(defect, InvalidOption)
            assert.strictEqual(
              (defect as InvalidOption).message,
              `key must be a string, said at the call, because the ${subject.label} "app/Keyed" is keyed, but it is undefined`
            )
          }
        }).pipe(Effect.provide(Keyed.layer))
      )

      it.effect("they are bounded: one that refuses goes last, and is not forgotten", () =>
        Effect.gen(function* () {
          yield* burdenKey("busy")
          for (const key of ["b", "c"]) yield* Keyed.protect(ok, { key })
          yield* TestClock.adjust("10 seconds")
          yield* Keyed.protect(ok, { key: "d" })
          assert.deepStrictEqual(yield* keysOf(Keyed), ["busy", "c", "d"])
          yield* TestClock.adjust("2 minutes")
          assert.deepStrictEqual(yield* keysOf(Keyed), ["busy"])
          yield* refusal(Keyed.protect(ok, { key: "busy" }))
        }).pipe(Effect.provide(Keyed.layer), unlucky)
      )

      it.effect("one that nobody uses is forgotten after its time", () =>
        Effect.gen(function* () {
          for (const key of ["a", "b"]) yield* Keyed.protect(ok, { key })
          yield* TestClock.adjust("59 seconds")
          assert.deepStrictEqual(yield* keysOf(Keyed), ["b"])
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(yield* keysOf(Keyed), [])
        }).pipe(Effect.provide(Keyed.layerWith({ keys: { max: 1, idleTimeToLive: undefined } })))
      )
    })

    describe("the options", () => {
      const bad = [
        ...subject.bad,
        ["keys.max", { keys: { max: 0 } }] as const,
        ["keys.idleTimeToLive", { keys: { idleTimeToLive: 0 } }] as const
      ]
      for (const [option, change] of bad) {
        it.effect(`${option}: ${JSON.stringify(change)} is refused when the layer is built, and not before`, () =>
          Effect.gen(function* () {
            const Wrong = define<true>(subject, "app/Keyed", { keys: {}, ...change })
            for (const layer of [Wrong.layer, Keyed.layerWith(change), subject.alsoWith?.(change)(Keyed)]) {
              if (layer === undefined) continue
              const defect = defectOf(yield* Effect.exit(Effect.scoped(Layer.build(layer as Layer.Layer<It>))))
              assert.instanceOf(defect, InvalidOption)
              assert.strictEqual((defect as InvalidOption).option, `app/Keyed: ${option}`)
            }
          })
        )
      }

      it.effect("a class without keys cannot be given any", () =>
        Effect.gen(function* () {
          const defect = defectOf(yield* Effect.exit(Effect.scoped(Layer.build(Plain.layerWith({ keys: {} })))))
          assert.instanceOf(defect, InvalidOption)
          assert.strictEqual((defect as InvalidOption).option, "app/Plain: keys")
        })
      )

      it.effect("a layer changes single ones, from the configuration, too; undefined is as in the class", () =>
        Effect.gen(function* () {
          const under = <E>(layer: Layer.Layer<It, E>) =>
            Effect.andThen(burden(), Plain.snapshot()).pipe(Effect.provide(layer))
          const names = Object.keys({ ...subject.options, ...subject.setting(7), keys: undefined })
          const nothing = Object.fromEntries(names.map((name) => [name, undefined]))
          const own = yield* under(Plain.layer)
          assert.notDeepInclude(own, subject.shows)
          assert.deepStrictEqual(yield* under(Plain.layerWith(nothing)), own)
          assert.deepInclude(yield* under(Plain.layerWith(subject.setting(7))), subject.shows)
          const configured = under(Plain.layerConfig(subject.configured as Config.Wrap<object>))
          assert.deepInclude(yield* configured.pipe(within({ N: "7" })), subject.shows)
          assert.instanceOf(errorOf(yield* Effect.exit(configured.pipe(within({ N: "?" })))), Config.ConfigError)
          const whole = under(Plain.layerConfig(Config.succeed(subject.setting(7)) as Config.Wrap<object>))
          assert.deepInclude(yield* whole, subject.shows)
        })
      )

      it("ten thousand keys are kept, for ten minutes, unless it is said otherwise", () => {
        assert.deepStrictEqual(subject.module.defaults.keys, { max: 10_000, idleTimeToLive: "10 minutes" })
      })
    })

    it.effect(
      "in a policy its first refusal comes out as it is, a later one in RetryExhausted; listeners hear why",
      () =>
        Effect.gen(function* () {
          const policy = Policy.make({
            name: "p",
            faults: Fault.all,
            safety: "idempotent",
            retry: Backoff.constant("100 millis").pipe(Backoff.times(1)),
            guards: [Plain]
          })
          const refused = (events: ReadonlyArray<Telemetry.Event>) =>
            events.flatMap((event) =>
              event._tag === "GuardRejected"
                ? [[event.policy, event.guard, event.key, event.error, event.reason, event.attempt]]
                : []
            )
          const told = (by: string, attempt: number) => [
            [by, "app/Plain", undefined, Refusal.name, subject.reason, attempt]
          ]
          const { effect } = scripted(Effect.fail(new Net({})), ok)
          const later = yield* fork(Telemetry.recorded(effect.pipe(Policy.withResilience(policy))))
          yield* burden()
          yield* TestClock.adjust("100 millis")
          const [exit, events] = yield* Fiber.join(later)
          const exhausted = errorOf(exit)
          if (exhausted._tag !== "RetryExhausted") return assert.fail(exhausted._tag)
          const { deniedBy, reason, rejection } = exhausted as Policy.RetryExhausted<Net>
          assert.deepStrictEqual([reason, deniedBy], ["rejected", "app/Plain"])
          assert.instanceOf(rejection, Refusal)
          assert.deepStrictEqual(refused(events), told("p", 2))
          const [first, early] = yield* Telemetry.recorded(ok.pipe(Policy.withResilience(policy)))
          assert.strictEqual(errorOf(first), rejection)
          assert.deepStrictEqual(refused(early), told("p", 1))
          const [alone, heard] = yield* Telemetry.recorded(Plain.protect(ok, { key: "ignored" }))
          assert.strictEqual(errorOf(alone), rejection)
          assert.deepStrictEqual(refused(heard), told("app/Plain", 1))
        }).pipe(Effect.provide(Plain.layer), unlucky)
    )

    it.effect("every layer that is built has a state of its own", () =>
      Effect.gen(function* () {
        const other = yield* Layer.build(Layer.fresh(Plain.layer))
        yield* burden()
        assert.deepStrictEqual(yield* Plain.snapshot().pipe(Effect.provide(other)), fresh())
        assert.notDeepEqual(yield* Plain.snapshot(), fresh())
      }).pipe(Effect.provide(Layer.fresh(Plain.layer)))
    )

    it("holds no timer and no fiber, while it refuses or is idle", () => {
      const sleepers: Array<number> = []
      const program = Effect.gen(function* () {
        const clock = yield* Clock.clockWith(Effect.succeed)
        const look = () =>
          void sleepers.push((clock as unknown as { readonly sleepers: Array<unknown> }).sleepers.length)
        yield* Plain.protect(ok)
        yield* burden()
        yield* refusal(Plain.protect(ok))
        look()
        yield* Effect.sleep("1 hour")
        look()
      }).pipe(Effect.provide(Plain.layer), unlucky)
      const run = runInterrupted(program, undefined, false)
      assert.deepStrictEqual(run.exit, Exit.void)
      assert.deepStrictEqual(sleepers, [0, 0])
      assert.deepStrictEqual([run.sleepers, run.openFibers], [0, 0])
    })
  })
}

/** What a call that waits, or has waited, came to: "ok", why it was refused, or the tag of another error. */
const polled = (fiber: Fiber.Fiber<unknown, unknown>) => {
  const exit = fiber.pollUnsafe()
  if (exit === undefined) return "waiting"
  if (Exit.isSuccess(exit)) return "ok"
  if (Exit.hasInterrupts(exit)) return "interrupted"
  const error = errorOf(exit) as { readonly _tag: string; readonly reason?: string }
  return error.reason ?? error._tag
}

/** How the options of a queue are said. */
const queues: Readonly<Record<string, (queue: Bulkhead.LayerOptions) => object>> = {
  Bulkhead: (queue) => queue,
  AdaptiveLimit: (queue) => ({ queue })
}

for (const [name, queue] of Object.entries(queues)) {
  describe(`${name}: slots and a queue`, () => {
    const subject = subjects[name]!
    const B = define<false>(subject, "app/B", {})
    const Q = define<false>(subject, "app/Q", queue({ maxQueue: 10, maxWait: "1 minute" }))
    const hold = (ms: number) => Effect.sleep(ms)
    /** Of a guard: how many calls run, and how many wait. */
    const load = ({ snapshot }: Class<false>) =>
      Effect.map(snapshot() as Effect.Effect<Bulkhead.Snapshot, never, It>, ({ inFlight, waiting }) => [
        inFlight,
        waiting
      ])

    it.effect("lets in as many as it has slots, refuses the others at once, and lets in again", () =>
      Effect.gen(function* () {
        const running = [yield* fork(B.protect(hold(10))), yield* fork(B.protect(hold(10)))]
        assert.deepStrictEqual(yield* load(B), [2, 0])
        assert.strictEqual(polled(yield* fork(B.protect(ok))), subject.reason)
        yield* TestClock.adjust(10)
        assert.deepStrictEqual(running.map(polled), ["ok", "ok"])
        assert.isUndefined((yield* B).look!(call()))
        assert.strictEqual(yield* B.protect(ok), "ok")
      }).pipe(Effect.provide(B.layerWith(subject.setting(2))))
    )

    it.effect("a slot comes back however the call ends", () =>
      Effect.gen(function* () {
        for (const self of [ok, Effect.fail("no"), Effect.die("no"), Effect.interrupt]) {
          yield* Effect.exit(B.protect(self as Effect.Effect<string, string>))
          assert.deepStrictEqual(yield* load(B), [0, 0])
        }
        const running = yield* fork(B.protect(Effect.never))
        assert.deepStrictEqual(yield* load(B), [1, 0])
        yield* Fiber.interrupt(running)
        assert.deepStrictEqual(yield* load(B), [0, 0])
      }).pipe(Effect.provide(B.layer))
    )

    it.effect("looking refuses nobody who would find a place in the queue", () =>
      Effect.gen(function* () {
        const guard = yield* Q
        yield* fork(Q.protect(Effect.never))
        assert.isUndefined(guard.look!(call()))
        const low = yield* fork(Q.protect(ok).pipe(Priority.at("low")))
        assert.isUndefined(guard.look!(call()))
        assert.strictEqual(guard.admit(call())._tag, "Pending")
        const refused = guard.admit(call({ priority: "low" }))
        if (refused._tag !== "Rejected") return assert.fail(refused._tag)
        assert.propertyVal(refused.rejection, "reason", "queue")
        assert.strictEqual(guard.look!(call({ priority: "low" })), refused.rejection)
        assert.strictEqual(polled(low), "waiting")
        // an answer that nobody runs is not in the queue
        assert.deepStrictEqual(yield* load(Q), [1, 1])
      }).pipe(Effect.provide(Q.layerWith(queue({ maxQueue: 1 }))))
    )

    it.effect("serves the first come, the last come, or the first come until the queue stands", () =>
      Effect.gen(function* () {
        /** Three come at 0, 1 and 2 while the only slot is taken, and hold it for 10 each; in the order in which they begin. */
        const order = (layer: Layer.Layer<It>, firstFor: number) =>
          Effect.gen(function* () {
            const begun: Array<string> = []
            const fibers = [yield* fork(Q.protect(hold(firstFor)))]
            for (const name of ["a", "b", "c"]) {
              const begin = Effect.sync(() => void begun.push(name))
              fibers.push(yield* fork(Q.protect(Effect.andThen(begin, hold(10)))))
              yield* TestClock.adjust(1)
            }
            yield* TestClock.adjust(firstFor + 100)
            yield* Fiber.joinAll(fibers)
            return begun.join("")
          }).pipe(Effect.provide(layer))
        const adaptive = { order: "adaptive" } as const
        assert.strictEqual(yield* order(Q.layer, 500), "abc")
        assert.strictEqual(yield* order(Q.layerWith(queue({ order: "lifo" })), 50), "cba")
        assert.strictEqual(yield* order(Q.layerWith(queue(adaptive)), 50), "abc")
        assert.strictEqual(yield* order(Q.layerWith(queue(adaptive)), 99), "acb")
        assert.strictEqual(yield* order(Q.layerWith(queue(adaptive)), 100), "cba")
        assert.strictEqual(yield* order(Q.layerWith(queue({ ...adaptive, standing: "30 millis" })), 30), "cba")
      })
    )

    it.effect("the most important are let in first; the least important make room, and are told why", () =>
      Effect.gen(function* () {
        const run = (levels: ReadonlyArray<Priority.Priority>, maxQueue: number) =>
          Effect.gen(function* () {
            const begun: Array<string> = []
            const running = yield* fork(Q.protect(hold(10)))
            const fibers = yield* Effect.forEach(levels, (level) =>
              fork(Q.protect(Effect.sync(() => begun.push(level))).pipe(Priority.at(level)))
            )
            yield* TestClock.adjust(10)
            yield* Fiber.join(running)
            return { begun, ended: fibers.map(polled) }
          }).pipe(Effect.provide(Q.layerWith(queue({ maxQueue }))))
        const all = yield* run(["low", "critical", "background", "normal", "high", "critical"], 6)
        assert.deepStrictEqual(all.begun, ["critical", "critical", "high", "normal", "low", "background"])
        const some = yield* run(["low", "background", "normal", "critical", "low"], 2)
        assert.deepStrictEqual(some.ended, ["displaced", "displaced", "ok", "ok", "queue"])
        assert.deepStrictEqual(some.begun, ["critical", "normal"])
      })
    )

    it.effect("gives up on one that has waited for maxWait, by default a second, and not before", () =>
      Effect.gen(function* () {
        for (const maxWait of [2_000, undefined]) {
          yield* Effect.gen(function* () {
            yield* fork(D.protect(hold(5_000)))
            yield* TestClock.adjust(100)
            const waiting = yield* fork(D.protect(ok))
            yield* TestClock.adjust((maxWait ?? 1_000) - 1)
            assert.strictEqual(polled(waiting), "waiting")
            assert.deepStrictEqual(yield* load(D), [1, 1])
            yield* TestClock.adjust(1)
            assert.strictEqual(polled(waiting), "wait")
            assert.deepStrictEqual(yield* load(D), [1, 0])
          }).pipe(Effect.provide(D.layerWith(queue({ maxWait }))))
        }
      })
    )
    const D = define<false>(subject, "app/D", queue({ maxQueue: 5 }))

    it.effect(
      "one that is interrupted, or whose deadline passes, is out of the queue at once, and is never served",
      () =>
        Effect.gen(function* () {
          const running = yield* fork(Q.protect(hold(200)))
          const [a, b, c] = [
            yield* fork(Q.protect(ok)),
            yield* fork(Q.protect(ok).pipe(Deadline.within("100 millis"))),
            yield* fork(Q.protect(hold(10)))
          ]
          assert.deepStrictEqual(yield* load(Q), [1, 3])
          yield* Fiber.interrupt(a)
          assert.deepStrictEqual(yield* load(Q), [1, 2])
          yield* TestClock.adjust(100)
          assert.strictEqual(polled(b), "DeadlineExceeded")
          assert.deepStrictEqual(yield* load(Q), [1, 1])
          yield* TestClock.adjust(100)
          assert.deepStrictEqual([running, c].map(polled), ["ok", "waiting"])
          assert.deepStrictEqual(yield* load(Q), [1, 0])
          yield* TestClock.adjust(10)
          assert.strictEqual(polled(c), "ok")
        }).pipe(Effect.provide(Q.layer))
    )

    it("idle it holds no timer and no fiber, and one that waits holds one of each only as long as it waits", () => {
      const seen: Array<number> = []
      const program = Effect.gen(function* () {
        const running = yield* fork(Q.protect(hold(10)))
        const waiting = yield* fork(Q.protect(hold(10)))
        const clock = yield* Clock.clockWith(Effect.succeed)
        const look = () => seen.push((clock as unknown as { readonly sleepers: Array<unknown> }).sleepers.length)
        // the one that runs, and the limit of the one that waits
        look()
        yield* Fiber.join(running)
        look()
        yield* Fiber.join(waiting)
        look()
      }).pipe(Effect.provide(Q.layer))
      const run = runInterrupted(program, undefined, false)
      assert.deepStrictEqual(run.exit, Exit.void)
      assert.deepStrictEqual(seen, [2, 1, 0])
      assert.deepStrictEqual([run.sleepers, run.openFibers], [0, 0])
    })
  })
}

// -- the types: compiled by tsc; what must not compile is marked -------------------------------------------------------

declare const maybe: KeysOptions | undefined
declare const self: Effect.Effect<number, "down", "Db">

type Id = "app/It"
type Members = "keyed" | "layer" | "layerWith" | "layerConfig" | "protect" | "snapshot" | "snapshots"
/** What a class exports of what all have: the members, the service, and the keys in its options and its layer's. */
type Of<Class, Own, Change> = [
  Pick<Class, Members & keyof Class>,
  Class extends Context.Key<infer I, infer V> ? [I, V] : never,
  Own extends { readonly keys?: infer Keys } ? Keys : never,
  Change extends { readonly keys?: infer Keys } ? Keys : never
]
/** What that should be. */
type As<K extends boolean, V extends Readable<E, S>, E, S, Change> = [
  Pick<GuardClass<It, Id, K, V, E, S, Change>, Members>,
  [It, V],
  KeysOptions | undefined,
  (K extends true ? KeysOptions : never) | undefined
]

interface Exported<K extends boolean> {
  Bulkhead: Of<Bulkhead.ServiceClass<It, Id, K>, Bulkhead.Options, Bulkhead.LayerOptions<K>>
  AdaptiveLimit: Of<AdaptiveLimit.ServiceClass<It, Id, K>, AdaptiveLimit.Options, AdaptiveLimit.LayerOptions<K>>
  Throttle: Of<Throttle.ServiceClass<It, Id, K>, Throttle.Options, Throttle.LayerOptions<K>>
  RateLimit: Of<RateLimit.ServiceClass<It, Id, K>, RateLimit.Options, RateLimit.LayerOptions<K>>
  CircuitBreaker: Of<CircuitBreaker.ServiceClass<It, Id, K>, CircuitBreaker.Options, CircuitBreaker.LayerOptions<K>>
}
interface Expected<K extends boolean> {
  Bulkhead: As<K, Bulkhead.Bulkhead, Bulkhead.BulkheadFull, Bulkhead.Snapshot, Bulkhead.LayerOptions<K>>
  AdaptiveLimit: As<
    K,
    AdaptiveLimit.AdaptiveLimit,
    AdaptiveLimit.ConcurrencyLimited,
    AdaptiveLimit.Snapshot,
    AdaptiveLimit.LayerOptions<K>
  >
  Throttle: As<K, Throttle.Throttle, Throttle.Throttled, Throttle.Snapshot, Throttle.LayerOptions<K>>
  RateLimit: As<K, RateLimit.RateLimit, RateLimit.RateLimited, RateLimit.Snapshot, RateLimit.LayerOptions<K>>
  CircuitBreaker: As<
    K,
    CircuitBreaker.CircuitBreaker,
    CircuitBreaker.CircuitOpen,
    CircuitBreaker.Snapshot,
    CircuitBreaker.LayerOptions<K>
  >
}

// never called: it is here to be compiled
const types = (
  plain: GuardClass<It, Id, false, Readable<Refused, Seen>, Refused, Seen, { readonly n?: number }>,
  keyed: GuardClass<It, "app/Keyed", true, Readable<Refused, Seen>, Refused, Seen, { readonly n?: number }>,
  either: GuardClass<It, Id, boolean, Readable<Refused, Seen>, Refused, Seen, { readonly n?: number }>
) => {
  // every class has what all have, with its own error, snapshot and options
  expectTypeOf<Exported<false>>().toEqualTypeOf<Expected<false>>()
  expectTypeOf<Exported<true>>().toEqualTypeOf<Expected<true>>()
  expectTypeOf<Exported<boolean>>().toEqualTypeOf<Expected<boolean>>()

  // a service declared with keys is keyed in its type
  type Kinds = readonly [false, true, false, boolean]
  const keys = { max: 10, idleTimeToLive: 1000 }
  const bulkhead = Bulkhead.Service<It>()
  const slots = { maxConcurrent: 1 }
  expectTypeOf([
    bulkhead("x", slots).keyed,
    bulkhead("x", { ...slots, keys }).keyed,
    bulkhead("x", { ...slots, keys: undefined }).keyed,
    bulkhead("x", { ...slots, keys: maybe }).keyed
  ] as const).toEqualTypeOf<Kinds>()
  const breaker = CircuitBreaker.Service<It>()
  const trip = CircuitBreaker.consecutiveFailures(5)
  expectTypeOf([
    breaker("x", { trip }).keyed,
    breaker("x", { trip, keys }).keyed,
    breaker("x", { trip, keys: undefined }).keyed,
    breaker("x", { trip, keys: maybe }).keyed
  ] as const).toEqualTypeOf<Kinds>()
  const rateLimit = RateLimit.Service<It>()
  const rate = { limit: 10, window: 1000 }
  expectTypeOf([
    rateLimit("x", rate).keyed,
    rateLimit("x", { ...rate, keys }).keyed,
    rateLimit("x", { ...rate, keys: undefined }).keyed,
    rateLimit("x", { ...rate, keys: maybe }).keyed
  ] as const).toEqualTypeOf<Kinds>()
  // these need no options at all
  const throttle = Throttle.Service<It>()
  const limit = AdaptiveLimit.Service<It>()
  expectTypeOf([
    throttle("x").keyed,
    throttle("x", { keys }).keyed,
    throttle("x", { k: 2, keys: undefined }).keyed,
    throttle("x", { keys: maybe }).keyed
  ] as const).toEqualTypeOf<Kinds>()
  expectTypeOf([
    limit("x").keyed,
    limit("x", { keys }).keyed,
    limit("x", { count: {}, keys: undefined }).keyed,
    limit("x", { keys: maybe }).keyed
  ] as const).toEqualTypeOf<Kinds>()
  for (const [none, any] of [
    [throttle("x", undefined), throttle("x", {} as Throttle.Options | undefined)],
    [limit("x", undefined), limit("x", {} as AdaptiveLimit.Options | undefined)]
  ] as const) {
    expectTypeOf(none.keyed).toEqualTypeOf<false>()
    expectTypeOf(any.keyed).toEqualTypeOf<boolean>()
  }
  expectTypeOf(bulkhead("app/It", slots).key).toEqualTypeOf<"app/It">()

  // what comes out
  type Out = Effect.Effect<number, "down" | Refused, "Db" | It>
  expectTypeOf(plain.protect(self)).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(plain.protect())).toEqualTypeOf<Out>()
  expectTypeOf(self.pipe(plain.protect({ faults: Fault.all }))).toEqualTypeOf<Out>()
  expectTypeOf(plain.protect(self, { faults: Fault.all, key: "ignored" })).toEqualTypeOf<Out>()
  expectTypeOf(keyed.protect(self, { key: "a" })).toEqualTypeOf<Out>()
  expectTypeOf(either.protect(self)).toEqualTypeOf<Out>()
  expectTypeOf(either.protect(self, { key: "a" })).toEqualTypeOf<Out>()
  // @ts-expect-error a keyed guard must be told its key
  keyed.protect(self)
  // @ts-expect-error a keyed guard must be told its key
  keyed.protect({ faults: Fault.all })
  // @ts-expect-error a keyed guard must be told its key
  keyed.snapshot()
  // @ts-expect-error
  plain.protect(self, { fault: Fault.all })
  expectTypeOf(keyed.snapshot("a")).toEqualTypeOf<Effect.Effect<Seen, never, It>>()
  expectTypeOf(plain.snapshot()).toEqualTypeOf<Effect.Effect<Seen, never, It>>()
  expectTypeOf(plain.snapshots).toEqualTypeOf<Effect.Effect<ReadonlyArray<Seen>, never, It>>()

  // in a policy
  expectTypeOf(self.pipe(Policy.withResilience(Policy.make({ name: "p", guards: [plain] })))).toEqualTypeOf<Out>()
  const policy = Policy.make({ name: "p", guards: [keyed] })
  expectTypeOf(self.pipe(Policy.withResilience(policy, { key: "a" }))).toEqualTypeOf<Out>()
  // @ts-expect-error a policy with a keyed guard must be told its key
  self.pipe(Policy.withResilience(policy))

  // layers
  expectTypeOf(plain.layer).toEqualTypeOf<Layer.Layer<It>>()
  expectTypeOf(plain.layerWith({ n: 1 })).toEqualTypeOf<Layer.Layer<It>>()
  expectTypeOf(plain.layerConfig({ n: Config.Int("N") })).toEqualTypeOf<Layer.Layer<It, Config.ConfigError>>()
  plain.layerConfig(Config.succeed({ n: 1 }))
  // @ts-expect-error
  plain.layerWith({ m: 1 })
}

describe("the types", () => {
  it("compile", () => {
    assert.isFunction(types)
  })
})
