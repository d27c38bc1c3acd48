import { assert, describe, it } from "@effect/vitest"
import { Slots, Waiter } from "../../src/internal/slots.ts"
import type { Answer, SlotsOptions } from "../../src/internal/slots.ts"

const make = (options: Partial<SlotsOptions> = {}) =>
  new Slots({ limit: 1, maxQueue: 10, order: "fifo", standingMs: 100, ...options })

/** Keeps the answers of those that wait, in the order in which they were told. */
class Log {
  readonly answers: Array<string> = []
  waiter(
    name: string,
    options: { rank?: number; deadline?: number; answered?: (answer: Answer, waiter: Waiter) => void } = {}
  ) {
    return new Named(this, name, options.rank ?? 2, options.deadline, options.answered ?? (() => {}))
  }
  /** What has been said since it was last asked. */
  take() {
    return this.answers.splice(0)
  }
}

class Named extends Waiter {
  readonly log: Log
  readonly name: string
  readonly rank: number
  readonly deadline: number | undefined
  readonly andThen: (answer: Answer, waiter: Waiter) => void
  constructor(
    log: Log,
    name: string,
    rank: number,
    deadline: number | undefined,
    andThen: (answer: Answer, waiter: Waiter) => void
  ) {
    super()
    this.log = log
    this.name = name
    this.rank = rank
    this.deadline = deadline
    this.andThen = andThen
  }
  answered(answer: Answer) {
    this.log.answers.push(`${this.name} ${answer}`)
    this.andThen(answer, this)
  }
}

const numbers = (slots: Slots) => ({ limit: slots.limit, inFlight: slots.inFlight, waiting: slots.waiting })

describe("slots", () => {
  it("as many as the limit are taken, and no more", () => {
    const slots = make({ limit: 2 })
    assert.deepStrictEqual([slots.tryAcquire(), slots.tryAcquire(), slots.tryAcquire()], [true, true, false])
    assert.isFalse(slots.isFree)
    assert.deepStrictEqual(numbers(slots), { limit: 2, inFlight: 2, waiting: 0 })
    slots.release(0)
    assert.isTrue(slots.isFree)
    assert.isTrue(slots.tryAcquire())
  })

  it("with a limit of 0 nobody is let in, until it is raised", () => {
    const log = new Log()
    const slots = make({ limit: 0 })
    assert.isFalse(slots.tryAcquire())
    assert.isTrue(slots.enqueue(log.waiter("a"), 0))
    assert.deepStrictEqual(log.take(), [])
    slots.resize(1, 0)
    assert.deepStrictEqual(log.take(), ["a granted"])
  })

  it("one that asks to wait while a slot is free has it at once", () => {
    const log = new Log()
    const slots = make({ maxQueue: 0 })
    const waiter = log.waiter("a")
    assert.isTrue(slots.enqueue(waiter, 0))
    assert.deepStrictEqual(log.take(), ["a granted"])
    assert.strictEqual(waiter.state, "granted")
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 1, waiting: 0 })
  })

  it("a slot that is given back goes to one that waits, and not to a newcomer", () => {
    const log = new Log()
    const slots = make()
    slots.tryAcquire()
    slots.enqueue(log.waiter("a"), 0)
    slots.enqueue(log.waiter("b"), 0)
    slots.release(0)
    assert.deepStrictEqual(log.take(), ["a granted"])
    assert.isFalse(slots.tryAcquire())
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 1, waiting: 1 })
  })

  it("cockatiel: a newcomer takes the slot of one that has been told to go on", () => {
    const log = new Log()
    const slots = make()
    let barged: boolean | undefined
    slots.tryAcquire()
    slots.enqueue(log.waiter("a", { answered: () => (barged = slots.tryAcquire()) }), 0)
    slots.release(0)
    assert.isFalse(barged)
    assert.deepStrictEqual(log.take(), ["a granted"])
  })
})

