// Checked by tsc: `errorIs` and `servicesAre` take no further argument exactly when the type is the one expected, so that a wrong
// type does not compile. vitest runs it too, so that every policy here is also one that `Policy.make` accepts.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Data, Duration, Effect, Schedule } from "effect"
import * as Backoff from "../src/Backoff.ts"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import type { DeadlineExceeded } from "../src/Deadline.ts"
import * as Fault from "../src/Fault.ts"
import * as Guard from "../src/Guard.ts"
import * as Hedge from "../src/Hedge.ts"
import * as Idempotency from "../src/Idempotency.ts"
import * as Policy from "../src/Policy.ts"
import { withResilience, type AttemptTimeout, type RetryExhausted } from "../src/Policy.ts"
import * as RetryBudget from "../src/RetryBudget.ts"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

type Wrong<Expected, Actual> = [{ readonly expected: Expected; readonly actual: Actual }]

const errorIs =
  <Expected>() =>
  <A, E, R>(_: Effect.Effect<A, E, R>, ..._ok: Equal<E, Expected> extends true ? [] : Wrong<Expected, E>): void => {}

const servicesAre =
  <Expected>() =>
  <A, E, R>(_: Effect.Effect<A, E, R>, ..._ok: Equal<R, Expected> extends true ? [] : Wrong<Expected, R>): void => {}

const is = <A, B>(..._ok: Equal<A, B> extends true ? [] : Wrong<B, A>): void => {}

class NetworkError extends Data.TaggedError("NetworkError") {}
class Busy extends Data.TaggedError("Busy")<{ readonly after: Duration.Duration }> {}
class NotFound extends Data.TaggedError("NotFound") {}
class Sql extends Data.TaggedError("Sql")<{ readonly isRetryable: boolean }> {}
class Plain extends Error {
  readonly plain = true
}
class Open extends Data.TaggedError("Open") {}
class Full extends Data.TaggedError("Full") {}

class Db extends Context.Service<Db, { readonly query: Effect.Effect<number> }>()("test/Db") {}
class Env extends Context.Service<Env, number>()("test/Env") {}

type AllE = NetworkError | Busy | NotFound | Sql
const effect = <E = never, R = never>(): Effect.Effect<number, E, R> => Effect.succeed(1) as Effect.Effect<number, E, R>
const call = effect<AllE, Db>()
const once = Schedule.recurs(1)
const sometimes = () => Date.now() > 0

const idempotent = { name: "p", safety: "idempotent", retry: once } as const
/** A policy that retries once, with this classifier. */
const classified = <C extends Fault.Classifier>(faults: C) => ({ ...idempotent, faults })

class OpenGuard extends Guard.Service<OpenGuard, Open>()("test/OpenGuard", {
  name: "open",
  phase: "circuit",
  admit: () => Guard.admitted({ settle: () => {} })
}) {}
class FullGuard extends Guard.Service<FullGuard, Full>()("test/FullGuard", {
  name: "full",
  phase: "concurrency",
  admit: () => Guard.admitted({ settle: () => {} })
}) {}
class NoRejection extends Guard.Service<NoRejection, never>()("test/NoRejection", {
  name: "none",
  phase: "rate",
  admit: () => Guard.admitted({ settle: () => {} })
}) {}

const trip = CircuitBreaker.consecutiveFailures(5)
class Host extends CircuitBreaker.Service<Host>()("proxy/Host", { trip, keys: { max: 10 } }) {}
class Tenant extends CircuitBreaker.Service<Tenant>()("proxy/Tenant", { trip, keys: { max: 10 } }) {}
class Unkeyed extends CircuitBreaker.Service<Unkeyed>()("proxy/Unkeyed", { trip }) {}
const perhapsKeys: { readonly max: number } | undefined = sometimes() ? undefined : { max: 10 }
const perhapsOptions: CircuitBreaker.Options = { trip, keys: perhapsKeys }
class Perhaps extends CircuitBreaker.Service<Perhaps>()("proxy/Perhaps", perhapsOptions) {}
class Upstream extends RetryBudget.Service<Upstream>()("test/Upstream", RetryBudget.ratio()) {}
class TenantBudget extends RetryBudget.Service<TenantBudget>()("test/TenantBudget", RetryBudget.ratio(), {
  keys: { max: 10 }
}) {}

class LearnedHedge extends Hedge.Service<LearnedHedge>()("test/LearnedHedge", {}) {}

describe("hedges", () => {
  const hedge = { after: "1 second" } as const

  it("without a retry all errors come out as they are; a service is asked for", () => {
    const fixed = Policy.make({ name: "p", safety: "idempotent", hedge })
    errorIs<AllE>()(call.pipe(withResilience(fixed)))
    servicesAre<Db>()(call.pipe(withResilience(fixed)))
    const learned = Policy.make({
      ...idempotent,
      hedge: LearnedHedge,
      faults: Fault.tags({ transient: ["NetworkError"] })
    })
    errorIs<Busy | NotFound | Sql | RetryExhausted<NetworkError>>()(call.pipe(withResilience(learned)))
    servicesAre<Db | LearnedHedge>()(call.pipe(withResilience(learned)))
    const timed = Policy.make({
      name: "p",
      safety: Idempotency.key(Idempotency.uuid),
      hedge,
      attemptTimeout: "2 seconds"
    })
    errorIs<AllE | AttemptTimeout>()(call.pipe(withResilience(timed)))
  })

  it("need a safety that allows the same request twice", () => {
    // @ts-expect-error safety is missing
    assert.throws(() => Policy.make({ name: "p", hedge }), /safety/)
    // @ts-expect-error the request would be sent twice
    assert.throws(() => Policy.make({ name: "p", safety: "not-idempotent", hedge }), /safety/)
    const once = Policy.make({ name: "p", safety: "not-idempotent" })
    // @ts-expect-error the request would be sent twice
    assert.throws(() => Policy.extend(once, { name: "q", hedge }), /safety/)
    const perhaps = sometimes() ? hedge : undefined
    // @ts-expect-error safety is missing where there may be a hedge
    assert.throws(() => Policy.make({ name: "p", hedge: perhaps }), /safety/)
    // @ts-expect-error a misspelt option
    assert.throws(() => Policy.make({ name: "p", safety: "idempotent", hedge: { afterwards: 1 } }), /hedge/)
    // @ts-expect-error not a hedge
    assert.throws(() => Policy.make({ name: "p", safety: "idempotent", hedge: Sql }), /hedge/)
  })
})

