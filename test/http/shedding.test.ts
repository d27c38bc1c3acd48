import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Fiber, Layer, Random, Schema } from "effect"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { HttpRouter, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { AdaptiveLimit, Bulkhead, CircuitBreaker, Guard, InvalidOption, Priority, Throttle } from "effect-resilience"
import { deadline } from "../../src/http/deadlineMiddleware.ts"
import { forRouter } from "../../src/http/middleware.ts"
import type { Middleware } from "../../src/http/middleware.ts"
import { shed } from "../../src/http/shedding.ts"
import type { ShedOptions } from "../../src/http/shedding.ts"
import * as RateLimit from "../../src/RateLimit.ts"
import { Book, bookedGuard } from "../kit.ts"
import { ask, serving } from "./serverKit.ts"

const ok = Effect.succeed(HttpServerResponse.text("served"))

/** A guard of one's own that admits all and keeps books. */
const booked = () => {
  const book = new Book()
  class Booked extends Guard.Service<Booked, never>()("app/Booked", bookedGuard(book, "app/Booked")) {}
  return { book, Booked }
}

class Refusal extends Data.TaggedError("Refusal")<{}> {}

class Closed extends Guard.Service<Closed, Refusal>()("app/Closed", {
  name: "app/Closed",
  phase: "concurrency",
  admit: () => Guard.rejected(new Refusal())
}) {}

describe("what is refused", () => {
  it.effect("is answered, and not begun", () =>
    Effect.gen(function* () {
      let begun = 0
      const app = Effect.sync(() => {
        begun++
        return HttpServerResponse.empty()
      })
      const { status, type } = yield* ask(shed(Closed)(app))
      assert.deepStrictEqual([status, type, begun], [503, "urn:effect-resilience:unavailable", 0])
    }).pipe(Effect.provide(Closed.layer))
  )

  it.effect("is answered 429 by a rate limit, for each key", () => {
    class PerUser extends RateLimit.Service<PerUser>()("app/PerUser", { limit: 1, window: "10 seconds", keys: {} }) {}
    const limited = shed(PerUser, { key: (request) => request.headers["x-user"] ?? "" })
    return Effect.gen(function* () {
      const as = (user: string) => ask(limited(ok), { headers: { "x-user": user } })
      assert.strictEqual((yield* as("ada")).status, 200)
      const { headers, status } = yield* as("ada")
      assert.deepStrictEqual([status, headers["retry-after"]], [429, "10"])
      assert.strictEqual((yield* as("bob")).status, 200)
    }).pipe(Effect.provide(PerUser.layer))
  })
})

describe("any guard in front of a route", () => {
  const one = { initial: 1, min: 1, max: 1 }
  class Slots extends Bulkhead.Service<Slots>()("app/Slots", { maxConcurrent: 1 }) {}
  class Limit extends AdaptiveLimit.Service<Limit>()("app/Limit", { algorithm: AdaptiveLimit.aimd(one) }) {}
  class Circuit extends CircuitBreaker.Service<Circuit>()("app/Shed", {
    trip: CircuitBreaker.consecutiveFailures(2),
    openFor: "7 seconds"
  }) {}
  class Sre extends Throttle.Service<Sre>()("app/Sre", { minimumRequests: 2, maxRejectionRate: 1 }) {}
  class Rate extends RateLimit.Service<Rate>()("app/Rate", { limit: 2, window: "10 seconds" }) {}

  const statuses = Effect.map(({ status, type }: { readonly status: number; readonly type: string | undefined }) =>
    type === undefined ? status : `${status} ${type.replace("urn:effect-resilience:", "")}`
  )

  const full: ReadonlyArray<readonly [what: string, guarded: Middleware<Slots | Limit>]> = [
    ["a bulkhead", shed(Slots)],
    ["an adaptive limit", shed(Limit)]
  ]
  for (const [what, guarded] of full) {
    it.effect(`${what} refuses what comes while it is full, and serves again afterwards`, () =>
      Effect.gen(function* () {
        const slow = guarded(Effect.as(Effect.sleep("1 second"), HttpServerResponse.empty()))
        const first = yield* Effect.forkChild(statuses(ask(slow)), { startImmediately: true })
        assert.strictEqual(yield* statuses(ask(slow)), "503 unavailable")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(first), 204)
        assert.strictEqual(yield* statuses(ask(guarded(ok))), 200)
      }).pipe(Effect.provide([Slots.layer, Limit.layer]))
    )
  }

  const tired: ReadonlyArray<
    readonly [what: string, guarded: Middleware<Circuit | Sre | Rate>, said: string, retryAfter: string | undefined]
  > = [
    ["a circuit breaker", shed(Circuit), "503 unavailable", "7"],
    ["a throttle", shed(Sre), "503 unavailable", undefined],
    ["a rate limit", shed(Rate), "429 rate-limited", "10"]
  ]
  for (const [what, guarded, expected, retryAfter] of tired) {
    it.effect(`${what} refuses after two requests that failed`, () =>
      Effect.gen(function* () {
        let begun = 0
        const failing = guarded(Effect.sync(() => (begun++, HttpServerResponse.empty({ status: 500 }))))
        assert.deepStrictEqual([yield* statuses(ask(failing)), yield* statuses(ask(failing))], [500, 500])
        const refused = yield* ask(failing)
        assert.strictEqual(yield* statuses(Effect.succeed(refused)), expected)
        assert.strictEqual(refused.headers["retry-after"], retryAfter)
        assert.strictEqual(begun, 2)
      }).pipe(
        Effect.provide([Circuit.layer, Sre.layer, Rate.layer]),
        // whoever draws a low number is refused
        Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0, nextIntUnsafe: () => 0 })
      )
    )
  }
})