describe("the order", () => {
  /** Three come at 0, 10 and 20; slots are given back at the times said. */
  const served = (order: SlotsOptions["order"], ...times: ReadonlyArray<number>) => {
    const log = new Log()
    const slots = make({ order })
    slots.tryAcquire()
    for (const [i, name] of ["a", "b", "c"].entries()) slots.enqueue(log.waiter(name), i * 10)
    for (const time of times) slots.release(time)
    return log.take().map((answer) => answer[0])
  }

  it("fifo: the first come", () => {
    assert.deepStrictEqual(served("fifo", 20, 500, 1_000), ["a", "b", "c"])
  })

  it("lifo: the last come", () => {
    assert.deepStrictEqual(served("lifo", 20, 500, 1_000), ["c", "b", "a"])
  })

  it("adaptive: the first come, until somebody has waited without a break for the standing time", () => {
    assert.deepStrictEqual(served("adaptive", 20, 50, 99), ["a", "b", "c"])
    assert.deepStrictEqual(served("adaptive", 20, 100, 101), ["a", "c", "b"])
    assert.deepStrictEqual(served("adaptive", 100, 101, 102), ["c", "b", "a"])
  })

  it("adaptive: a queue that was empty in between does not stand", () => {
    const log = new Log()
    const slots = make({ order: "adaptive" })
    slots.tryAcquire()
    const left = log.waiter("a")
    slots.enqueue(left, 0)
    slots.leave(left, 90)
    slots.enqueue(log.waiter("b"), 90)
    slots.release(100)
    slots.enqueue(log.waiter("c"), 110)
    slots.enqueue(log.waiter("d"), 120)
    slots.release(209)
    assert.deepStrictEqual(log.take(), ["b granted", "c granted"])
    // the clock goes on from the time the queue filled, not from when the latest came
    slots.enqueue(log.waiter("e"), 209)
    slots.release(210)
    assert.deepStrictEqual(log.take(), ["e granted"])
  })

  it("adaptive: one that waits on its own stands, too, from the time it came", () => {
    const log = new Log()
    const slots = make({ order: "adaptive" })
    slots.tryAcquire()
    slots.enqueue(log.waiter("a"), 0)
    slots.enqueue(log.waiter("b"), 150)
    slots.release(150)
    assert.deepStrictEqual(log.take(), ["b granted"])
  })

  it("whoever matters more goes first, whatever the order", () => {
    for (const order of ["fifo", "lifo", "adaptive"] as const) {
      const log = new Log()
      const slots = make({ order })
      slots.tryAcquire()
      for (const rank of [3, 1, 4, 0, 2]) slots.enqueue(log.waiter(`${rank}`, { rank }), 0)
      for (let i = 0; i < 5; i++) slots.release(500)
      assert.deepStrictEqual(
        log.take().map((answer) => answer[0]),
        ["0", "1", "2", "3", "4"]
      )
    }
  })
})

