import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Schedule } from "effect"
import type { Guard } from "../../src/Guard.ts"
import type { Budget } from "../../src/internal/budget.ts"
import { CurrentCall, Region } from "../../src/internal/currentCall.ts"
import { CurrentListener } from "../../src/internal/events.ts"
import { compile } from "../../src/internal/plan.ts"
import { surroundings } from "../../src/internal/surroundings.ts"
import { liveClock } from "../../src/internal/time.ts"

const guard = (name: string, phase: Guard<unknown>["phase"]): Guard<unknown> => ({
  name,
  phase,
  admit: () => ({ _tag: "Admitted", permit: { settle: () => {} } })
})
const budget = (name: string): Budget => ({
  name,
  begin: () => ({ attempt: () => {}, retry: () => undefined, end: () => {} })
})

const Circuit = Context.Service<Guard<unknown>>("test/Circuit")
const Slots = Context.Service<Guard<unknown>>("test/Slots")
const Mine = Context.Service<Budget>("test/Mine")
const Ours = Context.Service<Budget>("test/Ours")

const services = () =>
  Context.empty().pipe(
    Context.add(Circuit, guard("circuit", "circuit")),
    Context.add(Slots, guard("slots", "concurrency")),
    Context.add(Mine, budget("mine")),
    Context.add(Ours, budget("ours"))
  ) as Context.Context<never>

const full = () => compile({ name: "p", guards: [Circuit, Slots] as never, budget: [Mine, Ours] as never }, "test")

type Plan = ReturnType<typeof compile>

const found = (plan: Plan, context: Context.Context<never>) => surroundings(plan, context)

/** The same, by name. */
const said = (plan: Plan, context: Context.Context<never>) => {
  const { budgets, clock, frame, guards, listener, order, retrying } = found(plan, context)
  return {
    guards: guards.map(({ name }) => name),
    order,
    budgets: budgets.map(({ name }) => name),
    live: clock === liveClock,
    frame,
    listener,
    retrying
  }
}

const plain = {
  guards: ["slots", "circuit"],
  order: [1, 0],
  budgets: ["mine", "ours"],
  live: true,
  frame: undefined,
  listener: undefined,
  retrying: false
}

describe("what a policy finds around a call", () => {
  it("is the guards by phase, the budgets, and what is mostly not there", () => {
    assert.deepStrictEqual(said(full(), services()), plain)
  })

  it("is found a few times in a context in which one call is made after the other", () => {
    const plan = full()
    const context = services()
    const seen = new Set(Array.from({ length: 10 }, () => found(plan, context)))
    assert.strictEqual(seen.size, 8)
    assert.strictEqual(new Set([found(plan, context), found(plan, context)]).size, 1)
  })

  it("is found anew in each of many contexts, and then in one that comes again and again among them", () => {
    const plan = full()
    const again = services()
    const seen = new Set(Array.from({ length: 100 }, (_, i) => found(plan, i % 3 === 0 ? again : services())))
    assert.isAtLeast(seen.size, 66 + 1)
    assert.isAtMost(seen.size, 66 + 24)
    assert.strictEqual(found(plan, again), found(plan, again))
  })

  it("is what the context of this call says, whatever the last one said", () => {
    const plan = full()
    const around = services()
    const frame = new Region(undefined, {}, 0)
    const listener = () => {}
    const clock = Object.create(liveClock) as Clock.Clock
    const retried = { ...Schedule.CurrentMetadata.defaultValue(), attempt: 1 }
    const contexts = [
      [around, {}],
      [Context.add(around, CurrentCall, frame), { frame }],
      [Context.add(around, CurrentListener, listener), { listener }],
      [Context.add(around, Clock.Clock, clock), { live: false }],
      [Context.add(around, Schedule.CurrentMetadata, retried), { retrying: true }],
      // an outer retry that is at its first attempt
      [Context.add(around, Schedule.CurrentMetadata, { ...retried, attempt: 0 }), {}],
      [Context.add(around, Circuit, guard("other circuit", "circuit")), { guards: ["slots", "other circuit"] }],
      [Context.add(around, Ours, budget("other budget")), { budgets: ["mine", "other budget"] }]
    ] as const
    // each after each other, which was looked for so often that it is kept
    for (const [before] of contexts) {
      for (const [context, change] of contexts) {
        for (let i = 0; i < 10; i++) found(plan, before as never)
        assert.deepStrictEqual(said(plan, context as never), { ...plain, ...(change as object) })
      }
    }
  })

  it("is kept for each policy apart", () => {
    const [a, b] = [full(), compile({ name: "b", guards: [Slots] as never }, "test")]
    const context = services()
    for (let i = 0; i < 10; i++) {
      assert.deepStrictEqual(said(a, context), plain)
      assert.deepStrictEqual(said(b, context), { ...plain, guards: ["slots"], order: [0], budgets: [] })
    }
  })

  it("goes together with the order of its guards, also in a copy of the plan that has never run", () => {
    const plan = full()
    const copy = { ...plan }
    const context = services()
    for (let i = 0; i < 10; i++) found(plan, context)
    const { guards, order } = found(copy, context)
    assert.deepStrictEqual(
      order.map((i) => copy.guards[i]!.key),
      ["test/Slots", "test/Circuit"]
    )
    assert.deepStrictEqual(
      guards.map(({ name }) => name),
      ["slots", "circuit"]
    )
  })

  it("is nothing of a policy without any service", () => {
    assert.deepStrictEqual(said(compile({ name: "bare" }, "test"), services()), {
      ...plain,
      guards: [],
      order: [],
      budgets: []
    })
  })

  it("dies where a service is missing", () => {
    assert.throws(() => found(full(), Context.empty()), /test\/Circuit/)
    assert.throws(() => found(compile({ name: "b", budget: Ours as never }, "test"), Context.empty()), /test\/Ours/)
  })
})