describe("what the guard is told", () => {
  class Gone extends Data.TaggedError("Gone")<{}> {
    [HttpServerRespondable.symbol]() {
      return Effect.succeed(HttpServerResponse.empty({ status: 410 }))
    }
  }
  class Bug extends Data.TaggedError("Bug")<{}> {}
  type Handler = Effect.Effect<HttpServerResponse.HttpServerResponse, Gone | Bug | CircuitBreaker.CircuitOpen>
  const open = new CircuitBreaker.CircuitOpen({ breaker: "b", key: undefined, state: "open", retryAfter: undefined })
  const cases: ReadonlyArray<readonly [what: string, handler: Handler, health: string]> = [
    ["200", Effect.succeed(HttpServerResponse.empty({ status: 200 })), "ok"],
    ["302", Effect.succeed(HttpServerResponse.empty({ status: 302 })), "ok"],
    ["499", Effect.succeed(HttpServerResponse.empty({ status: 499 })), "ok"],
    ["500", Effect.succeed(HttpServerResponse.empty({ status: 500 })), "failed"],
    ["503", Effect.succeed(HttpServerResponse.empty({ status: 503 })), "failed"],
    ["an error that becomes a 410", Effect.fail(new Gone()), "ok"],
    ["an error that becomes a 500", Effect.fail(new Bug()), "failed"],
    ["an error of this library", Effect.fail(open), "failed"],
    ["a defect", Effect.die("bug"), "failed"],
    ["a response as a defect", Effect.die(HttpServerResponse.empty({ status: 404 })), "ok"],
    ["an interruption", Effect.interrupt, "ignored"]
  ]
  for (const [what, handler, health] of cases) {
    it.effect(`${what} is ${health}, and comes out as it was`, () => {
      const { book, Booked } = booked()
      return Effect.gen(function* () {
        const bare = yield* Effect.exit(ask(handler))
        const shielded = yield* Effect.exit(ask(shed(Booked)(handler)))
        if (Exit.isSuccess(bare)) assert.deepStrictEqual(shielded, bare)
        else
          assert.deepStrictEqual(
            Exit.isFailure(shielded) && shielded.cause.reasons.map((reason) => reason._tag),
            bare.cause.reasons.map((reason) => reason._tag)
          )
        assert.deepStrictEqual(
          book.settled.map(({ outcome }) => outcome.health),
          [health]
        )
        assert.strictEqual(book.held, 0)
      }).pipe(Effect.provide(Booked.layer))
    })
  }

  it.effect("a circuit opens by the responses alone", () => {
    class Circuit extends CircuitBreaker.Service<Circuit>()("app/Circuit", {
      trip: CircuitBreaker.consecutiveFailures(2)
    }) {}
    const app = shed(Circuit)(Effect.succeed(HttpServerResponse.text("sorry", { status: 500 })))
    return Effect.gen(function* () {
      assert.strictEqual((yield* ask(app)).text, "sorry")
      assert.strictEqual((yield* ask(app)).status, 500)
      assert.strictEqual((yield* ask(app)).status, 503)
    }).pipe(Effect.provide(Circuit.layer))
  })

  /** The outcome of a handler that never ends, cut after `cutAfter` by what the client says. */
  const cut = (clientSays: string, limit: string | undefined, startAfter = 0) => {
    const { book, Booked } = booked()
    const app = shed(Booked)(Effect.never)
    const bounded = deadline({ limit: limit as never })(
      startAfter === 0 ? app : Effect.andThen(Effect.sleep(startAfter), app)
    )
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask(bounded, { headers: { "grpc-timeout": clientSays } }))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 504)
      return book.settled.map(({ outcome }) => outcome.kind)
    }).pipe(Effect.provide(Booked.layer))
  }

  it.effect("a handler cut by a deadline failed, if it had half of the server's own limit", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* cut("1H", "2 seconds"), ["timeout"])
      assert.deepStrictEqual(yield* cut("1S", "2 seconds"), ["timeout"])
      assert.deepStrictEqual(yield* cut("999m", "2 seconds"), ["interrupted"])
      assert.deepStrictEqual(yield* cut("1S", undefined), ["interrupted"])
      assert.deepStrictEqual(yield* cut("1H", "2 seconds", 1_001), ["interrupted"])
    })
  )

  it.effect("a handler that is interrupted before its deadline tells nothing", () => {
    const { book, Booked } = booked()
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask(deadline({ limit: "2 seconds" })(shed(Booked)(Effect.never))))
      yield* TestClock.adjust("1900 millis")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(
        book.settled.map(({ outcome }) => outcome.kind),
        ["interrupted"]
      )
    }).pipe(Effect.provide(Booked.layer))
  })
})

