// The rate limit over a real Redis: two processes, as far as Redis can tell, and a server that dies and comes back.
//
// Needs `redis-server` on the PATH, which it starts on a free port; or the URL of a server in RESILIENCE_REDIS_URL, which it
// does not stop. Without either, it says so and tests nothing.
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Logger, Schedule } from "effect"
import { RateLimiter } from "effect/persistence"
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as RateLimit from "../src/RateLimit.ts"
import { errorOf } from "./kit.ts"

const given = process.env["RESILIENCE_REDIS_URL"]
const isInstalled = spawnSync("redis-server", ["--version"]).error === undefined

// -- a server ----------------------------------------------------------------------------------------------------------

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Started when it is ready; stopped with the scope, if it still runs. */
const started = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly kill: Effect.Effect<void> }>((resume) => {
      const dir = mkdtempSync(join(tmpdir(), "effect-resilience-redis-"))
      const server: ChildProcess = spawn(
        "redis-server",
        ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"],
        { stdio: ["ignore", "pipe", "ignore"] }
      )
      const kill = Effect.callback<void>((resume) => {
        if (server.exitCode !== null || server.signalCode !== null) return resume(Effect.void)
        server.once("exit", () => {
          rmSync(dir, { recursive: true, force: true })
          resume(Effect.void)
        })
        server.kill("SIGKILL")
      })
      server.once("exit", (code) => resume(Effect.die(`redis-server ended with ${code} before it was ready`)))
      server.stdout!.on("data", (line: Buffer) => {
        if (line.toString().includes("Ready to accept connections")) resume(Effect.succeed({ kill }))
      })
    }),
    ({ kill }) => kill
  )

const server =
  given === undefined ? Effect.flatMap(freePort, (port) => Effect.as(started(port), url(port))) : Effect.succeed(given)
const url = (port: number) => `redis://127.0.0.1:${port}`

// -- limits over it ----------------------------------------------------------------------------------------------------

/** Another one each time, in case the server is somebody's. */
const newId = () => `test/${randomUUID()}`

/** What a process of its own would have: its own client, its own guard. */
const processWith = <Self, E>(limit: Layer.Layer<Self, E, RateLimiter.RateLimiterStore>, url: string) =>
  Layer.build(
    Layer.fresh(limit).pipe(Layer.provide(RateLimiter.layerStoreRedis()), Layer.provide(NodeRedis.layer({ url })))
  )

/** "ok", or why not. */
const end = <A, R>(self: Effect.Effect<A, RateLimit.RateLimited, R>) =>
  Effect.map(Effect.exit(self), (exit) => (Exit.isSuccess(exit) ? "ok" : errorOf(exit).reason))

// a client that loses its server says so, again and again
const quiet = Effect.provide(Logger.layer([]))