describe("a full queue", () => {
  it("refuses whoever matters no more than those that wait", () => {
    const log = new Log()
    const slots = make({ maxQueue: 1 })
    slots.tryAcquire()
    slots.enqueue(log.waiter("a", { rank: 2 }), 0)
    for (const rank of [2, 3, 4]) {
      assert.isFalse(slots.hasPlace(rank))
      assert.isFalse(slots.enqueue(log.waiter("b", { rank }), 0))
    }
    assert.deepStrictEqual(log.take(), [])
    assert.isTrue(slots.hasPlace(1))
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 1, waiting: 1 })
  })

  it("has room again when one has left", () => {
    const log = new Log()
    const slots = make({ maxQueue: 1 })
    slots.tryAcquire()
    const waiter = log.waiter("a")
    slots.enqueue(waiter, 0)
    slots.leave(waiter, 0)
    assert.isTrue(slots.hasPlace(4))
    assert.isTrue(slots.enqueue(log.waiter("b"), 0))
    slots.release(0)
    assert.deepStrictEqual(log.take(), ["b granted"])
  })

  it("no queue at all has no place for anybody", () => {
    const slots = make({ maxQueue: 0 })
    slots.tryAcquire()
    assert.isFalse(slots.hasPlace(0))
    assert.isFalse(slots.enqueue(new Log().waiter("a", { rank: 0 }), 0))
  })

  it("of the lowest that matter less, the one that would be served last makes room", () => {
    for (const [order, displaced] of [
      ["fifo", ["d", "c", "b"]],
      ["lifo", ["c", "d", "b"]]
    ] as const) {
      const log = new Log()
      const slots = make({ maxQueue: 4, order })
      slots.tryAcquire()
      for (const [name, rank] of [
        ["a", 1],
        ["b", 3],
        ["c", 4],
        ["d", 4]
      ] as const) {
        slots.enqueue(log.waiter(name, { rank }), 0)
      }
      for (const name of ["x", "y", "z"]) assert.isTrue(slots.enqueue(log.waiter(name, { rank: 2 }), 10))
      assert.isFalse(slots.enqueue(log.waiter("w", { rank: 2 }), 10))
      assert.deepStrictEqual(
        log.take(),
        displaced.map((name) => `${name} displaced`)
      )
      assert.strictEqual(slots.waiting, 4)
    }
  })

  it("adaptive: who is last depends on whether the queue stands", () => {
    for (const [now, displaced] of [
      [99, "b displaced"],
      [100, "a displaced"]
    ] as const) {
      const log = new Log()
      const slots = make({ maxQueue: 2, order: "adaptive" })
      slots.tryAcquire()
      slots.enqueue(log.waiter("a"), 0)
      slots.enqueue(log.waiter("b"), 50)
      slots.enqueue(log.waiter("c", { rank: 0 }), now)
      assert.deepStrictEqual(log.take(), [displaced])
    }
  })

  it("those that make room leave the queue standing", () => {
    const log = new Log()
    const slots = make({ maxQueue: 2, order: "adaptive" })
    slots.tryAcquire()
    slots.enqueue(log.waiter("a"), 0)
    slots.enqueue(log.waiter("b"), 0)
    slots.enqueue(log.waiter("c", { rank: 1 }), 50)
    slots.enqueue(log.waiter("d", { rank: 1 }), 60)
    slots.release(100)
    assert.deepStrictEqual(log.take(), ["b displaced", "a displaced", "d granted"])
  })
})

describe("leaving", () => {
  it("gives a place in the queue back: no ghost is ever served", () => {
    const log = new Log()
    const slots = make()
    slots.tryAcquire()
    const [a, b, c] = ["a", "b", "c"].map((name) => log.waiter(name)) as [Named, Named, Named]
    for (const waiter of [a, b, c]) slots.enqueue(waiter, 0)
    slots.leave(b, 0)
    assert.strictEqual(slots.waiting, 2)
    for (let i = 0; i < 3; i++) slots.release(0)
    assert.deepStrictEqual(log.take(), ["a granted", "c granted"])
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 0, waiting: 0 })
  })

  it("gives a slot back, to the next in the queue; and that once", () => {
    const log = new Log()
    const slots = make()
    slots.tryAcquire()
    const a = log.waiter("a")
    slots.enqueue(a, 0)
    slots.enqueue(log.waiter("b"), 0)
    slots.release(0)
    slots.leave(a, 0)
    slots.leave(a, 0)
    assert.deepStrictEqual(log.take(), ["a granted", "b granted"])
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 1, waiting: 0 })
  })

  it("one that was refused, or never came in, has nothing to give back", () => {
    const log = new Log()
    const slots = make({ maxQueue: 1 })
    slots.tryAcquire()
    const displaced = log.waiter("a", { rank: 4 })
    slots.enqueue(displaced, 0)
    slots.enqueue(log.waiter("b"), 0)
    const refused = log.waiter("c")
    slots.enqueue(refused, 0)
    slots.leave(displaced, 0)
    slots.leave(refused, 0)
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 1, waiting: 1 })
  })
})

describe("a deadline", () => {
  it("that has passed when its turn comes: it is not let in, and the next one is", () => {
    const log = new Log()
    const slots = make()
    slots.tryAcquire()
    const late = log.waiter("a", { deadline: 50 })
    slots.enqueue(late, 0)
    slots.enqueue(log.waiter("b", { deadline: 51 }), 0)
    slots.release(50)
    assert.deepStrictEqual(log.take(), ["a expired", "b granted"])
    // it holds nothing
    slots.leave(late, 50)
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 1, waiting: 0 })
  })

  it("all have expired: the slot is free", () => {
    const log = new Log()
    const slots = make()
    slots.tryAcquire()
    for (const name of ["a", "b"]) slots.enqueue(log.waiter(name, { deadline: 5 }), 0)
    slots.release(5)
    assert.deepStrictEqual(log.take(), ["a expired", "b expired"])
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 0, waiting: 0 })
    assert.isTrue(slots.tryAcquire())
  })
})