describe("the split of the errors", () => {
  it("one list: what it does not name comes out unchanged", () => {
    const p = Policy.make(classified(Fault.tags({ transient: ["NetworkError"] })))
    errorIs<Busy | NotFound | Sql | RetryExhausted<NetworkError>>()(call.pipe(withResilience(p)))
    servicesAre<Db>()(call.pipe(withResilience(p)))
    const h = Policy.make(classified(Fault.tags({ throttled: ["Busy"] })))
    errorIs<NetworkError | NotFound | Sql | RetryExhausted<Busy>>()(call.pipe(withResilience(h)))
    // a policy only of permanent tags retries timeouts
    const f = Policy.make({ ...classified(Fault.tags({ permanent: ["Busy"] })), attemptTimeout: 1 })
    errorIs<AllE | RetryExhausted<AttemptTimeout>>()(call.pipe(withResilience(f)))
  })

  it("several lists", () => {
    const p = Policy.make(
      classified(Fault.tags({ transient: ["NetworkError", "Sql"], throttled: ["Busy"], permanent: ["NotFound"] }))
    )
    errorIs<NotFound | RetryExhausted<NetworkError | Busy | Sql>>()(call.pipe(withResilience(p)))
    is<typeof p.options.faults, Fault.TagClassifier<"NetworkError" | "Sql" | "Busy", "NotFound">>()
    // in two lists, the retried one counts
    const both = Fault.tags({ transient: ["Busy"], permanent: ["Busy", "NotFound"] })
    is<typeof both, Fault.TagClassifier<"Busy", "NotFound">>()
    // none at all
    is<ReturnType<typeof Fault.tags<{}>>, Fault.TagClassifier<never, never>>()
  })

  it("a tag that no member has", () => {
    const p = Policy.make(classified(Fault.tags({ transient: ["NetworkError", "Elsewhere"] })))
    errorIs<Busy | NotFound | Sql | RetryExhausted<NetworkError>>()(call.pipe(withResilience(p)))
    const none = Policy.make(classified(Fault.tags({ transient: ["Elsewhere"] })))
    errorIs<AllE>()(call.pipe(withResilience(none)))
  })

  it("a list that only the running program knows: both sides", () => {
    const some: ReadonlyArray<"NetworkError" | "Busy"> = ["Busy"]
    const names: ReadonlyArray<string> = ["Busy"]
    const one: "NetworkError" | "Busy" = sometimes() ? "Busy" : "NetworkError"
    const absent = sometimes() ? (["NetworkError"] as const) : undefined

    const p1 = Policy.make(classified(Fault.tags({ transient: some })))
    errorIs<AllE | RetryExhausted<NetworkError | Busy>>()(call.pipe(withResilience(p1)))
    const p2 = Policy.make(classified(Fault.tags({ transient: names })))
    errorIs<AllE | RetryExhausted<AllE>>()(call.pipe(withResilience(p2)))
    const p3 = Policy.make(classified(Fault.tags({ transient: [one] })))
    errorIs<AllE | RetryExhausted<NetworkError | Busy>>()(call.pipe(withResilience(p3)))
    const p4 = Policy.make(classified(Fault.tags({ transient: absent, throttled: ["Busy"] })))
    errorIs<NetworkError | NotFound | Sql | RetryExhausted<NetworkError | Busy>>()(call.pipe(withResilience(p4)))
    const p5 = Policy.make(
      classified(Fault.tags({ ...(sometimes() ? { transient: ["NetworkError"] as const } : {}), permanent: ["Busy"] }))
    )
    errorIs<AllE | RetryExhausted<NetworkError>>()(call.pipe(withResilience(p5)))
    // perhaps transient, else permanent
    const p6 = Policy.make(classified(Fault.tags({ transient: absent, permanent: ["NetworkError"] })))
    errorIs<AllE | RetryExhausted<NetworkError>>()(call.pipe(withResilience(p6)))
  })

  it("a case for each tag", () => {
    const p = Policy.make(
      classified(
        Fault.byTag<AllE>()({
          NetworkError: "transient",
          NotFound: "permanent",
          Busy: (e) => Fault.throttled({ retryAfter: e.after }),
          Sql: (e) => (e.isRetryable ? Fault.transient() : Fault.permanent())
        })
      )
    )
    // Sql is decided at run time: both sides
    errorIs<NotFound | Sql | RetryExhausted<NetworkError | Busy | Sql>>()(call.pipe(withResilience(p)))
    // an error that E did not say is unrecognised
    errorIs<Plain | Open | RetryExhausted<NetworkError>>()(
      effect<NetworkError | Plain | Open>().pipe(withResilience(p))
    )
  })

  it("cases whose kind is not a literal: both sides", () => {
    const kind: Fault.Kind = sometimes() ? "transient" : "permanent"
    const verdict = (): Fault.Verdict => Fault.transient()
    const wide: Fault.Cases<NetworkError> = { NetworkError: "transient" }
    const retried = (): Fault.Verdict<"transient" | "throttled"> => Fault.transient()
    const p1 = Policy.make(
      classified(Fault.byTag<NetworkError | Busy>()({ NetworkError: kind as Fault.Kind, Busy: verdict }))
    )
    errorIs<NetworkError | Busy | RetryExhausted<NetworkError | Busy>>()(
      effect<NetworkError | Busy>().pipe(withResilience(p1))
    )
    const p2 = Policy.make(classified(Fault.byTag<NetworkError>()(wide)))
    errorIs<NetworkError | RetryExhausted<NetworkError>>()(effect<NetworkError>().pipe(withResilience(p2)))
    const p3 = Policy.make(classified(Fault.byTag<NetworkError>()({ NetworkError: retried })))
    errorIs<RetryExhausted<NetworkError>>()(effect<NetworkError>().pipe(withResilience(p3)))
    const record: Record<string, "transient"> = { NetworkError: "transient" }
    const p4 = Policy.make(classified(Fault.byTag<{ readonly _tag: string }>()(record)))
    errorIs<NetworkError | RetryExhausted<NetworkError>>()(effect<NetworkError>().pipe(withResilience(p4)))
  })

  it("a missing tag and a misspelt one do not compile", () => {
    // @ts-expect-error Sql is missing
    Fault.byTag<AllE>()({ NetworkError: "transient", NotFound: "permanent", Busy: "throttled" })
    Fault.byTag<NotFound | Busy>()({
      NotFound: "permanent",
      Busy: "throttled",
      // @ts-expect-error no such tag
      Typo: "permanent"
    })
    // @ts-expect-error no such kind
    Fault.byTag<NotFound>()({ NotFound: "final" })
    // @ts-expect-error a verdict is not optional here: the form is exhaustive
    Fault.byTag<NotFound>()({ NotFound: () => undefined })
    // @ts-expect-error a misspelt list
    Fault.tags({ transient: ["A"], trottled: ["B"] })
    // @ts-expect-error not a list
    assert.deepStrictEqual(typeof Fault.tags({ transient: "A" }), "object")
  })

  it("each case sees its own error", () => {
    Fault.byTag<Busy | Sql>()({
      Busy: (e) => {
        is<typeof e, Busy>()
        return Fault.throttled()
      },
      Sql: (e) => {
        is<typeof e, Sql>()
        return Fault.permanent()
      }
    })
  })

  it("members without a tag, and with a tag of type string", () => {
    const p = Policy.make(classified(Fault.tags({ transient: ["NetworkError"], permanent: ["NotFound"] })))
    interface AnyTag {
      readonly _tag: string
      readonly any: 1
    }
    errorIs<Plain | RetryExhausted<NetworkError>>()(effect<Plain | NetworkError>().pipe(withResilience(p)))
    errorIs<"text" | RetryExhausted<NetworkError>>()(effect<"text" | NetworkError>().pipe(withResilience(p)))
    errorIs<AnyTag | RetryExhausted<AnyTag | NetworkError>>()(effect<AnyTag | NetworkError>().pipe(withResilience(p)))
    const cases = Policy.make(
      classified(Fault.byTag<NetworkError | NotFound>()({ NetworkError: "transient", NotFound: "permanent" }))
    )
    errorIs<Plain | AnyTag | RetryExhausted<AnyTag | NetworkError>>()(
      effect<Plain | AnyTag | NetworkError>().pipe(withResilience(cases))
    )
    // two tags in one member
    interface Two {
      readonly _tag: "NetworkError" | "NotFound"
    }
    errorIs<Two | RetryExhausted<Two>>()(effect<Two>().pipe(withResilience(p)))
    errorIs<Two | RetryExhausted<Two>>()(effect<Two>().pipe(withResilience(cases)))
  })

  it("unknown and never", () => {
    const p = Policy.make(classified(Fault.tags({ transient: ["NetworkError"] })))
    const cases = Policy.make(classified(Fault.byTag<NetworkError>()({ NetworkError: "transient" })))
    const all = Policy.make(classified(Fault.all))
    const auto = Policy.make(idempotent)
    errorIs<unknown>()(effect<unknown>().pipe(withResilience(p)))
    is<Fault.Transient<typeof p.options.faults, unknown>, unknown>()
    is<Fault.Permanent<typeof p.options.faults, unknown>, unknown>()
    is<Fault.Transient<typeof cases.options.faults, unknown>, unknown>()
    is<Fault.Permanent<typeof cases.options.faults, unknown>, unknown>()
    is<Fault.Transient<typeof all.options.faults, unknown>, unknown>()
    is<Fault.Permanent<typeof all.options.faults, unknown>, unknown>()
    is<Fault.Transient<undefined, unknown>, unknown>()
    is<Fault.Permanent<undefined, unknown>, unknown>()
    errorIs<never>()(effect().pipe(withResilience(p)))
    errorIs<never>()(effect().pipe(withResilience(cases)))
    errorIs<never>()(effect().pipe(withResilience(all)))
    errorIs<never>()(effect().pipe(withResilience(auto)))
  })

  it("refine: the accepted are retried, a wider member stands on both sides", () => {
    const isPlain = (e: unknown): e is Plain => e instanceof Plain
    const isNetworkOrBusy = (e: unknown): e is NetworkError | Busy => e instanceof NetworkError || e instanceof Busy
    const p1 = Policy.make(classified(Fault.refine(isPlain)))
    errorIs<NotFound | RetryExhausted<Plain>>()(effect<Plain | NotFound>().pipe(withResilience(p1)))
    errorIs<Error | RetryExhausted<Error>>()(effect<Error>().pipe(withResilience(p1)))
    errorIs<unknown>()(effect<unknown>().pipe(withResilience(p1)))
    const p2 = Policy.make(classified(Fault.refine(isNetworkOrBusy, Fault.throttled())))
    errorIs<NotFound | Sql | RetryExhausted<NetworkError | Busy>>()(call.pipe(withResilience(p2)))
    const p3 = Policy.make({ ...classified(Fault.refine(isNetworkOrBusy, Fault.permanent())), attemptTimeout: 1 })
    errorIs<AllE | RetryExhausted<AttemptTimeout>>()(call.pipe(withResilience(p3)))
    const p4 = Policy.make(classified(Fault.refine(isPlain, (e) => (e.plain ? Fault.transient() : Fault.permanent()))))
    errorIs<Plain | RetryExhausted<Plain>>()(effect<Plain>().pipe(withResilience(p4)))
    // a verdict that may be absent is transient then
    const perhaps = sometimes() ? Fault.permanent() : undefined
    const p5 = Policy.make(classified(Fault.refine(isPlain, perhaps)))
    errorIs<Plain | RetryExhausted<Plain>>()(effect<Plain>().pipe(withResilience(p5)))
    is<typeof p1.options.faults, Fault.RefinementClassifier<Plain, "transient">>()
  })

  it("make decides at run time: both sides", () => {
    const p = Policy.make(classified(Fault.make<AllE>((e) => (e._tag === "Sql" ? Fault.transient() : undefined))))
    errorIs<AllE | RetryExhausted<AllE>>()(call.pipe(withResilience(p)))
    is<typeof p.options.faults, Fault.FunctionClassifier<Fault.Kind>>()
  })

  it("all: everything but this library's errors", () => {
    const p = Policy.make(classified(Fault.all))
    errorIs<RetryExhausted<AllE>>()(call.pipe(withResilience(p)))
    errorIs<RetryExhausted<Plain | "text">>()(effect<Plain | "text">().pipe(withResilience(p)))
    type Nested = RetryExhausted<Busy> | DeadlineExceeded | CircuitBreaker.CircuitOpen | AttemptTimeout | NetworkError
    errorIs<
      | RetryExhausted<Busy>
      | DeadlineExceeded
      | CircuitBreaker.CircuitOpen
      | RetryExhausted<AttemptTimeout | NetworkError>
    >()(effect<Nested>().pipe(withResilience(p)))
    // what may hold one of them stands on both sides
    interface AnyTag {
      readonly _tag: string
    }
    errorIs<AnyTag | RetryExhausted<AnyTag>>()(effect<AnyTag>().pipe(withResilience(p)))
  })

  it("auto, also where there is no classifier", () => {
    class Marked extends Data.TaggedError("Marked") {
      readonly [Fault.verdict] = Fault.transient({ unprocessed: true })
    }
    class MarkedFinal extends Data.TaggedError("MarkedFinal") {
      readonly [Fault.verdict] = Fault.permanent()
    }
    class MarkedPerhaps extends Data.TaggedError("MarkedPerhaps")<{ readonly [Fault.verdict]?: Fault.Verdict }> {}
    class MarkedOrFlag extends Data.TaggedError("MarkedOrFlag")<{ readonly isRetryable: true }> {
      declare readonly [Fault.verdict]: Fault.Verdict<"permanent"> | undefined
    }
    class MarkedUnknown extends Data.TaggedError("MarkedUnknown")<{ readonly [Fault.verdict]: unknown }> {}
    class Yes extends Data.TaggedError("Yes")<{ readonly isRetryable: true }> {}
    class No extends Data.TaggedError("No")<{ readonly isRetryable: false }> {}
    class FlagPerhaps extends Data.TaggedError("FlagPerhaps")<{ readonly isRetryable?: true }> {}
    class RetryAfterOnly extends Data.TaggedError("RetryAfterOnly")<{ readonly retryAfter: Duration.Duration }> {}
    type E =
      | Marked
      | MarkedFinal
      | MarkedPerhaps
      | MarkedOrFlag
      | MarkedUnknown
      | Yes
      | No
      | FlagPerhaps
      | Sql
      | RetryAfterOnly
      | Cause.TimeoutError
      | Plain
      | "text"
    type Out =
      | MarkedFinal
      | MarkedPerhaps
      | MarkedOrFlag
      | MarkedUnknown
      | No
      | FlagPerhaps
      | Sql
      | RetryAfterOnly
      | Plain
      | "text"
      | RetryExhausted<
          Marked | MarkedPerhaps | MarkedOrFlag | MarkedUnknown | Yes | FlagPerhaps | Sql | Cause.TimeoutError
        >
    errorIs<Out>()(effect<E>().pipe(withResilience(Policy.make(idempotent))))
    errorIs<Out>()(effect<E>().pipe(withResilience(Policy.make(classified(Fault.auto)))))
    // this library's own: a nested policy has retried already, a deadline has passed; an attempt's timeout is worth another try
    errorIs<RetryExhausted<Busy> | DeadlineExceeded | CircuitBreaker.CircuitOpen | RetryExhausted<AttemptTimeout>>()(
      effect<RetryExhausted<Busy> | DeadlineExceeded | CircuitBreaker.CircuitOpen | AttemptTimeout>().pipe(
        withResilience(Policy.make(idempotent))
      )
    )
  })

  it("orElse: the second one says what the first does not recognise", () => {
    const network = Fault.tags({ transient: ["NetworkError"] })
    const busyFinal = Fault.tags({ transient: ["Busy"], permanent: ["NetworkError"] })
    const p = Policy.make(classified(Fault.orElse(network, busyFinal)))
    errorIs<NotFound | Sql | RetryExhausted<NetworkError | Busy>>()(call.pipe(withResilience(p)))
    const reversed = Policy.make(classified(Fault.orElse(busyFinal, network)))
    errorIs<NetworkError | NotFound | Sql | RetryExhausted<Busy>>()(call.pipe(withResilience(reversed)))
    const last = Policy.make(classified(Fault.orElse(network, Fault.auto)))
    errorIs<Busy | NotFound | Sql | RetryExhausted<NetworkError | Sql>>()(call.pipe(withResilience(last)))
    // what the first one decides at run time stays on both sides
    const some = Policy.make(
      classified(
        Fault.orElse(
          Fault.make(() => undefined),
          Fault.all
        )
      )
    )
    errorIs<AllE | RetryExhausted<AllE>>()(call.pipe(withResilience(some)))
  })

  it("a classifier known only as such, or that may be absent", () => {
    const any: Fault.Classifier = Fault.all
    const p = Policy.make({ ...idempotent, faults: any })
    errorIs<AllE | RetryExhausted<AllE>>()(call.pipe(withResilience(p)))
    const perhaps = sometimes() ? Fault.tags({ transient: ["NetworkError"] }) : undefined
    const q = Policy.make({ ...idempotent, faults: perhaps })
    errorIs<NetworkError | Busy | NotFound | Sql | RetryExhausted<NetworkError | Sql>>()(call.pipe(withResilience(q)))
    const either = sometimes() ? Fault.tags({ transient: ["NetworkError"] }) : Fault.tags({ transient: ["Busy"] })
    const r = Policy.make({ ...idempotent, faults: either })
    errorIs<AllE | RetryExhausted<NetworkError | Busy>>()(call.pipe(withResilience(r)))
  })
})

