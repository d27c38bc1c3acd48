// What goes on of a request although nobody waits for it any more keeps its place in the guards in front of it.
import { request as send } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Bulkhead, Deadline, Guard } from "effect-resilience"
import { deadline } from "../../src/http/deadlineMiddleware.ts"
import { idempotency } from "../../src/http/idempotency.ts"
import { IdempotencyStore } from "../../src/http/idempotencyStore.ts"
import { shed } from "../../src/http/shedding.ts"
import { Book, bookedGuard } from "../kit.ts"
import { ask, serving } from "./serverKit.ts"

const memory = IdempotencyStore.layerMemory()

const post = (key: string, headers: Record<string, string> = {}) => ({
  method: "POST" as const,
  headers: { "idempotency-key": key, ...headers }
})

/** A handler that runs until `go`. */
const slow = Effect.gen(function* () {
  const begun = yield* Deferred.make<void>()
  const go = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<void>()
  const app = Deferred.succeed(begun, void 0).pipe(
    Effect.andThen(Deferred.await(go)),
    Effect.as(HttpServerResponse.text("paid")),
    Effect.ensuring(Deferred.succeed(ended, void 0))
  )
  return { app, begun, go, ended }
})

/** Until what follows the end of a fiber has happened. */
const settledDown = Effect.repeat(Effect.yieldNow, { times: 50 })

describe("a handler that goes on after its deadline", () => {
  it.effect("keeps its permits until it has ended: the outcome is that of the cut, the time that of the end", () => {
    const inner = new Book()
    const outer = new Book()
    class Inner extends Guard.Service<Inner, never>()("app/Inner", bookedGuard(inner, "app/Inner")) {}
    class Outer extends Guard.Service<Outer, never>()("app/Outer", bookedGuard(outer, "app/Outer")) {}
    return Effect.gen(function* () {
      const { app, begun, ended, go } = yield* slow
      const once = app.pipe(idempotency(), shed(Inner), shed(Outer), deadline({ limit: "1 second" }))
      const first = yield* Effect.forkChild(ask(once, post("k")))
      yield* Deferred.await(begun)
      yield* TestClock.adjust("1 second")
      // told at once
      assert.strictEqual((yield* Fiber.join(first)).status, 504)
      assert.deepStrictEqual([inner.held, outer.held], [1, 1])
      yield* TestClock.adjust("2 seconds")
      yield* Deferred.succeed(go, void 0)
      yield* Deferred.await(ended)
      yield* settledDown
      for (const book of [inner, outer]) {
        assert.deepStrictEqual(
          book.settled.map(({ elapsed, outcome }) => [outcome.kind, elapsed]),
          [["timeout", 3000]]
        )
      }
    }).pipe(Effect.provide([memory, Inner.layer, Outer.layer]))
  })

  it.effect("keeps it, too, while something goes on that it began for a key of its own", () => {
    const book = new Book()
    class Booked extends Guard.Service<Booked, never>()("app/Booked", bookedGuard(book, "app/Booked")) {}
    return Effect.gen(function* () {
      const { app, begun, ended, go } = yield* slow
      const nested = app.pipe(idempotency({ caller: () => "nested" }), Deadline.within("2 seconds"))
      const once = nested.pipe(idempotency(), shed(Booked), deadline({ limit: "1 second" }))
      const first = yield* Effect.forkChild(ask(once, post("k")))
      yield* Deferred.await(begun)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(first)).status, 504)
      yield* TestClock.adjust("1 second")
      yield* settledDown
      assert.strictEqual(book.held, 1)
      yield* Deferred.succeed(go, void 0)
      yield* Deferred.await(ended)
      yield* settledDown
      assert.deepStrictEqual([book.admitted, book.settled.length], [1, 1])
    }).pipe(Effect.provide([memory, Booked.layer]))
  })

  const settles: ReadonlyArray<readonly [what: string, settle: () => void | Effect.Effect<void>, logged: number]> = [
    ["an effect", () => Effect.void, 0],
    ["an effect that dies", () => Effect.die("bug"), 1],
    [
      "nothing, and throws",
      () => {
        throw new Error("bug")
      },
      1
    ]
  ]
  for (const [what, settle, logged] of settles) {
    it.effect(`settles a permit that gives ${what}`, () => {
      let settled = 0
      const logs: Array<unknown> = []
      const logger = Logger.make<unknown, void>(({ message }) => void logs.push(message))
      class Own extends Guard.Service<Own, never>()("app/Own", {
        name: "app/Own",
        phase: "concurrency",
        admit: () => Guard.admitted({ settle: () => (settled++, settle()) })
      }) {}
      return Effect.gen(function* () {
        const { app, begun, ended, go } = yield* slow
        const once = app.pipe(idempotency(), shed(Own), deadline({ limit: "1 second" }))
        const first = yield* Effect.forkChild(ask(once, post("k")))
        yield* Deferred.await(begun)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(first)
        assert.strictEqual(settled, 0)
        yield* Deferred.succeed(go, void 0)
        yield* Deferred.await(ended)
        yield* settledDown
        assert.deepStrictEqual([settled, logs.length], [1, logged])
      }).pipe(Effect.provide([memory, Own.layer, Logger.layer([logger])]))
    })
  }
})

describe("with real sockets", () => {
  it.live("clients with short deadlines get no more handlers at once than the guard allows", () =>
    Effect.gen(function* () {
      class Slots extends Bulkhead.Service<Slots>()("app/Slots", { maxConcurrent: 1, maxQueue: 0 }) {}
      let running = 0
      let peak = 0
      let begun = 0
      const pay = Effect.gen(function* () {
        begun++
        running++
        peak = Math.max(peak, running)
        yield* Effect.sleep("300 millis")
        running--
        return HttpServerResponse.text("paid")
      })
      const built = yield* Layer.build(Layer.merge(memory, Slots.layer))
      const app = pay.pipe(idempotency(), shed(Slots), deadline({ limit: "200 millis" }), Effect.provideContext(built))
      const url = yield* serving(HttpRouter.add("POST", "/", app))
      const status = (key: string, timeout: string) =>
        Effect.callback<number>((resume) => {
          const headers = { "idempotency-key": key, "grpc-timeout": timeout }
          send(url, { method: "POST", headers, agent: false }, (response) => {
            response.resume()
            resume(Effect.succeed(response.statusCode!))
          }).end("x")
        })
      const statuses: Array<number> = []
      for (let i = 0; i < 6; i++) statuses.push(yield* status(`k${i}`, "20m"))
      assert.deepStrictEqual(statuses, [504, 503, 503, 503, 503, 503])
      yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => running === 0, times: 500 })
      // what was finished is answered when it is asked for, and the place is free
      const again = yield* Effect.repeat(status("k0", "1S"), { until: (said) => said !== 503, times: 500 })
      assert.deepStrictEqual([again, peak, begun], [200, 1, 1])
    }).pipe(Effect.scoped)
  )
})