describe("resizing", () => {
  it("up: lets in as many as now fit", () => {
    const log = new Log()
    const slots = make()
    slots.tryAcquire()
    for (const name of ["a", "b", "c"]) slots.enqueue(log.waiter(name), 0)
    slots.resize(3, 0)
    assert.deepStrictEqual(log.take(), ["a granted", "b granted"])
    assert.deepStrictEqual(numbers(slots), { limit: 3, inFlight: 3, waiting: 1 })
  })

  it("down: those that run go on, and nobody is let in until they are fewer", () => {
    const log = new Log()
    const slots = make({ limit: 3 })
    for (let i = 0; i < 3; i++) slots.tryAcquire()
    slots.resize(1, 0)
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 3, waiting: 0 })
    slots.enqueue(log.waiter("a"), 0)
    slots.release(0)
    slots.release(0)
    assert.deepStrictEqual(log.take(), [])
    slots.release(0)
    assert.deepStrictEqual(log.take(), ["a granted"])
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 1, waiting: 0 })
  })
})

describe("those that are answered act at once", () => {
  it("a hundred thousand that end as soon as they are let in do not fill the stack", () => {
    const slots = make({ maxQueue: 100_000 })
    const log = new Log()
    slots.tryAcquire()
    for (let i = 0; i < 100_000; i++) {
      slots.enqueue(log.waiter("w", { answered: () => slots.release(0) }), 0)
    }
    slots.release(0)
    assert.strictEqual(log.take().length, 100_000)
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 0, waiting: 0 })
  })

  it("one that was displaced and asks again finds its successor in the queue", () => {
    const log = new Log()
    const slots = make({ maxQueue: 1 })
    slots.tryAcquire()
    const again = log.waiter("again", { rank: 4 })
    let isIn: boolean | undefined
    slots.enqueue(log.waiter("a", { rank: 4, answered: () => (isIn = slots.enqueue(again, 0)) }), 0)
    slots.enqueue(log.waiter("b", { rank: 0 }), 0)
    assert.isFalse(isIn)
    assert.strictEqual(slots.waiting, 1)
    slots.release(0)
    assert.deepStrictEqual(log.take(), ["a displaced", "b granted"])
  })

  it("one leaves that has been let in and has not heard of it: its slot goes on, and it never hears", () => {
    const log = new Log()
    const slots = make({ maxQueue: 5 })
    slots.tryAcquire()
    const b = log.waiter("b")
    slots.enqueue(log.waiter("a", { answered: () => slots.leave(b, 0) }), 0)
    slots.enqueue(b, 0)
    slots.enqueue(log.waiter("c"), 0)
    slots.resize(3, 0)
    assert.deepStrictEqual(log.take(), ["a granted", "c granted"])
    assert.deepStrictEqual(numbers(slots), { limit: 3, inFlight: 3, waiting: 0 })
  })

  it("one leaves that has been refused and has not heard of it: it gives nothing back", () => {
    const log = new Log()
    const slots = make({ maxQueue: 2, limit: 1 })
    slots.tryAcquire()
    const late = log.waiter("late", { deadline: 5 })
    slots.enqueue(log.waiter("early", { deadline: 5, answered: () => slots.leave(late, 5) }), 0)
    slots.enqueue(late, 0)
    slots.release(5)
    assert.deepStrictEqual(log.take(), ["early expired"])
    assert.deepStrictEqual(numbers(slots), { limit: 1, inFlight: 0, waiting: 0 })
  })

  it("an answer that throws does not keep the others from theirs", () => {
    const log = new Log()
    const slots = make({ maxQueue: 5 })
    slots.tryAcquire()
    slots.enqueue(
      log.waiter("a", {
        answered: () => {
          throw new Error("bug")
        }
      }),
      0
    )
    slots.enqueue(log.waiter("b"), 0)
    assert.throws(() => slots.release(0), "bug")
    slots.release(0)
    assert.deepStrictEqual(log.take(), ["a granted", "b granted"])
  })
})