describe("what a policy adds", () => {
  const faults = Fault.tags({ transient: ["NetworkError"] })

  it("no retry: E unchanged", () => {
    errorIs<AllE>()(call.pipe(withResilience(Policy.make({ name: "p" }))))
    errorIs<AllE>()(call.pipe(withResilience(Policy.make({ name: "p", faults }))))
    errorIs<AllE>()(call.pipe(withResilience(Policy.make({ name: "p", faults, retry: undefined }))))
    errorIs<AllE | AttemptTimeout>()(call.pipe(withResilience(Policy.make({ name: "p", attemptTimeout: 1 }))))
    errorIs<AllE | DeadlineExceeded>()(call.pipe(withResilience(Policy.make({ name: "p", deadline: 1 }))))
  })

  it("no transient member and no attempt timeout: no RetryExhausted", () => {
    const p = Policy.make(classified(faults))
    errorIs<NotFound>()(effect<NotFound>().pipe(withResilience(p)))
    const timed = Policy.make({ ...classified(faults), attemptTimeout: "1 second" })
    errorIs<NotFound | RetryExhausted<AttemptTimeout>>()(effect<NotFound>().pipe(withResilience(timed)))
    errorIs<RetryExhausted<AttemptTimeout>>()(effect().pipe(withResilience(timed)))
    errorIs<RetryExhausted<AttemptTimeout | NetworkError>>()(effect<NetworkError>().pipe(withResilience(timed)))
  })

  it("a deadline, guards, budgets", () => {
    const p = Policy.make({
      ...classified(faults),
      deadline: "3 seconds",
      attemptTimeout: "1 second",
      guards: [OpenGuard, FullGuard, NoRejection, Unkeyed],
      budget: Upstream
    })
    const run = effect<NotFound | NetworkError, Db>().pipe(withResilience(p))
    errorIs<
      | NotFound
      | RetryExhausted<NetworkError | AttemptTimeout>
      | Open
      | Full
      | CircuitBreaker.CircuitOpen
      | DeadlineExceeded
    >()(run)
    servicesAre<Db | OpenGuard | FullGuard | NoRejection | Unkeyed | Upstream>()(run)
    is<Effect.Success<typeof run>, number>()
  })

  it("one budget, several budgets, none", () => {
    class Second extends RetryBudget.Service<Second>()("test/Second", RetryBudget.ratio()) {}
    const two = Policy.make({ ...classified(faults), budget: [Upstream, Second] })
    servicesAre<Db | Upstream | Second>()(call.pipe(withResilience(two)))
    const none = Policy.make({ ...classified(faults), budget: undefined, guards: undefined })
    servicesAre<Db>()(call.pipe(withResilience(none)))
    const empty = Policy.make({ ...classified(faults), budget: [], guards: [] })
    servicesAre<Db>()(call.pipe(withResilience(empty)))
    errorIs<Busy | NotFound | Sql | RetryExhausted<NetworkError>>()(call.pipe(withResilience(empty)))
    // one that may be absent must be there
    const perhaps = Policy.make({
      ...classified(faults),
      budget: sometimes() ? Upstream : undefined,
      guards: sometimes() ? [OpenGuard] : undefined
    })
    servicesAre<Db | Upstream | OpenGuard>()(call.pipe(withResilience(perhaps)))
    errorIs<Busy | NotFound | Sql | Open | RetryExhausted<NetworkError>>()(call.pipe(withResilience(perhaps)))
  })

  it("a schedule's own needs", () => {
    // nobody can step it while the policy is made, so it is said to end
    const needy = Schedule.tap(once, () => Effect.asVoid(Env)).pipe(Backoff.times(1))
    const p = Policy.make({ ...classified(faults), retry: needy })
    servicesAre<Db | Env>()(call.pipe(withResilience(p)))
    const q = Policy.make({ ...classified(faults), retry: { transient: once, throttled: needy } })
    servicesAre<Db | Env>()(call.pipe(withResilience(q)))
    const r = Policy.make({ ...classified(faults), retry: sometimes() ? needy : undefined })
    servicesAre<Db | Env>()(call.pipe(withResilience(r)))
    // @ts-expect-error a schedule that can fail is refused
    assert.throws(() => Policy.make({ ...classified(faults), retry: Schedule.tap(once, () => Effect.fail("no")) }))
  })

  it("no any leaks", () => {
    type IsAny<T> = 0 extends 1 & T ? true : false
    const p = Policy.make({
      ...classified(faults),
      deadline: "3 seconds",
      budget: Upstream,
      guards: [OpenGuard]
    })
    const run = call.pipe(withResilience(p))
    is<IsAny<Effect.Error<typeof run>>, false>()
    is<IsAny<Effect.Services<typeof run>>, false>()
    is<IsAny<Effect.Success<typeof run>>, false>()
    is<IsAny<typeof p.options.faults>, false>()
    is<IsAny<Policy.Services<typeof p>>, false>()
    is<IsAny<RetryExhausted<Busy>["history"][number]["error"]>, false>()
    is<RetryExhausted<Busy>["history"][number]["error"], Busy>()
    is<RetryExhausted<Busy>["lastError"], Busy>()
    is<RetryExhausted<Busy>["cause"], Cause.Cause<Busy>>()
  })
})

