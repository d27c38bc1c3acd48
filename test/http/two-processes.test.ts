// Client, A and B: three processes, with real time between them. What counts is what B sees.
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, type Scope } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { Backoff, Policy, RetryBudget } from "effect-resilience"
import { fork, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import * as Http from "../../src/http/index.ts"
import { giveUpHeader, type Books, type SaidToA, type SaidToB } from "./process.ts"

interface Process {
  readonly url: string
  /** What it is to be from now on; with new books. */
  readonly is: (said: SaidToA | SaidToB) => Effect.Effect<unknown>
  readonly books: Effect.Effect<Books>
}

const heard = async (child: ChildProcess): Promise<unknown> => {
  const [message] = await once(child, "message")
  return message
}

/** A server in a process of its own, which ends with the scope. */
const started: Effect.Effect<Process, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => {
    const child = fork(join(import.meta.dirname, "process.ts"), [], {
      execArgv: ["--conditions=effect-resilience-source"],
      env: { PATH: process.env["PATH"] }
    })
    return { child, url: (await heard(child)) as string }
  }),
  ({ child }) => Effect.sync(() => child.kill())
).pipe(
  Effect.map(({ child, url }) => {
    const tell = (message: SaidToA | SaidToB | "books") =>
      Effect.promise(() => {
        const answer = heard(child)
        child.send(message)
        return answer as Promise<Books>
      })
    return { url, is: tell, books: tell("books") }
  })
)

class Processes extends Context.Service<Processes, { readonly a: Process; readonly b: Process }>()("test/Processes") {
  static readonly layer = Layer.effect(Processes, Effect.all({ a: started, b: started }, { concurrency: 2 }))
}

const both = Effect.fnUntraced(function* (toA: Partial<SaidToA>, toB: Partial<SaidToB>) {
  const { a, b } = yield* Processes
  yield* b.is({ places: 4, takes: 400, dead: false, ...toB })
  yield* a.is({ upstream: b.url, tells: true, deaf: false, thinks: 0, retries: 0, budget: false, ...toA })
  return { a, b }
})

/** What B has done, in the end. */
const inTheEnd = Effect.fnUntraced(function* ({ books }: Process) {
  for (let i = 0; i < 200; i++) {
    const now = yield* books
    if (now.busy === 0) return now
    yield* Effect.sleep("50 millis")
  }
  return yield* Effect.die("B is still busy")
})

const patience = 1_000
const page = Policy.make({ name: "page", deadline: patience })

/** Calls at once, more of them than B can serve in time; and how they end. */
const calls = Effect.fnUntraced(function* (a: Process, count: number) {
  const client = (yield* HttpClient.HttpClient).pipe(Http.resilient(page))
  const call = Effect.suspend(() =>
    client.get(a.url, { headers: { [giveUpHeader]: String(Date.now() + patience) } })
  ).pipe(Effect.match({ onSuccess: () => "served", onFailure: (error) => error._tag }))
  return yield* Effect.all(
    Array.from({ length: count }, () => call),
    { concurrency: "unbounded" }
  )
})

layer(Layer.merge(Processes.layer, FetchHttpClient.layer), { excludeTestServices: true })((it) => {
  describe("a deadline of one second at the client, over A, at B", () => {
    const crowd = 40

    for (const deaf of [false, true]) {
      it.effect(`B stops when the client gives up, ${deaf ? "though A does not notice" : "as A does"}`, () =>
        Effect.gen(function* () {
          const { a, b } = yield* both({ deaf }, {})
          const ends = yield* calls(a, crowd)
          const books = yield* inTheEnd(b)
          const served = ends.filter((end) => end === "served").length
          // A may answer that it is too late just before the client finds so
          assert.deepStrictEqual(
            [...new Set(ends)].filter((end) => !/^(served|DeadlineExceeded|HttpClientError)$/.test(end)),
            []
          )
          assert.isAbove(served, 0)
          assert.isBelow(served, crowd)
          assert.strictEqual(books.requests, crowd)
          assert.isAtLeast(books.finished, served)
          // those that had waited for a place until then were not begun
          assert.isBelow(books.begun, crowd)
          assert.strictEqual(books.late, 0)
        })
      )
    }

    it.effect("without a word to B, it works on and on for nobody", () =>
      Effect.gen(function* () {
        const { a, b } = yield* both({ deaf: true, tells: false }, {})
        yield* calls(a, crowd)
        const books = yield* inTheEnd(b)
        assert.strictEqual(books.finished, crowd)
        assert.isAbove(books.late, 0)
      })
    )

    it.effect("B is not asked at all when the time is up before A gets to it", () =>
      Effect.gen(function* () {
        const { a, b } = yield* both({ thinks: 1_300 }, {})
        yield* calls(a, 5)
        yield* Effect.sleep("600 millis")
        assert.strictEqual((yield* b.books).requests, 0)
      })
    )
  })

  describe("a dead B", () => {
    class Budget extends RetryBudget.Service<Budget>()("test/http/ClientBudget", RetryBudget.ratio()) {}

    const retry = Backoff.exponential({ base: "5 millis", cap: "50 millis" }).pipe(Backoff.fullJitter, Backoff.times(2))
    const retrying = Policy.make({ name: "page", safety: "idempotent", retry })
    const budgeted = Policy.extend(retrying, { name: "page", budget: Budget })

    /** Calls at 200 a second, for so many seconds. */
    const traffic = Effect.fnUntraced(function* <E, R>(call: Effect.Effect<unknown, E, R>, seconds: number) {
      const fibers: Array<Fiber.Fiber<unknown>> = []
      const start = performance.now()
      while (fibers.length < seconds * 200) {
        const due = Math.min(seconds * 200, (performance.now() - start) / 5)
        while (fibers.length < due) fibers.push(yield* Effect.forkChild(Effect.exit(call)))
        yield* Effect.sleep("10 millis")
      }
      yield* Effect.forEach(fibers, Fiber.join)
      return fibers.length
    })

    it.effect("with budgets at the client and at A, gets at most 1.2 times the calls", () =>
      Effect.gen(function* () {
        const { a, b } = yield* both({ retries: 2, budget: true }, { dead: true })
        const client = (yield* HttpClient.HttpClient).pipe(Http.resilient(budgeted))
        const made = yield* traffic(client.get(a.url), 8)
        const { requests } = yield* b.books
        assert.strictEqual(made, 1_600)
        assert.isAtLeast(requests, made)
        assert.isAtMost(requests / made, 1.2)
      }).pipe(Effect.provide(Budget.layer))
    )

    it.effect("without, gets nine times as many", () =>
      Effect.gen(function* () {
        const { a, b } = yield* both({ retries: 2 }, { dead: true })
        const client = (yield* HttpClient.HttpClient).pipe(Http.resilient(retrying))
        const made = yield* traffic(client.get(a.url), 0.5)
        assert.strictEqual((yield* b.books).requests, made * 9)
      })
    )
  })
})