describe("priority", () => {
  const said = (options: ShedOptions | undefined, headers: Record<string, string>) => {
    const levels: Array<Priority.Priority> = []
    class Noting extends Guard.Service<Noting, never>()("app/Noting", {
      name: "app/Noting",
      phase: "concurrency",
      admit: (call) => {
        levels.push(call.priority)
        return Guard.admitted({ settle: () => undefined })
      }
    }) {}
    return Effect.gen(function* () {
      const seen = Effect.map(Priority.current, (level) => HttpServerResponse.text(level))
      const { text } = yield* ask(shed(Noting, options)(seen), { headers })
      // the guard and the handler see the same
      assert.deepStrictEqual<ReadonlyArray<string>>(levels, [text])
      return text
    }).pipe(Effect.provide(Noting.layer))
  }
  const everybody = () => true
  const cases: ReadonlyArray<
    readonly [what: string, options: ShedOptions | undefined, headers: Record<string, string>, expected: string]
  > = [
    ["nobody is trusted by default", undefined, { "priority-level": "critical" }, "normal"],
    ["who is trusted may say more", { trust: everybody }, { "priority-level": "critical" }, "critical"],
    ["who is trusted may say less", { trust: everybody }, { "priority-level": "background" }, "background"],
    ["who is not trusted may not", { trust: () => false }, { "priority-level": "critical" }, "normal"],
    ["trust may be an effect", { trust: () => Effect.succeed(true) }, { "priority-level": "high" }, "high"],
    ["distrust may be an effect", { trust: () => Effect.succeed(false) }, { "priority-level": "high" }, "normal"],
    ["what is no level is ignored", { trust: everybody }, { "priority-level": "CRITICAL" }, "normal"],
    ["who says nothing has the default", { trust: everybody, priority: "low" }, {}, "low"],
    ["who is not trusted has the default", { priority: "low" }, { "priority-level": "critical" }, "low"],
    ["nonsense has the default", { trust: everybody, priority: "low" }, { "priority-level": "1" }, "low"],
    ["white space does not matter", { trust: everybody }, { "priority-level": " high " }, "high"],
    ["the header may be another", { trust: everybody, priorityHeader: "X-P" }, { "x-p": "high" }, "high"],
    ["and then that one alone", { trust: everybody, priorityHeader: "X-P" }, { "priority-level": "high" }, "normal"]
  ]
  for (const [what, options, headers, expected] of cases) {
    it.effect(what, () => Effect.map(said(options, headers), (level) => assert.strictEqual(level, expected)))
  }

  it.effect("trust is told the request, and only asked about those that say a level", () =>
    Effect.gen(function* () {
      let asked = 0
      const trust: ShedOptions["trust"] = ({ headers }) => {
        asked++
        return headers["x-secret"] === "s"
      }
      assert.strictEqual(yield* said({ trust }, {}), "normal")
      assert.strictEqual(yield* said({ trust }, { "priority-level": "nonsense" }), "normal")
      assert.strictEqual(asked, 0)
      assert.strictEqual(yield* said({ trust }, { "priority-level": "high", "x-secret": "s" }), "high")
      assert.strictEqual(yield* said({ trust }, { "priority-level": "high", "x-secret": "t" }), "normal")
      assert.strictEqual(asked, 2)
    })
  )

  it.effect("a full queue gives up the least important", () => {
    class Narrow extends Bulkhead.Service<Narrow>()("app/Narrow", { maxConcurrent: 1, maxQueue: 1 }) {}
    const app = shed(Narrow, { trust: everybody })(Effect.as(Effect.sleep("1 second"), HttpServerResponse.empty()))
    return Effect.gen(function* () {
      const at = (level: string) =>
        Effect.forkChild(
          Effect.map(ask(app, { headers: { "priority-level": level } }), ({ status }) => status),
          {
            startImmediately: true
          }
        )
      const [first, low, high] = [yield* at("normal"), yield* at("low"), yield* at("high")]
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Effect.all([first, low, high].map(Fiber.join)), [204, 503, 204])
    }).pipe(Effect.provide(Narrow.layer))
  })
})