describe("options that may be absent", () => {
  const cfg: { readonly deadline: Duration.Duration | undefined; readonly retries: boolean } = {
    deadline: sometimes() ? undefined : Duration.seconds(1),
    retries: sometimes()
  }
  const down = effect<NetworkError>()
  const faults = Fault.tags({ transient: ["NetworkError"] })

  it("cover both cases", () => {
    const a = Policy.make({ name: "a", deadline: cfg.deadline })
    errorIs<NetworkError | DeadlineExceeded>()(down.pipe(withResilience(a)))
    const b = Policy.make({ name: "b", safety: "idempotent", faults, retry: cfg.retries ? once : undefined })
    errorIs<NetworkError | RetryExhausted<NetworkError>>()(down.pipe(withResilience(b)))
    const c = Policy.make({ name: "c", ...(cfg.deadline ? { deadline: cfg.deadline } : {}) })
    errorIs<NetworkError | DeadlineExceeded>()(down.pipe(withResilience(c)))
    const d = Policy.make({ name: "d" })
    errorIs<NetworkError>()(down.pipe(withResilience(d)))
    const e = Policy.make({ name: "e", safety: "idempotent", faults, retry: Schedule.forever, deadline: "1 second" })
    errorIs<RetryExhausted<NetworkError> | DeadlineExceeded>()(down.pipe(withResilience(e)))
    const f = Policy.make({
      name: "f",
      safety: "idempotent",
      faults,
      ...(cfg.retries ? { retry: once } : {}),
      attemptTimeout: cfg.deadline
    })
    errorIs<NetworkError | AttemptTimeout | RetryExhausted<NetworkError | AttemptTimeout>>()(
      down.pipe(withResilience(f))
    )
    const g = Policy.make({ name: "g", deadline: undefined, attemptTimeout: undefined, retry: undefined })
    errorIs<NetworkError>()(down.pipe(withResilience(g)))
  })

  it("options known only as such: everything may happen", () => {
    const options: Policy.Options = { name: "p" }
    const p = Policy.make(options as Policy.Options & { readonly safety: Policy.Safety })
    is<Policy.Error<typeof p, NetworkError>, unknown>()
  })

  it("a safety that may be absent, or that may ask for a key", () => {
    // @ts-expect-error safety may be undefined where retry is there
    assert.throws(() => Policy.make({ name: "p", retry: once, safety: undefined }))
    // @ts-expect-error safety may be missing
    Policy.make({ name: "p", retry: once, ...(cfg.retries ? { safety: "idempotent" as const } : {}) })
    const safety = sometimes() ? ("idempotent" as const) : Idempotency.key()
    const p = Policy.make({ name: "p", safety })
    withResilience(p, { idempotencyKey: "k" })
    // @ts-expect-error the key may be asked for
    withResilience(p)
    const either = sometimes() ? Policy.make({ name: "a" }) : Policy.make({ name: "b", safety: Idempotency.key() })
    withResilience(either, { idempotencyKey: "k" })
    // @ts-expect-error
    withResilience(either)
  })
})

