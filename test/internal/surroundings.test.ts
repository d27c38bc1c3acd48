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

const full = () => compile({ name: "p", guards: [Circuit, Slots] as never, budget: [Mine, Ours] as never })

/** All that stands in a context, by name. */
const said = (plan: ReturnType<typeof compile>, context: Context.Context<never>) => {
  const { budgets, clock, frame, guards, listener, order, retrying } = surroundings(plan, context)
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

  it("is found once for calls that come in one context", () => {
    const plan = full()
    const context = services()
    assert.strictEqual(surroundings(plan, context), surroundings(plan, context))
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
    // each after each other
    for (const [before] of contexts) {
      for (const [context, change] of contexts) {
        surroundings(plan, before as never)
        assert.deepStrictEqual(said(plan, context as never), { ...plain, ...(change as object) })
      }
    }
  })

  it("is kept beside the services of each runtime, and for each policy apart", () => {
    const [a, b] = [full(), compile({ name: "b", guards: [Slots] as never })]
    const [here, there] = [services(), services()]
    const first = [surroundings(a, here), surroundings(a, there), surroundings(b, here)]
    assert.strictEqual(new Set(first).size, 3)
    assert.deepStrictEqual(said(b, here), { ...plain, guards: ["slots"], order: [0], budgets: [] })
    assert.strictEqual(surroundings(a, here), first[0])
    assert.strictEqual(surroundings(a, there), first[1])
  })

  it("goes together with the order of its guards, also in a copy of the plan that has never run", () => {
    const plan = full()
    const copy = { ...plan }
    const context = services()
    surroundings(plan, context)
    const { guards, order } = surroundings(copy, context)
    assert.deepStrictEqual(
      order.map((i) => copy.guards[i]!.key),
      ["test/Slots", "test/Circuit"]
    )
    assert.deepStrictEqual(
      guards.map(({ name }) => name),
      ["slots", "circuit"]
    )
  })

  it("is looked for each time by a policy without any service", () => {
    const plan = compile({ name: "bare" })
    const context = services()
    assert.notStrictEqual(surroundings(plan, context), surroundings(plan, context))
    assert.deepStrictEqual(said(plan, context), { ...plain, guards: [], order: [], budgets: [] })
  })

  it("dies where a service is missing", () => {
    assert.throws(() => surroundings(full(), Context.empty()), /test\/Circuit/)
    assert.throws(() => surroundings(compile({ name: "b", budget: Ours as never }), Context.empty()), /test\/Ours/)
  })
})
