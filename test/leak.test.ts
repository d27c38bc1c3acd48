// Rule 25: state lives in a Layer's scope and goes with it.
import { assert, describe, it } from "@effect/vitest"
import {
  Backoff,
  CircuitBreaker,
  Fallback,
  Fault,
  Policy,
  RetryBudget,
  Telemetry,
  withResilience
} from "effect-resilience"
import { Context, Deferred, Effect, Exit, Layer, ManagedRuntime, Scope } from "effect"
import { Net } from "./kit.ts"
import { runInterrupted } from "./virtual.ts"

class Hosts extends CircuitBreaker.Service<Hosts>()("test/Hosts", {
  trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: "10 seconds" }),
  keys: { max: 100, idleTimeToLive: "1 minute" }
}) {}
class Tenants extends RetryBudget.Service<Tenants>()("test/Tenants", RetryBudget.ratio(), {
  keys: { max: 100, idleTimeToLive: "1 minute" }
}) {}
class Active extends RetryBudget.Service<Active>()("test/Active", RetryBudget.concurrent()) {}
class Last extends Fallback.Stale<Last, number>()("test/Last", { maxAge: "1 minute", max: 50 }) {}

const policy = Policy.make({
  name: "p",
  faults: Fault.all,
  safety: "idempotent",
  deadline: "10 seconds",
  attemptTimeout: "1 second",
  retry: Backoff.constant(0).pipe(Backoff.times(1)),
  budget: [Tenants, Active],
  guards: [Hosts]
})

const layer = Layer.mergeAll(Hosts.layer, Tenants.layer, Active.layer, Last.layer, Telemetry.layer)

const timers = () =>
  process.getActiveResourcesInfo().filter((name) => name === "Timeout" || name === "Immediate").length

/** How many are still there when garbage has been collected. */
const kept = async (values: ReadonlyArray<WeakRef<object>>): Promise<number> => {
  const { setFlagsFromString } = await import("node:v8")
  setFlagsFromString("--expose-gc")
  const { runInNewContext } = await import("node:vm")
  const gc = runInNewContext("gc") as () => void
  const left = () => values.filter((value) => value.deref() !== undefined).length
  for (let i = 0; i < 10 && left() > 0; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    gc()
  }
  return left()
}

describe("leaks", () => {
  it.live("100 000 calls through a scoped layer, then close: nothing is left", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layer, scope)
      const before = timers()
      let n = 0
      const call = (i: number) =>
        Effect.suspend(() => (++n % 10 === 0 ? Effect.fail(new Net({})) : Effect.succeed(i))).pipe(
          withResilience(policy, { key: `host-${i % 1_000}` }),
          Last.orStale(`key-${i % 1_000}`),
          Effect.ignore
        )
      yield* Effect.gen(function* () {
        for (let i = 0; i < 100_000; i++) yield* call(i)
        assert.isAtMost((yield* Hosts.snapshots).length, 100)
        assert.isAtMost((yield* Tenants.snapshots).length, 100)
        assert.strictEqual(yield* Active.balance(), 3)
      }).pipe(Effect.provideContext(context))
      assert.isAtLeast(n, 100_000)
      assert.isAtMost(timers(), before)
      yield* Scope.close(scope, Exit.void)
      assert.isAtMost(timers(), before)
    })
  )

  it("after the layer is closed its services can be collected, although the policy lives on", async () => {
    const services = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const context = yield* Layer.build(layer)
          yield* Effect.succeed(1).pipe(withResilience(policy, { key: "a" }), Effect.provideContext(context))
          return [Hosts, Tenants, Active, Last, Telemetry.Telemetry].map(
            (tag) => new WeakRef<object>(Context.getUnsafe(context as Context.Context<unknown>, tag as never))
          )
        })
      )
    )
    assert.strictEqual(await kept(services), 0)
  })

  it("while the layer is open nothing of the requests that are over is kept, nor of the calls around them", async () => {
    const Body = Context.Service<object>("test/Body")
    const outer = Policy.make({ name: "outer", budget: Active })
    const runtime = ManagedRuntime.make(layer)
    const gone: Array<WeakRef<object>> = []
    const remember = (value: object) => {
      gone.push(new WeakRef(value))
      return value
    }
    const inner = Effect.succeed(1).pipe(withResilience(policy, { key: "a" }))
    // as often as it takes for the policies to keep what they find
    const request = Effect.gen(function* () {
      for (let i = 0; i < 10; i++) yield* inner
      return remember({})
    }).pipe(withResilience(outer), Effect.asVoid)
    for (let i = 0; i < 5; i++) {
      await runtime.runPromise(
        Effect.gen(function* () {
          for (let i = 0; i < 10; i++) yield* request
        }).pipe(Effect.provideService(Body, remember({})))
      )
    }
    // each leaves the next one behind
    const end = Deferred.makeUnsafe<void>()
    const chain = (n: number): Effect.Effect<unknown, unknown, Hosts | Tenants | Active> =>
      n === 0
        ? Deferred.succeed(end, undefined)
        : Effect.gen(function* () {
            for (let i = 0; i < 10; i++) yield* inner
            yield* Effect.forkDetach(Effect.provideService(chain(n - 1), Body, remember({})))
          }).pipe(withResilience(outer))
    await runtime.runPromise(Effect.andThen(chain(20), Deferred.await(end)))
    assert.strictEqual(gone.length, 75)
    // the engine may still have the last one at hand
    assert.isAtMost(await kept(gone), 1)
    await runtime.dispose()
  })

  it("a call that waits leaves no frames behind on the fiber, however often it retries", () => {
    const many = Policy.make({
      name: "many",
      faults: Fault.all,
      safety: "idempotent",
      retry: Backoff.constant(1),
      attemptTimeout: "10 millis",
      unbounded: true
    })
    let n = 0
    const depths: Array<number> = []
    const self = Effect.withFiber(() => {
      n++
      return Effect.andThen(Effect.sleep(1), n < 500 ? Effect.fail(new Net({})) : Effect.succeed("ok"))
    })
    const observed = Effect.withFiber((fiber) => {
      // the only look at the runtime's own stack: there is no public one
      const stack = (fiber as unknown as { readonly _stack: ReadonlyArray<unknown> })._stack
      return withResilience(
        Effect.suspend(() => {
          depths.push(stack.length)
          return self
        }),
        many
      )
    })
    const run = runInterrupted(observed, undefined, false)
    assert.deepStrictEqual(run.exit, Exit.succeed("ok"))
    assert.strictEqual(depths.length, 500)
    assert.isAtMost(Math.max(...depths) - depths[0]!, 2)
  })
})