describe("what does not compile", () => {
  it("misspelt options", () => {
    // @ts-expect-error
    assert.throws(() => Policy.make({ name: "p", deadlin: "1 second" }))
    // @ts-expect-error
    assert.throws(() => Policy.make({ name: "p", retry: once, safety: "idempotent", attempTimeout: "1 second" }))
    // @ts-expect-error
    assert.throws(() => Policy.make({ name: "p", safety: "idempotant" }))
    // @ts-expect-error
    assert.throws(() => Policy.make({ name: "p", deadline: "1 secnd" }))
    const base = Policy.make({ name: "p" })
    // @ts-expect-error
    assert.throws(() => Policy.extend(base, { name: "q", deadlin: "1 second" }))
    // @ts-expect-error the name is missing
    assert.throws(() => Policy.make({ deadline: "1 second" }))
    // @ts-expect-error not a guard
    Policy.make({ name: "p", guards: [Db] })
    // @ts-expect-error not a budget
    Policy.make({ name: "p", budget: OpenGuard })
    // @ts-expect-error not a classifier
    assert.throws(() => Policy.make({ name: "p", faults: () => Fault.transient() }))
  })

  it("a retry without safety", () => {
    // @ts-expect-error
    assert.throws(() => Policy.make({ name: "p", retry: once }))
    // @ts-expect-error
    Policy.make({ name: "p", retry: sometimes() ? undefined : once })
    Policy.make({ name: "p", retry: undefined })
    Policy.make({ name: "p", safety: "not-idempotent", retry: once })
    Policy.make({ name: "p", safety: Idempotency.key(), retry: once })
    Policy.make({ name: "p", safety: Idempotency.key(Idempotency.uuid), retry: once })
  })

  it("a retry that finds nothing to retry", () => {
    const isPlain = (e: unknown): e is Plain => e instanceof Plain
    const permanent = Fault.tags({ permanent: ["NotFound"] })
    // @ts-expect-error
    Policy.make(classified(permanent))
    // @ts-expect-error
    Policy.make(classified(Fault.tags({})))
    // @ts-expect-error
    Policy.make(classified(Fault.byTag<NotFound>()({ NotFound: "permanent" })))
    // @ts-expect-error
    Policy.make(classified(Fault.byTag<NotFound>()({ NotFound: () => Fault.permanent() })))
    // @ts-expect-error
    Policy.make(classified(Fault.refine(isPlain, Fault.permanent())))
    // @ts-expect-error
    Policy.make(classified(Fault.orElse(permanent, Fault.refine(isPlain, Fault.permanent()))))
    // @ts-expect-error
    Policy.make({ ...classified(permanent), attemptTimeout: undefined })
    // @ts-expect-error perhaps no retry, and if there is one, there is nothing for it
    Policy.make({ ...classified(permanent), retry: sometimes() ? once : undefined })
    // there is something
    Policy.make({ ...classified(permanent), attemptTimeout: "1 second" })
    Policy.make({ ...classified(permanent), attemptTimeout: sometimes() ? 1 : undefined })
    Policy.make(classified(Fault.orElse(permanent, Fault.auto)))
    Policy.make(classified(Fault.orElse(Fault.tags({ throttled: ["Busy"] }), permanent)))
    Policy.make(classified(Fault.make(() => undefined)))
    Policy.make(classified(Fault.all))
    Policy.make(classified(Fault.byTag<Sql>()({ Sql: () => Fault.permanent() as Fault.Verdict })))
    const names: ReadonlyArray<string> = []
    Policy.make(classified(Fault.tags({ transient: names })))
    Policy.make({ ...idempotent, faults: sometimes() ? permanent : undefined })
    Policy.make({ ...idempotent, faults: permanent as Fault.Classifier })
    // no retry, no objection
    Policy.make({ name: "p", faults: permanent })
  })

  const accepting = <E>() =>
    once.pipe(Backoff.honorRetryAfter<E>({ ceiling: "1 minute", of: () => undefined }), Backoff.times(1))
  const eff = effect<NetworkError | Busy>()

  it("a schedule that does not accept the failures it is given", () => {
    const busy = Policy.make({ ...classified(Fault.tags({ throttled: ["Busy"] })), retry: accepting<Busy>() })
    errorIs<NetworkError | RetryExhausted<Busy>>()(eff.pipe(withResilience(busy)))
    const first = withResilience(eff, busy)
    errorIs<NetworkError | RetryExhausted<Busy>>()(first)
    errorIs<NotFound>()(effect<NotFound>().pipe(withResilience(busy)))
    const both = Fault.tags({ transient: ["NetworkError"], throttled: ["Busy"] })
    const narrow = Policy.make({ ...classified(both), retry: accepting<Busy>() })
    errorIs<RetryExhausted<Busy>>()(effect<Busy>().pipe(withResilience(narrow)))
    // @ts-expect-error it is given NetworkError
    eff.pipe(withResilience(narrow))
    // @ts-expect-error as it is here
    withResilience(eff, narrow)
    const run = function* () {
      return yield* eff
    }
    // @ts-expect-error and as the last argument of Effect.fn
    Effect.fn("f")(run, withResilience(narrow))
    // @ts-expect-error whatever it is given
    effect<unknown>().pipe(withResilience(narrow))
    // @ts-expect-error it may be given NetworkError
    eff.pipe(withResilience(Policy.extend(narrow, { name: "p", retry: sometimes() ? accepting<Busy>() : undefined })))
    // @ts-expect-error one of two may be given it
    eff.pipe(withResilience(sometimes() ? busy : narrow))
    class Carrier {
      static readonly policy = narrow
    }
    // @ts-expect-error a class that carries it
    eff.pipe(withResilience(Carrier))
    const wide = Policy.extend(narrow, { name: "wide", retry: accepting<NetworkError | Busy>() })
    errorIs<RetryExhausted<NetworkError | Busy>>()(eff.pipe(withResilience(wide)))
    errorIs<RetryExhausted<NetworkError | Busy>>()(Effect.fn("f")(run, withResilience(wide))())
    // what it accepts is not all of some errors
    const contradictory = once.pipe(
      Schedule.setInputType<Busy>(),
      Backoff.honorRetryAfter<NetworkError>({ ceiling: 1, of: () => undefined }),
      Backoff.times(1)
    )
    // @ts-expect-error neither is accepted
    eff.pipe(withResilience(Policy.extend(narrow, { name: "p", retry: contradictory })))
  })

  it("nor a timeout, where there is one", () => {
    const faults = Fault.tags({ throttled: ["Busy"] })
    const attemptTimeout = sometimes() ? 1 : undefined
    // @ts-expect-error
    Policy.make({ ...classified(faults), attemptTimeout, retry: accepting<Busy>() })
    const timed = Policy.make({ ...classified(faults), attemptTimeout, retry: accepting<Busy | AttemptTimeout>() })
    errorIs<NetworkError | RetryExhausted<Busy | AttemptTimeout>>()(eff.pipe(withResilience(timed)))
    // @ts-expect-error
    Policy.extend(timed, { name: "p", retry: accepting<Busy>() })
    // only the schedule for transient failures is given them
    const retry = { transient: once, throttled: accepting<Busy>() }
    const pair = Policy.make({ ...classified(Fault.refine((e) => e instanceof Busy, Fault.throttled())), retry })
    errorIs<NetworkError | RetryExhausted<Busy | AttemptTimeout>>()(
      eff.pipe(withResilience(Policy.extend(pair, { name: "p", attemptTimeout: 1 })))
    )
  })

  it("two schedules: each for its own kind, where the classifier tells them apart", () => {
    const retry = { transient: accepting<NetworkError>(), throttled: accepting<Busy>() }
    const cases = Fault.byTag<NetworkError | Busy>()({ NetworkError: "transient", Busy: () => Fault.throttled() })
    const p = Policy.make({ ...classified(cases), retry })
    errorIs<RetryExhausted<NetworkError | Busy>>()(eff.pipe(withResilience(p)))
    const reversed = Policy.extend(p, {
      name: "p",
      retry: { transient: retry.throttled, throttled: retry.transient }
    })
    // @ts-expect-error
    eff.pipe(withResilience(reversed))
    // lists do not tell transient from throttled in their types
    const lists = Fault.tags({ transient: ["NetworkError"], throttled: ["Busy"] })
    // @ts-expect-error
    eff.pipe(withResilience(Policy.make({ ...classified(lists), retry })))
    const isNetwork = (e: unknown): e is NetworkError => e instanceof NetworkError
    const second = Fault.orElse(Fault.byTag<Busy>()({ Busy: "throttled" }), Fault.refine(isNetwork))
    // @ts-expect-error NetworkError is transient
    eff.pipe(withResilience(Policy.make({ ...classified(second), retry: { ...retry, transient: retry.throttled } })))
    const verdict = sometimes() ? Fault.transient() : Fault.throttled()
    const either = Fault.byTag<NetworkError | Busy>()({ NetworkError: "transient", Busy: () => verdict })
    // @ts-expect-error Busy may be transient
    eff.pipe(withResilience(Policy.make({ ...classified(either), retry })))
  })

  it("in a function that is generic in E only a schedule that takes any failure", () => {
    const faults = Fault.tags({ transient: ["NetworkError"] })
    const narrow = Policy.make({ ...classified(faults), retry: accepting<NetworkError>() })
    // @ts-expect-error a NetworkError of E need not be ours
    const wrong = <E>(self: Effect.Effect<number, E | NetworkError>) => self.pipe(withResilience(narrow))
    assert.strictEqual(wrong.length, 1)
    const wide = Policy.extend(narrow, { name: "p", retry: accepting<unknown>() })
    const right = <E>(self: Effect.Effect<number, E | NetworkError>) => self.pipe(withResilience(wide))
    errorIs<NotFound | RetryExhausted<NetworkError>>()(right(effect<NotFound>()))
    // options known only as such say nothing of what their schedule accepts
    eff.pipe(withResilience(narrow as Policy.Policy, { idempotencyKey: "k" }))
  })

  it("services an effect needs stay needed", () => {
    const run = call.pipe(withResilience(Policy.make({ name: "p", guards: [OpenGuard] })))
    // @ts-expect-error Db and OpenGuard are missing
    const complete: Effect.Effect<number, unknown> = run
    assert.isTrue(Effect.isEffect(complete))
  })
})