describe.skipIf(given === undefined && !isInstalled)("over Redis", () => {
  for (const algorithm of ["fixed-window", "token-bucket"] as const) {
    it.live(`${algorithm}: two processes share one limit`, () =>
      Effect.gen(function* () {
        const url = yield* server
        class Limit extends RateLimit.Service<Limit>()(newId(), { limit: 7, window: "1 hour", algorithm }) {}
        const [one, two] = [yield* processWith(Limit.layerShared, url), yield* processWith(Limit.layerShared, url)]
        const calls = Effect.forEach([1, 2, 3, 4, 5], () => Effect.exit(Limit.protect(Effect.void)), { concurrency: 5 })
        const exits = yield* Effect.all([Effect.provide(calls, one), Effect.provide(calls, two)], { concurrency: 2 })
        const refused = exits.flat().filter(Exit.isFailure).map(errorOf)
        assert.strictEqual(refused.length, 3)
        for (const { reason, retryAfter } of refused) {
          assert.strictEqual(reason, "limit")
          assert.isDefined(retryAfter)
        }
      }).pipe(quiet)
    )

    it.live(`${algorithm}: calls wait for what comes back, in their order`, () =>
      Effect.gen(function* () {
        class Limit extends RateLimit.Service<Limit>()(newId(), {
          limit: 2,
          window: "200 millis",
          maxWait: "30 seconds",
          algorithm,
          storeTimeout: "10 seconds"
        }) {}
        const client = yield* processWith(Limit.layerShared, yield* server)
        const order: Array<number> = []
        yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6], (i) => Limit.protect(Effect.sync(() => void order.push(i))), {
          concurrency: "unbounded"
        }).pipe(Effect.provide(client))
        assert.deepStrictEqual(order, [0, 1, 2, 3, 4, 5, 6])
      }).pipe(quiet)
    )
  }

  it.live("trap: the two entries of a bucket. No key can be mistaken for that of another", () =>
    Effect.gen(function* () {
      class Keyed extends RateLimit.Service<Keyed>()(newId(), {
        limit: 1,
        window: "1 hour",
        algorithm: "token-bucket",
        keys: {}
      }) {}
      const client = yield* processWith(Keyed.layerShared, yield* server)
      const use = (key: string) => end(Keyed.protect(Effect.void, { key }))
      const ends = yield* Effect.forEach(["a", "b", "a", "a:refill"], use).pipe(Effect.provide(client))
      assert.deepStrictEqual(ends, ["ok", "ok", "limit", "ok"])
    }).pipe(quiet)
  )

  it.live("trap: a token bucket goes by the clock of whoever asks, as documented; a fixed window does not", () =>
    Effect.gen(function* () {
      const url = yield* server
      const clock = yield* Clock.Clock
      const ahead: Clock.Clock = Object.assign(Object.create(clock) as Clock.Clock, {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + 3_600_000
      })
      for (const [algorithm, fooled] of [
        ["token-bucket", "ok"],
        ["fixed-window", "limit"]
      ] as const) {
        class Limit extends RateLimit.Service<Limit>()(newId(), { limit: 1, window: "1 hour", algorithm }) {}
        // each time a process that knows nothing yet
        const use = Effect.flatMap(processWith(Limit.layerShared, url), (client) =>
          Effect.provide(end(Limit.protect(Effect.void)), client)
        )
        assert.deepStrictEqual([yield* use, yield* use], ["ok", "limit"])
        assert.strictEqual(yield* Effect.provideService(use, Clock.Clock, ahead), fooled, algorithm)
      }
    }).pipe(quiet)
  )
})

describe.skipIf(!isInstalled)("over a Redis that dies", () => {
  for (const [onStoreError, expected] of [
    ["admit", "ok"],
    ["reject", "store"]
  ] as const) {
    it.live(`${onStoreError}: nothing hangs, and the limit is back when Redis is`, () =>
      Effect.gen(function* () {
        class Limit extends RateLimit.Service<Limit>()(newId(), {
          limit: 3,
          window: "1 hour",
          onStoreError,
          // long enough for a machine that is busy
          storeTimeout: "1 second"
        }) {}
        const call = end(Limit.protect(Effect.void))
        const port = yield* freePort
        const first = yield* started(port)
        const client = yield* processWith(Limit.layerShared, url(port))
        yield* Effect.gen(function* () {
          for (let i = 0; i < 2; i++) assert.strictEqual(yield* call, "ok")
          yield* first.kill
          for (let i = 0; i < 3; i++) assert.strictEqual(yield* call, expected)
          // what it knew it still knows
          assert.strictEqual((yield* Limit.snapshot()).remaining, 1)

          // It comes back, without tokens taken and without scripts; somebody else uses them all up
          yield* started(port)
          const other = yield* processWith(Limit.layerSharedWith({ storeTimeout: "10 seconds" }), url(port))
          yield* Effect.repeat(Effect.provide(call, other), { until: (end) => end === "limit" })
          // the client finds it when it next looks, which is its own affair
          yield* Effect.repeat(call, { until: (end) => end === "limit", schedule: Schedule.spaced("20 millis") }).pipe(
            Effect.timeout("20 seconds")
          )
        }).pipe(Effect.provide(client))
      }).pipe(quiet)
    )
  }
})

if (given === undefined && !isInstalled) it.skip("not tested: it needs redis-server, or RESILIENCE_REDIS_URL")