describe("options and types", () => {
  it("refuses a priority that is none, and a header without a name", () => {
    assert.throws(() => shed(Closed, { priority: "urgent" as never }), InvalidOption)
    for (const priorityHeader of [" ", "a header", "x:y", 1 as never]) {
      assert.throws(() => shed(Closed, { priorityHeader }), InvalidOption, "priorityHeader")
    }
    shed(Closed, { priority: undefined, priorityHeader: undefined, trust: undefined, key: undefined })
  })

  it("refuses what is no guard, and what is no function", () => {
    for (const guard of [null, undefined, {}, "app/Closed", new Book()]) {
      assert.throws(() => shed(guard as never), InvalidOption, "Http.shed: guard must be the class of a guard")
    }
    assert.throws(() => shed(Closed, { trust: true as never }), InvalidOption, "Http.shed: trust")
    assert.throws(() => shed(Closed, { key: "k" as never }), InvalidOption, "Http.shed: key")
  })

  it("a keyed guard needs a key, and what trust needs is needed", () => {
    class Keyed extends Bulkhead.Service<Keyed>()("app/Keyed", { maxConcurrent: 1, keys: {} }) {}
    // @ts-expect-error: no key
    assert.throws(() => shed(Keyed), InvalidOption)
    // @ts-expect-error: no key
    assert.throws(() => shed(Keyed, { priority: "low" }), InvalidOption)
    const needy = shed(Keyed, { key: () => "k", trust: () => Effect.as(Closed, true) })
    const app: Effect.Effect<HttpServerResponse.HttpServerResponse, never, unknown> = needy(ok)
    // @ts-expect-error: it needs Closed and Keyed
    const free: Effect.Effect<HttpServerResponse.HttpServerResponse, never, Keyed> = needy(ok)
    assert.isTrue(Effect.isEffect(app) && Effect.isEffect(free))
  })
})