describe("keys", () => {
  const one = Policy.make({ name: "a", guards: [Unkeyed, OpenGuard], safety: "idempotent" })
  const two = Policy.make({ name: "b", guards: [Host, Tenant], safety: "idempotent" })
  const eff = effect<never, Db>()

  it("a policy without keyed services takes none", () => {
    servicesAre<Db | Unkeyed | OpenGuard>()(eff.pipe(withResilience(one)))
    eff.pipe(withResilience(one, {}))
    // @ts-expect-error
    eff.pipe(withResilience(one, { key: "h" }))
    // @ts-expect-error
    eff.pipe(withResilience(one, { idempotencyKey: "h" }))
    // @ts-expect-error
    withResilience(eff, one, { key: "h" })
  })

  it("a keyed service must be given its key: one for all, or one each", () => {
    // @ts-expect-error
    eff.pipe(withResilience(two))
    // @ts-expect-error
    eff.pipe(withResilience(two, {}))
    // @ts-expect-error
    eff.pipe(withResilience(two, { key: undefined }))
    // @ts-expect-error
    eff.pipe(withResilience(two, { key: { "proxy/Host": "h" } }))
    // @ts-expect-error
    eff.pipe(withResilience(two, { key: { "proxy/Host": "h", "proxy/Tenant": 1 } }))
    // @ts-expect-error
    eff.pipe(withResilience(two, { key: { "proxy/Host": "h", "proxy/Tenant": "t", "proxy/Other": "o" } }))
    // @ts-expect-error
    withResilience(eff, two)
    servicesAre<Db | Host | Tenant>()(
      eff.pipe(withResilience(two, { key: { "proxy/Host": "h", "proxy/Tenant": "t" } }))
    )
    errorIs<CircuitBreaker.CircuitOpen>()(eff.pipe(withResilience(two, { key: "h" })))
    const first = withResilience(eff, two, { key: "h" })
    servicesAre<Db | Host | Tenant>()(first)
  })

  it("keyed budgets too", () => {
    const p = Policy.make({ ...idempotent, budget: [Upstream, TenantBudget] })
    // @ts-expect-error
    eff.pipe(withResilience(p))
    servicesAre<Db | Upstream | TenantBudget>()(eff.pipe(withResilience(p, { key: "t" })))
    eff.pipe(withResilience(p, { key: { "test/TenantBudget": "t" } }))
    const single = Policy.make({ ...idempotent, budget: TenantBudget })
    // @ts-expect-error
    eff.pipe(withResilience(single))
    eff.pipe(withResilience(single, { key: "t" }))
  })

  it("a service that may turn out keyed asks for its key", () => {
    const p = Policy.make({ name: "p", guards: [Perhaps] })
    // @ts-expect-error
    eff.pipe(withResilience(p))
    servicesAre<Db | Perhaps>()(eff.pipe(withResilience(p, { key: "h" })))
  })
})

describe("idempotency", () => {
  const charge = effect<NetworkError, Db | Idempotency.Key>()
  const faults = Fault.tags({ transient: ["NetworkError"] })
  const asked = Policy.make({ ...classified(faults), safety: Idempotency.key() })
  const minted = Policy.make({ ...classified(faults), safety: Idempotency.key(Idempotency.uuid) })
  const none = Policy.make(classified(faults))

  it("the caller's key is required at the call", () => {
    // @ts-expect-error
    assert.throws(() => charge.pipe(withResilience(asked)))
    // @ts-expect-error
    assert.throws(() => charge.pipe(withResilience(asked, {})))
    // @ts-expect-error
    assert.throws(() => charge.pipe(withResilience(asked, { idempotencyKey: undefined })))
    // @ts-expect-error
    charge.pipe(withResilience(asked, { idempotencyKey: "k", key: "h" }))
    servicesAre<Db>()(charge.pipe(withResilience(asked, { idempotencyKey: "k" })))
    const first = withResilience(charge, asked, { idempotencyKey: "k" })
    servicesAre<Db>()(first)
  })

  it("a minted one may be said", () => {
    servicesAre<Db>()(charge.pipe(withResilience(minted)))
    servicesAre<Db>()(charge.pipe(withResilience(minted, { idempotencyKey: "k" })))
    servicesAre<Db>()(charge.pipe(withResilience(minted, { idempotencyKey: undefined })))
  })

  it("any other policy leaves the need for one", () => {
    servicesAre<Db | Idempotency.Key>()(charge.pipe(withResilience(none)))
    const perhaps = Policy.make({
      ...classified(faults),
      safety: sometimes() ? Idempotency.key(Idempotency.uuid) : ("idempotent" as const)
    })
    servicesAre<Db | Idempotency.Key>()(charge.pipe(withResilience(perhaps)))
  })

  it("keys of both kinds at one call", () => {
    const pay = Policy.make({ name: "pay", guards: [Host], safety: Idempotency.key() })
    // @ts-expect-error
    assert.throws(() => charge.pipe(withResilience(pay, { key: "h" })))
    // @ts-expect-error
    charge.pipe(withResilience(pay, { idempotencyKey: "order-1" }))
    servicesAre<Db | Host>()(charge.pipe(withResilience(pay, { key: "h", idempotencyKey: "order-1" })))
  })
})