describe("with real sockets", () => {
  class Narrow extends Bulkhead.Service<Narrow>()("app/Narrow", { maxConcurrent: 1, maxQueue: 1 }) {}

  for (const global of [false, true]) {
    it.live(
      `${global ? "around a router" : "around routes"}: a client that goes away gives its slot, or its place in the queue, back`,
      () =>
        Effect.gen(function* () {
          const begun: Array<Deferred.Deferred<void>> = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          let runs = 0
          const handler = Effect.suspend(() => Effect.andThen(Deferred.succeed(begun[runs++]!, void 0), Effect.never))
          const narrow = forRouter(shed(Narrow))
          const routes = HttpRouter.add("GET", "/", handler)
          const layer = global
            ? Layer.merge(routes, HttpRouter.middleware(narrow, { global: true }))
            : Layer.provide(routes, HttpRouter.middleware(narrow).layer)
          const context = yield* Layer.build(Narrow.layer)
          const snapshot = Effect.provideContext(Narrow.snapshot(), context)
          const until = (waiting: number, inUse: number) =>
            Effect.repeat(Effect.andThen(Effect.yieldNow, snapshot), {
              until: (now) => now.waiting === waiting && now.inFlight === inUse
            })
          const url = yield* serving(Layer.provide(layer, Layer.succeedContext(context)))
          const get = () => {
            const abort = new AbortController()
            const response = fetch(url, { signal: abort.signal }).then(
              ({ status }) => status,
              () => "aborted"
            )
            return { abort: () => abort.abort(), response: Effect.promise(() => response) }
          }
          const first = get()
          yield* Deferred.await(begun[0]!)
          const second = get()
          yield* until(1, 1)
          assert.strictEqual(yield* get().response, 503)
          second.abort()
          yield* until(0, 1)
          const third = get()
          yield* until(1, 1)
          first.abort()
          yield* Deferred.await(begun[1]!)
          third.abort()
          yield* until(0, 0)
          assert.strictEqual(runs, 2)
        }).pipe(Effect.scoped)
    )
  }
})

describe("an HttpApi", () => {
  it.live("has it by its routes' layer", () =>
    Effect.gen(function* () {
      const open = HttpApiEndpoint.get("report", "/report", { success: Schema.String })
      const Api = HttpApi.make("api").add(HttpApiGroup.make("reports").add(open))
      let begun = 0
      const group = HttpApiBuilder.group(Api, "reports", (handlers) =>
        handlers.handle("report", () => Effect.sync(() => `report ${++begun}`))
      )
      class Once extends RateLimit.Service<Once>()("app/Once", { limit: 1, window: "1 hour" }) {}
      const routes = HttpApiBuilder.layer(Api).pipe(
        Layer.provide(group),
        Layer.provide(HttpRouter.middleware(forRouter(shed(Once))).layer),
        Layer.provide(NodeHttpServer.layerHttpServices),
        Layer.provide(Once.layer)
      )
      const url = yield* serving(routes)
      const get = Effect.promise(() => fetch(`${url}/report`))
      const first = yield* get
      assert.strictEqual(yield* Effect.promise(() => first.text()), '"report 1"')
      const refused = yield* get
      assert.deepStrictEqual(
        [refused.status, refused.headers.get("content-type"), begun],
        [429, "application/problem+json", 1]
      )
      assert.isAbove(Number(refused.headers.get("retry-after")), 0)
    }).pipe(Effect.scoped)
  )
})