describe("use", () => {
  const faults = Fault.tags({ transient: ["NetworkError"] })
  const p = Policy.make({ ...classified(faults), deadline: "1 second" })
  type Out = NotFound | RetryExhausted<NetworkError> | DeadlineExceeded

  it("data-first and data-last say the same", () => {
    const self = effect<NetworkError | NotFound, Db>()
    const first = withResilience(self, p)
    is<typeof first, Effect.Effect<number, Out, Db>>()
    const last = self.pipe(withResilience(p))
    is<typeof last, Effect.Effect<number, Out, Db>>()
  })

  it("in a function that is generic in E", () => {
    const wrap = <A, E, R>(self: Effect.Effect<A, E, R>) => self.pipe(withResilience(p))
    errorIs<Out>()(wrap(effect<NetworkError | NotFound, Db>()))
    servicesAre<Db>()(wrap(effect<NetworkError | NotFound, Db>()))
    errorIs<DeadlineExceeded>()(wrap(effect()))
    const first = <A, E, R>(self: Effect.Effect<A, E, R>) => withResilience(self, p)
    errorIs<Out>()(first(effect<NetworkError | NotFound>()))
    const more = <E>(self: Effect.Effect<number, E | NetworkError>) => self.pipe(withResilience(p))
    errorIs<Out>()(more(effect<NotFound | NetworkError>()))
  })

  it("in a function that is generic in the policy", () => {
    const wrap = <P extends Policy.Policy<{ readonly name: string }>>(policy: P) => policy.options.name
    is<ReturnType<typeof wrap>, string>()
    assert.strictEqual(wrap(p), "p")
  })

  it("as the last argument of Effect.fn", () => {
    const f = Effect.fn("f")(function* (id: string) {
      if (id === "") return yield* new NotFound()
      yield* Db
      return yield* effect<NetworkError>()
    }, withResilience(p))
    errorIs<Out>()(f("x"))
    servicesAre<Db>()(f("x"))
    is<Parameters<typeof f>, [id: string]>()
    const pay = Policy.make({ name: "pay", guards: [Host], safety: Idempotency.key() })
    const g = Effect.fn("g")(
      function* (id: string) {
        return `${id}:${yield* Idempotency.Key}`
      },
      (self, id) => withResilience(pay, { key: "h", idempotencyKey: id })(self)
    )
    servicesAre<Host>()(g("x"))
    errorIs<CircuitBreaker.CircuitOpen>()(g("x"))
  })

  it("a policy chosen at run time: what either lets out", () => {
    const other = Policy.make({ name: "other", attemptTimeout: "1 second", guards: [OpenGuard] })
    const chosen = sometimes() ? p : other
    const run = effect<NetworkError | NotFound, Db>().pipe(withResilience(chosen))
    errorIs<Out | NetworkError | AttemptTimeout | Open>()(run)
    servicesAre<Db | OpenGuard>()(run)
    // a key is only taken away if each of them provides it
    const keyed = Policy.make({ name: "keyed", safety: Idempotency.key(Idempotency.uuid) })
    servicesAre<Idempotency.Key>()(effect<never, Idempotency.Key>().pipe(withResilience(sometimes() ? keyed : p)))
  })

  it("a class that carries a policy", () => {
    class Carrier {
      static readonly policy = p
    }
    errorIs<Out>()(effect<NetworkError | NotFound>().pipe(withResilience(Carrier)))
    const first = withResilience(effect<NetworkError | NotFound>(), Carrier)
    errorIs<Out>()(first)
    is<Policy.Error<typeof Carrier, NetworkError | NotFound>, Out>()
    is<Policy.Services<typeof Carrier>, never>()
  })

  it("Policy.Error and Policy.Services", () => {
    is<Policy.Error<typeof p, NetworkError | NotFound>, Out>()
    is<Policy.Error<typeof p, never>, DeadlineExceeded>()
    is<Policy.Services<typeof p>, never>()
    const full = Policy.make({ ...classified(faults), guards: [OpenGuard], budget: [Upstream] })
    is<Policy.Services<typeof full>, OpenGuard | Upstream>()
    is<Policy.Error<typeof full, NetworkError>, RetryExhausted<NetworkError> | Open>()
    interface Quotes {
      readonly get: Effect.Effect<number, Policy.Error<typeof p, NetworkError | NotFound>>
    }
    const quotes: Quotes = { get: effect<NetworkError | NotFound>().pipe(withResilience(p)) }
    errorIs<Out>()(quotes.get)
  })

  it("extend: later options over earlier ones", () => {
    const faster = Policy.extend(p, { name: "faster", attemptTimeout: "10 millis" })
    is<Policy.Error<typeof faster, NetworkError>, RetryExhausted<NetworkError | AttemptTimeout> | DeadlineExceeded>()
    is<typeof faster.options.name, "faster">()
    const without = Policy.extend(p, { name: "without", deadline: undefined, retry: undefined })
    is<Policy.Error<typeof without, NetworkError>, NetworkError>()
    const guarded = Policy.extend(p, { name: "guarded", guards: [OpenGuard] })
    is<Policy.Error<typeof guarded, never>, Open | DeadlineExceeded>()
    is<Policy.Services<typeof guarded>, OpenGuard>()
    const base = Policy.make({ name: "base", faults: Fault.tags({ permanent: ["NotFound"] }) })
    // @ts-expect-error safety is missing once there is a retry
    assert.throws(() => Policy.extend(base, { name: "retrying", retry: once }))
    // @ts-expect-error and there is nothing to retry
    Policy.extend(base, { name: "retrying", retry: once, safety: "idempotent" })
    Policy.extend(base, { name: "retrying", retry: once, safety: "idempotent", attemptTimeout: 1 })
    // @ts-expect-error a name of its own
    assert.throws(() => Policy.extend(base, { deadline: "1 second", name: undefined }))
    // @ts-expect-error a name of its own
    Policy.extend(base, { deadline: "1 second" })
    // @ts-expect-error safety taken away from under a retry
    assert.throws(() => Policy.extend(p, { name: "unsafe", safety: undefined }))
  })

  it("extend: what may be missing leaves either", () => {
    const other = Fault.tags({ transient: ["Busy"] })
    const perhaps = Policy.extend(p, {
      name: "perhaps",
      ...(sometimes() ? { faults: other, guards: [OpenGuard] } : {})
    })
    is<
      Policy.Error<typeof perhaps, NetworkError | Busy>,
      NetworkError | Busy | RetryExhausted<NetworkError | Busy> | Open | DeadlineExceeded
    >()
  })

  it("standard: what is undefined is as in the preset, what may be is either", () => {
    const absent = { deadline: undefined, attemptTimeout: undefined, retry: undefined } as const
    class Plain extends Policy.Standard<Plain>()("plain", { safety: "idempotent", faults }) {}
    class Absent extends Policy.Standard<Absent>()("absent", { safety: "idempotent", faults, ...absent }) {}
    class Some extends Policy.Standard<Some>()("some", {
      safety: "idempotent",
      faults,
      deadline: sometimes() ? "3 seconds" : undefined,
      ...(sometimes() ? { attemptTimeout: "1 second", retry: once } : {})
    }) {}
    type Out = NotFound | RetryExhausted<NetworkError | AttemptTimeout> | DeadlineExceeded | CircuitBreaker.CircuitOpen
    const self = effect<NetworkError | NotFound>()
    errorIs<Out>()(self.pipe(withResilience(Plain)))
    errorIs<Out>()(self.pipe(withResilience(Absent)))
    errorIs<Out>()(self.pipe(withResilience(Some)))
    is<typeof Absent.policy.options.deadline, "10 seconds">()
    is<typeof Some.policy.options.deadline, "3 seconds" | "10 seconds">()
    is<typeof Some.policy.options.attemptTimeout, "1 second" | "2500 millis">()
  })

  it("standard: what Policy.make refuses does not compile either", () => {
    const hedge = { after: "1 second" } as const
    assert.throws(() => {
      // @ts-expect-error the request would be sent twice
      class Twice extends Policy.Standard<Twice>()("twice", { safety: "not-idempotent", hedge }) {}
      return Twice.policy
    }, /safety/)
    class Hedged extends Policy.Standard<Hedged>()("hedged", { safety: "idempotent", hedge }) {}
    errorIs<NotFound | DeadlineExceeded | CircuitBreaker.CircuitOpen | RetryExhausted<AttemptTimeout>>()(
      effect<NotFound>().pipe(withResilience(Hedged))
    )
    const retry = once.pipe(Schedule.setInputType<Busy>())
    // @ts-expect-error it is given timeouts
    class Narrow extends Policy.Standard<Narrow>()("narrow", { safety: "idempotent", retry }) {}
    assert.isDefined(Narrow.policy)
    assert.throws(() => {
      // @ts-expect-error a misspelt option
      class Misspelt extends Policy.Standard<Misspelt>()("misspelt", { safety: "idempotent", deadlin: 1 }) {}
      return Misspelt.policy
    }, /deadlin/)
    // @ts-expect-error safety is missing
    const unsafe = () => Policy.Standard<"u">()("unsafe", {}).policy
    assert.throws(unsafe, /safety/)
  })

  it("the options stay literal", () => {
    const q = Policy.make({ name: "q", deadline: "3 seconds", safety: "idempotent" })
    is<typeof q.options, { readonly name: "q"; readonly deadline: "3 seconds"; readonly safety: "idempotent" }>()
  })
})

describe("this library's errors at once", () => {
  const res = effect<NotFound | CircuitBreaker.CircuitOpen | RetryExhausted<"x"> | DeadlineExceeded, Db>()

  it("isUnavailable", () => {
    const c1 = res.pipe(Effect.catchIf(Policy.isUnavailable, (e) => Effect.succeed(e._tag)))
    errorIs<NotFound>()(c1)
    is<Effect.Success<typeof c1>, number | "CircuitOpen" | "RetryExhausted" | "DeadlineExceeded">()
    const narrow = (e: NotFound | AttemptTimeout) => {
      if (Policy.isUnavailable(e)) is<typeof e, AttemptTimeout>()
      else is<typeof e, NotFound>()
    }
    assert.strictEqual(narrow.length, 1)
  })

  it("catchUnavailable", () => {
    const c2 = res.pipe(
      Policy.catchUnavailable((e) => {
        is<typeof e, CircuitBreaker.CircuitOpen | RetryExhausted<"x"> | DeadlineExceeded>()
        return e._tag === "RetryExhausted" ? Effect.succeed(e.lastError) : Effect.fail(e._tag)
      })
    )
    errorIs<NotFound | "CircuitOpen" | "DeadlineExceeded">()(c2)
    is<Effect.Success<typeof c2>, number | "x">()
    servicesAre<Db>()(c2)
    const c3 = Policy.catchUnavailable(res, (e) => Effect.as(Env, e._tag))
    errorIs<NotFound>()(c3)
    servicesAre<Db | Env>()(c3)
    is<Effect.Success<typeof c3>, number | "CircuitOpen" | "RetryExhausted" | "DeadlineExceeded">()
  })

  it("Unavailable picks them out", () => {
    is<Policy.Unavailable<NotFound | AttemptTimeout | RetryExhausted<Busy>>, AttemptTimeout | RetryExhausted<Busy>>()
    is<Policy.Unavailable<NotFound>, never>()
  })
})
